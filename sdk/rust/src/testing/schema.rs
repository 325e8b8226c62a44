//! Schemas, in the notation of JsonConverter.

use super::{Fault, tree::Type};
use crate::Kind;
use serde_json::{Map, Value, json};

const KINDS: &[(&str, Kind)] = &[
    ("int8", Kind::Int8),
    ("int16", Kind::Int16),
    ("int32", Kind::Int32),
    ("int64", Kind::Int64),
    ("float", Kind::Float32),
    ("double", Kind::Float64),
    ("boolean", Kind::Boolean),
    ("string", Kind::Text),
    ("bytes", Kind::Bytes),
    ("array", Kind::Array),
    ("map", Kind::Map),
    ("struct", Kind::Struct),
];

// === impl Type ===

impl Type {
    pub fn from_schema(schema: &Value) -> Result<Type, Fault> {
        let text = |key: &str| schema.get(key).and_then(Value::as_str).map(str::to_string);
        let word = text("type").ok_or("a schema without type")?;
        let kind = KINDS.iter().find(|(w, _)| *w == word).ok_or_else(|| Fault(format!("no such type: {word}")))?.1;
        let mut ty = Type::new(kind);
        ty.optional = schema.get("optional") == Some(&Value::Bool(true));
        ty.annotation.name = text("name");
        ty.annotation.doc = text("doc");
        ty.annotation.version = schema.get("version").and_then(Value::as_i64).map(|v| v as i32);
        if let Some(parameters) = schema.get("parameters").and_then(Value::as_object) {
            let pair = |(k, v): (&String, &Value)| (k.clone(), v.as_str().unwrap_or_default().to_string());
            ty.annotation.parameters = parameters.iter().map(pair).collect();
        }
        for (key, name) in [("items", "element"), ("keys", "key"), ("values", "value")] {
            if let Some(child) = schema.get(key).filter(|c| !c.is_null()) {
                ty.children.push((name.into(), Type::from_schema(child)?));
            }
        }
        for field in schema.get("fields").and_then(Value::as_array).into_iter().flatten() {
            let name = field.get("field").and_then(Value::as_str).ok_or("a field without name")?;
            ty.children.push((name.into(), Type::from_schema(field)?));
        }
        if let Some(default) = schema.get("default") {
            ty.annotation.default = Some(ty.data(default)?.to_scalar(&ty));
        }
        Ok(ty)
    }

    /// Null where there is none.
    pub fn to_schema(&self) -> Value {
        let Some((word, _)) = KINDS.iter().find(|(_, k)| *k == self.kind && !self.schemaless) else {
            return Value::Null;
        };
        let mut out = Map::new();
        out.insert("type".into(), json!(word));
        let child = |name: &str| self.children.iter().find(|(n, _)| n == name).map(|(_, t)| t.to_schema());
        match self.kind {
            Kind::Struct => {
                let field = |(name, ty): &(String, Type)| {
                    let mut field = ty.to_schema();
                    if let Some(members) = field.as_object_mut() {
                        members.insert("field".into(), json!(name));
                    }
                    field
                };
                out.insert("fields".into(), self.children.iter().map(field).collect());
            }
            Kind::Array => drop(out.insert("items".into(), child("element").unwrap_or_default())),
            Kind::Map => {
                out.insert("keys".into(), child("key").unwrap_or_default());
                out.insert("values".into(), child("value").unwrap_or_default());
            }
            _ => {}
        }
        if self.optional {
            out.insert("optional".into(), json!(true));
        }
        let note = &self.annotation;
        let texts = [("name", &note.name), ("doc", &note.doc)];
        out.extend(texts.into_iter().filter_map(|(k, v)| Some((k.into(), json!(v.as_ref()?)))));
        if let Some(version) = note.version {
            out.insert("version".into(), json!(version));
        }
        if !note.parameters.is_empty() {
            let pairs = note.parameters.iter().map(|(k, v)| (k.clone(), json!(v)));
            out.insert("parameters".into(), Value::Object(pairs.collect()));
        }
        if let Some(Ok(default)) = note.default.as_ref().map(|d| super::Data::scalar(self, d)) {
            out.insert("default".into(), self.payload(&default));
        }
        Value::Object(out)
    }
}
