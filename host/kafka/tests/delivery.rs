//! Records of every shape, partitions, order, back-pressure, topics and refusals against a real Kafka.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)] // helpers of tests are tests

mod support;

use std::sync::Arc;
use std::time::{Duration, Instant};
use support::{Row, block, deliver_all, hand_over, open, open_within, partitions, read, tail, topic, try_open};
use weir_api::{Cure, Largest};
use weir_testkit::Kafka;

fn servers() -> &'static str {
    Kafka::shared().unwrap().bootstrap()
}

#[test]
fn records_of_every_shape_come_back() {
    let name = topic("shapes");
    let mut sink = open(servers(), &partitions("4"));
    let text = |t: &str| Some(t.as_bytes().to_vec());
    let on = |partition| Row { partition, timestamp: Some(1_700_000_000_123), ..Row::default() };
    let rows = [
        Row { key: text("k"), value: text("v"), ..on(0) },
        Row { key: None, value: text("no key"), ..on(0) },
        Row { key: text("tombstone"), value: None, ..on(1) },
        Row { key: text(""), value: text(""), ..on(1) },
        Row {
            key: text("h"),
            value: text("v"),
            headers: vec![("a".into(), text("1")), ("ü".into(), None), ("a".into(), text(""))],
            ..on(2)
        },
        Row {
            key: None,
            value: None,
            headers: vec![("a".into(), None), ("ü".into(), text("\0")), ("a".into(), text("2"))],
            ..on(2)
        },
        Row { value: Some(vec![0xff; 100_000]), ..on(3) },
    ];
    let done = deliver_all(&mut *sink, &[block(0, &name, &rows), block(1, &name, &[])]).unwrap();
    assert_eq!(done.len(), 2);
    assert_eq!(read(servers(), &name, rows.len()), rows);
}

#[test]
fn a_record_without_timestamp_gets_the_time_of_delivery() {
    let name = topic("time");
    let before = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis() as i64;
    deliver_all(&mut *open(servers(), &[]), &[block(0, &name, &[Row::new("k", "v")])]).unwrap();
    assert!(read(servers(), &name, 1)[0].timestamp.is_some_and(|t| t >= before));
}

#[test]
fn keys_go_where_javas_producer_puts_them() {
    let name = topic("murmur2");
    let vectors = include_str!("murmur2.jsonl").lines().map(|l| serde_json::from_str::<serde_json::Value>(l).unwrap());
    let expected = vectors.map(|v| (v["key"].as_str().unwrap().to_owned(), v["partition"].as_i64().unwrap() as i32));
    let expected = expected.collect::<std::collections::BTreeMap<_, _>>();
    let rows = expected.keys().map(|k| Row::new(k, "v")).collect::<Vec<_>>();
    deliver_all(&mut *open(servers(), &partitions("12")), &[block(0, &name, &rows)]).unwrap();
    let found = read(servers(), &name, rows.len());
    let found = found.into_iter().map(|r| (String::from_utf8(r.key.unwrap()).unwrap(), r.partition)).collect();
    assert_eq!(expected, found);
}

#[test]
fn a_full_queue_takes_less_and_loses_nothing() {
    let name = topic("full");
    let settings = [&partitions("3")[..], &[("buffer.memory", "65536"), ("compression.type", "lz4")]].concat();
    let mut sink = open(servers(), &settings);
    let rows = (0..2000).map(|i| Row::new(&(i % 10).to_string(), &format!("{i:0300}"))).collect::<Vec<_>>();
    let big = block(0, &name, &rows);
    let mut done = Vec::new();
    let (mut from, mut refused) = (0, 0);
    while from < rows.len() {
        from = sink.deliver(&big, from).unwrap();
        refused += usize::from(from > 0 && from < rows.len());
        sink.poll(Duration::from_millis(10), &mut done).unwrap();
    }
    assert!(refused > 0, "the queue was never full");
    sink.flush(Instant::now() + support::LIMIT, &mut done).unwrap();
    assert_eq!(done, [0]);
    assert_eq!(read(servers(), &name, rows.len()).len(), rows.len());
}

#[test]
fn records_of_a_key_keep_their_order_over_many_blocks() {
    for codec in ["none", "gzip", "snappy", "lz4", "zstd"] {
        let name = topic(codec);
        let settings = [&partitions("5")[..], &[("compression.type", codec)]].concat();
        let blocks = (0..100).map(|b| {
            let rows =
                (0..50).map(|i| Row::new(&(i % 7).to_string(), &format!("{:06}", b * 50 + i))).collect::<Vec<_>>();
            block(b, &name, &rows)
        });
        let done = deliver_all(&mut *open(servers(), &settings), &blocks.collect::<Vec<_>>()).unwrap();
        assert_eq!(done, (0..100).collect::<Vec<_>>());
        let rows = read(servers(), &name, 5000);
        for key in 0..7 {
            let values =
                rows.iter().filter(|r| r.key == Some(key.to_string().into_bytes())).map(Row::text).collect::<Vec<_>>();
            assert!(values.len() > 500 && values.is_sorted(), "{codec}, key {key}");
        }
    }
}

#[test]
fn a_topic_is_created_as_its_group_says() {
    let name = topic("created");
    let settings = [
        ("topic.creation.groups", "one"),
        ("topic.creation.default.partitions", "1"),
        ("topic.creation.default.replication.factor", "-1"),
        ("topic.creation.one.include", "weir-created-.*"),
        ("topic.creation.one.partitions", "7"),
        ("topic.creation.one.max.message.bytes", "2000"),
    ];
    let mut sink = open(servers(), &settings);
    let rows = (0..7).map(|p| Row { partition: p, ..Row::new("k", "v") }).collect::<Vec<_>>();
    deliver_all(&mut *sink, &[block(0, &name, &rows)]).unwrap();
    assert_eq!(read(servers(), &name, 7).iter().map(|r| r.partition).collect::<Vec<_>>(), (0..7).collect::<Vec<_>>());
    let error = deliver_all(&mut *sink, &[block(1, &name, &[Row { partition: 7, ..Row::new("k", "v") }])]).unwrap_err();
    assert_eq!(error.code(), "kafka.partition-missing", "{error:?}");
}

#[test]
fn a_topic_that_cannot_be_created_says_why() {
    let name = topic("copies");
    let settings = [("topic.creation.default.partitions", "2"), ("topic.creation.default.replication.factor", "3")];
    let mut sink = open(servers(), &settings);
    let error = deliver_all(&mut *sink, &[block(0, &name, &[Row::new("k", "v")])]).unwrap_err();
    assert_eq!((error.code(), error.cure()), ("kafka.topic-not-creatable", Cure::Environment));
    assert!(error.message().contains(&name) && error.message().contains("fewer brokers than copies"), "{error:?}");
    let command = format!("--create --topic {name} --partitions 2 --replication-factor 3");
    assert!(error.hint().is_some_and(|h| h.contains(&command)), "{error:?}");
    assert_eq!(sink.poll(Duration::ZERO, &mut Vec::new()).unwrap_err().code(), error.code());
}

#[test]
fn nothing_is_written_behind_a_record_too_large_for_the_client() {
    let name = topic("large");
    let mut sink = open(servers(), &[]);
    let rows = [
        Row::new("k", "first"),
        Row { value: Some(vec![b'x'; 3_000_000]), ..Row::new("k", "") },
        Row::new("k", "last"),
    ];
    let error = deliver_all(&mut *sink, &[block(0, &name, &rows)]).unwrap_err();
    assert_eq!((error.code(), error.cure()), ("kafka.message-too-large", Cure::None));
    let hint = error.hint().unwrap_or_default();
    assert!(hint.contains("producer.override.max.request.size") && hint.contains("max.message.bytes"), "{error:?}");
    assert!(error.message().contains(&name));
    assert!(sink.deliver(&block(1, &name, &rows), 0).is_err());
    drop(sink);
    let rows = tail(servers(), &name, 0, Duration::from_secs(2));
    assert!(rows.iter().all(|r| r.text() == "first"), "{} rows", rows.len());
}

#[test]
fn nothing_is_written_behind_a_record_too_large_for_the_topic() {
    let name = topic("large-topic");
    let settings =
        [&partitions("1")[..], &[("topic.creation.default.max.message.bytes", "20000"), ("batch.size", "1000")]]
            .concat();
    let row =
        |i: usize| Row { value: Some(vec![b'x'; if i == 500 { 50_000 } else { 300 }]), ..Row::new(&i.to_string(), "") };
    // what the topic takes is known: no batch is too large for it, and so it is the record
    let largest = Largest::default();
    assert!(largest.learn(&name, 20_000));
    let mut sink = open_within(servers(), &settings, &largest).unwrap();
    let blocks = (0..10).map(|b| block(b, &name, &(0..100).map(|i| row(b as usize * 100 + i)).collect::<Vec<_>>()));
    let blocks = blocks.collect::<Vec<_>>();
    let mut done = Vec::new();
    let mut all = || -> Result<(), weir_api::Error> {
        for block in &blocks {
            hand_over(&mut *sink, block, &mut done)?;
        }
        sink.flush(Instant::now() + support::LIMIT, &mut done)
    };
    let error = all().unwrap_err();
    assert_eq!(error.code(), "kafka.message-too-large", "{error:?}");
    assert!(error.message().contains("partition 0"), "{error:?}");
    assert!(done.iter().all(|id| *id < 5), "{done:?}");
    drop(sink);
    let keys = tail(servers(), &name, 0, Duration::from_secs(2));
    let keys = keys.iter().map(|r| String::from_utf8(r.key.clone().unwrap()).unwrap().parse().unwrap());
    let keys = keys.collect::<Vec<usize>>();
    assert!(
        keys.len() <= 500 && keys.iter().enumerate().all(|(i, k)| i == *k),
        "{} rows, last {:?}",
        keys.len(),
        keys.last()
    );
}

/// A batch may be too large though none of its records is.
#[test]
fn batches_become_as_small_as_the_topic_takes_them() {
    let name = topic("small-batches");
    let settings =
        [&partitions("1")[..], &[("topic.creation.default.max.message.bytes", "5000"), ("linger.ms", "50")]].concat();
    let rows = (0..1000).map(|i| Row::new(&i.to_string(), &"x".repeat(300))).collect::<Vec<_>>();
    let largest = Largest::default();
    let mut sink = open_within(servers(), &settings, &largest).unwrap();
    let error = deliver_all(&mut *sink, &[block(0, &name, &rows)]).unwrap_err();
    assert_eq!((error.code(), error.is_retriable()), ("kafka.batch-too-large", true));
    assert!(error.message().contains(&name) && error.message().contains("5000"), "{error:?}");
    assert_eq!((largest.bytes(&name), largest.least()), (5000, Some(5000)));
    drop(sink);
    let mut sink = open_within(servers(), &settings, &largest).unwrap();
    assert_eq!(deliver_all(&mut *sink, &[block(0, &name, &rows)]).unwrap(), [0]);
    let keys = tail(servers(), &name, 0, Duration::from_secs(2));
    assert!(keys.iter().map(|r| String::from_utf8_lossy(r.key.as_ref().unwrap())).eq((0..1000).map(|i| i.to_string())));
}

#[test]
fn records_that_the_cluster_does_not_take_are_named() {
    // a compacted topic takes no record without a key
    let name = topic("compacted");
    let settings = [&partitions("1")[..], &[("topic.creation.default.cleanup.policy", "compact")]].concat();
    let mut sink = open(servers(), &settings);
    let row = Row { key: None, ..Row::new("", "v") };
    let error = deliver_all(&mut *sink, &[block(0, &name, &[row])]).unwrap_err();
    assert_eq!((error.code(), error.cure()), ("kafka.record-refused", Cure::None), "{error:?}");
    assert!(error.message().contains(&name) && error.hint().is_some_and(|h| h.contains("key")), "{error:?}");

    let mut sink = open(servers(), &partitions("1"));
    let error = deliver_all(&mut *sink, &[block(0, "two words", &[Row::new("k", "v")])]).unwrap_err();
    assert_eq!((error.code(), error.cure()), ("kafka.topic-invalid", Cure::Input), "{error:?}");

    // bytes that do not lie in the block
    let mut sink = open(servers(), &partitions("1"));
    let mut outside = block(0, &topic("outside"), &[Row::new("k", "v")]);
    let records = &mut Arc::get_mut(&mut outside).unwrap().records;
    records[0].value += 1000;
    let error = deliver_all(&mut *sink, &[outside]).unwrap_err();
    assert_eq!(error.code(), "kafka.record-malformed", "{error:?}");
}

#[test]
fn a_wrong_address_is_unreachable() {
    let port = weir_testkit::process::free_port().unwrap();
    let error = try_open(&format!("127.0.0.1:{port}"), &[]).err().unwrap();
    assert_eq!((error.code(), error.is_retriable()), ("kafka.unreachable", true));
    assert!(error.message().contains(&port.to_string()), "{error:?}");
    assert_eq!(try_open("", &[]).err().unwrap().code(), "config.missing");
}
