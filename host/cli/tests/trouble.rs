//! Trouble that comes while weir runs: servers crash, readers are ended, slots and publications go, a standby takes over, Kafka is
//! away. What heals by itself heals without a loss; what does not ends the pipeline with what a person has to do, which is tried.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)] // helpers of tests are tests

#[path = "support/pipeline.rs"]
mod pipeline;
mod support;
#[path = "support/topic.rs"]
mod topic;
#[path = "support/witness.rs"]
mod witness;

use pipeline::{LIMIT, Pipeline};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};
use support::{Place, Weir, wait_for};
use weir_testkit::{Kafka, Postgres, release};
use witness::{Witness, round};

const WHEN_NEEDED: &str = "snapshot.mode = \"when_needed\"";
const HELD: &str = "max_slot_wal_keep_size";

/// What a person does who wants a new snapshot.
fn begin_anew(pipeline: &Pipeline) {
    let reset = pipeline.place.weir(&["offsets", "reset", &pipeline.name, "--yes"]);
    assert!(reset.status.success(), "{}", String::from_utf8_lossy(&reset.stderr));
}

/// It ended by itself, and said so.
#[track_caller]
fn ended(weir: Weir, place: &Place, code: &str) {
    let exit = weir.wait().code();
    let log = support::read(&place.path("weir.log"));
    assert_eq!(exit, Some(3), "{log}");
    assert!(log.contains(&format!("error[{code}]")) && log.contains("help:"), "{log}");
}

fn wait_for_id(pipeline: &Pipeline, id: i64) {
    wait_for(&format!("record {id}"), LIMIT, || pipeline.ids().contains(&id).then_some(()));
}

fn sorted(pipeline: &Pipeline) -> Vec<i64> {
    let mut ids = pipeline.ids();
    ids.sort_unstable();
    ids
}

/// The server hears only of what is stored.
fn stored_up_to_now(pipeline: &Pipeline) {
    let server = pipeline.server;
    let lsn = server.sql("SELECT pg_current_wal_lsn()").expect("a position")[0][0].clone().expect("a position");
    let moved = format!(
        "SELECT 1 FROM pg_replication_slots WHERE slot_name = '{}' AND confirmed_flush_lsn >= '{lsn}'",
        pipeline.name
    );
    wait_for("the slot to move", LIMIT, || (!server.sql(&moved).expect("slots").is_empty()).then_some(()));
}

/// Writers never pause; the server ends our reader again and again, and crashes in between.
#[test]
fn crashes_and_ended_readers_lose_nothing_under_writers() {
    let server = Postgres::builder().setting("wal_sender_timeout", "10s").start().expect("PostgreSQL");
    let database = server.database().expect("a database");
    Witness::tables(&server, &database);
    let place = Place::new();
    let (host, port, user) = (server.host(), server.port(), server.user());
    place.write(
        "p.toml",
        &format!(
            "name = \"w\"\n[source.postgres]\nurl = \"postgres://{user}@{host}:{port}/{database}\"\ntopic.prefix = \"w\"\n\
             slot.name = \"w\"\n[sink.file]\npath = \"out.ndjson\"\n[errors]\nretry.delay.max = \"100ms\"\n"
        ),
    );
    let (mut witness, weir) = (Witness::of(place.path("out.ndjson")), place.start("p.toml"));
    let (done, rounds) = (AtomicBool::new(false), AtomicU64::new(0));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            // what a crash cuts off is cut off: the next round is another one
            for i in 1.. {
                if done.load(Relaxed) {
                    return;
                }
                if server.sql_in(&database, &round(i)).is_ok() {
                    rounds.fetch_add(1, Relaxed);
                } else {
                    wait_for("the server", LIMIT, || server.sql("SELECT 1").is_ok().then_some(()));
                }
            }
        });
        let finish = Finish(&done);
        for trouble in 0..16 {
            let before = (witness.lines, rounds.load(Relaxed));
            wait_for("records", LIMIT, || {
                witness.look();
                (witness.lines > before.0 + 50 && rounds.load(Relaxed) > before.1 + 5).then_some(())
            });
            if trouble % 4 == 3 {
                server.stop_immediate().expect("a crash");
                server.launch().expect("a start");
                continue;
            }
            let end =
                "SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE slot_name = 'w' AND active";
            wait_for("a reader to end", LIMIT, || server.sql(end).is_ok_and(|r| !r.is_empty()).then_some(()));
        }
        drop(finish);
    });
    server.sql_in(&database, "INSERT INTO zoo VALUES (99, 1)").expect("the last change");
    wait_for("the last change", LIMIT, || {
        witness.look();
        witness.has("w.public.zoo", 99).then_some(())
    });
    // not each: a reader may be ended that was about to be closed, behind the changes between two snapshots
    let log = weir.log();
    assert!(log.matches("trying again").count() >= 8, "{log}");
    assert!(weir.stop().success());
    witness.look();
    witness.compare(&server, &database);
    println!("{} rounds, {} records, {} changes again", rounds.load(Relaxed), witness.lines, witness.again);
}

/// Writers end when the test does, also where it fails.
struct Finish<'a>(&'a AtomicBool);

impl Drop for Finish<'_> {
    fn drop(&mut self) {
        self.0.store(true, Relaxed)
    }
}

#[test]
fn a_slot_dropped_while_nobody_reads_is_healed_when_that_is_wanted() {
    let pipeline = Pipeline::new(Postgres::shared().expect("PostgreSQL"));
    let weir = pipeline.start("");
    pipeline.wait_for_ids(&[1]);
    assert!(weir.stop().success());
    pipeline.sql("INSERT INTO t VALUES (2, 'b')");
    pipeline.sql(&format!("SELECT pg_drop_replication_slot('{}')", pipeline.name));
    let ended = pipeline.run("");
    ended.is(3, "postgres.slot-gone");
    for choice in ["when_needed", "weir offsets reset", "slot.failover"] {
        assert!(ended.help.contains(choice), "{choice} is missing: {}", ended.help);
    }
    let weir = pipeline.start(WHEN_NEEDED);
    wait_for_id(&pipeline, 2);
    pipeline.sql("INSERT INTO t VALUES (3, 'c')");
    pipeline.wait_for_ids(&[1, 2, 3]);
    assert!(weir.stop().success());
    // asked once more, nothing is needed any more
    pipeline.sql("INSERT INTO t VALUES (4, 'd')");
    let weir = pipeline.start(WHEN_NEEDED);
    pipeline.wait_for_ids(&[1, 2, 3, 4]);
    assert!(weir.stop().success());
    assert_eq!(weir_log(&pipeline).matches("a new snapshot is taken").count(), 1);
}

fn weir_log(pipeline: &Pipeline) -> String {
    support::read(&pipeline.place.path("weir.log"))
}

/// weir is held while the server writes more log than slots may keep.
fn lose_the_slot(pipeline: &Pipeline, weir: &Weir) {
    let lost =
        format!("SELECT 1 FROM pg_replication_slots WHERE slot_name = '{}' AND wal_status = 'lost'", pipeline.name);
    weir.signal("-STOP");
    wait_for("a lost slot", LIMIT, || {
        pipeline
            .sql("INSERT INTO bulk SELECT repeat('x', 1900) FROM generate_series(1, 20000); TRUNCATE bulk; CHECKPOINT");
        (!pipeline.server.sql(&lost).expect("slots").is_empty()).then_some(())
    });
    weir.signal("-CONT");
}

#[test]
fn a_slot_that_loses_its_log_while_it_is_read() {
    let server = Postgres::builder().setting(HELD, "1MB").setting("max_wal_size", "64MB").start().expect("PostgreSQL");
    let pipeline = Pipeline::new(&server);
    pipeline.sql("CREATE TABLE bulk (v text)");
    let only = "table.include.list = \"public.t\"\npublication.autocreate.mode = \"filtered\"";
    let weir = pipeline.start(only);
    pipeline.wait_for_ids(&[1]);
    pipeline.sql("INSERT INTO t VALUES (2, 'b')");
    pipeline.wait_for_ids(&[1, 2]);
    lose_the_slot(&pipeline, &weir);
    pipeline.sql("INSERT INTO t VALUES (3, 'c')");
    ended(weir, &pipeline.place, "postgres.slot-lost");
    // as the error says
    let again = pipeline.run(only);
    again.is(3, "postgres.slot-lost");
    let sql = format!("SELECT pg_drop_replication_slot('{}')", pipeline.name);
    assert!(again.help.contains(&sql) && again.help.contains(HELD), "{}", again.help);
    pipeline.sql(&sql);
    begin_anew(&pipeline);
    let needed = format!("{only}\n{WHEN_NEEDED}");
    let mut weir = pipeline.start(&needed);
    wait_for_id(&pipeline, 3);
    pipeline.sql("INSERT INTO t VALUES (4, 'd')");
    wait_for_id(&pipeline, 4);
    // and the same again, where weir may do it itself
    lose_the_slot(&pipeline, &weir);
    pipeline.sql("INSERT INTO t VALUES (5, 'e')");
    wait_for_id(&pipeline, 5);
    pipeline.sql("INSERT INTO t VALUES (6, 'f')");
    wait_for_id(&pipeline, 6);
    assert!(weir.is_running());
    assert!(weir.stop().success());
    assert_eq!(sorted(&pipeline), [1, 2, 3, 4, 5, 6]);
}

#[test]
fn a_publication_dropped_while_it_is_read() {
    let pipeline = Pipeline::new(Postgres::shared().expect("PostgreSQL"));
    let drop_it = format!("DROP PUBLICATION \"{}\"", pipeline.name);
    let weir = pipeline.start("");
    pipeline.wait_for_ids(&[1]);
    pipeline.sql("INSERT INTO t VALUES (2, 'b')");
    pipeline.wait_for_ids(&[1, 2]);
    pipeline.sql(&drop_it);
    pipeline.sql("INSERT INTO t VALUES (3, 'c')");
    ended(weir, &pipeline.place, "postgres.publication-gap");
    // made again at the next start, it does not bring back what was committed without it
    let again = pipeline.run("");
    again.is(3, "postgres.publication-gap");
    assert!(again.message.contains("was not there"), "{}", again.message);
    let sql = again.help.split_once(", and").expect("SQL").0;
    assert_eq!(sql, format!("SELECT pg_drop_replication_slot('{}')", pipeline.name));
    pipeline.sql(sql);
    begin_anew(&pipeline);
    let weir = pipeline.start(WHEN_NEEDED);
    wait_for_id(&pipeline, 3);
    pipeline.sql("INSERT INTO t VALUES (4, 'd')");
    wait_for_id(&pipeline, 4);
    // and the same again, where weir may do it itself
    pipeline.sql(&drop_it);
    pipeline.sql("INSERT INTO t VALUES (5, 'e')");
    wait_for_id(&pipeline, 5);
    pipeline.sql("INSERT INTO t VALUES (6, 'f')");
    wait_for_id(&pipeline, 6);
    assert!(weir.stop().success());
    assert_eq!(sorted(&pipeline), [1, 2, 3, 4, 5, 6]);
}

/// A publication that is somebody else's affair is made again by them, and then weir heals.
#[test]
fn a_publication_that_is_not_ours_to_make() {
    let pipeline = Pipeline::new(Postgres::shared().expect("PostgreSQL"));
    let more = format!("{WHEN_NEEDED}\npublication.autocreate.mode = \"disabled\"");
    let create = format!("CREATE PUBLICATION \"{}\" FOR TABLE t", pipeline.name);
    pipeline.sql(&create);
    let weir = pipeline.start(&more);
    pipeline.wait_for_ids(&[1]);
    pipeline.sql(&format!("DROP PUBLICATION \"{}\"", pipeline.name));
    pipeline.sql("INSERT INTO t VALUES (2, 'b')");
    ended(weir, &pipeline.place, "postgres.publication-gap");
    pipeline.run(&more).is(3, "postgres.publication-missing");
    pipeline.sql(&create);
    let weir = pipeline.start(&more);
    wait_for_id(&pipeline, 2);
    pipeline.sql("INSERT INTO t VALUES (3, 'c')");
    wait_for_id(&pipeline, 3);
    assert!(weir.stop().success());
    assert_eq!(sorted(&pipeline), [1, 2, 3]);
}

#[test]
fn a_captured_table_that_is_not_published_is_told() {
    let pipeline = Pipeline::new(Postgres::shared().expect("PostgreSQL"));
    let name = &pipeline.name;
    // partitions are published with their root, and a root with its partitions
    pipeline.sql(&format!(
        "CREATE TABLE parted (id int PRIMARY KEY) PARTITION BY RANGE (id); \
         CREATE TABLE part PARTITION OF parted FOR VALUES FROM (0) TO (9); \
         CREATE TABLE u (id int PRIMARY KEY); CREATE PUBLICATION \"{name}\" FOR TABLE t, u, parted"
    ));
    let started = |n: usize| {
        let weir = pipeline.start("");
        wait_for("the stream", LIMIT, || (weir.log().matches("streaming").count() >= n).then_some(()));
        assert!(weir.stop().success());
        weir_log(&pipeline)
    };
    let log = started(1);
    assert!(!log.contains("postgres.table-unpublished"), "{log}");
    pipeline.sql(&format!("ALTER PUBLICATION \"{name}\" DROP TABLE t"));
    let log = started(2);
    assert_eq!(log.matches("postgres.table-unpublished").count(), 1, "{log}");
    let sql = format!("ALTER PUBLICATION {name} ADD TABLE public.t");
    assert!(log.contains(&sql), "{log}");
    pipeline.sql(&sql);
    assert_eq!(started(3).matches("postgres.table-unpublished").count(), 1);
    // while it is read nobody but the catalogue says so; a table that is gone altogether is no loss
    let weir = pipeline.start("");
    let told = |n: usize| weir.log().matches("postgres.table-unpublished").count() >= n;
    wait_for("the stream", LIMIT, || (weir.log().matches("streaming").count() >= 4).then_some(()));
    let looked = "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'weir' \
                  AND state = 'idle' AND query LIKE '%FROM pg_publication_tables%'";
    wait_for("a look at the publication", LIMIT, || {
        (!pipeline.server.sql_in(&pipeline.database, looked).expect("sessions").is_empty()).then_some(())
    });
    pipeline.sql(&format!("DROP TABLE u; ALTER PUBLICATION \"{name}\" DROP TABLE t"));
    wait_for("a table taken out to be told of", LIMIT, || told(2).then_some(()));
    assert!(weir.stop().success());
    assert!(!weir_log(&pipeline).contains("TABLE public.u"));
}

/// What a filtered publication lacked was not in the stream meanwhile: it is put back, and that is told.
#[test]
fn a_table_that_is_put_back_into_a_filtered_publication_is_told() {
    let pipeline = Pipeline::new(Postgres::shared().expect("PostgreSQL"));
    pipeline.sql("CREATE TABLE u (id int PRIMARY KEY)");
    let filtered = "publication.autocreate.mode = \"filtered\"";
    let weir = pipeline.start(filtered);
    pipeline.wait_for_ids(&[1]);
    assert!(weir.stop().success());
    assert!(!weir_log(&pipeline).contains("published from now on"), "{}", weir_log(&pipeline));
    pipeline.sql(&format!("ALTER PUBLICATION \"{}\" DROP TABLE t; INSERT INTO t VALUES (2, 'unseen')", pipeline.name));
    let weir = pipeline.start(filtered);
    pipeline.sql("INSERT INTO u VALUES (1)");
    wait_for("the stream", LIMIT, || (weir.log().matches("streaming").count() >= 2).then_some(()));
    assert!(weir.log().contains("published from now on: public.t; what changed"), "{}", weir.log());
    pipeline.sql("INSERT INTO t VALUES (3, 'c')");
    wait_for_id(&pipeline, 3);
    assert!(weir.stop().success());
}

/// The row has left, and the standby has it.
fn a_row_later_the_primary_crashes(pipeline: &Pipeline, standby: &Postgres) {
    pipeline.wait_for_ids(&[1]);
    pipeline.sql("INSERT INTO t VALUES (2, 'b')");
    pipeline.wait_for_ids(&[1, 2]);
    stored_up_to_now(pipeline);
    wait_for("the standby", LIMIT, || {
        standby.sql_in(&pipeline.database, "SELECT 1 FROM t WHERE id = 2").is_ok_and(|r| !r.is_empty()).then_some(())
    });
    pipeline.server.stop_immediate().expect("a crash");
}

/// Its log is all there, but no slot: before PostgreSQL 17 standbys keep none.
#[test]
fn a_standby_that_is_promoted_has_no_slot() {
    let primary = Postgres::builder().setting("wal_sender_timeout", "10s").start().expect("PostgreSQL");
    let standby = primary.standby().expect("a standby");
    let pipeline = Pipeline::new(&primary);
    let weir = pipeline.start("");
    a_row_later_the_primary_crashes(&pipeline, &standby);
    wait_for("tries", LIMIT, || weir.log().contains("trying again").then_some(()));
    standby.promote().expect("promoted");
    assert!(weir.stop().success());
    let pipeline = Pipeline { server: &standby, ..pipeline };
    pipeline.sql("INSERT INTO t VALUES (3, 'c')");
    let ended = pipeline.run("");
    ended.is(3, "postgres.slot-gone");
    assert!(ended.help.contains("promoted"), "{}", ended.help);
    let weir = pipeline.start(WHEN_NEEDED);
    wait_for_id(&pipeline, 3);
    pipeline.sql("INSERT INTO t VALUES (4, 'd')");
    wait_for_id(&pipeline, 4);
    assert!(weir.stop().success());
    assert_eq!(sorted(&pipeline), [1, 2, 3, 4]);
}

/// The pipeline names both servers of a cluster, and goes over by itself.
#[test]
fn a_pipeline_follows_the_server_that_may_be_written_to() {
    let primary = Postgres::builder().setting("wal_sender_timeout", "10s").start().expect("PostgreSQL");
    let standby = primary.standby().expect("a standby");
    let pipeline = Pipeline::new(&primary);
    let hosts = format!("{}:{},{}:{}", standby.host(), standby.port(), primary.host(), primary.port());
    wait_for("the standby", LIMIT, || standby.sql_in(&pipeline.database, "TABLE t").is_ok().then_some(()));
    pipeline.write(WHEN_NEEDED, "retry.delay.max = \"100ms\"");
    let text = support::read(&pipeline.place.path("e.toml"));
    let of_one = format!("database.hostname = \"{}\"", primary.host());
    assert!(text.contains(&of_one));
    pipeline.place.write("e.toml", &text.replace(&of_one, &format!("database.hostname = \"{hosts}\"")));
    let weir = pipeline.place.start("e.toml");
    a_row_later_the_primary_crashes(&pipeline, &standby);
    wait_for("tries", LIMIT, || weir.log().contains("no server may be written to").then_some(()));
    assert!(weir.log().contains("is a standby") && weir.log().contains("connection refused"), "{}", weir.log());
    standby.promote().expect("promoted");
    standby.sql_in(&pipeline.database, "INSERT INTO t VALUES (3, 'c')").expect("a row");
    // a slot does not follow before version 17: the rows come in a new snapshot, as was asked for
    wait_for_id(&pipeline, 3);
    standby.sql_in(&pipeline.database, "INSERT INTO t VALUES (4, 'd')").expect("a row");
    wait_for_id(&pipeline, 4);
    assert!(weir.log().contains("a new snapshot is taken"), "{}", weir.log());
    assert!(weir.stop().success());
}

/// From 17 on the slot follows too, and nothing is read again.
#[test]
fn a_slot_that_follows_lets_the_pipeline_go_on_at_the_promoted_standby() {
    let primary = Postgres::builder().release(release::FAILOVER).setting("wal_sender_timeout", "10s");
    // what the standby does not have yet must not leave; once promoted it would wait for itself
    const GATE: &str = "synchronized_standby_slots";
    let primary = primary.setting(GATE, "standby").start().expect("PostgreSQL");
    primary.sql("SELECT pg_create_physical_replication_slot('standby')").expect("a slot");
    let standby = primary.standby_with(&[
        ("primary_slot_name", "standby"),
        ("hot_standby_feedback", "on"),
        ("sync_replication_slots", "on"),
        (GATE, ""),
    ]);
    let standby = standby.expect("a standby");
    let pipeline = Pipeline::new(&primary);
    // a slot that was made before anybody thought of it
    let weir = pipeline.start("");
    pipeline.wait_for_ids(&[1]);
    stored_up_to_now(&pipeline);
    assert!(weir.stop().success());
    pipeline.write("slot.failover = true", "retry.delay.max = \"100ms\"");
    let text = support::read(&pipeline.place.path("e.toml"));
    let (of_one, hosts) = (
        format!("database.hostname = \"{}\"", primary.host()),
        format!("database.hostname = \"{}:{},{}\"", standby.host(), standby.port(), primary.host()),
    );
    assert!(text.contains(&of_one));
    pipeline.place.write("e.toml", &text.replace(&of_one, &hosts));
    let weir = pipeline.place.start("e.toml");
    let synced = format!(
        "SELECT 1 FROM pg_replication_slots WHERE slot_name = '{}' AND failover AND synced AND NOT temporary \
         AND invalidation_reason IS NULL",
        pipeline.name
    );
    let mut id = 1;
    wait_for("the slot on the standby", LIMIT, || {
        // it is taken over when the log that it needs is there, and more of it comes
        id += 1;
        pipeline.sql(&format!("INSERT INTO t VALUES ({id}, 'more')"));
        primary.sql("SELECT pg_log_standby_snapshot()").expect("a snapshot");
        (!standby.sql(&synced).expect("slots").is_empty()).then_some(())
    });
    wait_for_id(&pipeline, id);
    stored_up_to_now(&pipeline);
    primary.stop_immediate().expect("a crash");
    wait_for("tries", LIMIT, || weir.log().contains("no server may be written to").then_some(()));
    standby.promote().expect("promoted");
    standby.sql_in(&pipeline.database, &format!("INSERT INTO t VALUES ({}, 'there')", id + 1)).expect("a row");
    wait_for_id(&pipeline, id + 1);
    assert!(weir.stop().success());
    let log = weir_log(&pipeline);
    assert_eq!(log.matches("the snapshot is complete").count(), 1, "{log}");
    let mut ids = sorted(&pipeline);
    ids.dedup();
    assert_eq!(ids, (1..=id + 1).collect::<Vec<_>>());
}

/// What the old server had told us and the new one never got: its log is shorter than what is stored. The server would take that for
/// the start and skip what is committed up to there.
#[test]
fn a_standby_that_lost_the_end_of_the_log() {
    let primary = Postgres::builder().setting("wal_sender_timeout", "10s").start().expect("PostgreSQL");
    let pipeline = Pipeline::new(&primary);
    let standby = primary.standby().expect("a standby");
    wait_for("the standby", LIMIT, || standby.sql_in(&pipeline.database, "TABLE t").is_ok().then_some(()));
    standby.stop_immediate().expect("a crash");
    let weir = pipeline.start("");
    pipeline.wait_for_ids(&[1]);
    pipeline.sql("INSERT INTO t SELECT g, repeat('x', 1000) FROM generate_series(2, 20000) g");
    wait_for_id(&pipeline, 20_000);
    assert!(weir.stop().success());
    primary.stop_immediate().expect("a crash");
    standby.launch().expect("a start");
    standby.promote().expect("promoted");
    let pipeline = Pipeline { server: &standby, ..pipeline };
    let name = &pipeline.name;
    pipeline.sql(&format!("SELECT pg_create_logical_replication_slot('{name}', 'pgoutput')"));
    pipeline.sql("INSERT INTO t VALUES (50000, 'new')");
    ended(pipeline.start(""), &pipeline.place, "postgres.offset-ahead");
    let weir = pipeline.start(WHEN_NEEDED);
    wait_for_id(&pipeline, 50_000);
    pipeline.sql("INSERT INTO t VALUES (50001, 'newer')");
    wait_for_id(&pipeline, 50_001);
    assert!(weir.stop().success());
}

/// The slot follows the log, also where nothing of it is for us: no table for heartbeats is needed.
#[test]
fn an_idle_slot_moves_while_another_database_writes() {
    let pipeline = Pipeline::new(Postgres::shared().expect("PostgreSQL"));
    let weir = pipeline.start("");
    pipeline.wait_for_ids(&[1]);
    let other = pipeline.server.database().expect("a database");
    let write = "CREATE TABLE busy AS SELECT repeat('x', 1000) FROM generate_series(1, 20000)";
    pipeline.server.sql_in(&other, write).expect("rows");
    stored_up_to_now(&pipeline);
    assert!(weir.stop().success());
}

#[test]
fn a_kafka_that_is_away_is_waited_for_in_bounded_memory() {
    away(Duration::ZERO, &[Kafka::stop, Kafka::kill]);
}

/// `WEIR_AWAY_SECONDS` says how long; ten minutes when it is not set.
#[test]
#[ignore = "takes as long as Kafka is away"]
fn a_kafka_that_is_away_for_long_is_waited_for() {
    let seconds = std::env::var("WEIR_AWAY_SECONDS").ok().and_then(|n| n.parse().ok()).unwrap_or(600);
    away(Duration::from_secs(seconds), &[Kafka::kill]);
}

/// Rows of one change of the writer below, each of a good kilobyte.
const ROWS: u64 = 500;

/// Kafka goes in each of these ways, for so long at least, while a writer goes on; much more is written than weir may hold.
fn away(time: Duration, ways: &[fn(&Kafka) -> std::io::Result<()>]) {
    let kafka = Kafka::builder().start().expect("Kafka");
    let postgres = Postgres::shared().expect("PostgreSQL");
    let database = postgres.database().expect("a database");
    let sql = |text: &str| postgres.sql_in(&database, text).expect("SQL");
    sql(&format!(
        "CREATE TABLE t (id int PRIMARY KEY, n bigint NOT NULL, pad text NOT NULL); \
         INSERT INTO t SELECT g, 0, repeat('x', 1500) FROM generate_series(1, {ROWS}) g"
    ));
    let place = Place::new();
    place.write(
        "p.toml",
        &format!(
            "name = \"away\"\n[source.postgres]\nurl = \"{}\"\ntopic.prefix = \"away\"\nslot.name = \"{database}\"\n\
             publication.name = \"away\"\n[sink.kafka]\nbootstrap.servers = \"{}\"\nbuffer.memory = 4194304\n\
             topic.creation.default.partitions = 1\ntopic.creation.default.replication.factor = 1\n",
            postgres.url_of(&database),
            kafka.bootstrap()
        ),
    );
    let mut weir = place.start("p.toml");
    let rows = || topic::read(kafka.bootstrap(), "away.public.t");
    wait_for("the snapshot", LIMIT, || (rows().len() as u64 >= ROWS).then_some(()));
    let mut n = 0;
    let mut write = |times: u64| {
        (0..times).for_each(|_| drop(sql("UPDATE t SET n = n + 1")));
        n += times;
        n
    };
    for (i, go) in ways.iter().enumerate() {
        let before = weir.memory("VmRSS");
        write(4);
        go(&kafka).expect("Kafka goes");
        let (since, mut more) = (Instant::now(), 0);
        // 50 MB, and some more as long as it takes
        write(60);
        wait_for("a word of it", time + LIMIT, || {
            if since.elapsed().as_secs() / 5 > more {
                more += 1;
                write(1);
            }
            let said = weir.log().matches("Kafka acknowledges nothing").count() > i;
            (said && since.elapsed() >= time).then_some(())
        });
        assert!(weir.is_running(), "{}", weir.log());
        let grown = weir.memory("VmHWM").saturating_sub(before);
        assert!(grown < 48 << 20, "{grown} bytes more while Kafka was away");
        println!("away for {:?}, {} bytes at most, {grown} more than before", since.elapsed(), weir.memory("VmHWM"));
        kafka.launch().expect("started");
        let last = write(1);
        wait_for("the last change", Duration::from_secs(120), || {
            let end = topic::end(kafka.bootstrap(), "away.public.t") as u64;
            (end >= ROWS * (last + 1)).then_some(())
        });
    }
    assert!(weir.stop().success());
    let mut seen = BTreeMap::<u64, u64>::new();
    for record in rows() {
        let value = record.json();
        let (id, n) = (value["after"]["id"].as_u64().expect("an id"), value["after"]["n"].as_u64().expect("a number"));
        let last = seen.entry(id).or_insert(n);
        assert!(n <= *last + 1, "a gap: {id} went from {last} to {n}");
        *last = n.max(*last);
    }
    assert_eq!(seen.len() as u64, ROWS);
    assert!(seen.values().all(|last| *last == n), "the last change of every row");
}
