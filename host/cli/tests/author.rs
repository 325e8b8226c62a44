//! Who writes a transform: `weir new`, `weir build`, `weir test`, and then the pipeline.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)] // helpers of tests are tests

mod support;

use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::Output;
use support::Place;

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

fn said(out: &Output) -> String {
    String::from_utf8_lossy(&out.stderr).into_owned() + &String::from_utf8_lossy(&out.stdout)
}

/// `weir …`; guests of all tests share a target folder, for the libraries take long to build.
fn weir(place: &Place, args: &[&str]) -> Output {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("authors");
    place.weir_with(args, &[("CARGO_TARGET_DIR", target.to_str().unwrap())])
}

fn envelope(out: &Output) -> Value {
    serde_json::from_slice(&out.stdout).unwrap_or_else(|_| panic!("{}", said(out)))
}

#[test]
fn a_new_transform_is_built_tested_and_used() {
    let place = Place::new();
    let sdk = repository().join("sdk/rust");
    let out = weir(&place, &["new", "transform", "order-tax", "--sdk", sdk.to_str().unwrap()]);
    assert!(out.status.success(), "{}", said(&out));
    for file in ["Cargo.toml", "src/lib.rs", "cases/tax.json", "README.md", ".gitignore"] {
        let text = support::read(&place.path("order-tax").join(file));
        assert!(!text.is_empty() && !text.contains("{{"), "{file}:\n{text}");
    }
    let built = weir(&place, &["build", "order-tax", "--json"]);
    assert!(built.status.success(), "{}", said(&built));
    let built = envelope(&built)["result"].clone();
    let module = built["path"].as_str().unwrap().to_owned();
    assert!(module.ends_with("/order_tax.wasm"), "{module}");
    assert_eq!(built["digest"].as_str().unwrap().len(), 64);
    assert_eq!(built["options"][0]["name"], "rate");
    assert_eq!(built["summary"], "Adds a tax to orders, and drops those that were cancelled.");
    let tested = weir(&place, &["test", "order-tax"]);
    assert!(tested.status.success(), "{}", said(&tested));
    assert_eq!(String::from_utf8_lossy(&tested.stdout), "ok      tax\n1 cases pass\n");
    cases_fail_and_are_accepted(&place, &module);
    // the shop's orders have a total and no amount: they pass with a tax of null
    let text = format!(
        "name = \"taxed\"\n[source.generator]\nrate = 0\nrows = 100\n[[transform]]\nuse = \"{module}\"\nwith.rate = \"0.5\"\n[sink.stdout]\n"
    );
    place.write("p.toml", &text);
    let ran = weir(&place, &["run", "p.toml"]);
    assert!(ran.status.success(), "{}", said(&ran));
    let lines = String::from_utf8(ran.stdout).unwrap();
    let records: Vec<Value> = lines.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    let taxed = records.iter().filter(|r| r["value"]["after"].get("tax").is_some()).count();
    assert!(records.len() > 20 && taxed > 5, "{taxed} of {} have a tax:\n{lines}", records.len());
    // what the function leaves out is counted, as what rules drop is
    place.write(
        "q.toml",
        &text.replace("taxed", "counted").replace("rows = 100", "rows = 1000").replace("stdout", "discard"),
    );
    let ran = envelope(&weir(&place, &["run", "q.toml", "--json"]));
    let dropped = &ran["result"][0]["dropped"];
    assert_eq!(dropped[0]["rule"], "apply", "{ran}");
    assert!(dropped[0]["rows"].as_u64().unwrap() > 5, "{ran}");
    let explained = weir(&place, &["explain", &module]);
    assert!(String::from_utf8_lossy(&explained.stdout).contains("share of the amount"), "{}", said(&explained));
}

/// A case that expects something else fails, says how, and is rewritten when it is asked for.
fn cases_fail_and_are_accepted(place: &Place, module: &str) {
    let file = place.path("order-tax/cases/tax.json");
    let right = support::read(&file);
    std::fs::write(&file, right.replace("6.25", "7.5")).unwrap();
    let cases = place.path("order-tax/cases");
    let cases = cases.to_str().unwrap();
    let junit = place.path("junit.xml");
    let failed = weir(place, &["test", module, "--cases", cases, "--junit", junit.to_str().unwrap()]);
    assert_eq!(failed.status.code(), Some(1), "{}", said(&failed));
    let text = said(&failed);
    for part in ["FAILED  tax", "-      \"tax\": 7.5", "+      \"tax\": 6.25", "error[test.failed]: 1 of 1 cases fail"]
    {
        assert!(text.contains(part), "`{part}` is missing in:\n{text}");
    }
    let xml = support::read(&junit);
    assert!(xml.contains("<testsuite") && xml.contains("failures=\"1\"") && xml.contains("6.25"), "{xml}");
    let json = weir(place, &["test", module, "--cases", cases, "--json"]);
    assert_eq!(envelope(&json)["result"]["cases"][0]["ok"], false, "{}", said(&json));
    let other = weir(place, &["test", module, "--cases", cases, "--filter", "nothing"]);
    assert!(said(&other).contains("error[test.no-cases]"), "{}", said(&other));
    let accepted = weir(place, &["test", module, "--cases", cases, "--accept"]);
    assert!(accepted.status.success(), "{}", said(&accepted));
    assert_eq!(support::read(&file), right, "what was accepted is what it was");
}

/// A topic may differ from row to row; the clock stands still where the case says.
#[test]
fn a_function_names_topics() {
    let place = Place::new();
    let sdk = repository().join("sdk/rust");
    weir(&place, &["new", "transform", "by-status", "--sdk", sdk.to_str().unwrap()]);
    let code = "use weir::prelude::*;\n\
        #[derive(Row)] struct Order<'a> { status: Option<&'a str>, #[at(\"meta.now\")] now: i64 }\n\
        #[derive(Columns)] struct To { #[at(\"topic\")] topic: Option<String>, #[at(\"value.after.seen\")] seen: i64 }\n\
        #[weir::transform] fn by_status(order: Order) -> To {\n\
            To { topic: order.status.map(|s| format!(\"orders.{s}\")), seen: order.now }\n\
        }";
    place.write("by-status/src/lib.rs", code);
    std::fs::remove_file(place.path("by-status/cases/tax.json")).unwrap();
    let record =
        |topic: &str, status: Option<&str>| json!({"topic": topic, "value": {"after": {"id": 1, "status": status}}});
    let statuses = [Some("new"), Some("paid"), None, Some("new")];
    let records: Vec<Value> = statuses.iter().map(|s| record("orders", *s)).collect();
    let routed = statuses.iter().map(|s| {
        let mut record = record(&s.map_or("orders".into(), |s| format!("orders.{s}")), *s);
        record["value"]["after"]["seen"] = 5.into();
        record
    });
    let case = json!({"now": 5, "in": records, "out": routed.collect::<Vec<_>>()});
    place.write("by-status/cases/routes.json", &case.to_string());
    let out = weir(&place, &["test", "by-status"]);
    assert!(out.status.success(), "{}", said(&out));
}

/// The SDK's README, "Records as JSON", in the real host: what fits keeps its schema.
#[test]
fn records_as_json_keep_their_schemas() {
    let place = Place::new();
    let sdk = repository().join("sdk/rust");
    weir(&place, &["new", "transform", "mask-email", "--sdk", sdk.to_str().unwrap()]);
    let readme = support::read(&sdk.join("README.md"));
    let (_, section) = readme.split_once("## Records as JSON").unwrap();
    let (_, code) = section.split_once("```rust\n").unwrap();
    let code = code
        .split_once("```")
        .unwrap()
        .0
        .replace("    record\n", "    if record.key == 2 { record.value[\"more\"] = 1.into(); }\n    record\n");
    place.write("mask-email/src/lib.rs", &code);
    std::fs::remove_file(place.path("mask-email/cases/tax.json")).unwrap();
    let field = |name: &str, ty: &str| json!({"field": name, "type": ty, "optional": true});
    let decimal = json!({"field": "amount", "type": "bytes", "optional": true, "version": 1,
        "name": "org.apache.kafka.connect.data.Decimal", "parameters": {"scale": "2"}});
    let row = json!({"field": "after", "type": "struct", "optional": true, "fields": [field("id", "int16"), field("email", "string"), decimal]});
    let schema =
        json!({"type": "struct", "optional": true, "name": "u.Envelope", "fields": [row, field("op", "string")]});
    let record = |key: i64, email: &str| {
        let payload = json!({"after": {"id": 7, "email": email, "amount": "BM4="}, "op": "c"});
        let key = json!({"schema": {"type": "int64", "optional": false}, "payload": key});
        json!({"topic": "u", "key": key, "value": {"schema": schema, "payload": payload}})
    };
    let mut added = record(2, "***");
    added["value"] = json!({"schema": null, "payload": {"after": {"id": 7, "email": "***", "amount": "12.30"}, "op": "c", "more": 1}});
    let tombstone =
        json!({"topic": "u", "key": {"schema": {"type": "int64", "optional": false}, "payload": 3}, "value": null});
    let case =
        json!({"in": [record(1, "a@b"), record(2, "a@b"), tombstone], "out": [record(1, "***"), added, tombstone]});
    place.write("mask-email/cases/types.json", &case.to_string());
    let out = weir(&place, &["test", "mask-email"]);
    assert!(out.status.success(), "{}", said(&out));
}

#[test]
fn a_machine_without_rust_is_told_what_to_install() {
    let place = Place::new();
    let sdk = repository().join("sdk/rust");
    weir(&place, &["new", "transform", "mask", "--sdk", sdk.to_str().unwrap()]);
    let none = [("CARGO", "/nowhere/cargo"), ("RUSTC", "/nowhere/rustc")];
    let out = place.weir_with(&["build", "mask"], &none);
    assert_eq!(out.status.code(), Some(3), "{}", said(&out));
    assert!(said(&out).contains("error[build.no-cargo]") && said(&out).contains("rustup"), "{}", said(&out));
    // a compiler that knows the target and has no libraries of it
    let rustc = place.write("rustc", "#!/bin/sh\necho /nowhere/lib\n");
    std::fs::set_permissions(&rustc, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let out = place.weir_with(&["build", "mask"], &[("RUSTC", rustc.to_str().unwrap())]);
    assert_eq!(out.status.code(), Some(3), "{}", said(&out));
    let text = said(&out);
    assert!(
        text.contains("error[build.no-target]") && text.contains("rustup target add wasm32-unknown-unknown"),
        "{text}"
    );
}

#[test]
fn a_crate_that_makes_no_transform_is_refused() {
    let place = Place::new();
    std::fs::create_dir_all(place.path("plain/src")).unwrap();
    let manifest = "[package]\nname = \"plain\"\nversion = \"0.1.0\"\nedition = \"2024\"\n[workspace]\n";
    let code = |out: &Output| {
        let text = said(out);
        text.rsplit_once("error[").and_then(|(_, t)| t.split_once(']')).map(|(c, _)| c.to_owned()).unwrap_or(text)
    };
    place.write("plain/Cargo.toml", manifest);
    place.write("plain/src/lib.rs", "pub fn nothing() {}");
    assert_eq!(code(&weir(&place, &["build", "plain"])), "build.no-cdylib");
    place.write("plain/Cargo.toml", &format!("{manifest}[lib]\ncrate-type = [\"cdylib\"]\n"));
    assert_eq!(code(&weir(&place, &["build", "plain"])), "guest.world");
    let clock = "#[link(wasm_import_module = \"env\")] unsafe extern \"C\" { fn clock() -> i64; }\n\
                 #[unsafe(no_mangle)] pub extern \"C\" fn now() -> i64 { unsafe { clock() } }";
    place.write("plain/src/lib.rs", clock);
    assert_eq!(code(&weir(&place, &["build", "plain"])), "build.no-transform");
    place.write("plain/src/lib.rs", "pub fn nothing() { let x: u8 = \"\"; }");
    let out = weir(&place, &["build", "plain"]);
    assert_eq!(code(&out), "build.failed");
    assert!(said(&out).contains("mismatched types"), "what the compiler says is shown:\n{}", said(&out));
}

/// The cases beside the standard transforms show what they do.
#[test]
fn the_standard_transforms_pass_their_cases() {
    let place = Place::new();
    let mut count = 0;
    for entry in std::fs::read_dir(repository().join("transforms")).unwrap().map(Result::unwrap) {
        let cases = entry.path().join("cases");
        if !cases.is_dir() {
            continue;
        }
        let uses = format!("weir:{}", entry.file_name().to_string_lossy());
        let mut args = vec!["test", "--use", &uses, cases.to_str().unwrap()];
        args.extend(std::env::var_os("WEIR_ACCEPT").map(|_| "--accept"));
        let out = place.weir(&args);
        assert!(out.status.success(), "{uses}:\n{}", said(&out));
        count += 1;
    }
    assert!(count >= 4, "{count} standard transforms have cases");
}

#[test]
fn a_new_pipeline_is_valid() {
    let place = Place::new();
    let out = place.weir(&["new", "pipeline", "orders"]);
    assert!(out.status.success(), "{}", said(&out));
    let out = place.weir_with(&["validate", "orders.toml"], &[("PGPASSWORD", "x")]);
    assert!(out.status.success() && out.stderr.is_empty(), "{}", said(&out));
    let again = place.weir(&["new", "pipeline", "orders.toml"]);
    assert!(said(&again).contains("error[new.exists]"), "{}", said(&again));
}
