//! `weir demo`: rows appear with nothing set up, and a second run goes on where the first was.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)] // helpers of tests are tests

mod support;

use serde_json::Value;
use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::process::Output;
use std::time::Duration;
use support::{Place, wait_for};
use weir_postgres::{ConnectOptions, Connection};

fn lines(out: &Output) -> Vec<Value> {
    parse(&String::from_utf8(out.stdout.clone()).expect("UTF-8"))
}

/// The records; a line that was cut by a kill is none.
fn parse(text: &str) -> Vec<Value> {
    let whole = text.rfind('\n').map_or("", |end| &text[..=end]);
    whole.lines().map(|l| serde_json::from_str(l).expect("a JSON object a line")).collect()
}

fn said(out: &Output) -> String {
    String::from_utf8_lossy(&out.stderr).into_owned()
}

#[test]
fn the_demo_goes_on_where_it_was() {
    let place = Place::new();
    let first = place.weir(&["demo", "--rate", "0", "--rows", "60"]);
    assert!(first.status.success(), "{}", said(&first));
    assert!(said(&first).contains("[source.generator]"), "the TOML that it runs goes to stderr:\n{}", said(&first));
    assert!(!said(&first).contains("--reset"), "there was no earlier demo:\n{}", said(&first));
    let first = lines(&first);
    assert!(!first.is_empty());
    let again = place.weir(&["demo", "--rate", "0", "--rows", "60"]);
    assert!(again.status.success() && again.stdout.is_empty(), "nothing is sent twice");
    assert!(said(&again).contains("--reset begins anew"), "and why is said:\n{}", said(&again));
    let more = lines(&place.weir(&["demo", "--rate", "0", "--rows", "120"]));
    assert!(!more.is_empty());
    // together they are what one run would have said
    let other = Place::new();
    let whole = lines(&other.weir(&["demo", "--rate", "0", "--rows", "120"]));
    let key = |v: &serde_json::Value| (v["topic"].clone(), v["key"].clone());
    let parts: Vec<_> = first.iter().chain(&more).map(key).collect();
    assert_eq!(parts, whole.iter().map(key).collect::<Vec<_>>());
    let reset = place.weir(&["demo", "--rate", "0", "--rows", "60", "--reset"]);
    assert_eq!(lines(&reset).len(), first.len(), "a reset begins anew");
}

/// What a consumer knows in the end: (topic, key) → the row, without what no two runs have in common.
fn state(records: &[Value]) -> BTreeMap<String, Value> {
    let mut rows = BTreeMap::new();
    for r in records {
        let at = format!("{} {}", r["topic"], r["key"]);
        let Some(row) = r["value"].as_object() else {
            rows.remove(&at);
            continue;
        };
        let lasting = |(k, v): &(&String, &Value)| {
            !(["__op", "created_at", "placed_at"].contains(&k.as_str()) || k.as_str() == "coupon" && v.is_null())
        };
        rows.insert(at, row.iter().filter(lasting).map(|(k, v)| (k.clone(), v.clone())).collect());
    }
    rows
}

fn has(records: &[Value], op: &str) -> bool {
    records.iter().any(|r| r["value"]["__op"] == op)
}

#[test]
fn the_demo_captures_a_postgresql_of_its_own() {
    let place = Place::new();
    // run by root, the server is somebody else's, who must be let in
    std::fs::set_permissions(place.dir.path(), std::fs::Permissions::from_mode(0o755)).expect("permissions");
    let lock = place.path("data/demo-postgres/data/postmaster.pid");
    let weir = place.start_into(&["demo", "postgres", "--rate", "200"], "rows.json");
    // so much of the stream takes seconds to write, and offsets are stored twice a second
    wait_for("a snapshot and a stream", Duration::from_secs(90), || {
        assert!(!weir.log().contains("error["), "{}", weir.log());
        let records = parse(&support::read(&place.path("rows.json")));
        let streamed = records.iter().filter(|r| ["c", "u"].iter().any(|op| r["value"]["__op"] == *op)).count();
        (has(&records, "r") && streamed > 1000).then_some(())
    });
    assert!(weir.log().contains("[source.postgres]"), "the TOML that it runs goes to stderr:\n{}", weir.log());
    weir.kill();
    assert!(lock.exists(), "nobody was left to end the server");
    let mut records = parse(&support::read(&place.path("rows.json")));

    // it goes on where it was, up to a change that lies ahead
    let rows = (records.len() + 2000).to_string();
    let until = ["demo", "postgres", "--rate", "0", "--rows", &rows];
    let second = place.weir(&until);
    assert!(second.status.success(), "{}", said(&second));
    assert!(said(&second).contains("killed demo left"), "{}", said(&second));
    assert!(!lock.exists(), "the server ends with the demo");
    let more = lines(&second);
    assert!(!has(&more, "r") && has(&more, "c") && has(&more, "u"), "the stream goes on, without a snapshot");
    records.extend(more);

    // what arrived is the shop, as the generator makes it up; cancellations are filtered, and a snapshot shows them
    let mut found = state(&records);
    let mut wanted = state(&lines(&place.weir(&["demo", "--rate", "0", "--rows", &rows])));
    let cancelled: Vec<_> = found.iter().filter(|r| r.1["status"] == "cancelled").map(|r| r.0.clone()).collect();
    for at in cancelled {
        found.remove(&at);
        wanted.remove(&at);
    }
    assert!(found.len() > 300, "{} rows", found.len());
    assert_eq!(found, wanted);

    let third = place.weir(&until);
    assert!(third.status.success() && third.stdout.is_empty(), "nothing is sent twice: {}", said(&third));

    let weir = place.start_into(&["demo", "postgres", "--reset"], "anew.json");
    let anew = wait_for("a snapshot", Duration::from_secs(60), || {
        let records = parse(&support::read(&place.path("anew.json")));
        (records.len() >= 70).then_some(records)
    });
    assert!(has(&anew, "r"), "a reset begins anew");
    assert!(weir.stop().success() && !lock.exists(), "an orderly stop ends the server");
}

/// The demo's database belongs to whoever looks into it, too: what they break is said, and how to mend it.
#[test]
fn a_demo_whose_database_was_changed_says_how_to_begin_anew() {
    let place = Place::new();
    std::fs::set_permissions(place.dir.path(), std::fs::Permissions::from_mode(0o755)).expect("permissions");
    let weir = place.start_into(&["demo", "postgres", "--rate", "50"], "rows.json");
    wait_for("a snapshot", Duration::from_secs(90), || {
        (parse(&support::read(&place.path("rows.json"))).len() >= 70).then_some(())
    });
    let options = ConnectOptions {
        host: place.path("data/demo-postgres").display().to_string(),
        port: 5432,
        database: "shop".into(),
        user: "postgres".into(),
        ..ConnectOptions::default()
    };
    Connection::connect(&options).and_then(|mut c| c.simple_query("DELETE FROM progress")).expect("deleted");
    // it finds out when it is asked how far it came: now, or at the next start
    let _ = weir.stop();
    let out = place.weir(&["demo", "postgres"]);
    assert_eq!(out.status.code(), Some(3), "{}", said(&out));
    assert!(said(&out).contains("error[demo.shop]: ") && said(&out).contains("--reset"), "{}", said(&out));
    let out = place.weir(&["demo", "postgres", "--reset", "--rate", "0", "--rows", "100"]);
    assert!(out.status.success() && has(&lines(&out), "r"), "{}", said(&out));
}

#[test]
fn without_a_postgresql_the_demo_says_what_to_install() {
    let place = Place::new();
    let out = place.weir_with(&["demo", "postgres"], &[("PG_BIN", "no/such/folder")]);
    let said = said(&out);
    assert_eq!(out.status.code(), Some(3), "{said}");
    for part in ["demo.no-postgres", "PG_BIN", "apt-get install postgresql", "`weir demo` needs none"] {
        assert!(said.contains(part), "`{part}` is missing in: {said}");
    }
}
