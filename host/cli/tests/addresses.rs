//! `weir run --from URL --to URL`: from a real PostgreSQL with no file, and then with the file that is printed.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)] // helpers of tests are tests

mod support;

use serde_json::Value;
use std::time::Duration;
use support::{Place, read, wait_for};
use weir_testkit::Postgres;

const LIMIT: Duration = Duration::from_secs(60);

fn ids(place: &Place) -> Vec<i64> {
    let text = read(&place.path("out.jsonl"));
    let records = text.lines().filter_map(|l| serde_json::from_str::<Value>(l).ok());
    records.filter_map(|r| r["value"]["after"]["id"].as_i64()).collect()
}

#[test]
fn tables_of_a_database_without_a_file() {
    let server = Postgres::shared().expect("PostgreSQL");
    let database = server.database().expect("a database");
    let sql = |text: &str| server.sql_in(&database, text).expect("SQL");
    sql("CREATE TABLE orders (id int PRIMARY KEY); INSERT INTO orders VALUES (1); CREATE SCHEMA s; \
         CREATE TABLE s.orders (id int PRIMARY KEY); INSERT INTO s.orders VALUES (100)");
    let place = Place::new();
    // a password that the server does not ask for
    let url = server.url_of(&database);
    let (before, behind) = url.split_once("://").expect("an address");
    let behind = behind.split_once('@').map_or(behind, |(_, host)| host);
    let url = format!("{before}://{}:{}@{behind}", server.user(), server.password().unwrap_or("hunter2"));
    let weir = place.start_with(&["run", "--from", &url, "--to", "file:out.jsonl", "--tables", "orders"]);
    wait_for("the snapshot", LIMIT, || (ids(&place) == [1]).then_some(()));
    sql("INSERT INTO s.orders VALUES (101); INSERT INTO orders VALUES (2)");
    wait_for("the stream", LIMIT, || (ids(&place) == [1, 2]).then_some(()));
    assert!(weir.stop().success());
    let said = read(&place.path("weir.log"));
    let (_, file) = said.split_once("# the pipeline file that this was\n").expect("the file");
    assert!(
        file.contains("database.password = \"${env:PGPASSWORD}\"") && file.contains("slot.name = \"weir_"),
        "{file}"
    );
    assert!(!said.contains(server.password().unwrap_or("hunter2")), "the password is shown:\n{said}");
    // the file goes on where the addresses were
    place.write("p.toml", &file.replace("${env:PGPASSWORD}", server.password().unwrap_or("hunter2")));
    let weir = place.start("p.toml");
    sql("INSERT INTO orders VALUES (3)");
    wait_for("the stream again", LIMIT, || (ids(&place) == [1, 2, 3]).then_some(()));
    assert!(weir.stop().success());
}

#[test]
fn addresses_and_files_do_not_go_together() {
    let place = Place::new();
    for args in [
        &["run", "p.toml", "--from", "generator:", "--to", "stdout:"][..],
        &["run", "--from", "generator:"],
        &["run", "--to", "stdout:"],
        &["run", "p.toml", "--tables", "a"],
        &["run"],
    ] {
        let out = place.weir(args);
        assert_eq!(out.status.code(), Some(2), "{args:?}");
    }
}

#[test]
fn a_made_up_shop_needs_two_addresses() {
    let place = Place::new();
    let args = ["run", "--from", "generator:?rows=20&rate=0", "--to", "stdout:"];
    let first = place.weir(&args);
    assert!(first.status.success() && !first.stdout.is_empty(), "{}", String::from_utf8_lossy(&first.stderr));
    let again = place.weir(&args);
    assert!(again.status.success() && again.stdout.is_empty(), "the same addresses are the same pipeline");
}
