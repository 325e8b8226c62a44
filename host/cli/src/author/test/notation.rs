//! How cases are written: a record on a line of its own while there is room for it.

use serde_json::Value;
use std::path::Path;
use weir_api::Error;

const WIDTH: usize = 140;

/// Writes what came out into a case's file; the rest of it stays as it is said.
pub fn accept(path: &Path, came: &[Value]) -> Result<(), Error> {
    let fail = |why: String| {
        Error::environment("test.unwritable", format!("`{}` cannot be written: {why}", path.display()))
            .help("give this user the right to write it")
    };
    let text = std::fs::read_to_string(path).map_err(|e| fail(e.to_string()))?;
    let mut case: Value = serde_json::from_str(&text).map_err(|e| fail(e.to_string()))?;
    if let Some(members) = case.as_object_mut() {
        members.insert("out".into(), came.iter().cloned().collect());
    }
    std::fs::write(path, whole(&case) + "\n").map_err(|e| fail(e.to_string()))
}

/// A file's value: broken up at the first level, and its lists at the second.
fn whole(case: &Value) -> String {
    let Some(members) = case.as_object() else { return broken(case, 0) };
    let member = |(name, value): (&String, &Value)| {
        let value = match value {
            Value::Array(items) if !items.is_empty() => list(items, 2),
            other => written(other, 2),
        };
        format!("  {}: {value}", Value::from(name.as_str()))
    };
    format!("{{\n{}\n}}", members.iter().map(member).collect::<Vec<_>>().join(",\n"))
}

/// On one line where there is room.
fn written(value: &Value, indent: usize) -> String {
    let line = line(value);
    match line.chars().count() + indent <= WIDTH {
        true => line,
        false => broken(value, indent),
    }
}

fn broken(value: &Value, indent: usize) -> String {
    match value {
        Value::Array(items) if !items.is_empty() => list(items, indent),
        Value::Object(members) if !members.is_empty() => {
            let inner = indent + 2;
            let member = |(name, v): (&String, &Value)| {
                format!("{}{}: {}", " ".repeat(inner), Value::from(name.as_str()), written(v, inner))
            };
            let members = members.iter().map(member).collect::<Vec<_>>().join(",\n");
            format!("{{\n{members}\n{}}}", " ".repeat(indent))
        }
        other => other.to_string(),
    }
}

fn list(items: &[Value], indent: usize) -> String {
    let inner = indent + 2;
    let items: Vec<String> = items.iter().map(|v| format!("{}{}", " ".repeat(inner), written(v, inner))).collect();
    format!("[\n{}\n{}]", items.join(",\n"), " ".repeat(indent))
}

fn line(value: &Value) -> String {
    match value {
        Value::Object(members) if !members.is_empty() => {
            let member = |(name, v): (&String, &Value)| format!("{}: {}", Value::from(name.as_str()), line(v));
            format!("{{ {} }}", members.iter().map(member).collect::<Vec<_>>().join(", "))
        }
        Value::Array(items) => format!("[{}]", items.iter().map(line).collect::<Vec<_>>().join(", ")),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rewriting the template's case changes nothing: that is how cases are written.
    #[test]
    fn a_case_is_written_as_people_write_it() {
        let text = include_str!("../../../../../sdk/rust/template/cases/tax.json");
        let case: Value = serde_json::from_str(text).unwrap();
        assert_eq!(whole(&case) + "\n", text);
        let long = serde_json::json!({"in": [{"value": "x".repeat(150)}]});
        assert!(whole(&long).starts_with("{\n  \"in\": [\n    {\n      \"value\": \"xxx"), "{}", whole(&long));
    }
}
