//! Values outside columns: defaults, constants and what rules compare with.

use crate::{decimal, json, wit};
use std::sync::Arc;
use weir_model::{Kind, Type, Value, logical, wire::Scratch};

pub(crate) const DAY_MS: i64 = 86_400_000;

pub(crate) fn scale(ty: &Type) -> i16 {
    ty.get_parameter("scale").and_then(|s| s.trim().parse().ok()).unwrap_or(0)
}

pub(crate) fn is_decimal(ty: &Type) -> bool {
    ty.kind == Kind::Bytes && ty.is(logical::DECIMAL)
}

/// Connect's Date: days in the model, milliseconds on the guest's side.
pub(crate) fn is_date(ty: &Type) -> bool {
    ty.kind.is_int() && ty.is(logical::DATE)
}

/// What an integer kind can hold.
pub(crate) fn range(kind: Kind) -> (i64, i64) {
    match kind {
        Kind::Int8 => (i8::MIN.into(), i8::MAX.into()),
        Kind::Int16 => (i16::MIN.into(), i16::MAX.into()),
        Kind::Int32 => (i32::MIN.into(), i32::MAX.into()),
        _ => (i64::MIN, i64::MAX),
    }
}

/// The integer that the model keeps. Err says why its type cannot hold it, without the number.
pub(crate) fn int(i: i64, ty: &Type) -> Result<i64, &'static str> {
    let i = if is_date(ty) {
        if i % DAY_MS != 0 {
            return Err("a Date with a time of day");
        }
        i / DAY_MS
    } else {
        i
    };
    let (least, most) = range(ty.kind);
    match (least..=most).contains(&i) {
        true => Ok(i),
        false => Err("a number that its integer kind cannot hold"),
    }
}

/// The model's integer as guests see it.
#[inline]
pub(crate) fn int_out(i: i64, is_date: bool) -> i64 {
    if is_date { i.saturating_mul(DAY_MS) } else { i }
}

pub(crate) fn decimal_bytes(text: &[u8], ty: &Type) -> Result<Value, &'static str> {
    let mut scratch = Scratch::default();
    let bytes = decimal::read(text, scale(ty), &mut scratch);
    bytes.map(Value::bytes).ok_or("a text that is no decimal of its scale")
}

/// A guest's scalar as a value of a type. Err says what does not fit.
pub(crate) fn read(scalar: &wit::Scalar, ty: &Type) -> Result<Value, String> {
    use wit::Scalar as S;
    let any = ty.kind == Kind::Any;
    Ok(match scalar {
        S::Null => Value::Null,
        S::Boolean(b) if any || ty.kind == Kind::Boolean => Value::Boolean(*b),
        S::Int(i) if any => Value::Int(*i),
        S::Int(i) if ty.kind.is_int() => Value::Int(int(*i, ty)?),
        S::Float(f) if any || ty.kind == Kind::Float64 => Value::Float(*f),
        S::Float(f) if ty.kind == Kind::Float32 => Value::Float((*f as f32).into()),
        S::Text(t) if any || ty.kind == Kind::Text => Value::text(t),
        S::Text(t) if is_decimal(ty) => decimal_bytes(t.as_bytes(), ty)?,
        S::Bytes(b) if any || (ty.kind == Kind::Bytes && !is_decimal(ty)) => Value::bytes(b),
        S::Json(t) if any || matches!(ty.kind, Kind::Array | Kind::Map | Kind::Struct) => json::read(t.as_bytes(), ty)?,
        other => {
            let found = match other {
                S::Null => "null",
                S::Boolean(_) => "boolean",
                S::Int(_) => "int",
                S::Float(_) => "float",
                S::Text(_) => "text",
                S::Bytes(_) => "bytes",
                S::Json(_) => "json",
            };
            return Err(format!("{found} is no value of kind {}", describe(ty)));
        }
    })
}

/// "bytes (Decimal)".
pub(crate) fn describe(ty: &Type) -> String {
    match ty.name() {
        Some(name) if name.starts_with("org.apache.kafka.connect.data.") => {
            format!("{} ({})", ty.kind.json_name(), name.rsplit('.').next().unwrap_or(name))
        }
        _ => ty.kind.json_name().into(),
    }
}

/// A value of the model as a guest's scalar.
pub(crate) fn write(value: &Value, ty: &Type) -> wit::Scalar {
    match value {
        Value::Null => wit::Scalar::Null,
        Value::Boolean(b) => wit::Scalar::Boolean(*b),
        Value::Int(i) => wit::Scalar::Int(int_out(*i, is_date(ty))),
        Value::Float(f) => wit::Scalar::Float(*f),
        Value::Text(t) => wit::Scalar::Text(t.to_string()),
        Value::Bytes(b) if is_decimal(ty) => {
            let mut out = vec![];
            decimal::write(b, scale(ty).into(), &mut out);
            wit::Scalar::Text(String::from_utf8_lossy(&out).into_owned())
        }
        Value::Bytes(b) => wit::Scalar::Bytes(b.to_vec()),
        Value::List(_) | Value::Map(_) | Value::Struct(_) => {
            let mut out = vec![];
            json::write(value, ty, &mut out);
            wit::Scalar::Json(String::from_utf8_lossy(&out).into_owned())
        }
    }
}

/// A type that says nothing.
pub(crate) fn untyped() -> Type {
    Type { schemaless: true, note: Arc::default(), ..Type::new(Kind::Any).optional(true) }
}
