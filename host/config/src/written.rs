//! What the user wrote, before anybody has looked whether it makes sense: keys, texts and where they stand.

use std::ops::Range;
use weir_api::{Finding, Place};

/// The way a pipeline came in; it decides how strict unknown keys are and what converters default to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Door {
    /// a pipeline file
    Toml,
    /// a Kafka Connect connector: JSON, properties, REST
    Connect,
}

/// One key and its text, flattened: arrays are comma separated, numbers and booleans are as they print.
#[derive(Clone, PartialEq, Debug)]
pub struct Entry {
    pub key: String,
    pub text: String,
    pub key_at: Option<Place>,
    pub value_at: Option<Place>,
    /// where `text` itself stands in the file, byte for byte; None when the file spells it otherwise (escapes, arrays)
    pub verbatim: Option<usize>,
}

/// Entries in the order in which they were written; no key twice.
#[derive(Clone, Default, PartialEq, Debug)]
pub struct Entries {
    list: Vec<Entry>,
}

/// A source or a sink.
#[derive(Clone, PartialEq, Debug)]
pub struct Part {
    pub kind: String,
    pub at: Option<Place>,
    pub entries: Entries,
}

/// One transform.
#[derive(Clone, Default, PartialEq, Debug)]
pub struct Step {
    pub name: Option<Entry>,
    /// "weir:filter", a class name, "./mask.wasm", "oci://…"
    pub uses: Option<Entry>,
    pub when: Option<When>,
    pub negate: Option<Entry>,
    pub with: Entries,
    pub limits: Entries,
    pub on_error: Option<Entry>,
    pub at: Option<Place>,
}

/// Which records a step sees.
#[derive(Clone, PartialEq, Debug)]
pub enum When {
    /// a condition, as text
    Condition(Entry),
    /// a predicate of the catalog, or a filter guest
    Predicate { uses: Entry, with: Entries },
}

#[derive(Clone, PartialEq, Debug)]
pub struct Written {
    pub door: Door,
    /// as it is shown in findings
    pub file: String,
    pub name: Option<Entry>,
    pub source: Option<Part>,
    pub steps: Vec<Step>,
    pub sink: Option<Part>,
    /// `on-error` of the sink
    pub sink_on_error: Option<Entry>,
    /// key.format, value.converter, value.converter.schemas.enable, …
    pub converters: Entries,
    /// TOML: of `[errors]`; Connect: `errors.…` with their whole names
    pub errors: Entries,
    /// keys that every connector has; TOML: tasks.max and Debezium's of [`crate::errors::DEBEZIUM`]
    pub common: Entries,
}

// === impl Entry ===

impl Entry {
    /// An entry that stands in no file.
    pub fn new(key: impl Into<String>, text: impl Into<String>) -> Self {
        Entry { key: key.into(), text: text.into(), key_at: None, value_at: None, verbatim: None }
    }
    /// The same under another name.
    pub fn renamed(&self, key: impl Into<String>) -> Self {
        Entry { key: key.into(), ..self.clone() }
    }
    /// The place of a part of the text, or of the whole value where the file spells it otherwise.
    pub fn at(&self, part: &Range<usize>) -> Option<Place> {
        let whole = self.value_at.clone()?;
        Some(match self.verbatim {
            Some(start) => Place { file: whole.file, span: start + part.start..start + part.end },
            None => whole,
        })
    }
    /// Puts a finding where the value stands.
    pub fn blame(&self, finding: Finding) -> Finding {
        let finding = if finding.key.is_none() { finding.key(self.key.clone()) } else { finding };
        match self.value_at.clone().or_else(|| self.key_at.clone()) {
            Some(place) => finding.at(place),
            None => finding,
        }
    }
    /// Puts a finding where the key stands.
    pub fn blame_key(&self, finding: Finding) -> Finding {
        let finding = finding.key(self.key.clone());
        match self.key_at.clone().or_else(|| self.value_at.clone()) {
            Some(place) => finding.at(place),
            None => finding,
        }
    }
}

// === impl Entries ===

impl Entries {
    pub fn get(&self, key: &str) -> Option<&Entry> {
        self.list.iter().find(|e| e.key == key)
    }
    pub fn text(&self, key: &str) -> Option<&str> {
        self.get(key).map(|e| e.text.as_str())
    }
    pub fn iter(&self) -> impl Iterator<Item = &Entry> {
        self.list.iter()
    }
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }
    /// Adds an entry; one of the same key gives way and is returned.
    pub fn set(&mut self, entry: Entry) -> Option<Entry> {
        match self.list.iter_mut().find(|e| e.key == entry.key) {
            Some(old) => Some(std::mem::replace(old, entry)),
            None => {
                self.list.push(entry);
                None
            }
        }
    }
    pub fn take(&mut self, key: &str) -> Option<Entry> {
        let at = self.list.iter().position(|e| e.key == key)?;
        Some(self.list.remove(at))
    }
    /// Takes out what `wanted` says.
    pub fn split(&mut self, wanted: impl Fn(&str) -> bool) -> Entries {
        let (list, rest) = std::mem::take(&mut self.list).into_iter().partition(|e| wanted(&e.key));
        self.list = rest;
        Entries { list }
    }
    /// Takes out what stands under a prefix, and cuts the prefix off.
    pub fn split_prefix(&mut self, prefix: &str) -> Entries {
        let mut taken = self.split(|k| k.starts_with(prefix));
        taken.list.iter_mut().for_each(|e| e.key = e.key.get(prefix.len()..).unwrap_or_default().to_owned());
        taken
    }
    pub(crate) fn sort_by_place(&mut self) {
        self.list.sort_by_key(|e| e.key_at.as_ref().map(|p| p.span.start));
    }
}

impl IntoIterator for Entries {
    type Item = Entry;
    type IntoIter = std::vec::IntoIter<Entry>;
    fn into_iter(self) -> Self::IntoIter {
        self.list.into_iter()
    }
}

impl FromIterator<Entry> for Entries {
    fn from_iter<I: IntoIterator<Item = Entry>>(entries: I) -> Self {
        let mut all = Entries::default();
        for entry in entries {
            all.set(entry);
        }
        all
    }
}

// === impl Written ===

impl Written {
    pub fn new(door: Door, file: impl Into<String>) -> Self {
        Written {
            door,
            file: file.into(),
            name: None,
            source: None,
            steps: vec![],
            sink: None,
            sink_on_error: None,
            converters: Entries::default(),
            errors: Entries::default(),
            common: Entries::default(),
        }
    }
}
