//! From a crate to a component: how a transform is built, the same for the standard ones (by this binary's build script, which
//! includes this file) and for users' own.

use std::process::Command;

/// What guests are built for: without WASI there is nothing that they could import but what the host gives.
pub const TARGET: &str = "wasm32-unknown-unknown";

/// What an outer build was told is not for guests.
const OUTER: [&str; 4] = ["CARGO_ENCODED_RUSTFLAGS", "RUSTFLAGS", "RUSTC_WORKSPACE_WRAPPER", "CARGO_BUILD_TARGET"];

/// `cargo build` for guests; what is to be built is up to the caller.
pub fn cargo_build(cargo: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = Command::new(cargo);
    command.args(["build", "--target", TARGET]);
    for key in OUTER {
        command.env_remove(key);
    }
    command
}

/// The component of a core module that brings the types of its world along. Err: why it is none.
pub fn encode(core: &[u8]) -> Result<Vec<u8>, String> {
    let encoder = wit_component::ComponentEncoder::default().validate(true).module(core);
    encoder.and_then(|mut e| e.encode()).map_err(|e| format!("{e:#}"))
}
