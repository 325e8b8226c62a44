//! Java's `.properties` format: continuation lines, `\uXXXX` and other escapes, `=`, `:` or blank between key and value.
//! Own code for the sake of places. Texts are UTF-8, as Kafka's tools write them; what is no UTF-8 is read as ISO 8859-1,
//! as Java says ([`decode`]).

use crate::written::{Entries, Entry};
use std::ops::Range;
use weir_api::{Finding, Place};

/// The text of a properties file's bytes.
pub fn decode(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) => text.to_owned(),
        Err(_) => bytes.iter().map(|b| char::from(*b)).collect(),
    }
}

/// Characters of one logical line, each with its place; a character that came from an escape is marked.
type Line = Vec<(char, Range<usize>, bool)>;

/// Everything in the file. A key that stands twice keeps its last value, as in Java, and is a warning.
pub fn parse(file: &str, text: &str) -> (Entries, Vec<Finding>) {
    let (mut entries, mut findings) = (Entries::default(), vec![]);
    let mut at = 0;
    while at < text.len() {
        let (line, next) = logical_line(text, at);
        at = next;
        let Some(entry) = entry(file, text, line) else { continue };
        let entry = match entry {
            Ok(entry) => entry,
            Err(finding) => {
                findings.push(finding);
                continue;
            }
        };
        let again = entry.blame_key(
            Finding::warning("config.duplicate-key", format!("`{}` is set twice", entry.key))
                .help("the last one counts"),
        );
        if entries.set(entry).is_some() {
            findings.push(again);
        }
    }
    (entries, findings)
}

/// One line with its continuations; `false` marks characters as they stand. Escapes are resolved later.
fn logical_line(text: &str, from: usize) -> (Vec<(usize, char)>, usize) {
    let mut line = vec![];
    let mut chars = text.get(from..).unwrap_or_default().char_indices().peekable();
    let (mut start, mut escaped) = (true, false);
    let mut comment = false;
    while let Some((i, c)) = chars.next() {
        let at = from + i;
        match c {
            '\r' | '\n' => {
                if c == '\r' && chars.peek().is_some_and(|(_, n)| *n == '\n') {
                    chars.next();
                }
                let next = chars.peek().map_or(text.len(), |(i, _)| from + i);
                if !escaped || comment {
                    return (if comment { vec![] } else { line }, next);
                }
                // The backslash before the line's end goes, and so do the blanks that follow.
                line.pop();
                (start, escaped) = (true, false);
            }
            ' ' | '\t' | '\u{c}' if start => {}
            '#' | '!' if start && line.is_empty() => (comment, start) = (true, false),
            c => {
                start = false;
                escaped = c == '\\' && !escaped;
                line.push((at, c));
            }
        }
    }
    (if comment { vec![] } else { line }, text.len())
}

fn entry(file: &str, text: &str, raw: Vec<(usize, char)>) -> Option<Result<Entry, Finding>> {
    let place = |span: Range<usize>| Place { file: file.to_owned(), span };
    let line = match unescape(&raw) {
        Ok(line) => line,
        Err(span) => {
            let finding =
                Finding::error("config.syntax", "malformed \\uxxxx escape").help("four hexadecimal digits follow \\u");
            return Some(Err(finding.at(place(span))));
        }
    };
    let first = line.first()?.1.start;
    let blank = |c: char| matches!(c, ' ' | '\t' | '\u{c}');
    let ends = |(c, _, escaped): &(char, Range<usize>, bool)| !escaped && (blank(*c) || matches!(c, '=' | ':'));
    let key_len = line.iter().position(ends).unwrap_or(line.len());
    let (key, mut rest) = line.split_at_checked(key_len)?;
    while let [(c, _, false), tail @ ..] = rest
        && blank(*c)
    {
        rest = tail;
    }
    if let [('=' | ':', _, false), tail @ ..] = rest {
        rest = tail;
        while let [(c, _, false), tail @ ..] = rest
            && blank(*c)
        {
            rest = tail;
        }
    }
    let end_of = |part: &[(char, Range<usize>, bool)], or: usize| part.last().map_or(or, |(_, r, _)| r.end);
    let key_span = first..end_of(key, first);
    let start = rest.first().map_or(end_of(&line, first), |(_, r, _)| r.start);
    let value_span = start..end_of(rest, start);
    let value: String = rest.iter().map(|(c, _, _)| c).collect();
    let verbatim = text.get(value_span.clone()).is_some_and(|t| t == value).then_some(start);
    Some(Ok(Entry {
        key: key.iter().map(|(c, _, _)| c).collect(),
        text: value,
        key_at: Some(place(key_span)),
        value_at: Some(place(value_span)),
        verbatim,
    }))
}

/// Escapes resolved; an error is the place of a broken one. Halves of a surrogate pair become one character.
fn unescape(raw: &[(usize, char)]) -> Result<Line, Range<usize>> {
    let mut line: Line = vec![];
    let mut rest = raw;
    let mut high: Option<(u32, usize)> = None;
    while let [(at, c), tail @ ..] = rest {
        rest = tail;
        if *c != '\\' {
            line.push((*c, *at..at + c.len_utf8(), false));
            continue;
        }
        let [(next, c), tail @ ..] = rest else { break };
        rest = tail;
        let end = next + c.len_utf8();
        match c {
            't' => line.push(('\t', *at..end, true)),
            'n' => line.push(('\n', *at..end, true)),
            'r' => line.push(('\r', *at..end, true)),
            'f' => line.push(('\u{c}', *at..end, true)),
            'u' => {
                let digits: String = rest.iter().take(4).map(|(_, c)| c).collect();
                let end = rest.get(3).map_or(end, |(i, c)| i + c.len_utf8());
                let code = Some(&digits).filter(|d| d.len() == 4 && d.bytes().all(|b| b.is_ascii_hexdigit()));
                let code = code.and_then(|d| u32::from_str_radix(d, 16).ok()).ok_or(*at..end)?;
                rest = rest.get(4..).unwrap_or_default();
                match (high.take(), code) {
                    (Some((high, start)), 0xdc00..0xe000) => {
                        let code = 0x10000 + ((high - 0xd800) << 10) + (code - 0xdc00);
                        line.push((char::from_u32(code).unwrap_or('\u{fffd}'), start..end, true));
                    }
                    (_, 0xd800..0xdc00) => high = Some((code, *at)),
                    (_, code) => line.push((char::from_u32(code).unwrap_or('\u{fffd}'), *at..end, true)),
                }
            }
            c => line.push((*c, *at..end, true)),
        }
    }
    Ok(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(text: &str) -> Vec<(String, String)> {
        parse("f", text).0.into_iter().map(|e| (e.key, e.text)).collect()
    }

    #[test]
    fn as_java_reads_them() {
        let text = "# c\\\n! d\n\n a=1\nb : 2 \nc 3\nd\ne\\ f\\=g = h\\\n   i, \\\r\n\tj\nk=\\u00e9\\ud83d\\ude00\\t\\q\nl==x\nm=C:\\\\x\nn=";
        let want = [
            ("a", "1"),
            ("b", "2 "),
            ("c", "3"),
            ("d", ""),
            ("e f=g", "hi, j"),
            ("k", "é😀\tq"),
            ("l", "=x"),
            ("m", "C:\\x"),
            ("n", ""),
        ];
        assert_eq!(pairs(text), want.map(|(k, v)| (k.to_owned(), v.to_owned())));
    }

    #[test]
    fn places_and_repeats() {
        let text = "a.b = one\na.b=t\\wo\nx=\\u12\n";
        let (entries, findings) = parse("f", text);
        let entry = entries.get("a.b").unwrap();
        assert_eq!(&text[entry.value_at.clone().unwrap().span], "t\\wo");
        assert_eq!((entry.text.as_str(), entry.verbatim), ("two", None));
        let codes: Vec<_> = findings.iter().map(|f| f.code).collect();
        assert_eq!(codes, ["config.duplicate-key", "config.syntax"]);
        assert_eq!(&text[findings[0].place.clone().unwrap().span], "a.b");
    }

    #[test]
    fn bytes_that_are_no_utf8_are_latin_1() {
        assert_eq!(decode(b"a=\xe9"), "a=é");
        assert_eq!(decode("a=é".as_bytes()), "a=é");
    }
}
