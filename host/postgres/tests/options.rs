//! Options that shape keys, names and sessions, against a real server.
// The lints let tests do this, but not the functions that tests share.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use std::time::Instant;
use support::{LIMIT, Reader, Seen};
use weir_api::Cure;
use weir_testkit::Postgres;

fn payload(text: &Option<String>) -> String {
    let json: serde_json::Value = serde_json::from_str(text.as_deref().unwrap_or("null")).unwrap();
    json["payload"].to_string()
}

/// The keys that Debezium's golden record of the same statements has.
#[test]
fn keys_are_of_the_columns_that_are_named() {
    let server = Postgres::shared().unwrap();
    let database = server.database().unwrap();
    let sql = "CREATE TABLE people (id int PRIMARY KEY, email text); CREATE TABLE nokey (a int, b text, c text); \
               ALTER TABLE nokey REPLICA IDENTITY FULL; CREATE TABLE two (id int PRIMARY KEY, v text NOT NULL, x text); \
               ALTER TABLE two REPLICA IDENTITY FULL; INSERT INTO people VALUES (1, 'a@b.c'); \
               INSERT INTO nokey VALUES (1, 'x', 'y'); INSERT INTO two VALUES (1, 'k', 'x')";
    server.sql_in(&database, sql).unwrap();
    let keys = [("message.key.columns", "public.people:email;public.nokey:a,b;(.*).two:v,id")];
    let mut reader = Reader::open(server, &database, &keys);
    let mut all = reader.seen(3);
    let sql = "UPDATE people SET email = 'new@b.c' WHERE id = 1; INSERT INTO nokey VALUES (2, 'p', 'q'); \
               UPDATE nokey SET b = 'pp' WHERE a = 2; DELETE FROM nokey WHERE a = 1; UPDATE two SET x = 'xx'; DELETE FROM people";
    server.sql_in(&database, sql).unwrap();
    all.extend(reader.seen(1 + 1 + 3 + 2 + 1 + 2));
    reader.source.stop(true);
    let seen: Vec<_> = all.iter().map(|r| (r.topic.trim_start_matches("p.public."), r.op(), payload(&r.key))).collect();
    let seen: Vec<_> = seen.iter().map(|(topic, op, key)| (*topic, op.as_str(), key.as_str())).collect();
    assert_eq!(
        seen,
        [
            ("nokey", "r", r#"{"a":1,"b":"x"}"#),
            ("people", "r", r#"{"email":"a@b.c"}"#),
            ("two", "r", r#"{"v":"k","id":1}"#),
            ("people", "u", r#"{"email":"new@b.c"}"#),
            ("nokey", "c", r#"{"a":2,"b":"p"}"#),
            ("nokey", "d", r#"{"a":2,"b":"p"}"#),
            ("nokey", "tombstone", r#"{"a":2,"b":"p"}"#),
            ("nokey", "c", r#"{"a":2,"b":"pp"}"#),
            ("nokey", "d", r#"{"a":1,"b":"x"}"#),
            ("nokey", "tombstone", r#"{"a":1,"b":"x"}"#),
            ("two", "u", r#"{"v":"k","id":1}"#),
            ("people", "d", r#"{"email":null}"#),
            ("people", "tombstone", r#"{"email":null}"#),
        ]
    );
}

/// Debezium's golden records of the same tables, with both modes at `avro`.
#[test]
fn names_are_made_fit_for_avro() {
    let server = Postgres::shared().unwrap();
    let database = server.database().unwrap();
    let sql = "CREATE SCHEMA \"My Schema\"; CREATE TABLE \"My Schema\".\"Order-Items\" (\"Order ID\" int PRIMARY KEY, \
               \"naïve\" text, \"a.b\" int, \"UPPER\" text, \"1st\" int, \"with-dash\" text, \"emoji☃\" text); \
               INSERT INTO \"My Schema\".\"Order-Items\" VALUES (1, 'n', 2, 'U', 1, 'd', 'e')";
    server.sql_in(&database, sql).unwrap();
    let modes =
        [("schema.name.adjustment.mode", "avro"), ("field.name.adjustment.mode", "avro"), ("topic.delimiter", "-")];
    let mut reader = Reader::open(server, &database, &modes);
    let record = reader.seen(1).remove(0);
    reader.source.stop(true);
    assert_eq!(record.topic, "p-My_Schema-Order-Items");
    assert_eq!(payload(&record.key), r#"{"Order_ID":1}"#);
    let after = r#"{"Order_ID":1,"na_ve":"n","a_b":2,"UPPER":"U","_1st":1,"with_dash":"d","emoji_":"e"}"#;
    assert_eq!(record.after().to_string(), after);
    assert_eq!(record.json()["schema"]["name"], "p_My_Schema_Order_Items.Envelope");
    assert_eq!(record.json()["payload"]["source"]["table"], "Order-Items");
}

#[test]
fn sessions_begin_with_the_statements_that_are_given() {
    let server = Postgres::shared().unwrap();
    let database = server.database().unwrap();
    server.sql_in(&database, "CREATE TABLE t (id int PRIMARY KEY); CREATE TABLE log (what text)").unwrap();
    let statements = [("database.initial.statements", "INSERT INTO log VALUES ('a;;b');SET search_path = ''")];
    let only = [("table.include.list", "public.t"), ("publication.autocreate.mode", "filtered")];
    let mut reader = Reader::open(server, &database, &[&statements[..], &only].concat());
    let logged = server.sql_in(&database, "SELECT DISTINCT what FROM log").unwrap();
    assert_eq!(logged, [[Some("a;b".to_owned())]]);
    server.sql_in(&database, "INSERT INTO t VALUES (1)").unwrap();
    assert_eq!(reader.seen(1)[0].after()["id"], 1);
    reader.source.stop(true);
}

/// A server that knows it makes the slot so; an older one is told of before anything is made.
#[test]
fn standbys_keep_the_slot_where_the_server_can() {
    let server = Postgres::shared().unwrap();
    let database = server.database().unwrap();
    server.sql_in(&database, "CREATE TABLE t (id int PRIMARY KEY)").unwrap();
    let version = server.sql("SHOW server_version_num").unwrap()[0][0].clone().unwrap();
    let mut reader = Reader::unstarted(server, &database, &[("slot.failover", "true")]);
    let started = reader.source.start(None);
    let slots = |more: &str| {
        let sql = format!("SELECT 1 FROM pg_replication_slots WHERE database = '{database}'{more}");
        server.sql(&sql).unwrap().len()
    };
    if version.parse::<u32>().unwrap() >= 170_000 {
        started.unwrap();
        assert_eq!(slots(" AND failover"), 1);
        return reader.source.stop(false);
    }
    let error = started.unwrap_err();
    assert_eq!((error.code(), error.cure()), ("postgres.version", Cure::Environment));
    assert!(error.message().contains("`slot.failover`") && error.message().contains("17"), "{error}");
    assert_eq!(slots(""), 0);
}

/// Another reader's slot is waited for as long as the two keys say; without them, for ever.
#[test]
fn patience_with_another_reader_ends_when_it_is_told_to() {
    let server = Postgres::shared().unwrap();
    let database = server.database().unwrap();
    server.sql_in(&database, "CREATE TABLE t (id int PRIMARY KEY)").unwrap();
    let mut holder = Reader::open(server, &database, &[("snapshot.mode", "no_data")]);
    server.sql_in(&database, "INSERT INTO t VALUES (1)").unwrap();
    let _: Vec<Seen> = holder.seen(1);
    let mut forever = Reader::unstarted(server, &database, &[("snapshot.mode", "no_data")]);
    assert_eq!(forever.source.start(None).unwrap_err().cure(), Cure::Retry);
    let keys = [("snapshot.mode", "no_data"), ("slot.max.retries", "2"), ("slot.retry.delay.ms", "100")];
    let mut short = Reader::unstarted(server, &database, &keys);
    assert_eq!(short.source.start(None).unwrap_err().cure(), Cure::Retry);
    let deadline = Instant::now() + LIMIT;
    let error = loop {
        assert!(Instant::now() < deadline, "it never gave up");
        let error = short.source.start(None).unwrap_err();
        if error.cure() != Cure::Retry {
            break error;
        }
    };
    assert_eq!((error.code(), error.cure()), ("postgres.slot-in-use", Cure::Environment));
    holder.source.stop(false);
}
