//! The loop around a per-message function: from shapes to bindings, from batches to rows.

use crate::routes::Routes;
use crate::{
    Batch, Binding, Builder, Cell, Cells, Columns, Edit, Failure, Field, Kind, Layout, NewCell, Outcome, Output, Repr,
    Row, RowError, Shape, Slot, Source, Test, Then, Verdict,
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
/// The layouts of rows with JSON that does not fit the type of what it replaces: behind this one, by the cells that do not.
const MISFITS: u32 = AS_IT_IS;
const MISSING: &str = "weir.transform.missing";
const TOPICS: &str = "weir.transform.topics";
/// The cell that is no column: a topic is a layout's ([`Routes`]).
const TOPIC: &[&str] = &["topic"];

/// Where the cells of each bound shape are.
#[derive(Default)]
pub struct Shapes {
    bound: Vec<(u32, Bound)>,
}

#[derive(Default)]
struct Bound {
    slots: Vec<Slot>,
    /// the types of fields that JSON replaces, for each new cell; none: no cell keeps one
    types: Vec<Option<Vec<Field>>>,
    routes: Routes,
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
        let types = types::<C>(shape);
        let edits = |types: &[Option<Vec<Field>>], binding: &mut Binding| {
            let typed = |i: usize| types.get(i).cloned().flatten();
            let cells = C::CELLS.iter().enumerate().filter(|(_, c)| c.path != TOPIC);
            let edits = cells.map(|(i, c)| Ok((i, edit(c, typed(i), shape, binding).ok_or(c.path)?)));
            edits.collect::<Result<Vec<_>, _>>()
        };
        let typed = match edits(&types, &mut binding) {
            Ok(edits) => edits,
            Err(_) if missing == OnMissing::Pass => return Ok(Binding::pass()),
            Err(path) => return Err(lacks(path)),
        };
        binding.layouts = vec![typed.iter().map(|(_, e)| e.clone()).collect(), vec![]];
        if !types.is_empty() {
            let untyped = edits(&[], &mut binding).map_err(lacks)?;
            let choose = |misfits: u32| {
                let both = typed.iter().zip(&untyped);
                both.map(|((i, typed), (_, untyped))| if misfits >> i & 1 == 0 { typed } else { untyped }.clone())
                    .collect()
            };
            binding.layouts.extend((1..1 << types.len()).map(choose));
        }
        binding.otherwise = Then::Apply;
        let routes = Routes::new(&binding.layouts);
        self.bound.push((shape.id, Bound { slots, types, routes }));
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
        let bound = self.bound.iter().find(|(id, _)| *id == batch.shape).map(|(_, bound)| bound);
        let bound =
            bound.ok_or_else(|| Failure::new("weir.transform.unbound", "a batch of a shape that was not bound"))?;
        let cells = Cells::new(&bound.slots, &batch.columns);
        let rows = batch.rows as usize;
        let new = |cell: &NewCell| Builder::new(cell.kind, cell.repr, rows);
        let mut columns: Vec<Builder> = O::Columns::CELLS.iter().map(new).collect();
        // the same cells once more, for what does not fit
        let mut untyped: Vec<Builder> = bound.types.iter().zip(O::Columns::CELLS).map(|(_, c)| new(c)).collect();
        let topic = O::Columns::CELLS.iter().position(|cell| cell.path == TOPIC);
        let chooses = topic.is_some() || !bound.types.is_empty();
        let (mut layouts, mut added) = (vec![], vec![]);
        let mut kept = Vec::with_capacity(rows);
        let mut errors = vec![];
        for row in 0..batch.rows {
            let verdict = match R::read(&cells, row as usize) {
                Some(read) => function(read).verdict(),
                None => Verdict::Fail(Failure::new(MISSING, "a required cell is null, or not of its type")),
            };
            match verdict {
                Verdict::Emit(values) => {
                    let misfits = bound.misfits(&values);
                    // what does not fit goes to the column beside, and a null stands in its place
                    exchange(misfits, &mut columns, &mut untyped);
                    values.push(&mut columns);
                    untyped.iter_mut().for_each(Builder::null);
                    exchange(misfits, &mut columns, &mut untyped);
                    if chooses {
                        let named = topic.and_then(|i| columns.get(i)?.last_text());
                        layouts.push(bound.layout(misfits, named, &mut added).unwrap_or_else(|failure| {
                            errors.push(RowError { row, failure });
                            COMPUTED
                        }));
                    }
                    kept.push(row);
                }
                Verdict::Drop => {}
                Verdict::Fail(failure) => errors.push(RowError { row, failure }),
            }
        }
        let rows = (kept.len() < rows).then_some(kept);
        let without_topic =
            |all: Vec<Builder>| all.into_iter().enumerate().filter(|(i, _)| Some(*i) != topic).map(|(_, b)| b.finish());
        let columns = without_topic(columns).chain(without_topic(untyped)).collect();
        Ok(Output { added, rows, layouts, columns, errors })
    }
}

// === impl Bound ===

impl Bound {
    /// A bit for each cell that is not of the type it is to keep.
    fn misfits<C: Columns>(&self, values: &C) -> u32 {
        let is_misfit =
            |(i, tree): (usize, &Option<Vec<Field>>)| tree.as_ref().is_some_and(|tree| !values.fits(i, tree));
        self.types.iter().enumerate().filter(|t| is_misfit(*t)).fold(0, |bits, (i, _)| bits | 1 << i)
    }

    /// The layout of a row with these misfits that goes to a topic of its own; None: to the one that it came from.
    fn layout(&self, misfits: u32, topic: Option<&str>, added: &mut Vec<Layout>) -> Result<u32, Failure> {
        let layout = if misfits == 0 { COMPUTED } else { MISFITS + misfits };
        match topic {
            None => Ok(layout),
            Some(topic) => {
                let found = self.routes.to(layout, topic, added);
                found.ok_or_else(|| Failure::new(TOPICS, "it names too many different topics"))
            }
        }
    }
}

fn exchange(cells: u32, columns: &mut [Builder], others: &mut [Builder]) {
    let both = columns.iter_mut().zip(others).enumerate();
    both.filter(|(i, _)| cells >> i & 1 == 1).for_each(|(_, (a, b))| std::mem::swap(a, b));
}

/// The types of the fields that JSON replaces, for each cell; empty where none has one to keep.
fn types<C: Columns>(shape: &Shape) -> Vec<Option<Vec<Field>>> {
    let of = |cell: &NewCell| {
        let at = shape.at(cell.path).filter(|_| C::KEEPS_TYPES && cell.repr == Repr::Json)?;
        shape.field(at).filter(|f| !f.schemaless && f.kind != Kind::Any).map(|_| shape.tree(at))
    };
    let all: Vec<_> = C::CELLS.iter().map(of).collect();
    if all.iter().any(Option::is_some) { all } else { vec![] }
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

/// The edit that writes a cell, with the type of what it replaces or one of its own. `None`: there is no place for it.
fn edit(cell: &NewCell, like: Option<Vec<Field>>, shape: &Shape, binding: &mut Binding) -> Option<Edit> {
    let mut field = Field::new(cell.kind);
    field.optional = cell.optional;
    field.annotation.name = cell.name.map(Into::into);
    let mut compute = |field| Source::Computed(binding.compute(like.clone().unwrap_or_else(|| vec![field]), cell.repr));
    Some(match cell.path {
        ["partition"] => Edit::Partition(compute(field)),
        ["timestamp"] => Edit::Timestamp(compute(field)),
        ["headers", name] => Edit::header(*name, compute(field)),
        [root] => {
            // nothing is known of JSON that stands for a whole root
            (field.schemaless, field.optional) = (field.kind == Kind::Any, field.optional || field.kind == Kind::Any);
            Edit::put([*root], compute(field))
        }
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
