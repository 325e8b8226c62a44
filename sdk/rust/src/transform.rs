//! A transform at the level of bindings.

use crate::{Batch, Binding, Failure, Options, Output, Problem, Shape};

/// A transform: one instance per task, asked once for each shape of record.
///
/// Export it with [`export!`](crate::export).
pub trait Transform: Sized {
    /// One line for lists and reference pages.
    const SUMMARY: &'static str;
    /// [`NoOptions`](crate::NoOptions) if there are none.
    type Options: Options;

    /// An instance. An error refuses the configuration.
    fn new(options: Self::Options) -> Result<Self, Failure>;

    /// What to do with records of this shape. An error fails each of them.
    fn bind(&mut self, shape: &Shape) -> Result<Binding, Failure>;

    /// The shape will not come again without another `bind`.
    fn unbind(&mut self, shape: u32) {
        let _ = shape;
    }

    /// The rows that rules sent here with `Then::Apply`. An error fails all of them.
    fn apply(&mut self, batch: Batch) -> Result<Output, Failure> {
        let _ = batch;
        Err(Failure::new("weir.transform.apply", "this transform decides every row by rules"))
    }

    /// For validation: what is wrong with options beyond a missing one and one that does not parse.
    fn check(options: &[(String, Option<String>)]) -> Vec<Problem> {
        Self::Options::refused(options)
    }

    /// The failure of a configuration with these problems; the first one speaks.
    fn rejected(problems: Vec<Problem>) -> Failure {
        let message = problems.into_iter().next().map(|p| p.message).unwrap_or_default();
        Failure::new("org.apache.kafka.common.config.ConfigException", message)
    }
}
