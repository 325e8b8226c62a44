//! What records look like, and how they travel.

use weir_api::{Key, KeyType};

const RECORDS: &str = "records";

pub const WORKING: &[Key] = &[
    Key::new("topic.prefix", KeyType::String, "First part of every topic's name, and the connector's logical name.")
        .required()
        .group(RECORDS),
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
    Key::new("topic.delimiter", KeyType::String, "Between the parts of a topic's name.").default(".").group(RECORDS),
    Key::new("schema.name.adjustment.mode", KeyType::String, "How schemas' names are made fit for Avro.")
        .default("none")
        .one_of(&["none", "avro", "avro_unicode"])
        .group(RECORDS),
    Key::new("field.name.adjustment.mode", KeyType::String, "How columns' names are made fit for Avro.")
        .default("none")
        .one_of(&["none", "avro", "avro_unicode"])
        .group(RECORDS),
];

pub const OTHERS: &[Key] = rows! { RECORDS:
    ignored "poll.interval.ms" Millis "500" "How long Debezium waits between polls."
        => "rows are handed on as they come";
    ignored "poll.dispatch.interval.ms" Millis "0" "How long a poll waits for more."
        => "rows are handed on as they come";
    ignored "max.batch.size" Int "2048" "Rows in a batch."
        => "batches follow the load";
    ignored "max.queue.size" Int "8192" "Rows in Debezium's queue."
        => "queues are bounded in bytes";
    ignored "max.queue.size.in.bytes" Long "0" "Bytes in Debezium's queue."
        => "queues are bounded in bytes";
    ignored "queue.provider.type" String "memory" "Where Debezium's queue is kept."
        => "queues are bounded in bytes";
    ignored "tasks.max" Int "1" "A slot has one reader."
        => "one task reads the slot";
    ignored "heartbeat.interval.ms" Int "0" "How often a heartbeat is written."
        => "an idle slot moves without heartbeats, and none are written";
    ignored "heartbeat.action.query" String - "SQL at each heartbeat."
        => "an idle slot moves without it";
    ignored "heartbeat.topics.prefix" String "__debezium-heartbeat" "The topic of heartbeats."
        => "an idle slot moves without heartbeats, and none are written";
    ignored "topic.heartbeat.prefix" String "__debezium-heartbeat" "The topic of heartbeats."
        => "an idle slot moves without heartbeats, and none are written";
    ignored "topic.heartbeat.name" String - "The topic of heartbeats."
        => "an idle slot moves without heartbeats, and none are written";
    ignored "topic.transaction" String "transaction" "The topic of transactions."
        => "there is no transaction metadata yet";
    ignored "topic.cache.size" Int "10000" "Topic names that are remembered."
        => "a table's topic is found once";
    refused "topic.naming.strategy" Class "io.debezium.schema.SchemaTopicNamingStrategy" "A Java class that names topics."
        => "`topic.delimiter`, or a `weir:regex-router` step";
    refused "provide.transaction.metadata" Boolean "false" "Where transactions begin and end."
        => "there is no transaction metadata yet: `source.txId` and `source.lsn` tell transactions apart";
    refused "transaction.metadata.factory" Class "io.debezium.pipeline.txmetadata.DefaultTransactionMetadataFactory" "A Java class."
        => "remove it: there is no transaction metadata yet";
    refused "sourceinfo.struct.maker" Class "io.debezium.connector.postgresql.PostgresSourceInfoStructMaker" "A Java class that makes `source`."
        => "a transform step that you write, see sdk/rust";
    refused "converters" String - "Java classes that convert columns."
        => "a transform step that you write, see sdk/rust";
    refused "post.processors" String - "Java classes that change records."
        => "a transform step that you write, see sdk/rust";
    refused "money.fraction.digits" Short "2" "Digits of money behind the point."
        => "remove it: there are two";
    refused "message.prefix.include.list" List - "Prefixes of logical messages."
        => "remove it: there are no logical messages yet";
    refused "message.prefix.exclude.list" List - "Prefixes of logical messages."
        => "remove it: there are no logical messages yet";
    refused "event.processing.failure.handling.mode" String "fail" "What a change that cannot be read does."
        => "`errors.tolerance` = all leaves out rows that fail";
    ignored "event.converting.failure.handling.mode" String "warn" "What a value that cannot be converted does."
        => "it fails its row, see `errors.tolerance`";
    ignored "custom.metric.tags" List - "Tags of metrics."
        => "metrics carry the pipeline's name";
    ignored "statistics.metrics.enabled" Boolean "true" "Whether the lag has percentiles."
        => "metrics are those of `weir run --metrics ADDRESS`";
    ignored "custom.sanitize.pattern" String r".*secret$|.*password$|.*sasl\.jaas\.config$|.*basic\.auth\.user\.info|.*registry\.auth\.client-secret" "What a log leaves out."
        => "no secret is logged";
    ignored "memory.management.schemas.class" Class - "A Java class."
        => "of a table nothing is kept but its schema";
    ignored "memory.management.tables.class" Class - "A Java class."
        => "of a table nothing is kept but its schema";
    refused "openlineage.integration.enabled" Boolean "false" "Whether OpenLineage is told."
        => "remove it: nothing is told to OpenLineage";
    ignored "openlineage.integration.config.file.path" String "./openlineage.yml" "OpenLineage's configuration."
        => "nothing is told to OpenLineage";
    ignored "openlineage.integration.job.description" String "Debezium change data capture job" "The job's description."
        => "nothing is told to OpenLineage";
    ignored "internal.log.position.check.enable" Boolean "true" "Whether Debezium looks for its offset in the log."
        => "it is about Debezium's inside";
    ignored "internal.advanced.metrics.enable" Boolean "false" "Whether Debezium has more metrics."
        => "it is about Debezium's inside";
};
