//! Layout × format, compiled once: a list of (constant bytes, then one leaf). Per row nothing else runs.

use crate::{
    Batch, Body, Buffer, Cell, Codec, Column, Decode, Kind, Layout, Leaf, Meta, NEVER, Name, Node, Presence, Program,
    Record, Row, Scratch, Side, Stream, TAIL, Type, Value, View,
};
use std::sync::Arc;

/// What a serialisation says. Everything but `value` and `tree` runs when a writer is compiled.
pub trait Format: Clone + Send + 'static {
    /// before a record's root: magic byte and schema id, or the schema itself
    fn begin(&self, root: &Node, out: &mut Buffer) -> Result<(), String>;
    fn end(&self, out: &mut Buffer);
    fn open(&self, ty: &Type, out: &mut Buffer);
    fn field(&self, first: bool, name: &str, out: &mut Buffer);
    fn close(&self, out: &mut Buffer);
    /// before a value that is not null (a union's branch); may not be written before a null
    const MARKS_SOME: bool;
    fn some(&self, ty: &Type, out: &mut Buffer);
    /// Whether a root that is null has no bytes at all; for formats whose roots are single leaves.
    const NULL_IS_NOTHING: bool = false;
    /// Instead of a value. Err: the schema demands one.
    fn null(&self, ty: &Type, out: &mut Buffer) -> Result<(), Unwritable>;
    /// How values of a type are written, where that is not the same for all of its kind.
    fn style(&self, ty: &Type) -> i16 {
        let _ = ty;
        0
    }
    fn value(view: View, style: i16, out: &mut Buffer) -> Result<(), Unwritable>;
    /// A value tree that is not null, without what `some` writes.
    fn tree(&self, ty: &Type, value: &Value, out: &mut Buffer) -> Result<(), Unwritable>;
}

/// A value that its type, or the format, cannot hold.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Unwritable;

/// Turns a root of a layout into its writer; one for keys and one for values.
pub trait Converter: Send + Sync {
    /// None: no bytes at all (a tombstone, a record without key). Err: this layout cannot be written.
    fn compile(&self, root: &Node, layout: &Layout) -> Result<Option<Box<dyn Part>>, String>;
}

/// Writes the key, the value or a header of a row.
pub trait Part: Send {
    /// False: a null that has no bytes at all. Err: the op that failed, for [`Part::place`].
    fn write(&mut self, batch: &Batch, r: u32, scratch: &mut Scratch, out: &mut Buffer) -> Result<bool, u32>;
    /// To be called when another batch begins: nothing rendered for the last one is good any more.
    fn forget(&mut self);
    /// The path of an op's field, as "after.amount".
    fn place(&self, op: u32) -> &str;
}

#[derive(Clone, Copy, Debug)]
struct Span {
    from: u32,
    to: u32,
}

#[derive(Debug)]
struct Op {
    lit: Span,
    code: Code,
}

#[derive(Debug)]
enum Code {
    Nothing,
    /// null: None where the schema demands a value, and then the row fails
    Cell {
        side: Side,
        column: u16,
        codec: Codec,
        style: i16,
        some: Span,
        null: Option<Span>,
        unchanged: Span,
    },
    Tree {
        side: Side,
        column: u16,
        decode: Arc<dyn Decode>,
        ty: Box<Type>,
        some: Span,
        null: Option<Span>,
        unchanged: Span,
    },
    Column {
        column: u16,
        ty: Box<Type>,
        style: i16,
        some: Span,
        null: Option<Span>,
    },
    /// anything else that only a value tree can show
    Slow {
        leaf: Box<Leaf>,
        ty: Box<Type>,
        some: Span,
        null: Option<Span>,
    },
    Int(Meta),
    Text(Meta),
    /// where the row lacks a bit: write this instead, and go on there
    Unless {
        bits: Presence,
        instead: Option<Span>,
        to: u32,
    },
    /// ops that give the same bytes for a whole transaction
    Cached {
        slot: u32,
        ops: Vec<Op>,
    },
}

/// Ops of one root.
struct Ops<F> {
    format: F,
    ops: Vec<Op>,
    lits: Buffer,
    /// the bytes that stand in for nulls
    asides: Buffer,
    places: Vec<(u32, Box<str>)>,
    /// rendered parts, and the transaction they belong to
    cache: Vec<(u32, Buffer)>,
    unavailable: Name,
}

/// Records of a batch: one buffer. See [`Record`].
#[derive(Default, Debug)]
pub struct Out {
    pub data: Buffer,
    pub records: Vec<Record>,
    pub header_ends: Vec<u32>,
    pub scratch: Scratch,
}

/// A row that could not be written; it left no byte behind.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RowError {
    /// "key", "value" or a header's name
    pub part: Name,
    /// the field's path, as "after.amount"
    pub place: String,
}

/// Headers of a record, in order.
enum Headers {
    /// a run of headers that are the same in every record: rendered once
    Constant {
        bytes: Buffer,
        /// within `bytes`
        ends: Vec<u32>,
        /// see [`Record::null_header`]
        nulls: u32,
    },
    Written {
        name: Name,
        part: Box<dyn Part>,
        null: u32,
    },
}

/// A layout's record writer.
pub struct Writer {
    key: Option<Box<dyn Part>>,
    value: Option<Box<dyn Part>>,
    headers: Vec<Headers>,
    timestamp: Node,
    partition: Node,
    route: u16,
}

/// Compiles a root for a format. `cache`: keep the bytes that a transaction's rows share.
pub fn compile<F: Format>(
    format: &F,
    root: &Node,
    layout: &Layout,
    cache: bool,
) -> Result<Option<Box<dyn Part>>, String> {
    if root.is_nothing() {
        return Ok(None);
    }
    let ops = Ops {
        format: format.clone(),
        ops: vec![],
        lits: Buffer::default(),
        asides: Buffer::default(),
        places: vec![],
        cache: vec![],
        unavailable: layout.unavailable.clone(),
    };
    let mut c = Compiler { layout, part: ops, pending: 0, slots: 0, open: false, cache, path: vec![] };
    let begun = c.part.format.begin(root, &mut c.part.lits);
    begun?;
    c.node(root, 0);
    c.text(|f, o| f.end(o));
    c.settle();
    c.part.lits.put(&[0; TAIL]);
    Ok(Some(Box::new(c.part)))
}

// === impl Compiler ===

struct Compiler<'f, F> {
    layout: &'f Layout,
    part: Ops<F>,
    pending: u32,
    slots: u32,
    open: bool,
    cache: bool,
    path: Vec<Name>,
}

impl<F: Format> Compiler<'_, F> {
    /// Constant bytes in the stream; they join the op that comes next.
    fn text(&mut self, f: impl FnOnce(&F, &mut Buffer)) {
        f(&self.part.format, &mut self.part.lits)
    }

    /// Constant bytes beside the stream, for a null. None: what was to be written cannot be.
    fn aside(&mut self, f: impl FnOnce(&F, &mut Buffer) -> Result<(), Unwritable>) -> Option<Span> {
        let from = self.part.asides.len() as u32;
        let ok = f(&self.part.format, &mut self.part.asides).is_ok();
        ok.then_some(Span { from, to: self.part.asides.len() as u32 })
    }

    fn some(&mut self, ty: &Type) -> Span {
        self.aside(|f, o| {
            f.some(ty, o);
            Ok(())
        })
        .unwrap_or(Span { from: 0, to: 0 })
    }

    fn take(&mut self) -> Span {
        let from = std::mem::replace(&mut self.pending, self.part.lits.len() as u32);
        Span { from, to: self.pending }
    }

    fn settle(&mut self) {
        if self.pending < self.part.lits.len() as u32 {
            self.push(Code::Nothing, true)
        }
    }

    /// `steady`: the same bytes for a whole transaction.
    fn push(&mut self, code: Code, steady: bool) {
        let op = Op { lit: self.take(), code };
        match self.part.ops.last_mut() {
            Some(Op { code: Code::Cached { ops, .. }, .. }) if steady && self.open => return ops.push(op),
            _ => {}
        }
        if steady && self.cache && !matches!(op.code, Code::Nothing) {
            let code = Code::Cached { slot: self.slots, ops: vec![op] };
            self.part.ops.push(Op { lit: Span { from: 0, to: 0 }, code });
            self.part.cache.push((u32::MAX, Buffer::default()));
            (self.slots, self.open) = (self.slots + 1, true);
            return;
        }
        if !matches!(op.code, Code::Nothing | Code::Unless { instead: Some(_), .. }) {
            let path: Vec<&str> = self.path.iter().map(|n| &**n).collect();
            self.part.places.push((self.part.ops.len() as u32, path.join(".").into()));
        }
        self.part.ops.push(op);
        self.open = false;
    }

    /// `implied`: bits that are set wherever this place is written.
    fn node(&mut self, node: &Node, implied: Presence) {
        // an absent tuple's cells read as null: no question is needed before them
        let cell = match &node.body {
            Body::Leaf(leaf) => leaf.implied(),
            Body::Struct(_) => 0,
        };
        let guard = self.layout.settle(node.guard);
        if guard & NEVER != 0 {
            return self.null(&node.ty);
        }
        let Some((inner, _)) = &node.fallback else {
            return self.unless(guard & !(implied | cell), node, implied, Self::null_span, |c, i| c.body(node, i));
        };
        self.unless(guard & !implied, node, implied, Self::null_span, |c, implied| {
            let inner = c.layout.settle(*inner);
            if inner & NEVER != 0 {
                return c.fallback(node);
            }
            c.unless(inner & !(implied | cell), node, implied, Self::absent, |c, implied| c.body(node, implied))
        })
    }

    fn unless(
        &mut self,
        bits: Presence,
        node: &Node,
        implied: Presence,
        instead: fn(&mut Self, &Node) -> Option<Span>,
        f: impl FnOnce(&mut Self, Presence),
    ) {
        if bits == 0 {
            return f(self, implied);
        }
        let instead = instead(self, node);
        self.push(Code::Unless { bits, instead, to: 0 }, false);
        let at = self.part.ops.len() - 1;
        f(self, implied | bits);
        self.settle();
        self.open = false;
        let end = self.part.ops.len() as u32;
        if let Some(Op { code: Code::Unless { to, .. }, .. }) = self.part.ops.get_mut(at) {
            *to = end;
        }
    }

    fn fallback(&mut self, node: &Node) {
        if let Some((_, d)) = &node.fallback {
            self.constant(&node.ty, d)
        }
    }

    /// A value known now; one that its type cannot hold fails every row that comes here.
    fn constant(&mut self, ty: &Type, value: &Value) {
        if value.is_null() {
            return self.null(ty);
        }
        let from = self.part.lits.len();
        self.text(|f, o| f.some(ty, o));
        if self.part.format.tree(ty, value, &mut self.part.lits).is_err() {
            self.part.lits.truncate(from);
            self.refuse();
        }
    }

    /// What stands for a null of the node's body.
    fn absent(&mut self, node: &Node) -> Option<Span> {
        match &node.fallback {
            Some((_, d)) if !d.is_null() => self.aside(|f, o| {
                f.some(&node.ty, o);
                f.tree(&node.ty, d, o)
            }),
            _ => self.null_span(node),
        }
    }

    /// A null known at compile time; where the schema demands a value, every row that comes here fails.
    fn null(&mut self, ty: &Type) {
        if F::NULL_IS_NOTHING {
            let (instead, to) = (Some(Span { from: 0, to: 0 }), self.part.ops.len() as u32 + 1);
            return self.push(Code::Unless { bits: NEVER, instead, to }, false);
        }
        if self.part.format.null(ty, &mut self.part.lits).is_err() {
            self.refuse();
        }
    }

    fn refuse(&mut self) {
        let to = self.part.ops.len() as u32 + 1;
        self.push(Code::Unless { bits: NEVER, instead: None, to }, false)
    }

    fn null_span(&mut self, node: &Node) -> Option<Span> {
        self.aside(|f, o| f.null(&node.ty, o))
    }

    fn body(&mut self, node: &Node, implied: Presence) {
        let ty = &node.ty;
        match &node.body {
            Body::Struct(fields) => {
                self.text(|f, o| {
                    f.some(ty, o);
                    f.open(ty, o)
                });
                for (i, (name, child)) in fields.iter().enumerate() {
                    self.text(|f, o| f.field(i == 0, name, o));
                    self.path.push(name.clone());
                    self.node(child, implied);
                    self.path.pop();
                }
                self.text(|f, o| f.close(o))
            }
            Body::Leaf(Leaf::Constant(Value::Null)) if node.fallback.is_some() => self.fallback(node),
            Body::Leaf(Leaf::Constant(c)) => self.constant(ty, c),
            Body::Leaf(leaf) => self.leaf(node, leaf),
        }
    }

    fn leaf(&mut self, node: &Node, leaf: &Leaf) {
        let ty = &node.ty;
        if let Leaf::Meta(meta) = leaf {
            self.text(|f, o| f.some(ty, o));
            let steady = !matches!(meta, Meta::Op | Meta::Sequence | Meta::Position | Meta::Snapshot);
            let is_text = matches!(meta, Meta::Op | Meta::Sequence | Meta::Snapshot);
            return self.push(if is_text { Code::Text(*meta) } else { Code::Int(*meta) }, steady);
        }
        let (null, some) = (self.absent(node), self.some(ty));
        let style = self.part.format.style(ty);
        let code = match leaf {
            Leaf::Cell(side, column, codec) => {
                let stand_in = placeholder(ty, &self.part.unavailable);
                let unchanged = self.aside(|f, o| {
                    f.some(ty, o);
                    f.tree(ty, &stand_in, o)
                });
                let unchanged = unchanged.or(null).unwrap_or(Span { from: 0, to: 0 });
                Code::Cell { side: *side, column: *column, codec: *codec, style, some, null, unchanged }
            }
            Leaf::Tree(side, column, decode) => {
                let stand_in = decode.unavailable(&self.part.unavailable);
                let unchanged = self.aside(|f, o| {
                    f.some(ty, o);
                    f.tree(ty, &stand_in, o)
                });
                let unchanged = unchanged.or(null).unwrap_or(Span { from: 0, to: 0 });
                let (decode, ty) = (decode.clone(), Box::new(ty.clone()));
                Code::Tree { side: *side, column: *column, decode, ty, some, null, unchanged }
            }
            Leaf::Column(column) => Code::Column { column: *column, ty: Box::new(ty.clone()), style, some, null },
            other => Code::Slow { leaf: Box::new(other.clone()), ty: Box::new(ty.clone()), some, null },
        };
        self.push(code, false)
    }
}

/// What stands in for a value that the log does not carry, by kind.
fn placeholder(ty: &Type, text: &Name) -> Value {
    match ty.kind {
        Kind::Text | Kind::Any => Value::Text(text.clone()),
        Kind::Bytes => Value::bytes(text.as_bytes()),
        _ => Value::Null,
    }
}

// === impl Ops ===

impl<F: Format> Part for Ops<F> {
    fn write(&mut self, batch: &Batch, r: u32, scratch: &mut Scratch, out: &mut Buffer) -> Result<bool, u32> {
        let Some(row) = batch.rows.get(r as usize) else { return Err(u32::MAX) };
        let Ops { format, ops, lits, asides, cache, unavailable, .. } = self;
        let run = Run { format, lits, asides, unavailable, batch, row, r };
        let mut i = 0;
        while let Some(op) = ops.get(i) {
            run.lit(op.lit, out);
            let failed = i as u32;
            i += 1;
            match &op.code {
                Code::Cell { side, column, codec, style, some, null, unchanged } => {
                    match batch.cell(row, *side, *column) {
                        Cell::NULL if F::NULL_IS_NOTHING => return Ok(false),
                        Cell::NULL => out.put(run.aside(null.ok_or(failed)?)),
                        Cell::UNCHANGED => out.put(run.aside(*unchanged)),
                        cell => {
                            if F::MARKS_SOME {
                                out.put(run.aside(*some))
                            }
                            let view = codec.view(batch.bytes(cell), scratch).ok_or(failed)?;
                            F::value(view, *style, out).map_err(|_| failed)?
                        }
                    }
                }
                Code::Unless { bits, instead, to } => {
                    if row.present & bits != *bits {
                        if F::NULL_IS_NOTHING {
                            return Ok(false);
                        }
                        out.put(run.aside(instead.ok_or(failed)?));
                        i = *to as usize
                    }
                }
                Code::Cached { slot, ops } => {
                    let Some((at, bytes)) = cache.get_mut(*slot as usize) else { continue };
                    if *at != row.transaction {
                        *at = row.transaction;
                        bytes.clear();
                        for op in ops {
                            run.lit(op.lit, bytes);
                            if let Code::Int(m) = op.code {
                                run.int::<F>(m, bytes).map_err(|_| failed)?
                            }
                        }
                    }
                    out.put(bytes)
                }
                Code::Int(m) => run.int::<F>(*m, out).map_err(|_| failed)?,
                Code::Text(m) => {
                    let mut room = [0; 64];
                    let text = batch.meta_text(row, *m, &mut room);
                    let view = if *m == Meta::Sequence { View::Text(text) } else { View::Clean(text) };
                    F::value(view, 0, out).map_err(|_| failed)?
                }
                Code::Nothing => {}
                slow => {
                    if !run.slow(slow, scratch, out).map_err(|_| failed)? {
                        return Ok(false);
                    }
                }
            }
        }
        Ok(true)
    }

    fn forget(&mut self) {
        self.cache.iter_mut().for_each(|c| c.0 = u32::MAX)
    }

    fn place(&self, op: u32) -> &str {
        self.places.iter().find(|p| p.0 == op).map_or("", |p| &p.1)
    }
}

/// What one row's writing looks at.
struct Run<'a, F> {
    format: &'a F,
    lits: &'a Buffer,
    asides: &'a Buffer,
    unavailable: &'a Name,
    batch: &'a Batch,
    row: &'a Row,
    r: u32,
}

impl<'a, F: Format> Run<'a, F> {
    #[inline(always)]
    fn aside(&self, s: Span) -> &'a [u8] {
        self.asides.get(s.from as usize..s.to as usize).unwrap_or_default()
    }

    #[inline(always)]
    fn lit(&self, s: Span, out: &mut Buffer) {
        out.near(self.lits.get(s.from as usize..).unwrap_or_default(), (s.to - s.from) as usize)
    }

    #[inline(always)]
    fn int<G: Format>(&self, meta: Meta, out: &mut Buffer) -> Result<(), Unwritable> {
        G::value(View::Int(self.batch.int(self.row, meta).ok_or(Unwritable)?), 0, out)
    }

    #[inline(never)]
    fn slow(&self, code: &Code, scratch: &mut Scratch, out: &mut Buffer) -> Result<bool, Unwritable> {
        let (ty, some, null, value) = match code {
            Code::Column { column, ty, style, some, null } => {
                let column = self.batch.columns.get(*column as usize).ok_or(Unwritable)?;
                if !column.is_null(self.r) && !matches!(column, Column::Values(_)) {
                    out.put(self.aside(*some));
                    return column_value::<F>(column, self.r, ty, *style, scratch, out).map(|()| true);
                }
                (ty, some, null, column.value(self.r))
            }
            Code::Tree { side, column, decode, ty, some, null, unchanged } => {
                let value = match self.batch.cell(self.row, *side, *column) {
                    Cell::NULL => Value::Null,
                    Cell::UNCHANGED => {
                        out.put(self.aside(*unchanged));
                        return Ok(true);
                    }
                    cell => decode.decode(self.batch.bytes(cell)).ok_or(Unwritable)?,
                };
                (ty, some, null, value)
            }
            Code::Slow { leaf, ty, some, null } => {
                (ty, some, null, leaf.value(self.batch, self.row, self.r, self.unavailable).ok_or(Unwritable)?)
            }
            _ => return Ok(true),
        };
        if value.is_null() {
            if !F::NULL_IS_NOTHING {
                out.put(self.aside(null.ok_or(Unwritable)?));
            }
            return Ok(!F::NULL_IS_NOTHING);
        }
        out.put(self.aside(*some));
        self.format.tree(ty, &value, out).map(|()| true)
    }
}

/// Row `r` of a column that is not null there.
fn column_value<F: Format>(
    column: &Column,
    r: u32,
    ty: &Type,
    style: i16,
    scratch: &mut Scratch,
    out: &mut Buffer,
) -> Result<(), Unwritable> {
    let i = r as usize;
    let view = match column {
        Column::Bits { values, .. } => View::Bool(*values.get(i).ok_or(Unwritable)? != 0),
        Column::Ints { values, .. } => View::Int(*values.get(i).ok_or(Unwritable)?),
        Column::Floats { values, .. } if ty.kind == Kind::Float32 => {
            View::Float32(*values.get(i).ok_or(Unwritable)? as f32)
        }
        Column::Floats { values, .. } => View::Float(*values.get(i).ok_or(Unwritable)?),
        Column::Text { .. } if ty.is(crate::logical::DECIMAL) => {
            let scale = ty.get_parameter("scale").and_then(|s| s.parse().ok()).ok_or(Unwritable)?;
            let codec = Codec::DecimalText { scale };
            return F::value(codec.view(column.blob(r), scratch).ok_or(Unwritable)?, style, out);
        }
        Column::Text { .. } => View::Text(column.blob(r)),
        Column::Bytes { .. } => View::Bytes(column.blob(r)),
        Column::Null | Column::Values(_) => return Err(Unwritable),
    };
    F::value(view, style, out)
}

// === impl Headers ===

impl Headers {
    /// Adds a header that is the same in every record.
    fn constant(all: &mut Vec<Headers>, part: Option<Box<dyn Part>>, null: u32) -> Result<(), String> {
        if !matches!(all.last(), Some(Headers::Constant { .. })) {
            all.push(Headers::Constant { bytes: Buffer::default(), ends: vec![], nulls: 0 });
        }
        if let Some(Headers::Constant { bytes, ends, nulls }) = all.last_mut() {
            let has = match part {
                Some(mut part) => {
                    let written = part.write(&nobodys_row(), 0, &mut Scratch::default(), bytes);
                    written.map_err(|_| "a constant header holds a value that its schema does not allow".to_string())?
                }
                None => false,
            };
            ends.push(bytes.len() as u32);
            *nulls |= if has { 0 } else { null };
        }
        Ok(())
    }
}

fn is_constant(node: &Node) -> bool {
    node.guard == 0 && node.fallback.is_none() && matches!(&node.body, Body::Leaf(Leaf::Constant(_)))
}

/// A row for writers that look at none.
fn nobodys_row() -> Batch {
    let stream = Stream { id: 0, name: "".into(), width: 0, program: Program::default() };
    let mut batch = Batch::new(Arc::new(stream), Default::default(), 0);
    batch.rows.push(Row::default());
    batch
}

// === impl Writer ===

impl Writer {
    /// `route`: the number that records get, for whoever keeps the routes.
    pub fn compile(
        layout: &Layout,
        route: u16,
        key: &dyn Converter,
        value: &dyn Converter,
        header: &dyn Converter,
    ) -> Result<Writer, String> {
        let mut headers = vec![];
        for (i, (name, node)) in layout.headers.iter().enumerate() {
            let (part, null) = (header.compile(node, layout)?, Record::null_header(i));
            match part {
                Some(part) if !is_constant(node) => headers.push(Headers::Written { name: name.clone(), part, null }),
                part => Headers::constant(&mut headers, part, null)?,
            }
        }
        Ok(Writer {
            key: key.compile(&layout.key, layout)?,
            value: value.compile(&layout.value, layout)?,
            headers,
            timestamp: layout.timestamp.clone(),
            partition: layout.partition.clone(),
            route,
        })
    }

    /// Appends the record. A row that cannot be written leaves no byte behind.
    #[inline]
    pub fn write(&mut self, batch: &Batch, r: u32, out: &mut Out) -> Result<(), RowError> {
        let (start, ends) = (out.data.len(), out.header_ends.len());
        match self.parts(batch, r, out) {
            Ok(record) => {
                out.records.push(record);
                Ok(())
            }
            Err((part, place)) => {
                out.data.truncate(start);
                out.header_ends.truncate(ends);
                Err(RowError { part, place })
            }
        }
    }

    #[inline]
    fn parts(&mut self, batch: &Batch, r: u32, out: &mut Out) -> Result<Record, (Name, String)> {
        let mut record = Record {
            route: self.route,
            start: out.data.len() as u32,
            headers: out.header_ends.len() as u32,
            partition: -1,
            timestamp: Record::NO_TIMESTAMP,
            ..Record::default()
        };
        if let Some(p) = &mut self.key {
            let done = p.write(batch, r, &mut out.scratch, &mut out.data);
            if done.map_err(|op| ("key".into(), p.place(op).to_string()))? {
                record.has |= Record::KEY
            }
        }
        record.key = out.data.len() as u32;
        if let Some(p) = &mut self.value {
            let done = p.write(batch, r, &mut out.scratch, &mut out.data);
            if done.map_err(|op| ("value".into(), p.place(op).to_string()))? {
                record.has |= Record::VALUE
            }
        }
        record.value = out.data.len() as u32;
        for headers in &mut self.headers {
            match headers {
                Headers::Constant { bytes, ends, nulls } => {
                    let start = out.data.len() as u32;
                    out.data.put(bytes);
                    out.header_ends.extend(ends.iter().map(|e| start + e));
                    record.has |= *nulls
                }
                Headers::Written { name, part, null } => {
                    let done = part.write(batch, r, &mut out.scratch, &mut out.data);
                    if !done.map_err(|op| (name.clone(), part.place(op).to_string()))? {
                        record.has |= *null
                    }
                    out.header_ends.push(out.data.len() as u32)
                }
            }
        }
        if let Some(row) = batch.rows.get(r as usize) {
            if let Some(ms) = int(&self.timestamp, batch, row, r) {
                record.timestamp = ms
            }
            if let Some(p) = int(&self.partition, batch, row, r) {
                record.partition = i32::try_from(p).unwrap_or(-1)
            }
        }
        Ok(record)
    }

    /// To be called when another batch begins.
    pub fn forget(&mut self) {
        let headers = self.headers.iter_mut().filter_map(|h| match h {
            Headers::Constant { .. } => None,
            Headers::Written { part, .. } => Some(part),
        });
        self.key.iter_mut().chain(self.value.iter_mut()).chain(headers).for_each(|p| p.forget())
    }
}

#[inline]
fn int(node: &Node, batch: &Batch, row: &Row, r: u32) -> Option<i64> {
    match &node.body {
        Body::Leaf(Leaf::Constant(Value::Null)) => None,
        Body::Leaf(Leaf::Meta(m)) if node.guard == 0 => batch.int(row, *m),
        _ => match node.value(batch, row, r, "")? {
            Value::Int(i) => Some(i),
            _ => None,
        },
    }
}
