//! What log sources share: the envelope, the names of topics, filters by regular expression, the context headers.

mod adjust;
mod context;
mod envelope;
mod filter;
mod topic;

pub use adjust::Adjust;
pub use context::Context;
pub use envelope::{CellLeaf, Column, Envelope, KEY_CHANGED, Op, SourceBlock, Table};
pub use filter::{ListError, Patterns, TableFilter};
pub use topic::{sanitize, topic_name};
