//! Golden cases: a folder in `cases/` holds a pipeline or a connector (and maybe worker properties), and `expected.txt` holds
//! what is said about it and, when nothing is wrong, the plan. `WEIR_ACCEPT=1 cargo test` writes the answers anew.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

mod shop;

use std::fs;
use std::path::{Path, PathBuf};
use weir_config::{Plan, Providers, Style, Texts, Worker, check_with, connector, lint, report, secret, toml, worker};

fn folders() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases");
    let mut all: Vec<_> = fs::read_dir(root).unwrap().map(|f| f.unwrap().path()).collect();
    all.sort();
    all
}

/// What is said about a folder's files.
fn answer(folder: &Path) -> String {
    let catalog = shop::catalog();
    let providers = Providers::new(|name| (name == "DB_HOST").then(|| "db1".to_owned()), None);
    let mut texts = Texts::default();
    let mut read = |name: &str| {
        let text = fs::read_to_string(folder.join(name)).ok()?;
        texts.add(name, text.clone());
        Some(text)
    };
    let worker = read("worker.properties").map(|text| Worker::parse("worker.properties", &text));
    let (worker, mut findings) = worker.map_or((None, vec![]), |(w, f)| (Some(w), f));
    findings.extend(worker.iter().flat_map(worker::check));
    let (written, more) = match ["connector.json", "connector.properties"].into_iter().find_map(|n| Some((n, read(n)?)))
    {
        Some((name, text)) => connector::parse(name, &text, worker.as_ref(), &catalog),
        None => toml::parse("pipeline.toml", &read("pipeline.toml").unwrap()),
    };
    findings.extend(more);
    let Some(written) = written else { return report::graphical(&findings, &texts, Style::PLAIN) };
    secret::places(&written, &catalog).iter().for_each(|place| texts.hide(place));
    findings.extend(check_with(&written, &catalog, &providers));
    lint::sort(&mut findings);
    let mut out = report::graphical(&findings, &texts, Style::PLAIN);
    if !findings.iter().any(|f| f.is_error()) {
        let plan = Plan::new(&written, &catalog).0.unwrap();
        out.push_str("\n--- plan\n");
        out.push_str(&plan.to_toml());
    }
    out
}

#[test]
fn cases() {
    let accept = std::env::var_os("WEIR_ACCEPT").is_some();
    let folders = folders();
    assert!(folders.len() >= 25);
    let mut wrong = vec![];
    for folder in folders {
        let got = answer(&folder);
        assert!(!got.contains("hunter2"), "{} shows a secret:\n{got}", folder.display());
        let expected = folder.join("expected.txt");
        if accept {
            fs::write(expected, got).unwrap();
            continue;
        }
        let want = fs::read_to_string(&expected).unwrap_or_default();
        if got != want {
            let diff = similar::TextDiff::from_lines(&want, &got).unified_diff().context_radius(3).to_string();
            wrong.push(format!("{}\n{diff}", folder.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Whatever resolves prints as a pipeline file that resolves to the same again, without a word about it.
#[test]
fn a_printed_plan_resolves_to_itself() {
    let catalog = shop::catalog();
    let mut count = 0;
    for folder in folders() {
        let text = fs::read_to_string(folder.join("expected.txt")).unwrap_or_default();
        let Some((_, plan)) = text.split_once("--- plan\n") else { continue };
        let (written, findings) = toml::parse("plan.toml", plan);
        assert!(findings.is_empty(), "{}: {findings:?}", folder.display());
        let (again, findings) = Plan::new(&written.unwrap(), &catalog);
        assert!(findings.is_empty(), "{}: {findings:?}", folder.display());
        assert_eq!(again.unwrap().to_toml(), plan, "{}", folder.display());
        count += 1;
    }
    assert!(count >= 5);
}

#[test]
fn findings_as_json_have_line_and_column() {
    let text = "name = \"x\"\n[source.postgres]\ntopic.prefix = \"é\"; \n";
    let mut texts = Texts::default();
    texts.add("p.toml", text);
    let (_, findings) = toml::parse("p.toml", text);
    let json = report::json(&findings, &texts);
    assert_eq!(json[0]["code"], "config.syntax");
    assert_eq!((json[0]["severity"].as_str(), json[0]["file"].as_str()), (Some("error"), Some("p.toml")));
    assert_eq!((json[0]["line"].as_u64(), json[0]["column"].as_u64()), (Some(3), Some(19)));
    assert!(json[0]["help"].is_null() && json[0]["key"].is_null());
}

#[test]
fn colours_only_where_they_are_asked_for() {
    let mut texts = Texts::default();
    texts.add("p.toml", "x = ");
    let (_, findings) = toml::parse("p.toml", "x = ");
    assert!(!report::graphical(&findings, &texts, Style::PLAIN).contains('\u{1b}'));
    assert!(report::graphical(&findings, &texts, Style { colour: true, width: 80 }).contains('\u{1b}'));
}

#[test]
fn a_plan_never_shows_what_is_secret() {
    let text = "name = \"x\"\n[source.postgres]\ntopic.prefix = \"a\"\ndatabase.password = \"${env:PW}\"\npass = \"${env:PW}\"\nurl = \"postgres://w:hunter2@h\"\n[sink.kafka]\nbootstrap.servers = \"b\"\nsasl.jaas.config = \"hunter2\"";
    let (written, _) = toml::parse("p.toml", text);
    let (plan, findings) = Plan::new(&written.unwrap(), &shop::catalog());
    let plan = plan.unwrap_or_else(|| panic!("{findings:?}"));
    assert!(plan.to_toml().contains("\"database.password\" = \"${env:PW}\""));
    let running = plan.with_values(&Providers::new(|_| Some("hunter2".into()), None)).unwrap();
    assert_eq!(running.source.settings.settings().values["pass"], "hunter2");
    for plan in [&plan, &running] {
        for shown in [plan.to_toml(), plan.to_json().to_string(), format!("{plan:?}")] {
            assert!(!shown.contains("hunter2"), "{shown}");
        }
    }
    assert_eq!(plan.to_json()["version"], 1);
    assert_eq!(plan.to_json()["value"]["settings"]["schemas.enable"], "false");
    let none = plan.with_values(&Providers::new(|_| None, None)).unwrap_err();
    assert_eq!(none.code(), "config.unresolved");
}
