//! What a guest may cost, and why so much.

use crate::instance::Stop;
use std::time::Duration;
use wasmtime::{ResourceLimiter, Result};

/// Bounds of one step. A guest that reaches one is replaced, and the rows that made it do so fail.
#[derive(Clone, Debug, PartialEq)]
pub struct Limits {
    /// Bytes of linear memory. 64 MiB: a window is a few MiB, a guest holds it twice; interpreters (JavaScript, Python) start
    /// at 20–40 MiB.
    pub memory: usize,
    /// Entries of all tables. 100,000: only function pointers live there, and the largest known guest has 20,000.
    pub table_elements: usize,
    /// For each call: a batch, a shape, the options. 1 s: a thousand times what a slow guest needs for a batch of 512, and
    /// short enough that the source's connection is not given up by its server. Measured in steps of 10 ms.
    pub time_per_batch: Duration,
    /// Bytes that one call may make the host allocate for what it returns (and logs). 64 MiB: as much as the guest has.
    pub lifted: usize,
    /// Log lines a second, after a burst of ten times as many. 20: enough to read, too few to fill a disk.
    pub log_rate: u32,
    /// Bytes of a log line; what is longer is cut. 1 KiB: a line that people read.
    pub log_line: usize,
    /// Bytes of memory beyond which an instance is begun anew between two batches, for memory of a guest never shrinks. Half of
    /// `memory`: below it every batch still finds as much again. Stateful (`ordered`) transforms are left alone.
    pub watermark: usize,
}

/// Bytes of stack, of every guest: a setting of the engine, and so none of a step. Half a MiB is wasmtime's own measure; threads
/// have two MiB.
pub const STACK: usize = 512 << 10;

/// Epochs are so long.
pub(crate) const TICK: Duration = Duration::from_millis(10);

/// Of [`Limits::memory`] and [`Limits::table_elements`], for one instance.
#[derive(Debug)]
pub(crate) struct Budget {
    memory: usize,
    table_elements: usize,
    /// bytes by now, over all memories
    pub used: usize,
    elements: usize,
    /// what growth was refused last in the call under way: a trap that follows has its reason here
    refused: Option<Stop>,
}

// === impl Limits ===

impl Default for Limits {
    fn default() -> Self {
        Limits {
            memory: 64 << 20,
            table_elements: 100_000,
            time_per_batch: Duration::from_secs(1),
            lifted: 64 << 20,
            log_rate: 20,
            log_line: 1024,
            watermark: 32 << 20,
        }
    }
}

impl Limits {
    /// Another bound on memory, and the watermark at half of it.
    pub fn memory(mut self, bytes: usize) -> Self {
        (self.memory, self.watermark) = (bytes, bytes / 2);
        self
    }
    /// The watermark of an instance that began with so much: one that begins above it has half of what is left.
    pub(crate) fn recycle_at(&self, fresh: usize) -> usize {
        match fresh < self.watermark {
            true => self.watermark,
            false => fresh + self.memory.saturating_sub(fresh) / 2,
        }
    }
}

// === impl Budget ===

impl Budget {
    pub fn new(limits: &Limits) -> Self {
        Budget { memory: limits.memory, table_elements: limits.table_elements, used: 0, elements: 0, refused: None }
    }
    /// A call begins.
    #[inline]
    pub fn begin(&mut self) {
        self.refused = None
    }
    pub fn refused(&self) -> Option<Stop> {
        self.refused.clone()
    }
}

impl ResourceLimiter for Budget {
    fn memory_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> Result<bool> {
        let used = self.used.saturating_sub(current).saturating_add(desired);
        if used > self.memory {
            self.refused = Some(Stop::Memory(self.memory));
            return Ok(false);
        }
        self.used = used;
        Ok(true)
    }

    fn table_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> Result<bool> {
        let elements = self.elements.saturating_sub(current).saturating_add(desired);
        if elements > self.table_elements {
            self.refused = Some(Stop::Table(self.table_elements));
            return Ok(false);
        }
        self.elements = elements;
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guest_that_begins_big_is_not_begun_anew_for_that() {
        let limits = Limits::default().memory(64 << 20);
        assert_eq!(limits.recycle_at(1 << 20), 32 << 20);
        assert_eq!(limits.recycle_at(40 << 20), 52 << 20);
        assert_eq!(limits.recycle_at(64 << 20), 64 << 20);
    }
}
