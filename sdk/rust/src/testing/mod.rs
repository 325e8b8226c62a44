//! A stand-in for the host, for tests: it binds shapes, answers rules, runs edits and calls `apply`, as the host does,
//! one record at a time and without haste.
//!
//! Records are JSON: `{"topic", "partition", "timestamp", "offset", "key", "value", "headers"}`, where key and value are
//! `{"schema", "payload"}` in the notation of Kafka's JsonConverter (schema null: none) and headers a list of
//! `{"key", "schema", "payload"}`. Bytes are base64, decimals texts, dates milliseconds. A payload without schema
//! is JSON, with tags where JSON has no word: `{"$int32": 1}`, `{"$bytes": "AA=="}`, `{"$date": 0}`, `{"$decimal": "1.0"}`.
//!
//! ```
//! use weir::prelude::*;
//! use weir::testing::{Host, Outcome, Record};
//!
//! #[derive(Row)]
//! struct Age {
//!     #[at("value.age")]
//!     age: i64,
//! }
//!
//! /// Keeps grown-ups.
//! #[weir::transform]
//! fn grown_up(row: Age) -> bool {
//!     row.age >= 18
//! }
//!
//! let mut host = Host::<grown_up>::new(&[])?;
//! let seven = Record::from_json(&serde_json::json!({"topic": "people", "value": {"payload": {"age": 7}}}))?;
//! assert_eq!(host.run(&[seven])?, [Outcome::Records(vec![])]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod cells;
mod edits;
mod host;
mod payload;
mod record;
mod schema;
mod tree;

use crate::log::Level;
pub use host::{Host, Outcome};
pub use record::{Record, same};
use std::cell::RefCell;
pub use tree::{Data, Node, Type};

/// What is wrong with a binding, an output or a record: the author's mistake, not a row's.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Fault(pub String);

thread_local! {
    static LOGGED: RefCell<Vec<(Level, String)>> = const { RefCell::new(vec![]) };
}

/// What this thread's transforms have logged since the last call.
pub fn logged() -> Vec<(Level, String)> {
    LOGGED.with(RefCell::take)
}

pub(crate) fn keep(level: Level, message: &str) {
    LOGGED.with(|lines| lines.borrow_mut().push((level, message.into())));
}

// === impl Fault ===

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Fault {}

impl From<&str> for Fault {
    fn from(text: &str) -> Self {
        Fault(text.into())
    }
}

impl From<String> for Fault {
    fn from(text: String) -> Self {
        Fault(text)
    }
}
