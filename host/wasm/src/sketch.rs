//! A record under construction, types alone: edits are tried on it when a guest hands them over, so that a path that does not
//! exist, a name that is taken or a default that does not fit is found then, and said as the guest's fault.

use crate::shape::Fields;
use crate::{scalar, tree, wit};
use weir_model::{Edit, Kind, Name, Path, Shape, Source, Type, Value};

/// A node: a struct's children stand beside its type.
#[derive(Clone)]
struct Part {
    name: Name,
    ty: Type,
    children: Vec<Part>,
}

/// What edits may refer to, and the record as the edits before left it.
pub(crate) struct Sketch<'a> {
    fields: &'a Fields<'a>,
    computes: &'a [Type],
    key: Part,
    value: Part,
    headers: Vec<Part>,
}

// === impl Part ===

impl Part {
    fn new(name: &Name, ty: &Type) -> Part {
        let children = ty.of.iter().map(|m| Part::new(&m.name, &m.ty)).collect();
        Part { name: name.clone(), ty: ty.clone(), children }
    }
    fn child(&mut self, name: &str) -> Option<&mut Part> {
        self.children.iter_mut().rev().find(|c| *c.name == *name)
    }
    /// With the children as they are by now.
    fn whole(&self) -> Type {
        match self.children.is_empty() {
            true => Type { of: [].into(), ..self.ty.clone() },
            false => {
                let of = Type::record(self.children.iter().map(|c| (c.name.clone(), c.whole()))).of;
                Type { of, ..self.ty.clone() }
            }
        }
    }
}

// === impl Sketch ===

impl<'a> Sketch<'a> {
    pub fn new(fields: &'a Fields<'a>, computes: &'a [Type]) -> Self {
        let root = |name: &str| Part::new(&name.into(), &root_type(fields, name).unwrap_or_else(scalar::untyped));
        // headers by their own fields: names may repeat, and a type's members may not
        let at = fields.shape.find(&["headers"]);
        let headers = at.into_iter().flat_map(|h| fields.shape.children(h));
        let headers = headers.filter_map(|(i, f)| Some(Part::new(&f.name, fields.types.get(i as usize)?))).collect();
        Sketch { fields, computes, key: root("key"), value: root("value"), headers }
    }

    /// The edits of one layout. Err says which one does not work, and why.
    pub fn layout(mut self, edits: &[wit::Edit]) -> Result<Vec<Edit>, String> {
        let numbered = |(i, e): (usize, &wit::Edit)| self.edit(e).map_err(|why| format!("edit {i}: {why}"));
        edits.iter().enumerate().map(numbered).collect()
    }

    fn edit(&mut self, edit: &wit::Edit) -> Result<Edit, String> {
        Ok(match edit {
            wit::Edit::Topic(s) => Edit::Topic(self.typed(s, "a topic", |k| k == Kind::Text)?),
            wit::Edit::Partition(s) => Edit::Partition(self.typed(s, "a partition", Kind::is_int)?),
            wit::Edit::Timestamp(s) => Edit::Timestamp(self.typed(s, "a timestamp", Kind::is_int)?),
            wit::Edit::Put((p, s)) => {
                let (source, ty) = self.source(s)?;
                Edit::Put(self.put(p, &ty)?, source)
            }
            wit::Edit::Remove(p) => {
                let (path, last) = split(p)?;
                let siblings = self.siblings(p)?;
                let before = siblings.len();
                siblings.retain(|c| *c.name != *last);
                if siblings.len() == before {
                    return Err(unknown(p));
                }
                Edit::Remove(path)
            }
            wit::Edit::Rename((p, to)) => {
                let (path, last) = split(p)?;
                let siblings = self.siblings(p)?;
                if siblings.iter().any(|c| *c.name == **to) {
                    return Err(format!("`{to}` is there already"));
                }
                let part = siblings.iter_mut().rev().find(|c| *c.name == *last).ok_or_else(|| unknown(p))?;
                part.name = to.as_str().into();
                Edit::Rename(path, to.as_str().into())
            }
            wit::Edit::Annotate((p, a)) => {
                let part = self.at(p)?;
                let note = tree::annotation(a, &part.whole())?;
                part.ty.note = note.clone().into();
                Edit::Annotate(path(p), note)
            }
            wit::Edit::Optional((p, optional)) => {
                self.at(p)?.ty.optional = *optional;
                Edit::Optional(path(p), *optional)
            }
            wit::Edit::Header((name, s)) => {
                let (source, ty) = self.source(s)?;
                let name: Name = name.as_str().into();
                self.headers.push(Part::new(&name, &ty));
                Edit::Header(name, source)
            }
            wit::Edit::RemoveHeader(name) => {
                self.headers.retain(|h| *h.name != **name);
                Edit::RemoveHeader(name.as_str().into())
            }
        })
    }

    fn put(&mut self, p: &[String], ty: &Type) -> Result<Path, String> {
        let Some((last, parents)) = p.split_last() else { return Err("a path needs a root".into()) };
        let name: Name = last.as_str().into();
        if parents.is_empty() {
            match last.as_str() {
                "key" => self.key = Part::new(&name, ty),
                "value" => self.value = Part::new(&name, ty),
                "headers" => return Err("the headers cannot be replaced whole".into()),
                _ => return Err(unknown(p)),
            }
            return Ok(path(p));
        }
        if parents == ["headers"] {
            return Err("a header is not put: use `remove-header` and `header`".into());
        }
        let parent = self.at(parents)?;
        if parent.ty.kind != Kind::Struct {
            return Err(format!("only a struct has fields, and {} is {}", show(parents), parent.ty.kind.json_name()));
        }
        if ty.schemaless && !parent.ty.schemaless {
            return Err(format!("`{last}` has no schema, and the struct it goes to has one"));
        }
        let part = Part::new(&name, ty);
        match parent.child(last) {
            Some(old) => *old = part,
            None => parent.children.push(part),
        }
        Ok(path(p))
    }

    fn at(&mut self, p: &[String]) -> Result<&mut Part, String> {
        let lost = || unknown(p);
        let Some((root, rest)) = p.split_first() else { return Err("a path needs a root".into()) };
        let (mut at, rest) = match (root.as_str(), rest.split_first()) {
            ("key", _) => (&mut self.key, rest),
            ("value", _) => (&mut self.value, rest),
            ("headers", Some((name, rest))) => {
                (self.headers.iter_mut().rev().find(|h| *h.name == **name).ok_or_else(lost)?, rest)
            }
            _ => return Err(lost()),
        };
        for step in rest {
            at = at.child(step).ok_or_else(lost)?;
        }
        Ok(at)
    }

    /// Where the last step of a path stands.
    fn siblings(&mut self, p: &[String]) -> Result<&mut Vec<Part>, String> {
        match p {
            [] | [_] => Err("a root can be replaced, and neither removed nor renamed".into()),
            [root, _] if root == "headers" => Err("a header is removed by `remove-header`".into()),
            [parents @ .., _] => {
                let parent = self.at(parents)?;
                match parent.ty.kind {
                    Kind::Struct => Ok(&mut parent.children),
                    _ => Err(format!("{} is no struct", show(parents))),
                }
            }
        }
    }

    fn typed(&self, s: &wit::Source, what: &str, fits: impl Fn(Kind) -> bool) -> Result<Source, String> {
        let (source, ty) = self.source(s)?;
        let is_null = matches!(&source, Source::Constant(_, Value::Null));
        match is_null || fits(ty.kind) {
            true => Ok(source),
            false => Err(format!("{what} cannot be {}", ty.kind.json_name())),
        }
    }

    fn source(&self, source: &wit::Source) -> Result<(Source, Type), String> {
        Ok(match source {
            wit::Source::Input(i) => (Source::Input(*i), self.fields.value(*i)?.clone()),
            wit::Source::InputOrDefault(i) => (Source::InputOrDefault(*i), self.fields.value(*i)?.clone()),
            wit::Source::Computed(i) => {
                let ty = self.computes.get(*i as usize).ok_or_else(|| format!("there is no computed column {i}"))?;
                (Source::Computed(*i), ty.clone())
            }
            wit::Source::Constant(c) => {
                let (ty, value) = constant(c)?;
                (Source::Constant(ty.clone(), value), ty)
            }
            wit::Source::Mask(m) => {
                self.fields.value(m.field)?;
                let (ty, value) = constant(&m.with)?;
                (Source::Mask(m.field, ty.clone(), value), ty)
            }
        })
    }
}

fn root_type(fields: &Fields, name: &str) -> Option<Type> {
    let at = Shape::find(fields.shape, &[name])?;
    fields.types.get(at as usize).cloned()
}

fn constant(c: &wit::Constant) -> Result<(Type, Value), String> {
    let ty = tree::read(&c.type_)?;
    let value = scalar::read(&c.value, &ty).map_err(|e| format!("a constant: {e}"))?;
    Ok((ty, value))
}

fn path(p: &[String]) -> Path {
    p.iter().map(|s| s.as_str().into()).collect()
}

fn split(p: &[String]) -> Result<(Path, &str), String> {
    let last = p.last().ok_or("a path needs a root")?;
    Ok((path(p), last))
}

fn show(p: &[String]) -> String {
    format!("`{}`", crate::log::shorten(&p.join("."), 200))
}

fn unknown(p: &[String]) -> String {
    format!("the record has no {}", show(p))
}
