//! Records as JSON: they keep their types where what is handed back fits them.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use serde_json::{Value, json};
use weir::prelude::{Record, Verdict};
use weir::testing::{self, Host, Outcome};

/// Hides e-mail addresses, adds what it is told to, and drops and fails what asks for it.
#[weir::transform]
fn mask(mut record: Record) -> Verdict<Record> {
    match record.value["ask"].as_str() {
        Some("drop") => return Verdict::Drop,
        Some("fail") => return Verdict::fail("as it was asked"),
        Some("add") => record.value["more"] = json!([1, "b"]),
        Some("unfit") => record.value["id"] = json!("seven"),
        Some("none") => record.value = Value::Null,
        _ => {}
    }
    if let Some(email) = record.value.get_mut("email") {
        *email = "***".into();
    }
    Verdict::Emit(record)
}

fn schema() -> Value {
    json!({"type": "struct", "name": "shop.users.Value", "optional": true, "fields": [
        {"field": "id", "type": "int32", "optional": false},
        {"field": "email", "type": "string", "optional": true},
        {"field": "ask", "type": "string", "optional": true},
        {"field": "tags", "type": "array", "items": {"type": "string", "optional": false}, "optional": true},
        {"field": "amount", "type": "bytes", "optional": true, "name": "org.apache.kafka.connect.data.Decimal",
         "version": 1, "parameters": {"scale": "2"}}]})
}

fn user(ask: Value) -> testing::Record {
    let payload = json!({"id": 7, "email": "a@b", "ask": ask, "tags": ["x"], "amount": "12.50"});
    let key = json!({"schema": {"type": "int32", "optional": false}, "payload": 7});
    testing::Record::from_json(
        &json!({"topic": "users", "key": key, "value": {"schema": schema(), "payload": payload}}),
    )
    .unwrap()
}

fn run(records: &[testing::Record]) -> Vec<Vec<Value>> {
    let outcomes = Host::<mask>::new(&[]).unwrap().run(records).unwrap();
    let values = |outcome: &Outcome| match outcome {
        Outcome::Records(records) => records.iter().map(|r| r.to_json()["value"].clone()).collect(),
        Outcome::Failed(failure) => vec![json!({"failed": failure.code})],
    };
    outcomes.iter().map(values).collect()
}

#[test]
fn what_fits_keeps_its_type() {
    let all = run(&[user(Value::Null), user(json!("drop")), user(json!("fail")), user(Value::Null)]);
    let same = &all[0][0];
    assert_eq!(same["payload"], json!({"id": 7, "email": "***", "ask": null, "tags": ["x"], "amount": "12.50"}));
    let names: Vec<&str> =
        same["schema"]["fields"].as_array().unwrap().iter().filter_map(|f| f["type"].as_str()).collect();
    assert_eq!(names, ["int32", "string", "string", "array", "bytes"]);
    assert_eq!(same["schema"]["name"], "shop.users.Value");
    assert_eq!(all[1], Vec::<Value>::new());
    assert_eq!(all[2], [json!({"failed": "weir.transform.failed"})]);
    assert_eq!(all[3][0], *same);
}

#[test]
fn what_does_not_fit_leaves_without_a_type() {
    let all = run(&[user(json!("add")), user(Value::Null), user(json!("unfit")), user(json!("none"))]);
    assert_eq!(all[0][0]["schema"], Value::Null);
    assert_eq!(all[0][0]["payload"]["more"], json!([1, "b"]));
    assert_eq!(all[0][0]["payload"]["email"], "***");
    assert_eq!(all[1][0]["schema"]["name"], "shop.users.Value", "a row beside it keeps its type");
    assert_eq!((&all[2][0]["schema"], &all[2][0]["payload"]["id"]), (&Value::Null, &json!("seven")));
    assert_eq!(all[3][0]["payload"], Value::Null);
}

#[test]
fn what_has_no_schema_needs_none() {
    let plain = json!({"topic": "users", "value": {"schema": null, "payload": {"email": "a@b", "n": 1}}});
    let tombstone = json!({"topic": "users", "key": {"schema": null, "payload": "k"}});
    let records: Vec<_> = [plain, tombstone].iter().map(|r| testing::Record::from_json(r).unwrap()).collect();
    let all = run(&records);
    assert_eq!(all[0][0]["payload"], json!({"email": "***", "n": 1}));
    assert_eq!(all[1][0]["payload"], Value::Null);
}
