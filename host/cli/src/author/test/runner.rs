//! A case through a transform, in the chain that pipelines have: one record at a time, with a clock that stands still.

use super::case::Case;
use crate::dlq::rows::Rows;
use crate::guests::Guests;
use serde_json::{Map, Value, json};
use std::sync::Arc;
use weir_api::{Block, Error};
use weir_config::limits::Limits;
use weir_config::plan::{Chosen, Transform, Values};
use weir_converters::{Json, JsonConverter};
use weir_model::Record;
use weir_runtime::{Blocks, Chain, Converters, OnError, RowFailure, Step};

/// A block is cut at about this size: all of a record's in one.
const BLOCK_BYTES: usize = 1 << 20;

/// What comes out of a case's records, in order. Err: it cannot be run at all.
pub fn outcomes(case: &Case, uses: &str, guests: &Arc<Guests>) -> Result<Vec<Value>, Error> {
    let known = guests.component(uses)?.def;
    if let Some((name, _)) = case.options().find(|(name, _)| known.is_some_and(|def| !def.takes(name))) {
        return Err(Error::input("test.option", format!("`{uses}` has no option `{name}` (case {})", case.name()))
            .help(format!("`weir explain {uses}` lists its options")));
    }
    let mut values = Values::default();
    values.values.extend(case.options());
    let step = Transform {
        name: "transform".into(),
        uses: Chosen { kind: uses.into(), settings: values },
        when: None,
        negate: false,
        limits: Limits::default(),
        on_error: weir_config::errors::OnError::Fail,
    };
    let transform = match guests.transform(&step) {
        Ok(transform) => transform,
        // a case may be about options that are refused
        Err(e) => return Ok(vec![error(e.code(), e.message())]),
    };
    let step = Step { name: step.name.as_str().into(), transform, on_error: OnError::Fail };
    let json = Arc::new(JsonConverter(Json { schemas: true, numeric: false, defaults: false }));
    let (key, value, header) = (json.clone(), json.clone(), json);
    let mut chain = Chain::new(vec![step], Converters { key, value, header, on_error: OnError::Fail }, BLOCK_BYTES);
    let (mut rows, mut all, schemas) = (Rows::default(), vec![], case.has_schemas());
    for letter in case.letters()? {
        let window = rows.window(&letter).map_err(|why| {
            Error::input("test.case", format!("a record of case {} does not fit its schema: {why}", case.name()))
        });
        let mut window = window?;
        for batch in &mut window.batches {
            batch.now_ns = case.now.saturating_mul(1_000_000)
        }
        match chain.run(&mut window) {
            Ok(blocks) => all.extend(of(&blocks, schemas)),
            Err(e) => all.push(error(e.code(), e.message())),
        }
    }
    Ok(all)
}

fn error(code: &str, message: &str) -> Value {
    json!({"error": code, "message": message})
}

/// What a record became.
fn of(blocks: &Blocks, schemas: bool) -> Vec<Value> {
    if let Some(RowFailure { failure, .. }) = &blocks.failed {
        return vec![error(&failure.code, &failure.message)];
    }
    let records: Vec<Value> =
        blocks.blocks.iter().flat_map(|b| b.records.iter().map(|r| record(b, r, schemas))).collect();
    match records.is_empty() {
        true => vec![json!({"drop": blocks.dropped.keys().next().map_or("", |name| &*name.rule)})],
        false => records,
    }
}

fn record(block: &Block, r: &Record, schemas: bool) -> Value {
    let part = |bytes: Option<&[u8]>| {
        let whole: Option<Value> = bytes.and_then(|b| serde_json::from_slice(b).ok());
        match (whole, schemas) {
            (Some(Value::Object(mut o)), false) => o.remove("payload").unwrap_or_default(),
            (whole, _) => whole.unwrap_or_default(),
        }
    };
    let mut out = Map::new();
    let topic = block.route(r).map_or("", |route| &route.topic);
    out.insert("topic".into(), topic.into());
    block.key(r).iter().for_each(|key| drop(out.insert("key".into(), part(Some(key)))));
    out.insert("value".into(), part(block.value(r)));
    let headers: Vec<(&str, Value)> = block.headers(r).map(|(name, v)| (name, part(v))).collect();
    if !headers.is_empty() {
        out.insert("headers".into(), named(headers));
    }
    if r.timestamp != Record::NO_TIMESTAMP {
        out.insert("timestamp".into(), r.timestamp.into());
    }
    if r.partition >= 0 {
        out.insert("partition".into(), r.partition.into());
    }
    Value::Object(out)
}

/// An object; a list of objects where a name stands twice.
fn named(headers: Vec<(&str, Value)>) -> Value {
    let object: Map<String, Value> = headers.iter().map(|(name, v)| (name.to_string(), v.clone())).collect();
    match object.len() == headers.len() {
        true => Value::Object(object),
        false => headers.into_iter().map(|(name, v)| json!({ name: v })).collect(),
    }
}
