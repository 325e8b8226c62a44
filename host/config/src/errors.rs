//! What happens to a record that fails, and when a lost connection is tried again: the keys of `[errors]`, Debezium's, and Kafka
//! Connect's `errors.*`, and what they resolve to.
//!
//! Two families share names. Connect's `errors.retry.*` are about operations on a record; ours are functions of the record, and
//! trying them again gives the same. Debezium's `errors.max.retries` and `retriable.restart.connector.wait.ms` are about
//! connections. `errors.retry.delay.max.ms` is in both: in a connector it is Connect's, which defines it for every connector;
//! Debezium's own of that name is read by its engine alone, outside of Connect.

use crate::dead_letters::{self, DeadLetters, KAFKA};
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

/// Resolved error handling of a pipeline.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Errors {
    /// for steps that do not say it themselves
    pub on_error: OnError,
    /// for records that a converter cannot write or the sink does not take
    pub sink: OnError,
    pub dead_letters: Option<DeadLetters>,
    /// a line in the log for each record that fails
    pub log: bool,
    /// with its key and value in it
    pub log_records: bool,
    pub retry: Retry,
}

/// When a source or a sink that failed is started again. None: the runtime's default.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Retry {
    /// tries in a row without progress; -1: no limit
    pub max: Option<i64>,
    /// time without progress; -1: no limit
    pub timeout_ms: Option<i64>,
    /// the first pause
    pub delay_initial_ms: Option<i64>,
    /// the longest
    pub delay_max_ms: Option<i64>,
}

/// Keys of `[errors]` that take a duration.
const TIMES: &[&str] = &["retry.timeout", "retry.delay.initial", "retry.delay.max"];
/// The same setting in `[errors]` and among Debezium's.
const SAME: &[(&str, &str)] = &[
    ("retry.max", "errors.max.retries"),
    ("retry.delay.initial", "errors.retry.delay.initial.ms"),
    ("retry.delay.max", "retriable.restart.connector.wait.ms"),
];
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
        Key::new("dead-letter.connect-headers", KeyType::Boolean, "Whether they have Kafka Connect's headers too.")
            .default("false"),
        Key::new(
            "retry.max",
            KeyType::Long,
            "How often a lost connection is tried again without progress; -1: for ever.",
        )
        .default("-1"),
        Key::new("retry.timeout", KeyType::String, "How long that is done, as \"5m\".").default(FOREVER),
        Key::new("retry.delay.initial", KeyType::String, "The first pause between two tries.").default("300ms"),
        Key::new("retry.delay.max", KeyType::String, "The longest pause between two tries, as \"30s\".").default("10s"),
        Key::new("log.enable", KeyType::Boolean, "Whether each record that fails is logged.").default("false"),
        Key::new("log.include.messages", KeyType::Boolean, "Whether such a line holds the record's key and value.")
            .default("false"),
    ],
    prefixes: &[KAFKA],
};

/// `errors.*` of a Kafka Connect connector.
pub static CONNECT: ConfigDef = ConfigDef {
    keys: &[
        Key::new("errors.tolerance", KeyType::String, "none: the task fails; all: the record is left out.")
            .default("none")
            .one_of(&["none", "all"]),
        Key::new("errors.retry.timeout", KeyType::Long, "How long an operation on a record is tried again, ms.")
            .default("0")
            .ignored(
                "a transform that failed would fail again, and lost connections are tried again for ever, or \
                 `errors.max.retries` times",
            ),
        Key::new("errors.retry.delay.max.ms", KeyType::Long, "The longest pause between such tries, ms.")
            .default("60000")
            .ignored(
                "a transform that failed would fail again; the longest pause before a lost connection is tried again is \
                 `retriable.restart.connector.wait.ms`",
            ),
        Key::new("errors.log.enable", KeyType::Boolean, "Whether each record that fails is logged.").default("false"),
        Key::new("errors.log.include.messages", KeyType::Boolean, "Whether such a line holds the record's key and value.")
            .default("false"),
        Key::new("errors.deadletterqueue.topic.name", KeyType::String, "Topic of the dead letters.")
            .default(""),
        Key::new("errors.deadletterqueue.topic.replication.factor", KeyType::Short, "Replicas of that topic.")
            .default("3"),
        Key::new("errors.deadletterqueue.context.headers.enable", KeyType::Boolean, "Whether headers say what failed.")
            .default("false"),
    ],
    prefixes: &[],
};

/// Debezium's, of any source.
pub static DEBEZIUM: ConfigDef = ConfigDef {
    keys: &[
        Key::new(
            "errors.max.retries",
            KeyType::Int,
            "How often a lost connection is tried again without progress; -1: for ever.",
        )
        .default("-1"),
        Key::new("errors.retry.delay.initial.ms", KeyType::Millis, "The first pause before that.")
            .default("300")
            .unlisted(),
        Key::new("retriable.restart.connector.wait.ms", KeyType::Millis, "The longest pause before that.")
            .default("10000"),
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

/// "5m"; a limit may also be "forever".
fn is_time(key: &str, text: &str) -> bool {
    millis(text).is_some_and(|ms| ms >= 0 || key == "retry.timeout")
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

/// What is wrong with `[errors]` of a pipeline file beyond its keys and their types.
pub(crate) fn check(written: &Written) -> Vec<Finding> {
    let mut findings = vec![];
    for key in TIMES {
        if let Some(entry) = written.errors.get(key).filter(|e| !is_time(key, &e.text)) {
            let finding = Finding::error("config.wrong-type", format!("`{key}` takes a duration, as \"5m\""));
            findings.push(entry.blame(finding));
        }
    }
    for (ours, theirs) in SAME {
        if let (Some(_), Some(theirs)) = (written.errors.get(ours), written.common.get(theirs)) {
            let message = format!("`{}` and `{ours}` of [errors] say the same thing", theirs.key);
            let finding = Finding::error("config.conflict", message);
            findings.push(theirs.blame_key(finding.help("keep one of them")));
        }
    }
    findings.extend(dead_letters::check(written));
    let dead = written.errors.get("on-error").filter(|e| action(&e.text) == Some(OnError::DeadLetter));
    findings.extend(dead.filter(|_| Errors::of(written).dead_letters.is_none()).map(no_dead_letters));
    findings
}

pub(crate) fn no_dead_letters(entry: &Entry) -> Finding {
    let finding = Finding::error("config.missing", "dead letters have no place to go").key("dead-letter");
    let finding = finding.help("[errors] dead-letter = { topic = \"…\" }, or { file = \"…\" }");
    match entry.value_at.clone() {
        Some(place) => finding.at(place),
        None => finding,
    }
}

// === impl Errors ===

impl Errors {
    /// What was written, where it can be understood; [`crate::lint`] says what cannot.
    pub fn of(written: &Written) -> Self {
        let text = |key: &str| written.errors.text(key).map(str::trim).filter(|t| !t.is_empty());
        let number = |key: &str| written.common.text(key).and_then(|t| t.trim().parse().ok());
        let ours = |key: &str, debezium: &str| text(key).and_then(millis).or_else(|| number(debezium));
        let retry = Retry {
            max: text("retry.max").and_then(|t| t.parse().ok()).or_else(|| number("errors.max.retries")),
            timeout_ms: text("retry.timeout").and_then(millis),
            delay_initial_ms: ours("retry.delay.initial", "errors.retry.delay.initial.ms"),
            delay_max_ms: ours("retry.delay.max", "retriable.restart.connector.wait.ms"),
        };
        let is_set = |key: &str| text(key).is_some_and(|t| t.eq_ignore_ascii_case("true"));
        let dead_letters = DeadLetters::of(written);
        let (on_error, prefix) = match written.door {
            Door::Toml => (text("on-error").and_then(action).unwrap_or_default(), ""),
            Door::Connect => {
                let on_error = match (text("errors.tolerance"), &dead_letters) {
                    (Some(t), Some(_)) if t.eq_ignore_ascii_case("all") => OnError::DeadLetter,
                    (Some(t), None) if t.eq_ignore_ascii_case("all") => OnError::Skip,
                    _ => OnError::Fail,
                };
                (on_error, "errors.")
            }
        };
        let log = is_set(&format!("{prefix}log.enable"));
        let log_records = is_set(&format!("{prefix}log.include.messages"));
        let sink = written.sink_on_error.as_ref().and_then(|e| action(&e.text)).unwrap_or(on_error);
        Errors { on_error, sink, dead_letters, log, log_records, retry }
    }
}
