//! What `snapshot.mode` and its companions say.

use super::parse_list;
use crate::keys::KEYS;
use std::collections::HashMap;
use std::time::Duration;
use weir_api::{Error, Finding, Settings};
use weir_cdc::Patterns;

/// `snapshot.mode`, as the questions it answers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SnapshotMode {
    /// rows are read where no offset is stored
    pub first: bool,
    /// and at every start
    pub always: bool,
    /// and where the log from the stored offset on is gone
    pub when_lost: bool,
    /// changes follow
    pub streams: bool,
}

/// `snapshot.tables.order.by.row.count`
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Order {
    Name,
    Ascending,
    Descending,
}

#[derive(Clone, Debug)]
pub struct SnapshotOptions {
    pub mode: SnapshotMode,
    /// sessions that read
    pub threads: usize,
    /// `snapshot.include.collection.list`; None: every captured table
    pub tables: Option<Patterns>,
    /// the user's own statements, by "schema.table"
    pub statements: HashMap<String, String>,
    pub order: Order,
    /// every table is held against what would write it anew, from the beginning
    pub lock: bool,
    pub lock_timeout: Duration,
}

pub const STATEMENTS: &str = "snapshot.select.statement.overrides";

// === impl SnapshotMode ===

impl SnapshotMode {
    fn parse(settings: &Settings) -> Result<SnapshotMode, Error> {
        let flag = |name: &str| settings.flag(&KEYS, &format!("snapshot.mode.configuration.based.{name}"));
        let initial = SnapshotMode { first: true, always: false, when_lost: false, streams: true };
        let mode = settings.text(&KEYS, "snapshot.mode").unwrap_or_default().trim().to_ascii_lowercase();
        Ok(match mode.as_str() {
            "initial_only" => SnapshotMode { streams: false, ..initial },
            "no_data" | "never" | "schema_only" => SnapshotMode { first: false, ..initial },
            "always" => SnapshotMode { always: true, ..initial },
            "when_needed" => SnapshotMode { when_lost: true, ..initial },
            "configuration_based" => {
                let data = flag("snapshot.data")?;
                let (when_lost, streams) = (flag("snapshot.on.data.error")?, flag("start.stream")?);
                SnapshotMode { first: data, always: data, when_lost, streams }
            }
            _ => initial,
        })
    }
}

// === impl SnapshotOptions ===

impl SnapshotOptions {
    pub fn parse(settings: &Settings) -> Result<SnapshotOptions, Error> {
        let text = |key: &str| settings.text(&KEYS, key).map(str::trim).filter(|t| !t.is_empty());
        let key = "snapshot.include.collection.list";
        let threads = settings.number(&KEYS, "snapshot.max.threads")?.unwrap_or(1);
        let threads = usize::try_from(threads).ok().filter(|n| (1..=64).contains(n)).ok_or_else(|| {
            Error::input("config.not-allowed", format!("`snapshot.max.threads` cannot be {threads}")).help("1 to 64")
        })?;
        let order = match text("snapshot.tables.order.by.row.count").map(str::to_ascii_lowercase).as_deref() {
            Some("ascending") => Order::Ascending,
            Some("descending") => Order::Descending,
            _ => Order::Name,
        };
        Ok(SnapshotOptions {
            mode: SnapshotMode::parse(settings)?,
            threads,
            tables: text(key).map(|list| parse_list(key, list)).transpose()?,
            statements: statements(settings),
            order,
            lock: text("snapshot.locking.mode").is_some_and(|m| m.eq_ignore_ascii_case("shared")),
            lock_timeout: settings.millis(&KEYS, "snapshot.lock.timeout.ms")?.unwrap_or_default(),
        })
    }
}

/// Tables whose rows are selected by a statement of the user's, with it, or with nothing where it is missing.
fn overridden(settings: &Settings) -> impl Iterator<Item = (&str, Option<&str>)> {
    let statement = |table| settings.values.get(&format!("{STATEMENTS}.{table}")).map(|s| s.trim());
    let list = settings.list(&KEYS, STATEMENTS).into_iter();
    list.map(move |table| (table, statement(table).filter(|s| !s.is_empty())))
}

fn statements(settings: &Settings) -> HashMap<String, String> {
    overridden(settings).filter_map(|(table, s)| Some((table.replace('"', ""), s?.to_owned()))).collect()
}

/// Tables and statements that do not find each other.
pub fn check(settings: &Settings) -> Vec<Finding> {
    let missing = overridden(settings).filter(|(_, s)| s.is_none()).map(|(table, _)| {
        let message = format!("`{STATEMENTS}` names `{table}`, which has no statement: all its rows are read");
        Finding::warning("config.missing", message).key(STATEMENTS).help(format!("set `{STATEMENTS}.{table}`"))
    });
    let named: Vec<_> = settings.list(&KEYS, STATEMENTS);
    let prefix = format!("{STATEMENTS}.");
    let unused = settings.values.keys().filter_map(|key| Some((key, key.strip_prefix(&prefix)?)));
    let unused = unused.filter(|(_, table)| !named.contains(table)).map(|(key, table)| {
        let message = format!("`{key}` has no effect: `{STATEMENTS}` does not name `{table}`");
        Finding::warning("config.no-effect", message).key(key).help(format!("add `{table}` to `{STATEMENTS}`"))
    });
    missing.chain(unused).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(values: &[(&str, &str)]) -> SnapshotMode {
        SnapshotOptions::parse(&Settings::new(values.iter().copied())).unwrap().mode
    }

    #[test]
    fn modes_are_what_debezium_says_they_are() {
        let answers = |m: SnapshotMode| (m.first, m.always, m.when_lost, m.streams);
        for (name, expected) in [
            ("initial", (true, false, false, true)),
            ("initial_only", (true, false, false, false)),
            ("no_data", (false, false, false, true)),
            ("never", (false, false, false, true)),
            ("ALWAYS", (true, true, false, true)),
            ("when_needed", (true, false, true, true)),
            ("configuration_based", (false, false, false, false)),
        ] {
            assert_eq!(answers(mode(&[("snapshot.mode", name)])), expected, "{name}");
        }
        let based = |name: &'static str| {
            let key = format!("snapshot.mode.configuration.based.{name}");
            answers(mode(&[("snapshot.mode", "configuration_based"), (&key, "true")]))
        };
        assert_eq!(based("snapshot.data"), (true, true, false, false));
        assert_eq!(based("start.stream"), (false, false, false, true));
        assert_eq!(based("snapshot.on.data.error"), (false, false, true, false));
    }

    #[test]
    fn statements_and_their_tables_must_find_each_other() {
        let settings = Settings::new([
            (STATEMENTS, "public.a, public.b"),
            ("snapshot.select.statement.overrides.public.a", "SELECT * FROM a WHERE id > 1"),
            ("snapshot.select.statement.overrides.public.c", "SELECT * FROM c"),
        ]);
        assert_eq!(statements(&settings).into_keys().collect::<Vec<_>>(), ["public.a"]);
        let found: Vec<_> = check(&settings).iter().map(|f| f.message.clone()).collect();
        assert_eq!(found.len(), 2);
        assert!(found[0].contains("`public.b`, which has no statement"), "{found:?}");
        assert!(found[1].contains("does not name `public.c`"), "{found:?}");
    }
}
