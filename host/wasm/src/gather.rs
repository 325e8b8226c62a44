//! Columns for a guest, filled straight from a batch's cells: no value is built where bytes can be copied.

use crate::form::Form;
use crate::scalar::int_out;
use crate::wit::{Blobs, Codes, Column};
use crate::{decimal, json};
use std::collections::HashMap;
use weir_model::wire::text;
use weir_model::{Batch, Body, Call, Cell, Codec, Kind, Leaf, Node, Row, Scratch, Type, Value, View};

/// Room that is used again from column to column.
#[derive(Default)]
pub(crate) struct Scoop {
    scratch: Scratch,
    codes: HashMap<Box<[u8]>, u32>,
}

/// A cell of some row is not what its type says.
pub(crate) struct Malformed;

// === filling ===

/// Fills a column with field `field` of `rows` (call, row). Rows of one call follow each other mostly, so that what reads them
/// is chosen a run at a time.
pub(crate) fn fill(
    column: &mut Column,
    form: &Form,
    field: u32,
    calls: &[Call],
    batch: &Batch,
    rows: &[(u16, u32)],
    scoop: &mut Scoop,
) -> Result<(), Malformed> {
    form.clear(column);
    if matches!(form, Form::Codes) {
        scoop.codes.clear();
    }
    let mut done = 0;
    while let Some((call, _)) = rows.get(done) {
        let rest = rows.get(done..).unwrap_or_default();
        let length = rest.iter().take_while(|r| r.0 == *call).count();
        let run = rest.get(..length).unwrap_or_default();
        let call = calls.get(*call as usize);
        let node = call.and_then(|c| c.nodes.get(field as usize));
        let (Some(call), Some(node)) = (call, node) else { return Err(Malformed) };
        let reader = Reader { node, batch, unavailable: &call.layout.unavailable };
        reader.run(column, form, run, done, scoop).map_err(|_| Malformed)?;
        done += length;
    }
    let all_null = |valid: &[u8]| valid.len() == rows.len() && !valid.is_empty() && valid.iter().all(|v| *v == 0);
    let is_null = match column {
        Column::Null => true,
        Column::Boolean(c) => all_null(&c.valid),
        Column::Int(c) => all_null(&c.valid),
        Column::Float(c) => all_null(&c.valid),
        Column::Text(c) | Column::Bytes(c) => all_null(&c.valid),
        Column::Dictionary(c) => all_null(&c.valid),
    };
    if is_null {
        *column = Column::Null
    }
    Ok(())
}

/// Reads one node in many rows.
struct Reader<'a> {
    node: &'a Node,
    batch: &'a Batch,
    unavailable: &'a str,
}

/// What a cell holds, for a column of bytes or numbers.
enum Held<'a> {
    Null,
    View(View<'a>),
}

#[inline(always)]
fn mark(valid: &mut Vec<u8>, rows: usize, is_valid: bool) {
    if !is_valid && valid.is_empty() {
        valid.resize(rows, 1);
        valid.push(0)
    } else if !valid.is_empty() {
        valid.push(is_valid as u8)
    }
}

impl Reader<'_> {
    /// Err: the place of the malformed row in the run.
    fn run(
        &self,
        column: &mut Column,
        form: &Form,
        rows: &[(u16, u32)],
        base: usize,
        scoop: &mut Scoop,
    ) -> Result<(), usize> {
        match (form, column) {
            (Form::Presence, Column::Boolean(c)) => {
                for (i, (_, r)) in rows.iter().enumerate() {
                    let row = self.row(*r).ok_or(i)?;
                    c.values.push(!self.is_null(row, *r) as u8)
                }
                Ok(())
            }
            (Form::Json(ty), Column::Text(c)) => self.trees(c, ty, &[], b"", rows, base),
            (Form::TypedJson(ty, head), Column::Text(c)) => self.trees(c, ty, head, b"}", rows, base),
            (Form::Text, Column::Text(c)) => self.each(
                rows,
                base,
                scoop,
                c,
                |c, held| {
                    let (View::Text(t) | View::Clean(t)) = held? else { return None };
                    c.data.extend_from_slice(t);
                    Some(())
                },
                finish,
            ),
            (Form::Bytes, Column::Bytes(c)) => self.each(
                rows,
                base,
                scoop,
                c,
                |c, held| {
                    match held? {
                        View::Bytes(b) | View::Text(b) => c.data.extend_from_slice(b),
                        _ => return None,
                    }
                    Some(())
                },
                finish,
            ),
            (Form::Decimal { scale }, Column::Text(c)) => self.decimals(c, *scale, rows, base, scoop),
            (Form::Ints { is_date }, Column::Int(c)) => self.each(
                rows,
                base,
                scoop,
                c,
                |c, held| {
                    let i = match held {
                        None => 0,
                        Some(View::IntText(t)) => text::int(t)?,
                        Some(View::Int(i)) => i,
                        Some(_) => return None,
                    };
                    c.values.push(int_out(i, *is_date));
                    Some(())
                },
                |c, rows, ok| mark(&mut c.valid, rows, ok),
            ),
            (Form::Floats, Column::Float(c)) => self.each(
                rows,
                base,
                scoop,
                c,
                |c, held| {
                    c.values.push(match held {
                        None => 0.0,
                        Some(View::FloatText(t)) if self.node.ty.kind == Kind::Float32 => {
                            std::str::from_utf8(t).ok()?.parse::<f32>().ok()?.into()
                        }
                        Some(View::FloatText(t)) => text::float(t)?,
                        Some(View::Float(f)) => f,
                        Some(View::Float32(f)) => f.into(),
                        Some(_) => return None,
                    });
                    Some(())
                },
                |c, rows, ok| mark(&mut c.valid, rows, ok),
            ),
            (Form::Bits, Column::Boolean(c)) => self.each(
                rows,
                base,
                scoop,
                c,
                |c, held| {
                    c.values.push(match held {
                        None => 0,
                        Some(View::Bool(b)) => b as u8,
                        Some(_) => return None,
                    });
                    Some(())
                },
                |c, rows, ok| mark(&mut c.valid, rows, ok),
            ),
            (Form::Codes, Column::Dictionary(c)) => self.codes(c, rows, base, scoop),
            _ => Err(0),
        }
    }

    #[inline(always)]
    fn row(&self, r: u32) -> Option<&Row> {
        self.batch.rows.get(r as usize)
    }

    /// Hands every row's view to `put` (none for a null), and whether it was one to `done`.
    #[inline(always)]
    fn each<C>(
        &self,
        rows: &[(u16, u32)],
        base: usize,
        scoop: &mut Scoop,
        column: &mut C,
        mut put: impl FnMut(&mut C, Option<View>) -> Option<()>,
        done: impl Fn(&mut C, usize, bool),
    ) -> Result<(), usize> {
        if let (Body::Leaf(Leaf::Cell(side, at, codec)), None) = (&self.node.body, &self.node.fallback) {
            let guard = self.node.guard;
            for (i, (_, r)) in rows.iter().enumerate() {
                let row = self.row(*r).ok_or(i)?;
                let cell = if row.present & guard == guard { self.batch.cell(row, *side, *at) } else { Cell::NULL };
                let view = match cell {
                    Cell::NULL => None,
                    Cell::UNCHANGED => Some(View::Text(self.unavailable.as_bytes())),
                    cell => Some(codec.view(self.batch.bytes(cell), &mut scoop.scratch).ok_or(i)?),
                };
                let is_null = view.is_none();
                // text has no value that stands for a null: nothing is put
                if put(column, view).is_none() && !is_null {
                    return Err(i);
                }
                done(column, base + i, !is_null)
            }
            return Ok(());
        }
        for (i, (_, r)) in rows.iter().enumerate() {
            let row = self.row(*r).ok_or(i)?;
            let mut room = [0; 64];
            let value;
            let held = match self.meta(row, &mut room) {
                Some(held) => held,
                None => {
                    value = self.node.value(self.batch, row, *r, self.unavailable).ok_or(i)?;
                    of_value(&value).ok_or(i)?
                }
            };
            let view = match held {
                Held::Null => None,
                Held::View(v) => Some(v),
            };
            let is_null = view.is_none();
            if put(column, view).is_none() && !is_null {
                return Err(i);
            }
            done(column, base + i, !is_null)
        }
        Ok(())
    }

    /// What the row knows beside its cells, without a value tree.
    fn meta<'m>(&self, row: &Row, room: &'m mut [u8; 64]) -> Option<Held<'m>> {
        let (Body::Leaf(Leaf::Meta(meta)), None) = (&self.node.body, &self.node.fallback) else { return None };
        Some(match self.batch.int(row, *meta) {
            _ if row.present & self.node.guard != self.node.guard => Held::Null,
            Some(i) => Held::View(View::Int(i)),
            None => Held::View(View::Clean(self.batch.meta_text(row, *meta, room))),
        })
    }

    fn is_null(&self, row: &Row, r: u32) -> bool {
        if row.present & self.node.guard != self.node.guard {
            return true;
        }
        let null = |row: &Row| match &self.node.body {
            Body::Leaf(leaf) => leaf.is_null(self.batch, row, r),
            Body::Struct(_) => false,
        };
        match &self.node.fallback {
            None => null(row),
            Some((inner, d)) => d.is_null() && (row.present & inner != *inner || null(row)),
        }
    }

    fn trees(
        &self,
        c: &mut Blobs,
        ty: &Type,
        head: &[u8],
        tail: &[u8],
        rows: &[(u16, u32)],
        base: usize,
    ) -> Result<(), usize> {
        for (i, (_, r)) in rows.iter().enumerate() {
            let row = self.row(*r).ok_or(i)?;
            let value = self.node.value(self.batch, row, *r, self.unavailable).ok_or(i)?;
            let is_null = value.is_null();
            if !is_null {
                c.data.extend_from_slice(head);
                json::write(&value, ty, &mut c.data);
                c.data.extend_from_slice(tail);
            }
            finish(c, base + i, !is_null)
        }
        Ok(())
    }

    fn decimals(
        &self,
        c: &mut Blobs,
        scale: i16,
        rows: &[(u16, u32)],
        base: usize,
        scoop: &mut Scoop,
    ) -> Result<(), usize> {
        let direct = match (&self.node.body, &self.node.fallback) {
            (Body::Leaf(Leaf::Cell(side, at, Codec::DecimalText { .. })), None) => Some((*side, *at)),
            _ => None,
        };
        for (i, one) in rows.iter().enumerate() {
            let row = self.row(one.1).ok_or(i)?;
            if let Some((side, at)) = direct.filter(|_| row.present & self.node.guard == self.node.guard) {
                let bytes = self.batch.bytes(self.batch.cell(row, side, at));
                if decimal::is_canonical(bytes, scale) {
                    c.data.extend_from_slice(bytes);
                    finish(c, base + i, true);
                    continue;
                }
            }
            self.each(
                std::slice::from_ref(one),
                base + i,
                scoop,
                c,
                |c, held| {
                    match held? {
                        View::Bytes(b) => decimal::write(b, scale.into(), &mut c.data),
                        // what stands for a value that the log does not carry
                        View::Text(t) => c.data.extend_from_slice(t),
                        _ => return None,
                    }
                    Some(())
                },
                finish,
            )
            .map_err(|_| i)?;
        }
        Ok(())
    }

    fn codes(&self, c: &mut Codes, rows: &[(u16, u32)], base: usize, scoop: &mut Scoop) -> Result<(), usize> {
        let mut known = std::mem::take(&mut scoop.codes);
        let mut last: (Vec<u8>, u32) = (vec![], u32::MAX);
        let done = self.each(
            rows,
            base,
            scoop,
            c,
            |c, held| {
                let t = match held {
                    None => {
                        c.codes.push(0);
                        return Some(());
                    }
                    Some(View::Text(t) | View::Clean(t)) => t,
                    Some(_) => return None,
                };
                if last.1 != u32::MAX && last.0 == t {
                    c.codes.push(last.1);
                    return Some(());
                }
                let code = match known.get(t) {
                    Some(code) => *code,
                    None => {
                        let code = c.values.len() as u32;
                        c.values.push(String::from_utf8_lossy(t).into_owned());
                        known.insert(t.into(), code);
                        code
                    }
                };
                last.0.clear();
                last.0.extend_from_slice(t);
                last.1 = code;
                c.codes.push(code);
                Some(())
            },
            |c, rows, ok| mark(&mut c.valid, rows, ok),
        );
        scoop.codes = known;
        done
    }
}

#[inline(always)]
fn finish(c: &mut Blobs, rows: usize, is_valid: bool) {
    c.ends.push(c.data.len() as u32);
    mark(&mut c.valid, rows, is_valid)
}

/// None: a value that no native column holds.
fn of_value(value: &Value) -> Option<Held<'_>> {
    Some(Held::View(match value {
        Value::Null => return Some(Held::Null),
        Value::Boolean(b) => View::Bool(*b),
        Value::Int(i) => View::Int(*i),
        Value::Float(f) => View::Float(*f),
        Value::Text(t) => View::Text(t.as_bytes()),
        Value::Bytes(b) => View::Bytes(b),
        _ => return None,
    }))
}
