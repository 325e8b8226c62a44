//! PostgreSQL as a source: slot, publication, snapshot, stream.
//!
//! Invariant 3, the hand-over: the snapshot is exported by a slot, so that its consistent point parts what the snapshot holds
//! from what the stream brings. Where the pipeline's slot is there already, a temporary slot exports the snapshot; the stream
//! begins where the old slot stands, and what was committed before the snapshot's point is dropped by the decoder's floor.

use crate::catalogue;
use crate::config::{Config, SnapshotMode};
use crate::pgoutput::Place;
use crate::publication;
use crate::slot::{self, parse_lsn};
use crate::snapshot::{self, Read, Snapshot};
use crate::streaming::{Streaming, now_ns, of_place};
use crate::{ConnectOptions, Connection};
use std::time::{Duration, Instant};
use tracing::{info, warn};
use weir_api::{Error, Limit, Offset, Poll, Position, Progress, Settings, Source};
use weir_model::Window;

/// A PostgreSQL database being captured.
struct Postgres {
    config: Config,
    state: State,
    /// since when another reader has the slot
    waiting: Option<Instant>,
}

enum State {
    Stopped,
    /// the connection holds the slot that exported the snapshot, and will stream when it is read
    Snapshot {
        snapshot: Box<Snapshot>,
        replication: Box<Connection>,
        place: Place,
        floor: u64,
        temporary: bool,
    },
    Streaming(Box<Streaming>),
    Ended,
}

const IN_USE: &str = "postgres.slot-in-use";

/// Opens the source; nothing is connected before `start`.
pub fn open(settings: &Settings) -> Result<Box<dyn Source>, Error> {
    Ok(Box::new(Postgres { config: Config::parse(settings)?, state: State::Stopped, waiting: None }))
}

// === impl Postgres ===

impl Postgres {
    fn begin(&self, offset: Option<&Offset>) -> Result<State, Error> {
        let config = &self.config;
        let mut sql = Connection::connect(&config.connect)?;
        check_server(&mut sql)?;
        config.stream.check(&sql)?;
        let all = catalogue::tables(&mut sql)?;
        let captured: Vec<_> = all.into_iter().filter(|(s, t)| config.filter.takes(s, t)).collect();
        publication::ensure(&mut sql, &config.publication, config.autocreate, &captured, config.via_root)?;
        let slot = slot::look(&mut sql, &config.slot)?;
        if let Some(pid) = slot.as_ref().and_then(|s| s.active_pid) {
            // said before a snapshot is read in vain
            return Err(in_use(&config.slot, pid));
        }
        let stored = offset.and_then(place);
        let wants_snapshot = match config.mode {
            SnapshotMode::Always => true,
            SnapshotMode::Initial | SnapshotMode::InitialOnly => stored.is_none(),
            SnapshotMode::NoData => false,
        };
        let options = ConnectOptions { replication: true, options: session(config), ..config.connect.clone() };
        let mut replication = Connection::connect(&options)?;
        if !wants_snapshot {
            let place = match (stored, slot) {
                (Some(place), Some(slot)) if slot.confirmed <= place.complete => place,
                (Some(place), Some(slot)) => return Err(ahead(&config.slot, place, slot.confirmed)),
                (Some(_), None) => return Err(gone(&config.slot)),
                (None, Some(slot)) => Place { complete: slot.confirmed, ..Place::default() },
                (None, None) => {
                    let created = slot::create(&mut replication, &config.slot, false, false)?;
                    Place { complete: created.consistent_point, ..Place::default() }
                }
            };
            return self.stream(replication, place, 0).map(|s| State::Streaming(Box::new(s)));
        }
        let (created, place) = match &slot {
            None => {
                let created = slot::create(&mut replication, &config.slot, true, false)?;
                let place = Place { complete: created.consistent_point, ..Place::default() };
                (created, place)
            }
            Some(slot) => {
                let name = format!("{}_snapshot_{}", config.slot.get(..40).unwrap_or(&config.slot), std::process::id());
                let created = slot::create(&mut replication, &name, true, true)?;
                (created, Place { complete: slot.confirmed, ..Place::default() })
            }
        };
        info!(tables = captured.len(), lsn = created.consistent_point, "reading the snapshot");
        let plan = snapshot::Plan {
            connect: config.connect.clone(),
            snapshot: created.snapshot.unwrap_or_default(),
            lsn: created.consistent_point,
            tables: captured,
            naming: config.naming.clone(),
        };
        let snapshot = Box::new(Snapshot::begin(plan)?);
        let (replication, temporary) = (Box::new(replication), slot.is_some());
        Ok(State::Snapshot { snapshot, replication, place, floor: created.consistent_point, temporary })
    }

    /// A slot that another reader has is waited for as long as `slot.max.retries` and `slot.retry.delay.ms` say.
    fn lose_patience(&mut self, e: Error) -> Error {
        if e.code() != IN_USE {
            return e;
        }
        let since = *self.waiting.get_or_insert_with(Instant::now);
        match self.config.patience.is_some_and(|most| since.elapsed() >= most) {
            true => Error::environment(IN_USE, e.message()).help(e.hint().unwrap_or_default()),
            false => e,
        }
    }

    fn stream(&self, replication: Connection, place: Place, floor: u64) -> Result<Streaming, Error> {
        Streaming::begin(replication, place, floor, &self.config)
    }
}

/// `wal_level` and the encoding, said in our words before the server says them in its own.
fn check_server(sql: &mut Connection) -> Result<(), Error> {
    let rows = sql
        .simple_query("SELECT current_setting('wal_level'), current_setting('server_encoding'), pg_is_in_recovery()")?;
    let text = |i: usize| rows.first().and_then(|r| r.get(i)).and_then(|f| f.as_deref()).unwrap_or_default();
    if text(0) != "logical" {
        return Err(Error::environment(
            "postgres.wal-level",
            format!("the server's wal_level is `{}`, and must be `logical`", text(0)),
        )
        .help("ALTER SYSTEM SET wal_level = logical; then restart the server"));
    }
    if sql.major_version() < 14 {
        let message =
            format!("the server is PostgreSQL {}, and the least that is supported is 14", sql.major_version());
        return Err(Error::environment("postgres.version", message).help("upgrade the server"));
    }
    Ok(())
}

/// Settings of the replication session. A server that hears from us every ten seconds may drop us after a minute.
fn session(_: &Config) -> Vec<(String, String)> {
    vec![("wal_sender_timeout".into(), "60s".into())]
}

fn in_use(slot: &str, pid: u32) -> Error {
    Error::retry(IN_USE, format!("another reader, process {pid} of the server, has the replication slot `{slot}`"))
        .help(format!(
            "SELECT pg_terminate_backend({pid}) ends the other reader; or give each reader its own `slot.name`"
        ))
}

fn gone(slot: &str) -> Error {
    Error::environment(
        "postgres.slot-gone",
        format!("there is a stored offset, but no replication slot `{slot}` any more"),
    )
    .help("changes since then are lost: reset the pipeline's offsets and take a new snapshot")
}

fn ahead(slot: &str, place: Place, confirmed: u64) -> Error {
    let message = format!(
        "the replication slot `{slot}` stands at {}, behind the stored offset {}",
        lsn_text(confirmed),
        lsn_text(place.complete)
    );
    let message = message.replace("behind", "ahead of");
    Error::environment("postgres.slot-ahead", message).help(
        "another reader moved it, or it was made anew; changes between the two are lost: reset the pipeline's offsets and take a new snapshot",
    )
}

fn lsn_text(lsn: u64) -> String {
    format!("{:X}/{:X}", lsn >> 32, lsn as u32)
}

/// A stored offset: ours, or one that Debezium wrote (`lsn`, `lsn_commit`, `lsn_proc`).
fn place(offset: &Offset) -> Option<Place> {
    let number = |key: &str| offset.get(key).and_then(|v| v.as_u64().or_else(|| v.as_str().and_then(parse_lsn)));
    let complete = number("lsn_commit").or_else(|| number("lsn_proc")).or_else(|| number("lsn"))?;
    let snapshot = offset.get("snapshot").is_some_and(|v| v.as_bool() == Some(true) || v.is_string());
    if snapshot && offset.get("snapshot_completed").and_then(|v| v.as_bool()) != Some(true) {
        return None;
    }
    let (within, rows) = (number("lsn_within").unwrap_or(0), number("lsn_events_processed").unwrap_or(0));
    Some(Place { complete, within, rows, last_commit: number("lsn_last_commit").unwrap_or(0) })
}

impl Source for Postgres {
    fn partition(&self) -> Offset {
        [("server".to_string(), self.config.naming.prefix.clone().into())].into_iter().collect()
    }

    fn offset(&self, position: &Position) -> Offset {
        let [complete, within, rows, last_commit] = position.0;
        let mut offset = Offset::new();
        let mut put = |key: &str, n: u64| offset.insert(key.into(), n.into());
        put("lsn", complete);
        put("lsn_proc", complete);
        put("lsn_commit", complete);
        put("lsn_last_commit", last_commit);
        if within > 0 {
            put("lsn_within", within);
            put("lsn_events_processed", rows);
        }
        offset
    }

    fn start(&mut self, offset: Option<&Offset>) -> Result<(), Error> {
        self.state = State::Stopped;
        self.state = self.begin(offset).map_err(|e| self.lose_patience(e))?;
        self.waiting = None;
        Ok(())
    }

    fn poll(&mut self, wait: Duration, limit: Limit, window: &mut Window) -> Result<Poll, Error> {
        match &mut self.state {
            State::Streaming(streaming) => return streaming.poll(wait, limit, window, &self.config),
            State::Stopped | State::Ended => return Ok(Poll::End),
            State::Snapshot { snapshot, .. } => {
                window.batches.clear();
                match snapshot.read(wait, window, now_ns())? {
                    Read::Rows => return Ok(Poll::Window(None)),
                    Read::Nothing => return Ok(Poll::Idle(None)),
                    Read::Done => {}
                }
            }
        }
        // the snapshot is read: its last rows are in the window, and a restart goes on with the stream
        let State::Snapshot { mut replication, place, floor, temporary, snapshot } =
            std::mem::replace(&mut self.state, State::Ended)
        else {
            return Ok(Poll::End);
        };
        let progress = snapshot.progress();
        info!(rows = progress.rows, tables = progress.tables, "the snapshot is complete");
        let complete = if temporary { place.complete } else { floor };
        let place = Place { complete, ..place };
        if self.config.mode != SnapshotMode::InitialOnly {
            if temporary {
                // its slot was only for the snapshot, and goes with its session
                let options =
                    ConnectOptions { replication: true, options: session(&self.config), ..self.config.connect.clone() };
                *replication = Connection::connect(&options)?;
            }
            self.state = State::Streaming(Box::new(self.stream(*replication, place, floor)?));
        }
        Ok(Poll::Window(Some(of_place(place))))
    }

    fn confirm(&mut self, position: &Position) -> Result<(), Error> {
        match &mut self.state {
            State::Streaming(s) => s.confirm(position.0[0]),
            _ => Ok(()),
        }
    }

    fn keep_alive(&mut self) -> Result<(), Error> {
        match &mut self.state {
            State::Streaming(s) => s.tell(),
            _ => Ok(()),
        }
    }

    fn progress(&self) -> Option<Progress> {
        match &self.state {
            State::Snapshot { snapshot, .. } => Some(snapshot.progress()),
            _ => None,
        }
    }

    fn stop(&mut self, for_good: bool) {
        if let State::Streaming(streaming) = std::mem::replace(&mut self.state, State::Stopped) {
            streaming.stop();
        }
        if for_good && self.config.drop_slot {
            let dropped =
                Connection::connect(&self.config.connect).and_then(|mut c| slot::drop(&mut c, &self.config.slot));
            if let Err(e) = dropped {
                warn!(slot = self.config.slot, code = e.code(), "the slot could not be dropped: {e}")
            }
        }
    }
}
