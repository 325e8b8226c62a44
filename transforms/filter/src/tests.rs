//! Rules against rows, and what is no change event.

use super::*;
use serde_json::{Value as Json, json};
use weir::testing::{Host, Outcome, Record};

const CONDITIONS: &[&str] = &[
    "value.after != null && value.after.status.startsWith('c')",
    "value.op == 'c' || !value.after?.status?.endsWith('w')",
    "value.after?.status != 'new' && value.before == null",
    "value.op == 'u' && value.after.status == 'cancelled'",
    "value.op != 'd'",
    "value.op in ['c', 'u']",
    "value.op !in ['c', 'u']",
    "value.after.id in [1, 2.0] || value.op == 'd'",
    "value.after == null",
    "value.after != null && value.after.amount > 10",
    "value.after?.amount > 10",
    "value.after?.amount < 10",
    "value.after?.amount <= null",
    "!(value.after?.amount >= 10.5)",
    "10 > value.after?.amount",
    "value.after?.status == null",
    "value.after?.status > 'b'",
    "value.after?.status == 5",
    "value.after?.paid == true",
    "value.after?.paid && value.op == 'c'",
    "value.after?.paid || value.before?.paid",
    "!value.after?.paid",
    "value.after.paid < true",
    "value.after?.price == 12.5",
    "value.after?.price > 12",
    "value.after?.status?.startsWith('c')",
    "value.after?.status?.toUpperCase() == 'NEW' || value.op == 'd'",
    "value.after?.status ==~ /n.*/ || value.op == 'u'",
    "value.after?.id == value.before?.id",
    "value.after?.missing == 1 && value.op == 'c'",
    "value.op == 'c' || value.after.missing == 1",
    "value.after.status == 'new' && value.before.status == 'new'",
    "value.after?.id == 1.5",
    "value.after?.id != 31.0",
    "value.after?.ratio == 0.1",
    "value.after?.ratio < 1",
    "value.after?.status == 'n'",
    "value.after?.status < 5",
    "value.after?.status",
    "topic == 'shop.public.orders' && value.op == 'c'",
    "topic.endsWith('orders')",
    "header.h?.value == 1",
    "header.trace?.value == 'x' || value.op == 'c'",
    "key.id == 1 || value == null",
];

fn schema() -> Json {
    let row = |name: &str| {
        json!({"type": "struct", "optional": true, "field": name, "name": "shop.Value", "fields": [
            {"field": "id", "type": "int32"},
            {"field": "status", "type": "string", "optional": true, "default": "new"},
            {"field": "amount", "type": "int64", "optional": true},
            {"field": "ratio", "type": "double", "optional": true},
            {"field": "paid", "type": "boolean", "optional": true},
            {"field": "price", "type": "bytes", "optional": true, "name": "org.apache.kafka.connect.data.Decimal"}]})
    };
    json!({"type": "struct", "name": "shop.public.orders.Envelope",
        "fields": [row("before"), row("after"), {"field": "op", "type": "string"}]})
}

fn records() -> Vec<Record> {
    let texts = [json!(null), json!("new"), json!("cancelled"), json!("n"), json!("ö")];
    let ints = [json!(null), json!(9), json!(10), json!(11)];
    let floats = [json!(null), json!(0.1), json!(1.0), json!(-3.5)];
    let bools = [json!(null), json!(true), json!(false)];
    let prices = [json!(null), json!("12.50"), json!("12.5"), json!("1E+2")];
    let row = |i: usize| json!({"id": i % 3, "status": texts[i % 5], "amount": ints[i % 4], "ratio": floats[i % 4], "paid": bools[i % 3], "price": prices[i % 4]});
    let mut out = vec![];
    for i in 0..60 {
        let before = if i % 4 == 0 { Json::Null } else { row(i * 7 + 1) };
        let after = if i % 5 == 0 { Json::Null } else { row(i) };
        let payload = json!({"before": before, "after": after, "op": (["c", "u", "d"][i % 3])});
        let value = if i == 33 { Json::Null } else { payload };
        let mut record = json!({"topic": "shop.public.orders",
            "key": {"schema": {"type": "struct", "fields": [{"field": "id", "type": "int32"}]}, "payload": {"id": i % 2}},
            "value": {"schema": schema(), "payload": value}});
        if i % 2 == 0 {
            record["headers"] =
                json!([{"key": "trace", "schema": {"type": "string", "optional": true}, "payload": texts[i % 5]}]);
        }
        out.push(Record::from_json(&record).unwrap());
    }
    out
}

/// Codes stay, texts about kinds may differ.
fn codes(outcomes: Vec<Outcome>) -> Vec<Result<usize, String>> {
    let code = |o| match o {
        Outcome::Records(records) => Ok(records.len()),
        Outcome::Failed(failure) => Err(failure.code),
    };
    outcomes.into_iter().map(code).collect()
}

#[test]
fn rules_and_rows_agree() {
    let records = records();
    for condition in CONDITIONS {
        for nulls in ["keep", "drop", "evaluate"] {
            let filter = || {
                let options = [("condition", *condition), ("null.handling.mode", nulls)];
                let options: Vec<_> = options.iter().map(|(k, v)| (k.to_string(), Some(v.to_string()))).collect();
                weir::glue::create::<Filter>(&options).unwrap_or_else(|e| panic!("{condition}: {}", e.message))
            };
            let by_rules = Host::with(filter()).run(&records).unwrap_or_else(|e| panic!("{condition}: {e}"));
            let by_rows = Host::with(Filter { rules: false, ..filter() }).run(&records).unwrap();
            assert_eq!(codes(by_rules), codes(by_rows), "{condition}, nulls {nulls}");
        }
    }
}

#[test]
fn what_rules_can_tell_never_enters_the_guest() {
    let cases = [
        ("value.op == 'u' && value.after.status == 'cancelled'", true),
        ("value.after?.id in [1, 2] || value.op == 'd'", true),
        ("topic.startsWith('shop.')", true),
        ("value.after == null", true),
        ("value.after?.price > 12", false),
        ("value.after?.status?.contains('c')", false),
    ];
    let record = records().remove(1);
    for (condition, rules) in cases {
        let mut host = Host::<Filter>::new(&[("condition", condition)]).unwrap();
        let binding = host.bind(&record).unwrap().unwrap();
        assert_eq!(binding.reads.is_empty(), rules, "{condition}");
    }
}

#[test]
fn heartbeats_pass_a_condition_about_changes_and_rows_do_not() {
    let record = |name: &str| {
        let schema = json!({"type": "struct", "name": name, "fields": [{"field": "ts_ms", "type": "int64"}]});
        Record::from_json(&json!({"topic": "t", "value": {"schema": schema, "payload": {"ts_ms": 1}}})).unwrap()
    };
    let run = |condition: &str, name: &str| {
        codes(Host::<Filter>::new(&[("condition", condition)]).unwrap().run(&[record(name)]).unwrap()).remove(0)
    };
    for condition in ["value.op == 'u'", "value.after.status.contains('x')", "!(value.op == 'u')"] {
        for name in ["common.Heartbeat", "common.TransactionMetadataValue", "mysql.SchemaChangeValue"] {
            assert_eq!(run(condition, &format!("io.debezium.connector.{name}")), Ok(1), "{condition} {name}");
        }
        assert_eq!(run(condition, "shop.public.orders.Envelope"), Err(DEBEZIUM.into()), "{condition}");
        assert_eq!(run(condition, "shop.public.orders.Value"), Err(DEBEZIUM.into()), "{condition}");
    }
    assert_eq!(run("value.ts_ms > 1", "io.debezium.connector.common.Heartbeat"), Ok(0));
}

#[test]
fn a_matcher_is_a_condition_where_no_language_was_named() {
    let record = records().remove(1);
    let run = |options: &[(&str, &str)]| {
        codes(Host::<Filter>::new(options).unwrap().run(std::slice::from_ref(&record)).unwrap()).remove(0)
    };
    assert_eq!(run(&[("condition", "topic =~ 'public.orders'")]), Ok(1));
    assert_eq!(run(&[("condition", "topic =~ 'customers'")]), Ok(0));
    let named = [("condition", "topic =~ 'public.orders'"), ("language", "jsr223.groovy")];
    assert_eq!(run(&named), Err(DEBEZIUM.into()));
}

#[test]
fn a_batch_of_a_shape_that_was_never_bound_fails() {
    let mut host = Host::<Filter>::new(&[("condition", "value.op == 'c'")]).unwrap();
    let failure = host.apply(Batch { shape: 7, rows: 1, columns: vec![] }).unwrap_err();
    assert_eq!(failure.code, "weir.filter.unbound");
}

#[test]
fn what_is_not_read_here_is_refused_with_what_is() {
    for condition in
        ["value.a + 1 == 2", "x == 1", "value.op == ", "(value.op == 'c'", "value.op =~ 'a++'", "'a", "value.f()"]
    {
        let Err(failure) = Host::<Filter>::new(&[("condition", condition)]) else { panic!("{condition} was taken") };
        assert!(failure.message.starts_with("Failed to parse expression"), "{}", failure.message);
    }
    let deep = format!("{}true{}", "(".repeat(5000), ")".repeat(5000));
    assert!(expr::parse(&deep).is_err());
    assert!(expr::parse(&"!".repeat(5000)).is_err());
}

/// Whatever comes in, reading it ends and does not panic.
#[test]
fn any_text_is_read_or_refused() {
    let words = [
        "value", ".", "op", "==", "'a'", "&&", "||", "!", "(", ")", "in", "[", "]", ",", "1.5", "1e", "?.", "=~",
        "/a/", "ö", "\\", "\"", "-", "null", "!in", "3L",
    ];
    let mut seed = 0x2545_f491_4f6c_dd1du64;
    for _ in 0..20_000 {
        let mut text = String::new();
        for _ in 0..10 {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            text.push_str(words[(seed >> 33) as usize % words.len()]);
            if seed & 1 == 0 {
                text.push(' ');
            }
        }
        let _ = expr::parse(&text);
    }
}
