//! Every connector, converter and transform there is; nobody else knows them all.

use crate::guests::{self, Guests};
use std::path::Path;
use std::sync::Arc;
use weir_api::{Error, Finding, Largest, Settings, Sink, Source};
use weir_config::dead_letters::Place;
use weir_config::plan::{Chosen, Transform};
use weir_config::{Catalog, Component, Plan, Written};
use weir_converters::{ByteArray, JavaString, Json, JsonConverter, SimpleHeader};
use weir_files::Text;
use weir_model::Converter;
use weir_runtime::{Converters, DeadLetters, MakeSink, OnError, Reports, Step};

/// Bytes of the largest letter.
const LETTER: &str = "67108864";
const SPILL: &str = "stream.spill.directory";
const POSTGRES: &[&str] = &["postgres", "io.debezium.connector.postgresql.PostgresConnector"];

/// What configurations may name, but for what transforms that are used say of themselves ([`with_used`]).
pub fn catalog() -> Catalog {
    Catalog {
        sources: vec![
            Component::new(POSTGRES, weir_postgres::KEYS).with_check(weir_postgres::check),
            Component::new(&["generator"], weir_generator::KEYS),
        ],
        sinks: vec![
            Component::new(&["kafka"], weir_kafka::KEYS).with_check(weir_kafka::check),
            Component::new(&["stdout"], weir_files::stdout::KEYS),
            Component::new(&["file"], weir_files::file::KEYS),
            Component::new(&["discard"], weir_files::discard::KEYS),
        ],
        transforms: guests::names().map(|name| Component::opaque(&[name])).collect(),
        predicates: vec![],
        guests: true,
        packages: false,
    }
}

/// The catalog with the options of the transforms that a pipeline uses; a guest that cannot be loaded is a finding.
pub fn with_used(mut catalog: Catalog, written: &Written, guests: &Arc<Guests>) -> (Catalog, Vec<Finding>) {
    let mut findings = vec![];
    for uses in written.steps.iter().filter_map(|s| s.uses.as_ref()) {
        let name = uses.text.trim();
        let known = catalog.transforms.iter().position(|c| c.is(name));
        let kind = match known.and_then(|i| catalog.transforms.get(i)) {
            Some(c) if c.def.is_some() => continue,
            Some(c) => c.name().to_string(),
            None if name.ends_with(".wasm") => name.to_string(),
            None => continue,
        };
        match guests.component(&kind) {
            Ok(component) => {
                catalog.transforms.retain(|c| c.name() != kind);
                catalog.transforms.push(component)
            }
            Err(e) => {
                let mut finding = Finding::error(e.code(), e.message());
                finding.help = e.hint().map(String::from);
                finding.place = uses.value_at.clone();
                findings.push(finding)
            }
        }
    }
    (catalog, findings)
}

fn unknown(what: &str, kind: &str) -> Error {
    Error::input("config.unknown-kind", format!("there is no {what} `{kind}`"))
}

/// `directory`: Weir's own, where a source may keep what it cannot keep in memory.
pub fn source(plan: &Plan, directory: &Path) -> Result<Box<dyn Source>, Error> {
    let mut settings = plan.source.settings.settings();
    match plan.source.kind.as_str() {
        "postgres" => {
            // a folder for each pipeline: two may read slots of one name
            let spill = directory.join("spill").join(file_name(&plan.name));
            let set = settings.values.entry(SPILL.into()).or_default();
            if let (true, Some(spill)) = (set.trim().is_empty(), spill.to_str()) {
                *set = spill.into();
            }
            weir_postgres::open(&settings)
        }
        "generator" => weir_generator::open(&settings, &plan.name),
        other => Err(unknown("source", other)),
    }
}

/// The largest records that the sink takes; shared by all that are made of it, and the chain.
pub fn largest(plan: &Plan) -> Largest {
    match plan.sink.kind.as_str() {
        "kafka" => weir_kafka::largest(&plan.sink.settings.settings()),
        _ => Largest::default(),
    }
}

/// Makes the sink; called again after a failure.
pub fn sink(plan: &Plan, largest: &Largest) -> Result<Box<dyn Sink>, Error> {
    let settings = plan.sink.settings.settings();
    let (key, value) = (text(&plan.key), text(&plan.value));
    Ok(match plan.sink.kind.as_str() {
        "kafka" => weir_kafka::open(&settings, &format!("weir-{}", plan.name), largest)?,
        "stdout" => Box::new(weir_files::Stdout::open(&settings, key, value)?),
        "file" => Box::new(weir_files::FileSink::open(&settings, key, value)?),
        "discard" => Box::new(weir_files::Discard::open(&settings)?),
        other => return Err(unknown("sink", other)),
    })
}

/// A pipeline's name as one folder's, and no other pipeline's.
fn file_name(name: &str) -> String {
    let byte = |b: u8| match b {
        b'-' | b'_' | b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' => char::from(b).to_string(),
        other => format!("%{other:02x}"),
    };
    name.bytes().map(byte).collect()
}

fn text(chosen: &Chosen) -> Text {
    match chosen.kind.as_str() {
        "json" => Text::Json,
        "string" => Text::Text,
        _ => Text::Bytes,
    }
}

pub fn converters(plan: &Plan) -> Result<Converters, Error> {
    let (key, value) = (converter(&plan.key)?, converter(&plan.value)?);
    Ok(Converters { key, value, header: Arc::new(SimpleHeader), on_error: on_error(plan.errors.sink) })
}

fn converter(chosen: &Chosen) -> Result<Arc<dyn Converter>, Error> {
    let settings = chosen.settings.settings();
    let said = |key: &str| settings.values.get(key).map(|v| v.trim().to_ascii_lowercase());
    let is = |key: &str, default: bool| said(key).map_or(default, |v| v == "true");
    Ok(match chosen.kind.as_str() {
        "json" => Arc::new(JsonConverter(Json {
            schemas: is("schemas.enable", true),
            numeric: said("decimal.format").is_some_and(|f| f == "numeric"),
            defaults: is("replace.null.with.default", true),
        })),
        "string" => Arc::new(JavaString),
        "bytes" => Arc::new(ByteArray),
        other => return Err(unknown("converter", other)),
    })
}

/// The chain's steps, in order.
pub fn steps(plan: &Plan, guests: &Guests) -> Result<Vec<Step>, Error> {
    let step = |t: &Transform| {
        Ok(Step { name: t.name.as_str().into(), transform: guests.transform(t)?, on_error: on_error(t.on_error) })
    };
    plan.transforms.iter().map(step).collect()
}

fn on_error(chosen: weir_config::errors::OnError) -> OnError {
    match chosen {
        weir_config::errors::OnError::Skip => OnError::Skip,
        weir_config::errors::OnError::Fail => OnError::Fail,
        weir_config::errors::OnError::DeadLetter => OnError::DeadLetter,
    }
}

/// What is told of rows that fail, and how.
pub fn reports(plan: &Plan) -> Reports {
    let dead_letters = plan.errors.dead_letters.as_ref().map(|dead| DeadLetters {
        topic: match &dead.place {
            Place::Topic(topic) => Some(topic.as_str().into()),
            Place::File(_) => None,
        },
        connect_headers: dead.connect_headers,
    });
    Reports {
        pipeline: plan.name.as_str().into(),
        notation: Arc::new(weir_converters::letter::write),
        log: plan.errors.log,
        log_records: plan.errors.log_records,
        dead_letters,
    }
}

/// Makes the sink of dead letters; None: nothing sends any.
pub fn dead_letters(plan: &Plan) -> Option<MakeSink> {
    use weir_config::errors::OnError::DeadLetter;
    let used = plan.errors.sink == DeadLetter || plan.transforms.iter().any(|t| t.on_error == DeadLetter);
    let place = plan.errors.dead_letters.as_ref().filter(|_| used)?.place.clone();
    let (settings, client) = (dead_letter_client(plan), format!("weir-{}-dead-letters", plan.name));
    Some(match place {
        Place::Topic(_) => {
            let largest = weir_kafka::largest(&settings);
            Box::new(move || weir_kafka::open(&settings, &client, &largest))
        }
        Place::File(path) => Box::new(move || {
            let file = weir_files::LetterFile::open(Path::new(&path), crate::dlq::is_context)?;
            Ok(Box::new(file) as Box<dyn Sink>)
        }),
    })
}

/// Settings of the dead letters' topic and its client: the sink's where that is Kafka, but for how topics are made, and what was
/// said of dead letters themselves.
pub fn dead_letter_client(plan: &Plan) -> Settings {
    let mut values = match plan.sink.kind.as_str() {
        "kafka" => plan.sink.settings.values.clone(),
        _ => Default::default(),
    };
    values.retain(|key, _| !key.starts_with("topic.creation.") && key != "client.id");
    // As Kafka Connect makes it, but with the cluster's own number of copies where none is said; and with room for what was too
    // large elsewhere, which is larger yet as a letter.
    for (key, value) in [("partitions", "1"), ("replication.factor", "-1"), ("max.message.bytes", LETTER)] {
        values.insert(format!("topic.creation.default.{key}"), value.into());
    }
    let said = values.get("max.request.size").and_then(|n| n.trim().parse::<u64>().ok());
    if said.is_none_or(|n| n < 64 << 20) {
        values.insert("max.request.size".into(), LETTER.into());
    }
    values.extend(plan.errors.dead_letters.iter().flat_map(|d| d.kafka.values.clone()));
    Settings::new(values)
}
