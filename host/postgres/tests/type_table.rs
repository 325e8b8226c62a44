//! Every type, through a snapshot's binary COPY and through the stream's text: the same records, and Debezium's.
// The lints let tests do this, but not the functions that tests share.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use serde_json::Value as Json;
use support::Reader;
use support::cases::{ARRAYS, Case, LEFT_OUT, SCALARS, SETUP};
use weir_testkit::Postgres;

fn after(record: &Json) -> &Json {
    &record["payload"]["after"]
}

/// The schemas of the columns, without what is the same for all.
fn columns(record: &Json) -> Vec<Json> {
    let fields = record["schema"]["fields"].as_array().unwrap();
    let after = fields.iter().find(|f| f["field"] == "after").unwrap();
    after["fields"].as_array().unwrap().clone()
}

#[test]
fn snapshot_and_stream_say_the_same_of_every_type() {
    let server = Postgres::shared().unwrap();
    let database = server.database().unwrap();
    let cases: Vec<&Case> = SCALARS.iter().chain(ARRAYS).chain(LEFT_OUT).collect();
    let named: Vec<_> = cases.iter().enumerate().map(|(i, c)| format!("c{i} {}", c.0)).collect();
    let values: Vec<_> = cases.iter().map(|c| c.1).collect();
    let insert = |id: u32| format!("INSERT INTO t VALUES ({id}, 'a_name', {})", values.join(", "));
    let sql = format!("{SETUP} CREATE TABLE t (id int PRIMARY KEY, n name, {}); {};", named.join(", "), insert(1));
    server.sql_in(&database, &sql).unwrap();
    server.sql_in(&database, "INSERT INTO t (id) VALUES (2)").unwrap();

    let mut reader = Reader::open(server, &database, &[]);
    let snapshot = reader.records(2);
    server.sql_in(&database, &insert(3)).unwrap();
    server.sql_in(&database, "INSERT INTO t (id) VALUES (4)").unwrap();
    let stream = reader.records(2);
    reader.source.stop(true);

    assert_eq!(columns(&snapshot[0]), columns(&stream[0]));
    for (i, (ty, _, expected)) in cases.iter().enumerate() {
        let name = format!("c{i}");
        for (what, records) in [("snapshot", &snapshot), ("stream", &stream)] {
            let value = after(&records[0]).get(&name);
            match *expected {
                "" => assert_eq!(value, None, "{what} {ty}"),
                json => assert_eq!(value, Some(&serde_json::from_str(json).unwrap()), "{what} {ty}"),
            }
            assert!(after(&records[1]).get(&name).is_none_or(Json::is_null), "{what} {ty}");
        }
    }
    assert_eq!(after(&snapshot[0])["n"], "a_name");
    assert_eq!(after(&stream[0])["n"], Json::Null);
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/TYPES.md");
    let written = document(&cases, &columns(&stream[0]));
    if std::env::var_os("WEIR_WRITE_TYPES").is_some() {
        std::fs::write(path, &written).unwrap();
    }
    assert_eq!(std::fs::read_to_string(path).unwrap(), written, "WEIR_WRITE_TYPES=1 writes TYPES.md anew");
}

/// `TYPES.md`
fn document(cases: &[&Case], columns: &[Json]) -> String {
    let mut out = String::from(
        "# PostgreSQL types\n\nHow a column of each type is written, as Debezium 3.6 does it by default. \
         A test of this crate writes this table from a real server's records.\n\n\
         Columns of other types are left out of the records, and a warning names them. `name` columns are read in \
         the snapshot and null in the stream. Domains are written as their base type.\n\n\
         | type | schema | for example | is written as |\n|---|---|---|---|\n",
    );
    let cell = |text: &str| text.replace('|', "\\|");
    for (i, (ty, sql, json)) in cases.iter().enumerate() {
        let column = columns.iter().find(|c| c["field"] == format!("c{i}"));
        let (schema, json) = match column {
            Some(column) => (schema(column), format!("`{json}`")),
            None => ("(left out)".to_owned(), String::new()),
        };
        out.push_str(&format!("| {ty} | {schema} | `{}` | {} |\n", cell(sql), cell(&json)));
    }
    out
}

fn schema(column: &Json) -> String {
    let mut out = column["type"].as_str().unwrap().to_owned();
    if let Some(items) = column.get("items") {
        out.push_str(&format!(" of {}", schema(items)));
    }
    if let Some(name) = column["name"].as_str() {
        out.push_str(&format!(" {name}"));
    }
    for (key, value) in column["parameters"].as_object().into_iter().flatten() {
        out.push_str(&format!(" {key}={}", value.as_str().unwrap()));
    }
    if let Some(fields) = column["fields"].as_array() {
        let fields: Vec<_> =
            fields.iter().map(|f| format!("{}: {}", f["field"].as_str().unwrap(), schema(f))).collect();
        out.push_str(&format!(" {{{}}}", fields.join(", ")));
    }
    out
}

#[test]
fn defaults_are_those_that_debezium_tells() {
    let server = Postgres::shared().unwrap();
    let database = server.database().unwrap();
    let sql = r#"CREATE TABLE d (id serial PRIMARY KEY, c_numeric numeric(6,3) NOT NULL DEFAULT 1.500,
        c_json jsonb NOT NULL DEFAULT '{"a": 1}', c_bytea bytea NOT NULL DEFAULT '\x0102', c_fn text DEFAULT lower('ABC'),
        c_ts timestamp NOT NULL DEFAULT '2020-01-02 03:04:05.678901', c_date date NOT NULL DEFAULT '2020-01-02',
        c_char char(5) NOT NULL DEFAULT 'ab', c_bit bit(3) NOT NULL DEFAULT B'101',
        c_interval interval NOT NULL DEFAULT 'P1Y2M3DT4H5M6.5S', c_text varchar(20) DEFAULT 'it''s', c_array int[] DEFAULT '{1,2}',
        c_now timestamptz DEFAULT now(), c_sum int DEFAULT (1 + 1), c_both text DEFAULT 'x' || 'y', c_plain numeric DEFAULT 1.50);
        INSERT INTO d DEFAULT VALUES"#;
    server.sql_in(&database, sql).unwrap();
    let mut reader = Reader::open(server, &database, &[]);
    let snapshot = reader.records(1);
    reader.source.stop(true);
    let columns = columns(&snapshot[0]);
    let default = |name: &str| columns.iter().find(|c| c["field"] == name).unwrap().get("default").cloned();
    for (name, expected) in [
        ("id", "0"),
        ("c_numeric", "\"Bdw=\""),
        ("c_json", r#""{\"a\": 1}""#),
        ("c_bytea", ""),
        ("c_fn", "\"\""),
        ("c_ts", "1577934245678901"),
        ("c_date", "18263"),
        ("c_char", "\"ab\""),
        ("c_bit", "\"BQ==\""),
        ("c_interval", "37091106500000"),
        ("c_text", "\"it's\""),
        ("c_array", ""),
        ("c_now", "\"1970-01-01T00:00:00.000000Z\""),
        ("c_sum", ""),
        ("c_both", "\"x\""),
        ("c_plain", ""),
    ] {
        let expected = (!expected.is_empty()).then(|| serde_json::from_str(expected).unwrap());
        assert_eq!(default(name), expected, "{name}");
    }
}

#[test]
fn unchanged_values_have_placeholders() {
    let server = Postgres::shared().unwrap();
    let database = server.database().unwrap();
    let sql = "CREATE TABLE o (id int PRIMARY KEY, n int, big_text text, big_bytea bytea, big_arr int[], big_texts text[], \
               big_smalls smallint[]); \
               ALTER TABLE o ALTER big_text SET STORAGE external, ALTER big_bytea SET STORAGE external, \
               ALTER big_arr SET STORAGE external, ALTER big_texts SET STORAGE external, ALTER big_smalls SET STORAGE external; \
               INSERT INTO o SELECT 1, 1, repeat('x', 9000), decode(repeat('ab', 6000), 'hex'), \
               array(SELECT g FROM generate_series(1, 3000) g), array(SELECT 'e' || g FROM generate_series(1, 1500) g), \
               array(SELECT g::smallint FROM generate_series(1, 3000) g)";
    server.sql_in(&database, sql).unwrap();
    let mut reader = Reader::open(server, &database, &[]);
    let snapshot = reader.records(1);
    assert_eq!(after(&snapshot[0])["big_arr"].as_array().unwrap().len(), 3000);
    server.sql_in(&database, "UPDATE o SET n = 2").unwrap();
    let stream = reader.records(1);
    reader.source.stop(true);
    let placeholder = "__debezium_unavailable_value";
    let after = after(&stream[0]);
    assert_eq!(after["n"], 2);
    assert_eq!(after["big_text"], placeholder);
    assert_eq!(after["big_bytea"], "X19kZWJleml1bV91bmF2YWlsYWJsZV92YWx1ZQ==");
    assert_eq!(after["big_arr"], Json::from(placeholder.bytes().collect::<Vec<u8>>()));
    assert_eq!(after["big_texts"], Json::from(vec![placeholder]));
    assert_eq!(after["big_smalls"], Json::Null);
}
