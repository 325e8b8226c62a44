//! Finding one's way in a shape.

use crate::{Field, Kind, Shape, edit};

// === impl Shape ===

impl Shape {
    /// The field at a path, as "value.after.id"; a backslash takes a dot for itself. Of headers with the same name the last.
    pub fn find(&self, path: &str) -> Option<u32> {
        self.at(&edit::path(path))
    }

    /// The field at a path, a name a step.
    pub fn at<S: AsRef<str>>(&self, path: &[S]) -> Option<u32> {
        let (root, rest) = path.split_first()?;
        rest.iter().try_fold(self.root(root.as_ref())?, |at, name| self.child(at, name.as_ref()))
    }

    /// "key", "value", "headers" or "meta".
    pub fn root(&self, name: &str) -> Option<u32> {
        let found = self.fields.iter().enumerate().find(|(i, f)| f.parent as usize == *i && f.name == name);
        found.map(|(i, _)| i as u32)
    }

    pub fn field(&self, at: u32) -> Option<&Field> {
        self.fields.get(at as usize)
    }

    pub fn child(&self, parent: u32, name: &str) -> Option<u32> {
        self.children(parent).filter(|(_, f)| f.name == name).last().map(|(i, _)| i)
    }

    /// The members of a struct, in order.
    pub fn children(&self, parent: u32) -> impl Iterator<Item = (u32, &Field)> {
        let fields = self.fields.iter().enumerate().skip(parent as usize + 1);
        fields.filter(move |(i, f)| f.parent == parent && *i != f.parent as usize).map(|(i, f)| (i as u32, f))
    }

    /// The names that lead to a field, from its root down.
    pub fn path(&self, mut at: u32) -> Vec<String> {
        let mut names = vec![];
        while let Some(field) = self.field(at) {
            names.push(field.name.clone());
            if field.parent >= at {
                break;
            }
            at = field.parent;
        }
        names.reverse();
        names
    }

    /// A field and all below it, as a tree of its own.
    pub fn tree(&self, at: u32) -> Vec<Field> {
        let mut tree: Vec<Field> = vec![];
        // where the fields of the tree stand in the shape
        let mut places: Vec<u32> = vec![];
        for (i, field) in self.fields.iter().enumerate().skip(at as usize) {
            let i = i as u32;
            let parent = match places.iter().position(|p| *p == field.parent) {
                Some(parent) if i != at => parent as u32,
                _ if i == at => 0,
                _ => continue,
            };
            places.push(i);
            tree.push(Field { parent, ..field.clone() });
        }
        tree
    }

    /// The name of the value's schema, as "shop.public.orders.Envelope".
    pub fn schema_name(&self, root: &str) -> Option<&str> {
        self.field(self.root(root)?)?.annotation.name.as_deref()
    }

    /// Whether the value is a Debezium change event: a struct whose schema name ends in ".Envelope".
    pub fn is_change_event(&self) -> bool {
        let value = self.root("value").and_then(|v| self.field(v));
        value.is_some_and(|v| v.kind == Kind::Struct && !v.schemaless)
            && self.schema_name("value").is_some_and(|n| n.ends_with(".Envelope"))
    }
}
