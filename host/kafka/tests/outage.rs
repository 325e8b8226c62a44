//! A broker that freezes, and one that restarts, while records flow: all of them arrive, in order and without gaps.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)] // helpers of tests are tests

mod support;

use std::time::{Duration, Instant};
use support::{LIMIT, Row, block, hand_over, open, partitions, read, topic};
use weir_testkit::Kafka;

/// Delivers blocks; in the middle the node is taken away by `away`, more is delivered, and `back` gives it back.
fn survives(name: &str, away: impl Fn(&Kafka), back: impl Fn(&Kafka) + Send + Sync) {
    let kafka = Kafka::builder().start().unwrap();
    let name = topic(name);
    let settings = [&partitions("3")[..], &[("buffer.memory", "1048576")]].concat();
    let mut sink = open(kafka.bootstrap(), &settings);
    let mut done = Vec::new();
    let make = |b: u64| {
        let rows = (0..100)
            .map(|i| Row::new(&(i % 5).to_string(), &format!("{:07}{:0300}", b * 100 + i, 0)))
            .collect::<Vec<_>>();
        block(b, &name, &rows)
    };
    for b in 0..50 {
        hand_over(&mut *sink, &make(b), &mut done).unwrap();
    }
    sink.flush(Instant::now() + LIMIT, &mut done).unwrap();
    away(&kafka);
    // More than the buffer holds: back-pressure, and no error, for as long as the node is away.
    let (mut b, mut from, until) = (50, 0, Instant::now() + Duration::from_secs(5));
    let mut waited = false;
    while Instant::now() < until {
        let block = make(b);
        from = sink.deliver(&block, from).unwrap();
        if from == block.records.len() {
            (b, from) = (b + 1, 0);
        } else {
            waited = true;
            break;
        }
        sink.poll(Duration::ZERO, &mut done).unwrap();
    }
    assert!(waited, "the buffer never filled");
    assert_eq!(done.len(), 50);
    while Instant::now() < until {
        sink.poll(Duration::from_millis(100), &mut done).unwrap();
    }
    assert_eq!(done.len(), 50);
    std::thread::scope(|s| {
        let returned = s.spawn(|| back(&kafka));
        let deadline = Instant::now() + LIMIT * 2;
        while done.len() < b as usize {
            assert!(Instant::now() < deadline, "{} of {b} blocks after the node came back", done.len());
            sink.poll(Duration::from_millis(100), &mut done).unwrap();
        }
        returned.join().unwrap();
    });
    let rows = read(kafka.bootstrap(), &name, b as usize * 100 + from);
    for key in 0..5 {
        let values = rows.iter().filter(|r| r.key == Some(key.to_string().into_bytes()));
        let values = values.map(|r| r.text()[..7].parse().unwrap()).collect::<Vec<u64>>();
        assert!(values.iter().enumerate().all(|(i, v)| *v == i as u64 * 5 + key), "key {key}: gaps or wrong order");
    }
}

#[test]
fn a_frozen_broker_delays_and_loses_nothing() {
    survives("frozen", |k| k.pause().unwrap(), |k| k.resume().unwrap());
}

#[test]
fn a_restarted_broker_delays_and_loses_nothing() {
    survives("restarted", |k| k.stop().unwrap(), |k| k.launch().unwrap());
}

#[test]
fn a_killed_broker_delays_and_loses_nothing() {
    survives("killed", |k| k.kill().unwrap(), |k| k.launch().unwrap());
}
