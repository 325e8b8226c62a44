//! The handling modes: `decimal.handling.mode` and its like, and the cells that read as they say.

use crate::keys::KEYS;
use crate::{cell, hstore};
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE, Engine};
use std::sync::Arc;
use weir_api::{Error, Settings};
use weir_cdc::CellLeaf;
use weir_model::wire::binary::{civil, zoned_of_micros};
use weir_model::wire::{Scratch, text};
use weir_model::{Decode, Value};

#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum Decimals {
    #[default]
    Precise,
    Double,
    Text,
}

/// `time.precision.mode`
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum Times {
    /// by the column's own precision
    #[default]
    Adaptive,
    /// the same, but times of a day are always microseconds
    AdaptiveMicros,
    /// Kafka Connect's own types: milliseconds
    Connect,
    Iso,
    Micros,
    Nanos,
}

#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum Binaries {
    #[default]
    Bytes,
    Base64,
    Base64UrlSafe,
    Hex,
}

/// All of them; the default is Debezium's.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Handling {
    pub decimals: Decimals,
    pub times: Times,
    pub binaries: Binaries,
    pub interval_text: bool,
    pub hstore_map: bool,
}

/// A text cell read as a mode wants it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Handled {
    /// a `numeric` as the nearest double
    Double,
    /// a `numeric` as it is printed; Debezium's names for what is no number
    DecimalText,
    MoneyDouble,
    MoneyText,
    /// `P1Y2M3DT4H5M6.7S`
    Interval,
    HstoreMap,
    IsoDate,
    IsoTime,
    IsoTimestamp,
    /// null outside of what 64 bits of nanoseconds hold: 1677 to 2262
    NanoTimestamp,
    /// `\x0a1b` of a text cell
    HexText(Binaries),
    /// a binary cell
    Raw(Binaries),
}

// === impl Handling ===

impl Handling {
    pub fn parse(settings: &Settings) -> Result<Handling, Error> {
        let word = |key: &str| settings.text(&KEYS, key).unwrap_or_default().trim().to_ascii_lowercase();
        let wrong = |key: &str, word: &str| {
            Error::input("config.not-allowed", format!("`{key}` cannot be \"{word}\""))
                .help(format!("one of: {}", KEYS.key(key).map_or(String::new(), |k| k.one_of.join(", "))))
        };
        let decimals = match word("decimal.handling.mode").as_str() {
            "precise" => Decimals::Precise,
            "double" => Decimals::Double,
            "string" => Decimals::Text,
            other => return Err(wrong("decimal.handling.mode", other)),
        };
        let times = match word("time.precision.mode").as_str() {
            "adaptive" => Times::Adaptive,
            "adaptive_time_microseconds" => Times::AdaptiveMicros,
            "connect" => Times::Connect,
            "isostring" => Times::Iso,
            "microseconds" => Times::Micros,
            "nanoseconds" => Times::Nanos,
            other => return Err(wrong("time.precision.mode", other)),
        };
        let binaries = match word("binary.handling.mode").as_str() {
            "bytes" => Binaries::Bytes,
            "base64" => Binaries::Base64,
            "base64-url-safe" => Binaries::Base64UrlSafe,
            "hex" => Binaries::Hex,
            other => return Err(wrong("binary.handling.mode", other)),
        };
        Ok(Handling {
            decimals,
            times,
            binaries,
            interval_text: word("interval.handling.mode") == "string",
            hstore_map: word("hstore.handling.mode") == "map",
        })
    }
}

// === impl Binaries ===

impl Binaries {
    fn text(self, bytes: &[u8]) -> Value {
        Value::text(match self {
            Binaries::Bytes => return Value::bytes(bytes),
            Binaries::Base64 => BASE64_STANDARD.encode(bytes),
            Binaries::Base64UrlSafe => BASE64_URL_SAFE.encode(bytes),
            Binaries::Hex => bytes.iter().map(|b| format!("{b:02x}")).collect(),
        })
    }
}

// === impl Handled ===

impl Handled {
    pub fn leaf(self) -> CellLeaf {
        CellLeaf::Tree(Arc::new(self))
    }
}

impl Decode for Handled {
    fn decode(&self, bytes: &[u8]) -> Option<Value> {
        Some(match self {
            Handled::Double => Value::Float(text::float(bytes)?),
            Handled::MoneyDouble => Value::Float(money(bytes)?.parse().ok()?),
            Handled::MoneyText => Value::text(money(bytes)?),
            Handled::DecimalText => Value::text(match bytes {
                b"NaN" => "NAN",
                b"Infinity" => "POSITIVE_INFINITY",
                b"-Infinity" => "NEGATIVE_INFINITY",
                number => std::str::from_utf8(number).ok()?,
            }),
            Handled::Interval => Value::text(interval(bytes)?),
            Handled::HstoreMap => map(hstore::pairs(bytes)?),
            Handled::IsoDate => Value::text(iso_date(text::date(bytes)?)),
            Handled::IsoTime => Value::text(iso_time(text::time(bytes)?)),
            Handled::IsoTimestamp => Value::text(iso_timestamp(text::timestamp(bytes)?)?),
            Handled::NanoTimestamp => match text::timestamp(bytes)? {
                infinite @ (i64::MAX | i64::MIN) => Value::Int(infinite),
                micros => micros.checked_mul(1000).map_or(Value::Null, Value::Int),
            },
            Handled::HexText(binaries) => binaries.text(text::hex(bytes, &mut Scratch::default())?),
            Handled::Raw(binaries) => binaries.text(bytes),
        })
    }

    fn unavailable(&self, placeholder: &str) -> Value {
        match self {
            Handled::Double | Handled::MoneyDouble => Value::Float(0.0),
            Handled::NanoTimestamp => Value::Int(0),
            Handled::HstoreMap => map(vec![(placeholder.into(), Some(placeholder.into()))]),
            Handled::HexText(binaries) | Handled::Raw(binaries) => binaries.text(placeholder.as_bytes()),
            _ => Value::text(placeholder),
        }
    }
}

/// "$1,234.56" → "1234.56"
fn money(bytes: &[u8]) -> Option<String> {
    let Value::Bytes(unscaled) = cell::money(bytes)? else { return None };
    let cents =
        unscaled.iter().fold(if unscaled.first()? & 0x80 != 0 { -1i128 } else { 0 }, |n, b| n << 8 | *b as i128);
    let (sign, all) = (if cents < 0 { "-" } else { "" }, cents.unsigned_abs());
    Some(format!("{sign}{}.{:02}", all / 100, all % 100))
}

fn map(pairs: Vec<hstore::Pair>) -> Value {
    let value = |v: Option<String>| v.map_or(Value::Null, Value::text);
    Value::Map(pairs.into_iter().map(|(k, v)| (Value::text(k), value(v))).collect())
}

/// "1 year 2 mons -3 days +04:05:06.70" → "P1Y2M-3DT4H5M6.7S"
fn interval(bytes: &[u8]) -> Option<String> {
    let mut words = std::str::from_utf8(bytes).ok()?.split(' ');
    let (mut years, mut months, mut days, mut time) = (0i64, 0i64, 0i64, ["0", "0", "0"].map(String::from));
    while let Some(word) = words.next() {
        if word.contains(':') {
            let (sign, digits) = match word.strip_prefix('-') {
                Some(digits) => ("-", digits),
                None => ("", word.strip_prefix('+').unwrap_or(word)),
            };
            let mut parts = digits.split(':');
            for slot in &mut time {
                let part = parts.next()?;
                let short = if part.contains('.') { part.trim_end_matches('0').trim_end_matches('.') } else { part };
                let short = short.trim_start_matches('0');
                *slot = match short {
                    "" => "0".into(),
                    s if s.starts_with('.') => format!("{sign}0{s}"),
                    s => format!("{sign}{s}"),
                };
            }
            continue;
        }
        let number = word.parse().ok()?;
        match words.next()?.trim_end_matches('s') {
            "year" => years = number,
            "mon" => months = number,
            "day" => days = number,
            _ => return None,
        }
    }
    let [h, m, s] = time;
    Some(format!("P{years}Y{months}M{days}DT{h}H{m}M{s}S"))
}

fn iso_day(days: i64) -> String {
    let (year, month, day) = civil(days);
    let year = match year {
        0..=9999 => format!("{year:04}"),
        ..0 => format!("-{:04}", -year),
        _ => format!("+{year}"),
    };
    format!("{year}-{month:02}-{day:02}")
}

fn iso_date(days: i64) -> String {
    iso_day(days) + "Z"
}

/// The fraction as short as it goes; the end of the day is its beginning.
fn iso_time(micros: i64) -> String {
    let micros = micros.rem_euclid(86_400_000_000);
    let (seconds, fraction) = (micros / 1_000_000, micros % 1_000_000);
    let mut out = format!("{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60);
    if fraction > 0 {
        out.push_str(format!(".{fraction:06}").trim_end_matches('0'));
    }
    out.push('Z');
    out
}

fn iso_timestamp(micros: i64) -> Option<String> {
    if matches!(micros, i64::MAX | i64::MIN) {
        let mut scratch = Scratch::default();
        return String::from_utf8(zoned_of_micros(micros, 6, &mut scratch)?.to_vec()).ok();
    }
    Some(format!("{}T{}", iso_day(micros.div_euclid(86_400_000_000)), iso_time(micros)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn text_of(handled: Handled, text: &str) -> Option<String> {
        handled.decode(text.as_bytes())?.as_text().map(String::from)
    }

    #[test]
    fn modes_write_what_debezium_writes() {
        for (handled, text, expected) in [
            (Handled::Interval, "1 year 2 mons 3 days 04:05:06.789", "P1Y2M3DT4H5M6.789S"),
            (Handled::Interval, "-1 years -2 mons +3 days -04:05:06.789", "P-1Y-2M3DT-4H-5M-6.789S"),
            (Handled::Interval, "100 years", "P100Y0M0DT0H0M0S"),
            (Handled::Interval, "-1 days", "P0Y0M-1DT0H0M0S"),
            (Handled::Interval, "00:00:00.000001", "P0Y0M0DT0H0M0.000001S"),
            (Handled::Interval, "-00:10:00", "P0Y0M0DT0H-10M0S"),
            (Handled::IsoDate, "2024-02-29", "2024-02-29Z"),
            (Handled::IsoDate, "0001-01-01", "0001-01-01Z"),
            (Handled::IsoTime, "24:00:00", "00:00:00Z"),
            (Handled::IsoTime, "12:00:00.123", "12:00:00.123Z"),
            (Handled::IsoTimestamp, "2024-02-29 12:34:56.789012", "2024-02-29T12:34:56.789012Z"),
            (Handled::IsoTimestamp, "0001-01-01 00:00:00", "0001-01-01T00:00:00Z"),
            (Handled::MoneyText, "$1,234.56", "1234.56"),
            (Handled::MoneyText, "-$0.01", "-0.01"),
            (Handled::MoneyText, "-$92,233,720,368,547,758.08", "-92233720368547758.08"),
            (Handled::DecimalText, "12345.678900", "12345.678900"),
            (Handled::DecimalText, "NaN", "NAN"),
            (Handled::HexText(Binaries::Hex), "\\x00ff10", "00ff10"),
            (Handled::HexText(Binaries::Base64), "\\xfbff", "+/8="),
            (Handled::HexText(Binaries::Base64UrlSafe), "\\xfbff", "-_8="),
        ] {
            assert_eq!(text_of(handled, text).as_deref(), Some(expected), "{text}");
        }
        assert_eq!(
            Handled::Double.decode(b"1234567890123456789012.1234567890123456"),
            Some(Value::Float(1.2345678901234568e21))
        );
        assert_eq!(
            Handled::MoneyDouble.decode(b"-$92,233,720,368,547,758.08"),
            Some(Value::Float(-9.223372036854776e16))
        );
        assert_eq!(Handled::NanoTimestamp.decode(b"2262-04-12 00:00:00"), Some(Value::Null));
        assert_eq!(Handled::NanoTimestamp.decode(b"1969-12-31 23:59:59.999999"), Some(Value::Int(-1000)));
    }

    proptest! {
        #[test]
        fn any_text_is_refused_or_read(text in "[-+0-9:., a-z()$\"=>\\\\x]{0,30}") {
            for handled in [Handled::Double, Handled::DecimalText, Handled::MoneyDouble, Handled::MoneyText, Handled::Interval,
                Handled::HstoreMap, Handled::IsoDate, Handled::IsoTime, Handled::IsoTimestamp, Handled::NanoTimestamp,
                Handled::HexText(Binaries::Hex)]
            {
                let _ = handled.decode(text.as_bytes());
            }
        }
    }
}
