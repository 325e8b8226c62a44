//! New code for the steps of a task that runs. Whoever has it ready offers it; the task's own thread takes it between two windows,
//! so that rows before were made by the old code, rows behind by the new one, and none is lost or comes twice.

use crate::{Chain, Counters, Prepared};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use weir_api::{Cure, Error, Met, Transform};

/// A place of the chain, and what is to run there.
pub type Offered = (usize, Box<dyn Transform>);

/// Where a task hears of new code. Clones are one place.
#[derive(Clone, Default)]
pub struct Swaps(Arc<Shared>);

#[derive(Default)]
struct Shared {
    /// there is a request: all that the task looks at for each window
    asked: AtomicBool,
    inbox: Mutex<Inbox>,
    /// what the task has begun
    work: Mutex<Option<Work>>,
}

#[derive(Default)]
struct Inbox {
    request: Option<Request>,
    /// the task has ended
    closed: bool,
}

enum Request {
    Shapes(usize, Sender<Vec<Met>>),
    Swap(Vec<Offered>, Sender<Swapped>),
}

/// New code that is not bound to every stream yet.
struct Work {
    steps: Vec<Offered>,
    prepared: Prepared,
    answer: Sender<Swapped>,
}

/// A window waits so long for new code that is being bound, and goes through the old one meanwhile.
const SLICE: Duration = Duration::from_millis(5);

/// How it ended, and what does not run (any more): it is let go where nobody waits.
type Swapped = (Result<(), Error>, Vec<Offered>);

// === impl Swaps ===

impl Swaps {
    /// What a step has met by now. Err: as of [`Swaps::offer`].
    pub fn shapes(&self, step: usize, wait: Duration) -> Result<Vec<Met>, Error> {
        self.ask(|answer| Request::Shapes(step, answer), wait)
    }

    /// Puts new code in the place of what runs: all of it, or nothing where an error says why. Returns when rows go through it.
    ///
    /// Err: `reload.busy` (the task did not come to it in time, and will not any more), `reload.ended`, or what is wrong with
    /// the new code ([`Chain::swap`]).
    pub fn offer(&self, steps: Vec<Offered>, wait: Duration) -> Result<(), Error> {
        self.ask(|answer| Request::Swap(steps, answer), wait)?.0
    }

    fn ask<T>(&self, request: impl FnOnce(Sender<T>) -> Request, wait: Duration) -> Result<T, Error> {
        let (send, answer) = channel();
        let mut inbox = self.inbox();
        if inbox.closed {
            return Err(ended());
        }
        if inbox.request.is_some() {
            return Err(busy());
        }
        inbox.request = Some(request(send));
        self.0.asked.store(true, Relaxed);
        drop(inbox);
        match answer.recv_timeout(wait) {
            Ok(answer) => Ok(answer),
            Err(RecvTimeoutError::Disconnected) => Err(ended()),
            Err(RecvTimeoutError::Timeout) => {
                // taken back, unless the task has it in hand; the task needs the inbox to answer
                let is_back = self.inbox().request.take().is_some();
                if is_back { Err(busy()) } else { answer.recv().map_err(|_| ended()) }
            }
        }
    }

    /// The task's side: does what is asked for, or a slice of it.
    pub(crate) fn serve(&self, chain: &mut Chain, counters: &Counters) {
        if !self.0.asked.load(Relaxed) {
            return;
        }
        let mut under_way = self.0.work.lock().unwrap_or_else(PoisonError::into_inner);
        let begun = under_way.take().or_else(|| self.begin(chain));
        if let Some(mut work) = begun {
            match chain.prepare(&mut work.steps, &mut work.prepared, SLICE) {
                Ok(false) => return *under_way = Some(work),
                result => {
                    counters.modules(chain.modules());
                    // nobody waits any more for an answer that cannot be sent
                    let _ = work.answer.send((result.map(|_| ()), work.steps));
                }
            }
        }
        let inbox = self.inbox();
        self.0.asked.store(inbox.request.is_some(), Relaxed)
    }

    fn begin(&self, chain: &Chain) -> Option<Work> {
        let request = self.inbox().request.take()?;
        match request {
            Request::Shapes(step, answer) => {
                let _ = answer.send(chain.shapes(step));
                None
            }
            Request::Swap(steps, answer) => Some(Work { steps, prepared: Prepared::default(), answer }),
        }
    }

    /// Nobody serves any more.
    pub(crate) fn close(&self) {
        let mut inbox = self.inbox();
        (inbox.closed, inbox.request) = (true, None);
        *self.0.work.lock().unwrap_or_else(PoisonError::into_inner) = None
    }

    fn inbox(&self) -> MutexGuard<'_, Inbox> {
        // nothing is done under the lock that could leave half of something
        self.0.inbox.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Swaps {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Swaps")
    }
}

fn busy() -> Error {
    Error::retry(
        "reload.busy",
        "the pipeline did not come to it: it is starting, or at work on one window all the time",
    )
    .help("try again; what runs goes on")
}

fn ended() -> Error {
    Error::new("reload.ended", Cure::None, "the pipeline has ended")
}
