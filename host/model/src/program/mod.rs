//! Programs: what becomes of a row, for a whole chain of transforms. The source's own program is the first one; a step is put
//! behind it by binding each layout that can leave it, and moving the step's rules onto the leaves of that layout.

mod composer;

use crate::edit::Input;
use crate::{Batch, BindError, Binding, Check, Edit, Failure, Layout, Name, Node, Presence, Row, Shape};
use composer::Composer;
use std::sync::Arc;

/// A step of a chain, as composition sees it.
pub trait Bind {
    /// The shape's number at this step (equal shapes have one number) and what the step makes of it.
    fn bind(&mut self, shape: &Shape) -> Result<(u32, Arc<Binding>), Fault>;
}

/// Why a shape could not be bound.
#[derive(Clone, PartialEq, Debug)]
pub enum Fault {
    /// the transform refuses the shape: every row of it fails like this
    Rows(Failure),
    /// the transform broke its contract: the chain cannot run
    Broken(BindError),
}

/// What becomes of a row.
#[derive(Clone, Debug, PartialEq)]
pub enum Fate {
    Emit(u16),
    Fan(Vec<Fate>),
    /// the number of the rule that drops it, in [`Program::drops`]
    Drop(u16),
    /// the number of the failure, in [`Program::failures`]
    Fail(u16),
    Ask(Box<Question>),
    /// into a guest: the number of a [`Call`]
    Call(u16),
}

#[derive(Clone, Debug, PartialEq)]
pub struct Question {
    pub rules: Vec<(Vec<Check>, Fate)>,
    pub otherwise: Fate,
}

/// The rule that drops rows, for counting them.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RuleName {
    pub step: u16,
    pub rule: Name,
}

/// What a step says of rows that it refuses without being asked, and the record as it came into the step.
#[derive(Clone, Debug, PartialEq)]
pub struct Refusal {
    pub step: u16,
    pub failure: Failure,
    pub layout: Arc<Layout>,
}

/// A row that a step refuses: row `row` of the batch, made from the source's `origin`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Refused {
    pub row: u32,
    pub origin: u32,
    /// the number of the [`Refusal`]
    pub refusal: u16,
}

/// Rows that leave the program for a guest's `apply` and come back with computed columns.
#[derive(Clone, Debug)]
pub struct Call {
    pub step: u16,
    pub shape: u32,
    pub binding: Arc<Binding>,
    /// behind the fields of the shape, for this layout
    pub nodes: Arc<[Node]>,
    /// the parent of each
    pub parents: Arc<[u32]>,
    /// the record as it came into the step
    pub layout: Arc<Layout>,
    /// the batch's column of the first compute
    pub base: u16,
    /// what becomes of an output row, by the layout that the guest chose
    pub then: Vec<Fate>,
    /// the number of the rule that rows are counted by which the guest leaves out
    pub left_out: u16,
}

/// A chain bound to a stream: a decision for each row, and the layouts it decides between.
#[derive(Clone, Debug, Default)]
pub struct Program {
    pub fate: Fate,
    pub layouts: Vec<Layout>,
    pub drops: Vec<RuleName>,
    pub failures: Vec<Refusal>,
    pub calls: Vec<Call>,
    /// first column of each (step, shape) that computes
    bases: Vec<(u16, u32, u16)>,
    /// computed columns in all
    pub columns: u16,
    /// the fate of each kind of row met so far: what is left to ask where operation and presence are known
    kinds: Vec<(RowKind, Fate)>,
}

/// What the rows of a stream differ in before any cell is looked at.
pub(crate) type RowKind = (u8, Presence);

/// A record in its place: row `row` of the batch by a layout. `origin` is the source's row; it differs from `row` only where a
/// guest made several records of one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Pick {
    pub row: u32,
    pub origin: u32,
    /// a layout; where the record is `open` the call that has to be made before there is one
    pub layout: u16,
    /// a guest is to be asked; what it makes of the row comes to this place, so that records keep their order (invariant 5)
    pub open: bool,
}

/// The rule of rows that a guest's `apply` makes nothing of.
const LEFT_OUT: &str = "apply";
/// Layouts that one chain may have for one stream. Beyond it composition has gone wrong.
const MOST_LAYOUTS: usize = 4096;

// === impl Fate ===

impl Default for Fate {
    fn default() -> Self {
        Fate::Emit(0)
    }
}

/// What [`Program::decide`] found out; kept from batch to batch for its allocations.
#[derive(Default, Debug)]
pub struct Decision {
    /// records in the order in which they leave
    pub picks: Vec<Pick>,
    /// how many of them are open
    pub open: usize,
    pub failed: Vec<Refused>,
    /// (row, rule)
    pub dropped: Vec<(u32, u16)>,
}

impl Decision {
    /// (call, row) of the records that are open.
    pub fn asked(&self) -> Vec<(u16, u32)> {
        self.picks.iter().filter(|p| p.open).map(|p| (p.layout, p.row)).collect()
    }

    pub fn clear(&mut self) {
        self.picks.clear();
        self.open = 0;
        self.failed.clear();
        self.dropped.clear();
    }
}

// === impl Program ===

impl Program {
    /// A source's own program.
    pub fn source(fate: Fate, layouts: Vec<Layout>) -> Self {
        Program { fate, layouts, ..Default::default() }
    }

    /// Puts one more step behind the chain.
    pub fn then(&self, step: u16, bind: &mut dyn Bind) -> Result<Program, BindError> {
        Composer::new(self, step, bind).compose()
    }

    /// What stays when another step follows: earlier drops, failures and calls.
    fn empty_after(&self) -> Program {
        let calls = self.calls.iter().map(|c| Call { then: vec![], ..c.clone() }).collect();
        let (drops, failures, bases) = (self.drops.clone(), self.failures.clone(), self.bases.clone());
        let (fate, layouts, kinds, columns) = (Fate::default(), vec![], vec![], self.columns);
        Program { fate, layouts, drops, failures, calls, bases, columns, kinds }
    }

    /// Layouts that only a batch's values showed to be needed: what becomes of rows that take them, with the steps behind.
    pub fn add(&mut self, call: u16, edits: &[Edit], behind: &mut [(u16, &mut dyn Bind)]) -> Result<(), BindError> {
        let Some(at) = self.calls.get(call as usize).cloned() else { return Err("no such call".into()) };
        let input = Input {
            nodes: &at.nodes,
            parents: &at.parents,
            computes: &at.binding.computes,
            base: at.base,
            computed: true,
        };
        let layout = at.layout.edit(edits, &input)?;
        let mut tail = Program { fate: Fate::Emit(0), layouts: vec![layout], ..self.empty_after() };
        for (step, bind) in behind {
            tail = tail.then(*step, *bind)?;
        }
        let shift = self.layouts.len() as u16;
        let fate = tail.fate.shifted(shift);
        let known = self.calls.len();
        self.calls.extend(tail.calls.into_iter().skip(known).map(|mut c| {
            c.then = c.then.iter().map(|f| f.shifted(shift)).collect();
            c
        }));
        self.layouts.extend(tail.layouts);
        (self.drops, self.failures, self.bases, self.columns) = (tail.drops, tail.failures, tail.bases, tail.columns);
        if let Some(c) = self.calls.get_mut(call as usize) {
            c.then.push(fate);
        }
        Ok(())
    }

    /// What becomes of the batch's rows, in their order. Records that a guest has to be asked about are open.
    pub fn decide(&mut self, batch: &Batch, out: &mut Decision) {
        if let Fate::Emit(layout) = self.fate {
            let all = (0..batch.rows.len() as u32).map(|row| Pick { row, origin: row, layout, open: false });
            return out.picks.extend(all);
        }
        let mut rows = (0u32..).zip(&batch.rows).peekable();
        while let Some((_, first)) = rows.peek() {
            let kind = (first.op, first.present);
            let fate = self.kind(kind);
            while let Some((r, row)) = rows.next_if(|(_, row)| (row.op, row.present) == kind) {
                fate.walk(batch, row, r, r, out);
            }
        }
    }

    fn kind(&mut self, kind: RowKind) -> &Fate {
        let at = self.kinds.iter().position(|(known, _)| *known == kind).unwrap_or_else(|| {
            self.kinds.push((kind, self.fate.of_kind(kind)));
            self.kinds.len() - 1
        });
        self.kinds.get(at).map_or(&self.fate, |(_, fate)| fate)
    }
}

impl Fate {
    /// Puts what becomes of a row behind what is in `out`.
    pub fn walk(&self, batch: &Batch, row: &Row, r: u32, origin: u32, out: &mut Decision) {
        match self {
            Fate::Emit(layout) => out.picks.push(Pick { row: r, origin, layout: *layout, open: false }),
            Fate::Fan(all) => all.iter().for_each(|f| f.walk(batch, row, r, origin, out)),
            Fate::Drop(rule) => out.dropped.push((r, *rule)),
            Fate::Fail(refusal) => out.failed.push(Refused { row: r, origin, refusal: *refusal }),
            Fate::Call(call) => {
                out.open += 1;
                out.picks.push(Pick { row: r, origin, layout: *call, open: true })
            }
            Fate::Ask(q) => {
                let hit = q.rules.iter().find(|(when, _)| when.iter().all(|c| c.holds(batch, row, r)));
                hit.map_or(&q.otherwise, |(_, f)| f).walk(batch, row, r, origin, out)
            }
        }
    }

    /// What is left to ask of rows of one kind.
    fn of_kind(&self, kind: RowKind) -> Fate {
        match self {
            Fate::Fan(all) => Fate::Fan(all.iter().map(|f| f.of_kind(kind)).collect()),
            Fate::Ask(q) => {
                let mut rules = vec![];
                for (when, fate) in &q.rules {
                    if when.iter().any(|c| c.of_kind(kind) == Some(false)) {
                        continue;
                    }
                    let open: Vec<Check> = when.iter().filter(|c| c.of_kind(kind).is_none()).cloned().collect();
                    if open.is_empty() {
                        return Fate::asked(rules, fate.of_kind(kind));
                    }
                    rules.push((open, fate.of_kind(kind)))
                }
                Fate::asked(rules, q.otherwise.of_kind(kind))
            }
            other => other.clone(),
        }
    }

    fn asked(rules: Vec<(Vec<Check>, Fate)>, otherwise: Fate) -> Fate {
        match rules.iter().all(|(_, f)| *f == otherwise) {
            true => otherwise,
            false => Fate::Ask(Box::new(Question { rules, otherwise })),
        }
    }

    fn shifted(&self, by: u16) -> Fate {
        match self {
            Fate::Emit(l) => Fate::Emit(l + by),
            Fate::Fan(all) => Fate::Fan(all.iter().map(|f| f.shifted(by)).collect()),
            Fate::Ask(q) => {
                let rules = q.rules.iter().map(|(w, f)| (w.clone(), f.shifted(by))).collect();
                Fate::Ask(Box::new(Question { rules, otherwise: q.otherwise.shifted(by) }))
            }
            other => other.clone(),
        }
    }
}

impl Call {
    fn same(&self, other: &Call) -> bool {
        self.step == other.step && self.shape == other.shape && self.layout == other.layout && self.base == other.base
    }
}
