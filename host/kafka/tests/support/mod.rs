//! Blocks made by hand, and a consumer that reads a topic from its beginning.
#![allow(dead_code)] // each test file uses some of it

use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::{Headers, Message};
use rdkafka::{Offset, TopicPartitionList};
use weir_api::{Block, BlockId, Error, Largest, Record, Route, Settings, Sink};

pub const LIMIT: Duration = Duration::from_secs(60);

/// A record as a test writes and reads it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Row {
    pub key: Option<Vec<u8>>,
    pub value: Option<Vec<u8>>,
    pub headers: Vec<(String, Option<Vec<u8>>)>,
    pub partition: i32,
    pub timestamp: Option<i64>,
}

impl Row {
    pub fn new(key: &str, value: &str) -> Row {
        Row { key: Some(key.into()), value: Some(value.into()), partition: -1, ..Row::default() }
    }
    pub fn text(&self) -> String {
        String::from_utf8(self.value.clone().unwrap_or_default()).unwrap()
    }
}

pub fn block(id: BlockId, topic: &str, rows: &[Row]) -> Arc<Block> {
    let mut block = Block { id, data: vec![], records: vec![], header_ends: vec![], routes: Arc::new([]) };
    let (mut data, mut routes) = (Vec::new(), Vec::new());
    for row in rows {
        let names: Arc<[Arc<str>]> = row.headers.iter().map(|(n, _)| Arc::from(n.as_str())).collect();
        let route = Arc::new(Route { topic: topic.into(), headers: names });
        let at = routes.iter().position(|r| *r == route).unwrap_or(routes.len());
        if at == routes.len() {
            routes.push(route);
        }
        let start = data.len() as u32;
        data.extend(row.key.iter().flatten());
        let key = data.len() as u32;
        data.extend(row.value.iter().flatten());
        let mut has =
            if row.key.is_some() { Record::KEY } else { 0 } | if row.value.is_some() { Record::VALUE } else { 0 };
        let record = Record {
            route: at as u16,
            has: 0,
            start,
            key,
            value: data.len() as u32,
            headers: block.header_ends.len() as u32,
            partition: row.partition,
            timestamp: row.timestamp.unwrap_or(Record::NO_TIMESTAMP),
        };
        for (i, (_, value)) in row.headers.iter().enumerate() {
            has |= if value.is_none() { Record::null_header(i) } else { 0 };
            data.extend(value.iter().flatten());
            block.header_ends.push(data.len() as u32);
        }
        block.records.push(Record { has, ..record });
    }
    (block.data, block.routes) = (data, routes.into());
    Arc::new(block)
}

pub fn open(bootstrap: &str, more: &[(&str, &str)]) -> Box<dyn Sink> {
    try_open(bootstrap, more).unwrap()
}

pub fn try_open(bootstrap: &str, more: &[(&str, &str)]) -> Result<Box<dyn Sink>, Error> {
    open_within(bootstrap, more, &Largest::default())
}

/// A sink that shares what it learns of topics with those before and after it.
pub fn open_within(bootstrap: &str, more: &[(&str, &str)], largest: &Largest) -> Result<Box<dyn Sink>, Error> {
    let all = [&[("bootstrap.servers", bootstrap)], more].concat();
    weir_kafka::open(&Settings::new(all.iter().copied()), "weir-test", largest)
}

/// Delivers blocks as a task does, and waits until all are done.
pub fn deliver_all(sink: &mut dyn Sink, blocks: &[Arc<Block>]) -> Result<Vec<BlockId>, Error> {
    let mut done = Vec::new();
    for block in blocks {
        hand_over(sink, block, &mut done)?;
    }
    let deadline = Instant::now() + LIMIT;
    while done.len() < blocks.len() {
        assert!(Instant::now() < deadline, "only {} of {} blocks were done", done.len(), blocks.len());
        sink.poll(Duration::from_millis(50), &mut done)?;
    }
    Ok(done)
}

/// Delivers one block without waiting for it to be done.
pub fn hand_over(sink: &mut dyn Sink, block: &Arc<Block>, done: &mut Vec<BlockId>) -> Result<(), Error> {
    let deadline = Instant::now() + LIMIT;
    let mut from = 0;
    loop {
        from = sink.deliver(block, from)?;
        if from == block.records.len() {
            return Ok(());
        }
        assert!(Instant::now() < deadline, "no room for {LIMIT:?}");
        sink.poll(Duration::from_millis(10), done)?;
    }
}

/// The first `count` records of a topic by partition and offset, with the partition they lie in.
pub fn read(bootstrap: &str, topic: &str, count: usize) -> Vec<Row> {
    let mut rows = tail(bootstrap, topic, count, Duration::ZERO);
    rows.sort_by_key(|r| r.partition);
    assert_eq!(rows.len(), count);
    rows
}

/// Reads until `count` records came, and then for as long as `more` says.
pub fn tail(bootstrap: &str, topic: &str, count: usize, more: Duration) -> Vec<Row> {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", bootstrap).set("group.id", "weir-test-reader").set("enable.auto.commit", "false");
    let consumer: BaseConsumer = config.create().unwrap();
    let metadata = consumer.fetch_metadata(Some(topic), LIMIT).unwrap();
    let mut list = TopicPartitionList::new();
    for partition in metadata.topics()[0].partitions() {
        list.add_partition_offset(topic, partition.id(), Offset::Beginning).unwrap();
    }
    consumer.assign(&list).unwrap();
    let mut deadline = Instant::now() + LIMIT;
    let mut rows = Vec::new();
    while Instant::now() < deadline {
        if rows.len() >= count {
            if more.is_zero() {
                break;
            }
            deadline = deadline.min(Instant::now() + more);
        }
        let Some(message) = consumer.poll(Duration::from_millis(100)) else { continue };
        let message = message.unwrap();
        let headers =
            message.headers().map(|h| h.iter().map(|h| (h.key.to_owned(), h.value.map(<[u8]>::to_vec))).collect());
        rows.push(Row {
            key: message.key().map(<[u8]>::to_vec),
            value: message.payload().map(<[u8]>::to_vec),
            headers: headers.unwrap_or_default(),
            partition: message.partition(),
            timestamp: message.timestamp().to_millis(),
        });
    }
    rows
}

pub fn topic(name: &str) -> String {
    use std::time::{SystemTime, UNIX_EPOCH};
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos();
    format!("weir-{name}-{now}")
}

/// `topic.creation` settings for topics of so many partitions.
pub fn partitions(n: &'static str) -> [(&'static str, &'static str); 2] {
    [("topic.creation.default.partitions", n), ("topic.creation.default.replication.factor", "1")]
}
