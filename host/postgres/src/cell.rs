//! Cells of types that only a value tree can show, in PostgreSQL's text format.

use crate::hstore;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use tracing::warn;
use weir_cdc::CellLeaf;
use weir_model::wire::{Scratch, decimal, text};
use weir_model::{Codec, Decode, Value};

/// How the text of such a type is read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reading {
    /// `numeric` without a scale → its own scale and unscaled bytes
    VariableScale,
    /// "10101" → little-endian bytes, up to the highest bit that is set
    Bits,
    /// "1 year 2 mons 04:05:06.7" → microseconds
    Interval,
    /// "12:00:00.5+05:30" → "06:30:00.5Z"
    ZonedTime,
    /// "$1,234.56" → unscaled bytes at scale 2
    Money,
    /// "(1.5,-2.25)" → x, y, wkb, srid
    Point,
    /// hexadecimal EWKB → wkb, srid
    Geometry,
    /// `"k"=>"v"` → a JSON object
    Hstore,
    /// "[1,2,3]" → a list of floats
    Vector,
}

/// A cell with its reading.
#[derive(Debug)]
pub struct TextCell {
    reading: Reading,
    warned: AtomicBool,
}

/// What an array's elements are.
#[derive(Clone, Debug)]
pub enum Element {
    Codec(Codec),
    Tree(Arc<dyn Decode>),
}

// === impl Element ===

impl Element {
    /// None: the log never carries it.
    pub fn of(leaf: &CellLeaf) -> Option<Element> {
        match leaf {
            CellLeaf::Codec(codec) => Some(Element::Codec(*codec)),
            CellLeaf::Tree(decode) => Some(Element::Tree(decode.clone())),
            CellLeaf::Absent => None,
        }
    }
    pub fn value(&self, bytes: &[u8]) -> Option<Value> {
        match self {
            Element::Codec(codec) => codec.value(bytes),
            Element::Tree(decode) => decode.decode(bytes),
        }
    }
}

// === impl TextCell ===

impl TextCell {
    pub fn leaf(reading: Reading) -> CellLeaf {
        CellLeaf::Tree(Arc::new(TextCell { reading, warned: AtomicBool::new(false) }))
    }

    /// NaN and the infinities are no decimals: null, as Debezium writes them.
    fn variable_scale(&self, bytes: &[u8]) -> Option<Value> {
        if matches!(bytes, b"NaN" | b"Infinity" | b"-Infinity") {
            if !self.warned.swap(true, Relaxed) {
                warn!(code = "postgres.numeric-special", "NaN or Infinity of a numeric column: written as null");
            }
            return Some(Value::Null);
        }
        let point = bytes.iter().position(|b| *b == b'.');
        let stripped = match point {
            Some(_) => {
                let zeros = bytes.iter().rev().take_while(|b| **b == b'0').count();
                bytes.get(..bytes.len() - zeros)?
            }
            None => bytes,
        };
        let scale = point.map_or(0, |p| stripped.len().saturating_sub(p + 1));
        let mut scratch = Scratch::default();
        let unscaled = decimal::from_text(stripped, i16::try_from(scale).ok()?, &mut scratch)?;
        Some(Value::record([Value::Int(scale as i64), Value::bytes(unscaled)]))
    }
}

impl Decode for TextCell {
    fn decode(&self, bytes: &[u8]) -> Option<Value> {
        match self.reading {
            Reading::VariableScale => self.variable_scale(bytes),
            Reading::Bits => bits(bytes),
            Reading::Interval => interval(bytes).map(Value::Int),
            Reading::ZonedTime => zoned_time(bytes).map(Value::text),
            Reading::Money => money(bytes),
            Reading::Point => point(bytes),
            Reading::Geometry => geometry(bytes),
            Reading::Hstore => hstore::json(bytes).map(Value::text),
            Reading::Vector => vector(bytes),
        }
    }

    fn unavailable(&self, placeholder: &str) -> Value {
        match self.reading {
            Reading::VariableScale => Value::record([Value::Int(0), Value::bytes(placeholder)]),
            Reading::Bits | Reading::Money => Value::bytes(placeholder),
            Reading::Interval => Value::Int(0),
            Reading::ZonedTime => Value::text(placeholder),
            Reading::Point => Value::record([Value::Float(0.0), Value::Float(0.0), Value::Null, Value::Null]),
            Reading::Geometry => Value::record([Value::bytes(placeholder), Value::Null]),
            Reading::Hstore => Value::text(hstore::object(&[(placeholder.into(), Some(placeholder.into()))])),
            Reading::Vector => Value::list([]),
        }
    }
}

fn bits(bytes: &[u8]) -> Option<Value> {
    let mut out = vec![];
    for (i, bit) in bytes.iter().rev().enumerate() {
        match bit {
            b'0' => {}
            b'1' => {
                out.resize(i / 8 + 1, 0u8);
                *out.last_mut()? |= 1 << (i % 8);
            }
            _ => return None,
        }
    }
    Some(Value::bytes(out))
}

/// Years of 365.25 days, as doubles: the same digits as Debezium's.
fn interval(bytes: &[u8]) -> Option<i64> {
    let mut words = std::str::from_utf8(bytes).ok()?.split(' ');
    let (mut months, mut days, mut hours, mut minutes, mut seconds) = (0f64, 0f64, 0f64, 0f64, 0f64);
    while let Some(word) = words.next() {
        if word.contains(':') {
            let (sign, time) = match word.strip_prefix('-') {
                Some(time) => (-1.0, time),
                None => (1.0, word.strip_prefix('+').unwrap_or(word)),
            };
            let mut parts = time.split(':').map(|p| p.parse::<f64>().ok());
            hours = sign * parts.next()??;
            minutes = sign * parts.next()??;
            seconds = sign * parts.next()??;
            continue;
        }
        let number: f64 = word.parse::<i64>().ok()? as f64;
        match words.next()?.trim_end_matches('s') {
            "year" => months += number * 12.0,
            "mon" => months += number,
            "day" => days = number,
            _ => return None,
        }
    }
    let days = months * (365.25 / 12.0) + days;
    let seconds = ((days * 24.0 + hours) * 60.0 + minutes) * 60.0 + seconds;
    Some((seconds * 1e6) as i64)
}

/// In UTC, the fraction as short as it goes; the end of the day stays the end of the day.
fn zoned_time(bytes: &[u8]) -> Option<String> {
    let at = bytes.iter().position(|b| matches!(b, b'+' | b'-'))?;
    let (time, zone) = bytes.split_at_checked(at)?;
    let micros = text::time(time)?;
    let (sign, zone) = zone.split_first()?;
    let mut offset = 0i64;
    for (part, unit) in zone.split(|b| *b == b':').zip([3600, 60, 1]) {
        offset = offset.checked_add(text::int(part)?.checked_mul(unit)?)?;
    }
    let offset = if *sign == b'-' { -offset } else { offset };
    let day = 86_400_000_000i64;
    let shifted = micros.checked_sub(offset.checked_mul(1_000_000)?)?;
    let utc = if micros == day && offset == 0 { day } else { shifted.rem_euclid(day) };
    let (seconds, fraction) = (utc / 1_000_000, utc % 1_000_000);
    let mut out = format!("{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60);
    if fraction > 0 {
        out.push_str(format!(".{fraction:06}").trim_end_matches('0'));
    }
    out.push('Z');
    Some(out)
}

/// The session's locale decides the signs around the digits; a last group of one or two digits is the fraction.
pub fn money(bytes: &[u8]) -> Option<Value> {
    let minus = bytes.iter().any(|b| matches!(b, b'-' | b'('));
    let digits: Vec<u8> = bytes.iter().copied().filter(u8::is_ascii_digit).collect();
    let last = bytes.iter().rposition(u8::is_ascii_digit)?;
    let separator = bytes.get(..=last)?.iter().rposition(|b| matches!(b, b'.' | b','));
    let fraction = separator.map_or(0, |s| last - s);
    let mut number = if minus { b"-".to_vec() } else { vec![] };
    number.extend_from_slice(&digits);
    if matches!(fraction, 1 | 2) {
        number.insert(number.len().checked_sub(fraction)?, b'.');
    }
    let mut scratch = Scratch::default();
    Some(Value::bytes(decimal::from_text(&number, 2, &mut scratch)?))
}

fn point(bytes: &[u8]) -> Option<Value> {
    let inner = std::str::from_utf8(bytes).ok()?.strip_prefix('(')?.strip_suffix(')')?;
    let (x, y) = inner.split_once(',')?;
    let (x, y): (f64, f64) = (x.parse().ok()?, y.parse().ok()?);
    let mut wkb = vec![1, 1, 0, 0, 0];
    wkb.extend(x.to_le_bytes());
    wkb.extend(y.to_le_bytes());
    Some(Value::record([Value::Float(x), Value::Float(y), Value::bytes(wkb), Value::Null]))
}

/// PostGIS writes EWKB: byte order, type with flags, and where a flag says so the SRID.
fn geometry(bytes: &[u8]) -> Option<Value> {
    let mut scratch = Scratch::default();
    let literal = [b"\\x", bytes].concat();
    let wkb = text::hex(&literal, &mut scratch)?;
    let word = |at: usize| {
        let word: [u8; 4] = wkb.get(at..at + 4)?.try_into().ok()?;
        Some(if wkb.first() == Some(&0) { u32::from_be_bytes(word) } else { u32::from_le_bytes(word) })
    };
    let srid = if word(1)? & 0x2000_0000 != 0 { Value::Int(word(5)? as i32 as i64) } else { Value::Null };
    Some(Value::record([Value::bytes(wkb), srid]))
}

fn vector(bytes: &[u8]) -> Option<Value> {
    let inner = std::str::from_utf8(bytes).ok()?.strip_prefix('[')?.strip_suffix(']')?;
    let numbers = inner.split(',').map(|n| n.trim().parse().ok().map(Value::Float));
    Some(Value::list(numbers.collect::<Option<Vec<_>>>()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ALL: [Reading; 9] = [
        Reading::VariableScale,
        Reading::Bits,
        Reading::Interval,
        Reading::ZonedTime,
        Reading::Money,
        Reading::Point,
        Reading::Geometry,
        Reading::Hstore,
        Reading::Vector,
    ];

    fn read(reading: Reading, text: &str) -> Option<Value> {
        TextCell { reading, warned: AtomicBool::new(false) }.decode(text.as_bytes())
    }

    #[test]
    fn decimals_bring_their_scale() {
        let of = |t| read(Reading::VariableScale, t);
        let made = |scale, bytes: &[u8]| Some(Value::record([Value::Int(scale), Value::bytes(bytes)]));
        assert_eq!(of("1.10"), made(1, &[11]));
        assert_eq!(of("-0.5"), made(1, &[0xFB]));
        assert_eq!(of("100"), made(0, &[100]));
        assert_eq!(of("0.00000"), made(0, &[0]));
        assert_eq!(of("128"), made(0, &[0, 0x80]));
        assert_eq!(of("0.0000000001"), made(10, &[1]));
        assert_eq!(of("NaN"), Some(Value::Null));
        assert_eq!(of("x"), None);
    }

    #[test]
    fn bits_are_little_endian_up_to_the_highest() {
        let of = |t| read(Reading::Bits, t);
        assert_eq!(of("101010101"), Some(Value::bytes([0x55, 1])));
        assert_eq!(of("000000001"), Some(Value::bytes([1])));
        assert_eq!(of("00000"), Some(Value::bytes([])));
        assert_eq!(of("2"), None);
    }

    #[test]
    fn intervals_are_microseconds() {
        let of = |t| read(Reading::Interval, t);
        assert_eq!(of("1 year 2 mons 3 days 04:05:06.789"), Some(Value::Int(37_091_106_789_000)));
        assert_eq!(of("-1 years -2 mons +3 days -04:05:06.789"), Some(Value::Int(-36_572_706_789_000)));
        assert_eq!(of("100 years"), Some(Value::Int(3_155_760_000_000_000)));
        assert_eq!(of("00:00:00"), Some(Value::Int(0)));
        assert_eq!(of("1 fortnight"), None);
    }

    #[test]
    fn times_with_zones_are_utc() {
        let of = |t| read(Reading::ZonedTime, t);
        assert_eq!(of("12:00:00.5+05:30"), Some(Value::text("06:30:00.5Z")));
        assert_eq!(of("24:00:00-12"), Some(Value::text("12:00:00Z")));
        assert_eq!(of("24:00:00+00"), Some(Value::text("24:00:00Z")));
        assert_eq!(of("01:02:03+02"), Some(Value::text("23:02:03Z")));
        assert_eq!(of("01:02:03"), None);
    }

    #[test]
    fn money_is_cents() {
        let of = |t| read(Reading::Money, t);
        assert_eq!(of("$1,234.56"), Some(Value::bytes([1, 0xE2, 0x40])));
        assert_eq!(of("-$0.01"), Some(Value::bytes([0xFF])));
        assert_eq!(of("1.234,56 €"), Some(Value::bytes([1, 0xE2, 0x40])));
        assert_eq!(of("¥1,235"), Some(Value::bytes([1, 0xE2, 0x6C])));
        assert_eq!(of("-$92,233,720,368,547,758.08"), Some(Value::bytes([0x80, 0, 0, 0, 0, 0, 0, 0])));
    }

    #[test]
    fn places_are_structs() {
        let wkb = [&[1u8, 1, 0, 0, 0][..], &1.5f64.to_le_bytes(), &(-2.25f64).to_le_bytes()].concat();
        let expected = Value::record([Value::Float(1.5), Value::Float(-2.25), Value::bytes(&wkb), Value::Null]);
        assert_eq!(read(Reading::Point, "(1.5,-2.25)"), Some(expected));
        let ewkb = "0101000020E6100000000000000000F03F000000000000F03F";
        let Some(Value::Struct(members)) = read(Reading::Geometry, ewkb) else { panic!("no geometry") };
        assert_eq!(members.get(1), Some(&Value::Int(4326)));
    }

    proptest! {
        #[test]
        fn any_bytes_are_refused_or_read(bytes in proptest::collection::vec(any::<u8>(), 0..40), text in "[-+0-9:., a-z()$\"=>\\[\\]]{0,30}") {
            for reading in ALL {
                let cell = TextCell { reading, warned: AtomicBool::new(true) };
                let _ = cell.decode(&bytes);
                let _ = cell.decode(text.as_bytes());
            }
        }
    }
}
