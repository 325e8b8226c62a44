//! The examples in `pipelines/` hold what they say, and what is wrong with a file is said whole.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)] // helpers of tests are tests

mod support;

use std::path::Path;
use support::Place;

fn examples() -> Vec<std::path::PathBuf> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../pipelines");
    let mut all: Vec<_> = std::fs::read_dir(dir).expect("pipelines").map(|e| e.expect("a file").path()).collect();
    all.retain(|p| p.extension().is_some_and(|e| e == "toml"));
    all.sort();
    all
}

#[test]
fn every_example_is_valid() {
    let place = Place::new();
    let all = examples();
    assert!(all.len() >= 2);
    for file in all {
        let file = file.display().to_string();
        let out = place.weir_with(&["validate", &file], &[("PGPASSWORD", "secret")]);
        let said = String::from_utf8_lossy(&out.stderr).into_owned();
        assert!(out.status.success() && out.stdout.is_empty() && said.is_empty(), "{file}:\n{said}");
    }
}

#[test]
fn the_standard_chain_does_what_it_says() {
    let place = Place::new();
    let text = std::fs::read_to_string(&examples()[0]).expect("orders.toml");
    place.write("orders.toml", &text.replace("rate = 5", "rate = 0\nrows = 200"));
    let out = place.weir(&["run", "orders.toml"]);
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let lines = String::from_utf8(out.stdout).expect("UTF-8");
    let records: Vec<serde_json::Value> = lines.lines().map(|l| serde_json::from_str(l).expect("JSON")).collect();
    assert!(records.len() > 50);
    for r in &records {
        assert_eq!(r["topic"], "orders");
        if !r["value"].is_null() {
            assert!(r["value"]["id"].is_u64() && r["value"].get("after").is_none(), "{r}");
            assert!(["c", "u", "d"].contains(&r["value"]["__op"].as_str().expect("an op")), "{r}");
            assert!(r["value"]["__source_ts_ms"].is_u64(), "{r}");
        }
    }
}

#[test]
fn everything_wrong_is_said_at_once() {
    let place = Place::new();
    place.write(
        "bad.toml",
        "name = \"bad\"\n[source.postgres]\nurl = \"postgres://u:topsecret@h:1/d\"\ntopic.prefx = \"x\"\nslot.nam = \"y\"\n\
         [[transform]]\nuse = \"weir:regex-router\"\nwith.regx = \"a\"\n[[transform]]\nuse = \"weir:fliter\"\n\
         [sink.kafka]\nbootstrap.servers = \"h:9092\"\nlinger.ms = \"soon\"\n",
    );
    let out = place.weir(&["validate", "bad.toml"]);
    let said = String::from_utf8_lossy(&out.stderr).into_owned();
    assert_eq!(out.status.code(), Some(2), "{said}");
    for part in ["topic.prefx", "did you mean", "topic.prefix", "slot.name", "regex", "weir:filter", "linger.ms"] {
        assert!(said.contains(part), "`{part}` is missing in:\n{said}");
    }
    assert!(!said.contains("topsecret"), "{said}");
    let out = place.weir(&["validate", "bad.toml", "--json"]);
    let envelope: serde_json::Value = serde_json::from_slice(&out.stdout).expect("an envelope");
    assert_eq!(envelope["ok"], false);
    assert!(envelope["error"]["findings"].as_array().expect("findings").len() >= 5, "{envelope}");
}

/// The text of `--help` is looked at by people: a change to it is a change to the product.
#[test]
fn help_is_golden() {
    let place = Place::new();
    let verbs = [
        "",
        "demo",
        "run",
        "validate",
        "plan",
        "offsets",
        "reload",
        "dlq",
        "dlq show",
        "dlq replay",
        "explain",
        "build",
        "test",
    ];
    for verb in verbs.into_iter().chain(["new", "new transform", "new pipeline"]) {
        let args: Vec<&str> = verb.split_whitespace().chain(["--help"]).collect();
        let out = place.weir(&args);
        let said = String::from_utf8(out.stdout).expect("UTF-8");
        let file = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join(format!("tests/help/{}.txt", if verb.is_empty() { "weir".into() } else { verb.replace(' ', "-") }));
        if std::env::var_os("WEIR_ACCEPT").is_some() {
            std::fs::create_dir_all(file.parent().expect("a folder")).expect("made");
            std::fs::write(&file, &said).expect("written");
        }
        assert_eq!(support::read(&file), said, "{}: WEIR_ACCEPT=1 accepts it", file.display());
    }
}
