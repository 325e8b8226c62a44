//! The shapes that a step has met: a number for each, and what its guest said of it.

use crate::form::Form;
use std::collections::HashMap;
use std::fmt::{Debug, Write};
use std::hash::{DefaultHasher, Hasher};
use std::sync::Arc;
use weir_api::Met;
use weir_model::{Binding, Edit, Failure, Shape};

/// Shapes of one step at one time; the one that was not used for longest is let go, and bound again if it returns.
pub(crate) const MOST_SHAPES: usize = 10_000;

/// Layouts that values may add to one shape.
pub(crate) const MOST_ADDED: usize = 4096;

#[derive(Default)]
pub(crate) struct Shapes {
    /// by the hash of their content
    numbers: HashMap<u64, Vec<u32>>,
    known: HashMap<u32, Known>,
    next: u32,
    clock: u64,
    /// bytes of all bindings and added layouts, see [`crate::weight`]
    kept: usize,
}

pub(crate) struct Known {
    pub shape: Arc<Shape>,
    hash: u64,
    used: u64,
    /// None: the guest was not asked yet
    pub said: Option<Result<Bound, Failure>>,
    /// the instance that knows the shape
    pub instance: u64,
    /// what that instance's own added layouts are called here
    pub own_added: Vec<u32>,
    pub added: Added,
    /// bytes, see [`crate::weight`]
    kept: usize,
}

/// Where added layouts are, by the hash of their content: each new instance adds again what an old one had added, thousands maybe.
#[derive(Default)]
pub(crate) struct Added(HashMap<u64, Vec<u32>>);

#[derive(Clone)]
pub(crate) struct Bound {
    /// as the guest said it
    pub said: Arc<Binding>,
    /// with the layouts added since, so that programs bound from now on have them
    pub binding: Arc<Binding>,
    /// layouts that it was bound with, at least one
    pub base: u32,
    /// (field, form) of each read
    pub forms: Arc<[(u32, Form)]>,
}

// === impl Shapes ===

impl Shapes {
    /// The number of this shape, and of the shape that had to go for it.
    pub fn intern(&mut self, shape: &Shape) -> (u32, Option<u32>) {
        self.clock += 1;
        let hash = hash(shape);
        let same = self.numbers.get(&hash).into_iter().flatten();
        let found = same.copied().find(|n| self.known.get(n).is_some_and(|k| *k.shape == *shape));
        if let Some(number) = found {
            self.known.get_mut(&number).into_iter().for_each(|k| k.used = self.clock);
            return (number, None);
        }
        let gone = self.make_room();
        let number = self.next;
        self.next += 1;
        self.insert(number, hash, Arc::new(shape.clone()));
        (number, gone)
    }

    /// A shape that was let go while programs still knew its number.
    pub fn restore(&mut self, number: u32, shape: Shape) -> Option<u32> {
        let gone = self.make_room();
        self.clock += 1;
        self.insert(number, hash(&shape), Arc::new(shape));
        gone
    }

    fn insert(&mut self, number: u32, hash: u64, shape: Arc<Shape>) {
        let (own_added, added) = Default::default();
        let known = Known { shape, hash, used: self.clock, said: None, instance: 0, own_added, added, kept: 0 };
        self.known.insert(number, known);
        self.numbers.entry(hash).or_default().push(number)
    }

    fn make_room(&mut self) -> Option<u32> {
        if self.known.len() < MOST_SHAPES {
            return None;
        }
        let oldest = self.known.iter().min_by_key(|(_, k)| k.used).map(|(n, _)| *n)?;
        let gone = self.known.remove(&oldest)?;
        self.kept -= gone.kept;
        if let Some(numbers) = self.numbers.get_mut(&gone.hash) {
            numbers.retain(|n| *n != oldest);
            if numbers.is_empty() {
                self.numbers.remove(&gone.hash);
            }
        }
        Some(oldest)
    }

    /// Counts bytes that a shape keeps from now on. False: all shapes together would keep more than `most`.
    pub fn keep(&mut self, number: u32, bytes: usize, most: usize) -> bool {
        let Some(known) = self.known.get_mut(&number).filter(|_| self.kept.saturating_add(bytes) <= most) else {
            return false;
        };
        known.kept += bytes;
        self.kept += bytes;
        true
    }

    /// Bytes of all bindings and added layouts.
    pub fn kept(&self) -> usize {
        self.kept
    }

    /// All that the guest was asked about.
    pub fn met(&self) -> Vec<Met> {
        let met = |k: &Known| {
            let is_refused = k.said.as_ref()?.is_err();
            Some(Met { shape: k.shape.clone(), is_refused })
        };
        self.known.values().filter_map(met).collect()
    }

    pub fn get(&self, number: u32) -> Option<&Known> {
        self.known.get(&number)
    }

    pub fn use_(&mut self, number: u32) -> Option<&mut Known> {
        self.clock += 1;
        let known = self.known.get_mut(&number)?;
        known.used = self.clock;
        Some(known)
    }
}

// === impl Bound ===

impl Bound {
    /// The number of an added layout that is there already.
    pub fn find(&self, edits: &[Edit], added: &Added) -> Option<u32> {
        let mut alike = added.0.get(&hash(edits)).into_iter().flatten().copied();
        alike.find(|n| self.binding.layouts.get(*n as usize).is_some_and(|l| l == edits))
    }

    /// Numbers a layout that the values showed to be needed. None: too many.
    pub fn add(&mut self, edits: Vec<Edit>, added: &mut Added) -> Option<u32> {
        let binding = Arc::make_mut(&mut self.binding);
        if binding.layouts.is_empty() {
            // the one without edits, which an empty list stands for
            binding.layouts.push(vec![])
        }
        if binding.layouts.len() >= self.base as usize + MOST_ADDED {
            return None;
        }
        let number = binding.layouts.len() as u32;
        added.0.entry(hash(&edits)).or_default().push(number);
        binding.layouts.push(edits);
        Some(number)
    }

    /// Layouts by now.
    pub fn layouts(&self) -> u32 {
        (self.binding.layouts.len() as u32).max(1)
    }
}

/// Of everything that a shape or a layout says.
fn hash<T: Debug + ?Sized>(what: &T) -> u64 {
    struct Sink(DefaultHasher);
    impl Write for Sink {
        fn write_str(&mut self, s: &str) -> std::fmt::Result {
            self.0.write(s.as_bytes());
            Ok(())
        }
    }
    let mut sink = Sink(DefaultHasher::new());
    // into a hasher: cannot fail
    let _ = write!(sink, "{what:?}");
    sink.0.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use weir_model::Verdict;

    #[test]
    fn equal_shapes_have_one_number_and_the_oldest_goes() {
        let shape = |n: usize| Shape { topic: format!("t{n}").into(), fields: vec![] };
        let mut shapes = Shapes::default();
        assert_eq!(shapes.intern(&shape(0)), (0, None));
        assert_eq!(shapes.intern(&shape(1)), (1, None));
        for n in 2..MOST_SHAPES {
            assert_eq!(shapes.intern(&shape(n)).1, None);
        }
        assert_eq!(shapes.intern(&shape(0)), (0, None));
        let next = MOST_SHAPES as u32;
        assert_eq!(shapes.intern(&shape(MOST_SHAPES)), (next, Some(1)), "0 was used since");
        assert_eq!(shapes.intern(&shape(1)), (next + 1, Some(2)), "numbers are never used again");
    }

    #[test]
    fn an_added_layout_is_found_among_thousands() {
        let edits = |n: usize| vec![Edit::RemoveHeader(format!("h{n}").into())];
        let said = Binding {
            reads: vec![],
            computes: vec![],
            layouts: vec![edits(7)],
            rules: vec![],
            otherwise: Verdict::Apply,
            ordered: false,
        };
        let said = Arc::new(said);
        let mut bound = Bound { said: said.clone(), binding: said, base: 1, forms: [].into() };
        let mut added = Added::default();
        for n in 0..MOST_ADDED {
            assert_eq!(bound.find(&edits(n), &added), None, "the binding's own are not among them");
            assert_eq!(bound.add(edits(n), &mut added), Some(n as u32 + 1));
        }
        assert_eq!(bound.add(edits(MOST_ADDED), &mut added), None);
        assert!((0..MOST_ADDED).all(|n| bound.find(&edits(n), &added) == Some(n as u32 + 1)));
    }
}
