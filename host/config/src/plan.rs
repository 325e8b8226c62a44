//! What was resolved: the one thing that the runtime knows. Deterministic, versioned, printable; secrets print as `****`.

use crate::catalog::{Catalog, find};
use crate::dead_letters::{KAFKA, Place};
use crate::errors::{Errors, OnError};
use crate::interpolate::Providers;
use crate::limits::Limits;
use crate::lint;
use crate::written::{Entries, Entry, Part, Step, When, Written};
use crate::{errors, format, secret};
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use weir_api::{ConfigDef, Effect, Error, Finding, Settings};

pub const VERSION: u32 = 1;

/// A resolved pipeline. Serialising it masks secrets.
#[derive(Clone, PartialEq, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Plan {
    pub version: u32,
    pub name: String,
    pub source: Chosen,
    pub transforms: Vec<Transform>,
    pub key: Chosen,
    pub value: Chosen,
    pub sink: Chosen,
    pub errors: Errors,
    /// the most tasks that the source may have
    pub tasks_max: u32,
}

/// A component by its own name, and its settings as written: defaults come from its definition, placeholders are unresolved.
#[derive(Clone, PartialEq, Serialize)]
pub struct Chosen {
    pub kind: String,
    #[serde(serialize_with = "masked")]
    pub settings: Values,
}

/// Settings that know which of them are secret.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Values {
    pub values: BTreeMap<String, String>,
    secrets: BTreeSet<String>,
}

#[derive(Clone, PartialEq, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Transform {
    /// unique in the pipeline
    pub name: String,
    /// `kind`: the catalog's own name, a .wasm path as written, or "oci://…"
    #[serde(flatten)]
    pub uses: Chosen,
    pub when: Option<Condition>,
    pub negate: bool,
    pub limits: Limits,
    pub on_error: OnError,
}

#[derive(Clone, PartialEq, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Condition {
    Text(String),
    Predicate(Chosen),
}

// === impl Plan ===

impl Plan {
    /// Checks and resolves. Warnings stand beside the plan; an error among the findings means that there is none.
    pub fn new(written: &Written, catalog: &Catalog) -> (Option<Self>, Vec<Finding>) {
        let findings = lint::check(written, catalog);
        if findings.iter().any(Finding::is_error) {
            return (None, findings);
        }
        (Self::resolve(written, catalog), findings)
    }

    fn resolve(written: &Written, catalog: &Catalog) -> Option<Self> {
        let part = |part: &Part, of| Chosen::of(of, &part.kind, &part.entries);
        let side = |side: &str| {
            let chosen = format::choose(written, side).0?;
            let mut entries: Entries = chosen.settings.into_iter().collect();
            // what the short name sets is said, for it need not be what the converter does when nothing is said
            for (key, _) in chosen.format.names.first().map_or(&[][..], |name| name.1) {
                if let (None, Some(default)) = (entries.get(key), chosen.format.def.key(key).and_then(|k| k.default)) {
                    entries.set(Entry::new(*key, default));
                }
            }
            Some(Chosen {
                kind: chosen.format.kind.to_owned(),
                settings: Values::of(&entries, Some(&chosen.format.def)),
            })
        };
        let errors = Errors::of(written);
        let mut names = BTreeSet::new();
        let transforms = written.steps.iter().map(|step| transform(step, catalog, &errors, &mut names)).collect();
        Some(Plan {
            version: VERSION,
            name: written.name.as_ref()?.text.clone(),
            source: part(written.source.as_ref()?, &catalog.sources),
            transforms,
            key: side("key")?,
            value: side("value")?,
            sink: part(written.sink.as_ref()?, &catalog.sinks),
            errors,
            tasks_max: written.common.text("tasks.max").and_then(|t| t.trim().parse().ok()).unwrap_or(1),
        })
    }

    /// The same with every placeholder replaced: for running, not for showing or storing.
    pub fn with_values(&self, providers: &Providers) -> Result<Plan, Error> {
        let mut plan = self.clone();
        for chosen in [&mut plan.source, &mut plan.sink, &mut plan.key, &mut plan.value] {
            chosen.settings.resolve(providers)?;
        }
        for transform in &mut plan.transforms {
            transform.uses.settings.resolve(providers)?;
            if let Some(Condition::Predicate(predicate)) = &mut transform.when {
                predicate.settings.resolve(providers)?;
            }
        }
        if let Some(dead_letters) = &mut plan.errors.dead_letters {
            dead_letters.resolve(providers)?;
        }
        Ok(plan)
    }

    /// JSON with secrets masked.
    pub fn to_json(&self) -> serde_json::Value {
        serde_json::to_value(self).unwrap_or_default()
    }

    /// A pipeline file that resolves to this plan (but for masked secrets).
    pub fn to_toml(&self) -> String {
        let mut out = format!("version = {}\nname = {}\n", self.version, quoted(&self.name));
        let _ = write!(out, "\n[source.{}]\n{}", name(&self.source.kind), lines("", &self.source.settings));
        if self.tasks_max != 1 {
            let _ = writeln!(out, "\"tasks.max\" = {}", self.tasks_max);
        }
        for t in &self.transforms {
            let _ = write!(out, "\n[[transform]]\nname = {}\nuse = {}\n", quoted(&t.name), quoted(&t.uses.kind));
            out.push_str(&lines("with.", &t.uses.settings));
            match &t.when {
                Some(Condition::Text(text)) => {
                    let _ = writeln!(out, "when = {}", quoted(text));
                }
                Some(Condition::Predicate(p)) => {
                    let options: String =
                        p.settings.shown().map(|(k, v)| format!(", {} = {}", quoted(k), quoted(&v))).collect();
                    let _ = writeln!(out, "when = {{ use = {}{options} }}", quoted(&p.kind));
                }
                None => {}
            }
            if t.negate {
                out.push_str("negate = true\n");
            }
            out.push_str(&t.limits.to_toml());
            let _ = writeln!(out, "on-error = {}", quoted(word(t.on_error)));
        }
        let _ = write!(out, "\n[sink.{}]\n{}", name(&self.sink.kind), lines("", &self.sink.settings));
        for (side, chosen) in [("key", &self.key), ("value", &self.value)] {
            let _ = writeln!(out, "{side}.format = {}", quoted(&chosen.kind));
            out.push_str(&lines(&format!("{side}.converter."), &chosen.settings));
        }
        let _ = writeln!(out, "on-error = {}", quoted(word(self.errors.sink)));
        out.push_str(&self.errors_table());
        out
    }

    fn errors_table(&self) -> String {
        let e = &self.errors;
        let mut out = format!("\n[errors]\non-error = {}\n", quoted(word(e.on_error)));
        if let Some(dead) = &e.dead_letters {
            let (key, text) = match &dead.place {
                Place::Topic(topic) => ("topic", topic),
                Place::File(file) => ("file", file),
            };
            let _ = writeln!(out, "dead-letter.{key} = {}", quoted(text));
            if dead.connect_headers {
                out.push_str("dead-letter.connect-headers = true\n");
            }
            out.push_str(&lines(KAFKA, &dead.kafka));
        }
        for (key, is_set) in [("log.enable", e.log), ("log.include.messages", e.log_records)] {
            if is_set {
                let _ = writeln!(out, "{key} = true");
            }
        }
        out.extend(e.retry.max.map(|n| format!("retry.max = {n}\n")));
        for (key, ms) in [
            ("retry.timeout", e.retry.timeout_ms),
            ("retry.delay.initial", e.retry.delay_initial_ms),
            ("retry.delay.max", e.retry.delay_max_ms),
        ] {
            out.extend(ms.map(|ms| format!("{key} = {}\n", quoted(&errors::time(ms)))));
        }
        out
    }
}

fn transform(step: &Step, catalog: &Catalog, errors: &Errors, names: &mut BTreeSet<String>) -> Transform {
    let uses = step.uses.as_ref().map_or("", |u| u.text.trim());
    let uses = Chosen::of(&catalog.transforms, uses, &step.with);
    let given = step.name.as_ref().map(|n| n.text.clone());
    let wanted = given.unwrap_or_else(|| {
        let tail = uses.kind.rsplit([':', '/', '.']).find(|part| !part.is_empty() && *part != "wasm");
        tail.unwrap_or("transform").to_owned()
    });
    let mut name = wanted.clone();
    let mut count = 1;
    while !names.insert(name.clone()) {
        count += 1;
        name = format!("{wanted}-{count}");
    }
    let when = step.when.as_ref().map(|when| match when {
        When::Condition(text) => Condition::Text(text.text.clone()),
        When::Predicate { uses, with } => Condition::Predicate(Chosen::of(&catalog.predicates, uses.text.trim(), with)),
    });
    Transform {
        name,
        uses,
        when,
        negate: step.negate.as_ref().is_some_and(|n| n.text.trim().eq_ignore_ascii_case("true")),
        limits: Limits::of(&step.limits),
        on_error: step.on_error.as_ref().and_then(|e| errors::action(&e.text)).unwrap_or(errors.on_error),
    }
}

// === impl Chosen ===

impl Chosen {
    fn of(components: &[crate::Component], kind: &str, entries: &Entries) -> Self {
        let found = find(components, kind);
        let def = found.and_then(|c| c.def);
        Chosen { kind: found.map_or(kind, |c| c.name()).to_owned(), settings: Values::of(entries, def.as_ref()) }
    }
}

impl std::fmt::Debug for Chosen {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Chosen").field("kind", &self.kind).field("settings", &self.settings).finish()
    }
}

// === impl Values ===

impl Values {
    /// Without the keys that have no effect, or that nobody knows: they were said once, and what is resolved can be read again
    /// without a word about them.
    pub(crate) fn of(entries: &Entries, def: Option<&ConfigDef>) -> Self {
        let works = |def: &ConfigDef, key: &str| {
            def.takes(key) && def.key(key).is_none_or(|k| !matches!(k.effect, Effect::Ignored(_)))
        };
        let entries: Vec<_> = entries.iter().filter(|e| def.is_none_or(|d| works(d, &e.key))).collect();
        Values {
            values: entries.iter().map(|e| (e.key.clone(), e.text.clone())).collect(),
            secrets: entries.iter().map(|e| &e.key).filter(|k| secret::is_secret(def, k)).cloned().collect(),
        }
    }
    /// For the component: everything as it is.
    pub fn settings(&self) -> Settings {
        Settings::new(self.values.clone())
    }
    /// Names and values as they may be shown, sorted by name.
    pub fn shown(&self) -> impl Iterator<Item = (&str, Cow<'_, str>)> {
        self.values.iter().map(|(k, v)| (k.as_str(), secret::shown(v, self.secrets.contains(k))))
    }
    /// Whatever a placeholder stood for is a secret from here on.
    pub(crate) fn resolve(&mut self, providers: &Providers) -> Result<(), Error> {
        let resolved = providers.settings(&self.settings())?.values;
        let changed = resolved.iter().filter(|(k, v)| self.values.get(*k) != Some(v)).map(|(k, _)| k.clone());
        self.secrets.extend(changed);
        self.values = resolved;
        Ok(())
    }
}

impl std::fmt::Debug for Values {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_map().entries(self.shown()).finish()
    }
}

pub(crate) fn masked<S: Serializer>(values: &Values, to: S) -> Result<S::Ok, S::Error> {
    let mut map = to.serialize_map(Some(values.values.len()))?;
    for (key, value) in values.shown() {
        map.serialize_entry(key, &value)?;
    }
    map.end()
}

fn lines(prefix: &str, values: &Values) -> String {
    values.shown().map(|(key, value)| format!("{prefix}{} = {}\n", quoted(key), quoted(&value))).collect()
}

fn word(on_error: OnError) -> &'static str {
    match on_error {
        OnError::Fail => "fail",
        OnError::Skip => "skip",
        OnError::DeadLetter => "dead-letter",
    }
}

/// A kind as a part of a table's name.
fn name(kind: &str) -> String {
    let plain = !kind.is_empty() && kind.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
    if plain { kind.to_owned() } else { quoted(kind) }
}

/// A TOML basic string.
fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            c if c.is_control() => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}
