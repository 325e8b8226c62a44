//! What stands between the exported functions and a [`Transform`].

use crate::{Batch, Binding, Failure, Manifest, Options, Output, Problem, Shape, Transform};
use std::cell::RefCell;

// where the export macro looks for the types
pub use crate::bindings::exports;

/// The one instance of a guest.
pub type Instance<T> = RefCell<Option<T>>;

pub fn describe<T: Transform>() -> Manifest {
    Manifest { summary: T::SUMMARY.trim().into(), options: T::Options::defs() }
}

pub fn check<T: Transform>(options: &[(String, Option<String>)]) -> Vec<Problem> {
    // who got a text that does not parse hears of that alone, from the manifest
    let unparsed: Vec<String> = T::Options::unparsed(options).into_iter().map(|p| p.name).collect();
    let mut problems = T::check(options);
    problems.retain(|p| !unparsed.contains(&p.name));
    problems
}

pub fn create<T: Transform>(options: &[(String, Option<String>)]) -> Result<T, Failure> {
    let mut problems = T::Options::unparsed(options);
    problems.extend(T::Options::refused(options));
    if !problems.is_empty() {
        return Err(T::rejected(problems));
    }
    match T::Options::parse(options) {
        Ok(parsed) => T::new(parsed),
        Err(problems) => Err(T::rejected(problems)),
    }
}

pub fn configure<T: Transform>(at: &Instance<T>, options: &[(String, Option<String>)]) -> Result<(), Failure> {
    let made = create(options)?;
    *at.try_borrow_mut().map_err(|_| busy())? = Some(made);
    Ok(())
}

pub fn bind<T: Transform>(at: &Instance<T>, shape: &Shape) -> Result<Binding, Failure> {
    at.try_borrow_mut().map_err(|_| busy())?.as_mut().ok_or_else(unconfigured)?.bind(shape)
}

pub fn unbind<T: Transform>(at: &Instance<T>, shape: u32) {
    if let Ok(mut t) = at.try_borrow_mut()
        && let Some(t) = t.as_mut()
    {
        t.unbind(shape);
    }
}

pub fn apply<T: Transform>(at: &Instance<T>, batch: Batch) -> Result<Output, Failure> {
    at.try_borrow_mut().map_err(|_| busy())?.as_mut().ok_or_else(unconfigured)?.apply(batch)
}

fn unconfigured() -> Failure {
    Failure::new("weir.transform.unconfigured", "the transform was called before it was configured")
}

fn busy() -> Failure {
    Failure::new("weir.transform.busy", "the transform was called while it was at work")
}
