//! `limits` of a step: what its guest may cost. The defaults are those of the Wasm host, which says why they are so.

use crate::written::Entries;
use crate::{interpolate, measure};
use serde::Serialize;
use std::fmt::Write;
use weir_api::{ConfigDef, Finding, Key, KeyType};

/// What `limits = { … }` takes.
pub static KEYS: ConfigDef = ConfigDef {
    keys: &[
        Key::new("memory", KeyType::String, "The most memory that the guest may have.").default("64MiB"),
        Key::new("watermark", KeyType::String, "Memory beyond which the guest is begun anew; half of `memory`."),
        Key::new("table-elements", KeyType::Int, "Entries of all of the guest's tables.").default("100000"),
        Key::new("time-per-batch", KeyType::String, "The longest that one call may take.").default("1s"),
        Key::new("lifted", KeyType::String, "The most that one call may hand back.").default("64MiB"),
        Key::new("log-rate", KeyType::Int, "Log lines a second, after ten times as many at once.").default("20"),
        Key::new("log-line", KeyType::String, "Bytes of a log line; what is longer is cut.").default("1KiB"),
        Key::new("stack", KeyType::String, "Bytes of stack.")
            .default("512KiB")
            .refused("all guests of a process have 512 KiB: keep what is deep in the guest's memory"),
    ],
    prefixes: &[],
};

/// None: the default.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Limits {
    pub memory_bytes: Option<u64>,
    pub watermark_bytes: Option<u64>,
    pub table_elements: Option<u64>,
    pub time_per_batch_us: Option<u64>,
    pub lifted_bytes: Option<u64>,
    pub log_rate: Option<u64>,
    pub log_line_bytes: Option<u64>,
}

/// A page of WebAssembly's memory: less is none.
const PAGE: u64 = 64 << 10;
/// What 32 bits reach.
const MOST_MEMORY: u64 = 4 << 30;

/// (key, what it takes, how it is read, least, most)
type Range = (&'static str, &'static str, fn(&str) -> Option<u64>, u64, u64);

const RANGES: &[Range] = &[
    ("memory", "a size from 64KiB to 4GiB, as \"16MiB\"", measure::size, PAGE, MOST_MEMORY),
    ("watermark", "a size from 64KiB to 4GiB, as \"8MiB\"", measure::size, PAGE, MOST_MEMORY),
    ("table-elements", "a number up to 10,000,000", count, 0, 10_000_000),
    ("time-per-batch", "a duration from 10ms to 1h, as \"50ms\"", micros, 10_000, 3_600_000_000),
    ("lifted", "a size from 64KiB to 4GiB, as \"16MiB\"", measure::size, PAGE, MOST_MEMORY),
    ("log-rate", "lines a second, from 0 to 100,000", count, 0, 100_000),
    ("log-line", "a size from 16B to 1MiB", measure::size, 16, 1 << 20),
];

fn count(text: &str) -> Option<u64> {
    text.trim().replace('_', "").parse().ok()
}

fn micros(text: &str) -> Option<u64> {
    measure::duration(text).and_then(|d| d.as_micros().try_into().ok())
}

/// What is wrong with them, beside unknown keys.
pub(crate) fn check(entries: &Entries) -> Vec<Finding> {
    let mut found = vec![];
    for (key, takes, read, least, most) in RANGES {
        let Some(entry) = entries.get(key).filter(|e| !interpolate::has_placeholder(&e.text)) else { continue };
        // what is no number at all was said already where the key is declared as one
        let is_said = KEYS.key(key).is_some_and(|k| k.kind == KeyType::Int && k.check(&entry.text).is_some());
        match read(&entry.text) {
            Some(n) if (*least..=*most).contains(&n) => {}
            _ if is_said => {}
            _ => found.push(entry.blame(Finding::error("config.wrong-type", format!("`{key}` takes {takes}")))),
        }
    }
    let limits = Limits::of(entries);
    let (memory, watermark) = (limits.memory_bytes.unwrap_or(64 << 20), limits.watermark_bytes.unwrap_or(0));
    if let Some(entry) = entries.get("watermark").filter(|_| watermark >= memory) {
        let text = "`watermark` is not below `memory`: the guest would fail before it is begun anew";
        found.push(entry.blame(Finding::error("config.not-allowed", text)))
    }
    found
}

// === impl Limits ===

impl Limits {
    pub(crate) fn of(entries: &Entries) -> Self {
        let read = |key: &str| {
            let (_, _, read, ..) = RANGES.iter().find(|r| r.0 == key)?;
            entries.text(key).and_then(read)
        };
        Limits {
            memory_bytes: read("memory"),
            watermark_bytes: read("watermark"),
            table_elements: read("table-elements"),
            time_per_batch_us: read("time-per-batch"),
            lifted_bytes: read("lifted"),
            log_rate: read("log-rate"),
            log_line_bytes: read("log-line"),
        }
    }

    /// As a pipeline file says them.
    pub(crate) fn to_toml(self) -> String {
        let mut out = String::new();
        for (key, value) in [
            ("memory", self.memory_bytes),
            ("watermark", self.watermark_bytes),
            ("table-elements", self.table_elements),
            ("lifted", self.lifted_bytes),
            ("log-rate", self.log_rate),
            ("log-line", self.log_line_bytes),
        ] {
            if let Some(n) = value {
                let _ = writeln!(out, "limits.{key} = {n}");
            }
        }
        if let Some(us) = self.time_per_batch_us {
            let _ = writeln!(out, "limits.time-per-batch = \"{us}us\"");
        }
        out
    }
}
