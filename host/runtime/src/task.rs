//! The task loop: one thread that reads, runs the chain, hands blocks to the sink, and stores what is safe.
//!
//! Invariant 1 is the ledger's. Invariant 2 is [`Task::tell`]: the source is told only after the store has the offset.
//! Invariant 6 follows: after an error, or a kill, the source starts at the last stored offset.

use crate::round::{Round, Way};
use crate::{Chain, Counters, Retries, RetryPolicy, Saver, State, Swaps};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};
use tracing::{debug, info, warn};
use weir_api::failpoint::{self, Point};
use weir_api::{Error, Limit, Poll, Position, Sink, Source};
use weir_model::Window;

/// Asks a task to end: it delivers what it has, stores the offset and returns.
#[derive(Clone, Debug, Default)]
pub struct Stop(Arc<AtomicBool>);

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// [`Stop`] was asked
    Stopped,
    /// the source has no more rows
    Ended,
}

#[derive(Clone, Debug)]
pub struct TaskOptions {
    /// how much a window may hold
    pub limit: Limit,
    /// offsets are stored at most so often
    pub offset_interval: Duration,
    /// how long an orderly stop may take
    pub drain: Duration,
    /// what is done about an error that may heal
    pub retry: RetryPolicy,
    /// where new code for the chain's steps is offered
    pub swaps: Swaps,
}

/// Makes a sink, and makes it anew after a failure.
pub type MakeSink = Box<dyn FnMut() -> Result<Box<dyn Sink>, Error> + Send>;

/// A pipeline at work.
pub struct Task {
    pub name: String,
    pub source: Box<dyn Source>,
    pub chain: Chain,
    pub sink: MakeSink,
    /// the same for dead letters; None: no step sends any
    pub dead_letters: Option<MakeSink>,
    pub store: Saver,
    pub options: TaskOptions,
    pub counters: Arc<Counters>,
}

/// How long a poll waits for rows when nothing is under way, and when something is.
const WAIT_IDLE: Duration = Duration::from_millis(50);
const WAIT_BUSY: Duration = Duration::from_millis(5);
/// A source hears from us so often while the sink takes nothing.
const KEEP_ALIVE: Duration = Duration::from_secs(1);

// === impl Stop ===

impl Stop {
    pub fn ask(&self) {
        self.0.store(true, Relaxed)
    }
    pub fn is_asked(&self) -> bool {
        self.0.load(Relaxed)
    }
}

// === impl TaskOptions ===

impl Default for TaskOptions {
    fn default() -> Self {
        TaskOptions {
            limit: Limit { rows: 8192, bytes: 1 << 20 },
            offset_interval: Duration::from_millis(500),
            drain: Duration::from_secs(30),
            retry: RetryPolicy::default(),
            swaps: Swaps::default(),
        }
    }
}

// === impl Task ===

impl Task {
    /// Runs until it is asked to stop, the source ends, or an error that nothing heals.
    pub fn run(mut self, stop: &Stop) -> Result<Outcome, Error> {
        let outcome = self.rounds(stop);
        info!(pipeline = self.name, records = self.counters.totals().records, "ended");
        outcome
    }

    fn rounds(&mut self, stop: &Stop) -> Result<Outcome, Error> {
        let mut retries = Retries::new(self.options.retry);
        self.counters.modules(self.chain.modules());
        self.store.begin()?;
        loop {
            let mut moved = false;
            let error = match self.round(stop, &mut moved) {
                Ok(outcome) => {
                    self.counters.state(State::Stopped);
                    return Ok(outcome);
                }
                Err(e) => e,
            };
            self.source.stop(false);
            self.counters.error(&error);
            if moved {
                retries.progress();
            }
            let wait = if error.is_retriable() { retries.after_error(Instant::now()) } else { None };
            let Some(wait) = wait else {
                self.counters.state(State::Failed);
                return Err(error);
            };
            self.counters.retry();
            self.counters.state(State::Retrying);
            let (code, wait_ms) = (error.code(), wait.as_millis() as u64);
            warn!(pipeline = self.name, code, wait_ms, tries = retries.made(), "{error}; trying again");
            if !self.pause(wait, stop) {
                self.counters.state(State::Stopped);
                return Ok(Outcome::Stopped);
            }
        }
    }

    /// From a start to the end, or to an error.
    fn round(&mut self, stop: &Stop, moved: &mut bool) -> Result<Outcome, Error> {
        self.counters.state(State::Starting);
        let sink = (self.sink)()?;
        let letters = self.dead_letters.as_mut().map(|make| make()).transpose()?;
        // of the round before: the source that is to be told is gone, and what is loaded says it all
        let _ = self.store.stored(true);
        let offset = self.store.load(&self.source.partition())?;
        self.source.start(offset.as_ref())?;
        self.counters.state(State::Running);
        let mut round = Round::new(sink, letters);
        let result = self.turns(&mut round, stop);
        self.count_left_out(&mut round);
        *moved = round.moved;
        let outcome = result?;
        match self.drain(&mut round) {
            Err(e) if outcome == Outcome::Stopped => return Err(undelivered(&self.options, &e.to_string())),
            other => other?,
        }
        self.source.stop(true);
        Ok(outcome)
    }

    fn turns(&mut self, round: &mut Round, stop: &Stop) -> Result<Outcome, Error> {
        let mut window = Window::default();
        while !stop.is_asked() {
            self.swap();
            let wait = if round.ledger.is_empty() { WAIT_IDLE } else { WAIT_BUSY };
            window.runs.clear();
            let polled = match self.source.poll(wait, self.options.limit, &mut window) {
                Ok(polled) => polled,
                Err(e) => return Err(self.lost(round, e)),
            };
            match polled {
                Poll::Window(position) => self.window(round, &mut window, position, stop)?,
                Poll::Idle(Some(position)) => round.ledger.mark(position),
                Poll::Idle(None) => {}
                Poll::Store(position) => self.settle(round, position, stop)?,
                Poll::End => {
                    self.counters.progress(None);
                    return Ok(Outcome::Ended);
                }
            }
            round.poll(Way::Record, Duration::ZERO)?;
            self.acknowledge(round);
            if let Err(e) = self.keep(round) {
                return Err(self.lost(round, e));
            }
            self.watch(round);
        }
        Ok(Outcome::Stopped)
    }

    fn window(
        &mut self,
        round: &mut Round,
        window: &mut Window,
        end: Option<Position>,
        stop: &Stop,
    ) -> Result<(), Error> {
        failpoint::reach(Point::WindowRead);
        let blocks = self.chain.run(window)?;
        self.counters.window(&blocks, |step| self.chain.step_name(step));
        if let Some(ms) = last_change(window) {
            self.counters.last_change(ms)
        }
        for block in &blocks.blocks {
            round.ledger.block(block.id);
            failpoint::reach(Point::BlockBefore);
            self.deliver(round, block, Way::Record, stop)?;
            failpoint::reach(Point::BlockAfter);
        }
        for block in &blocks.letters {
            round.ledger.block(block.id);
            self.deliver(round, block, Way::Letter, stop)?;
            failpoint::reach(Point::LetterAfter);
        }
        if let Some(failed) = blocks.failed {
            // what came before the row is made safe, so that a restart begins as near to it as it can
            self.drain(round)?;
            return Err(failed.error());
        }
        if let Some(position) = end {
            round.ledger.mark(position)
        }
        Ok(())
    }

    /// Hands a block over, as fast as the sink takes it. A slow sink slows the source, and nothing else grows.
    fn deliver(&mut self, round: &mut Round, block: &Arc<weir_api::Block>, way: Way, stop: &Stop) -> Result<(), Error> {
        let (mut from, mut alive, mut asked) = (0, Instant::now(), None);
        loop {
            from = round.sink(way)?.deliver(block, from)?;
            if from >= block.records.len() {
                return Ok(());
            }
            round.poll(way, WAIT_BUSY)?;
            self.acknowledge(round);
            self.swap();
            if alive.elapsed() >= KEEP_ALIVE {
                self.commit(round)?;
                self.source.keep_alive()?;
                alive = Instant::now();
            }
            if stop.is_asked() && asked.get_or_insert_with(Instant::now).elapsed() > self.options.drain {
                return Err(undelivered(&self.options, "it takes nothing"));
            }
        }
    }

    /// Waits until everything is durable, and stores the position behind it.
    fn settle(&mut self, round: &mut Round, position: Position, stop: &Stop) -> Result<(), Error> {
        round.ledger.mark(position);
        let mut alive = Instant::now();
        while !round.ledger.is_empty() && !stop.is_asked() {
            for way in [Way::Record, Way::Letter] {
                round.poll(way, WAIT_BUSY)?;
            }
            self.acknowledge(round);
            self.swap();
            if alive.elapsed() >= KEEP_ALIVE {
                self.source.keep_alive()?;
                alive = Instant::now();
            }
        }
        self.commit(round)?;
        self.tell(round, true)
    }

    fn acknowledge(&mut self, round: &mut Round) {
        self.counters.durable(round.done.len() as u64);
        if !round.done.is_empty() {
            failpoint::reach(Point::BlockDurable);
            round.moved = true;
        }
        for id in round.done.drain(..) {
            round.ledger.done(id)
        }
    }

    /// What is done about offsets between two windows.
    fn keep(&mut self, round: &mut Round) -> Result<(), Error> {
        self.tell(round, false)?;
        match round.stored_at.elapsed() >= self.options.offset_interval {
            true => self.commit(round),
            false => Ok(()),
        }
    }

    /// Has the store make durable what is safe. Rows go on meanwhile, up to the next time.
    fn commit(&mut self, round: &mut Round) -> Result<(), Error> {
        let told = self.tell(round, true);
        round.stored_at = Instant::now();
        // also where the source is gone
        if let Some(position) = round.ledger.take_safe() {
            self.store.save(self.source.partition(), self.source.offset(&position), position)?
        }
        told
    }

    /// Tells the source what is stored, and only then (invariant 2); `wait`: also what is being stored.
    fn tell(&mut self, round: &mut Round, wait: bool) -> Result<(), Error> {
        let Some(position) = self.store.stored(wait)? else { return Ok(()) };
        self.counters.stored();
        round.moved = true;
        self.source.confirm(&position)
    }

    /// Waits for everything that was handed over, and stores it.
    fn drain(&mut self, round: &mut Round) -> Result<(), Error> {
        round.flush(Instant::now() + self.options.drain)?;
        self.acknowledge(round);
        self.commit(round)?;
        self.tell(round, true)
    }

    /// The source is gone. What was handed over is made safe all the same: a server that does not wait for as long as a window takes
    /// would give the same rows again for ever.
    fn lost(&mut self, round: &mut Round, error: Error) -> Error {
        if let Err(e) = self.drain(round) {
            debug!(pipeline = self.name, code = e.code(), "after the source: {e}");
        }
        error
    }

    /// Invariant 4: what the source leaves out is counted, too.
    fn count_left_out(&mut self, round: &mut Round) {
        let rows = self.source.rows_in_snapshot();
        if rows > round.in_snapshot {
            self.counters.left_out("in-snapshot", rows - round.in_snapshot);
            round.in_snapshot = rows;
        }
    }

    /// Takes new code that is offered; no window is under way in the chain.
    fn swap(&mut self) {
        self.options.swaps.serve(&mut self.chain, &self.counters)
    }

    /// Waits; false when a stop was asked for meanwhile.
    fn pause(&mut self, wait: Duration, stop: &Stop) -> bool {
        let until = Instant::now() + wait;
        while Instant::now() < until {
            if stop.is_asked() {
                return false;
            }
            self.swap();
            std::thread::sleep(WAIT_IDLE.min(until.saturating_duration_since(Instant::now())));
        }
        true
    }

    /// Once a second, what people look at.
    fn watch(&mut self, round: &mut Round) {
        if round.watched_at.elapsed() < KEEP_ALIVE {
            return;
        }
        round.watched_at = Instant::now();
        self.count_left_out(round);
        self.counters.progress(self.source.progress());
        self.counters.usage(self.chain.usage());
        self.counters.lag(self.source.lag_bytes());
    }
}

fn undelivered(options: &TaskOptions, why: &str) -> Error {
    let message = format!("the sink did not take what was under way within {} s: {why}", options.drain.as_secs());
    Error::new("task.undelivered", weir_api::Cure::None, message)
        .help("nothing is lost: the next start goes on from the last stored offset")
}

fn last_change(window: &Window) -> Option<i64> {
    let batch = window.batches.get(window.runs.last()?.batch as usize)?;
    batch.transactions.last().map(|t| t.commit_us / 1000).filter(|ms| *ms > 0)
}

impl Drop for Task {
    fn drop(&mut self) {
        self.options.swaps.close();
    }
}
