//! The messages of `pgoutput` (protocol version 1, text and binary) into rows of a window.
//!
//! Bytes stay where they came in: a row is offsets into the window's one buffer. What a relation means is asked for when the
//! server sends it, once, and again when it changed.

mod reader;

use crate::frame::header;
use crate::type_table::Wire;
use bytes::Bytes;
use reader::{Reader, malformed, relation, tuples};
use std::collections::HashMap;
use std::sync::Arc;
use weir_api::{Error, Limit};
use weir_cdc::KEY_CHANGED;
use weir_model::{BEFORE, Batch, Cell, Row, Stream, Transaction, Window};

/// A relation as the server describes it before its first row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Relation {
    pub oid: u32,
    pub schema: String,
    pub table: String,
    /// 'd', 'n', 'f', 'i'
    pub replica_identity: u8,
    pub columns: Vec<RelationColumn>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RelationColumn {
    pub name: String,
    /// part of the replica identity
    pub key: bool,
    pub type_oid: u32,
    pub modifier: i32,
    /// how its cells have come, once one has come in another form than was expected
    pub wire: Option<Wire>,
}

/// What the source makes of a relation.
#[derive(Clone, Debug)]
pub struct Captured {
    pub stream: Arc<Stream>,
    /// cells of the primary key, whose change makes a delete and a create of an update
    pub key: Vec<u16>,
    /// the form that each column's cells are read in: 't' or 'b'
    pub forms: Arc<[u8]>,
}

/// A position in the stream. Positions before it are behind us for good once it is stored.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Place {
    /// end of the last transaction that we have whole
    pub complete: u64,
    /// commit LSN of the transaction that we are in, or 0
    pub within: u64,
    /// rows of it that we have
    pub rows: u64,
    /// LSN of the last commit record, for `source.sequence`
    pub last_commit: u64,
}

/// Where in the stream we are, and what its relations mean.
pub struct Decoder {
    pub place: Place,
    /// rows that a stored offset already has, of the transaction that it lies in
    skip: Option<(u64, u64)>,
    /// Invariant 3: transactions committed before this are in the snapshot, and are dropped here.
    floor: u64,
    /// Invariant 3: transactions committed from here on are in the snapshot that is read next; reading ends before them.
    pub ceiling: Option<u64>,
    /// everything below the ceiling is read
    pub has_reached: bool,
    /// rows dropped by `floor`
    pub below_floor: u64,
    transaction: Transaction,
    in_transaction: bool,
    relations: HashMap<u32, Known>,
    /// `skipped.operations`
    pub skipped: Skipped,
    /// the server wants an answer
    pub reply: bool,
    now_ns: i64,
    pool: Vec<Batch>,
    open: HashMap<u32, Open>,
    /// (relation, batch, transaction) of the last row
    last: Option<(u32, usize, u64)>,
    /// [`Captured::forms`] of the last row's relation
    forms: Arc<[u8]>,
}

/// A relation, and what the source made of it.
struct Known {
    relation: Relation,
    captured: Option<Captured>,
}

/// A batch of the window at work.
#[derive(Clone, Copy)]
struct Open {
    batch: usize,
    /// commit LSN of the transaction that the batch has noted last
    of: u64,
}

/// Operations that are left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Skipped {
    pub create: bool,
    pub update: bool,
    pub delete: bool,
    pub truncate: bool,
}

/// Asked for a relation's meaning. None: it is not captured.
pub type Describe<'a> = &'a mut dyn FnMut(Relation) -> Result<Option<Captured>, Error>;

/// Microseconds from 1970 to the server's epoch.
const EPOCH_US: i64 = 946_684_800_000_000;

// === impl Decoder ===

impl Decoder {
    /// `place`: the stored offset, or where the slot begins. `floor`: the snapshot's consistent point, or 0.
    pub fn new(place: Place, floor: u64, skipped: Skipped) -> Self {
        let skip = (place.within > 0).then_some((place.within, place.rows));
        let place = Place { within: 0, rows: 0, ..place };
        Decoder {
            place,
            skip,
            floor,
            ceiling: None,
            has_reached: false,
            below_floor: 0,
            transaction: Transaction::default(),
            in_transaction: false,
            relations: HashMap::new(),
            skipped,
            reply: false,
            now_ns: 0,
            pool: vec![],
            open: HashMap::new(),
            last: None,
            forms: Arc::from([]),
        }
    }

    /// Whether a transaction is open: an idle position may be taken only between transactions.
    pub fn is_between(&self) -> bool {
        !self.in_transaction
    }

    /// Takes batches of an earlier window back, for their allocations.
    pub fn recycle(&mut self, batches: &mut Vec<Batch>) {
        self.pool.append(batches);
        self.pool.truncate(64);
    }

    /// Reads whole frames into the window until the bytes, or the limit, are used up; says how many bytes it took. The window's
    /// batches get their buffer from [`Decoder::seal`].
    pub fn decode(
        &mut self,
        wire: &[u8],
        window: &mut Window,
        limit: Limit,
        now_ns: i64,
        describe: Describe,
    ) -> Result<usize, Error> {
        self.now_ns = now_ns;
        self.open.clear();
        self.last = None;
        let (mut at, mut rows) = (0, 0);
        while rows < limit.rows && !self.has_reached {
            let Some((tag, length)) = header(wire.get(at..).unwrap_or_default())? else { break };
            let end = at + length;
            if end > wire.len() || end > u32::MAX as usize {
                break;
            }
            if tag == b'd' {
                let frame = Reader { wire, at: at + 5, end, surprised: false };
                rows += self.frame(frame, window, describe)?;
            }
            at = end;
        }
        Ok(at)
    }

    /// Gives the window the bytes that its rows lie in.
    pub fn seal(&mut self, window: &mut Window, wire: Bytes) {
        window.bytes = wire.len();
        for batch in &mut window.batches {
            batch.wire = wire.clone()
        }
    }

    /// Returns the rows it made.
    fn frame(&mut self, mut r: Reader, window: &mut Window, describe: Describe) -> Result<usize, Error> {
        match r.u8()? {
            b'w' => {}
            b'k' => {
                let end = r.u64()?;
                r.u64()?;
                self.reply |= r.u8()? == 1;
                if self.is_between() {
                    self.place.complete = self.place.complete.max(end);
                    self.has_reached = self.ceiling.is_some_and(|c| end >= c);
                }
                return Ok(0);
            }
            _ => return Ok(0),
        }
        let lsn = r.u64()?;
        r.take::<16>()?;
        match r.u8()? {
            b'B' => {
                let commit = r.u64()?;
                if self.ceiling.is_some_and(|c| commit >= c) {
                    self.has_reached = true;
                    return Ok(0);
                }
                let commit_us = (r.u64()? as i64).wrapping_add(EPOCH_US);
                let id = r.u32()? as u64;
                self.transaction = Transaction { id, commit_us, last_commit: self.place.last_commit };
                (self.place.within, self.place.rows, self.in_transaction) = (commit, 0, true);
                Ok(0)
            }
            b'C' => {
                r.u8()?;
                let commit = r.u64()?;
                let end = r.u64()?;
                self.place = Place { complete: end.max(self.place.complete), within: 0, rows: 0, last_commit: commit };
                self.in_transaction = false;
                self.skip = None;
                Ok(0)
            }
            b'R' => {
                self.meet(relation(&mut r)?, describe)?;
                Ok(0)
            }
            op @ (b'I' | b'U' | b'D') => self.row(op, lsn, r, window, describe),
            b'T' => self.truncate(lsn, r, window),
            // origins, types, messages
            _ => Ok(0),
        }
    }

    /// Whether the snapshot, or the stored offset, already has this row of the transaction.
    fn is_behind(&mut self) -> bool {
        self.place.rows += 1;
        if self.place.within < self.floor {
            self.below_floor += 1;
            return true;
        }
        self.skip.is_some_and(|(within, rows)| self.place.within == within && self.place.rows <= rows)
    }

    fn meet(&mut self, relation: Relation, describe: Describe) -> Result<(), Error> {
        let oid = relation.oid;
        let captured = describe(relation.clone())?;
        self.relations.insert(oid, Known { relation, captured });
        self.open.remove(&oid);
        self.last = None;
        Ok(())
    }

    #[inline]
    fn row(
        &mut self,
        op: u8,
        lsn: u64,
        mut r: Reader,
        window: &mut Window,
        describe: Describe,
    ) -> Result<usize, Error> {
        let oid = r.u32()?;
        let skipped = match op {
            b'I' => self.skipped.create,
            b'U' => self.skipped.update,
            _ => self.skipped.delete,
        };
        if self.is_behind() || skipped {
            return Ok(0);
        }
        let from = r.at;
        loop {
            let Some(at) = self.open(oid, window) else { return Ok(0) };
            let Some(batch) = window.batches.get_mut(at) else { return Ok(0) };
            let (cells, transaction) = (batch.cells.len(), batch.transactions.len() as u32 - 1);
            let mut row = Row { position: lsn, transaction, op, ..Row::default() };
            tuples(&mut row, &mut r, &self.forms, &mut batch.cells)?;
            if r.surprised {
                batch.cells.truncate(cells);
                r = Reader { at: from, surprised: false, ..r };
                self.learn(oid, Reader { ..r }, describe)?;
                continue;
            }
            row.op = match op {
                b'I' => b'c',
                b'D' => b'd',
                _ if row.present & BEFORE != 0 && self.key_changed(oid, r.wire, batch, &row) => KEY_CHANGED,
                _ => b'u',
            };
            let n = batch.rows.len() as u32;
            batch.rows.push(row);
            window.push_run(at as u16, n, n + 1);
            return Ok(1);
        }
    }

    /// A cell came in another form than its column's cells are read in: from this row on the relation is another shape. (The
    /// catalogue says which types have a binary form, and it may have changed since the row was written.)
    #[cold]
    fn learn(&mut self, oid: u32, mut r: Reader, describe: Describe) -> Result<(), Error> {
        let Some(mut relation) = self.relations.get(&oid).map(|k| k.relation.clone()) else { return Ok(()) };
        for (column, form) in relation.columns.iter_mut().zip(self.forms.iter()) {
            column.wire = Some(if *form == b'b' { Wire::Binary } else { Wire::Text });
        }
        while r.at < r.end {
            r.u8()?;
            if r.u16()? as usize != relation.columns.len() {
                return Err(malformed());
            }
            for column in &mut relation.columns {
                let form = r.u8()?;
                if let b't' | b'b' = form {
                    column.wire = Some(if form == b'b' { Wire::Binary } else { Wire::Text });
                    r.at += r.u32()? as usize;
                }
            }
        }
        self.meet(relation, describe)
    }

    #[cold]
    fn key_changed(&self, oid: u32, wire: &[u8], batch: &Batch, row: &Row) -> bool {
        let Some(captured) = self.relations.get(&oid).and_then(|k| k.captured.as_ref()) else { return false };
        let cell = |start: u32, c: u16| batch.cells.get(start as usize + c as usize).copied().unwrap_or(Cell::NULL);
        let bytes = |c: Cell| match c {
            Cell::NULL | Cell::UNCHANGED => None,
            c => wire.get(c.at as usize..c.at as usize + c.len as usize),
        };
        captured.key.iter().any(|c| {
            let (old, new) = (cell(row.before, *c), cell(row.after, *c));
            old != new && bytes(old) != bytes(new)
        })
    }

    fn truncate(&mut self, lsn: u64, mut r: Reader, window: &mut Window) -> Result<usize, Error> {
        let count = r.u32()?;
        r.u8()?;
        let mut rows = 0;
        for _ in 0..count {
            let oid = r.u32()?;
            if self.is_behind() || self.skipped.truncate {
                continue;
            }
            let Some(at) = self.open(oid, window) else { continue };
            let Some(batch) = window.batches.get_mut(at) else { continue };
            let transaction = batch.transactions.len() as u32 - 1;
            let n = batch.rows.len() as u32;
            batch.rows.push(Row { position: lsn, transaction, op: b't', ..Row::default() });
            window.push_run(at as u16, n, n + 1);
            rows += 1;
        }
        Ok(rows)
    }

    /// The window's batch for a relation, ready for a row of the open transaction.
    #[inline]
    fn open(&mut self, oid: u32, window: &mut Window) -> Option<usize> {
        match self.last {
            Some((last, at, of)) if last == oid && of == self.place.within => Some(at),
            _ => self.open_other(oid, window),
        }
    }

    fn open_other(&mut self, oid: u32, window: &mut Window) -> Option<usize> {
        let captured = self.relations.get(&oid)?.captured.as_ref()?;
        self.forms = captured.forms.clone();
        let open = match self.open.get(&oid) {
            Some(open) => *open,
            None => {
                let stream = captured.stream.clone();
                let batch = match self.pool.pop() {
                    Some(mut batch) => {
                        batch.reset(stream, Bytes::new(), self.now_ns);
                        batch
                    }
                    None => Batch::new(stream, Bytes::new(), self.now_ns),
                };
                window.batches.push(batch);
                Open { batch: window.batches.len() - 1, of: 0 }
            }
        };
        let batch = window.batches.get_mut(open.batch)?;
        let open = match open.of == self.place.within && !batch.transactions.is_empty() {
            true => open,
            false => {
                batch.transactions.push(self.transaction);
                Open { of: self.place.within, ..open }
            }
        };
        self.open.insert(oid, open);
        self.last = Some((oid, open.batch, open.of));
        Some(open.batch)
    }
}
