//! Columns: what a per-message function adds.

use crate::{Column, Field, Kind, Repr, wit};

/// Typed values that a function adds to a record. Derive it; see the crate's README for the attributes.
pub trait Columns: Sized {
    const CELLS: &'static [NewCell];
    /// Whether JSON that replaces a field is of that field's type where it fits it ([`Columns::fits`]).
    const KEEPS_TYPES: bool = false;
    /// Adds one row to the columns, which are as many as `CELLS`.
    fn push(self, columns: &mut [Builder]);
    /// Whether what is in a cell is of the type of the field that it replaces.
    fn fits(&self, cell: usize, tree: &[Field]) -> bool {
        let _ = (cell, tree);
        true
    }
}

/// No columns: rows are kept or dropped.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct NoColumns;

/// A cell that a transform writes.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct NewCell {
    /// names from the root down; also `["topic"]`, `["partition"]`, `["timestamp"]` and `["headers", name]`
    pub path: &'static [&'static str],
    pub kind: Kind,
    pub repr: Repr,
    pub optional: bool,
    /// of the schema
    pub name: Option<&'static str>,
}

/// A type that a cell can be written from.
pub trait IntoCell {
    const KIND: Kind;
    const OPTIONAL: bool = false;
    fn write(self, column: &mut Builder);
}

/// A column as it grows.
#[derive(Debug)]
pub struct Builder {
    rows: usize,
    /// empty while every row holds a value
    valid: Vec<u8>,
    values: Values,
}

#[derive(Debug)]
enum Values {
    Bits(Vec<u8>),
    Ints(Vec<i64>),
    Floats(Vec<f64>),
    Text { ends: Vec<u32>, data: Vec<u8> },
    Bytes { ends: Vec<u32>, data: Vec<u8> },
    Dictionary { codes: Vec<u32>, values: Vec<String> },
}

// === impl NoColumns ===

impl Columns for NoColumns {
    const CELLS: &'static [NewCell] = &[];
    fn push(self, _: &mut [Builder]) {}
}

// === impl Builder ===

impl Builder {
    /// A column for values of a kind; arrays, maps and structs are JSON texts.
    pub fn new(kind: Kind, repr: Repr, rows: usize) -> Self {
        let values = match (repr, kind) {
            (Repr::Dictionary, _) => Values::Dictionary { codes: Vec::with_capacity(rows), values: vec![] },
            (Repr::Presence, _) | (Repr::Native, Kind::Boolean) => Values::Bits(Vec::with_capacity(rows)),
            (Repr::Native, Kind::Int8 | Kind::Int16 | Kind::Int32 | Kind::Int64) => {
                Values::Ints(Vec::with_capacity(rows))
            }
            (Repr::Native, Kind::Float32 | Kind::Float64) => Values::Floats(Vec::with_capacity(rows)),
            (Repr::Native, Kind::Bytes) => Values::Bytes { ends: Vec::with_capacity(rows), data: vec![] },
            _ => Values::Text { ends: Vec::with_capacity(rows), data: vec![] },
        };
        Builder { rows: 0, valid: vec![], values }
    }

    pub fn null(&mut self) {
        self.valid.resize(self.rows, 1);
        self.valid.push(0);
        self.rows += 1;
        match &mut self.values {
            Values::Bits(v) => v.push(0),
            Values::Ints(v) => v.push(0),
            Values::Floats(v) => v.push(0.0),
            Values::Text { ends, data } | Values::Bytes { ends, data } => ends.push(data.len() as u32),
            Values::Dictionary { codes, values } => {
                if values.is_empty() {
                    values.push(String::new());
                }
                codes.push(0);
            }
        }
    }

    pub fn boolean(&mut self, value: bool) {
        match &mut self.values {
            Values::Bits(v) => v.push(value.into()),
            _ => return self.null(),
        }
        self.valid();
    }

    pub fn int(&mut self, value: i64) {
        match &mut self.values {
            Values::Ints(v) => v.push(value),
            _ => return self.null(),
        }
        self.valid();
    }

    pub fn float(&mut self, value: f64) {
        match &mut self.values {
            Values::Floats(v) => v.push(value),
            _ => return self.null(),
        }
        self.valid();
    }

    pub fn text(&mut self, value: &str) {
        match &mut self.values {
            Values::Text { ends, data } => append(ends, data, value.as_bytes()),
            Values::Dictionary { codes, values } => {
                // few values: looking through them is cheaper than hashing
                let code = values.iter().position(|v| v == value).unwrap_or_else(|| {
                    values.push(value.into());
                    values.len() - 1
                });
                codes.push(code as u32);
            }
            _ => return self.null(),
        }
        self.valid();
    }

    pub fn bytes(&mut self, value: &[u8]) {
        match &mut self.values {
            Values::Bytes { ends, data } => append(ends, data, value),
            _ => return self.null(),
        }
        self.valid();
    }

    /// The text that was added last; `None`: it was a null.
    pub(crate) fn last_text(&self) -> Option<&str> {
        let is_null = self.valid.last().is_some_and(|v| *v == 0);
        match &self.values {
            Values::Text { ends, data } if !is_null => {
                let start = ends.len().checked_sub(2).and_then(|i| ends.get(i)).map_or(0, |e| *e as usize);
                std::str::from_utf8(data.get(start..)?).ok()
            }
            Values::Dictionary { codes, values } if !is_null => values.get(*codes.last()? as usize).map(String::as_str),
            _ => None,
        }
    }

    fn valid(&mut self) {
        self.rows += 1;
        if !self.valid.is_empty() {
            self.valid.push(1);
        }
    }

    pub fn finish(self) -> Column {
        let valid = self.valid;
        match self.values {
            Values::Bits(values) => Column::Boolean(wit::Bits { valid, values }),
            Values::Ints(values) => Column::Int(wit::Ints { valid, values }),
            Values::Floats(values) => Column::Float(wit::Floats { valid, values }),
            Values::Text { ends, data } => Column::Text(wit::Blobs { valid, ends, data }),
            Values::Bytes { ends, data } => Column::Bytes(wit::Blobs { valid, ends, data }),
            Values::Dictionary { codes, values } => Column::Dictionary(wit::Codes { valid, codes, values }),
        }
    }
}

fn append(ends: &mut Vec<u32>, data: &mut Vec<u8>, value: &[u8]) {
    data.extend_from_slice(value);
    ends.push(data.len() as u32);
}

// === impl IntoCell ===

impl<T: IntoCell> IntoCell for Option<T> {
    const KIND: Kind = T::KIND;
    const OPTIONAL: bool = true;
    fn write(self, column: &mut Builder) {
        match self {
            Some(value) => value.write(column),
            None => column.null(),
        }
    }
}

macro_rules! into_cells {
    ($($type:ty: $kind:ident, $value:ident => $push:expr;)+) => {$(
        impl IntoCell for $type {
            const KIND: Kind = Kind::$kind;
            fn write(self, column: &mut Builder) {
                let ($value, push): (Self, fn(&mut Builder, Self)) = (self, $push);
                push(column, $value);
            }
        }
    )+};
}

into_cells! {
    bool: Boolean, v => |c, v| c.boolean(v);
    i8: Int8, v => |c, v| c.int(v.into());
    i16: Int16, v => |c, v| c.int(v.into());
    i32: Int32, v => |c, v| c.int(v.into());
    i64: Int64, v => |c, v| c.int(v);
    f32: Float32, v => |c, v| c.float(v.into());
    f64: Float64, v => |c, v| c.float(v);
    &str: Text, v => |c, v| c.text(v);
    String: Text, v => |c, v| c.text(&v);
    std::borrow::Cow<'_, str>: Text, v => |c, v| c.text(&v);
    &[u8]: Bytes, v => |c, v| c.bytes(v);
    Vec<u8>: Bytes, v => |c, v| c.bytes(&v);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_column_without_nulls_has_no_validity() {
        let mut b = Builder::new(Kind::Text, Repr::Native, 2);
        b.text("a");
        b.text("");
        let column = b.finish();
        assert_eq!((column.text(0), column.text(1), column.text(2)), (Some("a"), Some(""), None));
        assert!(matches!(column, Column::Text(b) if b.valid.is_empty()));
    }

    #[test]
    fn nulls_stand_between_values() {
        for repr in [Repr::Native, Repr::Dictionary] {
            let mut b = Builder::new(Kind::Text, repr, 4);
            b.null();
            b.text("a");
            b.null();
            b.text("a");
            let column = b.finish();
            let texts: Vec<_> = (0..4).map(|i| column.text(i)).collect();
            assert_eq!(texts, [None, Some("a"), None, Some("a")]);
        }
    }
}
