//! A pipeline file → [`Written`]. Dotted and quoted keys flatten to one map, and every key and value keeps its place.

use crate::catalog::nearest;
use crate::written::{Door, Entries, Entry, Part, Step, When, Written};
use crate::{errors, secret};
use std::ops::Range;
use toml_edit::{Document, Item, TableLike, Value};
use weir_api::{Finding, Place};

/// What stands outside of all tables, and the tables.
pub const TOP: &[&str] = &["name", "version", "source", "transform", "sink", "errors"];
/// What `[[transform]]` takes.
pub const STEP: &[&str] = &["name", "use", "when", "negate", "with", "limits", "on-error"];
/// Keys of a sink's table that speak of the converters.
pub(crate) const CONVERTERS: &[&str] =
    &["key.format", "value.format", "key.converter", "value.converter", "header.converter"];

struct Reader<'a> {
    file: &'a str,
    text: &'a str,
    findings: Vec<Finding>,
}

/// Reads a pipeline file. None: it is no TOML at all.
pub fn parse(file: &str, text: &str) -> (Option<Written>, Vec<Finding>) {
    let mut reader = Reader { file, text, findings: vec![] };
    let document = match Document::parse(text) {
        Ok(document) => document,
        Err(e) => {
            let finding = reader.syntax(e.message(), e.span().unwrap_or(0..0));
            return (None, vec![finding]);
        }
    };
    let written = reader.pipeline(document.as_table());
    (Some(written), reader.findings)
}

// === impl Reader ===

impl Reader<'_> {
    fn place(&self, span: Range<usize>) -> Place {
        Place { file: self.file.to_owned(), span }
    }

    fn blame(&mut self, code: &'static str, message: String, help: Option<String>, span: Option<Range<usize>>) {
        let mut finding = Finding::error(code, message);
        finding.help = help;
        finding.place = span.map(|s| self.place(s));
        self.findings.push(finding);
    }

    /// The parser's own error; when one key begins with another, the line that mends it.
    fn syntax(&self, message: &str, span: Range<usize>) -> Finding {
        let span = span.start.min(self.text.len())..span.end.min(self.text.len());
        let start = self.text.get(..span.start).and_then(|t| t.rfind('\n')).map_or(0, |i| i + 1);
        let line = self.text.get(start..).unwrap_or_default().lines().next().unwrap_or_default();
        let conflict = message.starts_with("cannot extend") || message.starts_with("duplicate key");
        let assignment = line.split_once('=').filter(|_| conflict).map(|(k, v)| (bare(k), v.trim()));
        let place = self.place(span);
        let Some((key, value)) = assignment else {
            let code = if conflict { "config.duplicate-key" } else { "config.syntax" };
            return Finding::error(code, flat(message)).at(place);
        };
        let again = self.text.lines().filter_map(|l| l.split_once('=')).filter(|(k, _)| bare(k) == key).count() > 1;
        if again && message.starts_with("duplicate") {
            return Finding::error("config.duplicate-key", format!("`{key}` is set twice")).key(key).at(place);
        }
        let value = if secret::is_secret_name(&key) { "…".into() } else { secret::shown(value, false) };
        let why = if message.starts_with("duplicate") {
            "another key begins with it"
        } else {
            "another key is its beginning"
        };
        Finding::error("config.key-is-table", format!("`{key}` cannot be dotted: {why}"))
            .help(format!("quote it: \"{key}\" = {value}"))
            .key(key)
            .at(place)
    }

    fn pipeline(&mut self, root: &dyn TableLike) -> Written {
        let mut written = Written::new(Door::Toml, self.file);
        for (name, item) in root.iter() {
            match name {
                "name" => written.name = self.scalar("name", root, name),
                "version" => {
                    if let Some(version) = self.scalar("version", root, name).filter(|v| v.text != "1") {
                        let finding =
                            Finding::error("config.version", format!("version {} is not known", version.text));
                        self.findings.push(version.blame(finding.help("version = 1")));
                    }
                }
                "source" => written.source = self.part(root, name, item),
                "sink" => written.sink = self.part(root, name, item),
                "transform" => written.steps = self.steps(root, item),
                "errors" => match item.as_table_like() {
                    Some(table) => written.errors = self.flatten(table),
                    None => self.not_a_table(root, name, "[errors]"),
                },
                _ => {
                    let help = match nearest(name, TOP.iter().copied()) {
                        Some(near) => format!("did you mean `{near}`?"),
                        None => format!("a pipeline has: {}", TOP.join(", ")),
                    };
                    let span = root.key(name).and_then(|k| k.span());
                    self.blame("config.unknown-table", format!("`{name}` is no part of a pipeline"), Some(help), span);
                    if let Some(finding) = self.findings.last_mut() {
                        finding.key = Some(name.to_owned());
                    }
                }
            }
        }
        if let Some(source) = &mut written.source {
            written.common = source.entries.split(|key| key == "tasks.max" || errors::DEBEZIUM.takes(key));
        }
        if let Some(sink) = &mut written.sink {
            written.sink_on_error = sink.entries.take("on-error");
            written.converters = sink.entries.split(|key| {
                CONVERTERS.contains(&key)
                    || key.starts_with("key.converter.")
                    || key.starts_with("value.converter.")
                    || key.starts_with("header.converter.")
            });
        }
        written
    }

    fn not_a_table(&mut self, root: &dyn TableLike, name: &str, as_what: &str) {
        let span = root.key(name).and_then(|k| k.span());
        self.blame("config.not-a-table", format!("`{name}` must be a table"), Some(format!("write {as_what}")), span);
    }

    /// `[source.KIND]`, once.
    fn part(&mut self, root: &dyn TableLike, name: &str, item: &Item) -> Option<Part> {
        let Some(table) = item.as_table_like() else {
            self.not_a_table(root, name, &format!("[{name}.KIND]"));
            return None;
        };
        let mut part = None;
        for (kind, item) in table.iter() {
            let span = table.key(kind).and_then(|k| k.span());
            let Some(settings) = item.as_table_like() else {
                let help = format!("put it under the kind, as [{name}.KIND]");
                self.blame("config.not-a-table", format!("`{kind}` stands outside of a kind"), Some(help), span);
                continue;
            };
            if part.is_some() {
                let help = Some(format!("write one pipeline for each {name}"));
                self.blame("config.two-parts", format!("a pipeline has one {name}, and this is another"), help, span);
                continue;
            }
            let entries = self.flatten(settings);
            part = Some(Part { kind: kind.to_owned(), at: span.map(|s| self.place(s)), entries });
        }
        part
    }

    fn steps(&mut self, root: &dyn TableLike, item: &Item) -> Vec<Step> {
        let Some(tables) = item.as_array_of_tables() else {
            self.not_a_table(root, "transform", "[[transform]] for each step");
            return vec![];
        };
        tables.iter().map(|table| self.step(table)).collect()
    }

    fn step(&mut self, table: &toml_edit::Table) -> Step {
        let mut step = Step { at: table.span().map(|s| self.place(self.first_line(s))), ..Step::default() };
        for (name, item) in table.iter() {
            match (name, item.as_table_like()) {
                ("name", _) => step.name = self.scalar(name, table, name),
                ("use", _) => step.uses = self.scalar(name, table, name),
                ("negate", _) => step.negate = self.scalar(name, table, name),
                ("on-error", _) => step.on_error = self.scalar(name, table, name),
                ("when", Some(when)) => {
                    let mut with = self.flatten(when);
                    match with.take("use") {
                        Some(uses) => step.when = Some(When::Predicate { uses, with }),
                        None => {
                            let span = table.key(name).and_then(|k| k.span());
                            let help = Some("when = { use = \"…\" }, or a condition as text".into());
                            self.blame("config.missing", "`when` does not say what to use".into(), help, span);
                        }
                    }
                }
                ("when", None) => step.when = self.scalar(name, table, name).map(When::Condition),
                ("with", Some(with)) => step.with = self.flatten(with),
                ("limits", Some(limits)) => step.limits = self.flatten(limits),
                ("with" | "limits", None) => self.not_a_table(table, name, &format!("{name} = {{ … }}")),
                _ => {
                    let span = table.key(name).and_then(|k| k.span());
                    let help = match nearest(name, STEP.iter().copied()) {
                        Some(near) => format!("did you mean `{near}`?"),
                        None => format!("the transform's own options begin with `with.`: with.{name} = …"),
                    };
                    self.blame("config.unknown-key", format!("a transform has no `{name}`"), Some(help), span);
                    if let Some(finding) = self.findings.last_mut() {
                        finding.key = Some(name.to_owned());
                    }
                }
            }
        }
        step
    }

    /// A span without what follows its first line: the header of a table.
    fn first_line(&self, span: Range<usize>) -> Range<usize> {
        let text = self.text.get(span.clone()).unwrap_or_default();
        let len = text.find('\n').unwrap_or(text.len());
        span.start..span.start + text.get(..len).unwrap_or_default().trim_end().len()
    }

    fn scalar(&mut self, full: &str, table: &dyn TableLike, name: &str) -> Option<Entry> {
        let mut entries = vec![];
        let item = table.get(name)?;
        self.leaf(full.to_owned(), &[], table, name, item, &mut entries);
        entries.pop()
    }

    /// Every value under a table, with its dotted name.
    fn flatten(&mut self, table: &dyn TableLike) -> Entries {
        let mut found = vec![];
        self.walk(table, &mut vec![], &mut found);
        let mut entries = Entries::default();
        for entry in found {
            let (key, span) = (entry.key.clone(), entry.key_at.clone().map(|p| p.span));
            if entries.set(entry).is_some() {
                let help = Some("dotted and quoted keys mean the same: keep one of them".into());
                self.blame("config.duplicate-key", format!("`{key}` is set twice"), help, span);
                if let Some(finding) = self.findings.last_mut() {
                    finding.key = Some(key);
                }
            }
        }
        entries.sort_by_place();
        entries
    }

    fn walk(&mut self, table: &dyn TableLike, path: &mut Vec<String>, found: &mut Vec<Entry>) {
        for (name, item) in table.iter() {
            if let Some(below) = item.as_table_like() {
                path.push(name.to_owned());
                self.walk(below, path, found);
                path.pop();
                continue;
            }
            let full = path.iter().map(String::as_str).chain([name]).collect::<Vec<_>>().join(".");
            self.leaf(full, path, table, name, item, found);
        }
    }

    fn leaf(
        &mut self,
        full: String,
        path: &[String],
        table: &dyn TableLike,
        name: &str,
        item: &Item,
        to: &mut Vec<Entry>,
    ) {
        let key_span = table.key(name).and_then(|k| k.span()).map(|s| self.whole_key(s, path));
        let Some(text) = item.as_value().and_then(plain) else {
            let help = Some("give text, a number, true, false, or an array of these".into());
            self.blame("config.wrong-type", format!("`{full}` cannot take this value"), help, item.span().or(key_span));
            return;
        };
        let value_span = item.span();
        let verbatim = value_span.clone().and_then(|span| {
            let raw = self.text.get(span.clone())?;
            let at = [1, 3, 0].into_iter().find(|at| raw.get(*at..).is_some_and(|r| r.starts_with(&*text)))?;
            (raw.len() <= text.len() + 2 * at + 1).then_some(span.start + at)
        });
        let key_at = key_span.map(|s| self.place(s));
        let value_at = value_span.map(|s| self.place(s));
        to.push(Entry { key: full, text, key_at, value_at, verbatim });
    }

    /// The parser gives the place of a dotted key's last part; the whole key reaches back over the parts before it.
    fn whole_key(&self, last: Range<usize>, path: &[String]) -> Range<usize> {
        let mut start = last.start;
        for part in path.iter().rev() {
            let before = self.text.get(..start).unwrap_or_default().trim_end_matches([' ', '\t']);
            let Some(before) = before.strip_suffix('.') else { break };
            let before = before.trim_end_matches([' ', '\t']);
            let quoted = [format!("\"{part}\""), format!("'{part}'"), part.clone()];
            let Some(len) = quoted.iter().find(|q| before.ends_with(q.as_str())).map(String::len) else { break };
            start = before.len() - len;
        }
        start..last.end
    }
}

/// A scalar, or an array of scalars as a comma separated list.
fn plain(value: &Value) -> Option<String> {
    Some(match value {
        Value::String(text) => text.value().clone(),
        Value::Integer(n) => n.value().to_string(),
        Value::Float(n) => n.value().to_string(),
        Value::Boolean(b) => b.value().to_string(),
        Value::Datetime(t) => t.value().to_string(),
        Value::Array(items) => {
            let parts: Option<Vec<String>> =
                items.iter().map(|v| plain(v).filter(|t| !v.is_array() && !t.contains(','))).collect();
            parts?.join(",")
        }
        Value::InlineTable(_) => return None,
    })
}

/// A key as it reads without quotes and blanks.
fn bare(key: &str) -> String {
    key.split('.').map(|part| part.trim().trim_matches(['"', '\''])).collect::<Vec<_>>().join(".")
}

fn flat(message: &str) -> String {
    message.replace('\n', "; ")
}
