//! Rows as they came in: one buffer, and for each row where its cells lie in it. No allocation for a row.

use crate::{Name, Program};
use bytes::Bytes;
use std::sync::Arc;

/// A cell in [`Batch::wire`]. Offsets and not references: a batch is `Send + 'static` and moves through queues.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cell {
    pub at: u32,
    pub len: u32,
}

/// One bit for each struct of a stream that a row may lack; a node is null where a bit of its guard is not set in the row.
pub type Presence = u8;
pub const BEFORE: Presence = 1;
pub const AFTER: Presence = 2;
/// a struct that no row of this source has (`transaction` without transaction metadata)
pub const NEVER: Presence = 128;

/// A tuple that a cell lies in.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Side {
    Before,
    After,
}

/// `source.snapshot`: where in a snapshot a row was read.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(u8)]
pub enum Mark {
    #[default]
    Streamed,
    First,
    FirstInTable,
    Middle,
    LastInTable,
    Last,
    Incremental,
}

/// What a row has beside its cells; what its transaction has is stored once.
#[derive(Clone, Copy, Debug, Default)]
pub struct Row {
    /// first cell of each tuple
    pub before: u32,
    pub after: u32,
    /// the row's place in the log: a PostgreSQL LSN, a binlog position
    pub position: u64,
    pub transaction: u32,
    /// c, r, u, d, t, m; a source may use more (see its program)
    pub op: u8,
    pub present: Presence,
    pub mark: Mark,
}

#[derive(Clone, Copy, Default, Debug)]
pub struct Transaction {
    pub id: u64,
    /// µs since the epoch
    pub commit_us: i64,
    /// where the transaction before this one ended; 0: none yet
    pub last_commit: u64,
}

/// What a row knows beside its cells.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Meta {
    /// one letter
    Op,
    /// when the batch was read: ms, µs, ns
    Now,
    NowUs,
    NowNs,
    /// when the change was made: ms, µs, ns
    SourceMs,
    SourceUs,
    SourceNs,
    /// the transaction's number
    Transaction,
    Position,
    /// `["<end of the transaction before>","<this change>"]`
    Sequence,
    /// see [`Mark`]
    Snapshot,
}

/// A computed column that joined the batch: what a guest hands back, one value a row. `valid` is one byte a row, and empty
/// where every row is valid.
#[derive(Clone, Debug, PartialEq)]
pub enum Column {
    Null,
    Bits {
        valid: Vec<u8>,
        values: Vec<u8>,
    },
    Ints {
        valid: Vec<u8>,
        values: Vec<i64>,
    },
    Floats {
        valid: Vec<u8>,
        values: Vec<f64>,
    },
    Text {
        valid: Vec<u8>,
        ends: Vec<u32>,
        data: Vec<u8>,
    },
    Bytes {
        valid: Vec<u8>,
        ends: Vec<u32>,
        data: Vec<u8>,
    },
    /// for values that have no column form of their own
    Values(Vec<crate::Value>),
}

/// Rows that are alike until somebody changes a schema: a table's changes, as a source describes them.
#[derive(Debug)]
pub struct Stream {
    /// unique in the process, never used again
    pub id: u64,
    /// for people: "public.orders"
    pub name: Name,
    /// cells a tuple
    pub width: usize,
    /// the source's own program: one layout for each sort of record
    pub program: Program,
}

/// Rows of one stream.
#[derive(Debug)]
pub struct Batch {
    pub stream: Arc<Stream>,
    pub wire: Bytes,
    pub cells: Vec<Cell>,
    pub rows: Vec<Row>,
    pub transactions: Vec<Transaction>,
    pub columns: Vec<Column>,
    /// when the batch was read: the envelope's ts_ms, ts_us, ts_ns
    pub now_ns: i64,
}

/// Rows `from..to` of one batch, which follow each other in the source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    pub batch: u16,
    pub from: u32,
    pub to: u32,
}

/// The rows of one or more transactions: batches group them by stream, `runs` keep them in source order.
#[derive(Debug, Default)]
pub struct Window {
    pub batches: Vec<Batch>,
    pub runs: Vec<Run>,
    /// bytes of wire buffer that this window keeps alive
    pub bytes: usize,
}

// === impl Cell ===

impl Cell {
    pub const NULL: Cell = Cell { at: 0, len: u32::MAX };
    /// a TOAST value that the log does not carry
    pub const UNCHANGED: Cell = Cell { at: 0, len: u32::MAX - 1 };
}

// === impl Mark ===

impl Mark {
    pub const fn text(self) -> &'static str {
        match self {
            Mark::Streamed => "false",
            Mark::First => "first",
            Mark::FirstInTable => "first_in_data_collection",
            Mark::Middle => "true",
            Mark::LastInTable => "last_in_data_collection",
            Mark::Last => "last",
            Mark::Incremental => "incremental",
        }
    }
}

// === impl Batch ===

impl Batch {
    pub fn new(stream: Arc<Stream>, wire: Bytes, now_ns: i64) -> Self {
        Batch { stream, wire, cells: vec![], rows: vec![], transactions: vec![], columns: vec![], now_ns }
    }
    /// Keeps the allocations.
    pub fn reset(&mut self, stream: Arc<Stream>, wire: Bytes, now_ns: i64) {
        (self.stream, self.wire, self.now_ns) = (stream, wire, now_ns);
        self.cells.clear();
        self.rows.clear();
        self.transactions.clear();
        self.columns.clear();
    }
    #[inline(always)]
    pub fn cell(&self, row: &Row, side: Side, column: u16) -> Cell {
        let (bit, start) = match side {
            Side::Before => (BEFORE, row.before),
            Side::After => (AFTER, row.after),
        };
        if row.present & bit == 0 {
            return Cell::NULL;
        }
        self.cells.get(start as usize + column as usize).copied().unwrap_or(Cell::NULL)
    }
    /// A cell's bytes; empty for a null, and for offsets outside the buffer, which readers never make.
    #[inline(always)]
    pub fn bytes(&self, cell: Cell) -> &[u8] {
        self.wire.get(cell.at as usize..cell.at as usize + cell.len as usize).unwrap_or_default()
    }
    #[inline(always)]
    pub fn transaction(&self, row: &Row) -> Transaction {
        self.transactions.get(row.transaction as usize).copied().unwrap_or_default()
    }
    /// None: this meta is a text.
    #[inline(always)]
    pub fn int(&self, row: &Row, meta: Meta) -> Option<i64> {
        Some(match meta {
            Meta::Now => self.now_ns / 1_000_000,
            Meta::NowUs => self.now_ns / 1000,
            Meta::NowNs => self.now_ns,
            Meta::SourceMs => self.transaction(row).commit_us.div_euclid(1000),
            Meta::SourceUs => self.transaction(row).commit_us,
            Meta::SourceNs => self.transaction(row).commit_us.wrapping_mul(1000),
            Meta::Transaction => self.transaction(row).id as i64,
            Meta::Position => row.position as i64,
            Meta::Op | Meta::Sequence | Meta::Snapshot => return None,
        })
    }
    /// The text of a meta that is one.
    #[inline]
    pub fn meta_text<'a>(&self, row: &Row, meta: Meta, room: &'a mut [u8; 64]) -> &'a [u8] {
        match meta {
            Meta::Sequence => self.sequence(row, room),
            Meta::Snapshot => row.mark.text().as_bytes(),
            _ => {
                if let Some(first) = room.first_mut() {
                    *first = row.op;
                }
                room.get(..1).unwrap_or_default()
            }
        }
    }
    #[inline]
    fn sequence<'a>(&self, row: &Row, room: &'a mut [u8; 64]) -> &'a [u8] {
        let (mut last, mut own) = (itoa::Buffer::new(), itoa::Buffer::new());
        let before = self.transaction(row).last_commit;
        let head: [&str; 3] = if before == 0 { ["[", "null", ","] } else { ["[\"", last.format(before), "\","] };
        let mut n = 0;
        for piece in head.into_iter().chain(["\"", own.format(row.position), "\"]"]) {
            if let Some(to) = room.get_mut(n..n + piece.len()) {
                to.copy_from_slice(piece.as_bytes());
                n += piece.len();
            }
        }
        room.get(..n).unwrap_or_default()
    }
}

// === impl Column ===

impl Column {
    pub fn is_null(&self, r: u32) -> bool {
        let valid = match self {
            Column::Null => return true,
            Column::Values(v) => return v.get(r as usize).is_none_or(|v| v.is_null()),
            Column::Bits { valid, .. }
            | Column::Ints { valid, .. }
            | Column::Floats { valid, .. }
            | Column::Text { valid, .. }
            | Column::Bytes { valid, .. } => valid,
        };
        !valid.is_empty() && valid.get(r as usize).is_none_or(|v| *v == 0)
    }
    /// Row `r` of a text or bytes column.
    pub fn blob(&self, r: u32) -> &[u8] {
        let (Column::Text { ends, data, .. } | Column::Bytes { ends, data, .. }) = self else { return &[] };
        let start = if r == 0 { 0 } else { ends.get(r as usize - 1).copied().unwrap_or(0) };
        let end = ends.get(r as usize).copied().unwrap_or(start);
        data.get(start as usize..end as usize).unwrap_or_default()
    }
    pub fn value(&self, r: u32) -> crate::Value {
        use crate::Value;
        if self.is_null(r) {
            return Value::Null;
        }
        let i = r as usize;
        match self {
            Column::Null => Value::Null,
            Column::Bits { values, .. } => Value::Boolean(values.get(i).is_some_and(|b| *b != 0)),
            Column::Ints { values, .. } => values.get(i).map_or(Value::Null, |v| Value::Int(*v)),
            Column::Floats { values, .. } => values.get(i).map_or(Value::Null, |v| Value::Float(*v)),
            Column::Text { .. } => Value::text(String::from_utf8_lossy(self.blob(r))),
            Column::Bytes { .. } => Value::bytes(self.blob(r)),
            Column::Values(v) => v.get(i).cloned().unwrap_or_default(),
        }
    }
}

// === impl Window ===

impl Window {
    /// Says that rows `from..to` of a batch come next in the source.
    pub fn push_run(&mut self, batch: u16, from: u32, to: u32) {
        if from == to {
            return;
        }
        match self.runs.last_mut() {
            Some(run) if run.batch == batch && run.to == from => run.to = to,
            _ => self.runs.push(Run { batch, from, to }),
        }
    }
    pub fn rows(&self) -> usize {
        self.runs.iter().map(|r| (r.to - r.from) as usize).sum()
    }
    pub fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }
}
