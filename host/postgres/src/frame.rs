//! The frames of the protocol: a tag, a length that counts itself, a body.

use weir_api::Error;

/// Tag and length.
pub const HEADER: usize = 5;

/// A whole frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Frame<'a> {
    /// `b'd'` is CopyData
    pub tag: u8,
    pub body: &'a [u8],
}

/// The whole frames at the beginning of a buffer. What is left in [`Frames::rest`] is the beginning of a frame.
#[derive(Clone, Copy, Debug)]
pub struct Frames<'a> {
    rest: &'a [u8],
}

// === impl Frames ===

impl<'a> Frames<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Frames { rest: bytes }
    }

    /// What was not given out yet.
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }
}

/// Ends at an incomplete frame and, for want of a way on, at a length that cannot be (readers have refused it by then).
impl<'a> Iterator for Frames<'a> {
    type Item = Frame<'a>;

    fn next(&mut self) -> Option<Frame<'a>> {
        let (tag, length) = header(self.rest).ok()??;
        let body = self.rest.get(HEADER..length)?;
        self.rest = self.rest.get(length..)?;
        Some(Frame { tag, body })
    }
}

/// Tag and length (with the header) of the frame that begins `bytes`; `None` while the header is incomplete.
pub fn header(bytes: &[u8]) -> Result<Option<(u8, usize)>, Error> {
    let Some([tag, a, b, c, d]) = bytes.first_chunk::<HEADER>() else { return Ok(None) };
    let length = i32::from_be_bytes([*a, *b, *c, *d]);
    match usize::try_from(length) {
        Ok(length) if length >= 4 => Ok(Some((*tag, length + 1))),
        _ => Err(broken("a frame with an impossible length")),
    }
}

/// Appends a frame.
pub fn push(out: &mut Vec<u8>, tag: u8, body: &[u8]) {
    out.push(tag);
    push_length(out, body.len());
    out.extend_from_slice(body);
}

/// Appends the startup packet, which has no tag. Names and values end at their first zero byte, as they would at the server.
pub fn push_startup(out: &mut Vec<u8>, parameters: &[(&str, String)]) {
    const PROTOCOL: [u8; 4] = [0, 3, 0, 0];
    let mut body = PROTOCOL.to_vec();
    for (name, value) in parameters {
        push_text(&mut body, name);
        push_text(&mut body, value);
    }
    body.push(0);
    push_length(out, body.len());
    out.extend_from_slice(&body);
}

/// A zero-terminated string.
pub fn push_text(out: &mut Vec<u8>, text: &str) {
    out.extend(text.bytes().take_while(|b| *b != 0));
    out.push(0);
}

fn push_length(out: &mut Vec<u8>, body: usize) {
    // Nothing that is sent comes near 2 GiB: SQL texts, passwords, replies.
    let length = i32::try_from(body + 4).unwrap_or(i32::MAX);
    out.extend_from_slice(&length.to_be_bytes());
}

/// The zero-terminated string at the beginning of `bytes`, and what follows it.
pub fn text(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = bytes.iter().position(|b| *b == 0)?;
    Some((bytes.get(..end)?, bytes.get(end + 1..)?))
}

/// The server (or what pretends to be one) does not speak the protocol.
pub fn broken(what: &str) -> Error {
    Error::retry("postgres.protocol", format!("the server sent {what}"))
}

// === walker ===

/// Follows frames across reads without looking into them, to see where a stream of CopyData ends.
#[derive(Default, Debug)]
pub struct Walker {
    /// bytes of the current frame's body that are to come
    body: usize,
    /// the beginning of a header that is not complete
    header: [u8; HEADER],
    header_length: usize,
}

impl Walker {
    /// Walks over newly read bytes. `Some(at)`: there, on the boundary of two frames, begins one that is not part of the
    /// stream (neither data nor a notice nor a changed setting); the walker is spent then.
    pub fn walk(&mut self, bytes: &[u8]) -> Result<Option<usize>, Error> {
        let mut at = 0;
        loop {
            let left = bytes.len() - at;
            if self.body >= left {
                self.body -= left;
                return Ok(None);
            }
            at += self.body;
            self.body = 0;
            if self.header_length == 0 {
                let rest = bytes.get(at..).unwrap_or_default();
                if rest.first().is_some_and(|tag| !matches!(tag, b'd' | b'N' | b'S')) {
                    return Ok(Some(at));
                }
                // The usual case: the header is here in one piece.
                if let Some((_, length)) = header(rest)? {
                    at += HEADER;
                    self.body = length - HEADER;
                    continue;
                }
            }
            let Some(byte) = bytes.get(at) else { return Ok(None) };
            if let Some(place) = self.header.get_mut(self.header_length) {
                *place = *byte;
            }
            at += 1;
            self.header_length += 1;
            if self.header_length == HEADER {
                self.header_length = 0;
                if let Some((_, length)) = header(&self.header)? {
                    self.body = length - HEADER;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream() -> (Vec<u8>, usize) {
        let mut bytes = Vec::new();
        for length in [0usize, 1, 3, 70, 4, 0, 5, 1000] {
            push(&mut bytes, b'd', &vec![b'E'; length]);
        }
        push(&mut bytes, b'N', b"notice\0\0");
        push(&mut bytes, b'd', b"last");
        let end = bytes.len();
        push(&mut bytes, b'E', b"SERROR\0\0");
        (bytes, end)
    }

    #[test]
    fn the_walker_finds_the_end_however_the_reads_are_cut() {
        let (bytes, end) = stream();
        for size in 1..bytes.len() {
            let mut walker = Walker::default();
            let mut read = 0;
            let found = bytes.chunks(size).find_map(|chunk| {
                let found = walker.walk(chunk).unwrap();
                read += chunk.len();
                found.map(|at| read - chunk.len() + at)
            });
            assert_eq!(found, Some(end), "reads of {size} bytes");
        }
    }

    #[test]
    fn frames_end_at_an_incomplete_one() {
        let (bytes, _) = stream();
        let mut frames = Frames::new(&bytes[..bytes.len() - 1]);
        assert_eq!(frames.by_ref().filter(|f| f.tag == b'd').count(), 9);
        assert_eq!(frames.rest().first(), Some(&b'E'));
        assert_eq!(Frames::new(&bytes).last().unwrap(), Frame { tag: b'E', body: b"SERROR\0\0" });
    }

    #[test]
    fn impossible_lengths_are_refused() {
        for length in [[0, 0, 0, 3], [0x80, 0, 0, 0], [0xff; 4]] {
            let bytes = [&[b'd'][..], &length, &[0; 9]].concat();
            assert_eq!(header(&bytes).unwrap_err().code(), "postgres.protocol");
            assert_eq!(Walker::default().walk(&bytes).unwrap_err().code(), "postgres.protocol");
            assert_eq!(Frames::new(&bytes).count(), 0);
        }
    }
}
