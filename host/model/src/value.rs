//! The materialised view of a cell: what odd types, defaults, constants and tests are made of. Never the road of every row.

use std::sync::Arc;

/// A value; its [`crate::Type`] says what it means. Decimals are their unscaled bytes (two's complement, big endian), dates
/// days, times and timestamps what their schema's name says. Cheap to clone.
#[derive(Clone, PartialEq, Debug, Default)]
pub enum Value {
    #[default]
    Null,
    Boolean(bool),
    Int(i64),
    Float(f64),
    Text(Arc<str>),
    Bytes(Arc<[u8]>),
    List(Arc<[Value]>),
    Map(Arc<[(Value, Value)]>),
    /// members in the order of the type's fields
    Struct(Arc<[Value]>),
}

// === impl Value ===

impl Value {
    pub fn text(text: impl AsRef<str>) -> Self {
        Value::Text(text.as_ref().into())
    }
    pub fn bytes(bytes: impl AsRef<[u8]>) -> Self {
        Value::Bytes(bytes.as_ref().into())
    }
    pub fn list(items: impl IntoIterator<Item = Value>) -> Self {
        Value::List(items.into_iter().collect())
    }
    pub fn record(items: impl IntoIterator<Item = Value>) -> Self {
        Value::Struct(items.into_iter().collect())
    }
    pub fn as_int(&self) -> Option<i64> {
        match self {
            Value::Int(i) => Some(*i),
            _ => None,
        }
    }
    pub fn is_null(&self) -> bool {
        *self == Value::Null
    }
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Value::Text(t) => Some(t),
            _ => None,
        }
    }
}
