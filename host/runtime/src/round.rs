//! What a task holds while nothing goes wrong: its sinks, and what is under way to them.

use crate::Ledger;
use std::time::{Duration, Instant};
use weir_api::{BlockId, Cure, Error, Sink};

/// What lives from a start to the next error.
pub(crate) struct Round {
    sink: Box<dyn Sink>,
    letters: Option<Box<dyn Sink>>,
    pub ledger: Ledger,
    /// blocks that became durable, and that the ledger does not know of yet
    pub done: Vec<BlockId>,
    pub stored_at: Instant,
    pub watched_at: Instant,
    /// a block became durable, or an offset was stored
    pub moved: bool,
    /// rows of the rule `in-snapshot` that are counted
    pub in_snapshot: u64,
}

/// Which sink a block is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Way {
    Record,
    Letter,
}

// === impl Round ===

impl Round {
    pub fn new(sink: Box<dyn Sink>, letters: Option<Box<dyn Sink>>) -> Round {
        let now = Instant::now();
        let (ledger, done) = (Ledger::default(), vec![]);
        Round { sink, letters, ledger, done, stored_at: now, watched_at: now, moved: false, in_snapshot: 0 }
    }

    pub fn sink(&mut self, way: Way) -> Result<&mut dyn Sink, Error> {
        match (way, &mut self.letters) {
            (Way::Record, _) => Ok(self.sink.as_mut()),
            (Way::Letter, Some(letters)) => Ok(letters.as_mut()),
            (Way::Letter, None) => {
                Err(Error::new("task.no-dead-letters", Cure::None, "dead letters have no place to go"))
            }
        }
    }

    /// What became durable in either sink, for the ledger asks about both alike; `wait` is for the one.
    pub fn poll(&mut self, way: Way, wait: Duration) -> Result<(), Error> {
        let (records, letters) = match way {
            Way::Record => (wait, Duration::ZERO),
            Way::Letter => (Duration::ZERO, wait),
        };
        self.sink.poll(records, &mut self.done)?;
        match &mut self.letters {
            Some(sink) => sink.poll(letters, &mut self.done),
            None => Ok(()),
        }
    }

    pub fn flush(&mut self, deadline: Instant) -> Result<(), Error> {
        if let Some(letters) = &mut self.letters {
            letters.flush(deadline, &mut self.done)?
        }
        self.sink.flush(deadline, &mut self.done)
    }
}
