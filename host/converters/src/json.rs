//! `org.apache.kafka.connect.json.JsonConverter`, byte for byte as Kafka 4.3 writes it.

use crate::java;
use base64::{Engine, engine::general_purpose::STANDARD};
use weir_model::{
    Body, Buffer, Converter, Format, Kind, Layout, Node, Part, Type, Unwritable, Value, View, compile, logical,
};

/// How JSON is written; the converter's options.
#[derive(Clone, Copy, Debug)]
pub struct Json {
    /// `schemas.enable`: `{"schema":…,"payload":…}` around each root
    pub schemas: bool,
    /// `decimal.format=NUMERIC`: decimals as numbers and not as base64
    pub numeric: bool,
    /// `replace.null.with.default`
    pub defaults: bool,
}

/// The converter for keys and values.
#[derive(Clone, Copy, Debug)]
pub struct JsonConverter(pub Json);

/// A decimal that is written as a number has its scale as style; so many are added that zero means "no style".
const NUMERIC: i16 = 1 << 13;
const FLOAT32: i16 = 1;

// === impl Json ===

impl Default for Json {
    /// As `JsonConverter` without options, but for `schemas.enable`.
    fn default() -> Self {
        Json { schemas: false, numeric: false, defaults: true }
    }
}

impl Format for Json {
    const MARKS_SOME: bool = false;

    fn begin(&self, root: &Node, out: &mut Buffer) -> Result<(), String> {
        if !self.schemas {
            return Ok(());
        }
        out.put(b"{\"schema\":");
        match root.ty.schemaless {
            true => out.put(b"null"),
            false => schema(&root.full_type(), None, self, out).map_err(|_| "Mismatching schema.".to_string())?,
        }
        out.put(b",\"payload\":");
        Ok(())
    }

    fn end(&self, out: &mut Buffer) {
        if self.schemas {
            out.push(b'}')
        }
    }

    fn open(&self, _: &Type, out: &mut Buffer) {
        out.push(b'{')
    }

    fn field(&self, first: bool, name: &str, out: &mut Buffer) {
        if !first {
            out.push(b',')
        }
        out.quoted(name.as_bytes());
        out.push(b':')
    }

    fn close(&self, out: &mut Buffer) {
        out.push(b'}')
    }

    fn some(&self, _: &Type, _: &mut Buffer) {}

    fn null(&self, ty: &Type, out: &mut Buffer) -> Result<(), Unwritable> {
        match ty.default() {
            Some(d) if self.defaults && !d.is_null() => return self.tree(ty, d, out),
            _ if ty.optional || ty.schemaless || ty.kind == Kind::Any => out.put(b"null"),
            _ => return Err(Unwritable),
        }
        Ok(())
    }

    fn style(&self, ty: &Type) -> i16 {
        if ty.kind == Kind::Float32 {
            return FLOAT32;
        }
        match self.numeric && ty.is(logical::DECIMAL) {
            true => ty.get_parameter("scale").and_then(|s| s.parse::<i16>().ok()).map_or(0, |s| s + NUMERIC),
            false => 0,
        }
    }

    #[inline(always)]
    fn value(view: View, style: i16, out: &mut Buffer) -> Result<(), Unwritable> {
        match view {
            View::IntText(t) => out.put(t),
            View::Text(t) => out.quoted(t),
            View::Clean(t) => {
                out.push(b'"');
                out.put(t);
                out.push(b'"')
            }
            View::Bool(true) => out.put(b"true"),
            View::Bool(false) => out.put(b"false"),
            View::Int(i) => out.put(itoa::Buffer::new().format(i).as_bytes()),
            View::FloatText(t) if style == 0 => return java::float(t, out).ok_or(Unwritable),
            View::Bytes(b) if style == 0 && b.len() <= 16 => short_bytes(b, out),
            other => return rare(other, style, out),
        }
        Ok(())
    }

    fn tree(&self, ty: &Type, value: &Value, out: &mut Buffer) -> Result<(), Unwritable> {
        match (value, ty.kind) {
            (Value::Null, _) => return self.null(ty, out),
            (Value::Boolean(b), Kind::Boolean | Kind::Any) => Json::value(View::Bool(*b), 0, out)?,
            (Value::Int(i), kind) if kind.is_int() || kind == Kind::Any => {
                if ty.is(logical::TIME) && !(0..=86_400_000).contains(i) {
                    return Err(Unwritable);
                }
                Json::value(View::Int(*i), 0, out)?
            }
            (Value::Float(f), Kind::Float64 | Kind::Any) => java::f64(*f, out),
            (Value::Float(f), Kind::Float32) => java::f32(*f as f32, out),
            (Value::Text(t), Kind::Text | Kind::Any) => out.quoted(t.as_bytes()),
            (Value::Bytes(b), Kind::Bytes | Kind::Any) => Json::value(View::Bytes(b), self.style(ty), out)?,
            (Value::List(items), Kind::Array | Kind::Any) => self.list(ty.of.first().map(|m| &m.ty), items, out)?,
            (Value::Map(pairs), Kind::Map | Kind::Any) => self.map(ty, pairs, out)?,
            (Value::Struct(values), Kind::Struct) if values.len() == ty.of.len() => {
                self.open(ty, out);
                for (i, (member, value)) in ty.of.iter().zip(values.iter()).enumerate() {
                    self.field(i == 0, &member.name, out);
                    self.tree(&member.ty, value, out)?
                }
                self.close(out)
            }
            _ => return Err(Unwritable),
        }
        Ok(())
    }
}

impl Json {
    fn list(&self, element: Option<&Type>, items: &[Value], out: &mut Buffer) -> Result<(), Unwritable> {
        let any = any();
        out.push(b'[');
        for (i, item) in items.iter().enumerate() {
            if i > 0 {
                out.push(b',')
            }
            self.tree(element.unwrap_or(&any), item, out)?
        }
        out.push(b']');
        Ok(())
    }

    /// An object where every key is a text, else a list of pairs.
    fn map(&self, ty: &Type, pairs: &[(Value, Value)], out: &mut Buffer) -> Result<(), Unwritable> {
        let any = any();
        let (key, value) = (ty.member("key").unwrap_or(&any), ty.member("value").unwrap_or(&any));
        let is_object = match key.kind {
            Kind::Text => true,
            Kind::Any => pairs.iter().all(|(k, _)| matches!(k, Value::Text(_))),
            _ => false,
        };
        out.push(if is_object { b'{' } else { b'[' });
        for (i, (k, v)) in pairs.iter().enumerate() {
            if i > 0 {
                out.push(b',')
            }
            match k {
                Value::Text(t) if is_object => out.quoted(t.as_bytes()),
                _ if is_object => out.put(b"\"null\""),
                k => {
                    out.push(b'[');
                    self.tree(key, k, out)?
                }
            }
            out.push(if is_object { b':' } else { b',' });
            self.tree(value, v, out)?;
            if !is_object {
                out.push(b']')
            }
        }
        out.push(if is_object { b'}' } else { b']' });
        Ok(())
    }
}

fn any() -> Type {
    Type { schemaless: true, ..Type::new(Kind::Any).optional(true) }
}

#[inline]
fn short_bytes(b: &[u8], out: &mut Buffer) {
    let mut text = [b'"'; 26];
    let n = text.get_mut(1..25).and_then(|room| STANDARD.encode_slice(b, room).ok()).unwrap_or(0);
    if let Some(end) = text.get_mut(n + 1) {
        *end = b'"'
    }
    out.put(text.get(..n + 2).unwrap_or_default())
}

#[cold]
fn rare(view: View, style: i16, out: &mut Buffer) -> Result<(), Unwritable> {
    match view {
        View::FloatText(t) => return java::float32(t, out).ok_or(Unwritable),
        View::Float(f) => java::f64(f, out),
        View::Float32(f) => java::f32(f, out),
        View::Bytes(b) if style != 0 => java::decimal(b, (style - NUMERIC) as i64, out),
        View::Bytes(b) => out.quoted(STANDARD.encode(b).as_bytes()),
        _ => {}
    }
    Ok(())
}

/// The `schema` part, members in the order in which Kafka writes them. Err: a default that its type cannot hold.
pub fn schema(ty: &Type, field: Option<&str>, json: &Json, out: &mut Buffer) -> Result<(), Unwritable> {
    let note = &ty.note;
    out.put(b"{\"type\":\"");
    out.put(ty.kind.json_name().as_bytes());
    out.push(b'"');
    match ty.kind {
        Kind::Array => nested(b",\"items\":", ty.of.first().map(|m| &m.ty), json, out)?,
        Kind::Map => {
            nested(b",\"keys\":", ty.member("key"), json, out)?;
            nested(b",\"values\":", ty.member("value"), json, out)?
        }
        Kind::Struct => {
            out.put(b",\"fields\":[");
            for (i, member) in ty.of.iter().enumerate() {
                if i > 0 {
                    out.push(b',')
                }
                schema(&member.ty, Some(&member.name), json, out)?
            }
            out.push(b']')
        }
        _ => {}
    }
    out.put(if ty.optional { b",\"optional\":true" } else { b",\"optional\":false" });
    if let Some(n) = &note.name {
        out.put(b",\"name\":");
        out.quoted(n.as_bytes())
    }
    if let Some(v) = note.version {
        out.put(format!(",\"version\":{v}").as_bytes())
    }
    if let Some(d) = &note.doc {
        out.put(b",\"doc\":");
        out.quoted(d.as_bytes())
    }
    for (i, (k, v)) in note.parameters.iter().enumerate() {
        out.put(if i == 0 { b",\"parameters\":{" } else { b"," });
        out.quoted(k.as_bytes());
        out.push(b':');
        out.quoted(v.as_bytes())
    }
    if !note.parameters.is_empty() {
        out.push(b'}')
    }
    if let Some(d) = note.default.as_ref().filter(|d| !d.is_null()) {
        if ty.kind == Kind::Struct {
            return Err(Unwritable);
        }
        out.put(b",\"default\":");
        json.tree(ty, d, out)?
    }
    if let Some(n) = field {
        out.put(b",\"field\":");
        out.quoted(n.as_bytes())
    }
    out.push(b'}');
    Ok(())
}

fn nested(label: &[u8], ty: Option<&Type>, json: &Json, out: &mut Buffer) -> Result<(), Unwritable> {
    out.put(label);
    match ty {
        Some(ty) => schema(ty, None, json, out),
        None => {
            out.put(b"null");
            Ok(())
        }
    }
}

// === impl JsonConverter ===

impl Converter for JsonConverter {
    fn compile(&self, root: &Node, layout: &Layout) -> Result<Option<Box<dyn Part>>, String> {
        let group = matches!(root.body, Body::Struct(_));
        compile(&self.0, root, layout, group)
    }
}
