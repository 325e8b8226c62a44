//! The stand-in for the host.

use super::{
    Fault, cells,
    edits::Input,
    record::{Laid, Record},
    tree::Node,
};
use crate::{Batch, Binding, Failure, Layout, Manifest, Output, Problem, Shape, Then, Transform, glue};

/// Runs a transform on records.
pub struct Host<T> {
    transform: T,
    bound: Vec<(Shape, Result<Bound, Failure>)>,
    now: i64,
}

/// What became of a record.
#[derive(Clone, PartialEq, Debug)]
pub enum Outcome {
    /// none: dropped
    Records(Vec<Record>),
    Failed(Failure),
}

#[derive(Clone)]
struct Bound {
    binding: Binding,
    /// those that `apply` added at the end
    layouts: Vec<Layout>,
}

// === impl Host ===

impl<T: Transform> Host<T> {
    /// A configured instance.
    pub fn new(options: &[(&str, &str)]) -> Result<Self, Failure> {
        let options: Vec<_> = options.iter().map(|(k, v)| (k.to_string(), Some(v.to_string()))).collect();
        Self::configured(&options)
    }

    /// The same with nulls.
    pub fn configured(options: &[(String, Option<String>)]) -> Result<Self, Failure> {
        Ok(Host::with(glue::create(options)?))
    }

    /// For an instance that is there already.
    pub fn with(transform: T) -> Self {
        Host { transform, bound: vec![], now: 0 }
    }

    /// What `meta.now` says; 0 if this is not called.
    pub fn at(self, now: i64) -> Self {
        Host { now, ..self }
    }

    pub fn describe() -> Manifest {
        glue::describe::<T>()
    }

    pub fn check(options: &[(String, Option<String>)]) -> Vec<Problem> {
        glue::check::<T>(options)
    }

    pub fn transform(&self) -> &T {
        &self.transform
    }

    /// Hands a batch over as it is: also one that no host would make.
    pub fn apply(&mut self, batch: Batch) -> Result<Output, Failure> {
        self.transform.apply(batch)
    }

    /// The binding of a record's shape.
    pub fn bind(&mut self, record: &Record) -> Result<Result<Binding, Failure>, Fault> {
        let at = self.shape(&record.lay(self.now), record)?;
        let bound = self.bound.get(at).ok_or("a shape that is gone")?;
        Ok(bound.1.clone().map(|b| b.binding))
    }

    /// Runs records in order; records of one shape that follow each other come as one batch.
    pub fn run(&mut self, records: &[Record]) -> Result<Vec<Outcome>, Fault> {
        let mut out = vec![];
        let laid: Vec<Laid> = records.iter().map(|r| r.lay(self.now)).collect();
        let mut rest = records.iter().zip(&laid).peekable();
        while let Some((record, first)) = rest.next() {
            let mut group = vec![(record, first)];
            let same = |l: &Laid| l.fields == first.fields;
            while let Some(next) = rest.next_if(|(r, l)| r.topic == record.topic && same(l)) {
                group.push(next);
            }
            let at = self.shape(first, record)?;
            out.extend(self.group(at, &group)?);
        }
        Ok(out)
    }

    fn shape(&mut self, laid: &Laid, record: &Record) -> Result<usize, Fault> {
        let known = self.bound.iter().position(|(s, _)| s.topic == record.topic && s.fields == laid.fields);
        if let Some(at) = known {
            return Ok(at);
        }
        let id = self.bound.len() as u32;
        let shape = Shape { id, topic: record.topic.clone(), fields: laid.fields.clone() };
        let bound = match self.transform.bind(&shape) {
            Ok(binding) => Ok(Bound::new(binding, laid, record)?),
            Err(failure) => Err(failure),
        };
        self.bound.push((shape, bound));
        Ok(self.bound.len() - 1)
    }

    fn group(&mut self, at: usize, group: &[(&Record, &Laid)]) -> Result<Vec<Outcome>, Fault> {
        let (shape, bound) = self.bound.get_mut(at).ok_or("a shape that is gone")?;
        let bound = match bound {
            Ok(bound) => bound,
            Err(failure) => return Ok(vec![Outcome::Failed(failure.clone()); group.len()]),
        };
        let mut out = vec![];
        // (place in the group) of the rows that `apply` is to see
        let mut sent = vec![];
        for (i, (record, laid)) in group.iter().enumerate() {
            out.push(match bound.decide(laid)? {
                Then::Fail(failure) => Outcome::Failed(failure),
                Then::Emit(layouts) => {
                    let made = layouts.iter().map(|l| bound.make(*l, record, laid, None));
                    Outcome::Records(made.collect::<Result<_, _>>()?)
                }
                Then::Apply => {
                    sent.push(i);
                    Outcome::Records(vec![])
                }
            });
        }
        if sent.is_empty() {
            return Ok(out);
        }
        let rows: Vec<_> = sent.iter().filter_map(|i| group.get(*i)).collect();
        let nodes: Vec<&[(Node, bool)]> = rows.iter().map(|(_, laid)| laid.nodes.as_slice()).collect();
        let columns = bound.binding.reads.iter().map(|r| cells::deliver(r, &nodes)).collect::<Result<_, _>>()?;
        let batch = Batch { shape: shape.id, rows: rows.len() as u32, columns };
        let mut put = |row: usize, outcome: Outcome| {
            let place = sent.get(row).and_then(|i| out.get_mut(*i)).ok_or("a row that was not in the batch")?;
            match (place, outcome) {
                (Outcome::Records(made), Outcome::Records(more)) => made.extend(more),
                (place, outcome) => *place = outcome,
            }
            Ok::<_, Fault>(())
        };
        match self.transform.apply(batch) {
            Err(failure) => {
                for row in 0..rows.len() {
                    put(row, Outcome::Failed(failure.clone()))?;
                }
            }
            Ok(output) => {
                for (row, record) in bound.take(&output, &rows)? {
                    put(row, Outcome::Records(vec![record]))?;
                }
                for error in output.errors {
                    put(error.row as usize, Outcome::Failed(error.failure))?;
                }
            }
        }
        Ok(out)
    }
}

// === impl Bound ===

impl Bound {
    /// Checks the layouts on a record of the shape: what they do to types does not depend on values.
    fn new(binding: Binding, laid: &Laid, record: &Record) -> Result<Bound, Fault> {
        let layouts = if binding.layouts.is_empty() { vec![vec![]] } else { binding.layouts.clone() };
        let bound = Bound { binding, layouts };
        for i in 0..bound.layouts.len() {
            bound.try_out(i, laid, record)?;
        }
        let emitted = bound.binding.rules.iter().map(|r| &r.then).chain([&bound.binding.otherwise]);
        for then in emitted {
            for layout in if let Then::Emit(layouts) = then { layouts.as_slice() } else { &[] } {
                bound.make(*layout, record, laid, None)?;
            }
        }
        Ok(bound)
    }

    fn try_out(&self, layout: usize, laid: &Laid, record: &Record) -> Result<(), Fault> {
        let nulls = self.binding.computes.iter().map(|c| cells::take(c, &crate::Column::Null, 0));
        self.make(layout as u32, record, laid, Some(&nulls.collect::<Result<Vec<_>, _>>()?)).map(drop)
    }

    fn decide(&self, laid: &Laid) -> Result<Then, Fault> {
        'rules: for rule in &self.binding.rules {
            for test in &rule.when {
                if !cells::holds(test, &laid.nodes)? {
                    continue 'rules;
                }
            }
            return Ok(rule.then.clone());
        }
        Ok(self.binding.otherwise.clone())
    }

    fn make(&self, layout: u32, record: &Record, laid: &Laid, computed: Option<&[Node]>) -> Result<Record, Fault> {
        let edits = self.layouts.get(layout as usize).ok_or_else(|| Fault(format!("there is no layout {layout}")))?;
        let mut made = record.clone();
        made.edit(edits, &Input { nodes: &laid.nodes, computed })?;
        Ok(made)
    }

    /// The records that an output makes, each with the row of the batch that it comes from.
    fn take(&mut self, output: &Output, rows: &[&(&Record, &Laid)]) -> Result<Vec<(usize, Record)>, Fault> {
        for layout in &output.added {
            self.layouts.push(layout.clone());
            if let Some((record, laid)) = rows.first() {
                self.try_out(self.layouts.len() - 1, laid, record)?;
            }
        }
        let from: Vec<u32> = match &output.rows {
            Some(from) => from.clone(),
            None => (0..rows.len() as u32).collect(),
        };
        if !from.is_sorted() {
            return Err("output rows descend".into());
        }
        if output.columns.len() != self.binding.computes.len() {
            return Err("as many columns as `computes`, please".into());
        }
        if !output.layouts.is_empty() && output.layouts.len() != from.len() {
            return Err("a layout for each output row, or none".into());
        }
        let failed = |row: u32| output.errors.iter().any(|e| e.row == row);
        let mut made = vec![];
        for (i, row) in from.into_iter().enumerate().filter(|(_, row)| !failed(*row)) {
            let (record, laid) = rows.get(row as usize).ok_or_else(|| Fault(format!("the batch has no row {row}")))?;
            let columns =
                self.binding.computes.iter().zip(&output.columns).map(|(c, column)| cells::take(c, column, i));
            let computed = columns.collect::<Result<Vec<_>, _>>()?;
            let layout = output.layouts.get(i).copied().unwrap_or(0);
            made.push((row as usize, self.make(layout, record, laid, Some(&computed))?));
        }
        Ok(made)
    }
}
