//! PostgreSQL's binary format: `COPY … BINARY`, and pgoutput with `binary`.

use super::{Scratch, text};

/// Days and microseconds from PostgreSQL's epoch (2000-01-01) to Unix's.
pub const EPOCH_DAYS: i64 = 10_957;
pub const EPOCH_MICROS: i64 = EPOCH_DAYS * 86_400_000_000;

/// Days since 1970; infinities are the least and greatest i32.
pub fn date(bytes: &[u8]) -> Option<i64> {
    let days = i32::from_be_bytes(bytes.try_into().ok()?);
    Some(if days == i32::MAX || days == i32::MIN { days as i64 } else { days as i64 + EPOCH_DAYS })
}

/// Microseconds since 1970; infinities are the least and greatest i64.
pub fn timestamp(bytes: &[u8]) -> Option<i64> {
    let micros = i64::from_be_bytes(bytes.try_into().ok()?);
    Some(if micros == i64::MAX || micros == i64::MIN { micros } else { micros.checked_add(EPOCH_MICROS)? })
}

pub fn uuid<'a>(bytes: &[u8], scratch: &'a mut Scratch) -> Option<&'a [u8]> {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let bytes: &[u8; 16] = bytes.try_into().ok()?;
    let mut n = 0;
    for (i, b) in bytes.iter().enumerate() {
        if matches!(i, 4 | 6 | 8 | 10) {
            *scratch.small.get_mut(n)? = b'-';
            n += 1;
        }
        *scratch.small.get_mut(n)? = *HEX.get((b >> 4) as usize)?;
        *scratch.small.get_mut(n + 1)? = *HEX.get((b & 15) as usize)?;
        n += 2;
    }
    scratch.small.get(..n)
}

pub fn zoned<'a>(bytes: &[u8], precision: u8, scratch: &'a mut Scratch) -> Option<&'a [u8]> {
    zoned_of_micros(timestamp(bytes)?, precision, scratch)
}

/// ISO 8601 in UTC with the column's precision, as Debezium's ZonedTimestamp.
pub fn zoned_of_micros(micros: i64, precision: u8, scratch: &mut Scratch) -> Option<&[u8]> {
    // Debezium reads the infinities as these instants.
    let micros = match micros {
        i64::MAX => return Some(b"+292278994-08-16T23:00:00.000000Z"),
        i64::MIN => return Some(b"-292275055-05-16T23:00:00.000000Z"),
        m => m,
    };
    let (days, rest) = (micros.div_euclid(86_400_000_000), micros.rem_euclid(86_400_000_000));
    let (year, month, day) = civil(days);
    let out = &mut scratch.small;
    let mut n = 0;
    let mut put = |value: i64, width: usize, end: u8| -> Option<()> {
        let mut v = value.unsigned_abs();
        for i in (0..width).rev() {
            *out.get_mut(n + i)? = b'0' + (v % 10) as u8;
            v /= 10;
        }
        *out.get_mut(n + width)? = end;
        n += width + 1;
        Some(())
    };
    if !(0..=9999).contains(&year) {
        return zoned_far(year, month, day, rest, precision, scratch);
    }
    put(year, 4, b'-')?;
    put(month, 2, b'-')?;
    put(day, 2, b'T')?;
    let seconds = rest / 1_000_000;
    put(seconds / 3600, 2, b':')?;
    put(seconds / 60 % 60, 2, b':')?;
    put(seconds % 60, 2, if precision == 0 { b'Z' } else { b'.' })?;
    if precision > 0 {
        put(rest % 1_000_000 / 10i64.pow(6 - precision.min(6) as u32), precision.min(6) as usize, b'Z')?;
    }
    scratch.small.get(..n)
}

/// Years outside 0–9999, with a sign as java.time prints them.
#[cold]
fn zoned_far(year: i64, month: i64, day: i64, rest: i64, precision: u8, scratch: &mut Scratch) -> Option<&[u8]> {
    let seconds = rest / 1_000_000;
    let (h, m, s) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    let year = if year < 0 { format!("-{:04}", -year) } else { format!("+{year}") };
    let mut t = format!("{year}-{month:02}-{day:02}T{h:02}:{m:02}:{s:02}");
    if precision > 0 {
        let digits = format!("{:06}", rest % 1_000_000);
        t.push('.');
        t.push_str(digits.get(..precision.min(6) as usize)?);
    }
    t.push('Z');
    scratch.big.clear();
    scratch.big.extend_from_slice(t.as_bytes());
    Some(&scratch.big)
}

/// Year, month, day of a day since 1970.
pub fn civil(days: i64) -> (i64, i64, i64) {
    let z = days + 719_468;
    let (era, of_era) = (z.div_euclid(146_097), z.rem_euclid(146_097));
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let m = (5 * of_year + 2) / 153;
    let month = if m < 10 { m + 3 } else { m - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, of_year - (153 * m + 2) / 5 + 1)
}

/// The reverse of [`civil`], for readers of this module.
pub fn days(year: i64, month: i64, day: i64) -> i64 {
    text::days(year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn civil_and_days_are_inverse(d in -3_000_000i64..3_000_000) {
            let (y, m, day) = civil(d);
            prop_assert_eq!(days(y, m, day), d);
        }

        #[test]
        fn text_and_binary_say_the_same(micros in -62_000_000_000_000_000i64..200_000_000_000_000_000, precision in 0u8..=6) {
            let micros = micros - micros.rem_euclid(10i64.pow(6 - precision as u32));
            let (mut a, mut b) = (Scratch::default(), Scratch::default());
            let iso = String::from_utf8(zoned_of_micros(micros, precision, &mut a).unwrap().to_vec()).unwrap();
            let mut sql = iso.trim_end_matches('Z').replace('T', " ");
            while sql.contains('.') && sql.ends_with('0') { sql.pop(); }
            let sql = format!("{}+00", sql.trim_end_matches('.'));
            let again = super::super::text::zoned(sql.as_bytes(), precision, &mut b).unwrap();
            prop_assert_eq!(iso.as_bytes(), again);
            let wire = (micros - EPOCH_MICROS).to_be_bytes();
            prop_assert_eq!(zoned(&wire, precision, &mut b).unwrap(), iso.as_bytes());
        }
    }
}
