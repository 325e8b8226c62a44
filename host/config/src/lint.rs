//! Everything that is wrong with what was written, at once and in the order of the file. Nothing is looked up outside.

use crate::catalog::{Catalog, Component, find, nearest};
use crate::interpolate::{self, Providers};
use crate::toml::CONVERTERS;
use crate::written::{Door, Entries, Entry, Part, Step, When, Written};
use crate::{connector, dead_letters, errors, format, limits, secret, worker};
use std::collections::BTreeSet;
use weir_api::{ConfigDef, Finding, KeyType, Place, Settings};

struct Linter<'a> {
    written: &'a Written,
    catalog: &'a Catalog,
    providers: Option<&'a Providers>,
    findings: Vec<Finding>,
    /// Connect: keys nobody knows, with what may have been meant
    unknown: Vec<(Entry, Option<String>)>,
    /// TOML: what unknown keys of the component at hand were to be; that these are missing has been said with them
    misspelt: Vec<String>,
    /// what the user wrote before the keys that are being looked at, as "transforms.route."
    prefix: String,
    /// what is known beside the keys of the component at hand
    beside: &'static [&'static str],
}

/// What is wrong with a pipeline; values with placeholders are not looked into.
pub fn check(written: &Written, catalog: &Catalog) -> Vec<Finding> {
    lint(written, catalog, None)
}

/// The same with every placeholder resolved: one that has no value is a finding, and what it stands for is checked too.
pub fn check_with(written: &Written, catalog: &Catalog, providers: &Providers) -> Vec<Finding> {
    lint(written, catalog, Some(providers))
}

/// What is wrong with worker properties. Converters are not required here: a connector may name its own.
pub fn check_worker(worker: &worker::Worker) -> Vec<Finding> {
    let nothing = Written::new(Door::Connect, "");
    let catalog = Catalog::default();
    let mut linter = Linter::new(&nothing, &catalog, None);
    linter.entries(&worker.entries, &worker::KEYS);
    linter.finish()
}

/// Findings in the order of the file; those without a place come last.
pub fn sort(findings: &mut [Finding]) {
    let place = |f: &Finding| f.place.as_ref().map(|p| (p.file.clone(), p.span.start, p.span.end));
    findings.sort_by_key(|f| (f.place.is_none(), place(f), f.code, f.key.clone(), f.message.clone()));
}

fn lint(written: &Written, catalog: &Catalog, providers: Option<&Providers>) -> Vec<Finding> {
    let mut linter = Linter::new(written, catalog, providers);
    linter.name();
    linter.part(written.source.as_ref(), "source", &catalog.sources);
    linter.steps();
    linter.part(written.sink.as_ref(), "sink", &catalog.sinks);
    linter.converters();
    linter.on_error(written.sink_on_error.as_ref());
    linter.errors();
    linter.finish()
}

// === impl Linter ===

impl<'a> Linter<'a> {
    fn new(written: &'a Written, catalog: &'a Catalog, providers: Option<&'a Providers>) -> Self {
        Linter {
            written,
            catalog,
            providers,
            findings: vec![],
            unknown: vec![],
            misspelt: vec![],
            prefix: String::new(),
            beside: &[],
        }
    }

    fn push(&mut self, finding: Option<Finding>) {
        self.findings.extend(finding);
    }

    /// Kafka Connect says in one warning which keys nobody used; so does this.
    fn finish(mut self) -> Vec<Finding> {
        if let Some((first, _)) = self.unknown.first() {
            let names: Vec<_> = self.unknown.iter().map(|(e, _)| format!("`{}`", e.key)).collect();
            let meant =
                self.unknown.iter().filter_map(|(e, near)| near.as_ref().map(|n| format!("`{n}` for `{}`", e.key)));
            let meant: Vec<_> = meant.collect();
            let verb = if names.len() == 1 { "is no known key" } else { "are no known keys" };
            let mut finding = Finding::warning("config.unknown-key", format!("{} {verb}", names.join(", ")));
            if !meant.is_empty() {
                finding = finding.help(format!("did you mean {}?", meant.join(", ")));
            }
            self.findings.push(first.blame_key(finding));
        }
        sort(&mut self.findings);
        self.findings.dedup();
        self.findings
    }

    fn name(&mut self) {
        let Some(name) = &self.written.name else {
            let finding = Finding::error("config.missing", "`name` must be set").key("name");
            return self.findings.push(finding.help("give the pipeline a name: offsets are stored under it"));
        };
        let blank = name.text.trim().is_empty() || name.text.chars().any(char::is_control);
        let finding = Finding::error("config.not-allowed", "`name` must be text without control characters");
        self.push(blank.then(|| name.blame(finding)));
    }

    fn part(&mut self, part: Option<&Part>, what: &'static str, components: &[Component]) {
        let Some(part) = part else {
            // A connector without a class was said already.
            if self.written.door == Door::Toml {
                let names: Vec<_> = components.iter().map(Component::name).collect();
                let finding = Finding::error("config.missing", format!("the pipeline has no {what}")).key(what);
                self.findings.push(finding.help(format!("add [{what}.KIND], KIND one of: {}", names.join(", "))));
            }
            return;
        };
        let Some(component) = find(components, &part.kind) else {
            let finding = Finding::error("config.unknown-kind", format!("there is no {what} `{}`", part.kind));
            let mut finding = suggest(finding, &part.kind, components);
            finding.place = part.at.clone();
            let key = if self.written.door == Door::Toml { what } else { "connector.class" };
            return self.findings.push(finding.key(key));
        };
        // in a connector they stand beside everything, in a file beside the sink's own
        self.beside = if self.written.door == Door::Connect || what == "sink" { CONVERTERS } else { &[] };
        match &component.def {
            Some(def) => {
                self.entries(&part.entries, def);
                self.required(&part.entries, def, part.at.as_ref(), &format!("[{what}.{}]", part.kind));
            }
            None => self.values(&part.entries),
        }
        self.together(&part.entries, component, part.at.as_ref());
    }

    /// What the component itself says of all its settings; what was said of a key before is not said again.
    fn together(&mut self, entries: &Entries, component: &Component, at: Option<&Place>) {
        let Some(check) = &component.check else { return };
        let resolved = |entry: &Entry| match self.providers {
            _ if !interpolate::has_placeholder(&entry.text) => Some(entry.text.clone()),
            Some(providers) => providers.entry(entry).ok(),
            None => None,
        };
        let values: Option<Vec<_>> = entries.iter().map(|e| Some((e.key.clone(), resolved(e)?))).collect();
        let Some(values) = values else { return };
        for mut finding in check.run(&Settings::new(values)) {
            let entry = finding.key.as_deref().and_then(|key| entries.get(key));
            let key = finding.key.as_deref().map(|key| self.full(key));
            if finding.code == "config.missing" && key.as_ref().is_some_and(|key| self.misspelt.contains(key)) {
                continue;
            }
            if self.findings.iter().any(|f| f.key.is_some() && f.key == key && f.severity >= finding.severity) {
                continue;
            }
            if finding.place.is_none() {
                finding.place = entry.and_then(|e| e.value_at.clone()).or_else(|| at.cloned());
            }
            self.findings.push(Finding { key, ..finding });
        }
    }

    fn steps(&mut self) {
        let mut names = BTreeSet::new();
        for step in &self.written.steps {
            if let Some(name) = &step.name
                && !names.insert(name.text.as_str())
            {
                let finding =
                    Finding::error("config.duplicate-name", format!("two transforms are named `{}`", name.text));
                self.push(Some(name.blame(finding)));
            }
            self.step(step);
            self.prefix = "limits.".into();
            self.entries(&step.limits, &limits::KEYS);
            self.prefix.clear();
            self.findings.extend(limits::check(&step.limits));
            self.on_error(step.on_error.as_ref());
            let negate = step.negate.as_ref();
            let bad = negate.filter(|e| !matches!(e.text.trim().to_ascii_lowercase().as_str(), "true" | "false"));
            self.push(bad.map(|e| e.blame(Finding::error("config.wrong-type", "`negate` takes true or false"))));
            let alone = negate.filter(|_| step.when.is_none() && self.written.door == Door::Toml);
            let finding = || Finding::error("config.missing", "`negate` has no `when` to negate");
            self.push(alone.map(|e| e.blame_key(finding())));
        }
    }

    fn on_error(&mut self, said: Option<&Entry>) {
        self.push(said.and_then(errors::bad_action));
        let dead = said.filter(|e| errors::action(&e.text) == Some(errors::OnError::DeadLetter));
        let has_place = errors::Errors::of(self.written).dead_letters.is_some();
        self.push(dead.filter(|_| !has_place).map(errors::no_dead_letters));
    }

    fn step(&mut self, step: &Step) {
        match &step.uses {
            Some(uses) => {
                let what = ("transform", "use");
                self.component(uses, &step.with, &self.catalog.transforms, what, step.at.as_ref());
            }
            None if self.written.door == Door::Toml => {
                let mut finding = Finding::error("config.missing", "the transform does not say what to use").key("use");
                finding.place = step.at.clone();
                self.findings.push(finding.help("use = \"weir:filter\", or the path of a .wasm file"));
            }
            None => {}
        }
        match &step.when {
            Some(When::Predicate { uses, with }) => {
                self.component(uses, with, &self.catalog.predicates, ("predicate", "when.use"), step.at.as_ref());
            }
            Some(When::Condition(condition)) if condition.text.trim().is_empty() => {
                self.push(Some(condition.blame(Finding::error("config.not-allowed", "`when` is empty"))));
            }
            Some(When::Condition(_)) | None => {}
        }
    }

    /// A step's or a predicate's choice and its options.
    fn component(
        &mut self,
        uses: &Entry,
        with: &Entries,
        components: &'a [Component],
        (what, key): (&str, &str),
        at: Option<&Place>,
    ) {
        let wanted = uses.text.trim();
        if let Some(found) = find(components, wanted) {
            let Some(def) = &found.def else {
                self.values(with);
                return self.together(with, found, uses.value_at.as_ref());
            };
            self.prefix = match (self.written.door, key) {
                (Door::Toml, "use") => "with.",
                (Door::Toml, _) => "",
                (Door::Connect, _) => uses.key.strip_suffix("type").unwrap_or_default(),
            }
            .to_owned();
            self.entries(with, def);
            self.required(with, def, uses.value_at.as_ref().or(at), &format!("`{wanted}`"));
            self.together(with, found, uses.value_at.as_ref());
            self.prefix.clear();
            return;
        }
        let guest = wanted.ends_with(".wasm") && !wanted.contains("://");
        let package = wanted.starts_with("oci://");
        if guest && self.catalog.guests || package && self.catalog.packages {
            return self.values(with);
        }
        let finding = if guest || package {
            let form = if guest { "a .wasm file" } else { "a package" };
            let finding = Finding::error("config.not-supported", format!("{form} as a {what} is not supported"));
            let names: Vec<_> = components.iter().map(Component::name).collect();
            finding.help(format!("what is built in: {}", names.join(", ")))
        } else {
            suggest(Finding::error("config.unknown-kind", format!("there is no {what} `{wanted}`")), wanted, components)
        };
        let key = if self.written.door == Door::Toml { key.to_owned() } else { uses.key.clone() };
        self.push(Some(uses.blame(finding.key(key))));
    }

    fn converters(&mut self) {
        for side in ["key", "value"] {
            let (chosen, findings) = format::choose(self.written, side);
            self.findings.extend(findings);
            let Some(chosen) = chosen else { continue };
            let settings: Entries = chosen.settings.into_iter().collect();
            self.prefix = format!("{side}.converter.");
            self.entries(&settings, &chosen.format.def);
            self.prefix.clear();
        }
        self.push(format::check_headers(self.written));
    }

    fn errors(&mut self) {
        let written = self.written;
        let def = if written.door == Door::Toml { &errors::TOML } else { &errors::CONNECT };
        self.entries(&written.errors, def);
        let mut common = written.common.clone();
        let debezium = common.split(|key| errors::DEBEZIUM.takes(key));
        self.entries(&common, &connector::KEYS);
        self.entries(&debezium, &errors::DEBEZIUM);
        self.findings.extend(match written.door {
            Door::Toml => errors::check(written),
            Door::Connect => dead_letters::check_connect(written),
        });
    }

    /// Values of a component that checks its options itself: only placeholders can be looked at.
    fn values(&mut self, entries: &Entries) {
        for entry in entries.iter() {
            let _ = self.value(entry);
        }
    }

    /// The text that a value stands for; None when it cannot be known now.
    fn value(&mut self, entry: &Entry) -> Option<String> {
        if !interpolate::has_placeholder(&entry.text) {
            return Some(entry.text.clone());
        }
        let resolved = match self.providers {
            Some(providers) => providers.entry(entry).map(Some),
            None => {
                self.findings.extend(interpolate::check(entry));
                Ok(None)
            }
        };
        resolved.unwrap_or_else(|finding| {
            self.findings.push(*finding);
            None
        })
    }

    fn entries(&mut self, entries: &Entries, def: &ConfigDef) {
        self.misspelt.clear();
        for entry in entries.iter() {
            let value = self.value(entry);
            match def.key(&entry.key) {
                Some(key) => {
                    let Some(finding) = value.as_deref().and_then(|v| key.check(v)) else { continue };
                    // The value of a password, or of what a placeholder stands for, is not for showing.
                    let hidden = key.kind == KeyType::Password
                        || interpolate::has_placeholder(&entry.text)
                        || secret::shown(&entry.text, false) != entry.text;
                    let finding = match value.filter(|v| hidden && !v.trim().is_empty()) {
                        Some(v) => Finding { message: finding.message.replace(v.trim(), secret::MASK), ..finding },
                        None => finding,
                    };
                    let finding = Finding { key: Some(self.full(&entry.key)), ..finding };
                    self.push(Some(entry.blame(finding)));
                }
                None if def.takes(&entry.key) => {}
                None => self.unknown(entry, self.near(&entry.key, def)),
            }
        }
    }

    /// The key that an unknown one was to be, perhaps.
    fn near(&self, unknown: &str, def: &ConfigDef) -> Option<&'static str> {
        // a transform has options of its own only
        let debezium = if self.prefix.is_empty() { errors::DEBEZIUM.keys } else { &[] };
        let beside = if self.prefix.is_empty() { self.beside } else { &[] };
        // Kafka Connect knows no short names
        let beside = beside.iter().filter(|k| self.written.door == Door::Toml || k.ends_with("converter"));
        let keys = def.keys.iter().chain(debezium);
        nearest(unknown, keys.filter(|k| k.listed).map(|k| k.name).chain(beside.copied()))
    }

    fn full(&self, key: &str) -> String {
        format!("{}{key}", self.prefix)
    }

    fn unknown(&mut self, entry: &Entry, near: Option<&'static str>) {
        let entry = &entry.renamed(self.full(&entry.key));
        let near = near.map(|n| self.full(n));
        if self.written.door == Door::Connect {
            return self.unknown.push((entry.clone(), near));
        }
        let finding = Finding::error("config.unknown-key", format!("`{}` is no known key", entry.key));
        let finding = match &near {
            Some(near) => finding.help(format!("did you mean `{near}`?")),
            None => finding,
        };
        self.misspelt.extend(near);
        self.push(Some(entry.blame_key(finding)));
    }

    fn required(&mut self, entries: &Entries, def: &ConfigDef, at: Option<&Place>, of: &str) {
        for key in def.keys.iter().filter(|k| k.required && k.default.is_none()) {
            let found = entries.get(key.name);
            if found.is_some_and(|e| !e.text.trim().is_empty()) || self.misspelt.contains(&self.full(key.name)) {
                continue;
            }
            let message = match self.written.door {
                Door::Toml => format!("{of} needs `{}`", self.full(key.name)),
                Door::Connect => format!("`{}` must be set", self.full(key.name)),
            };
            let mut finding = Finding::error("config.missing", message).key(self.full(key.name)).help(hint(key.doc));
            finding.place = found.and_then(|e| e.value_at.clone()).or_else(|| at.cloned());
            self.findings.push(finding);
        }
    }
}

fn suggest(finding: Finding, wanted: &str, components: &[Component]) -> Finding {
    let names = components.iter().flat_map(|c| c.names.iter().map(String::as_str));
    match nearest(wanted, names) {
        Some(near) => finding.help(format!("did you mean `{near}`?")),
        None => {
            let names: Vec<_> = components.iter().map(Component::name).collect();
            finding.help(format!("there are: {}", names.join(", ")))
        }
    }
}

/// A key's documentation as a hint: lower case, without a full stop.
fn hint(doc: &str) -> String {
    let mut chars = doc.trim_end_matches('.').chars();
    let first = chars.next().map(|c| c.to_ascii_lowercase());
    first.into_iter().chain(chars).collect()
}
