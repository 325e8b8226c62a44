//! Bindings, rule by rule.

use crate::{Binding, Column, Comparison, Compute, Edit, Failure, Output, Read, Repr, Rule, Scalar, Test, Then, wit};

// === impl Binding ===

impl Binding {
    /// Passes every row on as it is.
    pub fn pass() -> Self {
        let otherwise = Then::emit(0);
        Binding { reads: vec![], computes: vec![], layouts: vec![], rules: vec![], otherwise, ordered: false }
    }

    /// Drops every row.
    pub fn drop() -> Self {
        Binding::pass().otherwise(Then::drop())
    }

    /// Every row becomes one record, by these edits.
    pub fn one(edits: Vec<Edit>) -> Self {
        Binding { layouts: vec![edits], ..Binding::pass() }
    }

    /// The first rule whose tests all hold decides. The name is for metrics and traces.
    pub fn rule(mut self, name: &str, when: Vec<Test>, then: Then) -> Self {
        self.rules.push(Rule { name: name.into(), when, then });
        self
    }

    /// What becomes of rows that no rule decides.
    pub fn otherwise(self, then: Then) -> Self {
        Binding { otherwise: then, ..self }
    }

    /// `apply` must see its rows in source order across shapes.
    pub fn ordered(self) -> Self {
        Binding { ordered: true, ..self }
    }

    /// Adds a layout; its number.
    pub fn layout(&mut self, edits: Vec<Edit>) -> u32 {
        self.layouts.push(edits);
        self.layouts.len() as u32 - 1
    }

    /// Has a field delivered to `apply`; the number of its column.
    pub fn read(&mut self, field: u32, repr: Repr) -> usize {
        let read = Read { field, as_: repr };
        let same = |r: &Read| r.field == field && r.as_ == repr;
        self.reads.iter().position(same).unwrap_or_else(|| {
            self.reads.push(read);
            self.reads.len() - 1
        })
    }

    /// Declares a column that `apply` hands back; its number, for `Source::Computed`.
    pub fn compute(&mut self, type_: Vec<wit::Field>, repr: Repr) -> u32 {
        self.computes.push(Compute { type_, as_: repr });
        self.computes.len() as u32 - 1
    }
}

// === impl Then ===

impl Then {
    /// One record, by this layout.
    pub fn emit(layout: u32) -> Self {
        Then::Emit(vec![layout])
    }

    pub fn drop() -> Self {
        Then::Emit(vec![])
    }

    pub fn fail(code: impl Into<String>, message: impl Into<String>) -> Self {
        Then::Fail(Failure::new(code, message))
    }
}

// === impl Test ===

impl Test {
    pub fn compare(field: u32, is: Comparison, to: Scalar) -> Self {
        Test::Compare(wit::Compare { field, is, to })
    }

    pub fn equals(field: u32, text: &str) -> Self {
        Test::compare(field, Comparison::Eq, Scalar::Text(text.into()))
    }
}

// === impl Output ===

impl Output {
    /// All rows, in order, by layout 0, with these columns.
    pub fn all(columns: Vec<Column>) -> Self {
        Output { added: vec![], rows: None, layouts: vec![], columns, errors: vec![] }
    }

    /// These rows only; the others are dropped.
    pub fn rows(rows: Vec<u32>) -> Self {
        Output { rows: Some(rows), ..Output::all(vec![]) }
    }
}
