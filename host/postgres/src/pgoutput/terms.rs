//! What the stream speaks of: relations, positions, transactions.

use crate::type_table::Wire;
use std::collections::HashSet;
use std::sync::Arc;
use weir_model::Stream;

/// A relation as the server describes it before its first row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Relation {
    pub oid: u32,
    pub schema: String,
    pub table: String,
    /// 'd', 'n', 'f', 'i'
    pub replica_identity: u8,
    pub columns: Vec<RelationColumn>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RelationColumn {
    pub name: String,
    /// part of the replica identity
    pub key: bool,
    pub type_oid: u32,
    pub modifier: i32,
    /// how its cells have come, once one has come in another form than was expected
    pub wire: Option<Wire>,
}

/// What the source makes of a relation.
#[derive(Clone, Debug)]
pub struct Captured {
    pub stream: Arc<Stream>,
    /// cells of the primary key, whose change makes a delete and a create of an update
    pub key: Vec<u16>,
    /// the form that each column's cells are read in: 't' or 'b'
    pub forms: Arc<[u8]>,
}

/// A position in the stream. Positions before it are behind us for good once it is stored.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Place {
    /// end of the last transaction that we have whole
    pub complete: u64,
    /// commit LSN of the transaction that we are in, or 0
    pub within: u64,
    /// rows of it that we have
    pub rows: u64,
    /// LSN of the last commit record, for `source.sequence`
    pub last_commit: u64,
}

/// A transaction that came before its commit.
#[derive(Clone, Debug, Default)]
pub struct Committed {
    pub id: u32,
    /// LSN of the commit record, and of what follows it
    pub commit: u64,
    pub end: u64,
    /// µs since the server's epoch
    pub time: u64,
    /// subtransactions of it that were rolled back
    pub aborted: HashSet<u32>,
}

/// Operations that are left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Skipped {
    pub create: bool,
    pub update: bool,
    pub delete: bool,
    pub truncate: bool,
}

/// Microseconds from 1970 to the server's epoch.
pub(super) const EPOCH_US: i64 = 946_684_800_000_000;
