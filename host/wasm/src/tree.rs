//! Type trees: depth-first lists of fields on the guest's side, nested types on ours.

use crate::{scalar, wit};
use std::sync::Arc;
use weir_model::{Annotation, Kind, Member, Name, Type};

/// Trees deeper than this are refused: everything that walks types is recursive.
pub(crate) const DEEPEST: usize = 100;

pub(crate) fn kind(k: wit::Kind) -> Kind {
    match k {
        wit::Kind::Boolean => Kind::Boolean,
        wit::Kind::Int8 => Kind::Int8,
        wit::Kind::Int16 => Kind::Int16,
        wit::Kind::Int32 => Kind::Int32,
        wit::Kind::Int64 => Kind::Int64,
        wit::Kind::Float32 => Kind::Float32,
        wit::Kind::Float64 => Kind::Float64,
        wit::Kind::Text => Kind::Text,
        wit::Kind::Bytes => Kind::Bytes,
        wit::Kind::Array => Kind::Array,
        wit::Kind::Map => Kind::Map,
        wit::Kind::Struct => Kind::Struct,
        wit::Kind::Any => Kind::Any,
    }
}

pub(crate) fn wit_kind(k: Kind) -> wit::Kind {
    match k {
        Kind::Boolean => wit::Kind::Boolean,
        Kind::Int8 => wit::Kind::Int8,
        Kind::Int16 => wit::Kind::Int16,
        Kind::Int32 => wit::Kind::Int32,
        Kind::Int64 => wit::Kind::Int64,
        Kind::Float32 => wit::Kind::Float32,
        Kind::Float64 => wit::Kind::Float64,
        Kind::Text => wit::Kind::Text,
        Kind::Bytes => wit::Kind::Bytes,
        Kind::Array => wit::Kind::Array,
        Kind::Map => wit::Kind::Map,
        Kind::Struct => wit::Kind::Struct,
        Kind::Any => wit::Kind::Any,
    }
}

/// The type that a list of fields says. Err: the list is no tree.
pub(crate) fn read(fields: &[wit::Field]) -> Result<Type, String> {
    let Some(root) = fields.first() else { return Err("a type without a root".into()) };
    if root.parent != 0 {
        return Err("the first field of a type must be its own parent".into());
    }
    let mut next = 1;
    let ty = node(fields, 0, &mut next, 0)?;
    match fields.get(next) {
        None => Ok(ty),
        Some(f) => Err(format!("field {next} (`{}`) of a type does not stand behind its parent, depth first", f.name)),
    }
}

fn node(fields: &[wit::Field], at: usize, next: &mut usize, depth: usize) -> Result<Type, String> {
    let Some(field) = fields.get(at) else { return Err("a type without a root".into()) };
    if depth > DEEPEST {
        return Err(format!("a type is more than {DEEPEST} levels deep"));
    }
    let mut of: Vec<Member> = vec![];
    while let Some(child) = fields.get(*next).filter(|c| c.parent as usize == at) {
        let here = *next;
        *next += 1;
        let ty = node(fields, here, next, depth + 1)?;
        if of.iter().any(|m| *m.name == *child.name) {
            return Err(format!("a type has two fields `{}` side by side", child.name));
        }
        of.push(Member { name: child.name.as_str().into(), ty });
    }
    let kind = kind(field.kind);
    let names: Vec<&str> = of.iter().map(|m| &*m.name).collect();
    let fits = match kind {
        Kind::Struct => true,
        Kind::Array => matches!(names.as_slice(), [] | ["element"]),
        Kind::Map => matches!(names.as_slice(), [] | ["key", "value"]),
        _ => names.is_empty(),
    };
    if !fits {
        return Err(format!("a type of kind {} cannot have the children {names:?}", kind.json_name()));
    }
    let bare = Type {
        kind,
        optional: field.optional,
        schemaless: field.schemaless,
        note: Arc::new(without_default(&field.annotation)),
        of: of.into(),
    };
    match &field.annotation.default {
        None => Ok(bare),
        Some(d) => {
            let default = scalar::read(d, &bare).map_err(|e| format!("the default of `{}`: {e}", field.name))?;
            Ok(bare.default_value(default))
        }
    }
}

fn name(text: &Option<String>) -> Option<Name> {
    text.as_deref().map(Name::from)
}

fn without_default(a: &wit::Annotation) -> Annotation {
    let parameters = a.parameters.iter().map(|(k, v)| (k.as_str().into(), v.as_str().into())).collect();
    Annotation { name: name(&a.name), version: a.version, doc: name(&a.doc), parameters, default: None }
}

/// What replaces the annotation of a node of type `ty`; its default must fit the kind, and the name that it gets.
pub(crate) fn annotation(a: &wit::Annotation, ty: &Type) -> Result<Annotation, String> {
    let mut note = without_default(a);
    if let Some(d) = &a.default {
        let ty = Type { note: Arc::new(note.clone()), ..ty.clone() };
        note.default = Some(scalar::read(d, &ty).map_err(|e| format!("a default: {e}"))?);
    }
    Ok(note)
}

/// An annotation as guests see it. `ty` has the children that its default needs.
pub(crate) fn wit_annotation(ty: &Type) -> wit::Annotation {
    let note = &ty.note;
    let text = |n: &Option<Name>| n.as_deref().map(String::from);
    wit::Annotation {
        name: text(&note.name),
        version: note.version,
        doc: text(&note.doc),
        parameters: note.parameters.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect(),
        default: note.default.as_ref().map(|d| scalar::write(d, ty)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(name: &str, parent: u32, kind: wit::Kind) -> wit::Field {
        let annotation = wit::Annotation { name: None, version: None, doc: None, parameters: vec![], default: None };
        wit::Field { name: name.into(), parent, kind, optional: false, schemaless: false, annotation }
    }

    #[test]
    fn a_list_is_a_tree_or_refused() {
        use wit::Kind::*;
        let good = [
            field("r", 0, Struct),
            field("a", 0, Array),
            field("element", 1, Struct),
            field("x", 2, Int8),
            field("b", 0, Map),
            field("key", 4, Text),
            field("value", 4, Any),
            field("c", 0, Text),
        ];
        let ty = read(&good).unwrap();
        assert_eq!(ty.of.len(), 3);
        assert_eq!(ty.of[0].ty.of[0].ty.of[0].ty.kind, Kind::Int8);
        for bad in [
            vec![],
            vec![field("r", 1, Struct)],
            vec![field("r", 0, Struct), field("a", 7, Text)],
            vec![field("r", 0, Struct), field("a", 0, Struct), field("b", 0, Text), field("c", 1, Text)],
            vec![field("r", 0, Text), field("a", 0, Text)],
            vec![field("r", 0, Array), field("item", 0, Text)],
            vec![field("r", 0, Map), field("key", 0, Text)],
            vec![field("r", 0, Struct), field("a", 0, Text), field("a", 0, Text)],
            vec![field("r", 0, Struct), field("a", 1, Text)],
        ] {
            assert!(read(&bad).is_err(), "{bad:?}");
        }
        let deep: Vec<_> = (0..1000u32).map(|i| field("element", i.saturating_sub(1), Array)).collect();
        assert!(read(&deep).unwrap_err().contains("deep"));
    }
}
