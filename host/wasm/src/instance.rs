//! A running guest: its memory, its limits, and the calls into it.

use crate::courtesy::Courtesy;
use crate::limits::Budget;
use crate::log::{Dam, Log, shorten};
use crate::{Engine, Limits, wit};
use std::time::{Duration, Instant};
use wasmtime::{FrameInfo, Store, StoreContextMut, Trap, UpdateDeadline, WasmBacktrace};
use weir_model::Name;

/// What all instances of a step have in common: one that traps is begun anew, and is known for what the others did.
#[derive(Clone)]
pub(crate) struct Step {
    pub name: String,
    pub dam: Dam,
    pub courtesy: Courtesy,
}

/// What the guest can reach of us.
pub(crate) struct Host {
    budget: Budget,
    log: Log,
    courtesy: Courtesy,
    /// what the call under way may take, with its rests
    time: Duration,
    /// when the first tick of it was; None: none has passed
    began: Option<Instant>,
}

/// A store with one guest in it. After a [`Stop`] it is good for nothing any more.
pub(crate) struct Instance {
    store: Store<Host>,
    guest: wit::Transformer,
    lifted: usize,
    time: Duration,
}

/// Why a call did not come back.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Stop {
    Trap(String),
    Timeout(Duration),
    Memory(usize),
    Table(usize),
    Output(String),
}

// === impl Stop ===

impl Stop {
    pub fn code(&self) -> &'static str {
        match self {
            Stop::Trap(_) => "guest.trap",
            Stop::Timeout(_) => "guest.timeout",
            Stop::Memory(_) => "guest.memory",
            Stop::Table(_) => "guest.table",
            Stop::Output(_) => "guest.output",
        }
    }

    /// For people; holds no value of a row.
    pub fn message(&self, step: &str, function: &str) -> String {
        match self {
            Stop::Trap(how) => format!("`{step}` trapped in `{function}`: {how}"),
            Stop::Timeout(limit) => format!("`{step}` took more than {limit:?} in `{function}`"),
            Stop::Memory(limit) => format!("`{step}` needs more than {} KiB of memory in `{function}`", limit >> 10),
            Stop::Table(limit) => format!("`{step}` needs more than {limit} table elements in `{function}`"),
            Stop::Output(what) => format!("`{step}` handed back something malformed from `{function}`: {what}"),
        }
    }
}

// === impl Step ===

impl Step {
    pub fn new(name: &str, limits: &Limits) -> Self {
        Step { name: name.into(), dam: Dam::new(limits.log_rate), courtesy: Courtesy::new() }
    }
}

// === impl Host ===

/// An epoch passed while the guest ran. Where it has to rest, the time of that is not its own.
fn tick(mut store: StoreContextMut<'_, Host>) -> wasmtime::Result<UpdateDeadline> {
    let host = store.data_mut();
    if host.began.get_or_insert_with(Instant::now).elapsed() >= host.time {
        return Ok(UpdateDeadline::Interrupt);
    }
    host.time = host.time.saturating_add(host.courtesy.rest_if_long());
    Ok(UpdateDeadline::Continue(1))
}

impl wit::weir::transform::types::Host for Host {}

impl wit::weir::transform::host::Host for Host {
    fn log(&mut self, level: wit::Level, message: String) {
        self.log.write(level, &message)
    }
}

// === impl Instance ===

impl Instance {
    pub fn new(
        engine: &Engine,
        linked: &wit::TransformerPre<Host>,
        step: &Step,
        limits: &Limits,
    ) -> Result<Self, Stop> {
        let log = Log::new(&step.name, step.dam.clone(), limits.log_line);
        let (courtesy, time) = (step.courtesy.clone(), limits.time_per_batch);
        let host = Host { budget: Budget::new(limits), log, courtesy, time, began: None };
        let mut store = Store::new(&engine.wasm, host);
        store.limiter(|h| &mut h.budget);
        store.set_hostcall_fuel(limits.lifted);
        store.epoch_deadline_callback(tick);
        store.set_epoch_deadline(1);
        let lifted = limits.lifted;
        match linked.instantiate(&mut store) {
            Ok(guest) => Ok(Instance { store, guest, lifted, time }),
            Err(e) => Err(match store.data().budget.refused() {
                // a memory or table whose first size is over the limit is refused with an error of its own, not a trap
                Some(stop) if !e.is::<Trap>() => stop,
                _ => reason(&e, &store, time),
            }),
        }
    }

    /// Bytes of memory by now.
    pub fn used(&self) -> usize {
        self.store.data().budget.used
    }

    /// What the guest logged in its last call of `apply`.
    pub fn logged(&self) -> Option<Name> {
        self.store.data().log.recent()
    }

    pub fn describe(&mut self) -> Result<wit::Manifest, Stop> {
        self.call(None, |guest, store| guest.weir_transform_transform().call_describe(store))
    }

    pub fn check(&mut self, options: &[(String, Option<String>)]) -> Result<Vec<wit::Problem>, Stop> {
        self.call(None, |guest, store| guest.weir_transform_transform().call_check(store, &options.to_vec()))
    }

    pub fn configure(&mut self, options: &[(String, Option<String>)]) -> Result<Result<(), wit::Failure>, Stop> {
        self.call(None, |guest, store| guest.weir_transform_transform().call_configure(store, &options.to_vec()))
    }

    pub fn bind(&mut self, shape: &wit::Shape) -> Result<Result<wit::Binding, wit::Failure>, Stop> {
        self.call(None, |guest, store| guest.weir_transform_transform().call_bind(store, shape))
    }

    pub fn unbind(&mut self, shape: u32) -> Result<(), Stop> {
        self.call(None, |guest, store| guest.weir_transform_transform().call_unbind(store, shape))
    }

    /// `time`: less than the limit, where a batch that took too long is cut up.
    pub fn apply(
        &mut self,
        batch: &wit::Batch,
        time: Option<Duration>,
    ) -> Result<Result<wit::Output, wit::Failure>, Stop> {
        self.call(time, |guest, store| guest.weir_transform_transform().call_apply(store, batch))
    }

    #[inline]
    fn call<T>(
        &mut self,
        time: Option<Duration>,
        f: impl FnOnce(&wit::Transformer, &mut Store<Host>) -> wasmtime::Result<T>,
    ) -> Result<T, Stop> {
        let time = time.unwrap_or(self.time);
        let host = self.store.data_mut();
        host.budget.begin();
        host.log.begin();
        (host.time, host.began) = (time, None);
        self.store.set_hostcall_fuel(self.lifted);
        self.store.set_epoch_deadline(1);
        match f(&self.guest, &mut self.store) {
            Ok(t) => Ok(t),
            Err(e) => Err(reason(&e, &self.store, time)),
        }
    }
}

fn reason(e: &wasmtime::Error, store: &Store<Host>, time: Duration) -> Stop {
    let Some(trap) = e.downcast_ref::<Trap>() else {
        // what cannot be lifted: text that is no UTF-8, offsets outside the memory, too many bytes
        return Stop::Output(shorten(&e.root_cause().to_string(), 200));
    };
    match (trap, store.data().budget.refused()) {
        (Trap::Interrupt, _) => Stop::Timeout(time),
        // an allocator that gets no memory gives up by a trap of its own
        (Trap::UnreachableCodeReached, Some(stop)) => stop,
        (trap, _) => {
            let frames = e.downcast_ref::<WasmBacktrace>().map(|b| b.frames()).unwrap_or_default();
            Stop::Trap(format!("{}{}", trap.to_string().trim_start_matches("wasm trap: "), place(frames)))
        }
    }
}

/// The guest's own function, rather than those of its language that end it.
fn place(frames: &[FrameInfo]) -> String {
    const MACHINERY: [&str; 6] = ["core::", "std::", "alloc::", "__rustc", "rust_panic", "abort"];
    let name = |f: &FrameInfo| f.func_name().map(|n| format!("{:#}", rustc_demangle::demangle(n)));
    let is_own =
        |f: &&FrameInfo| name(f).is_none_or(|n| !MACHINERY.iter().any(|m| n.trim_start_matches('<').starts_with(m)));
    match frames.iter().find(is_own).or(frames.first()) {
        None => String::new(),
        Some(f) => match name(f) {
            Some(name) => format!(" in `{}`", shorten(&name, 120)),
            None => format!(" in function {}", f.func_index()),
        },
    }
}
