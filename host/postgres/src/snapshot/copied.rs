//! Rows of a binary `COPY`, cell by cell.

use crate::frame::header;
use weir_api::Error;
use weir_model::Cell;

const SIGNATURE: &[u8] = b"PGCOPY\n\xff\r\n\0";

#[cold]
pub fn broken() -> Error {
    Error::retry("postgres.protocol", "the server sent a copied row that is not of the binary format")
}

/// A row's cells; None: the trailer, or nothing but the header.
pub fn tuple(mut frame: &[u8], mut at: usize, width: usize, cells: &mut Vec<Cell>) -> Result<Option<u32>, Error> {
    if let Some(rest) = frame.strip_prefix(SIGNATURE) {
        let extension = rest.get(4..8).and_then(|b| b.try_into().ok()).map(u32::from_be_bytes).ok_or_else(broken)?;
        let skip = SIGNATURE.len() + 8 + extension as usize;
        frame = frame.get(skip..).ok_or_else(broken)?;
        at += skip;
        if frame.is_empty() {
            return Ok(None);
        }
    }
    let count = frame.first_chunk::<2>().map(|b| i16::from_be_bytes(*b)).ok_or_else(broken)?;
    if count == -1 {
        return Ok(None);
    }
    if count as usize != width {
        return Err(broken());
    }
    let start = cells.len() as u32;
    let mut n = 2;
    for _ in 0..width {
        let len =
            frame.get(n..).and_then(|b| b.first_chunk::<4>()).map(|b| i32::from_be_bytes(*b)).ok_or_else(broken)?;
        n += 4;
        cells.push(match u32::try_from(len) {
            Err(_) => Cell::NULL,
            Ok(len) => {
                let cell = Cell { at: (at + n) as u32, len };
                n += len as usize;
                cell
            }
        });
    }
    if n > frame.len() {
        return Err(broken());
    }
    Ok(Some(start))
}

/// The header and the trailer alone are no rows: a chunk of them would hide which row was the last.
pub fn has_rows(bytes: &[u8]) -> Result<bool, Error> {
    let mut at = 0;
    while let Some((_, length)) = header(bytes.get(at..).unwrap_or_default())? {
        // two bytes of trailer, 19 of header, or both
        if !matches!(length - 5, 2 | 19 | 21) {
            return Ok(true);
        }
        let body = bytes.get(at + 5..at + length).unwrap_or_default();
        if length - 5 != 19 && !body.ends_with(&[0xFF, 0xFF]) {
            return Ok(true);
        }
        at += length;
    }
    Ok(false)
}
