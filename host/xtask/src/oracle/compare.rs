//! Differences between what was written and what should have been, record by record.

use super::normalise::{Topics, canonical};
use anyhow::{Context, Result};
use regex::Regex;
use serde_json::{Value, json};
use similar::{Algorithm, DiffOp, capture_diff_slices};
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// One place where they differ.
#[derive(Clone, Debug)]
pub struct Difference {
    pub topic: String,
    /// `#3`: the fourth record of the topic
    pub record: String,
    /// JSON path in the record; named fields of a schema by their names
    pub path: String,
    pub golden: Value,
    pub weir: Value,
}

/// A difference between releases of Debezium, which Weir may make too.
struct Known {
    workload: Regex,
    topic: Regex,
    path: Regex,
    a: Option<Value>,
    b: Option<Value>,
}

pub struct KnownList(Vec<Known>);

// === impl KnownList ===

impl KnownList {
    pub fn read(path: &Path) -> Result<KnownList> {
        if !path.exists() {
            return Ok(KnownList(vec![]));
        }
        let text = fs::read_to_string(path)?;
        let list: Vec<Value> = serde_json::from_str(&text).with_context(|| path.display().to_string())?;
        let known = list.iter().map(|entry| {
            let pattern = |name: &str| Regex::new(entry.get(name).and_then(Value::as_str).unwrap_or_default());
            Ok(Known {
                workload: pattern("workload")?,
                topic: pattern("topic")?,
                path: pattern("path")?,
                a: entry.get("a").cloned(),
                b: entry.get("b").cloned(),
            })
        });
        Ok(KnownList(known.collect::<Result<_>>()?))
    }

    fn allows(&self, workload: &str, topic: &str, path: &str, a: &Value, b: &Value) -> bool {
        let same = |wanted: &Option<Value>, is: &Value| wanted.as_ref().is_none_or(|w| w == is);
        self.0.iter().any(|k| {
            k.workload.is_match(workload)
                && k.topic.is_match(topic)
                && k.path.is_match(path)
                && same(&k.a, a)
                && same(&k.b, b)
        })
    }
}

pub fn compare(workload: &str, golden: &Topics, weir: &Topics, known: &KnownList) -> Vec<Difference> {
    let mut found = vec![];
    let names: BTreeSet<&String> = golden.keys().chain(weir.keys()).collect();
    for topic in names {
        let empty = vec![];
        let (a, b) = (golden.get(topic).unwrap_or(&empty), weir.get(topic).unwrap_or(&empty));
        for (record, path, x, y) in records(a, b) {
            if !known.allows(workload, topic, &path, &x, &y) {
                found.push(Difference { topic: topic.clone(), record, path, golden: x, weir: y });
            }
        }
    }
    found
}

type Found = (String, String, Value, Value);

fn records(a: &[Value], b: &[Value]) -> Vec<Found> {
    let pairs: Vec<(Option<usize>, Option<usize>)> = if a.len() == b.len() && !reordered(a, b) {
        (0..a.len()).map(|i| (Some(i), Some(i))).collect()
    } else if a.len() == b.len() {
        align(&a.iter().map(canonical).collect::<Vec<_>>(), &b.iter().map(canonical).collect::<Vec<_>>())
    } else {
        // by keys and operations first, so that one missing record is one difference
        align(&a.iter().map(gist).collect::<Vec<_>>(), &b.iter().map(gist).collect::<Vec<_>>())
    };
    let mut found = vec![];
    for (i, j) in pairs {
        match (i.and_then(|i| Some((i, a.get(i)?))), j.and_then(|j| Some((j, b.get(j)?)))) {
            (Some((i, x)), Some((j, y))) => {
                let at = if i == j { format!("#{i}") } else { format!("golden #{i}, weir #{j}") };
                let mut out = vec![];
                diff(x, y, "$".to_owned(), &mut out);
                found.extend(out.into_iter().map(|(path, x, y)| (at.clone(), path, x, y)));
            }
            (Some((i, x)), None) => {
                found.push((format!("golden #{i}"), "$".into(), gist(x).into(), "<no record>".into()))
            }
            (None, Some((j, y))) => {
                found.push((format!("weir #{j}"), "$".into(), "<no record>".into(), gist(y).into()))
            }
            (None, None) => {}
        }
    }
    found
}

/// Many differ in place, and yet they are the same records.
fn reordered(a: &[Value], b: &[Value]) -> bool {
    let (mut x, mut y): (Vec<String>, Vec<String>) =
        (a.iter().map(canonical).collect(), b.iter().map(canonical).collect());
    let changed = x.iter().zip(&y).filter(|(x, y)| x != y).count();
    x.sort();
    y.sort();
    changed > 5 && changed > a.len() / 20 && x == y
}

fn align(a: &[String], b: &[String]) -> Vec<(Option<usize>, Option<usize>)> {
    let mut pairs = vec![];
    for op in capture_diff_slices(Algorithm::Myers, a, b) {
        let (_, old, new) = match op {
            DiffOp::Equal { .. } | DiffOp::Delete { .. } | DiffOp::Insert { .. } | DiffOp::Replace { .. } => {
                op.as_tag_tuple()
            }
        };
        for n in 0..old.len().max(new.len()) {
            let at = |range: &std::ops::Range<usize>| Some(range.start + n).filter(|i| range.contains(i));
            pairs.push((at(&old), at(&new)));
        }
    }
    pairs
}

/// What a record is about: key, operation, row.
fn gist(record: &Value) -> String {
    let part = |name: &str| {
        let part = record.get(name).unwrap_or(&Value::Null);
        part.get("payload").or_else(|| part.get("raw")).unwrap_or(part).clone()
    };
    let (key, value) = (part("key"), part("value"));
    let value = match value.get("op") {
        Some(op) => json!([op, value.get("after"), value.get("before")]),
        None => value,
    };
    canonical(&json!([key, value]))
}

fn diff(a: &Value, b: &Value, path: String, out: &mut Vec<(String, Value, Value)>) {
    let absent = || Value::from("<absent>");
    match (a, b) {
        (Value::Object(x), Value::Object(y)) => {
            let more = y.keys().filter(|k| !x.contains_key(*k));
            for name in x.keys().chain(more) {
                match (x.get(name), y.get(name)) {
                    (Some(x), Some(y)) => diff(x, y, format!("{path}.{name}"), out),
                    (x, y) => out.push((
                        format!("{path}.{name}"),
                        x.cloned().unwrap_or_else(absent),
                        y.cloned().unwrap_or_else(absent),
                    )),
                }
            }
            let (names_x, names_y): (Vec<_>, Vec<_>) = (x.keys().collect(), y.keys().collect());
            let same_names = x.len() == y.len() && x.keys().all(|k| y.contains_key(k));
            if names_x != names_y && same_names && path.contains(".payload") {
                out.push((format!("{path}(field order)"), json!(names_x), json!(names_y)));
            }
        }
        (Value::Array(x), Value::Array(y)) => lists(x, y, path, out),
        (Value::Number(x), Value::Number(y)) if x.is_f64() != y.is_f64() => out.push((path, a.clone(), b.clone())),
        _ if a != b => out.push((path, a.clone(), b.clone())),
        _ => {}
    }
}

fn lists(x: &[Value], y: &[Value], path: String, out: &mut Vec<(String, Value, Value)>) {
    let (names_x, names_y): (Vec<_>, Vec<_>) =
        (x.iter().filter_map(field).collect(), y.iter().filter_map(field).collect());
    let named = !x.is_empty() && names_x.len() == x.len() && !y.is_empty() && names_y.len() == y.len();
    if named && names_x != names_y {
        out.push((format!("{path}(field names)"), json!(names_x), json!(names_y)));
        for part in x {
            if let Some(other) = y.iter().find(|o| field(o) == field(part)) {
                diff(part, other, format!("{path}[{}]", field(part).unwrap_or_default()), out);
            }
        }
        return;
    }
    for i in 0..x.len().max(y.len()) {
        match (x.get(i), y.get(i)) {
            (Some(x), Some(y)) => {
                let label = field(x).map_or_else(|| i.to_string(), str::to_owned);
                diff(x, y, format!("{path}[{label}]"), out);
            }
            (x, y) => {
                let value = |v: Option<&Value>| v.cloned().unwrap_or_else(|| "<absent>".into());
                out.push((format!("{path}[{i}]"), value(x), value(y)));
            }
        }
    }
}

fn field(part: &Value) -> Option<&str> {
    part.get("field")?.as_str()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(id: i64, v: &str) -> Value {
        json!({"partition": 0, "key": {"payload": {"id": id}}, "value": {"payload": {"op": "c", "after": {"id": id, "v": v}}}, "headers": []})
    }

    fn found(a: &[Value], b: &[Value]) -> Vec<String> {
        records(a, b).into_iter().map(|(at, path, ..)| format!("{at} {path}")).collect()
    }

    #[test]
    fn every_damage_is_noticed_where_it_is() {
        let golden: Vec<Value> = (0..20).map(|id| record(id, "x")).collect();
        assert!(found(&golden, &golden).is_empty());
        let mut changed = golden.clone();
        changed[3] = record(3, "y");
        assert_eq!(found(&golden, &changed), ["#3 $.value.payload.after.v"]);
        let mut missing = golden.clone();
        missing.remove(7);
        assert_eq!(found(&golden, &missing), ["golden #7 $"]);
        let mut swapped = golden.clone();
        swapped.swap(1, 2);
        assert_eq!(found(&golden, &swapped).len(), 4);
    }

    #[test]
    fn types_and_field_order_count() {
        let pair = |a: Value, b: Value| found(&[json!({"payload": a})], &[json!({"payload": b})]);
        assert_eq!(pair(json!(1), json!(1.0)), ["#0 $.payload"]);
        assert_eq!(pair(json!(1), json!("1")), ["#0 $.payload"]);
        assert_eq!(pair(json!({"a": 1, "b": 2}), json!({"b": 2, "a": 1})), ["#0 $.payload(field order)"]);
        assert_eq!(pair(json!({"a": 1}), json!({})), ["#0 $.payload.a"]);
        let schema = |names: &[&str]| json!(names.iter().map(|n| json!({"field": n})).collect::<Vec<_>>());
        assert_eq!(pair(schema(&["a", "b"]), schema(&["a"])), ["#0 $.payload(field names)"]);
    }
}
