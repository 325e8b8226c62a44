//! What a serialisation says, and what a converter makes of a root: a part of a record's writer.

use crate::{Batch, Buffer, Layout, Node, Scratch, Type, Value, View};

/// What a serialisation says. Everything but `value` and `tree` runs when a writer is compiled.
pub trait Format: Clone + Send + 'static {
    /// before a record's root: magic byte and schema id, or the schema itself
    fn begin(&self, root: &Node, out: &mut Buffer) -> Result<(), String>;
    fn end(&self, out: &mut Buffer);
    fn open(&self, ty: &Type, out: &mut Buffer);
    fn field(&self, first: bool, name: &str, out: &mut Buffer);
    fn close(&self, out: &mut Buffer);
    /// before a value that is not null (a union's branch); may not be written before a null
    const MARKS_SOME: bool;
    fn some(&self, ty: &Type, out: &mut Buffer);
    /// Whether a root that is null has no bytes at all; for formats whose roots are single leaves.
    const NULL_IS_NOTHING: bool = false;
    /// Instead of a value. Err: the schema demands one.
    fn null(&self, ty: &Type, out: &mut Buffer) -> Result<(), Unwritable>;
    /// How values of a type are written, where that is not the same for all of its kind.
    fn style(&self, ty: &Type) -> i16 {
        let _ = ty;
        0
    }
    fn value(view: View, style: i16, out: &mut Buffer) -> Result<(), Unwritable>;
    /// A value tree that is not null, without what `some` writes.
    fn tree(&self, ty: &Type, value: &Value, out: &mut Buffer) -> Result<(), Unwritable>;
}

/// A value that its type, or the format, cannot hold.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Unwritable;

/// Turns a root of a layout into its writer; one for keys and one for values.
pub trait Converter: Send + Sync {
    /// None: no bytes at all (a tombstone, a record without key). Err: this layout cannot be written.
    fn compile(&self, root: &Node, layout: &Layout) -> Result<Option<Box<dyn Part>>, String>;
}

/// Writes the key, the value or a header of a row.
pub trait Part: Send {
    /// False: a null that has no bytes at all. Err: the op that failed, for [`Part::place`].
    fn write(&mut self, batch: &Batch, r: u32, scratch: &mut Scratch, out: &mut Buffer) -> Result<bool, u32>;
    /// To be called when another batch begins: nothing rendered for the last one is good any more.
    fn forget(&mut self);
    /// The path of an op's field, as "after.amount".
    fn place(&self, op: u32) -> &str;
}
