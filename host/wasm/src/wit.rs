//! The host's side of the world, generated from `wit/transform.wit`.
//!
//! `unsafe`: the generated code implements wasmtime's unsafe traits for the records, and reads records of integers in bulk.
#![allow(unsafe_code, missing_docs, clippy::all, clippy::pedantic, clippy::restriction)]

wasmtime::component::bindgen!({ path: "../../wit", world: "transformer", additional_derives: [PartialEq] });

pub use exports::weir::transform::transform::{Batch, Binding, Failure, Output, Shape};
pub use weir::transform::host::Level;
pub use weir::transform::types::*;
