//! The snapshot: every captured table through `COPY (SELECT …) TO STDOUT (FORMAT binary)`, in one exported snapshot.
//!
//! Big tables are read in parts, by as many sessions as `snapshot.max.threads` says; what leaves is in the order of tables and of
//! their blocks all the same. What consumers have is stored part by part ([`Finished`]).

mod copied;
mod finished;
mod part;
mod reader;

pub use finished::{Finished, Way};
pub use part::{Part, Table};

use crate::catalogue::{self, Types};
use crate::config::snapshot::{Order, SnapshotOptions};
use crate::frame::header;
use crate::table::Naming;
use crate::{ConnectOptions, Connection};
use bytes::Bytes;
use copied::{broken, tuple};
use reader::{Chunks, Work};
use std::cmp::Reverse;
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::time::Duration;
use weir_api::{Error, Progress};
use weir_model::{AFTER, Batch, Mark, Row, Stream, Transaction, Window};

/// What is read, and where it stands in the log.
pub struct Plan<'a> {
    pub connect: ConnectOptions,
    /// to be imported
    pub snapshot: String,
    /// everything committed before is in it
    pub lsn: u64,
    pub tables: Vec<(String, String)>,
    pub naming: Naming,
    pub options: &'a SnapshotOptions,
    /// what consumers have of an earlier snapshot
    pub finished: Finished,
}

/// A snapshot being read.
pub struct Snapshot {
    parts: Receiver<Chunks>,
    /// of the part at hand
    chunks: Option<Chunks>,
    /// how many parts were begun
    begun: usize,
    /// how many consumers have when they have what left
    sent: usize,
    way: Way,
    naming: Naming,
    types: Arc<Types>,
    /// of the table at hand
    stream: Option<(Arc<Table>, Arc<Stream>)>,
    /// `txid_current()` of the snapshot's transaction: what Debezium gives its records
    transaction: u64,
    at_us: i64,
    lsn: u64,
    held: Option<Chunk>,
    /// rows sent so far, by this snapshot and of the table at hand
    rows: u64,
    of_table: u64,
    progress: Progress,
}

/// Whole frames of one part.
struct Chunk {
    stream: Arc<Stream>,
    bytes: Vec<u8>,
}

/// What reading brought.
pub enum Read {
    /// the number of parts that consumers have behind these rows, if it is a new one
    Rows(Option<usize>),
    Nothing,
    /// rows perhaps, and nothing behind them
    Done,
}

// === impl Snapshot ===

impl Snapshot {
    /// Starts reading. Returns when every session has imported the snapshot.
    pub fn begin(plan: Plan) -> Result<Snapshot, Error> {
        let (options, at_us) = (plan.options, now_us());
        let mut first = session(&plan)?;
        let transaction = transaction(&mut first)?;
        let types = Arc::new(Types::read(&mut first)?);
        if options.lock {
            lock(&mut first, &plan)?;
        }
        let tables = tables(&mut first, &plan)?;
        let rows_total = tables.iter().map(|t| t.info.rows).sum::<Option<u64>>();
        let tables_done = tables.iter().filter(|t| plan.finished.has(&t.name())).count();
        let progress = Progress { tables: tables.len(), tables_done, rows_total, ..Progress::default() };
        let parts = part::parts(tables, &plan.finished);
        let mut sessions = vec![first];
        while sessions.len() < options.threads.min(parts.len()) {
            sessions.push(session(&plan)?);
        }
        let (naming, user) = (plan.naming.clone(), plan.connect.user.clone());
        let work = Work { parts: parts.clone(), naming, types: types.clone(), user };
        Ok(Snapshot {
            parts: reader::start(sessions, work)?,
            chunks: None,
            begun: 0,
            sent: 0,
            way: Way::new(plan.lsn, plan.finished, parts),
            naming: plan.naming,
            types,
            stream: None,
            transaction,
            at_us,
            lsn: plan.lsn,
            held: None,
            rows: 0,
            of_table: 0,
            progress,
        })
    }

    /// Everything committed before is in it.
    pub fn lsn(&self) -> u64 {
        self.lsn
    }

    pub fn progress(&self) -> Progress {
        Progress { rows: self.way.rows_before() + self.rows, ..self.progress.clone() }
    }

    pub fn way(&self) -> &Way {
        &self.way
    }

    /// What its positions mean, also when it is at its end.
    pub fn into_way(self) -> Way {
        self.way
    }

    /// Fills the window with what comes within `wait`. One chunk is held back until it is known whether more rows follow, for
    /// its last row says so.
    pub fn read(&mut self, wait: Duration, window: &mut Window, now_ns: i64) -> Result<Read, Error> {
        let (Some(chunks), Some((_, stream))) = (&self.chunks, &self.stream) else {
            return self.next_part(wait, window, now_ns);
        };
        let bytes = match reader::next(chunks, wait)? {
            None => return Ok(Read::Nothing),
            Some(end) => match end? {
                Some(bytes) => bytes,
                None => {
                    self.chunks = None;
                    return Ok(Read::Nothing);
                }
            },
        };
        let part = self.begun - 1;
        let next = Chunk { stream: stream.clone(), bytes };
        let Some(held) = self.held.replace(next) else { return Ok(Read::Nothing) };
        let is_same = self.held.as_ref().is_some_and(|next| next.stream.id == held.stream.id);
        self.rows_of(held, if is_same { Mark::Middle } else { Mark::LastInTable }, window, now_ns)?;
        let is_new = part > self.sent;
        self.sent = part;
        if is_new {
            self.way.advance(part, self.rows);
        }
        Ok(Read::Rows(is_new.then_some(part)))
    }

    fn next_part(&mut self, wait: Duration, window: &mut Window, now_ns: i64) -> Result<Read, Error> {
        let Some(part) = self.way.parts().get(self.begun) else {
            if let Some(held) = self.held.take() {
                self.rows_of(held, Mark::Last, window, now_ns)?;
            }
            self.progress.tables_done = self.progress.tables;
            return Ok(Read::Done);
        };
        self.chunks = reader::next(&self.parts, wait)?;
        if self.chunks.is_none() {
            return Ok(Read::Nothing);
        }
        self.begun += 1;
        let table = &part.table;
        if self.stream.as_ref().is_none_or(|(known, _)| !Arc::ptr_eq(known, table)) {
            self.progress.tables_done += usize::from(self.stream.is_some());
            self.progress.table = table.name();
            self.stream = Some((table.clone(), self.naming.snapshot(&table.info, &self.types).0));
        }
        Ok(Read::Nothing)
    }

    fn rows_of(&mut self, chunk: Chunk, last: Mark, window: &mut Window, now_ns: i64) -> Result<(), Error> {
        let mut batch = Batch::new(chunk.stream, Bytes::from(chunk.bytes), now_ns);
        batch.transactions.push(Transaction { id: self.transaction, commit_us: self.at_us, last_commit: 0 });
        let wire = batch.wire.clone();
        let (mut at, width) = (0, batch.stream.width);
        while let Some((_, length)) = header(wire.get(at..).unwrap_or_default())? {
            let frame = wire.get(at + 5..at + length).ok_or_else(broken)?;
            if let Some(after) = tuple(frame, at + 5, width, &mut batch.cells)? {
                let mark = match (self.rows, self.of_table) {
                    (0, _) => Mark::First,
                    (_, 0) => Mark::FirstInTable,
                    _ => Mark::Middle,
                };
                batch.rows.push(Row { after, position: self.lsn, op: b'r', present: AFTER, mark, ..Row::default() });
                self.rows += 1;
                self.of_table += 1;
            }
            at += length;
        }
        if let Some(row) = batch.rows.last_mut() {
            row.mark = match (last, row.mark) {
                (Mark::Middle, mark) => mark,
                (Mark::LastInTable, Mark::First) => Mark::First,
                (last, _) => last,
            }
        }
        if last != Mark::Middle {
            self.of_table = 0;
        }
        window.bytes = wire.len();
        window.push_run(window.batches.len() as u16, 0, batch.rows.len() as u32);
        window.batches.push(batch);
        Ok(())
    }
}

fn now_us() -> i64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |d| d.as_micros() as i64)
}

/// A session that sees the snapshot.
fn session(plan: &Plan) -> Result<Connection, Error> {
    let mut connection = Connection::connect(&plan.connect)?;
    connection.simple_query("BEGIN TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")?;
    connection.simple_query(&format!("SET TRANSACTION SNAPSHOT {}", catalogue::literal(&plan.snapshot)))?;
    Ok(connection)
}

fn transaction(connection: &mut Connection) -> Result<u64, Error> {
    let rows = connection.simple_query("SELECT CASE WHEN pg_is_in_recovery() THEN 0 ELSE txid_current() END")?;
    Ok(rows.first().and_then(|r| r.first()?.as_deref()?.parse().ok()).unwrap_or(0))
}

/// `snapshot.locking.mode` = shared
fn lock(connection: &mut Connection, plan: &Plan) -> Result<(), Error> {
    let names: Vec<_> = plan.tables.iter().map(|(s, t)| catalogue::qualified(s, t)).collect();
    if names.is_empty() {
        return Ok(());
    }
    connection.simple_query(&format!("SET lock_timeout = {}", plan.options.lock_timeout.as_millis()))?;
    connection.simple_query(&format!("LOCK TABLE {} IN ACCESS SHARE MODE", names.join(", ")))?;
    connection.simple_query("SET lock_timeout = 0").map(|_| ())
}

/// What the catalogue says of the tables, in the order in which they are read.
fn tables(connection: &mut Connection, plan: &Plan) -> Result<Vec<Table>, Error> {
    let (mut tables, options) = (vec![], plan.options);
    for (schema, table) in &plan.tables {
        let name = format!("{schema}.{table}");
        if options.tables.as_ref().is_some_and(|p| !p.matches(&name)) {
            continue;
        }
        let Some(info) = catalogue::table(connection, schema, table)? else { continue };
        let heap = catalogue::heap(connection, info.oid)?;
        tables.push(Table { info, heap, statement: options.statements.get(&name).cloned() });
    }
    match options.order {
        Order::Name => {}
        Order::Ascending => tables.sort_by_key(|t| t.info.rows),
        Order::Descending => tables.sort_by_key(|t| Reverse(t.info.rows)),
    }
    Ok(tables)
}
