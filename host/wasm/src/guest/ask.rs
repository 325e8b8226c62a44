//! What a guest says of shapes: asked once, kept, and held against what a later instance says.

use super::Guest;
use crate::form::Form;
use crate::shape::{self, Fields};
use crate::shapes::Bound;
use crate::{binding, weight};
use std::sync::Arc;
use weir_api::{Cure, Error};
use weir_model::{Binding, Call, Failure, Shape};

// === impl Guest ===

impl Guest {
    /// Asks the guest of a shape. Err: it broke its contract, or an instance cannot be made.
    fn ask(&mut self, number: u32) -> Result<Result<(Binding, usize), Failure>, String> {
        let Some(known) = self.shapes.get(number) else { return Err(format!("there is no shape {number}")) };
        let shape = known.shape.clone();
        let fields = Fields::new(&shape);
        let told = shape::write(number, &fields);
        let said = self.instance().map_err(|e| e.to_string())?.bind(&told);
        let said = match said {
            Ok(said) => said,
            Err(stop) => {
                self.instance = None;
                return Err(stop.message(&self.step.name, "bind"));
            }
        };
        let serial = self.serial;
        if let Some(known) = self.shapes.use_(number) {
            (known.instance, known.own_added) = (serial, vec![])
        }
        match said {
            Err(refusal) => Ok(Err(binding::failure(&refusal))),
            Ok(said) => match binding::read(&said, &fields) {
                Ok(binding) => Ok(Ok((binding, weight::binding(&said)))),
                Err(e) => {
                    Err(format!("`{}` handed back a binding that does not fit `{}`: {e}", self.step.name, shape.topic))
                }
            },
        }
    }

    pub(super) fn bind_number(&mut self, number: u32) -> Result<Result<Arc<Binding>, Failure>, String> {
        if let Some(said) = self.shapes.use_(number).and_then(|k| k.said.as_ref()) {
            return Ok(said.as_ref().map(|b| b.binding.clone()).map_err(Failure::clone));
        }
        let said = match self.ask(number)? {
            Err(refusal) => Err(refusal),
            Ok((_, bytes)) if bytes > weight::MOST_BINDING || !self.shapes.keep(number, bytes, self.limits.memory) => {
                return Err(format!("`{}` says more in its bindings than is kept of them", self.step.name));
            }
            Ok((binding, _)) => Ok(binding),
        };
        let Some(known) = self.shapes.use_(number) else { return Err(format!("there is no shape {number}")) };
        let said = said.map(|b| bound(b, &known.shape));
        let answer = said.as_ref().map(|b| b.binding.clone()).map_err(Failure::clone);
        self.is_ordered |= answer.as_ref().is_ok_and(|b| b.ordered);
        known.said = Some(said);
        Ok(answer)
    }

    /// Lets the guest forget a shape.
    pub(super) fn unbind(&mut self, gone: Option<u32>) {
        if let (Some(number), Some(instance)) = (gone, &mut self.instance)
            && instance.unbind(number).is_err()
        {
            self.instance = None
        }
    }

    /// Makes sure that the instance knows the shape, and says the same of it as before.
    pub(super) fn ready(&mut self, number: u32) -> Result<(), Error> {
        let broken = |e: String| Error::new("guest.bind", Cure::None, e);
        self.instance()?;
        let known = self.shapes.get(number).ok_or_else(|| broken(format!("there is no shape {number}")))?;
        if known.instance == self.serial {
            return Ok(());
        }
        let before = known.said.clone().map(|s| s.map(|b| b.said));
        let now = self.ask(number).map_err(broken)?;
        match (before, now) {
            (Some(Ok(before)), Ok((now, _))) if *before == now => Ok(()),
            _ => {
                let message = format!("`{}` says something else of a shape than it said before", self.step.name);
                Err(Error::retry("guest.changed", message).help("the pipeline starts again with what it says now"))
            }
        }
    }

    /// What is known of the shape that rows belong to, which may have been let go since their program was made.
    pub(super) fn recall(&mut self, number: u32, call: &Call) -> Result<Bound, Error> {
        if self.shapes.get(number).is_none() {
            let (shape, _) = call.layout.describe().map_err(|e| Error::new("guest.bind", Cure::None, e.0))?;
            let gone = self.shapes.restore(number, shape);
            self.unbind(gone);
        }
        let said = self.bind_number(number).map_err(|e| Error::new("guest.bind", Cure::None, e))?;
        let agreed = said.is_ok_and(|b| {
            let alike = || b.reads == call.binding.reads && b.computes == call.binding.computes;
            Arc::ptr_eq(&b, &call.binding) || alike()
        });
        let bound = self.shapes.get(number).and_then(|k| k.said.as_ref()?.as_ref().ok()).filter(|_| agreed);
        let bound = bound.cloned().ok_or_else(|| {
            Error::retry(
                "guest.changed",
                format!("`{}` says something else of a shape than it said before", self.step.name),
            )
        })?;
        if call.then.len() as u32 > bound.layouts() {
            // it was let go, and the numbers of what its values had added since are not known any more
            return Err(self.unknown_layouts("has forgotten what it added to a shape that it had not met for long"));
        }
        Ok(bound)
    }

    pub(super) fn unknown_layouts(&self, what: &str) -> Error {
        Error::retry("guest.layouts", format!("`{}` {what}", self.step.name))
    }
}

fn bound(said: Binding, shape: &Shape) -> Bound {
    let fields = Fields::new(shape);
    let form = |r: &weir_model::Read| Some((r.field, Form::new(r.repr, fields.types.get(r.field as usize)?)));
    let forms = said.reads.iter().filter_map(form).collect();
    let base = (said.layouts.len() as u32).max(1);
    let said = Arc::new(said);
    Bound { binding: said.clone(), said, base, forms }
}
