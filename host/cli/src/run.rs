//! `weir run`: a thread for each pipeline, until it ends or is asked to.

use crate::addresses;
use crate::args::{Common, Run};
use crate::connectors;
use crate::failure::Failure;
use crate::file;
use crate::guests::Guests;
use crate::metrics::Pipelines;
use crate::output::Done;
use crate::progress::{self, Shown};
use crate::reload::{Reloads, Request, control::Control};
use serde_json::json;
use signal_hook::consts::{SIGINT, SIGTERM};
use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;
use tracing::{info, warn};
use weir_api::{Error, Limit, Offset, Source};
use weir_config::{Plan, Providers};
use weir_runtime::{Chain, Counters, OffsetStore, Outcome, RetryPolicy, Saver, Stop, Swaps, Task, TaskOptions, Totals};
use weir_store::{Change, Embedded, Store};

/// A block of serialised records is cut at about this size.
const BLOCK_BYTES: usize = 256 << 10;
/// Bytes end a window, and rows only where they are tiny: what is read beyond a window is copied to the next one.
const WINDOW: Limit = Limit { rows: 8192, bytes: 1 << 20 };

/// A pipeline at work, or about to be.
pub struct Running {
    pub name: String,
    pub stop: Stop,
    pub counters: Arc<Counters>,
    /// where new code is offered
    pub swaps: Swaps,
    /// it was said that there are dead letters
    told: bool,
}

/// What is beside the pipelines.
#[derive(Default)]
pub struct Ends {
    /// where `/metrics` is served
    pub metrics: Option<SocketAddr>,
    /// where sources keep what does not fit in memory
    pub data_dir: PathBuf,
    /// ends them in order when it is set
    pub finished: Option<Arc<AtomicBool>>,
}

/// How one ended.
struct Ended {
    pipeline: usize,
    result: Result<Outcome, Error>,
}

/// The offsets of one pipeline in the store that all share.
struct Offsets {
    store: Embedded,
    pipeline: String,
}

pub fn run(args: &Run, common: &Common) -> Result<Done, Failure> {
    let guests = common.guests()?;
    let addresses = addresses::files(&args.addresses)?;
    let plans = match &addresses {
        Some(files) => vec![file::plan_of("--from and --to", &files.text, &guests)?],
        None => file::plans(&args.files(), &guests)?,
    };
    let store = Embedded::open(common.data_dir())?;
    let ends = Ends { metrics: args.metrics, data_dir: common.data_dir(), ..Ends::default() };
    let done = run_plans(&plans, &guests, &store, ends);
    // also where it failed: the file is what one goes on with
    if let Some(files) = addresses {
        eprint!("# the pipeline file that this was\n{}", files.shown)
    }
    done
}

/// Records pass through memory and are gone: huge pages give them nothing, and the kernel would go on joining what is free into such
/// pages for as long as the process lives (ADR 8). Programs that are started from here on inherit it.
#[cfg(target_os = "linux")]
fn keep_pages_small() {
    // where it is refused, more is resident than is used
    let _ = rustix::thread::disable_transparent_huge_pages(true);
}

#[cfg(not(target_os = "linux"))]
fn keep_pages_small() {}

/// Runs resolved pipelines to their ends.
pub fn run_plans(plans: &[Plan], guests: &Arc<Guests>, store: &Embedded, ends: Ends) -> Result<Done, Failure> {
    keep_pages_small();
    let providers = Providers::from_env();
    let asked = asked();
    let plans = plans.iter().map(|plan| plan.with_values(&providers)).collect::<Result<Vec<_>, _>>()?;
    let mut running = vec![];
    let mut tasks = vec![];
    for plan in &plans {
        let source = connectors::source(plan, &ends.data_dir)?;
        let (pipeline, task) = prepare(plan.clone(), source, guests, store)?;
        running.push(pipeline);
        tasks.push(task)
    }
    let _reloads = reloads(&plans, &running, guests, &ends.data_dir)?;
    if let Some(address) = ends.metrics {
        serve(address, &running)?
    }
    // only now: what is refused above leaves no row behind that was sent before it was said
    let (send, ended) = channel();
    let threads = running.iter().zip(tasks).enumerate().map(|(i, (r, task))| start(i, r, task, send.clone()));
    let threads = threads.collect::<Result<Vec<_>, _>>()?;
    drop(send);
    let mut failed = vec![];
    let (mut left, mut said) = (running.len(), false);
    let at_terminal = progress::at_terminal(plans.iter().any(|p| p.sink.kind == "stdout"));
    let mut shown: Vec<_> = running.iter().map(|r| Shown::new(&r.name, at_terminal)).collect();
    while left > 0 {
        match ended.recv_timeout(Duration::from_millis(100)) {
            Ok(Ended { pipeline, result }) => {
                left -= 1;
                if let (Err(e), Some(r)) = (result, running.get(pipeline))
                    && e.code() != weir_files::stdout::CLOSED
                {
                    failed.push((r.name.clone(), e))
                }
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => break,
        }
        if asked.load(Relaxed) && !said {
            said = true;
            let said = "stopping: delivering what is under way and storing the offsets (again to end at once)";
            let _ = writeln!(progress::Aside, "{said}");
            weir_wasm::hurry();
            running.iter().for_each(|r| r.stop.ask())
        }
        if ends.finished.as_ref().is_some_and(|f| f.load(Relaxed)) {
            weir_wasm::hurry();
            running.iter().for_each(|r| r.stop.ask())
        }
        shown.iter_mut().zip(&running).for_each(|(s, r)| s.show(r.counters.totals().progress.as_ref()));
        running.iter_mut().for_each(Running::tell)
    }
    drop(shown);
    let totals: Vec<_> = running.iter().map(|r| (r.name.clone(), r.counters.totals())).collect();
    threads.into_iter().for_each(|t| {
        let _ = t.join();
    });
    if !failed.is_empty() {
        return Err(Failure::Pipelines(failed));
    }
    let records: u64 = totals.iter().map(|(_, t)| t.records).sum();
    let letters: u64 = totals.iter().flat_map(|(_, t)| &t.dead_letters).map(|(_, n)| n).sum();
    let summary = match letters {
        0 => format!("{records} records"),
        n => format!("{records} records, {n} dead letters"),
    };
    let list: Vec<_> = totals.iter().map(|(name, t)| ended_as(name, t)).collect();
    Ok(Done { summary, text: String::new(), result: list.into() })
}

/// Becomes true when somebody asks for the end; asked twice, the process ends at once.
fn asked() -> Arc<AtomicBool> {
    let asked = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        let hook = signal_hook::flag::register_conditional_default(signal, asked.clone())
            .and_then(|_| signal_hook::flag::register(signal, asked.clone()));
        if let Err(e) = hook {
            // what is in flight comes again at the next start, as after any crash
            tracing::warn!(signal, "a signal cannot be caught, and ends the process at once: {e}");
        }
    }
    asked
}

/// What a pipeline did; what it left out is counted by where that was (invariant 4).
fn ended_as(name: &str, t: &Totals) -> serde_json::Value {
    let dropped: Vec<_> =
        t.dropped.iter().map(|((step, rule), n)| json!({"step": &**step, "rule": &**rule, "rows": n})).collect();
    let skipped: Vec<_> = t.skipped.iter().map(|(step, n)| json!({"step": &**step, "rows": n})).collect();
    let letters: Vec<_> = t
        .dead_letters
        .iter()
        .map(|((step, code), n)| json!({"step": &**step, "code": &**code, "letters": n}))
        .collect();
    json!({
        "pipeline": name, "rows": t.rows, "records": t.records,
        "dropped": dropped, "skipped": skipped, "dead-letters": letters,
    })
}

/// All of a pipeline but its thread.
fn prepare(plan: Plan, source: Box<dyn Source>, guests: &Guests, store: &Embedded) -> Result<(Running, Task), Error> {
    let counters = Arc::new(Counters::default());
    let chain = Chain::new(connectors::steps(&plan, guests)?, connectors::converters(&plan)?, BLOCK_BYTES);
    let largest = connectors::largest(&plan);
    let chain = chain.reporting(connectors::reports(&plan)).within(largest.clone());
    let name = plan.name.clone();
    let swaps = Swaps::default();
    let options =
        TaskOptions { limit: WINDOW, retry: retry_policy(&plan), swaps: swaps.clone(), ..TaskOptions::default() };
    let task = Task {
        name: name.clone(),
        source,
        chain,
        dead_letters: connectors::dead_letters(&plan),
        store: Saver::new(Offsets { store: store.clone(), pipeline: name.clone() }),
        sink: Box::new(move || connectors::sink(&plan, &largest)),
        options,
        counters: counters.clone(),
    };
    Ok((Running { name, stop: Stop::default(), counters, swaps, told: false }, task))
}

fn start(index: usize, running: &Running, task: Task, ended: Sender<Ended>) -> Result<JoinHandle<()>, Error> {
    let asked = running.stop.clone();
    let thread = std::thread::Builder::new().name(format!("weir-{}", running.name)).spawn(move || {
        let result = task.run(&asked);
        let _ = ended.send(Ended { pipeline: index, result });
    });
    thread.map_err(|e| Error::no_thread(&e))
}

/// `/metrics` and `/health` of these.
fn serve(address: SocketAddr, running: &[Running]) -> Result<(), Error> {
    let report = Pipelines(running.iter().map(|r| (r.name.clone(), r.counters.clone())).collect());
    let bound = weir_telemetry::serve(address, Arc::new(report)).map_err(|e| {
        Error::environment("metrics.address", format!("`{address}` cannot be served: {e}"))
            .help("give another --metrics")
    })?;
    info!("metrics at http://{bound}/metrics");
    Ok(())
}

/// Looks at the files that steps run from, and hears `weir reload`, until what comes back is dropped.
fn reloads(
    plans: &[Plan],
    running: &[Running],
    guests: &Arc<Guests>,
    data_dir: &Path,
) -> Result<(Sender<Request>, Option<Control>), Error> {
    let (send, requests) = channel();
    Reloads::new(guests.clone(), running.iter().zip(plans)).start(requests)?;
    let control = Control::serve(data_dir, send.clone());
    let control = control.inspect_err(|e| warn!(code = e.code(), "{e}: {}", e.hint().unwrap_or_default()));
    Ok((send, control.ok()))
}

fn retry_policy(plan: &Plan) -> RetryPolicy {
    let (retry, policy) = (&plan.errors.retry, RetryPolicy::default());
    let delay = |ms: Option<i64>, or: Duration| ms.map_or(or, |ms| Duration::from_millis(ms.max(0) as u64));
    RetryPolicy {
        // a negative limit is none
        times: retry.max.and_then(|n| u32::try_from(n).ok()),
        time: retry.timeout_ms.and_then(|ms| u64::try_from(ms).ok()).map(Duration::from_millis),
        delay_initial: delay(retry.delay_initial_ms, policy.delay_initial),
        delay_max: delay(retry.delay_max_ms, policy.delay_max),
    }
}

// === impl Running ===

impl Running {
    /// Says once that rows fail: what nobody hears of is not looked at.
    fn tell(&mut self) {
        if self.told {
            return;
        }
        if let Some(((step, code), _)) = self.counters.totals().dead_letters.first() {
            self.told = true;
            warn!(pipeline = self.name, %step, %code, "rows fail and go to the dead letters: `weir dlq show` shows them")
        }
    }
}

// === impl Offsets ===

impl OffsetStore for Offsets {
    fn load(&self, partition: &Offset) -> Result<Option<Offset>, Error> {
        Ok(self.store.load(&self.pipeline)?.and_then(|stored| stored.offset(partition).cloned()))
    }
    fn save(&mut self, partition: &Offset, offset: &Offset) -> Result<(), Error> {
        let offsets = [(partition, Some(offset))];
        self.store.save(&self.pipeline, Change { offsets: &offsets, values: &[] })
    }
}
