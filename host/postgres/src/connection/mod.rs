//! One session with a server: connecting, simple queries, and the ways into COPY and replication.
//!
//! A client of our own, and a blocking one: no library offers CopyBoth, and the receive tricks of [`crate::replication`]
//! need plain blocking reads.

use std::collections::BTreeMap;
use std::io;
use std::ops::Range;
use std::time::{Duration, Instant};

use weir_api::Error;

mod start;

use crate::answer::{self, copied, parameter, row};
use crate::copy::CopyOut;
use crate::frame::{self, HEADER, broken};
use crate::server_error::{Peer, ServerError};
use crate::socket::{Stream, reason};

/// Rows of a simple query, every value as text.
pub type Rows = Vec<Vec<Option<String>>>;

/// A session. Everything blocks; one thread owns it.
pub struct Connection {
    pub(crate) stream: Stream,
    pub(crate) peer: Peer,
    /// bytes from the server that were not looked at yet, from `read`
    incoming: Vec<u8>,
    read: usize,
    /// until when the server must have answered, while it must
    deadline: Option<Instant>,
    /// the server let us in
    started: bool,
    /// in the middle of something that nobody will finish
    spoilt: bool,
    /// has been a stream of changes once
    streamed: bool,
    parameters: BTreeMap<String, String>,
    backend: u32,
}

/// A frame in `incoming`.
struct Received {
    tag: u8,
    body: Range<usize>,
}

// === impl Connection ===

impl Connection {
    /// What the server reported at the start or since: `server_version`, `in_hot_standby`, …
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.get(name).map(String::as_str)
    }

    /// The number before the first dot of the server's version: 15.
    pub fn major_version(&self) -> u32 {
        let version = self.parameter("server_version").unwrap_or_default();
        version.split(|c: char| !c.is_ascii_digit()).next().and_then(|digits| digits.parse().ok()).unwrap_or(0)
    }

    /// The process of this session, as in `pg_stat_activity.pid`.
    pub fn backend(&self) -> u32 {
        self.backend
    }

    pub fn is_tls(&self) -> bool {
        self.stream.tls().is_some()
    }

    /// Runs SQL or replication commands; the rows of all of them.
    ///
    /// # Errors
    /// The server's refusal by its code (the session stays usable), or `postgres.connection-lost` (retry).
    pub fn simple_query(&mut self, sql: &str) -> Result<Rows, Error> {
        self.query(sql)?;
        let mut rows = Rows::new();
        let mut refusal = None;
        loop {
            let frame = self.receive()?;
            let body = self.incoming.get(frame.body).unwrap_or_default();
            match frame.tag {
                b'D' => rows.push(row(body)?),
                b'T' | b'C' | b'I' => {}
                b'E' if refusal.is_none() => refusal = Some(ServerError::parse(body).into_error(&self.peer)),
                b'E' => {}
                b'Z' => break,
                tag => return Err(self.unexpected(tag)),
            }
        }
        refusal.map_or(Ok(rows), Err)
    }

    /// The names of the columns that a query has.
    ///
    /// # Errors
    /// As [`Connection::simple_query`].
    pub fn column_names(&mut self, sql: &str) -> Result<Vec<String>, Error> {
        self.query(sql)?;
        let (mut names, mut refusal) = (vec![], None);
        loop {
            let frame = self.receive()?;
            let body = self.incoming.get(frame.body).unwrap_or_default();
            match frame.tag {
                b'T' => names = answer::column_names(body)?,
                b'E' if refusal.is_none() => refusal = Some(ServerError::parse(body).into_error(&self.peer)),
                b'Z' => break,
                _ => {}
            }
        }
        refusal.map_or(Ok(names), Err)
    }

    /// Starts `COPY … TO STDOUT`.
    pub fn copy_out(&mut self, sql: &str) -> Result<CopyOut<'_>, Error> {
        self.begin(sql, b'H')?;
        Ok(CopyOut::new(self))
    }

    /// Sends a command that must be answered by a frame of `tag`; a refusal leaves the session usable.
    pub(crate) fn begin(&mut self, sql: &str, tag: u8) -> Result<(), Error> {
        self.query(sql)?;
        let frame = self.receive()?;
        let body = self.incoming.get(frame.body).unwrap_or_default();
        match frame.tag {
            b'E' => {
                let error = ServerError::parse(body).into_error(&self.peer);
                self.receive_until_ready()?;
                Err(error)
            }
            found if found == tag => Ok(()),
            found => Err(self.unexpected(found)),
        }
    }

    /// As [`Connection::begin`], once: up to at least version 15 a walsender that has ended one logical stream takes the
    /// next one for ended, too.
    pub(crate) fn begin_stream(&mut self, sql: &str) -> Result<(), Error> {
        if self.streamed {
            return Err(Error::retry(
                "postgres.streamed",
                "this connection has streamed before, and servers do it once",
            )
            .help("connect again"));
        }
        self.begin(sql, b'W')?;
        self.streamed = true;
        // Until the stream is stopped in order, nothing else can be asked.
        self.spoilt = true;
        Ok(())
    }

    fn query(&mut self, sql: &str) -> Result<(), Error> {
        if self.spoilt {
            return Err(Error::retry("postgres.connection-lost", "the connection is in the middle of something else"));
        }
        let (mut body, mut out) = (Vec::with_capacity(sql.len() + 1), Vec::with_capacity(sql.len() + 6));
        frame::push_text(&mut body, sql);
        frame::push(&mut out, b'Q', &body);
        self.send(&out)
    }

    // --- below: for COPY and replication, too ---

    pub(crate) fn send(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.stream.write_all(bytes).map_err(|error| self.lost(&error))
    }

    /// Skips frames up to ReadyForQuery; the first refusal among them is the result.
    pub(crate) fn receive_until_ready(&mut self) -> Result<(), Error> {
        let mut refusal = None;
        loop {
            let frame = self.receive()?;
            let body = self.incoming.get(frame.body).unwrap_or_default();
            match frame.tag {
                b'E' if refusal.is_none() => refusal = Some(ServerError::parse(body).into_error(&self.peer)),
                b'Z' => return refusal.map_or(Ok(()), Err),
                _ => {}
            }
        }
    }

    /// The end of a COPY: CopyDone, CommandComplete, ReadyForQuery. How many rows the server counted.
    pub(crate) fn receive_copied(&mut self) -> Result<Option<u64>, Error> {
        let mut rows = None;
        loop {
            let frame = self.receive()?;
            let body = self.incoming.get(frame.body).unwrap_or_default();
            match frame.tag {
                b'c' => {}
                b'C' => rows = std::str::from_utf8(body).ok().and_then(copied),
                b'Z' => return Ok(rows),
                b'E' => {
                    let error = ServerError::parse(body).into_error(&self.peer);
                    self.receive_until_ready()?;
                    return Err(error);
                }
                tag => return Err(self.unexpected(tag)),
            }
        }
    }

    /// The end of a stream, whoever wanted it: reads up to ReadyForQuery, after which the session is usable again. The
    /// server's refusal comes first, even when it hangs up behind it.
    pub(crate) fn end_stream(&mut self, limit: Duration) -> Result<(), Error> {
        self.stream.set_watermark(1).map_err(|error| self.lost(&error))?;
        self.deadline = Some(Instant::now() + limit);
        let (mut refusal, mut complete) = (None, false);
        loop {
            let frame = match self.receive() {
                Ok(frame) => frame,
                // A walsender that shuts down has sent all it had, says so, and goes.
                Err(_) if complete && refusal.is_none() => return Err(self.shut_down()),
                Err(lost) => return Err(refusal.unwrap_or(lost)),
            };
            let body = self.incoming.get(frame.body).unwrap_or_default();
            match frame.tag {
                b'E' if refusal.is_none() => refusal = Some(ServerError::parse(body).into_error(&self.peer)),
                b'C' => complete = true,
                b'Z' => break,
                _ => {}
            }
        }
        self.deadline = None;
        self.block_for(None)?;
        self.spoilt = false;
        refusal.map_or(Ok(()), Err)
    }

    pub(crate) fn shut_down(&self) -> Error {
        Error::retry("postgres.shutting-down", format!("{} ended the stream: it is shutting down", self.peer.address))
    }

    /// The next frame that is not merely told by the way (notices, changed settings, notifications).
    fn receive(&mut self) -> Result<Received, Error> {
        loop {
            let rest = self.incoming.get(self.read..).unwrap_or_default();
            let Some((tag, length)) = frame::header(rest)? else {
                self.fill()?;
                continue;
            };
            if rest.len() < length {
                self.fill()?;
                continue;
            }
            let body = self.read + HEADER..self.read + length;
            self.read += length;
            match tag {
                b'S' => {
                    let body = self.incoming.get(body).unwrap_or_default();
                    self.parameters.extend(parameter(body));
                }
                b'N' | b'A' => {}
                _ => return Ok(Received { tag, body }),
            }
        }
    }

    fn fill(&mut self) -> Result<(), Error> {
        self.incoming.drain(..self.read);
        self.read = 0;
        if let Some(deadline) = self.deadline {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(self.lost(&io::Error::new(io::ErrorKind::TimedOut, "no answer in time")));
            }
            self.block_for(Some(left))?;
        }
        let read = self.stream.read_into(&mut self.incoming);
        self.check(read).map(|_| ())
    }

    /// Whether a read brought something: `None` on a receive timeout, an error at the stream's end.
    pub(crate) fn check(&mut self, read: io::Result<Option<usize>>) -> Result<Option<usize>, Error> {
        match read {
            Ok(Some(0)) => Err(self.lost(&io::Error::new(io::ErrorKind::UnexpectedEof, "the server closed it"))),
            Ok(read) => Ok(read),
            Err(error) => Err(self.lost(&error)),
        }
    }

    /// How long reads block from now on.
    pub(crate) fn block_for(&mut self, timeout: Option<Duration>) -> Result<(), Error> {
        self.stream.set_timeout(timeout).map_err(|error| self.lost(&error))
    }

    /// Hands over what was received but not looked at.
    pub(crate) fn take_incoming(&mut self, into: &mut Vec<u8>) {
        into.extend_from_slice(self.incoming.get(self.read..).unwrap_or_default());
        self.incoming.clear();
        self.read = 0;
    }

    /// Gives back what was received beyond what its taker wanted; nothing may be left here.
    pub(crate) fn give_back(&mut self, bytes: &[u8]) {
        self.incoming.extend_from_slice(bytes);
    }

    pub(crate) fn spoil(&mut self) {
        self.spoilt = true;
    }

    pub(crate) fn lost(&mut self, error: &io::Error) -> Error {
        self.spoilt = true;
        let (code, what) = if self.started {
            ("postgres.connection-lost", "lost the connection to")
        } else {
            ("postgres.connect", "cannot connect to")
        };
        Error::retry(code, format!("{what} {}: {}", self.peer.address, reason(error)))
    }

    fn unexpected(&mut self, tag: u8) -> Error {
        self.spoilt = true;
        broken(&format!("a frame '{}' that does not belong here", tag.escape_ascii()))
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        if !self.spoilt {
            // Good-bye: the server does not log a lost connection.
            let _ = self.stream.write_all(&[b'X', 0, 0, 0, 4]);
        }
    }
}
