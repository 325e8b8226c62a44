//! `COPY … TO STDOUT`: rows in bulk, as the frames they came in.

use weir_api::Error;

use crate::connection::Connection;
use crate::frame::{self, HEADER};
use crate::server_error::ServerError;

/// A running COPY. Dropped before its end, it spoils the connection.
pub struct CopyOut<'a> {
    connection: &'a mut Connection,
    done: bool,
    rows: Option<u64>,
}

/// Where the whole data frames end, and what comes there.
enum Sifted {
    /// the beginning of a frame, or nothing
    More(usize),
    Done(usize),
}

// === impl CopyOut ===

impl<'a> CopyOut<'a> {
    pub(crate) fn new(connection: &'a mut Connection) -> Self {
        CopyOut { connection, done: false, rows: None }
    }

    /// Appends whole CopyData frames (`d`, length, body) to `buffer`, as many as one read brings, and says how many bytes
    /// that are; `None` at the end of the COPY. Walk them with [`crate::Frames`]: the server makes one frame of each row
    /// (the first one of a binary COPY begins with the 19 bytes of its header, the last one is its two-byte trailer).
    ///
    /// # Errors
    /// The server's refusal by its code (the connection stays usable), or `postgres.connection-lost` (retry).
    pub fn next(&mut self, buffer: &mut Vec<u8>) -> Result<Option<usize>, Error> {
        if self.done {
            return Ok(None);
        }
        let base = buffer.len();
        let mut from = base;
        self.connection.take_incoming(buffer);
        loop {
            match self.sift(buffer, from)? {
                Sifted::Done(end) => {
                    self.keep(buffer, end);
                    self.finish()?;
                    return Ok((end > base).then_some(end - base));
                }
                Sifted::More(end) if end > base => {
                    self.keep(buffer, end);
                    return Ok(Some(end - base));
                }
                Sifted::More(end) => from = end,
            }
            let read = self.connection.stream.read_into(buffer);
            self.connection.check(read)?;
        }
    }

    /// How many rows the server says it sent, once `next` has said `None`.
    pub fn rows(&self) -> Option<u64> {
        self.rows
    }

    /// Walks over whole frames from `at`, and takes out those that are told by the way.
    fn sift(&mut self, buffer: &mut Vec<u8>, mut at: usize) -> Result<Sifted, Error> {
        while let Some((tag, length)) = frame::header(buffer.get(at..).unwrap_or_default())? {
            if buffer.len() - at < length {
                break;
            }
            match tag {
                b'd' => at += length,
                b'c' => return Ok(Sifted::Done(at)),
                b'N' | b'S' | b'A' => drop(buffer.drain(at..at + length)),
                b'E' => {
                    let body = buffer.get(at + HEADER..at + length).unwrap_or_default();
                    let error = ServerError::parse(body).into_error(&self.connection.peer);
                    self.keep(buffer, at + length);
                    self.done = true;
                    self.connection.receive_until_ready()?;
                    return Err(error);
                }
                tag => {
                    self.connection.spoil();
                    return Err(frame::broken(&format!("a frame '{}' inside a COPY", tag.escape_ascii())));
                }
            }
        }
        Ok(Sifted::More(at))
    }

    /// Leaves what lies behind `end` for the next one who reads.
    fn keep(&mut self, buffer: &mut Vec<u8>, end: usize) {
        self.connection.give_back(buffer.get(end..).unwrap_or_default());
        buffer.truncate(end);
    }

    /// CopyDone, CommandComplete, ReadyForQuery.
    fn finish(&mut self) -> Result<(), Error> {
        self.done = true;
        self.rows = self.connection.receive_copied()?;
        Ok(())
    }
}

impl Drop for CopyOut<'_> {
    fn drop(&mut self) {
        if !self.done {
            self.connection.spoil();
        }
    }
}
