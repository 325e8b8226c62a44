//! Where offsets last: the embedded file, and memory for tests.
//!
//! What is kept is what Kafka Connect keeps: for each source partition of a pipeline its offset, both JSON objects; and small
//! named values that a source needs beside them. A save is all or nothing, and lasts when it returns (invariant 1).

pub mod embedded;
pub mod memory;

pub use embedded::Embedded;
pub use memory::Memory;

use serde::Serialize;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use weir_api::Error;

/// A JSON object, as Kafka Connect keeps partitions and offsets.
pub type Json = Map<String, Value>;

/// How far a pipeline has come in one source partition.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Offset {
    pub partition: Json,
    pub offset: Json,
}

/// All that is stored for a pipeline.
#[derive(Clone, PartialEq, Debug, Default, Serialize)]
pub struct Stored {
    /// ordered by partition (its members sorted by name)
    pub offsets: Vec<Offset>,
    pub values: BTreeMap<String, Vec<u8>>,
}

/// What one save changes; `None` removes. Everything else stays.
#[derive(Clone, Copy, Debug, Default)]
pub struct Change<'a> {
    pub offsets: &'a [(&'a Json, Option<&'a Json>)],
    pub values: &'a [(&'a str, Option<&'a [u8]>)],
}

/// Handles on one store may be many (one a pipeline); each is cheap to clone and goes to its own thread.
pub trait Store: Send {
    /// None: nothing is stored for this pipeline.
    fn load(&self, pipeline: &str) -> Result<Option<Stored>, Error>;

    /// All of the change or none of it; durable when this returns. After an error the old state holds (when the error is about
    /// the disk, the new one may hold instead).
    fn save(&mut self, pipeline: &str, change: Change<'_>) -> Result<(), Error>;

    /// Forgets everything of a pipeline, durably; false: there was nothing.
    fn reset(&mut self, pipeline: &str) -> Result<bool, Error>;

    /// Pipelines that have something stored, sorted.
    fn list(&self) -> Result<Vec<String>, Error>;
}

impl Stored {
    pub fn offset(&self, partition: &Json) -> Option<&Json> {
        self.offsets.iter().find(|o| o.partition == *partition).map(|o| &o.offset)
    }
    /// Every offset as JSON, in the shape of Kafka Connect's REST answer.
    pub fn show(&self) -> Value {
        serde_json::json!({ "offsets": self.offsets })
    }
}

/// One spelling for each partition, whatever the order of its members.
fn spelling(partition: &Json) -> String {
    fn sorted(value: &Value) -> Value {
        match value {
            Value::Object(map) => Value::Object(object(map)),
            Value::Array(items) => Value::Array(items.iter().map(sorted).collect()),
            other => other.clone(),
        }
    }
    fn object(map: &Json) -> Json {
        let by_name: BTreeMap<_, _> = map.iter().map(|(k, v)| (k.clone(), sorted(v))).collect();
        by_name.into_iter().collect()
    }
    Value::Object(object(partition)).to_string()
}
