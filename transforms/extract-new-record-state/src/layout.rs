//! The layouts of one shape of change event, and the rules that choose among them.

use crate::{ExtractNewRecordState, Mode};
use weir::prelude::*;

const DATA: &str = "org.apache.kafka.connect.errors.DataException";
const BUILDER: &str = "org.apache.kafka.connect.errors.SchemaBuilderException";
const DELETED: &str = "__deleted";

/// The layout of a row; `drop.fields.header.name` builds on it.
pub const ROW: u32 = 0;

/// An event's fields.
pub struct Plan<'a> {
    extract: &'a ExtractNewRecordState,
    shape: &'a Shape,
    value: u32,
    before: Option<u32>,
    after: u32,
    op: u32,
}

// === impl Plan ===

impl<'a> Plan<'a> {
    /// None where a field that every event has is missing.
    pub fn new(extract: &'a ExtractNewRecordState, shape: &'a Shape) -> Option<Self> {
        let value = shape.root("value")?;
        let field = |name: &str| shape.child(value, name);
        Some(Plan { extract, shape, value, before: field("before"), after: field("after")?, op: field("op")? })
    }

    pub fn binding(&self) -> Result<Binding, Failure> {
        let mode = self.extract.mode;
        let mut binding = Binding::pass();
        let row = binding.layout(self.row(self.after, false)?);
        debug_assert_eq!(row, ROW);
        binding = binding.rule("truncate", vec![Test::equals(self.op, "t")], Then::drop());
        let deleted = Test::IsNull(self.after);
        match self.before {
            _ if mode == Mode::Drop => binding = binding.rule("delete", vec![deleted], Then::drop()),
            None => binding = binding.rule("delete", vec![deleted], Then::drop()),
            Some(before) => {
                binding = binding.rule("delete without row", vec![deleted.clone(), Test::IsNull(before)], Then::drop());
                if mode.rewrites() {
                    let edits = self.row(before, true)?;
                    let rewritten = binding.layout(edits);
                    binding = self.whole_structs(binding, Some(deleted.clone()));
                    binding = binding.rule("delete", vec![deleted], Then::emit(rewritten));
                } else {
                    let edits = self.delete(before)?;
                    let delete = binding.layout(edits);
                    binding = binding.rule("delete", vec![deleted], Then::emit(delete));
                }
            }
        }
        Ok(self.whole_structs(binding, None).otherwise(Then::emit(ROW)))
    }

    /// A struct among the added fields fails the rows in which it is not null, as in the original.
    fn whole_structs(&self, mut binding: Binding, also: Option<Test>) -> Binding {
        for added in &self.extract.fields {
            let Ok(Some(at)) = added.find(self.shape, self.value) else { continue };
            if self.is_struct(at) {
                let when = also.iter().cloned().chain([Test::NotNull(at)]).collect();
                binding = binding.rule("struct", when, Then::fail(DATA, "Struct schemas do not match."));
            }
        }
        binding
    }

    /// The row out of `after`, or out of `before` for a rewritten delete, which takes its defaults.
    fn row(&self, from: u32, deleted: bool) -> Result<Vec<Edit>, Failure> {
        let mut edits = self.envelope(from)?;
        edits.push(Edit::put("value", Source::Input(from)));
        edits.push(Edit::optional("value", false));
        let mut names: Vec<String> = vec![];
        for (at, field) in self.shape.children(from) {
            names.push(field.name.clone());
            if deleted && field.default().is_some() {
                edits.push(Edit::put(["value", &field.name], Source::InputOrDefault(at)));
            }
        }
        let mut add = |name: &str, source: Source| {
            if names.iter().any(|n| n == name) {
                let text = format!("Cannot create field because of field name duplication {name}");
                return Err(Failure::new(BUILDER, text));
            }
            names.push(name.into());
            edits.push(Edit::put(["value", name], source));
            Ok(())
        };
        if self.extract.mode.rewrites() {
            let text = if deleted { "true" } else { "false" };
            add(DELETED, Constant::text(text).optional().into())?;
        }
        let mut annotations = vec![];
        for added in &self.extract.fields {
            let Some(at) = added.find(self.shape, self.value)? else { continue };
            // of a struct the original copies all but its fields, which is why only nulls fit
            let source = match self.is_struct(at) {
                true => Constant::null(Kind::Struct).into(),
                false => Source::Input(at),
            };
            add(&added.name, source)?;
            annotations.extend(self.loosened(&["value", &added.name], at));
        }
        edits.extend(annotations);
        Ok(edits)
    }

    /// What a delete becomes where it is not rewritten: a null, with the row's schema or without any.
    fn delete(&self, before: u32) -> Result<Vec<Edit>, Failure> {
        let mut edits = self.envelope(before)?;
        edits.push(match self.extract.mode {
            Mode::DeleteToTombstone => Edit::put("value", Constant::nothing()),
            // after is null here, and has the row's schema
            _ => Edit::put("value", Source::Input(self.after)),
        });
        Ok(edits)
    }

    /// Topic and headers.
    fn envelope(&self, row: u32) -> Result<Vec<Edit>, Failure> {
        let mut edits = vec![];
        if let Some(route) = &self.extract.route_by {
            let missing = || Failure::new(DATA, format!("{route} is not a valid field name"));
            let at = self.shape.child(row, route).ok_or_else(missing)?;
            if self.shape.field(at).is_none_or(|f| f.kind != Kind::Text) {
                return Err(Failure::new(DATA, format!("Field '{route}' is not of type STRING")));
            }
            edits.push(Edit::topic(Source::InputOrDefault(at)));
        }
        for added in &self.extract.headers {
            let Some(at) = added.find(self.shape, self.value)? else { continue };
            edits.push(Edit::header(&added.name, Source::Input(at)));
            if !self.is_struct(at) {
                edits.extend(self.loosened(&["headers", &added.name], at));
            }
        }
        Ok(edits)
    }

    fn is_struct(&self, at: u32) -> bool {
        self.shape.field(at).is_some_and(|f| f.kind == Kind::Struct)
    }

    /// An added field is optional and has no default.
    fn loosened(&self, path: &[&str; 2], at: u32) -> Vec<Edit> {
        let annotation = self.shape.field(at).map(|f| f.annotation.clone().without_default()).unwrap_or_default();
        vec![Edit::optional(*path, true), Edit::annotate(*path, annotation)]
    }
}
