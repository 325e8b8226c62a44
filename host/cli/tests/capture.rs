//! PostgreSQL to Kafka, for real: what is written arrives, in order, whatever is killed.

mod support;

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::{ClientConfig, Message, Offset, TopicPartitionList};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;
use support::{Place, wait_for};
use weir_testkit::{Kafka, Postgres};

/// (key, value) of every record of a topic, in order of each partition.
fn topic(bootstrap: &str, name: &str) -> Vec<(Option<String>, Option<String>)> {
    let consumer: BaseConsumer =
        ClientConfig::new().set("bootstrap.servers", bootstrap).set("group.id", "test").create().expect("a consumer");
    let timeout = Duration::from_secs(20);
    let Ok(metadata) = consumer.fetch_metadata(Some(name), timeout) else { return vec![] };
    let partitions: Vec<i32> = metadata.topics().iter().flat_map(|t| t.partitions()).map(|p| p.id()).collect();
    let mut list = TopicPartitionList::new();
    let mut ends = BTreeMap::new();
    for p in partitions {
        let Ok((low, high)) = consumer.fetch_watermarks(name, p, timeout) else { continue };
        if high > low {
            ends.insert(p, high);
            list.add_partition_offset(name, p, Offset::Offset(low)).expect("an offset");
        }
    }
    consumer.assign(&list).expect("assigned");
    let mut out = vec![];
    while !ends.is_empty() {
        let m = consumer.poll(timeout).expect("a record in time").expect("a record");
        let text = |b: Option<&[u8]>| b.map(|b| String::from_utf8_lossy(b).into_owned());
        out.push((text(m.key()), text(m.payload())));
        if ends.get(&m.partition()).is_some_and(|end| m.offset() + 1 >= *end) {
            ends.remove(&m.partition());
        }
    }
    out
}

fn pipeline(postgres: &Postgres, database: &str, kafka: &Kafka, name: &str) -> String {
    format!(
        "name = \"{name}\"\n[source.postgres]\nurl = \"{}\"\ntopic.prefix = \"{name}\"\nslot.name = \"{name}\"\n\
         publication.name = \"{name}\"\npublication.autocreate.mode = \"filtered\"\n\n[sink.kafka]\nbootstrap.servers = \"{}\"\n",
        postgres.url_of(database),
        kafka.bootstrap()
    )
}

/// Writers go on while weir is killed twenty times: every change of every key is in Kafka, in order, without a gap.
#[test]
fn nothing_is_lost_when_it_is_killed_twenty_times() {
    let (postgres, kafka) = (Postgres::shared().expect("PostgreSQL"), Kafka::shared().expect("Kafka"));
    let database = postgres.database().expect("a database");
    postgres
        .sql_in(
            &database,
            "CREATE TABLE acc (id int PRIMARY KEY, n bigint NOT NULL, pad text);
        INSERT INTO acc SELECT g, 0, repeat('x', 200) FROM generate_series(1, 20) g",
        )
        .expect("a table");
    let place = Place::new();
    place.write("p.toml", &pipeline(postgres, &database, kafka, "killed"));
    let (done, changes) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let writer = std::thread::spawn({
        let (database, done, changes) = (database.clone(), done.clone(), changes.clone());
        move || {
            while !done.load(Relaxed) {
                let sql =
                    "BEGIN; UPDATE acc SET n = n + 1 WHERE id <= 10; UPDATE acc SET n = n + 1 WHERE id > 10; COMMIT";
                postgres.sql_in(&database, sql).expect("an update");
                changes.fetch_add(20, Relaxed);
            }
        }
    });
    let mut seed = std::process::id() as u64 | 1;
    for _ in 0..20 {
        let before = changes.load(Relaxed);
        let weir = place.start("p.toml");
        seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        // killed after some changes more, anywhere between start-up and full flight
        let after = before + 20 * (1 + (seed >> 33) % 120);
        wait_for("changes", Duration::from_secs(120), || (changes.load(Relaxed) >= after).then_some(()));
        weir.kill();
    }
    done.store(true, Relaxed);
    writer.join().expect("the writer");
    let last = changes.load(Relaxed) / 20;
    let weir = place.start("p.toml");
    let mark = format!("\"n\":{last}");
    wait_for("the last change of every key", Duration::from_secs(120), || {
        let records = topic(kafka.bootstrap(), "killed.public.acc");
        let caught_up = records.iter().filter(|r| r.1.as_ref().is_some_and(|v| v.contains(&mark))).count();
        (caught_up >= 20).then_some(())
    });
    assert!(weir.stop().success());
    check_order(&topic(kafka.bootstrap(), "killed.public.acc"), last);
}

fn check_order(records: &[(Option<String>, Option<String>)], last: u64) {
    let (mut seen, mut duplicates) = (BTreeMap::<String, u64>::new(), 0);
    for (key, value) in records {
        let (Some(key), Some(value)) = (key, value) else { continue };
        let value: serde_json::Value = serde_json::from_str(value).expect("JSON");
        let n = value["after"]["n"].as_u64().expect("a number");
        match seen.get_mut(key) {
            None => {
                seen.insert(key.clone(), n);
            }
            Some(max) => {
                // a kill before the first stored offset begins a new snapshot, which shows what is there by then
                let read = value["op"] == "r";
                assert!(read || n <= *max + 1, "a gap: {key} went from {max} to {n}");
                duplicates += u64::from(n <= *max);
                *max = n.max(*max);
            }
        }
    }
    println!("{} records, {duplicates} of them again", records.len());
    assert_eq!(seen.len(), 20);
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
            let records = topic(kafka.bootstrap(), "restarted.public.t");
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
    let keys: Vec<_> = records.iter().map(|r| r.0.clone().unwrap_or_default()).collect();
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
    assert_eq!(records.iter().filter(|r| r.1.is_none()).count(), 2, "tombstones");
}

/// What a user would get wrong, and what is said of it.
#[test]
fn errors_name_their_cure() {
    let postgres = Postgres::shared().expect("PostgreSQL");
    let database = postgres.database().expect("a database");
    let place = Place::new();
    let run = |extra: &str, url: &str| {
        place.write("e.toml", &format!("name = \"e\"\n[source.postgres]\nurl = \"{url}\"\ntopic.prefix = \"e\"\nslot.name = \"e\"\n{extra}\n[sink.discard]\n[errors]\nretry.timeout = \"0s\"\n"));
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
