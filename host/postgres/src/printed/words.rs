//! `tsvector` and `hstore`.

use super::Bytes;

pub fn lexemes(mut b: Bytes) -> Option<Vec<u8>> {
    let mut out = vec![];
    for i in 0..b.i32()? {
        if i > 0 {
            out.push(b' ')
        }
        out.push(b'\'');
        for byte in b.text()? {
            if matches!(byte, b'\'' | b'\\') {
                out.push(*byte)
            }
            out.push(*byte)
        }
        out.push(b'\'');
        for p in 0..b.u16()? {
            let place = b.u16()?;
            out.push(if p == 0 { b':' } else { b',' });
            out.extend_from_slice((place & 0x3FFF).to_string().as_bytes());
            match place >> 14 {
                3 => out.push(b'A'),
                2 => out.push(b'B'),
                1 => out.push(b'C'),
                _ => {}
            }
        }
    }
    Some(out)
}

pub fn pairs(mut b: Bytes) -> Option<Vec<u8>> {
    fn quoted(text: &[u8], out: &mut Vec<u8>) {
        out.push(b'"');
        for byte in text {
            if matches!(byte, b'"' | b'\\') {
                out.push(b'\\')
            }
            out.push(*byte)
        }
        out.push(b'"');
    }
    let mut out = vec![];
    for i in 0..b.i32()? {
        if i > 0 {
            out.extend_from_slice(b", ")
        }
        quoted(b.blob()??, &mut out);
        out.extend_from_slice(b"=>");
        match b.blob()? {
            Some(value) => quoted(value, &mut out),
            None => out.extend_from_slice(b"NULL"),
        }
    }
    Some(out)
}
