//! Whatever goes wrong in sink, store and source: every row arrives, rows of a key in their order, no stored offset covers a row that is
//! not durable (invariant 1), and the source is told of stored positions only (invariant 2): it forgets what it is told.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)] // helpers of tests are tests

#[path = "support/fault.rs"]
mod fault;

use bytes::Bytes;
use fault::{Fault, Faults, Faulty};
use serde_json::json;
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use weir_api::{Block, BlockId, Error, Limit, Offset, Poll, Position, Sink, Source};
use weir_cdc::{CellLeaf, Column, Envelope, Op, SourceBlock, Table};
use weir_converters::{JsonConverter, SimpleHeader};
use weir_model::{AFTER, Batch, Cell, Codec, Kind, Row, Stream, Transaction, Type, Window};
use weir_runtime::{
    Chain, Converters, Counters, OffsetStore, OnError, Outcome, RetryPolicy, Saver, Stop, Task, TaskOptions,
};

/// Rows of a run, over so many keys.
const ROWS: u64 = 120;
const KEYS: u64 = 7;

/// What outlives a task: the place records go to, the offset, the log of the database.
#[derive(Debug, Default)]
struct World {
    /// rows in the order in which they became durable
    durable: Vec<u64>,
    /// rows that a restart need not send
    stored: u64,
    /// rows that the source has forgotten
    confirmed: u64,
    starts: u32,
}

type Shared = Arc<Mutex<World>>;

// === the sink ===

/// Takes what it has room for; what it took becomes durable later, in order within a partition only; or, where the sink goes before,
/// perhaps.
struct Place {
    world: Shared,
    faults: Faults,
    partitions: [VecDeque<(u64, BlockId)>; 3],
    /// rows of each block that are not durable
    left: BTreeMap<BlockId, usize>,
}

impl Place {
    fn new(world: &Shared, faults: &Faults) -> Place {
        Place { world: world.clone(), faults: faults.clone(), partitions: Default::default(), left: BTreeMap::new() }
    }

    /// So many rows of a partition.
    fn settle(&mut self, partition: usize, most: u64, done: &mut Vec<BlockId>) {
        for _ in 0..most {
            let Some((row, block)) = self.partitions[partition].pop_front() else { return };
            self.world.lock().unwrap().durable.push(row);
            let left = self.left.get_mut(&block).unwrap();
            *left -= 1;
            done.extend((*left == 0).then_some(block));
        }
    }
}

impl Sink for Place {
    fn deliver(&mut self, block: &Arc<Block>, from: usize) -> Result<usize, Error> {
        let room = self.faults.number(12) as usize;
        let upto = block.records.len().min(from + room);
        self.left.entry(block.id).or_insert(block.records.len());
        for record in block.records.iter().take(upto).skip(from) {
            let value: serde_json::Value = serde_json::from_slice(block.value(record).unwrap()).unwrap();
            let row = value["after"]["n"].as_u64().unwrap();
            self.partitions[(row % KEYS % 3) as usize].push_back((row, block.id));
        }
        Ok(upto)
    }
    fn poll(&mut self, _: Duration, done: &mut Vec<BlockId>) -> Result<(), Error> {
        let (partition, most) = (self.faults.number(3) as usize, self.faults.number(9));
        self.settle(partition, most, done);
        Ok(())
    }
    fn flush(&mut self, _: Instant, done: &mut Vec<BlockId>) -> Result<(), Error> {
        (0..3).for_each(|partition| self.settle(partition, u64::MAX, done));
        Ok(())
    }
}

impl Drop for Place {
    /// As a cluster does with what was on its way to it.
    fn drop(&mut self) {
        if !std::thread::panicking() {
            (0..3).for_each(|partition| self.settle(partition, self.faults.number(9), &mut vec![]))
        }
    }
}

// === the store ===

struct Store(Shared);

impl OffsetStore for Store {
    fn load(&self, _: &Offset) -> Result<Option<Offset>, Error> {
        let stored = self.0.lock().unwrap().stored;
        Ok((stored > 0).then(|| offset(stored)))
    }
    fn save(&mut self, _: &Offset, offset: &Offset) -> Result<(), Error> {
        let mut world = self.0.lock().unwrap();
        let rows = offset["rows"].as_u64().unwrap();
        let missing: Vec<_> = (0..rows).filter(|row| !world.durable.contains(row)).collect();
        assert!(missing.is_empty(), "invariant 1: {rows} rows are stored, and {missing:?} are not durable");
        assert!(rows >= world.stored, "offsets go back from {} to {rows}", world.stored);
        world.stored = rows;
        Ok(())
    }
}

fn offset(rows: u64) -> Offset {
    Offset::from_iter([("rows".to_string(), json!(rows))])
}

// === the source ===

/// Rows by number: windows of any size, some without a position behind them, and what else a source may say.
struct Script {
    world: Shared,
    faults: Faults,
    stream: Arc<Stream>,
    next: u64,
    /// what it insisted on to be stored
    insisted: Option<u64>,
    /// the server does not wait for as long as a window takes
    is_impatient: bool,
}

impl Source for Script {
    fn partition(&self) -> Offset {
        Offset::new()
    }
    fn offset(&self, position: &Position) -> Offset {
        offset(position.0[0])
    }
    fn start(&mut self, offset: Option<&Offset>) -> Result<(), Error> {
        let mut world = self.world.lock().unwrap();
        let from = offset.map_or(0, |o| o["rows"].as_u64().unwrap());
        assert_eq!(from, world.stored, "it goes on where the store says");
        assert!(from >= world.confirmed, "rows {from}..{} are forgotten, and wanted again", world.confirmed);
        world.starts += 1;
        (self.next, self.insisted) = (from, None);
        Ok(())
    }
    fn poll(&mut self, _: Duration, _: Limit, window: &mut Window) -> Result<Poll, Error> {
        if self.faults.draw("source", &[Fault::Reject]).is_some() {
            return Err(self.faults.error("source"));
        }
        if let Some(rows) = self.insisted.take() {
            assert_eq!(self.world.lock().unwrap().stored, rows, "it goes on before its position is stored");
        }
        if self.is_impatient {
            let world = self.world.lock().unwrap();
            assert!(world.starts <= ROWS as u32, "the same rows again and again");
            if self.next > world.stored {
                return Err(Error::retry("test.impatient", "the server has closed the connection"));
            }
        }
        let here = Position([self.next, 0, 0, 0]);
        match self.faults.number(8) {
            0 => return Ok(Poll::Idle(None)),
            1 => return Ok(Poll::Idle(Some(here))),
            2 if self.next > 0 => {
                self.insisted = Some(self.next);
                return Ok(Poll::Store(here));
            }
            _ if self.next == ROWS => return Ok(Poll::End),
            _ => {}
        }
        let upto = ROWS.min(self.next + 1 + self.faults.number(9));
        *window = rows(&self.stream, self.next..upto);
        self.next = upto;
        let is_between = self.faults.number(3) > 0 || upto == ROWS || self.is_impatient;
        Ok(Poll::Window(is_between.then_some(Position([upto, 0, 0, 0]))))
    }
    fn confirm(&mut self, position: &Position) -> Result<(), Error> {
        let mut world = self.world.lock().unwrap();
        let rows = position.0[0];
        assert!(rows <= world.stored, "invariant 2: told of {rows}, and {} are stored", world.stored);
        world.confirmed = rows.max(world.confirmed);
        if self.is_impatient && self.next > world.stored {
            return Err(Error::retry("test.impatient", "the server has closed the connection"));
        }
        drop(world);
        match self.faults.draw("confirm", &[Fault::FailAfter]) {
            Some(_) => Err(self.faults.error("confirm")),
            None => Ok(()),
        }
    }
    fn keep_alive(&mut self) -> Result<(), Error> {
        Ok(())
    }
    fn stop(&mut self, _: bool) {}
}

/// Row n has the key n modulo [`KEYS`].
fn rows(stream: &Arc<Stream>, numbers: std::ops::Range<u64>) -> Window {
    let (mut text, mut cells) = (String::new(), vec![]);
    for n in numbers.clone() {
        for cell in [(n % KEYS).to_string(), n.to_string()] {
            cells.push(Cell { at: text.len() as u32, len: cell.len() as u32 });
            text.push_str(&cell);
        }
    }
    let mut batch = Batch::new(stream.clone(), Bytes::from(text), 0);
    batch.transactions.push(Transaction::default());
    batch.cells = cells;
    let count = (numbers.end - numbers.start) as u32;
    batch.rows = (0..count).map(|i| Row { after: 2 * i, op: b'c', present: AFTER, ..Row::default() }).collect();
    let mut window = Window::default();
    window.push_run(0, 0, count);
    window.batches.push(batch);
    window
}

fn stream() -> Arc<Stream> {
    let column = |name: &str| {
        let leaf = CellLeaf::Codec(Codec::IntText);
        Column { name: name.into(), ty: Type::new(Kind::Int64), leaf }
    };
    let columns = vec![(0, column("id")), (1, column("n"))];
    let table = Table { topic: "t".into(), columns, key: vec![0] };
    let source = SourceBlock { name: "io.example.Source", fields: vec![SourceBlock::text("db", "shop")] };
    let program = Envelope::new(None).program(&table, &source, Op::Change);
    Arc::new(Stream { id: 1, name: "t".into(), width: 2, program })
}

fn task(world: &Shared, faults: &Faults, is_impatient: bool) -> Task {
    let json = Arc::new(JsonConverter(Default::default()));
    let converters =
        Converters { key: json.clone(), value: json, header: Arc::new(SimpleHeader), on_error: OnError::Fail };
    let moment = Duration::from_millis(1);
    let retry = RetryPolicy { delay_initial: moment, delay_max: moment, ..RetryPolicy::default() };
    let sink = {
        let (world, faults) = (world.clone(), faults.clone());
        move || {
            let place = Place::new(&world, &faults);
            Ok(Box::new(Faulty::new(place, &faults)) as Box<dyn Sink>)
        }
    };
    let (world, faults) = (world.clone(), faults.clone());
    Task {
        name: "t".into(),
        source: Box::new(Script {
            world: world.clone(),
            faults: faults.clone(),
            stream: stream(),
            next: 0,
            insisted: None,
            is_impatient,
        }),
        chain: Chain::new(vec![], converters, 1 << 20),
        sink: Box::new(sink),
        dead_letters: None,
        store: Saver::new(Faulty::new(Store(world), &faults)),
        options: TaskOptions { offset_interval: Duration::ZERO, retry, ..TaskOptions::default() },
        counters: Arc::new(Counters::default()),
    }
}

/// Runs to the end, begun anew where an error ends the task.
fn run(seed: u64) -> (World, Faults) {
    let (world, faults) = (Shared::default(), Faults::new(seed, 40));
    while !matches!(task(&world, &faults, false).run(&Stop::default()), Ok(Outcome::Ended)) {}
    (Arc::try_unwrap(world).expect("the task is gone").into_inner().unwrap(), faults)
}

#[test]
fn nothing_is_lost_or_overtaken_whatever_fails() {
    let (mut met, mut again, mut starts) = (BTreeMap::new(), 0, 0);
    for seed in 0..300 {
        let (world, faults) = run(seed);
        assert_eq!(world.stored, ROWS, "seed {seed}: it ends with everything stored");
        let mut last = BTreeMap::new();
        for row in &world.durable {
            // the next one of its key, or one that comes again
            let wanted = last.get(&(row % KEYS)).map_or(row % KEYS, |last| last + KEYS);
            assert!(*row <= wanted, "seed {seed}: {row} comes before {wanted}");
            last.entry(row % KEYS).and_modify(|last| *last = row.max(last).to_owned()).or_insert(*row);
        }
        assert_eq!(last.values().max(), Some(&(ROWS - 1)));
        assert_eq!(last.len() as u64, KEYS);
        assert!((0..ROWS).all(|row| world.durable.contains(&row)), "seed {seed}: a row is lost");
        again += world.durable.len() as u64 - ROWS;
        starts += world.starts;
        faults.met().into_iter().for_each(|(fault, n)| *met.entry(fault).or_insert(0) += n);
    }
    println!("{starts} starts, {again} rows of {} again; {met:?}", 300 * ROWS);
    // each call met all that it can meet
    assert_eq!(met.len(), 3 + 4 + 2 + 1 + 3 + 2, "{met:?}");
}

#[test]
fn a_server_that_waits_for_no_window_does_not_give_the_same_rows_for_ever() {
    let (world, faults) = (Shared::default(), Faults::new(1, 0));
    let outcome = task(&world, &faults, true).run(&Stop::default());
    assert_eq!(outcome.map_err(|e| e.code()), Ok(Outcome::Ended));
    let world = world.lock().unwrap();
    assert_eq!((world.stored, world.durable.len() as u64), (ROWS, ROWS), "none comes again");
    assert!(world.starts > 10, "{} starts", world.starts);
}
