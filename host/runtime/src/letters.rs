//! Dead letters: the record as it came into the step that refused it, and headers that say what happened.
//!
//! Key, value and headers carry their schemas, so that a letter can be sent again through the chain from that step on.

use crate::blocks::BlockWriter;
use crate::failures::{At, Failed, Stage, position};
use std::sync::Arc;
use weir_api::{Block, Route};
use weir_model::{Batch, Buffer, Name, Node, Record, Type, Value};

/// How a key, a value or a header of a letter is written: with its schema, and without refusing anything.
pub type Notation = Arc<dyn Fn(&Type, &Value, &mut Buffer) + Send + Sync>;

/// What is told of rows that fail, beside the counters.
#[derive(Clone)]
pub struct Reports {
    pub pipeline: Name,
    pub notation: Notation,
    /// a line in the log for each row
    pub log: bool,
    /// with the record's key and value in it
    pub log_records: bool,
    pub dead_letters: Option<DeadLetters>,
}

/// Where letters go. The sink itself is the task's.
#[derive(Clone, Debug, Default)]
pub struct DeadLetters {
    /// None: each under the topic of its record, for a sink that has but one place
    pub topic: Option<Name>,
    /// with Kafka Connect's headers too
    pub connect_headers: bool,
}

/// Names of a letter's headers; the record's own stand before them.
pub mod header {
    /// what all of ours begin with
    pub const PREFIX: &str = "__weir.error.";
    pub const PIPELINE: &str = "__weir.error.pipeline";
    pub const STEP: &str = "__weir.error.step";
    /// the code of the step: "weir:filter@sha256:…"
    pub const MODULE: &str = "__weir.error.module";
    pub const CODE: &str = "__weir.error.code";
    pub const MESSAGE: &str = "__weir.error.message";
    /// as the envelope's `source.sequence`
    pub const POSITION: &str = "__weir.error.position";
    /// where the record would have gone
    pub const TOPIC: &str = "__weir.error.topic";
    /// only where the record names one
    pub const PARTITION: &str = "__weir.error.partition";
    /// what the guest logged while it failed this record, a line each
    pub const GUEST_LOG: &str = "__weir.error.guest-log";
    /// what all of Kafka Connect's begin with
    pub const CONNECT_PREFIX: &str = "__connect.errors.";
}

/// Bytes of a message in a header.
const MOST_MESSAGE: usize = 4096;

// === writing ===

/// Appends a letter; false: it has no route, because there are too many.
pub(crate) fn write(
    letters: &mut BlockWriter,
    reports: &Reports,
    stage: &Stage,
    failed: &Failed,
    batch: &Batch,
    done: &mut Vec<Arc<Block>>,
) -> bool {
    let own = context(reports, stage, failed, batch);
    let layout = &failed.layout;
    let names = layout.headers.iter().map(|h| h.0.clone()).chain(own.iter().map(|(name, _)| (*name).into()));
    let dead = reports.dead_letters.as_ref();
    let topic = dead.and_then(|d| d.topic.clone()).unwrap_or_else(|| topic(failed));
    let Some(route) = letters.route(Route { topic, headers: names.collect() }) else { return false };
    let out = letters.out();
    let (start, headers) = (out.data.len() as u32, out.header_ends.len() as u32);
    let mut record = Record { route, start, headers, partition: -1, ..Record::default() };
    if root(reports, &layout.key, failed, batch, &mut out.data) {
        record.has |= Record::KEY
    }
    record.key = out.data.len() as u32;
    if root(reports, &layout.value, failed, batch, &mut out.data) {
        record.has |= Record::VALUE
    }
    record.value = out.data.len() as u32;
    for (_, node) in &layout.headers {
        (reports.notation)(&node.full_type(), &value(node, failed, batch), &mut out.data);
        out.header_ends.push(out.data.len() as u32)
    }
    for (_, text) in &own {
        out.data.put(text.as_bytes());
        out.header_ends.push(out.data.len() as u32)
    }
    record.timestamp = value(&layout.timestamp, failed, batch).as_int().unwrap_or(Record::NO_TIMESTAMP);
    letters.put(record, done);
    true
}

/// Writes a key or a value; false: there is none (a tombstone).
pub(crate) fn root(reports: &Reports, node: &Node, failed: &Failed, batch: &Batch, out: &mut Buffer) -> bool {
    let value = value(node, failed, batch);
    if value.is_null() && (node.ty.schemaless || node.is_nothing()) {
        return false;
    }
    (reports.notation)(&node.full_type(), &value, out);
    true
}

fn value(node: &Node, failed: &Failed, batch: &Batch) -> Value {
    let row = batch.rows.get(failed.row as usize);
    row.map_or(Value::Null, |row| node.value_as_it_came(batch, row, failed.row, &failed.layout.unavailable))
}

fn topic(failed: &Failed) -> Name {
    failed.layout.topic_name().cloned().unwrap_or_else(|| "?".into())
}

/// What the step said; a guest may say any amount.
fn message(failed: &Failed) -> String {
    let all = &failed.failure.message;
    let end = (0..=MOST_MESSAGE.min(all.len())).rev().find(|i| all.is_char_boundary(*i));
    all.get(..end.unwrap_or(0)).unwrap_or_default().to_owned()
}

/// Headers that say what failed, and why.
fn context(reports: &Reports, stage: &Stage, failed: &Failed, batch: &Batch) -> Vec<(&'static str, String)> {
    let text = |n: &Name| n.to_string();
    let position = position(failed, batch);
    let partition = value(&failed.layout.partition, failed, batch).as_int().map(|p| p.to_string());
    let mut all = vec![
        (header::PIPELINE, text(&reports.pipeline)),
        (header::STEP, text(&stage.name)),
        (header::CODE, text(&failed.failure.code)),
        (header::MESSAGE, message(failed)),
        (header::POSITION, position.clone()),
        (header::TOPIC, text(&topic(failed))),
    ];
    all.extend(stage.module.as_ref().map(|m| (header::MODULE, text(m))));
    all.extend(partition.clone().map(|p| (header::PARTITION, p)));
    all.extend(failed.log.as_ref().map(|l| (header::GUEST_LOG, text(l))));
    if reports.dead_letters.as_ref().is_some_and(|d| d.connect_headers) {
        all.extend(connect(reports, stage, failed, position, partition));
    }
    all
}

/// Kafka Connect's own headers, with their meanings where a source's record has what they mean.
fn connect(
    reports: &Reports,
    stage: &Stage,
    failed: &Failed,
    position: String,
    partition: Option<String>,
) -> Vec<(&'static str, String)> {
    let text = |n: &Name| n.to_string();
    let code = &failed.failure.code;
    let class = stage.module.as_ref().map_or_else(|| text(&stage.name), text);
    let stage = match failed.at {
        At::Step(_) => "TRANSFORMATION",
        At::Converter => "VALUE_CONVERTER",
        At::Sink => "KAFKA_PRODUCE",
    };
    // a failure's code is the Java class of the exception where the transform has a Java original
    let exception = text(code);
    let mut all = vec![
        ("__connect.errors.topic", text(&topic(failed))),
        ("__connect.errors.offset", position),
        ("__connect.errors.connector.name", text(&reports.pipeline)),
        ("__connect.errors.task.id", "0".into()),
        ("__connect.errors.stage", stage.into()),
        ("__connect.errors.class.name", class),
        ("__connect.errors.exception.class.name", exception),
        ("__connect.errors.exception.message", message(failed)),
        ("__connect.errors.exception.stacktrace", format!("{code}: {}", message(failed))),
    ];
    all.extend(partition.map(|p| ("__connect.errors.partition", p)));
    all
}
