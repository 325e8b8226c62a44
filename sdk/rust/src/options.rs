//! Options: declared once, parsed as Kafka parses them.

use crate::{OptionDef, Problem, wit};
use wit::{Importance, OptionType, Width};

/// Options as the user wrote them; none is a configured null.
pub type Given = [(String, Option<String>)];

/// A transform's options. Derive it; see the crate's README for the attributes.
pub trait Options: Sized {
    fn defs() -> Vec<OptionDef>;
    /// Options that are missing, or do not parse as their type.
    fn unparsed(given: &Given) -> Vec<Problem>;
    /// Options whose value is none of those allowed.
    fn refused(given: &Given) -> Vec<Problem>;
    fn parse(given: &Given) -> Result<Self, Vec<Problem>>;
}

/// A transform without options.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct NoOptions;

/// A type that an option can have.
pub trait OptionValue: Sized {
    const TYPE: OptionType;
    /// An error says what was expected.
    fn parse(text: &str) -> Result<Self, &'static str>;
    /// What stands for an option without value and default.
    fn absent() -> Option<Self> {
        None
    }
}

/// One option, as `derive(Options)` writes it down.
#[doc(hidden)]
#[derive(Clone, Copy)]
pub struct Declared {
    pub name: &'static str,
    pub type_: OptionType,
    pub doc: &'static str,
    pub label: &'static str,
    pub group: Option<&'static str>,
    pub default: Option<&'static str>,
    pub required: bool,
    pub importance: Importance,
    pub width: Width,
    pub order: i32,
    pub one_of: &'static [&'static str],
    pub ignore_case: bool,
}

/// The value of an option: as the user wrote it, or null, or not at all.
pub fn option<'a>(given: &'a Given, name: &str) -> Option<Option<&'a str>> {
    given.iter().rev().find(|(n, _)| n == name).map(|(_, value)| value.as_deref())
}

// === impl NoOptions ===

impl Options for NoOptions {
    fn defs() -> Vec<OptionDef> {
        vec![]
    }
    fn unparsed(_: &Given) -> Vec<Problem> {
        vec![]
    }
    fn refused(_: &Given) -> Vec<Problem> {
        vec![]
    }
    fn parse(_: &Given) -> Result<Self, Vec<Problem>> {
        Ok(NoOptions)
    }
}

// === impl Declared ===

impl Declared {
    pub fn def(&self) -> OptionDef {
        OptionDef {
            name: self.name.into(),
            type_: self.type_,
            required: self.required,
            default: self.default.map(Into::into),
            importance: self.importance,
            width: self.width,
            group: self.group.map(Into::into),
            order: self.order,
            label: self.label.into(),
            doc: self.doc.into(),
            one_of: self.one_of.iter().map(|v| v.to_string()).collect(),
        }
    }

    pub fn parse<T: OptionValue>(&self, given: &Given) -> Result<T, Problem> {
        let written = option(given, self.name);
        let missing = || format!("Missing required configuration \"{}\" which has no default value.", self.name);
        match written.flatten() {
            Some(text) => T::parse(text).map_err(|expected| self.invalid(text, expected)),
            None if self.required && written.is_none() => Err(self.problem(missing())),
            None => match self.default {
                Some(text) => T::parse(text).map_err(|expected| self.invalid(text, expected)),
                None => T::absent().ok_or_else(|| self.problem(missing())),
            },
        }
    }

    pub fn unparsed<T: OptionValue>(&self, given: &Given) -> Option<Problem> {
        self.parse::<T>(given).err()
    }

    pub fn refused(&self, given: &Given) -> Option<Problem> {
        let text = option(given, self.name)??;
        let same = |v: &&&str| if self.ignore_case { v.eq_ignore_ascii_case(text.trim()) } else { **v == text };
        if self.one_of.is_empty() || self.one_of.iter().any(|v| same(&v)) {
            return None;
        }
        Some(self.invalid(text, &format!("Value must be one of {}", self.one_of.join(", "))))
    }

    fn invalid(&self, text: &str, expected: &str) -> Problem {
        let shown = if self.type_ == OptionType::Password { "[hidden]" } else { text };
        self.problem(format!("Invalid value {shown} for configuration {}: {expected}", self.name))
    }

    fn problem(&self, message: String) -> Problem {
        Problem { name: self.name.into(), message }
    }
}

// === impl OptionValue ===

impl<T: OptionValue> OptionValue for Option<T> {
    const TYPE: OptionType = T::TYPE;
    fn parse(text: &str) -> Result<Self, &'static str> {
        T::parse(text).map(Some)
    }
    fn absent() -> Option<Self> {
        Some(None)
    }
}

impl OptionValue for String {
    const TYPE: OptionType = OptionType::Text;
    fn parse(text: &str) -> Result<Self, &'static str> {
        Ok(text.into())
    }
}

impl OptionValue for bool {
    const TYPE: OptionType = OptionType::Boolean;
    fn parse(text: &str) -> Result<Self, &'static str> {
        let text = text.trim();
        match text {
            _ if text.eq_ignore_ascii_case("true") => Ok(true),
            _ if text.eq_ignore_ascii_case("false") => Ok(false),
            _ => Err("Expected value to be either true or false"),
        }
    }
}

/// Separated by commas, trimmed.
impl OptionValue for Vec<String> {
    const TYPE: OptionType = OptionType::List;
    fn parse(text: &str) -> Result<Self, &'static str> {
        let text = text.trim();
        if text.is_empty() {
            return Ok(vec![]);
        }
        Ok(text.split(',').map(|item| item.trim().to_string()).collect())
    }
}

macro_rules! numbers {
    ($($type:ty: $option:ident, $expected:literal;)+) => {$(
        impl OptionValue for $type {
            const TYPE: OptionType = OptionType::$option;
            fn parse(text: &str) -> Result<Self, &'static str> {
                text.trim().parse().map_err(|_| $expected)
            }
        }
    )+};
}

numbers! {
    i16: Short, "Not a number of type SHORT";
    i32: Int, "Not a number of type INT";
    i64: Long, "Not a number of type LONG";
    f64: Double, "Not a number of type DOUBLE";
}
