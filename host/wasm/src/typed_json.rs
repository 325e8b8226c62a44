//! `{"schema":…,"payload":…}`: values that bring their type along, row by row. The schema is written as Connect's JsonConverter
//! writes it.

use crate::{json, scalar, tree::DEEPEST};
use serde_json::{Map, Value as Json, value::RawValue};
use std::collections::HashMap;
use std::sync::Arc;
use weir_model::{Annotation, Kind, Member, Name, Type, Value};

/// What stands before the payload in every row of a field.
pub(crate) fn head(ty: &Type) -> Vec<u8> {
    let mut out = b"{\"schema\":".to_vec();
    // of a value in memory, into a vector: cannot fail
    let _ = serde_json::to_writer(&mut out, &schema(ty, None));
    out.extend_from_slice(b",\"payload\":");
    out
}

fn schema(ty: &Type, field: Option<&str>) -> Json {
    if ty.schemaless {
        return Json::Null;
    }
    let mut out = Map::new();
    out.insert("type".into(), ty.kind.json_name().into());
    let member = |name: &str| ty.member(name).map_or(Json::Null, |t| schema(t, None));
    match ty.kind {
        Kind::Array => drop(out.insert("items".into(), member("element"))),
        Kind::Map => {
            out.insert("keys".into(), member("key"));
            out.insert("values".into(), member("value"));
        }
        Kind::Struct => {
            let fields = ty.of.iter().map(|m| schema(&m.ty, Some(&m.name))).collect();
            out.insert("fields".into(), Json::Array(fields));
        }
        _ => {}
    }
    out.insert("optional".into(), ty.optional.into());
    let note = &ty.note;
    let text = |t: &Name| Json::from(&**t);
    note.name.iter().for_each(|n| drop(out.insert("name".into(), text(n))));
    note.version.iter().for_each(|v| drop(out.insert("version".into(), (*v).into())));
    note.doc.iter().for_each(|d| drop(out.insert("doc".into(), text(d))));
    if !note.parameters.is_empty() {
        let all = note.parameters.iter().map(|(k, v)| (k.to_string(), text(v))).collect();
        out.insert("parameters".into(), Json::Object(all));
    }
    if let Some(d) = &note.default {
        let mut payload = vec![];
        json::write(d, ty, &mut payload);
        out.insert("default".into(), serde_json::from_slice(&payload).unwrap_or_default());
    }
    field.iter().for_each(|f| drop(out.insert("field".into(), (*f).into())));
    Json::Object(out)
}

/// Reads rows; schemas are interned by their text.
#[derive(Default)]
pub(crate) struct Reader {
    known: HashMap<String, Arc<Type>>,
}

/// Schemas remembered at one time.
const MOST_SCHEMAS: usize = 1000;

#[derive(serde::Deserialize)]
struct Row<'a> {
    #[serde(borrow)]
    schema: Option<&'a RawValue>,
    #[serde(borrow)]
    payload: Option<&'a RawValue>,
}

// === impl Reader ===

impl Reader {
    /// Err says what does not fit, and holds no value.
    pub fn read(&mut self, text: &[u8]) -> Result<Value, String> {
        let row: Row =
            serde_json::from_slice(text).map_err(|_| "text that is no {\"schema\",\"payload\"}".to_string())?;
        let payload = row.payload.map_or("null", RawValue::get).as_bytes();
        let Some(schema) = row.schema.map(RawValue::get) else { return json::read(payload, &scalar::untyped()) };
        let ty = match self.known.get(schema) {
            Some(ty) => ty.clone(),
            None => {
                let json = serde_json::from_str(schema).map_err(|_| "a schema that is no JSON".to_string())?;
                let ty = Arc::new(ty(&json, 0)?);
                if self.known.len() >= MOST_SCHEMAS {
                    self.known.clear()
                }
                self.known.insert(schema.into(), ty.clone());
                ty
            }
        };
        Ok(loose(&json::read(payload, &ty)?, &ty))
    }
}

/// A value whose type is not kept: a struct becomes a map of its members.
fn loose(value: &Value, ty: &Type) -> Value {
    let any = scalar::untyped();
    match value {
        Value::Struct(members) => {
            let pairs = ty.of.iter().zip(members.iter()).map(|(m, v)| (Value::Text(m.name.clone()), loose(v, &m.ty)));
            Value::Map(pairs.collect())
        }
        Value::List(items) => Value::list(items.iter().map(|i| loose(i, ty.member("element").unwrap_or(&any)))),
        Value::Map(pairs) => {
            let (key, of) = (ty.member("key").unwrap_or(&any), ty.member("value").unwrap_or(&any));
            Value::Map(pairs.iter().map(|(k, v)| (loose(k, key), loose(v, of))).collect())
        }
        // without its type a float is a double: the one that is written with the same digits
        Value::Float(f) if ty.kind == Kind::Float32 && f.is_finite() => {
            Value::Float(zmij::Buffer::new().format_finite(*f as f32).parse().unwrap_or(*f))
        }
        other => other.clone(),
    }
}

fn ty(json: &Json, depth: usize) -> Result<Type, String> {
    if depth > DEEPEST {
        return Err(format!("a schema more than {DEEPEST} levels deep"));
    }
    let Json::Object(schema) = json else {
        return if json.is_null() { Ok(scalar::untyped()) } else { Err("a schema that is no object".into()) };
    };
    let text = |key: &str| schema.get(key).and_then(Json::as_str);
    let kind = text("type").and_then(Kind::of_json_name).ok_or("a schema of an unknown type")?;
    let child = |key: &str| schema.get(key).map_or(Ok(scalar::untyped()), |s| ty(s, depth + 1));
    let mut bare = match kind {
        Kind::Array => Type::array(child("items")?),
        Kind::Map => Type::map(child("keys")?, child("values")?),
        Kind::Struct => {
            let fields = schema.get("fields").and_then(Json::as_array).map_or(&[][..], Vec::as_slice);
            let member = |f: &Json| {
                let name = f.get("field").and_then(Json::as_str).ok_or("a field of a schema without a name")?;
                Ok::<_, String>(Member { name: name.into(), ty: ty(f, depth + 1)? })
            };
            Type { of: fields.iter().map(member).collect::<Result<_, _>>()?, ..Type::new(Kind::Struct) }
        }
        kind => Type::new(kind),
    };
    let parameters = schema.get("parameters").and_then(Json::as_object).into_iter().flatten();
    bare.optional = schema.get("optional").and_then(Json::as_bool).unwrap_or(false);
    bare.note = Arc::new(Annotation {
        name: text("name").map(Name::from),
        version: schema.get("version").and_then(Json::as_i64).and_then(|v| v.try_into().ok()),
        doc: text("doc").map(Name::from),
        parameters: parameters.filter_map(|(k, v)| Some((k.as_str().into(), v.as_str()?.into()))).collect(),
        default: None,
    });
    Ok(match schema.get("default") {
        Some(d) => {
            let default = json::value(d, &bare, depth)?;
            bare.default_value(default)
        }
        None => bare,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_brings_its_type() {
        let inner =
            Type::record([("d".into(), Type::decimal(2, None)), ("n".into(), Type::new(Kind::Int32).optional(true))]);
        let value = Value::record([Value::bytes([4, 206]), Value::Null]);
        let mut text = head(&inner);
        json::write(&value, &inner, &mut text);
        text.push(b'}');
        let schema = r#"{"type":"struct","fields":[{"type":"bytes","optional":false,"name":"org.apache.kafka.connect.data.Decimal","version":1,"parameters":{"scale":"2"},"field":"d"},{"type":"int32","optional":true,"field":"n"}],"optional":false}"#;
        assert_eq!(
            String::from_utf8_lossy(&text),
            format!(r#"{{"schema":{schema},"payload":{{"d":"12.30","n":null}}}}"#)
        );
        let read = Reader::default().read(&text).unwrap();
        let want = [(Value::text("d"), Value::bytes([4, 206])), (Value::text("n"), Value::Null)];
        assert_eq!(read, Value::Map(want.into()));
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        for text in [
            "",
            "1",
            "[]",
            "{",
            r#"{"schema":7,"payload":1}"#,
            r#"{"schema":{"type":"x"},"payload":1}"#,
            r#"{"schema":{"type":"int8"},"payload":300}"#,
            r#"{"schema":{"type":"struct","fields":[{}]},"payload":null}"#,
        ] {
            assert!(Reader::default().read(text.as_bytes()).is_err(), "{text}");
        }
        let none = Reader::default().read(br#"{"schema":null,"payload":{"a":[1,2.5]}}"#).unwrap();
        assert_eq!(none, Value::Map([(Value::text("a"), Value::list([Value::Int(1), Value::Float(2.5)]))].into()));
    }
}
