//! Dead letters in a file: a line each, synced to disk before it is acknowledged, with all that is needed to send it again.

use crate::file::Sheet;
use crate::line::{Text, string, value};
use crate::pen::Pen;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use weir_api::{Block, BlockId, Error, Record, Sink};

/// Appends letters whose keys, values and own headers are JSON.
pub struct LetterFile {
    pen: Pen,
    /// whether a header of this name is text: what was said of the failure, and not a header of the record
    is_text: fn(&str) -> bool,
}

// === impl LetterFile ===

impl LetterFile {
    pub fn open(path: &Path, is_text: fn(&str) -> bool) -> Result<Self, Error> {
        Ok(LetterFile { pen: Pen::start("dead-letters", Sheet::open(path)?, true)?, is_text })
    }
}

impl Sink for LetterFile {
    fn deliver(&mut self, block: &Arc<Block>, from: usize) -> Result<usize, Error> {
        let is_text = self.is_text;
        self.pen.deliver(block, from, |block, record, out| line(block, record, is_text, out))
    }
    fn poll(&mut self, wait: Duration, done: &mut Vec<BlockId>) -> Result<(), Error> {
        self.pen.poll(wait, done)
    }
    fn flush(&mut self, deadline: Instant, done: &mut Vec<BlockId>) -> Result<(), Error> {
        self.pen.flush(deadline, done)
    }
}

/// Appends `{"topic":…,"timestamp":…,"key":…,"value":…,"headers":{…}}` and a line feed. Of a tombstone the value is missing, and
/// of a record without key the key: null is a value that has a schema.
fn line(block: &Block, record: &Record, is_text: fn(&str) -> bool, out: &mut Vec<u8>) {
    let Some(route) = block.route(record) else { return };
    out.extend_from_slice(b"{\"topic\":");
    string(&route.topic, out);
    if record.timestamp != Record::NO_TIMESTAMP {
        out.extend_from_slice(format!(",\"timestamp\":{}", record.timestamp).as_bytes());
    }
    for (name, bytes) in [(&b",\"key\":"[..], block.key(record)), (b",\"value\":", block.value(record))] {
        if bytes.is_some() {
            out.extend_from_slice(name);
            value(Text::Json, bytes, out);
        }
    }
    out.extend_from_slice(b",\"headers\":{");
    for (i, (name, bytes)) in block.headers(record).enumerate() {
        if i > 0 {
            out.push(b',');
        }
        string(name, out);
        out.push(b':');
        value(if is_text(name) { Text::Text } else { Text::Json }, bytes, out);
    }
    out.extend_from_slice(b"}}\n");
}

#[cfg(test)]
mod tests {
    use super::*;
    use weir_api::Route;

    #[test]
    fn a_letter_is_one_line_that_can_be_read_again() {
        let headers = ["own", "__weir.error.message"].map(|n| n.into());
        let route = Arc::new(Route { topic: "shop.orders".into(), headers: headers.into() });
        let data = b"{\"a\":1}7\"quoted\"".to_vec();
        let record = Record { has: Record::KEY, start: 0, key: 7, value: 7, timestamp: 5, ..Record::default() };
        let block = Block { id: 0, data, records: vec![record], header_ends: vec![8, 16], routes: [route].into() };
        let mut out = vec![];
        line(&block, &record, |name| name.starts_with("__weir."), &mut out);
        let json: serde_json::Value = serde_json::from_slice(&out).unwrap();
        let wanted = serde_json::json!({
            "topic": "shop.orders", "timestamp": 5, "key": {"a": 1},
            "headers": {"own": 7, "__weir.error.message": "\"quoted\""}
        });
        assert_eq!(json, wanted);
        assert!(out.ends_with(b"}\n") && out.iter().filter(|b| **b == b'\n').count() == 1);
    }
}
