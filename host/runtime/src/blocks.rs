//! Blocks: what a window becomes, cut to size, in memory that goes round.
//!
//! A block's memory comes back when the sink has let go of it. Without that, every window's megabytes are allocated anew and
//! freed by another thread much later: the allocator then held ten times of what was in use.

use crate::failures::RowFailure;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use weir_api::{Block, BlockId, Largest, Route};
use weir_model::{Batch, Buffer, Name, Out, Record, RowError, RuleName, Writer};

/// What a window became.
#[derive(Default)]
pub struct Blocks {
    pub blocks: Vec<Arc<Block>>,
    /// dead letters; the offset behind the window waits for them as for the records
    pub letters: Vec<Arc<Block>>,
    /// the first row whose failure ends the task; the blocks end before it
    pub failed: Option<RowFailure>,
    /// rows dropped, by rule (invariant 4)
    pub dropped: HashMap<RuleName, u64>,
    /// rows skipped after a failure, by step
    pub skipped: HashMap<Name, u64>,
    /// letters, by step and code
    pub dead_letters: HashMap<(Name, Name), u64>,
    pub rows: u64,
    pub records: u64,
}

/// Fills blocks with records.
pub(crate) struct BlockWriter {
    out: Out,
    routes: Arc<[Arc<Route>]>,
    /// shared by all writers of a chain: the ledger knows a block by its number alone
    next: Arc<AtomicU64>,
    /// a block is cut when it holds so many bytes
    size: usize,
    /// blocks handed out, oldest first: those that only we hold are used again
    lent: VecDeque<Arc<Block>>,
    /// blocks cut since one was let go
    cuts: u32,
    largest: Largest,
    /// for each route the most that a record's key, value and headers' values may take, as of this version of `largest`
    rooms: Vec<u32>,
    version: u32,
}

/// A row without a record; it left no byte behind.
pub(crate) enum Unwritten {
    Row(RowError),
    TooLarge { bytes: u64, most: u32, topic: Name, code: &'static str },
}

/// After so many blocks one of those that nobody uses is let go: what a slow moment of the sink took is given back in the end, and
/// not taken anew for each of its moments.
const CUTS_A_RELEASE: u32 = 64;

/// Routes that one task may have: a record knows its own by 16 bits.
const MOST_ROUTES: usize = 1 << 16;

// === impl BlockWriter ===

impl BlockWriter {
    pub(crate) fn new(size: usize) -> Self {
        let (out, routes, next, lent) = (Out::default(), Arc::new([]), Arc::default(), VecDeque::new());
        let (largest, rooms) = (Largest::default(), vec![]);
        BlockWriter { out, routes, next, size, lent, cuts: 0, largest, rooms, version: 0 }
    }

    /// What the sink takes.
    pub(crate) fn within(&mut self, largest: Largest) {
        self.largest = largest;
        self.measure();
    }

    /// What the sink takes may be known to be less by now.
    pub(crate) fn learn(&mut self) {
        if self.version != self.largest.version() {
            self.measure()
        }
    }

    fn measure(&mut self) {
        self.version = self.largest.version();
        let room = |r: &Arc<Route>| self.largest.bytes(&r.topic).saturating_sub(self.beside_record(r));
        self.rooms = self.routes.iter().map(room).collect();
    }

    /// Bytes that a record of this route takes where it is written, beside its key, value and headers' values.
    fn beside_record(&self, route: &Route) -> u32 {
        let told = self.largest.told();
        route.headers.iter().fold(told.record, |sum, name| sum.saturating_add(told.header + name.len() as u32))
    }

    /// Another writer, for another sink.
    pub(crate) fn beside(&self) -> Self {
        BlockWriter { next: self.next.clone(), ..BlockWriter::new(self.size) }
    }

    /// The number of a route; None: there are too many.
    pub(crate) fn route(&mut self, route: Route) -> Option<u16> {
        let at = self.routes.iter().position(|r| **r == route).unwrap_or(self.routes.len());
        if at == self.routes.len() && at < MOST_ROUTES {
            self.routes = self.routes.iter().cloned().chain([Arc::new(route)]).collect();
            self.measure();
        }
        u16::try_from(at).ok()
    }

    /// Appends a row's record.
    #[inline]
    pub(crate) fn write(
        &mut self,
        writer: &mut Writer,
        batch: &Batch,
        row: u32,
        done: &mut Vec<Arc<Block>>,
    ) -> Result<(), Unwritten> {
        let (from, ends) = (self.out.data.len(), self.out.header_ends.len());
        writer.write(batch, row, &mut self.out).map_err(Unwritten::Row)?;
        let route = self.out.records.last().map_or(0, |r| r.route);
        let room = self.rooms.get(route as usize).copied().unwrap_or(u32::MAX);
        if self.out.data.len() - from > room as usize {
            return Err(self.take_back(route, from, ends));
        }
        if self.out.data.len() >= self.size {
            self.cut(done)
        }
        Ok(())
    }

    /// The record written last is too large.
    #[cold]
    fn take_back(&mut self, route: u16, from: usize, ends: usize) -> Unwritten {
        let bytes = (self.out.data.len() - from) as u64;
        self.out.records.pop();
        self.out.data.truncate(from);
        self.out.header_ends.truncate(ends);
        let Some(route) = self.routes.get(route as usize) else {
            return Unwritten::TooLarge { bytes, most: 0, topic: "?".into(), code: "?" };
        };
        let (bytes, most) = (bytes + u64::from(self.beside_record(route)), self.largest.bytes(&route.topic));
        Unwritten::TooLarge { bytes, most, topic: route.topic.clone(), code: self.largest.told().code }
    }

    /// Where a record's bytes go before it is [`BlockWriter::put`].
    pub(crate) fn out(&mut self) -> &mut Out {
        &mut self.out
    }

    /// Appends a record whose bytes are written.
    pub(crate) fn put(&mut self, record: Record, done: &mut Vec<Arc<Block>>) {
        self.out.records.push(record);
        if self.out.data.len() >= self.size {
            self.cut(done)
        }
    }

    /// Hands over what is written.
    pub(crate) fn cut(&mut self, done: &mut Vec<Arc<Block>>) {
        if self.out.records.is_empty() {
            return;
        }
        let (data, records, header_ends) = self.used();
        let data = std::mem::replace(&mut self.out.data, data).into_vec();
        let records = std::mem::replace(&mut self.out.records, records);
        let header_ends = std::mem::replace(&mut self.out.header_ends, header_ends);
        let id: BlockId = self.next.fetch_add(1, Relaxed);
        let block = Arc::new(Block { id, data, records, header_ends, routes: self.routes.clone() });
        self.lent.push_back(block.clone());
        done.push(block);
    }

    /// The memory of the oldest block, if the sink is done with it.
    fn used(&mut self) -> (Buffer, Vec<weir_model::Record>, Vec<u32>) {
        self.cuts += 1;
        if self.cuts >= CUTS_A_RELEASE {
            self.cuts = 0;
            if self.lent.iter().take(2).filter(|b| Arc::strong_count(b) == 1).count() == 2 {
                self.lent.pop_front();
            }
        }
        while let Some(oldest) = self.lent.pop_front() {
            match Arc::try_unwrap(oldest) {
                // one huge row must not stay for ever
                Ok(block) if block.data.capacity() > 4 * self.size => {}
                Ok(Block { mut data, mut records, mut header_ends, .. }) => {
                    data.clear();
                    records.clear();
                    header_ends.clear();
                    return (data.into(), records, header_ends);
                }
                Err(held) => {
                    self.lent.push_front(held);
                    break;
                }
            }
        }
        let (records, ends) = (self.out.records.len(), self.out.header_ends.len());
        // the last record ends behind the size at which a block is cut
        let room = self.size + self.size / 8;
        (Buffer::with_capacity(room), Vec::with_capacity(records), Vec::with_capacity(ends))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fill(writer: &mut BlockWriter, bytes: usize) -> Arc<Block> {
        writer.out.data.put(&vec![b'x'; bytes]);
        writer.out.records.push(Default::default());
        let mut done = vec![];
        writer.cut(&mut done);
        done.pop().unwrap()
    }

    #[test]
    fn memory_comes_back_when_the_sink_lets_go() {
        let mut writer = BlockWriter::new(1024);
        let first = fill(&mut writer, 1024);
        let place = first.data.as_ptr();
        let second = fill(&mut writer, 1024);
        drop(first);
        // the memory of the first is taken up by the cut of the third, and filled by the fourth
        let third = fill(&mut writer, 1024);
        assert!(![second.data.as_ptr(), third.data.as_ptr()].contains(&place));
        assert_eq!(fill(&mut writer, 1024).data.as_ptr(), place);
        assert_eq!(second.data.len(), 1024, "what the sink holds stays as it is");
    }

    #[test]
    fn what_a_slow_sink_took_is_given_back() {
        let mut writer = BlockWriter::new(1024);
        let held: Vec<_> = (0..50).map(|_| fill(&mut writer, 1024)).collect();
        assert_eq!(writer.lent.len(), 50);
        drop(held);
        (0..CUTS_A_RELEASE * 60).for_each(|_| drop(fill(&mut writer, 1024)));
        assert!(writer.lent.len() <= 2, "{} blocks", writer.lent.len());
    }

    #[test]
    fn writers_of_one_chain_share_their_numbers() {
        let mut records = BlockWriter::new(1024);
        let mut letters = records.beside();
        let ids = [fill(&mut records, 1).id, fill(&mut letters, 1).id, fill(&mut records, 1).id];
        assert_eq!(ids, [0, 1, 2]);
    }

    #[test]
    fn a_huge_block_is_not_kept() {
        let mut writer = BlockWriter::new(1024);
        drop(fill(&mut writer, 1 << 20));
        drop(fill(&mut writer, 10));
        assert!(writer.lent.iter().all(|b| b.data.capacity() < 1 << 20));
    }

    #[test]
    fn the_65537th_route_is_refused() {
        let mut writer = BlockWriter::new(1024);
        let route = |n: usize| Route { topic: n.to_string().into(), headers: Arc::new([]) };
        writer.routes = (0..MOST_ROUTES).map(|n| Arc::new(route(n))).collect();
        assert_eq!(writer.route(route(65_535)), Some(65_535));
        assert_eq!(writer.route(route(65_536)), None);
    }
}
