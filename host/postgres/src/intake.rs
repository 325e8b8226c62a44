//! Bytes of the stream into windows: those of transactions in progress by way of what holds them.

use crate::frame::header;
use crate::in_progress::{Bounds, InProgress, Next, Replay, spill};
use crate::pgoutput::{Decoder, Describe};
use bytes::Bytes;
use weir_api::{Error, Limit};
use weir_model::Window;

pub struct Intake {
    pub decoder: Decoder,
    /// bytes that came in and are not yet in a window
    pub buffer: Vec<u8>,
    /// None: transactions come when they are committed (protocol version 1)
    in_progress: Option<InProgress>,
    /// a transaction that came before its commit, on its way into windows
    replay: Option<Box<Replay>>,
    /// the last window's buffer, when nobody held it any more
    spare: Vec<u8>,
}

/// Room for what a read brings.
const BUFFER: usize = 1 << 20;
/// A buffer that one row has made bigger is not kept.
const BUFFER_KEPT: usize = 4 << 20;

// === impl Intake ===

impl Intake {
    pub fn new(decoder: Decoder, bounds: Option<Bounds>) -> Intake {
        let in_progress = bounds.map(InProgress::new);
        Intake { decoder, buffer: Vec::with_capacity(BUFFER), in_progress, replay: None, spare: vec![] }
    }

    /// What came before its commit goes into windows before anything else is read.
    pub fn is_replaying(&self) -> bool {
        self.replay.is_some()
    }

    /// Whether there is something to do without reading more.
    pub fn has_frame(&self) -> Result<bool, Error> {
        Ok(header(&self.buffer)?.is_some_and(|(_, length)| length <= self.buffer.len()))
    }

    /// Fills an empty window from what was read; it may stay empty.
    pub fn fill(&mut self, window: &mut Window, limit: Limit, now_ns: i64, describe: Describe) -> Result<(), Error> {
        match self.replay.is_some() || self.hold(window, limit, now_ns, describe)? {
            true => self.decode(window, limit, now_ns, describe),
            false => Ok(()),
        }
    }

    /// Takes what is about transactions in progress out of the buffer; true: something is to be decoded.
    fn hold(&mut self, window: &mut Window, limit: Limit, now_ns: i64, describe: Describe) -> Result<bool, Error> {
        let Intake { decoder, buffer, in_progress: Some(in_progress), replay, .. } = self else {
            return Ok(true);
        };
        let mut at = 0;
        loop {
            let (taken, next) = in_progress.take(buffer.get(at..).unwrap_or_default())?;
            at += taken;
            match next {
                Next::Aside(length) => {
                    let aside = buffer.get(at..at + length).unwrap_or_default();
                    decoder.decode(aside, window, limit, now_ns, describe)?;
                    at += length;
                    continue;
                }
                Next::Commit(committed) => {
                    decoder.begin(&committed.committed);
                    *replay = Some(committed);
                }
                Next::More | Next::Other => {}
            }
            break;
        }
        buffer.drain(..at);
        Ok(!buffer.is_empty() || replay.is_some())
    }

    /// Frames of the buffer, or of the transaction being replayed, into the window.
    fn decode(&mut self, window: &mut Window, limit: Limit, now_ns: i64, describe: Describe) -> Result<(), Error> {
        let Intake { decoder, buffer, spare, replay, .. } = self;
        let (buffer, most) = match replay {
            Some(replay) => {
                replay.fill(limit.bytes)?;
                let first = header(&replay.buffer)?.map_or(0, |(_, length)| length);
                (&mut replay.buffer, limit.bytes.max(first))
            }
            None => (buffer, usize::MAX),
        };
        let wire = buffer.get(..most.min(buffer.len())).unwrap_or_default();
        let taken = decoder.decode(wire, window, limit, now_ns, describe)?;
        if window.is_empty() {
            window.batches.clear();
            buffer.drain(..taken);
        } else {
            let mut next = std::mem::take(spare);
            next.reserve(BUFFER);
            next.extend_from_slice(buffer.get(taken..).unwrap_or_default());
            let mut wire = std::mem::replace(buffer, next);
            wire.truncate(taken);
            decoder.seal(window, Bytes::from(wire));
        }
        if buffer.is_empty() && buffer.capacity() > BUFFER_KEPT {
            *buffer = Vec::new();
        }
        if let Some(done) = replay.take_if(|r| r.is_done()) {
            decoder.end(&done.committed);
        } else if replay.is_some() && taken == 0 && !decoder.has_reached {
            return Err(spill::torn());
        }
        Ok(())
    }

    /// The buffer of the last window, if nobody holds it any more, and its batches.
    pub fn take_back(&mut self, window: &mut Window) {
        let mut wire = window.batches.first_mut().map(|b| std::mem::take(&mut b.wire));
        window.batches.iter_mut().for_each(|b| b.wire = Bytes::new());
        if let Some(Ok(old)) = wire.take().map(Bytes::try_into_mut) {
            self.spare = Vec::from(old.freeze());
            self.spare.clear();
            if self.spare.capacity() > BUFFER_KEPT {
                self.spare = Vec::new();
            }
        }
        self.decoder.recycle(&mut window.batches);
    }
}

#[cfg(test)]
#[path = "intake_tests.rs"]
mod tests;
