//! Dead letters: values with their schemas as JsonConverter writes them, but for what it refuses, and the way back.
//!
//! A letter holds a record that something could not take, so nothing is refused here: a null stands where the schema demands a
//! value, and a value of another kind than its schema says stands as what it is. [`read`] refuses both.

use crate::{Json, schema};
use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::Value as Tree;
use std::sync::Arc;
use weir_model::{Annotation, Buffer, Format, Kind, Member, Name, Type, Value, View};

/// Deeper is no schema that anything here has written.
const DEEPEST: usize = 64;
const JSON: Json = Json { schemas: true, numeric: false, defaults: false };

// === writing ===

/// Appends `{"schema":…,"payload":…}`.
pub fn write(ty: &Type, value: &Value, out: &mut Buffer) {
    out.put(b"{\"schema\":");
    if ty.schemaless {
        out.put(b"null")
    } else {
        let start = out.len();
        // a default that its type cannot hold is left out
        if schema(ty, None, &JSON, out).is_err() {
            out.truncate(start);
            let _ = schema(&without_defaults(ty), None, &JSON, out);
        }
    }
    out.put(b",\"payload\":");
    tree(ty, value, out);
    out.push(b'}')
}

fn tree(ty: &Type, value: &Value, out: &mut Buffer) {
    match (value, ty.kind) {
        (Value::Null, _) => out.put(b"null"),
        (Value::Struct(values), Kind::Struct) => {
            out.push(b'{');
            for (i, (member, value)) in ty.of.iter().zip(values.iter()).enumerate() {
                JSON.field(i == 0, &member.name, out);
                tree(&member.ty, value, out)
            }
            out.push(b'}')
        }
        (Value::List(items), Kind::Array) => {
            out.push(b'[');
            for (i, item) in items.iter().enumerate() {
                if i > 0 {
                    out.push(b',')
                }
                match ty.of.first() {
                    Some(element) => tree(&element.ty, item, out),
                    None => any(item, out),
                }
            }
            out.push(b']')
        }
        _ => {
            let start = out.len();
            if JSON.tree(ty, value, out).is_err() {
                out.truncate(start);
                any(value, out)
            }
        }
    }
}

/// A value that its schema does not fit.
fn any(value: &Value, out: &mut Buffer) {
    match value {
        Value::Int(i) => drop(Json::value(View::Int(*i), 0, out)),
        Value::Boolean(b) => drop(Json::value(View::Bool(*b), 0, out)),
        Value::Text(t) => out.quoted(t.as_bytes()),
        Value::Bytes(b) => out.quoted(STANDARD.encode(b).as_bytes()),
        Value::Float(_) | Value::List(_) | Value::Map(_) => {
            let untyped = Type { schemaless: true, ..Type::new(Kind::Any).optional(true) };
            if JSON.tree(&untyped, value, out).is_err() {
                out.put(b"null")
            }
        }
        Value::Null | Value::Struct(_) => out.put(b"null"),
    }
}

fn without_defaults(ty: &Type) -> Type {
    let note = Arc::new(Annotation { default: None, ..(*ty.note).clone() });
    let member = |m: &Member| Member { name: m.name.clone(), ty: without_defaults(&m.ty) };
    Type { note, of: ty.of.iter().map(member).collect(), ..ty.clone() }
}

// === reading ===

/// The type and the value of `{"schema":…,"payload":…}`. Err says what does not fit, and holds no value.
pub fn read(letter: &Tree) -> Result<(Type, Value), String> {
    let (Some(schema), Some(payload)) = (letter.get("schema"), letter.get("payload")) else {
        return Err("it is no {\"schema\", \"payload\"}".into());
    };
    let ty = read_type(schema, 0)?;
    let value = read_value(payload, &ty, "", 0)?;
    Ok((ty, value))
}

fn untyped() -> Type {
    Type { schemaless: true, ..Type::new(Kind::Any).optional(true) }
}

fn read_type(json: &Tree, depth: usize) -> Result<Type, String> {
    if depth > DEEPEST {
        return Err(format!("its schema is more than {DEEPEST} levels deep"));
    }
    if json.is_null() {
        return Ok(untyped());
    }
    let text = |key: &str| json.get(key).and_then(Tree::as_str);
    let kind = text("type").and_then(Kind::of_json_name).ok_or("its schema is of no known type")?;
    let child = |key: &str| json.get(key).map_or(Ok(untyped()), |s| read_type(s, depth + 1));
    let mut ty = match kind {
        Kind::Array => Type::array(child("items")?),
        Kind::Map => Type::map(child("keys")?, child("values")?),
        Kind::Struct => {
            let fields = json.get("fields").and_then(Tree::as_array).map_or(&[][..], Vec::as_slice);
            let member = |f: &Tree| {
                let name = f.get("field").and_then(Tree::as_str).ok_or("a field of its schema has no name")?;
                Ok::<_, String>((Name::from(name), read_type(f, depth + 1)?))
            };
            Type::record(fields.iter().map(member).collect::<Result<Vec<_>, _>>()?)
        }
        kind => Type::new(kind),
    };
    ty.optional = json.get("optional").and_then(Tree::as_bool).unwrap_or(false);
    let parameters = json.get("parameters").and_then(Tree::as_object).into_iter().flatten();
    ty.note = Arc::new(Annotation {
        name: text("name").map(Name::from),
        version: json.get("version").and_then(Tree::as_i64).and_then(|v| v.try_into().ok()),
        doc: text("doc").map(Name::from),
        parameters: parameters.filter_map(|(k, v)| Some((k.as_str().into(), v.as_str()?.into()))).collect(),
        default: None,
    });
    match json.get("default") {
        Some(default) => {
            let default = read_value(default, &ty, "", depth)?;
            Ok(ty.default_value(default))
        }
        None => Ok(ty),
    }
}

fn read_value(json: &Tree, ty: &Type, place: &str, depth: usize) -> Result<Value, String> {
    let misfit = || {
        let place = if place.is_empty() { "it" } else { place };
        format!("`{place}` is no {}", ty.kind.json_name())
    };
    if depth > DEEPEST {
        return Err(format!("it is more than {DEEPEST} levels deep"));
    }
    Ok(match (json, ty.kind) {
        (Tree::Null, _) if ty.optional || ty.schemaless || ty.default().is_some() => Value::Null,
        (json, Kind::Any) => free(json, depth)?,
        (Tree::Bool(b), Kind::Boolean) => Value::Boolean(*b),
        (Tree::Number(n), kind) if kind.is_int() => Value::Int(n.as_i64().ok_or_else(misfit)?),
        (Tree::Number(n), Kind::Float32 | Kind::Float64) => Value::Float(n.as_f64().ok_or_else(misfit)?),
        (Tree::String(t), Kind::Float32 | Kind::Float64) => Value::Float(match t.as_str() {
            "NaN" => f64::NAN,
            "Infinity" => f64::INFINITY,
            "-Infinity" => f64::NEG_INFINITY,
            _ => return Err(misfit()),
        }),
        (Tree::String(t), Kind::Text) => Value::text(t),
        (Tree::String(t), Kind::Bytes) => Value::bytes(STANDARD.decode(t).map_err(|_| misfit())?),
        (Tree::Array(items), Kind::Array) => {
            let untyped = untyped();
            let element = ty.member("element").unwrap_or(&untyped);
            Value::List(items.iter().map(|i| read_value(i, element, place, depth + 1)).collect::<Result<_, _>>()?)
        }
        (json, Kind::Map) => map(json, ty, place, depth)?.ok_or_else(misfit)?,
        (Tree::Object(members), Kind::Struct) => {
            let member = |m: &Member| {
                let place = if place.is_empty() { m.name.to_string() } else { format!("{place}.{}", m.name) };
                read_value(members.get(&*m.name).unwrap_or(&Tree::Null), &m.ty, &place, depth + 1)
            };
            Value::Struct(ty.of.iter().map(member).collect::<Result<_, _>>()?)
        }
        _ => return Err(misfit()),
    })
}

/// An object, or a list of pairs.
fn map(json: &Tree, ty: &Type, place: &str, depth: usize) -> Result<Option<Value>, String> {
    let untyped = untyped();
    let (key, of) = (ty.member("key").unwrap_or(&untyped), ty.member("value").unwrap_or(&untyped));
    let mut pairs = vec![];
    match json {
        Tree::Object(members) => {
            for (k, v) in members {
                pairs.push((Value::text(k), read_value(v, of, place, depth + 1)?))
            }
        }
        Tree::Array(items) => {
            for item in items {
                let Some([k, v]) = item.as_array().map(Vec::as_slice) else { return Ok(None) };
                pairs.push((read_value(k, key, place, depth + 1)?, read_value(v, of, place, depth + 1)?))
            }
        }
        _ => return Ok(None),
    }
    Ok(Some(Value::Map(pairs.into())))
}

/// Without a type: objects are maps of texts.
fn free(json: &Tree, depth: usize) -> Result<Value, String> {
    if depth > DEEPEST {
        return Err(format!("it is more than {DEEPEST} levels deep"));
    }
    Ok(match json {
        Tree::Null => Value::Null,
        Tree::Bool(b) => Value::Boolean(*b),
        Tree::Number(n) => match (n.as_i64(), n.as_f64()) {
            (Some(i), _) => Value::Int(i),
            (None, Some(f)) => Value::Float(f),
            (None, None) => return Err("it holds a number that is none".into()),
        },
        Tree::String(t) => Value::text(t),
        Tree::Array(items) => Value::List(items.iter().map(|i| free(i, depth + 1)).collect::<Result<_, _>>()?),
        Tree::Object(members) => {
            let pair = |(k, v): (&String, &Tree)| Ok::<_, String>((Value::text(k), free(v, depth + 1)?));
            Value::Map(members.iter().map(pair).collect::<Result<Vec<_>, _>>()?.into())
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(ty: &Type, value: &Value) -> String {
        let mut out = Buffer::default();
        write(ty, value, &mut out);
        String::from_utf8(out.to_vec()).unwrap()
    }

    fn order() -> Type {
        Type::record([
            ("id".into(), Type::new(Kind::Int32)),
            ("amount".into(), Type::decimal(2, Some(10)).optional(true)),
            ("rate".into(), Type::new(Kind::Float64).default_value(Value::Float(0.5))),
            ("tags".into(), Type::array(Type::new(Kind::Text)).optional(true)),
            ("more".into(), Type::map(Type::new(Kind::Text), Type::new(Kind::Bytes))),
        ])
    }

    #[test]
    fn what_is_written_is_read() {
        let more = Value::Map([(Value::text("k"), Value::bytes([1, 2]))].into());
        let tags = Value::list([Value::text("a\"b")]);
        let value = Value::record([Value::Int(7), Value::bytes([4, 206]), Value::Float(f64::INFINITY), tags, more]);
        let json: Tree = serde_json::from_str(&text(&order(), &value)).unwrap();
        assert_eq!(read(&json).unwrap(), (order(), value));
        // a null that a default stands for is one
        let defaulted = Type::new(Kind::Text).default_value(Value::text("false"));
        let json: Tree = serde_json::from_str(&text(&defaulted, &Value::Null)).unwrap();
        assert_eq!(read(&json).unwrap(), (defaulted, Value::Null));
        let nothing: Tree = serde_json::from_str(&text(&untyped(), &Value::Null)).unwrap();
        assert_eq!(read(&nothing).unwrap(), (untyped(), Value::Null));
    }

    #[test]
    fn what_no_converter_takes_is_written_and_is_no_record_again() {
        // a null where a value must be, text where a number must be, a struct's default
        let ty = Type::record([
            ("id".into(), Type::new(Kind::Int32)),
            ("at".into(), Type::new(Kind::Int64)),
            ("more".into(), Type::record([]).default_value(Value::record([]))),
        ]);
        let value = Value::record([Value::Null, Value::text("17:x"), Value::record([])]);
        let json: Tree = serde_json::from_str(&text(&ty, &value)).unwrap();
        assert_eq!(json["payload"], serde_json::json!({"id": null, "at": "17:x", "more": {}}));
        assert_eq!(read(&json).unwrap_err(), "`id` is no int32");
    }
}
