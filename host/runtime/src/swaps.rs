//! New code for the steps of a task that runs. Whoever has it ready offers it; the task's own thread takes it between two windows,
//! so that rows before were made by the old code, rows behind by the new one, and none is lost or comes twice.

use crate::{Chain, Counters};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use weir_api::{Cure, Error, Transform};
use weir_model::Shape;

/// A place of the chain, and what is to run there.
pub type Offered = (usize, Box<dyn Transform>);

/// A shape that a step is bound to.
#[derive(Clone, PartialEq, Debug)]
pub struct InUse {
    pub shape: Arc<Shape>,
    /// the step that runs refuses it: every row of it fails
    pub is_refused: bool,
}

/// Where a task hears of new code. Clones are one place.
#[derive(Clone, Default)]
pub struct Swaps(Arc<Shared>);

#[derive(Default)]
struct Shared {
    /// there is a request: all that the task looks at for each window
    asked: AtomicBool,
    inbox: Mutex<Inbox>,
}

#[derive(Default)]
struct Inbox {
    request: Option<Request>,
    /// the task has ended
    closed: bool,
}

enum Request {
    Shapes(usize, Sender<Vec<InUse>>),
    Swap(Vec<Offered>, Sender<Swapped>),
}

/// How it ended, and what does not run (any more): it is let go where nobody waits.
type Swapped = (Result<(), Error>, Vec<Offered>);

// === impl Swaps ===

impl Swaps {
    /// What a step is bound to now. Err: as of [`Swaps::offer`].
    pub fn shapes(&self, step: usize, wait: Duration) -> Result<Vec<InUse>, Error> {
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
            // taken back, unless the task has it in hand
            Err(RecvTimeoutError::Timeout) => match self.inbox().request.take() {
                Some(_) => Err(busy()),
                None => answer.recv().map_err(|_| ended()),
            },
        }
    }

    /// The task's side: does what is asked for.
    pub(crate) fn serve(&self, chain: &mut Chain, counters: &Counters) {
        if !self.0.asked.load(Relaxed) {
            return;
        }
        let request = {
            let mut inbox = self.inbox();
            self.0.asked.store(false, Relaxed);
            inbox.request.take()
        };
        // an answer that cannot be sent is one that nobody waits for any more
        match request {
            None => {}
            Some(Request::Shapes(step, answer)) => {
                let _ = answer.send(chain.shapes(step));
            }
            Some(Request::Swap(mut steps, answer)) => {
                let result = chain.swap(&mut steps);
                counters.modules(chain.modules());
                let _ = answer.send((result, steps));
            }
        }
    }

    /// Nobody serves any more.
    pub(crate) fn close(&self) {
        let mut inbox = self.inbox();
        (inbox.closed, inbox.request) = (true, None)
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
