//! `cargo x check` and `cargo x test`: what has to hold before anything is merged.

use crate::{checkout, services};
use anyhow::Result;

/// Formatting, lints, and the rules of the house that no lint knows.
pub fn check() -> Result<()> {
    for args in [
        &["fmt", "--all", "--check"][..],
        &["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"],
        &["test", "--package", "weir-xtask", "--test", "tidy"],
    ] {
        eprintln!("cargo {}", args.join(" "));
        checkout::run(checkout::cargo().args(args))?;
    }
    Ok(())
}

/// Every test there is, against real services.
pub fn test(more: &[String]) -> Result<()> {
    services::install()?;
    // All failures in one run; the runner's last lines say which they were.
    checkout::run(checkout::cargo().args(["test", "--workspace", "--no-fail-fast"]).args(more))
}
