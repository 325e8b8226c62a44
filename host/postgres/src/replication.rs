//! The stream of changes: CopyBoth on a blocking socket.
//!
//! A walsender makes one small send per row, and each one wakes a blocked reader, which costs both sides more than the row
//! itself. So under load the socket wakes us only when 64 KiB are there (`SO_RCVLOWAT`) or a receive timeout of 5 ms has
//! passed; when little comes, every byte wakes us at once. Bytes are handed on as they are: the caller parses them.

use std::borrow::BorrowMut;
use std::fmt::Write;
use std::time::{Duration, Instant, SystemTime};

use weir_api::Error;

use crate::connection::Connection;
use crate::frame::Walker;
use crate::server_error::{ident, quoted};

/// What a read waits for under load, in bytes, and how long at most.
const LOADED_WATERMARK: i32 = 64 * 1024;
const TURN: Duration = Duration::from_millis(5);
/// Load: so many bytes in a turn (3.2 MB/s). Less, and the delay of a turn would save nothing.
const LOADED_BYTES: usize = 16 * 1024;
/// How long the server has to end the stream in order.
const STOP_LIMIT: Duration = Duration::from_secs(10);
/// 2000-01-01, the server's epoch, in seconds after 1970-01-01.
const EPOCH: u64 = 946_684_800;

const COPY_DONE: [u8; 5] = [b'c', 0, 0, 0, 4];

/// When the watermark goes up.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum WatermarkPolicy {
    /// up under load, down when idle
    #[default]
    Adaptive,
    /// every byte wakes the reader (for comparison)
    Off,
}

/// A running stream of changes, on its own connection ([`Connection::into_replication`]) or a borrowed one
/// ([`Connection::start_replication`]). Reads and status reports come from one thread.
pub struct Replication<C: BorrowMut<Connection> = Connection> {
    connection: C,
    walker: Walker,
    policy: WatermarkPolicy,
    turn: Instant,
    /// bytes of this turn
    came: usize,
    /// the tag of the frame that ended the stream; it lies unread in the connection
    ended: Option<u8>,
}

impl Connection {
    /// `START_REPLICATION SLOT … LOGICAL lsn (option 'value', …)`. `lsn` 0: from where the slot is confirmed.
    ///
    /// # Errors
    /// `postgres.slot-in-use` (retry), `postgres.slot-missing`, `postgres.slot-lost`, `postgres.right-missing`,
    /// `postgres.wal-level`; `postgres.streamed` (retry) when this connection has streamed before. It stays usable. That a publication is missing shows only in the first read.
    pub fn start_replication(
        &mut self,
        slot: &str,
        lsn: u64,
        options: &[(&str, &str)],
    ) -> Result<Replication<&mut Connection>, Error> {
        self.begin_stream(&command(slot, lsn, options))?;
        Replication::new(self)
    }

    /// As [`Connection::start_replication`], for who wants to keep both in one place.
    pub fn into_replication(
        mut self,
        slot: &str,
        lsn: u64,
        options: &[(&str, &str)],
    ) -> Result<Replication<Connection>, Error> {
        self.begin_stream(&command(slot, lsn, options))?;
        Replication::new(self)
    }
}

// === impl Replication ===

impl<C: BorrowMut<Connection>> Replication<C> {
    fn new(mut connection: C) -> Result<Self, Error> {
        let c: &mut Connection = connection.borrow_mut();
        c.block_for(Some(TURN))?;
        let policy = WatermarkPolicy::default();
        Ok(Replication { connection, walker: Walker::default(), policy, turn: Instant::now(), came: 0, ended: None })
    }

    pub fn set_watermark_policy(&mut self, policy: WatermarkPolicy) {
        self.policy = policy;
    }

    /// Appends what comes to `into`, and says how many bytes that are; 0 when nothing came for `wait` (or, if that is longer,
    /// for 5 ms). Frames are `d`, length, body (XLogData `w`, keepalive `k`), now and then `N` or `S`, which are to be skipped;
    /// the last one may be incomplete: keep it in front of the next read.
    ///
    /// # Errors
    /// After all data before it: `postgres.connection-lost`, `postgres.shutting-down` (both retry), or what else the server
    /// says, `postgres.publication-missing` for one.
    pub fn read(&mut self, into: &mut Vec<u8>, wait: Duration) -> Result<usize, Error> {
        let read = self.pull(into, wait)?;
        match self.ended {
            Some(tag) if read == 0 => Err(ended(self.connection.borrow_mut(), tag)),
            _ => Ok(read),
        }
    }

    /// Appends what lies ready, without waiting; 0: nothing does. Under load one read brings a socket's buffer, and a window
    /// takes several.
    pub fn read_more(&mut self, into: &mut Vec<u8>) -> Result<usize, Error> {
        let connection = self.connection.borrow_mut();
        let ready = connection.stream.wait_readable(Duration::ZERO);
        match connection.check(ready.map(|r| r.then_some(1)))? {
            Some(_) => self.read(into, Duration::ZERO),
            None => Ok(0),
        }
    }

    /// As [`Replication::read`], but the end of the stream is only noted.
    fn pull(&mut self, into: &mut Vec<u8>, wait: Duration) -> Result<usize, Error> {
        if self.ended.is_some() {
            return Ok(0);
        }
        let start = into.len();
        let connection = self.connection.borrow_mut();
        connection.take_incoming(into);
        if into.len() == start {
            let began = Instant::now();
            let mut read = connection.stream.read_into(into);
            if let Ok(None) = read {
                // Idle: no more turns, the first byte wakes us.
                self.came = 0;
                let left = wait.saturating_sub(began.elapsed());
                let ready = connection.stream.set_watermark(1).and_then(|()| connection.stream.wait_readable(left));
                read = ready.and_then(|ready| if ready { connection.stream.read_into(into) } else { Ok(None) });
            }
            match connection.check(read)? {
                Some(read) => self.adapt(read)?,
                None => return Ok(0),
            }
        }
        let fresh = into.get(start..).unwrap_or_default();
        let Some(end) = self.walker.walk(fresh)? else { return Ok(fresh.len()) };
        let rest = fresh.get(end..).unwrap_or_default();
        self.ended = rest.first().copied();
        self.connection.borrow_mut().give_back(rest);
        into.truncate(start + end);
        Ok(end)
    }

    /// Sets the watermark by what came in this turn.
    fn adapt(&mut self, read: usize) -> Result<(), Error> {
        let connection = self.connection.borrow_mut();
        let loaded = if connection.stream.watermark() > 1 {
            // Fewer bytes than the watermark: the turn is over.
            read >= LOADED_BYTES
        } else {
            let now = Instant::now();
            if now.duration_since(self.turn) > TURN {
                self.turn = now;
                self.came = 0;
            }
            self.came += read;
            self.came >= LOADED_BYTES
        };
        let mark = if loaded && self.policy == WatermarkPolicy::Adaptive { LOADED_WATERMARK } else { 1 };
        connection.stream.set_watermark(mark).map_err(|error| connection.lost(&error))
    }

    /// Reports how far we are (a standby status update). Positions are the byte *after* the last one that is done; the
    /// server may forget what lies before `flushed`. With `reply` it answers by a keepalive at once.
    pub fn send_status(&mut self, written: u64, flushed: u64, applied: u64, reply: bool) -> Result<(), Error> {
        let since_1970 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let micros = since_1970.saturating_sub(Duration::from_secs(EPOCH)).as_micros() as u64;
        let mut frame = [0u8; 39];
        let mut rest = frame.as_mut_slice();
        for part in [
            &[b'd', 0, 0, 0, 38, b'r'][..],
            &written.to_be_bytes(),
            &flushed.to_be_bytes(),
            &applied.to_be_bytes(),
            &micros.to_be_bytes(),
            &[reply.into()],
        ] {
            let (here, after) = rest.split_at_mut_checked(part.len()).unwrap_or_default();
            here.copy_from_slice(part);
            rest = after;
        }
        self.connection.borrow_mut().send(&frame)
    }

    /// Ends the stream in order; what was still on its way is thrown away. The connection is usable
    /// again, but for a second stream.
    ///
    /// # Errors
    /// `postgres.connection-lost` (retry) when the server does not end it in 10 s: it may be decoding a big transaction.
    pub fn stop(mut self) -> Result<C, Error> {
        let connection = self.connection.borrow_mut();
        connection.send(&COPY_DONE)?;
        let deadline = Instant::now() + STOP_LIMIT;
        let mut thrown = Vec::new();
        while self.ended.is_none() {
            if Instant::now() > deadline {
                let late = std::io::Error::new(std::io::ErrorKind::TimedOut, "the stream did not end in time");
                return Err(self.connection.borrow_mut().lost(&late));
            }
            thrown.clear();
            self.pull(&mut thrown, TURN)?;
        }
        self.connection.borrow_mut().end_stream(STOP_LIMIT)?;
        Ok(self.connection)
    }
}

/// What ended the stream.
fn ended(connection: &mut Connection, tag: u8) -> Error {
    // CopyDone is answered by CopyDone. If the server is gone already, the next read says so.
    if tag == b'c' {
        let _ = connection.send(&COPY_DONE);
    }
    match connection.end_stream(STOP_LIMIT) {
        Err(error) => error,
        Ok(()) => connection.shut_down(),
    }
}

fn command(slot: &str, lsn: u64, options: &[(&str, &str)]) -> String {
    let mut sql = format!("START_REPLICATION SLOT {} LOGICAL {:X}/{:X}", quoted(slot), lsn >> 32, lsn & 0xffff_ffff);
    for (i, (name, value)) in options.iter().enumerate() {
        let before = if i == 0 { " (" } else { ", " };
        // Writing to a string cannot fail.
        let _ = write!(sql, "{before}{} '{}'", ident(name), value.replace('\'', "''"));
    }
    if !options.is_empty() {
        sql.push(')');
    }
    sql
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_quoted() {
        let options = [("proto_version", "1"), ("publication_names", "\"it's\"")];
        assert_eq!(
            command("My slot", 0x1_0000_00FF, &options),
            "START_REPLICATION SLOT \"My slot\" LOGICAL 1/FF (proto_version '1', publication_names '\"it''s\"')"
        );
        assert_eq!(command("s", 0, &[]), "START_REPLICATION SLOT \"s\" LOGICAL 0/0");
    }
}
