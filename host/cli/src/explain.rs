//! `weir explain`: the page of an error code, or what a configuration key, a connector or a transform is; offline.

use crate::args::{Common, Explain};
use crate::failure::Failure;
use crate::guests::{self, Guests};
use crate::output::Done;
use crate::{connectors, guests::Standard};
use serde_json::{Value, json};
use std::fmt::Write;
use weir_api::{ConfigDef, Effect, Error, Importance, Key, KeyType};
use weir_config::catalog::nearest;
use weir_config::{connector, errors, format, worker};

include!(concat!(env!("OUT_DIR"), "/pages.rs"));

/// Where keys are written, and which.
struct Place {
    /// as a user writes it: "[sink.kafka]"
    within: String,
    /// names that stand for it on the command line
    names: Vec<String>,
    /// what it is, where somebody says so
    summary: String,
    def: ConfigDef,
}

/// What a connector writes in front of keys that belong to somebody else.
const IN_FRONT: &[&str] =
    &["producer.override.", "consumer.override.", "admin.override.", "producer.", "with.", "dead-letter.kafka."];
const CONNECTOR: &str = "a Kafka Connect connector";

/// What a pipeline file has beside its parts' own keys.
static PIPELINE: ConfigDef = ConfigDef {
    keys: &[
        Key::new("name", KeyType::String, "What the pipeline is called; its offsets are stored under this name.")
            .required(),
        Key::new("version", KeyType::Int, "Of the file's form.").default("1").one_of(&["1"]),
        Key::new("source", KeyType::String, "Where rows come from: a table [source.KIND], with the kind's own keys.")
            .required(),
        Key::new("transform", KeyType::String, "The steps that records go through, in order: tables [[transform]]."),
        Key::new("sink", KeyType::String, "Where records go: a table [sink.KIND], with the kind's own keys.")
            .required(),
        Key::new(
            "errors",
            KeyType::String,
            "What becomes of records that fail, and of lost connections: a table [errors].",
        ),
    ],
    prefixes: &[],
};

static STEP: ConfigDef = ConfigDef {
    keys: &[
        Key::new(
            "name",
            KeyType::String,
            "What the step is called in counts, logs and dead letters; made from `use` if absent.",
        ),
        Key::new(
            "use",
            KeyType::Class,
            "A standard transform (\"weir:filter\"), the Java class it stands for, or a .wasm file.",
        )
        .required(),
        Key::new("with", KeyType::String, "The transform's own options, as with.fields = \"email\"."),
        Key::new("when", KeyType::String, "A condition that records have to fulfil to go through the step.")
            .refused("put a `weir:filter` step before it, or name the field in its own options"),
        Key::new("negate", KeyType::Boolean, "Whether `when` means the others.")
            .default("false")
            .refused("put a `weir:filter` step before it, or name the field in its own options"),
        Key::new(
            "limits",
            KeyType::String,
            "What the guest may use: { memory = \"16MiB\", time-per-batch = \"50ms\" }.",
        ),
        Key::new(
            "on-error",
            KeyType::String,
            "What becomes of a record that the step cannot take; else [errors] says it.",
        )
        .one_of(&["fail", "skip", "dead-letter"]),
    ],
    prefixes: &[],
};

const FORMATS: &[&str] = &["json", "json-with-schema", "string", "bytes"];

/// How keys and values are written is said at the sink.
static FORMAT: ConfigDef = ConfigDef {
    keys: &[
        Key::new("key.format", KeyType::String, "What keys are written as.").default("json").one_of(FORMATS),
        Key::new("value.format", KeyType::String, "What values are written as.").default("json").one_of(FORMATS),
        Key::new("key.converter", KeyType::Class, "The same as a converter's class, with its settings below this key."),
        Key::new(
            "value.converter",
            KeyType::Class,
            "The same as a converter's class, with its settings below this key.",
        ),
        Key::new("header.converter", KeyType::Class, "How headers are written: as SimpleHeaderConverter does."),
    ],
    prefixes: &["key.converter.", "value.converter.", "header.converter."],
};

pub fn run(args: &Explain, common: &Common) -> Result<Done, Failure> {
    let is_code = |what: &String| PAGES.iter().any(|(code, _)| code == what);
    // transforms say themselves what they take: they are asked only where it is about more than codes
    let places = match !args.what.is_empty() && args.what.iter().all(is_code) {
        true => vec![],
        false => places(args, &*common.guests()?)?,
    };
    if args.what.is_empty() {
        return Ok(contents(&places));
    }
    let explained = args.what.iter().map(|what| explain(what.trim(), &places)).collect::<Result<Vec<_>, _>>()?;
    let text = explained.iter().map(|(text, _)| text.as_str()).collect::<Vec<_>>().join("\n");
    let result: Vec<_> = explained.into_iter().map(|(_, json)| json).collect();
    Ok(Done { summary: args.what.join(", "), text, result: result.into() })
}

/// Text and JSON of one code, key or component.
fn explain(what: &str, places: &[Place]) -> Result<(String, Value), Error> {
    if let Some((code, page)) = PAGES.iter().find(|(code, _)| *code == what) {
        return Ok((page.to_string(), json!({"kind": "code", "code": code, "page": page})));
    }
    let named = std::iter::once(what).chain(IN_FRONT.iter().filter_map(|front| what.strip_prefix(front)));
    for key in named {
        let found: Vec<_> = places.iter().filter_map(|p| Some((p, p.def.key(key)?))).collect();
        if !found.is_empty() {
            return Ok(show_key(key, &found));
        }
    }
    if let Some(place) = places.iter().find(|p| p.names.iter().any(|n| is_named(n, what))) {
        return Ok(show_place(place));
    }
    let below = |p: &Place| p.def.prefixes.iter().find(|prefix| what.starts_with(*prefix)).copied();
    let families: Vec<_> = places.iter().filter_map(|p| Some((p, below(p)?))).collect();
    if !families.is_empty() {
        return Ok(show_family(what, &families));
    }
    let codes = PAGES.iter().map(|(code, _)| *code);
    let keys = places.iter().flat_map(|p| p.def.keys.iter().map(|k| k.name));
    let names = places.iter().flat_map(|p| p.names.iter().map(String::as_str));
    let help = match nearest(what, codes.chain(keys).chain(names)) {
        Some(near) => format!("did you mean `{near}`?"),
        None => "`weir explain` lists codes and components; a component's name lists its keys".to_string(),
    };
    Err(Error::input("explain.unknown", format!("`{what}` is no code, key or component")).help(help))
}

/// A class also by its last name, as Kafka Connect allows.
fn is_named(name: &str, what: &str) -> bool {
    name == what || name.strip_suffix(what).is_some_and(|before| before.ends_with('.'))
}

/// Every place that takes keys, transforms that are named by a file among them.
fn places(args: &Explain, guests: &Guests) -> Result<Vec<Place>, Error> {
    let catalog = connectors::catalog();
    let mut all = vec![];
    for (what, components) in [("source", &catalog.sources), ("sink", &catalog.sinks)] {
        for c in components {
            let names = c.names.iter().chain([&format!("{what}.{}", c.name())]).cloned().collect();
            let within = format!("[{what}.{}]", c.name());
            all.extend(c.def.map(|def| Place { within, names, summary: format!("A {what}."), def }));
        }
    }
    for Standard { name, classes, .. } in guests::STANDARD {
        let names = std::iter::once(*name).chain(classes.iter().map(|(class, _)| *class)).map(String::from).collect();
        all.push(step(name, names, guests)?);
    }
    for file in args.what.iter().filter(|w| w.ends_with(".wasm")) {
        all.push(step(file, vec![file.clone()], guests)?);
    }
    for f in format::FORMATS {
        let names = f.names.iter().map(|(name, _)| name).chain(f.classes).map(|n| n.to_string()).collect();
        let within = format!("key.converter and value.converter, {}", f.kind);
        all.push(Place { within, names, summary: "A converter of keys and values.".into(), def: f.def });
    }
    let place = |within: &str, name: &str, def| Place {
        within: within.into(),
        names: vec![name.into()],
        summary: format!("Keys of {within}."),
        def,
    };
    all.push(place("a pipeline file", "pipeline", PIPELINE));
    all.push(place("[[transform]]", "step", STEP));
    all.push(place("every [sink.…]", "format", FORMAT));
    all.push(place("[errors]", "errors", errors::TOML));
    all.push(place(CONNECTOR, "connector", connector::KEYS));
    all.push(place("a Kafka Connect connector's error handling", "connector.errors", errors::CONNECT));
    all.push(place("a Debezium connector's error handling", "debezium.errors", errors::DEBEZIUM));
    all.push(place("a Kafka Connect worker", "worker", worker::KEYS));
    Ok(all)
}

fn step(uses: &str, names: Vec<String>, guests: &Guests) -> Result<Place, Error> {
    let (summary, def) = guests.described(uses)?;
    Ok(Place { within: format!("[[transform]] use = \"{uses}\", below `with.`"), names, summary, def })
}

/// What there is to ask for.
fn contents(places: &[Place]) -> Done {
    let mut text = String::from("codes\n");
    let mut areas: Vec<(&str, Vec<&str>)> = vec![];
    for (code, _) in PAGES.iter().filter(|(code, _)| !is_java(code)) {
        let area = code.split('.').next().unwrap_or_default();
        match areas.last_mut().filter(|(last, _)| *last == area) {
            Some((_, codes)) => codes.push(code),
            None => areas.push((area, vec![code])),
        }
    }
    for (area, codes) in &areas {
        let below: Vec<_> = codes.iter().map(|c| c.strip_prefix(area).unwrap_or(c)).collect();
        let _ = writeln!(text, "  {area}: {}", below.join(" "));
    }
    let java: Vec<_> = PAGES.iter().map(|(code, _)| *code).filter(|code| is_java(code)).collect();
    let _ = writeln!(text, "  as Java's transforms would say it: {}", java.join(" "));
    text.push_str("\ncomponents, each with its keys\n");
    let named: Vec<_> = places.iter().filter_map(|p| p.names.first()).collect();
    named.iter().for_each(|name| text.push_str(&format!("  {name}\n")));
    let codes: Vec<_> = PAGES.iter().map(|(code, _)| code).collect();
    let summary = format!("{} codes, {} components", codes.len(), named.len());
    Done { summary, result: json!({"codes": codes, "components": named}), text }
}

/// Exceptions of the originals, whose names are codes of transforms that stand for them.
fn is_java(code: &str) -> bool {
    code.ends_with("Exception")
}

fn show_key(name: &str, found: &[(&Place, &Key)]) -> (String, Value) {
    let mut text = format!("# {name}\n");
    let mut list = vec![];
    for (place, key) in found {
        let _ = write!(text, "\n{}\n\n", key.doc);
        let mut line = |what: &str, is: &str| text.push_str(&format!("  {what:8} {is}\n"));
        line("in", &place.within);
        line("type", kind(key.kind));
        let default = key.default.filter(|d| !d.is_empty());
        line("default", if key.required { "none: it must be set" } else { default.unwrap_or("none") });
        if !key.one_of.is_empty() {
            line("values", &key.one_of.join(", "))
        }
        if !key.group.is_empty() {
            line("group", key.group)
        }
        let effect = effect(&key.effect);
        effect.iter().for_each(|(what, why)| line("note", &format!("{what}: {why}")));
        list.push(json!({
            "in": place.within, "doc": key.doc, "type": kind(key.kind), "default": key.default, "required": key.required,
            "values": key.one_of, "group": key.group, "importance": importance(key.importance),
            "effect": effect.map_or("works", |(what, _)| what), "note": effect.map(|(_, why)| why),
        }))
    }
    (text, json!({"kind": "key", "key": name, "accepted": list}))
}

fn show_place(place: &Place) -> (String, Value) {
    let mut text =
        format!("# {}\n\n{}\n\n  in {}\n\n", place.names.first().map_or("", |n| n), place.summary, place.within);
    let listed: Vec<_> = place.def.keys.iter().filter(|k| k.listed).collect();
    let (works, rest): (Vec<&Key>, Vec<&Key>) = listed.iter().partition(|k| k.effect == Effect::Works);
    let width = works.iter().map(|k| k.name.len()).max().unwrap_or(0).min(40);
    for key in works {
        let must = if key.required { "must be set; " } else { "" };
        let _ = writeln!(text, "  {:width$}  {must}{}", key.name, key.doc);
    }
    if !rest.is_empty() {
        let names: Vec<_> = rest.iter().map(|k| k.name).collect();
        let _ = writeln!(text, "\nknown, and without effect or refused: {}", names.join(", "));
    }
    let keys: Vec<_> = listed.iter().map(|k| k.name).collect();
    (
        text,
        json!({"kind": "component", "names": place.names, "in": place.within, "summary": place.summary, "keys": keys}),
    )
}

fn show_family(what: &str, families: &[(&Place, &str)]) -> (String, Value) {
    let mut text = format!("# {what}\n\n");
    for (place, prefix) in families {
        let _ = writeln!(text, "any key below `{prefix}` is accepted in {}", place.within);
    }
    let list: Vec<_> = families.iter().map(|(p, prefix)| json!({"in": p.within, "prefix": prefix})).collect();
    (text, json!({"kind": "family", "key": what, "accepted": list}))
}

fn kind(kind: KeyType) -> &'static str {
    match kind {
        KeyType::Boolean => "true or false",
        KeyType::Short => "whole number of 16 bits",
        KeyType::Int => "whole number of 32 bits",
        KeyType::Long => "whole number",
        KeyType::Double => "number",
        KeyType::String => "text",
        KeyType::List => "list, separated by commas",
        KeyType::Millis => "milliseconds",
        KeyType::Class => "name of a class",
        KeyType::Password => "secret",
    }
}

fn importance(importance: Importance) -> &'static str {
    match importance {
        Importance::High => "high",
        Importance::Medium => "medium",
        Importance::Low => "low",
    }
}

fn effect(effect: &Effect) -> Option<(&'static str, &'static str)> {
    match effect {
        Effect::Works => None,
        Effect::Ignored(why) => Some(("without effect", why)),
        Effect::Refused(instead) => Some(("refused unless at its default", instead)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use weir_config::toml;

    #[test]
    fn what_a_file_may_say_is_explained() {
        let names = |def: &ConfigDef| def.keys.iter().map(|k| k.name).collect::<std::collections::BTreeSet<_>>();
        assert_eq!(names(&PIPELINE), toml::TOP.iter().copied().collect());
        assert_eq!(names(&STEP), toml::STEP.iter().copied().collect());
    }

    #[test]
    fn formats_are_all_there_are() {
        let all: Vec<_> = format::FORMATS.iter().flat_map(|f| f.names.iter().map(|(name, _)| *name)).collect();
        assert_eq!(FORMATS, all);
    }

    #[test]
    fn pages_are_in_the_order_of_their_codes() {
        assert!(PAGES.len() > 150 && PAGES.is_sorted_by_key(|(code, _)| code.split('.').next()));
    }
}
