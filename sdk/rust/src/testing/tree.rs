//! Types and values as trees.

use super::Fault;
use crate::{Annotation, Constant, Field, Kind, Scalar};
use serde_json::Value;

/// A schema, or what was inferred where there is none.
#[derive(Clone, PartialEq, Debug)]
pub struct Type {
    pub kind: Kind,
    pub optional: bool,
    pub schemaless: bool,
    pub annotation: Annotation,
    pub children: Vec<(String, Type)>,
}

/// A value. Arrays, maps and what has no type of its own stay JSON.
#[derive(Clone, PartialEq, Debug)]
pub enum Data {
    Null,
    Boolean(bool),
    Int(i64),
    Float(f64),
    /// a Decimal too
    Text(String),
    Bytes(Vec<u8>),
    /// one for each child of the type
    Struct(Vec<Data>),
    Json(Value),
}

#[derive(Clone, PartialEq, Debug)]
pub struct Node {
    pub ty: Type,
    pub data: Data,
}

// === impl Type ===

impl Type {
    pub fn new(kind: Kind) -> Self {
        let annotation = Annotation::none();
        Type { kind, optional: false, schemaless: false, annotation, children: vec![] }
    }

    pub fn optional(self) -> Self {
        Type { optional: true, ..self }
    }

    pub fn schemaless(kind: Kind) -> Self {
        Type { schemaless: true, ..Type::new(kind).optional() }
    }

    pub fn named(self, name: &str) -> Self {
        Type { annotation: Annotation::named(name), ..self }
    }

    pub fn is_decimal(&self) -> bool {
        self.annotation.name.as_deref() == Some("org.apache.kafka.connect.data.Decimal")
    }

    /// Appends this type, depth first; the number of its root.
    pub fn flatten(&self, name: &str, parent: Option<u32>, fields: &mut Vec<Field>) -> u32 {
        let at = fields.len() as u32;
        fields.push(Field {
            name: name.into(),
            parent: parent.unwrap_or(at),
            kind: self.kind,
            optional: self.optional,
            schemaless: self.schemaless,
            annotation: self.annotation.clone(),
        });
        for (name, child) in &self.children {
            child.flatten(name, Some(at), fields);
        }
        at
    }

    /// The type whose root is field 0.
    pub fn unflatten(fields: &[Field]) -> Result<Type, Fault> {
        fn node(fields: &[Field], at: usize) -> Result<Type, Fault> {
            let field = fields.get(at).ok_or("a type without nodes")?;
            let children = fields.iter().enumerate().skip(at + 1).filter(|(_, f)| f.parent as usize == at);
            let children = children.map(|(i, f)| Ok((f.name.clone(), node(fields, i)?)));
            Ok(Type {
                kind: field.kind,
                optional: field.optional,
                schemaless: field.schemaless,
                annotation: field.annotation.clone(),
                children: children.collect::<Result<_, Fault>>()?,
            })
        }
        node(fields, 0)
    }
}

// === impl Data ===

impl Data {
    pub fn is_null(&self) -> bool {
        *self == Data::Null
    }
}

// === impl Node ===

impl Node {
    /// Neither value nor schema.
    pub fn nothing() -> Self {
        Node { ty: Type::schemaless(Kind::Any), data: Data::Null }
    }

    pub fn constant(constant: &Constant) -> Result<Self, Fault> {
        let ty = Type::unflatten(&constant.type_)?;
        let data = Data::scalar(&ty, &constant.value)?;
        Ok(Node { ty, data })
    }
}

impl Data {
    /// A scalar, as a value of a type.
    pub fn scalar(ty: &Type, scalar: &Scalar) -> Result<Data, Fault> {
        Ok(match scalar {
            Scalar::Null => Data::Null,
            Scalar::Boolean(v) => Data::Boolean(*v),
            Scalar::Int(v) => Data::Int(*v),
            Scalar::Float(v) => Data::Float(*v),
            Scalar::Text(v) => Data::Text(v.clone()),
            Scalar::Bytes(v) => Data::Bytes(v.clone()),
            Scalar::Json(text) => {
                let value = serde_json::from_str(text).map_err(|e| format!("a constant's JSON: {e}"))?;
                ty.data(&value)?
            }
        })
    }

    pub fn to_scalar(&self, ty: &Type) -> Scalar {
        match self {
            Data::Null => Scalar::Null,
            Data::Boolean(v) => Scalar::Boolean(*v),
            Data::Int(v) => Scalar::Int(*v),
            Data::Float(v) => Scalar::Float(*v),
            Data::Text(v) => Scalar::Text(v.clone()),
            Data::Bytes(v) => Scalar::Bytes(v.clone()),
            Data::Struct(_) | Data::Json(_) => Scalar::Json(ty.payload(self).to_string()),
        }
    }
}
