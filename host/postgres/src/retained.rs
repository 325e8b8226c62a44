//! How much of its log the server keeps for our slot, asked for now and then in a session and a thread of their own: during a snapshot,
//! behind a slow sink, and while the stream waits for the server, it is what fills the server's disk. What is published is looked at
//! with it.

use crate::catalogue::literal;
use crate::{ConnectOptions, Connection, publication};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::time::Duration;
use tracing::{debug, info, warn};
use weir_api::Error;

const INTERVAL: Duration = Duration::from_secs(10);
/// What is not known yet.
const UNKNOWN: u64 = u64::MAX;

/// Asks until it is dropped.
pub struct Retained {
    bytes: Arc<AtomicU64>,
    _stop: Sender<()>,
}

/// What the server says of the slot.
struct Said {
    bytes: u64,
    /// `wal_status`: unreserved is on the way to lost
    status: String,
}

/// Whether people were told.
struct Alarm {
    slot: String,
    /// bytes; 0: nobody is told
    threshold: u64,
    is_up: bool,
    status: String,
}

// === impl Retained ===

impl Retained {
    /// `threshold`: bytes beyond which a line in the log says so; 0: never.
    pub fn watch(
        connect: ConnectOptions,
        slot: &str,
        threshold: u64,
        published: publication::Watched,
    ) -> Result<Retained, Error> {
        Retained::every(INTERVAL, connect, slot, threshold, published)
    }

    fn every(
        interval: Duration,
        connect: ConnectOptions,
        slot: &str,
        threshold: u64,
        mut published: publication::Watched,
    ) -> Result<Retained, Error> {
        let (bytes, (stop, stopped)) = (Arc::new(AtomicU64::new(UNKNOWN)), channel::<()>());
        let (theirs, slot) = (bytes.clone(), slot.to_owned());
        let mut alarm = Alarm { slot, threshold, is_up: false, status: String::new() };
        let run = move || {
            let mut session = None;
            loop {
                match ask(&mut session, &connect, &alarm.slot) {
                    Ok(Some(said)) => {
                        theirs.store(said.bytes, Relaxed);
                        alarm.hear(&said);
                    }
                    Ok(None) => theirs.store(UNKNOWN, Relaxed),
                    // the pipeline's own session hears of it, and says so
                    Err(e) => {
                        debug!(slot = alarm.slot, code = e.code(), "the slot cannot be asked for: {e}");
                        (session, ()) = (None, theirs.store(UNKNOWN, Relaxed));
                    }
                }
                if let Some(connection) = &mut session
                    && let Err(e) = published.look(connection)
                {
                    debug!(slot = alarm.slot, code = e.code(), "the publication cannot be asked for: {e}");
                    session = None;
                }
                if stopped.recv_timeout(interval) != Err(RecvTimeoutError::Timeout) {
                    return;
                }
            }
        };
        let thread = std::thread::Builder::new().name("pg-slot".into()).spawn(run);
        thread.map_err(|e| Error::no_thread(&e))?;
        Ok(Retained { bytes, _stop: stop })
    }

    /// None: it is not known.
    pub fn bytes(&self) -> Option<u64> {
        Some(self.bytes.load(Relaxed)).filter(|n| *n != UNKNOWN)
    }
}

// === impl Alarm ===

impl Alarm {
    fn hear(&mut self, said: &Said) {
        let (slot, bytes, threshold) = (&self.slot, said.bytes, self.threshold);
        let is_up = threshold > 0 && bytes > threshold;
        match (self.is_up, is_up) {
            (false, true) => warn!(
                slot,
                bytes,
                threshold,
                code = "postgres.wal-retained",
                "the server keeps more of its log for the slot than `slot.wal.alert.bytes`: the pipeline is behind, or stands still"
            ),
            (true, false) => info!(slot, bytes, "the server keeps little of its log for the slot again"),
            _ => {}
        }
        if said.status == "unreserved" && self.status != said.status {
            let code = "postgres.wal-retained";
            warn!(
                slot,
                bytes,
                code,
                "the server will drop log that the slot needs at its next checkpoint: raise max_slot_wal_keep_size"
            )
        }
        (self.is_up, self.status) = (is_up, said.status.clone());
    }
}

/// None: there is no such slot.
fn ask(session: &mut Option<Connection>, connect: &ConnectOptions, slot: &str) -> Result<Option<Said>, Error> {
    let connection = match session {
        Some(connection) => connection,
        None => session.insert(Connection::connect(connect)?),
    };
    let sql = format!(
        "SELECT pg_wal_lsn_diff(CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END, restart_lsn), \
         wal_status FROM pg_replication_slots WHERE slot_name = {}",
        literal(slot)
    );
    let rows = connection.simple_query(&sql)?;
    let text = |i: usize| rows.first()?.get(i)?.as_deref();
    Ok(text(0).map(|n| Said { bytes: n.parse().unwrap_or(0), status: text(1).unwrap_or_default().into() }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;
    use weir_testkit::Postgres;

    #[test]
    fn what_a_slot_holds_back_is_known_while_it_is_there() {
        let server = Postgres::shared().unwrap();
        let database = server.database().unwrap();
        let sql = |text: &str| drop(server.sql_in(&database, text).unwrap());
        sql(&format!("SELECT pg_create_logical_replication_slot('{database}', 'pgoutput')"));
        let connect = ConnectOptions {
            host: server.host().into(),
            port: server.port(),
            user: server.user().into(),
            password: server.password().map(String::from),
            database: database.clone(),
            ..ConnectOptions::default()
        };
        let retained = {
            let published = publication::Watched::new(&database, &Default::default());
            Retained::every(Duration::from_millis(10), connect, &database, 1, published)
        }
        .unwrap();
        let until = |what: &str, done: &dyn Fn(Option<u64>) -> bool| {
            let deadline = Instant::now() + Duration::from_secs(30);
            while !done(retained.bytes()) {
                assert!(Instant::now() < deadline, "{what}: {:?}", retained.bytes());
                std::thread::yield_now();
            }
        };
        sql("CREATE TABLE t AS SELECT repeat('x', 1000) FROM generate_series(1, 2000)");
        until("two megabytes", &|bytes| bytes.is_some_and(|n| n > 2_000_000));
        sql(&format!("SELECT pg_drop_replication_slot('{database}')"));
        until("no slot", &|bytes| bytes.is_none());
    }

    #[test]
    fn people_are_told_once() {
        let mut alarm = Alarm { slot: "s".into(), threshold: 10, is_up: false, status: String::new() };
        let mut hear = |bytes| {
            alarm.hear(&Said { bytes, status: "reserved".into() });
            alarm.is_up
        };
        assert_eq!([5, 11, 12, 10, 11].map(&mut hear), [false, true, true, false, true]);
        alarm.threshold = 0;
        alarm.hear(&Said { bytes: 99, status: "unreserved".into() });
        assert_eq!((alarm.is_up, alarm.status.as_str()), (false, "unreserved"));
    }
}
