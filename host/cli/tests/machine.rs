//! What the machine refuses: a reader that goes, a full device, places that cannot be used, programs that do not work. Each is said
//! with its code and what to do.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)] // helpers of tests are tests

mod support;

use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Output;
use support::Place;

const ONCE: &str = "[errors]\nretry.max = 0\n";

fn shop(rows: u32, rest: &str) -> String {
    format!("name = \"shop\"\n[source.generator]\nrate = 0\nrows = {rows}\n{rest}")
}

#[track_caller]
fn says(out: &Output, exit: i32, code: &str) {
    let said = String::from_utf8_lossy(&out.stderr);
    assert_eq!(out.status.code(), Some(exit), "{said}");
    assert!(said.contains(&format!("error[{code}]: ")) && said.contains("help: "), "{said}");
}

fn script(path: &Path, text: &str) {
    std::fs::write(path, format!("#!/bin/sh\n{text}\n")).expect("a script");
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).expect("permissions");
}

/// As `weir run p.toml | head -1` does.
#[test]
fn a_reader_that_goes_ends_it_in_peace() {
    let place = Place::new();
    place.write("p.toml", &shop(0, "[sink.stdout]\n"));
    let (weir, out) = place.start_piped(&["run", "p.toml", "--json"]);
    let mut line = String::new();
    BufReader::new(out).read_line(&mut line).expect("a record");
    assert!(line.starts_with('{'), "{line}");
    let log = weir.log();
    assert!(weir.wait().success(), "{log}");
    assert!(!log.contains("stdout.closed"), "{log}");
}

/// What is resident is what is used, for as long as it runs.
#[test]
#[cfg(target_os = "linux")]
fn pages_stay_small() {
    let place = Place::new();
    place.write("p.toml", &shop(0, "[sink.stdout]\n"));
    let (weir, out) = place.start_piped(&["run", "p.toml"]);
    BufReader::new(out).read_line(&mut String::new()).expect("a record");
    assert_eq!(weir.status("THP_enabled"), "0");
}

#[test]
fn a_full_device_is_told_and_tried_as_often_as_wanted() {
    let place = Place::new();
    place.write("p.toml", &shop(100, &format!("[sink.stdout]\n{ONCE}")));
    let weir = place.start_into(&["run", "p.toml"], "/dev/full");
    let log = place.path("weir.log");
    assert_eq!(weir.wait().code(), Some(1), "{}", support::read(&log));
    let log = support::read(&log);
    assert!(log.contains("error[stdout.disk-full]: ") && log.contains("free space"), "{log}");
}

#[test]
fn a_file_where_no_file_can_be() {
    let place = Place::new();
    place.write("p.toml", &shop(100, &format!("[sink.file]\npath = \"p.toml/out.ndjson\"\n{ONCE}")));
    let out = place.weir(&["run", "p.toml"]);
    let said = String::from_utf8_lossy(&out.stderr);
    assert_eq!(out.status.code(), Some(1), "{said}");
    assert!(said.contains("error[file.io]: ") && said.contains("p.toml/out.ndjson"), "{said}");
}

#[test]
fn letters_that_cannot_be_noted_are_not_sent_again() {
    let place = Place::new();
    let letters = "[sink.stdout]\n[errors]\non-error = \"dead-letter\"\ndead-letter.file = \"letters.jsonl\"\n";
    place.write("p.toml", &shop(1, letters));
    place.write("letters.jsonl", "");
    // the notes' file is a folder
    std::fs::create_dir_all(place.path("data/dead-letters/shop.replayed")).expect("a folder");
    says(&place.weir(&["dlq", "replay", "p.toml", "--yes"]), 3, "dlq.marks");
}

#[test]
fn a_module_that_cargo_names_and_that_is_not_there() {
    let place = Place::new();
    place.write("Cargo.toml", "[package]\nname = \"t\"\n");
    let manifest = place.path("Cargo.toml").canonicalize().expect("a manifest");
    let message = format!(r#"{{"manifest_path": "{}", "filenames": ["/no/such/t.wasm"]}}"#, manifest.display());
    script(&place.path("cargo"), &format!("echo '{message}'"));
    let cargo = place.path("cargo");
    says(&place.weir_with(&["build"], &[("CARGO", cargo.to_str().expect("UTF-8"))]), 3, "build.unwritable");
}

#[test]
fn a_postgresql_for_the_demo_that_does_not_work() {
    let place = Place::new();
    std::fs::set_permissions(place.dir.path(), std::fs::Permissions::from_mode(0o755)).expect("permissions");
    let long = place.path(&"x".repeat(120));
    says(&place.weir(&["demo", "postgres", "--data-dir", long.to_str().expect("UTF-8")]), 3, "demo.directory");
    let bin = place.path("bin");
    std::fs::create_dir(&bin).expect("a folder");
    let demo = |initdb: &str, postgres: &str| {
        script(&bin.join("initdb"), initdb);
        script(&bin.join("postgres"), postgres);
        place.weir_with(&["demo", "postgres"], &[("PG_BIN", bin.to_str().expect("UTF-8"))])
    };
    let out = demo("echo no space for it >&2; exit 1", "exit 1");
    says(&out, 3, "demo.initdb");
    assert!(String::from_utf8_lossy(&out.stderr).contains("no space for it"));
    let make = "for last; do :; done; for a; do case $p in -D) d=$a;; esac; p=$a; done; mkdir -p $d && echo 15 > $d/PG_VERSION";
    let out = demo(make, "echo this is no server; exit 7");
    says(&out, 3, "demo.server");
    assert!(String::from_utf8_lossy(&out.stderr).contains("this is no server"));
}

/// A machine that gives no more threads: whatever it is that finds none, it is said, and nothing panics.
#[test]
fn threads_that_the_machine_does_not_give() {
    let place = Place::new();
    // root may start as many as it likes: a user of its own, whose threads nobody else counts among his
    let everybody = |path: &Path| std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o777));
    everybody(place.dir.path()).expect("permissions");
    let weir = place.path("weir");
    let built = Path::new(env!("CARGO_BIN_EXE_weir"));
    std::fs::hard_link(built, &weir).or_else(|_| std::fs::copy(built, &weir).map(drop)).expect("a copy");
    let filter = "[[transform]]\nuse = \"weir:filter\"\nwith.condition = \"value.op == 'c'\"\n";
    place.write("p.toml", &shop(100, &format!("{filter}[sink.file]\npath = \"out.ndjson\"\n{ONCE}")));
    let mut codes = std::collections::BTreeSet::new();
    for threads in 1..50 {
        let _ = std::fs::remove_dir_all(place.path("data"));
        let mut limited = place.limited(&weir, threads);
        // as many threads compile as there are cores
        limited.env("RAYON_NUM_THREADS", "2");
        let out = limited.args(["--data-dir", "data", "run", "p.toml"]).output().expect("prlimit of util-linux");
        let said = String::from_utf8_lossy(&out.stderr);
        if out.status.success() {
            assert!(threads > 3, "{said}");
            for code in ["guest.engine", "task.thread", "sink.thread"] {
                assert!(codes.contains(code), "{code} is not among {codes:?}");
            }
            return;
        }
        assert!(!said.contains("panicked"), "{threads} threads: {said}");
        let (_, code) = said.rsplit_once("weir explain ").unwrap_or_else(|| panic!("{threads} threads: {said}"));
        codes.insert(code.trim().to_string());
        assert!(said.contains("`ulimit -u`"), "{threads} threads: {said}");
    }
    panic!("it needs more than 50 threads: {codes:?}");
}
