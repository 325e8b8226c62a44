//! Binary cells of odd types, printed as the server prints them.
//!
//! pgoutput with `binary` sends every type in its binary form that has one. The types here are read by their text (`cell.rs`,
//! `array.rs`): printed first, they have one reading, and both ways of sending give the same records.

mod address;
mod clock;
mod number;
mod words;

use crate::cell::Element;
use std::sync::Arc;
use weir_cdc::CellLeaf;
use weir_model::{Decode, Value};

/// How the binary form of a type becomes its text.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Print {
    /// the one-byte type `"char"`
    Char,
    /// `inet`, `cidr`
    Address,
    Mac,
    Range(Bound),
    /// `tsvector`
    Lexemes,
    /// a version byte, then the text: `ltree`
    Versioned,
    Bits,
    Numeric,
    Interval,
    ZonedTime,
    /// `digits`: how many of them the server's locale has behind the point
    Money {
        digits: u8,
    },
    Point,
    /// `geometry`, `geography`: EWKB
    Hex,
    /// `hstore`
    Pairs,
    /// `vector`
    Floats,
    /// `halfvec`
    Halves,
    Date,
    Time,
    Timestamp,
}

/// What a range is of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Bound {
    Int4,
    Int8,
    Numeric,
    Date,
    Timestamp { zoned: bool },
}

/// A binary cell that is read by its text.
#[derive(Debug)]
pub struct PrintedCell {
    print: Print,
    read: Element,
}

struct Bytes<'a>(&'a [u8]);

// === impl Print ===

impl Print {
    /// None: the binary form is the text.
    pub fn of(name: &str, money_digits: u8) -> Option<Print> {
        Some(match name {
            "char" => Print::Char,
            "inet" | "cidr" => Print::Address,
            "macaddr" | "macaddr8" => Print::Mac,
            "int4range" => Print::Range(Bound::Int4),
            "int8range" => Print::Range(Bound::Int8),
            "numrange" => Print::Range(Bound::Numeric),
            "daterange" => Print::Range(Bound::Date),
            "tsrange" => Print::Range(Bound::Timestamp { zoned: false }),
            "tstzrange" => Print::Range(Bound::Timestamp { zoned: true }),
            "tsvector" => Print::Lexemes,
            "ltree" => Print::Versioned,
            "bit" | "varbit" => Print::Bits,
            "numeric" => Print::Numeric,
            "interval" => Print::Interval,
            "timetz" => Print::ZonedTime,
            "money" => Print::Money { digits: money_digits },
            "point" => Print::Point,
            "geometry" | "geography" => Print::Hex,
            "hstore" => Print::Pairs,
            "vector" => Print::Floats,
            "halfvec" => Print::Halves,
            "time" => Print::Time,
            "timestamp" => Print::Timestamp,
            "date" => Print::Date,
            _ => return None,
        })
    }

    /// None: the bytes are not of the type.
    pub fn text(self, bytes: &[u8]) -> Option<Vec<u8>> {
        let mut b = Bytes(bytes);
        let text = match self {
            Print::Char => return char(bytes),
            Print::Versioned => return Some(bytes.strip_prefix(&[1])?.to_vec()),
            Print::Lexemes => return words::lexemes(b),
            Print::Pairs => return words::pairs(b),
            Print::Address => address::address(b)?,
            Print::Mac => bytes.iter().map(|b| format!("{b:02x}")).collect::<Vec<_>>().join(":"),
            Print::Range(bound) => range(bound, b)?,
            Print::Bits => bits(b)?,
            Print::Numeric => number::numeric(b)?,
            Print::Interval => clock::interval(b.i64()?, b.i32()?, b.i32()?),
            Print::ZonedTime => format!("{}{}", clock::time(b.i64()?), clock::zone(b.i32()?)),
            Print::Money { digits } => number::money(b.i64()?, digits),
            Print::Point => format!("({},{})", b.f64()?, b.f64()?),
            Print::Hex => bytes.iter().map(|b| format!("{b:02X}")).collect(),
            Print::Floats => floats(b, |b| Some(f32::from_bits(b.u32()?)))?,
            Print::Halves => floats(b, |b| Some(half(b.u16()?)))?,
            Print::Time => clock::time(b.i64()?),
            Print::Timestamp => clock::timestamp(b.i64()?, false)?,
            Print::Date => clock::date(b.i32()?),
        };
        Some(text.into_bytes())
    }
}

// === impl PrintedCell ===

impl PrintedCell {
    /// The binary leaf of a type that is read by its text as `text` says.
    pub fn leaf(print: Print, text: &CellLeaf) -> CellLeaf {
        match Element::of(text) {
            Some(read) => CellLeaf::Tree(Arc::new(PrintedCell { print, read })),
            None => CellLeaf::Absent,
        }
    }
}

impl Decode for PrintedCell {
    fn decode(&self, bytes: &[u8]) -> Option<Value> {
        self.read.value(&self.print.text(bytes)?)
    }

    fn unavailable(&self, placeholder: &str) -> Value {
        match &self.read {
            Element::Codec(_) => Value::text(placeholder),
            Element::Tree(decode) => decode.unavailable(placeholder),
        }
    }
}

// === impl Bytes ===

impl<'a> Bytes<'a> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*head)
    }
    fn u8(&mut self) -> Option<u8> {
        self.take::<1>().map(|[b]| b)
    }
    fn u16(&mut self) -> Option<u16> {
        self.take().map(u16::from_be_bytes)
    }
    fn i16(&mut self) -> Option<i16> {
        self.take().map(i16::from_be_bytes)
    }
    fn i32(&mut self) -> Option<i32> {
        self.take().map(i32::from_be_bytes)
    }
    fn u32(&mut self) -> Option<u32> {
        self.take().map(u32::from_be_bytes)
    }
    fn i64(&mut self) -> Option<i64> {
        self.take().map(i64::from_be_bytes)
    }
    fn f64(&mut self) -> Option<f64> {
        self.take().map(f64::from_be_bytes)
    }
    /// A length and so many bytes; a negative length is a null.
    fn blob(&mut self) -> Option<Option<&'a [u8]>> {
        let Ok(len) = usize::try_from(self.i32()?) else { return Some(None) };
        let (head, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(Some(head))
    }
    /// Up to a zero byte.
    fn text(&mut self) -> Option<&'a [u8]> {
        let end = self.0.iter().position(|b| *b == 0)?;
        let (head, rest) = self.0.split_at_checked(end)?;
        self.0 = rest.get(1..)?;
        Some(head)
    }
}

/// Calls `each` with the elements of an array: None for a null, and for an array in the array.
pub fn array(bytes: &[u8], mut each: impl FnMut(Option<&[u8]>) -> Option<()>) -> Option<()> {
    let mut b = Bytes(bytes);
    let dimensions = b.i32()?;
    b.take::<8>()?;
    if dimensions == 0 {
        return Some(());
    }
    let size = usize::try_from(b.i32()?).ok().filter(|n| *n <= bytes.len())?;
    for _ in 1..dimensions {
        b.take::<8>()?;
    }
    b.take::<4>()?;
    for _ in 0..size {
        each(if dimensions == 1 { b.blob()? } else { None })?
    }
    Some(())
}

fn char(bytes: &[u8]) -> Option<Vec<u8>> {
    match bytes {
        [0] => Some(vec![]),
        [b] if *b < 0x80 => Some(vec![*b]),
        [b] => Some(format!("\\{b:03o}").into_bytes()),
        _ => None,
    }
}

fn range(bound: Bound, mut b: Bytes) -> Option<String> {
    const EMPTY: u8 = 1;
    const FROM_TAKEN: u8 = 2;
    const TO_TAKEN: u8 = 4;
    const FROM_OPEN: u8 = 8;
    const TO_OPEN: u8 = 16;
    let flags = b.u8()?;
    if flags & EMPTY != 0 {
        return Some("empty".into());
    }
    let mut end = |open: u8| if flags & open != 0 { Some(String::new()) } else { bound.text(b.blob()??) };
    let (from, to) = (end(FROM_OPEN)?, end(TO_OPEN)?);
    let first = if flags & FROM_TAKEN != 0 { '[' } else { '(' };
    let last = if flags & TO_TAKEN != 0 { ']' } else { ')' };
    Some(format!("{first}{from},{to}{last}"))
}

impl Bound {
    fn text(self, bytes: &[u8]) -> Option<String> {
        let mut b = Bytes(bytes);
        let text = match self {
            Bound::Int4 => b.i32()?.to_string(),
            Bound::Int8 => b.i64()?.to_string(),
            Bound::Numeric => number::numeric(b)?,
            Bound::Date => clock::date(b.i32()?),
            Bound::Timestamp { zoned } => clock::timestamp(b.i64()?, zoned)?,
        };
        Some(if text.contains(' ') { format!("\"{text}\"") } else { text })
    }
}

fn bits(mut b: Bytes) -> Option<String> {
    let count = usize::try_from(b.i32()?).ok()?;
    let all = b.0.iter().flat_map(|byte| (0..8).rev().map(move |i| if byte >> i & 1 == 1 { '1' } else { '0' }));
    let text: String = all.take(count).collect();
    (text.len() == count).then_some(text)
}

fn floats(mut b: Bytes, mut next: impl FnMut(&mut Bytes) -> Option<f32>) -> Option<String> {
    let count = b.u16()?;
    b.u16()?;
    let all = (0..count).map(|_| next(&mut b).map(|f| f.to_string())).collect::<Option<Vec<_>>>()?;
    Some(format!("[{}]", all.join(",")))
}

/// IEEE 754 binary16.
fn half(bits: u16) -> f32 {
    let sign = if bits & 0x8000 != 0 { -1.0 } else { 1.0 };
    let (exponent, fraction) = (i32::from(bits >> 10 & 0x1F), f32::from(bits & 0x3FF));
    sign * match exponent {
        0 => fraction * 2f32.powi(-24),
        31 if fraction == 0.0 => f32::INFINITY,
        31 => f32::NAN,
        e => (1.0 + fraction / 1024.0) * 2f32.powi(e - 15),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn printed(print: Print, parts: &[&[u8]]) -> Option<String> {
        print.text(&parts.concat()).map(|t| String::from_utf8(t).unwrap())
    }

    #[test]
    fn what_no_server_of_the_tests_sends_is_printed_too() {
        let floats = [&[0u8, 2, 0, 0][..], &0.1f32.to_be_bytes(), &(-3f32).to_be_bytes()];
        assert_eq!(printed(Print::Floats, &floats).as_deref(), Some("[0.1,-3]"));
        let halves = [0x3C00u16, 0xC000, 0x0001, 0x7C00].map(u16::to_be_bytes);
        let text = printed(Print::Halves, &[&[0, 4, 0, 0], halves.as_flattened()]);
        assert_eq!(text.as_deref(), Some("[1,-2,0.000000059604645,inf]"));
        assert_eq!(printed(Print::Hex, &[&[1, 0xAB]]).as_deref(), Some("01AB"));
        assert_eq!(printed(Print::Money { digits: 0 }, &[&1235i64.to_be_bytes()]).as_deref(), Some("1235"));
        assert_eq!(printed(Print::Money { digits: 2 }, &[&(-1i64).to_be_bytes()]).as_deref(), Some("-0.01"));
        let infinite = [&i64::MAX.to_be_bytes()[..], &i32::MAX.to_be_bytes(), &i32::MAX.to_be_bytes()];
        assert_eq!(printed(Print::Interval, &infinite).as_deref(), Some("infinity"));
    }

    #[test]
    fn nested_arrays_have_nulls_for_elements() {
        let words = [2i32, 0, 23, 2, 1, 3, 1].map(i32::to_be_bytes);
        let mut items = 0;
        let all = array(words.as_flattened(), |item| {
            assert_eq!(item, None);
            items += 1;
            Some(())
        });
        assert_eq!((all, items), (Some(()), 2));
    }

    proptest! {
        #[test]
        fn any_bytes_are_refused_or_printed(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            for name in ["char", "inet", "macaddr", "int4range", "int8range", "numrange", "daterange", "tsrange", "tstzrange",
                "tsvector", "ltree", "bit", "numeric", "interval", "timetz", "money", "point", "geometry", "hstore", "vector", "halfvec"]
            {
                let _ = Print::of(name, 2).unwrap().text(&bytes);
            }
            let _ = array(&bytes, |_| Some(()));
        }
    }
}
