//! One transaction in progress.

use super::BLOCK;
use super::spill::Spill;
use std::collections::{HashSet, VecDeque};
use std::path::PathBuf;
use weir_api::Error;

/// Its frames: those of the file came before those in memory.
#[derive(Default)]
pub struct Held {
    spill: Option<Spill>,
    blocks: VecDeque<Vec<u8>>,
    /// of memory
    bytes: usize,
    /// subtransactions whose messages are left out
    pub aborted: HashSet<u32>,
}

// === impl Held ===

impl Held {
    /// How much memory it takes.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whole frames.
    pub fn push(&mut self, frames: &[u8]) {
        let is_first = self.blocks.is_empty();
        match self.blocks.back_mut().filter(|b| b.len() + frames.len() <= BLOCK) {
            Some(block) => {
                let before = block.capacity();
                if before - block.len() < frames.len() {
                    block.reserve_exact(BLOCK - block.len());
                }
                block.extend_from_slice(frames);
                self.bytes += block.capacity() - before;
            }
            None => {
                // a small transaction takes no whole block
                let mut block = Vec::with_capacity(if is_first { frames.len() } else { frames.len().max(BLOCK) });
                block.extend_from_slice(frames);
                self.bytes += block.capacity();
                self.blocks.push_back(block);
            }
        }
    }

    /// Moves what is in memory to the file, which is made at `path` when it is not there yet.
    pub fn spill(&mut self, path: impl FnOnce() -> PathBuf) -> Result<(), Error> {
        let spill = match &mut self.spill {
            Some(spill) => spill,
            None => self.spill.insert(Spill::create(path())?),
        };
        for block in self.blocks.drain(..) {
            spill.append(&block)?;
        }
        self.bytes = 0;
        Ok(())
    }

    /// Gives the next frames out; false: there are none.
    pub fn next(&mut self, into: &mut Vec<u8>) -> Result<bool, Error> {
        if let Some(spill) = &mut self.spill
            && spill.next(into)?
        {
            return Ok(true);
        }
        let Some(block) = self.blocks.pop_front() else { return Ok(false) };
        self.bytes -= block.capacity();
        into.extend_from_slice(&block);
        Ok(true)
    }
}
