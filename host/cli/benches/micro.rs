//! What a row costs, without a database and without Kafka: `cargo x bench --micro [--json]`.
//!
//! A made-up pgoutput stream (ten columns; half inserts, 40 % updates, 10 % deletes with a tombstone) goes through the decoder,
//! the chain and the writer. `handwritten-chain` makes the same bytes as `wire-json-chain` without any of our machinery, and both
//! are compared before anything is timed. `guest-filter` is the time in a user's guest that is asked of a text column and drops every
//! row, `weir-filter` the same with the standard filter, `weir-filter-step` what such a step adds to parsing. Each figure is the
//! median of several rounds; allocations are counted, not guessed.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)] // a bench that cannot go on stops

use bytes::Bytes;
use std::alloc::{GlobalAlloc, Layout as Room};
use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};
use weir_api::{Block, Limit};
use weir_cdc::{CellLeaf, Column, Context, Envelope, Op, SourceBlock, Table};
use weir_converters::{Json, JsonConverter, SimpleHeader};
use weir_model::{Buffer, Cell, Codec, Decision, Kind, Meta, Side, Stream, Type, Window};
use weir_postgres::pgoutput::{Captured, Decoder, Place, Skipped};
use weir_runtime::{Chain, Converters, OnError, Step};
use weir_wasm::{Engine, EngineOptions, Limits};

pub struct Standard {
    pub name: &'static str,
    pub classes: &'static [(&'static str, &'static [(&'static str, &'static str)])],
    pub accepts: &'static [&'static str],
    pub wasm: &'static [u8],
}
include!(concat!(env!("OUT_DIR"), "/standard.rs"));

/// Counts allocations.
struct Counting;
static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);
#[allow(unsafe_code)] // a counter in front of the allocator that the product has
// SAFETY: every call is handed on as it is.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, l: Room) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Relaxed);
        unsafe { mimalloc::MiMalloc.alloc(l) }
    }
    unsafe fn dealloc(&self, p: *mut u8, l: Room) {
        unsafe { mimalloc::MiMalloc.dealloc(p, l) }
    }
    unsafe fn realloc(&self, p: *mut u8, l: Room, n: usize) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Relaxed);
        unsafe { mimalloc::MiMalloc.realloc(p, l, n) }
    }
}
#[global_allocator]
static ALLOCATOR: Counting = Counting;

const ROWS: usize = 32_768;
const ROUNDS: usize = 41;
const NOW_NS: i64 = 1_767_225_600_123_456_789;
const RELATION: u32 = 16_384;

struct Dice(u64);
impl Dice {
    fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % n
    }
}

// === the stream ===

fn columns() -> Vec<Column> {
    let c = |name: &str, ty: Type, codec| Column { name: name.into(), ty, leaf: CellLeaf::Codec(codec) };
    let kind = |k| Type::new(k).optional(true);
    let named = |k, n| Type::named(k, n, 1).optional(true);
    vec![
        c("id", Type::new(Kind::Int64), Codec::IntText),
        c("qty", kind(Kind::Int32), Codec::IntText),
        c("title", kind(Kind::Text), Codec::Text),
        c("status", kind(Kind::Text), Codec::Text),
        c("amount", Type::decimal(2, Some(12)).optional(true), Codec::DecimalText { scale: 2 }),
        c("ratio", kind(Kind::Float64), Codec::FloatText),
        c("created", named(Kind::Text, "io.debezium.time.ZonedTimestamp"), Codec::ZonedText { precision: 6 }),
        c("active", kind(Kind::Boolean), Codec::BoolText),
        c("uid", named(Kind::Text, "io.debezium.data.Uuid"), Codec::Clean),
        c("payload", named(Kind::Text, "io.debezium.data.Json"), Codec::Text),
    ]
}

fn captured() -> Captured {
    let table = Table {
        topic: "dbserver1.public.orders".into(),
        columns: columns().into_iter().enumerate().map(|(i, c)| (i as u16, c)).collect(),
        key: vec![0],
    };
    let fields = vec![
        SourceBlock::text("version", "3.6.3.Final"),
        SourceBlock::text("connector", "postgresql"),
        SourceBlock::text("name", "dbserver1"),
        SourceBlock::meta("ts_ms", Kind::Int64, false, Meta::SourceMs),
        SourceBlock::snapshot_field(Op::Change),
        SourceBlock::text("db", "shop"),
        SourceBlock::meta("sequence", Kind::Text, true, Meta::Sequence),
        SourceBlock::meta("ts_us", Kind::Int64, true, Meta::SourceUs),
        SourceBlock::meta("ts_ns", Kind::Int64, true, Meta::SourceNs),
        SourceBlock::text("schema", "public"),
        SourceBlock::text("table", "orders"),
        SourceBlock::meta("txId", Kind::Int64, true, Meta::Transaction),
        SourceBlock::meta("lsn", Kind::Int64, true, Meta::Position),
        SourceBlock::null("xmin", Kind::Int64),
        SourceBlock::null("origin", Kind::Text),
        SourceBlock::null("origin_lsn", Kind::Int64),
    ];
    let source = SourceBlock { name: "io.debezium.connector.postgresql.Source", fields };
    let context = Context { logical_name: "dbserver1".into(), task: 0, connector: "postgresql", run: "a-run".into() };
    let program = Envelope::new(Some(context)).program(&table, &source, Op::Change);
    let stream = Arc::new(Stream { id: 1, name: "public.orders".into(), width: 10, program });
    Captured { stream, key: vec![0], forms: Arc::from([b't'; 10]) }
}

fn cell(column: usize, row: u64, d: &mut Dice) -> Option<String> {
    let n = d.below(1 << 40);
    Some(match column {
        0 => (1_000_000 + row).to_string(),
        1 if n % 16 == 0 => return None,
        1 => (n % 2000).to_string(),
        2 => format!("Blue \"cotton\" shirt no {}ü", n % 9999),
        3 => ["new", "paid", "sent", "back"][n as usize % 4].into(),
        4 => format!("{}{}.{:02}", if n % 5 == 0 { "-" } else { "" }, n % 99999, n / 7 % 100),
        5 if n % 16 == 0 => "1e+20".into(),
        5 => format!("{}.{}", n % 1000, 1 + n / 3 % 99999 * 10),
        6 => format!("2026-0{}-1{} 1{}:34:56.123456+00", 1 + n % 9, n % 10, n % 10),
        7 => if n & 1 == 0 { "t" } else { "f" }.into(),
        8 => format!("{:08x}-1b2c-4d3e-8f90-{:012x}", (n >> 8) as u32, n * 37 % (1 << 48)),
        _ => format!("{{\"tags\": [\"a\", \"b\"], \"weight\": {}, \"from\": \"web\"}}", n % 500),
    })
}

/// Frames of the replication stream, eight rows a transaction.
fn wire() -> Bytes {
    let (mut out, mut d, mut lsn) = (vec![], Dice(11), 24_023_119u64);
    let mut frame = |body: &[u8]| {
        out.push(b'd');
        out.extend_from_slice(&(body.len() as u32 + 29).to_be_bytes());
        out.push(b'w');
        [lsn, lsn, 0].iter().for_each(|v| out.extend_from_slice(&v.to_be_bytes()));
        out.extend_from_slice(body);
        lsn += body.len() as u64;
    };
    let mut relation = [b"R".as_slice(), &RELATION.to_be_bytes(), b"public\0orders\0d", &10u16.to_be_bytes()].concat();
    for c in columns() {
        relation.push(0);
        relation.extend_from_slice(c.name.as_bytes());
        relation.extend_from_slice(&[0; 9]);
    }
    frame(&relation);
    let tuple = |tag: u8, row: u64, d: &mut Dice, body: &mut Vec<u8>| {
        body.push(tag);
        body.extend_from_slice(&10u16.to_be_bytes());
        for c in 0..10 {
            match cell(c, row, d) {
                None => body.push(b'n'),
                Some(t) => {
                    body.push(b't');
                    body.extend_from_slice(&(t.len() as u32).to_be_bytes());
                    body.extend_from_slice(t.as_bytes())
                }
            }
        }
    };
    for row in 0..ROWS as u64 {
        let commit = 10_000_000_000 + row / 8;
        if row % 8 == 0 {
            let mut b = vec![b'B'];
            [commit, (820_540_800_000_000 + row as i64 * 1000) as u64]
                .iter()
                .for_each(|v| b.extend_from_slice(&v.to_be_bytes()));
            b.extend_from_slice(&(700 + row as u32 / 8).to_be_bytes());
            frame(&b);
        }
        let mut b = vec![];
        let (tag, head) = match d.below(10) {
            0..5 => (b'N', b'I'),
            5..9 => (b'N', b'U'),
            _ => (b'O', b'D'),
        };
        b.push(head);
        b.extend_from_slice(&RELATION.to_be_bytes());
        if head == b'U' && d.below(2) == 0 {
            let again = d.0;
            tuple(b'O', row, &mut d, &mut b);
            d.0 = again ^ 1;
        }
        tuple(tag, row, &mut d, &mut b);
        frame(&b);
        if row % 8 == 7 {
            let mut b = vec![b'C', 0];
            [commit, commit + 1, 0].iter().for_each(|v: &u64| b.extend_from_slice(&v.to_be_bytes()));
            frame(&b);
        }
    }
    out.into()
}

/// Reads the stream in windows of so many rows.
fn windows(wire: &Bytes, rows: usize, captured: &Captured, each: &mut dyn FnMut(&mut Window)) {
    let skipped = Skipped { create: false, update: false, delete: false, truncate: true };
    let mut decoder = Decoder::new(Place::default(), 0, skipped);
    let mut describe = |_| Ok(Some(captured.clone()));
    let (mut at, mut window) = (0, Window::default());
    while at < wire.len() {
        decoder.recycle(&mut window.batches);
        window.runs.clear();
        let limit = Limit { rows, bytes: usize::MAX };
        let taken = decoder.decode(&wire[at..], &mut window, limit, NOW_NS, &mut describe).expect("a good stream");
        assert!(taken > 0);
        decoder.seal(&mut window, wire.slice(at..at + taken));
        at += taken;
        each(&mut window);
    }
}

// === our way ===

const CONDITION: &str = "value.op != 'u' || value.after.status != 'back'";

fn step(engine: &Engine, name: &str, options: &[(&str, &str)]) -> Step {
    let guest = STANDARD.iter().find(|s| s.name == name).expect("a standard transform");
    step_of(engine, name, guest.wasm, options)
}

fn step_of(engine: &Engine, name: &str, wasm: &[u8], options: &[(&str, &str)]) -> Step {
    let options: Vec<_> = options.iter().map(|(k, v)| (k.to_string(), Some(v.to_string()))).collect();
    let module = engine.load(name, wasm).expect("a guest");
    let transform = module.transform(name, &options, Limits::default()).expect("a transform");
    Step { name: name.into(), transform, on_error: OnError::Fail }
}

fn chain(steps: Vec<Step>, schemas: bool) -> Chain {
    let json = Arc::new(JsonConverter(Json { schemas, ..Json::default() }));
    let (key, value, header) = (json.clone(), json, Arc::new(SimpleHeader));
    Chain::new(steps, Converters { key, value, header, on_error: OnError::Fail }, 256 << 10)
}

fn four(engine: &Engine) -> Vec<Step> {
    vec![
        step(engine, "weir:regex-router", &[("regex", "dbserver1\\.public\\.(.*)"), ("replacement", "shop-$1")]),
        step(engine, "weir:filter", &[("condition", CONDITION)]),
        step(engine, "weir:extract-new-record-state", &[("add.fields", "op,source.ts_ms")]),
        step(engine, "weir:insert-field", &[("static.field", "origin"), ("static.value", "weir"), ("part", "value")]),
    ]
}

/// A function of a cell that no rule of the host can say: it is asked of the guest, a column a batch; it lets nothing through.
fn filter(engine: &Engine) -> Step {
    step(engine, "weir:filter", &[("condition", "value.after != null && value.after.status.startsWith('zz')")])
}

/// The same as a user writes it: `tests/guests/prefix`.
fn users_filter(engine: &Engine) -> Step {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/guests/prefix");
    let target = std::env::current_exe().expect("a bench").with_file_name("bench-guests");
    let wasm = weir_testkit::guest::build(&folder, "prefix", &target).expect("a guest");
    step_of(engine, "prefix", &std::fs::read(wasm).expect("a module"), &[("prefix", "zz")])
}

/// Time in the guest alone: columns filled, the call, what comes back checked. Deciding and writing are outside the clock.
fn guest_alone(mut step: Step, wire: &Bytes, captured: &Captured, rows: usize) -> (f64, f64) {
    let mut program = captured.stream.program.then(0, step.transform.as_mut()).expect("a program");
    let mut decision = Decision::default();
    let mut figures = vec![];
    for _ in 0..=ROUNDS {
        let (mut spent, mut rows_asked, mut allocations) = (Duration::ZERO, 0, 0);
        windows(wire, rows, captured, &mut |w| {
            for batch in &w.batches {
                decision.clear();
                program.decide(batch, &mut decision);
                // rows of one shape go together, as in the chain: a tombstone has another one
                let mut asked = decision.asked();
                let shape = |call: u16| program.calls[call as usize].shape;
                asked.sort_by_key(|(call, row)| (shape(*call), *row));
                for rows in asked.chunk_by(|a, b| shape(a.0) == shape(b.0)) {
                    let (before, began) = (ALLOCATIONS.load(Relaxed), Instant::now());
                    let applied = black_box(step.transform.apply(&program.calls, batch, rows).expect("an answer"));
                    spent += began.elapsed();
                    allocations += ALLOCATIONS.load(Relaxed) - before;
                    rows_asked += rows.len();
                    assert!(applied.errors.is_empty() && applied.rows.is_some_and(|kept| kept.is_empty()));
                }
            }
        });
        figures.push((spent.as_nanos() as f64 / rows_asked as f64, allocations as f64 / rows_asked as f64));
    }
    figures.remove(0);
    figures.sort_by(|a, b| a.0.total_cmp(&b.0));
    figures[figures.len() / 2]
}

// === by hand ===

/// The same records as [`four`]: a key, a row with three fields more, the headers; a delete is a null.
fn by_hand(window: &Window, out: &mut Buffer, ends: &mut Vec<[u32; 3]>) {
    for run in &window.runs {
        let batch = &window.batches[run.batch as usize];
        for row in &batch.rows[run.from as usize..run.to as usize] {
            let after = |c: u16| batch.cell(row, Side::After, c);
            if row.op == b'u' && batch.bytes(after(3)) == b"back" {
                continue;
            }
            let side = if row.op == b'd' { Side::Before } else { Side::After };
            let start = out.len() as u32;
            out.put(b"{\"id\":");
            out.put(batch.bytes(batch.cell(row, side, 0)));
            out.push(b'}');
            let key = out.len() as u32;
            if row.op == b'd' {
                out.put(b"null");
            } else {
                row_by_hand(batch, row, out);
            }
            let value = out.len() as u32;
            out.put(b"dbserver1");
            out.put(b"0");
            out.put(b"postgresql");
            out.put(b"a-run");
            ends.push([start, key, value]);
        }
    }
}

#[inline(always)]
fn row_by_hand(batch: &weir_model::Batch, row: &weir_model::Row, out: &mut Buffer) {
    use weir_model::{Format, Scratch};
    let mut scratch = Scratch::default();
    let mut field = |name: &[u8], c: u16, codec: Codec, out: &mut Buffer| {
        out.put(name);
        match batch.cell(row, Side::After, c) {
            Cell::NULL => out.put(b"null"),
            cell => Json::value(codec.view(batch.bytes(cell), &mut scratch).expect("good"), 0, out).expect("good"),
        }
    };
    field(b"{\"id\":", 0, Codec::IntText, out);
    field(b",\"qty\":", 1, Codec::IntText, out);
    field(b",\"title\":", 2, Codec::Text, out);
    field(b",\"status\":", 3, Codec::Text, out);
    field(b",\"amount\":", 4, Codec::DecimalText { scale: 2 }, out);
    field(b",\"ratio\":", 5, Codec::FloatText, out);
    field(b",\"created\":", 6, Codec::ZonedText { precision: 6 }, out);
    field(b",\"active\":", 7, Codec::BoolText, out);
    field(b",\"uid\":", 8, Codec::Clean, out);
    field(b",\"payload\":", 9, Codec::Text, out);
    out.put(b",\"__op\":\"");
    out.push(row.op);
    out.put(b"\",\"__source_ts_ms\":");
    out.put(itoa::Buffer::new().format(batch.int(row, Meta::SourceMs).expect("a number")).as_bytes());
    out.put(b",\"origin\":\"weir\"}");
}

// === timing ===

/// (ns, allocations) a row: median of the rounds, the first one left out.
fn time(mut f: impl FnMut() -> usize) -> (f64, f64) {
    let mut figures: Vec<(f64, f64)> = (0..=ROUNDS)
        .map(|_| {
            let (allocations, began) = (ALLOCATIONS.load(Relaxed), Instant::now());
            let rows = f() as f64;
            let ns = began.elapsed().as_nanos() as f64 / rows;
            (ns, (ALLOCATIONS.load(Relaxed) - allocations) as f64 / rows)
        })
        .skip(1)
        .collect();
    figures.sort_by(|a, b| a.0.total_cmp(&b.0));
    figures[figures.len() / 2]
}

fn run(chain: &mut Chain, wire: &Bytes, rows: usize, captured: &Captured) -> usize {
    windows(wire, rows, captured, &mut |w| {
        black_box(chain.run(w).expect("a chain").records);
    });
    ROWS
}

fn parse(wire: &Bytes, rows: usize, captured: &Captured) -> usize {
    windows(wire, rows, captured, &mut |w| {
        black_box(w.rows());
    });
    ROWS
}

/// What the chain writes is what is written by hand.
fn check(engine: &Engine, wire: &Bytes, captured: &Captured) {
    let (mut ours, mut theirs) = (vec![], vec![]);
    let mut four = chain(four(engine), false);
    windows(wire, 512, captured, &mut |w| {
        let blocks = four.run(w).expect("a chain");
        assert!(blocks.failed.is_none(), "{:?}", blocks.failed);
        blocks.blocks.iter().for_each(|b: &Arc<Block>| ours.extend_from_slice(&b.data));
        let (mut out, mut ends) = (Buffer::default(), vec![]);
        by_hand(w, &mut out, &mut ends);
        theirs.extend_from_slice(&out)
    });
    let differs = ours.iter().zip(&theirs).position(|(a, b)| a != b);
    if ours != theirs {
        let at = differs.unwrap_or(ours.len().min(theirs.len())).saturating_sub(200);
        let show = |b: &[u8]| String::from_utf8_lossy(&b[at..b.len().min(at + 500)]).into_owned();
        panic!("the chain and the hand differ:\n{}\n{}", show(&ours), show(&theirs));
    }
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let json = arguments.iter().any(|a| a == "--json");
    let only = arguments.iter().position(|a| a == "--case").and_then(|i| arguments.get(i + 1)).cloned();
    let wanted = |case: &str| only.as_ref().is_none_or(|only| case.starts_with(only.as_str()));
    let engine = Engine::new(EngineOptions { cache_dir: None }).expect("an engine");
    let (wire, captured) = (wire(), captured());
    check(&engine, &wire, &captured);
    let say = |case: &str, measure: &mut dyn FnMut() -> (f64, f64)| {
        if !wanted(case) {
            return;
        }
        let (ns, allocations) = measure();
        match json {
            true => println!(
                "{{\"case\":\"{case}\",\"ns_per_record\":{ns:.1},\"allocations_per_record\":{allocations:.4}}}"
            ),
            false => println!("{case:<28} {ns:>8.1} ns/row {allocations:>8.4} allocations/row"),
        }
    };
    say("wire-parse", &mut || time(|| parse(&wire, 512, &captured)));
    let (mut out, mut ends) = (Buffer::default(), vec![]);
    for (name, size) in [("", 512), ("-64", 64), ("-8", 8), ("-1", 1)] {
        let mut identity = chain(vec![], false);
        say(&format!("wire-json-envelope{name}"), &mut || time(|| run(&mut identity, &wire, size, &captured)));
        let mut composed = chain(four(&engine), false);
        say(&format!("wire-json-chain{name}"), &mut || time(|| run(&mut composed, &wire, size, &captured)));
        let mut hand = |w: &mut Window| {
            out.clear();
            ends.clear();
            by_hand(w, &mut out, &mut ends);
            black_box(&out);
        };
        say(&format!("handwritten-chain{name}"), &mut || {
            time(|| {
                windows(&wire, size, &captured, &mut hand);
                ROWS
            })
        });
        let mut filtered = chain(vec![filter(&engine)], false);
        say(&format!("weir-filter-step-{size}"), &mut || {
            let (ns, allocations) = time(|| run(&mut filtered, &wire, size, &captured));
            let (parse, parsed) = time(|| parse(&wire, size, &captured));
            (ns - parse, allocations - parsed)
        });
        say(&format!("weir-filter-{size}"), &mut || guest_alone(filter(&engine), &wire, &captured, size));
        say(&format!("guest-filter-{size}"), &mut || guest_alone(users_filter(&engine), &wire, &captured, size));
    }
    let mut schemas = chain(vec![], true);
    say("wire-json-envelope-schemas", &mut || time(|| run(&mut schemas, &wire, 512, &captured)));
}
