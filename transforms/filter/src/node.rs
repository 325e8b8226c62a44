//! A condition, resolved for one shape: names have become fields, or have gone.

use crate::{
    expr::{Expr, Method},
    value::{Value, compare},
};
use std::{borrow::Cow, rc::Rc};
use weir::{Comparison, Field, Kind, Scalar, Shape};
use weir_java_regex::Regex;

#[derive(Clone, Debug)]
pub enum Node {
    Const(Value<'static>),
    Field(Leaf),
    /// evaluation fails here
    Fail(Failed),
    /// what stands behind structs that may be null
    Guarded(Vec<Guard>, Box<Node>),
    Not(Box<Node>),
    And(Box<Node>, Box<Node>),
    Or(Box<Node>, Box<Node>),
    Compare(Comparison, Box<Node>, Box<Node>),
    In(Box<Node>, Vec<Node>),
    Match {
        of: Box<Node>,
        regex: Rc<Regex>,
        whole: bool,
    },
    Call {
        of: Box<Node>,
        method: Method,
        argument: Option<Box<Node>>,
        safe: bool,
    },
}

/// A field that is read.
#[derive(Clone, Debug)]
pub struct Leaf {
    pub at: u32,
    /// of a batch, when it is known
    pub column: usize,
    pub sort: Sort,
    pub nullable: bool,
    /// what a null stands for
    pub default: Value<'static>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Sort {
    Bool,
    Int,
    Float,
    Decimal,
    Text,
    /// of which only the presence is known: structs; and what cannot be looked into
    Object,
}

/// A struct that may be null, and what happens then.
#[derive(Clone, Debug)]
pub struct Guard {
    pub at: u32,
    /// of a batch, when it is known
    pub column: usize,
    pub name: String,
    /// `?.`: null comes of it
    pub safe: bool,
}

#[derive(Clone, PartialEq, Debug)]
pub struct Failed {
    pub text: String,
    /// the shape has no such field
    pub missing: bool,
}

/// What a part of an expression stands for before it is used.
enum What {
    Node(Node),
    Struct(u32),
    Headers,
    Header(u32),
    Schema(u32),
}

struct Place {
    guards: Vec<Guard>,
    what: What,
}

pub struct Resolver<'a> {
    pub shape: &'a Shape,
    /// records without value are evaluated, too
    pub evaluates_null: bool,
}

// === impl Resolver ===

impl Resolver<'_> {
    pub fn node(&self, expr: &Expr) -> Node {
        let boxed = |e: &Expr| Box::new(self.node(e));
        let node = match expr {
            Expr::Literal(value) => Node::Const(value.clone()),
            Expr::List => Node::Const(Value::Object),
            Expr::Name(_) | Expr::Member { .. } => return self.place(expr).node(self),
            Expr::Not(a) => Node::Not(boxed(a)),
            Expr::And(a, b) => Node::And(boxed(a), boxed(b)),
            Expr::Or(a, b) => Node::Or(boxed(a), boxed(b)),
            Expr::Compare(is, a, b) => Node::Compare(*is, boxed(a), boxed(b)),
            Expr::In(a, items) => Node::In(boxed(a), items.iter().map(|i| self.node(i)).collect()),
            Expr::Match { of, regex, whole } => Node::Match { of: boxed(of), regex: regex.clone(), whole: *whole },
            Expr::Call { of, method, argument, safe } => return self.call(of, *method, argument.as_deref(), *safe),
        };
        node.folded()
    }

    fn call(&self, of: &Expr, method: Method, argument: Option<&Expr>, safe: bool) -> Node {
        let place = self.place(of);
        match (&place.what, method) {
            (What::Schema(at), Method::Name) => {
                let name = self.shape.field(*at).and_then(|f| f.annotation.name.clone());
                return Node::Const(name.map_or(Value::Null, |n| Value::Text(n.into())));
            }
            (What::Headers, Method::Size) => {
                let headers = self.shape.root("headers").into_iter().flat_map(|h| self.shape.children(h));
                let mut names: Vec<&str> = headers.map(|(_, f)| f.name.as_str()).collect();
                names.sort_unstable();
                names.dedup();
                return Node::Const(Value::Int(names.len() as i64));
            }
            _ => {}
        }
        let argument = argument.map(|a| Box::new(self.node(a)));
        Node::Call { of: place.node(self).into(), method, argument, safe }.folded()
    }

    fn place(&self, expr: &Expr) -> Place {
        match expr {
            Expr::Name(name) => Place { guards: vec![], what: self.name(name) },
            Expr::Member { of, name, safe } => self.member(self.place(of), name, *safe),
            other => Place { guards: vec![], what: What::Node(self.node(other)) },
        }
    }

    fn name(&self, name: &str) -> What {
        let schema = |root: &str| match self.shape.root(root) {
            Some(at) if self.shape.field(at).is_some_and(|f| !f.schemaless) => What::Schema(at),
            _ => What::Node(Node::Const(Value::Null)),
        };
        match name {
            "topic" => What::Node(Node::Const(Value::Text(self.shape.topic.clone().into()))),
            "header" => What::Headers,
            "valueSchema" => schema("value"),
            "keySchema" => schema("key"),
            root => self.shape.root(root).map_or(What::Node(Node::Const(Value::Null)), |at| self.field(at)),
        }
    }

    fn field(&self, at: u32) -> What {
        let Some(field) = self.shape.field(at) else { return What::Node(Node::Const(Value::Null)) };
        if field.kind == Kind::Struct {
            return What::Struct(at);
        }
        if field.schemaless && field.kind == Kind::Any && field.annotation.name.is_none() {
            return What::Node(Node::Const(Value::Null));
        }
        What::Node(Node::Field(Leaf {
            at,
            column: 0,
            sort: Sort::of(field),
            nullable: self.nullable(at),
            default: field.default().and_then(|d| constant(field, d)).unwrap_or(Value::Null),
        }))
    }

    fn nullable(&self, at: u32) -> bool {
        let Some(field) = self.shape.field(at) else { return true };
        field.optional || field.schemaless || field.default().is_some() || (field.parent == at && self.evaluates_null)
    }

    fn member(&self, mut of: Place, name: &str, safe: bool) -> Place {
        let fails = |text: String, missing: bool| What::Node(Node::Fail(Failed { text, missing }));
        if !safe {
            // the null that `?.` gave is a null object to the next `.`
            of.guards.iter_mut().for_each(|g| g.safe = false);
        }
        of.what = match of.what {
            What::Struct(at) => {
                if self.nullable(at) {
                    of.guards.push(Guard { at, column: 0, name: name.into(), safe });
                }
                match self.shape.child(at, name) {
                    Some(child) => self.field(child),
                    // a map without schema has null for every name
                    None if self.shape.field(at).is_some_and(|f| f.schemaless) => What::Node(Node::Const(Value::Null)),
                    None => fails(format!("{name} is not a valid field name"), true),
                }
            }
            What::Headers => {
                let found = self.shape.at(&["headers", name]);
                found.map_or(What::Node(Node::Const(Value::Null)), What::Header)
            }
            What::Header(at) => match name {
                "value" => self.field(at),
                "schema" if self.shape.field(at).is_some_and(|f| f.schemaless) => What::Node(Node::Const(Value::Null)),
                "schema" => What::Schema(at),
                "key" => {
                    let key = self.shape.field(at).map(|f| f.name.clone()).unwrap_or_default();
                    What::Node(Node::Const(Value::Text(key.into())))
                }
                _ => fails(format!("No such property: {name}"), false),
            },
            What::Node(Node::Const(Value::Null)) if safe => What::Node(Node::Const(Value::Null)),
            What::Node(Node::Const(Value::Null)) => fails(null_object(name), false),
            What::Node(Node::Fail(failed)) => What::Node(Node::Fail(failed)),
            // `.time` of a Date: its milliseconds
            What::Node(Node::Field(leaf)) if name == "time" && self.is_date(leaf.at) => {
                if leaf.nullable {
                    of.guards.push(Guard { at: leaf.at, column: 0, name: name.into(), safe });
                }
                What::Node(Node::Field(Leaf { sort: Sort::Int, nullable: false, default: Value::Null, ..leaf }))
            }
            What::Schema(_) | What::Node(_) => fails(format!("No such property: {name}"), false),
        };
        of
    }

    fn is_date(&self, at: u32) -> bool {
        self.shape.field(at).is_some_and(is_date)
    }
}

fn is_date(field: &Field) -> bool {
    ["Date", "Time", "Timestamp"].iter().any(|name| field.is_logical(name))
}

pub fn null_object(name: &str) -> String {
    format!("Cannot get property '{name}' on null object")
}

fn constant(field: &Field, value: &Scalar) -> Option<Value<'static>> {
    Some(match value {
        Scalar::Boolean(v) => Value::Bool(*v),
        Scalar::Int(_) if is_date(field) => Value::Object,
        Scalar::Int(v) => Value::Int(*v),
        Scalar::Float(v) => Value::Float(*v),
        Scalar::Text(v) if field.is_logical("Decimal") => Value::Decimal(v.clone().into()),
        Scalar::Text(v) => Value::Text(v.clone().into()),
        Scalar::Bytes(_) | Scalar::Json(_) => Value::Object,
        Scalar::Null => return None,
    })
}

// === impl Place ===

impl Place {
    fn node(self, resolver: &Resolver) -> Node {
        let node = match self.what {
            What::Node(node) => node,
            What::Struct(at) | What::Header(at) => {
                let header = matches!(self.what, What::Header(_));
                let nullable = !header && resolver.nullable(at);
                match nullable {
                    true => Node::Field(Leaf { at, column: 0, sort: Sort::Object, nullable, default: Value::Null }),
                    false => Node::Const(Value::Object),
                }
            }
            What::Headers | What::Schema(_) => Node::Const(Value::Object),
        };
        if self.guards.is_empty() { node } else { Node::Guarded(self.guards, node.into()) }
    }
}

// === impl Sort ===

impl Sort {
    fn of(field: &Field) -> Sort {
        match field.kind {
            _ if field.is_logical("Decimal") => Sort::Decimal,
            _ if is_date(field) => Sort::Object,
            Kind::Boolean => Sort::Bool,
            Kind::Int8 | Kind::Int16 | Kind::Int32 | Kind::Int64 => Sort::Int,
            Kind::Float32 | Kind::Float64 => Sort::Float,
            Kind::Text => Sort::Text,
            _ => Sort::Object,
        }
    }
}

// === impl Node ===

impl Node {
    /// What depends on no row is decided now.
    fn folded(self) -> Node {
        use Node::{Const, Fail};
        match self {
            Node::Not(a) => match *a {
                Const(v) => Const(Value::Bool(!v.truth())),
                Fail(f) => Fail(f),
                a => Node::Not(a.into()),
            },
            Node::And(a, b) => match *a {
                Const(v) if !v.truth() => Const(Value::Bool(false)),
                Fail(f) => Fail(f),
                a => Node::And(a.into(), b),
            },
            Node::Or(a, b) => match *a {
                Const(v) if v.truth() => Const(Value::Bool(true)),
                Fail(f) => Fail(f),
                a => Node::Or(a.into(), b),
            },
            Node::Compare(is, a, b) => match (*a, *b) {
                (Fail(f), _) => Fail(f),
                (Const(a), Const(b)) => compare(is, &a, &b).map_or_else(Node::fails, |v| Const(Value::Bool(v))),
                (a, b) => Node::Compare(is, a.into(), b.into()),
            },
            Node::Match { of, regex, whole } => match *of {
                Const(v) => matched(&v, &regex, whole).map_or_else(Node::fails, Const),
                Fail(f) => Fail(f),
                of => Node::Match { of: of.into(), regex, whole },
            },
            Node::Call { of, method, argument, safe } => match (*of, argument.as_deref()) {
                (Fail(f), _) => Fail(f),
                (Const(v), None) => called(&v, method, None, safe).map_or_else(Node::fails, |v| Const(owned(v))),
                (Const(v), Some(Const(a))) => {
                    called(&v, method, Some(a), safe).map_or_else(Node::fails, |v| Const(owned(v)))
                }
                (of, _) => Node::Call { of: of.into(), method, argument, safe },
            },
            other => other,
        }
    }

    pub fn fails(text: String) -> Node {
        Node::Fail(Failed { text, missing: false })
    }
}

fn owned(value: Value) -> Value<'static> {
    match value {
        Value::Null => Value::Null,
        Value::Bool(v) => Value::Bool(v),
        Value::Int(v) => Value::Int(v),
        Value::Float(v) => Value::Float(v),
        Value::Decimal(v) => Value::Decimal(v.into_owned().into()),
        Value::Text(v) => Value::Text(v.into_owned().into()),
        Value::Matcher(v) => Value::Matcher(v),
        Value::Object => Value::Object,
    }
}

/// `of =~ regex`, `of ==~ regex`.
pub fn matched(of: &Value, regex: &Regex, whole: bool) -> Result<Value<'static>, String> {
    let text = match of {
        Value::Text(text) => text,
        Value::Null => return Err("a null matches nothing".into()),
        other => return Err(format!("{} cannot be matched here, a text can", other.kind())),
    };
    Ok(if whole { Value::Bool(regex.matches(text)) } else { Value::Matcher(regex.finds(text)) })
}

/// `of.method(argument)`.
pub fn called<'a>(of: &Value<'a>, method: Method, argument: Option<&Value>, safe: bool) -> Result<Value<'a>, String> {
    let text: &Cow<'a, str> = match of {
        Value::Null if safe => return Ok(Value::Null),
        Value::Null if method == Method::ToString => return Ok(Value::Text("null".into())),
        Value::Null => return Err(format!("Cannot invoke method {}() on null object", method.name())),
        Value::Text(text) => text,
        Value::Int(v) if method == Method::ToString => return Ok(Value::Text(v.to_string().into())),
        Value::Bool(v) if method == Method::ToString => return Ok(Value::Text(v.to_string().into())),
        Value::Decimal(v) if method == Method::ToString => return Ok(Value::Text(v.clone())),
        other => return Err(format!("{}() of {} is not available here, of a text it is", method.name(), other.kind())),
    };
    let other = || match argument {
        Some(Value::Text(other)) => Ok(other.as_ref()),
        _ => Err(format!("{}() takes a text", method.name())),
    };
    Ok(match method {
        Method::Contains => Value::Bool(text.contains(other()?)),
        Method::StartsWith => Value::Bool(text.starts_with(other()?)),
        Method::EndsWith => Value::Bool(text.ends_with(other()?)),
        Method::EqualsIgnoreCase => Value::Bool(text.to_lowercase() == other()?.to_lowercase()),
        Method::ToUpperCase => Value::Text(text.to_uppercase().into()),
        Method::ToLowerCase => Value::Text(text.to_lowercase().into()),
        // Java's trim takes everything up to the space
        Method::Trim => Value::Text(text.trim_matches(|c| c <= ' ').to_string().into()),
        Method::IsEmpty => Value::Bool(text.is_empty()),
        Method::Size => Value::Int(text.encode_utf16().count() as i64),
        Method::ToString => Value::Text(text.clone()),
        Method::Name => return Err("name() of a text is not available here".into()),
    })
}
