//! The compiled form of a root: per row nothing runs but these ops, each constant bytes and one leaf.

use super::format::{Format, Part, Unwritable};
use crate::{
    Batch, Buffer, Cell, Codec, Column, Decode, Kind, Leaf, Meta, Name, Presence, Row, Scratch, Side, TAIL, Type,
    Value, View,
};
use std::sync::Arc;

#[derive(Clone, Copy, Debug)]
pub(super) struct Span {
    pub from: u32,
    pub to: u32,
}

/// Constant bytes before a leaf: those that are short lie in the op itself.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lit {
    short: [u8; TAIL],
    /// more than [`TAIL`]: the bytes are `long`
    len: u32,
    long: Span,
}

#[derive(Debug)]
pub(super) struct Op {
    pub lit: Lit,
    pub code: Code,
}

#[derive(Debug)]
pub(super) enum Code {
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
pub(super) struct Ops<F> {
    pub format: F,
    pub ops: Vec<Op>,
    pub lits: Buffer,
    /// the bytes that stand in for nulls
    pub asides: Buffer,
    pub places: Vec<(u32, Box<str>)>,
    /// rendered parts, and the transaction they belong to
    pub cache: Vec<(u32, Buffer)>,
    pub unavailable: Name,
    /// the root is a leaf without a schema, whose null is no record's value at all: a tombstone, as in Connect's converters
    pub is_bare: bool,
}

// === impl Lit ===

impl Lit {
    pub fn new(lits: &[u8], span: Span) -> Self {
        let bytes = lits.get(span.from as usize..span.to as usize).unwrap_or_default();
        let mut short = [0; TAIL];
        if let Some(to) = short.get_mut(..bytes.len()) {
            to.copy_from_slice(bytes)
        }
        Lit { short, len: bytes.len() as u32, long: span }
    }
}

// === impl Ops ===

impl<F: Format> Part for Ops<F> {
    fn write(&mut self, batch: &Batch, r: u32, scratch: &mut Scratch, out: &mut Buffer) -> Result<bool, u32> {
        let Some(row) = batch.rows.get(r as usize) else { return Err(u32::MAX) };
        let Ops { format, ops, lits, asides, cache, unavailable, is_bare, .. } = self;
        let run = Run { format, lits, asides, unavailable, batch, row, r, is_bare: *is_bare };
        let start = out.len();
        let mut i = 0;
        while let Some(op) = ops.get(i) {
            run.lit(&op.lit, out);
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
                            cell_value::<F>(*codec, batch.bytes(cell), *style, scratch, out).map_err(|_| failed)?
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
                            run.lit(&op.lit, bytes);
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
                        out.truncate(start);
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
    is_bare: bool,
}

impl<'a, F: Format> Run<'a, F> {
    #[inline(always)]
    fn aside(&self, s: Span) -> &'a [u8] {
        self.asides.get(s.from as usize..s.to as usize).unwrap_or_default()
    }

    #[inline(always)]
    fn lit(&self, lit: &Lit, out: &mut Buffer) {
        match lit.len as usize {
            n @ ..=TAIL => out.near(&lit.short, n),
            _ => out.put(self.lits.get(lit.long.from as usize..lit.long.to as usize).unwrap_or_default()),
        }
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
            let is_nothing = F::NULL_IS_NOTHING || self.is_bare;
            if !is_nothing {
                out.put(self.aside(null.ok_or(Unwritable)?));
            }
            return Ok(!is_nothing);
        }
        out.put(self.aside(*some));
        self.format.tree(ty, &value, out).map(|()| true)
    }
}

/// A cell that is not null. The common codecs meet the format here, in code of their own: one branch a cell and not two.
#[inline(always)]
fn cell_value<F: Format>(
    codec: Codec,
    bytes: &[u8],
    style: i16,
    scratch: &mut Scratch,
    out: &mut Buffer,
) -> Result<(), Unwritable> {
    match codec {
        Codec::IntText => F::value(View::IntText(bytes), style, out),
        Codec::FloatText => F::value(View::FloatText(bytes), style, out),
        Codec::Text => F::value(View::Text(bytes), style, out),
        Codec::Clean => F::value(View::Clean(bytes), style, out),
        Codec::BoolText => F::value(View::Bool(bytes == b"t"), style, out),
        other => F::value(other.view(bytes, scratch).ok_or(Unwritable)?, style, out),
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
