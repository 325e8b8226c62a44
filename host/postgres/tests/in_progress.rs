//! Transactions that the server sends before they are committed: what leaves is what leaves without it (invariant 9).
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)] // helpers of tests are tests

mod support;

use std::path::Path;
use std::time::Instant;
use support::{LIMIT, Reader, Seen};
use weir_api::{Limit, Offset};
use weir_postgres::{ConnectOptions, Connection};
use weir_testkit::Postgres;

/// A database whose transactions are sent from 64 kB on.
fn database(server: &Postgres) -> String {
    let database = server.database().unwrap();
    server.sql(&format!("ALTER DATABASE {database} SET logical_decoding_work_mem = '64kB'")).unwrap();
    server.sql_in(&database, "CREATE TABLE t (id int PRIMARY KEY, v text)").unwrap();
    database
}

fn session(server: &Postgres, database: &str) -> Connection {
    let options = ConnectOptions {
        host: server.host().into(),
        port: server.port(),
        user: server.user().into(),
        password: server.password().map(str::to_owned),
        database: database.into(),
        ..ConnectOptions::default()
    };
    Connection::connect(&options).unwrap()
}

struct Sides {
    committed: Reader,
    streamed: Reader,
    directory: tempfile::TempDir,
}

/// Two slots of one database, read with protocol version 1 and 2, from the same place on.
fn sides(server: &Postgres, database: &str, memory: &str) -> Sides {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().to_str().unwrap().to_owned();
    // the headers name the run
    let more = [
        ("snapshot.mode", "no_data"),
        ("extended.headers.enabled", "false"),
        ("stream.in.progress", "true"),
        ("stream.memory.bytes", memory),
        ("stream.spill.directory", &path),
    ];
    let slot = format!("{database}_1");
    let committed = Reader::open(
        server,
        database,
        &[("snapshot.mode", "no_data"), ("extended.headers.enabled", "false"), ("slot.name", &slot)],
    );
    let streamed = Reader::open(server, database, &more);
    Sides { committed, streamed, directory }
}

/// Inserts ids `from..=to` of 100 bytes.
fn insert(from: u32, to: u32) -> String {
    format!("INSERT INTO t SELECT i, repeat('x', 90) || i FROM generate_series({from}, {to}) i;")
}

fn timeless(seen: Vec<Seen>) -> Vec<Seen> {
    seen.into_iter().map(Seen::timeless).collect()
}

fn ids(seen: &[Seen]) -> Vec<i64> {
    seen.iter().map(|s| s.after()["id"].as_i64().unwrap()).collect()
}

#[track_caller]
fn alike(a: &[Seen], b: &[Seen]) {
    if let Some(i) = a.iter().zip(b).position(|(a, b)| a != b) {
        let payload = |s: &Seen| (s.op(), s.after().to_string(), s.json()["payload"]["source"].to_string());
        panic!("record {i} of {}: {:?}\n{:?}", a.len(), payload(&a[i]), payload(&b[i]));
    }
    assert_eq!(a.len(), b.len());
}

#[track_caller]
fn the_same(sides: &mut Sides, count: usize) -> Vec<Seen> {
    let committed = timeless(sides.committed.seen(count));
    let streamed = timeless(sides.streamed.seen(count));
    alike(&committed, &streamed);
    streamed
}

/// How many transactions the server has sent before their commit.
fn streamed(server: &Postgres, slot: &str) -> u64 {
    let sql = format!("SELECT stream_txns FROM pg_stat_replication_slots WHERE slot_name = '{slot}'");
    server.sql(&sql).unwrap().first().and_then(|r| r[0].clone()).map_or(0, |n| n.parse().unwrap())
}

#[track_caller]
fn poll_until(reader: &mut Reader, what: &str, condition: impl Fn() -> bool) -> Vec<Seen> {
    let deadline = Instant::now() + LIMIT;
    let mut all = vec![];
    while !condition() {
        assert!(Instant::now() < deadline, "{what}");
        reader.poll(&mut all).unwrap();
    }
    all
}

fn spilled(directory: &Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(directory).map(|d| d.map(|e| e.unwrap().path()).collect());
    entries.unwrap_or_default()
}

/// Interleaved transactions, nested savepoints, a schema change, TOAST, updates and deletes, and what is rolled back.
fn workload(server: &Postgres, database: &str) -> usize {
    let (mut a, mut b) = (session(server, database), session(server, database));
    let mut run = |first: bool, sql: &str| drop(if first { &mut a } else { &mut b }.simple_query(sql).unwrap());
    run(true, "BEGIN");
    run(false, "BEGIN");
    run(true, &insert(1, 2000));
    run(false, &insert(10_001, 12_000));
    run(true, &insert(2001, 3000));
    run(false, "COMMIT");
    server.sql_in(database, &insert(20_000, 20_001)).unwrap();
    run(true, "COMMIT");
    // nested: the inner one goes with the outer one, and what is released stays
    run(true, &format!("BEGIN; {} SAVEPOINT a; {} SAVEPOINT b", insert(30_001, 31_000), insert(31_001, 32_000)));
    run(true, &format!("{} ROLLBACK TO b; {}", insert(32_001, 33_000), insert(33_001, 34_000)));
    run(true, &format!("ROLLBACK TO a; {} SAVEPOINT c; {} RELEASE c", insert(34_001, 35_000), insert(35_001, 36_000)));
    run(true, &format!("SAVEPOINT d; {} ROLLBACK TO d; COMMIT", insert(36_001, 38_000)));
    // nothing at all
    run(true, &format!("BEGIN; {} ROLLBACK", insert(40_001, 45_000)));
    // a column comes, and one that came goes with its savepoint
    run(true, &format!("BEGIN; {} ALTER TABLE t ADD COLUMN more int DEFAULT 7", insert(50_001, 51_000)));
    run(true, &format!("{} SAVEPOINT e; ALTER TABLE t ADD COLUMN gone int", insert(51_001, 52_000)));
    run(true, &format!("{} ROLLBACK TO e; {} COMMIT", insert(52_001, 53_000), insert(53_001, 54_000)));
    // values that are not in the log, changed keys, deletes
    let long = "(SELECT string_agg(md5(n::text), '') FROM generate_series(1, 300) n)";
    server.sql_in(database, &format!("INSERT INTO t VALUES (60000, {long}, 1)")).unwrap();
    run(true, &format!("BEGIN; {} UPDATE t SET more = more + 1 WHERE id >= 50001", insert(60_001, 61_000)));
    run(true, "UPDATE t SET id = 70000 WHERE id = 60001; DELETE FROM t WHERE id <= 2000; TRUNCATE t; COMMIT");
    3000 + 2000 + 2 + 3000 + 3000 + 1 + (1000 + 3000 + 1 + 1000) + 3 + 4000
}

#[test]
fn what_is_streamed_is_what_is_sent_when_it_is_committed() {
    let server = Postgres::shared().unwrap();
    for memory in ["33554432", "0"] {
        let database = database(server);
        let mut sides = sides(server, &database, memory);
        let count = workload(server, &database);
        the_same(&mut sides, count);
        // nothing follows, and nothing is left
        server.sql_in(&database, "INSERT INTO t VALUES (1, 'last')").unwrap();
        assert_eq!(ids(&the_same(&mut sides, 1)), [1]);
        assert_eq!(spilled(sides.directory.path()), Vec::<std::path::PathBuf>::new());
        let deadline = Instant::now() + LIMIT;
        sides.streamed.source.stop(false);
        while streamed(server, &database) < 6 {
            assert!(Instant::now() < deadline, "the server sent {} transactions early", streamed(server, &database));
        }
    }
}

#[test]
fn a_transaction_is_held_until_it_is_committed() {
    let server = Postgres::shared().unwrap();
    let database = database(server);
    let mut sides = sides(server, &database, "0");
    let directory = sides.directory.path().to_owned();
    let mut open = session(server, &database);
    open.simple_query(&format!("BEGIN; {}", insert(1, 5000))).unwrap();
    let early = poll_until(&mut sides.streamed, "nothing was spilled", || spilled(&directory).len() == 1);
    assert_eq!(early, []);
    open.simple_query("ROLLBACK").unwrap();
    let early = poll_until(&mut sides.streamed, "the file stayed", || spilled(&directory).is_empty());
    assert_eq!(early, []);
    server.sql_in(&database, &insert(6000, 6000)).unwrap();
    assert_eq!(ids(&sides.streamed.seen(1)), [6000]);
}

#[test]
fn a_restart_in_the_middle_of_a_transaction_sends_the_rest() {
    let server = Postgres::shared().unwrap();
    let database = database(server);
    let mut sides = sides(server, &database, "100000");
    let sql = format!(
        "BEGIN; {} SAVEPOINT a; {} ROLLBACK TO a; {} COMMIT",
        insert(1, 2000),
        insert(2001, 4000),
        insert(4001, 6000)
    );
    server.sql_in(&database, &sql).unwrap();
    let first = sides.streamed.seen(1);
    assert!(first.len() < 4000);
    let offset: Offset = sides.streamed.source.offset(&sides.streamed.position.unwrap());
    assert!(offset["lsn_within"].as_u64().unwrap() > 0);
    sides.streamed.source.stop(false);
    sides.streamed.source.start(Some(&offset)).unwrap();
    let rest = sides.streamed.seen(4000 - first.len());
    let all = timeless(first.into_iter().chain(rest).collect());
    alike(&all, &timeless(sides.committed.seen(4000)));
}

#[test]
fn leftovers_go_at_the_start() {
    let server = Postgres::shared().unwrap();
    let database = database(server);
    let mut sides = sides(server, &database, "0");
    sides.streamed.source.stop(false);
    let leftover = sides.directory.path().join(format!("{database}-77.spill"));
    std::fs::write(&leftover, "x").unwrap();
    sides.streamed.source.start(None).unwrap();
    assert!(!leftover.exists());
}

#[test]
fn a_spoiled_file_is_an_error_that_a_start_heals() {
    let server = Postgres::shared().unwrap();
    let database = database(server);
    let mut sides = sides(server, &database, "0");
    let directory = sides.directory.path().to_owned();
    let mut open = session(server, &database);
    open.simple_query(&format!("BEGIN; {}", insert(1, 5000))).unwrap();
    poll_until(&mut sides.streamed, "nothing was spilled", || {
        spilled(&directory).first().is_some_and(|f| f.metadata().unwrap().len() > 1000)
    });
    let file = spilled(&directory).remove(0);
    let mut bytes = std::fs::read(&file).unwrap();
    bytes[500] ^= 1;
    use std::os::unix::fs::FileExt;
    std::fs::File::options().write(true).open(&file).unwrap().write_at(&bytes[500..501], 500).unwrap();
    open.simple_query("COMMIT").unwrap();
    let (mut seen, deadline) = (vec![], Instant::now() + LIMIT);
    let error = loop {
        assert!(Instant::now() < deadline);
        if let Err(e) = sides.streamed.poll(&mut seen) {
            break e;
        }
    };
    assert_eq!((error.code(), error.is_retriable(), seen.len()), ("postgres.spill-corrupt", true, 0));
    let offset = sides.streamed.position.map(|p| sides.streamed.source.offset(&p));
    sides.streamed.source.stop(false);
    sides.streamed.source.start(offset.as_ref()).unwrap();
    the_same(&mut sides, 5000);
}

#[test]
#[cfg(target_os = "linux")]
fn a_full_disk_leaves_the_holding_to_the_server() {
    let server = Postgres::shared().unwrap();
    let database = database(server);
    let mut sides = sides(server, &database, "0");
    let mut open = session(server, &database);
    let id = open.simple_query("BEGIN; SELECT pg_current_xact_id()").unwrap().pop().unwrap().pop().unwrap().unwrap();
    let path = sides.directory.path().join(format!("{database}-{id}.spill"));
    std::os::unix::fs::symlink("/dev/full", &path).unwrap();
    server.sql_in(&database, &insert(1, 3)).unwrap();
    open.simple_query(&insert(1001, 6000)).unwrap();
    // the file is removed when it fails
    let before = poll_until(&mut sides.streamed, "nothing was spilled", || path.symlink_metadata().is_err());
    open.simple_query("COMMIT").unwrap();
    let after = sides.streamed.seen(5003 - before.len());
    let all = timeless(before.into_iter().chain(after).collect());
    alike(&all, &timeless(sides.committed.seen(5003)));
}

#[test]
fn a_million_rows_rolled_back_leave_nothing() {
    let server = Postgres::shared().unwrap();
    let database = database(server);
    let mut sides = sides(server, &database, "1000000");
    let million = |from: u32| insert(from, from + 999_999);
    server.sql_in(&database, &format!("BEGIN; {} ROLLBACK", million(1))).unwrap();
    let sql = format!(
        "BEGIN; INSERT INTO t VALUES (-1); SAVEPOINT a; {} ROLLBACK TO a; INSERT INTO t VALUES (-2); COMMIT",
        million(1)
    );
    server.sql_in(&database, &sql).unwrap();
    assert_eq!(ids(&sides.streamed.seen(2)), [-1, -2]);
    assert_eq!(spilled(sides.directory.path()), Vec::<std::path::PathBuf>::new());
}

/// Peak of this process, in kB.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

#[test]
#[ignore = "takes gigabytes of disk; run alone, for the peak is the whole process's"]
fn a_giant_transaction_takes_little_memory() {
    let server = Postgres::shared().unwrap();
    let database = server.database().unwrap();
    server.sql_in(&database, "CREATE TABLE t (id int PRIMARY KEY, v text)").unwrap();
    let mut sides = sides(server, &database, "33554432");
    let wide = "INSERT INTO t SELECT i, repeat('x', 1000) FROM generate_series(1, 1000000) i";
    server.sql_in(&database, wide).unwrap();
    for reader in [&mut sides.committed, &mut sides.streamed] {
        // as the engine has it
        reader.limit = Limit { rows: 8192, bytes: 1 << 20 };
        let (mut count, mut seen, began) = (0, vec![], Instant::now());
        while count < 1_000_000 {
            assert!(began.elapsed() < 10 * LIMIT, "{count} rows");
            reader.poll(&mut seen).unwrap();
            count += seen.len();
            seen.clear();
        }
        println!("{count} rows of 1 KB: {:.1} s, peak {} kB", began.elapsed().as_secs_f64(), peak());
    }
    assert!(peak() <= 200_000, "{} kB", peak());
}

#[test]
#[ignore = "takes minutes"]
fn ten_million_rows_rolled_back_leave_nothing() {
    let server = Postgres::shared().unwrap();
    let database = database(server);
    let mut sides = sides(server, &database, "33554432");
    sides.streamed.limit = Limit { rows: 8192, bytes: 1 << 20 };
    server.sql_in(&database, "BEGIN; INSERT INTO t SELECT generate_series(1, 10000000); ROLLBACK").unwrap();
    server.sql_in(&database, "INSERT INTO t VALUES (-1)").unwrap();
    let (mut all, began) = (vec![], Instant::now());
    while all.is_empty() {
        assert!(began.elapsed() < 10 * LIMIT);
        sides.streamed.poll(&mut all).unwrap();
    }
    println!("{:.1} s, peak {} kB", began.elapsed().as_secs_f64(), peak());
    assert_eq!(ids(&all), [-1]);
    assert_eq!(spilled(sides.directory.path()), Vec::<std::path::PathBuf>::new());
}
