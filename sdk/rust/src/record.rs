//! A record as JSON: for who would rather have it whole than typed.

use crate::{Builder, Cell, Cells, Columns, Field, Kind, NewCell, Repr, Row};
use serde_json::Value;

/// Key and value of a record as JSON: what a per-message function may take, change and hand back.
///
/// All of the record crosses into the guest and back, row by row: dearer than a typed [`Row`], and good enough for most.
///
/// What is handed back keeps its types where it still fits them. A value with members that the record's schema does not have leaves
/// as it is, without a schema: typed [`Columns`] add fields with their types.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Record {
    /// null for none
    pub key: Value,
    /// null for a tombstone
    pub value: Value,
}

const KEY: &[&str] = &["key"];
const VALUE: &[&str] = &["value"];

const fn cell(path: &'static [&'static str]) -> Cell {
    Cell { path, repr: Repr::Json, optional: true, wanted: "JSON", fits: |_| true }
}

const fn new(path: &'static [&'static str]) -> NewCell {
    NewCell { path, kind: Kind::Any, repr: Repr::Json, optional: true, name: None }
}

// === impl Record ===

impl Row<'_> for Record {
    const CELLS: &'static [Cell] = &[cell(KEY), cell(VALUE)];

    fn read(cells: &Cells<'_>, row: usize) -> Option<Self> {
        let part = |i| match cells.get::<Option<&str>>(i, row)? {
            Some(text) => serde_json::from_str(text).ok(),
            None => Some(Value::Null),
        };
        Some(Record { key: part(0)?, value: part(1)? })
    }
}

impl Columns for Record {
    const CELLS: &'static [NewCell] = &[new(KEY), new(VALUE)];
    const KEEPS_TYPES: bool = true;

    fn push(self, columns: &mut [Builder]) {
        for (part, column) in [self.key, self.value].into_iter().zip(columns) {
            match part {
                Value::Null => column.null(),
                part => column.text(&part.to_string()),
            }
        }
    }

    fn fits(&self, cell: usize, tree: &[Field]) -> bool {
        fits(if cell == 0 { &self.key } else { &self.value }, tree, 0)
    }
}

/// Whether a value is one of the type at a place of a tree, as the host would read it.
fn fits(value: &Value, tree: &[Field], at: usize) -> bool {
    let Some(field) = tree.get(at) else { return false };
    let children = || {
        let all = tree.iter().enumerate().skip(at + 1);
        all.filter(move |(_, f)| f.parent as usize == at).map(|(i, f)| (i, f.name.as_str()))
    };
    let child = |name: &str| children().find(|(_, n)| *n == name).map(|(i, _)| i);
    // of an entry whose type nobody told, anything is
    let entry = |name: &str, v: &Value| child(name).is_none_or(|i| fits(v, tree, i));
    let within = |least: i64, most: i64| value.as_i64().is_some_and(|v| (least..=most).contains(&v));
    match (field.kind, value) {
        (_, Value::Null) => field.optional,
        (Kind::Any, _) => true,
        (Kind::Boolean, v) => v.is_boolean(),
        (Kind::Int8, _) => within(i8::MIN.into(), i8::MAX.into()),
        (Kind::Int16, _) => within(i16::MIN.into(), i16::MAX.into()),
        // a Date is milliseconds here, and days in its schema
        (Kind::Int32, _) if field.is_logical("Date") => value.is_i64(),
        (Kind::Int32, _) => within(i32::MIN.into(), i32::MAX.into()),
        (Kind::Int64, v) => v.is_i64(),
        (Kind::Float32 | Kind::Float64, Value::String(t)) => {
            matches!(t.as_str(), "NaN" | "Infinity" | "-Infinity" | "-0.0")
        }
        (Kind::Float32 | Kind::Float64, v) => v.is_number(),
        (Kind::Text | Kind::Bytes, v) => v.is_string(),
        (Kind::Array, Value::Array(items)) => items.iter().all(|v| entry("element", v)),
        (Kind::Map, Value::Object(members)) => members.values().all(|v| entry("value", v)),
        (Kind::Map, v) => v.is_array(),
        (Kind::Struct, Value::Object(members)) => {
            members.iter().all(|(name, v)| child(name).is_some_and(|i| fits(v, tree, i)))
                && children().all(|(i, name)| members.contains_key(name) || fits(&Value::Null, tree, i))
        }
        _ => false,
    }
}
