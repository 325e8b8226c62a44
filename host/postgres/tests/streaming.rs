//! Replication and COPY against a real server: every byte arrives, and ends are ends.
// The lints let tests do this, but not the functions that tests share.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::time::{Duration, Instant};

use weir_api::{Cure, Error};
use weir_postgres::{ConnectOptions, Connection, Frames, Replication, SslMode};
use weir_testkit::Postgres;

const PROTOCOL: [(&str, &str); 2] = [("proto_version", "1"), ("publication_names", "p")];
const LIMIT: Duration = Duration::from_secs(60);

fn options(server: &Postgres, database: &str) -> ConnectOptions {
    ConnectOptions {
        host: server.host().into(),
        port: server.port(),
        user: server.user().into(),
        password: server.password().map(str::to_owned),
        database: database.into(),
        replication: true,
        ..ConnectOptions::default()
    }
}

/// A database with a table, a publication of it, and a slot (slots are the server's, so the database lends its name).
fn database(server: &Postgres) -> String {
    let database = server.database().unwrap();
    let sql = "CREATE TABLE t (id int PRIMARY KEY, name text); CREATE PUBLICATION p FOR TABLE t";
    server.sql_in(&database, sql).unwrap();
    slot(server, &database, &database);
    database
}

fn slot(server: &Postgres, database: &str, name: &str) {
    server.sql_in(database, &format!("SELECT pg_create_logical_replication_slot('{name}', 'pgoutput')")).unwrap();
}

/// What a stream brought, as far as these tests look into it.
#[derive(Default)]
struct Seen {
    buffer: Vec<u8>,
    /// bodies of logical messages, by their first byte
    inserts: Vec<Vec<u8>>,
    commits: usize,
    /// where the last commit ends
    position: u64,
    bytes: usize,
}

impl Seen {
    fn read<C: std::borrow::BorrowMut<Connection>>(&mut self, stream: &mut Replication<C>) -> Result<usize, Error> {
        let read = stream.read(&mut self.buffer, Duration::from_millis(50))?;
        self.bytes += read;
        let mut frames = Frames::new(&self.buffer);
        for frame in frames.by_ref() {
            if frame.tag != b'd' || frame.body[0] != b'w' {
                continue;
            }
            match frame.body[25] {
                b'I' => self.inserts.push(frame.body[25..].to_vec()),
                b'C' => {
                    self.commits += 1;
                    self.position = u64::from_be_bytes(frame.body[35..43].try_into().unwrap());
                }
                _ => {}
            }
        }
        let kept = frames.rest().len();
        self.buffer.drain(..self.buffer.len() - kept);
        Ok(read)
    }

    #[track_caller]
    fn read_until<C: std::borrow::BorrowMut<Connection>>(
        &mut self,
        stream: &mut Replication<C>,
        condition: impl Fn(&Seen) -> bool,
    ) {
        let deadline = Instant::now() + LIMIT;
        while !condition(self) {
            assert!(Instant::now() < deadline, "{} inserts, {} commits", self.inserts.len(), self.commits);
            self.read(stream).unwrap();
        }
    }
}

/// Ten thousand rows of many lengths, in transactions of many lengths; each arrives once and whole.
fn streams_completely(server: &Postgres, options: &ConnectOptions) {
    let database = &options.database;
    for (from, to) in [(1, 1), (2, 50), (51, 9_000), (9_001, 10_000)] {
        let sql = "INSERT INTO t SELECT i, repeat('x', i % 997) || i FROM generate_series";
        server.sql_in(database, &format!("{sql}({from}, {to}) i")).unwrap();
    }
    let mut stream = Connection::connect(options).unwrap().into_replication(database, 0, &PROTOCOL).unwrap();
    let mut seen = Seen::default();
    seen.read_until(&mut stream, |seen| seen.commits == 4);
    assert_eq!(seen.inserts.len(), 10_000);
    for (i, insert) in (1..).zip(&seen.inserts) {
        let text = "x".repeat(i % 997) + &i.to_string();
        let id = i.to_string();
        let mut expected = vec![b'N', 0, 2, b't', 0, 0, 0, id.len() as u8];
        expected.extend_from_slice(id.as_bytes());
        expected.push(b't');
        expected.extend_from_slice(&(text.len() as u32).to_be_bytes());
        expected.extend_from_slice(text.as_bytes());
        // 'I' and the relation's number come first.
        assert_eq!(&insert[5..], expected, "row {i}");
    }
    // What was confirmed is the server's to forget.
    stream.send_status(seen.position, seen.position, seen.position, true).unwrap();
    let sql = format!(
        "SELECT 1 FROM pg_replication_slots WHERE slot_name = '{database}' AND confirmed_flush_lsn >= '{:X}/{:X}'",
        seen.position >> 32,
        seen.position & 0xffff_ffff
    );
    let deadline = Instant::now() + LIMIT;
    while server.sql(&sql).unwrap().is_empty() {
        assert!(Instant::now() < deadline, "not confirmed");
        seen.read(&mut stream).unwrap();
    }
    stream.stop().unwrap();
}

#[test]
fn ten_thousand_rows_arrive_whole() {
    let server = Postgres::shared().unwrap();
    streams_completely(server, &options(server, &database(server)));
}

#[test]
fn ten_thousand_rows_arrive_whole_through_tls() {
    let server = Postgres::builder().tls().start().unwrap();
    let options = ConnectOptions { sslmode: SslMode::Require, ..options(&server, &database(&server)) };
    streams_completely(&server, &options);
}

#[test]
fn ten_thousand_rows_arrive_whole_through_a_unix_socket() {
    let server = Postgres::builder().setting("work_mem", "4MB").start().unwrap();
    let host = server.socket_dir().unwrap().display().to_string();
    let options = ConnectOptions { host, ..options(&server, &database(&server)) };
    streams_completely(&server, &options);
}

#[test]
fn a_stream_stops_idle_and_busy_and_starts_again() {
    let server = Postgres::shared().unwrap();
    let database = database(server);
    let mut connection = Connection::connect(&options(server, &database)).unwrap();
    // Idle: nothing was ever sent.
    let mut stream = connection.start_replication(&database, 0, &PROTOCOL).unwrap();
    let mut seen = Seen::default();
    seen.read(&mut stream).unwrap();
    assert_eq!(seen.inserts.len(), 0);
    stream.stop().unwrap();
    assert_eq!(connection.simple_query("SELECT 1").unwrap(), [[Some("1".to_owned())]]);

    // Servers stream once for each connection.
    let Err(error) = connection.start_replication(&database, 0, &PROTOCOL) else { panic!("streams twice") };
    assert_eq!((error.code(), error.cure()), ("postgres.streamed", Cure::Retry));

    // Busy: much is on its way, and a frame is cut by the last read.
    let mut connection = Connection::connect(&options(server, &database)).unwrap();
    server.sql_in(&database, "INSERT INTO t SELECT i, repeat('y', 300) FROM generate_series(1, 20000) i").unwrap();
    let mut stream = connection.start_replication(&database, 0, &PROTOCOL).unwrap();
    let mut seen = Seen::default();
    seen.read_until(&mut stream, |seen| seen.inserts.len() > 10);
    stream.stop().unwrap();
    assert_eq!(connection.simple_query("SELECT 2").unwrap(), [[Some("2".to_owned())]]);

    // Nothing was confirmed: all of it comes again.
    let mut stream =
        Connection::connect(&options(server, &database)).unwrap().into_replication(&database, 0, &PROTOCOL).unwrap();
    let mut seen = Seen::default();
    seen.read_until(&mut stream, |seen| seen.commits == 1);
    assert_eq!(seen.inserts.len(), 20_000);
    // And one row after an idle time.
    let mut idle = Seen::default();
    idle.read(&mut stream).unwrap();
    server.sql_in(&database, "INSERT INTO t VALUES (0, 'late')").unwrap();
    idle.read_until(&mut stream, |seen| seen.commits == 1);
    assert_eq!(idle.inserts.len(), 1);
    stream.stop().unwrap();
}

#[test]
fn a_slot_has_one_reader() {
    let server = Postgres::shared().unwrap();
    let database = database(server);
    let options = options(server, &database);
    let first = Connection::connect(&options).unwrap().into_replication(&database, 0, &PROTOCOL).unwrap();
    let mut second = Connection::connect(&options).unwrap();
    let Err(error) = second.start_replication(&database, 0, &PROTOCOL) else { panic!("two readers") };
    assert_eq!((error.code(), error.cure()), ("postgres.slot-in-use", Cure::Retry));
    // The refused one may ask again, and is let in when the first has gone.
    first.stop().unwrap();
    second.start_replication(&database, 0, &PROTOCOL).unwrap().stop().unwrap();
}

#[test]
fn what_a_stream_needs_is_named() {
    let server = Postgres::shared().unwrap();
    let database = database(server);
    let mut connection = Connection::connect(&options(server, &database)).unwrap();
    let Err(error) = connection.start_replication("no_such_slot", 0, &PROTOCOL) else { panic!("no slot") };
    assert_eq!((error.code(), error.cure()), ("postgres.slot-missing", Cure::Environment));

    // Shows only when the first change is decoded, and leaves the session usable.
    server.sql_in(&database, "INSERT INTO t VALUES (1, 'a')").unwrap();
    let options = [("proto_version", "1"), ("publication_names", "absent")];
    let mut stream = connection.start_replication(&database, 0, &options).unwrap();
    let deadline = Instant::now() + LIMIT;
    let mut buffer = Vec::new();
    let error = loop {
        assert!(Instant::now() < deadline);
        if let Err(error) = stream.read(&mut buffer, Duration::from_millis(50)) {
            break error;
        }
    };
    assert_eq!((error.code(), error.cure()), ("postgres.publication-missing", Cure::Environment));
    assert_eq!(connection.simple_query("SELECT 1").unwrap().len(), 1);
    let mut connection = Connection::connect(&crate::options(server, &database)).unwrap();
    let Err(error) = connection.start_replication(&database, 0, &[("no_such_option", "1")]) else {
        panic!("unknown option")
    };
    assert_eq!(error.code(), "postgres.server");
}

#[test]
fn a_server_without_logical_decoding_is_named() {
    let server = Postgres::builder().setting("wal_level", "replica").start().unwrap();
    let mut connection = Connection::connect(&options(&server, "postgres")).unwrap();
    let error = connection.simple_query("CREATE_REPLICATION_SLOT s LOGICAL pgoutput").unwrap_err();
    assert_eq!((error.code(), error.cure()), ("postgres.wal-level", Cure::Environment));
    assert!(error.hint().unwrap().contains("wal_level = logical"));
}

/// How a stream that has already brought something ends when `end` is done to its server.
fn ends_by(end: impl FnOnce(&Postgres)) -> Error {
    let server = Postgres::builder().setting("work_mem", "4MB").start().unwrap();
    let database = database(&server);
    server.sql_in(&database, "INSERT INTO t SELECT i, repeat('z', 200) FROM generate_series(1, 50000) i").unwrap();
    let mut stream =
        Connection::connect(&options(&server, &database)).unwrap().into_replication(&database, 0, &PROTOCOL).unwrap();
    let mut seen = Seen::default();
    seen.read_until(&mut stream, |seen| seen.inserts.len() > 1);
    end(&server);
    let deadline = Instant::now() + LIMIT;
    loop {
        assert!(Instant::now() < deadline);
        if let Err(error) = seen.read(&mut stream) {
            // Data before the end is whole.
            assert!(seen.inserts.iter().all(|insert| insert.len() > 200));
            assert!(stream.read(&mut Vec::new(), Duration::ZERO).is_err());
            return error;
        }
    }
}

#[test]
fn a_crash_in_mid_stream_is_worth_a_retry() {
    let error = ends_by(|server| server.stop_immediate().unwrap());
    assert_eq!(error.cure(), Cure::Retry, "{error:?}");
    assert!(["postgres.shutting-down", "postgres.connection-lost"].contains(&error.code()), "{error:?}");
}

#[test]
fn a_terminated_walsender_is_worth_a_retry() {
    let error = ends_by(|server| {
        server.sql("SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots").unwrap();
    });
    assert_eq!((error.code(), error.cure()), ("postgres.shutting-down", Cure::Retry), "{error:?}");
}

#[test]
fn a_server_that_shuts_down_in_order_says_so() {
    let server = Postgres::builder().setting("work_mem", "4MB").start().unwrap();
    let database = database(&server);
    let mut stream =
        Connection::connect(&options(&server, &database)).unwrap().into_replication(&database, 0, &PROTOCOL).unwrap();
    let error = std::thread::scope(|scope| {
        let restart = scope.spawn(|| server.restart());
        let mut buffer = Vec::new();
        let deadline = Instant::now() + LIMIT;
        let error = loop {
            assert!(Instant::now() < deadline);
            match stream.read(&mut buffer, Duration::from_millis(50)) {
                // It goes when we say that we have all it sent.
                Ok(_) => {
                    let end = Frames::new(&buffer)
                        .filter(|f| matches!(f.body[0], b'w' | b'k'))
                        .map(|f| {
                            u64::from_be_bytes(f.body[if f.body[0] == b'k' { 1..9 } else { 9..17 }].try_into().unwrap())
                        })
                        .max()
                        .unwrap_or(0);
                    if stream.send_status(end, end, end, false).is_err() {
                        continue;
                    }
                }
                Err(error) => break error,
            }
        };
        restart.join().unwrap().unwrap();
        error
    });
    assert_eq!((error.code(), error.cure()), ("postgres.shutting-down", Cure::Retry), "{error:?}");
    // And afterwards it is there again, with the slot.
    let stream =
        Connection::connect(&options(&server, &database)).unwrap().into_replication(&database, 0, &PROTOCOL).unwrap();
    stream.stop().unwrap();
}

#[test]
fn a_binary_copy_brings_every_row() {
    let server = Postgres::shared().unwrap();
    let database = server.database().unwrap();
    let sql = "CREATE TABLE c AS SELECT i AS id, repeat('ab', i % 50) AS name FROM generate_series(1, 100000) i";
    server.sql_in(&database, sql).unwrap();
    // Notices may come between the rows.
    let sql = "CREATE FUNCTION loud(i int) RETURNS int LANGUAGE plpgsql AS
               $$ BEGIN IF i % 9973 = 0 THEN RAISE NOTICE 'row %', i; END IF; RETURN i; END $$";
    server.sql_in(&database, sql).unwrap();
    let plain = ConnectOptions { replication: false, ..options(server, &database) };
    let mut connection = Connection::connect(&plain).unwrap();
    let mut copy =
        connection.copy_out("COPY (SELECT loud(id), name FROM c ORDER BY id) TO STDOUT (FORMAT binary)").unwrap();
    let mut buffer = b"before".to_vec();
    let mut expected = buffer.len();
    while let Some(read) = copy.next(&mut buffer).unwrap() {
        expected += read;
        assert_eq!(buffer.len(), expected);
    }
    assert_eq!(copy.rows(), Some(100_000));
    assert_eq!(copy.next(&mut buffer).unwrap(), None);
    let mut frames = Frames::new(&buffer[6..]);
    let bodies: Vec<&[u8]> = frames.by_ref().map(|f| f.body).collect();
    assert!(frames.rest().is_empty());
    assert!(bodies[0].starts_with(b"PGCOPY\n\xff\r\n\0"));
    let all = bodies.concat();
    let (mut rows, trailer) = (&all[19..all.len() - 2], &all[all.len() - 2..]);
    assert_eq!(trailer, [0xff, 0xff]);
    for i in 1..=100_000u32 {
        let name = "ab".repeat(i as usize % 50);
        let mut row = vec![0, 2, 0, 0, 0, 4];
        row.extend_from_slice(&i.to_be_bytes());
        row.extend_from_slice(&(name.len() as u32).to_be_bytes());
        row.extend_from_slice(name.as_bytes());
        rows = rows.strip_prefix(row.as_slice()).unwrap_or_else(|| panic!("row {i}"));
    }
    assert!(rows.is_empty());
    drop(copy);
    // The session goes on.
    assert_eq!(connection.simple_query("SELECT count(*) FROM c").unwrap(), [[Some("100000".to_owned())]]);
}

#[test]
fn a_copy_that_fails_half_way_leaves_the_session_usable() {
    let server = Postgres::shared().unwrap();
    let plain = ConnectOptions { replication: false, ..options(server, "postgres") };
    let mut connection = Connection::connect(&plain).unwrap();
    let Err(error) = connection.copy_out("COPY no_such_table TO STDOUT") else { panic!("no table") };
    assert_eq!(error.code(), "postgres.server");
    let mut copy =
        connection.copy_out("COPY (SELECT 1 / (5000 - i) FROM generate_series(1, 10000) i) TO STDOUT").unwrap();
    let mut buffer = Vec::new();
    let error = loop {
        match copy.next(&mut buffer) {
            Ok(read) => assert!(read.is_some(), "the division by zero is missing"),
            Err(error) => break error,
        }
    };
    assert!(error.message().contains("22012"), "{error:?}");
    assert_eq!(copy.next(&mut buffer).unwrap(), None);
    drop(copy);
    assert_eq!(connection.simple_query("SELECT 1").unwrap().len(), 1);
    // An empty one is one, too; and one that is left behind is not mistaken for an answer.
    let mut copy = connection.copy_out("COPY (SELECT 1 WHERE false) TO STDOUT").unwrap();
    assert_eq!(copy.next(&mut buffer).unwrap(), None);
    assert_eq!(copy.rows(), Some(0));
    drop(copy);
    drop(connection.copy_out("COPY (SELECT generate_series(1, 100000)) TO STDOUT").unwrap());
    assert_eq!(connection.simple_query("SELECT 1").unwrap_err().code(), "postgres.connection-lost");
}

#[test]
fn frames_larger_than_any_read_arrive_whole() {
    let server = Postgres::shared().unwrap();
    let database = database(server);
    server.sql_in(&database, "INSERT INTO t VALUES (1, repeat('q', 5000000)), (2, 'small')").unwrap();
    let mut connection = Connection::connect(&options(server, &database)).unwrap();
    let mut buffer = Vec::new();
    let mut copy = connection.copy_out("COPY (SELECT name FROM t ORDER BY id) TO STDOUT").unwrap();
    while copy.next(&mut buffer).unwrap().is_some() {}
    drop(copy);
    let lengths: Vec<usize> = Frames::new(&buffer).map(|f| f.body.len()).collect();
    assert_eq!(lengths, [5_000_001, 6]);
    let mut stream = connection.into_replication(&database, 0, &PROTOCOL).unwrap();
    let mut seen = Seen::default();
    seen.read_until(&mut stream, |seen| seen.commits == 1);
    assert_eq!(seen.inserts.len(), 2);
    assert!(seen.inserts[0].len() > 5_000_000);
    stream.stop().unwrap();
}
