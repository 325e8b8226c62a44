//! What goes wrong with a PostgreSQL: its code, and help that mends it, which is tried.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)] // helpers of tests are tests

#[path = "support/pipeline.rs"]
mod pipeline;
mod support;

use pipeline::{LIMIT, Pipeline};
use support::{Place, read, wait_for};
use weir_testkit::Postgres;

#[test]
fn a_wrong_password() {
    let server = Postgres::builder().password("right-secret").start().expect("PostgreSQL");
    let mut pipeline = Pipeline::with_role(&server, "SUPERUSER");
    pipeline.password = "wrong-secret".into();
    let ended = pipeline.run("");
    ended.is(3, "postgres.password");
    assert_eq!(ended.help, format!("ALTER ROLE {} PASSWORD '…'", pipeline.user));
    pipeline.sql(&ended.help.replace('…', "wrong-secret"));
    pipeline.works("");
}

#[test]
fn a_role_without_replication() {
    let pipeline = Pipeline::with_role(Postgres::shared().expect("PostgreSQL"), "");
    pipeline
        .sql(&format!("CREATE PUBLICATION {} FOR ALL TABLES; GRANT SELECT ON t TO {}", pipeline.name, pipeline.user));
    let ended = pipeline.run("");
    ended.is(3, "postgres.right-missing");
    assert_eq!(ended.help, format!("ALTER ROLE {} REPLICATION", pipeline.user));
    pipeline.sql(&ended.help);
    pipeline.works("");
}

#[test]
fn a_role_without_select() {
    let pipeline = Pipeline::with_role(Postgres::shared().expect("PostgreSQL"), "REPLICATION");
    pipeline.sql(&format!("CREATE PUBLICATION {} FOR ALL TABLES", pipeline.name));
    let ended = pipeline.run("");
    ended.is(3, "postgres.right-missing");
    assert_eq!(ended.help, format!("GRANT SELECT ON TABLE public.t TO {}", pipeline.user));
    pipeline.sql(&ended.help);
    pipeline.works("");
}

#[test]
fn a_server_without_logical_decoding() {
    let server = Postgres::builder().setting("wal_level", "replica").start().expect("PostgreSQL");
    let pipeline = Pipeline::new(&server);
    let ended = pipeline.run("");
    ended.is(3, "postgres.wal-level");
    let (sql, rest) = ended.help.split_once(';').expect("SQL");
    assert_eq!((sql, rest), ("ALTER SYSTEM SET wal_level = logical", " then restart the server"));
    pipeline.sql(sql);
    server.restart().expect("a restart");
    pipeline.works("");
}

#[test]
fn a_publication_that_is_missing() {
    let pipeline = Pipeline::new(Postgres::shared().expect("PostgreSQL"));
    let disabled = "publication.autocreate.mode = \"disabled\"";
    let ended = pipeline.run(disabled);
    ended.is(3, "postgres.publication-missing");
    let (sql, rest) = ended.help.split_once(';').expect("SQL");
    assert_eq!(sql, format!("CREATE PUBLICATION \"{}\" FOR TABLE public.t", pipeline.name));
    assert!(rest.contains("`publication.autocreate.mode`"), "{rest}");
    pipeline.sql(sql);
    pipeline.works(disabled);
}

#[test]
fn a_publication_of_all_tables_without_being_superuser() {
    let pipeline = Pipeline::with_role(Postgres::shared().expect("PostgreSQL"), "REPLICATION");
    pipeline.sql(&format!(
        "GRANT SELECT ON t TO {0}; GRANT CREATE ON DATABASE {1} TO {0}",
        pipeline.user, pipeline.database
    ));
    let all = "publication.autocreate.mode = \"all_tables\"";
    let ended = pipeline.run(all);
    ended.is(3, "postgres.right-missing");
    let sql = ended.help.split_once("run: ").and_then(|(_, rest)| rest.split_once(';')).expect("SQL").0;
    assert_eq!(sql, format!("CREATE PUBLICATION \"{}\" FOR ALL TABLES", pipeline.name));
    pipeline.sql(sql);
    pipeline.works(all);
}

#[test]
fn all_slots_are_used() {
    let server = Postgres::builder().setting("max_replication_slots", "1").start().expect("PostgreSQL");
    let pipeline = Pipeline::new(&server);
    pipeline.sql("SELECT pg_create_logical_replication_slot('forgotten', 'pgoutput')");
    let ended = pipeline.run("");
    ended.is(3, "postgres.slots-exhausted");
    let (drop, raise) = ended.help.split_once("; or ").expect("two ways");
    let raise = raise.split_once(',').expect("SQL").0;
    assert_eq!(raise, "ALTER SYSTEM SET max_replication_slots = …");
    assert!(drop.starts_with("SELECT pg_drop_replication_slot('…')"), "{drop}");
    pipeline.sql(&raise.replace('…', "4"));
    server.restart().expect("a restart");
    pipeline.works("");
}

/// Names of slots are the server's: what is in the way is said, and going on with it would lose changes.
#[test]
fn a_slot_that_is_not_ours() {
    let pipeline = Pipeline::new(Postgres::shared().expect("PostgreSQL"));
    let drop = format!("SELECT pg_drop_replication_slot('{}')", pipeline.name);
    pipeline.sql(&format!("SELECT pg_create_logical_replication_slot('{}', 'test_decoding')", pipeline.name));
    let ended = pipeline.run("");
    ended.is(3, "postgres.slot-plugin");
    assert!(ended.help.contains(&drop), "{}", ended.help);
    pipeline.sql(&drop);
    let other = pipeline.server.database().expect("a database");
    let create = format!("SELECT pg_create_logical_replication_slot('{}', 'pgoutput')", pipeline.name);
    pipeline.server.sql_in(&other, &create).expect("a slot");
    let ended = pipeline.run("");
    ended.is(3, "postgres.slot-elsewhere");
    assert!(ended.help.contains("`slot.name`"), "{}", ended.help);
    pipeline.server.sql_in(&other, &drop).expect("dropped");
    pipeline.works("");
}

/// A prepared transaction may still be rolled back: none of its rows leaves.
#[test]
fn a_slot_that_sends_what_is_prepared() {
    let server = Postgres::builder().setting("max_prepared_transactions", "5").start().expect("PostgreSQL");
    let pipeline = Pipeline::new(&server);
    let slot = &pipeline.name;
    pipeline.sql(&format!("SELECT pg_create_logical_replication_slot('{slot}', 'pgoutput', false, true)"));
    let weir = pipeline.start("");
    pipeline.wait_for_ids(&[1]);
    pipeline.sql("INSERT INTO t VALUES (2, 'b')");
    pipeline.wait_for_ids(&[1, 2]);
    pipeline.sql("BEGIN; INSERT INTO t VALUES (3, 'c'); PREPARE TRANSACTION 'p'");
    let log = pipeline.place.path("weir.log");
    assert_eq!(weir.wait().code(), Some(3), "{}", read(&log));
    assert!(read(&log).contains("error[postgres.two-phase]: "), "{}", read(&log));
    assert_eq!(pipeline.ids(), [1, 2]);
    // as the page says
    pipeline.sql("ROLLBACK PREPARED 'p'");
}

/// Between the stored offset and the slot something is missing: that ends the pipeline, whatever it is asked.
#[test]
fn a_slot_that_has_moved_on_or_is_gone() {
    let pipeline = Pipeline::new(Postgres::shared().expect("PostgreSQL"));
    let weir = pipeline.start("");
    pipeline.wait_for_ids(&[1]);
    pipeline.sql("INSERT INTO t VALUES (2, 'b')");
    pipeline.wait_for_ids(&[1, 2]);
    assert!(weir.stop().success());
    pipeline.sql("INSERT INTO t VALUES (3, 'c')");
    pipeline.sql(&format!("SELECT pg_replication_slot_advance('{}', pg_current_wal_lsn())", pipeline.name));
    let ended = pipeline.run("");
    ended.is(3, "postgres.slot-ahead");
    assert!(ended.help.contains("snapshot"), "{}", ended.help);
    pipeline.sql(&format!("SELECT pg_drop_replication_slot('{}')", pipeline.name));
    pipeline.run("").is(3, "postgres.slot-gone");
    assert_eq!(pipeline.ids(), [1, 2]);
}

#[test]
fn an_include_list_that_nothing_matches() {
    let pipeline = Pipeline::new(Postgres::shared().expect("PostgreSQL"));
    let filtered = "publication.autocreate.mode = \"filtered\"\ntable.include.list = ";
    let ended = pipeline.run(&format!("{filtered}'public\\.nothing'"));
    ended.is(3, "postgres.no-tables");
    assert!(ended.help.contains("`table.include.list`"), "{}", ended.help);
    pipeline.works(&format!("{filtered}'public\\.t'"));
}

/// What no record can hold is said once, and the row goes on.
#[test]
fn a_value_and_a_column_that_records_cannot_hold() {
    let pipeline = Pipeline::new(Postgres::shared().expect("PostgreSQL"));
    pipeline.sql("ALTER TABLE t ADD n numeric, ADD q tsquery; UPDATE t SET n = 'NaN', q = 'a'");
    let weir = pipeline.start("snapshot.mode = \"initial_only\"");
    assert!(weir.wait().success());
    assert_eq!(pipeline.ids(), [1]);
    let log = read(&pipeline.place.path("weir.log"));
    for code in ["postgres.numeric-special", "postgres.type-left-out"] {
        assert_eq!(log.matches(code).count(), 1, "{code}:\n{log}");
    }
}

/// It waits for the slot, and goes on by itself.
#[test]
fn a_slot_that_another_reader_has() {
    let first = Pipeline::new(Postgres::shared().expect("PostgreSQL"));
    let holder = first.start("");
    first.wait_for_ids(&[1]);
    let slot = format!("SELECT 1 FROM pg_replication_slots WHERE slot_name = '{}' AND active", first.name);
    let active = || !first.server.sql(&slot).expect("slots").is_empty();
    wait_for("the stream", LIMIT, || active().then_some(()));

    let second = Pipeline {
        place: Place::new(),
        database: first.database.clone(),
        name: first.name.clone(),
        user: first.user.clone(),
        password: String::new(),
        server: first.server,
    };
    let ended = second.run("snapshot.mode = \"no_data\"");
    ended.is(1, "postgres.slot-in-use");
    assert!(ended.help.contains("SELECT pg_terminate_backend("), "{}", ended.help);
    let mut waiting = second.start("snapshot.mode = \"no_data\"");
    wait_for("tries", LIMIT, || (waiting.log().matches("postgres.slot-in-use").count() >= 3).then_some(()));
    assert!(waiting.is_running());
    assert!(holder.stop().success());
    first.sql("INSERT INTO t VALUES (2, 'b')");
    second.wait_for_ids(&[2]);
    assert!(waiting.stop().success());
}

#[test]
fn a_restart_in_mid_stream_loses_nothing() {
    let server = Postgres::builder().setting("wal_sender_timeout", "10s").start().expect("PostgreSQL");
    let pipeline = Pipeline::new(&server);
    let weir = pipeline.start("");
    pipeline.wait_for_ids(&[1]);
    let mut expected = vec![1];
    for round in 0..3 {
        // the server goes while these are on their way
        for from in (2 + round * 200..202 + round * 200).step_by(50) {
            pipeline.sql(&format!("INSERT INTO t SELECT g, 'x' FROM generate_series({from}, {from} + 49) g"));
        }
        match round {
            0 => server.restart().expect("a restart"),
            _ => {
                server.stop_immediate().expect("a crash");
                server.launch().expect("a start");
            }
        }
    }
    pipeline.sql("INSERT INTO t VALUES (100000, 'last')");
    wait_for("the last record", LIMIT, || pipeline.ids().contains(&100_000).then_some(()));
    assert!(weir.stop().success());
    expected.extend(2..=601);
    expected.push(100_000);
    let mut ids = pipeline.ids();
    ids.sort_unstable();
    assert_eq!(ids, expected);
}

#[test]
fn a_server_that_is_down_at_the_start() {
    let server = Postgres::builder().setting("wal_sender_timeout", "10s").start().expect("PostgreSQL");
    let pipeline = Pipeline::new(&server);
    server.stop_immediate().expect("a crash");
    let ended = pipeline.run("");
    ended.is(1, "postgres.connect");
    assert!(ended.help.contains("is the server running"), "{}", ended.help);
    let mut weir = pipeline.start("");
    wait_for("tries", LIMIT, || (weir.log().matches("postgres.connect").count() >= 2).then_some(()));
    assert!(weir.is_running());
    server.launch().expect("a start");
    pipeline.wait_for_ids(&[1]);
    pipeline.sql("INSERT INTO t VALUES (2, 'b')");
    pipeline.wait_for_ids(&[1, 2]);
    assert!(weir.stop().success());
}
