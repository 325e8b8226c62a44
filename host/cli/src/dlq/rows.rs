//! Dead letters as rows again: a letter's record becomes computed columns of a batch, laid out as its schema says.

use super::letter::Letter;
use serde_json::Value as Json;
use std::collections::HashMap;
use std::sync::Arc;
use weir_converters::letter::read;
use weir_model::{
    Batch, Column, Fate, Kind, Layout, Leaf, NEVER, Name, Node, Program, Row, Stream, Transaction, Type, Value, Window,
};

/// Streams of letters that are alike.
#[derive(Default)]
pub struct Rows {
    streams: HashMap<String, Arc<Stream>>,
}

/// A part of a record, as it was read.
type Part = Option<(Type, Value)>;

// === impl Rows ===

impl Rows {
    /// The letter's record as a window of one row. Err says what of it cannot be read, and holds no value.
    pub fn window(&mut self, letter: &Letter) -> Result<Window, String> {
        let part = |what: &str, json: &Json| read(json).map_err(|e| format!("its {what} cannot be read back: {e}"));
        let root = |what: &str, json: &Option<Json>| json.as_ref().map(|j| part(what, j)).transpose();
        let (key, value) = (root("key", &letter.key)?, root("value", &letter.value)?);
        let headers = letter.headers.iter().map(|(name, json)| Ok((name.as_str(), part("header", json)?)));
        let headers = headers.collect::<Result<Vec<_>, String>>()?;
        let stream = self.stream(letter, &key, &value, &headers);
        let of = |part: &Part| Column::Values(vec![part.as_ref().map_or(Value::Null, |(_, v)| v.clone())]);
        let number = |n: Option<i64>| Column::Values(vec![n.map_or(Value::Null, Value::Int)]);
        let mut columns = vec![of(&key), of(&value), number(letter.timestamp), number(letter.target_partition)];
        columns.extend(headers.into_iter().map(|(_, (_, v))| Column::Values(vec![v])));
        let mut batch = Batch::new(stream, Default::default(), letter.timestamp.unwrap_or(0).saturating_mul(1_000_000));
        let (last_commit, position) = sequence(&letter.position);
        let commit_us = letter.timestamp.unwrap_or(0).saturating_mul(1000);
        batch.transactions.push(Transaction { commit_us, last_commit, ..Transaction::default() });
        batch.rows.push(Row { position, ..Row::default() });
        batch.columns = columns;
        let mut window = Window::default();
        window.push_run(0, 0, 1);
        window.batches.push(batch);
        Ok(window)
    }

    /// Letters of one topic and schema, whose nulls are in the same structs, are rows of one stream.
    fn stream(&mut self, letter: &Letter, key: &Part, value: &Part, headers: &[(&str, (Type, Value))]) -> Arc<Stream> {
        let mut alike = format!("{}\n", letter.topic);
        let schema = |json: &Option<Json>| json.as_ref().and_then(|j| j.get("schema")).map(Json::to_string);
        for (schema, part) in [(schema(&letter.key), key), (schema(&letter.value), value)] {
            alike.push_str(&schema.unwrap_or_default());
            part.iter().for_each(|(ty, v)| nulls(ty, v, &mut alike));
            alike.push('\n')
        }
        for ((name, json), (_, (ty, v))) in letter.headers.iter().zip(headers) {
            alike.push_str(&format!("{name}\n{}", json.get("schema").unwrap_or(&Json::Null)));
            nulls(ty, v, &mut alike)
        }
        let id = self.streams.len() as u64 + 1;
        let make = || {
            Arc::new(Stream {
                id,
                name: letter.topic.as_str().into(),
                width: 0,
                program: program(letter, key, value, headers),
            })
        };
        self.streams.entry(alike).or_insert_with(make).clone()
    }
}

fn program(letter: &Letter, key: &Part, value: &Part, headers: &[(&str, (Type, Value))]) -> Program {
    let column = |i: usize| Leaf::Column(i as u16);
    let root = |part: &Part, i| part.as_ref().map_or_else(Node::nothing, |(ty, v)| node(ty, v, column(i)));
    let number = |i| Node::leaf(Type::new(Kind::Int64).optional(true), column(i));
    let header =
        |(i, (name, (ty, v))): (usize, &(&str, (Type, Value)))| (Name::from(*name), node(ty, v, column(4 + i)));
    let layout = Layout {
        topic: Node::text(&letter.topic),
        key: root(key, 0),
        value: root(value, 1),
        timestamp: number(2),
        partition: number(3),
        headers: headers.iter().enumerate().map(header).collect(),
        set: 0,
        unset: NEVER,
        unavailable: "".into(),
    };
    let mut program = Program::source(Fate::Emit(0), vec![layout]);
    program.columns = 4 + headers.len() as u16;
    program
}

/// Structs are laid open, so that transforms can work on their fields; one that is null is so in all rows of the stream.
fn node(ty: &Type, value: &Value, leaf: Leaf) -> Node {
    if ty.kind != Kind::Struct {
        return Node::leaf(ty.clone(), leaf);
    }
    let inner = Arc::new(leaf);
    let members = match value {
        Value::Struct(members) => &members[..],
        _ => &[],
    };
    let field = |(i, m): (usize, &weir_model::Member)| {
        let leaf = Leaf::Within(inner.clone(), i as u16);
        (m.name.clone(), node(&m.ty, members.get(i).unwrap_or(&Value::Null), leaf))
    };
    let fields = ty.of.iter().enumerate().map(field).collect();
    let group = Node::group(Type { of: Arc::from([]), ..ty.clone() }, fields);
    if value.is_null() { group.guarded(NEVER) } else { group }
}

/// Which structs are null.
fn nulls(ty: &Type, value: &Value, out: &mut String) {
    if ty.kind != Kind::Struct {
        return;
    }
    match value {
        Value::Struct(members) => {
            out.push('(');
            ty.of.iter().zip(members.iter()).for_each(|(m, v)| nulls(&m.ty, v, out));
            out.push(')')
        }
        _ => out.push('-'),
    }
}

/// The commit before the row's transaction, and the row's own place.
fn sequence(text: &str) -> (u64, u64) {
    let parts: Vec<Option<String>> = serde_json::from_str(text).unwrap_or_default();
    let number = |i: usize| parts.get(i).cloned().flatten().and_then(|n| n.parse().ok()).unwrap_or(0);
    (number(0), number(1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use weir_converters::{JsonConverter, SimpleHeader};
    use weir_runtime::{Chain, Converters, OnError};

    /// A letter of an order, whose `before` may be null.
    fn letter(before: Json, id: Json) -> Letter {
        let field = |name: &str, ty: &str| json!({"type": ty, "optional": false, "field": name});
        let row = |name: &str| json!({"type": "struct", "optional": true, "field": name, "fields": [field("id", "int32"), field("v", "string")]});
        let schema = json!({"type": "struct", "optional": false, "fields": [row("before"), row("after"), field("op", "string")]});
        let payload = json!({"before": before, "after": {"id": id, "v": "a"}, "op": "u"});
        let header = json!({"schema": {"type": "int64", "optional": false}, "payload": 5});
        Letter {
            topic: "shop.orders".into(),
            position: "[\"3\",\"4\"]".into(),
            timestamp: Some(7),
            value: Some(json!({"schema": schema, "payload": payload})),
            headers: vec![("own".into(), header)],
            ..Letter::default()
        }
    }

    #[test]
    fn a_letter_is_its_record_again() {
        let json = Arc::new(JsonConverter(Default::default()));
        let on_error = OnError::Fail;
        let converters = Converters { key: json.clone(), value: json, header: Arc::new(SimpleHeader), on_error };
        let mut chain = Chain::new(vec![], converters, 1024);
        let mut rows = Rows::default();
        for before in [Json::Null, json!({"id": 1, "v": "b"}), Json::Null] {
            let letter = letter(before, json!(2));
            let blocks = chain.run(&mut rows.window(&letter).unwrap()).unwrap();
            let block = &blocks.blocks[0];
            let record = &block.records[0];
            let value: Json = serde_json::from_slice(block.value(record).unwrap()).unwrap();
            assert_eq!(value, letter.value.unwrap()["payload"]);
            assert_eq!((block.key(record), record.timestamp), (None, 7));
            assert_eq!(block.headers(record).collect::<Vec<_>>(), [("own", Some(&b"5"[..]))]);
            assert_eq!(&*block.route(record).unwrap().topic, "shop.orders");
        }
        assert_eq!(rows.streams.len(), 2, "letters that are alike share a stream");
    }

    #[test]
    fn what_no_converter_took_says_so_and_shows_no_value() {
        let why = Rows::default().window(&letter(Json::Null, json!("secret"))).unwrap_err();
        assert_eq!(why, "its value cannot be read back: `after.id` is no int32");
    }
}
