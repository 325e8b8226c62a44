//! `drop.fields.header.name`: a header of each record names the fields that its row loses.

use crate::layout::ROW;
use std::collections::BTreeMap;
use weir::{RowError, prelude::*};

/// The host keeps no more layouts of a shape than a few thousand.
const MOST: usize = 4000;

/// The three options.
pub struct Drops {
    pub header: String,
    pub from_key: bool,
    pub keep_compatible: bool,
}

/// A shape whose rows carry the header.
pub struct Named {
    header: String,
    row: Vec<Edit>,
    value: Vec<Droppable>,
    key: Vec<Droppable>,
    /// what a list of names has led to
    layouts: BTreeMap<String, u32>,
    next: u32,
}

struct Droppable {
    name: String,
    kept: bool,
}

// === impl Drops ===

impl Drops {
    /// Sends rows to `apply` where the shape has the header.
    pub fn bind(&self, shape: &Shape, mut binding: Binding) -> Result<(Binding, Option<Named>), Failure> {
        let Some(at) = shape.at(&["headers", &self.header]) else { return Ok((binding, None)) };
        let field = shape.field(at);
        if field.is_none_or(|f| f.kind != Kind::Array) {
            // nulls have nothing to drop
            let class =
                field.map_or("null", |f| if f.kind == Kind::Text { "java.lang.String" } else { "java.lang.Object" });
            let text = format!("class {class} cannot be cast to class java.util.List");
            let fail = Then::fail("java.lang.ClassCastException", text);
            binding = binding.rule("drop fields", vec![Test::NotNull(at)], fail);
            return Ok((binding, None));
        }
        let droppable = |root: Option<u32>| {
            let fields = root.into_iter().flat_map(|r| shape.children(r));
            fields.map(|(_, f)| Droppable { name: f.name.clone(), kept: self.keep_compatible && !f.optional }).collect()
        };
        let after = shape.find("value.after");
        let key =
            shape.root("key").filter(|k| self.from_key && shape.field(*k).is_some_and(|f| f.kind == Kind::Struct));
        let named = Named {
            header: self.header.clone(),
            row: binding.layouts.get(ROW as usize).cloned().unwrap_or_default(),
            value: droppable(after),
            key: droppable(key),
            layouts: BTreeMap::new(),
            // tombstones may add one more
            next: 0,
        };
        binding.read(at, Repr::Json);
        binding = binding.rule("no fields to drop", vec![Test::IsNull(at)], Then::emit(ROW)).otherwise(Then::Apply);
        Ok((binding, Some(named)))
    }
}

// === impl Named ===

impl Named {
    /// Says how many layouts the shape has before any is added.
    pub fn after(&mut self, layouts: usize) {
        self.next = layouts as u32;
    }

    pub fn apply(&mut self, batch: &Batch) -> Result<Output, Failure> {
        let mut output = Output::all(vec![]);
        let column = batch.columns.first();
        for row in 0..batch.rows {
            let text = column.and_then(|c| c.text(row as usize)).unwrap_or("[]");
            if let Some(layout) = self.layouts.get(text) {
                output.layouts.push(*layout);
                continue;
            }
            match names(text) {
                Some(_) if self.layouts.len() >= MOST => {
                    output.layouts.push(ROW);
                    let text = format!("`{}` has named more than {MOST} different lists of fields", self.header);
                    output
                        .errors
                        .push(RowError { row, failure: Failure::new("weir.extract-new-record-state.lists", text) });
                }
                Some(names) => {
                    output.added.push(self.without(&names));
                    output.layouts.push(self.next);
                    self.layouts.insert(text.into(), self.next);
                    self.next += 1;
                }
                None => {
                    output.layouts.push(ROW);
                    let failure = Failure::new("java.lang.ClassCastException", "a name to drop is no text");
                    output.errors.push(RowError { row, failure });
                }
            }
        }
        Ok(output)
    }

    fn without(&self, names: &[String]) -> Vec<Edit> {
        let mut edits = self.row.clone();
        for (root, fields) in [("value", &self.value), ("key", &self.key)] {
            let gone = fields.iter().filter(|f| !f.kept && names.contains(&f.name));
            edits.extend(gone.map(|f| Edit::remove([root, &f.name])));
        }
        edits
    }
}

/// A JSON list of texts.
fn names(json: &str) -> Option<Vec<String>> {
    let mut rest = json.trim().strip_prefix('[')?.trim_start();
    let mut names = vec![];
    while let Some(text) = rest.strip_prefix('"') {
        let mut name = String::new();
        let mut letters = text.char_indices();
        let end = loop {
            match letters.next()? {
                (at, '"') => break at,
                (_, '\\') => name.push(escaped(&mut letters)?),
                (_, letter) => name.push(letter),
            }
        };
        names.push(name);
        rest = text.get(end + 1..)?.trim_start();
        rest = match rest.strip_prefix(',') {
            Some(more) => more.trim_start(),
            None => break,
        };
    }
    (rest.trim_end() == "]").then_some(names)
}

/// What follows a backslash.
fn escaped(letters: &mut std::str::CharIndices) -> Option<char> {
    let unit = |letters: &mut std::str::CharIndices| {
        (0..4).try_fold(0, |code: u32, _| Some(code * 16 + letters.next()?.1.to_digit(16)?))
    };
    Some(match letters.next()?.1 {
        'n' => '\n',
        't' => '\t',
        'r' => '\r',
        'b' => '\u{8}',
        'f' => '\u{c}',
        'u' => {
            let first = unit(letters)?;
            match char::from_u32(first) {
                Some(letter) => letter,
                None => {
                    let (Some((_, '\\')), Some((_, 'u'))) = (letters.next(), letters.next()) else { return None };
                    let units = [first as u16, unit(letters)? as u16];
                    char::decode_utf16(units).next()?.ok()?
                }
            }
        }
        letter => letter,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use weir::wit::Blobs;

    #[test]
    fn lists_of_texts_are_read_and_nothing_else() {
        let list = |names: &[&str]| Some(names.iter().map(|n| n.to_string()).collect::<Vec<_>>());
        assert_eq!(names(r#"["a","b c"]"#), list(&["a", "b c"]));
        assert_eq!(names("[]"), list(&[]));
        assert_eq!(names(r#" [ "a" , "\"\\\u00e4\uD83D\uDE00" ] "#), list(&["a", "\"\\ä😀"]));
        for wrong in
            ["", "[", "[1]", r#"["a""#, r#"["a]"#, r#"["a" "b"]"#, r#"["\uD83D"]"#, r#"{"a":1}"#, r#"["a",null]"#]
        {
            assert_eq!(names(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_header_may_name_some_thousand_different_lists() {
        let layouts = BTreeMap::new();
        let mut named = Named { header: "h".into(), row: vec![], value: vec![], key: vec![], layouts, next: 1 };
        let mut texts = Blobs { valid: vec![], ends: vec![], data: vec![] };
        for n in 0..=MOST {
            texts.data.extend_from_slice(format!(r#"["f{n}"]"#).as_bytes());
            texts.ends.push(texts.data.len() as u32);
        }
        let batch = Batch { shape: 0, rows: texts.ends.len() as u32, columns: vec![Column::Text(texts)] };
        let output = named.apply(&batch).unwrap();
        let [RowError { row, failure }] = output.errors.as_slice() else { panic!("{} errors", output.errors.len()) };
        assert_eq!((*row as usize, failure.code.as_str()), (MOST, "weir.extract-new-record-state.lists"));
        assert_eq!(output.added.len(), MOST);
        // those that are known go on
        assert!(named.apply(&Batch { rows: 1, ..batch }).unwrap().errors.is_empty());
    }
}
