//! What can go wrong between the task and what it calls, around any sink and any store: refused before it is done, failed after it
//! is done, the answer held back and given out of order, nothing taken for a while.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use weir_api::{Block, BlockId, Error, Offset, Sink};
use weir_runtime::OffsetStore;

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Fault {
    /// an error, and nothing is done
    Reject,
    /// an error, and it is done all the same
    FailAfter,
    /// done, but that is said later, and what came after it may be said before
    Hold,
    /// nothing is done, and that is no error
    Delay,
}
use Fault::*;

/// So many faults, drawn by a seed. Clones draw from the same.
#[derive(Clone, Debug)]
pub struct Faults(Arc<Mutex<Dice>>);

#[derive(Debug)]
struct Dice {
    seed: u64,
    left: u32,
    met: BTreeMap<(&'static str, Fault), u32>,
}

/// What is called, with faults.
pub struct Faulty<T> {
    inner: T,
    faults: Faults,
    /// answers held back, with the polls that each still waits
    held: Vec<(u64, BlockId)>,
}

// === impl Faults ===

impl Faults {
    pub fn new(seed: u64, most: u32) -> Faults {
        // seeds that lie side by side draw alike at first
        let seed = seed.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
        Faults(Arc::new(Mutex::new(Dice { seed, left: most, met: BTreeMap::new() })))
    }

    pub fn number(&self, below: u64) -> u64 {
        let mut dice = self.0.lock().unwrap();
        dice.seed ^= dice.seed << 13;
        dice.seed ^= dice.seed >> 7;
        dice.seed ^= dice.seed << 17;
        (dice.seed >> 11) % below
    }

    /// One of these, one time in twelve, until none is left.
    pub fn draw(&self, call: &'static str, of: &[Fault]) -> Option<Fault> {
        let fault = *of.get(self.number(12 * of.len() as u64) as usize)?;
        let mut dice = self.0.lock().unwrap();
        dice.left = dice.left.checked_sub(1)?;
        *dice.met.entry((call, fault)).or_default() += 1;
        Some(fault)
    }

    /// One that heals, or ends the task.
    pub fn error(&self, call: &'static str) -> Error {
        match self.number(4) {
            0 => Error::environment("test.fault", call),
            _ => Error::retry("test.fault", call),
        }
    }

    /// How often each was drawn.
    pub fn met(&self) -> BTreeMap<(&'static str, Fault), u32> {
        self.0.lock().unwrap().met.clone()
    }
}

// === impl Faulty ===

impl<T> Faulty<T> {
    pub fn new(inner: T, faults: &Faults) -> Faulty<T> {
        Faulty { inner, faults: faults.clone(), held: vec![] }
    }

    /// Answers whose time has come.
    fn release(&mut self, done: &mut Vec<BlockId>) {
        self.held.iter_mut().for_each(|h| h.0 = h.0.saturating_sub(1));
        done.extend(self.held.extract_if(.., |h| h.0 == 0).map(|h| h.1));
    }
}

impl<S: Sink> Sink for Faulty<S> {
    fn deliver(&mut self, block: &Arc<Block>, from: usize) -> Result<usize, Error> {
        match self.faults.draw("deliver", &[Reject, FailAfter, Delay]) {
            Some(Reject) => Err(self.faults.error("deliver")),
            Some(FailAfter) => self.inner.deliver(block, from).and_then(|_| Err(self.faults.error("deliver"))),
            Some(_) => Ok(from),
            None => self.inner.deliver(block, from),
        }
    }

    fn poll(&mut self, wait: Duration, done: &mut Vec<BlockId>) -> Result<(), Error> {
        self.release(done);
        match self.faults.draw("poll", &[Reject, FailAfter, Hold, Delay]) {
            Some(Reject) => Err(self.faults.error("poll")),
            Some(FailAfter) => self.inner.poll(wait, &mut vec![]).and_then(|()| Err(self.faults.error("poll"))),
            Some(Hold) => {
                let mut held = vec![];
                self.inner.poll(wait, &mut held)?;
                self.held.extend(held.into_iter().map(|id| (1 + self.faults.number(9), id)));
                Ok(())
            }
            Some(Delay) => Ok(()),
            None => self.inner.poll(wait, done),
        }
    }

    fn flush(&mut self, deadline: Instant, done: &mut Vec<BlockId>) -> Result<(), Error> {
        match self.faults.draw("flush", &[Reject, FailAfter]) {
            Some(Reject) => Err(self.faults.error("flush")),
            Some(_) => self.inner.flush(deadline, &mut vec![]).and_then(|()| Err(self.faults.error("flush"))),
            None => {
                self.inner.flush(deadline, done)?;
                done.extend(self.held.drain(..).rev().map(|h| h.1));
                Ok(())
            }
        }
    }
}

impl<S: OffsetStore> OffsetStore for Faulty<S> {
    fn load(&self, partition: &Offset) -> Result<Option<Offset>, Error> {
        match self.faults.draw("load", &[Reject]) {
            Some(_) => Err(self.faults.error("load")),
            None => self.inner.load(partition),
        }
    }

    fn save(&mut self, partition: &Offset, offset: &Offset) -> Result<(), Error> {
        match self.faults.draw("save", &[Reject, FailAfter, Hold]) {
            Some(Reject) => Err(self.faults.error("save")),
            Some(FailAfter) => self.inner.save(partition, offset).and_then(|()| Err(self.faults.error("save"))),
            // the task waits for this answer: it only comes late
            Some(_) => {
                std::thread::sleep(Duration::from_millis(2));
                self.inner.save(partition, offset)
            }
            None => self.inner.save(partition, offset),
        }
    }
}
