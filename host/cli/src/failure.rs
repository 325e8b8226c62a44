//! Why a verb did not succeed, and the exit code that says so: 1 runtime, 2 input, 3 environment.

use weir_api::{Cure, Error, Finding};
use weir_config::Texts;

pub enum Failure {
    Error(Error),
    /// what is wrong with the files, and their texts for the carets
    Findings(Vec<Finding>, Texts),
    /// several pipelines: each with its error
    Pipelines(Vec<(String, Error)>),
    /// cases of a transform: what is said of each, for people and for programs
    Cases {
        error: Error,
        text: String,
        result: serde_json::Value,
    },
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
            Failure::Error(error) | Failure::Cases { error, .. } => code(error),
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
