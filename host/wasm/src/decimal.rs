//! Decimals as guests see them: the text of Java's `BigDecimal.toString`, with its own scale.

use weir_model::wire::{Scratch, decimal};

/// Exponents and digits beyond this are no number that a database holds, and would cost memory without end.
const MOST_DIGITS: i64 = 200_000;

/// The text of unscaled two's complement bytes.
pub(crate) fn write(unscaled: &[u8], scale: i64, out: &mut Vec<u8>) {
    let (minus, digits) = digits(unscaled);
    if minus {
        out.push(b'-')
    }
    let exponent = digits.len() as i64 - 1 - scale;
    if scale == 0 {
        return out.extend_from_slice(&digits);
    }
    if scale > 0 && exponent >= -6 {
        let point = digits.len() as i64 - scale;
        if point > 0 {
            let (whole, part) = digits.split_at(point as usize);
            out.extend_from_slice(whole);
            out.push(b'.');
            return out.extend_from_slice(part);
        }
        out.extend_from_slice(b"0.");
        out.resize(out.len() + (-point) as usize, b'0');
        return out.extend_from_slice(&digits);
    }
    let (first, rest) = digits.split_at(1);
    out.extend_from_slice(first);
    if !rest.is_empty() {
        out.push(b'.');
        out.extend_from_slice(rest)
    }
    if exponent != 0 {
        out.extend_from_slice(format!("E{exponent:+}").as_bytes())
    }
}

/// Sign and decimal digits, at least one.
fn digits(unscaled: &[u8]) -> (bool, Vec<u8>) {
    let minus = unscaled.first().is_some_and(|b| *b > 127);
    if unscaled.len() <= 16 {
        let mut wide = [if minus { 255 } else { 0 }; 16];
        if let Some(to) = wide.get_mut(16 - unscaled.len()..) {
            to.copy_from_slice(unscaled)
        }
        return (minus, i128::from_be_bytes(wide).unsigned_abs().to_string().into_bytes());
    }
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
    out.reverse();
    (minus, if out.is_empty() { vec![b'0'] } else { out })
}

/// Wire text that is already what [`write`] would make of it: "-12.30" at scale 2.
#[inline]
pub(crate) fn is_canonical(text: &[u8], scale: i16) -> bool {
    let digits = text.strip_prefix(b"-").unwrap_or(text);
    let scale = scale as usize;
    if !(1..=6).contains(&scale) {
        return scale == 0 && !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    }
    let Some((whole, part)) = digits.len().checked_sub(scale).and_then(|at| digits.split_at_checked(at)) else {
        return false;
    };
    let Some((b'.', whole)) = whole.split_last() else { return false };
    !whole.is_empty() && whole.iter().chain(part).all(u8::is_ascii_digit)
}

/// "12.30", "1E+3" → unscaled bytes at a scale. None: no number, or digits that the scale cannot hold.
pub(crate) fn read<'a>(text: &[u8], scale: i16, scratch: &'a mut Scratch) -> Option<&'a [u8]> {
    let plain = !text.iter().any(|b| matches!(b, b'e' | b'E' | b'+'));
    if plain && decimal::unscaled(text, scale).is_some() {
        return decimal::from_text(text, scale, scratch);
    }
    let (mantissa, exponent) = match text.iter().position(|b| matches!(b, b'e' | b'E')) {
        Some(at) => (text.get(..at)?, std::str::from_utf8(text.get(at + 1..)?).ok()?.parse::<i64>().ok()?),
        None => (text, 0),
    };
    let (minus, mantissa) = match mantissa {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        rest => (false, rest),
    };
    let point = mantissa.iter().position(|b| *b == b'.').unwrap_or(mantissa.len());
    let (whole, part) = (mantissa.get(..point)?, mantissa.get(point + 1..).unwrap_or(&[]));
    if (whole.is_empty() && part.is_empty()) || !whole.iter().chain(part).all(u8::is_ascii_digit) {
        return None;
    }
    let mut digits: Vec<u8> = whole.iter().chain(part).copied().collect();
    // digits × 10^-own: how far to move to the scale asked for
    let own = (part.len() as i64).checked_sub(exponent)?;
    let shift = (scale as i64).checked_sub(own)?;
    if digits.iter().all(|d| *d == b'0') {
        digits = vec![b'0'];
    } else if shift >= 0 {
        if shift + digits.len() as i64 > MOST_DIGITS {
            return None;
        }
        digits.resize(digits.len() + shift as usize, b'0');
    } else {
        for _ in 0..shift.checked_neg()? {
            if digits.pop()? != b'0' {
                return None;
            }
        }
    }
    if minus {
        digits.insert(0, b'-')
    }
    decimal::from_text(&digits, 0, scratch)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn round(text: &str, scale: i16) -> Option<String> {
        let mut scratch = Scratch::default();
        let bytes = read(text.as_bytes(), scale, &mut scratch)?.to_vec();
        let mut out = vec![];
        write(&bytes, scale as i64, &mut out);
        Some(String::from_utf8(out).unwrap())
    }

    #[test]
    fn as_java_prints_them() {
        for (text, scale, want) in [
            ("12.30", 2, Some("12.30")),
            ("1E+3", -3, Some("1E+3")),
            ("1E+3", 2, Some("1000.00")),
            ("0", 2, Some("0.00")),
            ("-0.000000012", 9, Some("-1.2E-8")),
            ("1.5", 0, None),
            ("1.50", 1, Some("1.5")),
            (
                "-123456789012345678901234567890123456789012345.5",
                1,
                Some("-123456789012345678901234567890123456789012345.5"),
            ),
            ("1E+999999999", 0, None),
            ("0E+999999999", 0, Some("0")),
            ("NaN", 0, None),
            ("", 0, None),
            (".", 0, None),
        ] {
            assert_eq!(round(text, scale).as_deref(), want, "{text} at {scale}");
        }
    }

    proptest! {
        #[test]
        fn what_is_canonical_is_copied(text in "-?[0-9]{0,20}\\.?[0-9]{0,8}", scale in 0i16..8) {
            if is_canonical(text.as_bytes(), scale) && !text.starts_with("0") && !text.starts_with("-0") {
                prop_assert_eq!(round(&text, scale), Some(text));
            }
        }

        #[test]
        fn any_text_is_refused_or_read(text in "[-+0-9.eE]{0,12}", scale in -3i16..9) {
            round(&text, scale);
        }
    }
}
