//! What a step or the converter cannot take becomes a dead letter: the record as it came into what failed. It is as much a record
//! as those that go to the sink: no offset is stored before it is durable (invariants 1 and 4).
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)] // helpers of tests are tests

use bytes::Bytes;
use serde_json::{Value as Json, json};
use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use weir_api::{Applied, Block, BlockId, Error, Largest, Limit, Offset, Poll, Position, Record, Sink, Told, Transform};
use weir_cdc::{CellLeaf, Column as TableColumn, Envelope, Op, SourceBlock, Table};
use weir_converters::{JsonConverter, SimpleHeader};
use weir_model::{
    AFTER, BEFORE, Batch, Bind, Binding, Call, Cell, Codec, Column, Comparison, Compute, Edit, Failure, Fault, Kind,
    Read, Repr, Row, Rule, Shape, Source, Stream, Test, Transaction, Type, Value, Verdict, Window,
};
use weir_runtime::{
    Blocks, Chain, Converters, Counters, DeadLetters, MakeSink, OffsetStore, OnError, Reports, RetryPolicy, Saver,
    Step, Stop, Task, TaskOptions, header,
};

/// What a step does to change events; tombstones pass it by.
#[derive(Clone, Copy, PartialEq)]
enum Does {
    /// adds the header `seen`
    Stamps,
    /// refuses deletes by a rule
    RefusesDeletes,
    /// refuses rows with this number of the batch, in the guest, and logs a line
    Poisons(u32),
    /// computes a field that must be there, and is not in the row of this number
    Forgets(u32),
}

struct Fake(Does, HashMap<String, u32>);

impl Bind for Fake {
    fn bind(&mut self, shape: &Shape) -> Result<(u32, Arc<Binding>), Fault> {
        let next = self.1.len() as u32;
        let number = *self.1.entry(format!("{shape:?}")).or_insert(next);
        let Some(op) = shape.find(&["value", "op"]) else { return Ok((number, Arc::default())) };
        let header = |s| Edit::Header("seen".into(), s);
        let binding = match self.0 {
            Does::Stamps => Binding {
                layouts: vec![vec![header(Source::Constant(Type::new(Kind::Int32), Value::Int(1)))]],
                ..Binding::default()
            },
            Does::RefusesDeletes => {
                let when = vec![Test::Compare(op, Comparison::Eq, Value::text("d"))];
                let then = Verdict::Fail(Failure::new("org.example.Delete", "a delete"));
                let reads = vec![Read { field: op, repr: Repr::Native }];
                Binding { reads, rules: vec![Rule { name: "deletes".into(), when, then }], ..Binding::default() }
            }
            Does::Poisons(_) => Binding { otherwise: Verdict::Apply, ..Binding::default() },
            Does::Forgets(_) => Binding {
                computes: vec![Compute { ty: Type::new(Kind::Int32), repr: Repr::Native }],
                layouts: vec![vec![Edit::Put(vec!["value".into(), "sum".into()], Source::Computed(0))]],
                otherwise: Verdict::Apply,
                ..Binding::default()
            },
        };
        Ok((number, Arc::new(binding)))
    }
}

impl Transform for Fake {
    fn apply(&mut self, _: &[Call], _: &Batch, rows: &[(u16, u32)]) -> Result<Applied, Error> {
        let mut applied = Applied::default();
        let at = |wanted: u32| rows.iter().position(|r| r.1 == wanted).map(|i| i as u32);
        match self.0 {
            Does::Poisons(row) => {
                applied.errors.extend(at(row).map(|i| (i, Failure::new("guest.trap", "it trapped"))));
                applied.logs.extend(at(row).map(|i| (i, "first\nsecond".into())))
            }
            Does::Forgets(row) => {
                let valid = rows.iter().map(|r| u8::from(r.1 != row)).collect();
                applied.columns = vec![Column::Ints { valid, values: vec![7; rows.len()] }]
            }
            Does::Stamps | Does::RefusesDeletes => {}
        }
        Ok(applied)
    }
    fn module(&self) -> Option<String> {
        Some("fake@sha256:0".into())
    }
}

fn stream() -> Arc<Stream> {
    let id = TableColumn { name: "id".into(), ty: Type::new(Kind::Int64), leaf: CellLeaf::Codec(Codec::IntText) };
    let table = Table { topic: "shop.orders".into(), columns: vec![(0, id)], key: vec![0] };
    let source = SourceBlock { name: "io.example.Source", fields: vec![SourceBlock::text("db", "shop")] };
    let program = Envelope::new(None).program(&table, &source, Op::Change);
    Arc::new(Stream { id: 1, name: "public.orders".into(), width: 1, program })
}

/// Insert of 1, insert of 2, delete of 2, insert of 3.
fn window() -> Window {
    let mut batch = Batch::new(stream(), Bytes::from_static(b"123"), 0);
    batch.transactions.push(Transaction { last_commit: 40, ..Transaction::default() });
    batch.cells = (0..3).map(|at| Cell { at, len: 1 }).collect();
    let mut row = |op: u8, before: Option<u32>, after: Option<u32>| {
        let present = before.map_or(0, |_| BEFORE) | after.map_or(0, |_| AFTER);
        let position = 50 + batch.rows.len() as u64;
        let (before, after) = (before.unwrap_or(0), after.unwrap_or(0));
        batch.rows.push(Row { before, after, op, present, position, ..Row::default() });
    };
    row(b'c', None, Some(0));
    row(b'c', None, Some(1));
    row(b'd', Some(1), None);
    row(b'c', None, Some(2));
    let mut window = Window::default();
    window.push_run(0, 0, 4);
    window.batches.push(batch);
    window
}

fn chain(steps: &[(&str, Does)], connect_headers: bool) -> Chain {
    silent(steps, OnError::DeadLetter).reporting(Reports {
        pipeline: "shop".into(),
        notation: Arc::new(weir_converters::letter::write),
        log: false,
        log_records: false,
        dead_letters: Some(DeadLetters { topic: Some("dead".into()), connect_headers }),
    })
}

fn silent(steps: &[(&str, Does)], on_error: OnError) -> Chain {
    let json = Arc::new(JsonConverter(Default::default()));
    let converters = Converters { key: json.clone(), value: json, header: Arc::new(SimpleHeader), on_error };
    let step = |(name, does): &(&str, Does)| {
        let transform = Box::new(Fake(*does, HashMap::new()));
        Step { name: (*name).into(), transform, on_error }
    };
    Chain::new(steps.iter().map(step).collect(), converters, 1 << 20)
}

/// A record or a letter, taken apart.
#[derive(Debug)]
struct Letter {
    topic: String,
    key: Json,
    value: Json,
    headers: HashMap<String, String>,
}

fn told(blocks: &[Arc<Block>]) -> Vec<Letter> {
    let mut out = vec![];
    for block in blocks {
        for r in &block.records {
            let json = |b: Option<&[u8]>| b.map_or(Json::Null, |b| serde_json::from_slice(b).expect("JSON"));
            let text = |b: Option<&[u8]>| String::from_utf8_lossy(b.unwrap_or_default()).into_owned();
            let headers = block.headers(r).map(|(n, v)| (n.to_string(), text(v))).collect();
            let topic = block.route(r).expect("a route").topic.to_string();
            out.push(Letter { topic, key: json(block.key(r)), value: json(block.value(r)), headers })
        }
    }
    out
}

/// The numbers of the rows that went on, with their ops.
fn delivered(blocks: &Blocks) -> Vec<String> {
    let told = told(&blocks.blocks);
    told.iter().map(|t| format!("{} {}", t.key["id"], t.value["op"].as_str().unwrap_or("-"))).collect()
}

fn run(steps: &[(&str, Does)]) -> Blocks {
    chain(steps, false).run(&mut window()).expect("a chain")
}

#[test]
fn a_letter_is_the_record_as_it_came_into_the_step() {
    let steps = [("stamp", Does::Stamps), ("poison", Does::Poisons(1)), ("late", Does::Forgets(99))];
    let blocks = run(&steps);
    assert_eq!(delivered(&blocks), ["1 c", "2 d", "2 -", "3 c"]);
    let letters = told(&blocks.letters);
    let [letter] = letters.as_slice() else { panic!("{letters:?}") };
    assert_eq!(letter.topic, "dead");
    assert_eq!(letter.key["payload"], json!({"id": 2}));
    assert_eq!(letter.key["schema"]["fields"][0]["type"], "int64");
    assert_eq!(letter.value["payload"]["after"], json!({"id": 2}));
    assert_eq!(letter.value["payload"].get("sum"), None, "what comes behind the step that failed is not in it");
    let said = |name: &str| letter.headers.get(name).map(String::as_str);
    assert_eq!(said("seen"), Some(r#"{"schema":{"type":"int32","optional":false},"payload":1}"#));
    for (name, wanted) in [
        (header::PIPELINE, "shop"),
        (header::STEP, "poison"),
        (header::MODULE, "fake@sha256:0"),
        (header::CODE, "guest.trap"),
        (header::MESSAGE, "it trapped"),
        (header::POSITION, r#"["40","51"]"#),
        (header::TOPIC, "shop.orders"),
        (header::GUEST_LOG, "first\nsecond"),
    ] {
        assert_eq!(said(name), Some(wanted), "{name}");
    }
    assert!(!letter.headers.keys().any(|n| n.starts_with(header::CONNECT_PREFIX)));
    assert_eq!(blocks.dead_letters.get(&("poison".into(), "guest.trap".into())), Some(&1));
    assert!(blocks.failed.is_none() && blocks.skipped.is_empty());
}

/// Bytes of key, value and headers' values of each record.
fn sizes(blocks: &Blocks) -> Vec<u32> {
    let end =
        |b: &Block, r: &Record| b.headers(r).flat_map(|(_, v)| v).map(<[u8]>::len).sum::<usize>() as u32 + r.value;
    blocks.blocks.iter().flat_map(|b| b.records.iter().map(|r| end(b, r) - r.start)).collect()
}

#[test]
fn a_record_larger_than_the_sink_takes_is_a_letter_and_the_others_go_on() {
    let steps = [("stamp", Does::Stamps)];
    let sizes = sizes(&run(&steps));
    let [change, .., tombstone, _] = sizes[..] else { panic!("{sizes:?}") };
    assert!(tombstone < change);
    // a header's name is "seen"
    let beside = 100 + 10 + 4;
    let told_of = Told { code: "sink.too-large", help: "take a larger sink", record: 100, header: 10 };
    let largest = Largest::of(change + beside, told_of);
    let mut chain = chain(&steps, true).within(largest.clone());
    let blocks = chain.run(&mut window()).expect("a chain");
    assert_eq!(delivered(&blocks), ["1 c", "2 c", "2 d", "2 -", "3 c"]);
    assert!(blocks.letters.is_empty());

    // the sink learns of a byte less, while the chain runs
    assert!(largest.learn("shop.orders", change + beside - 1));
    let blocks = chain.run(&mut window()).expect("a chain");
    assert_eq!(delivered(&blocks), ["2 -"]);
    let letters = told(&blocks.letters);
    let ids: Vec<_> = letters.iter().map(|l| l.key["payload"]["id"].as_i64().expect("an id")).collect();
    assert_eq!(ids, [1, 2, 2, 3]);
    let said = |name: &str| letters[0].headers.get(name).map(String::as_str);
    let (bytes, most) = (change + beside, change + beside - 1);
    let message = format!("a record of `public.orders` takes {bytes} bytes, and shop.orders takes {most}");
    for (name, wanted) in [
        (header::STEP, "sink"),
        (header::CODE, "sink.too-large"),
        (header::MESSAGE, message.as_str()),
        ("__connect.errors.stage", "KAFKA_PRODUCE"),
        // what the step did is in it
        ("seen", r#"{"schema":{"type":"int32","optional":false},"payload":1}"#),
    ] {
        assert_eq!(said(name), Some(wanted), "{name}");
    }
    assert_eq!(letters[0].value["payload"]["after"], json!({"id": 1}));
    assert_eq!(blocks.dead_letters.get(&("sink".into(), "sink.too-large".into())), Some(&4));

    // nobody takes letters: the task ends there
    let blocks = silent(&steps, OnError::Fail).within(largest.clone()).run(&mut window()).expect("a chain");
    let error = blocks.failed.as_ref().expect("a failure").error();
    assert_eq!((error.code(), error.message()), ("sink.too-large", message.as_str()));
    assert!(error.hint().is_some_and(|h| h.starts_with("take a larger sink; or set `on-error")), "{error:?}");
    assert!(delivered(&blocks).is_empty());
    let blocks = silent(&steps, OnError::Skip).within(largest).run(&mut window()).expect("a chain");
    assert_eq!((delivered(&blocks), blocks.skipped.get("sink")), (vec!["2 -".to_string()], Some(&4)));
}

#[test]
fn what_a_rule_refuses_and_what_no_converter_takes_are_letters_in_their_order() {
    let blocks = run(&[("forget", Does::Forgets(1)), ("refuse", Does::RefusesDeletes)]);
    // of the delete the tombstone goes on: it is a record of its own
    assert_eq!(delivered(&blocks), ["1 c", "2 -", "3 c"]);
    let letters = told(&blocks.letters);
    let said: Vec<_> = letters.iter().map(|l| (l.headers[header::STEP].as_str(), &l.value["payload"]["op"])).collect();
    assert_eq!(said, [("converter", &json!("c")), ("refuse", &json!("d"))]);
    // what the schema demands and the record lacks is a null, and nothing else is lost
    assert_eq!(letters[0].value["payload"]["sum"], Json::Null);
    assert_eq!(letters[0].value["payload"]["after"], json!({"id": 2}));
    assert_eq!(letters[0].headers[header::CODE], "org.apache.kafka.connect.errors.DataException");
    assert!(!letters[0].headers.contains_key(header::MODULE));
    // the delete's record had been through the first step already
    assert_eq!(letters[1].value["payload"]["sum"], json!(7));
}

#[test]
fn connects_headers_are_added_when_asked_for() {
    let blocks = chain(&[("poison", Does::Poisons(0))], true).run(&mut window()).expect("a chain");
    let letters = told(&blocks.letters);
    let said = |name: &str| letters[0].headers.get(&format!("{}{name}", header::CONNECT_PREFIX)).cloned();
    for (name, wanted) in [
        ("topic", "shop.orders"),
        ("connector.name", "shop"),
        ("task.id", "0"),
        ("stage", "TRANSFORMATION"),
        ("class.name", "fake@sha256:0"),
        ("exception.class.name", "guest.trap"),
        ("exception.message", "it trapped"),
    ] {
        assert_eq!(said(name).as_deref(), Some(wanted), "{name}");
    }
    assert_eq!(letters[0].headers[header::STEP], "poison");
}

#[test]
fn without_a_place_for_letters_the_task_ends_at_the_row() {
    let json = Arc::new(JsonConverter(Default::default()));
    let on_error = OnError::DeadLetter;
    let converters = Converters { key: json.clone(), value: json, header: Arc::new(SimpleHeader), on_error };
    let transform = Box::new(Fake(Does::Poisons(1), HashMap::new()));
    let mut chain = Chain::new(vec![Step { name: "poison".into(), transform, on_error }], converters, 1 << 20);
    let blocks = chain.run(&mut window()).expect("a chain");
    assert!(blocks.failed.is_some() && blocks.letters.is_empty());
    assert_eq!(delivered(&blocks), ["1 c"]);
}

// === the task ===

/// One window, and then the end when everything is stored, or when it was asked often enough.
struct Rows {
    sent: bool,
    polls: u32,
    stored: Arc<Mutex<Vec<u64>>>,
    /// wants its position stored before it goes on
    insists: bool,
    /// is asked when the rows are sent
    stop: Option<Stop>,
}

impl weir_api::Source for Rows {
    fn partition(&self) -> Offset {
        Offset::new()
    }
    fn offset(&self, position: &Position) -> Offset {
        Offset::from_iter([("at".to_string(), json!(position.0[0]))])
    }
    fn start(&mut self, _: Option<&Offset>) -> Result<(), Error> {
        self.sent = false;
        Ok(())
    }
    fn poll(&mut self, _: Duration, _: Limit, to: &mut Window) -> Result<Poll, Error> {
        self.polls += 1;
        if !std::mem::replace(&mut self.sent, true) {
            *to = window();
            let end = Position([9, 0, 0, 0]);
            return Ok(Poll::Window((!self.insists).then_some(end)));
        }
        if std::mem::take(&mut self.insists) {
            return Ok(Poll::Store(Position([9, 0, 0, 0])));
        }
        if let Some(stop) = &self.stop {
            stop.ask()
        }
        let is_stored = !self.stored.lock().unwrap().is_empty();
        Ok(if is_stored || self.polls > 1000 { Poll::End } else { Poll::Idle(None) })
    }
    fn confirm(&mut self, _: &Position) -> Result<(), Error> {
        Ok(())
    }
    fn keep_alive(&mut self) -> Result<(), Error> {
        Ok(())
    }
    fn stop(&mut self, _: bool) {}
}

#[derive(Clone, Default)]
struct Offsets(Arc<Mutex<Vec<u64>>>);

impl OffsetStore for Offsets {
    fn load(&self, _: &Offset) -> Result<Option<Offset>, Error> {
        Ok(None)
    }
    fn save(&mut self, _: &Offset, offset: &Offset) -> Result<(), Error> {
        self.0.lock().unwrap().push(offset["at"].as_u64().expect("a number"));
        Ok(())
    }
}

/// A sink that acknowledges at once, never, or fails.
#[derive(Clone, Copy, PartialEq)]
enum Takes {
    All,
    Never,
    Fails,
}

struct FakeSink {
    takes: Takes,
    done: Vec<BlockId>,
    got: Arc<Mutex<Vec<Arc<Block>>>>,
}

impl Sink for FakeSink {
    fn deliver(&mut self, block: &Arc<Block>, _: usize) -> Result<usize, Error> {
        if self.takes == Takes::Fails {
            return Err(Error::environment("test.down", "the sink is down"));
        }
        self.got.lock().unwrap().push(block.clone());
        self.done.push(block.id);
        Ok(block.records.len())
    }
    fn poll(&mut self, _: Duration, done: &mut Vec<BlockId>) -> Result<(), Error> {
        if self.takes == Takes::All {
            done.append(&mut self.done)
        }
        Ok(())
    }
    fn flush(&mut self, _: Instant, done: &mut Vec<BlockId>) -> Result<(), Error> {
        match self.takes {
            Takes::All => self.poll(Duration::ZERO, done),
            _ => Err(Error::environment("test.down", "the sink is down")),
        }
    }
}

/// Runs a window of which a row is poison; the offsets that were stored, the letters that came, how it ended.
fn task(letters: Takes, insists: bool) -> (Vec<u64>, Vec<Letter>, Result<(), &'static str>) {
    task_until(letters, insists, None)
}

#[test]
fn letters_without_a_place_end_the_task_before_an_offset_is_stored() {
    let (stored, letters, result) = task_with(None, false, None);
    assert_eq!((stored, letters.len(), result), (vec![], 0, Err("task.no-dead-letters")));
}

fn task_until(letters: Takes, insists: bool, stop: Option<Stop>) -> (Vec<u64>, Vec<Letter>, Result<(), &'static str>) {
    task_with(Some(letters), insists, stop)
}

fn task_with(
    letters: Option<Takes>,
    insists: bool,
    stop: Option<Stop>,
) -> (Vec<u64>, Vec<Letter>, Result<(), &'static str>) {
    let (store, got) = (Offsets::default(), Arc::<Mutex<Vec<Arc<Block>>>>::default());
    let make = |takes: Takes, got: Arc<Mutex<Vec<Arc<Block>>>>| -> MakeSink {
        Box::new(move || Ok(Box::new(FakeSink { takes, done: vec![], got: got.clone() })))
    };
    let retry = RetryPolicy { times: Some(0), ..RetryPolicy::default() };
    let offset_interval = Duration::ZERO;
    let task = Task {
        name: "shop".into(),
        source: Box::new(Rows { sent: false, polls: 0, stored: store.0.clone(), insists, stop: stop.clone() }),
        chain: chain(&[("poison", Does::Poisons(1))], false),
        sink: make(Takes::All, Arc::default()),
        dead_letters: letters.map(|takes| make(takes, got.clone())),
        store: Saver::new(store.clone()),
        options: TaskOptions { offset_interval, retry, drain: Duration::from_millis(10), ..TaskOptions::default() },
        counters: Arc::new(Counters::default()),
    };
    let result = task.run(&stop.unwrap_or_default()).map(|_| ()).map_err(|e| e.code());
    let stored = store.0.lock().unwrap().clone();
    let letters = told(&got.lock().unwrap());
    (stored, letters, result)
}

#[test]
fn an_offset_is_stored_behind_a_durable_letter() {
    let (stored, letters, result) = task(Takes::All, false);
    assert_eq!((stored, letters.len(), result), (vec![9], 1, Ok(())));
}

#[test]
fn no_offset_is_stored_while_a_letter_is_not_durable() {
    let (stored, letters, result) = task(Takes::Never, false);
    assert_eq!((stored, letters.len(), result), (vec![], 1, Err("test.down")));
}

#[test]
fn an_orderly_stop_that_could_not_deliver_is_no_success() {
    let (stored, _, result) = task_until(Takes::Never, false, Some(Stop::default()));
    assert_eq!((stored, result), (vec![], Err("task.undelivered")));
    let (stored, _, result) = task_until(Takes::All, false, Some(Stop::default()));
    assert_eq!((stored, result), (vec![9], Ok(())));
}

#[test]
fn a_source_that_wants_its_position_stored_waits_for_letters_too() {
    let (send, ended) = std::sync::mpsc::channel();
    std::thread::spawn(move || send.send(task(Takes::All, true)));
    let (stored, letters, result) = ended.recv_timeout(Duration::from_secs(30)).expect("an end");
    assert_eq!((stored, letters.len(), result), (vec![9], 1, Ok(())));
}

#[test]
fn letters_that_cannot_be_delivered_end_the_task() {
    let (stored, _, result) = task(Takes::Fails, false);
    assert_eq!((stored, result), (vec![], Err("test.down")));
}
