//! A shop that changes: users, products and orders, for demonstrations, documentation, tests and benches.
//!
//! A full source: a snapshot, a stream of inserts, updates and deletes, a schema change in the middle, and offsets to go on
//! from. What it makes is a function of its seed: the same seed gives the same rows in the same order, and a restart replays
//! the shop's state up to the stored event without sending anything.
//!
//! [`Script`] is the same shop as SQL, for a database that is to be captured for real.

mod rows;
mod script;
mod shop;
mod source;

pub use script::Script;
pub use source::{KEYS, open};
