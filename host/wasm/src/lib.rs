//! Transforms that are Wasm guests.
//!
//! An [`Engine`] compiles [`Module`]s; a module makes [`weir_api::Transform`]s. For each shape the guest is asked once what it
//! wants done ([`weir_model::Binding`], every number of it checked); only the columns that it reads or computes cross, a batch at
//! a time. A guest can cost its own pipeline time and memory up to its [`Limits`], and nothing else: what traps, hangs or
//! hands back nonsense is replaced, and only the rows that did it fail (invariant 7).

mod binding;
mod compute;
mod courtesy;
mod decimal;
mod engine;
mod form;
mod gather;
mod guest;
mod instance;
mod json;
mod limits;
mod log;
mod manifest;
mod module;
mod output;
mod scalar;
mod shape;
mod shapes;
mod sketch;
mod store;
mod tree;
mod typed_json;
mod weight;
mod wit;

pub use courtesy::hurry;
pub use engine::{Engine, EngineOptions};
pub use limits::{Limits, STACK};
pub use manifest::{Importance, Manifest, OptionDef, OptionType, Problem, Width};
pub use module::Module;
pub use store::digest;
