//! What happens to a window: rules on cells, columns into guests and back, the composed layout's writer, blocks for the sink.

mod call;
mod columns;

use crate::blocks::{BlockWriter, Blocks};
use std::collections::HashMap;
use std::sync::Arc;
use weir_api::{Error, Route, Transform};
use weir_model::{Batch, Converter, Decision, Failure, Name, Pick, Program, Stream, Window, Writer};

/// What becomes of a row that a step refuses.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum OnError {
    /// the task ends at that row
    #[default]
    Fail,
    /// the row is dropped and counted
    Skip,
}

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

/// A row that no step and no converter could take: which, where, and why. Holds no value of it (invariant 8).
#[derive(Clone, PartialEq, Debug)]
pub struct RowFailure {
    /// "filter", or "converter"
    pub step: Name,
    /// the stream, for people: "public.orders"
    pub stream: Name,
    pub failure: Failure,
}

/// A chain, and what it has bound and compiled so far.
pub struct Chain {
    steps: Vec<Step>,
    converters: Converters,
    bound: HashMap<u64, Bound>,
    blocks: BlockWriter,
    decisions: Vec<Decided>,
}

/// The chain bound to one stream.
struct Bound {
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
    failures: Vec<(u32, RowFailure, OnError)>,
}

/// Streams bound at one time. Beyond it those of old schemas are let go; they are bound again if they come back.
const MOST_STREAMS: usize = 10_000;

// === impl Chain ===

impl Chain {
    /// `block_bytes`: a block is cut when it holds so many.
    pub fn new(steps: Vec<Step>, converters: Converters, block_bytes: usize) -> Self {
        Chain { steps, converters, bound: HashMap::new(), blocks: BlockWriter::new(block_bytes), decisions: vec![] }
    }

    /// Runs a window. Err: the chain itself cannot go on (a transform broke its contract, a layout cannot be written).
    pub fn run(&mut self, window: &mut Window) -> Result<Blocks, Error> {
        let mut result = Blocks { rows: window.rows() as u64, ..Default::default() };
        let mut decisions = std::mem::take(&mut self.decisions);
        decisions.resize_with(decisions.len().max(window.batches.len()), Decided::default);
        for (batch, decided) in window.batches.iter_mut().zip(&mut decisions) {
            self.decide(batch, decided, &mut result)?;
        }
        self.write(window, &mut decisions, &mut result);
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
        for (row, failure) in &decided.decision.failed {
            if let Some((step, failure)) = bound.program.failures.get(*failure as usize) {
                let (name, on_error) = self.step(*step);
                let failed = RowFailure { step: name, stream: batch.stream.name.clone(), failure: failure.clone() };
                decided.failures.push((*row, failed, on_error))
            }
        }
        decided.failures.sort_by_key(|f| f.0);
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

    /// A step's name, for counters.
    pub fn step_name(&self, index: u16) -> Name {
        self.step(index).0
    }

    fn step(&self, index: u16) -> (Name, OnError) {
        self.steps.get(index as usize).map_or(("".into(), OnError::Fail), |s| (s.name.clone(), s.on_error))
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
        let mut bound = Bound { program, writers: vec![] };
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
            let stop = decided.fail_until(run.to, result);
            while let Some(pick) = decided.decision.picks.get(decided.pick) {
                if pick.origin >= stop {
                    break;
                }
                decided.pick += 1;
                let Some(writer) = bound.writers.get_mut(pick.layout as usize) else { continue };
                let Err(e) = self.blocks.write(writer, batch, pick.row, result) else { continue };
                let failed = unwritten(batch, &e);
                match self.converters.on_error {
                    OnError::Skip => *result.skipped.entry(failed.step).or_default() += 1,
                    OnError::Fail => {
                        result.failed = Some(failed);
                        break;
                    }
                }
            }
            if result.failed.is_some() {
                break;
            }
        }
        self.blocks.cut(result);
    }
}

fn broken(step: &Name, stream: &Name, why: &str) -> Error {
    Error::new("transform.binding", weir_api::Cure::None, format!("`{step}` cannot be bound to `{stream}`: {why}"))
        .help("the transform returned a binding that does not fit the record: this is a fault of the transform")
}

fn unwritten(batch: &Batch, e: &weir_model::RowError) -> RowFailure {
    let place = if e.place.is_empty() { e.part.to_string() } else { format!("{}.{}", e.part, e.place) };
    let message = format!("`{place}` holds a value that its schema does not allow");
    RowFailure {
        step: "converter".into(),
        stream: batch.stream.name.clone(),
        failure: Failure::new("org.apache.kafka.connect.errors.DataException", message),
    }
}

// === impl Decided ===

impl Decided {
    fn reset(&mut self) {
        self.decision.clear();
        self.failures.clear();
        (self.pick, self.fail) = (0, 0);
    }

    /// Counts the rows before `to` that failed; the row that ends the task, or `to`.
    fn fail_until(&mut self, to: u32, result: &mut Blocks) -> u32 {
        while let Some((row, failed, on_error)) = self.failures.get(self.fail) {
            if *row >= to {
                break;
            }
            self.fail += 1;
            match on_error {
                OnError::Fail => {
                    result.failed = Some(failed.clone());
                    return *row;
                }
                OnError::Skip => *result.skipped.entry(failed.step.clone()).or_default() += 1,
            }
        }
        to
    }
}
