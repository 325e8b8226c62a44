//! Edits on a record.

use super::{
    Fault,
    record::Record,
    tree::{Data, Node, Type},
};
use crate::{Edit, Kind, Source};

/// What sources refer to.
pub(super) struct Input<'a> {
    /// the record as it came: a node for each field, and whether its parent is null
    pub nodes: &'a [(Node, bool)],
    /// none in layouts that rules emit
    pub computed: Option<&'a [Node]>,
}

type Found<'a> = (&'a mut Type, Option<&'a mut Data>);

// === impl Record ===

impl Record {
    pub(super) fn edit(&mut self, edits: &[Edit], input: &Input) -> Result<(), Fault> {
        edits.iter().try_for_each(|edit| self.run(edit, input))
    }

    fn run(&mut self, edit: &Edit, input: &Input) -> Result<(), Fault> {
        match edit {
            Edit::Topic(source) => match input.node(source)?.data {
                Data::Text(topic) => self.topic = topic,
                Data::Null => {}
                _ => return Err("a topic is a text".into()),
            },
            Edit::Partition(source) => match input.node(source)?.data {
                Data::Int(v) => self.partition = Some(v as i32),
                Data::Null => self.partition = None,
                _ => return Err("a partition is an integer".into()),
            },
            Edit::Timestamp(source) => match input.node(source)?.data {
                Data::Int(v) => self.timestamp = Some(v),
                Data::Null => self.timestamp = None,
                _ => return Err("a timestamp is an integer".into()),
            },
            Edit::Put((path, source)) => self.put(path, input.node(source)?)?,
            Edit::Remove(path) => {
                let (ty, data, name) = self.parent(path)?;
                let at = place(ty, name)?;
                ty.children.remove(at);
                if let Some(Data::Struct(members)) = data {
                    members.remove(at);
                }
            }
            Edit::Rename((path, to)) => {
                let (ty, _, name) = self.parent(path)?;
                if place(ty, to).is_ok() {
                    return Err(format!("rename: `{to}` is there already").into());
                }
                let at = place(ty, name)?;
                if let Some(child) = ty.children.get_mut(at) {
                    child.0 = to.clone();
                }
            }
            Edit::Annotate((path, annotation)) => self.find(path)?.0.annotation = annotation.clone(),
            Edit::Optional((path, optional)) => self.find(path)?.0.optional = *optional,
            Edit::Header((name, source)) => self.headers.push((name.clone(), input.node(source)?)),
            Edit::RemoveHeader(name) => self.headers.retain(|(n, _)| n != name),
        }
        Ok(())
    }

    fn put(&mut self, path: &[String], new: Node) -> Result<(), Fault> {
        if let [root] = path {
            match root.as_str() {
                "key" => self.key = new,
                "value" => self.value = new,
                _ => return Err(format!("put: there is no root `{root}`").into()),
            }
            return Ok(());
        }
        let (ty, data, name) = self.parent(path)?;
        if new.ty.schemaless && !ty.schemaless {
            return Err(format!("put: `{name}` has no schema, and the struct it goes to has one").into());
        }
        let members = match data {
            Some(Data::Struct(members)) => Some(members),
            _ => None,
        };
        match place(ty, name) {
            Ok(at) => {
                if let Some(child) = ty.children.get_mut(at) {
                    child.1 = new.ty;
                }
                if let Some(member) = members.and_then(|m| m.get_mut(at)) {
                    *member = new.data;
                }
            }
            Err(_) => {
                ty.children.push((name.into(), new.ty));
                if let Some(members) = members {
                    members.push(new.data);
                }
            }
        }
        Ok(())
    }

    /// The struct that holds the last step of a path, and that step.
    fn parent<'a, 'p>(
        &'a mut self,
        path: &'p [String],
    ) -> Result<(&'a mut Type, Option<&'a mut Data>, &'p str), Fault> {
        let [parent @ .., name] = path else { return Err("a path needs a root".into()) };
        if parent.is_empty() {
            return Err("a root can be replaced, but has no name".into());
        }
        let (ty, data) = self.find(parent)?;
        if ty.kind != Kind::Struct {
            return Err(format!("`{}` is no struct", parent.join(".")).into());
        }
        Ok((ty, data, name))
    }

    fn find(&mut self, path: &[String]) -> Result<Found<'_>, Fault> {
        let (root, mut rest) = path.split_first().ok_or("a path needs a root")?;
        let node = match root.as_str() {
            "key" => &mut self.key,
            "value" => &mut self.value,
            "headers" => {
                let (name, below) = rest.split_first().ok_or("`headers` itself cannot be edited")?;
                rest = below;
                let header = self.headers.iter_mut().rev().find(|(n, _)| n == name);
                &mut header.ok_or_else(|| format!("there is no header `{name}`"))?.1
            }
            _ => return Err(format!("there is no root `{root}`").into()),
        };
        let mut found: Found = (&mut node.ty, Some(&mut node.data));
        for step in rest {
            let at = place(found.0, step)?;
            let child = found.0.children.get_mut(at).ok_or("a child that is gone")?;
            let data = match found.1 {
                Some(Data::Struct(members)) => members.get_mut(at),
                _ => None,
            };
            found = (&mut child.1, data);
        }
        Ok(found)
    }
}

fn place(ty: &Type, name: &str) -> Result<usize, Fault> {
    let found = ty.children.iter().rposition(|(n, _)| n == name);
    found.ok_or_else(|| format!("there is no field `{name}`").into())
}

// === impl Input ===

impl Input<'_> {
    fn field(&self, at: u32) -> Result<&(Node, bool), Fault> {
        self.nodes.get(at as usize).ok_or_else(|| format!("the shape has no field {at}").into())
    }

    fn node(&self, source: &Source) -> Result<Node, Fault> {
        Ok(match source {
            Source::Input(at) => self.field(*at)?.0.clone(),
            Source::InputOrDefault(at) => {
                let (node, orphan) = self.field(*at)?;
                let mut node = node.clone();
                if let (Data::Null, false, Some(default)) = (&node.data, orphan, &node.ty.annotation.default) {
                    node.data = Data::scalar(&node.ty, default)?;
                }
                node
            }
            Source::Computed(i) => {
                let columns = self.computed.ok_or("a layout that a rule emits cannot use computed columns")?;
                columns.get(*i as usize).ok_or_else(|| format!("there is no column {i}"))?.clone()
            }
            Source::Constant(constant) => Node::constant(constant)?,
            Source::Mask(mask) => {
                let mut node = Node::constant(&mask.with)?;
                if self.field(mask.field)?.0.data.is_null() {
                    node.data = Data::Null;
                }
                node
            }
        })
    }
}
