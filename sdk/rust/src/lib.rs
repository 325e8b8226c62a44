//! Transforms for Weir, in Rust.
//!
//! Three levels, one interface (`wit/transform.wit`) under each:
//!
//! * a per-message function over typed rows: [`transform`] with [`Row`], [`Columns`] and [`Options`]; or over a [`Record`] as JSON;
//! * a [`Transform`] that answers each shape of record with a [`Binding`]: rules and edits that the host runs by
//!   itself, so that most rows never enter the guest;
//! * the raw types of the interface, in [`wit`].
//!
//! Everything compiles and runs natively as well, where [`testing`] stands in for the host.

mod binding;
mod bindings;
mod cell;
mod columns;
mod constant;
mod edit;
mod failure;
#[doc(hidden)]
pub mod glue;
pub mod log;
#[doc(hidden)]
pub mod message;
#[doc(hidden)]
pub mod options;
mod record;
mod routes;
mod row;
mod shape;
#[cfg(not(target_arch = "wasm32"))]
pub mod testing;
mod transform;
mod verdict;

#[doc(hidden)]
pub use bindings::__export_transformer;
pub use bindings::exports::weir::transform::transform as exported;
pub use bindings::weir::transform::types as wit;
pub use cell::{Cell, FromCell, Slot};
pub use columns::{Builder, Columns, IntoCell, NewCell, NoColumns};
pub use edit::{IntoPath, path};
pub use message::OnMissing;
pub use options::{Given, NoOptions, OptionValue, Options, option};
pub use record::Record;
pub use row::{Cells, Row};
#[doc(no_inline)]
pub use serde_json;
pub use transform::Transform;
pub use verdict::{Outcome, Verdict};
pub use weir_sdk_macros::{Columns, Options, Row, transform};
/// What becomes of a row, as a rule says it: `Then::emit(0)`, `Then::drop()`, `Then::fail(code, message)`, `Then::Apply`.
pub use wit::Verdict as Then;
pub use wit::{
    Annotation, Batch, Binding, Column, Comparison, Compute, Constant, Edit, Failure, Field, Kind, Layout, Manifest,
    OptionDef, Output, Problem, Read, Repr, RowError, Rule, Scalar, Shape, Source, Test,
};

// its examples are tests
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

/// What most transforms use.
pub mod prelude {
    pub use crate::{
        Annotation, Batch, Binding, Column, Columns, Comparison, Constant, Edit, Failure, Field, Kind, Options, Output,
        Problem, Record, Repr, Row, Scalar, Shape, Source, Test, Then, Transform, Verdict, transform,
    };
}

/// Exports a [`Transform`] from this crate; nothing on other targets than wasm32.
#[macro_export]
macro_rules! export {
    ($transform:ty) => {
        #[cfg(target_arch = "wasm32")]
        #[allow(unsafe_code)]
        const _: () = {
            $crate::instance!($transform);
    $crate::__export_transformer!(Component with_types_in $crate::glue);
        };
    };
}

/// A type `Component` that holds the one instance of a guest and answers for it.
#[doc(hidden)]
#[macro_export]
macro_rules! instance {
    ($transform:ty) => {
        ::std::thread_local! {
            static INSTANCE: ::std::cell::RefCell<::std::option::Option<$transform>> =
                const { ::std::cell::RefCell::new(::std::option::Option::None) };
        }
        struct Component;
        impl $crate::exported::Guest for Component {
            fn describe() -> $crate::Manifest {
                $crate::glue::describe::<$transform>()
            }
            fn check(options: $crate::wit::Options) -> ::std::vec::Vec<$crate::Problem> {
                $crate::glue::check::<$transform>(&options)
            }
            fn configure(options: $crate::wit::Options) -> ::std::result::Result<(), $crate::Failure> {
                INSTANCE.with(|i| $crate::glue::configure(i, &options))
            }
            fn bind(shape: $crate::Shape) -> ::std::result::Result<$crate::Binding, $crate::Failure> {
                INSTANCE.with(|i| $crate::glue::bind(i, &shape))
            }
            fn unbind(shape: u32) {
                INSTANCE.with(|i| $crate::glue::unbind(i, shape));
            }
            fn apply(batch: $crate::Batch) -> ::std::result::Result<$crate::Output, $crate::Failure> {
                INSTANCE.with(|i| $crate::glue::apply(i, batch))
            }
        }
    };
}
