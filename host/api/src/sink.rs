//! Where serialised records go, and how a sink says that they are safe.
//!
//! # Contract
//!
//! The task thread owns the sink and calls it from one thread only. Records reach it as [`Block`]s: one buffer, and for each
//! record where its bytes lie in it. A block is the unit of acknowledgement.
//!
//! - *Order*: records of one topic and key become durable in the order of [`Block::records`], and blocks in the order in which
//!   they were handed over (invariant 5). A sink that cannot keep it after a failure returns an error and takes nothing more.
//! - *Durable*: a block's id goes to `done` only when every record of it is safe in the place the sink writes to: acknowledged
//!   by all in-sync replicas, synced to disk (invariant 1). Ids may come in any order; the ledger sorts them.
//! - *Back-pressure*: [`Sink::deliver`] never waits. It takes as many records as it has room for and says how many; the task
//!   calls [`Sink::poll`] and comes again with the rest.
//! - *Failure*: an error that [`crate::Error::is_retriable`] says nothing about the block: the task builds the sink anew and
//!   goes back to the last stored offset. Nothing is produced again behind later records.
//! - *Size*: a sink that does not take records of any size shares a [`crate::Largest`] with the chain, and gets none that is
//!   larger.

use crate::Error;
use std::sync::Arc;
use std::time::{Duration, Instant};
use weir_model::{Record, Route};

/// Counts up from 0 in the order of delivery, one run of a task.
pub type BlockId = u64;

/// Serialised records, in source order.
#[derive(Debug)]
pub struct Block {
    pub id: BlockId,
    pub data: Vec<u8>,
    pub records: Vec<Record>,
    pub header_ends: Vec<u32>,
    /// the task's, so far: numbers stay as they are, and blocks with the same ones share them
    pub routes: Arc<[Arc<Route>]>,
}

/// See the module's contract.
pub trait Sink: Send {
    /// Takes records `from..` of a block as far as there is room, and returns the index of the first one not taken
    /// (`block.records.len()` when all were). A block without records is done at once.
    fn deliver(&mut self, block: &Arc<Block>, from: usize) -> Result<usize, Error>;

    /// Serves what is under way for at most `wait` (zero: only what is ready) and appends the ids of blocks that became durable.
    fn poll(&mut self, wait: Duration, done: &mut Vec<BlockId>) -> Result<(), Error>;

    /// Waits until everything handed over is durable; an error at `deadline`.
    fn flush(&mut self, deadline: Instant, done: &mut Vec<BlockId>) -> Result<(), Error>;
}

// === impl Block ===

impl Block {
    pub fn key(&self, r: &Record) -> Option<&[u8]> {
        (r.has & Record::KEY != 0).then(|| self.data.get(r.start as usize..r.key as usize)).flatten()
    }
    pub fn value(&self, r: &Record) -> Option<&[u8]> {
        (r.has & Record::VALUE != 0).then(|| self.data.get(r.key as usize..r.value as usize)).flatten()
    }
    pub fn route(&self, r: &Record) -> Option<&Arc<Route>> {
        self.routes.get(r.route as usize)
    }
    /// Names and values of a record's headers; a null header has no value.
    pub fn headers<'a>(&'a self, r: &'a Record) -> impl Iterator<Item = (&'a str, Option<&'a [u8]>)> {
        let names: &[Arc<str>] = self.routes.get(r.route as usize).map_or(&[], |route| &route.headers);
        let mut at = r.value as usize;
        names.iter().enumerate().map(move |(i, name)| {
            let end = self.header_ends.get(r.headers as usize + i).map_or(at, |e| *e as usize);
            let value = self.data.get(at..end).filter(|_| r.has & Record::null_header(i) == 0 || i >= 24);
            at = end;
            (&**name, value)
        })
    }
}
