//! PostgreSQL as a source: slot, publication, snapshot, stream.
//!
//! Invariant 3, the hand-over: the snapshot is exported by a slot, so that its consistent point parts what the snapshot holds
//! from what the stream brings. Where the pipeline's slot is there already, a temporary slot exports the snapshot, and the stream
//! begins at the snapshot's point.
//!
//! A snapshot that is cut off goes on as of a later point. Consumers then have rows of the first one that may be gone by now:
//! that a snapshot begins is stored before its first row leaves, and the changes between the two are sent before the second,
//! which reads what the first one had not finished.

use crate::catalogue;
use crate::config::Config;
use crate::continuity;
use crate::in_progress::spill;
use crate::offset;
use crate::pgoutput::Place;
use crate::publication::{self, Autocreate};
use crate::retained::Retained;
use crate::slot::{self, New, Slot};
use crate::snapshot::{self, Read, Snapshot, Way};
use crate::streaming::{Streaming, now_ns};
use crate::{ConnectOptions, Connection};
use std::time::{Duration, Instant};
use tracing::{info, warn};
use weir_api::failpoint::{self, Point};
use weir_api::{Error, Limit, Offset, Poll, Position, Progress, Settings, Source};
use weir_model::Window;

/// A PostgreSQL database being captured.
struct Postgres {
    config: Config,
    state: State,
    /// that of the snapshot before the stream: some of its positions may still be stored
    way: Option<Way>,
    /// what the slot holds back
    retained: Option<Retained>,
    /// since when another reader has the slot
    waiting: Option<Instant>,
    /// a spill file failed: transactions come when they are committed, from here on
    committed_only: bool,
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
    Ok(Box::new(Postgres {
        config: Config::parse(settings)?,
        state: State::Stopped,
        way: None,
        retained: None,
        waiting: None,
        committed_only: false,
    }))
}

// === impl Postgres ===

impl Postgres {
    fn begin(&self, offset: Option<&Offset>) -> Result<State, Error> {
        let config = &self.config;
        let mut sql = Connection::connect(&config.connect)?;
        check_server(&mut sql)?;
        config.stream.check(&sql)?;
        slot::check_failover(config.failover, sql.major_version())?;
        let all = catalogue::tables(&mut sql)?;
        let captured: Vec<_> = all.into_iter().filter(|(s, t)| config.filter.takes(s, t)).collect();
        publication::ensure(&mut sql, &config.publication, config.autocreate, &captured, config.via_root)?;
        failpoint::reach(Point::PublicationMade);
        let slot = self.look(&mut sql)?;
        if let Some(pid) = slot.as_ref().and_then(|s| s.active_pid) {
            // said before a snapshot is read in vain
            return Err(in_use(&config.slot, pid));
        }
        if config.failover && slot.is_some() && !slot::is_kept(&mut sql, &config.slot)? {
            slot::keep(&mut self.replication()?, &config.slot)?;
            info!(slot = config.slot, "standbys keep the slot from now on");
        }
        let mode = config.snapshot.mode;
        let place = self.place(&mut sql, offset, slot.as_ref());
        let wants_snapshot = match &place {
            _ if mode.always => true,
            Err(e) if mode.when_lost && continuity::is_lost(e) => {
                warn!(slot = config.slot, code = e.code(), "{e}; a new snapshot is taken");
                true
            }
            Ok(None) => mode.first,
            _ => false,
        };
        if wants_snapshot {
            return self.read_rows(offset, slot, captured);
        }
        if !mode.streams {
            return Ok(State::Ended);
        }
        let place = match (place?, slot) {
            (Some(place), _) => place,
            (None, Some(slot)) => Place { complete: slot.confirmed, ..Place::default() },
            (None, None) => {
                let created = slot::create(
                    &mut self.replication()?,
                    &config.slot,
                    New { failover: config.failover, ..New::default() },
                )?;
                Place { complete: created.consistent_point, ..Place::default() }
            }
        };
        self.stream(place, 0).map(|s| State::Streaming(Box::new(s)))
    }

    /// The pipeline's slot. One that has lost its log is of no use to anybody, and goes where a new snapshot may be taken.
    fn look(&self, sql: &mut Connection) -> Result<Option<Slot>, Error> {
        match slot::look(sql, &self.config.slot) {
            Err(e) if e.code() == slot::LOST && self.config.snapshot.mode.when_lost => {
                warn!(slot = self.config.slot, code = e.code(), "{e}; it is made anew");
                slot::drop(sql, &self.config.slot)?;
                Ok(None)
            }
            other => other,
        }
    }

    /// Where the stream goes on; None: nothing is stored, or a snapshot that is not complete. What consumers have of that one may be
    /// gone by now, which only the log since then tells.
    fn place(
        &self,
        sql: &mut Connection,
        offset: Option<&Offset>,
        slot: Option<&Slot>,
    ) -> Result<Option<Place>, Error> {
        if let (Some(known), true) = (offset.and_then(offset::known), self.config.snapshot.mode.streams) {
            continuity::check(&self.config.slot, known, slot, slot::end_of_log(sql)?)?
        }
        Ok(offset.and_then(offset::place))
    }

    fn read_rows(
        &self,
        offset: Option<&Offset>,
        slot: Option<Slot>,
        tables: Vec<(String, String)>,
    ) -> Result<State, Error> {
        let (config, streams) = (&self.config, self.config.snapshot.mode.streams);
        let mut replication = self.replication()?;
        let created = match &slot {
            None if streams => {
                let new = New { export: true, failover: config.failover, ..New::default() };
                slot::create(&mut replication, &config.slot, new)?
            }
            // nobody would read what another one holds
            _ => {
                let name = format!("{}_snapshot_{}", config.slot.get(..40).unwrap_or(&config.slot), std::process::id());
                slot::create(&mut replication, &name, New { export: true, temporary: true, ..New::default() })?
            }
        };
        failpoint::reach(Point::SlotMade);
        let lsn = created.consistent_point;
        // what consumers have is of use where the log from there on is
        let known = offset.and_then(offset::known).filter(|k| streams && k.complete <= lsn);
        let known = known.filter(|k| slot.is_some_and(|s| s.confirmed <= k.complete));
        let finished = known.and(offset).and_then(offset::finished).unwrap_or_default();
        info!(tables = tables.len(), lsn, finished = finished.tables.len(), "reading the snapshot");
        let plan = snapshot::Plan {
            connect: config.connect.clone(),
            snapshot: created.snapshot.unwrap_or_default(),
            lsn,
            tables,
            naming: config.naming.clone(),
            options: &config.snapshot,
            finished,
        };
        let snapshot = Box::new(Snapshot::begin(plan)?);
        match known {
            Some(known) if known.complete < lsn => {
                info!(lsn = known.complete, "reading what was committed since a snapshot was begun");
                let streaming = Box::new(self.stream(known, 0)?.up_to(lsn));
                Ok(State::Between { streaming, snapshot })
            }
            _ => {
                let last_commit = known.map_or(0, |k| k.last_commit);
                Ok(State::Snapshot { snapshot, last_commit, announced: false })
            }
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
        let bounds = self.config.in_progress.clone().filter(|_| !self.committed_only);
        Streaming::begin(self.replication()?, place, floor, &self.config, bounds)
    }

    /// What a process that was killed has left is removed, also where nothing is held any more.
    fn clear_spill(&mut self) {
        if let Some(Err(e)) = self.config.spill.as_ref().map(|s| s.clear()) {
            self.refuse_spill(&e);
        }
    }

    fn refuse_spill(&mut self, e: &Error) {
        if self.config.in_progress.is_some() && !std::mem::replace(&mut self.committed_only, true) {
            let (slot, code) = (&self.config.slot, e.code());
            warn!(slot, code, "{e}; the server keeps transactions until they are committed from now on");
        }
    }

    /// Goes on without files, from where the windows so far end.
    fn without_spill(&mut self, e: Error) -> Result<Poll, Error> {
        self.refuse_spill(&e);
        match std::mem::replace(&mut self.state, State::Stopped) {
            State::Streaming(streaming) => {
                let next = streaming.committed_only(&self.config, || self.replication())?;
                self.state = State::Streaming(Box::new(next));
                Ok(Poll::Idle(None))
            }
            // the task begins anew
            _ => Err(e),
        }
    }

    /// The publication was not there when something was committed that is still to come: no publication made since brings it back.
    /// Where a new snapshot may be taken the slot goes, and the task begins anew.
    fn without_publication(&mut self, e: Error) -> Error {
        self.state = State::Stopped;
        let config = &self.config;
        let heal = || {
            let mut sql = Connection::connect(&config.connect)?;
            let is_there = publication::exists(&mut sql, &config.publication)?;
            let gap = continuity::gap(&config.slot, &config.publication, is_there);
            if !config.snapshot.mode.when_lost || !is_there && config.autocreate == Autocreate::Disabled {
                return Ok(gap);
            }
            slot::drop(&mut sql, &config.slot)?;
            Ok(Error::retry(gap.code(), format!("{}; a new snapshot is taken", gap.message())))
        };
        let healed: Result<Error, Error> = heal();
        healed.unwrap_or_else(|trouble| if trouble.is_retriable() { trouble } else { e })
    }

    /// What comes behind the rows in the window, if they are the snapshot's last.
    fn behind_snapshot(&mut self) -> Result<Poll, Error> {
        let State::Snapshot { snapshot, last_commit, .. } = std::mem::replace(&mut self.state, State::Ended) else {
            return Ok(Poll::End);
        };
        failpoint::reach(Point::SnapshotRead);
        let progress = snapshot.progress();
        info!(rows = progress.rows, tables = progress.tables, "the snapshot is complete");
        let place = Place { complete: snapshot.lsn(), last_commit, ..Place::default() };
        let way = self.way.insert(snapshot.into_way());
        let position = way.position(None, last_commit);
        if self.config.snapshot.mode.streams {
            self.state = State::Streaming(Box::new(self.stream(place, place.complete)?));
        }
        Ok(Poll::Window(Some(position)))
    }

    /// What positions of the snapshot mean.
    fn way(&self) -> Option<&Way> {
        match &self.state {
            State::Snapshot { snapshot, .. } | State::Between { snapshot, .. } => Some(snapshot.way()),
            _ => self.way.as_ref(),
        }
    }

    fn turn(&mut self, wait: Duration, limit: Limit, window: &mut Window) -> Result<Poll, Error> {
        match &mut self.state {
            State::Streaming(streaming) => streaming.poll(wait, limit, window, &self.config),
            State::Stopped | State::Ended => Ok(Poll::End),
            State::Between { streaming, .. } => match streaming.poll(wait, limit, window, &self.config)? {
                Poll::Idle(_) if streaming.reached().is_some() => Ok(self.behind_changes()),
                other => Ok(other),
            },
            State::Snapshot { snapshot, last_commit, announced: announced @ false } => {
                *announced = true;
                failpoint::reach(Point::SnapshotImported);
                Ok(Poll::Store(snapshot.way().position(Some(0), *last_commit)))
            }
            State::Snapshot { snapshot, last_commit, .. } => {
                failpoint::reach(Point::SnapshotAnnounced);
                window.batches.clear();
                match snapshot.read(wait, window, now_ns())? {
                    Read::Rows(parts) => {
                        if parts.is_some() {
                            failpoint::reach(Point::PartDone);
                        }
                        let position = parts.map(|n| snapshot.way().position(Some(n), *last_commit));
                        Ok(Poll::Window(position))
                    }
                    Read::Nothing => Ok(Poll::Idle(None)),
                    Read::Done => self.behind_snapshot(),
                }
            }
        }
    }

    /// The snapshot's turn, when everything committed before it is sent.
    fn behind_changes(&mut self) -> Poll {
        let State::Between { streaming, snapshot } = std::mem::replace(&mut self.state, State::Ended) else {
            return Poll::End;
        };
        failpoint::reach(Point::BetweenDone);
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

impl Source for Postgres {
    fn partition(&self) -> Offset {
        [("server".to_string(), self.config.naming.prefix.clone().into())].into_iter().collect()
    }

    fn offset(&self, position: &Position) -> Offset {
        offset::write(position, self.way().and_then(|way| way.finished(position)).as_ref())
    }

    fn start(&mut self, offset: Option<&Offset>) -> Result<(), Error> {
        (self.state, self.way) = (State::Stopped, None);
        self.clear_spill();
        self.state = self.begin(offset).map_err(|e| self.lose_patience(e))?;
        self.waiting = None;
        if self.config.snapshot.mode.streams && self.retained.is_none() {
            let config = &self.config;
            let published = publication::Watched::new(&config.publication, &config.filter);
            let retained = Retained::watch(config.connect.clone(), &config.slot, config.wal_alert, published)?;
            self.retained = Some(retained);
        }
        Ok(())
    }

    fn poll(&mut self, wait: Duration, limit: Limit, window: &mut Window) -> Result<Poll, Error> {
        match self.turn(wait, limit, window) {
            Err(e) if e.code() == spill::FAILED => self.without_spill(e),
            Err(e) if e.code() == publication::MISSING => Err(self.without_publication(e)),
            other => other,
        }
    }

    fn confirm(&mut self, position: &Position) -> Result<(), Error> {
        match &mut self.state {
            State::Streaming(streaming) | State::Between { streaming, .. } => streaming.confirm(position.0[0]),
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

    fn lag_bytes(&self) -> Option<u64> {
        self.retained.as_ref().and_then(Retained::bytes)
    }

    fn rows_in_snapshot(&self) -> u64 {
        match &self.state {
            State::Streaming(streaming) => streaming.below_floor(),
            _ => 0,
        }
    }

    fn stop(&mut self, for_good: bool) {
        self.retained = None;
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
