//! Where rows come from, and how a source is told what is safe.
//!
//! # Contract
//!
//! One task thread owns the source and calls it from that thread only.
//!
//! - *Order*: windows come in the order of the log, and a window's runs are in that order too. Only committed rows leave, in
//!   commit order (invariant 9).
//! - *Positions* grow. [`Poll::Window`] carries the position from which a restart goes on once every row of the window is
//!   durable: starting there sends none of them again, and misses nothing behind them (invariants 3, 6).
//! - *Forgetting*: a source lets the database drop its log only up to what [`Source::confirm`] said (invariant 2).
//! - *Waiting*: [`Source::poll`] returns after at most the time it was given, with or without rows, and hands over what has
//!   come in without waiting for more: nothing waits for a window to fill.
//! - *Failure*: after a retriable error the task calls [`Source::start`] again, with the last stored offset.

use crate::Error;
use std::time::Duration;
use weir_model::Window;

/// A source offset as Connect stores it: a JSON map.
pub type Offset = serde_json::Map<String, serde_json::Value>;

/// Where a source stands. What the numbers mean is the source's affair; they are ordered, and cheap to keep for every window.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Position(pub [u64; 4]);

/// How much one window may hold.
#[derive(Clone, Copy, Debug)]
pub struct Limit {
    pub rows: usize,
    /// bytes of wire buffer
    pub bytes: usize,
}

/// What a poll brought.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Poll {
    /// Rows are in the window; see *Positions*. None: there is no going on from here yet (a snapshot is not complete).
    Window(Option<Position>),
    /// No rows. A position: the log moved on, and nothing before it is pending here.
    Idle(Option<Position>),
    /// No rows, and none may follow before everything so far is durable and this position is stored: what comes next cannot
    /// be undone by a restart that knows nothing of it (a snapshot begins).
    Store(Position),
    /// there will be no more rows (`snapshot.mode=initial_only`, a bounded generator)
    End,
}

/// How far a snapshot is.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Progress {
    pub rows: u64,
    /// an estimate
    pub rows_total: Option<u64>,
    pub tables_done: usize,
    pub tables: usize,
    /// what is being read
    pub table: String,
}

/// See the module's contract.
pub trait Source: Send {
    /// The key of the stored offset: Connect's source partition.
    fn partition(&self) -> Offset;

    /// A position as Connect's source offset.
    fn offset(&self, position: &Position) -> Offset;

    /// Opens what the source reads from, and goes on behind `offset`; None: nothing is stored.
    fn start(&mut self, offset: Option<&Offset>) -> Result<(), Error>;

    /// Fills an empty window.
    fn poll(&mut self, wait: Duration, limit: Limit, window: &mut Window) -> Result<Poll, Error>;

    /// Everything up to here is stored: the database may forget it.
    fn confirm(&mut self, position: &Position) -> Result<(), Error>;

    /// Called at least once a second while the sink takes nothing: says to the server that we live.
    fn keep_alive(&mut self) -> Result<(), Error>;

    /// While a snapshot is being read.
    fn progress(&self) -> Option<Progress> {
        None
    }

    /// Bytes that the server holds back for us, where it tells.
    fn lag_bytes(&self) -> Option<u64> {
        None
    }

    /// Rows left out since the start: consumers have them from the snapshot (invariant 3; the rule `in-snapshot`).
    fn rows_in_snapshot(&self) -> u64 {
        0
    }

    /// Ends connections in the orderly way. Nothing is called afterwards but `start`, and not even that where it is `for_good`.
    fn stop(&mut self, for_good: bool);
}
