//! A guest as a step of a chain: what it says of shapes is kept, its rows are handed over a batch at a time, and an instance that
//! was spoiled is replaced.

mod ask;
mod rescue;

use crate::gather::{Scoop, fill};
use crate::instance::{Instance, Step, Stop};
use crate::output::{Part, Whole};
use crate::shape::Fields;
use crate::shapes::{Bound, MOST_ADDED, Shapes};
use crate::sketch::Sketch;
use crate::{Limits, Module, binding, typed_json, weight, wit};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tracing::warn;
use weir_api::{Applied, Cure, Error, Met, Transform, Usage};
use weir_model::{Batch, Bind, BindError, Binding, Call, Failure, Fault, Name, Shape};

pub(crate) struct Guest {
    module: Module,
    step: Step,
    options: Vec<(String, Option<String>)>,
    limits: Limits,
    /// None: the last one was spoiled, or grew too big
    instance: Option<Instance>,
    /// instances so far
    serial: u64,
    shapes: Shapes,
    /// one of its bindings is stateful
    is_ordered: bool,
    batch: wit::Batch,
    scoop: Scoop,
    typed: typed_json::Reader,
    /// what the call that failed last had logged
    logged: Option<Name>,
    /// bytes that the instance had when it was configured
    fresh: usize,
    /// instances that were let go because they had grown too big
    recycled: u64,
    /// when that was told last
    told: Option<Instant>,
    /// when this instance was begun, and the time that its batches took since
    life: (Instant, Duration),
}

/// Rows that did not come back.
enum Refused {
    /// a cell of this row cannot be read
    Malformed,
    /// the guest says no to the whole batch
    Failure(Failure),
    Stop(Stop),
}

/// What a call of `apply` is about.
struct Work<'a> {
    shape: u32,
    bound: Bound,
    calls: &'a [Call],
    batch: &'a Batch,
    rows: &'a [(u16, u32)],
    /// in the step's own time
    began: Duration,
}

/// The time of an instance that outgrew its memory so soon was wasted.
const SHORT_LIFE: Duration = Duration::from_secs(1);

/// Who makes a thousand bytes of each that he was given wastes time,
const BLOWN_UP: usize = 1000;
/// where that is much.
const MOST_GIVEN: usize = 1 << 20;

/// Guests that leak are told of so often.
const TELL: Duration = Duration::from_secs(60);

// === impl Guest ===

impl Guest {
    pub fn new(
        module: Module,
        name: &str,
        options: Vec<(String, Option<String>)>,
        limits: Limits,
    ) -> Result<Self, Error> {
        let step = Step::new(name, &limits);
        let instance = module.configured(&step, &options, &limits)?;
        let (fresh, instance) = (instance.used(), Some(instance));
        let (shapes, scoop, typed) = Default::default();
        let batch = wit::Batch { shape: 0, rows: 0, columns: vec![] };
        let (serial, is_ordered, logged, recycled, told) = (1, false, None, 0, None);
        Ok(Guest {
            module,
            step,
            options,
            limits,
            instance,
            serial,
            shapes,
            is_ordered,
            batch,
            scoop,
            typed,
            logged,
            fresh,
            recycled,
            told,
            life: (Instant::now(), Duration::ZERO),
        })
    }

    /// The guest wasted its time since then.
    fn wasted(&mut self, began: Duration) {
        if self.step.courtesy.wasted(self.step.courtesy.time().saturating_sub(began)) {
            let step = &self.step.name;
            warn!(%step, "a guest wastes time beyond its limits: this pipeline gives way to others from now on")
        }
    }

    /// An instance; a fresh one if need be. Err: it cannot be started or configured any more.
    fn instance(&mut self) -> Result<&mut Instance, Error> {
        let instance = match self.instance.take() {
            Some(instance) => instance,
            None => {
                self.serial += 1;
                let made = self.module.configured(&self.step, &self.options, &self.limits).map_err(|e| {
                    Error::new(e.code(), Cure::None, format!("a fresh instance cannot be configured: {e}"))
                })?;
                self.fresh = made.used();
                self.life = (Instant::now(), Duration::ZERO);
                made
            }
        };
        Ok(self.instance.insert(instance))
    }

    /// Lets an instance go whose memory has grown too big, for memory of a guest never shrinks; what a stateful one knows is worth
    /// more.
    fn recycle(&mut self) -> bool {
        let used = self.instance.as_ref().map(Instance::used).filter(|_| !self.is_ordered);
        let Some(used) = used.filter(|used| *used > self.limits.recycle_at(self.fresh)) else { return false };
        self.instance = None;
        self.recycled += 1;
        if self.told.is_none_or(|at| at.elapsed() >= TELL) {
            self.told = Some(Instant::now());
            let (step, used, fresh, recycled) = (&self.step.name, used >> 10, self.fresh >> 10, self.recycled);
            warn!(%step, recycled, "the guest leaks: it began with {fresh} KiB of memory, has {used} KiB and is begun anew");
        }
        true
    }

    /// Hands rows over once. Outer Err: the transform cannot go on.
    fn attempt(
        &mut self,
        work: &Work,
        rows: &[(u16, u32)],
        time: Option<Duration>,
    ) -> Result<Result<Part, Refused>, Error> {
        self.step.courtesy.rest_if_long();
        let anew = self.instance.is_none().then(|| self.step.courtesy.time());
        self.ready(work.shape)?;
        if let Some(began) = anew {
            self.wasted(began);
        }
        let Guest { batch, scoop, .. } = self;
        (batch.shape, batch.rows) = (work.shape, rows.len() as u32);
        batch.columns.resize_with(work.bound.forms.len(), || wit::Column::Null);
        for (column, (field, form)) in batch.columns.iter_mut().zip(work.bound.forms.iter()) {
            if fill(column, form, *field, work.calls, work.batch, rows, scoop).is_err() {
                return Ok(Err(Refused::Malformed));
            }
        }
        let Some(instance) = &mut self.instance else {
            return Ok(Err(Refused::Stop(Stop::Trap("no instance".into()))));
        };
        let began = self.step.courtesy.time();
        let said = match instance.apply(&self.batch, time) {
            Ok(Ok(said)) => said,
            Ok(Err(refusal)) => return Ok(Err(Refused::Failure(binding::failure(&refusal)))),
            Err(stop) => {
                self.logged = instance.logged();
                self.instance = None;
                self.wasted(began);
                return Ok(Err(Refused::Stop(stop)));
            }
        };
        // looked at only where a row failed
        self.logged = if said.errors.is_empty() { None } else { instance.logged() };
        if said.errors.iter().any(|e| e.failure.message.len() > binding::MOST_MESSAGE) {
            self.wasted(began);
        }
        let part = self.take(work, said, rows.len());
        match part {
            Ok(mut part) => {
                if part.bytes > MOST_GIVEN && part.bytes / BLOWN_UP > self.given() {
                    self.wasted(began);
                }
                part.logged(self.logged.clone());
                Ok(Ok(part))
            }
            Err(e) => {
                self.instance = None;
                self.wasted(began);
                Ok(Err(Refused::Stop(Stop::Output(e))))
            }
        }
    }

    /// Bytes of the batch that the guest was given.
    fn given(&self) -> usize {
        self.batch.columns.iter().map(weight::column).sum()
    }

    /// Checks an output. Err: malformed.
    fn take(&mut self, work: &Work, said: wit::Output, rows: usize) -> Result<Part, String> {
        let mut room = self.limits.memory.saturating_sub(self.shapes.kept());
        let (mut kept, mut repeats) = (0, false);
        let Some(known) = self.shapes.use_(work.shape) else { return Err("no such shape".into()) };
        // one that adds for every batch what it has added would grow the list for ever; nothing is done for those too many
        if known.own_added.len() + said.added.len() > MOST_ADDED {
            return Err("more added layouts than a shape may have".into());
        }
        if let (false, Some(Ok(bound))) = (said.added.is_empty(), &mut known.said) {
            let fields = Fields::new(&known.shape);
            let types: Vec<_> = bound.said.computes.iter().map(|c| c.ty.clone()).collect();
            for (i, edits) in said.added.iter().enumerate() {
                let bytes = weight::layout(edits);
                let edits = Sketch::new(&fields, &types).layout(edits).map_err(|e| format!("added layout {i}: {e}"))?;
                // a new instance adds again what an old one had added
                let number = match bound.find(&edits, &known.added) {
                    Some(number) => number,
                    None => {
                        room = room.checked_sub(bytes).ok_or("more in its added layouts than is kept of them")?;
                        kept += bytes;
                        bound.add(edits, &mut known.added).ok_or("more added layouts than a shape may have")?
                    }
                };
                repeats |= known.own_added.contains(&number);
                known.own_added.push(number)
            }
        }
        let (base, own) = (work.bound.base, &known.own_added);
        let layout = |l: u32| if l < base { Some(l) } else { own.get((l - base) as usize).copied() };
        let part =
            Part::read(said, &work.bound.said, rows, &self.step.name, layout, self.limits.lifted, &mut self.typed);
        self.shapes.keep(work.shape, kept, usize::MAX);
        if repeats {
            self.wasted(work.began);
        }
        part
    }

    /// The numbers that layouts have in this program: those that were added since it was made are added to it now.
    fn applied(&self, work: &Work, part: Part) -> Result<Applied, Error> {
        let Part { rows, layouts, columns, errors, logs, .. } = part;
        let mut added = vec![];
        let highest = layouts.iter().max().copied().unwrap_or(0);
        let step = work.calls.get(work.rows.first().map_or(0, |r| r.0 as usize)).map(|c| c.step);
        let same = work.calls.iter().filter(|c| c.shape == work.shape && Some(c.step) == step);
        let (least, most) =
            same.fold((u32::MAX, 0), |(a, b), c| (a.min(c.then.len() as u32), b.max(c.then.len() as u32)));
        if highest >= least {
            let known = self.shapes.get(work.shape).and_then(|k| k.said.as_ref()?.as_ref().ok());
            let Some(bound) = known.filter(|b| least == most && most <= b.layouts()) else {
                return Err(self.unknown_layouts("added layouts while others of its shape were bound"));
            };
            added = bound.binding.layouts.get(least as usize..).unwrap_or_default().to_vec();
        }
        Ok(Applied { added, rows, layouts, columns, errors, logs })
    }
}

impl Bind for Guest {
    fn bind(&mut self, shape: &Shape) -> Result<(u32, Arc<Binding>), Fault> {
        let (number, gone) = self.shapes.intern(shape);
        self.unbind(gone);
        match self.bind_number(number) {
            Ok(Ok(binding)) => Ok((number, binding)),
            Ok(Err(failure)) => Err(Fault::Rows(failure)),
            Err(e) => Err(Fault::Broken(BindError(e))),
        }
    }
}

impl Transform for Guest {
    fn module(&self) -> Option<String> {
        Some(format!("{}@sha256:{}", self.module.name(), self.module.digest()))
    }

    fn apply(&mut self, calls: &[Call], batch: &Batch, rows: &[(u16, u32)]) -> Result<Applied, Error> {
        let Some(call) = rows.first().and_then(|r| calls.get(r.0 as usize)) else { return Ok(Applied::default()) };
        let bound = self.recall(call.shape, call)?;
        let work = Work { shape: call.shape, bound, calls, batch, rows, began: self.step.courtesy.time() };
        let part = match self.attempt(&work, rows, None)? {
            Ok(part) => part,
            Err(Refused::Failure(failure)) => Part::failed(rows.len(), work.bound.said.computes.len(), &failure),
            Err(refused) => {
                let mut whole = Whole::new(work.bound.said.computes.len());
                let all: Vec<u32> = (0..rows.len() as u32).collect();
                self.rescue(&work, &all, refused, &mut whole)?;
                whole.into_part()
            }
        };
        // more lines than rows, beyond what may be written
        let floods = self.step.dam.held_back() > rows.len() as u64;
        let now = self.step.courtesy.time();
        self.life.1 += now.saturating_sub(work.began);
        match self.recycle() {
            // it is begun anew again and again
            true if self.life.0.elapsed() < SHORT_LIFE => self.wasted(now.saturating_sub(self.life.1)),
            _ if floods => self.wasted(work.began),
            _ => {}
        }
        self.step.courtesy.rest();
        self.applied(&work, part)
    }

    fn shapes(&self) -> Vec<Met> {
        self.shapes.met()
    }

    fn rest(&mut self) {
        self.step.courtesy.rest_if_long();
    }

    fn usage(&self) -> Option<Usage> {
        let memory = self.instance.as_ref().map_or(0, Instance::used) as u64;
        Some(Usage { memory, recycled: self.recycled })
    }
}
