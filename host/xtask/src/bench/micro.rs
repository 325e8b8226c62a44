//! `cargo x bench --micro`: what a row costs without a database and without Kafka.

use crate::checkout;
use anyhow::Result;

/// Builds and runs the bench of the command line's crate, which has every part that a row goes through.
pub fn run(json: bool) -> Result<()> {
    let mut cargo = checkout::cargo();
    cargo.args(["bench", "--quiet", "--package", "weir-cli", "--bench", "micro", "--"]);
    if json {
        cargo.arg("--json");
    }
    checkout::run(&mut cargo)
}
