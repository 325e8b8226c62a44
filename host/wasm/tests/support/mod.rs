//! A table with a column of every sort, rows of it as a database would send them, and the guests of `tests/guests`.
// each test uses its own part; helpers of tests are no tests to the lints
#![allow(dead_code, clippy::unwrap_used, clippy::indexing_slicing)]

use bytes::Bytes;
use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex};
use weir_api::{Applied, Block, Error, Transform};
use weir_cdc::{CellLeaf, Column, Envelope, Op, SourceBlock, Table};
use weir_model::{
    AFTER, Batch, BindError, Cell, Codec, Decision, Kind, Program, Route, Row, Stream, Transaction, Type, Window,
    logical,
};
use weir_runtime::{Blocks, Chain, Converters, OnError, Step};
use weir_wasm::{Engine, EngineOptions, Limits, Module};

/// The bytes of a guest of `tests/guests`, as `cargo build` makes them; built once.
pub fn guest(name: &str) -> Vec<u8> {
    static BUILT: Mutex<Option<HashMap<String, Vec<u8>>>> = Mutex::new(None);
    let mut built = BUILT.lock().unwrap();
    let built = built.get_or_insert_default();
    if let Some(bytes) = built.get(name) {
        return bytes.clone();
    }
    // examples have no folder of their own: beside the binary
    let target = match option_env!("CARGO_TARGET_TMPDIR") {
        Some(dir) => Path::new(dir).join("guests"),
        None => std::env::current_exe().unwrap().with_file_name("guests"),
    };
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/guests").join(name);
    let bytes = std::fs::read(weir_testkit::guest::build(&folder, name, &target).unwrap()).unwrap();
    built.insert(name.into(), bytes.clone());
    bytes
}

pub fn engine() -> Engine {
    Engine::new(EngineOptions::default()).unwrap()
}

/// One compiled module for all tests of a process.
pub fn module(name: &str) -> Module {
    static LOADED: Mutex<Option<HashMap<String, Module>>> = Mutex::new(None);
    let mut loaded = LOADED.lock().unwrap();
    let loaded = loaded.get_or_insert_default();
    if !loaded.contains_key(name) {
        loaded.insert(name.into(), engine().load(name, &guest(name)).unwrap());
    }
    loaded[name].clone()
}

pub fn options(pairs: &[(&str, &str)]) -> Vec<(String, Option<String>)> {
    pairs.iter().map(|(k, v)| (k.to_string(), Some(v.to_string()))).collect()
}

pub fn transform(name: &str, pairs: &[(&str, &str)], limits: Limits) -> Box<dyn Transform> {
    module(name).transform("step", &options(pairs), limits).unwrap()
}

// === the table ===

fn column(name: &str, ty: Type, codec: Codec) -> Column {
    Column { name: name.into(), ty, leaf: CellLeaf::Codec(codec) }
}

/// id, status, amount, flag, ratio, small, data, day, at, real
fn columns() -> Vec<Column> {
    vec![
        column("id", Type::new(Kind::Int64), Codec::IntText),
        column("status", Type::new(Kind::Text).optional(true), Codec::Text),
        column("amount", Type::decimal(2, Some(10)).optional(true), Codec::DecimalText { scale: 2 }),
        column("flag", Type::new(Kind::Boolean).optional(true), Codec::BoolText),
        column("ratio", Type::new(Kind::Float64).optional(true), Codec::FloatText),
        column("small", Type::new(Kind::Int16).optional(true), Codec::IntText),
        column("data", Type::new(Kind::Bytes).optional(true), Codec::HexText),
        column("day", Type::named(Kind::Int32, logical::DATE, 1).optional(true), Codec::DateText),
        column(
            "at",
            Type::named(Kind::Text, "io.debezium.time.ZonedTimestamp", 1).optional(true),
            Codec::ZonedText { precision: 6 },
        ),
        column("real", Type::new(Kind::Float32).optional(true), Codec::FloatText),
    ]
}

pub fn stream(id: u64, table: &str) -> Arc<Stream> {
    let columns = columns();
    let width = columns.len();
    let columns = columns.into_iter().enumerate().map(|(i, c)| (i as u16, c)).collect();
    let table = Table { topic: format!("shop.{table}"), columns, key: vec![0] };
    let block = SourceBlock { name: "io.example.Source", fields: vec![SourceBlock::text("db", "shop")] };
    let program = Envelope::new(None).program(&table, &block, Op::Change);
    Arc::new(Stream { id, name: table.topic.as_str().into(), width, program })
}

/// Inserts with these texts as `status`; the other columns are what `row` says.
pub fn batch(stream: &Arc<Stream>, statuses: &[Option<&str>]) -> Batch {
    let rows: Vec<Vec<Option<String>>> = statuses.iter().enumerate().map(|(i, s)| row(i, *s)).collect();
    batch_of(stream, &rows)
}

fn row(i: usize, status: Option<&str>) -> Vec<Option<String>> {
    let some = |t: String| Some(t).filter(|_| i % 5 != 3);
    vec![
        Some((i + 1).to_string()),
        status.map(String::from),
        some(format!("{}.{:02}", i * 7, i % 100)),
        some(if i.is_multiple_of(2) { "t" } else { "f" }.into()),
        some(format!("{}.5", i)),
        some(format!("-{}", i + 1)),
        some(format!("\\x{:04x}", i)),
        some(format!("2026-01-{:02}", i % 28 + 1)),
        some("2026-01-05 12:34:56.7+00".into()),
        some("1.1".into()),
    ]
}

pub fn batch_of(stream: &Arc<Stream>, rows: &[Vec<Option<String>>]) -> Batch {
    let mut batch = Batch::new(stream.clone(), Bytes::new(), 1_767_225_600_000_000_000);
    batch.transactions.push(Transaction { id: 1, commit_us: 1_767_225_600_000_000, last_commit: 0 });
    let mut wire = vec![];
    for (i, cells) in rows.iter().enumerate() {
        let after = batch.cells.len() as u32;
        for cell in cells {
            batch.cells.push(match cell {
                None => Cell::NULL,
                Some(t) if t == "<unchanged>" => Cell::UNCHANGED,
                Some(t) => Cell { at: wire.len() as u32, len: t.len() as u32 },
            });
            wire.extend_from_slice(cell.as_deref().filter(|t| *t != "<unchanged>").unwrap_or("").as_bytes());
        }
        batch.rows.push(Row { after, op: b'c', present: AFTER, position: i as u64, ..Row::default() });
    }
    batch.wire = wire.into();
    batch
}

// === one step alone ===

/// A transform bound to a stream.
pub struct Bound {
    pub transform: Box<dyn Transform>,
    pub program: Program,
}

impl Bound {
    pub fn new(mut transform: Box<dyn Transform>, stream: &Stream) -> Result<Self, BindError> {
        let program = stream.program.then(0, transform.as_mut())?;
        Ok(Bound { transform, program })
    }

    pub fn apply(&mut self, batch: &Batch) -> Result<Applied, Error> {
        let mut decision = Decision::default();
        self.program.decide(batch, &mut decision);
        self.transform.apply(&self.program.calls, batch, &decision.asked())
    }
}

// === a chain ===

pub fn chain(steps: Vec<Box<dyn Transform>>, on_error: OnError) -> Chain {
    let json = Arc::new(weir_converters::JsonConverter(Default::default()));
    let converters =
        Converters { key: json.clone(), value: json, header: Arc::new(weir_converters::SimpleHeader), on_error };
    let step = |(i, transform)| Step { name: format!("step{i}").as_str().into(), transform, on_error };
    Chain::new(steps.into_iter().enumerate().map(step).collect(), converters, 1 << 20)
}

pub fn run(chain: &mut Chain, batch: Batch) -> Result<Blocks, Error> {
    let mut window = Window::default();
    window.push_run(0, 0, batch.rows.len() as u32);
    window.batches.push(batch);
    chain.run(&mut window)
}

/// A record as text: topic, value, headers.
#[derive(Clone, PartialEq, Debug)]
pub struct Said {
    pub topic: String,
    pub value: String,
    pub headers: Vec<(String, String)>,
}

pub fn records(blocks: &Blocks) -> Vec<Said> {
    blocks.blocks.iter().flat_map(said).collect()
}

fn said(block: &Arc<Block>) -> Vec<Said> {
    let text = |from: u32, to: u32| String::from_utf8_lossy(&block.data[from as usize..to as usize]).into_owned();
    block
        .records
        .iter()
        .map(|r| {
            let route: &Arc<Route> = &block.routes[r.route as usize];
            let mut from = r.value;
            let headers = route.headers.iter().enumerate().map(|(i, name)| {
                let end = block.header_ends[r.headers as usize + i];
                let value = text(from, end);
                from = end;
                (name.to_string(), value)
            });
            let headers = headers.collect();
            Said { topic: route.topic.to_string(), value: text(r.key, r.value), headers }
        })
        .collect()
}
