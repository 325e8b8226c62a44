//! The handling modes, schemas and values, as Debezium's golden records of the same columns have them.
// The lints let tests do this, but not the functions that tests share.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use serde_json::{Value as Json, json};
use support::Reader;
use weir_testkit::Postgres;

const COLUMNS: &[(&str, &str)] = &[
    ("date", "'2024-02-29'"),
    ("time", "'23:59:59.999999'"),
    ("time(0)", "'24:00:00'"),
    ("time(3)", "'12:00:00.123'"),
    ("timestamp", "'1969-12-31 23:59:59.999999'"),
    ("timestamp(0)", "'2024-02-29 12:34:56'"),
    ("timestamp(3)", "'2024-02-29 12:34:56.789'"),
    ("timestamp(6)", "'0001-01-01 00:00:00'"),
    ("interval", "'-1 day'"),
    ("numeric", "1.10"),
    ("numeric(5,2)", "0.00"),
    ("money", "'-92233720368547758.08'"),
    ("bytea", r"'\x00ff10'"),
    ("hstore", "'\"k1\"=>\"v1\", \"k2\"=>NULL'"),
];

/// (key and value, (column, its schema's type and name, its value)…)
type Mode = (&'static str, &'static str, &'static [(usize, &'static str, &'static str, &'static str)]);

const MODES: &[Mode] = &[
    (
        "time.precision.mode",
        "connect",
        &[
            (0, "int32", "org.apache.kafka.connect.data.Date", "19782"),
            (1, "int32", "org.apache.kafka.connect.data.Time", "86399999"),
            (2, "int32", "org.apache.kafka.connect.data.Time", "86400000"),
            (3, "int32", "org.apache.kafka.connect.data.Time", "43200123"),
            (4, "int64", "org.apache.kafka.connect.data.Timestamp", "-1"),
            (5, "int64", "org.apache.kafka.connect.data.Timestamp", "1709210096000"),
            (7, "int64", "org.apache.kafka.connect.data.Timestamp", "-62135596800000"),
        ],
    ),
    (
        "time.precision.mode",
        "isostring",
        &[
            (0, "string", "io.debezium.time.IsoDate", "\"2024-02-29Z\""),
            (1, "string", "io.debezium.time.IsoTime", "\"23:59:59.999999Z\""),
            (2, "string", "io.debezium.time.IsoTime", "\"00:00:00Z\""),
            (4, "string", "io.debezium.time.IsoTimestamp", "\"1969-12-31T23:59:59.999999Z\""),
            (7, "string", "io.debezium.time.IsoTimestamp", "\"0001-01-01T00:00:00Z\""),
        ],
    ),
    (
        "time.precision.mode",
        "adaptive_time_microseconds",
        &[
            (2, "int64", "io.debezium.time.MicroTime", "86400000000"),
            (4, "int64", "io.debezium.time.MicroTimestamp", "-1"),
            (5, "int64", "io.debezium.time.Timestamp", "1709210096000"),
        ],
    ),
    (
        "time.precision.mode",
        "microseconds",
        &[
            (0, "int32", "io.debezium.time.Date", "19782"),
            (3, "int64", "io.debezium.time.MicroTime", "43200123000"),
            (5, "int64", "io.debezium.time.MicroTimestamp", "1709210096000000"),
        ],
    ),
    (
        "time.precision.mode",
        "nanoseconds",
        &[
            (1, "int64", "io.debezium.time.NanoTime", "86399999999000"),
            (4, "int64", "io.debezium.time.NanoTimestamp", "-1000"),
            // beyond what 64 bits hold
            (7, "int64", "io.debezium.time.NanoTimestamp", "null"),
        ],
    ),
    ("interval.handling.mode", "string", &[(8, "string", "io.debezium.time.Interval", "\"P0Y0M-1DT0H0M0S\"")]),
    (
        "decimal.handling.mode",
        "double",
        &[(9, "double", "", "1.1"), (10, "double", "", "0.0"), (11, "double", "", "-9.223372036854776e16")],
    ),
    (
        "decimal.handling.mode",
        "string",
        &[
            (9, "string", "", "\"1.10\""),
            (10, "string", "", "\"0.00\""),
            (11, "string", "", "\"-92233720368547758.08\""),
        ],
    ),
    ("binary.handling.mode", "hex", &[(12, "string", "", "\"00ff10\"")]),
    ("binary.handling.mode", "base64", &[(12, "string", "", "\"AP8Q\"")]),
    ("binary.handling.mode", "base64-url-safe", &[(12, "string", "", "\"AP8Q\"")]),
    ("hstore.handling.mode", "map", &[(13, "map", "", r#"{"k1":"v1","k2":null}"#)]),
];

#[test]
fn every_mode_is_debeziums() {
    let server = Postgres::shared().unwrap();
    let columns: Vec<_> = COLUMNS.iter().enumerate().map(|(i, (ty, _))| format!("c{i} {ty}")).collect();
    let values: Vec<_> = COLUMNS.iter().map(|(_, v)| *v).collect();
    for (key, value, expected) in MODES {
        let database = server.database().unwrap();
        let table = format!("CREATE EXTENSION hstore; CREATE TABLE t (id int PRIMARY KEY, {});", columns.join(", "));
        let row = |id: u32| format!("INSERT INTO t VALUES ({id}, {})", values.join(", "));
        server.sql_in(&database, &(table + &row(1))).unwrap();
        let mut reader = Reader::open(server, &database, &[(key, value)]);
        let mut records = reader.records(1);
        server.sql_in(&database, &row(2)).unwrap();
        records.extend(reader.records(1));
        reader.source.stop(true);
        for record in &records {
            let fields = record["schema"]["fields"].as_array().unwrap();
            let after = fields.iter().find(|f| f["field"] == "after").unwrap()["fields"].as_array().unwrap();
            for (column, ty, name, value) in *expected {
                let place = format!("c{column}");
                let schema = after.iter().find(|f| f["field"] == *place).unwrap();
                let said = (schema["type"].as_str().unwrap(), schema["name"].as_str().unwrap_or_default());
                assert_eq!(said, (*ty, *name), "{key} {}", COLUMNS[*column].0);
                let expected: Json = serde_json::from_str(value).unwrap();
                assert_eq!(record["payload"]["after"][&place], expected, "{key} {}", COLUMNS[*column].0);
            }
        }
    }
}

/// Defaults follow the mode, as the golden records of `times_default` and `scalars_notnull` have them.
#[test]
fn defaults_follow_the_mode() {
    let server = Postgres::shared().unwrap();
    let database = server.database().unwrap();
    let sql = r"CREATE TABLE t (id int PRIMARY KEY, d date NOT NULL DEFAULT '2020-02-29', t time NOT NULL DEFAULT '12:34:56.789',
        ts timestamp NOT NULL DEFAULT '2001-02-03 04:05:06', iv interval NOT NULL DEFAULT 'P1Y2M3DT4H5M6.5S',
        n numeric(6,3) NOT NULL DEFAULT 1.500, b bytea NOT NULL DEFAULT '\x0102'); INSERT INTO t (id) VALUES (1)";
    server.sql_in(&database, sql).unwrap();
    let modes = [
        ("time.precision.mode", "isostring"),
        ("interval.handling.mode", "string"),
        ("decimal.handling.mode", "string"),
        ("binary.handling.mode", "hex"),
    ];
    let mut reader = Reader::open(server, &database, &modes);
    let record = reader.records(1).remove(0);
    reader.source.stop(true);
    let fields = record["schema"]["fields"].as_array().unwrap();
    let after = fields.iter().find(|f| f["field"] == "after").unwrap()["fields"].as_array().unwrap();
    let defaults: Vec<_> = after.iter().skip(1).map(|f| f.get("default").cloned().unwrap_or_default()).collect();
    let expected = [
        json!("2020-02-29Z"),
        json!("12:34:56.789Z"),
        json!("2001-02-03T04:05:06Z"),
        json!("P1Y2M3DT4H5M6.5S"),
        json!("1.500"),
        Json::Null,
    ];
    assert_eq!(defaults, expected);
}
