//! The sessions that read: each in a thread of its own, so that the server is never kept waiting for a writer. They take parts in
//! turn, and the parts are handed over in their order; what is read ahead is bounded.

use super::copied::has_rows;
use super::part::{Part, Table};
use crate::Connection;
use crate::catalogue::{self, Types, qualified};
use crate::server_error::{ident, quoted};
use crate::table::Naming;
use crate::type_table::Mapping;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use weir_api::Error;

/// Chunks of a part read ahead, each of about [`CHUNK_BYTES`].
const READ_AHEAD: usize = 4;
const CHUNK_BYTES: usize = 1 << 20;

/// A chunk of whole frames; None: the part's end.
type Bytes = Result<Option<Vec<u8>>, Error>;
/// A part's chunks.
pub type Chunks = Receiver<Bytes>;

/// What all sessions share.
pub struct Work {
    pub parts: Vec<Part>,
    pub naming: Naming,
    pub types: Arc<Types>,
    pub user: String,
}

/// Parts in their order, each handed out with the channel that its reader fills.
struct Queue {
    next: usize,
    out: SyncSender<Chunks>,
}

/// A session and the table that it reads.
struct Reader {
    connection: Connection,
    work: Arc<Work>,
    /// of its last part
    columns: Option<(Arc<Table>, Vec<Mapping>)>,
}

/// Starts a thread for each session. What comes out are the parts in their order.
pub fn start(sessions: Vec<Connection>, work: Work) -> Result<Receiver<Chunks>, Error> {
    let (out, parts) = sync_channel(sessions.len());
    let (work, queue) = (Arc::new(work), Arc::new(Mutex::new(Queue { next: 0, out })));
    for connection in sessions {
        let (reader, queue) = (Reader { connection, work: work.clone(), columns: None }, queue.clone());
        let thread = std::thread::Builder::new().name("pg-snapshot".into()).spawn(move || reader.run(&queue));
        thread.map_err(|e| Error::no_thread(&e))?;
    }
    Ok(parts)
}

/// What comes within `wait`. Err: the thread that it would come from is gone, and not in order.
pub fn next<T>(from: &Receiver<T>, wait: Duration) -> Result<Option<T>, Error> {
    match from.recv_timeout(wait) {
        Ok(next) => Ok(Some(next)),
        Err(RecvTimeoutError::Timeout) => Ok(None),
        Err(RecvTimeoutError::Disconnected) => {
            Err(Error::retry("postgres.snapshot", "the snapshot's reader ended early"))
        }
    }
}

// === impl Queue ===

impl Queue {
    /// The next part, and where its chunks go; None: there is none, or nobody listens any more. Whoever takes a part waits with the
    /// queue in hand until there is room for it.
    fn take(&mut self, work: &Work) -> Option<(Part, SyncSender<Bytes>)> {
        let part = work.parts.get(self.next)?.clone();
        let (send, chunks) = sync_channel(READ_AHEAD);
        self.out.send(chunks).ok()?;
        self.next += 1;
        Some((part, send))
    }
}

// === impl Reader ===

impl Reader {
    fn run(mut self, queue: &Mutex<Queue>) {
        loop {
            let taken = queue.lock().unwrap_or_else(PoisonError::into_inner).take(&self.work);
            let Some((part, send)) = taken else { return };
            let end = self.read(&part, &send).map(|()| None);
            let failed = end.is_err();
            // nobody listens any more when the task has ended
            if send.send(end).is_err() || failed {
                return;
            }
        }
    }

    fn read(&mut self, part: &Part, send: &SyncSender<Bytes>) -> Result<(), Error> {
        let select = match self.columns(&part.table)? {
            [] => return Ok(()),
            columns => select(part, columns),
        };
        let select = match &part.table.statement {
            Some(statement) => self.own(statement, part)?,
            None => select,
        };
        let sql = format!("COPY ({select}) TO STDOUT (FORMAT binary)");
        let mut copy = self.connection.copy_out(&sql).map_err(|e| unreadable(e, part, &self.work.user))?;
        let mut bytes = Vec::with_capacity(CHUNK_BYTES + (CHUNK_BYTES >> 2));
        let mut more = true;
        while more {
            more = copy.next(&mut bytes)?.is_some();
            if (bytes.len() < CHUNK_BYTES && more) || !has_rows(&bytes)? {
                continue;
            }
            let full = std::mem::replace(&mut bytes, Vec::with_capacity(CHUNK_BYTES + (CHUNK_BYTES >> 2)));
            if send.send(Ok(Some(full))).is_err() {
                return Ok(());
            }
        }
        Ok(())
    }

    /// The columns of a table, which is held from its first part on: what writes it anew would leave this snapshot an empty table.
    fn columns(&mut self, table: &Arc<Table>) -> Result<&[Mapping], Error> {
        if self.columns.as_ref().is_none_or(|(known, _)| !Arc::ptr_eq(known, table)) {
            if let Some(heap) = table.heap {
                let name = qualified(&table.info.schema, &table.info.table);
                let lock = self.connection.simple_query(&format!("LOCK TABLE ONLY {name} IN ACCESS SHARE MODE"));
                lock.map_err(|e| unreadable_table(e, table, &self.work.user))?;
                if catalogue::file(&mut self.connection, table.info.oid)? != heap.file {
                    return Err(rewritten(table));
                }
            }
            let (_, columns) = self.work.naming.snapshot(&table.info, &self.work.types);
            self.columns = Some((table.clone(), columns));
        }
        Ok(self.columns.as_ref().map_or(&[], |(_, columns)| columns))
    }

    /// The user's own statement, its columns in the table's order; those that it does not select are null.
    fn own(&mut self, statement: &str, part: &Part) -> Result<String, Error> {
        let statement = statement.trim().trim_end_matches(';');
        let found = self.connection.column_names(&format!("SELECT * FROM ({statement}) AS t LIMIT 0"));
        let found = found.map_err(|e| wrong_statement(e, &part.table))?;
        let column = |m: &Mapping| match found.iter().any(|name| *name == *m.column.name) {
            true => column(m),
            false => "NULL".into(),
        };
        let columns = self.columns.as_ref().map_or(&[][..], |(_, columns)| columns);
        let list = columns.iter().map(column).collect::<Vec<_>>().join(", ");
        Ok(format!("SELECT {list} FROM ({statement}) AS t"))
    }
}

fn column(m: &Mapping) -> String {
    let name = quoted(&m.column.name);
    if m.as_text { format!("{name}::text") } else { name }
}

fn select(part: &Part, columns: &[Mapping]) -> String {
    let list = columns.iter().map(column).collect::<Vec<_>>().join(", ");
    let from = qualified(&part.table.info.schema, &part.table.info.table);
    match part.blocks {
        Some(blocks) => format!("SELECT {list} FROM ONLY {from} WHERE {}", blocks.condition()),
        None => format!("SELECT {list} FROM ONLY {from}"),
    }
}

fn unreadable(e: Error, part: &Part, user: &str) -> Error {
    match &part.table.statement {
        Some(_) => wrong_statement(e, &part.table),
        None => unreadable_table(e, &part.table, user),
    }
}

/// The server names the table without its schema.
fn unreadable_table(e: Error, table: &Table, user: &str) -> Error {
    if e.code() != "postgres.right-missing" || e.message().contains("for schema") {
        return e;
    }
    let table = qualified_plainly(table);
    Error::new(e.code(), e.cure(), e.message()).help(format!("GRANT SELECT ON TABLE {table} TO {}", ident(user)))
}

fn qualified_plainly(table: &Table) -> String {
    format!("{}.{}", ident(&table.info.schema), ident(&table.info.table))
}

fn wrong_statement(e: Error, table: &Table) -> Error {
    let message = format!("the statement that selects the rows of `{}` fails: {}", table.name(), e.message());
    let help = format!("see `snapshot.select.statement.overrides.{}`", table.name());
    Error::new(e.code(), e.cure(), message).help(help)
}

fn rewritten(table: &Table) -> Error {
    let message = format!("the table `{}` was written anew before the snapshot came to it", table.name());
    Error::retry("postgres.table-rewritten", message)
        .help("nothing is lost: a later snapshot goes on with it; `snapshot.locking.mode` = shared keeps TRUNCATE and such waiting")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_that_is_gone_is_no_end() {
        let (send, chunks) = sync_channel::<Bytes>(1);
        assert!(next(&chunks, Duration::ZERO).unwrap().is_none());
        send.send(Ok(None)).unwrap();
        assert!(matches!(next(&chunks, Duration::ZERO), Ok(Some(Ok(None)))));
        drop(send);
        let e = next(&chunks, Duration::ZERO).unwrap_err();
        assert!(e.code() == "postgres.snapshot" && e.is_retriable(), "{e}");
    }
}
