//! What happens to a window: rules on cells, columns into guests and back, the composed layout's writer, blocks for the sink.

mod call;
mod columns;
mod swap;

pub use swap::Prepared;

use crate::blocks::{BlockWriter, Blocks, Unwritten};
use crate::failures::{At, Failed, Failures, OnError, Stage};
use crate::letters::Reports;
use std::collections::HashMap;
use std::sync::Arc;
use weir_api::{Error, Largest, Route, Transform, Usage};
use weir_model::{Batch, Converter, Decision, Failure, Layout, Name, Pick, Program, Stream, Window, Writer};

/// A transform in its place.
pub struct Step {
    /// for people: the step's own name, or what it uses
    pub name: Name,
    pub transform: Box<dyn Transform>,
    pub on_error: OnError,
}

/// How keys, values and headers become bytes.
#[derive(Clone)]
pub struct Converters {
    pub key: Arc<dyn Converter>,
    pub value: Arc<dyn Converter>,
    pub header: Arc<dyn Converter>,
    /// what becomes of a row that cannot be written
    pub on_error: OnError,
}

/// A chain, and what it has bound and compiled so far.
pub struct Chain {
    steps: Vec<Step>,
    converters: Converters,
    bound: HashMap<u64, Bound>,
    blocks: BlockWriter,
    failures: Failures,
    decisions: Vec<Decided>,
}

/// The chain bound to one stream.
struct Bound {
    stream: Arc<Stream>,
    program: Program,
    writers: Vec<Writer>,
}

#[derive(Default)]
struct Decided {
    decision: Decision,
    /// room for the picks while a guest's rows are put between the others
    spare: Vec<Pick>,
    /// the next of the picks, failures, while runs are walked
    pick: usize,
    fail: usize,
    failures: Vec<Failed>,
}

/// Streams bound at one time. Beyond it those of old schemas are let go; they are bound again if they come back.
const MOST_STREAMS: usize = 10_000;

// === impl Chain ===

impl Chain {
    /// `block_bytes`: a block is cut when it holds so many.
    pub fn new(steps: Vec<Step>, converters: Converters, block_bytes: usize) -> Self {
        let blocks = BlockWriter::new(block_bytes);
        let stage = |s: &Step| {
            let module = s.transform.module().map(Name::from);
            Stage { name: s.name.clone(), module, on_error: s.on_error }
        };
        let failures = Failures::new(steps.iter().map(stage).collect(), converters.on_error, blocks.beside());
        Chain { steps, converters, bound: HashMap::new(), blocks, failures, decisions: vec![] }
    }

    /// Says where rows that fail are told of; without, [`OnError::DeadLetter`] is [`OnError::Fail`].
    pub fn reporting(mut self, reports: Reports) -> Self {
        self.failures.report(reports);
        self
    }

    /// Keeps records from the sink that are larger than it takes.
    pub fn within(mut self, largest: Largest) -> Self {
        self.failures.told(largest.told());
        self.blocks.within(largest);
        self
    }

    /// Runs a window. Err: the chain itself cannot go on (a transform broke its contract, a layout cannot be written).
    pub fn run(&mut self, window: &mut Window) -> Result<Blocks, Error> {
        let mut result = Blocks { rows: window.rows() as u64, ..Default::default() };
        self.blocks.learn();
        let mut decisions = std::mem::take(&mut self.decisions);
        decisions.resize_with(decisions.len().max(window.batches.len()), Decided::default);
        for (batch, decided) in window.batches.iter_mut().zip(&mut decisions) {
            self.decide(batch, decided, &mut result)?;
        }
        self.write(window, &mut decisions, &mut result);
        result.records = result.blocks.iter().map(|b| b.records.len() as u64).sum();
        self.decisions = decisions;
        Ok(result)
    }

    fn decide(&mut self, batch: &mut Batch, decided: &mut Decided, result: &mut Blocks) -> Result<(), Error> {
        decided.reset();
        self.bind(&batch.stream)?;
        let Some(mut bound) = self.bound.remove(&batch.stream.id) else { return Ok(()) };
        let done = self.decide_bound(&mut bound, batch, decided);
        for (_, rule) in &decided.decision.dropped {
            if let Some(name) = bound.program.drops.get(*rule as usize) {
                *result.dropped.entry(name.clone()).or_default() += 1
            }
        }
        for refused in &decided.decision.failed {
            if let Some(refusal) = bound.program.failures.get(refused.refusal as usize) {
                let (layout, failure) = (refusal.layout.clone(), refusal.failure.clone());
                let (row, origin, at) = (refused.row, refused.origin, At::Step(refusal.step));
                decided.failures.push(Failed { row, origin, at, layout, failure, log: None })
            }
        }
        decided.failures.sort_by_key(|f| f.origin);
        bound.writers.iter_mut().for_each(Writer::forget);
        self.bound.insert(batch.stream.id, bound);
        done
    }

    fn decide_bound(&mut self, bound: &mut Bound, batch: &mut Batch, decided: &mut Decided) -> Result<(), Error> {
        bound.program.decide(batch, &mut decided.decision);
        while decided.decision.open > 0 {
            self.call(bound, batch, decided)?;
        }
        Ok(())
    }

    /// What each step holds that says so, by its name.
    pub fn usage(&self) -> Vec<(Name, Usage)> {
        self.steps.iter().filter_map(|s| Some((s.name.clone(), s.transform.usage()?))).collect()
    }

    /// A step's name, for counters.
    pub fn step_name(&self, index: u16) -> Name {
        self.steps.get(index as usize).map_or_else(|| "".into(), |s| s.name.clone())
    }

    /// Binds the stream to every step, and compiles the writers of what comes out.
    fn bind(&mut self, stream: &Arc<Stream>) -> Result<(), Error> {
        if self.bound.contains_key(&stream.id) {
            return Ok(());
        }
        if self.bound.len() >= MOST_STREAMS {
            self.bound.clear();
        }
        let mut program = stream.program.clone();
        for (i, step) in self.steps.iter_mut().enumerate() {
            let then = program.then(i as u16, step.transform.as_mut());
            program = then.map_err(|e| broken(&step.name, &stream.name, &e.0))?;
        }
        let mut bound = Bound { stream: stream.clone(), program, writers: vec![] };
        self.compile(&mut bound, stream)?;
        self.bound.insert(stream.id, bound);
        Ok(())
    }

    /// Compiles writers for layouts that have none yet.
    fn compile(&mut self, bound: &mut Bound, stream: &Stream) -> Result<(), Error> {
        for layout in bound.program.layouts.iter().skip(bound.writers.len()) {
            let fail = |e: String| {
                Error::new(
                    "chain.unwritable",
                    weir_api::Cure::None,
                    format!("`{}` cannot be written: {e}", stream.name),
                )
            };
            let topic = layout.topic_name().ok_or_else(|| fail("its topic differs from row to row".into()))?.clone();
            let headers = layout.headers.iter().map(|h| h.0.clone()).collect();
            let route = self.blocks.route(Route { topic, headers });
            let route = route.ok_or_else(|| fail("there are more than 65,536 topics".into()))?;
            let Converters { key, value, header, .. } = &self.converters;
            let writer = Writer::compile(layout, route, key.as_ref(), value.as_ref(), header.as_ref()).map_err(fail)?;
            bound.writers.push(writer);
        }
        Ok(())
    }

    /// Walks the window in source order, so that grouping by stream never reorders what a consumer sees.
    fn write(&mut self, window: &Window, decisions: &mut [Decided], result: &mut Blocks) {
        for run in &window.runs {
            let at = run.batch as usize;
            let (Some(batch), Some(decided)) = (window.batches.get(at), decisions.get_mut(at)) else { continue };
            let Some(bound) = self.bound.get_mut(&batch.stream.id) else { continue };
            let stop = decided.first_fatal(run.to, &self.failures);
            while let Some(pick) = decided.decision.picks.get(decided.pick).copied() {
                if pick.origin >= stop {
                    break;
                }
                decided.pick += 1;
                let Some(writer) = bound.writers.get_mut(pick.layout as usize) else { continue };
                let blocks = result.blocks.len();
                let written = self.blocks.write(writer, batch, pick.row, &mut result.blocks);
                if result.blocks.len() > blocks {
                    self.steps.iter_mut().for_each(|step| step.transform.rest())
                }
                let Err(e) = written else { continue };
                let Some(layout) = bound.program.layouts.get(pick.layout as usize) else { continue };
                // letters leave in the order of their rows too
                decided.settle(pick.origin, batch, &mut self.failures, result);
                if self.failures.take(&unwritten(&pick, layout, &batch.stream.name, &e), batch, result) {
                    break;
                }
            }
            if result.failed.is_none() {
                decided.settle(run.to, batch, &mut self.failures, result);
            }
            if result.failed.is_some() {
                break;
            }
        }
        self.blocks.cut(&mut result.blocks);
        self.failures.cut(result);
    }
}

fn broken(step: &Name, stream: &Name, why: &str) -> Error {
    Error::new("transform.binding", weir_api::Cure::None, format!("`{step}` cannot be bound to `{stream}`: {why}"))
        .help("the transform returned a binding that does not fit the record: this is a fault of the transform")
}

fn unwritten(pick: &Pick, layout: &Layout, stream: &Name, e: &Unwritten) -> Failed {
    let (at, failure) = match e {
        Unwritten::Row(e) => {
            let place = if e.place.is_empty() { e.part.to_string() } else { format!("{}.{}", e.part, e.place) };
            let message = format!("`{place}` holds a value that its schema does not allow");
            (At::Converter, Failure::new("org.apache.kafka.connect.errors.DataException", message))
        }
        Unwritten::TooLarge { bytes, most, topic, code } => {
            let message = format!("a record of `{stream}` takes {bytes} bytes, and {topic} takes {most}");
            (At::Sink, Failure::new(code, message))
        }
    };
    let (row, origin, layout) = (pick.row, pick.origin, Arc::new(layout.clone()));
    Failed { row, origin, at, layout, failure, log: None }
}

// === impl Decided ===

impl Decided {
    fn reset(&mut self) {
        self.decision.clear();
        self.failures.clear();
        (self.pick, self.fail) = (0, 0);
    }

    /// The first row before `to` that ends the task, or `to`.
    fn first_fatal(&self, to: u32, failures: &Failures) -> u32 {
        let ahead = self.failures.iter().skip(self.fail).take_while(|f| f.origin < to);
        ahead.filter(|f| failures.is_fatal(f)).map(|f| f.origin).next().unwrap_or(to)
    }

    /// Does what is to be done about the rows before `to` that failed, up to one that ends the task.
    fn settle(&mut self, to: u32, batch: &Batch, failures: &mut Failures, result: &mut Blocks) {
        while let Some(failed) = self.failures.get(self.fail).filter(|f| f.origin < to) {
            self.fail += 1;
            if failures.take(failed, batch, result) {
                return;
            }
        }
    }
}
