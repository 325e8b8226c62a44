//! Why a verb did not succeed, and the exit code that says so: 1 runtime, 2 input, 3 environment.

use crate::output::Done;
use weir_api::{Cure, Error, Finding};
use weir_config::Texts;

pub enum Failure {
    Error(Error),
    /// what is wrong with the files, and their texts for the carets
    Findings(Vec<Finding>, Texts),
    /// several pipelines: each with its error
    Pipelines(Vec<(String, Error)>),
    /// some of it was done, and why not all
    Partly(Box<Done>, Error),
}

impl From<Error> for Failure {
    fn from(e: Error) -> Self {
        Failure::Error(e)
    }
}

// === impl Failure ===

impl Failure {
    pub fn exit_code(&self) -> u8 {
        match self {
            Failure::Findings(..) => 2,
            Failure::Error(e) | Failure::Partly(_, e) => code(e),
            Failure::Pipelines(all) => all.iter().map(|(_, e)| code(e)).max().unwrap_or(1),
        }
    }
}

fn code(e: &Error) -> u8 {
    match e.cure() {
        Cure::Input => 2,
        Cure::Environment => 3,
        Cure::Retry | Cure::None => 1,
    }
}
