//! A case: options, records in, and what comes out of each, in a file that people write and read.

use super::infer;
use crate::dlq::letter::Letter;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::path::{Path, PathBuf};
use weir_api::Error;

#[derive(Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub struct Case {
    #[serde(skip)]
    pub path: PathBuf,
    /// for people who read the file; a case that has one is read all the same
    #[serde(rename = "description")]
    _description: Option<String>,
    #[serde(default)]
    pub options: Map<String, Value>,
    /// what the time is, ms since the epoch
    #[serde(default = "new_year")]
    pub now: i64,
    /// whether what comes out is shown with its schemas [default: where what goes in has some]
    schemas: Option<bool>,
    #[serde(rename = "in")]
    pub records: Vec<Record>,
    /// records, `{"drop": rule}` and `{"error": code}`, in order; absent: not known yet
    #[serde(rename = "out")]
    pub outcomes: Option<Vec<Value>>,
}

/// A record; each part is a plain value, or `{"schema", "payload"}` as JsonConverter writes it.
#[derive(Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub struct Record {
    topic: String,
    key: Option<Value>,
    value: Option<Value>,
    /// `{name: value}`, or a list of such where a name stands twice
    headers: Option<Value>,
    /// ms since the epoch
    timestamp: Option<i64>,
    partition: Option<i64>,
}

/// 2026-01-01, midnight.
fn new_year() -> i64 {
    1_767_225_600_000
}

// === impl Case ===

impl Case {
    pub fn read(path: &Path) -> Result<Case, Error> {
        let fail = |why: String| {
            Error::input("test.case", format!("`{}` is no case: {why}", path.display()))
                .help("{\"options\": {…}, \"in\": [{\"topic\": …, \"value\": …}], \"out\": […]}; `weir test --accept` writes `out`")
        };
        let text = std::fs::read_to_string(path).map_err(|e| fail(e.to_string()))?;
        let case: Case = serde_json::from_str(&text).map_err(|e| fail(e.to_string()))?;
        Ok(Case { path: path.to_owned(), ..case })
    }

    pub fn name(&self) -> String {
        self.path.file_stem().unwrap_or_default().to_string_lossy().into_owned()
    }

    /// Options as text, as a pipeline has them.
    pub fn options(&self) -> impl Iterator<Item = (String, String)> {
        self.options.iter().map(|(k, v)| (k.clone(), v.as_str().map_or_else(|| v.to_string(), str::to_owned)))
    }

    pub fn has_schemas(&self) -> bool {
        let is = |r: &Record| [&r.key, &r.value].into_iter().flatten().any(is_typed);
        self.schemas.unwrap_or_else(|| self.records.iter().any(is))
    }

    /// The records with the schemas that they have or get. Err says what has none.
    pub fn letters(&self) -> Result<Vec<Letter>, Error> {
        let whole = |what: &str, of: fn(&Record) -> Option<&Value>| {
            let typed = |r: &Record| {
                let alike = self.alike(r, of);
                typed(
                    of(r),
                    || if what == "value" { infer::value(&alike, &r.topic) } else { infer::schema(&alike, what) },
                )
            };
            self.records.iter().map(typed).collect::<Result<Vec<_>, _>>()
        };
        let keys = whole("key", |r| r.key.as_ref())?;
        let values = whole("value", |r| r.value.as_ref())?;
        let letter = |((r, key), value): ((&Record, Option<Value>), Option<Value>)| {
            let header = |(name, v): (String, Value)| {
                Ok((name, typed(Some(&v), || infer::schema(&[&v], "header"))?.unwrap_or_default()))
            };
            Ok(Letter {
                topic: r.topic.clone(),
                timestamp: r.timestamp,
                target_partition: r.partition,
                key,
                value,
                headers: r.headers().into_iter().map(header).collect::<Result<_, Error>>()?,
                ..Letter::default()
            })
        };
        self.records.iter().zip(keys).zip(values).map(letter).collect()
    }

    /// Plain values in the same part of records of the same topic.
    fn alike<'a>(&'a self, as_of: &Record, of: fn(&Record) -> Option<&Value>) -> Vec<&'a Value> {
        let same = self.records.iter().filter(|r| r.topic == as_of.topic);
        same.filter_map(of).filter(|v| !is_typed(v)).collect()
    }
}

fn is_typed(part: &Value) -> bool {
    part.as_object().is_some_and(|o| o.len() == 2 && o.contains_key("schema") && o.contains_key("payload"))
}

/// A part with its schema; `schema` is what it gets where it has none.
fn typed(part: Option<&Value>, schema: impl FnOnce() -> Result<Value, String>) -> Result<Option<Value>, Error> {
    let Some(part) = part.filter(|p| !p.is_null()) else { return Ok(None) };
    if is_typed(part) {
        return Ok(Some(part.clone()));
    }
    let schema = schema().map_err(|why| {
        Error::input("test.case", why).help("write that part as {\"schema\": …, \"payload\": …}, as JsonConverter does")
    })?;
    Ok(Some(json!({"schema": schema, "payload": part})))
}

// === impl Record ===

impl Record {
    fn headers(&self) -> Vec<(String, Value)> {
        let pairs = |v: &Value| v.as_object().cloned().into_iter().flatten().collect::<Vec<_>>();
        match &self.headers {
            Some(Value::Array(list)) => list.iter().flat_map(pairs).collect(),
            Some(object) => pairs(object),
            None => vec![],
        }
    }
}

/// Whether what came out is what is expected: numbers by value, members in any order, a message only where one is expected.
pub fn is_as_expected(expected: &Value, came: &Value) -> bool {
    match (expected, came) {
        (Value::Object(e), Value::Object(c)) if e.contains_key("error") && !e.contains_key("message") => {
            e.get("error") == c.get("error")
        }
        _ => same(&lean(expected), &lean(came)),
    }
}

/// Without what says nothing: members of a record that are null.
fn lean(record: &Value) -> Value {
    let mut record = record.clone();
    if let Some(members) = record.as_object_mut() {
        members.retain(|name, v| name == "value" || !v.is_null());
        if let Some(Value::Object(headers)) = members.get("headers")
            && headers.is_empty()
        {
            members.remove("headers");
        }
    }
    record
}

fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(x), Value::Number(y)) => match (x.as_i64(), y.as_i64()) {
            (Some(x), Some(y)) => x == y,
            _ => x.as_f64() == y.as_f64(),
        },
        (Value::Array(x), Value::Array(y)) => x.len() == y.len() && x.iter().zip(y).all(|(x, y)| same(x, y)),
        (Value::Object(x), Value::Object(y)) => {
            x.len() == y.len() && x.iter().all(|(name, v)| y.get(name).is_some_and(|w| same(v, w)))
        }
        _ => a == b,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_counts_only_where_it_is_expected() {
        let came = json!({"error": "acme.bad", "message": "why"});
        assert!(is_as_expected(&json!({"error": "acme.bad"}), &came));
        assert!(is_as_expected(&came, &came));
        assert!(!is_as_expected(&json!({"error": "acme.other"}), &came));
        assert!(!is_as_expected(&json!({"error": "acme.bad", "message": "other"}), &came));
        let record = json!({"topic": "t", "value": {"a": 1, "b": 2}});
        assert!(is_as_expected(&json!({"topic": "t", "key": null, "value": {"b": 2.0, "a": 1}}), &record));
        assert!(!is_as_expected(&json!({"topic": "t", "value": {"a": 1}}), &record));
        assert!(!is_as_expected(&json!({"topic": "t", "value": {"a": 1, "b": 2, "c": null}}), &record));
    }
}
