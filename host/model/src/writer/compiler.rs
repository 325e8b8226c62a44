//! From a layout's root and a format to ops: everything that can be decided before a row comes is decided here.

use super::format::{Format, Part, Unwritable};
use super::op::{Code, Lit, Op, Ops, Span};
use crate::{Body, Buffer, Kind, Layout, Leaf, Meta, NEVER, Name, Node, Presence, Type, Value};

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
        is_bare: root.ty.schemaless && matches!(root.body, Body::Leaf(_)),
    };
    let mut c = Compiler { layout, part: ops, pending: 0, slots: 0, open: false, cache, path: vec![] };
    let begun = c.part.format.begin(root, &mut c.part.lits);
    begun?;
    c.node(root, 0);
    c.text(|f, o| f.end(o));
    c.settle();
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

    fn take(&mut self) -> Lit {
        let from = std::mem::replace(&mut self.pending, self.part.lits.len() as u32);
        Lit::new(&self.part.lits, Span { from, to: self.pending })
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
            self.part.ops.push(Op { lit: Lit::new(&[], Span { from: 0, to: 0 }), code });
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
