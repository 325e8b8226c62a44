//! The derives and the attribute of `weir-sdk`, which documents them.

mod cells;
mod message;
mod options;
mod path;

use proc_macro::TokenStream;
use syn::parse_macro_input;

/// Cells of a record, as fields of a struct.
///
/// `#[at("value.after.id")]` says where (a backslash takes a dot for itself); without it a field stands for
/// `value.after.<name>`. `#[at("…", dictionary)]` has a text column with few values delivered as codes,
/// `#[at("…", json)]` any field as a JSON text. A field of an `Option` type may be null or absent.
#[proc_macro_derive(Row, attributes(at))]
pub fn row(input: TokenStream) -> TokenStream {
    emit(cells::row(&parse_macro_input!(input)))
}

/// Values that a per-message function adds, as fields of a struct.
///
/// `#[at("value.after.tax")]` says where, as with `Row`; also "topic", "partition", "timestamp" and "headers.<name>".
/// `#[at("…", dictionary)]` for texts with few values, `#[at("…", json)]` for an untyped value from a JSON text,
/// `#[at("…", name = "io.debezium.time.MicroTimestamp")]` for the schema's name.
#[proc_macro_derive(Columns, attributes(at))]
pub fn columns(input: TokenStream) -> TokenStream {
    emit(cells::columns(&parse_macro_input!(input)))
}

/// A transform's options, as fields of a struct; doc comments become their documentation.
///
/// A field `max_age` is the option `max.age` unless `#[option(name = "…")]` says otherwise. Further: `default = "…"`,
/// `required`, `one_of = ["…"]`, `ignore_case`, `importance = "high"`, `width = "short"`, `group = "…"`, `label = "…"`,
/// `order = 1`, `class`, `password`, `hidden` (understood, but not in the manifest); `#[options(…)]` on the struct
/// sets `importance`, `width`, `group` and `order` for all. A field of an `Option` type, or with a default, need not be given.
#[proc_macro_derive(Options, attributes(option, options))]
pub fn options(input: TokenStream) -> TokenStream {
    emit(options::derive(&parse_macro_input!(input)))
}

/// Makes a transform of a function from a row (and `&Options`) to an outcome, and exports it from a wasm32 build.
///
/// The transform is a type of the function's name. `#[weir::transform(on_missing = "fail")]` fails records that lack a
/// required cell; without it they pass as they are. The first line of the doc comment is the summary.
#[proc_macro_attribute]
pub fn transform(arguments: TokenStream, item: TokenStream) -> TokenStream {
    emit(message::transform(arguments.into(), parse_macro_input!(item)))
}

fn emit(tokens: syn::Result<proc_macro2::TokenStream>) -> TokenStream {
    tokens.unwrap_or_else(syn::Error::into_compile_error).into()
}
