//! What happens to a record that fails: the keys of `[errors]` and of Kafka Connect's `errors.*`, and what they resolve to.

use crate::measure;
use crate::written::{Door, Entry, Written};
use serde::Serialize;
use weir_api::{ConfigDef, Finding, Key, KeyType};

/// What is done with a record that a step cannot take.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnError {
    #[default]
    Fail,
    /// left out and counted
    Skip,
    DeadLetter,
}

/// Where dead letters go.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum DeadLetters {
    Topic(String),
    File(String),
}

/// Resolved error handling of a pipeline.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Errors {
    /// for steps that do not say it themselves, and for converters
    pub on_error: OnError,
    pub dead_letters: Option<DeadLetters>,
    /// how long a failing operation is tried again, ms; -1: for ever; None: the runtime's default
    pub retry_timeout_ms: Option<i64>,
    /// longest pause between two tries, ms
    pub retry_delay_max_ms: Option<i64>,
    /// whether failures are logged, with their place
    pub log: bool,
    /// whether the log may hold the record itself
    pub log_messages: bool,
}

/// For a retry that never ends.
const FOREVER: &str = "forever";
const ACTIONS: &[&str] = &["fail", "skip", "dead-letter"];

/// `[errors]` of a pipeline file.
pub static TOML: ConfigDef = ConfigDef {
    keys: &[
        Key::new("on-error", KeyType::String, "What a step does with a record it cannot take.")
            .default("fail")
            .one_of(ACTIONS),
        Key::new("dead-letter.topic", KeyType::String, "Topic of the dead letters."),
        Key::new("dead-letter.file", KeyType::String, "File of the dead letters, one JSON object a line."),
        Key::new("retry.timeout", KeyType::String, "How long a failing operation is tried again, as \"5m\"."),
        Key::new("retry.delay.max", KeyType::String, "The longest pause between two tries, as \"30s\"."),
        Key::new("log.enable", KeyType::Boolean, "Whether failures are logged.")
            .default("true")
            .ignored("a row that ends its pipeline is always reported, and one that is skipped is counted"),
        Key::new("log.include.messages", KeyType::Boolean, "Whether the log may hold the record.")
            .default("false")
            .ignored("a row's values are never logged"),
    ],
    prefixes: &[],
};

/// `errors.*` of a Kafka Connect connector.
pub static CONNECT: ConfigDef = ConfigDef {
    keys: &[
        Key::new("errors.tolerance", KeyType::String, "none: the task fails; all: the record is left out.")
            .default("none")
            .one_of(&["none", "all"]),
        Key::new("errors.retry.timeout", KeyType::Long, "How long a failing operation is tried again, ms.")
            .default("0"),
        Key::new("errors.retry.delay.max.ms", KeyType::Long, "The longest pause between two tries, ms.")
            .default("60000"),
        Key::new("errors.log.enable", KeyType::Boolean, "Whether failures are logged.")
            .default("false")
            .ignored("a row that ends its pipeline is always reported, and one that is skipped is counted"),
        Key::new("errors.log.include.messages", KeyType::Boolean, "Whether the log may hold the record.")
            .default("false")
            .ignored("a row's values are never logged"),
        Key::new("errors.deadletterqueue.topic.name", KeyType::String, "Topic of a sink connector's dead letters.")
            .default(""),
        Key::new("errors.deadletterqueue.topic.replication.factor", KeyType::Short, "Replicas of that topic.")
            .default("3"),
        Key::new("errors.deadletterqueue.context.headers.enable", KeyType::Boolean, "Whether headers say what failed.")
            .default("false"),
    ],
    prefixes: &[],
};

/// `limits` of a step.
pub static LIMITS: ConfigDef = ConfigDef {
    keys: &[
        Key::new("memory", KeyType::String, "The most memory that the guest may have, as \"16MiB\"."),
        Key::new("time-per-batch", KeyType::String, "The longest that a batch may take, as \"50ms\"."),
    ],
    prefixes: &[],
};

/// What a step is called to do on errors; None: no such action.
pub fn action(text: &str) -> Option<OnError> {
    match text.trim().to_ascii_lowercase().as_str() {
        "fail" => Some(OnError::Fail),
        "skip" => Some(OnError::Skip),
        "dead-letter" => Some(OnError::DeadLetter),
        _ => None,
    }
}

/// "5m", or "forever".
pub(crate) fn is_time(text: &str) -> bool {
    millis(text).is_some()
}

fn millis(text: &str) -> Option<i64> {
    if text.trim() == FOREVER {
        return Some(-1);
    }
    i64::try_from(measure::duration(text)?.as_millis()).ok()
}

/// The same back again.
pub(crate) fn time(ms: i64) -> String {
    if ms < 0 { FOREVER.to_owned() } else { format!("{ms}ms") }
}

pub(crate) fn bad_action(entry: &Entry) -> Option<Finding> {
    let finding = Finding::error("config.not-allowed", format!("`{}` cannot be \"{}\"", entry.key, entry.text));
    action(&entry.text).is_none().then(|| entry.blame(finding.help(format!("one of: {}", ACTIONS.join(", ")))))
}

// === impl Errors ===

impl Errors {
    /// What was written, where it can be understood; [`crate::lint`] says what cannot.
    pub fn of(written: &Written) -> Self {
        let text = |key: &str| written.errors.text(key).map(str::trim).filter(|t| !t.is_empty());
        let flag = |key: &str, default: bool| text(key).map_or(default, |t| t.eq_ignore_ascii_case("true"));
        let number = |key: &str| text(key).and_then(|t| t.parse().ok());
        let time = |key: &str| text(key).and_then(millis);
        match written.door {
            Door::Toml => Errors {
                on_error: text("on-error").and_then(action).unwrap_or_default(),
                dead_letters: text("dead-letter.topic")
                    .map(|t| DeadLetters::Topic(t.to_owned()))
                    .or_else(|| text("dead-letter.file").map(|f| DeadLetters::File(f.to_owned()))),
                retry_timeout_ms: time("retry.timeout"),
                retry_delay_max_ms: time("retry.delay.max"),
                log: flag("log.enable", true),
                log_messages: flag("log.include.messages", false),
            },
            Door::Connect => {
                let dead_letters = text("errors.deadletterqueue.topic.name").map(|t| DeadLetters::Topic(t.to_owned()));
                let on_error = match (text("errors.tolerance"), &dead_letters) {
                    (Some(t), Some(_)) if t.eq_ignore_ascii_case("all") => OnError::DeadLetter,
                    (Some(t), None) if t.eq_ignore_ascii_case("all") => OnError::Skip,
                    _ => OnError::Fail,
                };
                Errors {
                    on_error,
                    dead_letters,
                    retry_timeout_ms: number("errors.retry.timeout").or(Some(0)),
                    retry_delay_max_ms: number("errors.retry.delay.max.ms").or(Some(60_000)),
                    log: flag("errors.log.enable", false),
                    log_messages: flag("errors.log.include.messages", false),
                }
            }
        }
    }
}
