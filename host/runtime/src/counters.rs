//! What a task has done, for metrics and people. Written by the task's thread, read by anyone.

use crate::blocks::Blocks;
use crate::pace::{Pace, Reading};
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};
use std::time::Instant;
use weir_api::{Progress, Usage};
use weir_model::Name;

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum State {
    #[default]
    Starting,
    Running,
    /// waiting to try again after an error that may heal
    Retrying,
    Stopped,
    Failed,
}

#[derive(Debug, Default)]
pub struct Counters {
    rows: AtomicU64,
    records: AtomicU64,
    bytes: AtomicU64,
    durable: AtomicU64,
    windows: AtomicU64,
    retries: AtomicU64,
    stored: AtomicU64,
    /// ms since the epoch of the change that was delivered last; 0: none yet
    last_change_ms: AtomicI64,
    slow: Mutex<Slow>,
}

#[derive(Debug, Default)]
struct Slow {
    state: State,
    /// (step, rule)
    dropped: BTreeMap<(Name, Name), u64>,
    skipped: BTreeMap<Name, u64>,
    /// (step, code)
    dead_letters: BTreeMap<(Name, Name), u64>,
    /// (step, whether it was swapped)
    reloads: BTreeMap<(Name, bool), u64>,
    modules: Vec<(Name, Name)>,
    usage: Vec<(Name, Usage)>,
    progress: Option<(Reading, Pace)>,
    lag_bytes: Option<u64>,
    error: Option<(&'static str, String)>,
}

/// The numbers at one moment.
#[derive(Clone, Debug, Default)]
pub struct Totals {
    pub state: State,
    /// rows that came from the source
    pub rows: u64,
    /// records handed to the sink
    pub records: u64,
    pub bytes: u64,
    /// blocks the sink acknowledged
    pub durable: u64,
    pub windows: u64,
    pub retries: u64,
    /// offsets stored
    pub stored: u64,
    pub last_change_ms: i64,
    /// that the database keeps for the pipeline, where it tells
    pub lag_bytes: Option<u64>,
    pub dropped: Vec<((Name, Name), u64)>,
    pub skipped: Vec<(Name, u64)>,
    /// letters handed to their sink, by step and code
    pub dead_letters: Vec<((Name, Name), u64)>,
    /// new code for a step, by whether it runs now or was refused
    pub reloads: Vec<((Name, bool), u64)>,
    /// the code that runs, by step
    pub modules: Vec<(Name, Name)>,
    /// what steps hold, by step
    pub usage: Vec<(Name, Usage)>,
    /// the snapshot that is read
    pub progress: Option<Reading>,
    /// code and message of the last error
    pub error: Option<(&'static str, String)>,
}

/// Kinds of dead letters that are told apart: codes are the guests' own, and a guest may make them up.
const MOST_KINDS: usize = 1000;

// === impl Counters ===

impl Counters {
    pub(crate) fn window(&self, blocks: &Blocks, step: impl Fn(u16) -> Name) {
        self.windows.fetch_add(1, Relaxed);
        self.rows.fetch_add(blocks.rows, Relaxed);
        self.records.fetch_add(blocks.records, Relaxed);
        self.bytes.fetch_add(blocks.blocks.iter().map(|b| b.data.len() as u64).sum(), Relaxed);
        if blocks.dropped.is_empty() && blocks.skipped.is_empty() && blocks.dead_letters.is_empty() {
            return;
        }
        self.slow(|s| {
            for (rule, n) in &blocks.dropped {
                *s.dropped.entry((step(rule.step), rule.rule.clone())).or_default() += n
            }
            for (step, n) in &blocks.skipped {
                *s.skipped.entry(step.clone()).or_default() += n
            }
            for (kind, n) in &blocks.dead_letters {
                let room = s.dead_letters.len() < MOST_KINDS || s.dead_letters.contains_key(kind);
                let kind = if room { kind.clone() } else { (kind.0.clone(), "other".into()) };
                *s.dead_letters.entry(kind).or_default() += n
            }
        })
    }
    pub(crate) fn durable(&self, blocks: u64) {
        self.durable.fetch_add(blocks, Relaxed);
    }
    pub(crate) fn retry(&self) {
        self.retries.fetch_add(1, Relaxed);
    }
    pub(crate) fn stored(&self) {
        self.stored.fetch_add(1, Relaxed);
    }
    pub(crate) fn lag(&self, bytes: Option<u64>) {
        self.slow(|s| s.lag_bytes = bytes)
    }
    pub(crate) fn last_change(&self, ms: i64) {
        self.last_change_ms.store(ms, Relaxed)
    }
    pub(crate) fn state(&self, state: State) {
        self.slow(|s| s.state = state)
    }
    pub(crate) fn progress(&self, progress: Option<Progress>) {
        self.slow(|s| {
            let (before, now) = (s.progress.take(), Instant::now());
            s.progress = progress.map(|progress| {
                let mut pace = before.map_or_else(|| Pace::begin(progress.rows, now), |(_, pace)| pace);
                let rows_per_second = pace.see(progress.rows, now);
                (Reading { progress, rows_per_second }, pace)
            })
        })
    }
    /// Rows that the source left out by a rule of its own.
    pub(crate) fn left_out(&self, rule: &str, rows: u64) {
        self.slow(|s| *s.dropped.entry(("source".into(), rule.into())).or_default() += rows)
    }
    pub(crate) fn error(&self, error: &weir_api::Error) {
        self.slow(|s| s.error = Some((error.code(), error.message().to_string())))
    }

    pub(crate) fn modules(&self, modules: Vec<(Name, Name)>) {
        self.slow(|s| s.modules = modules)
    }
    pub(crate) fn usage(&self, usage: Vec<(Name, Usage)>) {
        self.slow(|s| s.usage = usage)
    }
    /// New code for a step was taken or refused: by whoever had it ready, for most of what is wrong with it is found before the
    /// task hears of it.
    pub fn reload(&self, step: &str, is_swapped: bool) {
        self.slow(|s| *s.reloads.entry((step.into(), is_swapped)).or_default() += 1)
    }

    fn slow(&self, f: impl FnOnce(&mut Slow)) {
        // a thread that panicked while it counted leaves numbers that are still numbers
        f(&mut self.slow.lock().unwrap_or_else(|e| e.into_inner()))
    }

    pub fn totals(&self) -> Totals {
        let mut t = Totals {
            rows: self.rows.load(Relaxed),
            records: self.records.load(Relaxed),
            bytes: self.bytes.load(Relaxed),
            durable: self.durable.load(Relaxed),
            windows: self.windows.load(Relaxed),
            retries: self.retries.load(Relaxed),
            stored: self.stored.load(Relaxed),
            last_change_ms: self.last_change_ms.load(Relaxed),
            ..Default::default()
        };
        self.slow(|s| {
            t.state = s.state;
            t.dropped = s.dropped.iter().map(|(k, v)| (k.clone(), *v)).collect();
            t.dead_letters = s.dead_letters.iter().map(|(k, v)| (k.clone(), *v)).collect();
            t.skipped = s.skipped.iter().map(|(k, v)| (k.clone(), *v)).collect();
            t.reloads = s.reloads.iter().map(|(k, v)| (k.clone(), *v)).collect();
            t.modules = s.modules.clone();
            t.usage = s.usage.clone();
            t.progress = s.progress.as_ref().map(|(reading, _)| reading.clone());
            t.lag_bytes = s.lag_bytes;
            t.error = s.error.clone();
        });
        t
    }
}
