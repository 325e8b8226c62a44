//! A transform is tested natively: `weir::testing` stands in for the host.

use super::tax;
use serde_json::{Value, json};
use weir::testing::{Host, Outcome, Record};

fn change(op: &str, after: Value) -> Record {
    let row = json!({"type": "struct", "optional": true, "field": "after", "fields": [
        {"field": "status", "type": "string", "optional": true},
        {"field": "amount", "type": "bytes", "optional": true, "name": "org.apache.kafka.connect.data.Decimal"}]});
    let schema =
        json!({"type": "struct", "name": "shop.orders.Envelope", "fields": [row, {"field": "op", "type": "string"}]});
    Record::from_json(
        &json!({"topic": "shop.orders", "value": {"schema": schema, "payload": {"after": after, "op": op}}}),
    )
    .unwrap()
}

fn made(outcome: &Outcome) -> Vec<Value> {
    match outcome {
        Outcome::Records(records) => records.iter().map(|r| r.to_json()["value"]["payload"].clone()).collect(),
        Outcome::Failed(failure) => panic!("{failure:?}"),
    }
}

#[test]
fn the_example_taxes_and_drops() {
    let mut host = Host::<tax>::new(&[("rate", "0.5")]).unwrap();
    let outcomes = host
        .run(&[
            change("c", json!({"status": "new", "amount": "12.50"})),
            change("u", json!({"status": "cancelled", "amount": "1"})),
            change("u", json!({"status": null, "amount": null})),
            change("d", Value::Null),
        ])
        .unwrap();
    assert_eq!(made(&outcomes[0]), [json!({"after": {"status": "new", "amount": "12.50", "tax": 6.25}, "op": "c"})]);
    assert_eq!(made(&outcomes[1]), Vec::<Value>::new());
    assert_eq!(made(&outcomes[2]), [json!({"after": {"status": null, "amount": null, "tax": null}, "op": "u"})]);
    assert_eq!(made(&outcomes[3]), [json!({"after": null, "op": "d"})]);
}

#[test]
fn options_are_described_and_refused() {
    let manifest = Host::<tax>::describe();
    assert_eq!(manifest.summary, "Adds a tax to orders, and drops those that were cancelled.");
    let rate = &manifest.options[0];
    assert_eq!((rate.name.as_str(), rate.required, rate.doc.as_str()), ("rate", true, "share of the amount, as 0.1"));
    let refused = |options: &[(&str, &str)]| Host::<tax>::new(options).err().map(|f| f.message);
    assert_eq!(refused(&[]).unwrap(), "Missing required configuration \"rate\" which has no default value.");
    assert_eq!(
        refused(&[("rate", "x")]).unwrap(),
        "Invalid value x for configuration rate: Not a number of type DOUBLE"
    );
    assert_eq!(refused(&[("rate", " 0.1 ")]), None);
}
