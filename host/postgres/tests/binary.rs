//! pgoutput's binary transfer: the records of the text one, to the byte.
// The lints let tests do this, but not the functions that tests share.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use std::time::Instant;
use support::cases::{ARRAYS, SCALARS, SETUP};
use support::{LIMIT, Reader, Seen};
use weir_testkit::Postgres;

const BINARY: (&str, &str) = ("slot.stream.params", "binary=true");

/// Both ways from the same place in the log.
fn both(server: &Postgres, database: &str, more: &[(&str, &str)]) -> (Reader, Reader) {
    let common = [("extended.headers.enabled", "false"), ("snapshot.mode", "no_data"), ("skipped.operations", "none")];
    let common = [&common, more].concat();
    let names = [format!("{database}_text"), format!("{database}_binary")];
    // both slots stand where nothing is written yet
    let text = Reader::open(server, database, &[&common[..], &[("slot.name", &names[0])]].concat());
    let binary = Reader::open(server, database, &[&common[..], &[("slot.name", &names[1]), BINARY]].concat());
    (text, binary)
}

#[track_caller]
fn same(text: Vec<Seen>, binary: Vec<Seen>) {
    assert_eq!(text.len(), binary.len());
    for (a, b) in text.into_iter().zip(binary) {
        let (a, b) = (a.timeless(), b.timeless());
        if a != b {
            let (x, y) = (a.json(), b.json());
            for side in ["before", "after"] {
                for (name, value) in x["payload"][side].as_object().into_iter().flatten() {
                    assert_eq!(Some(value), y["payload"][side].get(name), "{} {side}.{name}", a.topic);
                }
            }
        }
        assert_eq!(a, b);
    }
}

/// Inserts, updates, changed keys and deletes of all types under every replica identity.
#[test]
fn both_ways_give_the_same_records() {
    let server = Postgres::shared().unwrap();
    let database = server.database().unwrap();
    let cases: Vec<_> = SCALARS.iter().chain(ARRAYS).collect();
    let columns: Vec<_> = cases.iter().enumerate().map(|(i, c)| format!("c{i} {}", c.0)).collect();
    let values: Vec<_> = cases.iter().map(|c| c.1).collect();
    let columns = format!("id int NOT NULL, n name, k \"char\", {}", columns.join(", "));
    let mut sql = format!("{SETUP} CREATE TABLE i_default ({columns}, PRIMARY KEY (id));");
    for kind in ["full", "nothing", "index"] {
        sql += &format!("CREATE TABLE i_{kind} (LIKE i_default INCLUDING ALL);");
    }
    sql += "ALTER TABLE i_full REPLICA IDENTITY FULL; ALTER TABLE i_nothing REPLICA IDENTITY NOTHING; \
            CREATE UNIQUE INDEX by_id ON i_index (id); ALTER TABLE i_index REPLICA IDENTITY USING INDEX by_id; \
            CREATE TABLE no_key (LIKE i_default); ALTER TABLE no_key REPLICA IDENTITY FULL;";
    server.sql_in(&database, &sql).unwrap();
    let (mut text, mut binary) = both(server, &database, &[]);
    let values = format!("'a_name', 'x', {}", values.join(", "));
    let mut count = 0;
    for kind in ["i_default", "i_full", "i_nothing", "i_index", "no_key"] {
        let insert = format!("INSERT INTO {kind} VALUES (1, {values}); INSERT INTO {kind} (id) VALUES (2);");
        let rest = format!(
            "UPDATE {kind} SET c1 = 43 WHERE id = 1; UPDATE {kind} SET id = 3 WHERE id = 1; \
             UPDATE {kind} SET c0 = 5 WHERE id = 2; DELETE FROM {kind} WHERE id = 3; TRUNCATE {kind};"
        );
        // 2 inserts; 2 updates, 3 of the key, delete and tombstone, truncate
        let changes = if kind == "i_nothing" { insert } else { insert + &rest };
        count += match kind {
            "i_nothing" => 2,
            "no_key" => 2 + 3 + 2 + 1,
            _ => 2 + 2 + 3 + 2 + 1,
        };
        server.sql_in(&database, &changes).unwrap();
    }
    let (text, binary) = (text.seen(count), binary.seen(count));
    assert_eq!(text.len(), count);
    same(text, binary);
}

/// Values that the server does not send again: from the old row where there is one, else the placeholder.
#[test]
fn unchanged_values_are_the_same() {
    unchanged(&[]);
    unchanged(&[("binary.handling.mode", "hex"), ("hstore.handling.mode", "map"), ("decimal.handling.mode", "string")]);
}

fn unchanged(modes: &[(&str, &str)]) {
    let server = Postgres::shared().unwrap();
    let database = server.database().unwrap();
    let columns = "id int PRIMARY KEY, n int, big_text text, big_bytea bytea, big_ints int[], big_texts text[], \
                   big_smalls smallint[], big_numeric numeric, big_bits varbit, big_hstore hstore, big_blobs bytea[]";
    let mut sql = format!("CREATE EXTENSION hstore; CREATE TABLE d ({columns}); CREATE TABLE f ({columns});");
    for column in columns.split(", ").skip(2) {
        let name = column.split(' ').next().unwrap();
        for table in ["d", "f"] {
            sql += &format!("ALTER TABLE {table} ALTER {name} SET STORAGE external;");
        }
    }
    sql += "ALTER TABLE f REPLICA IDENTITY FULL;";
    server.sql_in(&database, &sql).unwrap();
    let (mut text, mut binary) = both(server, &database, modes);
    for table in ["d", "f"] {
        let insert = format!(
            "INSERT INTO {table} SELECT 1, 1, repeat('x', 9000), decode(repeat('ab', 6000), 'hex'), \
             array(SELECT g FROM generate_series(1, 3000) g), array(SELECT 'e' || g FROM generate_series(1, 1500) g), \
             array(SELECT g::smallint FROM generate_series(1, 3000) g), repeat('123456789', 1000)::numeric, \
             repeat('01', 20000)::varbit, hstore('k', repeat('v', 9000)), array[decode(repeat('ab', 6000), 'hex')]; \
             UPDATE {table} SET n = 2"
        );
        server.sql_in(&database, &insert).unwrap();
    }
    let (text, binary) = (text.seen(4), binary.seen(4));
    assert_eq!(text[1].after()["big_text"], "__debezium_unavailable_value");
    assert_eq!(text[3].after()["big_text"].as_str().unwrap().len(), 9000);
    same(text, binary);
}

/// What else types can hold: (type, values).
const VARIETY: &[(&str, &[&str])] = &[
    ("\"char\"", &["", "a", "'"]),
    ("inet", &["10.0.0.1", "10.0.0.1/8", "::", "::/0", "::1", "::1.2.3.4", "::ffff:1.2.3.4", "2001:db8::1/64"]),
    ("inet", &["1:0:0:2:0:0:0:3", "0:0:1:0:0:0:1:1", "1:2:3:4:5:6:7:8", "1:0:2:0:3:0:4:0", "fe80::", "0:1::", "::1:0"]),
    ("cidr", &["10.0.0.0/8", "10.0.0.1/32", "::1/128", "2001:db8::/32", "0.0.0.0/0"]),
    ("macaddr", &["08:00:2b:01:02:ff"]),
    ("macaddr8", &["08:00:2b:01:02:03:04:ff"]),
    (
        "interval",
        &[
            "0",
            "1 day",
            "-1 day 02:03:04",
            "1 mon -1 day",
            "-00:00:00.000001",
            "100 years 1 day 25:00",
            "-1 mon 1 day -1:00",
        ],
    ),
    ("interval", &["1 year", "2 years -1 mon", "11 mons 30 days 23:59:59.999999", "-178000000 years", "00:00:00.1"]),
    ("timetz", &["12:00+05:30:15", "24:00:00-15:59:59", "00:00:00.000001+00", "01:02:03.4-03"]),
    ("tsvector", &["", "a", "a:1A,2B,3C,4 b", "'it''s':3 'b\\\\c':1A", "'two words'"]),
    ("int4range", &["empty", "(,)", "[1,)", "(,5]", "[-5,-3]"]),
    ("int8range", &["[9223372036854775806,9223372036854775807)"]),
    ("numrange", &["(1.50,2.500]", "[-0.001,1e20]", "[0,0]", "(NaN,)"]),
    ("daterange", &["[0044-03-15 BC,infinity)", "[-infinity,2020-01-01]", "[10000-01-01,)"]),
    ("tsrange", &["[0044-03-15 01:02:03.4 BC,10000-01-01)", "[-infinity,infinity]", "(,2020-01-01 00:00:00.000001]"]),
    ("tstzrange", &["[0044-03-15 01:02:03.4+00 BC,2020-01-01 00:00+02)", "[-infinity,)"]),
    ("money", &["0", "-0.01", "0.99", "-1.5", "92233720368547758.07", "1000000"]),
    ("point", &["(0,-0)", "(1e300,-1e-300)", "(0.1,0.2)", "(123456789.125,3)"]),
    ("hstore", &["", "a=>b", r#""a\"b"=>"c\\d", n=>NULL"#, "z=>1, y=>2, x=>3, aa=>4, bb=>5", "\"k 1\"=>\"\""]),
    ("ltree", &["A", "a.b_1.C"]),
    (
        "numeric",
        &[
            "0",
            "0.00",
            "1e20",
            "1e-20",
            "-0.5",
            "10000.0001",
            "99999999.9999",
            "100000000",
            "-1",
            "0.0001",
            "12345.678900",
            "NaN",
        ],
    ),
    ("numeric(20,5)", &["0", "1e14", "-0.00001", "12345.67890", "10000"]),
    ("varbit", &["", "1", "0000000000", "101010101"]),
    ("bit(9)", &["000000000", "100000001"]),
    ("varbit(1)", &["0", "1", ""]),
    ("date", &["infinity", "-infinity", "0044-03-15 BC", "10000-01-01", "1969-12-31"]),
    (
        "timestamp",
        &[
            "infinity",
            "-infinity",
            "0044-03-15 01:02:03.4 BC",
            "1677-09-21 00:12:43.145225",
            "2262-04-11 23:47:16.854775",
        ],
    ),
    ("timestamp", &["1969-12-31 23:59:59.999999", "2300-01-01", "1600-01-01", "2024-02-29 12:34:56.700"]),
    ("timestamp(3)", &["1969-12-31 23:59:59.999", "infinity"]),
    ("timestamptz", &["-infinity", "0044-03-15 01:02:03.4+00 BC", "12345-01-01 00:00+00"]),
    ("time", &["24:00:00", "00:00:00.000001", "23:59:59.999999"]),
    ("time(0)", &["24:00:00", "01:02:03"]),
    ("float4", &["0.1", "-0", "1e38", "1e-45", "123456.789"]),
    ("float8", &["0.1", "-0", "1e308", "5e-324", "123456.789"]),
    ("xml", &["<?xml version=\"1.0\"?><a/>", "<?xml version=\"1.0\" standalone=\"yes\"?><a/>", "plain"]),
    ("jsonb", &["{}", "\"s\"", "1.10"]),
    ("bytea", &["", "\\xfbff", "\\x00"]),
    ("int4[]", &["{}", "[0:1]={1,2}", "{{1,2},{3,4}}", "{NULL}"]),
    ("inet[]", &["{10.0.0.1/8,::1,NULL}"]),
    ("ltree[]", &["{a.b,c}"]),
    ("citext[]", &["{A,b,NULL}"]),
    ("hstore[]", &[r#"{"a=>1",NULL}"#]),
    ("timetz[]", &["{12:00+05:30}"]),
    ("tstzrange[]", &[r#"{"[2020-01-01 00:00+00,)",empty}"#]),
    ("bytea[]", &[r#"{"\\xfbff",NULL}"#]),
    ("timestamp[]", &["{2020-01-01 01:02:03.4,infinity}"]),
    ("date[]", &["{2020-01-01,NULL}"]),
    ("time(3)[]", &["{01:02:03.4}"]),
    ("float4[]", &["{0.1,NaN,123456.789}"]),
    ("bool[]", &["{t,f}"]),
    ("uuid[]", &["{a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11}"]),
    ("macaddr8[]", &["{08:00:2b:01:02:03:04:ff}"]),
];

/// Snapshot, text and binary say the same in every mode.
#[test]
fn all_ways_read_alike_in_every_mode() {
    let server = Postgres::shared().unwrap();
    let mut sql = "CREATE EXTENSION hstore; CREATE EXTENSION ltree; CREATE EXTENSION citext; \
                   CREATE TABLE wire (i int, j int, PRIMARY KEY (i, j)"
        .to_owned();
    let columns: String = VARIETY.iter().enumerate().map(|(i, (ty, _))| format!(", c{i} {ty}")).collect();
    sql += &format!("{columns});");
    for (i, (_, values)) in VARIETY.iter().enumerate() {
        for (j, value) in values.iter().enumerate() {
            sql += &format!("INSERT INTO wire (i, j, c{i}) VALUES ({i}, {j}, '{}');", value.replace('\'', "''"));
        }
    }
    let rows: usize = VARIETY.iter().map(|(_, values)| values.len()).sum();
    for modes in [
        &[][..],
        &[("decimal.handling.mode", "string"), ("time.precision.mode", "isostring"), ("binary.handling.mode", "hex")],
        &[("decimal.handling.mode", "double"), ("time.precision.mode", "nanoseconds"), ("hstore.handling.mode", "map")],
        &[("interval.handling.mode", "string"), ("time.precision.mode", "connect"), ("binary.handling.mode", "base64")],
        &[("time.precision.mode", "adaptive_time_microseconds"), ("binary.handling.mode", "base64-url-safe")],
        &[("time.precision.mode", "microseconds")],
    ] {
        let database = server.database().unwrap();
        server.sql_in(&database, &sql).unwrap();
        let (mut text, mut binary) = both(server, &database, modes);
        let mut snapshot = Reader::open(server, &database, modes);
        let read = snapshot.seen(rows);
        snapshot.source.stop(true);
        server
            .sql_in(&database, "CREATE TABLE copy AS TABLE wire; TRUNCATE wire; INSERT INTO wire TABLE copy")
            .unwrap();
        // the new table has rows, too; the truncate is one record
        let (text, binary) = (text.seen(2 * rows + 1), binary.seen(2 * rows + 1));
        let mut streamed: Vec<_> =
            text.iter().filter(|r| r.topic == "p.public.wire" && r.op() == "c").map(Seen::after).collect();
        let mut read: Vec<_> = read.iter().map(Seen::after).collect();
        for all in [&mut streamed, &mut read] {
            all.sort_by_key(|r| (r["i"].as_i64(), r["j"].as_i64()));
        }
        for (streamed, read) in streamed.iter().zip(&read) {
            assert_eq!(streamed, read, "{modes:?}: the stream and the snapshot");
        }
        assert_eq!(streamed.len(), read.len());
        same(text, binary);
    }
}

/// The form of a cell is per cell: a type that gets its binary form, or loses it, while rows are on their way is another shape from
/// that row on.
#[test]
fn a_type_may_change_its_form_in_mid_stream() {
    let server = Postgres::shared().unwrap();
    let database = server.database().unwrap();
    server.sql_in(&database, "CREATE TABLE t (id int PRIMARY KEY, v inet, w int)").unwrap();
    let (mut text, mut binary) = both(server, &database, &[]);
    server.sql_in(&database, "INSERT INTO t VALUES (1, '10.0.0.1', 5)").unwrap();
    assert_eq!(binary.seen(1)[0].after()["v"], "10.0.0.1");
    for (sql, id) in [
        ("UPDATE pg_type SET typsend = 0 WHERE typname = 'inet'", 2),
        ("UPDATE pg_type SET typsend = 'inet_send'::regproc WHERE typname = 'inet'", 3),
    ] {
        // the walsender has the type in its cache: a new session is what sees the change for certain
        server
            .sql_in(&database, &format!("{sql}; INSERT INTO t VALUES ({id}, '10.0.0.{id}', {id}), ({id}0, NULL, 7)"))
            .unwrap();
        let records = binary.seen(2);
        assert_eq!(records[0].after()["v"], format!("10.0.0.{id}"));
        assert_eq!(records[0].after()["w"], id);
        assert_eq!(records[1].after()["w"], 7);
    }
    assert_eq!(text.seen(5).len(), 5);
}

/// An array of a type without binary form ends the server's stream; what mends it is said, and does.
#[test]
fn what_the_server_cannot_send_is_named() {
    let server = Postgres::shared().unwrap();
    let database = server.database().unwrap();
    server.sql_in(&database, "CREATE EXTENSION isn; CREATE TABLE t (id int PRIMARY KEY, v isbn[], w isbn)").unwrap();
    let mut reader = Reader::open(server, &database, &[("snapshot.mode", "no_data"), BINARY]);
    server.sql_in(&database, "INSERT INTO t VALUES (1, NULL, '0-393-04002-X')").unwrap();
    assert_eq!(reader.seen(1)[0].after()["w"], "0-393-04002-X");
    server.sql_in(&database, "INSERT INTO t VALUES (2, '{0-393-04002-X}', NULL)").unwrap();
    let deadline = Instant::now() + LIMIT;
    let error = loop {
        assert!(Instant::now() < deadline, "no error");
        if let Err(error) = reader.poll(&mut vec![]) {
            break error;
        }
    };
    assert_eq!(error.code(), "postgres.no-binary-form");
    assert!(error.hint().is_some_and(|h| h.contains("remove `binary` from `slot.stream.params`")), "{error:?}");
    reader.source.stop(false);
    let mut reader = Reader::open(server, &database, &[("snapshot.mode", "no_data")]);
    let deadline = Instant::now() + LIMIT;
    let mut seen = vec![];
    while !seen.iter().any(|r: &Seen| r.after()["id"] == 2) {
        assert!(Instant::now() < deadline, "the row did not come");
        reader.poll(&mut seen).unwrap();
    }
}
