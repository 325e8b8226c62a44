//! PostgreSQL's text format. The session runs in UTC with `DateStyle=ISO`; anything else is refused, and the row fails.

use super::Scratch;

/// Canonical decimal digits with an optional minus.
#[inline]
pub fn int(text: &[u8]) -> Option<i64> {
    let (minus, digits) = match text {
        [b'-', d @ ..] => (true, d),
        d => (false, d),
    };
    let mut n = 0i64;
    for d in digits {
        if !d.is_ascii_digit() {
            return None;
        }
        n = n.checked_mul(10)?.checked_sub((d - b'0') as i64)?;
    }
    match (digits.is_empty(), minus) {
        (true, _) => None,
        (_, true) => Some(n),
        (_, false) => n.checked_neg(),
    }
}

pub fn float(text: &[u8]) -> Option<f64> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// "\x0a1b" → its bytes.
pub fn hex<'a>(text: &[u8], scratch: &'a mut Scratch) -> Option<&'a [u8]> {
    let digits = text.strip_prefix(b"\\x")?;
    scratch.big.clear();
    let nibble = |b: u8| (b as char).to_digit(16).map(|d| d as u8);
    for pair in digits.chunks(2) {
        let [high, low] = pair else { return None };
        scratch.big.push(nibble(*high)? << 4 | nibble(*low)?);
    }
    Some(&scratch.big)
}

/// "2026-01-05 12:34:56.7+00" → "2026-01-05T12:34:56.700000Z": fractions padded to the column's precision.
#[inline]
pub fn zoned<'a>(text: &[u8], precision: u8, scratch: &'a mut Scratch) -> Option<&'a [u8]> {
    let Some(body) = text.strip_suffix(b"+00").filter(|b| matches!(b.len(), 19..=26) && b.get(10) == Some(&b' '))
    else {
        return zoned_rare(text, precision, scratch);
    };
    let out = &mut scratch.small;
    out.get_mut(..body.len())?.copy_from_slice(body);
    *out.get_mut(10)? = b'T';
    let want = if precision == 0 { 19 } else { 20 + precision as usize };
    for (i, b) in out.iter_mut().enumerate().take(want).skip(body.len()) {
        *b = if i == 19 { b'.' } else { b'0' };
    }
    *out.get_mut(want)? = b'Z';
    out.get(..=want)
}

/// Years beyond four digits, BC and infinities.
#[cold]
fn zoned_rare<'a>(text: &[u8], precision: u8, scratch: &'a mut Scratch) -> Option<&'a [u8]> {
    let body = match text.strip_suffix(b" BC") {
        Some(body) => [body.strip_suffix(b"+00")?, b" BC"].concat(),
        None => text.strip_suffix(b"+00").unwrap_or(text).to_vec(),
    };
    super::binary::zoned_of_micros(timestamp(&body)?, precision, scratch)
}

/// Days since the epoch, of "2026-01-05", "10000-01-01", "0044-03-15 BC", "infinity".
pub fn date(text: &[u8]) -> Option<i64> {
    match text {
        b"infinity" => return Some(i32::MAX as i64),
        b"-infinity" => return Some(i32::MIN as i64),
        _ => {}
    }
    let (text, bc) = match text.strip_suffix(b" BC") {
        Some(t) => (t, true),
        None => (text, false),
    };
    let mut parts = text.split(|b| *b == b'-');
    let (year, month, day) = (int(parts.next()?)?, int(parts.next()?)?, int(parts.next()?)?);
    if parts.next().is_some() || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    Some(days(if bc { 1 - year } else { year }, month, day))
}

/// Days since 1970-01-01 of a proleptic Gregorian date (month 1–12).
pub fn days(year: i64, month: i64, day: i64) -> i64 {
    let y = if month <= 2 { year - 1 } else { year };
    let era = y.div_euclid(400);
    let of_era = y.rem_euclid(400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

/// Microseconds of a day, of "12:34:56.7"; 24:00:00 is 86 400 000 000.
pub fn time(text: &[u8]) -> Option<i64> {
    let (whole, part) = match text.iter().position(|b| *b == b'.') {
        Some(at) => (text.get(..at)?, text.get(at + 1..)?),
        None => (text, &[][..]),
    };
    let mut parts = whole.split(|b| *b == b':');
    let (h, m, s) = (int(parts.next()?)?, int(parts.next()?)?, int(parts.next()?)?);
    if parts.next().is_some() || part.len() > 6 || !part.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let fraction = (0..6).fold(0i64, |n, i| n * 10 + part.get(i).map_or(0, |b| (b - b'0') as i64));
    let seconds = h.checked_mul(60)?.checked_add(m)?.checked_mul(60)?.checked_add(s)?;
    seconds.checked_mul(1_000_000)?.checked_add(fraction)
}

/// Microseconds since the epoch, of "2026-01-05 12:34:56.7[ BC]", "infinity".
pub fn timestamp(text: &[u8]) -> Option<i64> {
    match text {
        b"infinity" => return Some(i64::MAX),
        b"-infinity" => return Some(i64::MIN),
        _ => {}
    }
    let (text, bc) = match text.strip_suffix(b" BC") {
        Some(t) => (t, true),
        None => (text, false),
    };
    let blank = text.iter().position(|b| *b == b' ')?;
    let day = text.get(..blank)?;
    let day = if bc { date(&[day, b" BC"].concat())? } else { date(day)? };
    day.checked_mul(86_400_000_000)?.checked_add(time(text.get(blank + 1..)?)?)
}
