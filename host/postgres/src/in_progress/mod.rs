//! Transactions that the server sends before they are committed (protocol version 2): held until their fate is known.
//!
//! Invariant 9: only committed rows leave, in commit order. What comes between Stream Start and Stream Stop is held as the bytes
//! it came in, by its top-level transaction, in memory up to a bound, then in a file. Stream Commit makes a [`Replay`] of it, which
//! goes through the decoder as if it had come then; Stream Abort forgets it, or has a subtransaction's messages left out.

mod held;
pub mod spill;

use crate::frame::{broken, header};
use crate::pgoutput::Committed;
use held::Held;
use std::collections::HashMap;
use weir_api::Error;

/// How transactions are held.
#[derive(Clone, Debug)]
pub struct Bounds {
    /// bytes of all of them together that stay in memory
    pub memory: usize,
    pub place: spill::Place,
}

/// Transactions whose fate is not known.
pub struct InProgress {
    bounds: Bounds,
    transactions: HashMap<u32, Held>,
    /// whose messages are coming: between Stream Start and Stream Stop
    open: Option<u32>,
    /// of memory
    bytes: usize,
}

/// What follows the frames that were taken.
pub enum Next {
    /// the rest of a frame has to come
    More,
    /// a frame that belongs to no transaction in progress
    Other,
    /// a frame of so many bytes that belongs to none, between the messages of one
    Aside(usize),
    Commit(Box<Replay>),
}

/// A committed transaction, given out as the frames it came in.
pub struct Replay {
    held: Held,
    pub committed: Committed,
    /// frames that are not yet in a window
    pub buffer: Vec<u8>,
    /// all frames are in the buffer, or in windows
    pub is_drained: bool,
}

/// Frames are held in blocks of about this size.
const BLOCK: usize = 256 << 10;
/// Where the message begins in a frame of XLogData: behind tag, length, `w` and three numbers.
const MESSAGE: usize = 5 + 1 + 24;

// === impl InProgress ===

impl InProgress {
    pub fn new(bounds: Bounds) -> InProgress {
        InProgress { bounds, transactions: HashMap::new(), open: None, bytes: 0 }
    }

    /// Takes frames from the front of `wire` as long as they are about transactions in progress; says how many bytes.
    pub fn take(&mut self, wire: &[u8]) -> Result<(usize, Next), Error> {
        // frames from..at are whole and not yet held
        let (mut from, mut at) = (0, 0);
        let next = loop {
            let rest = wire.get(at..).unwrap_or_default();
            let Some((tag, length)) = header(rest)? else { break Next::More };
            let Some(frame) = rest.get(..length) else { break Next::More };
            let is_data = tag == b'd' && frame.get(5) == Some(&b'w');
            let message = frame.get(MESSAGE..).filter(|_| is_data).unwrap_or_default();
            let kind = message.first().copied();
            match (self.open, kind) {
                (None, Some(b'S')) => self.begin(message)?,
                (None, Some(b'A')) => self.abort(message)?,
                (None, Some(b'c')) => {
                    at += length;
                    break Next::Commit(Box::new(self.commit(message)?));
                }
                (None, Some(b'E')) => return Err(broken("a stream's end outside of one")),
                (None, _) => break Next::Other,
                (Some(_), Some(b'E')) => {
                    self.hold(wire.get(from..at))?;
                    self.open = None;
                }
                (Some(_), Some(b'S' | b'A' | b'c' | b'B' | b'C')) => {
                    return Err(broken("a transaction's end inside of a stream"));
                }
                (Some(_), Some(_)) => {
                    at += length;
                    if at - from >= BLOCK {
                        self.hold(wire.get(from..at))?;
                        from = at;
                    }
                    continue;
                }
                (Some(_), None) => {
                    self.hold(wire.get(from..at))?;
                    return Ok((at, Next::Aside(length)));
                }
            }
            at += length;
            from = at;
        };
        if self.open.is_some() {
            self.hold(wire.get(from..at))?;
        }
        Ok((at, next))
    }

    fn begin(&mut self, message: &[u8]) -> Result<(), Error> {
        let (Some(id), Some(first)) = (number(message, 1), message.get(5)) else { return Err(short()) };
        match *first {
            1 => self.forget(id),
            _ if self.transactions.contains_key(&id) => {}
            _ => return Err(broken("the rest of a transaction that never began")),
        }
        self.transactions.entry(id).or_default();
        self.open = Some(id);
        Ok(())
    }

    /// Invariant 9: an aborted transaction or subtransaction leaves nothing.
    fn abort(&mut self, message: &[u8]) -> Result<(), Error> {
        let (Some(id), Some(sub)) = (number(message, 1), number(message, 5)) else { return Err(short()) };
        if id == sub {
            self.forget(id);
        } else if let Some(held) = self.transactions.get_mut(&id) {
            held.aborted.insert(sub);
        }
        Ok(())
    }

    fn commit(&mut self, message: &[u8]) -> Result<Replay, Error> {
        let long = |at| Some(u64::from(number(message, at)?) << 32 | u64::from(number(message, at + 4)?));
        // S, transaction, flags, then three long numbers
        let fields = (number(message, 1), long(6), long(14), long(22));
        let (Some(id), Some(commit), Some(end), Some(time)) = fields else { return Err(short()) };
        let Some(mut held) = self.transactions.remove(&id) else {
            return Err(broken("the commit of a transaction that never began"));
        };
        self.bytes -= held.bytes();
        let aborted = std::mem::take(&mut held.aborted);
        let committed = Committed { id, commit, end, time, aborted };
        Ok(Replay { held, committed, buffer: vec![], is_drained: false })
    }

    fn forget(&mut self, id: u32) {
        if let Some(held) = self.transactions.remove(&id) {
            self.bytes -= held.bytes();
        }
    }

    fn hold(&mut self, frames: Option<&[u8]>) -> Result<(), Error> {
        let frames = frames.unwrap_or_default();
        let Some(held) = self.open.and_then(|id| self.transactions.get_mut(&id)) else { return Ok(()) };
        if frames.is_empty() {
            return Ok(());
        }
        self.bytes -= held.bytes();
        held.push(frames);
        self.bytes += held.bytes();
        while self.bytes > self.bounds.memory {
            let Some((id, held)) = self.transactions.iter_mut().max_by_key(|(_, held)| held.bytes()) else { break };
            let before = held.bytes();
            held.spill(|| self.bounds.place.path(*id))?;
            self.bytes -= before - held.bytes();
        }
        Ok(())
    }
}

// === impl Replay ===

impl Replay {
    /// Brings frames into the buffer until it has so many bytes, or all are there.
    pub fn fill(&mut self, bytes: usize) -> Result<(), Error> {
        while !self.is_drained && self.buffer.len() < bytes {
            self.is_drained = !self.held.next(&mut self.buffer)?;
        }
        Ok(())
    }

    pub fn is_done(&self) -> bool {
        self.is_drained && self.buffer.is_empty()
    }
}

fn number(message: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(*message.get(at..)?.first_chunk()?))
}

fn short() -> Error {
    broken("a message of a transaction in progress that is too short")
}
