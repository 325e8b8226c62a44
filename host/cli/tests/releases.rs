//! Every version of PostgreSQL that is promised: rows of many types come in a snapshot and in the stream alike, an orderly restart
//! goes on, and what a role lacks is named. The machine's own is what all other tests run on.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)] // helpers of tests are tests

#[path = "support/pipeline.rs"]
mod pipeline;
mod support;

use pipeline::Pipeline;
use serde_json::Value;
use support::wait_for;
use weir_testkit::{Postgres, release};

const COLUMNS: &str = "a boolean, b smallint, c bigint, d real, e double precision, f numeric(10, 2), g numeric, h varchar(9), \
                       i bytea, j date, k time, l timestamp, m timestamptz, n interval, o uuid, p json, q jsonb, r inet, s int[], \
                       t text[], u point, v int4range, w bit(3), x money, y xml, z tsvector";
const VALUES: &str = "true, 7, 1e12, 0.1, 0.1, 12.30, 1e-7, 'nine', '\\xdead', '2026-11-21', '10:11:12.5', '2026-11-21 10:11:12.123456', \
                      '2026-11-21 10:11:12+02', '1 mon 2 days 3 h', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', '{\"a\": 1}', '{\"b\": 2}', \
                      '10.0.0.1', '{1,null,3}', '{x,\"y z\"}', '(1,2)', '[1,5)', '101', '9.99', '<a/>', 'fat cat'";

/// What became of a row, whichever way it came.
fn after(pipeline: &Pipeline, id: i64) -> Option<Value> {
    let text = support::read(&pipeline.place.path("out.json"));
    let records = text.lines().filter_map(|l| serde_json::from_str::<Value>(l).ok());
    let mut rows = records.map(|r| r["value"]["after"].clone()).filter(|row| row["id"] == id);
    let mut row = rows.next()?;
    row["id"].take();
    Some(row)
}

fn captures(server: &Postgres) {
    let pipeline = Pipeline::new(server);
    let insert = |id: i64| pipeline.sql(&format!("INSERT INTO many VALUES ({id}, {VALUES})"));
    pipeline.sql(&format!("CREATE TABLE many (id bigint PRIMARY KEY, {COLUMNS})"));
    insert(1);
    let only = "table.include.list = \"public.many\"";
    let row = |id| wait_for("a row", pipeline::LIMIT, || after(&pipeline, id));
    let weir = pipeline.start(only);
    let read = row(1);
    insert(2);
    assert_eq!(row(2), read);
    assert!(weir.stop().success());
    insert(3);
    let weir = pipeline.start(only);
    assert_eq!(row(3), read);
    assert!(weir.stop().success());
    assert_eq!(read.as_object().expect("a row").len(), 27);
    let log = support::read(&pipeline.place.path("weir.log"));
    assert_eq!(log.matches("the snapshot is complete").count(), 1, "{log}");

    let lacking = Pipeline::with_role(server, "NOREPLICATION");
    lacking
        .sql(&format!("CREATE PUBLICATION \"{}\" FOR ALL TABLES; GRANT SELECT ON t TO {}", lacking.name, lacking.user));
    let ended = lacking.run("");
    ended.is(3, "postgres.right-missing");
    assert_eq!(ended.help, format!("ALTER ROLE {} REPLICATION", lacking.user));
}

#[test]
fn each_version_is_captured() {
    for version in release::ALL {
        println!("{version}");
        captures(&Postgres::builder().release(version).start().expect("PostgreSQL"));
    }
}
