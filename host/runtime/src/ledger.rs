//! What is safe: positions and blocks in, "store up to here" out. Pure, so that its promise can be tested with any order of
//! acknowledgements.
//!
//! Invariant 1: an offset is stored only when every record up to it is durable in the sink.

use std::collections::VecDeque;
use weir_api::{BlockId, Position};

/// Blocks under way and the positions behind them, in the order in which they were handed over.
#[derive(Debug, Default)]
pub struct Ledger {
    entries: VecDeque<Entry>,
    safe: Option<Position>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Entry {
    /// not yet durable
    Open(BlockId),
    Durable(BlockId),
    /// when everything before it is durable, a restart may go on from here
    Mark(Position),
}

// === impl Ledger ===

impl Ledger {
    /// A block is handed to the sink. Ids grow.
    pub fn block(&mut self, id: BlockId) {
        self.entries.push_back(Entry::Open(id));
    }

    /// Everything handed over so far ends at this position.
    pub fn mark(&mut self, position: Position) {
        match self.entries.back_mut() {
            Some(Entry::Mark(last)) => *last = position,
            _ => self.entries.push_back(Entry::Mark(position)),
        }
        self.settle();
    }

    /// The sink says that a block is durable; in any order, and a block it never got is nothing to us.
    pub fn done(&mut self, id: BlockId) {
        let at = self.entries.partition_point(|e| match e {
            Entry::Open(other) | Entry::Durable(other) => *other < id,
            Entry::Mark(_) => true,
        });
        // marks between blocks confuse the search by at most their run: look back from where it ended
        let at = (0..=at.min(self.entries.len().saturating_sub(1))).rev();
        for i in at.chain(0..self.entries.len()) {
            if let Some(e) = self.entries.get_mut(i)
                && *e == Entry::Open(id)
            {
                *e = Entry::Durable(id);
                break;
            }
        }
        self.settle();
    }

    fn settle(&mut self) {
        loop {
            match self.entries.front() {
                Some(Entry::Durable(_)) => {}
                Some(Entry::Mark(position)) => self.safe = Some(*position),
                Some(Entry::Open(_)) | None => return,
            }
            self.entries.pop_front();
        }
    }

    /// The last position that may be stored, if it moved since this was asked last.
    pub fn take_safe(&mut self) -> Option<Position> {
        self.safe.take()
    }

    /// Whether [`Ledger::take_safe`] would say something.
    pub fn has_safe(&self) -> bool {
        self.safe.is_some()
    }

    /// Blocks that are not durable.
    pub fn open(&self) -> usize {
        self.entries.iter().filter(|e| matches!(e, Entry::Open(_))).count()
    }

    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(n: u64) -> Position {
        Position([n, 0, 0, 0])
    }

    #[test]
    fn a_position_waits_for_every_block_before_it() {
        let mut l = Ledger::default();
        l.block(0);
        l.block(1);
        l.mark(at(10));
        l.done(1);
        assert_eq!(l.take_safe(), None);
        l.done(0);
        assert_eq!(l.take_safe(), Some(at(10)));
        assert_eq!(l.take_safe(), None);
        l.mark(at(11));
        assert_eq!(l.take_safe(), Some(at(11)), "nothing under way: safe at once");
    }

    proptest! {
        /// Whatever the order of acknowledgements: never a position with an open block before it, and at the end the last one.
        #[test]
        fn never_ahead_of_what_is_durable(
            script in proptest::collection::vec(0u8..3, 1..60),
            order in proptest::collection::vec(any::<u16>(), 60),
        ) {
            let mut ledger = Ledger::default();
            // (blocks before it, position)
            let (mut marks, mut handed, mut acked) = (vec![], 0u64, vec![]);
            let mut open: Vec<u64> = vec![];
            let mut stored = 0;
            let mut check = |ledger: &mut Ledger, marks: &[(u64, u64)], acked: &[u64]| {
                if let Some(p) = ledger.take_safe() {
                    let (blocks, _) = *marks.iter().rev().find(|m| m.1 == p.0[0]).expect("a position that was marked");
                    assert!((0..blocks).all(|b| acked.contains(&b)), "an open block before a safe position");
                    assert!(p.0[0] > stored, "positions grow");
                    stored = p.0[0];
                }
            };
            for (i, step) in script.iter().enumerate() {
                match step {
                    0 => { ledger.block(handed); open.push(handed); handed += 1 }
                    1 => { marks.push((handed, i as u64 + 1)); ledger.mark(at(i as u64 + 1)) }
                    _ if !open.is_empty() => {
                        let id = open.remove(order[i] as usize % open.len());
                        acked.push(id);
                        ledger.done(id);
                    }
                    _ => {}
                }
                check(&mut ledger, &marks, &acked);
            }
            while let Some(id) = open.pop() { acked.push(id); ledger.done(id); check(&mut ledger, &marks, &acked) }
            prop_assert_eq!(stored, marks.last().map_or(0, |m| m.1));
            prop_assert_eq!(ledger.open(), 0);
        }
    }
}
