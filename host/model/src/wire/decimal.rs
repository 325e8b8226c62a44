//! Decimals: PostgreSQL's `numeric` as text or binary into Connect's unscaled two's complement bytes.

use super::Scratch;
use std::cmp::Ordering;

/// "-12.3" at scale 2 → the bytes of -1230. None: not a number (NaN too), or more digits behind the point than the scale.
#[inline]
pub fn from_text<'a>(text: &[u8], scale: i16, scratch: &'a mut Scratch) -> Option<&'a [u8]> {
    match unscaled(text, scale) {
        Some(n) => shortest(n, scratch),
        None => big_from_text(text, scale, scratch),
    }
}

/// The shortest two's complement bytes of a number.
#[inline]
pub fn shortest(n: i128, scratch: &mut Scratch) -> Option<&[u8]> {
    // bits that differ from the sign, and the sign's own
    let used = 128 - (n ^ (n >> 127)).leading_zeros() as usize + 1;
    scratch.small.get_mut(..16)?.copy_from_slice(&n.to_be_bytes());
    scratch.small.get(16 - used.div_ceil(8)..16)
}

/// "-12.3" at scale 2 → -1230, up to 38 digits.
#[inline]
pub fn unscaled(text: &[u8], scale: i16) -> Option<i128> {
    let (minus, digits) = match text {
        [b'-', d @ ..] => (true, d),
        d => (false, d),
    };
    let point = digits.iter().position(|b| *b == b'.').unwrap_or(digits.len());
    let (whole, part) = (digits.get(..point)?, digits.get(point + 1..).unwrap_or(&[]));
    if whole.is_empty() && part.is_empty() {
        return None;
    }
    let missing = usize::try_from(scale).ok()?.checked_sub(part.len())?;
    let n = if whole.len() + scale as usize <= 18 {
        // the usual: one word
        let add = |n: u64, d: &u8| d.is_ascii_digit().then(|| n * 10 + (d - b'0') as u64);
        let n = part.iter().try_fold(whole.iter().try_fold(0, add)?, add)?;
        (n * 10u64.pow(missing as u32)) as i128
    } else {
        let add = |n: i128, d: &u8| {
            let digit = d.is_ascii_digit().then(|| (d - b'0') as i128)?;
            n.checked_mul(10)?.checked_add(digit)
        };
        let n = part.iter().try_fold(whole.iter().try_fold(0, add)?, add)?;
        n.checked_mul(10i128.checked_pow(missing as u32)?)?
    };
    Some(if minus { -n } else { n })
}

/// Any number of digits, any scale; digits are collected and turned into bytes at the end.
#[cold]
fn big_from_text<'a>(text: &[u8], scale: i16, scratch: &'a mut Scratch) -> Option<&'a [u8]> {
    let (minus, digits) = match text {
        [b'-', d @ ..] => (true, d),
        d => (false, d),
    };
    let point = digits.iter().position(|b| *b == b'.').unwrap_or(digits.len());
    let (whole, part) = (digits.get(..point)?, digits.get(point + 1..).unwrap_or(&[]));
    if (whole.is_empty() && part.is_empty()) || !whole.iter().chain(part).all(u8::is_ascii_digit) {
        return None;
    }
    let mut all: Vec<u8> = whole.iter().chain(part).map(|b| b - b'0').collect();
    rescale(&mut all, part.len() as i64, scale as i64)?;
    to_bytes(&all, minus, scratch)
}

/// Moves the point from `from` digits behind it to `to`; None where digits other than zero would be lost.
fn rescale(digits: &mut Vec<u8>, from: i64, to: i64) -> Option<()> {
    if to >= from {
        digits.resize(digits.len() + usize::try_from(to - from).ok()?, 0);
        return Some(());
    }
    for _ in 0..from - to {
        if digits.pop().unwrap_or(0) != 0 {
            return None;
        }
    }
    Some(())
}

/// Digits (most significant first) to the shortest two's complement bytes.
fn to_bytes<'a>(digits: &[u8], minus: bool, scratch: &'a mut Scratch) -> Option<&'a [u8]> {
    let out = &mut scratch.big;
    out.clear();
    // little endian base 256
    for d in digits {
        let mut carry = *d as u16;
        for b in out.iter_mut() {
            carry += *b as u16 * 10;
            *b = carry as u8;
            carry >>= 8;
        }
        if carry > 0 {
            out.push(carry as u8);
        }
    }
    out.push(0);
    if minus {
        let mut carry = 1u16;
        for b in out.iter_mut() {
            carry += !*b as u16;
            *b = carry as u8;
            carry >>= 8;
        }
    }
    let is_spare = |out: &[u8]| match out {
        [.., below, top] => (*top == 0 && *below < 128) || (*top == 255 && *below > 127),
        _ => false,
    };
    while is_spare(out) {
        out.pop();
    }
    out.reverse();
    Some(out)
}

/// The wire's header: digits in base 10 000, weight of the first, sign, digits behind the point.
pub struct Numeric<'a> {
    pub negative: bool,
    pub weight: i16,
    pub dscale: i16,
    digits: &'a [u8],
}

/// None: malformed. NaN and infinities have `special`.
pub fn parse(bytes: &[u8]) -> Option<Result<Numeric<'_>, Special>> {
    let word = |i: usize| Some(u16::from_be_bytes([*bytes.get(i)?, *bytes.get(i + 1)?]));
    let (count, weight, sign, dscale) = (word(0)?, word(2)? as i16, word(4)?, word(6)? as i16);
    let digits = bytes.get(8..)?;
    if digits.len() != count as usize * 2 {
        return None;
    }
    Some(match sign {
        0 | 0x4000 => Ok(Numeric { negative: sign != 0, weight, dscale, digits }),
        0xC000 => Err(Special::Nan),
        0xD000 => Err(Special::Infinity),
        0xF000 => Err(Special::MinusInfinity),
        _ => return None,
    })
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Special {
    Nan,
    Infinity,
    MinusInfinity,
}

/// The binary `numeric` at a scale. None: malformed, not a number, or digits that the scale cannot hold.
pub fn from_binary<'a>(bytes: &[u8], scale: i16, scratch: &'a mut Scratch) -> Option<&'a [u8]> {
    let n = parse(bytes)?.ok()?;
    match n.unscaled(scale) {
        Some(n) => shortest(n, scratch),
        None => {
            let mut digits = vec![];
            for group in n.groups() {
                let group = group?;
                digits.extend([group / 1000, group / 100 % 10, group / 10 % 10, group % 10].map(|d| d as u8));
            }
            rescale(&mut digits, n.point(), scale as i64)?;
            to_bytes(&digits, n.negative, scratch)
        }
    }
}

/// Two's complement bytes by value.
pub fn order(a: &[u8], b: &[u8]) -> Option<Ordering> {
    let negative = |n: &[u8]| n.first().is_some_and(|b| *b > 127);
    let width = a.len().max(b.len());
    let extended = |n: &[u8]| -> Vec<u8> {
        let fill = if negative(n) { 255 } else { 0 };
        let mut wide = vec![fill; width - n.len()];
        wide.extend_from_slice(n);
        if let Some(first) = wide.first_mut() {
            *first ^= 128; // signed order as unsigned order
        }
        wide
    };
    extended(a).partial_cmp(&extended(b))
}

// === impl Numeric ===

impl Numeric<'_> {
    fn groups(&self) -> impl Iterator<Item = Option<u16>> {
        self.digits.chunks(2).map(|c| Some(u16::from_be_bytes(c.try_into().ok()?)).filter(|g| *g < 10_000))
    }
    /// Decimal digits behind the point in the groups as they are sent.
    fn point(&self) -> i64 {
        (self.digits.len() as i64 / 2 - 1 - self.weight as i64) * 4
    }
    /// At a scale, up to 38 digits.
    #[inline]
    pub fn unscaled(&self, scale: i16) -> Option<i128> {
        let mut n = 0i128;
        for group in self.groups() {
            n = n.checked_mul(10_000)?.checked_add(group? as i128)?;
        }
        let shift = scale as i64 - self.point();
        let power = 10i128.checked_pow(u32::try_from(shift.abs()).ok()?)?;
        n = if shift >= 0 {
            n.checked_mul(power)?
        } else if n % power == 0 {
            n / power
        } else {
            return None;
        };
        Some(if self.negative { -n } else { n })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// As the server encodes it.
    fn encode(text: &str) -> Vec<u8> {
        let (minus, t) = text.strip_prefix('-').map_or((false, text), |t| (true, t));
        let (whole, part) = t.split_once('.').unwrap_or((t, ""));
        let whole = format!("{:0>1$}", whole, whole.len().div_ceil(4) * 4);
        let padded = format!("{:0<1$}", part, part.len().div_ceil(4) * 4);
        let all = format!("{whole}{padded}");
        let mut groups: Vec<u16> = (0..all.len() / 4).map(|i| all[i * 4..i * 4 + 4].parse().unwrap()).collect();
        let mut weight = (whole.len() / 4) as i16 - 1;
        while groups.first() == Some(&0) {
            groups.remove(0);
            weight -= 1;
        }
        while groups.last() == Some(&0) {
            groups.pop();
        }
        if groups.is_empty() {
            weight = 0;
        }
        let mut out = vec![];
        for w in [groups.len() as u16, weight as u16, if minus { 0x4000 } else { 0 }, part.len() as u16] {
            out.extend(w.to_be_bytes());
        }
        groups.iter().for_each(|g| out.extend(g.to_be_bytes()));
        out
    }

    proptest! {
        #[test]
        fn text_and_binary_are_the_same_bytes(text in "-?[1-9][0-9]{0,60}(\\.[0-9]{1,9})?") {
            let (mut a, mut b) = (Scratch::default(), Scratch::default());
            let wire = encode(&text);
            let from_binary = from_binary(&wire, 9, &mut b).unwrap();
            prop_assert_eq!(from_text(text.as_bytes(), 9, &mut a).unwrap(), from_binary);
            // and both are the number: by a slower way
            let (whole, part) = text.split_once('.').unwrap_or((&text, ""));
            if let Ok(n) = format!("{whole}{part:0<9}").parse::<i128>() {
                let mut c = Scratch::default();
                prop_assert_eq!(shortest(n, &mut c).unwrap(), from_binary);
            }
        }

        #[test]
        fn any_bytes_are_refused_or_read(bytes in proptest::collection::vec(any::<u8>(), 0..40), scale in -5i16..40) {
            let mut s = Scratch::default();
            let _ = from_binary(&bytes, scale, &mut s);
            let _ = from_text(&bytes, scale, &mut s);
        }

        #[test]
        fn order_is_by_value(a in any::<i64>(), b in any::<i64>()) {
            let (mut x, mut y) = (Scratch::default(), Scratch::default());
            prop_assert_eq!(order(shortest(a as i128, &mut x).unwrap(), shortest(b as i128, &mut y).unwrap()), a.partial_cmp(&b));
        }
    }
}
