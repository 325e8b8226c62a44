//! What of a snapshot consumers have: it lasts in the offset, so that a snapshot that was cut off is not read from its beginning.
//!
//! Invariant 3: it stands beside the position up to which they have the changes, too. What they have of the snapshot is as of
//! that position; what is read later is as of the later snapshot's, and the changes between the two are sent before.

use super::Part;
use serde::{Deserialize, Serialize};
use weir_api::Position;

#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Finished {
    /// "schema.table"
    pub tables: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reading: Option<Reading>,
    /// rows of all this
    pub rows: u64,
}

/// A table of which consumers have the first blocks.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Reading {
    pub table: String,
    /// its file: where that has changed the table was written anew, and its blocks hold other rows
    pub file: u32,
    pub blocks: u32,
}

/// A snapshot's way, for as long as its positions may be stored.
#[derive(Debug)]
pub struct Way {
    lsn: u64,
    before: Finished,
    parts: Vec<Part>,
    /// rows so far behind each part
    rows: Vec<u64>,
}

// === impl Finished ===

impl Finished {
    pub fn has(&self, table: &str) -> bool {
        self.tables.iter().any(|t| t == table)
    }

    /// The first block of a table that consumers do not have.
    pub fn beginning(&self, table: &str, file: u32) -> u32 {
        self.reading.as_ref().filter(|r| r.table == table && r.file == file).map_or(0, |r| r.blocks)
    }
}

// === impl Way ===

impl Way {
    pub fn new(lsn: u64, before: Finished, parts: Vec<Part>) -> Way {
        Way { lsn, before, parts, rows: vec![] }
    }

    pub fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// Rows that an earlier snapshot has sent.
    pub fn rows_before(&self) -> u64 {
        self.before.rows
    }

    /// How many parts consumers will have, and with how many rows.
    pub fn advance(&mut self, parts: usize, rows: u64) {
        self.rows.resize(parts, self.before.rows + rows);
    }

    /// The position behind so many parts; None: behind the whole snapshot, which is beyond all of them.
    pub fn position(&self, parts: Option<usize>, last_commit: u64) -> Position {
        let parts = parts.unwrap_or(self.parts.len() + 1);
        Position([self.lsn, 0, parts as u64, last_commit])
    }

    /// What consumers have at a position; None: the whole snapshot.
    pub fn finished(&self, position: &Position) -> Option<Finished> {
        match position.0 {
            // among the changes that come before the snapshot
            [lsn, ..] if lsn < self.lsn => Some(self.before.clone()),
            [lsn, 0, parts, _] if lsn == self.lsn => self.behind(usize::try_from(parts).ok()?),
            _ => None,
        }
    }

    fn behind(&self, count: usize) -> Option<Finished> {
        let (Some(done), false) = (self.parts.get(..count), count == 0) else {
            return (count == 0).then(|| self.before.clone());
        };
        let mut tables = self.before.tables.clone();
        tables.extend(done.iter().filter(|p| p.is_last_of_table).map(|p| p.table.name()));
        let reading = done.last().filter(|p| !p.is_last_of_table).and_then(|p| {
            let (file, blocks) = (p.table.heap?.file, p.blocks?.to?);
            Some(Reading { table: p.table.name(), file, blocks })
        });
        let rows = self.rows.get(count - 1).copied().unwrap_or(self.before.rows);
        Some(Finished { tables, reading, rows })
    }
}
