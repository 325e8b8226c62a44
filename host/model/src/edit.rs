//! Edits on a layout: what a transform wants changed, moved onto the leaves of the record as it is by now.

use crate::{Annotation, BindError, Body, Compute, Edit, Kind, Layout, Leaf, Name, Node, Presence, Source, Value};
use std::sync::Arc;

/// What sources of edits refer to.
pub(crate) struct Input<'a> {
    /// the nodes behind the fields of the shape that the step was bound to
    pub nodes: &'a [Node],
    /// the parent of each, as in [`crate::Field`]
    pub parents: &'a [u32],
    pub computes: &'a [Compute],
    /// the batch's column of the step's first compute
    pub base: u16,
    /// false in layouts that a rule emits: the rows have not been computed
    pub computed: bool,
}

// === impl Layout ===

impl Layout {
    /// Runs edits, in order. `Source::Input` means the record as it came into the step.
    pub(crate) fn edit(&self, edits: &[Edit], input: &Input) -> Result<Layout, BindError> {
        let mut out = self.clone();
        for edit in edits {
            out.apply(edit, input)?;
        }
        Ok(out)
    }

    fn apply(&mut self, edit: &Edit, input: &Input) -> Result<(), BindError> {
        match edit {
            Edit::Topic(s) => {
                // a null keeps the topic
                let node = input.node(s)?;
                if node.body != Body::Leaf(Leaf::Constant(Value::Null)) {
                    self.topic = node;
                }
            }
            Edit::Partition(s) => self.partition = input.node(s)?,
            Edit::Timestamp(s) => self.timestamp = input.node(s)?,
            Edit::Put(path, s) => self.put(path, input.node(s)?)?,
            Edit::Remove(path) => {
                let name = last(path)?;
                self.parent(path)?.retain(|(n, _)| n != name);
            }
            Edit::Rename(path, to) => {
                let name = last(path)?;
                let fields = self.parent(path)?;
                if fields.iter().any(|(n, _)| n == to) {
                    return Err(BindError(format!("rename: `{to}` is there already")));
                }
                field(fields, name)?.0 = to.clone();
            }
            Edit::Annotate(path, note) => self.annotate(path, note)?,
            Edit::Optional(path, optional) => self.at(path)?.ty.optional = *optional,
            Edit::Header(name, s) => self.headers.push((name.clone(), input.node(s)?)),
            Edit::RemoveHeader(name) => self.headers.retain(|(n, _)| n != name),
        }
        Ok(())
    }

    fn put(&mut self, path: &[Name], new: Node) -> Result<(), BindError> {
        let [root] = path else {
            let name = last(path)?;
            let schemaless = new.ty.schemaless;
            let parent = self.at(path.get(..path.len() - 1).unwrap_or_default())?;
            if schemaless && !parent.ty.schemaless {
                return Err(BindError(format!("put: `{name}` has no schema, and the struct it goes to has one")));
            }
            let fields = parent.fields()?;
            match fields.iter_mut().rev().find(|(n, _)| n == name) {
                Some((_, old)) => *old = new,
                None => fields.push((name.clone(), new)),
            }
            return Ok(());
        };
        match &**root {
            "key" => self.key = new,
            "value" => self.value = new,
            r => return Err(BindError(format!("put: there is no root `{r}`"))),
        }
        Ok(())
    }

    fn annotate(&mut self, path: &[Name], note: &Annotation) -> Result<(), BindError> {
        self.at(path)?.ty.note = Arc::new(note.clone());
        Ok(())
    }

    fn at(&mut self, path: &[Name]) -> Result<&mut Node, BindError> {
        let (root, rest) = path.split_first().ok_or("a path needs a root")?;
        let (mut at, rest) = match &**root {
            "key" => (&mut self.key, rest),
            "value" => (&mut self.value, rest),
            "headers" => {
                let (name, rest) = rest.split_first().ok_or("`headers` itself cannot be edited")?;
                let header = self.headers.iter_mut().rev().find(|(n, _)| n == name);
                (&mut header.ok_or_else(|| BindError(format!("there is no header `{name}`")))?.1, rest)
            }
            r => return Err(BindError(format!("there is no root `{r}`"))),
        };
        for step in rest {
            at = &mut field(at.fields()?, step)?.1;
        }
        Ok(at)
    }

    fn parent(&mut self, path: &[Name]) -> Result<&mut Vec<(Name, Node)>, BindError> {
        match path {
            [] | [_] => Err("a root can be replaced, but has no name".into()),
            [.., _] => self.at(path.get(..path.len() - 1).unwrap_or_default())?.fields(),
        }
    }
}

fn last(path: &[Name]) -> Result<&Name, BindError> {
    path.last().ok_or_else(|| "a path needs a root".into())
}

fn field<'a>(fields: &'a mut [(Name, Node)], name: &Name) -> Result<&'a mut (Name, Node), BindError> {
    fields.iter_mut().rev().find(|(n, _)| n == name).ok_or_else(|| BindError(format!("there is no field `{name}`")))
}

// === impl Input ===

impl Input<'_> {
    fn field(&self, i: u32) -> Result<&Node, BindError> {
        self.nodes.get(i as usize).ok_or_else(|| BindError(format!("the shape has no field {i}")))
    }

    fn parent_guard(&self, i: u32) -> Presence {
        let parent = self.parents.get(i as usize).filter(|p| **p != i);
        parent.and_then(|p| self.nodes.get(*p as usize)).map_or(0, |p| p.guard)
    }

    fn node(&self, source: &Source) -> Result<Node, BindError> {
        Ok(match source {
            Source::Input(i) => self.field(*i)?.clone(),
            Source::InputOrDefault(i) => {
                let n = self.field(*i)?.clone();
                match n.ty.default().cloned() {
                    // the default stands where the field is null and its parent is not
                    Some(d) if n.fallback.is_none() => {
                        Node { guard: self.parent_guard(*i), fallback: Some((n.guard, d)), ..n }
                    }
                    _ => n,
                }
            }
            Source::Computed(i) => {
                if !self.computed {
                    return Err("a layout that a rule emits cannot use computed columns".into());
                }
                let compute =
                    self.computes.get(*i as usize).ok_or_else(|| BindError(format!("there is no column {i}")))?;
                Node::leaf(compute.ty.clone(), Leaf::Column(self.base + *i as u16))
            }
            Source::Constant(ty, value) => Node::constant(ty.clone(), value.clone()),
            Source::Mask(i, ty, value) => {
                let n = self.field(*i)?;
                let (guard, fallback) = (n.guard, None);
                match &n.body {
                    // what has a fallback is null only where its guard says so
                    _ if n.fallback.is_some() => Node::constant(ty.clone(), value.clone()).guarded(guard),
                    Body::Leaf(leaf) => {
                        let body = Body::Leaf(Leaf::Mask(Arc::new(leaf.clone()), value.clone()));
                        Node { ty: ty.clone(), guard, fallback, body }
                    }
                    // a struct is there where its guard holds
                    Body::Struct(_) if ty.kind != Kind::Struct => {
                        Node::leaf(ty.clone(), Leaf::Constant(value.clone())).guarded(guard)
                    }
                    Body::Struct(_) => Node::constant(ty.clone(), value.clone()).guarded(guard),
                }
            }
        })
    }
}
