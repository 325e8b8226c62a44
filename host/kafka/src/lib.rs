//! Serialised records into Kafka: the producer sink, its topics, and the table of Java client names.
//!
//! Settings carry the Java client's names ([`client::CLIENT`]); [`translate`] makes librdkafka's of them. [`open`] connects a
//! sink whose records are acknowledged by all in-sync replicas, in order and without gaps: the first record that the cluster will
//! not take ends the sink, and nothing behind it is written.

use weir_api::config::{ConfigDef, Importance, Key, KeyType};
use weir_api::{Error, Finding, Largest, Settings, Sink, Told};

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

/// A topic takes smaller batches than was known. The next sink of the same [`Largest`] writes such.
pub const BATCH_TOO_LARGE: &str = "kafka.batch-too-large";

/// What is said of a record that is larger than `max.request.size` or than its topic takes. The sizes are Kafka's: 61 bytes for
/// the batch, 21 for the record, lengths.
const TOO_LARGE: Told = Told {
    code: "kafka.message-too-large",
    help: "raise `max.request.size` (in a connector `producer.override.max.request.size`) and the topic's `max.message.bytes` \
           (`kafka-configs.sh --alter --entity-type topics --entity-name … --add-config max.message.bytes=…`)",
    record: 61 + 21 + 15,
    header: 10,
};

/// The largest records that the producer sends, before anything is known of topics.
pub fn largest(settings: &Settings) -> Largest {
    let (native, _) = translate(settings);
    let bytes = native.iter().find(|(name, _)| name == "message.max.bytes").and_then(|(_, n)| n.parse().ok());
    Largest::of(bytes.unwrap_or(u32::MAX), TOO_LARGE)
}

/// Connects to the cluster, waiting up to 10 s for its first answer. `client_id` is used unless `client.id` is set.
///
/// A topic is looked up, and created if need be, when a record for it first comes; until the answer is there `deliver` reports
/// no room and does not wait. A topic that refuses a batch for its size is asked what it takes; that goes into `largest`, and the
/// sink made next writes batches that are no larger.
///
/// # Errors
/// The first finding that is an error (`Cure::Input`), `kafka.unreachable` (`Cure::Retry`), `kafka.authentication` or `kafka.tls`.
pub fn open(settings: &Settings, client_id: &str, largest: &Largest) -> Result<Box<dyn Sink>, Error> {
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
    sink::connect(&native, rules, client_id, largest.clone())
}
