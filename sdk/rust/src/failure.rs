//! Failures: a code that never changes, and a text.

use crate::Failure;

/// The code of a failure that a transform did not name.
const UNNAMED: &str = "weir.transform.failed";

// === impl Failure ===

impl Failure {
    /// `code` names the sort of failure and never changes; both reach users and dead letters, so neither holds a value of a row.
    pub fn new(code: impl Into<String>, message: impl Into<String>) -> Self {
        Failure { code: code.into(), message: message.into() }
    }
}

impl From<&str> for Failure {
    fn from(message: &str) -> Self {
        Failure::new(UNNAMED, message)
    }
}

impl From<String> for Failure {
    fn from(message: String) -> Self {
        Failure::new(UNNAMED, message)
    }
}

impl From<Box<dyn std::error::Error>> for Failure {
    fn from(error: Box<dyn std::error::Error>) -> Self {
        Failure::new(UNNAMED, error.to_string())
    }
}

impl From<Box<dyn std::error::Error + Send + Sync>> for Failure {
    fn from(error: Box<dyn std::error::Error + Send + Sync>) -> Self {
        Failure::new(UNNAMED, error.to_string())
    }
}
