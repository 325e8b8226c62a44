//! Forms: how the values of a field become a column for a guest, worked out once a shape.

use crate::scalar::{is_date, is_decimal, scale};
use crate::typed_json;
use crate::wit::{Bits, Blobs, Codes, Column, Floats, Ints};
use weir_model::{Kind, Repr, Type};

/// How a field's values become a column; worked out once a shape.
#[derive(Debug)]
pub(crate) enum Form {
    Bits,
    Ints {
        is_date: bool,
    },
    Floats,
    Text,
    Bytes,
    Decimal {
        scale: i16,
    },
    Codes,
    Presence,
    Json(Type),
    /// the type, and what stands before every payload
    TypedJson(Type, Vec<u8>),
}

// === impl Form ===

impl Form {
    pub fn new(repr: Repr, ty: &Type) -> Form {
        match repr {
            Repr::Dictionary => Form::Codes,
            Repr::Presence => Form::Presence,
            Repr::Json => Form::Json(ty.clone()),
            Repr::TypedJson => Form::TypedJson(ty.clone(), typed_json::head(ty)),
            Repr::Native => match ty.kind {
                Kind::Boolean => Form::Bits,
                Kind::Float32 | Kind::Float64 => Form::Floats,
                Kind::Text => Form::Text,
                _ if is_decimal(ty) => Form::Decimal { scale: scale(ty) },
                Kind::Bytes => Form::Bytes,
                _ => Form::Ints { is_date: is_date(ty) },
            },
        }
    }

    /// The column emptied, of the variant that this form fills, with its allocations where it had that variant before.
    pub fn clear(&self, column: &mut Column) {
        match (self, &mut *column) {
            (Form::Bits | Form::Presence, Column::Boolean(c)) => {
                c.valid.clear();
                c.values.clear()
            }
            (Form::Ints { .. }, Column::Int(c)) => {
                c.valid.clear();
                c.values.clear()
            }
            (Form::Floats, Column::Float(c)) => {
                c.valid.clear();
                c.values.clear()
            }
            (Form::Bytes, Column::Bytes(c)) => empty(c),
            (Form::Text | Form::Decimal { .. } | Form::Json(_) | Form::TypedJson(..), Column::Text(c)) => empty(c),
            (Form::Codes, Column::Dictionary(c)) => {
                c.valid.clear();
                c.codes.clear();
                c.values.clear()
            }
            (form, column) => *column = form.fresh(),
        }
    }

    fn fresh(&self) -> Column {
        let blobs = || Blobs { valid: vec![], ends: vec![], data: vec![] };
        match self {
            Form::Bits | Form::Presence => Column::Boolean(Bits { valid: vec![], values: vec![] }),
            Form::Ints { .. } => Column::Int(Ints { valid: vec![], values: vec![] }),
            Form::Floats => Column::Float(Floats { valid: vec![], values: vec![] }),
            Form::Bytes => Column::Bytes(blobs()),
            Form::Codes => Column::Dictionary(Codes { valid: vec![], codes: vec![], values: vec![] }),
            _ => Column::Text(blobs()),
        }
    }
}

fn empty(c: &mut Blobs) {
    c.valid.clear();
    c.ends.clear();
    c.data.clear()
}
