//! Fields of messages: numbers, texts, tuples.

use super::{Relation, RelationColumn};
use weir_api::Error;
use weir_model::{AFTER, BEFORE, Cell, Row};

/// A message being read.
pub struct Reader<'a> {
    pub wire: &'a [u8],
    pub at: usize,
    pub end: usize,
    /// a cell came in another form than its column's cells are read in
    pub surprised: bool,
}

// === impl Reader ===

impl Reader<'_> {
    #[inline(always)]
    pub fn take<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        let bytes = self.wire.get(self.at..self.end).and_then(|w| w.first_chunk::<N>()).ok_or_else(malformed)?;
        self.at += N;
        Ok(*bytes)
    }
    #[inline(always)]
    pub fn u8(&mut self) -> Result<u8, Error> {
        Ok(self.take::<1>()?[0])
    }
    #[inline(always)]
    pub fn u16(&mut self) -> Result<u16, Error> {
        self.take().map(u16::from_be_bytes)
    }
    #[inline(always)]
    pub fn u32(&mut self) -> Result<u32, Error> {
        self.take().map(u32::from_be_bytes)
    }
    #[inline(always)]
    pub fn u64(&mut self) -> Result<u64, Error> {
        self.take().map(u64::from_be_bytes)
    }
    fn text(&mut self) -> Result<String, Error> {
        let rest = self.wire.get(self.at..self.end).unwrap_or_default();
        let n = rest.iter().position(|b| *b == 0).ok_or_else(malformed)?;
        self.at += n + 1;
        Ok(String::from_utf8_lossy(rest.get(..n).unwrap_or_default()).into_owned())
    }

    /// The cells of a tuple. `old`: where the old tuple's cells are, for values that did not change and are not sent again.
    #[inline]
    fn tuple(&mut self, forms: &[u8], cells: &mut Vec<Cell>, old: Option<usize>) -> Result<u32, Error> {
        let start = cells.len();
        if self.u16()? as usize != forms.len() {
            return Err(malformed());
        }
        for (i, expected) in forms.iter().enumerate() {
            let cell = match self.u8()? {
                b'n' => Cell::NULL,
                b'u' => old.and_then(|o| cells.get(o + i)).copied().unwrap_or(Cell::UNCHANGED),
                form @ (b't' | b'b') => {
                    self.surprised |= form != *expected;
                    let len = self.u32()?;
                    let cell = Cell { at: self.at as u32, len };
                    self.at += len as usize;
                    if self.at > self.end {
                        return Err(malformed());
                    }
                    cell
                }
                _ => return Err(malformed()),
            };
            cells.push(cell);
        }
        Ok(start as u32)
    }
}

#[cold]
pub fn malformed() -> Error {
    Error::retry("postgres.protocol", "the server sent a message that is not of the replication protocol")
}

/// Such a slot sends what is prepared, and only its end when it is committed: rows that nobody would have any more after a
/// restart in between (invariant 9).
#[cold]
pub fn two_phase() -> Error {
    Error::environment("postgres.two-phase", "the replication slot sends transactions when they are prepared")
        .help("make the slot without `two_phase`: prepared transactions then come when they are committed")
}

/// Reads the tuples of an insert, update or delete; `row.op` is the message's own letter.
#[inline]
pub fn tuples(row: &mut Row, r: &mut Reader, forms: &[u8], cells: &mut Vec<Cell>) -> Result<(), Error> {
    let mut tuple = r.u8()?;
    // a key's tuple has nulls for all else: only a whole one knows values that are not sent again
    let is_whole = tuple == b'O';
    if tuple == b'O' || tuple == b'K' {
        row.before = r.tuple(forms, cells, None)?;
        row.present |= BEFORE;
        if row.op != b'D' {
            tuple = r.u8()?
        }
    }
    if tuple == b'N' {
        let old = is_whole.then_some(row.before as usize);
        row.after = r.tuple(forms, cells, old)?;
        row.present |= AFTER;
    }
    Ok(())
}

pub fn relation(r: &mut Reader) -> Result<Relation, Error> {
    let (oid, schema, table) = (r.u32()?, r.text()?, r.text()?);
    let (replica_identity, count) = (r.u8()?, r.u16()?);
    let mut columns = Vec::with_capacity(count as usize);
    for _ in 0..count {
        let key = r.u8()? & 1 != 0;
        let (name, type_oid, modifier) = (r.text()?, r.u32()?, r.u32()? as i32);
        columns.push(RelationColumn { name, key, type_oid, modifier, wire: None });
    }
    let schema = if schema.is_empty() { "pg_catalog".into() } else { schema };
    Ok(Relation { oid, schema, table, replica_identity, columns })
}
