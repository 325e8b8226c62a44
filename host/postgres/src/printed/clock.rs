//! Dates, times and intervals, as a session in UTC with `DateStyle=ISO` and `IntervalStyle=postgres` prints them.

use std::fmt::Write;
use weir_model::wire::binary::{EPOCH_DAYS, EPOCH_MICROS, civil};

const DAY: i64 = 86_400_000_000;

fn day(days: i64) -> (String, bool) {
    let (year, month, day) = civil(days);
    let bc = year <= 0;
    (format!("{:04}-{month:02}-{day:02}", if bc { 1 - year } else { year }), bc)
}

pub fn date(days: i32) -> String {
    match days {
        i32::MAX => "infinity".into(),
        i32::MIN => "-infinity".into(),
        days => match day(days as i64 + EPOCH_DAYS) {
            (text, true) => text + " BC",
            (text, false) => text,
        },
    }
}

pub fn timestamp(micros: i64, zoned: bool) -> Option<String> {
    match micros {
        i64::MAX => return Some("infinity".into()),
        i64::MIN => return Some("-infinity".into()),
        _ => {}
    }
    let micros = micros.checked_add(EPOCH_MICROS)?;
    let (text, bc) = day(micros.div_euclid(DAY));
    let zone = if zoned { "+00" } else { "" };
    Some(format!("{text} {}{zone}{}", time(micros.rem_euclid(DAY)), if bc { " BC" } else { "" }))
}

/// The fraction as short as it goes.
pub fn time(micros: i64) -> String {
    let (seconds, fraction) = (micros.unsigned_abs() / 1_000_000, micros.unsigned_abs() % 1_000_000);
    let mut out = format!("{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60);
    if fraction > 0 {
        out.push_str(format!(".{fraction:06}").trim_end_matches('0'));
    }
    out
}

/// From seconds west of Greenwich.
pub fn zone(west: i32) -> String {
    let (sign, seconds) = (if west <= 0 { '+' } else { '-' }, west.unsigned_abs());
    let mut out = format!("{sign}{:02}", seconds / 3600);
    if seconds % 3600 != 0 {
        let _ = write!(out, ":{:02}", seconds / 60 % 60);
    }
    if seconds % 60 != 0 {
        let _ = write!(out, ":{:02}", seconds % 60);
    }
    out
}

/// In the style `postgres`.
pub fn interval(micros: i64, days: i32, months: i32) -> String {
    match (micros, days, months) {
        (i64::MAX, i32::MAX, i32::MAX) => return "infinity".into(),
        (i64::MIN, i32::MIN, i32::MIN) => return "-infinity".into(),
        _ => {}
    }
    let (mut out, mut after_minus) = (String::new(), false);
    for (value, unit) in [(months / 12, "year"), (months % 12, "mon"), (days, "day")] {
        if value == 0 {
            continue;
        }
        let blank = if out.is_empty() { "" } else { " " };
        let plus = if after_minus && value > 0 { "+" } else { "" };
        let _ = write!(out, "{blank}{plus}{value} {unit}{}", if value == 1 { "" } else { "s" });
        after_minus = value < 0;
    }
    if micros != 0 || out.is_empty() {
        let blank = if out.is_empty() { "" } else { " " };
        let sign = if micros < 0 { "-" } else { ["", "+"].get(usize::from(after_minus)).copied().unwrap_or_default() };
        let _ = write!(out, "{blank}{sign}{}", time(micros));
    }
    out
}
