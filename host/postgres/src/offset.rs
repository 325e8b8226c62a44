//! What is stored of a place: offsets in Debezium's names, its own and ours.

use crate::pgoutput::Place;
use crate::slot::parse_lsn;
use crate::snapshot::Finished;
use weir_api::{Offset, Position};

/// What consumers have of a snapshot that is not complete. A text, for an offset of Connect's holds nothing but plain values.
const FINISHED: &str = "snapshot_finished";

/// `finished`: the position is within a snapshot.
pub fn write(position: &Position, finished: Option<&Finished>) -> Offset {
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
    if let Some(finished) = finished {
        offset.insert("snapshot".into(), "INITIAL".into());
        offset.insert("snapshot_completed".into(), false.into());
        if let Ok(text) = serde_json::to_string(finished) {
            offset.insert(FINISHED.into(), text.into());
        }
    }
    offset
}

/// The place of a stored offset; None: its snapshot is not complete.
pub fn place(offset: &Offset) -> Option<Place> {
    let snapshot = offset.get("snapshot").is_some_and(|v| v.as_bool() == Some(true) || v.is_string());
    match snapshot && offset.get("snapshot_completed").and_then(|v| v.as_bool()) != Some(true) {
        true => None,
        false => known(offset),
    }
}

/// What consumers have of a snapshot that is not complete.
pub fn finished(offset: &Offset) -> Option<Finished> {
    match place(offset) {
        Some(_) => None,
        None => serde_json::from_str(offset.get(FINISHED)?.as_str()?).ok(),
    }
}

/// What consumers have seen the changes up to: a stored offset of ours, or one that Debezium wrote (`lsn`, `lsn_commit`, `lsn_proc`).
pub fn known(offset: &Offset) -> Option<Place> {
    let number = |key: &str| offset.get(key).and_then(|v| v.as_u64().or_else(|| v.as_str().and_then(parse_lsn)));
    let complete = number("lsn_commit").or_else(|| number("lsn_proc")).or_else(|| number("lsn"))?;
    let (within, rows) = (number("lsn_within").unwrap_or(0), number("lsn_events_processed").unwrap_or(0));
    Some(Place { complete, within, rows, last_commit: number("lsn_last_commit").unwrap_or(0) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offset(json: &str) -> Offset {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn what_is_written_is_read() {
        for position in [[900, 0, 0, 800], [900, 950, 7, 800]] {
            let [complete, within, rows, last_commit] = position;
            let written = write(&Position(position), None);
            assert_eq!(place(&written), Some(Place { complete, within, rows, last_commit }));
        }
        let written = write(&Position([900, 0, 0, 0]), Some(&Finished::default()));
        assert_eq!((place(&written), finished(&written)), (None, Some(Finished::default())));
        assert_eq!(known(&written).map(|p| p.complete), Some(900));
    }

    #[test]
    fn offsets_of_debezium_are_read() {
        let streamed = r#"{"lsn_proc": 300, "lsn_commit": 200, "lsn": 300, "txId": 7, "ts_usec": 1}"#;
        assert_eq!(place(&offset(streamed)).map(|p| p.complete), Some(200));
        // a snapshot that is not over, as its releases wrote it
        for text in [
            r#"{"snapshot": true, "last_snapshot_record": false, "lsn": 300}"#,
            r#"{"snapshot": "INITIAL", "snapshot_completed": false, "lsn": 300}"#,
        ] {
            assert_eq!((place(&offset(text)), finished(&offset(text))), (None, None), "{text}");
        }
        assert_eq!(place(&offset("{}")), None);
    }
}
