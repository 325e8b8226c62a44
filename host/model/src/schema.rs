//! Connect's data model: what a value is, beside what it is worth.

use crate::Value;
use std::sync::Arc;

/// Names are shared: a table's column names appear in many shapes.
pub type Name = Arc<str>;

/// Connect's types, and `Any` for a value whose type nobody said.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Kind {
    Boolean,
    Int8,
    Int16,
    Int32,
    Int64,
    Float32,
    Float64,
    Text,
    Bytes,
    Array,
    Map,
    Struct,
    Any,
}

/// What a schema says beside its kind.
#[derive(Clone, Default, PartialEq, Debug)]
pub struct Annotation {
    /// semantic type, as "io.debezium.time.MicroTimestamp"
    pub name: Option<Name>,
    pub version: Option<i32>,
    pub doc: Option<Name>,
    pub parameters: Vec<(Name, Name)>,
    pub default: Option<Value>,
}

/// A schema. The children of a struct that is *composed* stand in its node's body, not here.
#[derive(Clone, PartialEq, Debug)]
pub struct Type {
    pub kind: Kind,
    pub optional: bool,
    /// no schema came with it: inferred from the value
    pub schemaless: bool,
    pub note: Arc<Annotation>,
    /// Array: one member "element"; Map: "key" and "value"; Struct: its fields, when the value is one opaque cell.
    pub of: Arc<[Member]>,
}

#[derive(Clone, PartialEq, Debug)]
pub struct Member {
    pub name: Name,
    pub ty: Type,
}

/// Names of logical types that Connect itself knows.
pub mod logical {
    pub const DECIMAL: &str = "org.apache.kafka.connect.data.Decimal";
    pub const DATE: &str = "org.apache.kafka.connect.data.Date";
    pub const TIME: &str = "org.apache.kafka.connect.data.Time";
    pub const TIMESTAMP: &str = "org.apache.kafka.connect.data.Timestamp";
}

// === impl Kind ===

impl Kind {
    /// As JsonConverter spells it in a schema.
    pub const fn json_name(self) -> &'static str {
        match self {
            Kind::Boolean => "boolean",
            Kind::Int8 => "int8",
            Kind::Int16 => "int16",
            Kind::Int32 => "int32",
            Kind::Int64 => "int64",
            Kind::Float32 => "float",
            Kind::Float64 => "double",
            Kind::Text => "string",
            Kind::Bytes => "bytes",
            Kind::Array => "array",
            Kind::Map => "map",
            Kind::Struct => "struct",
            Kind::Any => "any",
        }
    }
    /// The kind that a schema of JsonConverter's calls so.
    pub fn of_json_name(name: &str) -> Option<Kind> {
        const ALL: [Kind; 12] = [
            Kind::Boolean,
            Kind::Int8,
            Kind::Int16,
            Kind::Int32,
            Kind::Int64,
            Kind::Float32,
            Kind::Float64,
            Kind::Text,
            Kind::Bytes,
            Kind::Array,
            Kind::Map,
            Kind::Struct,
        ];
        ALL.into_iter().find(|kind| kind.json_name() == name)
    }
    pub const fn is_int(self) -> bool {
        matches!(self, Kind::Int8 | Kind::Int16 | Kind::Int32 | Kind::Int64)
    }
}

// === impl Type ===

impl Type {
    pub fn new(kind: Kind) -> Self {
        Type { kind, optional: false, schemaless: false, note: Arc::default(), of: Arc::from([]) }
    }
    pub fn named(kind: Kind, name: &str, version: i32) -> Self {
        let note = Annotation { name: Some(name.into()), version: Some(version), ..Default::default() };
        Type { note: note.into(), ..Type::new(kind) }
    }
    pub fn optional(mut self, optional: bool) -> Self {
        self.optional = optional;
        self
    }
    pub fn note(mut self, f: impl FnOnce(&mut Annotation)) -> Self {
        f(Arc::make_mut(&mut self.note));
        self
    }
    pub fn parameter(self, key: &str, value: &str) -> Self {
        self.note(|n| n.parameters.push((key.into(), value.into())))
    }
    pub fn default_value(self, default: Value) -> Self {
        self.note(|n| n.default = Some(default))
    }
    pub fn array(element: Type) -> Self {
        Type { of: [Member { name: "element".into(), ty: element }].into(), ..Type::new(Kind::Array) }
    }
    pub fn map(key: Type, value: Type) -> Self {
        let of = [Member { name: "key".into(), ty: key }, Member { name: "value".into(), ty: value }];
        Type { of: of.into(), ..Type::new(Kind::Map) }
    }
    pub fn record(fields: impl IntoIterator<Item = (Name, Type)>) -> Self {
        let of: Vec<_> = fields.into_iter().map(|(name, ty)| Member { name, ty }).collect();
        Type { of: of.into(), ..Type::new(Kind::Struct) }
    }
    /// `org.apache.kafka.connect.data.Decimal` of this scale, as PostgreSQL's `numeric(precision, scale)`.
    pub fn decimal(scale: i32, precision: Option<u32>) -> Self {
        let ty = Type::named(Kind::Bytes, logical::DECIMAL, 1).parameter("scale", &scale.to_string());
        match precision {
            Some(p) => ty.parameter("connect.decimal.precision", &p.to_string()),
            None => ty,
        }
    }
    pub fn name(&self) -> Option<&str> {
        self.note.name.as_deref()
    }
    pub fn is(&self, name: &str) -> bool {
        self.name() == Some(name)
    }
    pub fn default(&self) -> Option<&Value> {
        self.note.default.as_ref()
    }
    pub fn get_parameter(&self, key: &str) -> Option<&str> {
        self.note.parameters.iter().find(|(k, _)| &**k == key).map(|(_, v)| &**v)
    }
    /// The type of an array's elements, a map's values.
    pub fn member(&self, name: &str) -> Option<&Type> {
        self.of.iter().find(|m| &*m.name == name).map(|m| &m.ty)
    }
}
