//! A connector as JSON, with places: a bare map, or `{"name": …, "config": {…}}` as the REST API takes it.

use crate::written::{Entries, Entry};
use jsonc_parser::ast::{Object, Value};
use jsonc_parser::common::Ranged;
use jsonc_parser::{CollectOptions, ParseOptions, parse_to_ast};
use std::ops::Range;
use weir_api::{Finding, Place};

/// JSON as it is, without the leniency that the parser has by default.
const STRICT: ParseOptions = ParseOptions {
    allow_comments: false,
    allow_loose_object_property_names: false,
    allow_trailing_commas: false,
    allow_missing_commas: false,
    allow_single_quoted_strings: false,
    allow_hexadecimal_numbers: false,
    allow_unary_plus_numbers: false,
    allow_bare_decimal_point_numbers: false,
    allow_non_finite_numbers: false,
    allow_extended_string_escapes: false,
};

/// The connector's map; its `name` is in it wherever it stood.
pub fn parse(file: &str, text: &str) -> (Option<Entries>, Vec<Finding>) {
    let place = |span: Range<usize>| Place { file: file.to_owned(), span };
    let root = match parse_to_ast(text, &CollectOptions::default(), &STRICT) {
        Ok(parsed) => parsed.value,
        Err(e) => {
            let range = e.range();
            let message = lower(&e.kind().to_string());
            return (None, vec![Finding::error("config.syntax", message).at(place(range.start..range.end))]);
        }
    };
    let Some(Value::Object(root)) = root else {
        let finding = Finding::error("config.syntax", "a connector is a JSON object").at(place(0..0));
        return (None, vec![finding]);
    };
    let mut findings = vec![];
    let inner = root.properties.iter().find_map(|p| match (&p.value, p.name.as_str()) {
        (Value::Object(inner), "config") => Some(inner),
        _ => None,
    });
    let Some(inner) = inner else { return (Some(map(file, text, &root, &mut findings)), findings) };
    let mut entries = map(file, text, inner, &mut findings);
    for property in &root.properties {
        match (property.name.as_str(), &property.value) {
            ("config" | "initial_state", _) => {}
            ("name", value) => match scalar(value) {
                Some(name) => {
                    let outer = entry(file, text, property, name);
                    match entries.text("name").filter(|inner| *inner != outer.text) {
                        Some(_) => {
                            let message = "the name here and the name inside of `config` differ";
                            findings.push(outer.blame(Finding::error("config.two-names", message)));
                        }
                        None => {
                            entries.set(outer);
                        }
                    }
                }
                None => findings.push(wrong(file, property)),
            },
            (other, _) => {
                let range = property.name.range();
                let finding = Finding::error("config.unknown-key", format!("`{other}` is no part of a connector"));
                let finding = finding.help("a connector has `name` and `config`").key(other);
                findings.push(finding.at(place(range.start..range.end)));
            }
        }
    }
    (Some(entries), findings)
}

fn map(file: &str, text: &str, object: &Object<'_>, findings: &mut Vec<Finding>) -> Entries {
    let mut entries = Entries::default();
    for property in &object.properties {
        let Some(value) = scalar(&property.value) else {
            findings.push(wrong(file, property));
            continue;
        };
        let entry = entry(file, text, property, value);
        let again = Finding::warning("config.duplicate-key", format!("`{}` is set twice", entry.key));
        let again = entry.blame_key(again.help("the last one counts"));
        if entries.set(entry).is_some() {
            findings.push(again);
        }
    }
    entries
}

fn entry(file: &str, text: &str, property: &jsonc_parser::ast::ObjectProp<'_>, value: String) -> Entry {
    let place = |range: jsonc_parser::common::Range| Place { file: file.to_owned(), span: range.start..range.end };
    let range = property.value.range();
    let raw = text.get(range.start..range.end).unwrap_or_default();
    let quoted = raw.starts_with('"');
    let inside = if quoted { raw.get(1..raw.len().saturating_sub(1)).unwrap_or_default() } else { raw };
    Entry {
        key: property.name.as_str().to_owned(),
        key_at: Some(place(property.name.range())),
        value_at: Some(place(range)),
        verbatim: (inside == value).then_some(range.start + usize::from(quoted)),
        text: value,
    }
}

/// Numbers and booleans as text, as Kafka Connect takes them.
fn scalar(value: &Value<'_>) -> Option<String> {
    match value {
        Value::StringLit(text) => Some(text.value.to_string()),
        Value::NumberLit(number) => Some(number.value.to_owned()),
        Value::BooleanLit(flag) => Some(flag.value.to_string()),
        Value::Object(_) | Value::Array(_) | Value::NullKeyword(_) => None,
    }
}

fn wrong(file: &str, property: &jsonc_parser::ast::ObjectProp<'_>) -> Finding {
    let name = property.name.as_str();
    let range = property.value.range();
    let (code, message) = match property.value {
        Value::NullKeyword(_) => ("config.null", format!("`{name}` cannot be null")),
        _ => ("config.wrong-type", format!("`{name}` takes text, a number, true or false")),
    };
    let help = match property.value {
        Value::Array(_) => "write a list as text, with commas between its parts",
        Value::NullKeyword(_) => "leave the key out",
        _ => "nested keys are written with dots",
    };
    Finding::error(code, message).help(help).key(name).at(Place { file: file.to_owned(), span: range.start..range.end })
}

fn lower(message: &str) -> String {
    let mut chars = message.chars();
    let first = chars.next().map(|c| c.to_ascii_lowercase());
    first.into_iter().chain(chars).collect::<String>().trim_end_matches('.').to_owned()
}
