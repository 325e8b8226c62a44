//! A step of a chain, as the runtime sees it. What it wants done is composed once a shape (`bind`); only rows that its rules
//! gave to `apply` are handed over, a batch at a time.

use crate::Error;
use std::sync::Arc;
use weir_model::{Batch, Bind, Call, Column, Edit, Failure, Name, Shape};

/// What a transform made of the rows it was handed. Everything in it has been checked: lengths, layout numbers, UTF-8.
#[derive(Debug, Default)]
pub struct Applied {
    /// layouts numbered on from those that the shape has by now
    pub added: Vec<Vec<Edit>>,
    /// for each output row the index of the input row it is made from, never descending; None: all, in order
    pub rows: Option<Vec<u32>>,
    /// the layout of each output row; empty: layout 0 for all
    pub layouts: Vec<u32>,
    /// one for each of the binding's computes, aligned with the output rows
    pub columns: Vec<Column>,
    /// input rows that failed; what is made from them is not emitted
    pub errors: Vec<(u32, Failure)>,
    /// what the transform logged while it failed a row, for that row's dead letter; only where the lines are about no other row
    pub logs: Vec<(u32, Name)>,
}

/// A shape that a transform was bound to.
#[derive(Clone, PartialEq, Debug)]
pub struct Met {
    pub shape: Arc<Shape>,
    /// every row of it fails
    pub is_refused: bool,
}

/// What a transform holds by now.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Usage {
    /// bytes of its own memory
    pub memory: u64,
    /// how often it was begun anew because it held too many
    pub recycled: u64,
}

/// A transform that may have to be entered for rows. [`Bind::bind`] numbers equal shapes alike.
pub trait Transform: Bind + Send {
    /// Hands over rows (call, row) of one shape, in source order; `calls` is what the first number of each indexes.
    /// Err: the transform cannot go on at all (it cannot be instantiated any more); a trap is an error of rows.
    fn apply(&mut self, calls: &[Call], batch: &Batch, rows: &[(u16, u32)]) -> Result<Applied, Error>;

    /// The code that runs, for dead letters: "weir:filter@sha256:…".
    fn module(&self) -> Option<String> {
        None
    }

    /// The shapes that it was bound to, as far as it remembers: what other code in its place is tried on.
    fn shapes(&self) -> Vec<Met> {
        vec![]
    }

    /// A part of the work on what it made is done: the time to let others have the core, for one that gives way to them.
    fn rest(&mut self) {}

    /// What it costs, for people; None: nothing that is counted.
    fn usage(&self) -> Option<Usage> {
        None
    }
}
