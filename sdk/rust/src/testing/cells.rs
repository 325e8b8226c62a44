//! Columns of a batch, from records and back to them; and tests of rules.

use super::{
    Fault,
    payload::infer,
    tree::{Data, Node, Type},
};
use crate::{Builder, Column, Comparison, Compute, Kind, Read, Repr, Scalar, Test};
use serde_json::{Value, json};
use std::cmp::Ordering;

/// The column of one read, over the rows of a batch.
pub(super) fn deliver(read: &Read, rows: &[&[(Node, bool)]]) -> Result<Column, Fault> {
    let node = |row: &[(Node, bool)]| {
        let found = row.get(read.field as usize).map(|(node, _)| node.clone());
        found.ok_or_else(|| Fault(format!("the shape has no field {}", read.field)))
    };
    let first = node(rows.first().ok_or("a batch without rows")?)?;
    let kind = match first.ty.is_decimal() {
        true => Kind::Text,
        false => first.ty.kind,
    };
    let structured = matches!(kind, Kind::Array | Kind::Map | Kind::Struct | Kind::Any);
    if (read.as_ == Repr::Native && structured) || (read.as_ == Repr::Dictionary && kind != Kind::Text) {
        return Err(format!("field {} cannot be read as {:?}", read.field, read.as_).into());
    }
    let mut column = Builder::new(kind, read.as_, rows.len());
    for row in rows {
        let node = node(row)?;
        match (read.as_, &node.data) {
            (Repr::Presence, data) => column.boolean(!data.is_null()),
            (_, Data::Null) => column.null(),
            (Repr::TypedJson, _) => {
                column
                    .text(&json!({"schema": node.ty.to_schema(), "payload": node.ty.payload(&node.data)}).to_string());
            }
            (Repr::Json, data) => {
                // in columns no value is tagged
                column.text(&Type { schemaless: false, ..node.ty.clone() }.payload(data).to_string());
            }
            (_, Data::Boolean(v)) => column.boolean(*v),
            (_, Data::Int(v)) => column.int(*v),
            (_, Data::Float(v)) => column.float(*v),
            (_, Data::Text(v)) => column.text(v),
            (_, Data::Bytes(v)) => column.bytes(v),
            (_, Data::Struct(_) | Data::Json(_)) => return Err("a structured value in a native column".into()),
        }
    }
    Ok(column.finish())
}

/// One cell of a computed column.
pub(super) fn take(compute: &Compute, column: &Column, row: usize) -> Result<Node, Fault> {
    let ty = Type::unflatten(&compute.type_)?;
    if !column.is_valid(row) {
        return Ok(Node { ty, data: Data::Null });
    }
    let lacking = || Fault(format!("a column has no value of its type in row {row}"));
    let data = match (compute.as_, ty.kind) {
        (Repr::Presence, _) => return Err("presence cannot be computed".into()),
        (Repr::Json | Repr::TypedJson, _) => {
            let text = column.text(row).ok_or_else(lacking)?;
            let value: Value = serde_json::from_str(text).map_err(|e| format!("a computed JSON: {e}"))?;
            if compute.as_ == Repr::TypedJson {
                let payload = value.get("payload").unwrap_or(&Value::Null);
                return match value.get("schema").filter(|s| !s.is_null()) {
                    Some(schema) => {
                        let ty = Type::from_schema(schema)?;
                        Ok(Node { data: ty.data(payload)?, ty })
                    }
                    None => infer(payload),
                };
            }
            ty.data(&value)?
        }
        (_, Kind::Boolean) => Data::Boolean(column.boolean(row).ok_or_else(lacking)?),
        (_, Kind::Int8 | Kind::Int16 | Kind::Int32 | Kind::Int64) => Data::Int(column.int(row).ok_or_else(lacking)?),
        (_, Kind::Float32) => Data::Float(f64::from(column.float(row).ok_or_else(lacking)? as f32)),
        (_, Kind::Float64) => Data::Float(column.float(row).ok_or_else(lacking)?),
        (_, Kind::Text) => Data::Text(column.text(row).ok_or_else(lacking)?.into()),
        (_, Kind::Bytes) if ty.is_decimal() => Data::Text(column.text(row).ok_or_else(lacking)?.into()),
        (_, Kind::Bytes) => Data::Bytes(column.bytes(row).ok_or_else(lacking)?.to_vec()),
        (_, kind) => return Err(format!("{kind:?} cannot be computed as a native column").into()),
    };
    Ok(Node { ty, data })
}

pub(super) fn holds(test: &Test, nodes: &[(Node, bool)]) -> Result<bool, Fault> {
    let data = |at: &u32| {
        let found = nodes.get(*at as usize).map(|(node, _)| &node.data);
        found.ok_or_else(|| Fault(format!("the shape has no field {at}")))
    };
    Ok(match test {
        Test::IsNull(at) => data(at)?.is_null(),
        Test::NotNull(at) => !data(at)?.is_null(),
        Test::Compare(compare) => {
            let order = match (data(&compare.field)?, &compare.to) {
                (Data::Null, _) => return Ok(false),
                (Data::Int(a), Scalar::Int(b)) => Some(a.cmp(b)),
                (Data::Int(a), Scalar::Float(b)) => (*a as f64).partial_cmp(b),
                (Data::Float(a), Scalar::Int(b)) => a.partial_cmp(&(*b as f64)),
                (Data::Float(a), Scalar::Float(b)) => a.partial_cmp(b),
                (Data::Text(a), Scalar::Text(b)) => Some(a.as_bytes().cmp(b.as_bytes())),
                (Data::Boolean(a), Scalar::Boolean(b)) => match compare.is {
                    Comparison::Eq | Comparison::Ne => Some(a.cmp(b)),
                    _ => return Err("booleans are only equal or not".into()),
                },
                (_, to) => return Err(format!("field {} cannot be compared with {to:?}", compare.field).into()),
            };
            agrees(compare.is, order)
        }
    })
}

fn agrees(is: Comparison, order: Option<Ordering>) -> bool {
    // NaN is unequal to everything
    let Some(order) = order else { return is == Comparison::Ne };
    match is {
        Comparison::Eq => order.is_eq(),
        Comparison::Ne => order.is_ne(),
        Comparison::Lt => order.is_lt(),
        Comparison::Le => order.is_le(),
        Comparison::Gt => order.is_gt(),
        Comparison::Ge => order.is_ge(),
    }
}
