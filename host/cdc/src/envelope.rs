//! Debezium's envelope: before, after, source, transaction, op and three timestamps, as layouts of a stream.
//!
//! A stream's program has a layout for each sort of record: a change, a delete (its key comes from the old row), the tombstone
//! behind it, a truncate, and the three records that a change of the primary key becomes.

use crate::{Adjust, Context};
use std::sync::Arc;
use weir_model::{
    AFTER, BEFORE, Check, Codec, Decode, Fate, Kind, Layout, Leaf, Meta, NEVER, Name, Node, Program, Question, Side,
    Type, Value,
};

/// A column of a captured table: its schema, and how its cell is read on either side.
#[derive(Clone, Debug)]
pub struct Column {
    pub name: Name,
    pub ty: Type,
    /// see [`Leaf::Cell`] and [`Leaf::Tree`]; the side is put in here
    pub leaf: CellLeaf,
}

/// How a column's cell becomes a leaf, for the side that asks.
#[derive(Clone, Debug)]
pub enum CellLeaf {
    Codec(Codec),
    Tree(Arc<dyn Decode>),
    /// the log never carries it
    Absent,
}

/// What an envelope is made for.
#[derive(Clone, Debug)]
pub struct Table {
    /// `<topic>.Key`, `.Value` and `.Envelope` are the schemas' names
    pub topic: String,
    /// (index of the cell in a tuple, the column); columns that are left out have no entry
    pub columns: Vec<(u16, Column)>,
    /// indexes into `columns`, in the order of the key
    pub key: Vec<usize>,
}

/// The `source` struct: what this connector says of a change.
#[derive(Clone, Debug)]
pub struct SourceBlock {
    /// "io.debezium.connector.postgresql.Source"
    pub name: &'static str,
    pub fields: Vec<(Name, Node)>,
}

/// Which records a stream can have.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Op {
    /// rows read in a snapshot
    Read,
    /// changes as they happen
    Change,
}

/// An update that changes the primary key comes as this `op` from a reader; it becomes a delete, a tombstone and a create.
pub const KEY_CHANGED: u8 = b'k';

/// How envelopes are made.
#[derive(Clone, Debug)]
pub struct Envelope {
    /// `tombstones.on.delete`
    pub tombstones: bool,
    /// None: `extended.headers.enabled=false`
    pub context: Option<Context>,
    /// `unavailable.value.placeholder`
    pub unavailable: Name,
    /// `schema.name.adjustment.mode`
    pub schema_names: Adjust,
    /// `field.name.adjustment.mode`
    pub field_names: Adjust,
}

// === impl CellLeaf ===

impl CellLeaf {
    fn leaf(&self, side: Side, cell: u16) -> Leaf {
        match self {
            CellLeaf::Codec(codec) => Leaf::Cell(side, cell, *codec),
            CellLeaf::Tree(decode) => Leaf::Tree(side, cell, decode.clone()),
            CellLeaf::Absent => Leaf::Constant(Value::Null),
        }
    }
}

// === impl SourceBlock ===

impl SourceBlock {
    /// The enum of `source.snapshot`; unset in a stream, where converters write the default.
    pub fn snapshot_field(op: Op) -> (Name, Node) {
        let allowed = "true,first,first_in_data_collection,last_in_data_collection,last,false,incremental";
        let ty = Type::named(Kind::Text, "io.debezium.data.Enum", 1).optional(true);
        let ty = ty.parameter("allowed", allowed).default_value(Value::text("false"));
        let leaf = match op {
            Op::Read => Leaf::Meta(Meta::Snapshot),
            Op::Change => Leaf::Constant(Value::Null),
        };
        ("snapshot".into(), Node::leaf(ty, leaf))
    }
    pub fn text(name: &str, value: &str) -> (Name, Node) {
        (name.into(), Node::text(value))
    }
    pub fn meta(name: &str, kind: Kind, optional: bool, meta: Meta) -> (Name, Node) {
        (name.into(), Node::leaf(Type::new(kind).optional(optional), Leaf::Meta(meta)))
    }
    pub fn null(name: &str, kind: Kind) -> (Name, Node) {
        (name.into(), Node::leaf(Type::new(kind).optional(true), Leaf::Constant(Value::Null)))
    }
}

// === impl Envelope ===

impl Envelope {
    pub fn new(context: Option<Context>) -> Self {
        Envelope {
            tombstones: true,
            context,
            unavailable: "__debezium_unavailable_value".into(),
            schema_names: Adjust::None,
            field_names: Adjust::None,
        }
    }

    /// The program of a stream of this table.
    pub fn program(&self, table: &Table, source: &SourceBlock, op: Op) -> Program {
        let make = |sort| self.layout(table, source, sort);
        if op == Op::Read {
            return Program::source(Fate::Emit(0), vec![make(Sort::Change)]);
        }
        let mut layouts = vec![make(Sort::Change), make(Sort::Delete), make(Sort::Truncate)];
        let mut also = |sort: Sort| {
            layouts.push(make(sort));
            Fate::Emit(layouts.len() as u16 - 1)
        };
        let mut delete = vec![Fate::Emit(1)];
        let mut moved = vec![also(Sort::Moved)];
        if self.tombstones {
            delete.push(also(Sort::Tombstone));
            moved.push(also(Sort::MovedTombstone));
        }
        moved.push(also(Sort::Arrived));
        let fan = |mut all: Vec<Fate>| if all.len() == 1 { all.remove(0) } else { Fate::Fan(all) };
        let rules = vec![
            (vec![Check::op(b'd')], fan(delete)),
            (vec![Check::op(KEY_CHANGED)], fan(moved)),
            (vec![Check::op(b't')], Fate::Emit(2)),
        ];
        Program::source(Fate::Ask(Box::new(Question { rules, otherwise: Fate::Emit(0) })), layouts)
    }

    fn layout(&self, table: &Table, source: &SourceBlock, sort: Sort) -> Layout {
        let (old, new) = (self.key(table, Side::Before), self.key(table, Side::After));
        let key = match sort {
            Sort::Truncate => Node::nothing(),
            Sort::Delete | Sort::Tombstone | Sort::Moved | Sort::MovedTombstone => old.clone(),
            Sort::Change | Sort::Arrived => new.clone(),
        };
        let value = match sort {
            Sort::Tombstone | Sort::MovedTombstone => Node::nothing(),
            _ => self.value(table, source, sort),
        };
        let mut headers = vec![];
        match sort {
            Sort::Moved | Sort::MovedTombstone => headers.push(("__debezium.newkey".into(), new)),
            Sort::Arrived => headers.push(("__debezium.oldkey".into(), old)),
            _ => {}
        }
        headers.extend(self.context.iter().flat_map(|c| c.headers()));
        let (set, unset) = match sort {
            Sort::Change => (AFTER, 0),
            Sort::Delete | Sort::Tombstone => (BEFORE, AFTER),
            Sort::Truncate => (0, BEFORE | AFTER),
            Sort::Moved | Sort::MovedTombstone | Sort::Arrived => (BEFORE | AFTER, 0),
        };
        Layout {
            topic: Node::text(&table.topic),
            key,
            value,
            timestamp: Node::leaf(Type::new(Kind::Int64).optional(true), Leaf::Meta(Meta::Now)),
            partition: Node::leaf(Type::new(Kind::Int32).optional(true), Leaf::Constant(Value::Null)),
            headers,
            set,
            unset,
            unavailable: self.unavailable.clone(),
        }
    }

    fn value(&self, table: &Table, source: &SourceBlock, sort: Sort) -> Node {
        let meta = |name: &str, meta| SourceBlock::meta(name, Kind::Int64, true, meta);
        let row = Type::new(Kind::Struct).optional(true).note(|n| n.name = Some(self.name(table, "Value")));
        let side = |side: Side, bit, there: bool| {
            let fields = table.columns.iter().map(|(cell, c)| (self.field(c), c.node(side, *cell)));
            Node::group(row.clone(), fields.collect()).guarded(if there { bit } else { NEVER })
        };
        let (before, after) = match sort {
            Sort::Moved => (true, false),
            Sort::Arrived => (false, true),
            _ => (true, true),
        };
        let op = Type::new(Kind::Text);
        let op = match sort {
            Sort::Moved => Node::leaf(op, Leaf::Constant(Value::text("d"))),
            Sort::Arrived => Node::leaf(op, Leaf::Constant(Value::text("c"))),
            _ => Node::leaf(op, Leaf::Meta(Meta::Op)),
        };
        let fields = vec![
            ("before".into(), side(Side::Before, BEFORE, before)),
            ("after".into(), side(Side::After, AFTER, after)),
            ("source".into(), Node::group(Type::named(Kind::Struct, source.name, 1), source.fields.clone())),
            ("transaction".into(), transaction()),
            ("op".into(), op),
            meta("ts_ms", Meta::Now),
            meta("ts_us", Meta::NowUs),
            meta("ts_ns", Meta::NowNs),
        ];
        Node::group(Type::named(Kind::Struct, &self.name(table, "Envelope"), 2), fields)
    }
}

impl Envelope {
    /// A table without a key has records without one.
    fn key(&self, table: &Table, side: Side) -> Node {
        if table.key.is_empty() {
            return Node::nothing();
        }
        let columns = table.key.iter().filter_map(|i| table.columns.get(*i));
        let fields = columns.map(|(cell, c)| (self.field(c), c.node(side, *cell)));
        let ty = Type::new(Kind::Struct).note(|n| n.name = Some(self.name(table, "Key")));
        Node::group(ty, fields.collect())
    }

    fn name(&self, table: &Table, part: &str) -> Name {
        self.schema_names.schema(&format!("{}.{part}", table.topic)).into()
    }

    fn field(&self, c: &Column) -> Name {
        match self.field_names {
            Adjust::None => c.name.clone(),
            adjust => adjust.field(&c.name).into(),
        }
    }
}

/// Sorts of records, each with a layout.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Sort {
    Change,
    Delete,
    Tombstone,
    Truncate,
    /// the primary key changed: the old key's delete, its tombstone, and the new key's create
    Moved,
    MovedTombstone,
    Arrived,
}

/// `transaction`, which no row has without `provide.transaction.metadata`.
fn transaction() -> Node {
    let field = |name: &str, kind| (Name::from(name), Node::leaf(Type::new(kind), Leaf::Constant(Value::Null)));
    let fields =
        vec![field("id", Kind::Text), field("total_order", Kind::Int64), field("data_collection_order", Kind::Int64)];
    Node::group(Type::named(Kind::Struct, "event.block", 1).optional(true), fields).guarded(NEVER)
}

// === impl Column ===

impl Column {
    /// An old tuple may hold the key's columns alone: the others, where they cannot be null, read as their default or as the
    /// type's zero. So does a required column that the log never carries.
    fn node(&self, side: Side, cell: u16) -> Node {
        let node = Node::leaf(self.ty.clone(), self.leaf.leaf(side, cell));
        let may_lack = side == Side::Before || matches!(self.leaf, CellLeaf::Absent);
        match may_lack && !self.ty.optional {
            true => node.or(self.ty.default().cloned().unwrap_or_else(|| zero(&self.ty))),
            false => node,
        }
    }
}

/// What stands for a value that a schema demands and nobody knows.
fn zero(ty: &Type) -> Value {
    match ty.kind {
        Kind::Boolean => Value::Boolean(false),
        Kind::Int8 | Kind::Int16 | Kind::Int32 | Kind::Int64 => Value::Int(0),
        Kind::Float32 | Kind::Float64 => Value::Float(0.0),
        Kind::Text => Value::text(""),
        Kind::Bytes if ty.is(weir_model::logical::DECIMAL) => Value::bytes([0]),
        Kind::Bytes => Value::bytes([]),
        Kind::Array => Value::list([]),
        Kind::Map => Value::Map([].into()),
        Kind::Struct => Value::record(ty.of.iter().map(|m| if m.ty.optional { Value::Null } else { zero(&m.ty) })),
        Kind::Any => Value::Null,
    }
}
