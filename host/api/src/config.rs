//! A configuration key is declared once, as data: parsing, validation, suggestions, reference pages and forms come from it.

use crate::{Error, Finding};
use std::collections::BTreeMap;
use std::time::Duration;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum KeyType {
    Boolean,
    Short,
    Int,
    Long,
    Double,
    String,
    /// comma separated
    List,
    /// milliseconds, as Kafka and Debezium write durations
    Millis,
    /// a Java class name, or a name of ours
    Class,
    /// never shown
    Password,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Importance {
    High,
    Medium,
    Low,
}

/// What setting a key does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Effect {
    /// what its documentation says
    Works,
    /// Nothing, and nothing is lost by it: accepted, with this one warning unless it is set to its default.
    Ignored(&'static str),
    /// Its effect is missing: refused, unless it is set to its default. The text names what works instead.
    Refused(&'static str),
}

/// One configuration key.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    pub name: &'static str,
    pub kind: KeyType,
    /// as the user would write it; None: no default
    pub default: Option<&'static str>,
    pub required: bool,
    pub importance: Importance,
    /// heading under which forms and reference pages show it
    pub group: &'static str,
    /// Values allowed, compared without regard to case; empty: any that parses as `kind`.
    pub one_of: &'static [&'static str],
    pub effect: Effect,
    /// false for keys that work but that the original does not list
    pub listed: bool,
    pub doc: &'static str,
}

/// The keys that a component knows, in the order in which they are shown.
#[derive(Clone, Copy, Debug)]
pub struct ConfigDef {
    pub keys: &'static [Key],
    /// Prefixes under which any key is accepted and passed on, as "producer.override.".
    pub prefixes: &'static [&'static str],
}

/// Resolved settings of one component: every value is there as written, defaults come from the definition.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    pub values: BTreeMap<String, String>,
}

// === impl Key ===

impl Key {
    /// A text key without default that nobody has to set; the builders below change that.
    pub const fn new(name: &'static str, kind: KeyType, doc: &'static str) -> Self {
        Key {
            name,
            kind,
            default: None,
            required: false,
            importance: Importance::Medium,
            group: "",
            one_of: &[],
            effect: Effect::Works,
            listed: true,
            doc,
        }
    }
    pub const fn default(mut self, text: &'static str) -> Self {
        self.default = Some(text);
        self
    }
    pub const fn required(mut self) -> Self {
        self.required = true;
        self.importance = Importance::High;
        self
    }
    pub const fn group(mut self, group: &'static str) -> Self {
        self.group = group;
        self
    }
    pub const fn importance(mut self, importance: Importance) -> Self {
        self.importance = importance;
        self
    }
    pub const fn one_of(mut self, values: &'static [&'static str]) -> Self {
        self.one_of = values;
        self
    }
    pub const fn unlisted(mut self) -> Self {
        self.listed = false;
        self
    }
    /// Accepted without effect; `why` is the warning, where it is not left at its default.
    pub const fn ignored(mut self, why: &'static str) -> Self {
        self.effect = Effect::Ignored(why);
        self
    }
    /// Refused unless left at its default; `instead` names what works.
    pub const fn refused(mut self, instead: &'static str) -> Self {
        self.effect = Effect::Refused(instead);
        self
    }
    /// What is wrong with a value of this key.
    pub fn check(&self, value: &str) -> Option<Finding> {
        let text = value.trim();
        let parses = match self.kind {
            KeyType::Boolean => matches!(text.to_ascii_lowercase().as_str(), "true" | "false"),
            KeyType::Short => text.parse::<i16>().is_ok(),
            KeyType::Int => text.parse::<i32>().is_ok(),
            KeyType::Long | KeyType::Millis => text.parse::<i64>().is_ok(),
            KeyType::Double => text.parse::<f64>().is_ok(),
            KeyType::String | KeyType::List | KeyType::Class | KeyType::Password => true,
        };
        if !parses {
            let wanted = match self.kind {
                KeyType::Boolean => "true or false",
                KeyType::Double => "a number",
                KeyType::Millis => "a whole number of milliseconds",
                _ => "a whole number",
            };
            return Some(Finding::error("config.wrong-type", format!("`{}` takes {wanted}", self.name)).key(self.name));
        }
        if !self.one_of.is_empty() && !self.one_of.iter().any(|v| v.eq_ignore_ascii_case(text)) {
            let finding = Finding::error("config.not-allowed", format!("`{}` cannot be \"{text}\"", self.name));
            return Some(finding.key(self.name).help(format!("one of: {}", self.one_of.join(", "))));
        }
        // without a default, set to nothing is not set
        let is_default = self.default.unwrap_or_default().eq_ignore_ascii_case(text);
        match self.effect {
            Effect::Works => None,
            Effect::Ignored(_) | Effect::Refused(_) if is_default => None,
            Effect::Ignored(why) => Some(
                Finding::warning("config.no-effect", format!("`{}` has no effect here: {why}", self.name))
                    .key(self.name),
            ),
            Effect::Refused(instead) => Some(
                Finding::error("config.not-supported", format!("`{}` = \"{text}\" is not supported", self.name))
                    .key(self.name)
                    .help(instead),
            ),
        }
    }
}

// === impl ConfigDef ===

impl ConfigDef {
    pub fn key(&self, name: &str) -> Option<&'static Key> {
        self.keys.iter().find(|k| k.name == name)
    }
    pub fn takes(&self, name: &str) -> bool {
        self.key(name).is_some() || self.prefixes.iter().any(|p| name.starts_with(p))
    }
}

// === impl Settings ===

impl Settings {
    pub fn new(values: impl IntoIterator<Item = (impl Into<String>, impl Into<String>)>) -> Self {
        Settings { values: values.into_iter().map(|(k, v)| (k.into(), v.into())).collect() }
    }
    /// The value as written, or the definition's default.
    pub fn text<'a>(&'a self, def: &ConfigDef, name: &str) -> Option<&'a str> {
        self.values.get(name).map(|v| v.as_str()).or_else(|| def.key(name).and_then(|k| k.default))
    }
    pub fn required<'a>(&'a self, def: &ConfigDef, name: &str) -> Result<&'a str, Error> {
        self.text(def, name)
            .filter(|v| !v.trim().is_empty())
            .ok_or_else(|| Error::input("config.missing", format!("`{name}` must be set")))
    }
    pub fn flag(&self, def: &ConfigDef, name: &str) -> Result<bool, Error> {
        let Some(text) = self.text(def, name) else { return Ok(false) };
        match text.trim().to_ascii_lowercase().as_str() {
            "true" => Ok(true),
            "false" => Ok(false),
            _ => Err(wrong(name, "true or false")),
        }
    }
    pub fn number(&self, def: &ConfigDef, name: &str) -> Result<Option<i64>, Error> {
        self.text(def, name).map(|t| t.trim().parse().map_err(|_| wrong(name, "a whole number"))).transpose()
    }
    pub fn millis(&self, def: &ConfigDef, name: &str) -> Result<Option<Duration>, Error> {
        Ok(self.number(def, name)?.map(|n| Duration::from_millis(n.max(0) as u64)))
    }
    /// A comma separated list; blanks around the parts and empty parts are left out.
    pub fn list<'a>(&'a self, def: &ConfigDef, name: &str) -> Vec<&'a str> {
        let text = self.text(def, name).unwrap_or_default();
        text.split(',').map(str::trim).filter(|s| !s.is_empty()).collect()
    }
    /// Keys under a prefix, without it.
    pub fn under<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.values.iter().filter_map(move |(k, v)| k.strip_prefix(prefix).map(|k| (k, v.as_str())))
    }
}

fn wrong(name: &str, wanted: &str) -> Error {
    Error::input("config.wrong-type", format!("`{name}` takes {wanted}"))
}
