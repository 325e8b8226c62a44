//! Shapes: the model's as guests see them.

use crate::{tree, wit};
use weir_model::{Kind, Shape, Type};

/// A shape's fields with their types whole, and which of them a row has a value for.
pub(crate) struct Fields<'a> {
    pub shape: &'a Shape,
    /// with the children that a composed struct keeps in its fields
    pub types: Vec<Type>,
    /// within an array or a map: a type, and no value of the row
    pub inside: Vec<bool>,
}

// === impl Fields ===

impl<'a> Fields<'a> {
    pub fn new(shape: &'a Shape) -> Self {
        let n = shape.fields.len();
        let mut types: Vec<Type> = shape.fields.iter().map(|f| f.ty.clone()).collect();
        let mut inside = vec![false; n];
        let mut children: Vec<Vec<usize>> = vec![vec![]; n];
        for (i, field) in shape.fields.iter().enumerate() {
            let parent = field.parent as usize;
            if parent == i {
                continue;
            }
            let holds_values = shape.fields.get(parent).is_some_and(|p| p.ty.kind == Kind::Struct);
            let within = inside.get(parent).copied().unwrap_or(false) || !holds_values;
            inside.get_mut(i).into_iter().for_each(|f| *f = within);
            children.get_mut(parent).into_iter().for_each(|c| c.push(i));
        }
        // children stand behind their parents: from the end every child is whole before its parent is made
        for (i, own) in children.iter().enumerate().rev() {
            let is_bare = types.get(i).is_some_and(|t| t.kind == Kind::Struct && t.of.is_empty());
            if own.is_empty() || !is_bare {
                continue;
            }
            let member = |c: &usize| Some((shape.fields.get(*c)?.name.clone(), types.get(*c)?.clone()));
            let of = Type::record(own.iter().filter_map(member)).of;
            types.get_mut(i).into_iter().for_each(|t| t.of = of.clone());
        }
        Fields { shape, types, inside }
    }

    /// The field's whole type. Err: it is not there, or a row has no value for it.
    pub fn value(&self, field: u32) -> Result<&Type, String> {
        let i = field as usize;
        let ty = self.types.get(i).ok_or_else(|| format!("the shape has no field {field}"))?;
        match self.inside.get(i) {
            Some(false) => Ok(ty),
            _ => Err(format!("field {field} is inside an array or a map, and no value of the row")),
        }
    }
}

/// A shape as its guest is told of it.
pub(crate) fn write(id: u32, fields: &Fields) -> wit::Shape {
    let field = |(f, whole): (&weir_model::Field, &Type)| wit::Field {
        name: f.name.to_string(),
        parent: f.parent,
        kind: tree::wit_kind(f.ty.kind),
        optional: f.ty.optional,
        schemaless: f.ty.schemaless,
        annotation: tree::wit_annotation(whole),
    };
    let all = fields.shape.fields.iter().zip(&fields.types).map(field).collect();
    wit::Shape { id, topic: fields.shape.topic.to_string(), fields: all }
}
