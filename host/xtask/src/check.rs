//! `cargo x check` and `cargo x test`: what has to hold before anything is merged.

use crate::{checkout, oracle, services};
use anyhow::Result;
use std::process::ExitCode;

/// Formatting, lints, and the rules of the house that no lint knows.
pub fn check() -> Result<()> {
    for args in [
        &["fmt", "--all", "--check"][..],
        &["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"],
        &["test", "--package", "weir-xtask", "--test", "tidy", "--test", "error_pages"],
    ] {
        eprintln!("cargo {}", args.join(" "));
        checkout::run(checkout::cargo().args(args))?;
    }
    Ok(())
}

/// Every test there is, against real services; and what Debezium wrote, unless `more` chooses among the tests.
pub fn test(more: &[String]) -> Result<ExitCode> {
    services::install()?;
    // All failures in one run; the runner's last lines say which they were.
    let tested = checkout::run(checkout::cargo().args(["test", "--workspace", "--no-fail-fast"]).args(more));
    let weir = checkout::target()?.join("debug/weir");
    if !more.is_empty() || !weir.exists() {
        return tested.map(|()| ExitCode::SUCCESS);
    }
    let compared = oracle::run(&oracle::Args::with(weir))?;
    tested.map(|()| compared)
}
