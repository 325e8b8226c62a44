//! What a per-message function says of a row.

use crate::{Columns, Failure, NoColumns};

/// What becomes of a row.
#[derive(Clone, PartialEq, Debug)]
pub enum Verdict<C = NoColumns> {
    /// pass it on, with these columns
    Emit(C),
    Drop,
    /// the pipeline's error policy decides what becomes of it
    Fail(Failure),
}

/// What a per-message function may return: a [`Verdict`], columns alone (every row is passed on), `bool` (keep or drop),
/// or a `Result` of one of these, whose error fails the row.
pub trait Outcome {
    type Columns: Columns;
    fn verdict(self) -> Verdict<Self::Columns>;
}

// === impl Verdict ===

impl<C> Verdict<C> {
    /// Fails the row under the general code; `Verdict::Fail(Failure::new(…))` names another one.
    pub fn fail(message: impl Into<String>) -> Self {
        Verdict::Fail(Failure::from(message.into()))
    }
}

// === impl Outcome ===

impl<C: Columns> Outcome for Verdict<C> {
    type Columns = C;
    fn verdict(self) -> Verdict<C> {
        self
    }
}

impl<C: Columns> Outcome for C {
    type Columns = C;
    fn verdict(self) -> Verdict<C> {
        Verdict::Emit(self)
    }
}

impl Outcome for bool {
    type Columns = NoColumns;
    fn verdict(self) -> Verdict {
        if self { Verdict::Emit(NoColumns) } else { Verdict::Drop }
    }
}

impl<O: Outcome, E: Into<Failure>> Outcome for Result<O, E> {
    type Columns = O::Columns;
    fn verdict(self) -> Verdict<O::Columns> {
        match self {
            Ok(outcome) => outcome.verdict(),
            Err(e) => Verdict::Fail(e.into()),
        }
    }
}
