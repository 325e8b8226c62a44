//! `weir dlq replay`: letters through the chain again, from the step that failed on, into the pipeline's sink.

use super::letter::Letter;
use super::replayed::{Marks, Replayed};
use super::rows::Rows;
use super::{place, ready};
use crate::args::{Common, Replay};
use crate::connectors;
use crate::failure::Failure;
use crate::file;
use crate::guests::Guests;
use crate::output::{Done, confirmed};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use weir_api::{Block, Cure, Error, Largest, Sink};
use weir_config::Plan;
use weir_runtime::{CONVERTER, Chain, OnError, RowFailure, SINK};

/// A letter is a block of its own, and each has so much room.
const BLOCK_BYTES: usize = 16 << 10;
/// Letters that are sent before they are noted.
const LETTERS_A_TIME: usize = 500;
/// How long the sink may take for them.
const LIMIT: Duration = Duration::from_secs(60);
const WAIT: Duration = Duration::from_millis(5);
/// Steps in a row that letters are sent through; letters of another step wait for what is under way.
type Through = (usize, Chain);

/// What became of the letters.
#[derive(Default)]
struct Outcome {
    replayed: usize,
    records: u64,
    /// (step, code) of those that fail again
    failed: BTreeMap<(String, String), usize>,
}

/// Letters on their way.
struct Replaying<'a> {
    plan: &'a Plan,
    guests: &'a Guests,
    largest: Largest,
    /// None: it is only looked at what would be sent
    out: Option<(Box<dyn Sink>, Marks)>,
    rows: Rows,
    through: Option<Through>,
    /// and the records that each became
    under_way: Vec<(Letter, u64)>,
    outcome: Outcome,
}

pub fn run(args: &Replay, common: &Common) -> Result<Done, Failure> {
    let guests = common.guests()?;
    let plan = ready(&file::plan(&args.file, args.worker.as_deref(), &guests)?)?;
    let known = Replayed::load(&common.data_dir(), &plan.name)?;
    let mut count = 0usize;
    waiting(&plan, args, &known, &mut |_| {
        count += 1;
        Ok(())
    })?;
    if count == 0 {
        let result = told(&plan, &Outcome::default(), args.dry_run);
        return Ok(Done { summary: "nothing to send again".into(), text: String::new(), result });
    }
    if !args.dry_run {
        eprintln!("this sends {count} letters of `{}` again, from the step that failed on", plan.name);
        eprintln!("their records come behind those that were sent since, also of the same key");
        if !args.yes && !confirmed()? {
            return Err(Error::input("dlq.not-confirmed", "nothing was sent").help("say `y`, or give --yes").into());
        }
    }
    // the marks are held from here on, and read again: what another replay sent meanwhile is not sent twice
    let marks = if args.dry_run { None } else { Some(known.open()?) };
    let known = Replayed::load(&common.data_dir(), &plan.name)?;
    let largest = connectors::largest(&plan);
    let out = marks.map(|marks| Ok::<_, Error>((connectors::sink(&plan, &largest)?, marks))).transpose()?;
    let (rows, through, under_way, outcome) = Default::default();
    let mut replaying = Replaying { plan: &plan, guests: &guests, largest, out, rows, through, under_way, outcome };
    let mut left = count;
    // read as they are sent: there may be more of them than there is memory
    let sent = waiting(&plan, args, &known, &mut |letter| match left {
        0 => Ok(()),
        _ => {
            left -= 1;
            replaying.send(letter)
        }
    });
    // what was sent is noted also where another letter could not be
    replaying.settle()?;
    sent?;
    Ok(done(&plan, &replaying.outcome, args.dry_run))
}

/// Letters that are wanted and were not sent again yet.
fn waiting(
    plan: &Plan,
    args: &Replay,
    known: &Replayed,
    each: &mut dyn FnMut(Letter) -> Result<(), Error>,
) -> Result<(), Error> {
    place::read(plan, &mut |letter| match args.selection.takes(&letter) && !known.has(&letter) {
        true => each(letter),
        false => Ok(()),
    })
}

fn done(plan: &Plan, outcome: &Outcome, dry_run: bool) -> Done {
    let Outcome { replayed, records, failed } = outcome;
    let verb = if dry_run { "would be sent" } else { "sent" };
    let summary = format!("{replayed} letters {verb} again, {records} records");
    let mut text = format!("{summary}\n");
    for ((step, code), n) in failed {
        text.push_str(&format!("{n} letters fail again: {step}\t{code}\n"))
    }
    Done { summary, text, result: told(plan, outcome, dry_run) }
}

fn told(plan: &Plan, outcome: &Outcome, dry_run: bool) -> Value {
    let failed: Vec<Value> =
        outcome.failed.iter().map(|((step, code), n)| json!({"step": step, "code": code, "letters": n})).collect();
    let Outcome { replayed, records, .. } = outcome;
    json!({"pipeline": plan.name, "dry-run": dry_run, "replayed": replayed, "records": records, "failed": failed})
}

// === impl Replaying ===

impl Replaying<'_> {
    fn send(&mut self, letter: Letter) -> Result<(), Error> {
        let first = step(self.plan, &letter)?;
        if self.through.as_ref().is_none_or(|(at, _)| *at != first) {
            // numbers of blocks begin anew with each chain
            self.settle()?;
            self.through = Some((first, chain(self.plan, self.guests, first)?.within(self.largest.clone())));
        }
        let mut window = match self.rows.window(&letter) {
            Ok(window) => window,
            Err(why) => {
                let message = format!("the letter {} cannot be sent again: {why}", letter.place());
                tracing::warn!("{message}");
                self.fails(letter.step, "dlq.unreadable".into());
                return Ok(());
            }
        };
        let Some((_, chain)) = &mut self.through else { return Ok(()) };
        let blocks = chain.run(&mut window)?;
        if let Some(RowFailure { step, failure, .. }) = blocks.failed {
            self.fails(step.to_string(), failure.code.to_string());
            return Ok(());
        }
        let delivered = match &mut self.out {
            Some((sink, _)) => deliver(sink.as_mut(), &blocks.blocks, LIMIT),
            None => Ok(()),
        };
        self.under_way.push((letter, blocks.records));
        match delivered {
            Ok(()) if self.under_way.len() < LETTERS_A_TIME => Ok(()),
            Err(e) if e.code() != weir_kafka::BATCH_TOO_LARGE => Err(e),
            _ => self.settle(),
        }
    }

    /// A topic takes less than was known: what is under way goes through the chain again, which knows it now.
    fn again(&mut self) -> Result<(), Error> {
        if let Some((sink, _)) = &mut self.out {
            *sink = connectors::sink(self.plan, &self.largest)?;
        }
        let letters = std::mem::take(&mut self.under_way);
        letters.into_iter().try_for_each(|(letter, _)| self.send(letter))
    }

    fn fails(&mut self, step: String, code: String) {
        *self.outcome.failed.entry((step, code)).or_default() += 1
    }

    /// Waits until what was sent is durable, and notes it only then.
    fn settle(&mut self) -> Result<(), Error> {
        if self.under_way.is_empty() {
            return Ok(());
        }
        while let Some((sink, _)) = &mut self.out {
            match sink.flush(Instant::now() + LIMIT, &mut vec![]) {
                Err(e) if e.code() == weir_kafka::BATCH_TOO_LARGE => self.again()?,
                Err(e) => return Err(e),
                Ok(()) => break,
            }
        }
        let (letters, records): (Vec<Letter>, Vec<u64>) = std::mem::take(&mut self.under_way).into_iter().unzip();
        if let Some((_, marks)) = &mut self.out {
            marks.add(&letters)?
        }
        self.outcome.replayed += letters.len();
        self.outcome.records += records.iter().sum::<u64>();
        Ok(())
    }
}

/// Hands everything over; waits for room no longer than `limit`.
fn deliver(sink: &mut dyn Sink, blocks: &[Arc<Block>], limit: Duration) -> Result<(), Error> {
    let deadline = Instant::now() + limit;
    for block in blocks {
        let mut from = 0;
        while from < block.records.len() {
            from = sink.deliver(block, from)?;
            sink.poll(if from < block.records.len() { WAIT } else { Duration::ZERO }, &mut vec![])?;
            if Instant::now() > deadline {
                let message = format!("the sink took nothing for {} s", limit.as_secs());
                return Err(Error::new("dlq.undelivered", Cure::None, message)
                    .help("what was not sent stays among the letters: replay again"));
            }
        }
    }
    Ok(())
}

/// The first step that the letter goes through again.
fn step(plan: &Plan, letter: &Letter) -> Result<usize, Error> {
    let at = plan.transforms.iter().position(|t| t.name == letter.step);
    match at {
        Some(at) if letter.module.is_some() || ![CONVERTER, SINK].contains(&letter.step.as_str()) => Ok(at),
        _ if [CONVERTER, SINK].contains(&letter.step.as_str()) => Ok(plan.transforms.len()),
        _ => {
            let message =
                format!("`{}` has no step `{}`, which the letter {} failed in", plan.name, letter.step, letter.place());
            let names: Vec<&str> = plan.transforms.iter().map(|t| t.name.as_str()).collect();
            let steps = if names.is_empty() { "none".into() } else { names.join(", ") };
            Err(Error::input("dlq.no-such-step", message)
                .help(format!("give the step its old name again, or choose letters with --step (there are: {steps})")))
        }
    }
}

/// The steps from `first` on; a letter that fails again stays one.
fn chain(plan: &Plan, guests: &Guests, first: usize) -> Result<Chain, Error> {
    let mut rest = plan.clone();
    rest.transforms.drain(..first.min(plan.transforms.len()));
    let mut steps = connectors::steps(&rest, guests)?;
    steps.iter_mut().for_each(|s| s.on_error = OnError::Fail);
    let converters = weir_runtime::Converters { on_error: OnError::Fail, ..connectors::converters(plan)? };
    Ok(Chain::new(steps, converters, BLOCK_BYTES))
}

#[cfg(test)]
mod tests {
    use super::*;
    use weir_api::{BlockId, Record};

    /// Takes one record, and then no more.
    #[derive(Default)]
    struct Stuck(usize);

    impl Sink for Stuck {
        fn deliver(&mut self, _: &Arc<Block>, from: usize) -> Result<usize, Error> {
            self.0 = from.max(1);
            Ok(self.0)
        }
        fn poll(&mut self, _: Duration, _: &mut Vec<BlockId>) -> Result<(), Error> {
            Ok(())
        }
        fn flush(&mut self, _: Instant, _: &mut Vec<BlockId>) -> Result<(), Error> {
            Ok(())
        }
    }

    #[test]
    fn a_sink_that_takes_no_more_is_waited_for_so_long() {
        let records = vec![Record::default(); 2];
        let block = Block { id: 0, data: vec![], records, header_ends: vec![], routes: [].into() };
        let mut sink = Stuck::default();
        let e = deliver(&mut sink, &[Arc::new(block)], Duration::from_millis(20)).unwrap_err();
        assert_eq!((e.code(), sink.0), ("dlq.undelivered", 1));
    }
}
