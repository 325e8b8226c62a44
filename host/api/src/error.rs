//! What can go wrong, said once: a stable code, what happened, and what mends it.
//!
//! An [`Error`] stops a task or is retried; a [`Finding`] is something wrong with what the user wrote, and comes in numbers.
//! Texts are lower case, without a full stop, and never hold a secret or a row's value (invariant 8).

use std::fmt;

/// What will make an error go away.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Cure {
    /// The same call may work later: retried with back-off.
    Retry,
    /// The configuration or a command line is wrong: exit code 2.
    Input,
    /// Something outside is not as it must be (a right, a setting, a missing server): exit code 3.
    Environment,
    /// Ours, or a record's: exit code 1.
    None,
}

/// An error that stops what was being done. Cheap to pass on: one box.
pub struct Error(Box<Body>);

struct Body {
    code: &'static str,
    message: String,
    help: Option<String>,
    cure: Cure,
}

/// A place in a file that the user wrote.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Place {
    pub file: String,
    /// bytes in the file
    pub span: std::ops::Range<usize>,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Severity {
    Warning,
    Error,
}

/// Something wrong with a configuration. All of them are reported at once.
#[derive(Clone, PartialEq, Debug)]
pub struct Finding {
    /// dotted and stable: "config.unknown-key"
    pub code: &'static str,
    pub severity: Severity,
    pub message: String,
    /// what to do about it, on a line of its own
    pub help: Option<String>,
    /// the configuration key it is about
    pub key: Option<String>,
    pub place: Option<Place>,
}

// === impl Error ===

impl Error {
    pub fn new(code: &'static str, cure: Cure, message: impl Into<String>) -> Self {
        Error(Box::new(Body { code, message: message.into(), help: None, cure }))
    }
    pub fn retry(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(code, Cure::Retry, message)
    }
    pub fn input(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(code, Cure::Input, message)
    }
    pub fn environment(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(code, Cure::Environment, message)
    }
    /// What helps where the machine gives no thread more.
    pub const MORE_THREADS: &'static str =
        "raise `ulimit -u`, or what the service or container may have of tasks (TasksMax, pids.max)";
    /// The machine gives no thread more.
    pub fn no_thread(e: &std::io::Error) -> Self {
        Self::environment("task.thread", format!("a thread cannot be started: {e}")).help(Self::MORE_THREADS)
    }
    /// What the user can do: the SQL or the setting that mends it.
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.0.help = Some(help.into());
        self
    }
    pub fn code(&self) -> &'static str {
        self.0.code
    }
    pub fn message(&self) -> &str {
        &self.0.message
    }
    pub fn hint(&self) -> Option<&str> {
        self.0.help.as_deref()
    }
    pub fn cure(&self) -> Cure {
        self.0.cure
    }
    pub fn is_retriable(&self) -> bool {
        self.0.cure == Cure::Retry
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}] {}", self.0.code, self.0.message)?;
        match &self.0.help {
            Some(h) => write!(f, " (help: {h})"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Error {}

// === impl Finding ===

impl Finding {
    pub fn error(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(code, Severity::Error, message.into())
    }
    pub fn warning(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(code, Severity::Warning, message.into())
    }
    fn new(code: &'static str, severity: Severity, message: String) -> Self {
        Finding { code, severity, message, help: None, key: None, place: None }
    }
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
    pub fn key(mut self, key: impl Into<String>) -> Self {
        self.key = Some(key.into());
        self
    }
    pub fn at(mut self, place: Place) -> Self {
        self.place = Some(place);
        self
    }
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }
}
