//! Calls that no host makes of a transform are refused, and what a transform has no code for too.
#![allow(clippy::unwrap_used)]

use serde_json::json;
use std::cell::RefCell;
use weir::prelude::*;
use weir::{NoOptions, glue, testing};

struct Undecided;

impl Transform for Undecided {
    const SUMMARY: &'static str = "Sends rows to code that it does not have.";
    type Options = NoOptions;
    fn new(_: NoOptions) -> Result<Self, Failure> {
        Ok(Undecided)
    }
    fn bind(&mut self, _: &Shape) -> Result<Binding, Failure> {
        Ok(Binding::pass().otherwise(Then::Apply))
    }
}

#[weir::transform]
fn keep(_: Record) -> bool {
    true
}

fn batch() -> Batch {
    Batch { shape: 7, rows: 1, columns: vec![] }
}

fn shape() -> Shape {
    Shape { id: 7, topic: "t".into(), fields: vec![] }
}

fn code<T>(result: Result<T, Failure>) -> String {
    result.err().map(|f| f.code).unwrap_or_default()
}

#[derive(Row)]
struct Named<'a> {
    #[at("value.name")]
    name: &'a str,
}

#[derive(Columns)]
struct To {
    #[at("topic")]
    topic: String,
}

#[weir::transform]
fn route(row: Named) -> To {
    To { topic: row.name.to_owned() }
}

#[test]
fn topics_are_bounded() {
    let field = json!({"field": "name", "type": "string", "optional": false});
    let schema = json!({"type": "struct", "fields": [field], "optional": false});
    let record = |name: String| {
        let value = json!({"schema": schema, "payload": {"name": name}});
        testing::Record::from_json(&json!({"topic": "t", "value": value})).unwrap()
    };
    let mut host = testing::Host::<route>::new(&[]).unwrap();
    let mut run = |names: std::ops::Range<usize>| {
        let records: Vec<_> = names.map(|i| record(format!("t{i}"))).collect();
        host.run(&records).unwrap()
    };
    let topic = |outcome: &testing::Outcome| match outcome {
        testing::Outcome::Records(records) => records.iter().map(|r| r.topic.clone()).collect(),
        testing::Outcome::Failed(failure) => failure.code.clone(),
    };
    assert_eq!(
        run(0..1000).iter().map(topic).collect::<Vec<_>>(),
        (0..1000).map(|i| format!("t{i}")).collect::<Vec<_>>()
    );
    let more: Vec<String> = run(998..1002).iter().map(topic).collect();
    assert_eq!(more, ["t998", "t999", "weir.transform.topics", "weir.transform.topics"]);
}

#[test]
fn what_a_host_never_does_is_refused() {
    let none: RefCell<Option<Undecided>> = RefCell::new(None);
    assert_eq!(code(glue::bind(&none, &shape())), "weir.transform.unconfigured");
    assert_eq!(code(glue::apply(&none, batch())), "weir.transform.unconfigured");
    let one = RefCell::new(Some(Undecided));
    let at_work = one.borrow_mut();
    assert_eq!(code(glue::bind(&one, &shape())), "weir.transform.busy");
    drop(at_work);
    assert_eq!(code(glue::apply(&one, batch())), "weir.transform.apply");
    let other = RefCell::new(Some(glue::create::<keep>(&[]).unwrap()));
    assert_eq!(code(glue::apply(&other, batch())), "weir.transform.unbound");
}
