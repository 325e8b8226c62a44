//! A topic from its beginning to its end, for looking at dead letters: no group is joined and nothing is committed.

use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::{Headers, Message};
use rdkafka::types::RDKafkaErrorCode as Code;
use rdkafka::{Offset, TopicPartitionList};
use std::collections::BTreeSet;
use std::time::Duration;
use weir_api::{Error, Settings};

use crate::failure::Failure;
use crate::translate::cross;

/// A record as it lies in its topic.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Stored {
    pub partition: i32,
    pub offset: i64,
    /// ms since the epoch
    pub timestamp: Option<i64>,
    pub key: Option<Vec<u8>>,
    pub value: Option<Vec<u8>>,
    pub headers: Vec<(String, Option<Vec<u8>>)>,
}

/// How long the cluster may take for an answer, or for records that are known to be there.
const ANSWER: Duration = Duration::from_secs(20);
/// Settings of librdkafka that a reader has in common with the producer whose settings it gets.
const COMMON: &[&str] = &[
    "bootstrap.servers",
    "broker.address",
    "client.dns.lookup",
    "client.id",
    "client.rack",
    "connections.",
    "enable.ssl",
    "metadata.",
    "reconnect.",
    "sasl.",
    "security.",
    "socket.",
    "ssl.",
];

/// Hands every record of a topic to `each`, in the order of each partition, up to where the topic ended when this began. A topic
/// that is not there has none.
///
/// `settings` are a sink's.
///
/// # Errors
/// `kafka.unreachable`, `kafka.authorization` and the like; what `each` returns.
pub fn read(settings: &Settings, topic: &str, each: &mut dyn FnMut(Stored) -> Result<(), Error>) -> Result<(), Error> {
    let mut config = ClientConfig::new();
    config.set_log_level(RDKafkaLogLevel::Warning);
    for (name, value) in cross(settings).0 {
        if COMMON.iter().any(|common| name.starts_with(common)) {
            config.set(name, value);
        }
    }
    // a group is needed to be assigned partitions; it is never joined
    config.set("group.id", "weir-dead-letters").set("enable.auto.commit", "false");
    config.set("enable.partition.eof", "true").set("allow.auto.create.topics", "false");
    let servers = config.get("bootstrap.servers").unwrap_or_default().to_owned();
    let consumer: BaseConsumer =
        config.create().map_err(|e| Error::input("kafka.settings", format!("Kafka's client does not start: {e}")))?;
    let failed = |e: &KafkaError| failure(e, topic, &servers);
    let metadata = consumer.fetch_metadata(Some(topic), ANSWER).map_err(|e| failed(&e))?;
    let Some(found) = metadata.topics().iter().find(|t| t.name() == topic) else { return Ok(()) };
    match found.error().map(Code::from) {
        None => {}
        Some(Code::UnknownTopicOrPartition | Code::UnknownTopic) => return Ok(()),
        Some(code) => return Err(Failure::delivery(code, topic, -1).error()),
    }
    let mut open: BTreeSet<i32> = found.partitions().iter().map(|p| p.id()).collect();
    let mut list = TopicPartitionList::new();
    for partition in &open {
        list.add_partition_offset(topic, *partition, Offset::Beginning).map_err(|e| failed(&e))?;
    }
    consumer.assign(&list).map_err(|e| failed(&e))?;
    while !open.is_empty() {
        match consumer.poll(ANSWER) {
            Some(Ok(message)) => each(stored(&message))?,
            Some(Err(KafkaError::PartitionEOF(partition))) => drop(open.remove(&partition)),
            Some(Err(e)) if is_passing(&e) => {}
            Some(Err(e)) => return Err(failed(&e)),
            None => return Err(Failure::unreachable(&servers, None).error()),
        }
    }
    Ok(())
}

fn stored(message: &impl Message) -> Stored {
    let bytes = |b: &[u8]| b.to_vec();
    let headers = message.headers().map(|all| all.iter().map(|h| (h.key.to_owned(), h.value.map(bytes))).collect());
    Stored {
        partition: message.partition(),
        offset: message.offset(),
        timestamp: message.timestamp().to_millis(),
        key: message.key().map(bytes),
        value: message.payload().map(bytes),
        headers: headers.unwrap_or_default(),
    }
}

/// News of connections that librdkafka makes again by itself.
fn is_passing(e: &KafkaError) -> bool {
    let code = e.rdkafka_error_code();
    matches!(code, Some(Code::BrokerTransportFailure | Code::Resolve | Code::OperationTimedOut))
}

fn failure(e: &KafkaError, topic: &str, servers: &str) -> Error {
    match e.rdkafka_error_code() {
        Some(Code::BrokerTransportFailure | Code::AllBrokersDown | Code::OperationTimedOut | Code::Resolve) | None => {
            Failure::unreachable(servers, Some(&e.to_string())).error()
        }
        Some(Code::Authentication) => Failure::authentication(&e.to_string()).error(),
        Some(code) => Failure::delivery(code, topic, -1).error(),
    }
}
