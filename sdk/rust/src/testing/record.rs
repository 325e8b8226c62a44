//! Records, and how they compare.

use super::{
    Fault,
    payload::infer,
    tree::{Data, Node, Type},
};
use crate::{Field, Kind};
use serde_json::{Value, json};

#[derive(Clone, PartialEq, Debug)]
pub struct Record {
    pub topic: String,
    pub partition: Option<i32>,
    /// milliseconds since the epoch
    pub timestamp: Option<i64>,
    /// where it was read from Kafka
    pub offset: Option<i64>,
    pub key: Node,
    pub value: Node,
    pub headers: Vec<(String, Node)>,
}

/// A record laid out as a shape: its fields, and for each its type, its value and whether its parent is null.
pub(super) struct Laid {
    pub fields: Vec<Field>,
    pub nodes: Vec<(Node, bool)>,
}

// === impl Record ===

impl Record {
    /// See the module for the notation. What is absent is null.
    pub fn from_json(json: &Value) -> Result<Record, Fault> {
        let node = |json: Option<&Value>| -> Result<Node, Fault> {
            let Some(json) = json else { return Ok(Node::nothing()) };
            let payload = json.get("payload").unwrap_or(&Value::Null);
            match json.get("schema").filter(|s| !s.is_null()) {
                None => infer(payload),
                Some(schema) => {
                    let ty = Type::from_schema(schema)?;
                    Ok(Node { data: ty.data(payload)?, ty })
                }
            }
        };
        let int = |key: &str| json.get(key).and_then(Value::as_i64);
        let mut headers = vec![];
        for header in json.get("headers").and_then(Value::as_array).into_iter().flatten() {
            let name = header.get("key").and_then(Value::as_str).ok_or("a header without key")?;
            headers.push((name.to_string(), node(Some(header))?));
        }
        Ok(Record {
            topic: json.get("topic").and_then(Value::as_str).ok_or("a record without topic")?.into(),
            partition: int("partition").map(|v| v as i32),
            timestamp: int("timestamp"),
            offset: int("offset"),
            key: node(json.get("key"))?,
            value: node(json.get("value"))?,
            headers,
        })
    }

    pub fn to_json(&self) -> Value {
        let node = |node: &Node| json!({"schema": node.ty.to_schema(), "payload": node.ty.payload(&node.data)});
        let header = |(name, n): &(String, Node)| json!({"key": name, "schema": n.ty.to_schema(), "payload": n.ty.payload(&n.data)});
        let mut out = json!({
            "topic": self.topic,
            "partition": self.partition,
            "timestamp": self.timestamp,
            "key": node(&self.key),
            "value": node(&self.value),
            "headers": self.headers.iter().map(header).collect::<Vec<_>>(),
        });
        if let (Some(offset), Some(members)) = (self.offset, out.as_object_mut()) {
            members.insert("offset".into(), json!(offset));
        }
        out
    }

    pub(super) fn lay(&self, now: i64) -> Laid {
        let mut laid = Laid { fields: vec![], nodes: vec![] };
        laid.tree("key", &self.key);
        laid.tree("value", &self.value);
        let mut headers = Type::new(Kind::Struct);
        headers.children = self.headers.iter().map(|(name, n)| (name.clone(), n.ty.clone())).collect();
        let data = Data::Struct(self.headers.iter().map(|(_, n)| n.data.clone()).collect());
        laid.tree("headers", &Node { ty: headers, data });
        let mut meta = Type::new(Kind::Struct);
        let mut data = vec![];
        let mut add = |name: &str, ty: Type, value: Data| {
            meta.children.push((name.into(), ty));
            data.push(value);
        };
        let int = |v: Option<i64>| v.map_or(Data::Null, Data::Int);
        add("timestamp", Type::new(Kind::Int64).optional(), int(self.timestamp));
        add("partition", Type::new(Kind::Int32).optional(), int(self.partition.map(i64::from)));
        if self.offset.is_some() {
            add("offset", Type::new(Kind::Int64), int(self.offset));
        }
        add("position", Type::new(Kind::Text), Data::Text(String::new()));
        add("now", Type::new(Kind::Int64), Data::Int(now));
        laid.tree("meta", &Node { ty: meta, data: Data::Struct(data) });
        laid
    }
}

// === impl Laid ===

impl Laid {
    fn tree(&mut self, name: &str, node: &Node) {
        node.ty.flatten(name, None, &mut self.fields);
        self.values(&node.ty, &node.data, false);
    }

    /// In the order of `Type::flatten`.
    fn values(&mut self, ty: &Type, data: &Data, orphan: bool) {
        self.nodes.push((Node { ty: ty.clone(), data: data.clone() }, orphan));
        for (i, (_, child)) in ty.children.iter().enumerate() {
            match data {
                Data::Struct(members) => self.values(child, members.get(i).unwrap_or(&Data::Null), false),
                _ => self.values(child, &Data::Null, true),
            }
        }
    }
}

/// Whether two records in JSON are the same: numbers by value, objects whatever the order of their members, `kind` and
/// `timestamp_type` aside.
pub fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(x), Value::Number(y)) => match (x.as_i64(), y.as_i64()) {
            (Some(x), Some(y)) => x == y,
            _ => x.as_f64() == y.as_f64(),
        },
        (Value::Array(x), Value::Array(y)) => x.len() == y.len() && x.iter().zip(y).all(|(x, y)| same(x, y)),
        (Value::Object(x), Value::Object(y)) => {
            let known = |k: &&String| *k != "kind" && *k != "timestamp_type";
            x.keys().filter(known).count() == y.keys().filter(known).count()
                && x.iter().filter(|(k, _)| known(k)).all(|(k, v)| y.get(k).is_some_and(|w| same(v, w)))
        }
        _ => a == b,
    }
}
