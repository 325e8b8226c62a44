//! How a record is made from a row: trees whose leaves are cells, what the row knows beside them, computed columns, constants.

use crate::{
    AFTER, BEFORE, Batch, BindError, Cell, Codec, Column, Field, Kind, Meta, NEVER, Name, Presence, Row, Shape, Side,
    Type, Value,
};
use std::fmt::Debug;
use std::sync::Arc;

/// Reads a cell of an odd type (an array, a point, a decimal of any scale) into its value.
pub trait Decode: Debug + Send + Sync {
    /// None: the bytes are not what the type says.
    fn decode(&self, bytes: &[u8]) -> Option<Value>;
    /// What stands in for a value that the log does not carry.
    fn unavailable(&self, placeholder: &str) -> Value;
}

/// Where the bytes of a value come from.
#[derive(Clone, Debug)]
pub enum Leaf {
    Cell(Side, u16, Codec),
    /// a cell that only a value tree can show
    Tree(Side, u16, Arc<dyn Decode>),
    Meta(Meta),
    /// a computed column of the batch
    Column(u16),
    Constant(Value),
    /// a member of a value that is one opaque leaf
    Within(Arc<Leaf>, u16),
    /// the constant, where the leaf is not null
    Mask(Arc<Leaf>, Value),
}

#[derive(Clone, PartialEq, Debug)]
pub enum Body {
    Leaf(Leaf),
    Struct(Arc<Vec<(Name, Node)>>),
}

/// A part of a record. It is null in a row that lacks a bit of `guard`: nodes take their old parents' bits along when they
/// move. `fallback` stands in for a null of the body, and in rows that lack the bits that the node had when it got its fallback.
#[derive(Clone, PartialEq, Debug)]
pub struct Node {
    pub ty: Type,
    pub guard: Presence,
    pub fallback: Option<(Presence, Value)>,
    pub body: Body,
}

/// A program that makes one record of a row.
#[derive(Clone, PartialEq, Debug)]
pub struct Layout {
    pub topic: Node,
    pub key: Node,
    pub value: Node,
    pub timestamp: Node,
    /// a null leaves the choice to the producer
    pub partition: Node,
    pub headers: Vec<(Name, Node)>,
    /// What the source knows of the rows that it gives this layout; questions about these bits are never asked.
    pub set: Presence,
    pub unset: Presence,
    /// what stands in a record for a value that the log does not carry
    pub unavailable: Name,
}

// === impl Leaf ===

impl PartialEq for Leaf {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Leaf::Cell(s, c, k), Leaf::Cell(s2, c2, k2)) => (s, c, k) == (s2, c2, k2),
            (Leaf::Tree(s, c, d), Leaf::Tree(s2, c2, d2)) => (s, c) == (s2, c2) && Arc::ptr_eq(d, d2),
            (Leaf::Meta(a), Leaf::Meta(b)) => a == b,
            (Leaf::Column(a), Leaf::Column(b)) => a == b,
            (Leaf::Constant(a), Leaf::Constant(b)) => a == b,
            (Leaf::Within(a, i), Leaf::Within(b, j)) => i == j && a == b,
            (Leaf::Mask(a, v), Leaf::Mask(b, w)) => a == b && v == w,
            _ => false,
        }
    }
}

impl Leaf {
    /// The presence bit that an absent tuple's cells need no question about: they read as null.
    pub(crate) fn implied(&self) -> Presence {
        match self {
            Leaf::Cell(Side::Before, ..) | Leaf::Tree(Side::Before, ..) => BEFORE,
            Leaf::Cell(Side::After, ..) | Leaf::Tree(Side::After, ..) => AFTER,
            Leaf::Within(inner, _) | Leaf::Mask(inner, _) => inner.implied(),
            Leaf::Meta(_) | Leaf::Column(_) | Leaf::Constant(_) => 0,
        }
    }

    pub fn is_null(&self, batch: &Batch, row: &Row, r: u32) -> bool {
        match self {
            Leaf::Cell(side, c, _) | Leaf::Tree(side, c, _) => batch.cell(row, *side, *c) == Cell::NULL,
            Leaf::Column(c) => batch.columns.get(*c as usize).is_none_or(|c| c.is_null(r)),
            Leaf::Constant(v) => v.is_null(),
            Leaf::Meta(_) => false,
            Leaf::Mask(inner, _) => inner.is_null(batch, row, r),
            Leaf::Within(..) => self.value(batch, row, r, "").is_none_or(|v| v.is_null()),
        }
    }

    /// The materialised value. None: the cell is malformed.
    pub fn value(&self, batch: &Batch, row: &Row, r: u32, unavailable: &str) -> Option<Value> {
        self.value_or(batch, row, r, unavailable, |_| None)
    }

    /// The same with what stands for the bytes of a cell that are not what its type says.
    fn value_or(
        &self,
        batch: &Batch,
        row: &Row,
        r: u32,
        unavailable: &str,
        malformed: fn(&[u8]) -> Option<Value>,
    ) -> Option<Value> {
        let bytes = |cell| batch.bytes(cell);
        Some(match self {
            Leaf::Cell(side, c, codec) => match batch.cell(row, *side, *c) {
                Cell::NULL => Value::Null,
                Cell::UNCHANGED => Value::text(unavailable),
                cell => codec.value(bytes(cell)).or_else(|| malformed(bytes(cell)))?,
            },
            Leaf::Tree(side, c, decode) => match batch.cell(row, *side, *c) {
                Cell::NULL => Value::Null,
                Cell::UNCHANGED => decode.unavailable(unavailable),
                cell => decode.decode(bytes(cell)).or_else(|| malformed(bytes(cell)))?,
            },
            Leaf::Meta(meta) => match batch.int(row, *meta) {
                Some(i) => Value::Int(i),
                None => Value::text(String::from_utf8_lossy(batch.meta_text(row, *meta, &mut [0; 64]))),
            },
            Leaf::Column(c) => batch.columns.get(*c as usize).map_or(Value::Null, |c: &Column| c.value(r)),
            Leaf::Constant(v) => v.clone(),
            Leaf::Within(inner, i) => match inner.value_or(batch, row, r, unavailable, malformed)? {
                Value::Struct(members) => members.get(*i as usize).cloned().unwrap_or_default(),
                _ => Value::Null,
            },
            Leaf::Mask(inner, v) => match inner.is_null(batch, row, r) {
                true => Value::Null,
                false => v.clone(),
            },
        })
    }
}

// === impl Node ===

impl Node {
    pub fn leaf(ty: Type, leaf: Leaf) -> Node {
        Node { ty, guard: 0, fallback: None, body: Body::Leaf(leaf) }
    }
    pub fn group(ty: Type, fields: Vec<(Name, Node)>) -> Node {
        Node { ty, guard: 0, fallback: None, body: Body::Struct(Arc::new(fields)) }
    }
    /// A constant; a struct becomes a group, so that more can be put into it.
    pub fn constant(ty: Type, value: Value) -> Node {
        let Value::Struct(values) = &value else { return Node::leaf(ty, Leaf::Constant(value)) };
        let of = ty.of.clone();
        let field = |(i, m): (usize, &crate::Member)| {
            (m.name.clone(), Node::constant(m.ty.clone(), values.get(i).cloned().unwrap_or_default()))
        };
        Node::group(Type { of: Arc::from([]), ..ty }, of.iter().enumerate().map(field).collect())
    }
    pub fn text(text: &str) -> Node {
        Node::leaf(Type::new(Kind::Text), Leaf::Constant(Value::text(text)))
    }
    /// A null that nobody gave a type: no bytes at all as a root (a tombstone).
    pub fn nothing() -> Node {
        let ty = Type { schemaless: true, ..Type::new(Kind::Any).optional(true) };
        Node::leaf(ty, Leaf::Constant(Value::Null))
    }
    pub fn guarded(mut self, bits: Presence) -> Node {
        self.guard |= bits;
        self
    }
    /// What stands in for a null of the body.
    pub fn or(mut self, value: Value) -> Node {
        self.fallback = Some((0, value));
        self
    }
    /// True for every row: a null without a type.
    pub fn is_nothing(&self) -> bool {
        self.ty.kind == Kind::Any && self.body == Body::Leaf(Leaf::Constant(Value::Null)) && self.fallback.is_none()
    }
    pub(crate) fn fields(&mut self) -> Result<&mut Vec<(Name, Node)>, BindError> {
        match &mut self.body {
            Body::Struct(f) => Ok(Arc::make_mut(f)),
            Body::Leaf(_) => Err("only a struct has fields".into()),
        }
    }
    /// The type with its children, as a schema shows it.
    pub fn full_type(&self) -> Type {
        match &self.body {
            Body::Leaf(_) => self.ty.clone(),
            Body::Struct(fields) => {
                let of = Type::record(fields.iter().map(|(n, f)| (n.clone(), f.full_type()))).of;
                Type { of, ..self.ty.clone() }
            }
        }
    }
    /// The materialised value. None: a cell is malformed.
    pub fn value(&self, batch: &Batch, row: &Row, r: u32, unavailable: &str) -> Option<Value> {
        self.value_or(batch, row, r, unavailable, |_| None)
    }
    /// The same for dead letters, which refuse nothing: bytes that are not what their type says stand there as text.
    pub fn value_as_it_came(&self, batch: &Batch, row: &Row, r: u32, unavailable: &str) -> Value {
        let raw = |bytes: &[u8]| Some(Value::text(String::from_utf8_lossy(bytes)));
        self.value_or(batch, row, r, unavailable, raw).unwrap_or_default()
    }
    fn value_or(
        &self,
        batch: &Batch,
        row: &Row,
        r: u32,
        unavailable: &str,
        malformed: fn(&[u8]) -> Option<Value>,
    ) -> Option<Value> {
        if row.present & self.guard != self.guard {
            return Some(Value::Null);
        }
        let inner = self.fallback.as_ref().map_or(0, |f| f.0);
        let value = match &self.body {
            _ if row.present & inner != inner => Value::Null,
            Body::Leaf(leaf) => leaf.value_or(batch, row, r, unavailable, malformed)?,
            Body::Struct(fields) => {
                let all = fields.iter().map(|(_, f)| f.value_or(batch, row, r, unavailable, malformed));
                Value::Struct(all.collect::<Option<_>>()?)
            }
        };
        Some(match (&value, &self.fallback) {
            (Value::Null, Some((_, d))) => d.clone(),
            _ => value,
        })
    }
}

// === impl Layout ===

impl Layout {
    /// The topic, where it is the same for every row.
    pub fn topic_name(&self) -> Option<&Name> {
        match &self.topic.body {
            Body::Leaf(Leaf::Constant(Value::Text(t))) => Some(t),
            _ => None,
        }
    }

    /// The shape that the next transform sees, and the nodes behind its fields.
    pub fn describe(&self) -> Result<(Shape, Vec<Node>), BindError> {
        let topic = self.topic_name().ok_or("a topic that differs from row to row must be regrouped first")?.clone();
        let headers = Node::group(Type::new(Kind::Struct), self.headers.clone());
        let (mut fields, mut nodes) = (vec![], vec![]);
        let meta = self.meta();
        for (name, root) in [("key", &self.key), ("value", &self.value), ("headers", &headers), ("meta", &meta)] {
            flatten(name.into(), root, None, 0, &mut fields, &mut nodes);
        }
        for n in &mut nodes {
            n.guard = self.settle(n.guard)
        }
        Ok((Shape { topic, fields }, nodes))
    }

    fn meta(&self) -> Node {
        let ty = |kind| Type::new(kind).optional(true);
        let fields = vec![
            ("timestamp".into(), self.timestamp.clone()),
            ("partition".into(), self.partition.clone()),
            ("position".into(), Node::leaf(ty(Kind::Text), Leaf::Meta(Meta::Sequence))),
            ("now".into(), Node::leaf(ty(Kind::Int64), Leaf::Meta(Meta::Now))),
        ];
        Node::group(Type::new(Kind::Struct), fields)
    }

    /// The bits of a guard that are still open.
    pub fn settle(&self, guard: Presence) -> Presence {
        if guard & self.unset != 0 { NEVER } else { guard & !self.set }
    }
}

fn flatten(
    name: Name,
    node: &Node,
    parent: Option<u32>,
    guard: Presence,
    fields: &mut Vec<Field>,
    nodes: &mut Vec<Node>,
) {
    let (index, guard) = (fields.len() as u32, guard | node.guard);
    fields.push(Field { name, parent: parent.unwrap_or(index), ty: node.ty.clone() });
    nodes.push(Node { guard, ..node.clone() });
    match &node.body {
        Body::Struct(children) => {
            for (name, child) in children.iter() {
                flatten(name.clone(), child, Some(index), guard, fields, nodes);
            }
        }
        Body::Leaf(leaf) => {
            let inner = Arc::new(leaf.clone());
            for (i, member) in node.ty.of.iter().enumerate() {
                // what is in an array or a map is no field of the row: it reads as null
                let leaf = match node.ty.kind {
                    Kind::Struct => Leaf::Within(inner.clone(), i as u16),
                    _ => Leaf::Constant(Value::Null),
                };
                flatten(member.name.clone(), &Node::leaf(member.ty.clone(), leaf), Some(index), guard, fields, nodes);
            }
        }
    }
}
