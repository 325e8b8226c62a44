//! Records of a row leave in their order, each with what a guest made of it, although only some of them go to the guest
//! (invariant 5): a delete has a tombstone, a changed key is a delete, a tombstone and a create.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)] // helpers of tests are tests

use bytes::Bytes;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use weir_api::{Applied, Error, Transform};
use weir_cdc::{CellLeaf, Column as TableColumn, Envelope, KEY_CHANGED, Op, SourceBlock, Table};
use weir_converters::{JsonConverter, SimpleHeader};
use weir_model::{
    AFTER, BEFORE, Batch, Bind, Binding, Call, Cell, Codec, Column, Compute, Edit, Failure, Fault, Kind, Repr, Row,
    Shape, Source, Stream, Transaction, Type, Verdict, Window,
};
use weir_runtime::{Blocks, Chain, Converters, OnError, Step};

/// A guest that says how many rows it has seen, in a header; tombstones pass it by. `twice`: two records of each row.
/// `poison`: fails the row of that number.
#[derive(Default)]
struct Counter {
    header: &'static str,
    ordered: bool,
    twice: bool,
    poison: Option<i64>,
    seen: i64,
    shapes: HashMap<String, u32>,
    rests: Arc<AtomicU64>,
}

impl Bind for Counter {
    fn bind(&mut self, shape: &Shape) -> Result<(u32, Arc<Binding>), Fault> {
        let next = self.shapes.len() as u32;
        let number = *self.shapes.entry(format!("{shape:?}")).or_insert(next);
        let is_tombstone = shape.find(&["value", "op"]).is_none();
        let header = Edit::Header(self.header.into(), Source::Computed(0));
        let apply = Binding {
            computes: vec![Compute { ty: Type::new(Kind::Int64), repr: Repr::Native }],
            layouts: vec![vec![header]],
            otherwise: Verdict::Apply,
            ordered: self.ordered,
            ..Binding::default()
        };
        Ok((number, Arc::new(if is_tombstone { Binding::default() } else { apply })))
    }
}

impl Transform for Counter {
    fn apply(&mut self, _: &[Call], _: &Batch, rows: &[(u16, u32)]) -> Result<Applied, Error> {
        let per_row = if self.twice { 2 } else { 1 };
        let count = rows.len() * per_row;
        let values: Vec<i64> = (self.seen..self.seen + count as i64).collect();
        self.seen += count as i64;
        let poisoned = values.iter().position(|v| Some(*v) == self.poison).map(|i| (i / per_row) as u32);
        let errors = poisoned.map(|i| (i, Failure::new("poison", "a poisoned row"))).into_iter().collect();
        let chosen = (0..count).map(|i| (i / per_row) as u32).collect();
        let columns = vec![Column::Ints { valid: vec![], values }];
        Ok(Applied { rows: Some(chosen), columns, errors, ..Applied::default() })
    }

    fn rest(&mut self) {
        self.rests.fetch_add(1, Relaxed);
    }
}

fn stream() -> Arc<Stream> {
    let id = TableColumn { name: "id".into(), ty: Type::new(Kind::Int64), leaf: CellLeaf::Codec(Codec::IntText) };
    let table = Table { topic: "shop.orders".into(), columns: vec![(0, id)], key: vec![0] };
    let source = SourceBlock { name: "io.example.Source", fields: vec![SourceBlock::text("db", "shop")] };
    let program = Envelope::new(None).program(&table, &source, Op::Change);
    Arc::new(Stream { id: 1, name: table.topic.as_str().into(), width: 1, program })
}

/// Insert of 1, its key becomes 2, delete of 2, insert of 3.
fn window() -> Window {
    let mut batch = Batch::new(stream(), Bytes::from_static(b"123"), 0);
    batch.transactions.push(Transaction::default());
    batch.cells = (0..3).map(|at| Cell { at, len: 1 }).collect();
    let mut row = |op: u8, before: Option<u32>, after: Option<u32>| {
        let present = before.map_or(0, |_| BEFORE) | after.map_or(0, |_| AFTER);
        let (before, after) = (before.unwrap_or(0), after.unwrap_or(0));
        batch.rows.push(Row { before, after, op, present, ..Row::default() });
    };
    row(b'c', None, Some(0));
    row(KEY_CHANGED, Some(0), Some(1));
    row(b'd', Some(1), None);
    row(b'c', None, Some(2));
    let mut window = Window::default();
    window.push_run(0, 0, 4);
    window.batches.push(batch);
    window
}

fn run(steps: Vec<Counter>, on_error: OnError) -> Blocks {
    run_in_blocks(1 << 20, steps, on_error)
}

fn run_in_blocks(of: usize, steps: Vec<Counter>, on_error: OnError) -> Blocks {
    let json = Arc::new(JsonConverter(Default::default()));
    let converters = Converters { key: json.clone(), value: json, header: Arc::new(SimpleHeader), on_error };
    let step = |s: Counter| Step { name: s.header.into(), transform: Box::new(s), on_error };
    Chain::new(steps.into_iter().map(step).collect(), converters, of).run(&mut window()).expect("a chain")
}

/// Each record: its key, "c", "d" or "-" for a tombstone, and the counters' headers.
fn told(blocks: &Blocks) -> Vec<String> {
    let block = &blocks.blocks[0];
    let field = |text: Option<&[u8]>, name: &str| -> Option<String> {
        let json: serde_json::Value = serde_json::from_slice(text?).expect("JSON");
        let field = &json[name];
        Some(field.as_str().map_or_else(|| field.to_string(), String::from))
    };
    let record = |r: &weir_api::Record| {
        let op = field(block.value(r), "op").unwrap_or_else(|| "-".into());
        let mut out = vec![field(block.key(r), "id").expect("a key"), op];
        for (name, value) in block.headers(r).filter(|h| !h.0.starts_with("__")) {
            out.push(format!("{name}{}", String::from_utf8_lossy(value.expect("a value"))))
        }
        out.join(" ")
    };
    block.records.iter().map(record).collect()
}

fn counter(header: &'static str) -> Counter {
    Counter { header, ..Counter::default() }
}

#[test]
fn what_does_not_go_to_a_guest_keeps_its_place() {
    let said = told(&run(vec![counter("n")], OnError::Fail));
    // by shape: the key that changed has headers which the other records lack
    assert_eq!(said.iter().map(|r| &r[..3]).collect::<Vec<_>>(), ["1 c", "1 d", "1 -", "2 c", "2 d", "2 -", "3 c"]);
    let mut numbers: Vec<&str> = said.iter().filter_map(|r| r.split_once(" n")).map(|r| r.1).collect();
    numbers.sort_unstable();
    assert_eq!(
        numbers,
        ["0", "1", "2", "3", "4"],
        "a number is lost where two records of one row overwrite each other"
    );
}

#[test]
fn an_ordered_guest_sees_the_rows_in_their_order() {
    let said = told(&run(vec![Counter { ordered: true, ..counter("n") }], OnError::Fail));
    assert_eq!(said, ["1 c n0", "1 d n1", "1 -", "2 c n2", "2 d n3", "2 -", "3 c n4"]);
}

#[test]
fn rows_that_became_two_go_on_as_two() {
    let first = Counter { ordered: true, twice: true, ..counter("a") };
    let said = told(&run(vec![first, Counter { ordered: true, ..counter("b") }], OnError::Fail));
    let wanted = [
        "1 c a0 b0",
        "1 c a1 b1",
        "1 d a2 b2",
        "1 d a3 b3",
        "1 -",
        "2 c a4 b4",
        "2 c a5 b5",
        "2 d a6 b6",
        "2 d a7 b7",
        "2 -",
        "3 c a8 b8",
        "3 c a9 b9",
    ];
    assert_eq!(said, wanted);
}

#[test]
fn a_copy_that_fails_is_told() {
    let steps = || {
        let second = Counter { ordered: true, poison: Some(5), ..counter("b") };
        vec![Counter { ordered: true, twice: true, ..counter("a") }, second]
    };
    let failed = run(steps(), OnError::Fail);
    assert_eq!(failed.failed.as_ref().expect("a failure").failure.code.as_ref(), "poison");
    assert_eq!(told(&failed), ["1 c a0 b0", "1 c a1 b1"], "nothing of the row that failed, nothing behind it");
    let skipped = run(steps(), OnError::Skip);
    assert_eq!(skipped.skipped.values().sum::<u64>(), 1);
    assert_eq!(told(&skipped).len(), 11);
}

/// What a guest blew up is written for long after it returned.
#[test]
fn a_guest_may_rest_after_each_block() {
    let rests = |of: usize| {
        let guest = counter("n");
        let rests = guest.rests.clone();
        let blocks = run_in_blocks(of, vec![guest], OnError::Fail).blocks.len() as u64;
        (blocks, rests.load(Relaxed))
    };
    assert_eq!(rests(1), (7, 7));
    // the last one is cut because the window ends
    assert_eq!(rests(1 << 20), (1, 0));
}
