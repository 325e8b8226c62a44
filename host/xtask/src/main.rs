//! `cargo x …`: what the project does to itself. One command per job, the same by hand and on a build machine.

mod bench;
mod check;
mod checkout;
mod oracle;
mod process;
mod services;
mod topic;
mod weir;

use anyhow::Result;
use clap::{Parser, Subcommand};
use std::process::ExitCode;

#[derive(Parser, Debug)]
#[command(name = "cargo x", arg_required_else_help = true, disable_help_subcommand = true)]
struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand, Debug)]
enum Verb {
    /// Measure weir and Debezium at the same work
    Bench(bench::Args),
    /// Compare what weir writes with what Debezium wrote
    Oracle(oracle::Args),
    /// Formatting, lints and the rules of the house
    Check,
    /// Every test, with the services that they need, and what Debezium wrote
    Test {
        /// For `cargo test`
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        more: Vec<String>,
    },
    /// Install the programs that tests start
    Services,
}

fn main() -> ExitCode {
    run(Args::parse().verb).unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::from(2)
    })
}

fn run(verb: Verb) -> Result<ExitCode> {
    match verb {
        Verb::Bench(args) => bench::run(&args).map(|()| ExitCode::SUCCESS),
        Verb::Oracle(args) => oracle::run(&args),
        Verb::Check => check::check().map(|()| ExitCode::SUCCESS),
        Verb::Test { more } => check::test(&more),
        Verb::Services => services::install().map(|()| ExitCode::SUCCESS),
    }
}
