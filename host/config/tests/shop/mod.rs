//! A small catalog that has every sort of key, for the tests.
#![allow(dead_code)]

use weir_api::{ConfigDef, Finding, Key, KeyType, Settings};
use weir_config::{Catalog, Component};

static POSTGRES: ConfigDef = ConfigDef {
    keys: &[
        Key::new("database.hostname", KeyType::String, "Host of the server."),
        Key::new("database.port", KeyType::Int, "Port of the server.").default("5432"),
        Key::new("database.user", KeyType::String, "User."),
        Key::new("database.password", KeyType::Password, "Password."),
        Key::new("database.dbname", KeyType::String, "Database."),
        Key::new("url", KeyType::String, "All of it in one."),
        Key::new("pass", KeyType::Password, "A password under a name that does not say so.").one_of(&["a", "b"]),
        Key::new("topic.prefix", KeyType::String, "First part of every topic's name.").required(),
        Key::new("table.include.list", KeyType::List, "Tables to capture."),
        Key::new("snapshot.mode", KeyType::String, "When to take a snapshot.")
            .default("initial")
            .one_of(&["initial", "no_data"]),
        Key::new("snapshot.mode.custom.name", KeyType::String, "A snapshotter of one's own.")
            .refused("use snapshot.mode"),
        Key::new("plugin.name", KeyType::String, "Output plugin.")
            .default("pgoutput")
            .refused("set it to \"pgoutput\""),
        Key::new("tombstones.on.delete", KeyType::Boolean, "A tombstone behind each delete.").default("true"),
        Key::new("heartbeat.interval.ms", KeyType::Millis, "Pause between heartbeats.").default("0"),
        Key::new("max.queue.size", KeyType::Int, "Events that may wait.").ignored("the window is bounded in bytes"),
        Key::new("ratio", KeyType::Double, "A number."),
    ],
    prefixes: &["driver."],
};
static KAFKA: ConfigDef = ConfigDef {
    keys: &[
        Key::new("bootstrap.servers", KeyType::List, "Brokers to start from.").required(),
        Key::new("linger.ms", KeyType::Millis, "Wait for more."),
        Key::new("acks", KeyType::String, "Who has to have it.").default("all").refused("leave it at \"all\""),
    ],
    prefixes: &["topic.creation.", "sasl.", "ssl."],
};
static KAFKA_SOURCE: ConfigDef = ConfigDef {
    keys: &[
        Key::new("bootstrap.servers", KeyType::List, "Brokers to start from.").required(),
        Key::new("topics", KeyType::List, "Topics to read."),
        Key::new("auto.offset.reset", KeyType::String, "Where to begin."),
    ],
    prefixes: &[],
};
static FILE: ConfigDef =
    ConfigDef { keys: &[Key::new("file", KeyType::String, "The file.").required()], prefixes: &[] };
static NONE: ConfigDef = ConfigDef { keys: &[], prefixes: &[] };
static FILTER: ConfigDef = ConfigDef {
    keys: &[
        Key::new("condition", KeyType::String, "What to keep.").required(),
        Key::new("language", KeyType::String, "Its language."),
    ],
    prefixes: &[],
};
static UNWRAP: ConfigDef = ConfigDef {
    keys: &[
        Key::new("add.fields", KeyType::List, "Metadata to add."),
        Key::new("drop.tombstones", KeyType::Boolean, "Whether."),
    ],
    prefixes: &[],
};
static ROUTER: ConfigDef = ConfigDef {
    keys: &[
        Key::new("regex", KeyType::String, "Topics to rename.").required(),
        Key::new("replacement", KeyType::String, "Their new name.").required(),
    ],
    prefixes: &[],
};
static MATCHES: ConfigDef =
    ConfigDef { keys: &[Key::new("pattern", KeyType::String, "A regular expression.").required()], prefixes: &[] };

/// A check of settings that belong together; it also repeats what the definition says, as real ones do.
fn together(settings: &Settings) -> Vec<Finding> {
    let has = |key: &str| settings.values.contains_key(key);
    let mut findings = vec![];
    if has("url") && has("database.hostname") {
        findings.push(Finding::error("config.conflict", "`url` already names a host").key("database.hostname"));
    }
    if !has("topic.prefix") {
        findings.push(Finding::error("config.missing", "`topic.prefix` must be set").key("topic.prefix"));
    }
    findings
}

pub fn catalog() -> Catalog {
    let of = Component::new;
    Catalog {
        sources: vec![
            of(&["postgres", "io.debezium.connector.postgresql.PostgresConnector"], POSTGRES).with_check(together),
            of(&["kafka"], KAFKA_SOURCE),
        ],
        sinks: vec![
            of(&["kafka"], KAFKA),
            of(&["stdout"], NONE),
            of(&["file", "org.apache.kafka.connect.file.FileStreamSinkConnector"], FILE),
        ],
        transforms: vec![
            of(&["weir:filter", "io.debezium.transforms.Filter"], FILTER),
            of(&["weir:extract-new-record-state", "io.debezium.transforms.ExtractNewRecordState"], UNWRAP),
            of(&["weir:regex-router", "org.apache.kafka.connect.transforms.RegexRouter"], ROUTER),
        ],
        predicates: vec![of(
            &["weir:topic-name-matches", "org.apache.kafka.connect.transforms.predicates.TopicNameMatches"],
            MATCHES,
        )],
        guests: true,
        packages: false,
    }
}
