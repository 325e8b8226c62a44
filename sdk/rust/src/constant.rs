//! Types and constants.

use crate::{Annotation, Constant, Field, Kind, Scalar};

// === impl Annotation ===

impl Annotation {
    /// Nothing but a kind.
    pub fn none() -> Self {
        Annotation { name: None, version: None, doc: None, parameters: vec![], default: None }
    }

    /// A semantic type, as "io.debezium.time.MicroTimestamp".
    pub fn named(name: impl Into<String>) -> Self {
        Annotation { name: Some(name.into()), ..Annotation::none() }
    }

    pub fn version(self, version: i32) -> Self {
        Annotation { version: Some(version), ..self }
    }

    pub fn with_default(self, default: Scalar) -> Self {
        Annotation { default: Some(default), ..self }
    }

    pub fn without_default(self) -> Self {
        Annotation { default: None, ..self }
    }

    /// Connect's Timestamp: milliseconds since the epoch.
    pub fn timestamp() -> Self {
        Annotation::named("org.apache.kafka.connect.data.Timestamp").version(1)
    }
}

impl Default for Annotation {
    fn default() -> Self {
        Annotation::none()
    }
}

// === impl Field ===

impl Field {
    /// The root of a type of its own; required, with a schema.
    pub fn new(kind: Kind) -> Self {
        let annotation = Annotation::none();
        Field { name: String::new(), parent: 0, kind, optional: false, schemaless: false, annotation }
    }

    pub fn default(&self) -> Option<&Scalar> {
        self.annotation.default.as_ref()
    }

    /// Whether the schema's name is this one of Connect's own, as "Decimal", "Date", "Time", "Timestamp".
    pub fn is_logical(&self, name: &str) -> bool {
        let own = self.annotation.name.as_deref().and_then(|n| n.strip_prefix("org.apache.kafka.connect.data."));
        own == Some(name)
    }
}

// === impl Constant ===

impl Constant {
    pub fn new(kind: Kind, value: Scalar) -> Self {
        Constant { type_: vec![Field::new(kind)], value }
    }

    pub fn text(value: impl Into<String>) -> Self {
        Constant::new(Kind::Text, Scalar::Text(value.into()))
    }

    pub fn boolean(value: bool) -> Self {
        Constant::new(Kind::Boolean, Scalar::Boolean(value))
    }

    pub fn int32(value: i32) -> Self {
        Constant::new(Kind::Int32, Scalar::Int(value.into()))
    }

    pub fn int64(value: i64) -> Self {
        Constant::new(Kind::Int64, Scalar::Int(value))
    }

    pub fn float64(value: f64) -> Self {
        Constant::new(Kind::Float64, Scalar::Float(value))
    }

    /// A null of a kind, optional.
    pub fn null(kind: Kind) -> Self {
        Constant::new(kind, Scalar::Null).optional()
    }

    /// Neither value nor schema, as the value of a tombstone.
    pub fn nothing() -> Self {
        Constant::null(Kind::Any).schemaless()
    }

    /// A struct without members, to put fields into.
    pub fn empty_struct() -> Self {
        Constant::new(Kind::Struct, Scalar::Json("{}".into()))
    }

    /// A type tree and a value of it.
    pub fn of(tree: Vec<Field>, value: Scalar) -> Self {
        Constant { type_: tree, value }
    }

    pub fn optional(mut self) -> Self {
        if let Some(root) = self.type_.first_mut() {
            root.optional = true;
        }
        self
    }

    /// Without schema, and so optional.
    pub fn schemaless(mut self) -> Self {
        for field in &mut self.type_ {
            field.schemaless = true;
            field.optional = true;
        }
        self
    }

    pub fn annotated(mut self, annotation: Annotation) -> Self {
        if let Some(root) = self.type_.first_mut() {
            root.annotation = annotation;
        }
        self
    }
}
