//! One step behind a program: each layout that can leave is bound, and the step's rules go onto the leaves of that layout.

use super::{Bind, Call, Fate, Fault, LEFT_OUT, MOST_LAYOUTS, Program, Refusal, RuleName};
use crate::edit::Input;
use crate::{BindError, Binding, Check, Failure, Layout, Name, Node, Shape, Verdict};
use std::sync::Arc;

/// Puts one step behind a program.
pub(super) struct Composer<'a> {
    old: &'a Program,
    step: u16,
    bind: &'a mut dyn Bind,
    next: Program,
    /// (layout of the old program, what was known when it was met) need not be the same twice; edited layouts are interned
    bound: Vec<(u16, Arc<Shape>, Vec<Node>)>,
}

/// What a layout met at this step.
struct Step<'a> {
    layout: &'a Layout,
    nodes: Vec<Node>,
    parents: Vec<u32>,
    binding: Arc<Binding>,
    number: u32,
}

type Known = Vec<(Check, bool)>;

// === impl Composer ===

impl<'a> Composer<'a> {
    pub(super) fn new(old: &'a Program, step: u16, bind: &'a mut dyn Bind) -> Self {
        Composer { old, step, bind, next: old.empty_after(), bound: vec![] }
    }

    pub(super) fn compose(mut self) -> Result<Program, BindError> {
        let old = self.old;
        self.next.fate = self.follow(&old.fate, &mut vec![])?;
        for (i, call) in old.calls.iter().enumerate() {
            let then = call.then.iter().map(|f| self.follow(f, &mut vec![])).collect::<Result<_, _>>()?;
            if let Some(slot) = self.next.calls.get_mut(i) {
                slot.then = then;
            }
        }
        Ok(self.next)
    }

    fn follow(&mut self, fate: &Fate, known: &mut Known) -> Result<Fate, BindError> {
        Ok(match fate {
            Fate::Fan(all) => Fate::Fan(all.iter().map(|f| self.follow(f, known)).collect::<Result<_, _>>()?),
            Fate::Drop(_) | Fate::Fail(_) | Fate::Call(_) => fate.clone(),
            Fate::Ask(q) => {
                let mut rules = vec![];
                let depth = known.len();
                for (when, f) in &q.rules {
                    let here = known.len();
                    known.extend(when.iter().map(|c| (c.clone(), true)));
                    rules.push((when.clone(), self.follow(f, known)?));
                    known.truncate(here);
                    if let [only] = when.as_slice() {
                        known.push((only.clone(), false));
                    }
                }
                let otherwise = self.follow(&q.otherwise, known)?;
                known.truncate(depth);
                Fate::asked(rules, otherwise)
            }
            Fate::Emit(i) => self.emit(*i, known)?,
        })
    }

    fn describe(&mut self, i: u16) -> Result<(Arc<Shape>, Vec<Node>), BindError> {
        if let Some((_, shape, nodes)) = self.bound.iter().find(|b| b.0 == i) {
            return Ok((shape.clone(), nodes.clone()));
        }
        let layout = self.old.layouts.get(i as usize).ok_or("no such layout")?;
        let (shape, nodes) = layout.describe()?;
        let shape = Arc::new(shape);
        self.bound.push((i, shape.clone(), nodes.clone()));
        Ok((shape, nodes))
    }

    fn emit(&mut self, i: u16, known: &Known) -> Result<Fate, BindError> {
        let (shape, nodes) = self.describe(i)?;
        let layout = self.old.layouts.get(i as usize).ok_or("no such layout")?;
        let (number, binding) = match self.bind.bind(&shape) {
            Ok(bound) => bound,
            Err(Fault::Broken(e)) => return Err(e),
            Err(Fault::Rows(failure)) => return Ok(self.fail(failure, layout)),
        };
        let parents = shape.fields.iter().map(|f| f.parent).collect();
        let step = Step { layout, nodes, parents, binding, number };
        let mut known = known.clone();
        let (mut rules, mut otherwise) = (vec![], None);
        for rule in &step.binding.rules {
            let mut when = vec![];
            let mut possible = true;
            for test in &rule.when {
                let check = Check::new(test, &step.nodes, &layout.unavailable)?;
                match check.settled(&known) {
                    Some(true) => {}
                    Some(false) => possible = false,
                    None => when.push(check),
                }
            }
            if !possible {
                continue;
            }
            let fate = self.verdict(&step, &rule.then, &rule.name)?;
            if when.is_empty() {
                otherwise = Some(fate);
                break;
            }
            if let [only] = when.as_slice() {
                known.push((only.clone(), false));
            }
            rules.push((when, fate));
        }
        let otherwise = match otherwise {
            Some(fate) => fate,
            None => self.verdict(&step, &step.binding.otherwise, &"otherwise".into())?,
        };
        Ok(Fate::asked(rules, otherwise))
    }

    fn fail(&mut self, failure: Failure, layout: &Layout) -> Fate {
        let is_same = |r: &Refusal| r.step == self.step && r.failure == failure && *r.layout == *layout;
        let at = self.next.failures.iter().position(is_same);
        Fate::Fail(at.unwrap_or_else(|| {
            self.next.failures.push(Refusal { step: self.step, failure, layout: Arc::new(layout.clone()) });
            self.next.failures.len() - 1
        }) as u16)
    }

    fn verdict(&mut self, step: &Step, verdict: &Verdict, rule: &Name) -> Result<Fate, BindError> {
        Ok(match verdict {
            Verdict::Emit(layouts) => match layouts.as_slice() {
                [] => Fate::Drop(self.drop(rule)),
                [one] => self.layout(step, *one, false)?,
                many => Fate::Fan(many.iter().map(|l| self.layout(step, *l, false)).collect::<Result<_, _>>()?),
            },
            Verdict::Fail(failure) => self.fail(failure.clone(), step.layout),
            Verdict::Apply => Fate::Call(self.call(step)?),
        })
    }

    fn drop(&mut self, rule: &Name) -> u16 {
        let name = RuleName { step: self.step, rule: rule.clone() };
        let at = self.next.drops.iter().position(|r| *r == name);
        at.unwrap_or_else(|| {
            self.next.drops.push(name);
            self.next.drops.len() - 1
        }) as u16
    }

    fn base(&mut self, step: &Step) -> u16 {
        let known = self.next.bases.iter().find(|b| (b.0, b.1) == (self.step, step.number));
        known.map(|b| b.2).unwrap_or_else(|| {
            let base = self.next.columns;
            self.next.columns += step.binding.computes.len() as u16;
            self.next.bases.push((self.step, step.number, base));
            base
        })
    }

    fn layout(&mut self, step: &Step, index: u32, computed: bool) -> Result<Fate, BindError> {
        let edits = match step.binding.layouts.get(index as usize) {
            Some(edits) => edits.as_slice(),
            None if index == 0 && step.binding.layouts.is_empty() => &[],
            None => return Err(BindError(format!("there is no layout {index}"))),
        };
        let base = self.base(step);
        let Step { nodes, parents, binding, .. } = step;
        let input = Input { nodes, parents, computes: &binding.computes, base, computed };
        let made = step.layout.edit(edits, &input)?;
        let at = self.next.layouts.iter().position(|l| *l == made);
        let at = at.unwrap_or_else(|| {
            self.next.layouts.push(made);
            self.next.layouts.len() - 1
        });
        if at >= MOST_LAYOUTS {
            return Err(BindError(format!("the chain needs more than {MOST_LAYOUTS} layouts for one stream")));
        }
        Ok(Fate::Emit(at as u16))
    }

    fn call(&mut self, step: &Step) -> Result<u16, BindError> {
        let base = self.base(step);
        let layouts = step.binding.layouts.len().max(1) as u32;
        let then = (0..layouts).map(|l| self.layout(step, l, true)).collect::<Result<_, _>>()?;
        let call = Call {
            step: self.step,
            shape: step.number,
            binding: step.binding.clone(),
            nodes: step.nodes.clone().into(),
            parents: step.parents.clone().into(),
            layout: Arc::new(step.layout.clone()),
            base,
            then,
            left_out: self.drop(&LEFT_OUT.into()),
        };
        let at = self.next.calls.iter().position(|c| c.same(&call));
        Ok(at.unwrap_or_else(|| {
            self.next.calls.push(call);
            self.next.calls.len() - 1
        }) as u16)
    }
}
