//! A batch that came to grief: only the rows that did it fail.

use super::{Guest, Refused, Work};
use crate::gather::fill;
use crate::instance::Stop;
use crate::output::Whole;
use crate::wit;
use std::time::Duration;
use weir_api::Error;
use weir_model::Failure;

/// A batch that is cut up after timeouts costs at most so many times the limit of one call; what is left then fails.
const MOST_TIMES: u32 = 10;

// === impl Guest ===

impl Guest {
    /// Finds the rows that did it, by halving; the others go through. Rows of a stateful transform fail together, for a new
    /// instance does not know what the old one knew.
    pub(super) fn rescue(&mut self, work: &Work, at: &[u32], refused: Refused, whole: &mut Whole) -> Result<(), Error> {
        let stop = match refused {
            Refused::Failure(failure) => {
                whole.fail(at, &failure);
                return Ok(());
            }
            Refused::Malformed => return self.without_malformed(work, at, whole),
            Refused::Stop(stop) => stop,
        };
        let spent = self.step.courtesy.time().saturating_sub(work.began);
        let is_late = spent > self.limits.time_per_batch.saturating_mul(MOST_TIMES);
        if at.len() < 2 || work.bound.said.ordered || is_late {
            whole.fail(at, &Failure::new(stop.code(), stop.message(&self.step.name, "apply")));
            whole.logged(at, self.logged.take());
            return Ok(());
        }
        let (first, second) = at.split_at(at.len() / 2);
        for half in [first, second] {
            // as much less time as there are fewer rows, but not so little that a slow machine matters
            let share = self.limits.time_per_batch.mul_f64(half.len() as f64 / work.rows.len() as f64);
            let time = share.max(self.limits.time_per_batch / 8);
            self.again(work, half, Some(time), whole)?;
        }
        Ok(())
    }

    fn again(&mut self, work: &Work, at: &[u32], time: Option<Duration>, whole: &mut Whole) -> Result<(), Error> {
        let rows: Vec<(u16, u32)> = at.iter().filter_map(|i| work.rows.get(*i as usize).copied()).collect();
        match self.attempt(work, &rows, time)? {
            // Invariant 7: a batch that is cut up may keep no more than one that is not
            Ok(part) if whole.bytes() + part.bytes > self.limits.lifted => {
                let most = self.limits.lifted;
                let stop = Stop::Output(format!("columns of more than the {most} bytes that may be kept of a batch"));
                whole.fail(at, &Failure::new(stop.code(), stop.message(&self.step.name, "apply")));
            }
            Ok(part) => whole.push(at, part),
            Err(refused) => self.rescue(work, at, refused, whole)?,
        }
        Ok(())
    }

    /// Rows whose cells cannot be read fail; the others go on.
    fn without_malformed(&mut self, work: &Work, at: &[u32], whole: &mut Whole) -> Result<(), Error> {
        let mut column = wit::Column::Null;
        let (mut good, mut bad) = (vec![], vec![]);
        for i in at {
            let row = work.rows.get(*i as usize).map_or(&[][..], std::slice::from_ref);
            let mut forms = work.bound.forms.iter();
            let broken = forms.find(|(field, form)| {
                fill(&mut column, form, *field, work.calls, work.batch, row, &mut self.scoop).is_err()
            });
            match broken {
                None => good.push(*i),
                Some((field, _)) => bad.push((*i, *field)),
            }
        }
        for (i, field) in &bad {
            let known = self.shapes.get(work.shape).and_then(|k| k.shape.field(*field).map(|f| f.name.clone()));
            let name = known.unwrap_or_else(|| "?".into());
            let failure = Failure::new("guest.cell", format!("`{name}` holds bytes that its type does not allow"));
            whole.fail(&[*i], &failure)
        }
        match (good.is_empty(), bad.is_empty()) {
            (true, _) => Ok(()),
            // what failed together does not fail alone: impossible, and no reason to go round in circles
            (_, true) => {
                whole.fail(&good, &Failure::new("guest.cell", "a cell holds bytes that its type does not allow"));
                Ok(())
            }
            _ => self.again(work, &good, None, whole),
        }
    }
}
