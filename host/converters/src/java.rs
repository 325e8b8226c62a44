//! Numbers as Java prints them.

use weir_model::Buffer;
use weir_model::wire::{binary, text};

/// Shortest digits (what PostgreSQL and `zmij` print) → Java's `Double.toString`, without a float on the usual way.
/// Infinities and NaN are the JSON strings that JsonConverter writes.
#[inline]
pub fn float(t: &[u8], out: &mut Buffer) -> Option<()> {
    let digits = t.strip_prefix(b"-").unwrap_or(t);
    let whole = digits.iter().position(|b| !b.is_ascii_digit()).unwrap_or(digits.len());
    let point = digits.get(whole) == Some(&b'.');
    let rest = digits.get(whole + point as usize..).unwrap_or_default();
    if (1..=7).contains(&whole) && rest.iter().all(u8::is_ascii_digit) && !digits.starts_with(b"0.000") {
        out.put(t);
        if !point {
            out.put(b".0")
        } else if rest.is_empty() {
            out.push(b'0')
        }
        return Some(());
    }
    float_rare(text::float(t)?, out);
    Some(())
}

/// As [`float`], for the digits of a float of 32 bits.
pub fn float32(t: &[u8], out: &mut Buffer) -> Option<()> {
    match std::str::from_utf8(t).ok()?.parse::<f32>().ok()? {
        // the shortest digits of the double that it becomes are not its own
        f if f != 0.0 && f.abs() < f32::MIN_POSITIVE => {
            float_tiny(&format!("{f:.1E}"), &format!("{f:E}"), out, |t| t.parse() == Ok(f))
        }
        _ => return float(t, out),
    }
    Some(())
}

#[cold]
fn float_rare(f: f64, out: &mut Buffer) {
    if !f.is_finite() {
        let name: &[u8] =
            if f.is_nan() { b"\"NaN\"" } else { if f > 0.0 { b"\"Infinity\"" } else { b"\"-Infinity\"" } };
        return out.put(name);
    }
    if (1e-3..1e7).contains(&f.abs()) || f == 0.0 {
        return out.put(format!("{f:?}").as_bytes());
    }
    if f.abs() < f64::MIN_POSITIVE {
        return float_tiny(&format!("{f:.1E}"), &format!("{f:E}"), out, |t| t.parse() == Ok(f));
    }
    exponent(&format!("{f:E}"), out)
}

/// Below the normal numbers one digit may be all that it takes to tell a float from the next: Java then prints the two digits
/// that are nearest to it.
fn float_tiny(two: &str, shortest: &str, out: &mut Buffer, is_it: impl Fn(&str) -> bool) {
    let one_digit = !shortest.contains('.');
    exponent(if one_digit && is_it(two) { two } else { shortest }, out)
}

/// "1E-5" → "1.0E-5"
fn exponent(text: &str, out: &mut Buffer) {
    let (digits, exponent) = text.split_once('E').unwrap_or((text, "0"));
    out.put(digits.as_bytes());
    if !digits.contains('.') {
        out.put(b".0")
    }
    out.push(b'E');
    out.put(exponent.as_bytes())
}

pub fn f64(f: f64, out: &mut Buffer) {
    if !f.is_finite() || float(zmij::Buffer::new().format_finite(f).as_bytes(), out).is_none() {
        float_rare(f, out)
    }
}

/// The shortest digits of a float are not those of the double it becomes.
pub fn f32(f: f32, out: &mut Buffer) {
    if !f.is_finite() || float32(zmij::Buffer::new().format_finite(f).as_bytes(), out).is_none() {
        float_rare(f as f64, out)
    }
}

/// What Connect's `Values` prints for its Date, Time and Timestamp, whichever it is: the text follows the value.
pub fn instant(ms: i64, out: &mut Buffer) {
    let (day, rest) = (ms.div_euclid(86_400_000), ms.rem_euclid(86_400_000));
    let (year, month, date) = binary::civil(day);
    let time = format!("{:02}:{:02}:{:02}.{:03}Z", rest / 3_600_000, rest / 60_000 % 60, rest / 1000 % 60, rest % 1000);
    let text = match (day, rest) {
        (..=0, _) => time,
        (_, 0) => format!("{year:04}-{month:02}-{date:02}"),
        _ => format!("{year:04}-{month:02}-{date:02}T{time}"),
    };
    out.put(text.as_bytes())
}

/// `java.util.Date.toString` in UTC.
pub fn date(ms: i64, out: &mut Buffer) {
    const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let (day, rest) = (ms.div_euclid(86_400_000), ms.rem_euclid(86_400_000) / 1000);
    let (year, month, date) = binary::civil(day);
    let name = DAYS.get(day.rem_euclid(7) as usize).copied().unwrap_or_default();
    let month = MONTHS.get(month as usize - 1).copied().unwrap_or_default();
    let (h, m, s) = (rest / 3600, rest / 60 % 60, rest % 60);
    out.put(format!("{name} {month} {date:02} {h:02}:{m:02}:{s:02} UTC {year:04}").as_bytes())
}

/// `BigDecimal.toString` of unscaled two's complement bytes.
pub fn decimal(unscaled: &[u8], scale: i64, out: &mut Buffer) {
    let (minus, digits) = digits(unscaled);
    if minus {
        out.push(b'-')
    }
    let exponent = digits.len() as i64 - 1 - scale;
    if scale == 0 {
        return out.put(&digits);
    }
    if scale > 0 && exponent >= -6 {
        let point = digits.len() as i64 - scale;
        if point > 0 {
            let (whole, part) = digits.split_at(point as usize);
            out.put(whole);
            out.push(b'.');
            return out.put(part);
        }
        out.put(b"0.");
        (0..-point).for_each(|_| out.push(b'0'));
        return out.put(&digits);
    }
    let (first, rest) = digits.split_at(1);
    out.put(first);
    if !rest.is_empty() {
        out.push(b'.');
        out.put(rest)
    }
    if exponent != 0 {
        out.put(format!("E{exponent:+}").as_bytes())
    }
}

/// Sign and decimal digits.
fn digits(unscaled: &[u8]) -> (bool, Vec<u8>) {
    let minus = unscaled.first().is_some_and(|b| *b > 127);
    if unscaled.len() <= 16 {
        let mut wide = [if minus { 255 } else { 0 }; 16];
        if let Some(to) = wide.get_mut(16 - unscaled.len()..) {
            to.copy_from_slice(unscaled)
        }
        return (minus, i128::from_be_bytes(wide).unsigned_abs().to_string().into_bytes());
    }
    // the magnitude, then long division by ten
    let mut magnitude = unscaled.to_vec();
    if minus {
        let mut carry = 1u16;
        for b in magnitude.iter_mut().rev() {
            carry += !*b as u16;
            *b = carry as u8;
            carry >>= 8;
        }
    }
    let mut out = vec![];
    while magnitude.iter().any(|b| *b != 0) {
        let mut rest = 0u16;
        for b in magnitude.iter_mut() {
            let n = rest << 8 | *b as u16;
            *b = (n / 10) as u8;
            rest = n % 10;
        }
        out.push(b'0' + rest as u8);
    }
    if out.is_empty() {
        out.push(b'0')
    }
    out.reverse();
    (minus, out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn said(f: impl Fn(&mut Buffer)) -> String {
        let mut out = Buffer::default();
        f(&mut out);
        String::from_utf8(out.to_vec()).unwrap()
    }

    #[test]
    fn doubles_as_java_prints_them() {
        for (f, want) in [
            (0.0, "0.0"),
            (-0.0, "-0.0"),
            (1.0, "1.0"),
            (100.0, "100.0"),
            (1e7, "1.0E7"),
            (9_999_999.5, "9999999.5"),
            (0.001, "0.001"),
            (9.99e-4, "9.99E-4"),
            (1e-5, "1.0E-5"),
            (-1.5e-7, "-1.5E-7"),
            (1.1, "1.1"),
            (f64::MAX, "1.7976931348623157E308"),
            (f64::INFINITY, "\"Infinity\""),
            (f64::NAN, "\"NaN\""),
        ] {
            assert_eq!(said(|o| super::f64(f, o)), want);
        }
        assert_eq!(said(|o| super::f32(1.1, o)), "1.1");
        assert_eq!(said(|o| super::f32(1e10, o)), "1.0E10");
        assert_eq!(said(|o| super::f32(f32::MIN_POSITIVE, o)), "1.1754944E-38");
        assert_eq!(said(|o| super::f32(f32::from_bits(1), o)), "1.4E-45");
        assert_eq!(said(|o| super::f64(f64::from_bits(1), o)), "4.9E-324");
        assert_eq!(said(|o| super::f64(f64::from_bits(2), o)), "9.9E-324");
    }

    #[test]
    fn decimals_as_java_prints_them() {
        for (n, scale, want) in [
            (-12345i64, 2, "-123.45"),
            (1, -3, "1E+3"),
            (1, 10, "1E-10"),
            (0, 7, "0E-7"),
            (123, 0, "123"),
            (5, 3, "0.005"),
            (123, -1, "1.23E+3"),
            (1, 6, "0.000001"),
            (1, 7, "1E-7"),
        ] {
            assert_eq!(said(|o| decimal(&n.to_be_bytes(), scale, o)), want);
        }
    }

    proptest! {
        /// Digits as PostgreSQL prints them and the float itself give the same text.
        #[test]
        fn text_and_float_agree(f in any::<f64>()) {
            prop_assume!(f.is_finite());
            let mut out = Buffer::default();
            float(format!("{f:e}").as_bytes(), &mut out);
            prop_assert_eq!(std::str::from_utf8(&out).unwrap(), said(|o| super::f64(f, o)));
            prop_assert_eq!(std::str::from_utf8(&out).unwrap().parse::<f64>().unwrap(), f);
        }

        #[test]
        fn long_and_short_decimals_agree(n in any::<i128>(), scale in 0i64..20) {
            let short = said(|o| decimal(&n.to_be_bytes(), scale, o));
            let long = [&[if n < 0 { 255u8 } else { 0 }; 3][..], &n.to_be_bytes()].concat();
            prop_assert_eq!(short, said(|o| decimal(&long, scale, o)));
        }
    }
}
