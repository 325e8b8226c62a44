//! `weir explain`: codes, keys and components, without a network.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)] // helpers of tests are tests

mod support;

use serde_json::Value;
use std::path::Path;
use std::sync::LazyLock;
use support::Place;

fn explain(what: &[&str]) -> String {
    let args: Vec<&str> = ["explain"].iter().chain(what).copied().collect();
    // transforms are compiled once for all
    static PLACE: LazyLock<Place> = LazyLock::new(Place::new);
    let out = PLACE.weir(&args);
    assert!(out.status.success(), "{what:?}: {}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8(out.stdout).unwrap()
}

#[test]
fn a_code_is_its_page() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/errors/postgres.slot-lost.md");
    assert_eq!(explain(&["postgres.slot-lost"]), support::read(&page));
    let all = explain(&[]);
    for part in ["  postgres: ", " .slot-lost ", "  kafka\n", "  weir:filter\n", "java.lang.NullPointerException"] {
        assert!(all.contains(part), "`{part}` is missing in:\n{all}");
    }
}

#[test]
fn a_key_is_explained_wherever_it_is_accepted() {
    let text = explain(&["snapshot.mode"]);
    for part in
        ["in       [source.postgres]", "in       [source.generator]", "default  initial", "values   ", "type     text"]
    {
        assert!(text.contains(part), "`{part}` is missing in:\n{text}");
    }
    // of a transform's manifest, of a connector, with what stands in front of it
    for (key, parts) in [
        ("replacement", &["weir:regex-router", "below `with.`"][..]),
        ("with.replacement", &["weir:regex-router"]),
        ("tasks.max", &["a Kafka Connect connector"]),
        ("producer.override.linger.ms", &["# linger.ms", "[sink.kafka]"]),
        ("dead-letter.topic", &["[errors]"]),
        ("value.format", &["every [sink.…]"]),
        ("on-error", &["[[transform]]", "[errors]", "fail, skip, dead-letter"]),
        ("topic.creation.default.partitions", &["any key below `topic.creation.`"]),
        ("delivery.timeout.ms", &["without effect: "]),
        ("exactly.once.support", &["refused unless at its default: "]),
        ("io.debezium.transforms.Filter", &["weir:filter", "condition"]),
        ("PostgresConnector", &["# postgres", "table.include.list"]),
    ] {
        let text = explain(&[key]);
        parts.iter().for_each(|part| assert!(text.contains(part), "`{part}` is missing in:\n{text}"));
    }
}

#[test]
fn programs_get_it_too() {
    let said: Value = serde_json::from_str(&explain(&["acks", "guest.trap", "stdout", "--json"])).unwrap();
    let [key, code, component] = said["result"].as_array().unwrap().as_slice() else { panic!("{said}") };
    assert_eq!((&key["kind"], &key["accepted"][0]["default"]), (&"key".into(), &"all".into()));
    assert_eq!(key["accepted"][0]["values"], serde_json::json!(["all", "-1", "0", "1"]));
    assert!(code["page"].as_str().unwrap().starts_with("# guest.trap\n"));
    assert!(component["keys"].as_array().unwrap().contains(&"format".into()), "{component}");
}
