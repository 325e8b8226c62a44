//! What `apply` hands back, checked as a whole.

use crate::compute::{self, append};
use crate::{binding, typed_json, weight, wit};
use weir_model::{Binding, Column, Failure, Name};

/// A checked output, or several of them put together. Layouts are numbered as the shape numbers them.
#[derive(Default)]
pub(crate) struct Part {
    pub rows: Option<Vec<u32>>,
    pub layouts: Vec<u32>,
    pub columns: Vec<Column>,
    /// of the columns
    pub bytes: usize,
    pub errors: Vec<(u32, Failure)>,
    /// what was logged while a row failed
    pub logs: Vec<(u32, Name)>,
}

/// Parts of one batch, in its order.
pub(crate) struct Whole {
    rows: Vec<u32>,
    layouts: Vec<u32>,
    columns: Vec<Column>,
    bytes: usize,
    errors: Vec<(u32, Failure)>,
    logs: Vec<(u32, Name)>,
}

// === impl Part ===

impl Part {
    /// `layout`: the shape's number for a guest's one. `most`: bytes of columns. Err: malformed; holds no value.
    pub fn read(
        said: wit::Output,
        binding: &Binding,
        rows: usize,
        step: &str,
        layout: impl Fn(u32) -> Option<u32>,
        most: usize,
        typed: &mut typed_json::Reader,
    ) -> Result<Part, String> {
        if let Some(chosen) = &said.rows {
            if !chosen.is_sorted() {
                return Err("rows that descend".into());
            }
            if let Some(r) = chosen.last().filter(|r| **r as usize >= rows) {
                return Err(format!("row {r} of {rows} rows"));
            }
        }
        let count = said.rows.as_ref().map_or(rows, Vec::len);
        if !said.layouts.is_empty() && said.layouts.len() != count {
            return Err(format!("{} layouts for {count} rows", said.layouts.len()));
        }
        let mut layouts = said.layouts;
        for l in &mut layouts {
            *l = layout(*l).ok_or_else(|| format!("layout {l}, which the shape does not have"))?
        }
        if said.columns.len() != binding.computes.len() {
            return Err(format!("{} columns, and {} were agreed upon", said.columns.len(), binding.computes.len()));
        }
        let mut errors = vec![];
        for e in said.errors {
            if e.row as usize >= rows {
                return Err(format!("an error of row {} of {rows} rows", e.row));
            }
            errors.push((e.row, binding::failure(&e.failure)))
        }
        let bytes = said.columns.iter().map(weight::column).fold(0, usize::saturating_add);
        if bytes > most {
            return Err(format!("columns of {bytes} bytes, and {most} may be kept of a batch"));
        }
        let (mut columns, mut bad) = (Vec::with_capacity(binding.computes.len()), vec![]);
        for (i, (column, compute)) in said.columns.into_iter().zip(&binding.computes).enumerate() {
            let read = compute::read(column, compute, count, typed, &mut bad);
            columns.push(read.map_err(|e| format!("column {i}: {e}"))?);
            for (output, why) in bad.drain(..) {
                let row = said.rows.as_ref().map_or(Some(output), |r| r.get(output as usize).copied());
                let failure = Failure::new("guest.value", format!("`{step}` computed {why} (column {i})"));
                errors.extend(row.map(|r| (r, failure)))
            }
        }
        once(&mut errors);
        Ok(Part { rows: said.rows, layouts, columns, bytes, errors, logs: vec![] })
    }

    /// Notes what was logged in the call that made this part; lines of a call that failed several rows are about none of them alone.
    pub fn logged(&mut self, lines: Option<Name>) {
        if let (Some(lines), [(row, _)]) = (lines, self.errors.as_slice()) {
            self.logs.push((*row, lines))
        }
    }

    /// Every one of `rows` rows failed.
    pub fn failed(rows: usize, computes: usize, failure: &Failure) -> Part {
        let errors = (0..rows as u32).map(|r| (r, failure.clone())).collect();
        Part {
            rows: Some(vec![]),
            layouts: vec![],
            columns: vec![Column::Null; computes],
            bytes: 0,
            errors,
            logs: vec![],
        }
    }
}

/// A row fails once, of the first of its errors.
fn once(errors: &mut Vec<(u32, Failure)>) {
    errors.sort_by_key(|e| e.0);
    errors.dedup_by_key(|e| e.0)
}

// === impl Whole ===

impl Whole {
    pub fn new(computes: usize) -> Self {
        let columns = vec![Column::Null; computes];
        Whole { rows: vec![], layouts: vec![], columns, bytes: 0, errors: vec![], logs: vec![] }
    }

    /// A part that was made of the rows `at`, which follow those of all parts before.
    pub fn push(&mut self, at: &[u32], part: Part) {
        self.bytes += part.bytes;
        let before = self.rows.len();
        let place = |r: &u32| at.get(*r as usize).copied();
        match &part.rows {
            None => self.rows.extend(at),
            Some(rows) => self.rows.extend(rows.iter().filter_map(place)),
        }
        let more = self.rows.len() - before;
        match part.layouts.is_empty() {
            true => self.layouts.resize(before + more, 0),
            false => self.layouts.extend(part.layouts),
        }
        for (to, from) in self.columns.iter_mut().zip(part.columns) {
            append(to, before, from, more)
        }
        self.logs.extend(part.logs.into_iter().filter_map(|(r, l)| Some((place(&r)?, l))));
        self.errors.extend(part.errors.into_iter().filter_map(|(r, f)| Some((place(&r)?, f))));
    }

    /// Of columns so far.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    pub fn fail(&mut self, at: &[u32], failure: &Failure) {
        self.errors.extend(at.iter().map(|r| (*r, failure.clone())));
    }

    /// The lines of the call that failed a single row.
    pub fn logged(&mut self, at: &[u32], lines: Option<Name>) {
        if let (Some(lines), [row]) = (lines, at) {
            self.logs.push((*row, lines))
        }
    }

    pub fn into_part(mut self) -> Part {
        once(&mut self.errors);
        let Whole { rows, layouts, columns, bytes, errors, logs } = self;
        Part { rows: Some(rows), layouts, columns, bytes, errors, logs }
    }
}
