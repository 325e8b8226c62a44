//! Payloads: values as JSON, with a schema and without.

use super::{
    Fault,
    tree::{Data, Node, Type},
};
use crate::{Annotation, Kind};
use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Map, Value, json};

const DECIMAL: &str = "org.apache.kafka.connect.data.Decimal";
const TIMESTAMP: &str = "org.apache.kafka.connect.data.Timestamp";

// === impl Type ===

impl Type {
    /// A payload of this type.
    pub fn data(&self, payload: &Value) -> Result<Data, Fault> {
        // `$raw`: a Java object that is not what the schema asks for
        if let Some(raw) = payload.get("$raw") {
            let raw = infer(raw)?;
            return Ok(if raw.ty.kind == self.kind { raw.data } else { Data::Json(payload.clone()) });
        }
        if self.kind == Kind::Any && !payload.is_null() {
            return Ok(Data::Json(payload.clone()));
        }
        if self.schemaless && self.kind != Kind::Struct {
            return Ok(infer(payload)?.data);
        }
        let wrong = || Fault(format!("{payload} is no {:?}", self.kind));
        Ok(match (self.kind, payload) {
            (_, Value::Null) => Data::Null,
            (Kind::Boolean, Value::Bool(v)) => Data::Boolean(*v),
            (Kind::Int8 | Kind::Int16 | Kind::Int32 | Kind::Int64, v) => Data::Int(v.as_i64().ok_or_else(wrong)?),
            (Kind::Float32, v) => Data::Float(f64::from(float(v).ok_or_else(wrong)? as f32)),
            (Kind::Float64, v) => Data::Float(float(v).ok_or_else(wrong)?),
            (Kind::Text, Value::String(v)) => Data::Text(v.clone()),
            (Kind::Bytes, Value::String(v)) if self.is_decimal() => Data::Text(v.clone()),
            (Kind::Bytes, Value::String(v)) => Data::Bytes(STANDARD.decode(v).map_err(|_| wrong())?),
            (Kind::Struct, Value::Object(members)) => {
                let member = |(name, ty): &(String, Type)| match members.get(name) {
                    Some(v) => ty.data(v),
                    None => Ok(Data::Null),
                };
                Data::Struct(self.children.iter().map(member).collect::<Result<_, _>>()?)
            }
            (Kind::Array | Kind::Map | Kind::Any, v) => Data::Json(v.clone()),
            _ => return Err(wrong()),
        })
    }

    /// A value of this type as a payload.
    pub fn payload(&self, data: &Data) -> Value {
        if self.schemaless {
            return self.tagged(data);
        }
        match data {
            Data::Null => Value::Null,
            Data::Boolean(v) => json!(v),
            Data::Int(v) => json!(v),
            Data::Float(v) => text_of(*v).map_or_else(|| json!(v), |text| json!(text)),
            Data::Text(v) => json!(v),
            Data::Bytes(v) => json!(STANDARD.encode(v)),
            Data::Struct(members) => {
                let fields = self.children.iter().zip(members);
                Value::Object(fields.map(|((name, ty), v)| (name.clone(), ty.payload(v))).collect())
            }
            Data::Json(v) => v.clone(),
        }
    }

    /// A value without schema: what JSON has no word for is tagged.
    fn tagged(&self, data: &Data) -> Value {
        let tag = |name: &str, v: Value| Value::Object(Map::from_iter([(name.to_string(), v)]));
        match (data, self.kind) {
            (Data::Int(v), Kind::Int8) => tag("$int8", json!(v)),
            (Data::Int(v), Kind::Int16) => tag("$int16", json!(v)),
            (Data::Int(v), Kind::Int32) => tag("$int32", json!(v)),
            (Data::Int(v), _) if self.annotation.name.as_deref() == Some(TIMESTAMP) => tag("$date", json!(v)),
            (Data::Int(v), _) => json!(v),
            (Data::Float(v), kind) => {
                let number = text_of(*v).map(Value::from);
                match kind {
                    Kind::Float32 => tag("$float32", number.unwrap_or_else(|| json!(v))),
                    _ => number.map_or_else(|| json!(v), |text| tag("$float64", text)),
                }
            }
            (Data::Text(v), _) if self.is_decimal() => tag("$decimal", json!(v)),
            (Data::Bytes(v), _) => tag("$bytes", json!(STANDARD.encode(v))),
            (Data::Struct(members), _) => {
                let member = |((name, ty), v): (&(String, Type), &Data)| match (ty.kind, ty.schemaless, v) {
                    (Kind::Struct, false, v) if !v.is_null() => {
                        (name.clone(), tag("$struct", json!({"schema": ty.to_schema(), "payload": ty.payload(v)})))
                    }
                    (_, false, v) => (name.clone(), Type { schemaless: true, ..ty.clone() }.tagged(v)),
                    (_, true, v) => (name.clone(), ty.tagged(v)),
                };
                Value::Object(self.children.iter().zip(members).map(member).collect())
            }
            (Data::Null, _) => Value::Null,
            (Data::Boolean(v), _) => json!(v),
            (Data::Text(v), _) => json!(v),
            (Data::Json(v), _) => v.clone(),
        }
    }
}

/// A payload without schema, with the type that its looks tell.
pub fn infer(payload: &Value) -> Result<Node, Fault> {
    let node = |kind, data| Node { ty: Type::schemaless(kind), data };
    let named = |kind, name: &str, data| {
        let ty = Type { annotation: Annotation::named(name), ..Type::schemaless(kind) };
        Node { ty, data }
    };
    Ok(match payload {
        Value::Null => node(Kind::Any, Data::Null),
        Value::Bool(v) => node(Kind::Boolean, Data::Boolean(*v)),
        Value::Number(v) => match v.as_i64() {
            Some(v) => node(Kind::Int64, Data::Int(v)),
            None => node(Kind::Float64, Data::Float(v.as_f64().unwrap_or_default())),
        },
        Value::String(v) => node(Kind::Text, Data::Text(v.clone())),
        Value::Array(_) => {
            let mut list = node(Kind::Array, Data::Json(payload.clone()));
            list.ty.children.push(("element".into(), Type::schemaless(Kind::Any)));
            list
        }
        Value::Object(members) => {
            let mut pairs = members.iter();
            if let (Some((tag, v)), None) = (pairs.next(), pairs.next())
                && tag.starts_with('$')
            {
                let int = || v.as_i64().map(Data::Int).ok_or_else(|| Fault(format!("{tag} takes an integer")));
                let float = || float(v).map(Data::Float).ok_or_else(|| Fault(format!("{tag} takes a number")));
                let text =
                    || v.as_str().map(|t| Data::Text(t.into())).ok_or_else(|| Fault(format!("{tag} takes a text")));
                return Ok(match tag.as_str() {
                    "$int8" => node(Kind::Int8, int()?),
                    "$int16" => node(Kind::Int16, int()?),
                    "$int32" => node(Kind::Int32, int()?),
                    "$float32" => node(Kind::Float32, float()?),
                    "$float64" => node(Kind::Float64, float()?),
                    "$bytes" | "$bytebuffer" => node(Kind::Bytes, Type::new(Kind::Bytes).data(v)?),
                    "$decimal" => named(Kind::Bytes, DECIMAL, text()?),
                    "$date" => named(Kind::Int64, TIMESTAMP, int()?),
                    "$bigint" => named(Kind::Any, "java.math.BigInteger", Data::Json(payload.clone())),
                    "$map" => node(Kind::Map, Data::Json(payload.clone())),
                    "$struct" => {
                        let ty = Type::from_schema(v.get("schema").ok_or("a struct without schema")?)?;
                        let data = ty.data(v.get("payload").unwrap_or(&Value::Null))?;
                        Node { ty, data }
                    }
                    _ => {
                        let class = v.get("class").and_then(Value::as_str).unwrap_or("java.lang.Object");
                        named(Kind::Any, class, Data::Json(payload.clone()))
                    }
                });
            }
            let mut object = node(Kind::Struct, Data::Null);
            let mut data = vec![];
            for (name, v) in members {
                let member = infer(v)?;
                object.ty.children.push((name.clone(), member.ty));
                data.push(member.data);
            }
            object.data = Data::Struct(data);
            object
        }
    })
}

fn float(v: &Value) -> Option<f64> {
    match v {
        Value::String(text) => text.parse().ok(),
        _ => v.as_f64(),
    }
}

/// What JSON has no number for.
fn text_of(v: f64) -> Option<&'static str> {
    match v {
        _ if v.is_nan() => Some("NaN"),
        _ if v == f64::INFINITY => Some("Infinity"),
        _ if v == f64::NEG_INFINITY => Some("-Infinity"),
        _ if v == 0.0 && v.is_sign_negative() => Some("-0.0"),
        _ => None,
    }
}
