//! Worker properties of Kafka Connect: what connectors inherit, and what has no meaning for a single process.

pub use crate::lint::check_worker as check;
use crate::properties;
use crate::written::{Entries, Entry};
use weir_api::{ConfigDef, Finding, Importance, Key, KeyType};

/// A worker's properties, as written.
#[derive(Clone, Default, Debug)]
pub struct Worker {
    pub entries: Entries,
}

const OWN_DATA: &str = "offsets are kept in the data directory";
const NO_CLUSTER: &str = "one process runs the connectors it is given, and no cluster";
const NO_REST: &str = "this process serves no REST API for it";
const NO_JARS: &str = "connectors and transforms are built in";
const OWN_METRICS: &str = "metrics are Weir's own";
const AT_ONCE: &str = "offsets are stored as soon as records are acknowledged";

const fn ignored(name: &'static str, kind: KeyType, why: &'static str) -> Key {
    Key::new(name, kind, "A worker property of Kafka Connect.").importance(Importance::Low).ignored(why)
}

pub static KEYS: ConfigDef = ConfigDef {
    keys: &[
        Key::new("bootstrap.servers", KeyType::List, "Kafka brokers to start from, host:port.")
            .importance(Importance::High),
        Key::new("key.converter", KeyType::Class, "Converter of keys where a connector names none."),
        Key::new("value.converter", KeyType::Class, "Converter of values where a connector names none."),
        Key::new("header.converter", KeyType::Class, "Converter of headers where a connector names none."),
        Key::new("exactly.once.source.support", KeyType::String, "Whether sources write in transactions.")
            .default("disabled")
            .refused("leave it at \"disabled\": delivery is at least once"),
        ignored("config.providers", KeyType::List, "${env:…}, ${file:…}, ${dir:…} and ${secret:…} always work"),
        ignored("offset.storage.file.filename", KeyType::String, OWN_DATA),
        ignored("offset.flush.interval.ms", KeyType::Long, AT_ONCE),
        ignored("offset.flush.timeout.ms", KeyType::Long, AT_ONCE),
        ignored("plugin.path", KeyType::List, NO_JARS),
        ignored("plugin.discovery", KeyType::String, NO_JARS),
        ignored("group.id", KeyType::String, NO_CLUSTER),
        ignored("config.storage.topic", KeyType::String, NO_CLUSTER),
        ignored("offset.storage.topic", KeyType::String, OWN_DATA),
        ignored("status.storage.topic", KeyType::String, NO_CLUSTER),
        ignored("session.timeout.ms", KeyType::Int, NO_CLUSTER),
        ignored("heartbeat.interval.ms", KeyType::Int, NO_CLUSTER),
        ignored("rebalance.timeout.ms", KeyType::Int, NO_CLUSTER),
        ignored("worker.sync.timeout.ms", KeyType::Int, NO_CLUSTER),
        ignored("worker.unsync.backoff.ms", KeyType::Int, NO_CLUSTER),
        ignored("connect.protocol", KeyType::String, NO_CLUSTER),
        ignored("scheduled.rebalance.max.delay.ms", KeyType::Int, NO_CLUSTER),
        ignored("task.shutdown.graceful.timeout.ms", KeyType::Long, "a stop drains what is under way"),
        ignored("connector.client.config.override.policy", KeyType::String, "every override is taken"),
        ignored("topic.tracking.enable", KeyType::Boolean, NO_REST),
        ignored("topic.tracking.allow.reset", KeyType::Boolean, NO_REST),
        ignored("listeners", KeyType::List, NO_REST),
        ignored("admin.listeners", KeyType::List, NO_REST),
        ignored("rest.port", KeyType::Int, NO_REST),
        ignored("rest.host.name", KeyType::String, NO_REST),
        ignored("metric.reporters", KeyType::List, OWN_METRICS),
        ignored("metrics.sample.window.ms", KeyType::Long, OWN_METRICS),
        ignored("metrics.num.samples", KeyType::Int, OWN_METRICS),
        ignored("metrics.recording.level", KeyType::String, OWN_METRICS),
        ignored("auto.include.jmx.reporter", KeyType::Boolean, OWN_METRICS),
        Key::new("topic.creation.enable", KeyType::Boolean, "Whether connectors may set how topics are made.")
            .default("true"),
    ],
    prefixes: &[
        "producer.",
        "consumer.",
        "admin.",
        "key.converter.",
        "value.converter.",
        "header.converter.",
        "config.providers.",
        // the worker's own clients
        "security.",
        "sasl.",
        "ssl.",
        "config.storage.",
        "offset.storage.",
        "status.storage.",
        "rest.",
        "access.control.",
        "response.http.",
        "listeners.",
        "inter.worker.",
        "client.",
        "metrics.context.",
    ],
};

// === impl Worker ===

impl Worker {
    /// Reads worker properties; [`check`] says what is wrong with them.
    pub fn parse(file: &str, text: &str) -> (Self, Vec<Finding>) {
        let (entries, findings) = properties::parse(file, text);
        (Worker { entries }, findings)
    }

    /// Settings of a client kind ("producer", "consumer"): bootstrap servers, then what stands under its prefix.
    pub(crate) fn client(&self, kind: &str) -> Entries {
        let prefix = format!("{kind}.");
        let servers = self.entries.get("bootstrap.servers").cloned();
        let own = self.entries.iter().filter_map(|e| e.key.strip_prefix(&prefix).map(|key| e.renamed(key)));
        servers.into_iter().chain(own).collect()
    }

    /// The worker's converter of a side ("key", "value", "header") with its settings. Kafka Connect takes all of them from one
    /// place: a connector that names a converter inherits nothing.
    pub(crate) fn converter(&self, side: &str) -> impl Iterator<Item = Entry> {
        let name = format!("{side}.converter");
        let below = format!("{name}.");
        self.entries.iter().filter(move |e| e.key == name || e.key.starts_with(&below)).cloned()
    }
}
