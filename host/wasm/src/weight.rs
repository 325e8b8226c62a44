//! How much of the host's memory a guest's bindings and columns take, roughly: texts, trees and values, and a little for each entry.

use crate::wit::{Annotation, Binding, Column, Compute, Constant, Edit, Field, Scalar, Source, Verdict};

/// Bytes of one entry beside its texts.
const ENTRY: usize = 64;

/// Bytes of one binding: more is no description of a shape any more.
pub(crate) const MOST_BINDING: usize = 8 << 20;

pub(crate) fn binding(b: &Binding) -> usize {
    let computes: usize = b.computes.iter().map(|c: &Compute| tree(&c.type_)).sum();
    let layouts: usize = b.layouts.iter().map(|l| layout(l)).sum();
    let rules = b.rules.iter().map(|r| ENTRY * (1 + r.when.len()) + r.name.len() + verdict(&r.then));
    ENTRY * (1 + b.reads.len()) + computes + layouts + rules.sum::<usize>() + verdict(&b.otherwise)
}

pub(crate) fn layout(edits: &[Edit]) -> usize {
    ENTRY + edits.iter().map(edit).sum::<usize>()
}

/// Bytes of a column as it is kept: a dictionary's words are written out row by row, however often they are named.
pub(crate) fn column(c: &Column) -> usize {
    match c {
        Column::Null => 0,
        Column::Boolean(c) => c.values.len(),
        Column::Int(c) => size_of_val(c.values.as_slice()),
        Column::Float(c) => size_of_val(c.values.as_slice()),
        Column::Text(c) | Column::Bytes(c) => c.data.len(),
        Column::Dictionary(c) => {
            let word = |code: &u32| c.values.get(*code as usize).map_or(0, String::len);
            c.codes.iter().map(word).fold(0, usize::saturating_add)
        }
    }
}

fn edit(e: &Edit) -> usize {
    let rest = match e {
        Edit::Topic(s) | Edit::Partition(s) | Edit::Timestamp(s) => source(s),
        Edit::Put((p, s)) => path(p) + source(s),
        Edit::Remove(p) | Edit::Optional((p, _)) => path(p),
        Edit::Rename((p, to)) => path(p) + to.len(),
        Edit::Annotate((p, a)) => path(p) + annotation(a),
        Edit::Header((name, s)) => name.len() + source(s),
        Edit::RemoveHeader(name) => name.len(),
    };
    ENTRY + rest
}

fn path(p: &[String]) -> usize {
    p.iter().map(|s| ENTRY / 2 + s.len()).sum()
}

fn source(s: &Source) -> usize {
    match s {
        Source::Input(_) | Source::InputOrDefault(_) | Source::Computed(_) => 0,
        Source::Constant(c) => constant(c),
        Source::Mask(m) => constant(&m.with),
    }
}

fn constant(c: &Constant) -> usize {
    tree(&c.type_) + scalar(&c.value)
}

fn tree(fields: &[Field]) -> usize {
    fields.iter().map(|f| ENTRY + f.name.len() + annotation(&f.annotation)).sum()
}

fn annotation(a: &Annotation) -> usize {
    let text = |t: &Option<String>| t.as_ref().map_or(0, String::len);
    let parameters: usize = a.parameters.iter().map(|(k, v)| ENTRY + k.len() + v.len()).sum();
    ENTRY + text(&a.name) + text(&a.doc) + parameters + a.default.as_ref().map_or(0, scalar)
}

/// A JSON text becomes a tree of values that is several times as large.
fn scalar(s: &Scalar) -> usize {
    match s {
        Scalar::Text(t) => t.len(),
        Scalar::Bytes(b) => b.len(),
        Scalar::Json(t) => t.len() * 8,
        _ => 0,
    }
}

fn verdict(v: &Verdict) -> usize {
    match v {
        Verdict::Emit(layouts) => layouts.len() * 4,
        Verdict::Fail(f) => f.code.len() + f.message.len(),
        Verdict::Apply => 0,
    }
}
