//! Cells of the wire: what bytes mean, found out when somebody asks. Pure, and known to all writers, so that nothing per cell
//! is a virtual call. One variant for each (wire encoding, type).

pub mod binary;
pub mod decimal;
pub mod text;

use crate::{Batch, Cell, Value};
use std::cmp::Ordering;

/// How a cell's bytes are read. `…Text`: PostgreSQL's text format; the others: its binary format.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Codec {
    /// UTF-8
    Text,
    /// text that no format has to escape: a UUID, an address
    Clean,
    /// bytes as they are
    Raw,
    IntText,
    /// shortest digits, as PostgreSQL prints floats
    FloatText,
    BoolText,
    /// "-12.30" → unscaled bytes at this scale
    DecimalText {
        scale: i16,
    },
    /// "2026-01-05 12:34:56.7+00" → "2026-01-05T12:34:56.700000Z"
    ZonedText {
        precision: u8,
    },
    /// "\x0a1b"
    HexText,
    /// a date as days since the epoch
    DateText,
    /// a time of day in these units
    TimeText(Unit),
    /// a timestamp without zone in these units since the epoch
    TimestampText(Unit),
    /// "1" → true
    BitText,

    Int16,
    Int32,
    Int64,
    /// oid, xid
    Uint32,
    Float32,
    Float64,
    Bool,
    Uuid,
    Decimal {
        scale: i16,
    },
    Zoned {
        precision: u8,
    },
    Date,
    Time(Unit),
    Timestamp(Unit),
    /// a version byte, then the text
    Jsonb,
    Bit,
}

/// Of times and timestamps; PostgreSQL itself counts microseconds.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Unit {
    Millis,
    Micros,
    Nanos,
}

/// The cheapest truthful view of a cell: N wires and M formats meet here and need no N × M functions.
#[derive(Clone, Copy, Debug)]
pub enum View<'a> {
    Bool(bool),
    Int(i64),
    /// canonical decimal digits
    IntText(&'a [u8]),
    Float(f64),
    Float32(f32),
    /// shortest digits of a float, or NaN, Infinity
    FloatText(&'a [u8]),
    Text(&'a [u8]),
    /// text without anything to escape
    Clean(&'a [u8]),
    Bytes(&'a [u8]),
}

/// Room for what a view has to make: short values in place, long ones in a buffer that is used again.
#[derive(Debug)]
pub struct Scratch {
    pub small: [u8; 48],
    pub big: Vec<u8>,
}

// === impl Scratch ===

impl Default for Scratch {
    fn default() -> Self {
        Scratch { small: [0; 48], big: vec![] }
    }
}

// === impl Codec ===

impl Codec {
    /// None: the bytes are not what the type says.
    #[inline(always)]
    pub fn view<'a>(self, bytes: &'a [u8], scratch: &'a mut Scratch) -> Option<View<'a>> {
        Some(match self {
            Codec::IntText => View::IntText(bytes),
            Codec::FloatText => View::FloatText(bytes),
            Codec::Text => View::Text(bytes),
            Codec::Clean => View::Clean(bytes),
            Codec::BoolText => View::Bool(bytes == b"t"),
            Codec::DecimalText { scale } => View::Bytes(decimal::from_text(bytes, scale, scratch)?),
            Codec::ZonedText { precision } => View::Clean(text::zoned(bytes, precision, scratch)?),
            _ => return self.view_rest(bytes, scratch),
        })
    }

    /// The less common half, out of line so that the writers' loop stays small.
    #[inline(never)]
    fn view_rest<'a>(self, bytes: &'a [u8], scratch: &'a mut Scratch) -> Option<View<'a>> {
        Some(match self {
            Codec::Raw => View::Bytes(bytes),
            Codec::HexText => View::Bytes(text::hex(bytes, scratch)?),
            Codec::DateText => View::Int(text::date(bytes)?),
            Codec::TimeText(unit) => View::Int(unit.of_micros(text::time(bytes)?)),
            Codec::TimestampText(unit) => View::Int(unit.of_timestamp(text::timestamp(bytes)?)),
            Codec::BitText => View::Bool(bytes == b"1"),
            Codec::Int16 => View::Int(i16::from_be_bytes(bytes.try_into().ok()?) as i64),
            Codec::Int32 => View::Int(i32::from_be_bytes(bytes.try_into().ok()?) as i64),
            Codec::Int64 => View::Int(i64::from_be_bytes(bytes.try_into().ok()?)),
            Codec::Uint32 => View::Int(u32::from_be_bytes(bytes.try_into().ok()?) as i64),
            Codec::Float32 => View::Float32(f32::from_be_bytes(bytes.try_into().ok()?)),
            Codec::Float64 => View::Float(f64::from_be_bytes(bytes.try_into().ok()?)),
            Codec::Bool => View::Bool(*bytes.first()? != 0),
            Codec::Uuid => View::Clean(binary::uuid(bytes, scratch)?),
            Codec::Decimal { scale } => View::Bytes(decimal::from_binary(bytes, scale, scratch)?),
            Codec::Zoned { precision } => View::Clean(binary::zoned(bytes, precision, scratch)?),
            Codec::Date => View::Int(binary::date(bytes)?),
            Codec::Time(unit) => View::Int(unit.of_micros(i64::from_be_bytes(bytes.try_into().ok()?))),
            Codec::Timestamp(unit) => View::Int(unit.of_timestamp(binary::timestamp(bytes)?)),
            Codec::Jsonb => View::Text(bytes.strip_prefix(&[1])?),
            Codec::Bit => View::Bool(*bytes.get(4)? & 0x80 != 0),
            _ => return None,
        })
    }

    /// On the logical value; None: no order between the two, or a null.
    #[inline]
    pub fn compare(self, cell: Cell, batch: &Batch, to: &Value, unavailable: &[u8]) -> Option<Ordering> {
        let bytes = match cell {
            Cell::NULL => return None,
            Cell::UNCHANGED => match to {
                Value::Text(t) => return unavailable.partial_cmp(t.as_bytes()),
                _ => return None,
            },
            cell => batch.bytes(cell),
        };
        let mut scratch = Scratch::default();
        match (self, to) {
            (Codec::DecimalText { scale }, Value::Text(t)) => {
                let own = decimal::unscaled(bytes, scale)?;
                return own.partial_cmp(&decimal::unscaled(t.as_bytes(), scale)?);
            }
            (Codec::Decimal { scale }, Value::Text(t)) => {
                let mut other = Scratch::default();
                let own = decimal::from_binary(bytes, scale, &mut scratch)?;
                return decimal::order(own, decimal::from_text(t.as_bytes(), scale, &mut other)?);
            }
            _ => {}
        }
        match (self.view(bytes, &mut scratch)?, to) {
            (View::IntText(t), Value::Int(i)) => text::int(t)?.partial_cmp(i),
            (View::Int(v), Value::Int(i)) => v.partial_cmp(i),
            (View::IntText(t), Value::Float(f)) => (text::int(t)? as f64).partial_cmp(f),
            (View::Int(v), Value::Float(f)) => (v as f64).partial_cmp(f),
            (View::FloatText(t), Value::Float(f)) => text::float(t)?.partial_cmp(f),
            (View::FloatText(t), Value::Int(i)) => text::float(t)?.partial_cmp(&(*i as f64)),
            (View::Float(v), Value::Float(f)) => v.partial_cmp(f),
            (View::Float(v), Value::Int(i)) => v.partial_cmp(&(*i as f64)),
            (View::Float32(v), Value::Float(f)) => (v as f64).partial_cmp(f),
            (View::Float32(v), Value::Int(i)) => (v as f64).partial_cmp(&(*i as f64)),
            (View::Bool(v), Value::Boolean(b)) => v.partial_cmp(b),
            (View::Text(v) | View::Clean(v), Value::Text(t)) => v.partial_cmp(t.as_bytes()),
            (View::Bytes(v), Value::Bytes(b)) => v.partial_cmp(&**b),
            _ => None,
        }
    }

    /// The materialised view of a cell's bytes.
    pub fn value(self, bytes: &[u8]) -> Option<Value> {
        let mut scratch = Scratch::default();
        Some(match self.view(bytes, &mut scratch)? {
            View::Bool(b) => Value::Boolean(b),
            View::Int(i) => Value::Int(i),
            View::IntText(t) => Value::Int(text::int(t)?),
            View::Float(f) => Value::Float(f),
            View::Float32(f) => Value::Float(f as f64),
            View::FloatText(t) => Value::Float(text::float(t)?),
            View::Text(t) | View::Clean(t) => Value::text(String::from_utf8_lossy(t)),
            View::Bytes(b) => Value::bytes(b),
        })
    }
}

// === impl Unit ===

impl Unit {
    /// Toward the past where it does not divide, and wrapping as Debezium's nanoseconds did before they were checked.
    #[inline]
    pub fn of_micros(self, micros: i64) -> i64 {
        match self {
            Unit::Millis => micros.div_euclid(1000),
            Unit::Micros => micros,
            Unit::Nanos => micros.wrapping_mul(1000),
        }
    }

    /// As [`Unit::of_micros`], with Debezium's numbers for the infinities, which are the least and greatest i64.
    #[inline]
    pub fn of_timestamp(self, micros: i64) -> i64 {
        match (micros, self) {
            (i64::MAX | i64::MIN, Unit::Nanos) => micros,
            (i64::MAX, _) => self.of_micros(9_223_372_036_825_200_000),
            (i64::MIN, _) => self.of_micros(-9_223_372_036_832_400_000),
            _ => self.of_micros(micros),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn infinities_are_the_numbers_that_debezium_writes() {
        let least = i64::MIN.to_be_bytes();
        for (codec, bytes, expected) in [
            (Codec::TimestampText(Unit::Micros), &b"infinity"[..], 9_223_372_036_825_200_000),
            (Codec::TimestampText(Unit::Micros), b"-infinity", -9_223_372_036_832_400_000),
            (Codec::Timestamp(Unit::Micros), &least, -9_223_372_036_832_400_000),
            (Codec::Timestamp(Unit::Millis), &least, -9_223_372_036_832_400),
            (Codec::Timestamp(Unit::Nanos), &least, i64::MIN),
        ] {
            assert_eq!(codec.value(bytes), Some(Value::Int(expected)), "{codec:?}");
        }
    }
}
