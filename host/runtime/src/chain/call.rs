//! Rows that a guest has to be asked about: handed over a shape at a time, and what is made of them put where they were, so that
//! records of one row leave in their order although some of them went to a guest and others did not (invariant 5).

use super::columns::{append, pick, repeat, scatter};
use super::{Bound, Chain, Decided, broken};
use crate::failures::{At, Failed};
use std::sync::Arc;
use weir_api::{Applied, Error};
use weir_model::{Batch, Bind, Call, Column, Pick, Program, Stream};

/// A step and its number of a shape: what is asked about in one go.
type Question = (u16, u32);

fn question(program: &Program, pick: &Pick) -> Question {
    program.calls.get(pick.layout as usize).map_or((u16::MAX, 0), |c| (c.step, c.shape))
}

/// What to ask next: all records of a shape, or, where a guest has to see them in their order, those before another shape.
fn next(program: &Program, picks: &[Pick]) -> (Question, Vec<Pick>) {
    let open = || picks.iter().filter(|p| p.open);
    let least = open().map(|p| question(program, p)).min().unwrap_or_default();
    let of_step = || open().filter(|p| question(program, p).0 == least.0);
    let is_ordered = |p: &Pick| program.calls.get(p.layout as usize).is_some_and(|c| c.binding.ordered);
    if !of_step().any(is_ordered) {
        return (least, of_step().filter(|p| question(program, p) == least).copied().collect());
    }
    let first = of_step().map(|p| question(program, p)).next().unwrap_or_default();
    (first, of_step().take_while(|p| question(program, p) == first).copied().collect())
}

impl Chain {
    /// Asks the first guest that is waited for about its rows. What it makes of them may be open again, for a later step.
    pub(super) fn call(&mut self, bound: &mut Bound, batch: &mut Batch, decided: &mut Decided) -> Result<(), Error> {
        let (first, asked) = next(&bound.program, &decided.decision.picks);
        let rows: Vec<(u16, u32)> = asked.iter().map(|p| (p.layout, p.row)).collect();
        let (index, shape) = first;
        let Some(step) = self.steps.get_mut(index as usize).filter(|_| !rows.is_empty()) else {
            return Err(broken(&"?".into(), &batch.stream.name, "a step that the chain does not have"));
        };
        let name = step.name.clone();
        let mut applied = step.transform.apply(&bound.program.calls, batch, &rows)?;
        for edits in &applied.added {
            self.add(bound, &batch.stream.clone(), index, shape, edits)?;
        }
        let mut failed = vec![false; rows.len()];
        for (i, failure) in applied.errors.drain(..) {
            let Some(pick) = asked.get(i as usize) else { continue };
            failed.get_mut(i as usize).into_iter().for_each(|f| *f = true);
            let Some(call) = bound.program.calls.get(pick.layout as usize) else { continue };
            let log = applied.logs.iter().find(|(row, _)| *row == i).map(|(_, lines)| lines.clone());
            let (row, origin, at, layout) = (pick.row, pick.origin, At::Step(index), call.layout.clone());
            decided.failures.push(Failed { row, origin, at, layout, failure, log });
        }
        let taken = take_back(&bound.program, batch, decided, &asked, &failed, applied);
        taken.ok_or_else(|| broken(&name, &batch.stream.name, "a layout that it does not have"))
    }

    /// A layout that a guest's values showed to be needed, for every layout of the record that the shape stands for.
    fn add(
        &mut self,
        bound: &mut Bound,
        stream: &Arc<Stream>,
        step: u16,
        shape: u32,
        edits: &[weir_model::Edit],
    ) -> Result<(), Error> {
        let name = self.step_name(step);
        for call in 0..bound.program.calls.len() {
            let Some(c) = bound.program.calls.get(call) else { continue };
            if (c.step, c.shape) != (step, shape) {
                continue;
            }
            let behind = self.steps.iter_mut().enumerate().skip(step as usize + 1);
            let mut behind: Vec<(u16, &mut dyn Bind)> =
                behind.map(|(i, s)| (i as u16, s.transform.as_mut() as &mut dyn Bind)).collect();
            let added = bound.program.add(call as u16, edits, &mut behind);
            added.map_err(|e| broken(&name, &stream.name, &e.0))?;
        }
        self.compile(bound, stream)
    }
}

/// None: a layout that was not agreed upon.
fn take_back(
    program: &Program,
    batch: &mut Batch,
    decided: &mut Decided,
    asked: &[Pick],
    failed: &[bool],
    applied: Applied,
) -> Option<()> {
    let Applied { rows: chosen, layouts, columns, .. } = applied;
    // for each output the index of what was asked, which never descends
    let from = chosen.unwrap_or_else(|| (0..asked.len() as u32).collect());
    let made: Vec<u32> = from.iter().filter_map(|i| Some(asked.get(*i as usize)?.row)).collect();
    let first = asked.first()?;
    let places = settle(batch, program.calls.get(first.layout as usize)?, program.columns as usize, columns, &made);
    let first = question(program, first);
    let decision = &mut decided.decision;
    let mut before = std::mem::replace(&mut decision.picks, std::mem::take(&mut decided.spare));
    decision.open -= asked.len();
    let (mut outputs, mut number) = (from.iter().zip(&places).enumerate().peekable(), 0u32);
    for pick in before.drain(..) {
        if !pick.open || question(program, &pick) != first || number as usize >= asked.len() {
            decision.picks.push(pick);
            continue;
        }
        let has_failed = failed.get(number as usize).copied().unwrap_or(true);
        let mut is_left_out = !has_failed;
        while let Some((i, (_, row))) = outputs.next_if(|(_, (from, _))| **from == number) {
            if has_failed {
                continue;
            }
            is_left_out = false;
            let layout = layouts.get(i).copied().unwrap_or(0) as usize;
            let fate = program.calls.get(pick.layout as usize)?.then.get(layout)?;
            fate.walk(batch, batch.rows.get(*row as usize)?, *row, pick.origin, decision);
        }
        if is_left_out {
            decision.dropped.push((pick.row, program.calls.get(pick.layout as usize)?.left_out))
        }
        number += 1;
    }
    decided.spare = before;
    Some(())
}

/// Lays computed columns on the batch's rows, and returns the row of each output: the one it was made from (`made`), or a copy of
/// that if another output of this guest is there already, for both compute the same columns. What an ordered guest computed
/// when it was asked before stays where it is: then all are copies.
fn settle(batch: &mut Batch, call: &Call, width: usize, columns: Vec<Column>, made: &[u32]) -> Vec<u32> {
    let length = batch.rows.len();
    let mut order: Vec<u32> = (0..made.len() as u32).collect();
    let row_of = |i: &u32| made.get(*i as usize).copied().unwrap_or_default();
    let ascends = made.is_sorted();
    if !ascends {
        order.sort_by_key(row_of);
    }
    let computed = call.base as usize..call.base as usize + columns.len();
    let is_taken = batch.columns.get(computed.clone()).is_some_and(|c| c.iter().any(|c| !matches!(c, Column::Null)));
    let (mut places, mut first, mut dense, mut again) = (made.to_vec(), vec![], vec![], vec![]);
    for i in order {
        let row = row_of(&i);
        if is_taken || dense.last() == Some(&row) {
            places.get_mut(i as usize).into_iter().for_each(|p| *p = (length + again.len()) as u32);
            again.push((i, row));
        } else {
            first.push(i as usize);
            dense.push(row);
        }
    }
    batch.columns.resize(batch.columns.len().max(width), Column::Null);
    for (c, column) in computed.clone().zip(columns) {
        let Some(to) = batch.columns.get_mut(c) else { continue };
        if ascends && again.is_empty() {
            *to = scatter(column, &dense, length);
            continue;
        }
        if !is_taken {
            *to = scatter(pick(&column, first.iter().copied()), &dense, length);
        } else if matches!(to, Column::Null) {
            *to = scatter(pick(&column, std::iter::empty()), &[], length);
        }
        for (n, (i, _)) in again.iter().enumerate() {
            append(to, &column, *i, length + n);
        }
    }
    for (n, (_, row)) in again.iter().enumerate() {
        let others = batch.columns.iter_mut().enumerate().filter(|(c, _)| !computed.contains(c));
        others.for_each(|(_, column)| repeat(column, *row, length + n));
        if let Some(copy) = batch.rows.get(*row as usize).copied() {
            batch.rows.push(copy)
        }
    }
    places
}
