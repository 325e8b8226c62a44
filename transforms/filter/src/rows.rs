//! A condition, row by row: what rules cannot tell.

use crate::{
    node::{Failed, Leaf, Node, Sort, called, matched, null_object},
    value::{Value, compare},
};
use weir::{Binding, Column, Comparison, Repr};

/// Which column holds what.
#[derive(Clone, Debug, Default)]
pub struct Reads(Vec<(u32, Repr)>);

/// A row of a batch.
pub struct Row<'a> {
    pub reads: &'a Reads,
    pub columns: &'a [Column],
    pub row: usize,
}

// === impl Reads ===

impl Reads {
    /// Has all that a node looks at delivered.
    pub fn of(node: &Node, binding: &mut Binding) -> Reads {
        let mut reads = Reads::default();
        reads.add(node, binding);
        reads
    }

    fn add(&mut self, node: &Node, binding: &mut Binding) {
        match node {
            Node::Const(_) | Node::Fail(_) => {}
            Node::Field(leaf) => self.read(leaf.at, leaf.repr(), binding),
            Node::Guarded(guards, inner) => {
                guards.iter().for_each(|g| self.read(g.at, Repr::Presence, binding));
                self.add(inner, binding);
            }
            Node::Not(a) => self.add(a, binding),
            Node::And(a, b) | Node::Or(a, b) | Node::Compare(_, a, b) => {
                self.add(a, binding);
                self.add(b, binding);
            }
            Node::In(a, items) => {
                self.add(a, binding);
                items.iter().for_each(|i| self.add(i, binding));
            }
            Node::Match { of, .. } => self.add(of, binding),
            Node::Call { of, argument, .. } => {
                self.add(of, binding);
                argument.iter().for_each(|a| self.add(a, binding));
            }
        }
    }

    fn read(&mut self, at: u32, repr: Repr, binding: &mut Binding) {
        let place = binding.read(at, repr);
        if place == self.0.len() {
            self.0.push((at, repr));
        }
    }
}

// === impl Leaf ===

impl Leaf {
    fn repr(&self) -> Repr {
        if self.sort == Sort::Object { Repr::Presence } else { Repr::Native }
    }
}

// === impl Row ===

impl<'a> Row<'a> {
    pub fn value(&self, node: &'a Node) -> Result<Value<'a>, Failed> {
        let fails = |text: String| Failed { text, missing: false };
        Ok(match node {
            Node::Const(v) => v.clone(),
            Node::Fail(failed) => return Err(failed.clone()),
            Node::Field(leaf) => self.field(leaf),
            Node::Guarded(guards, inner) => {
                for guard in guards {
                    if self.column(guard.at, Repr::Presence).and_then(|c| c.boolean(self.row)) == Some(true) {
                        continue;
                    }
                    match guard.safe {
                        true => return Ok(Value::Null),
                        false => return Err(fails(null_object(&guard.name))),
                    }
                }
                return self.value(inner);
            }
            Node::Not(a) => Value::Bool(!self.value(a)?.truth()),
            Node::And(a, b) => Value::Bool(self.value(a)?.truth() && self.value(b)?.truth()),
            Node::Or(a, b) => Value::Bool(self.value(a)?.truth() || self.value(b)?.truth()),
            Node::Compare(is, a, b) => Value::Bool(compare(*is, &self.value(a)?, &self.value(b)?).map_err(fails)?),
            Node::In(a, items) => {
                let value = self.value(a)?;
                let mut found = false;
                for item in items {
                    found |= compare(Comparison::Eq, &value, &self.value(item)?).map_err(fails)?;
                }
                Value::Bool(found)
            }
            Node::Match { of, regex, whole } => matched(&self.value(of)?, regex, *whole).map_err(fails)?,
            Node::Call { of, method, argument, safe } => {
                let of = self.value(of)?;
                let argument = argument.as_deref().map(|a| self.value(a)).transpose()?;
                called(&of, *method, argument.as_ref(), *safe).map_err(fails)?
            }
        })
    }

    fn field(&self, leaf: &'a Leaf) -> Value<'a> {
        let column = self.column(leaf.at, leaf.repr());
        let value = column.and_then(|c| match leaf.sort {
            Sort::Bool => c.boolean(self.row).map(Value::Bool),
            Sort::Int => c.int(self.row).map(Value::Int),
            Sort::Float => c.float(self.row).map(Value::Float),
            Sort::Decimal => c.text(self.row).map(|t| Value::Decimal(t.into())),
            Sort::Text => c.text(self.row).map(|t| Value::Text(t.into())),
            Sort::Object => c.boolean(self.row).filter(|there| *there).map(|_| Value::Object),
        });
        value.unwrap_or_else(|| leaf.default.clone())
    }

    fn column(&self, at: u32, repr: Repr) -> Option<&'a Column> {
        self.columns.get(self.reads.0.iter().position(|read| *read == (at, repr))?)
    }
}
