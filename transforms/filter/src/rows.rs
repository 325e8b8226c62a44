//! A condition, row by row: what rules cannot tell.

use crate::{
    expr::Method,
    node::{Failed, Guard, Leaf, Node, Sort, called, matched, null_object},
    value::{Value, compare},
};
use weir::{Binding, Column, Comparison, Repr};

/// A row of a batch.
pub struct Row<'a> {
    pub columns: &'a [Column],
    pub row: usize,
}

// === impl Node ===

impl Node {
    /// Has all that a node looks at delivered, and remembers in which column.
    pub fn read(&mut self, binding: &mut Binding) {
        match self {
            Node::Const(_) | Node::Fail(_) => {}
            Node::Field(leaf) => leaf.column = binding.read(leaf.at, leaf.repr()),
            Node::Guarded(guards, inner) => {
                guards.iter_mut().for_each(|g| g.column = binding.read(g.at, Repr::Presence));
                inner.read(binding);
            }
            Node::Not(a) => a.read(binding),
            Node::And(a, b) | Node::Or(a, b) | Node::Compare(_, a, b) => {
                a.read(binding);
                b.read(binding);
            }
            Node::In(a, items) => {
                a.read(binding);
                items.iter_mut().for_each(|i| i.read(binding));
            }
            Node::Match { of, .. } => of.read(binding),
            Node::Call { of, argument, .. } => {
                of.read(binding);
                argument.iter_mut().for_each(|a| a.read(binding));
            }
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
    /// Whether the condition holds, where that shows without making values: None says nothing. Most conditions that reach us
    /// are tests of texts, and rows are many.
    pub fn quick(&self, node: &Node) -> Option<bool> {
        match node {
            Node::Not(a) => Some(!self.quick(a)?),
            Node::And(a, b) => Some(self.quick(a)? && self.quick(b)?),
            Node::Or(a, b) => Some(self.quick(a)? || self.quick(b)?),
            Node::Compare(is @ (Comparison::Eq | Comparison::Ne), a, b) => {
                let equal = match (&**a, &**b) {
                    (Node::Field(leaf), Node::Const(Value::Null)) if leaf.default == Value::Null => {
                        let column = self.columns.get(leaf.column)?;
                        match leaf.sort {
                            Sort::Object => column.boolean(self.row) != Some(true),
                            _ => !column.is_valid(self.row),
                        }
                    }
                    (a, Node::Const(Value::Text(to))) if to.chars().nth(1).is_some() => self.text(a)? == to,
                    _ => return None,
                };
                Some(equal == (*is == Comparison::Eq))
            }
            Node::Call { of, method, argument: Some(argument), .. } => {
                let Node::Const(Value::Text(to)) = &**argument else { return None };
                let text = self.text(of)?;
                match method {
                    Method::Contains => Some(text.contains(&**to)),
                    Method::StartsWith => Some(text.starts_with(&**to)),
                    Method::EndsWith => Some(text.ends_with(&**to)),
                    _ => None,
                }
            }
            _ => None,
        }
    }

    /// A field's text, if it is there.
    fn text(&self, node: &Node) -> Option<&'a str> {
        match node {
            Node::Guarded(guards, inner) => {
                if guards.iter().all(|g| self.is_there(g)) {
                    self.text(inner)
                } else {
                    None
                }
            }
            Node::Field(leaf) if leaf.sort == Sort::Text => self.columns.get(leaf.column)?.text(self.row),
            _ => None,
        }
    }

    pub fn value(&self, node: &'a Node) -> Result<Value<'a>, Failed> {
        let fails = |text: String| Failed { text, missing: false };
        Ok(match node {
            Node::Const(v) => v.borrowed(),
            Node::Fail(failed) => return Err(failed.clone()),
            Node::Field(leaf) => self.field(leaf),
            Node::Guarded(guards, inner) => {
                for guard in guards {
                    if self.is_there(guard) {
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
        let column = self.columns.get(leaf.column);
        let value = column.and_then(|c| match leaf.sort {
            Sort::Bool => c.boolean(self.row).map(Value::Bool),
            Sort::Int => c.int(self.row).map(Value::Int),
            Sort::Float => c.float(self.row).map(Value::Float),
            Sort::Decimal => c.text(self.row).map(|t| Value::Decimal(t.into())),
            Sort::Text => c.text(self.row).map(|t| Value::Text(t.into())),
            Sort::Object => c.boolean(self.row).filter(|there| *there).map(|_| Value::Object),
        });
        value.unwrap_or_else(|| leaf.default.borrowed())
    }

    fn is_there(&self, guard: &Guard) -> bool {
        self.columns.get(guard.column).and_then(|c| c.boolean(self.row)) == Some(true)
    }
}
