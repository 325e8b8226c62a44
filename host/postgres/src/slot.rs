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

/// The slot is there, and of no use any more.
pub const LOST: &str = "postgres.slot-lost";

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

/// On a replication connection. `export`: hold a snapshot for others to import.
pub fn create(connection: &mut Connection, name: &str, export: bool, temporary: bool) -> Result<Created, Error> {
    let temporary = if temporary { " TEMPORARY" } else { "" };
    let snapshot = if export { "EXPORT_SNAPSHOT" } else { "NOEXPORT_SNAPSHOT" };
    let name = crate::server_error::quoted(name);
    let rows =
        connection.simple_query(&format!("CREATE_REPLICATION_SLOT {name}{temporary} LOGICAL pgoutput {snapshot}"))?;
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
}
