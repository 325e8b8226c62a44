//! `hstore` as a JSON object, keys in the order of the Java map that Debezium puts them into.

use crate::array::quoted;

pub type Pair = (String, Option<String>);

/// `"k1"=>"v1", "k2"=>NULL` → `{"k1":"v1","k2":null}`
pub fn json(bytes: &[u8]) -> Option<String> {
    Some(object(&pairs(bytes)?))
}

/// In the order of Debezium's map.
pub fn pairs(bytes: &[u8]) -> Option<Vec<Pair>> {
    let (mut rest, mut pairs, mut room) = (bytes, vec![], vec![]);
    while !rest.is_empty() {
        rest = quoted(rest, &mut room)?.strip_prefix(b"=>")?;
        let key = String::from_utf8(room.clone()).ok()?;
        let value = match rest.strip_prefix(b"NULL") {
            Some(after) => {
                rest = after;
                None
            }
            None => {
                rest = quoted(rest, &mut room)?;
                Some(String::from_utf8(room.clone()).ok()?)
            }
        };
        pairs.push((key, value));
        match rest.strip_prefix(b", ") {
            Some(after) if !after.is_empty() => rest = after,
            None if rest.is_empty() => {}
            _ => return None,
        }
    }
    let buckets = buckets(pairs.len());
    pairs.sort_by_key(|(key, _)| spread(key) & (buckets - 1));
    Some(pairs)
}

/// `java.util.HashMap` doubles its 16 buckets when three quarters are taken.
fn buckets(entries: usize) -> u32 {
    let mut buckets = 16u32;
    while entries > buckets as usize / 4 * 3 && buckets < 1 << 30 {
        buckets *= 2
    }
    buckets
}

/// `String.hashCode`, its upper half mixed into the lower.
fn spread(key: &str) -> u32 {
    let hash = key.encode_utf16().fold(0u32, |h, c| h.wrapping_mul(31).wrapping_add(c as u32));
    hash ^ hash >> 16
}

/// As Jackson writes it.
pub fn object(pairs: &[Pair]) -> String {
    let mut out = String::from("{");
    for (i, (key, value)) in pairs.iter().enumerate() {
        if i > 0 {
            out.push(',')
        }
        string(key, &mut out);
        out.push(':');
        match value {
            Some(value) => string(value, &mut out),
            None => out.push_str("null"),
        }
    }
    out.push('}');
    out
}

fn string(text: &str, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            c if (c as u32) < 0x20 => out.push_str(&format!("\\u{:04X}", c as u32)),
            c => out.push(c),
        }
    }
    out.push('"')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn pairs_become_members() {
        let of = |t: &str| json(t.as_bytes());
        assert_eq!(of(r#""k1"=>"v1", "k2"=>NULL"#).as_deref(), Some(r#"{"k1":"v1","k2":null}"#));
        assert_eq!(of("").as_deref(), Some("{}"));
        assert_eq!(of(r#""a\"b"=>"\\""#).as_deref(), Some(r#"{"a\"b":"\\"}"#));
        // one-letter keys hash to their code points: modulo 16, p is 0 and a is 1
        assert_eq!(of(r#""a"=>"1", "p"=>"2""#).as_deref(), Some(r#"{"p":"2","a":"1"}"#));
        for broken in ["x", "\"a\"", "\"a\"=>", "\"a\"=>\"b\", ", "\"a\"=>\"b\"\"c\"=>NULL"] {
            assert_eq!(of(broken), None, "{broken}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_refused_or_read(text in "[\"=>, NULLa\\\\]{0,40}") {
            let _ = json(text.as_bytes());
        }
    }
}
