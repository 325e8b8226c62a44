//! PostgreSQL to Kafka, for real: what is written arrives, in order, whatever is killed.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)] // helpers of tests are tests

mod support;
#[path = "support/topic.rs"]
mod topic;

use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;
use support::{Place, metric, wait_for};
use topic::Record;
use weir_testkit::{Kafka, Postgres};

fn pipeline(postgres: &Postgres, database: &str, kafka: &Kafka, name: &str) -> String {
    format!(
        "name = \"{name}\"\n[source.postgres]\nurl = \"{}\"\ntopic.prefix = \"{name}\"\nslot.name = \"{name}\"\n\
         publication.name = \"{name}\"\npublication.autocreate.mode = \"filtered\"\n\n[sink.kafka]\nbootstrap.servers = \"{}\"\n",
        postgres.url_of(database),
        kafka.bootstrap()
    )
}

const TABLE: &str = "killed.public.acc";
/// Rows whose numbers only grow: a gap in them is a lost change.
const COUNTERS: u64 = 20;
/// The row that round i inserts, and the key that it gets in the same round; it is deleted ten rounds later.
const BORN: u64 = 1_000;
const MOVED: u64 = 1_000_000;

/// One round of the writer: updates of every counter, an insert, a change of a key, a delete.
fn round(i: u64) -> String {
    let (born, moved, gone) = (BORN + i, MOVED + i, (MOVED + i).saturating_sub(10));
    format!(
        "BEGIN; UPDATE acc SET n = n + 1 WHERE id <= 10; UPDATE acc SET n = n + 1 WHERE id > 10 AND id <= {COUNTERS}; COMMIT;
         BEGIN; INSERT INTO acc VALUES ({born}, {i}, 'new'); COMMIT;
         BEGIN; UPDATE acc SET id = {moved} WHERE id = {born}; DELETE FROM acc WHERE id = {gone}; COMMIT"
    )
}

/// What stood in the store when weir was dead, and where the topic ended.
struct Death {
    end: i64,
    stored: Option<Stored>,
}

/// A position up to which nothing may be written again.
struct Stored {
    /// the last transaction that is done
    last_commit: u64,
    /// rows of the one behind it that are done
    rows: usize,
}

/// Where a row stands: the commit before its transaction, and its own place in the log.
fn position(value: &Value) -> (u64, u64) {
    let sequence = value["source"]["sequence"].as_str().unwrap_or("[]");
    let sequence: Vec<Option<String>> = serde_json::from_str(sequence).expect("a sequence");
    let commit = sequence.first().cloned().flatten().and_then(|n| n.parse().ok()).unwrap_or(0);
    (commit, value["source"]["lsn"].as_u64().expect("an lsn"))
}

fn stored(place: &Place) -> Option<Stored> {
    let out = place.weir(&["offsets", "show", "killed", "--json"]);
    let said: Value = serde_json::from_slice(&out.stdout).expect("an envelope");
    let offset = said["result"]["killed"]["offsets"][0]["offset"].as_object()?.clone();
    if offset.get("snapshot_completed") == Some(&Value::Bool(false)) {
        return None; // only that a snapshot was begun
    }
    let number = |key: &str| offset.get(key).and_then(Value::as_u64);
    Some(Stored {
        last_commit: number("lsn_last_commit").expect("the last commit"),
        rows: number("lsn_events_processed").unwrap_or(0) as usize,
    })
}

/// Writers go on while weir is killed twenty times: every change of every key is in Kafka, in order, without a gap; and what
/// a stored offset covers is never written again.
#[test]
fn nothing_is_lost_when_it_is_killed_twenty_times() {
    let (postgres, kafka) = (Postgres::shared().expect("PostgreSQL"), Kafka::shared().expect("Kafka"));
    let database = postgres.database().expect("a database");
    let table = format!(
        "CREATE TABLE acc (id int PRIMARY KEY, n bigint NOT NULL, pad text);
         INSERT INTO acc SELECT g, 0, repeat('x', 200) FROM generate_series(1, {COUNTERS}) g"
    );
    postgres.sql_in(&database, &table).expect("a table");
    let place = Place::new();
    place.write("p.toml", &pipeline(postgres, &database, kafka, "killed"));
    let (done, rounds) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let writer = std::thread::spawn({
        let (database, done, rounds) = (database.clone(), done.clone(), rounds.clone());
        move || {
            while !done.load(Relaxed) {
                postgres.sql_in(&database, &round(rounds.load(Relaxed) + 1)).expect("changes");
                rounds.fetch_add(1, Relaxed);
            }
        }
    });
    let mut seed = std::process::id() as u64 | 1;
    let mut deaths = vec![];
    for death in 0..20 {
        let before = rounds.load(Relaxed);
        let port = weir_testkit::process::free_port().expect("a port");
        let weir = place.start_with(&["run", "p.toml", "--metrics", &format!("127.0.0.1:{port}")]);
        seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        // killed after some changes more, anywhere between start-up and full flight; every other time behind a stored offset
        let after = before + 1 + (seed >> 33) % 120;
        wait_for("changes", Duration::from_secs(120), || (rounds.load(Relaxed) >= after).then_some(()));
        if death % 2 == 1 {
            // one says that a snapshot is begun
            wait_for("a stored offset", Duration::from_secs(120), || {
                (metric(port, "weir_offsets_stored_total") >= 2).then_some(())
            });
        }
        weir.kill();
        deaths.push(Death { end: topic::end(kafka.bootstrap(), TABLE), stored: stored(&place) });
    }
    done.store(true, Relaxed);
    writer.join().expect("the writer");
    let last = rounds.load(Relaxed);
    let weir = place.start("p.toml");
    let mark = format!("{{\"id\":{}}}", MOVED + last);
    wait_for("the last change", Duration::from_secs(120), || {
        let records = topic::read(kafka.bootstrap(), TABLE);
        records.iter().any(|r| r.key.as_ref() == Some(&mark)).then_some(())
    });
    assert!(weir.stop().success());
    let records = topic::read(kafka.bootstrap(), TABLE);
    check_order(&records, last);
    check_rounds(&records, last);
    let rows = postgres.sql_in(&database, "SELECT id FROM acc").expect("rows");
    let rows: BTreeSet<String> = rows.into_iter().flatten().flatten().map(|id| format!("{{\"id\":{id}}}")).collect();
    assert_eq!(live(&records), rows, "what is left is what the table holds");
    assert!(deaths.iter().filter(|d| d.stored.is_some()).count() >= 9, "too few kills came behind a stored offset");
    deaths.iter().for_each(|death| check_duplicates(&records, death));
}

/// Nothing that a stored offset covers is written after it.
fn check_duplicates(records: &[Record], death: &Death) {
    let Some(stored) = &death.stored else { return };
    let (before, after): (Vec<_>, Vec<_>) = records.iter().partition(|r| r.offset < death.end);
    let positions = |records: &[&Record]| -> Vec<(u64, u64)> {
        let changes = records.iter().map(|r| r.json()).filter(|v| !v.is_null() && v["op"] != "r");
        changes.map(|v| position(&v)).collect()
    };
    // a row of the transaction that the offset lies in: the last one that is done
    let within: BTreeSet<_> = positions(&before).into_iter().filter(|p| p.0 == stored.last_commit).collect();
    let row = stored.rows.checked_sub(1).and_then(|last| within.into_iter().nth(last)).map_or(0, |p| p.1);
    assert!(after.iter().all(|r| r.json()["op"] != "r"), "a snapshot behind a stored offset");
    for at in positions(&after) {
        let covered = at.0 < stored.last_commit || at.0 == stored.last_commit && at.1 <= row;
        assert!(!covered, "{at:?} is written again behind the stored offset {}, {row}", stored.last_commit);
    }
}

/// Keys that have a value in the end.
fn live(records: &[Record]) -> BTreeSet<String> {
    let mut keys = BTreeSet::new();
    for r in records {
        let key = r.key.clone().expect("a key");
        if r.value.is_some() {
            keys.insert(key)
        } else {
            keys.remove(&key)
        };
    }
    keys
}

/// Every round since the first snapshot was begun is there whole, and its records are in order.
fn check_rounds(records: &[Record], last: u64) {
    let mut histories = BTreeMap::<u64, Vec<String>>::new();
    for r in records {
        let key: Value = serde_json::from_str(r.key.as_ref().expect("a key")).expect("JSON");
        let id = key["id"].as_u64().expect("an id");
        let op = r.json()["op"].as_str().unwrap_or("tombstone").to_string();
        let history = histories.entry(id).or_default();
        // a record that comes again says nothing new, and a snapshot nothing of the rounds
        if op != "r" && !history.contains(&op) {
            history.push(op)
        }
    }
    let of = |id: u64| histories.get(&id).cloned().unwrap_or_default();
    let from = (1..=last).find(|i| !of(BORN + i).is_empty()).expect("rounds behind a snapshot");
    for i in from..=last {
        assert_eq!(of(BORN + i), ["c", "d", "tombstone"], "round {i}");
        let gone = if i + 10 <= last { &["c", "d", "tombstone"][..] } else { &["c"] };
        assert_eq!(of(MOVED + i), gone, "round {i}");
    }
}

fn check_order(records: &[Record], last: u64) {
    let (mut seen, mut duplicates) = (BTreeMap::<u64, u64>::new(), 0);
    for value in records.iter().map(Record::json).filter(|v| v["after"]["id"].as_u64().is_some_and(|id| id <= COUNTERS))
    {
        let (id, n) = (value["after"]["id"].as_u64().expect("an id"), value["after"]["n"].as_u64().expect("a number"));
        match seen.get_mut(&id) {
            None => {
                seen.insert(id, n);
            }
            Some(max) => {
                // a kill before the first stored offset begins a new snapshot, which shows what is there by then
                let read = value["op"] == "r";
                assert!(read || n <= *max + 1, "a gap: {id} went from {max} to {n}");
                duplicates += u64::from(n <= *max);
                *max = n.max(*max);
            }
        }
    }
    println!("{} records, {duplicates} updates of them again", records.len());
    assert_eq!(seen.len() as u64, COUNTERS);
    assert!(seen.values().all(|n| *n == last), "the last change of every key: {last}, and got {seen:?}");
}

/// Every sort of change, through a restart, to the last byte of the keys.
#[test]
fn changes_arrive_once_through_an_orderly_restart() {
    let (postgres, kafka) = (Postgres::shared().expect("PostgreSQL"), Kafka::shared().expect("Kafka"));
    let database = postgres.database().expect("a database");
    postgres
        .sql_in(&database, "CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t VALUES (1, 'a'), (2, 'b')")
        .expect("a table");
    let place = Place::new();
    place.write("p.toml", &pipeline(postgres, &database, kafka, "restarted"));
    let count = |n: usize| {
        wait_for("records", Duration::from_secs(60), || {
            let records = topic::read(kafka.bootstrap(), "restarted.public.t");
            (records.len() >= n).then_some(records)
        })
    };
    let weir = place.start("p.toml");
    count(2);
    postgres.sql_in(&database, "UPDATE t SET v = 'c' WHERE id = 1").expect("an update");
    count(3);
    assert!(weir.stop().success(), "an orderly stop");
    postgres
        .sql_in(&database, "DELETE FROM t WHERE id = 2; UPDATE t SET id = 3 WHERE id = 1")
        .expect("changes while it is down");
    let weir = place.start("p.toml");
    // delete + tombstone, then delete + tombstone + create of the key that changed
    let records = count(8);
    assert!(weir.stop().success());
    let keys: Vec<_> = records.iter().map(|r| r.key.clone().unwrap_or_default()).collect();
    assert_eq!(
        keys,
        [
            "{\"id\":1}",
            "{\"id\":2}",
            "{\"id\":1}",
            "{\"id\":2}",
            "{\"id\":2}",
            "{\"id\":1}",
            "{\"id\":1}",
            "{\"id\":3}"
        ]
    );
    assert_eq!(records.iter().filter(|r| r.value.is_none()).count(), 2, "tombstones");
}

/// What a user would get wrong, and what is said of it.
#[test]
fn errors_name_their_cure() {
    let postgres = Postgres::shared().expect("PostgreSQL");
    let database = postgres.database().expect("a database");
    let place = Place::new();
    let run = |extra: &str, url: &str| {
        place.write("e.toml", &format!("name = \"e\"\n[source.postgres]\nurl = \"{url}\"\ntopic.prefix = \"e\"\nslot.name = \"e\"\n{extra}\n[sink.discard]\n[errors]\nretry.max = 0\n"));
        let out = place.weir(&["run", "e.toml", "--json"]);
        let said: serde_json::Value = serde_json::from_slice(&out.stdout).expect("an envelope");
        (out.status.code(), said["error"]["pipelines"][0]["error"]["code"].as_str().unwrap_or_default().to_string())
    };
    let nowhere = "postgres://postgres@127.0.0.1:1/x";
    assert_eq!(run("", nowhere), (Some(1), "postgres.connect".into()));
    assert_eq!(run("", &postgres.url_of("no_such_database")), (Some(3), "postgres.database-missing".into()));
    let url = postgres.url_of(&database);
    assert_eq!(
        run("publication.name = \"none\"\npublication.autocreate.mode = \"disabled\"", &url),
        (Some(3), "postgres.publication-missing".into())
    );
    assert_eq!(run("slot.name = \"Bad Name\"", &url).0, Some(2));
}

/// A server that cannot be reached is tried again as often as it is said, and for ever when nothing is said.
#[test]
fn a_lost_connection_is_tried_again_as_often_as_it_is_said() {
    let place = Place::new();
    let connector = |more: &str| {
        format!(
            "{{\"name\": \"c\", \"connector.class\": \"io.debezium.connector.postgresql.PostgresConnector\",
              \"database.hostname\": \"127.0.0.1\", \"database.port\": 1, \"database.user\": \"u\", \"database.dbname\": \"d\",
              \"topic.prefix\": \"c\", \"key.converter\": \"JsonConverter\", \"value.converter\": \"JsonConverter\",
              \"producer.override.bootstrap.servers\": \"{}\", \"retriable.restart.connector.wait.ms\": 10{more}}}",
            Kafka::shared().expect("Kafka").bootstrap()
        )
    };
    let tries = |log: &str| log.matches("trying again").count();
    for n in [0, 3] {
        place.write("c.json", &connector(&format!(", \"errors.max.retries\": {n}")));
        let out = place.weir(&["run", "c.json", "--json"]);
        let log = String::from_utf8_lossy(&out.stderr).into_owned();
        assert_eq!((out.status.code(), tries(&log)), (Some(1), n), "{log}");
        assert!(String::from_utf8_lossy(&out.stdout).contains("postgres.connect"), "{log}");
    }
    // what Connect says of operations on records limits nothing here
    place.write("c.json", &connector(", \"errors.retry.timeout\": 0"));
    let mut weir = place.start("c.json");
    wait_for("many tries", Duration::from_secs(60), || (tries(&weir.log()) > 20).then_some(()));
    assert!(weir.is_running());
    assert!(weir.stop().success(), "a stop is heard between two tries");
}

/// Log that the server keeps for the slot is a number, and beyond a bound a line.
#[test]
fn log_that_the_server_keeps_is_told_of() {
    let (postgres, kafka) = (Postgres::shared().expect("PostgreSQL"), Kafka::shared().expect("Kafka"));
    let database = postgres.database().expect("a database");
    postgres.sql_in(&database, "CREATE TABLE t (id int PRIMARY KEY)").expect("a table");
    let place = Place::new();
    let alert = "\nslot.name = \"kept\"\nslot.wal.alert.bytes = 1\n";
    place.write("p.toml", &pipeline(postgres, &database, kafka, "kept").replace("\nslot.name = \"kept\"\n", alert));
    let port = weir_testkit::process::free_port().expect("a port");
    let weir = place.start_with(&["run", "p.toml", "--metrics", &format!("127.0.0.1:{port}")]);
    wait_for("the line", Duration::from_secs(60), || weir.log().contains("postgres.wal-retained").then_some(()));
    wait_for("the number", Duration::from_secs(60), || (metric(port, "weir_source_retained_bytes") > 1).then_some(()));
    assert!(weir.stop().success());
}
