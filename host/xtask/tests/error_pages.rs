//! Every error code that the program can say has a page in `host/docs/errors`, every page is of a code, and a test provokes it.
//!
//! Codes are found by their form, so that one cannot be said without being seen here: text in the first place of an error's
//! constructor, and any literal that begins with an area that codes have ("postgres.", "guest.", …).
#![allow(clippy::unwrap_used, clippy::indexing_slicing)] // a test that cannot look has failed

use regex::Regex;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Literals that look like codes: configuration keys and files.
const NO_CODES: &[&str] = &[
    "config.action.reload",
    "config.providers",
    "config.storage.topic",
    "demo.toml",
    "metrics.num.samples",
    "metrics.recording.level",
    "metrics.sample.window.ms",
    "offsets.storage.topic",
    "pipeline.toml",
    "task.shutdown.graceful.timeout.ms",
    "weir.pid",
    "weir.redb",
    "weir.sock",
];

/// What a page consists of, in this order.
const SECTIONS: [&str; 3] = ["## Why", "## What mends it", "## Rows meanwhile"];

#[test]
fn every_code_has_a_page_and_every_page_a_code() {
    let (codes, pages) = (codes(), pages());
    assert!(codes.len() > 100, "{} codes: they were not found", codes.len());
    let of = |map: &BTreeMap<String, _>| map.keys().cloned().collect::<BTreeSet<String>>();
    let (said, written) = (codes.keys().cloned().collect::<BTreeSet<_>>(), of(&pages));
    let without: Vec<_> = said.difference(&written).map(|c| format!("{c} ({})", codes[c].display())).collect();
    let unsaid: Vec<_> = written.difference(&said).collect();
    assert!(without.is_empty(), "codes without a page host/docs/errors/<code>.md: {without:#?}");
    assert!(unsaid.is_empty(), "pages of codes that nobody says: {unsaid:#?}");
}

#[test]
fn pages_say_why_and_what_mends() {
    for (code, text) in pages() {
        assert!(text.starts_with(&format!("# {code}\n\n")), "{code}: the heading is the code");
        let mut parts = vec![];
        let mut rest = text.as_str();
        for section in SECTIONS {
            let (before, after) =
                rest.split_once(&format!("\n{section}\n")).unwrap_or_else(|| no_section(&code, section));
            parts.push(before);
            rest = after;
        }
        parts.push(rest);
        for part in &parts {
            let words = part.lines().filter(|l| !l.starts_with('#')).map(str::trim).collect::<String>();
            assert!(words.len() > 5, "{code}: a section is empty");
        }
    }
}

#[allow(clippy::panic)]
fn no_section(code: &str, section: &str) -> ! {
    panic!("{code}: `{section}` is missing, or not in its place")
}

/// `cargo test -p weir-xtask --test error_pages -- --nocapture` prints which test says which code.
#[test]
fn every_code_is_provoked_by_a_test() {
    let tests = tests();
    let mut wrong = vec![];
    for code in codes().keys() {
        let named = named(code);
        match tests.iter().find(|(_, text)| named.is_match(text)) {
            Some((by, _)) => println!("{code:55} {}", by.display()),
            None => wrong.push(format!("no test provokes {code}")),
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// A code, and nothing that merely begins or ends like it.
fn named(code: &str) -> Regex {
    Regex::new(&format!(r"(^|[^a-zA-Z0-9.-]){}($|[^a-zA-Z0-9.-]|\.(\W|$))", regex::escape(code))).unwrap()
}

#[test]
fn a_code_is_recognised() {
    let is = named("guest.trap");
    assert!(is.is_match("error[guest.trap]: x") && is.is_match("\"guest.trap\"") && is.is_match("guest.trap\n"));
    assert!(!is.is_match("guest.trap-door") && !is.is_match("my.guest.trap") && !is.is_match("guest.trap.door"));
    let found = |text: &str| said_in(text, &["guest"]).into_iter().collect::<Vec<_>>();
    assert_eq!(found(r#"Error::retry( "a.new-area", format!("x"))"#), ["a.new-area"]);
    assert_eq!(found("const TRAP: &str = \"guest.trap\"; let key = \"group.id\";"), ["guest.trap"]);
    assert_eq!(found("x\n#[cfg(test)]\nmod tests { \"guest.trap\" }"), Vec::<String>::new());
}

/// Codes, each with a file that says it.
fn codes() -> BTreeMap<String, PathBuf> {
    let pages = pages();
    let areas: BTreeSet<&str> = pages.keys().filter_map(|c| c.split('.').next()).collect();
    let areas: Vec<&str> = areas.into_iter().collect();
    let mut all = BTreeMap::new();
    for path in tracked().into_iter().filter(|p| is_product(p)) {
        for code in said_in(&read(&path), &areas) {
            all.entry(code).or_insert_with(|| path.clone());
        }
    }
    for no_code in NO_CODES {
        assert!(all.remove(*no_code).is_some(), "{no_code} looks like no code any more: take it off the list");
    }
    all
}

/// The codes in a source file, outside of its tests.
fn said_in(text: &str, areas: &[&str]) -> BTreeSet<String> {
    let text = product_part(text);
    let first = r#"(?:Error|Finding|Failure)::(?:new|retry|input|environment|error|warning)\(\s*"([a-zA-Z0-9.$-]+)""#;
    let java = r#""((?:io|java|org)\.[a-z.]+\.[A-Z][A-Za-z]+(?:Exception|Error))""#;
    let code = format!(r#""((?:{})(?:\.[a-z0-9]+(?:-[a-z0-9]+)*)+)""#, areas.join("|"));
    let all = [first, java, &code].map(|form| Regex::new(form).unwrap());
    all.iter().flat_map(|form| form.captures_iter(text)).map(|c| c[1].to_string()).collect()
}

fn product_part(text: &str) -> &str {
    text.split_once("#[cfg(test)]").map_or(text, |(product, _)| product)
}

/// Whether a file is part of what users run.
fn is_product(path: &Path) -> bool {
    let is_under = |folder: &str| path.starts_with(folder);
    path.extension().is_some_and(|e| e == "rs")
        && ["host", "sdk", "transforms"].iter().any(|f| is_under(f))
        && !["host/xtask", "host/testkit", "sdk/rust/example", "sdk/rust/src/testing", "transforms/vectors"]
            .iter()
            .any(|f| is_under(f))
        && !path.iter().any(|part| part == "tests" || part == "benches" || part == "examples")
        && path.file_name().is_some_and(|name| name != "tests.rs")
}

/// What tests say: their sources, and what they expect.
fn tests() -> Vec<(PathBuf, String)> {
    let of = |path: PathBuf| {
        let text = read(&path);
        let is_test = path.iter().any(|part| part == "tests" || part == "tests.rs" || part == "vectors");
        let text = match path.extension().is_some_and(|e| e == "rs") {
            _ if is_test => text,
            true => text.split_once("#[cfg(test)]").map(|(_, tests)| tests.to_string())?,
            false => return None,
        };
        Some((path, text))
    };
    let kinds = ["rs", "txt", "json", "jsonl"];
    let is_text = |p: &PathBuf| p.extension().is_some_and(|e| kinds.iter().any(|k| e == *k));
    tracked().into_iter().filter(|p| is_text(p) && !p.starts_with("host/xtask/tests")).filter_map(of).collect()
}

/// Code → text.
fn pages() -> BTreeMap<String, String> {
    let folder = root().join("host/docs/errors");
    let files = std::fs::read_dir(folder).unwrap().map(|f| f.unwrap().path());
    files
        .map(|p| (p.file_stem().unwrap().to_str().unwrap().to_string(), std::fs::read_to_string(&p).unwrap()))
        .collect()
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_default()
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap().to_owned()
}

/// Files that git knows or could know.
fn tracked() -> Vec<PathBuf> {
    let git = Command::new("git")
        .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        .current_dir(root())
        .output()
        .unwrap();
    let all: Vec<PathBuf> = String::from_utf8_lossy(&git.stdout).split_terminator('\0').map(PathBuf::from).collect();
    assert!(all.len() > 200, "{} files: they were not found", all.len());
    all.into_iter().filter(|p| root().join(p).is_file()).collect()
}
