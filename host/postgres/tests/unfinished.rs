//! A snapshot that is cut off: consumers keep some of its rows, and must learn what became of them (invariant 3).
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)] // helpers of tests are tests

mod support;

use support::{Reader, Seen};
use weir_testkit::Postgres;

fn told(seen: &[Seen]) -> Vec<String> {
    let id = |key: &str| serde_json::from_str::<serde_json::Value>(key).unwrap()["payload"]["id"].to_string();
    seen.iter().map(|r| format!("{} {}", r.op(), id(r.key.as_ref().unwrap()))).collect()
}

#[test]
fn what_changed_since_a_snapshot_was_cut_off_comes_before_the_next() {
    let server = Postgres::shared().unwrap();
    let database = server.database().unwrap();
    let sql = |text: &str| drop(server.sql_in(&database, text).unwrap());
    sql("CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t VALUES (1, 'a'), (2, 'b'), (3, 'c')");
    let mut first = Reader::open(server, &database, &[]);
    assert_eq!(told(&first.seen(3)), ["r 1", "r 2", "r 3"]);
    let stored = first.stored.clone().expect("stored before the first row");
    assert_eq!(stored["snapshot_completed"], false);
    drop(first);
    sql("DELETE FROM t WHERE id = 1");
    sql("UPDATE t SET v = 'd' WHERE id = 2");
    let mut second = Reader::unstarted(server, &database, &[]);
    second.source.start(Some(&stored)).unwrap();
    // committed behind the second snapshot: once, and behind its rows; an updated row lies behind the others of its table
    sql("INSERT INTO t VALUES (4, 'e')");
    assert_eq!(told(&second.seen(6)), ["d 1", "tombstone 1", "u 2", "r 3", "r 2", "c 4"]);
    // cut off again where nothing changed since: what was sent already is not sent a second time
    let stored = second.stored.clone().unwrap();
    drop(second);
    let mut third = Reader::unstarted(server, &database, &[]);
    third.source.start(Some(&stored)).unwrap();
    assert_eq!(told(&third.seen(4)), ["c 4", "r 3", "r 2", "r 4"]);
    let stored = third.stored.clone().unwrap();
    drop(third);
    let mut idle = Reader::unstarted(server, &database, &[]);
    idle.source.start(Some(&stored)).unwrap();
    assert_eq!(told(&idle.seen(3)), ["r 3", "r 2", "r 4"]);
}

/// Consumers have rows that may have been deleted since, and the log that would tell is gone: only a person can know of it.
#[test]
fn a_slot_that_somebody_moved_on_is_an_error_or_begins_anew_where_that_is_wanted() {
    let server = Postgres::shared().unwrap();
    let database = server.database().unwrap();
    let sql = |text: &str| drop(server.sql_in(&database, text).unwrap());
    sql("CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1)");
    let mut first = Reader::open(server, &database, &[]);
    assert_eq!(told(&first.seen(1)), ["r 1"]);
    let stored = first.stored.clone().unwrap();
    drop(first);
    sql("INSERT INTO t VALUES (2)");
    sql(&format!("SELECT pg_replication_slot_advance('{database}', pg_current_wal_lsn())"));
    let mut second = Reader::unstarted(server, &database, &[]);
    assert_eq!(second.source.start(Some(&stored)).unwrap_err().code(), "postgres.slot-ahead");
    let mut second = Reader::unstarted(server, &database, &[("snapshot.mode", "when_needed")]);
    second.source.start(Some(&stored)).unwrap();
    assert_eq!(told(&second.seen(2)), ["r 1", "r 2"]);
}
