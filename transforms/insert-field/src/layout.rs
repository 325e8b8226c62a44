//! The edits for one shape.

use crate::{InsertField, Insertion};
use weir::prelude::*;

/// The part of a shape that fields go into.
pub struct Part<'a> {
    insert: &'a InsertField,
    shape: &'a Shape,
    pub root: u32,
    pub schemaless: bool,
    kind: Kind,
}

const DATA: &str = "org.apache.kafka.connect.errors.DataException";
const BUILDER: &str = "org.apache.kafka.connect.errors.SchemaBuilderException";

// === impl Part ===

impl<'a> Part<'a> {
    pub fn find(insert: &'a InsertField, shape: &'a Shape) -> Result<Self, Failure> {
        let root = shape.root(insert.part);
        let found = root.and_then(|root| Some((root, shape.field(root)?)));
        let (root, field) = found.ok_or_else(|| Failure::new(DATA, format!("the record has no {}", insert.part)))?;
        Ok(Part { insert, shape, root, schemaless: field.schemaless, kind: field.kind })
    }

    /// With a schema: the struct gains fields.
    pub fn fields(&self) -> Result<Binding, Failure> {
        if self.kind != Kind::Struct {
            let text = format!("Only Struct objects supported for [field insertion], found: {}", self.class());
            return Err(Failure::new(DATA, text));
        }
        let mut edits = vec![];
        // the struct is built anew: nulls take their defaults, the outer flag and default are lost
        if self.insert.replace_null_with_default {
            for (at, field) in self.shape.children(self.root).filter(|(_, f)| f.default().is_some()) {
                edits.push(Edit::put(self.path(&field.name), Source::InputOrDefault(at)));
            }
        }
        if let Some(root) = self.shape.field(self.root).filter(|r| r.optional || r.default().is_some()) {
            edits.push(Edit::optional([self.insert.part], false));
            edits.push(Edit::annotate([self.insert.part], root.annotation.clone().without_default()));
        }
        let mut names: Vec<&str> = self.shape.children(self.root).map(|(_, f)| f.name.as_str()).collect();
        for (insertion, source, annotation) in self.sources()? {
            if insertion.name.is_empty() {
                return Err(Failure::new(BUILDER, "fieldName cannot be null."));
            }
            if names.contains(&insertion.name.as_str()) {
                let text = format!("Cannot create field because of field name duplication {}", insertion.name);
                return Err(Failure::new(BUILDER, text));
            }
            names.push(&insertion.name);
            let path = self.path(&insertion.name);
            edits.push(Edit::put(&path, source));
            edits.push(Edit::annotate(&path, annotation));
            edits.push(Edit::optional(&path, insertion.optional));
        }
        Ok(Binding::one(edits))
    }

    /// Without: the map gains members, those whose value is there.
    pub fn members(&self) -> Result<Binding, Failure> {
        if self.kind == Kind::Map {
            return Err(Failure::new("weir.insert-field.map", "a map with keys of any type cannot gain members here"));
        }
        if self.kind != Kind::Struct {
            let text = format!(
                "Only Map objects supported in absence of schema for [field insertion], found: {}",
                self.class()
            );
            return Err(Failure::new(DATA, text));
        }
        let sources = self.sources()?;
        // what may be null, and with it the member absent
        let open: Vec<u32> = sources.iter().filter_map(|(_, source, _)| self.nullable(source)).collect();
        let mut binding = Binding::pass();
        for absent in 0..1u32 << open.len() {
            let absent: Vec<u32> =
                open.iter().enumerate().filter(|(bit, _)| absent & (1 << bit) != 0).map(|(_, field)| *field).collect();
            let there =
                sources.iter().filter(|(_, source, _)| self.nullable(source).is_none_or(|f| !absent.contains(&f)));
            let edits = there.map(|(insertion, source, _)| {
                let source = match source {
                    Source::Constant(c) => c.clone().schemaless().into(),
                    other => other.clone(),
                };
                Edit::put(self.path(&insertion.name), source)
            });
            let layout = binding.layout(edits.collect());
            let when = open.iter().map(|f| if absent.contains(f) { Test::IsNull(*f) } else { Test::NotNull(*f) });
            if open.is_empty() {
                binding = binding.otherwise(Then::emit(layout));
            } else {
                binding = binding.rule("present", when.collect(), Then::emit(layout));
            }
        }
        Ok(binding)
    }

    /// What is inserted, in the original's order: a name, a source, and what the schema says of it.
    fn sources(&self) -> Result<Vec<(&'a Insertion, Source, Annotation)>, Failure> {
        let insert = self.insert;
        let mut sources = vec![];
        let text = |text: &str| Source::from(Constant::text(text));
        if let Some(insertion) = &insert.topic {
            sources.push((insertion, text(&self.shape.topic), Annotation::none()));
        }
        if let Some(insertion) = &insert.partition {
            sources.push((insertion, self.meta("meta.partition")?, Annotation::none()));
        }
        if let Some(insertion) = &insert.offset {
            let Some(offset) = self.shape.find("meta.offset") else {
                let found = "org.apache.kafka.connect.source.SourceRecord";
                let text = format!("Only SinkRecord supported for [field insertion], found: {found}");
                return Err(Failure::new(DATA, text));
            };
            sources.push((insertion, Source::Input(offset), Annotation::none()));
        }
        if let Some(insertion) = &insert.timestamp {
            sources.push((insertion, self.meta("meta.timestamp")?, Annotation::timestamp()));
        }
        if let Some((insertion, value)) = &insert.fixed {
            sources.push((insertion, text(value), Annotation::none()));
        }
        Ok(sources)
    }

    fn meta(&self, path: &str) -> Result<Source, Failure> {
        let found = self.shape.find(path).map(Source::Input);
        found.ok_or_else(|| Failure::new(DATA, format!("the record has no {path}")))
    }

    /// The field that a source may find null.
    fn nullable(&self, source: &Source) -> Option<u32> {
        match source {
            Source::Input(at) => self.shape.field(*at).filter(|f| f.optional).map(|_| *at),
            _ => None,
        }
    }

    fn path(&self, name: &str) -> Vec<String> {
        vec![self.insert.part.into(), name.into()]
    }

    /// The Java class of a value that is no struct.
    fn class(&self) -> &str {
        let Some(field) = self.shape.field(self.root) else { return "null" };
        match field.kind {
            _ if field.is_logical("Decimal") => "java.math.BigDecimal",
            _ if ["Date", "Time", "Timestamp"].iter().any(|n| field.is_logical(n)) => "java.util.Date",
            Kind::Boolean => "java.lang.Boolean",
            Kind::Int8 => "java.lang.Byte",
            Kind::Int16 => "java.lang.Short",
            Kind::Int32 => "java.lang.Integer",
            Kind::Int64 => "java.lang.Long",
            Kind::Float32 => "java.lang.Float",
            Kind::Float64 => "java.lang.Double",
            Kind::Text => "java.lang.String",
            Kind::Bytes => "[B",
            Kind::Array => "java.util.ArrayList",
            Kind::Map => "java.util.HashMap",
            Kind::Struct if field.schemaless => "java.util.HashMap",
            Kind::Struct => "org.apache.kafka.connect.data.Struct",
            // named after its class
            Kind::Any => field.annotation.name.as_deref().unwrap_or("null"),
        }
    }
}
