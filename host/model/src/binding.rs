//! What a transform says of a shape: the host's side of `wit/transform.wit`, word for word.

use crate::{Annotation, Name, Type, Value};

/// From "key", "value" or "headers" down, a name a step.
pub type Path = Vec<Name>;

/// How a field is delivered, or handed back.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Repr {
    Native,
    Dictionary,
    Json,
    TypedJson,
    Presence,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Read {
    pub field: u32,
    pub repr: Repr,
}

/// Where an edit takes a value and its type from. `Input` means the record as it came into the step.
#[derive(Clone, PartialEq, Debug)]
pub enum Source {
    Input(u32),
    /// with the schema's default where the value is null and its parent is not
    InputOrDefault(u32),
    /// index into `Binding::computes`
    Computed(u32),
    Constant(Type, Value),
    /// the constant where the field is not null, a null of its type where it is
    Mask(u32, Type, Value),
}

#[derive(Clone, PartialEq, Debug)]
pub enum Edit {
    Topic(Source),
    Partition(Source),
    Timestamp(Source),
    /// overwrites where it stands, or adds as the parent's last; a path of one step replaces a root
    Put(Path, Source),
    Remove(Path),
    Rename(Path, Name),
    Annotate(Path, Annotation),
    Optional(Path, bool),
    Header(Name, Source),
    RemoveHeader(Name),
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Comparison {
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
}

#[derive(Clone, PartialEq, Debug)]
pub enum Test {
    IsNull(u32),
    NotNull(u32),
    /// false where the field is null
    Compare(u32, Comparison, Value),
}

/// `code` names the sort of failure and never changes; both reach users and dead letters.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Failure {
    pub code: Name,
    pub message: Name,
}

#[derive(Clone, PartialEq, Debug)]
pub enum Verdict {
    /// one record for each of these layouts: none drops the row
    Emit(Vec<u32>),
    Fail(Failure),
    Apply,
}

#[derive(Clone, PartialEq, Debug)]
pub struct Rule {
    /// for metrics and traces
    pub name: Name,
    pub when: Vec<Test>,
    pub then: Verdict,
}

/// The type of a computed column.
#[derive(Clone, PartialEq, Debug)]
pub struct Compute {
    pub ty: Type,
    pub repr: Repr,
}

#[derive(Clone, PartialEq, Debug)]
pub struct Binding {
    pub reads: Vec<Read>,
    pub computes: Vec<Compute>,
    /// empty: one layout without edits
    pub layouts: Vec<Vec<Edit>>,
    /// the first rule that holds decides
    pub rules: Vec<Rule>,
    pub otherwise: Verdict,
    /// `apply` must see the rows of a stream in source order across its shapes
    pub ordered: bool,
}

/// A binding that does not fit its shape: the transform's fault, not a row's.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BindError(pub String);

// === impl Binding ===

impl Default for Binding {
    /// Passes every row on as it is.
    fn default() -> Self {
        let otherwise = Verdict::Emit(vec![0]);
        Binding { reads: vec![], computes: vec![], layouts: vec![], rules: vec![], otherwise, ordered: false }
    }
}

// === impl Failure ===

impl Failure {
    pub fn new(code: &str, message: impl AsRef<str>) -> Self {
        Failure { code: code.into(), message: message.as_ref().into() }
    }
}

// === impl BindError ===

impl std::fmt::Display for BindError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for BindError {}

impl From<&str> for BindError {
    fn from(text: &str) -> Self {
        BindError(text.into())
    }
}

// === impl Comparison ===

impl Comparison {
    #[inline]
    pub fn agrees(self, o: Option<std::cmp::Ordering>) -> bool {
        let Some(o) = o else { return false };
        match self {
            Comparison::Eq => o.is_eq(),
            Comparison::Ne => o.is_ne(),
            Comparison::Lt => o.is_lt(),
            Comparison::Le => o.is_le(),
            Comparison::Gt => o.is_gt(),
            Comparison::Ge => o.is_ge(),
        }
    }
}
