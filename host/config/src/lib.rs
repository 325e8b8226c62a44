//! What the user wrote (TOML, Connect JSON, properties) into settings and findings.
//!
//! Two front doors ([`toml`], [`connector`]) give one [`Written`]; [`lint`] finds everything wrong with it at once, against the
//! [`Catalog`] of what exists; [`Plan`] is what was resolved; [`report`] shows findings. Values stay as written, `${…}` included,
//! until something runs ([`interpolate`]).

pub mod catalog;
pub mod connector;
pub mod dead_letters;
pub mod errors;
pub mod format;
pub mod interpolate;
mod json;
pub mod limits;
pub mod lint;
pub mod measure;
pub mod plan;
pub mod properties;
pub mod report;
pub mod secret;
pub mod toml;
pub mod worker;
pub mod written;

pub use catalog::{Catalog, Component};
pub use interpolate::Providers;
pub use lint::{check, check_with};
pub use plan::Plan;
pub use report::{Style, Texts};
pub use worker::Worker;
pub use written::{Door, Entries, Entry, Part, Step, When, Written};
