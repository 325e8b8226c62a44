//! What `[source.postgres]` and Debezium's connector take: its own names, its own defaults where we share them.

use weir_api::{ConfigDef, Importance, Key, KeyType};

const CONNECTION: &str = "connection";
const SLOT: &str = "slot and publication";
const SNAPSHOT: &str = "snapshot";
const TABLES: &str = "tables and columns";
const RECORDS: &str = "records";

/// See the group of each.
pub static KEYS: ConfigDef = ConfigDef {
    keys: &[
        Key::new(
            "url",
            KeyType::Password,
            "postgres://user:password@host:port/database, in place of the five keys below.",
        )
        .group(CONNECTION)
        .unlisted(),
        Key::new("database.hostname", KeyType::String, "Host, or the directory of a unix socket.")
            .group(CONNECTION)
            .importance(Importance::High),
        Key::new("database.port", KeyType::Int, "Port.").default("5432").group(CONNECTION),
        Key::new("database.user", KeyType::String, "A role with REPLICATION and SELECT on the tables.")
            .group(CONNECTION)
            .importance(Importance::High),
        Key::new("database.password", KeyType::Password, "The role's password.").group(CONNECTION),
        Key::new("database.dbname", KeyType::String, "The database to capture.")
            .group(CONNECTION)
            .importance(Importance::High),
        Key::new("database.sslmode", KeyType::String, "Whether TLS is used, and what of the certificate is checked.")
            .default("prefer")
            .one_of(&["disable", "allow", "prefer", "require", "verify-ca", "verify-full"])
            .group(CONNECTION),
        Key::new("database.sslrootcert", KeyType::String, "PEM file of trusted authorities.").group(CONNECTION),
        Key::new("database.sslcert", KeyType::String, "The client's certificate.").group(CONNECTION),
        Key::new("database.sslkey", KeyType::String, "The client's key.").group(CONNECTION),
        Key::new("database.tcpKeepAlive", KeyType::Boolean, "Lets the kernel find dead peers.")
            .default("true")
            .group(CONNECTION),
        Key::new(
            "topic.prefix",
            KeyType::String,
            "First part of every topic's name, and the connector's logical name.",
        )
        .required()
        .group(RECORDS),
        Key::new("plugin.name", KeyType::String, "`decoderbufs` means pgoutput here.")
            .default("pgoutput")
            .one_of(&["pgoutput", "decoderbufs"])
            .group(SLOT),
        Key::new("slot.name", KeyType::String, "The replication slot; made when it is not there.")
            .default("debezium")
            .group(SLOT),
        Key::new(
            "slot.drop.on.stop",
            KeyType::Boolean,
            "Drops the slot in an orderly stop. Changes made until the next start are lost.",
        )
        .default("false")
        .group(SLOT),
        Key::new("publication.name", KeyType::String, "The publication.").default("dbz_publication").group(SLOT),
        Key::new("publication.autocreate.mode", KeyType::String, "What to publish where there is no such publication.")
            .default("all_tables")
            .one_of(&["all_tables", "disabled", "filtered", "no_tables"])
            .group(SLOT),
        Key::new(
            "publish.via.partition.root",
            KeyType::Boolean,
            "Changes of partitions appear under their root's name.",
        )
        .default("false")
        .group(SLOT),
        Key::new("slot.stream.params", KeyType::String, "name=value;…: pgoutput's options binary and origin.")
            .group(SLOT),
        Key::new(
            "status.update.interval.ms",
            KeyType::Millis,
            "How often the server hears how far we are; at most ten seconds.",
        )
        .default("10000")
        .group(SLOT),
        Key::new("snapshot.mode", KeyType::String, "What is read before the stream.")
            .default("initial")
            .one_of(&["initial", "initial_only", "no_data", "never", "schema_only", "always"])
            .group(SNAPSHOT),
        Key::new("schema.include.list", KeyType::List, "Regular expressions of schemas that are captured.")
            .group(TABLES),
        Key::new("schema.exclude.list", KeyType::List, "Regular expressions of schemas that are not.").group(TABLES),
        Key::new(
            "table.include.list",
            KeyType::List,
            "Regular expressions of tables (schema.table) that are captured.",
        )
        .group(TABLES),
        Key::new("table.exclude.list", KeyType::List, "Regular expressions of tables that are not.").group(TABLES),
        Key::new(
            "column.include.list",
            KeyType::List,
            "Regular expressions of columns (schema.table.column) that are captured.",
        )
        .group(TABLES),
        Key::new("column.exclude.list", KeyType::List, "Regular expressions of columns that are not.").group(TABLES),
        Key::new("tombstones.on.delete", KeyType::Boolean, "A record without value behind every delete.")
            .default("true")
            .group(RECORDS),
        Key::new("skipped.operations", KeyType::List, "Of c, u, d, t; or none.").default("t").group(RECORDS),
        Key::new("extended.headers.enabled", KeyType::Boolean, "The four headers that say which run made a record.")
            .default("true")
            .group(RECORDS),
        Key::new("unavailable.value.placeholder", KeyType::String, "Stands for a value that the log does not carry.")
            .default("__debezium_unavailable_value")
            .group(RECORDS),
        Key::new("decimal.handling.mode", KeyType::String, "How numeric and money are written.")
            .default("precise")
            .one_of(&["precise", "double", "string"])
            .group(RECORDS),
        Key::new("time.precision.mode", KeyType::String, "How date, time and timestamp are written.")
            .default("adaptive")
            .one_of(&["adaptive", "adaptive_time_microseconds", "connect", "isostring", "microseconds", "nanoseconds"])
            .group(RECORDS),
        Key::new("binary.handling.mode", KeyType::String, "How bytea is written.")
            .default("bytes")
            .one_of(&["bytes", "base64", "base64-url-safe", "hex"])
            .group(RECORDS),
        Key::new("interval.handling.mode", KeyType::String, "How interval is written: microseconds, or ISO 8601.")
            .default("numeric")
            .one_of(&["numeric", "string"])
            .group(RECORDS),
        Key::new("hstore.handling.mode", KeyType::String, "How hstore is written: a JSON text, or a map.")
            .default("json")
            .one_of(&["json", "map"])
            .group(RECORDS),
        Key::new("poll.interval.ms", KeyType::Millis, "How long Debezium waits between polls.")
            .default("500")
            .ignored("rows are handed on as they come")
            .group(RECORDS),
        Key::new("max.batch.size", KeyType::Int, "Rows in a batch.")
            .default("2048")
            .ignored("batches follow the load")
            .group(RECORDS),
        Key::new("max.queue.size", KeyType::Int, "Rows in Debezium's queue.")
            .default("8192")
            .ignored("queues are bounded in bytes")
            .group(RECORDS),
        Key::new("tasks.max", KeyType::Int, "A slot has one reader.")
            .default("1")
            .ignored("one task reads the slot")
            .group(RECORDS),
    ],
    prefixes: &[],
};
