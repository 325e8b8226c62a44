//! A consumer that says at once what is wrong: changes of a key that are out of order or missing, and records that come again although
//! a stored offset covers them.
#![allow(dead_code)] // each test uses its part

use crate::support::{Place, wait_for};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::PathBuf;
use std::time::Duration;
use weir_testkit::Postgres;

/// Rows whose `n` grows by one with every round: a gap is a lost change.
pub const COUNTERS: u64 = 10;
/// The row that round i inserts, and the key that it gets in the same round; it is deleted ten rounds later.
const BORN: u64 = 1_000;
const MOVED: u64 = 1_000_000;

/// One round: counters, an insert, a change of its key, a delete; some of it is rolled back.
pub fn round(i: u64) -> String {
    let (born, moved, gone) = (BORN + i, MOVED + i, (MOVED + i).saturating_sub(10));
    format!(
        "BEGIN; UPDATE acc SET n = n + 1 WHERE id <= 5; SAVEPOINT s; UPDATE acc SET n = -1; ROLLBACK TO s; \
         UPDATE acc SET n = n + 1 WHERE id > 5 AND id <= {COUNTERS}; COMMIT; \
         BEGIN; INSERT INTO acc VALUES ({born}, {i}); COMMIT; BEGIN; UPDATE acc SET n = -1; ROLLBACK; \
         BEGIN; UPDATE acc SET id = {moved} WHERE id = {born}; DELETE FROM acc WHERE id = {gone}; COMMIT"
    )
}

/// A transaction that outgrows the server's memory, with a part that is rolled back.
pub fn big(i: u64) -> String {
    let from = i * 1000;
    format!(
        "BEGIN; INSERT INTO big SELECT {from} + g, {i}, repeat('x', 300) FROM generate_series(1, 300) g; SAVEPOINT s; \
         INSERT INTO big SELECT {from} + 500 + g, -1, repeat('y', 300) FROM generate_series(1, 300) g; ROLLBACK TO s; \
         UPDATE big SET n = n WHERE id > {from}; DELETE FROM big WHERE id <= {from} - 2000; COMMIT"
    )
}

pub struct Witness {
    records: PathBuf,
    /// bytes of whole lines that were read
    at: u64,
    /// what a consumer has, by topic and key
    rows: BTreeMap<(String, u64), u64>,
    /// the commit up to which the stored offset covers every transaction
    covered: u64,
    /// tables of which the stored offset says that they are read
    finished: Vec<String>,
    /// the stored offset says that no snapshot is to be read any more
    is_complete: bool,
    pub lines: u64,
    /// changes of counters that came again
    pub again: u64,
}

impl Witness {
    pub fn of(records: PathBuf) -> Witness {
        Witness {
            records,
            at: 0,
            rows: BTreeMap::new(),
            covered: 0,
            finished: vec![],
            is_complete: false,
            lines: 0,
            again: 0,
        }
    }

    /// The tables that rounds are about.
    pub fn tables(postgres: &Postgres, database: &str) {
        let sql = format!(
            "ALTER DATABASE {database} SET logical_decoding_work_mem = '64kB';
             CREATE TABLE acc (id bigint PRIMARY KEY, n bigint NOT NULL);
             INSERT INTO acc SELECT g, 0 FROM generate_series(1, {COUNTERS}) g;
             CREATE TABLE big (id bigint PRIMARY KEY, n bigint NOT NULL, pad text);
             INSERT INTO big VALUES (1, 0, ''); CREATE TABLE zoo (id bigint PRIMARY KEY, n bigint NOT NULL);
             INSERT INTO zoo SELECT g, 0 FROM generate_series(1, 50) g"
        );
        postgres.sql_in(database, &sql).expect("tables");
    }

    /// Reads what was written since; half a line is none.
    pub fn look(&mut self) {
        let Ok(mut file) = File::open(&self.records) else { return };
        let mut text = String::new();
        file.seek(SeekFrom::Start(self.at)).expect("a place in the file");
        let mut bytes = vec![];
        file.read_to_end(&mut bytes).expect("records");
        let whole = bytes.iter().rposition(|b| *b == b'\n').map_or(0, |at| at + 1);
        text.push_str(std::str::from_utf8(&bytes[..whole]).expect("text"));
        self.at += whole as u64;
        text.lines().for_each(|line| self.take(line));
    }

    fn take(&mut self, line: &str) {
        self.lines += 1;
        let record: Value = serde_json::from_str(line).expect("JSON");
        let topic = record["topic"].as_str().expect("a topic").to_owned();
        let (value, id) = (&record["value"], record["key"]["id"].as_u64().expect("an id"));
        let (key, after) = ((topic, id), value["after"]["n"].as_i64());
        if value.is_null() {
            return; // a tombstone, behind its delete
        }
        let read = value["op"] == "r";
        let table = key.0.trim_start_matches("w.");
        assert!(!(read && self.finished.iter().any(|t| t == table)), "{table} is read again: {line}");
        let sequence = value["source"]["sequence"].as_str().unwrap_or("[]");
        let sequence: Vec<Option<String>> = serde_json::from_str(sequence).expect("a sequence");
        let commit = sequence.first().cloned().flatten().and_then(|n| n.parse().ok()).unwrap_or(0);
        assert!(read || commit >= self.covered, "behind the stored offset {}: {line}", self.covered);
        let Some(n) = after else {
            self.rows.remove(&key);
            return;
        };
        let n = u64::try_from(n).expect("nothing that was rolled back");
        if key.1 <= COUNTERS
            && key.0.ends_with(".acc")
            && let Some(last) = self.rows.get(&key)
        {
            assert!(n <= last + 1, "a gap: {} went from {last} to {n}", key.1);
            self.again += u64::from(n <= *last && !read);
        }
        self.rows.insert(key, n);
    }

    /// What the store says when weir is dead; true: something was stored.
    pub fn death(&mut self, place: &Place, pipeline: &str) -> bool {
        self.look();
        let out = place.weir(&["offsets", "show", pipeline, "--json"]);
        let said: Value = serde_json::from_slice(&out.stdout).expect("an envelope");
        let offset = &said["result"][pipeline]["offsets"][0]["offset"];
        self.finished = match offset["snapshot_finished"].as_str() {
            Some(text) => {
                let finished: Value = serde_json::from_str(text).expect("JSON");
                finished["tables"].as_array().expect("a list").iter().map(|t| t.as_str().unwrap().into()).collect()
            }
            None if offset.is_object() => ["acc", "big", "zoo"].map(|t| format!("public.{t}")).to_vec(),
            None => vec![],
        };
        // that of a snapshot that has just begun covers nothing
        self.is_complete = offset.is_object() && offset["snapshot_completed"] != false;
        self.covered = offset["lsn_last_commit"].as_u64().filter(|_| self.is_complete).unwrap_or(self.covered);
        offset.is_object()
    }

    /// Starts weir again, and reads until it has the last change, and all of a snapshot that was cut off: changes of the time before
    /// it come first.
    pub fn finish(&mut self, place: &Place, last: impl FnOnce()) {
        let log = || crate::support::read(&place.path("weir.log"));
        let before = log().len();
        let weir = place.start("p.toml");
        last();
        // as long as records come: after many short lives much is left to do
        while !(self.has("w.public.zoo", 99)
            && (self.is_complete || log()[before..].contains("the snapshot is complete")))
        {
            let (lines, length) = (self.lines, log().len());
            wait_for("records", Duration::from_secs(60), || {
                self.look();
                (self.lines > lines || log().len() > length).then_some(())
            });
        }
        assert!(weir.stop().success());
        self.look();
    }

    pub fn has(&self, topic: &str, id: u64) -> bool {
        self.rows.contains_key(&(topic.into(), id))
    }

    /// What a consumer has is what the tables hold.
    pub fn compare(&self, postgres: &Postgres, database: &str) {
        let mut expected = BTreeMap::new();
        for table in ["acc", "big", "zoo"] {
            for row in postgres.sql_in(database, &format!("SELECT id, n FROM {table}")).expect("rows") {
                let number = |i: usize| row[i].as_ref().expect("a number").parse().expect("a number");
                expected.insert((format!("w.public.{table}"), number(0)), number(1));
            }
        }
        let lost: Vec<_> = expected.iter().filter(|(k, n)| self.rows.get(*k) != Some(n)).take(5).collect();
        let ghosts: Vec<_> = self.rows.iter().filter(|(k, _)| !expected.contains_key(*k)).take(5).collect();
        assert!(lost.is_empty() && ghosts.is_empty(), "lost or old: {lost:?}, ghosts: {ghosts:?}");
    }
}
