//! Whatever the bytes: a pipeline, a finding, and never a panic. Every place lies inside of its text.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod shop;

use proptest::prelude::*;
use std::fs;
use std::path::Path;
use weir_config::{Plan, Providers, Style, Texts, Worker, check_with, connector, report, secret, toml, worker};

/// Every input of the golden cases.
fn seeds() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases");
    let mut seeds = vec![];
    for folder in fs::read_dir(root).unwrap() {
        for file in fs::read_dir(folder.unwrap().path()).unwrap() {
            let path = file.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            if name != "expected.txt" {
                seeds.push((name, fs::read_to_string(&path).unwrap()));
            }
        }
    }
    seeds.sort();
    seeds
}

fn survive(file: &str, text: &str) {
    let catalog = shop::catalog();
    let (written, mut findings) = match file.rsplit_once('.').unwrap().1 {
        "toml" => toml::parse(file, text),
        _ => {
            let (worker, findings) = Worker::parse(file, text);
            let mut all = findings;
            all.extend(worker::check(&worker));
            let (written, findings) = connector::parse(file, text, Some(&worker), &catalog);
            all.extend(findings);
            (written, all)
        }
    };
    let mut texts = Texts::default();
    texts.add(file, text);
    if let Some(written) = &written {
        secret::places(written, &catalog).iter().for_each(|p| texts.hide(p));
        findings.extend(check_with(written, &catalog, &Providers::new(|_| None, None)));
        if let Some(plan) = Plan::new(written, &catalog).0 {
            assert!(toml::parse("plan", &plan.to_toml()).1.is_empty(), "{}", plan.to_toml());
            plan.to_json();
        }
    } else {
        assert!(!findings.is_empty());
    }
    for place in findings.iter().filter_map(|f| f.place.as_ref()) {
        assert!(text.get(place.span.clone()).is_some(), "{place:?} is no place of {text:?}");
    }
    assert!(report::graphical(&findings, &texts, Style::PLAIN).lines().count() >= findings.len());
    assert_eq!(report::json(&findings, &texts).as_array().unwrap().len(), findings.len());
}

fn mutated(text: &str, changes: &[(prop::sample::Index, u8, String)]) -> String {
    let mut chars: Vec<char> = text.chars().collect();
    for (at, what, with) in changes {
        let i = at.index(chars.len() + 1);
        let end = (i + usize::from(what / 8)).min(chars.len());
        match what % 8 {
            0 => drop(chars.drain(i..end)),
            1 => drop(chars.splice(i..i, with.chars())),
            2 => drop(chars.splice(i..end, with.chars())),
            3 => {
                let copy = chars[i..end].to_vec();
                drop(chars.splice(i..i, copy));
            }
            4 => drop(chars.splice(i..i, "\"'[]{}.=,:\\\n${é".chars().nth(usize::from(what / 8) % 15))),
            5 => chars.truncate(i.max(1)),
            6 => chars[i..end].reverse(),
            _ => drop(chars.splice(i..i, "${env:".chars())),
        }
    }
    chars.into_iter().collect()
}

#[test]
fn every_seed_survives() {
    let seeds = seeds();
    assert!(seeds.len() >= 25);
    for (file, text) in &seeds {
        survive(file, text);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn mutated_files_never_panic(
        seed in any::<prop::sample::Index>(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), "\\PC{0,6}"), 1..8),
    ) {
        let seeds = SEEDS.get_or_init(seeds);
        let (file, text) = &seeds[seed.index(seeds.len())];
        survive(file, &mutated(text, &changes));
    }
}

static SEEDS: std::sync::OnceLock<Vec<(String, String)>> = std::sync::OnceLock::new();
