//! What the frames of an answer hold: rows, settings, counts.

use weir_api::Error;

use crate::frame::{self, broken};

/// A ParameterStatus.
pub fn parameter(body: &[u8]) -> Option<(String, String)> {
    let (name, rest) = frame::text(body)?;
    let (value, _) = frame::text(rest)?;
    Some((String::from_utf8_lossy(name).into_owned(), String::from_utf8_lossy(value).into_owned()))
}

/// The number of a `COPY 100`.
pub fn copied(tag: &str) -> Option<u64> {
    tag.trim_end_matches('\0').strip_prefix("COPY ")?.parse().ok()
}

/// A DataRow of texts.
pub fn row(body: &[u8]) -> Result<Vec<Option<String>>, Error> {
    let cut = || broken("a row that ends too early");
    let (count, mut rest) = body.split_first_chunk().ok_or_else(cut)?;
    let mut row = Vec::with_capacity(u16::from_be_bytes(*count).into());
    for _ in 0..u16::from_be_bytes(*count) {
        let (length, after) = rest.split_first_chunk().ok_or_else(cut)?;
        let Ok(length) = usize::try_from(i32::from_be_bytes(*length)) else {
            row.push(None);
            rest = after;
            continue;
        };
        let (value, after) = after.split_at_checked(length).ok_or_else(cut)?;
        let value = std::str::from_utf8(value).map_err(|_| {
            Error::environment("postgres.encoding", "the server sent text that is not UTF-8")
                .help("a database of encoding SQL_ASCII holds any bytes: convert it to UTF8")
        })?;
        row.push(Some(value.to_owned()));
        rest = after;
    }
    Ok(row)
}

/// The names in a RowDescription.
pub fn column_names(body: &[u8]) -> Result<Vec<String>, Error> {
    /// table, column, type, its size, modifier, format
    const BEHIND_NAME: usize = 18;
    let cut = || broken("a description of columns that ends too early");
    let (count, mut rest) = body.split_first_chunk().ok_or_else(cut)?;
    let mut names = vec![];
    for _ in 0..u16::from_be_bytes(*count) {
        let (name, after) = frame::text(rest).ok_or_else(cut)?;
        names.push(String::from_utf8_lossy(name).into_owned());
        rest = after.get(BEHIND_NAME..).ok_or_else(cut)?;
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_read_and_broken_ones_refused() {
        let body = b"\0\x03\0\0\0\x02hi\xff\xff\xff\xff\0\0\0\0";
        assert_eq!(row(body).unwrap(), [Some("hi".to_owned()), None, Some(String::new())]);
        for end in 0..body.len() {
            assert_eq!(row(&body[..end]).unwrap_err().code(), "postgres.protocol", "{end}");
        }
        assert_eq!(row(b"\0\x01\0\0\0\x01\xff").unwrap_err().code(), "postgres.encoding");
    }

    #[test]
    fn columns_have_names() {
        let body = [&b"\0\x02id\0"[..], &[7; 18], b"a b\0", &[7; 18]].concat();
        assert_eq!(column_names(&body).unwrap(), ["id", "a b"]);
        for end in 0..body.len() {
            assert_eq!(column_names(&body[..end]).unwrap_err().code(), "postgres.protocol", "{end}");
        }
    }
}
