//! Other code for steps of a chain that runs: rows before are the old code's, rows behind the new one's; what cannot be bound to what
//! is in use changes nothing.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)] // helpers of tests are tests

use bytes::Bytes;
use serde_json::json;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use weir_api::{Applied, Block, BlockId, Error, Limit, Met, Offset, Poll, Position, Sink, Source, Transform};
use weir_cdc::{CellLeaf, Column as TableColumn, Envelope, Op, SourceBlock, Table};
use weir_converters::{JsonConverter, SimpleHeader};
use weir_model::{
    AFTER, Batch, Bind, Binding, Call, Cell, Codec, Column, Compute, Edit, Failure, Fault, Kind, Repr, Row, Shape,
    Stream, Transaction, Type, Verdict, Window,
};
use weir_runtime::{
    Blocks, Chain, Converters, Counters, DeadLetters, Offered, OffsetStore, OnError, Prepared, Reports, Saver, Step,
    Stop, Swaps, Task, TaskOptions, header,
};

/// A guest whose every record says which code made it, and the how-manieth of its own it is, in one header for each.
#[derive(Clone, Default)]
struct Stamp {
    version: i64,
    ordered: bool,
    /// further computed columns before the two: the places of columns differ from version to version
    more: usize,
    seen: i64,
    /// refuses shapes that have this field in `value`
    refuses: Option<&'static str>,
    /// adds this field to `value`
    adds: Option<&'static str>,
    /// puts a field into a text
    lies: bool,
    /// fails the row of this number of the batch
    poison: Option<u32>,
    shapes: HashMap<String, u32>,
    met: Vec<Met>,
    /// takes its time to be bound, and says so
    slow: Option<Arc<AtomicBool>>,
}

impl Bind for Stamp {
    fn bind(&mut self, shape: &Shape) -> Result<(u32, Arc<Binding>), Fault> {
        let is_refused = self.refuses.is_some_and(|field| shape.find(&["value", field]).is_some());
        if let Some(begun) = &self.slow {
            begun.store(true, Relaxed);
            std::thread::sleep(Duration::from_millis(5));
        }
        self.met.push(Met { shape: Arc::new(shape.clone()), is_refused });
        if is_refused {
            return Err(Fault::Rows(Failure::new("org.example.Refused", "not this shape")));
        }
        let next = self.shapes.len() as u32;
        let number = *self.shapes.entry(format!("{shape:?}")).or_insert(next);
        let computed = |i: usize| weir_model::Source::Computed(i as u32);
        let mut edits = vec![
            Edit::Header("version".into(), computed(self.more)),
            Edit::Header("n".into(), computed(self.more + 1)),
        ];
        let is_change = shape.find(&["value", "op"]).is_some();
        edits.extend(
            self.adds.filter(|_| is_change).map(|f| Edit::Put(vec!["value".into(), f.into()], computed(self.more))),
        );
        if self.lies && is_change {
            edits.push(Edit::Put(vec!["value".into(), "op".into(), "x".into()], computed(0)))
        }
        let compute = Compute { ty: Type::new(Kind::Int64), repr: Repr::Native };
        let (computes, ordered) = (vec![compute; self.more + 2], self.ordered);
        let otherwise = Verdict::Apply;
        Ok((number, Arc::new(Binding { computes, layouts: vec![edits], otherwise, ordered, ..Binding::default() })))
    }
}

impl Transform for Stamp {
    fn apply(&mut self, _: &[Call], _: &Batch, rows: &[(u16, u32)]) -> Result<Applied, Error> {
        let ints = |values: Vec<i64>| Column::Ints { valid: vec![], values };
        let mut columns = vec![ints(vec![-1; rows.len()]); self.more];
        columns.push(ints(vec![self.version; rows.len()]));
        columns.push(ints((self.seen..).take(rows.len()).collect()));
        self.seen += rows.len() as i64;
        let failed = rows.iter().position(|r| Some(r.1) == self.poison);
        let errors = failed.map(|i| (i as u32, Failure::new("poison", "a poisoned row"))).into_iter().collect();
        Ok(Applied { columns, errors, ..Applied::default() })
    }
    fn module(&self) -> Option<String> {
        Some(format!("stamp@sha256:{}", self.version))
    }
    fn shapes(&self) -> Vec<Met> {
        self.met.clone()
    }
}

fn version(version: i64) -> Stamp {
    // each has its columns elsewhere
    Stamp { version, more: (version % 3) as usize, ..Stamp::default() }
}

fn stream() -> Arc<Stream> {
    numbered(1)
}

fn numbered(id: u64) -> Arc<Stream> {
    let column = TableColumn { name: "id".into(), ty: Type::new(Kind::Int64), leaf: CellLeaf::Codec(Codec::IntText) };
    let table = Table { topic: "shop.orders".into(), columns: vec![(0, column)], key: vec![0] };
    let source = SourceBlock { name: "io.example.Source", fields: vec![SourceBlock::text("db", "shop")] };
    let program = Envelope::new(None).program(&table, &source, Op::Change);
    Arc::new(Stream { id, name: "public.orders".into(), width: 1, program })
}

/// Inserts of so many ids, from one on.
fn window(stream: &Arc<Stream>, from: u64, rows: u64) -> Window {
    let (mut wire, mut cells) = (vec![], vec![]);
    for id in from..from + rows {
        let (at, text) = (wire.len() as u32, id.to_string());
        cells.push(Cell { at, len: text.len() as u32 });
        wire.extend_from_slice(text.as_bytes());
    }
    let mut batch = Batch::new(stream.clone(), Bytes::from(wire), 0);
    batch.transactions.push(Transaction::default());
    batch.cells = cells;
    batch.rows = (0..rows as u32).map(|after| Row { after, op: b'c', present: AFTER, ..Row::default() }).collect();
    let mut window = Window::default();
    window.push_run(0, 0, rows as u32);
    window.batches.push(batch);
    window
}

fn chain(steps: Vec<Stamp>, on_error: OnError) -> Chain {
    let json = Arc::new(JsonConverter(Default::default()));
    let converters = Converters { key: json.clone(), value: json, header: Arc::new(SimpleHeader), on_error };
    let step = |(i, s)| Step { name: format!("step{i}").as_str().into(), transform: Box::new(s), on_error };
    Chain::new(steps.into_iter().enumerate().map(step).collect(), converters, 1 << 20).reporting(Reports {
        pipeline: "shop".into(),
        notation: Arc::new(weir_converters::letter::write),
        log: false,
        log_records: false,
        dead_letters: Some(DeadLetters { topic: Some("dead".into()), connect_headers: false }),
    })
}

fn run(chain: &mut Chain, from: u64, rows: u64) -> Blocks {
    chain.run(&mut window(&stream(), from, rows)).expect("a chain")
}

/// Of each record: id, versions, numbers.
fn told(blocks: &[Arc<Block>]) -> Vec<(i64, Vec<i64>, Vec<i64>)> {
    let mut out = vec![];
    for block in blocks {
        for r in &block.records {
            let key: serde_json::Value = serde_json::from_slice(block.key(r).expect("a key")).expect("JSON");
            let key = key.get("payload").unwrap_or(&key);
            let headers = |wanted: &str| {
                let all = block.headers(r).filter(|h| *h.0 == *wanted).filter_map(|h| h.1);
                all.map(|v| String::from_utf8_lossy(v).parse().expect("a number")).collect()
            };
            out.push((key["id"].as_i64().expect("an id"), headers("version"), headers("n")))
        }
    }
    out
}

fn versions(blocks: &Blocks) -> Vec<(i64, i64)> {
    told(&blocks.blocks).into_iter().map(|(id, versions, _)| (id, versions[0])).collect()
}

fn one(stamp: Stamp) -> Vec<Offered> {
    vec![(0, Box::new(stamp))]
}

#[test]
fn columns_are_those_of_the_code_that_ran() {
    let mut chain = chain(vec![version(1), Stamp { version: 50, ..Stamp::default() }], OnError::Fail);
    for v in 1..8 {
        let said = told(&run(&mut chain, 10, 3).blocks);
        let wanted = [10, 11, 12].map(|id| (id, vec![v, 50], vec![id - 10, (v - 1) * 3 + id - 10]));
        assert_eq!(said, wanted, "version {v}");
        let mut offered = one(version(v + 1));
        chain.swap(&mut offered).expect("swapped");
        assert_eq!(offered[0].1.module().as_deref(), Some(&*format!("stamp@sha256:{v}")), "what ran comes back");
        assert_eq!(&*chain.modules()[0].1, &*format!("stamp@sha256:{}", v + 1));
    }
}

#[test]
fn a_stateful_step_begins_anew_and_keeps_the_order() {
    let mut chain = chain(vec![Stamp { ordered: true, ..version(1) }], OnError::Fail);
    let numbers = |blocks: &Blocks| told(&blocks.blocks).into_iter().map(|t| (t.0, t.2[0])).collect::<Vec<_>>();
    assert_eq!(numbers(&run(&mut chain, 1, 3)), [(1, 0), (2, 1), (3, 2)]);
    assert_eq!(numbers(&run(&mut chain, 4, 1)), [(4, 3)]);
    chain.swap(&mut one(Stamp { ordered: true, ..version(2) })).expect("swapped");
    assert_eq!(numbers(&run(&mut chain, 5, 2)), [(5, 0), (6, 1)]);
}

#[test]
fn steps_of_one_file_are_swapped_together() {
    let mut chain = chain(vec![version(1), version(1)], OnError::Fail);
    run(&mut chain, 1, 1);
    // the second cannot be: then neither is
    let mut offered: Vec<Offered> = vec![(0, Box::new(version(2))), (1, Box::new(Stamp { lies: true, ..version(2) }))];
    assert_eq!(chain.swap(&mut offered).unwrap_err().code(), "transform.binding");
    assert_eq!(told(&run(&mut chain, 2, 1).blocks)[0].1, [1, 1]);
    chain.swap(&mut [(0, Box::new(version(2))), (1, Box::new(version(2)))]).expect("swapped");
    assert_eq!(told(&run(&mut chain, 3, 1).blocks)[0].1, [2, 2]);
}

#[test]
fn a_letter_names_the_code_that_failed() {
    let poison = |v| Stamp { poison: Some(1), ..version(v) };
    let mut chain = chain(vec![poison(1)], OnError::DeadLetter);
    let mut modules = vec![];
    for v in 2..4 {
        let blocks = run(&mut chain, 1, 3);
        assert_eq!(versions(&blocks), [(1, v - 1), (3, v - 1)]);
        for block in &blocks.letters {
            let header = |r| block.headers(r).find(|h| *h.0 == *header::MODULE).and_then(|h| h.1);
            modules.extend(block.records.iter().map(|r| String::from_utf8_lossy(header(r).unwrap()).into_owned()));
        }
        chain.swap(&mut one(poison(v))).expect("swapped");
    }
    assert_eq!(modules, ["stamp@sha256:1", "stamp@sha256:2"]);
}

#[test]
fn what_cannot_be_bound_changes_nothing() {
    let behind = Stamp { version: 50, refuses: Some("surprise"), ..Stamp::default() };
    let mut chain = chain(vec![version(1), behind], OnError::Fail);
    let before = told(&run(&mut chain, 1, 2).blocks);
    let refused = [
        ("reload.shape", "step0", Stamp { refuses: Some("op"), ..version(2) }),
        ("transform.binding", "step0", Stamp { lies: true, ..version(2) }),
        // what it makes now is refused by the step behind
        ("reload.shape", "step1", Stamp { adds: Some("surprise"), ..version(2) }),
    ];
    for (code, step, stamp) in refused {
        let mut offered = one(stamp);
        let e = chain.swap(&mut offered).unwrap_err();
        assert!(e.code() == code && e.message().contains(step), "{e:?}");
        assert_eq!(offered[0].1.module().as_deref(), Some("stamp@sha256:2"), "what was offered comes back");
        assert_eq!(&*chain.modules()[0].1, "stamp@sha256:1");
        let now = told(&run(&mut chain, 1, 2).blocks);
        assert_eq!(now.iter().map(|t| &t.1).collect::<Vec<_>>(), before.iter().map(|t| &t.1).collect::<Vec<_>>());
    }
    let outside = chain.swap(&mut [(2, Box::new(version(2)))]);
    assert_eq!(outside.unwrap_err().code(), "reload.step");
}

#[test]
fn windows_go_through_the_old_code_while_many_streams_are_bound_to_the_new_one() {
    let mut chain = chain(vec![version(1), Stamp { version: 50, ..Stamp::default() }], OnError::Fail);
    let run = |chain: &mut Chain, id| versions(&chain.run(&mut window(&numbered(id), 1, 1)).expect("a chain"))[0].1;
    (0..50).for_each(|id| assert_eq!(run(&mut chain, id), 1));
    let (mut offered, mut prepared) = (one(version(2)), Prepared::default());
    let mut slices = 0;
    // a stream for each slice, and for twenty of them a new one comes in between
    while !chain.prepare(&mut offered, &mut prepared, Duration::ZERO).expect("prepared") {
        slices += 1;
        assert_eq!(run(&mut chain, if slices <= 20 { 49 + slices } else { 0 }), 1);
        assert!(slices < 100, "it does not end");
    }
    assert_eq!(slices, 70);
    (0..70).for_each(|id| assert_eq!(run(&mut chain, id), 2));
}

#[test]
fn what_was_refused_before_may_be_refused_still() {
    let refuses = |v| Stamp { refuses: Some("op"), ..version(v) };
    let mut chain = chain(vec![refuses(1)], OnError::Skip);
    assert_eq!(run(&mut chain, 1, 2).skipped.values().sum::<u64>(), 2);
    // tombstones have no `op`
    let has_op = |s: &Met| s.shape.find(&["value", "op"]).is_some();
    assert!(chain.shapes(0).iter().any(has_op) && chain.shapes(0).iter().all(|s| s.is_refused == has_op(s)));
    chain.swap(&mut one(refuses(2))).expect("swapped");
    chain.swap(&mut one(version(3))).expect("mended");
    assert_eq!(versions(&run(&mut chain, 1, 2)), [(1, 3), (2, 3)]);
    assert!(chain.shapes(0).iter().all(|s| !s.is_refused));
    assert!(chain.shapes(7).is_empty());
}

// === a task ===

/// Rows without end, each the next number.
struct Numbers {
    streams: Vec<Arc<Stream>>,
    next: u64,
}

impl Source for Numbers {
    fn partition(&self) -> Offset {
        Offset::new()
    }
    fn offset(&self, position: &Position) -> Offset {
        Offset::from_iter([("at".to_string(), json!(position.0[0]))])
    }
    fn start(&mut self, _: Option<&Offset>) -> Result<(), Error> {
        Ok(())
    }
    fn poll(&mut self, _: Duration, _: Limit, to: &mut Window) -> Result<Poll, Error> {
        let rows = self.next % 7 + 1;
        *to = window(&self.streams[self.next as usize % self.streams.len()], self.next, rows);
        self.next += rows;
        Ok(Poll::Window(Some(Position([self.next, 0, 0, 0]))))
    }
    fn confirm(&mut self, _: &Position) -> Result<(), Error> {
        Ok(())
    }
    fn keep_alive(&mut self) -> Result<(), Error> {
        Ok(())
    }
    fn stop(&mut self, _: bool) {}
}

struct NoStore;

impl OffsetStore for NoStore {
    fn load(&self, _: &Offset) -> Result<Option<Offset>, Error> {
        Ok(None)
    }
    fn save(&mut self, _: &Offset, _: &Offset) -> Result<(), Error> {
        Ok(())
    }
}

/// Keeps what comes. Takes nothing while it is held.
#[derive(Clone, Default)]
struct Kept {
    got: Arc<Mutex<Vec<(i64, i64)>>>,
    held: Arc<AtomicBool>,
    done: Vec<BlockId>,
}

impl Sink for Kept {
    fn deliver(&mut self, block: &Arc<Block>, _: usize) -> Result<usize, Error> {
        if self.held.load(Relaxed) {
            return Ok(0);
        }
        let mut got = self.got.lock().unwrap();
        got.extend(told(std::slice::from_ref(block)).into_iter().map(|(id, versions, _)| (id, versions[0])));
        self.done.push(block.id);
        Ok(block.records.len())
    }
    fn poll(&mut self, wait: Duration, done: &mut Vec<BlockId>) -> Result<(), Error> {
        std::thread::sleep(wait.min(Duration::from_millis(1)));
        done.append(&mut self.done);
        Ok(())
    }
    fn flush(&mut self, _: Instant, done: &mut Vec<BlockId>) -> Result<(), Error> {
        self.poll(Duration::ZERO, done)
    }
}

const PATIENCE: Duration = Duration::from_secs(60);

struct Running {
    swaps: Swaps,
    sink: Kept,
    stop: Stop,
    counters: Arc<Counters>,
    thread: std::thread::JoinHandle<()>,
}

fn start() -> Running {
    let (swaps, sink, stop) = (Swaps::default(), Kept::default(), Stop::default());
    let (kept, counters) = (sink.clone(), Arc::new(Counters::default()));
    let task = Task {
        name: "numbers".into(),
        source: Box::new(Numbers { streams: (0..20).map(numbered).collect(), next: 0 }),
        chain: chain(vec![version(0)], OnError::Fail),
        sink: Box::new(move || Ok(Box::new(kept.clone()))),
        dead_letters: None,
        store: Saver::new(NoStore),
        options: TaskOptions { swaps: swaps.clone(), ..TaskOptions::default() },
        counters: counters.clone(),
    };
    let asked = stop.clone();
    let thread = std::thread::spawn(move || {
        task.run(&asked).expect("an orderly end");
    });
    Running { swaps, sink, stop, counters, thread }
}

impl Running {
    /// Waits for records of this version.
    fn arrives(&self, version: i64) {
        let until = Instant::now() + PATIENCE;
        while self.sink.got.lock().unwrap().last().is_none_or(|l| l.1 != version) {
            assert!(Instant::now() < until, "no record of version {version}");
            std::thread::yield_now();
        }
    }
}

#[test]
fn rows_before_are_the_old_codes_and_rows_behind_the_new_ones() {
    let running = start();
    for v in 1..=40 {
        running.arrives(v - 1);
        assert!(!running.swaps.shapes(0, PATIENCE).expect("shapes").is_empty());
        if v % 4 == 0 {
            let e = running.swaps.offer(one(Stamp { refuses: Some("op"), ..version(99) }), PATIENCE).unwrap_err();
            assert_eq!(e.code(), "reload.shape");
        }
        running.swaps.offer(one(version(v)), PATIENCE).expect("swapped");
        assert_eq!(&*running.counters.totals().modules[0].1, &*format!("stamp@sha256:{v}"));
    }
    running.arrives(40);
    running.stop.ask();
    running.thread.join().expect("the task");
    let got = running.sink.got.lock().unwrap();
    assert!(got.iter().map(|g| g.0).eq(0..got.len() as i64), "each once, in order");
    assert!(got.is_sorted_by_key(|g| g.1), "no record of old code behind one of new code");
    let mut seen: Vec<i64> = got.iter().map(|g| g.1).collect();
    seen.dedup();
    assert!(seen.into_iter().eq(0..=40));
    let e = running.swaps.offer(one(version(41)), PATIENCE).unwrap_err();
    assert_eq!(e.code(), "reload.ended");
}

#[test]
fn a_sink_that_takes_nothing_holds_up_no_swap() {
    let running = start();
    running.arrives(0);
    running.sink.held.store(true, Relaxed);
    for v in 1..5 {
        running.swaps.offer(one(version(v)), PATIENCE).expect("swapped");
    }
    running.sink.held.store(false, Relaxed);
    running.arrives(4);
    running.stop.ask();
    running.thread.join().expect("the task");
    let got = running.sink.got.lock().unwrap();
    assert!(got.iter().map(|g| g.0).eq(0..got.len() as i64) && got.is_sorted_by_key(|g| g.1));
}

#[test]
fn what_nobody_came_to_is_taken_back() {
    let swaps = Swaps::default();
    let e = swaps.offer(one(version(1)), Duration::from_millis(1)).unwrap_err();
    assert!(e.code() == "reload.busy" && e.is_retriable(), "{e:?}");
    let e = swaps.shapes(0, Duration::from_millis(1)).unwrap_err();
    assert_eq!(e.code(), "reload.busy");
}

/// The caller's patience ends while the task has the new code in hand: then it waits for the task's word, which comes also where the
/// task ends meanwhile.
#[test]
fn what_is_in_hand_is_waited_for() {
    for is_stopped in [false, true] {
        let running = start();
        running.arrives(0);
        let swaps = running.swaps.clone();
        let (send, answer) = std::sync::mpsc::channel();
        let begun = Arc::<AtomicBool>::default();
        let slow = Some(begun.clone());
        std::thread::spawn(move || {
            let offer = || swaps.offer(one(Stamp { slow: slow.clone(), ..version(1) }), Duration::from_millis(1));
            let mut said = offer();
            while said.as_ref().is_err_and(|e| e.code() == "reload.busy") {
                said = offer()
            }
            send.send(said.map_err(|e| e.code())).expect("heard");
        });
        let until = Instant::now() + PATIENCE;
        while !begun.load(Relaxed) {
            assert!(Instant::now() < until, "the task does not begin");
            std::thread::yield_now();
        }
        if is_stopped {
            running.stop.ask();
        }
        let said = answer.recv_timeout(PATIENCE).expect("an answer");
        if is_stopped {
            assert_eq!(said, Err("reload.ended"), "there are twenty streams, and it is in the first");
        } else {
            assert_eq!(said, Ok(()));
            running.arrives(1);
            running.stop.ask();
        }
        running.thread.join().expect("the task");
    }
}
