//! The way of a row: read, chain, write, deliver, acknowledge, store. Names no connector, no converter, no Wasm engine.
//!
//! One thread per task does all of it up to the sink's queue: a hop to another thread costs more than the work. Only offsets are stored
//! beside it. See [`Task`] for the loop, [`Chain`] for what happens to a window, [`Ledger`] for what may be stored.

mod blocks;
mod chain;
mod counters;
mod failures;
mod ledger;
mod letters;
mod pace;
mod retry;
mod round;
mod saver;
mod swaps;
mod task;

pub use blocks::Blocks;
pub use chain::{Chain, Converters, Prepared, Step};
pub use counters::{Counters, State, Totals};
pub use failures::{CONVERTER, OnError, RowFailure, SINK};
pub use ledger::Ledger;
pub use letters::{DeadLetters, Notation, Reports, header};
pub use pace::Reading;
pub use retry::{Backoff, Retries, RetryPolicy};
pub use saver::{OffsetStore, Saver};
pub use swaps::{Offered, Swaps};
pub use task::{MakeSink, Outcome, Stop, Task, TaskOptions};
