//! A serialised record: where its bytes lie in a buffer that many records share.

use crate::Name;
use std::sync::Arc;

/// Where records of one layout go; worked out once a layout.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Route {
    pub topic: Name,
    /// names of the headers that every record of this route has, in order
    pub headers: Arc<[Name]>,
}

/// In the buffer: key `start..key`, value `key..value`, then the headers' values, whose ends are
/// `header_ends[headers..headers + route.headers.len()]`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Record {
    pub route: u16,
    /// bit 0: there is a key; bit 1: there is a value (a tombstone has none). Bits 8..: header i is null (i < 24).
    pub has: u32,
    pub start: u32,
    pub key: u32,
    pub value: u32,
    pub headers: u32,
    /// -1: the producer chooses
    pub partition: i32,
    /// ms since the epoch; i64::MIN: none
    pub timestamp: i64,
}

// === impl Record ===

impl Record {
    pub const KEY: u32 = 1;
    pub const VALUE: u32 = 2;
    pub const NO_TIMESTAMP: i64 = i64::MIN;
    /// The bit that says that header `i` is null. Headers from the 24th on cannot be null.
    pub const fn null_header(i: usize) -> u32 {
        if i < 24 { 1 << (8 + i) } else { 0 }
    }
}
