//! The checkout that this program was built from, and what is built in it.

use anyhow::{Context, Result, ensure};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The folder of the workspace's `Cargo.toml`.
pub fn root() -> PathBuf {
    // what cargo says when it runs us, for the checkout may have moved since we were built
    let here = std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
    let here = Path::new(&here);
    here.ancestors().nth(2).unwrap_or(here).to_owned()
}

/// The cargo that runs us, in the checkout.
pub fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root());
    command
}

/// Runs a command to its end; an error names it when it fails.
pub fn run(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| format!("{command:?}"))?;
    ensure!(status.success(), "{command:?} ended with {status}");
    Ok(())
}

/// The binary `weir`: `given`, or else built now.
pub fn weir(given: Option<&Path>, release: bool) -> Result<PathBuf> {
    if let Some(path) = given {
        return path.canonicalize().with_context(|| path.display().to_string());
    }
    let mut build = cargo();
    // the whole workspace's features, so that what tests built is used again
    build.args(["build", "--quiet", "--workspace", "--bin", "weir"]);
    if release {
        build.arg("--release");
    }
    run(&mut build)?;
    Ok(target()?.join(if release { "release" } else { "debug" }).join("weir"))
}

/// Cargo's directory of what is built.
pub fn target() -> Result<PathBuf> {
    let output = cargo().args(["metadata", "--no-deps", "--format-version=1"]).output()?;
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout)?;
    let target = metadata.get("target_directory").and_then(|t| t.as_str());
    Ok(PathBuf::from(target.context("cargo metadata names no target directory")?))
}
