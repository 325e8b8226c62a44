//! Rules of the house that no lint knows: which crate may use which, how long a file may be, what a module may be called,
//! and that no file tells of the machine it was written on.

#![allow(clippy::unwrap_used)] // a test that cannot look has failed

use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

/// A crate and what it may use; what those may use is included.
const ARROWS: &[(&str, &[&str])] = &[
    ("model", &[]),
    ("api", &["model"]),
    ("config", &["api"]),
    ("wasm", &["api"]),
    ("packages", &["api"]),
    ("registry", &["api"]),
    ("converters", &["registry", "api"]),
    ("cdc", &["api"]),
    ("postgres", &["cdc"]),
    ("mysql", &["cdc"]),
    ("store", &["api"]),
    ("kafka", &["store", "api"]),
    ("jdbc", &["api"]),
    ("generator", &["cdc"]),
    ("files", &["api"]),
    ("runtime", &["store"]),
    ("telemetry", &[]),
    ("rest", &["runtime", "config", "telemetry"]),
    ("console", &["runtime", "config", "telemetry"]),
    ("local", &[]),
    ("testkit", &["local"]),
    ("xtask", &["testkit"]),
    // the only one that knows them all
    (
        "cli",
        &[
            "rest",
            "console",
            "runtime",
            "postgres",
            "mysql",
            "jdbc",
            "generator",
            "files",
            "local",
            "wasm",
            "packages",
            "kafka",
            "converters",
            "config",
            "telemetry",
        ],
    ),
];

const LINES: usize = 800;
const EMPTY_NAMES: &[&str] = &["utils", "util", "common", "types", "helpers", "helper", "manager"];

#[test]
fn crates_use_only_what_they_may() {
    let metadata = metadata();
    let mut wrong = vec![];
    for package in array(&metadata, "packages") {
        let path = Path::new(string(package, "manifest_path")).strip_prefix(root()).unwrap();
        let Ok(folder) = path.strip_prefix("host") else { continue };
        let name = folder.iter().next().unwrap().to_str().unwrap();
        let Some(allowed) = allowed(name) else {
            wrong.push(format!("host/{name} has no line in ARROWS"));
            continue;
        };
        for dependency in array(package, "dependencies") {
            // tests may use what they like
            let Some(path) = dependency.get("path").and_then(Value::as_str) else { continue };
            if !dependency["kind"].is_null() {
                continue;
            }
            let Ok(to) = Path::new(path).strip_prefix(root().join("host")) else {
                // the command line builds the standard transforms in; nobody else knows one
                if name != "cli" {
                    wrong.push(format!("{name} uses {path}"));
                }
                continue;
            };
            let to = to.to_str().unwrap();
            if !allowed.contains(to) {
                wrong.push(format!("{name} may not use {to}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn guests_and_their_libraries_know_nothing_of_the_host() {
    let metadata = metadata();
    let host = root().join("host");
    for package in array(&metadata, "packages") {
        if Path::new(string(package, "manifest_path")).starts_with(&host) {
            continue;
        }
        for dependency in array(package, "dependencies").iter().filter(|d| d["kind"].is_null()) {
            let path = dependency.get("path").and_then(Value::as_str).unwrap_or_default();
            assert!(!Path::new(path).starts_with(&host), "{} uses {path}", string(package, "name"));
        }
    }
}

#[test]
fn no_source_file_is_too_long() {
    let long: Vec<_> = sources()
        .into_iter()
        .filter_map(|path| {
            let lines = std::fs::read_to_string(root().join(&path)).unwrap().lines().count();
            (lines > LINES).then(|| format!("{}: {lines} lines", path.display()))
        })
        .collect();
    assert!(long.is_empty(), "{long:#?}");
}

#[test]
fn modules_are_called_by_what_they_hold() {
    let empty: Vec<_> = sources()
        .into_iter()
        .filter(|path| {
            path.iter().any(|part| EMPTY_NAMES.contains(&part.to_str().unwrap_or_default().trim_end_matches(".rs")))
        })
        .collect();
    assert!(empty.is_empty(), "{empty:#?}");
}

/// A clock that jumps moves no pause, no limit and no place: the machine's time is only written into records and metrics.
#[test]
fn the_machines_time_is_read_where_it_is_written_down() {
    const READERS: &[&str] = &[
        "host/cli/src/metrics.rs",           // the age of the last change
        "host/generator/src/source.rs",      // ts_ms
        "host/postgres/src/replication.rs",  // the client's time in a status update
        "host/postgres/src/snapshot/mod.rs", // source.ts_ms of rows read
        "host/postgres/src/streaming.rs",    // ts_ms
        "host/runtime/src/retry.rs",         // a seed
    ];
    let reads = |path: &PathBuf| {
        let text = std::fs::read_to_string(root().join(path)).unwrap();
        text.split("#[cfg(test)]").next().is_some_and(|product| product.contains("SystemTime::now()"))
    };
    let product = |path: &PathBuf| {
        let parts: Vec<_> = path.iter().filter_map(|p| p.to_str()).collect();
        matches!(parts.as_slice(), ["host", of, "src", ..] if !["xtask", "testkit"].contains(of))
    };
    let mut readers: Vec<_> = sources().into_iter().filter(product).filter(reads).collect();
    readers.sort();
    assert_eq!(readers, READERS.iter().map(PathBuf::from).collect::<Vec<_>>());
}

#[test]
fn no_file_tells_of_a_machine() {
    // in pieces: this file is looked at too
    let paths = ["work/", "root/", "home/", "Users/"].map(|folder| format!("/{folder}"));
    let mut found = vec![];
    for path in tracked() {
        let Ok(text) = std::fs::read_to_string(root().join(&path)) else { continue };
        for (n, line) in text.lines().enumerate() {
            if paths.iter().any(|p| machine(line, p)) {
                found.push(format!("{}:{}: {}", path.display(), n + 1, line.chars().take(120).collect::<String>()));
            }
        }
    }
    assert!(found.is_empty(), "{found:#?}");
}

/// Whether an absolute path begins so; one behind a host's name, or inside of a relative path, is none.
fn machine(line: &str, folder: &str) -> bool {
    line.match_indices(folder).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        before.is_none_or(|c| {
            !c.is_alphanumeric() && !matches!(c, '/' | '.' | '-' | '_' | '}' | ')' | ':' | '<' | '>' | '*')
        })
    })
}

#[test]
fn a_machine_is_recognised() {
    let path = ["/wo", "rk/"].concat();
    assert!(machine(&format!("cd {path}x"), &path));
    assert!(machine(&format!("\"{path}x\""), &path));
    assert!(!machine(&format!("https://example.org{path}x"), &path));
}

fn allowed(name: &str) -> Option<BTreeSet<&'static str>> {
    let arrows: BTreeMap<_, _> = ARROWS.iter().copied().collect();
    let mut all = BTreeSet::new();
    let mut next: Vec<&str> = arrows.get(name)?.to_vec();
    while let Some(to) = next.pop() {
        if all.insert(to) {
            next.extend(arrows.get(to).copied().unwrap_or_default());
        }
    }
    Some(all)
}

fn metadata() -> Value {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo).args(["metadata", "--no-deps", "--format-version=1"]).current_dir(root()).output();
    serde_json::from_slice(&output.unwrap().stdout).unwrap()
}

fn array<'a>(value: &'a Value, name: &str) -> &'a [Value] {
    value[name].as_array().map_or(&[], Vec::as_slice)
}

fn string<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap()
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap().to_owned()
}

fn sources() -> Vec<PathBuf> {
    let mut all = tracked();
    all.retain(|p| p.extension().is_some_and(|e| e == "rs"));
    assert!(all.len() > 50, "{} source files: they were not found", all.len());
    all
}

/// Files that git knows, without those that are gone; every file where there is no git.
fn tracked() -> Vec<PathBuf> {
    let git = Command::new("git").args(["ls-files", "-z"]).current_dir(root()).output();
    let listed: Vec<PathBuf> = match git {
        Ok(output) if output.status.success() => {
            String::from_utf8_lossy(&output.stdout).split_terminator('\0').map(PathBuf::from).collect()
        }
        _ => walk(&root()),
    };
    listed.into_iter().filter(|p| root().join(p).is_file()).collect()
}

fn walk(folder: &Path) -> Vec<PathBuf> {
    let mut all = vec![];
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        let (path, name) = (entry.path(), entry.file_name());
        if path.is_dir() && name != "target" && name != ".git" {
            all.extend(walk(&path));
        } else if path.is_file() {
            all.push(path.strip_prefix(root()).unwrap().to_owned());
        }
    }
    all
}
