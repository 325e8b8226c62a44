//! A condition as rules, which the host answers by itself: a list of branches of which the first that holds decides.

use crate::{
    node::{Failed, Leaf, Node, Sort, null_object},
    value::{Value, compare},
};
use weir::{Comparison, Scalar, Test};

/// What a branch leads to.
#[derive(Clone, PartialEq, Debug)]
pub enum End {
    Truth(bool),
    Fail(Failed),
    /// only the values can tell
    Apply,
}

/// Tests that all hold, and what follows. The last branch of a list has none.
pub type Branch = (Vec<Test>, End);

/// More rules than this are slower than a call.
const MOST: usize = 48;

/// What a node's value can be once the structs around it are known to be there.
enum Core<'a> {
    Const(&'a Value<'static>),
    Field(&'a Leaf),
    Fail(Failed),
    Other,
}

/// The branches of a node's truth.
pub fn truth(node: &Node) -> Vec<Branch> {
    let branches = match node {
        Node::Not(a) => {
            let turned = |(tests, end): Branch| match end {
                End::Truth(v) => (tests, End::Truth(!v)),
                other => (tests, other),
            };
            truth(a).into_iter().map(turned).collect()
        }
        Node::And(a, b) => joined(truth(a), true, &truth(b)),
        Node::Or(a, b) => joined(truth(a), false, &truth(b)),
        Node::Compare(is, a, b) => expanded(a, &|a| expanded(b, &|b| compared(*is, &a, &b))),
        Node::In(a, items) => expanded(a, &|a| contained(&a, items)),
        Node::Match { of, .. } => expanded(of, &|core| match core {
            Core::Fail(f) => end(End::Fail(f)),
            _ => end(End::Apply),
        }),
        Node::Call { .. } => end(End::Apply),
        leaf => expanded(leaf, &|core| match core {
            Core::Const(v) => end(End::Truth(v.truth())),
            Core::Fail(f) => end(End::Fail(f)),
            Core::Field(field) => field_truth(field),
            Core::Other => end(End::Apply),
        }),
    };
    if branches.len() > MOST { end(End::Apply) } else { branches }
}

fn end(end: End) -> Vec<Branch> {
    vec![(vec![], end)]
}

/// `a && b` for `on` true, `a || b` for false: where a's truth is `on`, b decides.
fn joined(a: Vec<Branch>, on: bool, b: &[Branch]) -> Vec<Branch> {
    let mut out = vec![];
    for (tests, ends) in a {
        if ends == End::Truth(on) {
            let both = |(more, ends): &Branch| ([tests.as_slice(), more.as_slice()].concat(), ends.clone());
            out.extend(b.iter().map(both));
        } else {
            out.push((tests, ends));
        }
    }
    out
}

/// Branches for the guards of an operand, then those of what stands behind them.
fn expanded(node: &Node, then: &dyn Fn(Core) -> Vec<Branch>) -> Vec<Branch> {
    match node {
        Node::Guarded(guards, inner) => {
            let mut out = vec![];
            for guard in guards {
                let branches = match guard.safe {
                    true => then(Core::Const(&Value::Null)),
                    false => end(End::Fail(Failed { text: null_object(&guard.name), missing: false })),
                };
                let guarded = |(tests, ends): Branch| {
                    let first = vec![Test::IsNull(guard.at)];
                    ([first, tests].concat(), ends)
                };
                out.extend(branches.into_iter().map(guarded));
            }
            out.extend(expanded(inner, then));
            out
        }
        Node::Const(v) => then(Core::Const(v)),
        Node::Field(leaf) => then(Core::Field(leaf)),
        Node::Fail(failed) => then(Core::Fail(failed.clone())),
        _ => then(Core::Other),
    }
}

fn compared(is: Comparison, a: &Core, b: &Core) -> Vec<Branch> {
    match (a, b) {
        (Core::Fail(f), _) | (_, Core::Fail(f)) => end(End::Fail(f.clone())),
        (Core::Const(a), Core::Const(b)) => end(decided(is, a, b)),
        (Core::Field(field), Core::Const(v)) => field_compared(is, field, v),
        (Core::Const(v), Core::Field(field)) => field_compared(mirrored(is), field, v),
        _ => end(End::Apply),
    }
}

fn decided(is: Comparison, a: &Value, b: &Value) -> End {
    match compare(is, a, b) {
        Ok(v) => End::Truth(v),
        Err(text) => End::Fail(Failed { text, missing: false }),
    }
}

fn field_compared(is: Comparison, field: &Leaf, to: &Value<'static>) -> Vec<Branch> {
    let mut out = nulls(field, decided(is, &field.default, to));
    if *to == Value::Null {
        let there = Value::Object;
        out.push((vec![], decided(is, &there, to)));
        return out;
    }
    match scalar(field.sort, is, to) {
        Some(scalar) => {
            out.push((vec![Test::compare(field.at, is, scalar)], End::Truth(true)));
            out.push((vec![], End::Truth(false)));
        }
        None => out.push((vec![], End::Apply)),
    }
    out
}

/// The branch of rows in which the field is null.
fn nulls(field: &Leaf, ends: End) -> Vec<Branch> {
    if field.nullable { vec![(vec![Test::IsNull(field.at)], ends)] } else { vec![] }
}

/// What the host compares as Groovy would.
fn scalar(sort: Sort, is: Comparison, to: &Value) -> Option<Scalar> {
    Some(match (sort, to) {
        (Sort::Bool, Value::Bool(v)) if matches!(is, Comparison::Eq | Comparison::Ne) => Scalar::Boolean(*v),
        (Sort::Int | Sort::Float, Value::Int(v)) => Scalar::Int(*v),
        (Sort::Int | Sort::Float, Value::Float(v)) if v.is_finite() => Scalar::Float(*v),
        (Sort::Float, Value::Decimal(v)) => Scalar::Float(v.parse().ok()?),
        // only what a double holds as it is written: 0.1 is another number in decimals
        (Sort::Int, Value::Decimal(v)) => {
            let double: f64 = v.parse().ok()?;
            let halves = double * 2.0;
            if halves.fract() != 0.0 || halves.abs() > 9e15 {
                return None;
            }
            Scalar::Float(double)
        }
        // bytes and UTF-16 units agree about order below the surrogates
        (Sort::Text, Value::Text(v))
            if matches!(is, Comparison::Eq | Comparison::Ne) || v.chars().all(|c| c <= '\u{d7ff}') =>
        {
            Scalar::Text(v.to_string())
        }
        _ => return None,
    })
}

fn field_truth(field: &Leaf) -> Vec<Branch> {
    let mut out = nulls(field, End::Truth(field.default.truth()));
    let test = match field.sort {
        Sort::Bool => Test::compare(field.at, Comparison::Eq, Scalar::Boolean(true)),
        Sort::Int => Test::compare(field.at, Comparison::Ne, Scalar::Int(0)),
        Sort::Text => Test::compare(field.at, Comparison::Ne, Scalar::Text(String::new())),
        Sort::Float | Sort::Decimal | Sort::Object => {
            out.push((vec![], End::Apply));
            return out;
        }
    };
    out.push((vec![test], End::Truth(true)));
    out.push((vec![], End::Truth(false)));
    out
}

fn contained(a: &Core, items: &[Node]) -> Vec<Branch> {
    let mut out: Vec<Branch> = vec![];
    for item in items {
        let Node::Const(value) = item else { return end(End::Apply) };
        let branches = compared(Comparison::Eq, a, &Core::Const(value));
        out = match out.is_empty() {
            true => branches,
            // not among those before: the next one decides
            false => joined(out, false, &branches),
        };
    }
    if out.is_empty() { end(End::Truth(false)) } else { out }
}

fn mirrored(is: Comparison) -> Comparison {
    match is {
        Comparison::Lt => Comparison::Gt,
        Comparison::Le => Comparison::Ge,
        Comparison::Gt => Comparison::Lt,
        Comparison::Ge => Comparison::Le,
        same => same,
    }
}
