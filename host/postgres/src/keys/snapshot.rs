//! The snapshot, and what asks for more of them.

use weir_api::{Key, KeyType};

const SNAPSHOT: &str = "snapshot";

pub const WORKING: &[Key] = &[Key::new("snapshot.mode", KeyType::String, "What is read before the stream.")
    .default("initial")
    .one_of(&["initial", "initial_only", "no_data", "never", "schema_only", "always"])
    .group(SNAPSHOT)];

pub const OTHERS: &[Key] = rows! { SNAPSHOT:
    ignored "snapshot.isolation.mode" String "serializable" "The isolation of the snapshot."
        => "all tables are read in one exported snapshot";
    ignored "snapshot.locking.mode" String "none" "Locks while tables are read."
        => "a COPY takes the lock that `shared` means";
    ignored "snapshot.lock.timeout.ms" Long "10000" "How long locks are waited for."
        => "no table is locked but by its own COPY";
    ignored "snapshot.fetch.size" Int - "Rows in a fetch."
        => "rows come as a stream";
    ignored "query.fetch.size" Int "0" "Rows in a fetch."
        => "rows come as a stream";
    ignored "snapshot.max.threads" Int "1" "Threads that read."
        => "one thread reads, and another writes meanwhile";
    ignored "snapshot.max.threads.multiplier" Int "1" "Parts of a table."
        => "one thread reads, and another writes meanwhile";
    ignored "legacy.snapshot.max.threads" Boolean "false" "A thread for each table."
        => "one thread reads, and another writes meanwhile";
    ignored "snapshot.delay.ms" Long "0" "A pause before the snapshot."
        => "it begins at once";
    ignored "streaming.delay.ms" Long "0" "A pause before the stream."
        => "it begins at once";
    refused "snapshot.mode.custom.name" String - "A Java class."
        => "`snapshot.mode` = initial, initial_only, no_data or always";
    refused "snapshot.mode.configuration.based.snapshot.data" Boolean "false" "Whether rows are read."
        => "`snapshot.mode` = initial, initial_only, no_data or always";
    refused "snapshot.mode.configuration.based.snapshot.schema" Boolean "false" "Whether schemas are read."
        => "`snapshot.mode` = initial, initial_only, no_data or always";
    refused "snapshot.mode.configuration.based.start.stream" Boolean "false" "Whether the stream follows."
        => "`snapshot.mode` = initial, initial_only, no_data or always";
    refused "snapshot.mode.configuration.based.snapshot.on.schema.error" Boolean "false" "Whether schemas are read again."
        => "`snapshot.mode` = initial, initial_only, no_data or always";
    refused "snapshot.mode.configuration.based.snapshot.on.data.error" Boolean "false" "Whether rows are read again."
        => "`snapshot.mode` = initial, initial_only, no_data or always";
    refused "snapshot.query.mode" String "select_all" "How rows are selected."
        => "remove it: whole tables are read";
    refused "snapshot.query.mode.custom.name" String - "A Java class."
        => "remove it: whole tables are read";
    refused "snapshot.locking.mode.custom.name" String - "A Java class."
        => "remove it: no locks are needed";
    refused "snapshot.include.collection.list" List - "Tables whose rows are read."
        => "a pipeline of its own, with `snapshot.mode` = no_data, for the tables that need no snapshot";
    refused "snapshot.select.statement.overrides" List - "Tables whose rows are selected otherwise."
        => "a `weir:filter` step leaves rows out";
    refused "snapshot.tables.order.by.row.count" String "disabled" "The order of tables."
        => "remove it: tables are read by name";
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
        => "one thread reads, and another writes meanwhile";
    ignored "internal.snapshot.scan.all.columns.force" Boolean "false" "Whether Debezium reads columns that it leaves out."
        => "it is about Debezium's inside";
};
