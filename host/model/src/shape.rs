//! What records of a kind have in common: the topic and the type tree that transforms are shown.

use crate::{Name, Type};

/// A node of the tree, listed depth first; a root is its own parent. Children of `ty` are listed too, so `ty.of` is only
/// looked at where a value is taken whole.
#[derive(Clone, PartialEq, Debug)]
pub struct Field {
    pub name: Name,
    pub parent: u32,
    pub ty: Type,
}

/// Roots in this order: "key", "value", "headers", "meta".
#[derive(Clone, PartialEq, Debug)]
pub struct Shape {
    pub topic: Name,
    pub fields: Vec<Field>,
}

// === impl Shape ===

impl Shape {
    /// The field at a path from a root, as `["value", "after", "id"]`. Of headers of one name the last.
    pub fn find(&self, path: &[&str]) -> Option<u32> {
        let (root, rest) = path.split_first()?;
        let is_root = |(i, f): &(usize, &Field)| f.parent == *i as u32 && &*f.name == *root;
        let start = self.fields.iter().enumerate().find(is_root)?.0 as u32;
        rest.iter().try_fold(start, |at, step| self.child(at, step))
    }
    pub fn child(&self, of: u32, name: &str) -> Option<u32> {
        self.children(of).filter(|(_, f)| &*f.name == name).last().map(|(i, _)| i)
    }
    pub fn children(&self, of: u32) -> impl Iterator<Item = (u32, &Field)> {
        let all = self.fields.iter().enumerate().map(|(i, f)| (i as u32, f));
        all.filter(move |(i, f)| f.parent == of && *i != of)
    }
    pub fn field(&self, index: u32) -> Option<&Field> {
        self.fields.get(index as usize)
    }
}
