//! The snapshot: every captured table through `COPY (SELECT …) TO STDOUT (FORMAT binary)`, in one exported snapshot.
//!
//! A thread of its own reads, so that the server is never kept waiting for a writer; what it read ahead is bounded.

use crate::Connection;
use crate::catalogue::qualified;
use crate::frame::header;
use crate::server_error::ident;
use crate::table::Naming;
use crate::type_table::Mapping;
use crate::{ConnectOptions, catalogue};
use bytes::Bytes;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::Duration;
use weir_api::{Error, Progress};
use weir_model::{AFTER, Batch, Cell, Mark, Row, Stream, Transaction, Window};

/// Chunks read ahead, each of about [`CHUNK_BYTES`].
const READ_AHEAD: usize = 4;
const CHUNK_BYTES: usize = 1 << 20;

/// What is read, and where it stands in the log.
pub struct Plan {
    pub connect: ConnectOptions,
    /// to be imported
    pub snapshot: String,
    /// everything committed before is in it
    pub lsn: u64,
    pub tables: Vec<(String, String)>,
    pub naming: Naming,
}

/// A snapshot being read.
pub struct Snapshot {
    chunks: Receiver<Result<Message, Error>>,
    lsn: u64,
    /// `txid_current()` of the snapshot's transaction: what Debezium gives its records
    transaction: u64,
    at_us: i64,
    held: Option<Chunk>,
    /// rows sent so far, and of the table at hand
    rows: u64,
    of_table: u64,
    progress: Progress,
}

enum Message {
    /// the session is set up: the exporting connection is free
    Imported {
        tables: usize,
        rows: Option<u64>,
        transaction: u64,
    },
    /// the table that the next chunks are of
    Table(String),
    Chunk(Chunk),
    Done,
}

/// Whole frames of one table.
struct Chunk {
    stream: Arc<Stream>,
    bytes: Vec<u8>,
}

/// What reading brought.
pub enum Read {
    Rows,
    Nothing,
    Done,
}

// === impl Snapshot ===

impl Snapshot {
    /// Starts reading. Returns when the snapshot has been imported.
    pub fn begin(plan: Plan) -> Result<Snapshot, Error> {
        let (lsn, at_us) = (plan.lsn, now_us());
        let (send, chunks) = sync_channel(READ_AHEAD);
        let thread = std::thread::Builder::new().name("pg-snapshot".into()).spawn(move || {
            let end = read(plan, &send).map(|()| Message::Done);
            // nobody listens any more when the task has ended
            let _ = send.send(end);
        });
        thread.map_err(|e| Error::environment("task.thread", format!("a thread cannot be started: {e}")))?;
        let gone = || Error::retry("postgres.snapshot", "the snapshot's reader ended early");
        let (progress, transaction) = match chunks.recv().map_err(|_| gone())?? {
            Message::Imported { tables, rows, transaction } => {
                (Progress { tables, rows_total: rows, ..Default::default() }, transaction)
            }
            _ => return Err(gone()),
        };
        Ok(Snapshot { chunks, lsn, transaction, at_us, held: None, rows: 0, of_table: 0, progress })
    }

    /// Everything committed before is in it.
    pub fn lsn(&self) -> u64 {
        self.lsn
    }

    pub fn progress(&self) -> Progress {
        Progress { rows: self.rows, ..self.progress.clone() }
    }

    /// Fills the window with what comes within `wait`. One chunk is held back until it is known whether more rows follow, for
    /// its last row says so.
    pub fn read(&mut self, wait: Duration, window: &mut Window, now_ns: i64) -> Result<Read, Error> {
        match self.chunks.recv_timeout(wait) {
            Ok(message) => match message? {
                Message::Chunk(next) => {
                    let Some(held) = self.held.replace(next) else { return Ok(Read::Nothing) };
                    let same = self.held.as_ref().is_some_and(|next| next.stream.id == held.stream.id);
                    self.rows_of(held, if same { Mark::Middle } else { Mark::LastInTable }, window, now_ns)?;
                    Ok(Read::Rows)
                }
                Message::Table(name) => {
                    self.progress.tables_done += usize::from(!self.progress.table.is_empty());
                    self.progress.table = name;
                    Ok(Read::Nothing)
                }
                Message::Imported { .. } => Ok(Read::Nothing),
                Message::Done => {
                    if let Some(held) = self.held.take() {
                        self.rows_of(held, Mark::Last, window, now_ns)?;
                    }
                    self.progress.tables_done = self.progress.tables;
                    Ok(Read::Done)
                }
            },
            Err(RecvTimeoutError::Timeout) => Ok(Read::Nothing),
            Err(RecvTimeoutError::Disconnected) => {
                Err(Error::retry("postgres.snapshot", "the snapshot's reader ended early"))
            }
        }
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

#[cold]
fn broken() -> Error {
    Error::retry("postgres.protocol", "the server sent a copied row that is not of the binary format")
}

/// A row's cells; None: the trailer, or nothing but the header.
fn tuple(mut frame: &[u8], mut at: usize, width: usize, cells: &mut Vec<Cell>) -> Result<Option<u32>, Error> {
    const SIGNATURE: &[u8] = b"PGCOPY\n\xff\r\n\0";
    if let Some(rest) = frame.strip_prefix(SIGNATURE) {
        let extension = rest.get(4..8).and_then(|b| b.try_into().ok()).map(u32::from_be_bytes).ok_or_else(broken)?;
        let skip = SIGNATURE.len() + 8 + extension as usize;
        frame = frame.get(skip..).ok_or_else(broken)?;
        at += skip;
        if frame.is_empty() {
            return Ok(None);
        }
    }
    let count = frame.first_chunk::<2>().map(|b| i16::from_be_bytes(*b)).ok_or_else(broken)?;
    if count == -1 {
        return Ok(None);
    }
    if count as usize != width {
        return Err(broken());
    }
    let start = cells.len() as u32;
    let mut n = 2;
    for _ in 0..width {
        let len =
            frame.get(n..).and_then(|b| b.first_chunk::<4>()).map(|b| i32::from_be_bytes(*b)).ok_or_else(broken)?;
        n += 4;
        cells.push(match u32::try_from(len) {
            Err(_) => Cell::NULL,
            Ok(len) => {
                let cell = Cell { at: (at + n) as u32, len };
                n += len as usize;
                cell
            }
        });
    }
    if n > frame.len() {
        return Err(broken());
    }
    Ok(Some(start))
}

/// The reading thread.
fn read(plan: Plan, send: &SyncSender<Result<Message, Error>>) -> Result<(), Error> {
    let mut connection = Connection::connect(&plan.connect)?;
    connection.simple_query("BEGIN TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")?;
    connection.simple_query(&format!("SET TRANSACTION SNAPSHOT {}", catalogue::literal(&plan.snapshot)))?;
    let sql = "SELECT CASE WHEN pg_is_in_recovery() THEN 0 ELSE txid_current() END";
    let transaction =
        connection.simple_query(sql)?.first().and_then(|r| r.first()?.as_deref()?.parse().ok()).unwrap_or(0);
    let types = catalogue::Types::read(&mut connection)?;
    let mut tables = vec![];
    for (schema, table) in &plan.tables {
        tables.extend(catalogue::table(&mut connection, schema, table)?);
    }
    let rows = tables.iter().map(|t| t.rows).sum::<Option<u64>>();
    if send.send(Ok(Message::Imported { tables: tables.len(), rows, transaction })).is_err() {
        return Ok(());
    }
    for info in &tables {
        let (stream, columns) = plan.naming.snapshot(info, &types);
        let name = format!("{}.{}", info.schema, info.table);
        if columns.is_empty() {
            continue;
        }
        if send.send(Ok(Message::Table(name))).is_err() {
            return Ok(());
        }
        let sql = format!("COPY ({}) TO STDOUT (FORMAT binary)", select(&info.schema, &info.table, &columns));
        let mut copy = connection.copy_out(&sql).map_err(|e| unreadable(e, info, &plan.connect.user))?;
        let mut bytes = Vec::with_capacity(CHUNK_BYTES + (CHUNK_BYTES >> 2));
        let mut more = true;
        while more {
            more = copy.next(&mut bytes)?.is_some();
            if bytes.len() < CHUNK_BYTES && more {
                continue;
            }
            if !has_rows(&bytes)? {
                continue;
            }
            let full = std::mem::replace(&mut bytes, Vec::with_capacity(CHUNK_BYTES + (CHUNK_BYTES >> 2)));
            if send.send(Ok(Message::Chunk(Chunk { stream: stream.clone(), bytes: full }))).is_err() {
                return Ok(());
            }
        }
    }
    connection.simple_query("COMMIT").map(|_| ())
}

/// The server names the table without its schema.
fn unreadable(e: Error, info: &catalogue::TableInfo, user: &str) -> Error {
    if e.code() != "postgres.right-missing" || e.message().contains("for schema") {
        return e;
    }
    let table = format!("{}.{}", ident(&info.schema), ident(&info.table));
    Error::new(e.code(), e.cure(), e.message()).help(format!("GRANT SELECT ON TABLE {table} TO {}", ident(user)))
}

fn select(schema: &str, table: &str, columns: &[Mapping]) -> String {
    let column = |m: &Mapping| {
        let name = crate::server_error::quoted(&m.column.name);
        if m.as_text { format!("{name}::text") } else { name }
    };
    let list = columns.iter().map(column).collect::<Vec<_>>().join(", ");
    format!("SELECT {list} FROM ONLY {}", qualified(schema, table))
}

/// The header and the trailer alone are no rows: a chunk of them would hide which row was the last.
fn has_rows(bytes: &[u8]) -> Result<bool, Error> {
    let mut at = 0;
    while let Some((_, length)) = header(bytes.get(at..).unwrap_or_default())? {
        // two bytes of trailer, 19 of header, or both
        if !matches!(length - 5, 2 | 19 | 21) {
            return Ok(true);
        }
        let body = bytes.get(at + 5..at + length).unwrap_or_default();
        if length - 5 != 19 && !body.ends_with(&[0xFF, 0xFF]) {
            return Ok(true);
        }
        at += length;
    }
    Ok(false)
}
