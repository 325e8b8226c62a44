//! The stream at work: bytes of the socket into windows, relations described when they come, positions told.

use crate::catalogue::{self, TableInfo, Types};
use crate::config::Config;
use crate::in_progress::Bounds;
use crate::intake::Intake;
use crate::pgoutput::{Captured, Decoder, Place, Relation};
use crate::server_error::quoted;
use crate::{ConnectOptions, Connection, Replication};
use std::collections::HashMap;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tracing::info;
use weir_api::{Error, Limit, Poll, Position};
use weir_model::Window;

/// The stream of a slot, into windows.
pub struct Streaming {
    replication: Replication<Connection>,
    intake: Intake,
    catalogue: Catalogue,
    /// what the server was told last
    confirmed: u64,
    told: Instant,
    interval: Duration,
}

/// For what relation messages leave open; connects when it is first asked, and again when its session is lost.
struct Catalogue {
    options: ConnectOptions,
    session: Option<(Connection, Types)>,
    /// what each relation meant last: a transaction in progress brings the description of its tables once more
    known: HashMap<u32, Known>,
}

struct Known {
    relation: Relation,
    info: TableInfo,
    captured: Captured,
}

pub fn of_place(p: Place) -> Position {
    Position([p.complete, p.within, p.rows, p.last_commit])
}

pub fn now_ns() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_nanos() as i64)
}

// === impl Streaming ===

impl Streaming {
    /// `floor`: what was committed before is in the snapshot. `bounds`: how transactions in progress are held; None: they come
    /// when they are committed.
    pub fn begin(
        replication: Connection,
        place: Place,
        floor: u64,
        config: &Config,
        bounds: Option<Bounds>,
    ) -> Result<Streaming, Error> {
        let publications = quoted(&config.publication);
        let version = if bounds.is_some() { "2" } else { "1" };
        let mut options = vec![("proto_version", version), ("publication_names", publications.as_str())];
        if bounds.is_some() {
            options.push(("streaming", "on"));
        }
        options.extend(config.stream.options());
        let start = place.complete;
        let replication = replication.into_replication(&config.slot, start, &options)?;
        info!(slot = config.slot, lsn = start, in_progress = bounds.is_some(), "streaming");
        let connect = config.connect.clone();
        Ok(Streaming {
            replication,
            intake: Intake::new(Decoder::new(place, floor, config.skipped), bounds),
            catalogue: Catalogue { options: connect, session: None, known: HashMap::new() },
            confirmed: start,
            told: Instant::now(),
            interval: config.status_interval,
        })
    }

    /// As this one goes on, but with transactions when they are committed: nothing is held, and nothing can fail to be. What is
    /// not yet in a window comes once more.
    pub fn committed_only(
        self,
        config: &Config,
        connect: impl FnOnce() -> Result<Connection, Error>,
    ) -> Result<Streaming, Error> {
        let ((place, floor), confirmed, ceiling) =
            (self.intake.decoder.next_place(), self.confirmed, self.intake.decoder.ceiling);
        self.stop();
        let mut next = Streaming::begin(connect()?, place, floor, config, None)?;
        // invariant 2: what left in windows may not be stored yet
        next.confirmed = confirmed;
        next.intake.decoder.ceiling = ceiling;
        Ok(next)
    }

    /// Rows that the snapshot has, and that were left out for that.
    pub fn below_floor(&self) -> u64 {
        self.intake.decoder.below_floor
    }

    /// Reads only what was committed before.
    pub fn up_to(mut self, ceiling: u64) -> Streaming {
        self.intake.decoder.ceiling = Some(ceiling);
        self
    }

    /// Where reading ended that goes [`Streaming::up_to`] some point; None: there is more to read.
    pub fn reached(&self) -> Option<Place> {
        self.intake.decoder.has_reached.then_some(self.intake.decoder.place)
    }

    pub fn poll(&mut self, wait: Duration, limit: Limit, window: &mut Window, config: &Config) -> Result<Poll, Error> {
        self.intake.take_back(window);
        let before = self.intake.decoder.place.complete;
        if !self.intake.is_replaying() {
            self.read(wait, limit)?;
        }
        // while a transaction is replayed the server sends against a full socket, and hears from us all the same
        if self.told.elapsed() >= self.interval {
            self.tell()?;
        }
        let catalogue = &mut self.catalogue;
        let mut describe = |relation: Relation| catalogue.describe(relation, config);
        self.intake.fill(window, limit, now_ns(), &mut describe)?;
        if std::mem::take(&mut self.intake.decoder.reply) {
            self.tell()?;
        }
        let decoder = &self.intake.decoder;
        match window.is_empty() {
            false => Ok(Poll::Window(Some(of_place(decoder.place)))),
            true if decoder.place.complete > before && decoder.is_between() => {
                Ok(Poll::Idle(Some(of_place(decoder.place))))
            }
            true => Ok(Poll::Idle(None)),
        }
    }

    /// Reads what has come in, up to a window; waits only where nothing is left over from the last read.
    fn read(&mut self, wait: Duration, limit: Limit) -> Result<(), Error> {
        let mut more = match self.intake.has_frame()? {
            true => 1,
            false => self.replication.read(&mut self.intake.buffer, wait)?,
        };
        // under load what has come in is more than one read: take what is there, up to a window
        while more > 0 && self.intake.buffer.len() < limit.bytes {
            more = self.replication.read_more(&mut self.intake.buffer)?;
        }
        Ok(())
    }

    /// Stored up to here: the server may forget it (invariant 2).
    pub fn confirm(&mut self, lsn: u64) -> Result<(), Error> {
        self.confirmed = self.confirmed.max(lsn);
        self.tell()
    }

    pub fn tell(&mut self) -> Result<(), Error> {
        self.told = Instant::now();
        self.replication.send_status(self.confirmed, self.confirmed, self.confirmed, false)
    }

    /// In order, if the server is still there.
    pub fn stop(self) {
        let _ = self.replication.stop();
    }
}

// === impl Catalogue ===

impl Catalogue {
    fn describe(&mut self, relation: Relation, config: &Config) -> Result<Option<Captured>, Error> {
        if !config.filter.takes(&relation.schema, &relation.table) {
            return Ok(None);
        }
        match self.ask(&relation, config) {
            // the session may have died long ago, unseen: once more on a new one
            Err(e) if e.is_retriable() => {
                self.session = None;
                self.ask(&relation, config)
            }
            other => other,
        }
    }

    fn ask(&mut self, relation: &Relation, config: &Config) -> Result<Option<Captured>, Error> {
        let (mut connection, mut types) = match self.session.take() {
            Some(session) => session,
            None => {
                let mut connection = Connection::connect(&self.options)?;
                let types = Types::read(&mut connection)?;
                (connection, types)
            }
        };
        let info = catalogue::table(&mut connection, &relation.schema, &relation.table)?;
        if relation.columns.iter().any(|c| types.get(c.type_oid).is_none()) {
            types = Types::read(&mut connection)?;
        }
        // a table that is gone by now is known by its relation alone
        let info = info.unwrap_or_else(|| catalogue::TableInfo {
            oid: relation.oid,
            schema: relation.schema.clone(),
            table: relation.table.clone(),
            columns: vec![],
            key: relation
                .columns
                .iter()
                .filter(|c| c.key && relation.replica_identity != b'f')
                .map(|c| c.name.clone())
                .collect(),
            rows: None,
        });
        // `rows` is an estimate that changes all the time, and says nothing of the table's shape
        let info = TableInfo { rows: None, ..info };
        let known = self.known.get(&relation.oid).filter(|k| k.relation == *relation && k.info == info);
        let captured = match known {
            Some(known) => known.captured.clone(),
            None => config.naming.changes(relation, &info, &types),
        };
        self.session = Some((connection, types));
        self.known.insert(relation.oid, Known { relation: relation.clone(), info, captured: captured.clone() });
        Ok(Some(captured))
    }
}
