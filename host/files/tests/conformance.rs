//! The contract of `Sink`, checked on every sink of this crate, and what each of them promises beyond it.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};
use weir_api::{Block, BlockId, Cure, Record, Route, Settings, Sink};
use weir_files::{Discard, FileSink, Form, Stdout, Text, stdout};

/// A block of `n` records with keys `first..first + n`; every third is a tombstone, headers `h` (null on odd ones) and `i`.
fn block(id: BlockId, first: usize, n: usize) -> Arc<Block> {
    let route = Arc::new(Route { topic: "shop.public.orders".into(), headers: ["h".into(), "i".into()].into() });
    let (mut data, mut records, mut header_ends) = (Vec::new(), vec![], vec![]);
    for i in first..first + n {
        let mut r = Record {
            start: data.len() as u32,
            has: Record::KEY,
            timestamp: 1_700_000_000_000,
            partition: -1,
            ..Record::default()
        };
        data.extend_from_slice(format!("{{\"id\":{i}}}").as_bytes());
        r.key = data.len() as u32;
        if i % 3 != 0 {
            r.has |= Record::VALUE;
            data.extend_from_slice(format!("{{\"after\":{{\"id\":{i}}},\"op\":\"c\"}}").as_bytes());
        }
        r.value = data.len() as u32;
        r.headers = header_ends.len() as u32;
        if i % 2 == 1 {
            r.has |= Record::null_header(0);
        }
        data.extend_from_slice(if i % 2 == 1 { b"" } else { b"x\"y" });
        header_ends.push(data.len() as u32);
        data.extend_from_slice(i.to_string().as_bytes());
        header_ends.push(data.len() as u32);
        records.push(r);
    }
    Arc::new(Block { id, data, records, header_ends, routes: Arc::new([route]) })
}

fn line(i: usize) -> String {
    let value = if i.is_multiple_of(3) { "null".into() } else { format!("{{\"after\":{{\"id\":{i}}},\"op\":\"c\"}}") };
    let h = if i % 2 == 1 { "null" } else { r#""x\"y""# };
    format!(r#"{{"topic":"shop.public.orders","key":{{"id":{i}}},"value":{value},"headers":{{"h":{h},"i":"{i}"}}}}"#)
}

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(60)
}

/// Hands over all of a block, polling whenever there is no room.
fn hand_over(sink: &mut dyn Sink, block: &Arc<Block>, done: &mut Vec<BlockId>) {
    let mut from = 0;
    loop {
        from = sink.deliver(block, from).unwrap();
        if from == block.records.len() {
            return;
        }
        sink.poll(Duration::from_millis(50), done).unwrap();
    }
}

/// What every sink owes: each block acknowledged once, empty ones too, nothing before it was handed over whole, all of it
/// after a flush, and polling an idle sink says nothing.
fn conforms(sink: &mut dyn Sink) -> usize {
    let mut done = vec![];
    sink.poll(Duration::ZERO, &mut done).unwrap();
    sink.flush(soon(), &mut done).unwrap();
    assert!(done.is_empty());

    let (mut id, mut first) = (0, 0);
    for size in [1, 0, 7, 1000, 0, 40_000, 1] {
        hand_over(sink, &block(id, first, size), &mut done);
        id += 1;
        first += size;
    }
    assert!(done.iter().all(|d| *d < id));
    sink.flush(soon(), &mut done).unwrap();
    done.sort();
    assert_eq!(done, (0..id).collect::<Vec<_>>());
    done.clear();
    sink.poll(Duration::ZERO, &mut done).unwrap();
    sink.flush(Instant::now(), &mut done).unwrap();
    assert!(done.is_empty());

    // Polling alone gets there too.
    hand_over(sink, &block(id, first, 3), &mut done);
    let deadline = soon();
    while done.is_empty() && Instant::now() < deadline {
        sink.poll(Duration::from_millis(50), &mut done).unwrap();
    }
    assert_eq!(done, [id]);
    first + 3
}

fn file_at(path: &Path) -> Box<dyn Sink> {
    let settings = Settings::new([("path", path.to_str().unwrap())]);
    Box::new(FileSink::open(&settings, Text::Json, Text::Json).unwrap())
}

fn assert_lines(text: &str, n: usize) {
    assert!(text.ends_with('\n'));
    for (i, got) in text.lines().enumerate() {
        assert_eq!(got, line(i));
    }
    assert_eq!(text.lines().count(), n);
}

/// A writer that the test can read, stop and break.
#[derive(Clone, Default)]
struct Tube(Arc<(Mutex<Inner>, Condvar)>);

#[derive(Default)]
struct Inner {
    bytes: Vec<u8>,
    stopped: bool,
    broken: bool,
}

impl Tube {
    fn set(&self, change: impl FnOnce(&mut Inner)) {
        change(&mut self.0.0.lock().unwrap());
        self.0.1.notify_all();
    }
    fn text(&self) -> String {
        String::from_utf8(self.0.0.lock().unwrap().bytes.clone()).unwrap()
    }
}

impl Write for Tube {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut inner = self.0.1.wait_while(self.0.0.lock().unwrap(), |i| i.stopped).unwrap();
        if inner.broken {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        inner.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn discard_conforms_and_counts() {
    let mut sink = Discard::open(&Settings::default()).unwrap();
    let counts = sink.counts();
    let records = conforms(&mut sink);
    assert_eq!(counts.records.load(std::sync::atomic::Ordering::Relaxed), records as u64);
    assert_eq!(counts.blocks.load(std::sync::atomic::Ordering::Relaxed), 8);
    assert!(counts.bytes.load(std::sync::atomic::Ordering::Relaxed) > records as u64 * 10);
}

#[test]
fn file_conforms_and_keeps_the_order() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("rows.ndjson");
    let records = conforms(&mut *file_at(&path));
    assert_lines(&fs::read_to_string(&path).unwrap(), records);
}

#[test]
fn stdout_conforms_and_keeps_the_order() {
    let tube = Tube::default();
    let records = conforms(&mut Stdout::to(tube.clone(), Form::Ndjson, Text::Json, Text::Json).unwrap());
    assert_lines(&tube.text(), records);
}

#[test]
fn file_lines_are_there_before_their_block_is_acknowledged() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("rows.ndjson");
    let mut sink = file_at(&path);
    let (mut done, mut acknowledged, deadline) = (vec![], 0, soon());
    for id in 0..200 {
        hand_over(&mut *sink, &block(id, id as usize * 10, 10), &mut done);
        while acknowledged + 3 < id as usize && Instant::now() < deadline {
            sink.poll(Duration::from_millis(50), &mut done).unwrap();
            acknowledged += done.len();
            let highest = done.drain(..).max().map_or(0, |d| d as usize + 1);
            let lines = fs::read_to_string(&path).unwrap().lines().count();
            assert!(lines >= highest * 10, "{lines} lines, but block {highest} is acknowledged");
        }
    }
    assert!(acknowledged >= 196);
}

#[test]
fn half_a_line_is_cut_off_when_the_file_is_opened_again() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("rows.ndjson");
    let mut sink = file_at(&path);
    let mut done = vec![];
    hand_over(&mut *sink, &block(0, 0, 5), &mut done);
    sink.flush(soon(), &mut done).unwrap();
    drop(sink);
    File::options().append(true).open(&path).unwrap().write_all(b"{\"topic\":\"shop.pub").unwrap();

    let mut sink = file_at(&path);
    hand_over(&mut *sink, &block(0, 5, 5), &mut done);
    sink.flush(soon(), &mut done).unwrap();
    drop(sink);
    assert_lines(&fs::read_to_string(&path).unwrap(), 10);
}

#[test]
fn a_stopped_reader_bounds_the_backlog_and_a_flush_ends() {
    let tube = Tube::default();
    tube.set(|t| t.stopped = true);
    let mut sink = Stdout::to(tube.clone(), Form::Ndjson, Text::Json, Text::Json).unwrap();
    let big = block(0, 0, 150_000);
    // One backlog is with the writer, one waits, and then there is no room; delivering never waits.
    let (mut from, mut refused, deadline) = (0, 0, soon());
    while refused < 1000 && Instant::now() < deadline {
        let taken = sink.deliver(&big, from).unwrap();
        refused = if taken == from { refused + 1 } else { 0 };
        from = taken;
        assert!(from < big.records.len(), "everything was taken");
    }
    assert!(from > 0 && refused == 1000);
    let mut done = vec![];
    let error = sink.flush(Instant::now() + Duration::from_millis(5), &mut done).unwrap_err();
    assert_eq!((error.code(), error.is_retriable(), done.len()), ("sink.flush-timeout", true, 0));
    tube.set(|t| t.stopped = false);
    while from < big.records.len() {
        sink.poll(Duration::from_millis(50), &mut done).unwrap();
        from = sink.deliver(&big, from).unwrap();
    }
    sink.flush(soon(), &mut done).unwrap();
    assert_eq!(done, [0]);
    assert_lines(&tube.text(), 150_000);
}

#[test]
fn a_reader_that_is_gone_is_told_by_its_code_and_acknowledges_nothing() {
    let tube = Tube::default();
    tube.set(|t| t.broken = true);
    let mut sink = Stdout::to(tube, Form::Ndjson, Text::Json, Text::Json).unwrap();
    let mut done = vec![];
    hand_over(&mut sink, &block(0, 0, 1), &mut done);
    let error = sink.flush(soon(), &mut done).unwrap_err();
    assert_eq!((error.code(), error.cure(), done.len()), (stdout::CLOSED, Cure::None, 0));
    assert_eq!(sink.deliver(&block(1, 0, 1), 0).unwrap_err().code(), stdout::CLOSED);
    assert_eq!(sink.poll(Duration::ZERO, &mut done).unwrap_err().code(), stdout::CLOSED);
}

#[test]
fn a_terminal_gets_a_line_for_eyes() {
    let tube = Tube::default();
    let mut sink = Stdout::to(tube.clone(), Form::Pretty { colour: false }, Text::Json, Text::Json).unwrap();
    let mut done = vec![];
    hand_over(&mut sink, &block(0, 0, 2), &mut done);
    sink.flush(soon(), &mut done).unwrap();
    let want = "22:13:20.000 shop.public.orders x {\"id\":0} → ∅\n22:13:20.000 shop.public.orders c {\"id\":1} → {\"after\":{\"id\":1},\"op\":\"c\"}\n";
    assert_eq!(tube.text(), want);
    let colours = Tube::default();
    let mut sink = Stdout::to(colours.clone(), Form::Pretty { colour: true }, Text::Text, Text::Bytes).unwrap();
    hand_over(&mut sink, &block(0, 1, 1), &mut done);
    sink.flush(soon(), &mut done).unwrap();
    assert!(colours.text().contains("\u{1b}[32mc\u{1b}[0m"));
}

#[test]
fn text_and_bytes_stand_in_strings() {
    let tube = Tube::default();
    let mut sink = Stdout::to(tube.clone(), Form::Ndjson, Text::Text, Text::Bytes).unwrap();
    let mut done = vec![];
    hand_over(&mut sink, &block(0, 1, 1), &mut done);
    sink.flush(soon(), &mut done).unwrap();
    let record: serde_json::Value = serde_json::from_str(&tube.text()).unwrap();
    assert_eq!(record["key"], "{\"id\":1}");
    assert_eq!(record["value"], "eyJhZnRlciI6eyJpZCI6MX0sIm9wIjoiYyJ9");
    assert_eq!(record["headers"]["h"], serde_json::Value::Null);
}
