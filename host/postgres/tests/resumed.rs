//! A snapshot that goes on where it was cut off, and what it reads, how, and when (invariant 3).
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)] // helpers of tests are tests

mod support;

use serde_json::Value as Json;
use std::collections::BTreeMap;
use std::time::Instant;
use support::{LIMIT, Reader, Seen};
use weir_api::{Offset, Poll};
use weir_testkit::Postgres;

/// Rows of a table that has one of them in a block, and a part for each 1024.
const BIG: usize = 5000;

fn big(name: &str) -> String {
    format!(
        "CREATE TABLE {name} (id int PRIMARY KEY, v text) WITH (fillfactor = 10); \
         INSERT INTO {name} SELECT i, repeat('x', 500) FROM generate_series(1, {BIG}) i; ANALYZE {name}"
    )
}

struct Base {
    server: &'static Postgres,
    name: String,
}

impl Base {
    fn new() -> Base {
        let server = Postgres::shared().unwrap();
        Base { server, name: server.database().unwrap() }
    }
    fn sql(&self, text: &str) -> Vec<Vec<Option<String>>> {
        self.server.sql_in(&self.name, text).unwrap()
    }
    fn slots(&self) -> usize {
        self.sql(&format!("SELECT 1 FROM pg_replication_slots WHERE slot_name LIKE '{}%'", self.name)).len()
    }
    fn start(&self, more: &[(&str, &str)], offset: Option<&Offset>) -> Reader {
        let mut reader = Reader::unstarted(self.server, &self.name, more);
        // a reader that has gone is not gone on the server at once
        let deadline = Instant::now() + LIMIT;
        while let Err(e) = reader.source.start(offset) {
            assert!(e.code() == "postgres.slot-in-use" && Instant::now() < deadline, "{e}");
        }
        reader
    }
}

fn id(key: &str) -> u64 {
    serde_json::from_str::<Json>(key).unwrap()["payload"]["id"].as_u64().unwrap()
}

/// "table id" of the rows that a snapshot read.
fn read(seen: &[Seen]) -> Vec<(String, u64)> {
    let rows = seen.iter().filter(|s| s.op() == "r");
    rows.map(|s| (s.topic.clone(), id(s.key.as_ref().unwrap()))).collect()
}

/// Reads until the condition holds, and gives back what is stored by then.
fn until(reader: &mut Reader, seen: &mut Vec<Seen>, done: impl Fn(&Offset, &[Seen]) -> bool) -> Offset {
    let deadline = Instant::now() + LIMIT;
    loop {
        assert!(Instant::now() < deadline, "{} records", seen.len());
        reader.poll(seen).unwrap();
        let stored = match reader.position {
            Some(position) => Some(reader.source.offset(&position)),
            None => reader.stored.clone(),
        };
        if let Some(stored) = stored.filter(|s| done(s, seen)) {
            return stored;
        }
    }
}

fn finished(offset: &Offset) -> Json {
    offset.get("snapshot_finished").map_or(Json::Null, |t| serde_json::from_str(t.as_str().unwrap()).unwrap())
}

fn blocks(offset: &Offset) -> u64 {
    finished(offset)["reading"]["blocks"].as_u64().unwrap_or(0)
}

fn is_complete(offset: &Offset) -> bool {
    !offset.contains_key("snapshot")
}

/// What a consumer has at the end, and how much of it is left of each table.
fn state(all: &[Seen]) -> BTreeMap<(String, u64), Json> {
    let mut state = BTreeMap::new();
    for s in all {
        let key = (s.topic.clone(), id(s.key.as_ref().unwrap()));
        match s.value.as_ref().map(|_| s.after()) {
            Some(after) if !after.is_null() => state.insert(key, after["v"].clone()),
            _ => state.remove(&key),
        };
    }
    state
}

#[test]
fn what_is_finished_is_not_read_again_and_what_changed_meanwhile_comes() {
    let base = Base::new();
    base.sql("CREATE TABLE a (id int PRIMARY KEY, v text); INSERT INTO a VALUES (1, 'a'), (2, 'b')");
    base.sql(&big("b"));
    base.sql("CREATE TABLE c (id int PRIMARY KEY, v text); INSERT INTO c VALUES (1, 'c')");
    let (mut all, mut first) = (vec![], base.start(&[], None));
    let stored = until(&mut first, &mut all, |offset, _| blocks(offset) == 2048);
    assert_eq!(finished(&stored)["tables"], serde_json::json!(["public.a"]));
    assert_eq!(finished(&stored)["rows"], 2 + 2048);
    // consumers have what the offset says, and perhaps more
    let rows = read(&all).len();
    assert!((2 + 2048..2 + 4096).contains(&rows), "{rows}");
    let was_read: Vec<_> = read(&all);
    drop(first);
    // in the finished part, in the rest, and moved from the rest into the finished part's free room and the other way round
    base.sql("DELETE FROM a WHERE id = 1; UPDATE a SET v = 'z' WHERE id = 2");
    base.sql("DELETE FROM b WHERE id IN (7, 4900); UPDATE b SET v = 'new' WHERE id IN (8, 4901)");
    base.sql("INSERT INTO c VALUES (2, 'd'); DELETE FROM c WHERE id = 1");
    let mut second_read = vec![];
    let mut second = base.start(&[], Some(&stored));
    assert_eq!(second.source.progress().unwrap().rows, 2050, "progress goes on, too");
    let again = until(&mut second, &mut second_read, |offset, _| blocks(offset) == 3072);
    drop(second);
    base.sql("UPDATE b SET v = 'newer' WHERE id IN (8, 3000, 4901)");
    let (mut third_read, mut third) = (vec![], base.start(&[], Some(&again)));
    until(&mut third, &mut third_read, |offset, _| is_complete(offset));
    base.sql("INSERT INTO a VALUES (3, 'end')");
    until(&mut third, &mut third_read, |_, seen| seen.iter().any(|s| s.topic == "p.public.a" && s.op() == "c"));
    // rows of the first 2048 blocks were read once; those that an update moved behind them may come again
    let moved = [8, 3000, 4901];
    for (topic, id) in read(&second_read).iter().chain(&read(&third_read)) {
        let had = was_read.iter().take(2050).any(|(t, i)| t == topic && i == id);
        assert!(!had || moved.contains(id), "{topic} {id} was read again");
        assert_ne!(topic, "p.public.a");
    }
    all.append(&mut second_read);
    all.append(&mut third_read);
    let seen = state(&all);
    let mut expected = BTreeMap::new();
    for table in ["a", "b", "c"] {
        for row in base.sql(&format!("SELECT id, v FROM {table}")) {
            let id = row[0].as_ref().unwrap().parse().unwrap();
            expected.insert((format!("p.public.{table}"), id), Json::from(row[1].clone()));
        }
    }
    assert_eq!(seen.len(), expected.len());
    assert!(seen == expected, "the consumer's rows are not the tables'");
}

/// Consumers have rows of it that may be gone by now, and nobody could tell them.
#[test]
fn a_snapshot_that_was_cut_off_does_not_begin_anew_without_its_log() {
    let base = Base::new();
    base.sql(&big("b"));
    let (mut seen, mut first) = (vec![], base.start(&[], None));
    let stored = until(&mut first, &mut seen, |offset, _| blocks(offset) == 1024);
    first.source.stop(false);
    drop(first);
    base.sql("DELETE FROM b WHERE id = 1");
    let drop_slot = format!("SELECT pg_drop_replication_slot('{}')", base.name);
    let deadline = Instant::now() + LIMIT;
    while base.server.sql_in(&base.name, &drop_slot).is_err() {
        assert!(Instant::now() < deadline, "the slot is in use");
    }
    let mut reader = Reader::unstarted(base.server, &base.name, &[]);
    assert_eq!(reader.source.start(Some(&stored)).unwrap_err().code(), "postgres.slot-gone");
    let (mut seen, mut second) = (vec![], base.start(&[("snapshot.mode", "when_needed")], Some(&stored)));
    until(&mut second, &mut seen, |offset, _| is_complete(offset));
    assert_eq!(read(&seen).len(), BIG - 1);
}

#[test]
fn a_table_that_was_written_anew_is_read_from_its_beginning() {
    let base = Base::new();
    base.sql(&big("b"));
    let (mut seen, mut first) = (vec![], base.start(&[], None));
    let stored = until(&mut first, &mut seen, |offset, _| blocks(offset) == 1024);
    drop(first);
    // the sort puts other rows into the blocks that were read
    base.sql("CREATE INDEX down ON b (id DESC); CLUSTER b USING down");
    let (mut seen, mut second) = (vec![], base.start(&[], Some(&stored)));
    until(&mut second, &mut seen, |offset, _| is_complete(offset));
    let mut ids: Vec<_> = read(&seen).into_iter().map(|(_, id)| id).collect();
    ids.sort();
    assert_eq!(ids, (1..=BIG as u64).collect::<Vec<_>>());
}

#[test]
fn many_sessions_bring_what_one_brings_in_the_same_order() {
    let base = Base::new();
    base.sql(&big("b"));
    base.sql("CREATE TABLE a (id int PRIMARY KEY); INSERT INTO a VALUES (1)");
    let rows = |threads: &str, slot: &str| {
        let mut reader = base.start(&[("snapshot.max.threads", threads), ("slot.name", slot)], None);
        let mut seen = vec![];
        until(&mut reader, &mut seen, |offset, _| is_complete(offset));
        let marks: Vec<_> = seen.iter().map(|s| s.json()["payload"]["source"]["snapshot"].clone()).collect();
        (read(&seen), marks)
    };
    let (one, marks) = rows("1", &format!("{}_1", base.name));
    assert_eq!(one.len(), BIG + 1);
    let (count, of) = (marks.len(), |i: usize| marks[i].as_str().unwrap());
    assert_eq!((of(0), of(1), of(2), of(count - 1)), ("first", "first_in_data_collection", "true", "last"));
    assert!(marks[2..count - 1].iter().all(|m| m == "true"), "no part of a table looks like a table");
    assert_eq!(rows("3", &format!("{}_3", base.name)), (one, marks));
}

#[test]
fn a_table_written_anew_while_it_waits_for_its_turn_is_not_taken_for_an_empty_one() {
    let base = Base::new();
    base.sql(&big("a").replace(&BIG.to_string(), "40000"));
    base.sql("CREATE TABLE b (id int PRIMARY KEY, v text); INSERT INTO b VALUES (1, 'x')");
    let (mut seen, mut reader) = (vec![], base.start(&[], None));
    let stored = until(&mut reader, &mut seen, |_, _| true);
    // the server waits for us in the middle of `a`
    base.sql("ALTER TABLE b ALTER COLUMN v TYPE varchar(9) USING v || '!'");
    let failed = loop {
        match reader.poll(&mut seen) {
            Ok(()) => assert!(reader.position.is_none_or(|p| !is_complete(&reader.source.offset(&p)))),
            Err(e) => break e,
        }
    };
    assert_eq!((failed.code(), failed.is_retriable()), ("postgres.table-rewritten", true));
    drop(reader);
    let (mut seen, mut reader) = (vec![], base.start(&[("snapshot.locking.mode", "shared")], Some(&stored)));
    until(&mut reader, &mut seen, |offset, _| is_complete(offset));
    let b: Vec<_> = seen.iter().filter(|s| s.topic == "p.public.b" && s.op() == "r").map(Seen::after).collect();
    assert_eq!(b, [serde_json::json!({"id": 1, "v": "x!"})]);
}

#[test]
fn tables_and_statements_are_the_users() {
    let base = Base::new();
    for table in ["a", "b", "c"] {
        base.sql(&format!("CREATE TABLE {table} (id int PRIMARY KEY, v text)"));
        base.sql(&format!("INSERT INTO {table} SELECT i, 'v' FROM generate_series(1, 3) i; ANALYZE {table}"));
    }
    base.sql("INSERT INTO a SELECT i FROM generate_series(4, 9) i; ANALYZE a");
    let statement = "SELECT 7 AS unknown, id FROM public.b WHERE id > 1 ORDER BY id DESC;";
    let settings = [
        ("snapshot.include.collection.list", "public.a,public.b"),
        ("snapshot.select.statement.overrides", "public.b"),
        ("snapshot.select.statement.overrides.public.b", statement),
        ("snapshot.tables.order.by.row.count", "ascending"),
    ];
    let (mut seen, mut reader) = (vec![], base.start(&settings, None));
    until(&mut reader, &mut seen, |offset, _| is_complete(offset));
    let b: Vec<_> = seen.iter().take(2).map(Seen::after).collect();
    assert_eq!(b, [serde_json::json!({"id": 3, "v": null}), serde_json::json!({"id": 2, "v": null})]);
    assert_eq!(read(&seen).len(), 2 + 9, "and nothing of c");
    drop(reader);
    let wrong = [settings[1], (settings[2].0, "SELECT nonsense FROM public.b")];
    let mut reader = Reader::unstarted(base.server, &base.name, &wrong);
    reader.source.start(None).unwrap();
    let failed = loop {
        if let Err(e) = reader.poll(&mut vec![]) {
            break e;
        }
    };
    assert!(failed.message().contains("the statement that selects the rows of `public.b`"), "{failed}");
}

#[test]
fn initial_only_leaves_no_slot_and_is_not_repeated() {
    let base = Base::new();
    base.sql("CREATE TABLE a (id int PRIMARY KEY); INSERT INTO a VALUES (1)");
    let only = [("snapshot.mode", "initial_only")];
    let (mut seen, mut reader) = (vec![], base.start(&only, None));
    let stored = until(&mut reader, &mut seen, |offset, _| is_complete(offset));
    assert_eq!(base.slots(), 0, "nobody would read what it holds");
    let mut again = base.start(&only, Some(&stored));
    assert_eq!(again.source.poll(LIMIT, again.limit, &mut Default::default()).unwrap(), Poll::End);
}

#[test]
fn when_needed_reads_again_where_the_log_is_gone() {
    let base = Base::new();
    base.sql("CREATE TABLE a (id int PRIMARY KEY); INSERT INTO a VALUES (1)");
    let (mut seen, mut reader) = (vec![], base.start(&[], None));
    let stored = until(&mut reader, &mut seen, |offset, _| is_complete(offset));
    reader.source.stop(false);
    let advance = format!("SELECT pg_replication_slot_advance('{}', pg_current_wal_lsn())", base.name);
    let drop_slot = format!("SELECT pg_drop_replication_slot('{}')", base.name);
    for (sql, code) in [(advance, "postgres.slot-ahead"), (drop_slot, "postgres.slot-gone")] {
        base.sql("INSERT INTO a SELECT max(id) + 1 FROM a");
        base.sql(&sql);
        let mut reader = Reader::unstarted(base.server, &base.name, &[]);
        assert_eq!(reader.source.start(Some(&stored)).unwrap_err().code(), code);
        for settings in [
            vec![("snapshot.mode", "when_needed")],
            vec![
                ("snapshot.mode", "configuration_based"),
                ("snapshot.mode.configuration.based.start.stream", "true"),
                ("snapshot.mode.configuration.based.snapshot.on.data.error", "true"),
            ],
        ] {
            let rows = base.sql("SELECT 1 FROM a").len();
            let (mut seen, mut reader) = (vec![], base.start(&settings, Some(&stored)));
            let now = until(&mut reader, &mut seen, |offset, _| is_complete(offset));
            assert_eq!(read(&seen).len(), rows);
            // and not where it is not
            reader.source.stop(false);
            let mut reader = base.start(&settings, Some(&now));
            base.sql("INSERT INTO a SELECT max(id) + 1 FROM a");
            let mut seen = vec![];
            until(&mut reader, &mut seen, |_, seen| !seen.is_empty());
            assert_eq!(seen[0].op(), "c");
            reader.source.stop(false);
            if code == "postgres.slot-gone" {
                base.sql(&format!("SELECT pg_drop_replication_slot('{}')", base.name));
            }
        }
        if code == "postgres.slot-gone" {
            base.sql(&format!("SELECT pg_create_logical_replication_slot('{}', 'pgoutput')", base.name));
        }
    }
}
