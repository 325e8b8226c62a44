//! Slot and publication.

use weir_api::{Key, KeyType};

const SLOT: &str = "slot and publication";

pub const WORKING: &[Key] = &[
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
    Key::new(
        "slot.failover",
        KeyType::Boolean,
        "Standbys keep the slot, from the next start on; PostgreSQL 17 and newer.",
    )
    .default("false")
    .group(SLOT),
    Key::new("publication.name", KeyType::String, "The publication.").default("dbz_publication").group(SLOT),
    Key::new("publication.autocreate.mode", KeyType::String, "What to publish where there is no such publication.")
        .default("all_tables")
        .one_of(&["all_tables", "disabled", "filtered", "no_tables"])
        .group(SLOT),
    Key::new("publish.via.partition.root", KeyType::Boolean, "Changes of partitions appear under their root's name.")
        .default("false")
        .group(SLOT),
    Key::new("slot.stream.params", KeyType::String, "name=value;…: pgoutput's options binary and origin.").group(SLOT),
    Key::new(
        "stream.in.progress",
        KeyType::Boolean,
        "The server sends big transactions before they are committed; they are held here, and leave when they are.",
    )
    .default("false")
    .group(SLOT),
    Key::new(
        "stream.memory.bytes",
        KeyType::Long,
        "How much of the transactions in progress stays in memory; what is more goes to a file.",
    )
    .default("33554432")
    .group(SLOT),
    Key::new(
        "stream.spill.directory",
        KeyType::String,
        "Where that file lies; `spill` in the data directory when it is not set.",
    )
    .group(SLOT),
    Key::new(
        "status.update.interval.ms",
        KeyType::Millis,
        "How often the server hears how far we are; at most ten seconds.",
    )
    .default("10000")
    .group(SLOT),
    Key::new(
        "slot.max.retries",
        KeyType::Int,
        "With the next key: how long a slot that is in use is waited for; not set: for ever.",
    )
    .group(SLOT),
    Key::new("slot.retry.delay.ms", KeyType::Millis, "The time between two tries, by which Debezium counts.")
        .default("10000")
        .group(SLOT),
    Key::new(
        "slot.wal.alert.bytes",
        KeyType::Long,
        "A line in the log says when the server keeps more of its own log for the slot than so many bytes; 0: never.",
    )
    .default("1073741824")
    .group(SLOT),
    Key::new("offset.mismatch.strategy", KeyType::String, "What counts where slot and stored offset differ.")
        .default("no_validation")
        .one_of(&["no_validation", "trust_offset"])
        .group(SLOT),
    Key::new("lsn.flush.mode", KeyType::String, "Who tells the server what it may forget.")
        .default("connector")
        .one_of(&["connector", "connector_and_driver"])
        .group(SLOT),
];

pub const OTHERS: &[Key] = rows! { SLOT:
    ignored "slot.seek.to.known.offset.on.start" Boolean "false" "Whether the slot is moved to the stored offset."
        => "the stream always begins at the stored offset, and a slot that is ahead of it is an error";
    ignored "lsn.flush.timeout.ms" Long "30000" "How long telling the server may take."
        => "nobody waits for it";
    ignored "lsn.flush.timeout.action" String "fail" "What happens then."
        => "nobody waits for it";
    refused "flush.lsn.source" Boolean "true" "Whether the server is told what it may forget."
        => "remove it: the server is told what is stored, and nothing else";
    refused "xmin.fetch.interval.ms" Long "0" "How often the slot's xmin is asked for."
        => "remove it: `source.xmin` is null; SELECT xmin FROM pg_replication_slots shows it";
    refused "replica.identity.autoset.values" String - "Replica identities to be set."
        => "let the tables' owner set them once: ALTER TABLE … REPLICA IDENTITY FULL";
};
