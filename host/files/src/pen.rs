//! The thread that writes lines: the task thread fills a backlog and never waits, the writer takes all of it at once and makes
//! it durable (one sync for everything that came meanwhile), and says which blocks are safe (invariant 1).

use crate::line::Lines;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use weir_api::{Block, BlockId, Cure, Error, Record};

/// Bytes of lines that may wait for the writer; more are not taken.
pub const BACKLOG_BYTES: usize = 4 << 20;

/// Where lines go.
pub trait Paper: Send + 'static {
    /// Writes whole lines, and returns when they are as safe as this place can make them.
    fn put(&mut self, lines: &[u8]) -> Result<(), Error>;
}

/// The task's end of a writer thread.
pub struct Pen {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
    /// lines of one call, before they join the backlog
    staged: Vec<u8>,
    /// false: the thread may hang in a write for ever, and is left behind
    join: bool,
}

struct Shared {
    state: Mutex<State>,
    /// there is something to write, or the end
    work: Condvar,
    /// something was written, or failed
    settled: Condvar,
}

#[derive(Default)]
struct State {
    backlog: Vec<u8>,
    /// blocks whose last line is in the backlog
    blocks: Vec<BlockId>,
    done: Vec<BlockId>,
    writing: bool,
    closed: bool,
    failure: Option<Failure>,
}

/// An error that every later call repeats.
struct Failure {
    code: &'static str,
    cure: Cure,
    message: String,
    help: Option<String>,
}

// === impl Pen ===

impl Pen {
    /// Starts the writer. `join`: dropping the pen waits for a write under way, so that nobody else writes beside it.
    pub fn start(name: &str, paper: impl Paper, join: bool) -> Result<Self, Error> {
        let shared = Arc::new(Shared { state: Mutex::default(), work: Condvar::new(), settled: Condvar::new() });
        let theirs = shared.clone();
        let thread = std::thread::Builder::new()
            .name(format!("weir-{name}"))
            .spawn(move || theirs.write(paper))
            .map_err(|e| {
                Error::retry("sink.thread", format!("the thread that writes cannot be started: {e}"))
                    .help(Error::MORE_THREADS)
            })?;
        Ok(Pen { shared, thread: Some(thread), staged: Vec::new(), join })
    }

    /// See [`weir_api::Sink::deliver`]; `render` appends one line.
    pub fn deliver(
        &mut self,
        block: &Block,
        from: usize,
        render: impl Fn(&Block, &Record, &mut Vec<u8>),
    ) -> Result<usize, Error> {
        let room = {
            let mut state = self.shared.lock();
            state.check()?;
            if block.records.is_empty() {
                state.done.push(block.id);
                return Ok(0);
            }
            BACKLOG_BYTES.saturating_sub(state.backlog.len())
        };
        self.staged.clear();
        let mut taken = from.min(block.records.len());
        for record in block.records.get(from..).unwrap_or_default() {
            if self.staged.len() >= room {
                break;
            }
            render(block, record, &mut self.staged);
            taken += 1;
        }
        if taken > from {
            let mut state = self.shared.lock();
            if state.backlog.is_empty() {
                std::mem::swap(&mut state.backlog, &mut self.staged);
            } else {
                state.backlog.extend_from_slice(&self.staged);
            }
            if taken == block.records.len() {
                state.blocks.push(block.id);
            }
            drop(state);
            self.shared.work.notify_one();
        }
        Ok(taken)
    }

    /// See [`weir_api::Sink::poll`].
    pub fn poll(&mut self, wait: Duration, done: &mut Vec<BlockId>) -> Result<(), Error> {
        let state = self.shared.lock();
        let mut state = self
            .shared
            .settled
            .wait_timeout_while(state, wait, |s| s.done.is_empty() && s.failure.is_none() && !s.is_idle())
            .map_or_else(|poisoned| poisoned.into_inner().0, |(state, _)| state);
        // What became safe before a failure is still told: the failure comes with the next call.
        if state.done.is_empty() {
            return state.check();
        }
        done.append(&mut state.done);
        Ok(())
    }

    /// See [`weir_api::Sink::flush`].
    pub fn flush(&mut self, deadline: Instant, done: &mut Vec<BlockId>) -> Result<(), Error> {
        let wait = deadline.saturating_duration_since(Instant::now());
        let state = self.shared.lock();
        let mut state = self
            .shared
            .settled
            .wait_timeout_while(state, wait, |s| s.failure.is_none() && !s.is_idle())
            .map_or_else(|poisoned| poisoned.into_inner().0, |(state, _)| state);
        done.append(&mut state.done);
        state.check()?;
        if state.is_idle() {
            return Ok(());
        }
        Err(Error::retry("sink.flush-timeout", "lines were not written before the deadline"))
    }
}

impl Drop for Pen {
    fn drop(&mut self) {
        self.shared.lock().closed = true;
        self.shared.work.notify_one();
        if let Some(thread) = self.thread.take().filter(|_| self.join) {
            // A panic of the writer was its own; there is nobody left to tell.
            let _ = thread.join();
        }
    }
}

// === impl Shared ===

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self, mut paper: impl Paper) {
        let mut lines = Vec::new();
        let mut blocks = Vec::new();
        loop {
            lines.clear();
            {
                let state = self.lock();
                let waiting = self.work.wait_while(state, |s| s.backlog.is_empty() && !s.closed);
                let mut state = waiting.unwrap_or_else(PoisonError::into_inner);
                if state.closed {
                    return;
                }
                std::mem::swap(&mut state.backlog, &mut lines);
                blocks.append(&mut state.blocks);
                state.writing = true;
            }
            let result = paper.put(&lines);
            let mut state = self.lock();
            state.writing = false;
            match result {
                Ok(()) => state.done.append(&mut blocks),
                Err(error) => state.failure = Some(Failure::of(&error)),
            }
            let failed = state.failure.is_some();
            drop(state);
            self.settled.notify_all();
            if failed {
                return;
            }
        }
    }
}

// === impl State ===

impl State {
    fn is_idle(&self) -> bool {
        self.backlog.is_empty() && !self.writing
    }
    fn check(&self) -> Result<(), Error> {
        self.failure.as_ref().map_or(Ok(()), |f| Err(f.error()))
    }
}

// === impl Failure ===

impl Failure {
    fn of(error: &Error) -> Self {
        Failure {
            code: error.code(),
            cure: error.cure(),
            message: error.message().to_owned(),
            help: error.hint().map(str::to_owned),
        }
    }
    fn error(&self) -> Error {
        let error = Error::new(self.code, self.cure, self.message.clone());
        match &self.help {
            Some(help) => error.help(help.clone()),
            None => error,
        }
    }
}

// === impl Lines ===

impl Lines {
    pub(crate) fn deliver(self, pen: &mut Pen, block: &Block, from: usize) -> Result<usize, Error> {
        pen.deliver(block, from, |block, record, out| self.ndjson(block, record, out))
    }
}
