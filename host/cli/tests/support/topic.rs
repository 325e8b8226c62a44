//! Topics of a real Kafka, as tests read them.
#![allow(dead_code)] // each test uses its part

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::{Header, Headers};
use rdkafka::{ClientConfig, Message, Offset, TopicPartitionList};
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(20);

/// A record as it lies in its topic.
#[derive(Clone, Debug)]
pub struct Record {
    pub key: Option<String>,
    pub value: Option<String>,
    pub offset: i64,
    pub headers: Vec<(String, String)>,
}

impl Record {
    /// The value; null for a tombstone.
    pub fn json(&self) -> Value {
        self.value.as_ref().map_or(Value::Null, |v| serde_json::from_str(v).expect("JSON"))
    }
}

fn consumer(bootstrap: &str) -> BaseConsumer {
    ClientConfig::new().set("bootstrap.servers", bootstrap).set("group.id", "test").create().expect("a consumer")
}

/// First and next offset of every partition; empty when there is no such topic.
fn bounds(consumer: &BaseConsumer, name: &str) -> BTreeMap<i32, (i64, i64)> {
    let Ok(metadata) = consumer.fetch_metadata(Some(name), LIMIT) else { return BTreeMap::new() };
    let partitions = metadata.topics().iter().flat_map(|t| t.partitions()).map(|p| p.id());
    partitions.filter_map(|p| Some((p, consumer.fetch_watermarks(name, p, LIMIT).ok()?))).collect()
}

/// The next offset of a topic's first partition.
pub fn end(bootstrap: &str, name: &str) -> i64 {
    bounds(&consumer(bootstrap), name).get(&0).map_or(0, |b| b.1)
}

/// Every record of a topic, in order of each partition.
pub fn read(bootstrap: &str, name: &str) -> Vec<Record> {
    let consumer = consumer(bootstrap);
    let mut left = bounds(&consumer, name);
    left.retain(|_, (low, high)| high > low);
    let mut list = TopicPartitionList::new();
    for (p, (low, _)) in &left {
        list.add_partition_offset(name, *p, Offset::Offset(*low)).expect("an offset");
    }
    consumer.assign(&list).expect("assigned");
    let mut out = vec![];
    while !left.is_empty() {
        let m = consumer.poll(LIMIT).expect("a record in time").expect("a record");
        let text = |b: Option<&[u8]>| b.map(|b| String::from_utf8_lossy(b).into_owned());
        let header = |h: Header<&[u8]>| (h.key.to_string(), text(h.value).unwrap_or_default());
        let headers = m.headers().map(|all| all.iter().map(header).collect()).unwrap_or_default();
        out.push(Record { key: text(m.key()), value: text(m.payload()), offset: m.offset(), headers });
        if left.get(&m.partition()).is_some_and(|(_, high)| m.offset() + 1 >= *high) {
            left.remove(&m.partition());
        }
    }
    out
}
