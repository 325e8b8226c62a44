//! A user writes a transform with nothing but `sdk/rust` and its README: the README's own crate is built, and changes of a real
//! PostgreSQL go through it into a real Kafka.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)] // helpers of tests are tests

mod support;
#[path = "support/topic.rs"]
mod topic;

use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::time::Duration;
use support::{Place, wait_for};
use weir_testkit::{Kafka, Postgres, guest};

/// The text of a README's first block in a language.
fn block<'a>(readme: &'a str, language: &str) -> &'a str {
    let (_, rest) = readme.split_once(&format!("```{language}\n")).expect("a block");
    rest.split_once("```").expect("its end").0
}

fn build(place: &Place) -> PathBuf {
    let sdk = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../sdk/rust").canonicalize().expect("the SDK");
    let readme = std::fs::read_to_string(sdk.join("README.md")).expect("a README");
    std::fs::create_dir(place.path("src")).expect("src");
    place.write("Cargo.toml", &block(&readme, "toml").replace("…/sdk/rust", &sdk.display().to_string()));
    place.write("src/lib.rs", block(&readme, "rust"));
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("readme-guest");
    guest::build(place.dir.path(), "tax", &target).expect("a guest")
}

#[test]
fn what_the_readme_says_is_a_working_transform() {
    let (postgres, kafka) = (Postgres::shared().expect("PostgreSQL"), Kafka::shared().expect("Kafka"));
    let database = postgres.database().expect("a database");
    let sql = |text: &str| postgres.sql_in(&database, text).expect("SQL");
    sql("CREATE TABLE orders (id int PRIMARY KEY, status text, amount numeric(10,2)); \
         INSERT INTO orders VALUES (1, 'new', 10.00), (2, 'cancelled', 5.00)");
    let place = Place::new();
    let module = build(&place);
    let text = format!(
        "name = \"taxed\"\n[source.postgres]\nurl = \"{}\"\ntopic.prefix = \"taxed\"\nslot.name = \"taxed\"\n\
         publication.name = \"taxed\"\npublication.autocreate.mode = \"filtered\"\n\
         [[transform]]\nuse = \"{}\"\nwith.rate = \"0.5\"\n[sink.kafka]\nbootstrap.servers = \"{}\"\n",
        postgres.url_of(&database),
        module.display(),
        kafka.bootstrap()
    );
    place.write("p.toml", &text);
    let arrived = |n: usize| {
        wait_for("records", Duration::from_secs(60), || {
            let records = topic::read(kafka.bootstrap(), "taxed.public.orders");
            (records.len() >= n).then_some(records)
        })
    };
    let weir = place.start("p.toml");
    arrived(1);
    sql("INSERT INTO orders VALUES (3, 'new', 4.00), (4, 'new', NULL)");
    sql("UPDATE orders SET status = 'cancelled' WHERE id = 1");
    sql("DELETE FROM orders WHERE id = 3");
    // the snapshot's one, two inserts, the delete with its tombstone: what is cancelled does not arrive
    let records = arrived(5);
    assert!(weir.stop().success());
    let seen: Vec<Value> = records
        .iter()
        .map(|r| {
            let value = r.json();
            json!([value["op"], value["after"]["id"], value["after"]["tax"]])
        })
        .collect();
    let wanted = json!([["r", 1, 5.0], ["c", 3, 2.0], ["c", 4, null], ["d", null, null], [null, null, null]]);
    assert_eq!(Value::from(seen), wanted);
}
