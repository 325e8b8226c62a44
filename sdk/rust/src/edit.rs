//! Paths, edits and the sources that they take from.

use crate::{Annotation, Constant, Edit, Repr, Source};

/// What names a place in a record: "value.after.id" (a backslash takes a dot for itself) or its names one by one.
pub trait IntoPath {
    fn into_path(self) -> Vec<String>;
}

/// The names of a dotted path.
pub fn path(dotted: &str) -> Vec<String> {
    let mut names = vec![];
    let mut name = String::new();
    let mut letters = dotted.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '.' => names.push(std::mem::take(&mut name)),
            '\\' => name.push(letters.next().unwrap_or('\\')),
            _ => name.push(letter),
        }
    }
    names.push(name);
    names
}

// === impl IntoPath ===

impl IntoPath for &str {
    fn into_path(self) -> Vec<String> {
        path(self)
    }
}

impl IntoPath for Vec<String> {
    fn into_path(self) -> Vec<String> {
        self
    }
}

impl IntoPath for &[String] {
    fn into_path(self) -> Vec<String> {
        self.to_vec()
    }
}

impl IntoPath for &Vec<String> {
    fn into_path(self) -> Vec<String> {
        self.clone()
    }
}

impl<const N: usize> IntoPath for [&str; N] {
    fn into_path(self) -> Vec<String> {
        self.iter().map(|name| name.to_string()).collect()
    }
}

// === impl Edit ===

impl Edit {
    /// Overwrites a field where it stands, or adds it as its parent's last; "key" and "value" replace a root.
    pub fn put(path: impl IntoPath, source: impl Into<Source>) -> Self {
        Edit::Put((path.into_path(), source.into()))
    }

    pub fn remove(path: impl IntoPath) -> Self {
        Edit::Remove(path.into_path())
    }

    /// Keeps the place; the new name must be free.
    pub fn rename(path: impl IntoPath, to: impl Into<String>) -> Self {
        Edit::Rename((path.into_path(), to.into()))
    }

    /// Replaces what the schema says beside its kind.
    pub fn annotate(path: impl IntoPath, annotation: Annotation) -> Self {
        Edit::Annotate((path.into_path(), annotation))
    }

    pub fn optional(path: impl IntoPath, optional: bool) -> Self {
        Edit::Optional((path.into_path(), optional))
    }

    /// Appends a header, whether or not there is one of this name.
    pub fn header(name: impl Into<String>, source: impl Into<Source>) -> Self {
        Edit::Header((name.into(), source.into()))
    }

    /// Routes the record; a null keeps the topic.
    pub fn topic(source: impl Into<Source>) -> Self {
        Edit::Topic(source.into())
    }
}

// === impl Source ===

impl From<Constant> for Source {
    fn from(constant: Constant) -> Self {
        Source::Constant(constant)
    }
}

// === impl Repr ===

impl Repr {
    /// Whether a column of this sort holds texts.
    pub fn is_text(self) -> bool {
        matches!(self, Repr::Dictionary | Repr::Json | Repr::TypedJson)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_backslash_takes_a_dot_for_itself() {
        assert_eq!(path("value.after.id"), ["value", "after", "id"]);
        assert_eq!(path(r"value.a\.b\\.c"), ["value", r"a.b\", "c"]);
        assert_eq!(path(""), [""]);
    }
}
