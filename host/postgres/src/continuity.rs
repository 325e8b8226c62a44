//! Whether the stored offset, the slot, the server's log and the publication still fit together. Where they do not, changes are lost
//! to the stream, and to go on would lose them without a word: it is an error, or a new snapshot where that is wanted.

use crate::catalogue::literal;
use crate::pgoutput::Place;
use crate::server_error::ident;
use crate::slot::Slot;
use weir_api::Error;

const GONE: &str = "postgres.slot-gone";
const AHEAD: &str = "postgres.slot-ahead";
const BEYOND: &str = "postgres.offset-ahead";

const NEW_SNAPSHOT: &str =
    "`snapshot.mode = \"when_needed\"` takes a new snapshot by itself; or `weir offsets reset` the pipeline";

/// `end`: where the server's log ends, where that is known.
pub fn check(name: &str, stored: Place, slot: Option<&Slot>, end: Option<u64>) -> Result<(), Error> {
    let at = lsn_text(stored.complete);
    match (slot, end) {
        (None, _) => {
            let message = format!("there is a stored offset, but no replication slot `{name}` any more");
            Err(Error::environment(GONE, message).help(format!(
                "what was committed since {at} cannot be streamed. Somebody dropped the slot: {NEW_SNAPSHOT}. The server is a \
                 standby that was promoted: the same, or go back to the server that has the slot; from PostgreSQL 17 on \
                 `slot.failover` keeps it on standbys"
            )))
        }
        (Some(slot), _) if slot.confirmed > stored.complete => {
            let there = lsn_text(slot.confirmed);
            let message = format!("the replication slot `{name}` stands at {there}, ahead of the stored offset {at}");
            Err(Error::environment(AHEAD, message).help(format!(
                "another reader moved it, or it was made anew, and changes between the two are lost: {NEW_SNAPSHOT}, for a \
                 new snapshot"
            )))
        }
        (_, Some(end)) if stored.complete > end => {
            let message =
                format!("the stored offset {at} lies ahead of the end of the server's log, {}", lsn_text(end));
            Err(Error::environment(BEYOND, message).help(format!(
                "it was read from another server, or this one lost the end of its log in a failover or comes from a backup. Is \
                 it the right server? Then {NEW_SNAPSHOT}"
            )))
        }
        _ => Ok(()),
    }
}

/// Whether a new snapshot mends it.
pub fn is_lost(error: &Error) -> bool {
    [GONE, AHEAD, BEYOND].contains(&error.code())
}

/// Something was committed while there was no publication. The server looks at its catalogue as it was then: what is made since does
/// not help.
pub fn gap(slot: &str, publication: &str, is_there: bool) -> Error {
    let state = if is_there { "was not there" } else { "is gone" };
    let message = format!(
        "the publication `{publication}` {state}, and the server cannot send what was committed without it and waits in the slot `{slot}`"
    );
    let make = match is_there {
        true => String::new(),
        false => format!("CREATE PUBLICATION {} FOR …; then ", ident(publication)),
    };
    Error::environment("postgres.publication-gap", message).help(format!(
        "{make}SELECT pg_drop_replication_slot({}), and `weir offsets reset` the pipeline, for a new snapshot; `snapshot.mode = \
         \"when_needed\"` does both by itself",
        literal(slot)
    ))
}

fn lsn_text(lsn: u64) -> String {
    format!("{:X}/{:X}", lsn >> 32, lsn as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_offset_lies_between_the_slot_and_the_end_of_the_log() {
        let slot = |confirmed| Slot {
            plugin: "pgoutput".into(),
            active: false,
            active_pid: None,
            confirmed,
            wal_status: "reserved".into(),
        };
        let stored = Place { complete: 50, ..Place::default() };
        for (confirmed, end, code) in [
            (Some(50), Some(50), None),
            (Some(10), Some(99), None),
            (Some(10), None, None),
            (Some(51), Some(99), Some(AHEAD)),
            (Some(10), Some(49), Some(BEYOND)),
            (None, Some(99), Some(GONE)),
        ] {
            let result = check("s", stored, confirmed.map(slot).as_ref(), end);
            assert_eq!(result.as_ref().err().map(Error::code), code, "{confirmed:?} {end:?}");
            assert!(result.is_ok() || result.is_err_and(|e| is_lost(&e)));
        }
    }
}
