//! The publication: what the server sends at all.

use crate::Connection;
use crate::catalogue::{self, literal, qualified};
use crate::server_error::{ident, quoted};
use std::collections::BTreeSet;
use tracing::warn;
use weir_api::Error;
use weir_cdc::TableFilter;

/// People are shown so many names.
const MOST: usize = 10;

/// Schema and table.
type Name = (String, String);

/// There is no such publication.
pub const MISSING: &str = "postgres.publication-missing";

/// `publication.autocreate.mode`
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Autocreate {
    AllTables,
    /// the captured tables, no others; kept in step with the include lists
    Filtered,
    NoTables,
    Disabled,
}

/// What is published of the captured tables, looked at now and then: the server says nothing when a table is taken out.
pub struct Watched {
    publication: String,
    filter: TableFilter,
    before: BTreeSet<Name>,
}

// === impl Watched ===

impl Watched {
    pub fn new(publication: &str, filter: &TableFilter) -> Watched {
        Watched { publication: publication.into(), filter: filter.clone(), before: BTreeSet::new() }
    }

    pub fn look(&mut self, connection: &mut Connection) -> Result<(), Error> {
        if !exists(connection, &self.publication)? {
            return Ok(()); // the stream says so with the next change
        }
        let mut now = published(connection, &self.publication)?;
        now.retain(|(schema, table)| self.filter.takes(schema, table));
        let mut gone: Vec<_> = self.before.difference(&now).cloned().collect();
        if !gone.is_empty() {
            let there: BTreeSet<_> = catalogue::tables(connection)?.into_iter().collect();
            gone.retain(|t| there.contains(t));
        }
        tell(&self.publication, &gone);
        self.before = now;
        Ok(())
    }
}

// === impl Autocreate ===

impl Autocreate {
    pub fn parse(text: &str) -> Option<Self> {
        Some(match text.to_ascii_lowercase().as_str() {
            "all_tables" => Autocreate::AllTables,
            "filtered" => Autocreate::Filtered,
            "no_tables" => Autocreate::NoTables,
            "disabled" => Autocreate::Disabled,
            _ => return None,
        })
    }
}

/// Makes sure that the publication is there, and that it publishes the captured tables where we made it for them.
pub fn ensure(
    connection: &mut Connection,
    name: &str,
    mode: Autocreate,
    captured: &[Name],
    via_root: bool,
) -> Result<(), Error> {
    let found = connection
        .simple_query(&format!("SELECT puballtables FROM pg_publication WHERE pubname = {}", literal(name)))?;
    let all = found.first().and_then(|r| r.first()).and_then(|f| f.as_deref()).map(|f| f == "t");
    let list = captured.iter().map(|(s, t)| qualified(s, t)).collect::<Vec<_>>().join(", ");
    let root = if via_root { " WITH (publish_via_partition_root = true)" } else { "" };
    let name_sql = quoted(name);
    let sql = match (mode, all) {
        (Autocreate::Disabled, None) => {
            return Err(Error::environment(MISSING, format!("there is no publication `{name}`")).help(format!(
                "CREATE PUBLICATION {name_sql} FOR {}; or set `publication.autocreate.mode`",
                tables(captured)
            )));
        }
        (Autocreate::AllTables, None) => format!("CREATE PUBLICATION {name_sql} FOR ALL TABLES{root}"),
        (Autocreate::NoTables, None) => format!("CREATE PUBLICATION {name_sql}{root}"),
        (Autocreate::Filtered, _) if captured.is_empty() => {
            return Err(Error::environment("postgres.no-tables", "no table matches the include lists")
                .help("a filtered publication needs at least one table: look at `table.include.list`"));
        }
        (Autocreate::Filtered, None) => format!("CREATE PUBLICATION {name_sql} FOR TABLE {list}{root}"),
        (Autocreate::Filtered, Some(false)) => {
            let sql =
                format!("SELECT schemaname, tablename FROM pg_publication_tables WHERE pubname = {}", literal(name));
            let published: BTreeSet<Name> = pairs(connection.simple_query(&sql)?).into_iter().collect();
            let wanted: BTreeSet<Name> = captured.iter().cloned().collect();
            if published == wanted {
                return Ok(());
            }
            tell_added(name, wanted.difference(&published));
            format!("ALTER PUBLICATION {name_sql} SET TABLE {list}")
        }
        (_, Some(true)) => return Ok(()),
        (_, Some(false)) => return tell_unpublished(connection, name, captured),
    };
    tracing::info!(
        publication = name,
        "{}",
        if all.is_none() { "creating the publication" } else { "setting the publication's tables" }
    );
    connection.simple_query(&sql).map(|_| ()).map_err(|e| match e.code() {
        // of all tables only a superuser makes one, of some only their owner
        "postgres.right-missing" => Error::new(e.code(), e.cure(), e.message())
            .help(format!("let a superuser run: {sql}; where it exists, nothing has to be made")),
        _ => e,
    })
}

pub fn exists(connection: &mut Connection, name: &str) -> Result<bool, Error> {
    let sql = format!("SELECT 1 FROM pg_publication WHERE pubname = {}", literal(name));
    Ok(!connection.simple_query(&sql)?.is_empty())
}

/// What changed in a table before it was published is in no stream.
fn tell_added<'a>(publication: &str, added: impl Iterator<Item = &'a Name>) {
    let added: Vec<String> = added.map(|(schema, table)| format!("{schema}.{table}")).collect();
    if !added.is_empty() {
        let tables = added.iter().take(MOST).map(String::as_str).collect::<Vec<_>>().join(", ");
        let count = added.len();
        warn!(
            publication,
            count, "published from now on: {tables}; what changed in them before comes in a snapshot only"
        );
    }
}

/// What is captured and not published is read in a snapshot, and never changes: worth a line.
fn tell_unpublished(connection: &mut Connection, name: &str, captured: &[Name]) -> Result<(), Error> {
    let published = published(connection, name)?;
    let missing: Vec<_> = captured.iter().filter(|t| !published.contains(*t)).cloned().collect();
    tell(name, &missing);
    Ok(())
}

fn tell(publication: &str, missing: &[Name]) {
    if missing.is_empty() {
        return;
    }
    let (count, first) = (missing.len(), missing.get(..MOST).unwrap_or(missing));
    warn!(
        publication,
        code = "postgres.table-unpublished",
        "no change comes of {count} captured tables, which the publication does not publish: ALTER PUBLICATION {} ADD {}{}",
        ident(publication),
        tables(first),
        if count > MOST { ", …" } else { "" }
    );
}

/// Tables that it publishes, with their partitions and what they are partitions of.
fn published(connection: &mut Connection, name: &str) -> Result<BTreeSet<Name>, Error> {
    let sql = format!(
        "SELECT DISTINCT n.nspname, c.relname \
         FROM (SELECT to_regclass(format('%I.%I', schemaname, tablename)) AS oid FROM pg_publication_tables WHERE pubname = {}) p \
         CROSS JOIN LATERAL (SELECT p.oid AS relid UNION SELECT relid FROM pg_partition_tree(p.oid) \
         UNION SELECT relid FROM pg_partition_ancestors(p.oid)) t \
         JOIN pg_class c ON c.oid = t.relid JOIN pg_namespace n ON n.oid = c.relnamespace",
        literal(name)
    );
    Ok(pairs(connection.simple_query(&sql)?).into_iter().collect())
}

/// For people: what a publication of the captured tables is made of.
fn tables(captured: &[Name]) -> String {
    if captured.is_empty() || captured.len() > MOST {
        return "ALL TABLES".into();
    }
    let name = |(schema, table): &Name| format!("{}.{}", ident(schema), ident(table));
    format!("TABLE {}", captured.iter().map(name).collect::<Vec<_>>().join(", "))
}

fn pairs(rows: Vec<Vec<Option<String>>>) -> Vec<Name> {
    let pair = |row: Vec<Option<String>>| {
        let mut fields = row.into_iter().map(Option::unwrap_or_default);
        (fields.next().unwrap_or_default(), fields.next().unwrap_or_default())
    };
    rows.into_iter().map(pair).collect()
}
