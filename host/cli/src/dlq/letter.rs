//! A dead letter, as it is read back from its topic or file.

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::Value;
use std::fmt;
use std::hash::Hasher;
use weir_kafka::Stored;
use weir_runtime::header;

/// A record that a step could not take, and what was said of it.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Letter {
    /// of the topic; 0 in a file
    pub partition: i32,
    /// of the topic; in a file the byte at which its line begins
    pub offset: i64,
    /// of all that it holds: another letter in the same place (of a topic that was made anew) is told from it
    pub digest: u64,
    pub pipeline: String,
    pub step: String,
    pub module: Option<String>,
    pub code: String,
    pub message: String,
    pub position: String,
    /// where the record would have gone
    pub topic: String,
    pub target_partition: Option<i64>,
    pub guest_log: Option<String>,
    pub timestamp: Option<i64>,
    /// `{"schema":…,"payload":…}`; None: there was none
    pub key: Option<Value>,
    pub value: Option<Value>,
    pub headers: Vec<(String, Value)>,
}

/// A line of a file.
#[derive(Deserialize)]
struct Line {
    timestamp: Option<i64>,
    key: Option<Value>,
    value: Option<Value>,
    headers: Pairs,
}

/// An object's members in their order; a name may stand twice.
struct Pairs(Vec<(String, Value)>);

/// FNV-1a: the same on every machine, and good enough to tell one letter from another.
pub struct Fnv(u64);

// === impl Letter ===

impl Letter {
    /// None: it is no letter.
    pub fn of_record(record: &Stored) -> Option<Letter> {
        let mut digest = Fnv::default();
        let json = |bytes: &Option<Vec<u8>>| bytes.as_ref().and_then(|b| serde_json::from_slice(b).ok());
        let mut letter = Letter { partition: record.partition, offset: record.offset, ..Letter::default() };
        (letter.key, letter.value, letter.timestamp) = (json(&record.key), json(&record.value), record.timestamp);
        for bytes in [&record.key, &record.value].into_iter().flatten() {
            digest.write(bytes)
        }
        for (name, value) in &record.headers {
            let bytes = value.as_deref().unwrap_or_default();
            digest.write(name.as_bytes());
            digest.write(bytes);
            if !letter.said(name, &String::from_utf8_lossy(bytes)) {
                letter.headers.push((name.clone(), serde_json::from_slice(bytes).unwrap_or_default()))
            }
        }
        letter.digest = digest.finish();
        letter.is_whole().then_some(letter)
    }

    /// None: it is no letter.
    pub fn of_line(line: &str, offset: i64) -> Option<Letter> {
        let read: Line = serde_json::from_str(line).ok()?;
        let mut digest = Fnv::default();
        digest.write(line.as_bytes());
        let mut letter = Letter { offset, digest: digest.finish(), ..Letter::default() };
        (letter.key, letter.value, letter.timestamp) = (read.key, read.value, read.timestamp);
        for (name, value) in read.headers.0 {
            if !letter.said(&name, value.as_str().unwrap_or_default()) {
                letter.headers.push((name, value))
            }
        }
        letter.is_whole().then_some(letter)
    }

    /// Takes in a header that says something of the failure; false: it is one of the record.
    fn said(&mut self, name: &str, text: &str) -> bool {
        let text = text.to_owned();
        match name {
            header::PIPELINE => self.pipeline = text,
            header::STEP => self.step = text,
            header::MODULE => self.module = Some(text),
            header::CODE => self.code = text,
            header::MESSAGE => self.message = text,
            header::POSITION => self.position = text,
            header::TOPIC => self.topic = text,
            header::PARTITION => self.target_partition = text.parse().ok(),
            header::GUEST_LOG => self.guest_log = Some(text),
            name => return is_context(name),
        }
        true
    }

    fn is_whole(&self) -> bool {
        !self.pipeline.is_empty() && !self.step.is_empty() && !self.topic.is_empty()
    }

    /// For people.
    pub fn place(&self) -> String {
        format!("{}:{}", self.partition, self.offset)
    }
}

/// Whether a header was put there with the letter.
pub fn is_context(name: &str) -> bool {
    name.starts_with(header::PREFIX) || name.starts_with(header::CONNECT_PREFIX)
}

// === impl Pairs ===

impl<'de> Deserialize<'de> for Pairs {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Members;
        impl<'de> Visitor<'de> for Members {
            type Value = Pairs;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Pairs, A::Error> {
                let mut all = vec![];
                while let Some(pair) = map.next_entry()? {
                    all.push(pair)
                }
                Ok(Pairs(all))
            }
        }
        from.deserialize_map(Members)
    }
}

// === impl Fnv ===

impl Default for Fnv {
    fn default() -> Self {
        Fnv(0xcbf2_9ce4_8422_2325)
    }
}

impl Hasher for Fnv {
    fn write(&mut self, bytes: &[u8]) {
        for b in bytes {
            self.0 = (self.0 ^ u64::from(*b)).wrapping_mul(0x0100_0000_01b3)
        }
    }
    fn finish(&self) -> u64 {
        self.0
    }
}
