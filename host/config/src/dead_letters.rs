//! Where dead letters go, as written and as resolved.

use crate::interpolate::Providers;
use crate::plan::{Values, masked};
use crate::written::{Door, Entries, Written};
use serde::Serialize;
use weir_api::{Error, Finding, Settings};

/// Where dead letters go, and how.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct DeadLetters {
    #[serde(flatten)]
    pub place: Place,
    /// with Kafka Connect's headers too
    pub connect_headers: bool,
    /// settings of the topic and its client, beside those of the sink
    #[serde(serialize_with = "masked")]
    pub kafka: Values,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Place {
    Topic(String),
    File(String),
}

/// What stands before settings of the topic and its client.
pub(crate) const KAFKA: &str = "dead-letter.kafka.";
/// How many copies the topic gets when it is made.
const COPIES: &str = "topic.creation.default.replication.factor";

// === impl DeadLetters ===

impl DeadLetters {
    pub(crate) fn of(written: &Written) -> Option<Self> {
        let text = |key: &str| written.errors.text(key).map(str::trim).filter(|t| !t.is_empty());
        let is_set = |key: &str| text(key).is_some_and(|t| t.eq_ignore_ascii_case("true"));
        match written.door {
            Door::Toml => {
                let topic = text("dead-letter.topic").map(|t| Place::Topic(t.to_owned()));
                let place = topic.or_else(|| text("dead-letter.file").map(|f| Place::File(f.to_owned())))?;
                let kafka: Entries = written.errors.clone().split_prefix(KAFKA);
                let connect_headers = is_set("dead-letter.connect-headers");
                Some(DeadLetters { place, connect_headers, kafka: Values::of(&kafka, None) })
            }
            Door::Connect => {
                let place = Place::Topic(text("errors.deadletterqueue.topic.name")?.to_owned());
                let copies = written.errors.get("errors.deadletterqueue.topic.replication.factor");
                let kafka: Entries = copies.map(|e| e.renamed(COPIES)).into_iter().collect();
                let connect_headers = is_set("errors.deadletterqueue.context.headers.enable");
                Some(DeadLetters { place, connect_headers, kafka: Values::of(&kafka, None) })
            }
        }
    }

    pub(crate) fn resolve(&mut self, providers: &Providers) -> Result<(), Error> {
        self.kafka.resolve(providers)?;
        let (key, text) = match &mut self.place {
            Place::Topic(topic) => ("dead-letter.topic", topic),
            Place::File(file) => ("dead-letter.file", file),
        };
        let resolved = providers.settings(&Settings::new([(key, text.as_str())]))?;
        resolved.values.into_values().for_each(|v| *text = v);
        Ok(())
    }
}

/// What is wrong with dead letters of a pipeline file beyond the keys themselves.
pub(crate) fn check(written: &Written) -> Vec<Finding> {
    let mut findings = vec![];
    let (topic, file) = (written.errors.get("dead-letter.topic"), written.errors.get("dead-letter.file"));
    if let (Some(_), Some(file)) = (topic, file) {
        let finding = Finding::error("config.conflict", "dead letters go to a topic or to a file, not to both");
        findings.push(file.blame_key(finding));
    }
    if topic.is_none() {
        for entry in written.errors.iter().filter(|e| e.key.starts_with(KAFKA)) {
            let message = format!("`{}` has no effect: dead letters do not go to a topic", entry.key);
            findings.push(entry.blame_key(Finding::warning("config.no-effect", message)));
        }
    }
    findings
}

/// What is to be said of a connector's `errors.deadletterqueue.*`.
pub(crate) fn check_connect(written: &Written) -> Vec<Finding> {
    let Some(topic) = written.errors.get("errors.deadletterqueue.topic.name").filter(|e| !e.text.trim().is_empty())
    else {
        return vec![];
    };
    let tolerance = written.errors.text("errors.tolerance").unwrap_or_default();
    if !tolerance.trim().eq_ignore_ascii_case("all") {
        let message = "no dead letters are sent: a record that fails ends the task";
        let finding = Finding::warning("config.no-effect", message).help("errors.tolerance=all sends them and goes on");
        return vec![topic.blame(finding)];
    }
    if written.source.as_ref().is_some_and(|s| s.kind == "kafka") {
        return vec![];
    }
    let message = "Kafka Connect sends no dead letters of a source connector, and drops its records that fail; here they \
                   are sent";
    let finding = Finding::warning("config.beyond-connect", message);
    vec![topic.blame(finding.help("leave `errors.deadletterqueue.topic.name` out to have them dropped and counted"))]
}
