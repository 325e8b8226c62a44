//! Other code for steps of a chain that runs: bound to everything that the chain is bound to before it takes a row, or not taken.

use super::{Bound, Chain, Step, broken};
use crate::swaps::{InUse, Offered};
use std::collections::HashMap;
use std::sync::Arc;
use weir_api::{Cure, Error};
use weir_model::{Bind, Binding, Failure, Fault, Name, Program, Shape, Stream};

/// What a step was asked, and how it refused it if it did.
type Heard<'a> = dyn FnMut(u16, &Shape, Option<&Failure>) + 'a;

/// A step that is listened to while it is bound.
struct Listening<'a, 'b> {
    step: u16,
    to: &'a mut dyn Bind,
    heard: &'a mut Heard<'b>,
}

/// Steps that refuse a shape of a stream, and how.
type Refusals = Vec<(u16, Failure)>;

impl Bind for Listening<'_, '_> {
    fn bind(&mut self, shape: &Shape) -> Result<(u32, Arc<Binding>), Fault> {
        let said = self.to.bind(shape);
        let refused = match &said {
            Err(Fault::Rows(failure)) => Some(failure),
            _ => None,
        };
        (self.heard)(self.step, shape, refused);
        said
    }
}

/// Binds a stream to steps.
fn compose(steps: &mut [Step], stream: &Stream, heard: &mut Heard) -> Result<Program, Error> {
    let mut program = stream.program.clone();
    for (step, i) in steps.iter_mut().zip(0u16..) {
        let mut listening = Listening { step: i, to: step.transform.as_mut(), heard };
        program = program.then(i, &mut listening).map_err(|e| broken(&step.name, &stream.name, &e.0))?;
    }
    Ok(program)
}

fn refusals(steps: &mut [Step], stream: &Stream) -> (Result<Program, Error>, Refusals) {
    let mut all = vec![];
    let program = compose(steps, stream, &mut |step, _, refused| all.extend(refused.map(|f| (step, f.clone()))));
    (program, all)
}

impl Chain {
    /// The code of each step that has some, by the step's name.
    pub fn modules(&self) -> Vec<(Name, Name)> {
        self.failures.modules()
    }

    /// What a step is bound to by now.
    pub fn shapes(&mut self, step: usize) -> Vec<InUse> {
        let Some(steps) = self.steps.get_mut(..=step) else { return vec![] };
        let mut all = vec![];
        for bound in self.bound.values() {
            let mut own: Vec<InUse> = vec![];
            let mut note = |at: u16, shape: &Shape, refused: Option<&Failure>| {
                if at as usize == step && !own.iter().any(|o| *o.shape == *shape) {
                    own.push(InUse { shape: Arc::new(shape.clone()), is_refused: refused.is_some() })
                }
            };
            // it is bound, and so it can be bound
            let _ = compose(steps, &bound.stream, &mut note);
            all.append(&mut own)
        }
        all
    }

    /// Puts other code in the place of steps, between two windows. What ran comes back in `offered`; on an error what was offered,
    /// and the chain is as it was.
    ///
    /// Err: `transform.binding`, `chain.unwritable` (the new code, or a step behind it, cannot be bound to a stream that is in
    /// use), `reload.shape` (it refuses a shape whose rows went through before), `reload.step` (there is no such step).
    pub fn swap(&mut self, offered: &mut [Offered]) -> Result<(), Error> {
        if let Some((at, _)) = offered.iter().find(|(at, _)| *at >= self.steps.len()) {
            return Err(Error::new("reload.step", Cure::None, format!("there is no step {at}")));
        }
        let streams: Vec<Arc<Stream>> = self.bound.values().map(|b| b.stream.clone()).collect();
        let before: Vec<Refusals> = streams.iter().map(|s| refusals(&mut self.steps, s).1).collect();
        self.exchange(offered.iter_mut());
        match self.rebound(&streams, &before) {
            Ok(bound) => {
                self.bound = bound;
                self.failures.run(self.steps.iter().map(|s| s.transform.module().map(Name::from)));
                Ok(())
            }
            Err(e) => {
                self.exchange(offered.iter_mut().rev());
                Err(e)
            }
        }
    }

    fn exchange<'a>(&mut self, offered: impl Iterator<Item = &'a mut Offered>) {
        for (at, transform) in offered {
            self.steps.get_mut(*at).into_iter().for_each(|s| std::mem::swap(&mut s.transform, transform))
        }
    }

    /// All streams bound to the steps as they are now. A step may refuse of a stream only what it refused `before`.
    fn rebound(&mut self, streams: &[Arc<Stream>], before: &[Refusals]) -> Result<HashMap<u64, Bound>, Error> {
        let mut all = HashMap::with_capacity(streams.len());
        for (stream, before) in streams.iter().zip(before) {
            let (program, now) = refusals(&mut self.steps, stream);
            if let Some((step, failure)) = now.iter().find(|(step, _)| !before.iter().any(|b| b.0 == *step)) {
                return Err(refused(&self.step_name(*step), &stream.name, failure));
            }
            let mut bound = Bound { stream: stream.clone(), program: program?, writers: vec![] };
            self.compile(&mut bound, stream)?;
            all.insert(stream.id, bound);
        }
        Ok(all)
    }
}

fn refused(step: &Name, stream: &Name, failure: &Failure) -> Error {
    let Failure { code, message } = failure;
    Error::input("reload.shape", format!("`{step}` would refuse every row of `{stream}`: {code}: {message}"))
        .help("rows of this stream go through what runs now")
}
