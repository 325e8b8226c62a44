//! What records look like as bytes. Each converter is a [`Format`](weir_model::Format) of fifty to a hundred lines; the
//! compiler and the loop are `weir-model`'s.

mod bytes;
mod java;
mod json;
pub mod letter;
mod text;

pub use bytes::ByteArray;
pub use json::{Json, JsonConverter, schema};
pub use text::{JavaString, SimpleHeader};
