//! PostgreSQL as a source: slot, publication, snapshot, stream.
//!
//! Invariant 3, the hand-over: the snapshot is exported by a slot, so that its consistent point parts what the snapshot holds
//! from what the stream brings. Where the pipeline's slot is there already, a temporary slot exports the snapshot, and the stream
//! begins at the snapshot's point.
//!
//! A snapshot that is cut off is read anew, at a later point. Consumers then have rows of the first one that may be gone by now:
//! that a snapshot begins is stored before its first row leaves, and the changes between the two are sent before the second.

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
    /// what was committed between what consumers have and the snapshot, which is imported and waits
    Between {
        streaming: Box<Streaming>,
        snapshot: Box<Snapshot>,
    },
    /// `announced`: that it begins is stored
    Snapshot {
        snapshot: Box<Snapshot>,
        last_commit: u64,
        announced: bool,
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
        if !wants_snapshot {
            let place = match (stored, slot) {
                (Some(place), Some(slot)) if slot.confirmed <= place.complete => place,
                (Some(place), Some(slot)) => return Err(ahead(&config.slot, place, slot.confirmed)),
                (Some(_), None) => return Err(gone(&config.slot)),
                (None, Some(slot)) => Place { complete: slot.confirmed, ..Place::default() },
                (None, None) => {
                    let created = slot::create(&mut self.replication()?, &config.slot, false, false)?;
                    Place { complete: created.consistent_point, ..Place::default() }
                }
            };
            return self.stream(place, 0).map(|s| State::Streaming(Box::new(s)));
        }
        let mut replication = self.replication()?;
        let known = offset.and_then(known).filter(|_| config.mode != SnapshotMode::InitialOnly);
        let created = match &slot {
            None => slot::create(&mut replication, &config.slot, true, false)?,
            Some(_) => {
                let name = format!("{}_snapshot_{}", config.slot.get(..40).unwrap_or(&config.slot), std::process::id());
                slot::create(&mut replication, &name, true, true)?
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
        let last_commit = known.map_or(0, |k| k.last_commit);
        match (known, slot) {
            (Some(known), Some(slot))
                if slot.confirmed <= known.complete && known.complete < created.consistent_point =>
            {
                info!(lsn = known.complete, "reading what was committed since a snapshot was begun");
                let streaming = self.stream(known, 0)?.up_to(created.consistent_point);
                Ok(State::Between { streaming: Box::new(streaming), snapshot })
            }
            _ => Ok(State::Snapshot { snapshot, last_commit, announced: false }),
        }
    }

    fn replication(&self) -> Result<Connection, Error> {
        let config = &self.config;
        let options = ConnectOptions { replication: true, options: session(config), ..config.connect.clone() };
        Connection::connect(&options)
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

    fn stream(&self, place: Place, floor: u64) -> Result<Streaming, Error> {
        Streaming::begin(self.replication()?, place, floor, &self.config)
    }

    /// What comes behind the rows in the window, if they are the snapshot's last.
    fn behind_snapshot(&mut self) -> Result<Poll, Error> {
        let State::Snapshot { snapshot, last_commit, .. } = std::mem::replace(&mut self.state, State::Ended) else {
            return Ok(Poll::End);
        };
        let progress = snapshot.progress();
        info!(rows = progress.rows, tables = progress.tables, "the snapshot is complete");
        let place = Place { complete: snapshot.lsn(), last_commit, ..Place::default() };
        if self.config.mode != SnapshotMode::InitialOnly {
            self.state = State::Streaming(Box::new(self.stream(place, place.complete)?));
        }
        Ok(Poll::Window(Some(of_place(place))))
    }

    /// The snapshot's turn, when everything committed before it is sent.
    fn behind_changes(&mut self) -> Poll {
        let State::Between { streaming, snapshot } = std::mem::replace(&mut self.state, State::Ended) else {
            return Poll::End;
        };
        let last_commit = streaming.reached().map_or(0, |place| place.last_commit);
        streaming.stop();
        self.state = State::Snapshot { snapshot, last_commit, announced: false };
        Poll::Idle(None)
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

/// The place of a stored offset; None: its snapshot is not complete.
fn place(offset: &Offset) -> Option<Place> {
    let snapshot = offset.get("snapshot").is_some_and(|v| v.as_bool() == Some(true) || v.is_string());
    match snapshot && offset.get("snapshot_completed").and_then(|v| v.as_bool()) != Some(true) {
        true => None,
        false => known(offset),
    }
}

/// What consumers have seen the changes up to: a stored offset of ours, or one that Debezium wrote (`lsn`, `lsn_commit`, `lsn_proc`).
fn known(offset: &Offset) -> Option<Place> {
    let number = |key: &str| offset.get(key).and_then(|v| v.as_u64().or_else(|| v.as_str().and_then(parse_lsn)));
    let complete = number("lsn_commit").or_else(|| number("lsn_proc")).or_else(|| number("lsn"))?;
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
        if let State::Snapshot { .. } = self.state {
            offset.insert("snapshot".into(), "INITIAL".into());
            offset.insert("snapshot_completed".into(), false.into());
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
            State::Streaming(streaming) => streaming.poll(wait, limit, window, &self.config),
            State::Stopped | State::Ended => Ok(Poll::End),
            State::Between { streaming, .. } => match streaming.poll(wait, limit, window, &self.config)? {
                // its place is no place to go on from: the snapshot is still to come
                Poll::Window(_) => Ok(Poll::Window(None)),
                _ if streaming.reached().is_none() => Ok(Poll::Idle(None)),
                _ => Ok(self.behind_changes()),
            },
            State::Snapshot { snapshot, last_commit, announced: announced @ false } => {
                *announced = true;
                Ok(Poll::Store(Position([snapshot.lsn(), 0, 0, *last_commit])))
            }
            State::Snapshot { snapshot, .. } => {
                window.batches.clear();
                match snapshot.read(wait, window, now_ns())? {
                    Read::Rows => Ok(Poll::Window(None)),
                    Read::Nothing => Ok(Poll::Idle(None)),
                    Read::Done => self.behind_snapshot(),
                }
            }
        }
    }

    fn confirm(&mut self, position: &Position) -> Result<(), Error> {
        match &mut self.state {
            State::Streaming(s) => s.confirm(position.0[0]),
            _ => Ok(()),
        }
    }

    fn keep_alive(&mut self) -> Result<(), Error> {
        match &mut self.state {
            State::Streaming(streaming) | State::Between { streaming, .. } => streaming.tell(),
            _ => Ok(()),
        }
    }

    fn progress(&self) -> Option<Progress> {
        match &self.state {
            State::Snapshot { snapshot, .. } | State::Between { snapshot, .. } => Some(snapshot.progress()),
            _ => None,
        }
    }

    fn stop(&mut self, for_good: bool) {
        if let State::Streaming(streaming) | State::Between { streaming, .. } =
            std::mem::replace(&mut self.state, State::Stopped)
        {
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
