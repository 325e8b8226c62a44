//! The loop of who writes a transform: a new crate, a component of it, and cases that it has to pass.

pub mod build;
mod component;
pub mod new;
pub mod test;
