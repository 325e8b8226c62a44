//! Serialised records into Kafka: the producer sink, its topics, and the table of Java client names.
//!
//! Settings carry the Java client's names ([`client::CLIENT`]); [`translate`] makes librdkafka's of them. [`open`] connects a
//! sink whose records are acknowledged by all in-sync replicas, in order and without gaps: the first record that the cluster will
//! not take ends the sink, and nothing behind it is written.

use weir_api::config::{ConfigDef, Importance, Key, KeyType};
use weir_api::{Error, Finding, Settings, Sink};

pub mod client;
mod failure;
mod jaas;
mod keystore;
mod outbox;
mod reader;
mod sink;
mod topics;
mod translate;

pub use reader::{Stored, read};
pub use translate::{Native, translate};

const GROUPS: Key = Key::new(
    "topic.creation.groups",
    KeyType::List,
    "Groups of topics that are created alike: `topic.creation.<group>.include`, `.exclude`, `.partitions`, `.replication.factor` \
     and settings of the topic; `default` is for all others.",
)
.default("")
.group("Topic Creation")
.importance(Importance::Low);

static ALL_KEYS: [Key; client::CLIENT.len() + 1] = {
    let mut keys = [GROUPS; client::CLIENT.len() + 1];
    let mut i = 0;
    #[allow(clippy::indexing_slicing)] // evaluated by the compiler
    while i < client::CLIENT.len() {
        keys[i] = client::CLIENT[i].key;
        i += 1;
    }
    keys
};

/// The keys of `[sink.kafka]`: every producer setting of the Java client under its own name, and `topic.creation.*`.
pub static KEYS: ConfigDef = ConfigDef { keys: &ALL_KEYS, prefixes: &["topic.creation."] };

/// What is wrong beyond what [`KEYS`] says of each value alone: settings that contradict each other, logins and stores that cannot
/// be read (the files are opened), rules of topic creation. Does not connect.
pub fn check(settings: &Settings) -> Vec<Finding> {
    let (_, mut findings) = translate::cross(settings);
    findings.extend(topics::Rules::read(settings).1);
    if settings.values.get("bootstrap.servers").is_none_or(|s| s.trim().is_empty()) {
        let finding = Finding::error("config.missing", "`bootstrap.servers` must be set").key("bootstrap.servers");
        findings.push(finding.help("hosts and ports of brokers, as \"kafka1:9092,kafka2:9092\""));
    }
    findings
}

/// Connects to the cluster, waiting up to 10 s for its first answer. `client_id` is used unless `client.id` is set.
///
/// A topic is looked up, and created if need be, when a record for it first comes; until the answer is there `deliver` reports
/// no room and does not wait.
///
/// # Errors
/// The first finding that is an error (`Cure::Input`), `kafka.unreachable` (`Cure::Retry`), `kafka.authentication` or `kafka.tls`.
pub fn open(settings: &Settings, client_id: &str) -> Result<Box<dyn Sink>, Error> {
    let (native, mut findings) = translate(settings);
    findings.extend(check(settings));
    if let Some(finding) = findings.into_iter().find(Finding::is_error) {
        let error = Error::input(finding.code, finding.message);
        return Err(match finding.help {
            Some(help) => error.help(help),
            None => error,
        });
    }
    let (rules, _) = topics::Rules::read(settings);
    sink::connect(&native, rules, client_id)
}
