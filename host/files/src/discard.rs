//! A sink that takes everything and keeps nothing: for dry runs and for measuring what comes before it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use weir_api::{Block, BlockId, ConfigDef, Error, Settings, Sink};

pub static KEYS: ConfigDef = ConfigDef { keys: &[], prefixes: &[] };

#[derive(Default)]
pub struct Discard {
    counts: Arc<Discarded>,
    done: Vec<BlockId>,
}

/// What was thrown away so far.
#[derive(Debug, Default)]
pub struct Discarded {
    pub blocks: AtomicU64,
    pub records: AtomicU64,
    /// of keys, values and header values
    pub bytes: AtomicU64,
}

// === impl Discard ===

impl Discard {
    pub fn open(_settings: &Settings) -> Result<Self, Error> {
        Ok(Self::default())
    }
    /// Counts that go on while the task owns the sink.
    pub fn counts(&self) -> Arc<Discarded> {
        self.counts.clone()
    }
}

impl Sink for Discard {
    fn deliver(&mut self, block: &Arc<Block>, from: usize) -> Result<usize, Error> {
        let records = block.records.len();
        self.counts.records.fetch_add(records.saturating_sub(from) as u64, Ordering::Relaxed);
        self.counts.bytes.fetch_add(if from == 0 { block.data.len() as u64 } else { 0 }, Ordering::Relaxed);
        self.counts.blocks.fetch_add(1, Ordering::Relaxed);
        self.done.push(block.id);
        Ok(records)
    }
    fn poll(&mut self, _wait: Duration, done: &mut Vec<BlockId>) -> Result<(), Error> {
        done.append(&mut self.done);
        Ok(())
    }
    fn flush(&mut self, _deadline: Instant, done: &mut Vec<BlockId>) -> Result<(), Error> {
        done.append(&mut self.done);
        Ok(())
    }
}
