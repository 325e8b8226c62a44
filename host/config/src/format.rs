//! What keys and values are written as: `value.format = "json"`, or a converter's class name with its settings.

use crate::catalog::nearest;
use crate::written::{Door, Entry, Written};
use weir_api::{ConfigDef, Finding, Key, KeyType};

/// A converter that there is.
pub struct Format {
    /// of the resolved plan: "json", "string", "bytes"
    pub kind: &'static str,
    /// names for `key.format` and `value.format`, each with what it sets
    pub names: &'static [(&'static str, &'static [(&'static str, &'static str)])],
    pub classes: &'static [&'static str],
    pub def: ConfigDef,
}

/// Settings of a converter, before defaults.
pub type Set = Vec<Entry>;

const SCHEMAS: &str = "schemas.enable";

pub static FORMATS: &[Format] = &[
    Format {
        kind: "json",
        names: &[("json", &[(SCHEMAS, "false")]), ("json-with-schema", &[(SCHEMAS, "true")])],
        classes: &["org.apache.kafka.connect.json.JsonConverter", "JsonConverter", "Json"],
        def: ConfigDef {
            keys: &[
                Key::new(SCHEMAS, KeyType::Boolean, "Whether each message holds its schema.").default("true"),
                Key::new("schemas.cache.size", KeyType::Int, "Schemas kept.")
                    .default("1000")
                    .ignored("schemas are compiled once"),
                Key::new("decimal.format", KeyType::String, "Decimals as base64 or as numbers.")
                    .default("BASE64")
                    .one_of(&["BASE64", "NUMERIC"]),
                Key::new("replace.null.with.default", KeyType::Boolean, "Whether a field's default stands for null.")
                    .default("true"),
            ],
            prefixes: &[],
        },
    },
    Format {
        kind: "string",
        names: &[("string", &[])],
        classes: &["org.apache.kafka.connect.storage.StringConverter", "StringConverter", "String"],
        def: ConfigDef {
            keys: &[Key::new("converter.encoding", KeyType::String, "Encoding of the text.")
                .default("UTF-8")
                .refused("leave it at \"UTF-8\"")],
            prefixes: &[],
        },
    },
    Format {
        kind: "bytes",
        names: &[("bytes", &[])],
        classes: &["org.apache.kafka.connect.converters.ByteArrayConverter", "ByteArrayConverter", "ByteArray"],
        def: ConfigDef { keys: &[], prefixes: &[] },
    },
];

/// Formats that are known and that there is no converter for.
const MISSING: &[&str] = &["avro", "protobuf", "json-schema"];
const WORKING: &str = "\"json\", \"json-with-schema\", \"string\" or \"bytes\"";
const HEADERS: &[&str] = &["org.apache.kafka.connect.storage.SimpleHeaderConverter", "SimpleHeaderConverter", "Simple"];

/// What a side resolves to.
pub struct Chosen {
    pub format: &'static Format,
    pub settings: Set,
}

/// The converter of a side ("key", "value"), and what is wrong with it.
pub fn choose(written: &Written, side: &str) -> (Option<Chosen>, Vec<Finding>) {
    let mut findings = vec![];
    let (format_key, class_key) = (format!("{side}.format"), format!("{side}.converter"));
    let below = format!("{class_key}.");
    let short = written.converters.get(&format_key).filter(|_| written.door == Door::Toml);
    let class = written.converters.get(&class_key);
    if let (Some(short), Some(_)) = (short, class) {
        let finding = Finding::error("config.conflict", format!("`{format_key}` and `{class_key}` say the same thing"));
        findings.push(short.blame_key(finding.help("keep one of them")));
    }
    let chosen = match (short.or(class), written.door) {
        (Some(entry), _) => named(&entry.text).ok_or(entry),
        (None, Door::Toml) => FORMATS.first().map(|f| (f, f.names.first().map_or(&[][..], |n| n.1))).ok_or(&UNSET),
        (None, Door::Connect) => {
            let finding = Finding::error("config.missing", format!("`{class_key}` must be set")).key(class_key);
            findings.push(finding.help("the connector names no converter, and no worker properties give one"));
            return (None, findings);
        }
    };
    let (format, preset) = match chosen {
        Ok(found) => found,
        Err(entry) => {
            findings.push(unknown(entry));
            return (None, findings);
        }
    };
    let mut settings: Set = preset.iter().map(|(k, v)| Entry::new(*k, *v)).collect();
    for entry in written.converters.iter() {
        let Some(key) = entry.key.strip_prefix(&below) else { continue };
        settings.retain(|e| e.key != key);
        settings.push(entry.renamed(key));
    }
    (Some(Chosen { format, settings }), findings)
}

static UNSET: Entry = Entry { key: String::new(), text: String::new(), key_at: None, value_at: None, verbatim: None };

type Found = (&'static Format, &'static [(&'static str, &'static str)]);

fn named(text: &str) -> Option<Found> {
    let wanted = text.trim();
    FORMATS.iter().find_map(|format| {
        let short = format.names.iter().find(|(name, _)| *name == wanted).map(|(_, preset)| *preset);
        let class = format.classes.contains(&wanted).then_some(&[][..]);
        short.or(class).map(|preset| (format, preset))
    })
}

fn unknown(entry: &Entry) -> Finding {
    let wanted = entry.text.trim();
    let lower = wanted.to_ascii_lowercase().replace("schema", "-schema").replace("--", "-");
    let known = MISSING
        .iter()
        .find(|m| lower == **m || lower.contains(&format!("{m}converter")) || lower.contains(&format!(".{m}.")));
    if known.is_some() || wanted.ends_with("Converter") {
        let finding =
            Finding::error("config.not-supported", format!("`{}` = \"{wanted}\" is not supported", entry.key));
        return entry.blame(finding.help(format!("what works: {WORKING}, or the classes of these")));
    }
    let names = FORMATS.iter().flat_map(|f| f.names.iter().map(|(n, _)| *n).chain(f.classes.first().copied()));
    let finding = Finding::error("config.unknown-format", format!("there is no format \"{wanted}\""));
    entry.blame(match nearest(wanted, names) {
        Some(near) => finding.help(format!("did you mean \"{near}\"?")),
        None => finding.help(format!("one of: {WORKING}")),
    })
}

/// Headers are written as Kafka Connect's default does; nothing else is there.
pub fn check_headers(written: &Written) -> Option<Finding> {
    let entry = written.converters.get("header.converter")?;
    let finding =
        Finding::error("config.not-supported", format!("`{}` = \"{}\" is not supported", entry.key, entry.text));
    let finding = finding.help(format!("leave it out, or set it to {}", HEADERS.first().unwrap_or(&"")));
    (!HEADERS.contains(&entry.text.trim())).then(|| entry.blame(finding))
}
