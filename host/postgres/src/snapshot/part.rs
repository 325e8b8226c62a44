//! What one `COPY` reads: a table, or some of its blocks.

use super::Finished;
use crate::catalogue::{Heap, TableInfo};
use std::sync::Arc;

/// A table above two of these is read in parts, so that a restart goes on within it, and several sessions can read it.
pub const PART_BLOCKS: u32 = 1024;

/// A table that is to be read.
#[derive(Debug)]
pub struct Table {
    pub info: TableInfo,
    /// None: it has no blocks of its own
    pub heap: Option<Heap>,
    /// its own statement, where the user has one
    pub statement: Option<String>,
}

#[derive(Clone, Debug)]
pub struct Part {
    pub table: Arc<Table>,
    /// None: the whole table, or what a statement selects
    pub blocks: Option<Blocks>,
    pub is_last_of_table: bool,
}

/// Blocks of a heap, from `from` to before `to`; None: to wherever it ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Blocks {
    pub from: u32,
    pub to: Option<u32>,
}

// === impl Table ===

impl Table {
    /// "schema.table"
    pub fn name(&self) -> String {
        format!("{}.{}", self.info.schema, self.info.table)
    }
}

// === impl Blocks ===

impl Blocks {
    /// As a condition; the planner makes a range scan of it.
    pub fn condition(&self) -> String {
        let from = format!("ctid >= '({},0)'::tid", self.from);
        match self.to {
            Some(to) => format!("{from} AND ctid < '({to},0)'::tid"),
            None => from,
        }
    }
}

/// Parts of the tables, but for those that consumers have.
pub fn parts(tables: Vec<Table>, finished: &Finished) -> Vec<Part> {
    tables.into_iter().filter(|t| !finished.has(&t.name())).flat_map(|t| of_table(t, finished)).collect()
}

fn of_table(table: Table, finished: &Finished) -> Vec<Part> {
    let table = Arc::new(table);
    let heap = table.heap.filter(|h| h.blocks > 2 * PART_BLOCKS && table.statement.is_none());
    let Some(heap) = heap else {
        return vec![Part { table, blocks: None, is_last_of_table: true }];
    };
    let begun = finished.beginning(&table.name(), heap.file);
    // blocks that were added since the snapshot hold no row of it, and those that were added since the size was taken none either;
    // the last part is open all the same, for a size is no promise
    let starts: Vec<u32> = (begun..heap.blocks.max(begun + 1)).step_by(PART_BLOCKS as usize).collect();
    let part = |(i, from): (usize, &u32)| {
        let to = starts.get(i + 1).copied();
        Part { table: table.clone(), blocks: Some(Blocks { from: *from, to }), is_last_of_table: to.is_none() }
    };
    starts.iter().enumerate().map(part).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn table(blocks: u32) -> Table {
        let heap = Some(Heap { file: 7, blocks });
        let (schema, table) = ("s".into(), "t".into());
        Table {
            info: TableInfo { oid: 1, schema, table, columns: vec![], key: vec![], rows: None },
            heap,
            statement: None,
        }
    }

    fn blocks(parts: &[Part]) -> Vec<Option<(u32, Option<u32>)>> {
        parts.iter().map(|p| p.blocks.map(|b| (b.from, b.to))).collect()
    }

    #[test]
    fn small_tables_and_statements_are_read_as_a_whole() {
        assert_eq!(blocks(&parts(vec![table(2 * PART_BLOCKS)], &Finished::default())), [None]);
        let own = Table { statement: Some("SELECT 1".into()), ..table(1 << 20) };
        assert_eq!(blocks(&parts(vec![own], &Finished::default())), [None]);
        let read = Finished { tables: vec!["s.t".into()], ..Finished::default() };
        assert!(parts(vec![table(1)], &read).is_empty());
    }

    proptest! {
        /// Every block behind what was read is in exactly one part, and only the last part is open.
        #[test]
        fn parts_cover_a_table(blocks in 2 * PART_BLOCKS + 1..1 << 20, begun in 0u32..1 << 21, same_file: bool) {
            let reading = super::super::finished::Reading { table: "s.t".into(), file: if same_file { 7 } else { 8 }, blocks: begun };
            let finished = Finished { reading: Some(reading), ..Finished::default() };
            let parts = parts(vec![table(blocks)], &finished);
            let mut next = if same_file { begun } else { 0 };
            for (i, part) in parts.iter().enumerate() {
                let b = part.blocks.unwrap();
                prop_assert_eq!(b.from, next);
                prop_assert_eq!(b.to.is_none(), i + 1 == parts.len());
                prop_assert_eq!(b.to.is_none(), part.is_last_of_table);
                next = b.to.unwrap_or(blocks.max(next));
            }
            prop_assert!(!parts.is_empty());
        }
    }
}
