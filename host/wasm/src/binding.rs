//! Bindings: what a guest says of a shape, every number of it checked.

use crate::log::shorten;
use crate::shape::Fields;
use crate::sketch::Sketch;
use crate::{scalar, tree, wit};
use weir_model::{
    Binding, Comparison, Compute, Edit, Failure, Kind, Read, Repr, Rule, Source, Test, Type, Value, Verdict,
};

/// Reads, computes, layouts, rules of one shape: beyond it something has gone wrong.
const MOST: usize = 4096;

/// What a compute or a read may be represented as; `native` and `dictionary` need a kind that has a column.
fn repr(repr: wit::Repr, ty: &Type) -> Result<Repr, String> {
    let has_column = !matches!(ty.kind, Kind::Array | Kind::Map | Kind::Struct | Kind::Any);
    match repr {
        wit::Repr::Native if has_column => Ok(Repr::Native),
        wit::Repr::Native => Err(format!("{} has no native column: use json", ty.kind.json_name())),
        wit::Repr::Dictionary if ty.kind == Kind::Text => Ok(Repr::Dictionary),
        wit::Repr::Dictionary => Err(format!("a dictionary holds text, not {}", ty.kind.json_name())),
        wit::Repr::Json => Ok(Repr::Json),
        wit::Repr::TypedJson => Ok(Repr::TypedJson),
        wit::Repr::Presence => Ok(Repr::Presence),
    }
}

/// Bytes that are kept of what a guest says of a failure: it goes into logs and headers.
pub(crate) const MOST_MESSAGE: usize = 4096;
const MOST_CODE: usize = 256;

pub(crate) fn failure(f: &wit::Failure) -> Failure {
    let cut = |text: &str, most| if text.len() > most { shorten(text, most) } else { text.to_owned() };
    Failure::new(&cut(&f.code, MOST_CODE), cut(&f.message, MOST_MESSAGE))
}

/// Err says what is wrong, for a [`weir_model::BindError`].
pub(crate) fn read(said: &wit::Binding, fields: &Fields) -> Result<Binding, String> {
    for (what, n) in [
        ("reads", said.reads.len()),
        ("computes", said.computes.len()),
        ("layouts", said.layouts.len()),
        ("rules", said.rules.len()),
    ] {
        if n > MOST {
            return Err(format!("{n} {what}, and {MOST} are the most"));
        }
    }
    let reads = said.reads.iter().enumerate().map(|(i, r)| {
        let read = fields.value(r.field).and_then(|ty| repr(r.as_, ty)).map_err(|e| format!("read {i}: {e}"))?;
        Ok(Read { field: r.field, repr: read })
    });
    let computes = said.computes.iter().enumerate().map(|(i, c)| compute(c).map_err(|e| format!("compute {i}: {e}")));
    let (reads, computes) = (reads.collect::<Result<_, String>>()?, computes.collect::<Result<Vec<_>, String>>()?);
    let types: Vec<Type> = computes.iter().map(|c: &Compute| c.ty.clone()).collect();
    let layouts = said
        .layouts
        .iter()
        .enumerate()
        .map(|(i, l)| Sketch::new(fields, &types).layout(l).map_err(|e| format!("layout {i}: {e}")));
    let layouts: Vec<Vec<Edit>> = layouts.collect::<Result<_, _>>()?;
    let rules = said.rules.iter().enumerate().map(|(i, r)| {
        let name = if r.name.is_empty() { format!("rule {i}") } else { r.name.clone() };
        let bad = |e: String| format!("rule `{name}`: {e}");
        let when = r.when.iter().map(|t| test(t, fields)).collect::<Result<_, _>>().map_err(bad)?;
        let then = verdict(&r.then, &layouts).map_err(bad)?;
        Ok(Rule { name: name.as_str().into(), when, then })
    });
    let rules = rules.collect::<Result<_, String>>()?;
    let otherwise = verdict(&said.otherwise, &layouts).map_err(|e| format!("otherwise: {e}"))?;
    Ok(Binding { reads, computes, layouts, rules, otherwise, ordered: said.ordered })
}

fn compute(c: &wit::Compute) -> Result<Compute, String> {
    let ty = tree::read(&c.type_)?;
    let repr = match repr(c.as_, &ty)? {
        Repr::Presence => return Err("presence is only delivered".into()),
        Repr::TypedJson if ty.kind != Kind::Any => {
            return Err(format!("typed-json brings its own type: its kind is any, not {}", ty.kind.json_name()));
        }
        repr => repr,
    };
    Ok(Compute { ty, repr })
}

fn verdict(said: &wit::Verdict, layouts: &[Vec<Edit>]) -> Result<Verdict, String> {
    Ok(match said {
        wit::Verdict::Fail(f) => Verdict::Fail(failure(f)),
        wit::Verdict::Apply => Verdict::Apply,
        wit::Verdict::Emit(chosen) => {
            if chosen.len() > MOST {
                return Err(format!("a row becomes {} records, and {MOST} are the most", chosen.len()));
            }
            for l in chosen {
                let edits = match layouts.get(*l as usize) {
                    Some(edits) => edits.as_slice(),
                    None if layouts.is_empty() && *l == 0 => &[],
                    None => return Err(format!("there is no layout {l}")),
                };
                if edits.iter().any(is_computed) {
                    return Err(format!("layout {l} takes a computed column, and a rule's rows are not computed"));
                }
            }
            Verdict::Emit(chosen.clone())
        }
    })
}

fn is_computed(edit: &Edit) -> bool {
    let (Edit::Topic(s) | Edit::Partition(s) | Edit::Timestamp(s) | Edit::Put(_, s) | Edit::Header(_, s)) = edit else {
        return false;
    };
    matches!(s, Source::Computed(_))
}

fn test(said: &wit::Test, fields: &Fields) -> Result<Test, String> {
    Ok(match said {
        wit::Test::IsNull(f) => fields.value(*f).map(|_| Test::IsNull(*f))?,
        wit::Test::NotNull(f) => fields.value(*f).map(|_| Test::NotNull(*f))?,
        wit::Test::Compare(c) => {
            let is = match c.is {
                wit::Comparison::Eq => Comparison::Eq,
                wit::Comparison::Ne => Comparison::Ne,
                wit::Comparison::Lt => Comparison::Lt,
                wit::Comparison::Le => Comparison::Le,
                wit::Comparison::Gt => Comparison::Gt,
                wit::Comparison::Ge => Comparison::Ge,
            };
            Test::Compare(c.field, is, compared(fields.value(c.field)?, is, &c.to)?)
        }
    })
}

/// Numbers with numbers, text with text, booleans for equality.
fn compared(ty: &Type, is: Comparison, to: &wit::Scalar) -> Result<Value, String> {
    let is_number = ty.kind.is_int() || matches!(ty.kind, Kind::Float32 | Kind::Float64);
    match to {
        wit::Scalar::Int(i) if scalar::is_date(ty) => match i % scalar::DAY_MS {
            0 => Ok(Value::Int(i / scalar::DAY_MS)),
            _ => Err("a Date is compared with whole days".into()),
        },
        wit::Scalar::Int(i) if is_number => Ok(Value::Int(*i)),
        wit::Scalar::Float(f) if is_number && !scalar::is_date(ty) => Ok(Value::Float(*f)),
        wit::Scalar::Text(t) if ty.kind == Kind::Text => Ok(Value::text(t)),
        wit::Scalar::Boolean(b) if ty.kind == Kind::Boolean => match is {
            Comparison::Eq | Comparison::Ne => Ok(Value::Boolean(*b)),
            _ => Err("booleans have no order".into()),
        },
        _ => Err(format!("{} cannot be compared with this scalar", scalar::describe(ty))),
    }
}
