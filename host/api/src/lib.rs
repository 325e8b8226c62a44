//! The contracts between Weir's parts. No I/O, no async runtime, no connector: whoever implements a source or a sink needs
//! this crate and `weir-model`, and nothing else of the host.

pub mod config;
pub mod error;
pub mod failpoint;
pub mod largest;
pub mod sink;
pub mod source;
pub mod transform;

pub use config::{ConfigDef, Effect, Importance, Key, KeyType, Settings};
pub use error::{Cure, Error, Finding, Place, Severity};
pub use largest::{Largest, Told};
pub use sink::{Block, BlockId, Sink};
pub use source::{Limit, Offset, Poll, Position, Progress, Source};
pub use transform::{Applied, Met, Transform, Usage};
pub use weir_model::{Record, Route};
