//! Values as JSON texts, as guests get and hand them back: struct members in field order, nulls written; a map with required text
//! keys as object, any other as list of pairs; bytes in base64; Decimal, Date, Time, Timestamp as in scalars; NaN, infinities and
//! -0.0 as strings.

use crate::scalar::{decimal_bytes, int, int_out, is_date, is_decimal, scale, untyped};
use crate::{decimal, tree::DEEPEST};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::Value as Json;
use weir_model::{Kind, Type, Value};

// === writing ===

pub(crate) fn write(value: &Value, ty: &Type, out: &mut Vec<u8>) {
    match value {
        Value::Null => out.extend_from_slice(b"null"),
        Value::Boolean(b) => out.extend_from_slice(if *b { b"true" } else { b"false" }),
        Value::Int(i) => out.extend_from_slice(itoa::Buffer::new().format(int_out(*i, is_date(ty))).as_bytes()),
        Value::Float(f) => float(*f, ty.kind == Kind::Float32, out),
        Value::Text(t) => text(t, out),
        Value::Bytes(b) if is_decimal(ty) => {
            out.push(b'"');
            decimal::write(b, scale(ty).into(), out);
            out.push(b'"')
        }
        Value::Bytes(b) => {
            out.push(b'"');
            out.extend_from_slice(STANDARD.encode(b).as_bytes());
            out.push(b'"')
        }
        Value::List(items) => {
            let any = untyped();
            let element = ty.member("element").unwrap_or(&any);
            list(items.iter(), out, |item, out| write(item, element, out))
        }
        Value::Map(pairs) => map(pairs, ty, out),
        Value::Struct(values) => {
            out.push(b'{');
            for (i, (member, value)) in ty.of.iter().zip(values.iter()).enumerate() {
                if i > 0 {
                    out.push(b',')
                }
                text(&member.name, out);
                out.push(b':');
                write(value, &member.ty, out)
            }
            out.push(b'}')
        }
    }
}

fn list<'a, T: 'a>(items: impl Iterator<Item = &'a T>, out: &mut Vec<u8>, mut each: impl FnMut(&T, &mut Vec<u8>)) {
    out.push(b'[');
    for (i, item) in items.enumerate() {
        if i > 0 {
            out.push(b',')
        }
        each(item, out)
    }
    out.push(b']')
}

/// Required text keys make an object; so do texts where nothing says a type.
fn is_object(ty: &Type) -> Option<bool> {
    ty.member("key").map(|key| key.kind == Kind::Text && !key.optional)
}

fn map(pairs: &[(Value, Value)], ty: &Type, out: &mut Vec<u8>) {
    let any = untyped();
    let (key, value) = (ty.member("key").unwrap_or(&any), ty.member("value").unwrap_or(&any));
    let texts = || pairs.iter().all(|(k, _)| matches!(k, Value::Text(_)));
    if !is_object(ty).unwrap_or_else(texts) {
        return list(pairs.iter(), out, |(k, v), out| {
            out.push(b'[');
            write(k, key, out);
            out.push(b',');
            write(v, value, out);
            out.push(b']')
        });
    }
    out.push(b'{');
    for (i, (k, v)) in pairs.iter().enumerate() {
        if i > 0 {
            out.push(b',')
        }
        text(k.as_text().unwrap_or_default(), out);
        out.push(b':');
        write(v, value, out)
    }
    out.push(b'}')
}

fn text(t: &str, out: &mut Vec<u8>) {
    // into a vector, and of a str: neither can fail
    let _ = serde_json::to_writer(out, t);
}

fn float(f: f64, single: bool, out: &mut Vec<u8>) {
    let special = match f {
        f if f.is_nan() => "\"NaN\"",
        f64::INFINITY => "\"Infinity\"",
        f64::NEG_INFINITY => "\"-Infinity\"",
        f if f == 0.0 && f.is_sign_negative() => "\"-0.0\"",
        _ if single => return number(zmij::Buffer::new().format_finite(f as f32), out),
        _ => return number(zmij::Buffer::new().format_finite(f), out),
    };
    out.extend_from_slice(special.as_bytes())
}

/// A float keeps a point or an exponent, for without a type they tell it from an integer.
fn number(digits: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(digits.as_bytes());
    if digits.bytes().all(|b| b.is_ascii_digit() || b == b'-') {
        out.extend_from_slice(b".0")
    }
}

// === reading ===

/// Err says what does not fit, and holds no value.
pub(crate) fn read(text: &[u8], ty: &Type) -> Result<Value, String> {
    let json: Json = serde_json::from_slice(text).map_err(|_| "text that is no JSON".to_string())?;
    value(&json, ty, 0)
}

pub(crate) fn value(json: &Json, ty: &Type, depth: usize) -> Result<Value, String> {
    if depth > DEEPEST {
        return Err(format!("JSON more than {DEEPEST} levels deep"));
    }
    let misfit = || format!("JSON that is no {}", crate::scalar::describe(ty));
    Ok(match (json, ty.kind) {
        (Json::Null, _) => Value::Null,
        (json, Kind::Any) => free(json, depth)?,
        (Json::Bool(b), Kind::Boolean) => Value::Boolean(*b),
        (Json::Number(n), kind) if kind.is_int() => Value::Int(int(n.as_i64().ok_or_else(misfit)?, ty)?),
        (Json::Number(n), Kind::Float64) => Value::Float(n.as_f64().ok_or_else(misfit)?),
        (Json::Number(n), Kind::Float32) => Value::Float((n.as_f64().ok_or_else(misfit)? as f32).into()),
        (Json::String(t), Kind::Float32 | Kind::Float64) => Value::Float(match t.as_str() {
            "NaN" => f64::NAN,
            "Infinity" => f64::INFINITY,
            "-Infinity" => f64::NEG_INFINITY,
            "-0.0" => -0.0,
            _ => return Err(misfit()),
        }),
        (Json::String(t), Kind::Text) => Value::text(t),
        (Json::String(t), Kind::Bytes) if is_decimal(ty) => decimal_bytes(t.as_bytes(), ty)?,
        (Json::String(t), Kind::Bytes) => Value::bytes(STANDARD.decode(t).map_err(|_| misfit())?),
        (Json::Array(items), Kind::Array) => {
            let any = untyped();
            let element = ty.member("element").unwrap_or(&any);
            Value::List(items.iter().map(|i| value(i, element, depth + 1)).collect::<Result<_, _>>()?)
        }
        (json, Kind::Map) => read_map(json, ty, depth).ok_or_else(misfit)??,
        (Json::Object(members), Kind::Struct) => {
            if let Some(i) = members.keys().position(|k| ty.member(k).is_none()) {
                return Err(format!("a struct whose member {i} its type does not have"));
            }
            let member =
                |m: &weir_model::Member| members.get(&*m.name).map_or(Ok(Value::Null), |v| value(v, &m.ty, depth + 1));
            Value::Struct(ty.of.iter().map(member).collect::<Result<_, _>>()?)
        }
        _ => return Err(misfit()),
    })
}

fn read_map(json: &Json, ty: &Type, depth: usize) -> Option<Result<Value, String>> {
    let any = untyped();
    let (key, of) = (ty.member("key").unwrap_or(&any), ty.member("value").unwrap_or(&any));
    let pairs: Result<Vec<_>, String> = match (json, is_object(ty)) {
        (Json::Object(members), Some(true) | None) => {
            members.iter().map(|(k, v)| Ok((Value::text(k), value(v, of, depth + 1)?))).collect()
        }
        (Json::Array(items), Some(false) | None) => {
            let pairs: Option<Vec<(&Json, &Json)>> = items
                .iter()
                .map(|i| match i.as_array().map(Vec::as_slice) {
                    Some([k, v]) => Some((k, v)),
                    _ => None,
                })
                .collect();
            pairs?.into_iter().map(|(k, v)| Ok((value(k, key, depth + 1)?, value(v, of, depth + 1)?))).collect()
        }
        _ => return None,
    };
    Some(pairs.map(|p| Value::Map(p.into())))
}

/// Without a type: objects are maps of texts.
fn free(json: &Json, depth: usize) -> Result<Value, String> {
    if depth > DEEPEST {
        return Err(format!("JSON more than {DEEPEST} levels deep"));
    }
    Ok(match json {
        Json::Null => Value::Null,
        Json::Bool(b) => Value::Boolean(*b),
        Json::Number(n) => match (n.as_i64(), n.as_f64()) {
            (Some(i), _) => Value::Int(i),
            (None, Some(f)) if !n.is_u64() => Value::Float(f),
            _ => return Err("a whole number beyond 64 bits".into()),
        },
        Json::String(t) => Value::text(t),
        Json::Array(items) => Value::List(items.iter().map(|i| free(i, depth + 1)).collect::<Result<_, _>>()?),
        Json::Object(members) => {
            let pair = |(k, v): (&String, &Json)| Ok::<_, String>((Value::text(k), free(v, depth + 1)?));
            Value::Map(members.iter().map(pair).collect::<Result<Vec<_>, _>>()?.into())
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn leaf() -> impl Strategy<Value = (Type, Value)> {
        prop_oneof![
            any::<i8>().prop_map(|i| (Type::new(Kind::Int8), Value::Int(i.into()))),
            any::<i64>().prop_map(|i| (Type::new(Kind::Int64), Value::Int(i))),
            any::<f64>().prop_map(|f| (Type::new(Kind::Float64), Value::Float(f))),
            any::<f32>().prop_map(|f| (Type::new(Kind::Float32), Value::Float(f.into()))),
            any::<bool>().prop_map(|b| (Type::new(Kind::Boolean), Value::Boolean(b))),
            ".*".prop_map(|t| (Type::new(Kind::Text), Value::text(t))),
            proptest::collection::vec(any::<u8>(), 0..20).prop_map(|b| (Type::new(Kind::Bytes), Value::bytes(b))),
            (-100_000i64..100_000)
                .prop_map(|d| (Type::named(Kind::Int32, weir_model::logical::DATE, 1), Value::Int(d))),
            any::<i128>().prop_map(|n| {
                let mut s = weir_model::wire::Scratch::default();
                let bytes = weir_model::wire::decimal::shortest(n, &mut s).unwrap().to_vec();
                (Type::decimal(7, None), Value::bytes(bytes))
            }),
            Just((Type::new(Kind::Int32).optional(true), Value::Null)),
        ]
    }

    fn tree() -> impl Strategy<Value = (Type, Value)> {
        leaf().prop_recursive(4, 32, 4, |inner| {
            prop_oneof![
                inner.clone().prop_map(|(t, v)| (Type::array(t), Value::list([v.clone(), v]))),
                (".*", inner.clone()).prop_map(|(k, (t, v))| {
                    (Type::map(Type::new(Kind::Text), t), Value::Map([(Value::text(k), v)].into()))
                }),
                (any::<i32>(), inner.clone()).prop_map(|(k, (t, v))| {
                    (Type::map(Type::new(Kind::Int32), t), Value::Map([(Value::Int(k.into()), v)].into()))
                }),
                proptest::collection::vec(inner, 0..4).prop_map(|all| {
                    let named = all.iter().enumerate().map(|(i, (t, _))| (format!("f{i}").into(), t.clone()));
                    (Type::record(named), Value::record(all.iter().map(|(_, v)| v.clone())))
                }),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_is_written_is_read((ty, v) in tree()) {
            let mut out = vec![];
            write(&v, &ty, &mut out);
            let again = read(&out, &ty).unwrap();
            // by text: NaN is not equal to itself
            prop_assert_eq!(format!("{again:?}"), format!("{v:?}"));
        }

        #[test]
        fn any_text_is_refused_or_read(text in ".{0,40}", (ty, _) in tree()) {
            let _ = read(text.as_bytes(), &ty);
        }
    }
}
