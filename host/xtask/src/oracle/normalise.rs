//! What the oracle does not compare literally. A rule replaces a value by a placeholder that keeps its JSON type, its
//! null-ness and its zero-ness, so null against a number, 0 against a position, or a string against a number stays a difference.

use crate::topic::Raw;
use anyhow::Result;
use regex::Regex;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// Records of each topic.
pub type Topics = BTreeMap<String, Vec<Value>>;

/// What becomes of a value that a rule names.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Action {
    /// `<int>`, `<float>`, `<str>`
    Number,
    /// runs of digits, and UUIDs, become `#`
    Digits,
    /// T1, T2… by first appearance
    Symbol,
    /// `<any>`
    Any,
}

/// Path (`key`, `value` or `headers.<name>` first, then `schema` or `payload`), action, why.
const RULES: &[(&str, Action, &str)] = &[
    (r"value\.payload\.ts_(ms|us|ns)", Action::Number, "when the connector handled the event"),
    (r"value\.payload\.source\.ts_(ms|us|ns)", Action::Number, "commit or snapshot time"),
    (r"value\.payload\.source\.version", Action::Any, "connector version"),
    (r"value\.payload\.source\.(lsn|txId|xmin|pos|thread|server_id)", Action::Number, "log position"),
    (r"value\.payload\.source\.(sequence|file|gtid)", Action::Digits, "log position inside a string"),
    (r"value\.payload\.(position|source)\.gtids", Action::Any, "everything the server ever executed (history topic)"),
    (
        r"value\.payload\.(position|source)\.(ts_sec|file|pos|server|ts_ms|server_id|event|row|lsn|lsn_proc|lsn_commit|txId|ts_usec|snapshot_completed|transaction_id)",
        Action::Digits,
        "positions of schema-history records",
    ),
    (r"value\.payload\.transaction\.id", Action::Symbol, "transaction id"),
    (r"(key|value)\.payload\.id@transaction", Action::Symbol, "the same in the transaction topic"),
    (
        r"value\.payload\.__(source_)?ts_(ms|us|ns)",
        Action::Number,
        "the same fields, flattened by ExtractNewRecordState",
    ),
    (
        r"value\.payload\.__(source_)?(lsn|txId|pos|sequence|xmin|file|gtid|server_id|thread)",
        Action::Digits,
        "the same",
    ),
    (r"value\.payload\.__(source_)?version", Action::Any, "the same"),
    (r"value\.payload\.__transaction_id", Action::Symbol, "the same"),
    (r"headers\.__(source_)?ts_(ms|us|ns)", Action::Digits, "the same, as headers"),
    (r"headers\.__(source_)?(lsn|txId|pos|sequence|xmin|file|gtid|server_id|thread)", Action::Digits, "the same"),
    (r"headers\.__(source_)?version", Action::Any, "the same"),
    (r"headers\.__debezium\.context\.runId", Action::Digits, "a new UUID for every start of the task"),
];

/// Rows of the oracle itself hold this.
pub const MARK: &str = "weir-mark-";
/// Strings longer than this are kept as length and digest.
const LONG: usize = 4096;

/// Makes the records of one run comparable.
pub struct Normaliser {
    prefix: String,
    database: String,
    rules: Vec<(Regex, Action)>,
    /// of this workload only: where they count, and what
    extra: Vec<(Regex, Regex, Action)>,
    side_names: Regex,
    digits: Regex,
    transaction: Regex,
    heartbeat: Regex,
    symbols: HashMap<String, String>,
}

/// Where a value lies, and which rules count there.
struct Place<'a> {
    path: String,
    topic: &'a str,
}

// === impl Normaliser ===

impl Normaliser {
    /// `extra`: `[path, action, topic?]` as a workload writes it.
    pub fn new(prefix: &str, database: &str, extra: &[Value]) -> Result<Normaliser> {
        let whole = |path: &str| Regex::new(&format!("^(?:{path})$"));
        let rules = RULES.iter().map(|(path, action, _)| Ok((whole(path)?, *action))).collect::<Result<_>>()?;
        let mut more = vec![];
        for rule in extra {
            let text = |i: usize| rule.get(i).and_then(Value::as_str);
            let (Some(path), Some(action)) = (text(0), text(1)) else {
                anyhow::bail!("`normalise`: {rule} is no rule")
            };
            let action = match action {
                "num" => Action::Number,
                "digits" => Action::Digits,
                "sym" => Action::Symbol,
                "any" => Action::Any,
                other => anyhow::bail!("`normalise`: there is no action {other}"),
            };
            more.push((Regex::new(text(2).unwrap_or_default())?, whole(path)?, action));
        }
        Ok(Normaliser {
            prefix: prefix.to_owned(),
            database: database.to_owned(),
            rules,
            extra: more,
            side_names: Regex::new(r"\b(wsig|whb)_[ab]\b")?,
            digits: Regex::new(r"[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}|\d+")?,
            transaction: Regex::new(r"^(\d+):\d+$")?,
            heartbeat: Regex::new(r"^__debezium-heartbeat|\bwhb\b")?,
            symbols: HashMap::new(),
        })
    }

    pub fn topics(&mut self, raw: BTreeMap<String, Vec<Raw>>) -> Topics {
        let mut order: Vec<_> = raw.into_iter().collect();
        // symbols of transactions are given out in the order of their own topic
        order.sort_by_key(|(topic, _)| (!topic.ends_with(".transaction"), topic.clone()));
        let mut out = Topics::new();
        for (topic, mut records) in order {
            let name = self.text(&topic);
            records.sort_by_key(|r| r.partition);
            let marked = |part: &Option<Vec<u8>>| part.as_ref().is_some_and(|p| contains(p, MARK.as_bytes()));
            let records = records.iter().filter(|r| !marked(&r.key) && !marked(&r.value));
            let mut records: Vec<Value> = records.map(|r| self.record(&name, r)).filter(|r| !foreign(r)).collect();
            if self.heartbeat.is_match(&name) {
                // how many there are depends on time
                let distinct: BTreeMap<String, Value> = records.into_iter().map(|r| (canonical(&r), r)).collect();
                records = distinct.into_values().collect();
            }
            if !records.is_empty() {
                out.insert(name, records);
            }
        }
        out
    }

    fn text(&self, text: &str) -> String {
        let text = text.replace(&self.prefix, "PFX").replace(&self.database, "difforacle");
        self.side_names.replace_all(&text, "$1").into_owned()
    }

    fn record(&mut self, topic: &str, raw: &Raw) -> Value {
        let key = self.part("key", raw.key.as_deref(), topic);
        let value = self.part("value", raw.value.as_deref(), topic);
        let headers: Vec<Value> =
            raw.headers.iter().map(|(name, value)| json!([name, self.header(name, value.as_deref(), topic)])).collect();
        json!({"partition": raw.partition, "key": key, "value": value, "headers": headers})
    }

    fn part(&mut self, name: &str, raw: Option<&[u8]>, topic: &str) -> Value {
        let Some(raw) = raw else { return Value::Null };
        let Ok(text) = std::str::from_utf8(raw) else {
            let hex: String = raw.iter().map(|b| format!("{b:02x}")).collect();
            return json!({"raw": format!("hex {hex}")});
        };
        let text = self.text(text);
        let Ok(document) = serde_json::from_str::<Value>(&text) else { return json!({"raw": text}) };
        let mut document = match document {
            Value::Object(map) if map.len() == 2 && map.contains_key("schema") && map.contains_key("payload") => map,
            other => Map::from_iter([("payload".to_owned(), other)]),
        };
        if let Some(payload) = document.get_mut("payload") {
            if let (true, Some(id)) = (topic.ends_with(".transaction"), payload.get_mut("id")) {
                self.walk(id, &mut Place { path: format!("{name}.payload.id@transaction"), topic });
            }
            self.walk(payload, &mut Place { path: format!("{name}.payload"), topic });
        }
        Value::Object(document)
    }

    /// Headers are plain text unless the header converter wrote an object.
    fn header(&mut self, name: &str, raw: Option<&[u8]>, topic: &str) -> Value {
        let Some(raw) = raw else { return Value::Null };
        let text = self.text(&String::from_utf8_lossy(raw));
        let mut value = match text.starts_with(['{', '[']) {
            true => serde_json::from_str(&text).unwrap_or(Value::String(text)),
            false => Value::String(text),
        };
        self.walk(&mut value, &mut Place { path: format!("headers.{name}"), topic });
        value
    }

    fn walk(&mut self, node: &mut Value, place: &mut Place<'_>) {
        let length = place.path.len();
        match node {
            Value::Object(map) => {
                for (name, value) in map {
                    place.path.push('.');
                    place.path.push_str(name);
                    self.walk(value, place);
                    place.path.truncate(length);
                }
            }
            Value::Array(list) => {
                for value in list {
                    place.path.push_str("[]");
                    self.walk(value, place);
                    place.path.truncate(length);
                }
            }
            leaf => {
                let extra = self.extra.iter().filter(|(on, _, _)| on.is_match(place.topic));
                let extra = extra.map(|(_, path, action)| (path, *action));
                let mut rules = extra.chain(self.rules.iter().map(|(path, action)| (path, *action)));
                let action = rules.find(|(path, _)| path.is_match(&place.path)).map(|(_, action)| action);
                self.replace(leaf, action);
            }
        }
    }

    fn replace(&mut self, leaf: &mut Value, action: Option<Action>) {
        let new: Value = match (&*leaf, action) {
            (Value::Null | Value::Bool(_), _) => return,
            (Value::String(text), None) if text.chars().count() > LONG => {
                let digest: String = Sha256::digest(text.as_bytes()).iter().map(|b| format!("{b:02x}")).collect();
                format!("<{} chars, sha256 {digest}>", text.chars().count()).into()
            }
            (_, None) => return,
            (_, Some(Action::Any)) => "<any>".into(),
            (Value::String(text), Some(Action::Symbol)) => self.symbol(text).into(),
            (Value::String(_), Some(Action::Number)) => "<str>".into(),
            (Value::String(text), Some(Action::Digits)) => self.digits.replace_all(text, "#").into_owned().into(),
            (Value::Number(n), Some(_)) if n.as_f64() == Some(0.0) => return,
            (Value::Number(n), Some(_)) => if n.is_f64() { "<float>" } else { "<int>" }.into(),
            _ => return,
        };
        *leaf = new;
    }

    /// PostgreSQL's ids are `<xid>:<lsn of this very event>`; a GTID is one name.
    fn symbol(&mut self, id: &str) -> String {
        let xid = self.transaction.captures(id).and_then(|c| c.get(1)).map(|m| m.as_str());
        let next = format!("T{}", self.symbols.len() + 1);
        let symbol = self.symbols.entry(xid.unwrap_or(id).to_owned()).or_insert(next).clone();
        if xid.is_some() { symbol + ":#" } else { symbol }
    }
}

/// DDL of a database that is not the oracle's: a MySQL snapshot lists every table on the server.
fn foreign(record: &Value) -> bool {
    let Some(payload) = record.pointer("/value/payload").filter(|p| p.get("ddl").is_some()) else { return false };
    let name = payload.get("databaseName").and_then(Value::as_str).unwrap_or_default();
    !name.is_empty() && !name.starts_with("difforacle")
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|w| w == part)
}

/// One text for equal values, whatever the order of their fields.
pub fn canonical(value: &Value) -> String {
    match value {
        Value::Object(map) => {
            let names: BTreeSet<&String> = map.keys().collect();
            let fields = names.into_iter().filter_map(|n| Some(format!("{}:{}", json!(n), canonical(map.get(n)?))));
            format!("{{{}}}", fields.collect::<Vec<_>>().join(","))
        }
        Value::Array(list) => format!("[{}]", list.iter().map(canonical).collect::<Vec<_>>().join(",")),
        leaf => leaf.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(value: &str) -> Raw {
        Raw { partition: 0, key: None, value: Some(value.as_bytes().to_vec()), headers: vec![] }
    }

    #[test]
    fn placeholders_keep_type_null_and_zero() {
        let mut normaliser =
            Normaliser::new("pre1", "shop1", &[json!([r"value\.payload\.x", "digits", "t$"])]).unwrap();
        let text = r#"{"schema":null,"payload":{"ts_ms":5,"x":"a12b","source":{"lsn":0,"xmin":null,"txId":"7","db":"shop1","name":"pre1","sequence":"[null,\"17\"]","version":"3"},"transaction":{"id":"12:99"}}}"#;
        let topics = normaliser.topics(BTreeMap::from([("pre1.t".to_owned(), vec![raw(text), raw("weir-mark-1")])]));
        let record = topics.get("PFX.t").unwrap();
        assert_eq!(record.len(), 1);
        assert_eq!(
            record[0].pointer("/value/payload").unwrap(),
            &json!({"ts_ms": "<int>", "x": "a#b", "source": {"lsn": 0, "xmin": null, "txId": "<str>", "db": "difforacle", "name": "PFX",
                    "sequence": "[null,\"#\"]", "version": "<any>"}, "transaction": {"id": "T1:#"}})
        );
    }

    #[test]
    fn canonical_forgets_only_the_order_of_fields() {
        assert_eq!(canonical(&json!({"b": [1, 2], "a": 1.0})), canonical(&json!({"a": 1.0, "b": [1, 2]})));
        assert_ne!(canonical(&json!({"b": [1, 2]})), canonical(&json!({"b": [2, 1]})));
        assert_ne!(canonical(&json!(1)), canonical(&json!(1.0)));
    }
}
