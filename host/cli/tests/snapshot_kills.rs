//! A snapshot that is killed again and again, with writers at work: what is finished is not read again, and the consumer ends with
//! what the tables hold (invariant 3).
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)] // helpers of tests are tests

mod support;

use serde_json::Value;
use std::collections::{BTreeMap, HashMap};
use std::io::{BufRead, BufReader, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};
use support::{Place, metric, wait_for};
use weir_testkit::Postgres;

const TABLES: usize = 5;
const KILLS: u64 = 10;
/// What the sink writes to standard output at a time, at most.
const BACKLOG_BYTES: u64 = 4 << 20;
/// Transactions of twenty rows each.
const TRANSACTIONS_A_SECOND: u64 = 100;

/// Rows of each table; a run of another size is asked for by `WEIR_ROWS`.
fn rows() -> u64 {
    std::env::var("WEIR_ROWS").ok().and_then(|n| n.parse().ok()).unwrap_or(40_000)
}

fn pipeline(postgres: &Postgres, database: &str) -> String {
    format!(
        "name = \"kills\"\n[source.postgres]\nurl = \"{}\"\ntopic.prefix = \"k\"\nslot.name = \"{database}\"\n\
         publication.name = \"kills\"\ntombstones.on.delete = false\n\n[[transform]]\nuse = \"weir:extract-new-record-state\"\n\
         with.delete.tombstone.handling.mode = \"rewrite\"\nwith.add.fields = \"op\"\n\n\
         [sink.stdout]\nvalue.format = \"json\"\n",
        postgres.url_of(database)
    )
}

struct Random(u64);

impl Random {
    fn below(&mut self, most: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (self.0 >> 33) % most
    }
}

/// 18 updates, an insert and a delete.
const ROWS_A_TRANSACTION: u64 = 20;

/// Updates, with an insert and a delete, in one table.
fn change(random: &mut Random, n: u64) -> String {
    let (table, from) = (random.below(TABLES as u64), random.below(rows() - 18) + 1);
    let (born, gone) = (rows() + n, random.below(rows()) + 1);
    format!(
        "BEGIN; UPDATE t{table} SET n = n + 1 WHERE id BETWEEN {from} AND {from} + 17; \
         INSERT INTO t{table} VALUES ({born}, 0, 'new'); DELETE FROM t{table} WHERE id = {gone}; COMMIT"
    )
}

/// What a line was.
struct Seen {
    table: String,
    /// by a snapshot
    is_read: bool,
    is_end: bool,
}

/// What a consumer has, by table and key.
struct Consumer {
    rows: Vec<HashMap<u64, u64>>,
    /// tables that the offset says are finished
    finished: Vec<String>,
    /// bytes of lines
    bytes: u64,
    /// rows that were read of such tables
    again: BTreeMap<String, usize>,
}

impl Consumer {
    fn take(&mut self, line: &str) -> Seen {
        let record: Value = serde_json::from_str(line).expect("JSON");
        let table = record["topic"].as_str().expect("a topic").trim_start_matches("k.").to_string();
        let index: usize = table.trim_start_matches("public.t").parse().expect("a number");
        let (value, id) = (&record["value"], record["key"]["id"].as_u64().expect("an id"));
        match value["__deleted"] == "true" {
            true => self.rows[index].remove(&id),
            false => self.rows[index].insert(id, value["n"].as_u64().expect("a number")),
        };
        let is_read = value["__op"] == "r";
        if is_read && self.finished.contains(&table) {
            *self.again.entry(table.clone()).or_default() += 1
        }
        Seen { table, is_read, is_end: value["pad"] == "the end" }
    }

    fn line(&mut self, out: &mut impl BufRead) -> Seen {
        let mut line = String::new();
        let bytes = out.read_line(&mut line).expect("a line");
        assert!(bytes > 0, "weir ended");
        self.bytes += bytes as u64;
        self.take(&line)
    }

    /// Takes lines of so many bytes.
    fn lines(&mut self, out: &mut impl BufRead, bytes: u64) {
        let until = self.bytes + bytes;
        while self.bytes < until {
            self.line(out);
        }
    }

    /// Takes lines until the snapshot has come to another table, or to its end.
    fn next_table(&mut self, out: &mut impl BufRead) {
        let mut reading = None;
        loop {
            let seen = self.line(out);
            match &reading {
                None if seen.is_read => reading = Some(seen.table),
                Some(table) if *table != seen.table || !seen.is_read => return,
                _ => {}
            }
        }
    }

    /// Takes what is left of a process that is dead; half a line is none.
    fn rest(&mut self, mut out: impl Read) {
        let mut rest = String::new();
        out.read_to_string(&mut rest).expect("the rest");
        let whole = rest.rfind('\n').map_or(0, |at| at + 1);
        rest[..whole].lines().for_each(|line| drop(self.take(line)));
    }
}

/// The tables that the stored offset says are finished.
fn finished(place: &Place) -> Vec<String> {
    let out = place.weir(&["offsets", "show", "kills", "--json"]);
    let said: Value = serde_json::from_slice(&out.stdout).expect("an envelope");
    let offset = &said["result"]["kills"]["offsets"][0]["offset"];
    match offset["snapshot_finished"].as_str() {
        Some(text) => {
            let finished: Value = serde_json::from_str(text).expect("JSON");
            finished["tables"].as_array().expect("a list").iter().map(|t| t.as_str().unwrap().to_string()).collect()
        }
        None if offset.is_object() => (0..TABLES).map(|i| format!("public.t{i}")).collect(),
        None => vec![],
    }
}

#[test]
fn no_table_is_read_twice_and_no_row_is_wrong_in_the_end() {
    let postgres = Postgres::shared().expect("PostgreSQL");
    let database = postgres.database().expect("a database");
    for i in 0..TABLES {
        let table = format!(
            "CREATE TABLE t{i} (id bigint PRIMARY KEY, n bigint NOT NULL, pad text);
             INSERT INTO t{i} SELECT g, 0, repeat('x', 100) FROM generate_series(1, {}) g; ANALYZE t{i}",
            rows()
        );
        postgres.sql_in(&database, &table).expect("a table");
    }
    let place = Place::new();
    place.write("p.toml", &pipeline(postgres, &database));
    let done = Arc::new(AtomicBool::new(false));
    let writer = std::thread::spawn({
        let (database, done) = (database.clone(), done.clone());
        move || write(postgres, &database, &done)
    });
    let mut consumer =
        Consumer { rows: vec![HashMap::new(); TABLES], finished: vec![], bytes: 0, again: BTreeMap::new() };
    let (mut random, mut deaths) = (Random(std::process::id().into()), vec![]);
    for kill in 0..KILLS {
        let port = weir_testkit::process::free_port().expect("a port");
        let (weir, out) = place.start_piped(&["run", "p.toml", "--metrics", &format!("127.0.0.1:{port}")]);
        let mut out = BufReader::new(out);
        match (kill % 2, consumer.finished.len()) {
            // anywhere in a table
            (0, 0..TABLES) => consumer.lines(&mut out, random.below(rows() * 100)),
            // behind a table's end, and when that is stored; what nobody reads holds weir up meanwhile, but for what it writes
            // at a time
            (_, 0..TABLES) => {
                consumer.next_table(&mut out);
                consumer.lines(&mut out, BACKLOG_BYTES + random.below(BACKLOG_BYTES / 2));
                wait_for("a stored offset", Duration::from_secs(60), || {
                    (metric(port, "weir_offsets_stored_total") >= 2).then_some(())
                });
            }
            (..) => consumer.lines(&mut out, random.below(200_000)),
        }
        weir.kill();
        consumer.rest(out);
        consumer.finished = finished(&place);
        deaths.push(consumer.finished.len());
    }
    let log = || support::read(&place.path("weir.log"));
    let before = log().len();
    let (weir, out) = place.start_piped(&["run", "p.toml"]);
    done.store(true, Relaxed);
    let (transactions, rate) = writer.join().expect("the writer");
    postgres.sql_in(&database, "INSERT INTO t0 VALUES (0, 1, 'the end')").expect("the last change");
    let mut out = BufReader::new(out);
    let mut is_over = false;
    // where a snapshot is not complete, the change comes before it
    let is_complete = consumer.finished.len() == TABLES;
    while !(is_over && (is_complete || log()[before..].contains("the snapshot is complete"))) {
        is_over |= consumer.line(&mut out).is_end;
    }
    weir.ask_to_stop();
    consumer.rest(out);
    assert!(weir.wait().success());
    println!(
        "{transactions} transactions meanwhile, {rate:.0} rows a second; tables finished at each death: {deaths:?}"
    );
    assert_eq!(consumer.again, BTreeMap::new(), "tables read again that an offset said were finished");
    assert!(deaths.iter().any(|n| (1..TABLES).contains(n)), "no kill came between two tables");
    compare(postgres, &database, &consumer);
}

/// Changes at the pace of the load, until it is enough; says how many there were, and rows a second.
fn write(postgres: &Postgres, database: &str, done: &AtomicBool) -> (u64, f64) {
    let (mut random, begun, mut n) = (Random(7), Instant::now(), 0);
    while !done.load(Relaxed) {
        let some: Vec<_> = (1..=10).map(|i| change(&mut random, n + i)).collect();
        postgres.sql_in(database, &some.join("; ")).expect("changes");
        n += 10;
        let due = Duration::from_millis(n * 1000 / TRANSACTIONS_A_SECOND);
        std::thread::sleep(due.saturating_sub(begun.elapsed()));
    }
    (n, (n * ROWS_A_TRANSACTION) as f64 / begun.elapsed().as_secs_f64())
}

/// The consumer has what the tables hold.
fn compare(postgres: &Postgres, database: &str, consumer: &Consumer) {
    for (i, seen) in consumer.rows.iter().enumerate() {
        let table = postgres.sql_in(database, &format!("SELECT id, n FROM t{i}")).expect("rows");
        let number = |f: &Option<String>| f.as_ref().unwrap().parse::<u64>().unwrap();
        let expected: HashMap<u64, u64> = table.iter().map(|r| (number(&r[0]), number(&r[1]))).collect();
        let wrong = expected.iter().filter(|(id, n)| seen.get(id) != Some(n));
        let wrong: Vec<_> = wrong.map(|(id, n)| (id, n, seen.get(id))).take(5).collect();
        assert!(wrong.is_empty(), "t{i}: id, what the table holds, what is seen: {wrong:?}");
        let ghosts: Vec<_> = seen.keys().filter(|id| !expected.contains_key(id)).take(5).collect();
        assert!(ghosts.is_empty(), "t{i}: {ghosts:?} are gone, and seen");
    }
}
