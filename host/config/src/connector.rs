//! A Kafka Connect connector (JSON, properties, or the map of a REST call) and its worker → [`Written`].
//!
//! A source connector becomes source + `sink.kafka` with the worker's producer; a sink connector becomes `source.kafka` with
//! the worker's consumer + sink.

use crate::catalog::Catalog;
use crate::errors;
use crate::worker::Worker;
use crate::written::{Door, Entries, Entry, Part, Step, When, Written};
use crate::{json, properties};
use std::collections::BTreeSet;
use weir_api::{ConfigDef, Finding, Importance, Key, KeyType};

/// What every connector has, besides names, converters, transforms, predicates and errors.
pub static KEYS: ConfigDef = ConfigDef {
    keys: &[
        Key::new("tasks.max", KeyType::Int, "The most tasks that the connector may have.").default("1"),
        Key::new("tasks.max.enforce", KeyType::Boolean, "Whether more tasks than that are an error.")
            .default("true")
            .ignored("a connector never makes more tasks than it may"),
        Key::new("config.action.reload", KeyType::String, "What a changed secret does.")
            .default("restart")
            .importance(Importance::Low)
            .one_of(&["none", "restart"])
            .ignored("values from providers are read when a task starts"),
        Key::new("exactly.once.support", KeyType::String, "Whether the source has to deliver exactly once.")
            .default("requested")
            .refused("set it to \"requested\": delivery is at least once"),
        Key::new("transaction.boundary", KeyType::String, "Where transactions end.")
            .default("poll")
            .one_of(&["poll", "interval", "connector"])
            .ignored("records are not written in transactions"),
        Key::new("transaction.boundary.interval.ms", KeyType::Long, "How often transactions end.")
            .ignored("records are not written in transactions"),
        Key::new("offsets.storage.topic", KeyType::String, "The connector's own offsets topic.")
            .ignored("offsets are kept in the data directory"),
    ],
    prefixes: &["admin.override."],
};

/// Reads a connector file: properties when the name ends so, else JSON. None: nothing could be read.
pub fn parse(file: &str, text: &str, worker: Option<&Worker>, catalog: &Catalog) -> (Option<Written>, Vec<Finding>) {
    let (entries, mut findings) = if file.ends_with(".properties") {
        let (entries, findings) = properties::parse(file, text);
        (Some(entries), findings)
    } else {
        json::parse(file, text)
    };
    let Some(entries) = entries else { return (None, findings) };
    let (written, more) = from_entries(file, entries, worker, catalog);
    findings.extend(more);
    (Some(written), findings)
}

/// The same from a map that is already there; `file` is how findings name it.
pub fn from_entries(
    file: &str,
    mut config: Entries,
    worker: Option<&Worker>,
    catalog: &Catalog,
) -> (Written, Vec<Finding>) {
    let mut findings = vec![];
    let mut written = Written::new(Door::Connect, file);
    written.name = config.take("name");
    let class = config.take("connector.class");
    if class.is_none() {
        let finding = Finding::error("config.missing", "`connector.class` must be set").key("connector.class");
        findings
            .push(finding.help("the class name of a connector, as io.debezium.connector.postgresql.PostgresConnector"));
    }
    written.steps = steps(&mut config, &mut findings);
    written.converters = converters(&mut config, worker);
    written.errors = config.split(|k| errors::CONNECT.takes(k));
    written.common = config.split(|k| KEYS.takes(k) || errors::DEBEZIUM.takes(k));
    let is_sink = class.as_ref().is_some_and(|c| catalog.is_sink_class(&c.text));
    let creation = config.split(|k| k.starts_with("topic.creation."));
    let producer = config.split_prefix("producer.override.");
    let consumer = config.split_prefix("consumer.override.");
    let kafka = |client: &str, overrides: Entries| {
        let mut entries = worker.map(|w| w.client(client)).unwrap_or_default();
        for entry in overrides {
            entries.set(entry);
        }
        Part { kind: "kafka".to_owned(), at: None, entries }
    };
    let part =
        |class: &Entry, entries| Some(Part { kind: class.text.trim().to_owned(), at: class.value_at.clone(), entries });
    if is_sink {
        let mut source = kafka("consumer", consumer);
        for entry in config.split(|k| k == "topics" || k == "topics.regex") {
            source.entries.set(entry);
        }
        written.source = Some(source);
        written.sink = class.as_ref().and_then(|c| part(c, config));
    } else {
        let mut sink = kafka("producer", producer);
        let wanted = worker.and_then(|w| w.entries.text("topic.creation.enable"));
        let off = wanted.is_some_and(|t| t.trim().eq_ignore_ascii_case("false"));
        for entry in creation {
            if off {
                let message =
                    format!("`{}` has no effect here: the worker sets topic.creation.enable to false", entry.key);
                findings.push(entry.blame_key(Finding::warning("config.no-effect", message)));
            } else {
                sink.entries.set(entry);
            }
        }
        written.source = class.as_ref().and_then(|c| part(c, config));
        written.sink = Some(sink);
    }
    (written, findings)
}

/// The connector's own converters, or else the worker's.
fn converters(config: &mut Entries, worker: Option<&Worker>) -> Entries {
    let mut all = Entries::default();
    for side in ["key", "value", "header"] {
        let name = format!("{side}.converter");
        let below = format!("{name}.");
        let own = config.split(|k| k == name || k.starts_with(&below));
        let inherited = worker.filter(|_| own.get(&name).is_none()).into_iter().flat_map(|w| w.converter(side));
        for entry in inherited.chain(own) {
            all.set(entry);
        }
    }
    all
}

fn aliases(config: &mut Entries, list: &str, findings: &mut Vec<Finding>) -> Vec<(String, Entry)> {
    let Some(entry) = config.take(list) else { return vec![] };
    let mut seen = BTreeSet::new();
    let mut found = vec![];
    let mut at = 0;
    for part in entry.text.split(',') {
        let start = at + (part.len() - part.trim_start().len());
        at += part.len() + 1;
        let alias = part.trim();
        if alias.is_empty() {
            continue;
        }
        let one = Entry { value_at: entry.at(&(start..start + alias.len())), ..entry.clone() };
        if !seen.insert(alias) {
            let finding = Finding::error("config.duplicate-name", format!("`{alias}` stands twice in `{list}`"));
            findings.push(one.blame(finding));
            continue;
        }
        found.push((alias.to_owned(), Entry { text: alias.to_owned(), ..one }));
    }
    found
}

fn steps(config: &mut Entries, findings: &mut Vec<Finding>) -> Vec<Step> {
    let aliases_of_steps = aliases(config, "transforms", findings);
    let predicates: Vec<(String, Entry, Entries)> = aliases(config, "predicates", findings)
        .into_iter()
        .map(|(alias, entry)| (alias.clone(), entry, config.split_prefix(&format!("predicates.{alias}."))))
        .collect();
    let mut used = BTreeSet::new();
    let mut steps = vec![];
    for (alias, entry) in aliases_of_steps {
        // "transforms.a." must not take what is of "transforms.a.b": Kafka Connect has the same ambiguity and does take it.
        let mut with = config.split_prefix(&format!("transforms.{alias}."));
        let uses = with.take("type").map(|e| e.renamed(format!("transforms.{alias}.type")));
        let (predicate, negate) = (with.take("predicate"), with.take("negate"));
        if uses.is_none() {
            findings.push(missing(&format!("transforms.{alias}.type"), &entry));
        }
        if let (None, Some(negate)) = (&predicate, &negate) {
            let message = format!("`transforms.{alias}.negate` has no `transforms.{alias}.predicate` to negate");
            findings.push(negate.blame(Finding::error("config.missing", message)));
        }
        let when = predicate.and_then(|wanted| {
            let found = predicates.iter().find(|(name, _, _)| name == wanted.text.trim());
            let Some((name, at, with)) = found else {
                let finding =
                    Finding::error("config.unknown-predicate", format!("there is no predicate `{}`", wanted.text));
                findings.push(wanted.blame(finding.help("list it in `predicates`")));
                return None;
            };
            let mut with = with.clone();
            match with.take("type") {
                Some(uses) => {
                    used.insert(name.clone());
                    Some(When::Predicate { uses: uses.renamed(format!("predicates.{name}.type")), with })
                }
                None => {
                    if used.insert(name.clone()) {
                        findings.push(missing(&format!("predicates.{name}.type"), at));
                    }
                    None
                }
            }
        });
        let at = entry.value_at.clone();
        steps.push(Step { name: Some(entry), uses, when, negate, with, at, ..Step::default() });
    }
    for (name, entry, _) in predicates.iter().filter(|(name, _, _)| !used.contains(name)) {
        let finding = Finding::warning("config.unused", format!("no transform uses the predicate `{name}`"));
        findings.push(entry.blame(finding));
    }
    steps
}

fn missing(key: &str, alias: &Entry) -> Finding {
    let mut finding = alias.blame(Finding::error("config.missing", format!("`{key}` must be set")));
    finding.key = Some(key.to_owned());
    finding
}
