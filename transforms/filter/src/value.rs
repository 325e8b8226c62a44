//! Values and how Groovy compares them.

use std::{borrow::Cow, cmp::Ordering};
use weir::Comparison;

#[derive(Clone, PartialEq, Debug)]
pub enum Value<'a> {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    /// BigDecimal, as its text
    Decimal(Cow<'a, str>),
    Text(Cow<'a, str>),
    /// what `=~` gives: not a Boolean, but true where something was found
    Matcher(bool),
    /// a struct, a list, a map: there, and nothing more is known
    Object,
}

// === impl Value ===

impl Value<'_> {
    /// Groovy's truth.
    pub fn truth(&self) -> bool {
        match self {
            Value::Null => false,
            Value::Bool(v) | Value::Matcher(v) => *v,
            Value::Int(v) => *v != 0,
            Value::Float(v) => *v != 0.0,
            Value::Decimal(v) => decimal(v).is_some_and(|d| !d.digits.is_empty()),
            Value::Text(v) => !v.is_empty(),
            Value::Object => true,
        }
    }

    /// The same without a copy of its text.
    pub fn borrowed(&self) -> Value<'_> {
        match self {
            Value::Null => Value::Null,
            Value::Bool(v) => Value::Bool(*v),
            Value::Int(v) => Value::Int(*v),
            Value::Float(v) => Value::Float(*v),
            Value::Decimal(v) => Value::Decimal(Cow::Borrowed(v)),
            Value::Text(v) => Value::Text(Cow::Borrowed(v)),
            Value::Matcher(v) => Value::Matcher(*v),
            Value::Object => Value::Object,
        }
    }

    fn is_number(&self) -> bool {
        matches!(self, Value::Int(_) | Value::Float(_) | Value::Decimal(_))
    }

    fn to_f64(&self) -> f64 {
        match self {
            Value::Int(v) => *v as f64,
            Value::Float(v) => *v,
            Value::Decimal(v) => v.parse().unwrap_or(f64::NAN),
            _ => f64::NAN,
        }
    }

    /// The kind, for messages; never the value.
    pub fn kind(&self) -> &'static str {
        match self {
            Value::Null => "null",
            Value::Bool(_) => "a Boolean",
            Value::Int(_) | Value::Float(_) | Value::Decimal(_) => "a number",
            Value::Text(_) => "a text",
            Value::Matcher(_) => "a Matcher",
            Value::Object => "an object",
        }
    }
}

impl Value<'static> {
    pub fn negated(self) -> Self {
        match self {
            Value::Int(v) => Value::Int(v.wrapping_neg()),
            Value::Float(v) => Value::Float(-v),
            Value::Decimal(v) => Value::Decimal(format!("-{v}").into()),
            other => other,
        }
    }
}

/// `a is b`. An error says why the two cannot be compared.
pub fn compare(is: Comparison, a: &Value, b: &Value) -> Result<bool, String> {
    let order = match (a, b) {
        // a null is less than everything
        (Value::Null, Value::Null) => Some(Ordering::Equal),
        (Value::Null, _) => return Ok(matches!(is, Comparison::Ne | Comparison::Lt | Comparison::Le)),
        (_, Value::Null) => return Ok(matches!(is, Comparison::Ne | Comparison::Gt | Comparison::Ge)),
        (Value::Int(a), Value::Int(b)) => Some(a.cmp(b)),
        (Value::Float(_), b) if b.is_number() => a.to_f64().partial_cmp(&b.to_f64()),
        (a, Value::Float(_)) if a.is_number() => a.to_f64().partial_cmp(&b.to_f64()),
        (a, b) if a.is_number() && b.is_number() => exact(a, b),
        // one letter counts as its code
        (number, Value::Text(text)) if number.is_number() && letter(text).is_some() => {
            return compare(is, number, &Value::Int(letter(text).unwrap_or_default()));
        }
        (Value::Text(text), number) if number.is_number() && letter(text).is_some() => {
            return compare(is, &Value::Int(letter(text).unwrap_or_default()), number);
        }
        (Value::Text(a), Value::Text(b)) => Some(a.encode_utf16().cmp(b.encode_utf16())),
        (Value::Bool(a), Value::Bool(b)) => Some(a.cmp(b)),
        (Value::Object, Value::Object) => return Err("structs, lists and maps cannot be compared here".into()),
        _ => match is {
            Comparison::Eq => return Ok(false),
            Comparison::Ne => return Ok(true),
            _ => return Err(format!("Cannot compare {} and {}", a.kind(), b.kind())),
        },
    };
    // NaN is unequal to everything
    let Some(order) = order else { return Ok(is == Comparison::Ne) };
    Ok(match is {
        Comparison::Eq => order.is_eq(),
        Comparison::Ne => order.is_ne(),
        Comparison::Lt => order.is_lt(),
        Comparison::Le => order.is_le(),
        Comparison::Gt => order.is_gt(),
        Comparison::Ge => order.is_ge(),
    })
}

fn letter(text: &str) -> Option<i64> {
    let mut units = text.encode_utf16();
    units.next().filter(|_| units.next().is_none()).map(i64::from)
}

fn exact(a: &Value, b: &Value) -> Option<Ordering> {
    let text = |v: &Value| match v {
        Value::Int(v) => v.to_string(),
        Value::Decimal(v) => v.to_string(),
        _ => String::new(),
    };
    let (a, b) = (decimal(&text(a))?, decimal(&text(b))?);
    let order = match (a.digits.is_empty(), b.digits.is_empty()) {
        (true, true) => return Some(Ordering::Equal),
        (true, false) => return Some(if b.negative { Ordering::Greater } else { Ordering::Less }),
        (false, true) => return Some(if a.negative { Ordering::Less } else { Ordering::Greater }),
        _ if a.negative != b.negative => return Some(if a.negative { Ordering::Less } else { Ordering::Greater }),
        // without leading and trailing zeros, texts of digits compare as fractions do
        _ => a.magnitude.cmp(&b.magnitude).then_with(|| a.digits.cmp(&b.digits)),
    };
    Some(if a.negative { order.reverse() } else { order })
}

/// 0.digits × 10^magnitude; zero has no digits.
struct Decimal {
    negative: bool,
    digits: String,
    magnitude: i64,
}

fn decimal(text: &str) -> Option<Decimal> {
    let (negative, text) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{whole}{fraction}");
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let leading = digits.len() - digits.trim_start_matches('0').len();
    let magnitude = exponent.parse::<i64>().ok()?.checked_add(whole.len() as i64 - leading as i64)?;
    let digits = digits.trim_matches('0').to_string();
    Some(Decimal { negative, digits, magnitude })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groovy_compares_like_this() {
        let (int, text) = (Value::Int, |t: &'static str| Value::Text(t.into()));
        let dec = |t: &'static str| Value::Decimal(t.into());
        let less = [
            (Value::Null, int(18)),
            (Value::Null, text("")),
            (int(-1), dec("-0.5")),
            (dec("9.99"), dec("10")),
            (dec("1E-3"), dec("0.01")),
            (dec("-12.5"), dec("-12.4")),
            (int(i64::MAX - 1), dec("9223372036854775806.5")),
            (Value::Float(1.1), dec("1.2")),
            (text("a"), text("b")),
            (text("\u{10000}"), text("\u{ff00}")),
        ];
        for (a, b) in less {
            for (is, expected) in [
                (Comparison::Lt, true),
                (Comparison::Le, true),
                (Comparison::Gt, false),
                (Comparison::Ge, false),
                (Comparison::Eq, false),
                (Comparison::Ne, true),
            ] {
                assert_eq!(compare(is, &a, &b), Ok(expected), "{a:?} {is:?} {b:?}");
            }
            assert_eq!(compare(Comparison::Gt, &b, &a), Ok(true));
        }
        let equal = [
            (int(31), dec("31.0")),
            (dec("1E+3"), int(1000)),
            (dec("0.00"), int(0)),
            (Value::Float(1.5), dec("1.5")),
            (int(53), text("5")),
        ];
        for (a, b) in equal {
            assert_eq!(compare(Comparison::Eq, &a, &b), Ok(true), "{a:?} {b:?}");
        }
        assert_eq!(compare(Comparison::Eq, &int(31), &text("31")), Ok(false));
        assert_eq!(compare(Comparison::Eq, &Value::Float(f64::from(1.1f32)), &dec("1.1")), Ok(false));
        assert!(compare(Comparison::Lt, &int(31), &text("31")).is_err());
    }
}
