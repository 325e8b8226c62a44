//! The replication slot: looked at, made, dropped.

use crate::Connection;
use crate::catalogue::literal;
use weir_api::Error;

/// A slot as the server shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slot {
    pub plugin: String,
    pub active: bool,
    pub active_pid: Option<u32>,
    /// where the server may forget up to
    pub confirmed: u64,
    /// `reserved`, `extended`, `unreserved`, `lost`
    pub wal_status: String,
}

/// What creating a slot tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Created {
    /// everything committed before is in the snapshot, everything after in the stream
    pub consistent_point: u64,
    /// to be imported while the creating connection does nothing else
    pub snapshot: Option<String>,
}

/// A slot to be made.
#[derive(Clone, Copy, Debug, Default)]
pub struct New {
    /// hold a snapshot for others to import
    pub export: bool,
    /// it goes with its connection
    pub temporary: bool,
    /// standbys keep it, too
    pub failover: bool,
}

const FAILOVER_SINCE: u32 = 17;

/// The slot is there, and of no use any more.
pub const LOST: &str = "postgres.slot-lost";

// === impl New ===

impl New {
    fn command(&self, name: &str) -> String {
        let name = crate::server_error::quoted(name);
        let temporary = if self.temporary { " TEMPORARY" } else { "" };
        let options = match (self.failover, self.export) {
            // servers that know it take it in parentheses only
            (true, export) => format!("(SNAPSHOT '{}', FAILOVER)", if export { "export" } else { "nothing" }),
            (false, true) => "EXPORT_SNAPSHOT".into(),
            (false, false) => "NOEXPORT_SNAPSHOT".into(),
        };
        format!("CREATE_REPLICATION_SLOT {name}{temporary} LOGICAL pgoutput {options}")
    }
}

/// "16/B374D848" → its number.
pub fn parse_lsn(text: &str) -> Option<u64> {
    let (high, low) = text.split_once('/')?;
    Some(u64::from_str_radix(high, 16).ok()? << 32 | u64::from_str_radix(low, 16).ok()?)
}

/// None: there is no such slot.
pub fn look(connection: &mut Connection, name: &str) -> Result<Option<Slot>, Error> {
    let sql = format!(
        "SELECT plugin, active, active_pid, confirmed_flush_lsn, wal_status, database = current_database() \
         FROM pg_replication_slots WHERE slot_name = {}",
        literal(name)
    );
    let rows = connection.simple_query(&sql)?;
    let Some(row) = rows.first() else { return Ok(None) };
    let text = |i: usize| row.get(i).and_then(|f| f.as_deref()).unwrap_or_default();
    if text(5) == "f" {
        let message = format!("the replication slot `{name}` belongs to another database");
        return Err(Error::environment("postgres.slot-elsewhere", message).help("set `slot.name` to a name of its own"));
    }
    let slot = Slot {
        plugin: text(0).into(),
        active: text(1) == "t",
        active_pid: text(2).parse().ok(),
        confirmed: parse_lsn(text(3)).unwrap_or(0),
        wal_status: text(4).into(),
    };
    if slot.plugin != "pgoutput" {
        let message =
            format!("the replication slot `{name}` uses the plugin `{}`, and weir reads `pgoutput`", slot.plugin);
        return Err(Error::environment("postgres.slot-plugin", message)
            .help(format!("set another `slot.name`, or drop it: SELECT pg_drop_replication_slot({})", literal(name))));
    }
    if slot.wal_status == "lost" {
        let message = format!("the replication slot `{name}` has lost WAL that was not yet read");
        return Err(Error::environment(LOST, message).help(format!(
            "raise max_slot_wal_keep_size; then drop the slot (SELECT pg_drop_replication_slot({})), reset the \
             pipeline's offsets and take a new snapshot",
            literal(name)
        )));
    }
    Ok(Some(slot))
}

/// Where the server's log ends; None: it follows another server, and what it has not got yet may come.
pub fn end_of_log(connection: &mut Connection) -> Result<Option<u64>, Error> {
    let sql = "SELECT CASE WHEN NOT pg_is_in_recovery() THEN pg_current_wal_flush_lsn() END";
    let rows = connection.simple_query(sql)?;
    Ok(rows.first().and_then(|r| r.first()).and_then(|f| f.as_deref()).and_then(parse_lsn))
}

/// Standbys keep slots from a version on.
pub fn check_failover(failover: bool, major: u32) -> Result<(), Error> {
    if failover && major < FAILOVER_SINCE {
        let message = format!(
            "`slot.failover`: the server is PostgreSQL {major}, and standbys keep slots from {FAILOVER_SINCE} on"
        );
        return Err(Error::environment("postgres.version", message).help(
            "remove `slot.failover`, or upgrade the server; `snapshot.mode = \"when_needed\"` takes a new snapshot behind a failover",
        ));
    }
    Ok(())
}

/// Whether standbys keep the slot, which must be there.
pub fn is_kept(connection: &mut Connection, name: &str) -> Result<bool, Error> {
    let sql = format!("SELECT 1 FROM pg_replication_slots WHERE slot_name = {} AND failover", literal(name));
    Ok(!connection.simple_query(&sql)?.is_empty())
}

/// Lets standbys keep a slot that nobody reads. On a replication connection.
pub fn keep(connection: &mut Connection, name: &str) -> Result<(), Error> {
    let command = format!("ALTER_REPLICATION_SLOT {} (FAILOVER)", crate::server_error::quoted(name));
    connection.simple_query(&command).map(|_| ())
}

/// On a replication connection.
pub fn create(connection: &mut Connection, name: &str, new: New) -> Result<Created, Error> {
    let rows = connection.simple_query(&new.command(name))?;
    let row = rows.first();
    let text = |i: usize| row.and_then(|r| r.get(i)).and_then(|f| f.as_deref());
    let consistent_point = text(1).and_then(parse_lsn);
    let consistent_point = consistent_point
        .ok_or_else(|| Error::retry("postgres.protocol", "the server did not say where the new slot begins"))?;
    Ok(Created { consistent_point, snapshot: text(2).filter(|s| !s.is_empty()).map(String::from) })
}

pub fn drop(connection: &mut Connection, name: &str) -> Result<(), Error> {
    connection.simple_query(&format!("SELECT pg_drop_replication_slot({})", literal(name))).map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_are_read_as_the_server_prints_them() {
        assert_eq!(parse_lsn("16/B374D848"), Some(0x16_B374_D848));
        assert_eq!(parse_lsn("0/0"), Some(0));
        assert_eq!(parse_lsn("nonsense"), None);
    }

    #[test]
    fn slots_are_made_as_servers_take_it() {
        let command = |export, temporary, failover| New { export, temporary, failover }.command("s");
        for (command, options) in [
            (command(false, false, false), "LOGICAL pgoutput NOEXPORT_SNAPSHOT"),
            (command(true, false, false), "LOGICAL pgoutput EXPORT_SNAPSHOT"),
            (command(true, true, false), "TEMPORARY LOGICAL pgoutput EXPORT_SNAPSHOT"),
            (command(true, false, true), "LOGICAL pgoutput (SNAPSHOT 'export', FAILOVER)"),
            (command(false, false, true), "LOGICAL pgoutput (SNAPSHOT 'nothing', FAILOVER)"),
        ] {
            assert_eq!(command, format!("CREATE_REPLICATION_SLOT \"s\" {options}"));
        }
    }

    #[test]
    fn standbys_keep_slots_from_a_version_on() {
        assert!(check_failover(false, 14).is_ok() && check_failover(true, 17).is_ok());
        let error = check_failover(true, 16).unwrap_err();
        assert_eq!(error.code(), "postgres.version");
        assert!(error.message().contains("PostgreSQL 16") && error.message().contains("17"), "{error}");
    }
}
