//! The loop around a per-message function: from shapes to bindings, from batches to rows.

use crate::{
    Batch, Binding, Builder, Cell, Cells, Columns, Edit, Failure, Field, Kind, NewCell, Outcome, Output, Repr, Row,
    RowError, Shape, Slot, Source, Test, Then, Verdict,
};

/// What becomes of records that lack what the function asks for: a field that their shape has not, or a null where the
/// function takes no null.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OnMissing {
    /// They pass as they are: tombstones, heartbeats, other tables.
    Pass,
    Fail,
}

/// The layout of rows that the function computed.
const COMPUTED: u32 = 0;
/// The layout of rows that pass as they are.
const AS_IT_IS: u32 = 1;
const MISSING: &str = "weir.transform.missing";

/// Where the cells of each bound shape are.
#[derive(Default)]
pub struct Shapes {
    bound: Vec<(u32, Vec<Slot>)>,
}

// === impl Shapes ===

impl Shapes {
    pub fn bind<'a, R: Row<'a>, C: Columns>(&mut self, shape: &Shape, missing: OnMissing) -> Result<Binding, Failure> {
        self.unbind(shape.id);
        let mut binding = Binding::pass();
        let mut slots = vec![];
        for cell in R::CELLS {
            match slot(cell, shape, &mut binding, missing)? {
                Some(slot) => slots.push(slot),
                None => return Ok(Binding::pass()),
            }
        }
        let mut edits = vec![];
        for cell in C::CELLS {
            match edit(cell, shape, &mut binding) {
                Some(edit) => edits.push(edit),
                None if missing == OnMissing::Pass => return Ok(Binding::pass()),
                None => return Err(lacks(cell.path)),
            }
        }
        binding.layouts = vec![edits, vec![]];
        binding.otherwise = Then::Apply;
        self.bound.push((shape.id, slots));
        Ok(binding)
    }

    pub fn unbind(&mut self, shape: u32) {
        self.bound.retain(|(id, _)| *id != shape);
    }

    /// Calls the function for every row.
    pub fn run<'a, R: Row<'a>, O: Outcome>(
        &'a self,
        batch: &'a Batch,
        mut function: impl FnMut(R) -> O,
    ) -> Result<Output, Failure> {
        let slots = self.bound.iter().find(|(id, _)| *id == batch.shape).map(|(_, slots)| slots);
        let slots =
            slots.ok_or_else(|| Failure::new("weir.transform.unbound", "a batch of a shape that was not bound"))?;
        let cells = Cells::new(slots, &batch.columns);
        let rows = batch.rows as usize;
        let new = |cell: &NewCell| Builder::new(cell.kind, cell.repr, rows);
        let mut columns: Vec<Builder> = O::Columns::CELLS.iter().map(new).collect();
        let mut kept = Vec::with_capacity(rows);
        let mut errors = vec![];
        for row in 0..batch.rows {
            let verdict = match R::read(&cells, row as usize) {
                Some(read) => function(read).verdict(),
                None => Verdict::Fail(Failure::new(MISSING, "a required cell is null, or not of its type")),
            };
            match verdict {
                Verdict::Emit(values) => {
                    values.push(&mut columns);
                    kept.push(row);
                }
                Verdict::Drop => {}
                Verdict::Fail(failure) => errors.push(RowError { row, failure }),
            }
        }
        let rows = (kept.len() < rows).then_some(kept);
        let columns = columns.into_iter().map(Builder::finish).collect();
        Ok(Output { added: vec![], rows, layouts: vec![], columns, errors })
    }
}

/// Where a cell comes from. `None`: records of this shape pass as they are.
fn slot(cell: &Cell, shape: &Shape, binding: &mut Binding, missing: OnMissing) -> Result<Option<Slot>, Failure> {
    let found = shape.at(cell.path).and_then(|at| Some((at, shape.field(at)?)));
    let Some((at, field)) = found.filter(|(_, f)| !is_nothing(f)) else {
        return match (cell.optional, missing) {
            (true, _) => Ok(Some(Slot::Missing)),
            (false, OnMissing::Pass) => Ok(None),
            (false, OnMissing::Fail) => Err(lacks(cell.path)),
        };
    };
    if cell.repr != Repr::Json && !(cell.fits)(field) {
        let path = cell.path.join(".");
        let message = format!("`{path}` is {}, which cannot be read as {}", kind(field), cell.wanted);
        return Err(Failure::new("weir.transform.kind", message));
    }
    if !cell.optional {
        let then = match missing {
            OnMissing::Pass => Then::emit(AS_IT_IS),
            OnMissing::Fail => Then::fail(MISSING, format!("`{}` is null", cell.path.join("."))),
        };
        binding.rules.push(crate::Rule { name: "missing".into(), when: vec![Test::IsNull(at)], then });
    }
    // codes are for text alone, and a decimal's text is none
    let repr = match cell.repr {
        Repr::Dictionary if field.kind != Kind::Text => Repr::Native,
        repr => repr,
    };
    Ok(Some(Slot::Column(binding.read(at, repr))))
}

/// The edit that writes a cell. `None`: there is no place for it.
fn edit(cell: &NewCell, shape: &Shape, binding: &mut Binding) -> Option<Edit> {
    let mut field = Field::new(cell.kind);
    field.optional = cell.optional;
    field.annotation.name = cell.name.map(Into::into);
    let mut compute = |field| Source::Computed(binding.compute(vec![field], cell.repr));
    Some(match cell.path {
        ["topic"] => Edit::Topic(compute(field)),
        ["partition"] => Edit::Partition(compute(field)),
        ["timestamp"] => Edit::Timestamp(compute(field)),
        ["headers", name] => Edit::header(*name, compute(field)),
        [root] => Edit::put([*root], compute(field)),
        [parents @ .., _] => {
            let parent = shape.field(shape.at(parents)?)?;
            if parent.kind != Kind::Struct {
                return None;
            }
            if parent.schemaless {
                (field.schemaless, field.optional) = (true, true);
            }
            let names: Vec<String> = cell.path.iter().map(|name| name.to_string()).collect();
            Edit::put(names, compute(field))
        }
        [] => return None,
    })
}

/// A null whose type nobody told.
fn is_nothing(field: &Field) -> bool {
    field.schemaless && field.kind == Kind::Any && field.annotation.name.is_none()
}

fn lacks(path: &[&str]) -> Failure {
    Failure::new(MISSING, format!("records of this shape lack `{}`", path.join(".")))
}

fn kind(field: &Field) -> String {
    let kind = format!("{:?}", field.kind).to_lowercase();
    let kind = kind.trim_start_matches("kind::").to_string();
    match &field.annotation.name {
        Some(name) => format!("{kind} ({name})"),
        None => kind,
    }
}

const _: () = assert!(COMPUTED == 0, "an output without layouts means layout 0");
