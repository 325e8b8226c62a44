//! Arrays in PostgreSQL's text format (`{a,"b c",NULL}`, `[0:1]={1,2}`), and in its binary one.

use crate::cell::Element;
use crate::printed;
use weir_model::{Decode, Value};

/// A one-dimensional array. The elements of one with more dimensions are arrays that no element schema can hold: they read as
/// null, as Debezium has them.
#[derive(Debug)]
pub struct Array {
    pub element: Element,
    /// the array, and its elements, are in binary form
    pub binary: bool,
    /// what stands in for an array that the log does not carry
    pub stand_in: StandIn,
}

/// Debezium's placeholder for an unchanged array depends on the type of its elements.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum StandIn {
    /// a list of the placeholder
    Text,
    /// a list of what stands in for an element
    Element,
    /// the placeholder's bytes, each a number
    Numbers,
    /// a list of the name-based UUID of the placeholder
    Uuid,
    /// nothing is known: null
    Null,
    /// nothing is known, and the column cannot be null
    Empty,
}

// === impl Array ===

impl Decode for Array {
    fn decode(&self, bytes: &[u8]) -> Option<Value> {
        let mut items = vec![];
        if self.binary {
            printed::array(bytes, |item| {
                items.push(item.map_or(Some(Value::Null), |bytes| self.element.value(bytes))?);
                Some(())
            })?;
            return Some(Value::list(items));
        }
        read(bytes, |item| {
            items.push(match item {
                Item::Null | Item::Nested => Value::Null,
                Item::Text(text) => self.element.value(text)?,
            });
            Some(())
        })?;
        Some(Value::list(items))
    }

    fn unavailable(&self, placeholder: &str) -> Value {
        match self.stand_in {
            StandIn::Text => Value::list([Value::text(placeholder)]),
            StandIn::Element => Value::list([match &self.element {
                Element::Codec(_) => Value::bytes(placeholder),
                Element::Tree(decode) => decode.unavailable(placeholder),
            }]),
            StandIn::Numbers => Value::list(placeholder.bytes().map(|b| Value::Int(b as i64))),
            StandIn::Uuid => Value::list([Value::text(name_uuid(placeholder))]),
            StandIn::Null => Value::Null,
            StandIn::Empty => Value::list([]),
        }
    }
}

/// An element as it is written.
enum Item<'a> {
    Null,
    /// an array in the array
    Nested,
    Text(&'a [u8]),
}

/// Calls `each` with every element. None: it is no array, or an element was refused.
fn read(bytes: &[u8], mut each: impl FnMut(Item) -> Option<()>) -> Option<()> {
    let mut rest = bytes;
    if rest.first() == Some(&b'[') {
        let equals = rest.iter().position(|b| *b == b'=')?;
        rest = rest.get(equals + 1..)?;
    }
    rest = rest.strip_prefix(b"{")?;
    if rest == b"}" {
        return Some(());
    }
    let mut unescaped = vec![];
    loop {
        rest = match rest.first()? {
            b'"' => {
                let after = quoted(rest, &mut unescaped)?;
                each(Item::Text(&unescaped))?;
                after
            }
            b'{' => {
                let after = nested(rest)?;
                each(Item::Nested)?;
                after
            }
            _ => {
                let end = rest.iter().position(|b| matches!(b, b',' | b'}'))?;
                let (text, after) = rest.split_at_checked(end)?;
                each(if text.eq_ignore_ascii_case(b"NULL") { Item::Null } else { Item::Text(text) })?;
                after
            }
        };
        match rest {
            [b',', after @ ..] => rest = after,
            [b'}'] => return Some(()),
            _ => return None,
        }
    }
}

/// Reads a quoted text, backslashes taken away, and returns what is behind it.
pub fn quoted<'a>(bytes: &'a [u8], out: &mut Vec<u8>) -> Option<&'a [u8]> {
    out.clear();
    let mut rest = bytes.strip_prefix(b"\"")?;
    loop {
        rest = match rest {
            [b'\\', b, after @ ..] => {
                out.push(*b);
                after
            }
            [b'"', after @ ..] => return Some(after),
            [b, after @ ..] => {
                out.push(*b);
                after
            }
            [] => return None,
        }
    }
}

/// What is behind an inner array.
fn nested(bytes: &[u8]) -> Option<&[u8]> {
    let (mut depth, mut rest, mut ignored) = (0usize, bytes, vec![]);
    loop {
        rest = match rest {
            [b'"', ..] => quoted(rest, &mut ignored)?,
            [b'{', after @ ..] => {
                depth += 1;
                after
            }
            [b'}', after @ ..] => {
                depth = depth.checked_sub(1)?;
                if depth == 0 {
                    return Some(after);
                }
                after
            }
            [_, after @ ..] => after,
            [] => return None,
        }
    }
}

/// Java's `UUID.nameUUIDFromBytes`.
fn name_uuid(name: &str) -> String {
    use md5::{Digest, Md5};
    let mut hash: [u8; 16] = Md5::digest(name.as_bytes()).into();
    let [_, _, _, _, _, _, version, _, variant, ..] = &mut hash;
    *version = *version & 0x0F | 0x30;
    *variant = *variant & 0x3F | 0x80;
    let hex: String = hash.iter().map(|b| format!("{b:02x}")).collect();
    let part = |from: usize, to: usize| hex.get(from..to).unwrap_or_default();
    [part(0, 8), part(8, 12), part(12, 16), part(16, 20), part(20, 32)].join("-")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use weir_model::Codec;

    fn array(codec: Codec) -> Array {
        Array { element: Element::Codec(codec), binary: false, stand_in: StandIn::Text }
    }

    #[test]
    fn literals_are_read() {
        let text = |t: &str| array(Codec::Text).decode(t.as_bytes());
        let list = |items: &[Option<&str>]| Some(Value::list(items.iter().map(|i| i.map_or(Value::Null, Value::text))));
        assert_eq!(text("{}"), list(&[]));
        let all = [Some("a,b"), Some("q\"q"), None, Some("null"), Some("")];
        assert_eq!(text(r#"{"a,b","q\"q",NULL,"null",""}"#), list(&all));
        assert_eq!(text("[0:1]={a,b}"), list(&[Some("a"), Some("b")]));
        assert_eq!(text(r#"{{1,"}"},{3,4}}"#), list(&[None, None]));
        assert_eq!(array(Codec::IntText).decode(b"{1,-2}"), Some(Value::list([Value::Int(1), Value::Int(-2)])));
        for broken in ["", "{", "{a", "{a,", "a", "{\"a}", "{{1}", "{a}b", "[0:1]"] {
            assert_eq!(text(broken), None, "{broken}");
        }
        assert_eq!(array(Codec::IntText).decode(b"{x}"), None);
    }

    #[test]
    fn the_placeholder_has_a_uuid_of_its_own() {
        // UUID.nameUUIDFromBytes("hello".getBytes())
        assert_eq!(name_uuid("hello"), "5d41402a-bc4b-3a76-b971-9d911017c592");
    }

    proptest! {
        #[test]
        fn any_bytes_are_refused_or_read(bytes in proptest::collection::vec(prop::sample::select(b"{}[]=,\"\\a1N".to_vec()), 0..40)) {
            let _ = array(Codec::Text).decode(&bytes);
        }

        #[test]
        fn what_is_quoted_comes_back(items in proptest::collection::vec(".*", 1..6)) {
            let quoted = items.iter().map(|i| format!("\"{}\"", i.replace('\\', "\\\\").replace('"', "\\\"")));
            let literal = format!("{{{}}}", quoted.collect::<Vec<_>>().join(","));
            prop_assert_eq!(array(Codec::Text).decode(literal.as_bytes()), Some(Value::list(items.iter().map(Value::text))));
        }
    }
}
