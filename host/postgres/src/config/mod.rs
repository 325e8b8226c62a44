//! Settings as the source works with them.

pub mod snapshot;

use crate::handling::Handling;
use crate::in_progress::{Bounds, spill};
use crate::keys::KEYS;
use crate::pgoutput::Skipped;
use crate::publication::Autocreate;
use crate::stream_options::{self, StreamOptions};
use crate::table::{ColumnFilter, KeyColumns, Naming};
use crate::{ConnectOptions, SslMode};
use snapshot::SnapshotOptions;
use std::time::Duration;
use weir_api::{Error, Settings};
use weir_cdc::{Adjust, Context, Envelope, Patterns, TableFilter};

#[derive(Clone)]
pub struct Config {
    pub connect: ConnectOptions,
    pub slot: String,
    pub drop_slot: bool,
    /// standbys keep the slot
    pub failover: bool,
    pub publication: String,
    pub autocreate: Autocreate,
    pub via_root: bool,
    pub status_interval: Duration,
    pub snapshot: SnapshotOptions,
    pub filter: TableFilter,
    pub skipped: Skipped,
    pub naming: Naming,
    pub stream: StreamOptions,
    /// how transactions in progress are held; None: they come when they are committed
    pub in_progress: Option<Bounds>,
    /// where spill files may lie
    pub spill: Option<spill::Place>,
    /// bytes of log kept for the slot that people are told of; 0: none
    pub wal_alert: u64,
    /// how long a slot that another reader has is waited for; None: for ever
    pub patience: Option<Duration>,
}

// === impl Config ===

impl Config {
    pub fn parse(settings: &Settings) -> Result<Config, Error> {
        let text = |key: &str| settings.text(&KEYS, key).map(str::trim).filter(|t| !t.is_empty());
        let required = |key: &str| settings.required(&KEYS, key).map(|t| t.trim().to_string());
        let patterns = |key: &str| text(key).map(|list| parse_list(key, list)).transpose();
        let connect = connect(settings)?;
        let prefix = required("topic.prefix")?;
        let context = settings.flag(&KEYS, "extended.headers.enabled")?.then(|| Context::new(&prefix, "postgresql"));
        let mut envelope = Envelope::new(context);
        envelope.tombstones = settings.flag(&KEYS, "tombstones.on.delete")?;
        envelope.unavailable = text("unavailable.value.placeholder").unwrap_or_default().into();
        let adjust = |key: &str| {
            let word = text(key).unwrap_or("none");
            Adjust::parse(word).ok_or_else(|| {
                Error::input("config.not-allowed", format!("`{key}` cannot be \"{word}\""))
                    .help("one of: none, avro, avro_unicode")
            })
        };
        envelope.schema_names = adjust("schema.name.adjustment.mode")?;
        envelope.field_names = adjust("field.name.adjustment.mode")?;
        let columns =
            ColumnFilter { include: patterns("column.include.list")?, exclude: patterns("column.exclude.list")? };
        let autocreate = Autocreate::parse(text("publication.autocreate.mode").unwrap_or_default());
        let slot = slot_name(required("slot.name")?)?;
        let stream = StreamOptions::parse(text(stream_options::KEY).unwrap_or_default())?;
        let naming = Naming {
            prefix,
            database: connect.database.clone(),
            envelope,
            columns,
            keys: KeyColumns::parse(text(KeyColumns::KEY).unwrap_or_default())?,
            delimiter: text("topic.delimiter").unwrap_or(".").into(),
            handling: Handling::parse(settings)?,
            binary: stream.binary,
        };
        let spill = text("stream.spill.directory").map(|d| spill::Place { directory: d.into(), slot: slot.clone() });
        let in_progress = settings.flag(&KEYS, "stream.in.progress")?;
        let memory = settings.number(&KEYS, "stream.memory.bytes")?.unwrap_or_default();
        let memory = usize::try_from(memory)
            .map_err(|_| Error::input("config.wrong-type", "`stream.memory.bytes` cannot be negative"))?;
        let most = Duration::from_secs(10);
        Ok(Config {
            slot,
            drop_slot: settings.flag(&KEYS, "slot.drop.on.stop")?,
            failover: settings.flag(&KEYS, "slot.failover")?,
            publication: required("publication.name")?,
            autocreate: autocreate.unwrap_or(Autocreate::AllTables),
            via_root: settings.flag(&KEYS, "publish.via.partition.root")?,
            status_interval: settings.millis(&KEYS, "status.update.interval.ms")?.unwrap_or(most).min(most),
            snapshot: SnapshotOptions::parse(settings)?,
            filter: TableFilter {
                schemas: patterns("schema.include.list")?,
                schemas_out: patterns("schema.exclude.list")?,
                tables: patterns("table.include.list")?,
                tables_out: patterns("table.exclude.list")?,
            },
            skipped: skipped(&settings.list(&KEYS, "skipped.operations"))?,
            naming,
            stream,
            in_progress: spill.clone().filter(|_| in_progress).map(|place| Bounds { memory, place }),
            spill,
            wal_alert: settings.number(&KEYS, "slot.wal.alert.bytes")?.and_then(|n| u64::try_from(n).ok()).unwrap_or(0),
            patience: patience(settings)?,
            connect,
        })
    }
}

/// Debezium tries so often, with so long between two tries, and then fails. Here the task's back-off sets the pauses.
fn patience(settings: &Settings) -> Result<Option<Duration>, Error> {
    let tries = settings.number(&KEYS, "slot.max.retries")?.and_then(|n| u32::try_from(n).ok());
    let pause = settings.millis(&KEYS, "slot.retry.delay.ms")?.unwrap_or_default();
    Ok(tries.map(|n| pause.saturating_mul(n)))
}

/// Parted by `;`; `;;` is one.
fn statements(text: &str) -> Vec<String> {
    let parted = text.replace(";;", "\0");
    let parts = parted.split(';').map(|s| s.trim().replace('\0', ";"));
    parts.filter(|s| !s.is_empty()).collect()
}

fn parse_list(key: &str, list: &str) -> Result<Patterns, Error> {
    Patterns::parse(list).map_err(|e| {
        Error::input("config.pattern", format!("`{key}`: `{}` is not a regular expression", e.pattern)).help(e.reason)
    })
}

fn slot_name(name: String) -> Result<String, Error> {
    let fits = (1..=63).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
    match fits {
        true => Ok(name),
        false => Err(Error::input("postgres.slot-name", format!("`{name}` cannot be a slot's name"))
            .help("slot.name takes 1 to 63 lower case letters, digits and underscores")),
    }
}

fn skipped(list: &[&str]) -> Result<Skipped, Error> {
    let mut s = Skipped { create: false, update: false, delete: false, truncate: false };
    for op in list {
        match *op {
            "c" => s.create = true,
            "u" => s.update = true,
            "d" => s.delete = true,
            "t" => s.truncate = true,
            "r" | "none" => {}
            other => {
                return Err(Error::input(
                    "config.not-allowed",
                    format!("`skipped.operations` cannot hold \"{other}\""),
                )
                .help("some of c, u, d, t; or none"));
            }
        }
    }
    Ok(s)
}

fn connect(settings: &Settings) -> Result<ConnectOptions, Error> {
    let text = |key: &str| settings.text(&KEYS, key).map(str::trim).filter(|t| !t.is_empty());
    let mut options = match text("url") {
        Some(url) => of_url(url)?,
        None => {
            ConnectOptions { host: String::new(), user: String::new(), database: String::new(), ..Default::default() }
        }
    };
    let path = |key: &str| text(key).map(std::path::PathBuf::from);
    if let (true, Some(port)) =
        (settings.values.contains_key("database.port"), settings.number(&KEYS, "database.port")?)
    {
        options.port =
            u16::try_from(port).map_err(|_| Error::input("config.wrong-type", "`database.port` is no port"))?
    }
    if let Some(hosts) = text("database.hostname") {
        let wrong = || Error::input("config.not-allowed", "`database.hostname` has a port that is none");
        servers(hosts, &mut options).ok_or_else(wrong)?
    }
    if let Some(user) = text("database.user") {
        options.user = user.into()
    }
    if let Some(password) = settings.text(&KEYS, "database.password") {
        options.password = Some(password.into())
    }
    if let Some(database) = text("database.dbname") {
        options.database = database.into()
    }
    for (key, value) in
        [("database.hostname", &options.host), ("database.user", &options.user), ("database.dbname", &options.database)]
    {
        if value.is_empty() {
            return Err(Error::input("config.missing", format!("`{key}` must be set")).help("or `url`"));
        }
    }
    if settings.values.contains_key("database.sslmode") || text("url").is_none() {
        options.sslmode = text("database.sslmode").unwrap_or("prefer").to_ascii_lowercase().parse::<SslMode>()?
    }
    options.sslrootcert = path("database.sslrootcert").or(options.sslrootcert);
    options.sslcert = path("database.sslcert").or(options.sslcert);
    options.sslkey = path("database.sslkey").or(options.sslkey);
    options.tcp_keepalive = settings.flag(&KEYS, "database.tcpKeepAlive")?;
    options.application_name = "weir".into();
    options.initial = statements(text("database.initial.statements").unwrap_or_default());
    Ok(options)
}

/// `postgres://user:password@host:port/database?sslmode=…`
fn of_url(url: &str) -> Result<ConnectOptions, Error> {
    let wrong = || Error::input("postgres.url", "`url` is not of the form postgres://user:password@host:port/database");
    let rest = url.strip_prefix("postgres://").or_else(|| url.strip_prefix("postgresql://")).ok_or_else(wrong)?;
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (authority, database) = rest.split_once('/').ok_or_else(wrong)?;
    let (login, place) = authority.rsplit_once('@').unwrap_or(("postgres", authority));
    let (user, password) = login.split_once(':').map_or((login, None), |(u, p)| (u, Some(p)));
    let mut options = ConnectOptions {
        user: decoded(user),
        password: password.map(decoded),
        database: decoded(database),
        ..Default::default()
    };
    servers(place, &mut options).ok_or_else(wrong)?;
    for (key, value) in query.split('&').filter_map(|p| p.split_once('=')) {
        match key {
            "sslmode" => options.sslmode = value.parse()?,
            "sslrootcert" => options.sslrootcert = Some(decoded(value).into()),
            "host" => servers(value, &mut options).ok_or_else(wrong)?,
            _ => return Err(Error::input("postgres.url", format!("`url` has an unknown parameter `{key}`"))),
        }
    }
    Ok(options)
}

/// `host`, `host:port`, `[address]:port`, or several, parted by commas; where no port is said it is that of `options`.
fn servers(text: &str, options: &mut ConnectOptions) -> Option<()> {
    let server = |text: &str| {
        let text = text.trim();
        let (host, port) = match text.rsplit_once(':') {
            // an address with colons and without brackets has no port
            Some((host, port)) if !port.contains(']') && (host.ends_with(']') || !host.contains(':')) => {
                (host, port.parse().ok()?)
            }
            _ => (text, options.port),
        };
        Some((decoded(host.trim_matches(['[', ']'])), port))
    };
    let mut all = text.split(',').map(server).collect::<Option<Vec<_>>>()?.into_iter();
    (options.host, options.port) = all.next()?;
    options.others = all.collect();
    Some(())
}

/// `%40` → `@`
fn decoded(text: &str) -> String {
    let mut out = vec![];
    let mut bytes = text.bytes();
    while let Some(b) = bytes.next() {
        let hex = (b == b'%').then(|| {
            let mut digit = || bytes.next().and_then(|b| (b as char).to_digit(16));
            Some((digit()? << 4 | digit()?) as u8)
        });
        out.push(hex.flatten().unwrap_or(b));
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_says_it_all() {
        let o = of_url("postgres://we%40ir:pa:ss@db.example:5433/shop?sslmode=require").unwrap();
        assert_eq!(
            (o.host.as_str(), o.port, o.user.as_str(), o.database.as_str()),
            ("db.example", 5433, "we@ir", "shop")
        );
        assert_eq!(o.password.as_deref(), Some("pa:ss"));
        assert_eq!(o.sslmode, SslMode::Require);
        assert_eq!(of_url("mysql://x").unwrap_err().code(), "postgres.url");
        assert_eq!(of_url("postgres://a:x/shop").unwrap_err().code(), "postgres.url");
    }

    #[test]
    fn a_cluster_has_several_servers() {
        let at = |o: &ConnectOptions| {
            let one = |o: ConnectOptions| format!("{} {}", o.host, o.port);
            o.each().map(one).collect::<Vec<_>>()
        };
        let o = of_url("postgres://weir@db1,db2:5433,[::1]:5434/shop").unwrap();
        assert_eq!(at(&o), ["db1 5432", "db2 5433", "::1 5434"]);
        let o = of_url("postgres://weir@/shop?host=%2Ftmp%2Fa,%2Ftmp%2Fb").unwrap();
        assert_eq!(at(&o), ["/tmp/a 5432", "/tmp/b 5432"]);
        // as pgjdbc reads them
        for (hosts, wanted) in [
            ("db1", &["db1 6000"][..]),
            ("db1, db2:5433", &["db1 6000", "db2 5433"]),
            ("::1", &["::1 6000"]),
            ("/var/run/postgresql", &["/var/run/postgresql 6000"]),
        ] {
            let keys = [("database.user", "weir"), ("database.dbname", "shop"), ("database.port", "6000")];
            let settings = Settings::new(keys.into_iter().chain([("database.hostname", hosts)]));
            assert_eq!(at(&connect(&settings).unwrap()), wanted);
        }
    }

    #[test]
    fn statements_are_parted_by_semicolons() {
        assert_eq!(statements("SET a = 1; SELECT ';;' ;"), ["SET a = 1", "SELECT ';'"]);
        assert!(statements(" ; ").is_empty());
    }

    #[test]
    fn slots_have_narrow_names() {
        assert!(slot_name("weir_1".into()).is_ok());
        assert_eq!(slot_name("Weir".into()).unwrap_err().code(), "postgres.slot-name");
    }
}
