//! Pipeline files into plans: both front doors, and all that is wrong with them at once.

use crate::args::Files;
use crate::connectors;
use crate::failure::Failure;
use crate::guests::Guests;
use crate::output;
use std::path::Path;
use std::sync::Arc;
use weir_api::{Error, Finding};
use weir_config::dead_letters::Place;
use weir_config::{Plan, Providers, Texts, Worker, Written, connector, lint, secret, toml};

/// Plans of all files, placeholders as written, with the warnings printed.
pub fn plans(files: &Files, guests: &Arc<Guests>) -> Result<Vec<Plan>, Failure> {
    let (plans, findings, texts) = resolve(files, guests)?;
    if findings.iter().any(Finding::is_error) {
        return Err(Failure::Findings(findings, texts));
    }
    output::warn(&findings, &texts);
    Ok(plans)
}

/// The plan of a pipeline file's text that is in no file; `name` is what findings call it.
pub fn plan_of(name: &str, text: &str, guests: &Arc<Guests>) -> Result<Plan, Failure> {
    let (mut texts, mut plans) = (Texts::default(), vec![]);
    texts.add(name, text);
    let (written, mut findings) = toml::parse(name, text);
    if let Some(written) = written {
        let (catalog, found) = connectors::with_used(connectors::catalog(), &written, guests);
        findings.extend(found);
        secret::places(&written, &catalog).iter().for_each(|place| texts.hide(place));
        resolve_one(&written, &catalog, &Providers::from_env(), &mut findings, &mut plans);
    }
    only(plans, findings, texts)
}

/// The plan of one file, placeholders as written, with the warnings printed.
pub fn plan(file: &Path, worker: Option<&Path>, guests: &Arc<Guests>) -> Result<Plan, Failure> {
    let files = Files { files: vec![file.to_owned()], worker: worker.map(Path::to_owned) };
    let (plans, findings, texts) = resolve(&files, guests)?;
    only(plans, findings, texts)
}

fn only(mut plans: Vec<Plan>, findings: Vec<Finding>, texts: Texts) -> Result<Plan, Failure> {
    match plans.pop() {
        Some(plan) if !findings.iter().any(Finding::is_error) => {
            output::warn(&findings, &texts);
            Ok(plan)
        }
        _ => Err(Failure::Findings(findings, texts)),
    }
}

/// Plans and everything there is to say about them.
pub fn resolve(files: &Files, guests: &Arc<Guests>) -> Result<(Vec<Plan>, Vec<Finding>, Texts), Failure> {
    let catalog = connectors::catalog();
    let (mut texts, mut findings, mut plans) = (Texts::default(), vec![], vec![]);
    let worker = match &files.worker {
        None => None,
        Some(path) => {
            let text = read(path)?;
            let file = path.display().to_string();
            texts.add(&file, &text);
            let (worker, found) = Worker::parse(&file, &text);
            findings.extend(found);
            findings.extend(lint::check_worker(&worker));
            Some(worker)
        }
    };
    let providers = Providers::from_env();
    for path in &files.files {
        let text = read(path)?;
        let file = path.display().to_string();
        texts.add(&file, &text);
        let is_toml = path.extension().is_some_and(|e| e == "toml");
        let (written, found) = match is_toml {
            true => toml::parse(&file, &text),
            false => connector::parse(&file, &text, worker.as_ref(), &catalog),
        };
        findings.extend(found);
        let Some(written) = written else { continue };
        let (catalog, found) = connectors::with_used(catalog.clone(), &written, guests);
        findings.extend(found);
        secret::places(&written, &catalog).iter().for_each(|place| texts.hide(place));
        resolve_one(&written, &catalog, &providers, &mut findings, &mut plans);
    }
    lint::sort(&mut findings);
    Ok((plans, findings, texts))
}

fn resolve_one(
    written: &Written,
    catalog: &weir_config::Catalog,
    providers: &Providers,
    findings: &mut Vec<Finding>,
    plans: &mut Vec<Plan>,
) {
    let found = weir_config::check_with(written, catalog, providers);
    let failed = found.iter().any(Finding::is_error);
    findings.extend(found);
    if failed {
        return;
    }
    if let (Some(plan), _) = Plan::new(written, catalog) {
        findings.extend(missing(&plan));
        findings.extend(dead_letters(&plan));
        plans.push(plan)
    }
}

/// What a plan asks for that is not there yet: refused, rather than left out in silence.
fn missing(plan: &Plan) -> Vec<Finding> {
    let mut found = vec![];
    let mut refuse = |key: &str, what: &str, help: &str| {
        found.push(Finding::error("config.not-supported", what).key(key).help(help));
    };
    for t in &plan.transforms {
        if t.when.is_some() || t.negate {
            let what = format!("`{}` runs under a condition, which is not supported yet", t.name);
            refuse("when", &what, "put a `weir:filter` step before it, or name the field in its own options")
        }
    }
    found
}

/// What is wrong with the client of dead letters that go to a topic.
fn dead_letters(plan: &Plan) -> Vec<Finding> {
    let Some(dead) = plan.errors.dead_letters.as_ref().filter(|d| matches!(d.place, Place::Topic(_))) else {
        return vec![];
    };
    let mut found = vec![];
    for (name, text) in &dead.kafka.values {
        let key = format!("dead-letter.kafka.{name}");
        match weir_kafka::KEYS.key(name) {
            // what a placeholder stands for is not known now
            Some(known) if !text.contains("${") => found.extend(known.check(text).map(|f| f.key(key))),
            Some(_) => {}
            None if weir_kafka::KEYS.takes(name) => {}
            None => found.push(Finding::error("config.unknown-key", format!("`{key}` is no known key")).key(key)),
        }
    }
    let servers = connectors::dead_letter_client(plan).values.get("bootstrap.servers").cloned().unwrap_or_default();
    if servers.trim().is_empty() {
        let key = "dead-letter.kafka.bootstrap.servers";
        let finding = Finding::error("config.missing", format!("`{key}` must be set: the sink is no Kafka")).key(key);
        found.push(finding.help("or let dead letters go to a file: dead-letter = { file = \"…\" }"));
    }
    found
}

fn read(path: &Path) -> Result<String, Error> {
    let bytes = std::fs::read(path)
        .map_err(|e| Error::input("file.unreadable", format!("`{}` cannot be read: {e}", path.display())))?;
    match path.extension().is_some_and(|e| e == "properties") {
        true => Ok(weir_config::properties::decode(&bytes)),
        false => String::from_utf8(bytes)
            .map_err(|_| Error::input("file.not-utf8", format!("`{}` is not UTF-8", path.display()))),
    }
}
