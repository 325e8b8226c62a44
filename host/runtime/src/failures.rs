//! Rows that fail: what is done about each, as its step or the converter has been told (invariant 4).

use crate::blocks::{BlockWriter, Blocks};
use crate::letters::{self, Reports};
use std::sync::Arc;
use weir_api::{Cure, Error, Told};
use weir_model::{Batch, Buffer, Failure, Layout, Meta, Name};

/// What becomes of a row that a step refuses.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum OnError {
    /// the task ends at that row
    #[default]
    Fail,
    /// the row is dropped and counted
    Skip,
    /// the record as it came into the step goes to the dead letters ([`Reports::dead_letters`])
    DeadLetter,
}

/// A row that no step and no converter could take: which, where, and why. Holds no value of it (invariant 8).
#[derive(Clone, PartialEq, Debug)]
pub struct RowFailure {
    /// "filter", "converter", or "sink"
    pub step: Name,
    /// the stream, for people: "public.orders"
    pub stream: Name,
    pub failure: Failure,
    /// by the sink, of records that it does not take
    pub told: Option<Told>,
}

/// A row that failed, and how the record as it came into what failed is made from it.
pub(crate) struct Failed {
    /// of the batch
    pub row: u32,
    /// the source's row
    pub origin: u32,
    pub at: At,
    pub layout: Arc<Layout>,
    pub failure: Failure,
    pub log: Option<Name>,
}

/// Where a row failed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum At {
    Step(u16),
    Converter,
    /// the record is larger than the sink takes
    Sink,
}

/// A place of the chain where rows can fail.
pub(crate) struct Stage {
    pub name: Name,
    /// the code that runs there
    pub module: Option<Name>,
    pub on_error: OnError,
}

/// What is done about rows that fail, by stage, and the dead letters that are written.
pub(crate) struct Failures {
    stages: Stages,
    /// of the sink's failures
    told: Option<Told>,
    reports: Option<Reports>,
    letters: BlockWriter,
}

struct Stages {
    steps: Vec<Stage>,
    converter: Stage,
    sink: Stage,
}

// === impl RowFailure ===

impl RowFailure {
    /// What ends the task.
    pub fn error(&self) -> Error {
        let RowFailure { step, stream, failure, told } = self;
        let message = format!("`{step}` failed for a row of `{stream}`: {}", failure.message);
        let place = if [CONVERTER, SINK].contains(&&**step) { "the sink" } else { "this step" };
        let way = format!(
            "set `on-error = \"dead-letter\"` for {place} to keep such rows aside, or \"skip\" to go on without them"
        );
        match told {
            Some(told) => {
                Error::new(told.code, Cure::None, failure.message.to_string()).help(format!("{}; or {way}", told.help))
            }
            None => Error::new("row.failed", Cure::None, message).help(format!("{way} ({})", failure.code)),
        }
    }
}

// === impl Stages ===

impl Stages {
    fn of(&self, at: At) -> &Stage {
        match at {
            At::Step(i) => self.steps.get(i as usize).unwrap_or(&self.converter),
            At::Converter => &self.converter,
            At::Sink => &self.sink,
        }
    }
}

// === impl Failures ===

impl Failures {
    pub fn new(steps: Vec<Stage>, converter: OnError, letters: BlockWriter) -> Self {
        let [converter, sink] =
            [CONVERTER, SINK].map(|name| Stage { name: name.into(), module: None, on_error: converter });
        Failures { stages: Stages { steps, converter, sink }, told: None, reports: None, letters }
    }

    /// What to do about records that the sink does not take.
    pub fn told(&mut self, told: Told) {
        self.told = Some(told)
    }

    pub fn report(&mut self, reports: Reports) {
        self.reports = Some(reports)
    }

    /// The code of each step that has some, by the step's name.
    pub fn modules(&self) -> Vec<(Name, Name)> {
        self.stages.steps.iter().filter_map(|s| Some((s.name.clone(), s.module.clone()?))).collect()
    }

    /// Other code runs in the steps: rows that fail from now on fail in it.
    pub fn run(&mut self, modules: impl Iterator<Item = Option<Name>>) {
        self.stages.steps.iter_mut().zip(modules).for_each(|(step, module)| step.module = module)
    }

    /// Whether such a row ends the task.
    pub fn is_fatal(&self, failed: &Failed) -> bool {
        match self.stages.of(failed.at).on_error {
            OnError::Fail => true,
            OnError::Skip => false,
            OnError::DeadLetter => self.reports.as_ref().is_none_or(|r| r.dead_letters.is_none()),
        }
    }

    /// Does what is to be done about a row; true: the task ends with it.
    pub fn take(&mut self, failed: &Failed, batch: &Batch, result: &mut Blocks) -> bool {
        self.log(failed, batch);
        let is_fatal = self.is_fatal(failed);
        let stage = self.stages.of(failed.at);
        let is_written = match (stage.on_error, &self.reports) {
            (OnError::DeadLetter, Some(reports)) if !is_fatal => {
                letters::write(&mut self.letters, reports, stage, failed, batch, &mut result.letters)
            }
            (OnError::Skip, _) => {
                *result.skipped.entry(stage.name.clone()).or_default() += 1;
                return false;
            }
            _ => false,
        };
        if is_written {
            *result.dead_letters.entry((stage.name.clone(), failed.failure.code.clone())).or_default() += 1;
            return false;
        }
        let (step, stream) = (stage.name.clone(), batch.stream.name.clone());
        let told = self.told.filter(|_| failed.at == At::Sink);
        result.failed = Some(RowFailure { step, stream, failure: failed.failure.clone(), told });
        true
    }

    /// Hands over the letters of a window.
    pub fn cut(&mut self, result: &mut Blocks) {
        self.letters.cut(&mut result.letters)
    }

    /// One line for each failure where that was asked for; the record in it only where that was asked for too (invariant 8).
    fn log(&self, failed: &Failed, batch: &Batch) {
        let Some(reports) = self.reports.as_ref().filter(|r| r.log) else { return };
        let step = &self.stages.of(failed.at).name;
        let Failure { code, message } = &failed.failure;
        let (pipeline, stream) = (&reports.pipeline, &batch.stream.name);
        let position = position(failed, batch);
        if !reports.log_records {
            tracing::warn!(%pipeline, %step, %stream, %code, position, "a row failed: {message}");
            return;
        }
        let text = |node| {
            let mut out = Buffer::default();
            letters::root(reports, node, failed, batch, &mut out);
            String::from_utf8_lossy(&out).into_owned()
        };
        let (key, value) = (text(&failed.layout.key), text(&failed.layout.value));
        tracing::warn!(%pipeline, %step, %stream, %code, position, key, value, "a row failed: {message}");
    }
}

/// The name of the stage behind the last step.
pub const CONVERTER: &str = "converter";

/// The name of what is behind it.
pub const SINK: &str = "sink";

/// Where the row stands in the source, as the envelope's `source.sequence` says it.
pub(crate) fn position(failed: &Failed, batch: &Batch) -> String {
    let Some(row) = batch.rows.get(failed.row as usize) else { return String::new() };
    String::from_utf8_lossy(batch.meta_text(row, Meta::Sequence, &mut [0; 64])).into_owned()
}
