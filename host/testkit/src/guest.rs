//! Wasm guests, built from their source as a user builds them.

use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Builds the crate `name` in `folder` for `wasm32-unknown-unknown` into `target`, a directory of its own because the build that
/// tests run in holds the lock of its own. Returns the module's path.
pub fn build(folder: &Path, name: &str, target: &Path) -> io::Result<PathBuf> {
    build_with(folder, name, target, "")
}

/// The same with features, separated by commas. Builds of one crate overwrite each other's module.
pub fn build_with(folder: &Path, name: &str, target: &Path, features: &str) -> io::Result<PathBuf> {
    let built = Command::new(std::env::var("CARGO").unwrap_or_else(|_| "cargo".into()))
        .args(["build", "--release", "--target", "wasm32-unknown-unknown", "--manifest-path"])
        .arg(folder.join("Cargo.toml"))
        .arg("--target-dir")
        .arg(target)
        .args(["--features", features])
        // what the outer build was told is not for guests
        .env_remove("RUSTFLAGS")
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .output()?;
    if !built.status.success() {
        let said = String::from_utf8_lossy(&built.stderr);
        return Err(io::Error::other(format!("{name} does not build: {said}")));
    }
    Ok(target.join("wasm32-unknown-unknown/release").join(name.replace('-', "_")).with_extension("wasm"))
}
