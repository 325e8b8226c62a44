//! The example with its own tests, run natively; and what else a per-message function may be.
#![allow(clippy::unwrap_used)]

use serde_json::{Value, json};
use weir::{
    prelude::*,
    testing::{Host, Outcome, Record},
};

#[path = "../example/src/lib.rs"]
mod example;

#[derive(Options)]
#[options(importance = "low")]
struct All {
    /// Text.
    #[option(default = "a", one_of = ["a", "b"], ignore_case)]
    some_text: String,
    list: Vec<String>,
    short: Option<i16>,
    #[option(name = "int.32", importance = "high")]
    int: Option<i32>,
    long: Option<i64>,
    #[option(default = "true")]
    flag: bool,
    #[option(password)]
    secret: Option<i32>,
}

#[test]
fn options_parse_as_kafkas() {
    let given = |options: &[(&str, Option<&str>)]| -> Vec<(String, Option<String>)> {
        options.iter().map(|(k, v)| (k.to_string(), v.map(Into::into))).collect()
    };
    let all = All::parse(&given(&[("list", Some(" a , b,c ")), ("flag", Some(" FALSE ")), ("short", Some("7"))]))
        .ok()
        .unwrap();
    assert_eq!((all.some_text.as_str(), all.list.len(), all.flag, all.short), ("a", 3, false, Some(7)));
    assert_eq!((all.int, all.long, all.secret), (None, None, None));
    let wrong =
        given(&[("list", Some("")), ("short", Some("99999")), ("flag", Some("yes")), ("secret", Some("hunter2"))]);
    let messages: Vec<String> = All::unparsed(&wrong).into_iter().map(|p| p.message).collect();
    assert_eq!(
        messages,
        [
            "Invalid value 99999 for configuration short: Not a number of type SHORT",
            "Invalid value yes for configuration flag: Expected value to be either true or false",
            "Invalid value [hidden] for configuration secret: Not a number of type INT",
        ]
    );
    assert_eq!(All::refused(&given(&[("some.text", Some("B"))])), []);
    assert_eq!(
        All::refused(&given(&[("some.text", Some("c"))]))[0].message,
        "Invalid value c for configuration some.text: Value must be one of a, b"
    );
    let defs = All::defs();
    assert_eq!(defs[3].name, "int.32");
    assert_eq!(defs[6].type_, weir::wit::OptionType::Password);
}

#[derive(Row)]
struct Cells<'a> {
    #[at(r"value.after.a\.b")]
    dotted: i64,
    #[at("headers.trace")]
    trace: Option<&'a str>,
    #[at("value.after", json)]
    whole: &'a str,
}

#[derive(Columns)]
struct Routed<'a> {
    #[at("topic", dictionary)]
    topic: Option<&'a str>,
    #[at("headers.id", name = "an.Id")]
    id: i64,
    #[at("value.copy", json)]
    copy: &'a str,
}

/// Routes.
#[weir::transform(on_missing = "fail")]
fn routed<'a>(cells: Cells<'a>) -> Result<Routed<'a>, &'static str> {
    if cells.dotted < 0 {
        return Err("less than nothing");
    }
    Ok(Routed { topic: cells.trace, id: cells.dotted, copy: cells.whole })
}

#[derive(Row)]
struct Even {
    id: i64,
}

#[weir::transform]
fn even(row: Even) -> bool {
    row.id % 2 == 0
}

fn schemaless(value: Value) -> Record {
    let headers = json!([{"key": "trace", "schema": {"type": "string"}, "payload": "t1"}]);
    Record::from_json(&json!({"topic": "t", "headers": headers, "value": {"payload": value}})).unwrap()
}

#[test]
fn cells_and_columns_of_every_sort() {
    let mut host = Host::<routed>::new(&[]).unwrap();
    let outcomes =
        host.run(&[schemaless(json!({"after": {"a.b": 3}})), schemaless(json!({"after": {"a.b": -3}}))]).unwrap();
    let Outcome::Records(records) = &outcomes[0] else { panic!("{outcomes:?}") };
    assert_eq!(records[0].topic, "t1");
    assert_eq!(records[0].to_json()["value"]["payload"], json!({"after": {"a.b": 3}, "copy": {"a.b": 3}}));
    assert_eq!(
        records[0].to_json()["headers"][1],
        json!({"key": "id", "schema": {"type": "int64", "name": "an.Id"}, "payload": 3})
    );
    let Outcome::Failed(failure) = &outcomes[1] else { panic!("{outcomes:?}") };
    assert_eq!(failure.message, "less than nothing");
}

#[test]
fn what_is_missing_passes_or_fails() {
    let tombstone = Record::from_json(&json!({"topic": "t"})).unwrap();
    let other = schemaless(json!({"after": {"id": "text"}}));
    let mut host = Host::<even>::new(&[]).unwrap();
    assert_eq!(host.run(std::slice::from_ref(&tombstone)).unwrap(), [Outcome::Records(vec![tombstone.clone()])]);
    assert!(matches!(&host.run(&[other]).unwrap()[0], Outcome::Failed(f) if f.code == "weir.transform.kind"));
    let rows = host.run(&[schemaless(json!({"after": {"id": 1}})), schemaless(json!({"after": {"id": 2}}))]).unwrap();
    assert_eq!(rows[0], Outcome::Records(vec![]));
    assert!(matches!(&rows[1], Outcome::Records(r) if r.len() == 1));
    let failed = Host::<routed>::new(&[]).unwrap().run(&[tombstone]).unwrap();
    assert!(matches!(&failed[0], Outcome::Failed(f) if f.code == "weir.transform.missing"));
}
