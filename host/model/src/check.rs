//! A rule's test, moved from a field of a shape to the leaf behind it, so that tests of different steps can be compared.

use crate::program::RowKind;
use crate::{
    AFTER, BEFORE, Batch, BindError, Body, Codec, Comparison, Leaf, Meta, NEVER, Name, Node, Presence, Row, Side, Test,
    Value,
};
use std::cmp::Ordering;

#[derive(Clone, PartialEq, Debug)]
pub enum Ask {
    Null,
    NotNull,
    Compare(Comparison, Value),
}

/// A question about a row.
#[derive(Clone, PartialEq, Debug)]
pub struct Check {
    guard: Presence,
    /// None: a struct, which is null where its guard says so
    leaf: Option<Leaf>,
    ask: Ask,
    fallback: Option<(Presence, Value)>,
    probe: Probe,
    unavailable: Name,
}

/// A check on bytes as they lie on the wire, where the answer is the same.
#[derive(Clone, PartialEq, Debug)]
enum Probe {
    Op(u8),
    Cell(Side, u16, Box<[u8]>),
    Leaf,
}

// === impl Check ===

impl Check {
    pub(crate) fn new(test: &Test, nodes: &[Node], unavailable: &Name) -> Result<Check, BindError> {
        let (field, ask) = match test {
            Test::IsNull(f) => (f, Ask::Null),
            Test::NotNull(f) => (f, Ask::NotNull),
            Test::Compare(f, is, to) => (f, Ask::Compare(*is, to.clone())),
        };
        let node = nodes.get(*field as usize).ok_or_else(|| BindError(format!("the shape has no field {field}")))?;
        let leaf = match &node.body {
            Body::Leaf(l) => Some(l.clone()),
            Body::Struct(_) => None,
        };
        if leaf.is_none() && matches!(ask, Ask::Compare(..)) {
            return Err("a struct has no order".into());
        }
        Ok(Check::on(node.guard, leaf, ask, node.fallback.clone(), unavailable))
    }

    /// `op == letter`, as sources ask it.
    pub fn op(letter: u8) -> Check {
        let ask = Ask::Compare(Comparison::Eq, Value::text((letter as char).to_string()));
        Check::on(0, Some(Leaf::Meta(Meta::Op)), ask, None, &"".into())
    }

    fn on(
        guard: Presence,
        leaf: Option<Leaf>,
        ask: Ask,
        fallback: Option<(Presence, Value)>,
        unavailable: &Name,
    ) -> Check {
        let equal = match &ask {
            Ask::Compare(Comparison::Eq, to) if fallback.is_none() => Some(to),
            _ => None,
        };
        let probe = match (&leaf, equal) {
            (Some(Leaf::Meta(Meta::Op)), Some(Value::Text(t))) if guard == 0 => match t.as_bytes() {
                [letter] => Probe::Op(*letter),
                _ => Probe::Leaf,
            },
            (Some(Leaf::Cell(s, c, Codec::Text | Codec::Clean)), Some(Value::Text(t))) if t != unavailable => {
                Probe::Cell(*s, *c, t.as_bytes().into())
            }
            (Some(Leaf::Cell(s, c, Codec::IntText)), Some(Value::Int(i))) => {
                Probe::Cell(*s, *c, i.to_string().into_bytes().into())
            }
            _ => Probe::Leaf,
        };
        Check { guard, leaf, ask, fallback, probe, unavailable: unavailable.clone() }
    }

    /// True or false for every row that comes here: by what earlier steps asked, or because the leaf is a constant.
    pub(crate) fn settled(&self, known: &[(Check, bool)]) -> Option<bool> {
        for (k, truth) in known {
            if k.guard != self.guard || k.leaf != self.leaf || k.fallback != self.fallback {
                continue;
            }
            if k.ask == self.ask {
                return Some(*truth);
            }
            match (*truth, &k.ask, &self.ask) {
                (true, Ask::Compare(Comparison::Eq, a), Ask::Compare(is, b)) => return Some(is.agrees(order(a, b))),
                (true, Ask::Compare(..), Ask::Null) | (true, Ask::Null, Ask::Compare(..)) => return Some(false),
                (true, Ask::Compare(..), Ask::NotNull) => return Some(true),
                (truth, Ask::Null, Ask::NotNull) | (truth, Ask::NotNull, Ask::Null) => return Some(!truth),
                _ => {}
            }
        }
        let never = self.guard & NEVER != 0;
        match &self.leaf {
            _ if self.fallback.is_some() => None,
            Some(Leaf::Constant(c)) if self.guard == 0 || c.is_null() || never => {
                let c = if never { &Value::Null } else { c };
                Some(self.agrees_with(c))
            }
            Some(_) if never => Some(self.ask == Ask::Null),
            Some(Leaf::Meta(_)) if self.guard == 0 && !matches!(self.ask, Ask::Compare(..)) => {
                Some(self.ask == Ask::NotNull)
            }
            None if self.guard == 0 || never => Some((self.guard == 0) == (self.ask == Ask::NotNull)),
            _ => None,
        }
    }

    /// The answer for every row of one kind, where it does not depend on anything else.
    pub(crate) fn of_kind(&self, (op, present): RowKind) -> Option<bool> {
        let null = Some(self.ask == Ask::Null);
        if present & self.guard != self.guard {
            return null;
        }
        match (&self.fallback, &self.leaf, &self.ask) {
            (Some(_), ..) => None,
            (_, None, ask) => Some(*ask == Ask::NotNull),
            (_, Some(Leaf::Meta(_)), Ask::Null | Ask::NotNull) => Some(self.ask == Ask::NotNull),
            (_, Some(Leaf::Meta(Meta::Op)), Ask::Compare(is, Value::Text(to))) => {
                Some(is.agrees([op].as_slice().partial_cmp(to.as_bytes())))
            }
            (_, Some(Leaf::Cell(side, ..) | Leaf::Tree(side, ..)), _) => {
                let bit = if *side == Side::Before { BEFORE } else { AFTER };
                if present & bit == 0 { null } else { None }
            }
            _ => None,
        }
    }

    fn agrees_with(&self, value: &Value) -> bool {
        match &self.ask {
            Ask::Null => value.is_null(),
            Ask::NotNull => !value.is_null(),
            Ask::Compare(is, to) => !value.is_null() && is.agrees(order(value, to)),
        }
    }

    #[inline]
    pub(crate) fn holds(&self, batch: &Batch, row: &Row, r: u32) -> bool {
        match &self.probe {
            Probe::Op(op) => row.op == *op,
            Probe::Cell(side, c, want) => {
                let cell = batch.cell(row, *side, *c);
                let here = row.present & self.guard == self.guard;
                here && cell.len as usize == want.len() && *batch.bytes(cell) == **want
            }
            Probe::Leaf => self.holds_leaf(batch, row, r),
        }
    }

    fn holds_leaf(&self, batch: &Batch, row: &Row, r: u32) -> bool {
        let here = row.present & self.guard == self.guard;
        let inner = self.fallback.as_ref().map_or(0, |f| f.0);
        let null =
            !here || row.present & inner != inner || self.leaf.as_ref().is_some_and(|l| l.is_null(batch, row, r));
        if let (true, true, Some((_, d))) = (here, null, &self.fallback) {
            return self.agrees_with(d);
        }
        match &self.ask {
            Ask::Null => null,
            Ask::NotNull => !null,
            Ask::Compare(is, to) if !null => is.agrees(self.compare(batch, row, r, to)),
            Ask::Compare(..) => false,
        }
    }

    fn compare(&self, batch: &Batch, row: &Row, r: u32, to: &Value) -> Option<Ordering> {
        match self.leaf.as_ref()? {
            Leaf::Cell(side, c, codec) => {
                codec.compare(batch.cell(row, *side, *c), batch, to, self.unavailable.as_bytes())
            }
            Leaf::Meta(m) => match (batch.int(row, *m), to) {
                (Some(i), to) => order(&Value::Int(i), to),
                (None, Value::Text(t)) => batch.meta_text(row, *m, &mut [0; 64]).partial_cmp(t.as_bytes()),
                _ => None,
            },
            leaf => order(&leaf.value(batch, row, r, &self.unavailable)?, to),
        }
    }
}

/// Numbers by value, text and bytes by bytes. Values of different sorts have no order, and no comparison of them holds.
pub fn order(a: &Value, b: &Value) -> Option<Ordering> {
    match (a, b) {
        (Value::Boolean(a), Value::Boolean(b)) => a.partial_cmp(b),
        (Value::Int(a), Value::Int(b)) => a.partial_cmp(b),
        (Value::Float(a), Value::Float(b)) => a.partial_cmp(b),
        (Value::Int(a), Value::Float(b)) => (*a as f64).partial_cmp(b),
        (Value::Float(a), Value::Int(b)) => a.partial_cmp(&(*b as f64)),
        (Value::Text(a), Value::Text(b)) => a.as_bytes().partial_cmp(b.as_bytes()),
        (Value::Bytes(a), Value::Bytes(b)) => a.partial_cmp(b),
        _ => None,
    }
}
