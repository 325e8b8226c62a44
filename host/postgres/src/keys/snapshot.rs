//! The snapshot, and what asks for more of them.

use weir_api::{Key, KeyType};

const SNAPSHOT: &str = "snapshot";

pub const WORKING: &[Key] = &[
    Key::new("snapshot.mode", KeyType::String, "What is read before the stream.")
        .default("initial")
        .one_of(&[
            "initial",
            "initial_only",
            "no_data",
            "never",
            "schema_only",
            "always",
            "when_needed",
            "configuration_based",
        ])
        .group(SNAPSHOT),
    Key::new(
        "snapshot.mode.configuration.based.snapshot.data",
        KeyType::Boolean,
        "With configuration_based: whether rows are read, at every start.",
    )
    .default("false")
    .group(SNAPSHOT),
    Key::new(
        "snapshot.mode.configuration.based.start.stream",
        KeyType::Boolean,
        "With configuration_based: whether changes follow.",
    )
    .default("false")
    .group(SNAPSHOT),
    Key::new(
        "snapshot.mode.configuration.based.snapshot.on.data.error",
        KeyType::Boolean,
        "With configuration_based: whether rows are read where the log from the stored offset on is gone.",
    )
    .default("false")
    .group(SNAPSHOT),
    Key::new(
        "snapshot.include.collection.list",
        KeyType::List,
        "Tables whose rows are read, of those that are captured; all of them when it is not set.",
    )
    .group(SNAPSHOT),
    Key::new(
        "snapshot.select.statement.overrides",
        KeyType::List,
        "Tables (schema.table) whose rows a statement of yours selects: `snapshot.select.statement.overrides.schema.table`.",
    )
    .group(SNAPSHOT),
    Key::new(
        "snapshot.tables.order.by.row.count",
        KeyType::String,
        "The order of tables: by name, or by the planner's estimate of their rows.",
    )
    .default("disabled")
    .one_of(&["disabled", "ascending", "descending"])
    .group(SNAPSHOT),
    Key::new(
        "snapshot.max.threads",
        KeyType::Int,
        "Sessions that read; tables above 16 MiB are read in parts. Records leave in the same order all the same.",
    )
    .default("1")
    .group(SNAPSHOT),
    Key::new(
        "snapshot.locking.mode",
        KeyType::String,
        "shared: tables are held against TRUNCATE and what writes them anew, from the snapshot's beginning; none: each from its own turn on.",
    )
    .default("none")
    .one_of(&["none", "shared"])
    .group(SNAPSHOT),
    Key::new("snapshot.lock.timeout.ms", KeyType::Millis, "How long `shared` waits for its locks.")
        .default("10000")
        .group(SNAPSHOT),
];

pub const OTHERS: &[Key] = rows! { SNAPSHOT:
    ignored "snapshot.isolation.mode" String "serializable" "The isolation of the snapshot."
        => "all tables are read in one exported snapshot";
    ignored "snapshot.fetch.size" Int - "Rows in a fetch."
        => "rows come as a stream, of which a few megabytes are read ahead";
    ignored "query.fetch.size" Int "0" "Rows in a fetch."
        => "rows come as a stream, of which a few megabytes are read ahead";
    ignored "snapshot.max.threads.multiplier" Int "1" "Parts of a table."
        => "tables are read in parts of 8 MiB";
    ignored "legacy.snapshot.max.threads" Boolean "false" "A thread for each table."
        => "tables are read in parts of 8 MiB";
    ignored "snapshot.delay.ms" Long "0" "A pause before the snapshot."
        => "it begins at once";
    ignored "streaming.delay.ms" Long "0" "A pause before the stream."
        => "it begins at once";
    refused "snapshot.mode.custom.name" String - "A Java class."
        => "`snapshot.mode` = configuration_based, or one of the others";
    ignored "snapshot.mode.configuration.based.snapshot.schema" Boolean "false" "Whether schemas are read."
        => "the server describes a table before its changes";
    ignored "snapshot.mode.configuration.based.snapshot.on.schema.error" Boolean "false" "Whether schemas are read again."
        => "the server describes a table before its changes";
    refused "snapshot.query.mode" String "select_all" "How rows are selected."
        => "remove it: whole tables are read";
    refused "snapshot.query.mode.custom.name" String - "A Java class."
        => "remove it: whole tables are read";
    refused "snapshot.locking.mode.custom.name" String - "A Java class."
        => "`snapshot.locking.mode` = none or shared";
    ignored "incremental.snapshot.chunk.size" Int "1024" "Rows in a chunk."
        => "there are no incremental snapshots yet";
    ignored "incremental.snapshot.allow.schema.changes" Boolean "false" "Whether schemas may change meanwhile."
        => "there are no incremental snapshots yet";
    ignored "incremental.snapshot.watermarking.strategy" String "insert_insert" "How a chunk is bounded."
        => "there are no incremental snapshots yet";
    refused "read.only" Boolean "false" "Incremental snapshots without writing."
        => "there are no incremental snapshots yet: reset the pipeline's offsets to read all again";
    refused "signal.data.collection" List - "The table of signals."
        => "there are no signals yet: reset the pipeline's offsets to read all again";
    refused "signal.enabled.channels" List "source" "Where signals come from."
        => "there are no signals yet: reset the pipeline's offsets to read all again";
    ignored "signal.poll.interval.ms" Long "5000" "How often signals are looked for."
        => "there are no signals yet";
    ignored "signal.emit.failure.max.retries" Int "0" "How often a signal is tried again."
        => "there are no signals yet";
    ignored "signal.emit.failure.backoff.ms" Long "10000" "The pause before that."
        => "there are no signals yet";
    ignored "signal.file" String "file-signals.txt" "The file of signals."
        => "there are no signals yet";
    refused "notification.enabled.channels" List - "Where notifications go."
        => "the log, and `weir run --metrics ADDRESS`, show how far a snapshot is";
    ignored "notification.sink.topic.name" String - "The topic of notifications."
        => "there are no notifications";
    ignored "internal.legacy.snapshot.max.threads" Boolean "false" "A thread for each table."
        => "tables are read in parts of 8 MiB";
    ignored "internal.snapshot.scan.all.columns.force" Boolean "false" "Whether Debezium reads columns that it leaves out."
        => "it is about Debezium's inside";
};
