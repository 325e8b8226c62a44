//! The code of a transform is exchanged while tens of thousands of changes a second go through it: each record comes once and in
//! order, by the old code before and by the new one behind, and a file that is no good changes nothing.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)] // helpers of tests are tests

mod support;
#[path = "support/topic.rs"]
mod topic;

use serde_json::Value;
use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::net::TcpStream;
use std::path::Path;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};
use support::{Place, Weir, wait_for};
use weir_testkit::{Kafka, Postgres, guest};

const LIMIT: Duration = Duration::from_secs(60);

/// The versions of the guest `stamp`, by feature; built one after the other, for they are one file.
fn versions() -> &'static HashMap<&'static str, Vec<u8>> {
    static BUILT: LazyLock<HashMap<&str, Vec<u8>>> = LazyLock::new(build);
    &BUILT
}

fn build() -> HashMap<&'static str, Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/guests/stamp");
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("guests");
    let build = |features| {
        let built = guest::build_with(&folder, "stamp", &target, features).expect("a guest");
        (features, std::fs::read(built).expect("a module"))
    };
    ["", "second", "picky", "greedy"].into_iter().map(build).collect()
}

/// Replaces the module as a careful writer does.
fn replace(place: &Place, module: &[u8]) {
    std::fs::write(place.path("fresh"), module).expect("written");
    std::fs::rename(place.path("fresh"), place.path("stamp.wasm")).expect("renamed");
}

fn pipeline(rate: u32, rows: u64, step: &str) -> String {
    format!(
        "name = \"stamped\"\n[source.generator]\nrate = {rate}\nrows = {rows}\n\
         extended.headers.enabled = false\n{step}\n[sink.file]\npath = \"out.ndjson\"\n"
    )
}

const STEP: &str = "[[transform]]\nname = \"stamp\"\nuse = \"stamp.wasm\"";

/// The stamp of the last whole record.
fn last(place: &Place) -> Option<String> {
    let mut file = std::fs::File::open(place.path("out.ndjson")).ok()?;
    let end = file.seek(SeekFrom::End(0)).expect("an end");
    file.seek(SeekFrom::Start(end.saturating_sub(64 << 10))).expect("a place");
    let mut text = vec![];
    file.read_to_end(&mut text).expect("read");
    let text = String::from_utf8_lossy(&text);
    let stamps = text.lines().rev().skip(1).filter_map(|l| serde_json::from_str::<Value>(l).ok());
    stamps.filter_map(|v| Some(v["value"]["stamp"].as_str()?.to_owned())).next()
}

fn arrives(place: &Place, weir: &mut Weir, stamp: &str) {
    wait_for(stamp, LIMIT, || {
        assert!(weir.is_running(), "{}", weir.log());
        last(place).filter(|l| l == stamp)
    });
}

fn metrics(weir: &Weir) -> String {
    let log = weir.log();
    let address = log.split("metrics at http://").nth(1).and_then(|t| t.split('/').next()).expect("an address");
    let mut stream = TcpStream::connect(address).expect("served");
    stream.write_all(b"GET /metrics HTTP/1.0\r\n\r\n").expect("asked");
    let mut text = String::new();
    stream.read_to_string(&mut text).expect("an answer");
    text
}

/// `weir reload --json`: its exit code, and what it says.
fn reload(place: &Place) -> (Option<i32>, Value) {
    let out = place.weir(&["reload", "--json"]);
    let said = serde_json::from_slice(&out.stdout).expect("an envelope");
    (out.status.code(), said)
}

fn refusals(log: &str) -> usize {
    log.matches("new code is refused").count()
}

/// The stamp of a record, and all of it that is the same in every run: what stands before the time at which it was made.
fn told(line: &str) -> (Option<&str>, &str) {
    let same = match line.find("\"transaction\":") {
        Some(at) => at + line[at..].find(",\"ts_ms\":").expect("a time"),
        None => line.len(),
    };
    let stamp = line.split_once("\"stamp\":\"").and_then(|(_, rest)| rest.split('"').next());
    (stamp, &line[..same])
}

fn lines(path: &Path) -> impl Iterator<Item = String> + use<> {
    BufReader::new(std::fs::File::open(path).expect("a file")).lines().map(|l| l.expect("UTF-8"))
}

/// What came is what comes without any transform, and the stamps change only as often as the code did.
fn check(place: &Place, swaps: usize) -> usize {
    let out = place.path("out.ndjson");
    let records = lines(&out).count();
    let plain = Place::new();
    // each change is a record at least
    plain.write("p.toml", &pipeline(0, records as u64, ""));
    let run = plain.weir(&["run", "p.toml"]);
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    let mut wanted = lines(&plain.path("out.ndjson"));
    let mut stamps: Vec<String> = vec![];
    for (n, got) in lines(&out).enumerate() {
        let wanted = wanted.next().expect("as many");
        let (stamp, same) = told(&got);
        assert_eq!(same, told(&wanted).1, "record {n}");
        assert!(stamp.is_some() || got.contains("\"value\":null"), "record {n} is a change without a stamp");
        stamps.extend(stamp.filter(|s| stamps.last().is_none_or(|l| l != s)).map(str::to_owned));
    }
    let expected = ["first", "second"].iter().cycle().take(swaps + 1);
    assert!(stamps.iter().eq(expected), "{stamps:?}");
    records
}

#[test]
fn files_that_change_are_taken_under_load() {
    let (place, versions) = (Place::new(), versions());
    replace(&place, &versions[""]);
    place.write("p.toml", &pipeline(20_000, 0, STEP));
    let mut weir = place.start_with(&["run", "p.toml", "--metrics", "127.0.0.1:0"]);
    arrives(&place, &mut weir, "first");
    let began = (Instant::now(), std::fs::metadata(place.path("out.ndjson")).unwrap().len());
    for round in 0..2 {
        replace(&place, &versions["second"]);
        arrives(&place, &mut weir, "second");
        // half of a file, by a writer that stops there
        let known = refusals(&weir.log());
        std::fs::write(place.path("stamp.wasm"), &versions[""][..versions[""].len() / 2]).expect("written");
        wait_for("a refusal", LIMIT, || (refusals(&weir.log()) > known).then_some(()));
        assert_eq!(last(&place).as_deref(), Some("second"), "round {round}");
        // the rest of it
        std::fs::write(place.path("stamp.wasm"), &versions[""]).expect("written");
        arrives(&place, &mut weir, "first");
    }
    // a module that is whole, and does not fit what goes through: named once, and not tried again for each look
    for (version, code) in [("picky", "reload.shape"), ("greedy", "config.missing")] {
        replace(&place, &versions[version]);
        wait_for(code, LIMIT, || weir.log().contains(code).then_some(()));
    }
    let text = metrics(&weir);
    for line in [
        "weir_reload_total{pipeline=\"stamped\",step=\"stamp\",result=\"swapped\"} 4",
        "weir_reload_total{pipeline=\"stamped\",step=\"stamp\",result=\"refused\"} 4",
        "weir_guest_memory_bytes{pipeline=\"stamped\",step=\"stamp\"} ",
        "weir_guest_recycled_total{pipeline=\"stamped\",step=\"stamp\"} 0",
        "weir_step_module_info{pipeline=\"stamped\",step=\"stamp\",module=\"stamp.wasm@sha256:",
    ] {
        assert!(text.contains(line), "{line} is missing in:\n{text}");
    }
    assert_eq!(refusals(&weir.log()), 4, "{}", weir.log());
    let (seconds, bytes) =
        (began.0.elapsed().as_secs_f64(), std::fs::metadata(place.path("out.ndjson")).unwrap().len());
    let log = weir.log();
    assert!(weir.stop().success(), "{log}");
    let records = check(&place, 4);
    let rate = records as f64 * ((bytes - began.1) as f64 / bytes as f64) / seconds;
    eprintln!("{records} records, {rate:.0} a second, 4 swaps, 4 refusals");
}

#[test]
fn a_reload_says_what_became_of_each_step() {
    let (place, versions) = (Place::new(), versions());
    let out = place.weir(&["reload"]);
    assert_eq!(out.status.code(), Some(3));
    assert!(String::from_utf8_lossy(&out.stderr).contains("reload.not-running"));
    replace(&place, &versions[""]);
    // two steps of one file, and one that is built in
    let second = "[[transform]]\nname = \"again\"\nuse = \"stamp.wasm\"\n[[transform]]\nuse = \"weir:regex-router\"\n\
                  with.regex = \"(.*)\"\nwith.replacement = \"$1\"";
    place.write("p.toml", &pipeline(2000, 0, &format!("{STEP}\n{second}")));
    let mut weir = place.start("p.toml");
    arrives(&place, &mut weir, "first");
    let results = |said: &Value| -> Vec<String> {
        let steps = said["result"].as_array().expect("steps");
        steps.iter().map(|s| format!("{} {}", s["step"].as_str().unwrap(), s["result"].as_str().unwrap())).collect()
    };
    let (code, said) = reload(&place);
    assert_eq!((code, results(&said)), (Some(0), vec!["again unchanged".into(), "stamp unchanged".into()]));
    let runs = said["result"][0]["from"].clone();

    replace(&place, &versions["second"]);
    let (code, said) = reload(&place);
    assert_eq!((code, results(&said)), (Some(0), vec!["again swapped".into(), "stamp swapped".into()]), "{said}");
    assert_eq!(said["summary"], "2 swapped, 0 unchanged, 0 refused");
    let step = &said["result"][0];
    let digest = step["to"].as_str().expect("a digest");
    assert!(step["from"] == runs && digest.starts_with("sha256:") && step["to"] != runs, "{step}");
    arrives(&place, &mut weir, "second");

    for (bytes, code) in [
        (&b"no module"[..], "guest.format"),
        (&versions["picky"], "reload.shape"),
        (&versions["greedy"], "config.missing"),
    ] {
        replace(&place, bytes);
        let (exit, said) = reload(&place);
        assert_eq!((exit, &said["ok"], &said["error"]["code"]), (Some(1), &false.into(), &"reload.refused".into()));
        assert_eq!(results(&said), ["again refused", "stamp refused"]);
        for step in said["result"].as_array().unwrap() {
            assert_eq!((&step["error"]["code"], &step["from"]), (&code.into(), &digest.into()), "{step}");
        }
    }
    let out = place.weir(&["reload"]);
    let text = String::from_utf8(out.stdout).expect("UTF-8");
    assert!(
        text.starts_with("stamped\tagain\trefused\tconfig.missing: `stamp.wasm` needs the option `more`\n"),
        "{text}"
    );
    std::fs::remove_file(place.path("stamp.wasm")).expect("removed");
    assert_eq!(reload(&place).1["result"][0]["error"]["code"], "guest.unreadable");
    arrives(&place, &mut weir, "second");

    let log = weir.log();
    assert!(weir.stop().success(), "{log}");
    assert!(!place.path("data/weir.sock").exists());
    check(&place, 1);
}

/// What a real database commits meanwhile arrives in Kafka once and in order, whatever runs.
#[test]
fn a_real_database_goes_on_through_reloads() {
    let (postgres, kafka) = (Postgres::shared().expect("PostgreSQL"), Kafka::shared().expect("Kafka"));
    let database = postgres.database().expect("a database");
    let sql = |text: &str| postgres.sql_in(&database, text).expect("SQL");
    sql("CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t VALUES (0, 'first of all')");
    let (place, versions) = (Place::new(), versions());
    replace(&place, &versions[""]);
    let text = format!(
        "name = \"swapped\"\n[source.postgres]\nurl = \"{}\"\ntopic.prefix = \"swapped\"\nslot.name = \"swapped\"\n\
         publication.name = \"swapped\"\npublication.autocreate.mode = \"filtered\"\n{STEP}\n\
         [sink.kafka]\nbootstrap.servers = \"{}\"\n",
        postgres.url_of(&database),
        kafka.bootstrap()
    );
    place.write("p.toml", &text);
    let mut weir = place.start("p.toml");
    let end = || topic::end(kafka.bootstrap(), "swapped.public.t");
    wait_for("the snapshot", LIMIT, || (end() >= 1).then_some(()));
    let (over, mut rows) = (AtomicBool::new(false), 1);
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            while !over.load(Relaxed) {
                sql(&format!(
                    "INSERT INTO t SELECT g, repeat('x', 100) FROM generate_series({rows}, {}) g",
                    rows + 499
                ));
                rows += 500;
            }
        });
        for n in 0..6 {
            let before = end();
            wait_for("records of the code that runs", LIMIT, || (end() > before + 1000).then_some(()));
            replace(&place, &versions[if n % 2 == 0 { "second" } else { "" }]);
            let (code, said) = reload(&place);
            assert_eq!(code, Some(0), "{said}");
            // by the verb, or by the look at the file before it
            assert!(["swapped", "unchanged"].contains(&said["result"][0]["result"].as_str().unwrap()), "{said}");
        }
        over.store(true, Relaxed);
        writer.join().expect("the writer");
    });
    wait_for("the last row", LIMIT, || {
        assert!(weir.is_running(), "{}", weir.log());
        (end() >= rows).then_some(())
    });
    assert!(weir.stop().success());
    let records = topic::read(kafka.bootstrap(), "swapped.public.t");
    let mut stamps: Vec<String> = vec![];
    for (n, record) in records.iter().enumerate() {
        let value = record.json();
        assert_eq!(value["after"]["id"], n, "each once, in order");
        let stamp = value["stamp"].as_str().expect("a stamp");
        if stamps.last().is_none_or(|l| l != stamp) {
            stamps.push(stamp.into())
        }
    }
    assert_eq!(records.len() as i64, rows);
    assert!(stamps.iter().eq(["first", "second"].iter().cycle().take(7)), "{stamps:?}");
}
