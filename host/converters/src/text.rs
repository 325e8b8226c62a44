//! `StringConverter` and `SimpleHeaderConverter`: a value as Java's `toString` and Connect's `Values` print it.

use crate::{Json, java};
use base64::{Engine, engine::general_purpose::STANDARD};
use weir_model::{
    Batch, Buffer, Converter, Format, Kind, Layout, Node, Part, Scratch, Type, Unwritable, Value, View, compile,
    logical, wire,
};

/// `org.apache.kafka.connect.storage.StringConverter`
#[derive(Clone, Copy, Debug, Default)]
pub struct JavaString;

/// `org.apache.kafka.connect.storage.SimpleHeaderConverter`: texts as they are, the rest as JSON with decimals as numbers.
#[derive(Clone, Copy, Debug, Default)]
pub struct SimpleHeader;

/// A root that is one scalar, without quotes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plain;

/// A root that is a struct, a list or a map, or a moment, by way of its value.
struct Printed {
    node: Node,
    ty: Type,
    unavailable: weir_model::Name,
    print: fn(&Type, &Value, &mut Buffer),
}

// === impl Plain ===

impl Format for Plain {
    const MARKS_SOME: bool = false;
    const NULL_IS_NOTHING: bool = true;
    fn begin(&self, _: &Node, _: &mut Buffer) -> Result<(), String> {
        Ok(())
    }
    fn end(&self, _: &mut Buffer) {}
    fn open(&self, _: &Type, _: &mut Buffer) {}
    fn field(&self, _: bool, _: &str, _: &mut Buffer) {}
    fn close(&self, _: &mut Buffer) {}
    fn some(&self, _: &Type, _: &mut Buffer) {}
    fn null(&self, _: &Type, _: &mut Buffer) -> Result<(), Unwritable> {
        Ok(())
    }
    fn style(&self, ty: &Type) -> i16 {
        match ty.is(logical::DECIMAL) {
            true => ty.get_parameter("scale").and_then(|s| s.parse::<i16>().ok()).map_or(0, |s| s + 1),
            false => 0,
        }
    }
    fn value(view: View, style: i16, out: &mut Buffer) -> Result<(), Unwritable> {
        match view {
            View::Text(t) | View::Clean(t) | View::IntText(t) => out.put(t),
            View::Bool(b) => out.put(if b { b"true" } else { b"false" }),
            View::Int(i) => out.put(itoa::Buffer::new().format(i).as_bytes()),
            View::Bytes(b) if style > 0 => java::decimal(b, style as i64 - 1, out),
            View::Bytes(b) => out.put(b),
            View::FloatText(t) => match wire::text::float(t) {
                Some(f) if f.is_finite() => return java::float(t, out).ok_or(Unwritable),
                Some(f) => unquoted(out, |o| java::f64(f, o)),
                None => return Err(Unwritable),
            },
            View::Float(f) => unquoted(out, |o| java::f64(f, o)),
            View::Float32(f) => unquoted(out, |o| java::f32(f, o)),
        }
        Ok(())
    }
    fn tree(&self, ty: &Type, value: &Value, out: &mut Buffer) -> Result<(), Unwritable> {
        print(ty, value, out);
        Ok(())
    }
}

/// NaN and infinities have quotes in JSON, and none here.
fn unquoted(out: &mut Buffer, f: impl FnOnce(&mut Buffer)) {
    let mut text = Buffer::default();
    f(&mut text);
    out.put(text.strip_prefix(b"\"").and_then(|t| t.strip_suffix(b"\"")).unwrap_or(&text))
}

/// As Java's `toString` prints a value: `Struct{a=1,b=x}` without null members, `[1, 2]`, `{k=v}`.
fn print(ty: &Type, value: &Value, out: &mut Buffer) {
    let any = Type::new(Kind::Any);
    match value {
        Value::Null => out.put(b"null"),
        Value::Boolean(b) => out.put(if *b { b"true" } else { b"false" }),
        Value::Int(i) => match millis(ty, *i) {
            Some(ms) => java::date(ms, out),
            None => out.put(itoa::Buffer::new().format(*i).as_bytes()),
        },
        Value::Float(f) => {
            let is32 = ty.kind == Kind::Float32;
            unquoted(out, |o| if is32 { java::f32(*f as f32, o) } else { java::f64(*f, o) })
        }
        Value::Text(t) => out.put(t.as_bytes()),
        Value::Bytes(b) => match Plain.style(ty) {
            0 => out.put(b),
            style => java::decimal(b, style as i64 - 1, out),
        },
        Value::List(items) => {
            out.push(b'[');
            for (i, item) in items.iter().enumerate() {
                if i > 0 {
                    out.put(b", ")
                }
                print(ty.of.first().map_or(&any, |m| &m.ty), item, out)
            }
            out.push(b']')
        }
        Value::Map(pairs) => {
            out.push(b'{');
            for (i, (k, v)) in pairs.iter().enumerate() {
                if i > 0 {
                    out.put(b", ")
                }
                print(ty.member("key").unwrap_or(&any), k, out);
                out.push(b'=');
                print(ty.member("value").unwrap_or(&any), v, out)
            }
            out.push(b'}')
        }
        Value::Struct(values) => {
            out.put(b"Struct{");
            let there = ty.of.iter().zip(values.iter()).filter(|(_, v)| !v.is_null());
            for (i, (member, v)) in there.enumerate() {
                if i > 0 {
                    out.push(b',')
                }
                out.put(member.name.as_bytes());
                out.push(b'=');
                print(&member.ty, v, out)
            }
            out.push(b'}')
        }
    }
}

/// The moment that a Connect Date, Time or Timestamp is.
fn millis(ty: &Type, value: i64) -> Option<i64> {
    match ty.name()? {
        logical::DATE => Some(value * 86_400_000),
        logical::TIME | logical::TIMESTAMP => Some(value),
        _ => None,
    }
}

/// As Connect's `Values.convertToString`: JSON but for moments, which have no quotes, and maps, whose keys may be anything.
fn header(ty: &Type, value: &Value, out: &mut Buffer) {
    let any = Type::new(Kind::Any);
    match value {
        Value::Null => match ty.default() {
            Some(d) if !d.is_null() => header(ty, d, out),
            _ => out.put(b"null"),
        },
        Value::Int(i) => match millis(ty, *i) {
            Some(ms) => java::instant(ms, out),
            None => out.put(itoa::Buffer::new().format(*i).as_bytes()),
        },
        Value::List(items) => {
            out.push(b'[');
            for (i, item) in items.iter().enumerate() {
                if i > 0 {
                    out.push(b',')
                }
                header(ty.of.first().map_or(&any, |m| &m.ty), item, out)
            }
            out.push(b']')
        }
        Value::Map(pairs) => {
            out.push(b'{');
            for (i, (k, v)) in pairs.iter().enumerate() {
                if i > 0 {
                    out.push(b',')
                }
                header(ty.member("key").unwrap_or(&any), k, out);
                out.push(b':');
                header(ty.member("value").unwrap_or(&any), v, out)
            }
            out.push(b'}')
        }
        Value::Struct(values) => {
            out.push(b'{');
            for (i, (member, v)) in ty.of.iter().zip(values.iter()).enumerate() {
                if i > 0 {
                    out.push(b',')
                }
                out.quoted(member.name.as_bytes());
                out.push(b':');
                header(&member.ty, v, out)
            }
            out.push(b'}')
        }
        scalar => {
            let json = Json { schemas: false, numeric: true, defaults: false };
            // a scalar of another type than its schema says is left out, as it has no text
            let _ = json.tree(ty, scalar, out);
        }
    }
}

// === impl JavaString ===

impl Converter for JavaString {
    fn compile(&self, root: &Node, layout: &Layout) -> Result<Option<Box<dyn Part>>, String> {
        if root.is_nothing() {
            return Ok(None);
        }
        match is_odd(root) {
            true => Ok(Some(Printed::part(root, layout, print))),
            false => compile(&Plain, root, layout, false),
        }
    }
}

/// Whether a root is more than one scalar that is written as it is.
fn is_odd(root: &Node) -> bool {
    matches!(root.ty.kind, Kind::Struct | Kind::Array | Kind::Map) || millis(&root.ty, 0).is_some()
}

/// A text on its own has no quotes.
fn header_root(ty: &Type, value: &Value, out: &mut Buffer) {
    match value {
        Value::Text(t) => out.put(t.as_bytes()),
        Value::Bytes(b) if !ty.is(logical::DECIMAL) => out.put(STANDARD.encode(b).as_bytes()),
        value => header(ty, value, out),
    }
}

// === impl Printed ===

impl Printed {
    fn part(root: &Node, layout: &Layout, print: fn(&Type, &Value, &mut Buffer)) -> Box<dyn Part> {
        let (node, ty, unavailable) = (root.clone(), root.full_type(), layout.unavailable.clone());
        Box::new(Printed { node, ty, unavailable, print })
    }
}

impl Part for Printed {
    fn write(&mut self, batch: &Batch, r: u32, _: &mut Scratch, out: &mut Buffer) -> Result<bool, u32> {
        let row = batch.rows.get(r as usize).ok_or(0u32)?;
        let value = self.node.value(batch, row, r, &self.unavailable).ok_or(0u32)?;
        if !value.is_null() {
            (self.print)(&self.ty, &value, out)
        }
        Ok(!value.is_null())
    }
    fn forget(&mut self) {}
    fn place(&self, _: u32) -> &str {
        ""
    }
}

// === impl SimpleHeader ===

impl Converter for SimpleHeader {
    fn compile(&self, root: &Node, layout: &Layout) -> Result<Option<Box<dyn Part>>, String> {
        match root.is_nothing() {
            true => Ok(None),
            false if is_odd(root) || matches!(root.ty.kind, Kind::Any | Kind::Bytes) => {
                Ok(Some(Printed::part(root, layout, header_root)))
            }
            false => compile(&Plain, root, layout, false),
        }
    }
}
