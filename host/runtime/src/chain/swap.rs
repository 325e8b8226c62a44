//! Other code for steps of a chain that runs: bound to everything that the chain is bound to before it takes a row, or not taken.

use super::{Bound, Chain, Step, broken};
use crate::swaps::Offered;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use weir_api::{Cure, Error, Met};
use weir_model::{Bind, Binding, Failure, Fault, Name, Program, Shape, Stream};

/// Steps that refuse a shape of a stream, and how.
type Refusals = Vec<(u16, Failure)>;

/// A step that is listened to while it is bound.
struct Listening<'a> {
    step: u16,
    to: &'a mut dyn Bind,
    refused: &'a mut Refusals,
}

impl Bind for Listening<'_> {
    fn bind(&mut self, shape: &Shape) -> Result<(u32, Arc<Binding>), Fault> {
        let said = self.to.bind(shape);
        if let Err(Fault::Rows(failure)) = &said {
            self.refused.push((self.step, failure.clone()))
        }
        said
    }
}

/// Binds a stream to steps, and what they refuse of it.
fn refusals(steps: &mut [Step], stream: &Stream) -> (Result<Program, Error>, Refusals) {
    let mut refused = vec![];
    let mut program = stream.program.clone();
    for (step, i) in steps.iter_mut().zip(0u16..) {
        let mut listening = Listening { step: i, to: step.transform.as_mut(), refused: &mut refused };
        match program.then(i, &mut listening) {
            Ok(next) => program = next,
            Err(e) => return (Err(broken(&step.name, &stream.name, &e.0)), refused),
        }
    }
    (Ok(program), refused)
}

/// Streams that are bound to other code already, while the chain still runs the old one.
#[derive(Default)]
pub struct Prepared {
    left: Vec<Arc<Stream>>,
    bound: HashMap<u64, Bound>,
}

impl Chain {
    /// The code of each step that has some, by the step's name.
    pub fn modules(&self) -> Vec<(Name, Name)> {
        self.failures.modules()
    }

    /// What a step has met by now.
    pub fn shapes(&self, step: usize) -> Vec<Met> {
        self.steps.get(step).map(|s| s.transform.shapes()).unwrap_or_default()
    }

    /// Puts other code in the place of steps, between two windows. What ran comes back in `offered`; on an error what was offered,
    /// and the chain is as it was.
    ///
    /// Err: `transform.binding`, `chain.unwritable` (the new code, or a step behind it, cannot be bound to a stream that is in
    /// use), `reload.shape` (it refuses a shape whose rows went through before), `reload.step` (there is no such step).
    pub fn swap(&mut self, offered: &mut [Offered]) -> Result<(), Error> {
        let mut prepared = Prepared::default();
        while !self.prepare(offered, &mut prepared, Duration::from_secs(1))? {}
        Ok(())
    }

    /// The same in slices, for many streams take long to bind: windows may pass between two of them, through the old code. True:
    /// the new code runs.
    pub fn prepare(
        &mut self,
        offered: &mut [Offered],
        prepared: &mut Prepared,
        slice: Duration,
    ) -> Result<bool, Error> {
        if let Some((at, _)) = offered.iter().find(|(at, _)| *at >= self.steps.len()) {
            return Err(Error::new("reload.step", Cure::None, format!("there is no step {at}")));
        }
        let began = Instant::now();
        loop {
            let Some(stream) = prepared.left.pop() else {
                // those that came meanwhile, too
                let left = self.bound.values().filter(|b| !prepared.bound.contains_key(&b.stream.id));
                prepared.left = left.map(|b| b.stream.clone()).collect();
                if prepared.left.is_empty() {
                    break;
                }
                continue;
            };
            let bound = self.bound_to(offered, &stream)?;
            prepared.bound.insert(stream.id, bound);
            if began.elapsed() >= slice {
                return Ok(false);
            }
        }
        self.exchange(offered.iter_mut());
        self.bound = std::mem::take(&mut prepared.bound);
        self.failures.run(self.steps.iter().map(|s| s.transform.module().map(Name::from)));
        Ok(true)
    }

    fn exchange<'a>(&mut self, offered: impl Iterator<Item = &'a mut Offered>) {
        for (at, transform) in offered {
            self.steps.get_mut(*at).into_iter().for_each(|s| std::mem::swap(&mut s.transform, transform))
        }
    }

    /// A stream bound to the steps with other code in them, which may refuse of it only what was refused before.
    fn bound_to(&mut self, offered: &mut [Offered], stream: &Arc<Stream>) -> Result<Bound, Error> {
        let before = refusals(&mut self.steps, stream).1;
        self.exchange(offered.iter_mut());
        let (program, now) = refusals(&mut self.steps, stream);
        self.exchange(offered.iter_mut().rev());
        if let Some((step, failure)) = now.iter().find(|(step, _)| !before.iter().any(|b| b.0 == *step)) {
            return Err(refused(&self.step_name(*step), &stream.name, failure));
        }
        let mut bound = Bound { stream: stream.clone(), program: program?, writers: vec![] };
        self.compile(&mut bound, stream)?;
        Ok(bound)
    }
}

fn refused(step: &Name, stream: &Name, failure: &Failure) -> Error {
    let Failure { code, message } = failure;
    Error::input("reload.shape", format!("`{step}` would refuse every row of `{stream}`: {code}: {message}"))
        .help("rows of this stream go through what runs now")
}
