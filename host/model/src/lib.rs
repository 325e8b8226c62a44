//! What Weir moves, and how. No I/O.
//!
//! A [`Batch`] holds rows of one stream as offsets into the bytes that came in. A [`Layout`] says how a record is made from a
//! row; a [`Program`] decides which layouts a row gets. What transforms say ([`Binding`]) is composed into the program once,
//! so that per row nothing runs but the [`Writer`] compiled from the last layout. [`Value`] is the materialised view of all
//! this, for odd types, tests and people.

mod batch;
mod binding;
mod buffer;
mod check;
mod edit;
mod layout;
mod program;
mod record;
mod schema;
mod shape;
mod value;
pub mod wire;
mod writer;

pub use batch::{
    AFTER, BEFORE, Batch, Cell, Column, Mark, Meta, NEVER, Presence, Row, Run, Side, Stream, Transaction, Window,
};
pub use binding::{
    BindError, Binding, Comparison, Compute, Edit, Failure, Path, Read, Repr, Rule, Source, Test, Verdict,
};
pub use buffer::{Buffer, TAIL};
pub use check::{Ask, Check, order};
pub use layout::{Body, Decode, Layout, Leaf, Node};
pub use program::{Bind, Call, Decision, Fate, Fault, Pick, Program, Question, Refusal, Refused, RuleName};
pub use record::{Record, Route};
pub use schema::{Annotation, Kind, Member, Name, Type, logical};
pub use shape::{Field, Shape};
pub use value::Value;
pub use wire::{Codec, Scratch, View};
pub use writer::{Converter, Format, Out, Part, RowError, Unwritable, Writer, compile};
