//! A record as one line: NDJSON for programs, a short coloured form for eyes. Nothing is parsed again and nothing is allocated:
//! bytes that are JSON already are copied.

use base64::Engine;
use memchr::memmem;
use weir_api::{Block, Record};

/// What a converter's bytes are, and so how they stand in a line.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Text {
    /// one JSON value: copied as it is
    Json,
    /// UTF-8: a JSON string
    Text,
    /// anything: base64 in a JSON string
    Bytes,
}

/// How keys and values of a sink's records are shown.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Lines {
    pub key: Text,
    pub value: Text,
}

const TEXT_OF_NULL: &[u8] = b"null";
const MS_A_DAY: i64 = 86_400_000;

// === impl Lines ===

impl Lines {
    /// Appends `{"topic":…,"key":…,"value":…}` and a line feed; `"headers":{…}` only when the record's route has headers.
    pub fn ndjson(&self, block: &Block, record: &Record, out: &mut Vec<u8>) {
        let Some(route) = block.route(record) else { return };
        out.extend_from_slice(b"{\"topic\":");
        string(&route.topic, out);
        out.extend_from_slice(b",\"key\":");
        value(self.key, block.key(record), out);
        out.extend_from_slice(b",\"value\":");
        value(self.value, block.value(record), out);
        if !route.headers.is_empty() {
            out.extend_from_slice(b",\"headers\":{");
            for (i, (name, bytes)) in block.headers(record).enumerate() {
                if i > 0 {
                    out.push(b',');
                }
                string(name, out);
                out.push(b':');
                value(Text::Text, bytes, out);
            }
            out.push(b'}');
        }
        out.extend_from_slice(b"}\n");
    }

    /// Appends `12:03:04.005 topic u key → value` and a line feed. What could steer a terminal is shown escaped.
    pub fn pretty(&self, block: &Block, record: &Record, colour: bool, out: &mut Vec<u8>) {
        let Some(route) = block.route(record) else { return };
        let paint = |out: &mut Vec<u8>, code: &[u8]| {
            if colour {
                out.extend_from_slice(code);
            }
        };
        paint(out, b"\x1b[2m");
        time_of_day(record.timestamp, out);
        paint(out, b"\x1b[0m");
        out.push(b' ');
        paint(out, b"\x1b[36m");
        tame(route.topic.as_bytes(), out);
        paint(out, b"\x1b[0m");
        out.push(b' ');
        let op = operation(block.value(record));
        paint(out, hue(op));
        out.push(op);
        paint(out, b"\x1b[0m");
        out.push(b' ');
        tamed(self.key, block.key(record), out);
        out.extend_from_slice(" → ".as_bytes());
        tamed(self.value, block.value(record), out);
        out.push(b'\n');
    }
}

pub(crate) fn value(text: Text, bytes: Option<&[u8]>, out: &mut Vec<u8>) {
    let Some(bytes) = bytes else { return out.extend_from_slice(TEXT_OF_NULL) };
    match text {
        // An empty value would break the line; a line feed in JSON is blank space, and would break it too.
        Text::Json if bytes.is_empty() => out.extend_from_slice(TEXT_OF_NULL),
        Text::Json => {
            let at = out.len();
            out.extend_from_slice(bytes);
            if memchr::memchr2(b'\n', b'\r', bytes).is_some() {
                out.iter_mut().skip(at).filter(|b| matches!(**b, b'\n' | b'\r')).for_each(|b| *b = b' ');
            }
        }
        Text::Text => {
            out.push(b'"');
            for chunk in bytes.utf8_chunks() {
                escape(chunk.valid(), out);
                if !chunk.invalid().is_empty() {
                    out.extend_from_slice("\u{fffd}".as_bytes());
                }
            }
            out.push(b'"');
        }
        Text::Bytes => {
            out.push(b'"');
            let at = out.len();
            let room = base64::encoded_len(bytes.len(), true).unwrap_or_default();
            out.resize(at + room, 0);
            let written = out
                .get_mut(at..)
                .and_then(|to| base64::engine::general_purpose::STANDARD.encode_slice(bytes, to).ok())
                .unwrap_or_default();
            out.truncate(at + written);
            out.push(b'"');
        }
    }
}

pub(crate) fn string(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    escape(text, out);
    out.push(b'"');
}

/// JSON string escapes; runs of plain bytes are copied whole.
fn escape(text: &str, out: &mut Vec<u8>) {
    let bytes = text.as_bytes();
    let mut from = 0;
    for (i, b) in bytes.iter().enumerate() {
        let short: &[u8] = match b {
            b'"' => b"\\\"",
            b'\\' => b"\\\\",
            b'\n' => b"\\n",
            b'\r' => b"\\r",
            b'\t' => b"\\t",
            0..0x20 => b"",
            _ => continue,
        };
        out.extend_from_slice(bytes.get(from..i).unwrap_or_default());
        from = i + 1;
        match short {
            b"" => unicode(*b, out),
            short => out.extend_from_slice(short),
        }
    }
    out.extend_from_slice(bytes.get(from..).unwrap_or_default());
}

fn unicode(b: u8, out: &mut Vec<u8>) {
    let digit = |n: u8| if n < 10 { b'0' + n } else { b'a' + n - 10 };
    out.extend_from_slice(b"\\u00");
    out.push(digit(b >> 4));
    out.push(digit(b & 15));
}

/// A value for eyes: text stands without quotes.
fn tamed(text: Text, bytes: Option<&[u8]>, out: &mut Vec<u8>) {
    match (text, bytes) {
        (_, None) => out.extend_from_slice("∅".as_bytes()),
        (Text::Bytes, some) => value(Text::Bytes, some, out),
        (Text::Json | Text::Text, Some(bytes)) => tame(bytes, out),
    }
}

/// Control characters (C0, DEL, C1) and broken UTF-8 never reach the terminal as they are.
fn tame(bytes: &[u8], out: &mut Vec<u8>) {
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '\0'..='\u{1f}' | '\u{7f}'..='\u{9f}' => unicode(c as u8, out),
                c => out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
            }
        }
        if !chunk.invalid().is_empty() {
            out.extend_from_slice("\u{fffd}".as_bytes());
        }
    }
}

/// The letter of a change event's `op`; `x` for a tombstone, `-` for a record that is no change event.
/// The last `"op":"` is the envelope's: in a string the quotes are escaped, and rows come before it.
fn operation(value: Option<&[u8]>) -> u8 {
    let Some(value) = value else { return b'x' };
    let at = memmem::rfind(value, b"\"op\":\"").map(|at| at + 6);
    match at.and_then(|at| Some((*value.get(at)?, *value.get(at + 1)?))) {
        Some((letter, b'"')) if letter.is_ascii_alphabetic() => letter,
        _ => b'-',
    }
}

fn hue(op: u8) -> &'static [u8] {
    match op {
        b'c' => b"\x1b[32m",
        b'u' => b"\x1b[33m",
        b'd' | b't' | b'x' => b"\x1b[31m",
        _ => b"\x1b[2m",
    }
}

/// UTC, to the millisecond.
fn time_of_day(ms: i64, out: &mut Vec<u8>) {
    if ms == Record::NO_TIMESTAMP {
        return out.extend_from_slice(b"--:--:--.---");
    }
    let ms = ms.rem_euclid(MS_A_DAY);
    let two = |out: &mut Vec<u8>, n: i64| out.extend([b'0' + (n / 10 % 10) as u8, b'0' + (n % 10) as u8]);
    two(out, ms / 3_600_000);
    out.push(b':');
    two(out, ms / 60_000 % 60);
    out.push(b':');
    two(out, ms / 1_000 % 60);
    out.push(b'.');
    out.push(b'0' + (ms / 100 % 10) as u8);
    two(out, ms % 100);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn json(text: Text, bytes: &[u8]) -> String {
        let mut out = vec![];
        value(text, Some(bytes), &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn json_is_copied_and_stays_on_its_line() {
        assert_eq!(json(Text::Json, br#"{"a":1.0}"#), r#"{"a":1.0}"#);
        assert_eq!(json(Text::Json, b"{\n  \"a\": 1\r\n}"), "{   \"a\": 1  }");
        assert_eq!(json(Text::Json, b""), "null");
    }

    #[test]
    fn bytes_are_base64() {
        assert_eq!(json(Text::Bytes, &[0, 255, 7]), "\"AP8H\"");
        assert_eq!(json(Text::Bytes, &[]), "\"\"");
    }

    #[test]
    fn the_envelope_says_the_operation() {
        assert_eq!(operation(Some(br#"{"after":{"op":"z","x":"\"op\":\"q\""},"op":"u","ts_ms":1}"#)), b'u');
        assert_eq!(operation(Some(br#"{"id":1}"#)), b'-');
        assert_eq!(operation(Some(br#"{"op":""#)), b'-');
        assert_eq!(operation(None), b'x');
    }

    #[test]
    fn a_terminal_is_not_steered() {
        let mut out = vec![];
        tame("a\u{1b}[2J\u{7f}\u{9b}é\n".as_bytes(), &mut out);
        assert_eq!(String::from_utf8(out).unwrap(), "a\\u001b[2J\\u007f\\u009bé\\u000a");
    }

    #[test]
    fn time_of_day_is_utc() {
        let mut out = vec![];
        time_of_day(1_700_000_000_007, &mut out);
        time_of_day(-1, &mut out);
        time_of_day(Record::NO_TIMESTAMP, &mut out);
        assert_eq!(String::from_utf8(out).unwrap(), "22:13:20.00723:59:59.999--:--:--.---");
    }

    proptest! {
        #[test]
        fn any_text_is_one_json_string(text in any::<String>()) {
            let line = json(Text::Text, text.as_bytes());
            prop_assert!(!line.contains('\n'));
            prop_assert_eq!(serde_json::from_str::<String>(&line).unwrap(), text);
        }

        #[test]
        fn any_bytes_are_one_json_string(bytes in any::<Vec<u8>>()) {
            let text = serde_json::from_str::<String>(&json(Text::Text, &bytes)).unwrap();
            prop_assert_eq!(text.chars().filter(|c| *c != '\u{fffd}').count() > 0, String::from_utf8_lossy(&bytes).chars().any(|c| c != '\u{fffd}'));
        }
    }
}
