//! What `wit/transform.wit` becomes in Rust.
//!
//! Generated code lifts and lowers through raw memory, which is why `unsafe` is allowed here and nowhere else.
#![allow(unsafe_code, clippy::all, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

wit_bindgen::generate!({
    path: "wit",
    world: "transformer",
    additional_derives: [PartialEq],
    pub_export_macro: true,
    export_macro_name: "__export_transformer",
    default_bindings_module: "weir::glue",
});
