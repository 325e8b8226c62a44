//! The stream at work: bytes of the socket into windows, relations described when they come, positions told.

use crate::catalogue::{self, Types};
use crate::config::Config;
use crate::pgoutput::{Captured, Decoder, Place, Relation};
use crate::server_error::quoted;
use crate::{ConnectOptions, Connection, Replication};
use bytes::Bytes;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tracing::info;
use weir_api::{Error, Limit, Poll, Position};
use weir_model::Window;

/// The stream of a slot, into windows.
pub struct Streaming {
    replication: Replication<Connection>,
    decoder: Decoder,
    /// bytes that came in and are not yet in a window
    buffer: Vec<u8>,
    /// the last window's buffer, when nobody held it any more
    spare: Vec<u8>,
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
}

/// Room for what a read brings.
const BUFFER: usize = 1 << 20;

pub fn of_place(p: Place) -> Position {
    Position([p.complete, p.within, p.rows, p.last_commit])
}

pub fn now_ns() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_nanos() as i64)
}

// === impl Streaming ===

impl Streaming {
    /// `floor`: what was committed before is in the snapshot.
    pub fn begin(replication: Connection, place: Place, floor: u64, config: &Config) -> Result<Streaming, Error> {
        let publications = quoted(&config.publication);
        let mut options = vec![("proto_version", "1"), ("publication_names", publications.as_str())];
        options.extend(config.stream.options());
        let start = place.complete;
        let replication = replication.into_replication(&config.slot, start, &options)?;
        info!(slot = config.slot, lsn = start, "streaming");
        let connect = config.connect.clone();
        Ok(Streaming {
            replication,
            decoder: Decoder::new(place, floor, config.skipped),
            buffer: Vec::with_capacity(BUFFER),
            spare: Vec::new(),
            catalogue: Catalogue { options: connect, session: None },
            confirmed: start,
            told: Instant::now(),
            interval: config.status_interval,
        })
    }

    /// Reads only what was committed before.
    pub fn up_to(mut self, ceiling: u64) -> Streaming {
        self.decoder.ceiling = Some(ceiling);
        self
    }

    /// Where reading ended that goes [`Streaming::up_to`] some point; None: there is more to read.
    pub fn reached(&self) -> Option<Place> {
        self.decoder.has_reached.then_some(self.decoder.place)
    }

    pub fn poll(&mut self, wait: Duration, limit: Limit, window: &mut Window, config: &Config) -> Result<Poll, Error> {
        self.take_back(window);
        let came = self.replication.read(&mut self.buffer, wait)?;
        // under load what has come in is more than one read: take what is there, up to a window
        let mut more = came;
        while more > 0 && self.buffer.len() < limit.bytes {
            more = self.replication.read_more(&mut self.buffer)?;
        }
        if self.told.elapsed() >= self.interval {
            self.tell()?;
        }
        if self.buffer.is_empty() {
            return Ok(Poll::Idle(None));
        }
        let before = self.decoder.place.complete;
        let Streaming { decoder, buffer, spare, catalogue, .. } = self;
        let mut describe = |relation: Relation| catalogue.describe(relation, config);
        let taken = decoder.decode(buffer, window, limit, now_ns(), &mut describe)?;
        if window.is_empty() {
            window.batches.clear();
            buffer.drain(..taken);
        } else {
            let mut next = std::mem::take(spare);
            next.reserve(BUFFER);
            next.extend_from_slice(buffer.get(taken..).unwrap_or_default());
            let mut wire = std::mem::replace(buffer, next);
            wire.truncate(taken);
            decoder.seal(window, Bytes::from(wire));
        }
        if self.decoder.reply {
            self.decoder.reply = false;
            self.tell()?;
        }
        let place = self.decoder.place;
        match window.is_empty() {
            false => Ok(Poll::Window(Some(of_place(place)))),
            true if place.complete > before && self.decoder.is_between() => Ok(Poll::Idle(Some(of_place(place)))),
            true => Ok(Poll::Idle(None)),
        }
    }

    /// The buffer of the last window, if nobody holds it any more, and its batches.
    fn take_back(&mut self, window: &mut Window) {
        let mut wire = window.batches.first_mut().map(|b| std::mem::take(&mut b.wire));
        window.batches.iter_mut().for_each(|b| b.wire = Bytes::new());
        if let Some(Ok(old)) = wire.take().map(Bytes::try_into_mut) {
            self.spare = Vec::from(old.freeze());
            self.spare.clear();
        }
        self.decoder.recycle(&mut window.batches);
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
        let captured = config.naming.changes(relation, &info, &types);
        self.session = Some((connection, types));
        Ok(Some(captured))
    }
}
