//! Every type, through a snapshot's binary COPY and through the stream's text: the same records, and Debezium's.
// The lints let tests do this, but not the functions that tests share.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use serde_json::Value as Json;
use std::time::{Duration, Instant};
use weir_api::{Limit, Poll, Settings, Source};
use weir_converters::JsonConverter;
use weir_model::{Out, Window, Writer};
use weir_testkit::Postgres;

const LIMIT: Duration = Duration::from_secs(60);

/// Records' values as JSON with their schemas.
struct Reader {
    source: Box<dyn Source>,
    window: Window,
}

impl Reader {
    fn open(server: &Postgres, database: &str) -> Reader {
        let port = server.port().to_string();
        let settings = Settings::new([
            ("database.hostname", server.host()),
            ("database.port", &port),
            ("database.user", server.user()),
            ("database.password", server.password().unwrap_or_default()),
            ("database.dbname", database),
            ("topic.prefix", "p"),
            ("slot.name", database),
            ("publication.name", "dbz"),
            ("database.sslmode", "disable"),
        ]);
        let mut source = weir_postgres::open(&settings).unwrap();
        source.start(None).unwrap();
        Reader { source, window: Window::default() }
    }

    /// The next records of creates, reads and updates, once there are so many.
    fn records(&mut self, count: usize) -> Vec<Json> {
        let deadline = Instant::now() + LIMIT;
        let mut all = vec![];
        while all.len() < count {
            assert!(Instant::now() < deadline, "{} of {count} records", all.len());
            self.window.runs.clear();
            self.window.batches.clear();
            let limit = Limit { rows: 1000, bytes: 1 << 24 };
            let Poll::Window(_) = self.source.poll(Duration::from_millis(50), limit, &mut self.window).unwrap() else {
                continue;
            };
            for run in &self.window.runs {
                let batch = &self.window.batches[run.batch as usize];
                let json = JsonConverter(weir_converters::Json { schemas: true, ..Default::default() });
                let layout = &batch.stream.program.layouts[0];
                let mut writer = Writer::compile(layout, 0, &json, &json, &json).unwrap();
                for r in run.from..run.to {
                    let mut out = Out::default();
                    let written = writer.write(batch, r, &mut out);
                    assert!(written.is_ok(), "{written:?}");
                    let record = out.records[0];
                    let value = &out.data[record.key as usize..record.value as usize];
                    all.push(serde_json::from_slice(value).unwrap());
                }
            }
        }
        all
    }
}

fn after(record: &Json) -> &Json {
    &record["payload"]["after"]
}

/// The schemas of the columns, without what is the same for all.
fn columns(record: &Json) -> Vec<Json> {
    let fields = record["schema"]["fields"].as_array().unwrap();
    let after = fields.iter().find(|f| f["field"] == "after").unwrap();
    after["fields"].as_array().unwrap().clone()
}

/// (column, its type, a value, what becomes of it). Values are Debezium's own.
type Case = (&'static str, &'static str, &'static str);

const SCALARS: &[Case] = &[
    ("smallint", "-32768", "-32768"),
    ("integer", "42", "42"),
    ("bigint", "-9223372036854775808", "-9223372036854775808"),
    ("boolean", "true", "true"),
    ("text", "'text ünï'", "\"text ünï\""),
    ("varchar(10)", "'tenchars..'", "\"tenchars..\""),
    ("oid", "4294967295", "4294967295"),
    ("real", "'1e-45'", "1.4e-45"),
    ("float8", "'-Infinity'", "\"-Infinity\""),
    ("char(5)", "'ab'", "\"ab   \""),
    ("citext", "'CiText'", "\"CiText\""),
    ("isbn", "'0-393-04002-X'", "\"0-393-04002-X\""),
    ("bytea", r"'\x00ff10'", "\"AP8Q\""),
    ("bit", "B'1'", "true"),
    ("varbit(1)", "B'1'", "true"),
    ("bit(5)", "B'10101'", "\"FQ==\""),
    ("bit(9)", "B'101010101'", "\"VQE=\""),
    ("varbit", "B'1'", "\"AQ==\""),
    ("varbit(12)", "B'111111111111'", "\"/w8=\""),
    ("json", r#"'{"a": [1, 2.50, null], "b":  "x"}'"#, r#""{\"a\": [1, 2.50, null], \"b\":  \"x\"}""#),
    ("jsonb", r#"'{"b": "x", "a": 1}'"#, r#""{\"a\": 1, \"b\": \"x\"}""#),
    ("xml", "'<a><b>1</b></a>'", "\"<a><b>1</b></a>\""),
    ("uuid", "'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'", "\"a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11\""),
    ("inet", "'192.168.0.1/24'", "\"192.168.0.1/24\""),
    ("cidr", "'2001:db8::/32'", "\"2001:db8::/32\""),
    ("macaddr", "'08:00:2b:01:02:03'", "\"08:00:2b:01:02:03\""),
    ("macaddr8", "'08:00:2b:01:02:03:04:05'", "\"08:00:2b:01:02:03:04:05\""),
    ("money", "'1234.56'", "\"AeJA\""),
    ("money", "'-92233720368547758.08'", "\"gAAAAAAAAAA=\""),
    ("point", "'(1.5,-2.25)'", r#"{"x":1.5,"y":-2.25,"wkb":"AQEAAAAAAAAAAAD4PwAAAAAAAALA","srid":null}"#),
    ("hstore", r#"'"k1"=>"v1", "k2"=>NULL'"#, r#""{\"k1\":\"v1\",\"k2\":null}""#),
    ("ltree", "'Top.Science.Astronomy'", "\"Top.Science.Astronomy\""),
    ("mood", "'happy'", "\"happy\""),
    ("posint", "7", "7"),
    ("money_amount", "123456789.125", "\"HL6ZGoU=\""),
    ("int_list", "'{1,2}'", "[1,2]"),
    ("int4range", "'[1,10)'", "\"[1,10)\""),
    ("int8range", "'(5,)'", "\"[6,)\""),
    ("numrange", "'[1.5,2.5]'", "\"[1.5,2.5]\""),
    ("daterange", "'[2020-01-01,2020-02-01)'", "\"[2020-01-01,2020-02-01)\""),
    ("tsrange", "'[2020-01-01 00:00:00,)'", r#""[\"2020-01-01 00:00:00\",)""#),
    ("tstzrange", "'[2020-01-01 00:00:00+00,infinity)'", r#""[\"2020-01-01 00:00:00+00\",infinity)""#),
    ("tsvector", "'b a'", "\"'a' 'b'\""),
    ("interval", "'1 year 2 mons 3 days 04:05:06.789'", "37091106789000"),
    ("interval", "'-1 year -2 mons +3 days -04:05:06.789'", "-36572706789000"),
    ("numeric", "123456789012345678901234567890.123456789", r#"{"scale":9,"value":"XODppWAV/sWq36MorjmBFQ=="}"#),
    ("numeric", "1.10", r#"{"scale":1,"value":"Cw=="}"#),
    ("numeric", "1e20", r#"{"scale":0,"value":"BWvHXi1jEAAA"}"#),
    ("numeric", "'NaN'", "null"),
    ("numeric(5,2)", "999.99", "\"AYaf\""),
    ("numeric(18,0)", "-999999999999999999", "\"8h9JTFicAAE=\""),
    ("date", "'1582-10-10'", "-141432"),
    ("time", "'24:00:00'", "86400000000"),
    ("time(3)", "'12:00:00.123'", "43200123"),
    ("timetz", "'12:00:00.5+05:30'", "\"06:30:00.5Z\""),
    ("timetz", "'24:00:00-12'", "\"12:00:00Z\""),
    ("timestamp", "'0001-01-01 00:00:00'", "-62135596800000000"),
    ("timestamp", "'infinity'", "9223372036825200000"),
    ("timestamp(0)", "'1969-12-31 23:59:59'", "-1000"),
    ("timestamptz", "'2024-02-29 12:34:56.789012+02'", "\"2024-02-29T10:34:56.789012Z\""),
    ("timestamptz(3)", "'2024-02-29 12:34:56.789+02'", "\"2024-02-29T10:34:56.789Z\""),
    ("timestamptz", "'infinity'", "\"+292278994-08-16T23:00:00.000000Z\""),
    ("timestamptz", "'0044-03-15 00:00:00+00 BC'", "\"-0043-03-15T00:00:00.000000Z\""),
];

const ARRAYS: &[Case] = &[
    ("int[]", "'{1,2,3}'", "[1,2,3]"),
    ("int[]", "'{}'", "[]"),
    ("int[]", "'{{1,2},{3,4}}'", "[null,null]"),
    ("text[]", "'[0:1]={a,b}'", r#"["a","b"]"#),
    ("bigint[]", "'{9223372036854775807}'", "[9223372036854775807]"),
    ("real[]", "'{1.5,NaN}'", r#"[1.5,"NaN"]"#),
    ("bool[]", "'{t,f,null}'", "[true,false,null]"),
    ("text[]", r#"'{"a,b","q\"q",NULL,"null",""}'"#, r#"["a,b","q\"q",null,"null",""]"#),
    ("char(3)[]", "'{ab}'", r#"["ab "]"#),
    ("numeric(10,2)[]", "'{1.10,null}'", r#"["bg==",null]"#),
    ("numeric[]", "'{1.1,22.222}'", r#"[{"scale":1,"value":"Cw=="},{"scale":3,"value":"Vs4="}]"#),
    ("date[]", "'{2020-01-01,1969-12-31}'", "[18262,-1]"),
    ("timestamp[]", "'{2020-01-01 01:02:03.456789}'", "[1577840523456789]"),
    ("timestamptz[]", "'{2020-01-01 01:02:03+02}'", r#"["2019-12-31T23:02:03.000000Z"]"#),
    ("time[]", "'{01:02:03.4}'", "[3723400000]"),
    ("timetz[]", "'{01:02:03+02}'", r#"["23:02:03Z"]"#),
    ("inet[]", "'{10.0.0.1/8}'", r#"["10.0.0.1/8"]"#),
    ("jsonb[]", r#"array['{"a":1}'::jsonb]"#, r#"["{\"a\": 1}"]"#),
    ("bytea[]", r#"'{"\\x01"}'"#, r#"["AQ=="]"#),
    ("mood[]", "'{sad,happy}'", r#"["sad","happy"]"#),
    ("int4range[]", r#"'{"[1,3)"}'"#, r#"["[1,3)"]"#),
    ("bit(3)[]", "'{101}'", "null"),
    ("oid[]", "'{1,2}'", "[1,2]"),
];

const LEFT_OUT: &[Case] = &[
    ("interval[]", "'{1 day}'", ""),
    ("money[]", "'{1.50}'", ""),
    ("pg_lsn", "'0/1'", ""),
    ("box", "'(1,1),(0,0)'", ""),
    ("int4multirange", "'{}'", ""),
    ("pair", "'(1,2)'", ""),
    ("tsquery", "'a'", ""),
];

const SETUP: &str = "CREATE EXTENSION citext; CREATE EXTENSION hstore; CREATE EXTENSION ltree; CREATE EXTENSION isn; \
    CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy'); CREATE DOMAIN posint AS integer CHECK (value > 0); \
    CREATE DOMAIN money_amount AS numeric(12,3); CREATE DOMAIN int_list AS int[]; CREATE TYPE pair AS (a int, b int);";

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

    let mut reader = Reader::open(server, &database);
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
    let mut reader = Reader::open(server, &database);
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
    let mut reader = Reader::open(server, &database);
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
