//! Schemas of plain JSON values: what is written without one gets one that fits all records of a case.

use serde_json::{Map, Value, json};

/// The schema, as JsonConverter writes it, of values in the same place. Everything may be null. Err names the place.
pub fn schema(values: &[&Value], place: &str) -> Result<Value, String> {
    let some: Vec<&Value> = values.iter().copied().filter(|v| !v.is_null()).collect();
    let all = |is: fn(&Value) -> bool| some.iter().all(|v| is(v));
    let simple = |name: &str| Ok(json!({"type": name, "optional": true}));
    match some.first() {
        // of a null nothing is known
        None => simple("string"),
        Some(_) if all(Value::is_boolean) => simple("boolean"),
        Some(_) if all(|v| v.is_i64()) => simple("int64"),
        Some(_) if all(Value::is_number) => simple("double"),
        Some(_) if all(Value::is_string) => simple("string"),
        Some(_) if all(Value::is_array) => {
            let items: Vec<&Value> = some.iter().filter_map(|v| v.as_array()).flatten().collect();
            let items = schema(&items, &format!("{place}[]"))?;
            Ok(json!({"type": "array", "items": items, "optional": true}))
        }
        Some(_) if all(Value::is_object) => structure(&some, place),
        Some(_) => Err(format!("`{place}` is of several types")),
    }
}

/// The schema of a record's values. What looks like Debezium's envelope is one: it has its name, and `before` and `after` are rows of
/// one table.
pub fn value(values: &[&Value], topic: &str) -> Result<Value, String> {
    let has = |v: &Value, name: &str| v.get(name).is_some();
    let is_change = |v: &Value| has(v, "op") && (has(v, "before") || has(v, "after"));
    let mut found = schema(values, "value")?;
    if !values.iter().any(|v| is_change(v)) {
        return Ok(found);
    }
    let rows: Vec<&Value> = values.iter().flat_map(|v| [v.get("before"), v.get("after")]).flatten().collect();
    let row = schema(&rows, "value.after")?;
    for field in found.get_mut("fields").and_then(Value::as_array_mut).into_iter().flatten() {
        let name = field.get("field").cloned().unwrap_or_default();
        if name == "before" || name == "after" {
            *field = row.clone();
            if let Some(members) = field.as_object_mut() {
                members.insert("field".into(), name);
            }
        }
    }
    if let Some(members) = found.as_object_mut() {
        members.insert("name".into(), format!("{topic}.Envelope").into());
    }
    Ok(found)
}

/// The fields of all objects, in the order in which they are met.
fn structure(objects: &[&Value], place: &str) -> Result<Value, String> {
    let mut found: Map<String, Value> = Map::new();
    for (name, value) in objects.iter().filter_map(|v| v.as_object()).flatten() {
        if let Some(list) = found.entry(name).or_insert_with(|| json!([])).as_array_mut() {
            list.push(value.clone())
        }
    }
    let mut fields = vec![];
    for (name, values) in &found {
        let values: Vec<&Value> = values.as_array().into_iter().flatten().collect();
        let mut field = schema(&values, &format!("{place}.{name}"))?;
        if let Some(members) = field.as_object_mut() {
            members.insert("field".into(), name.as_str().into());
        }
        fields.push(field)
    }
    Ok(json!({"type": "struct", "fields": fields, "optional": true}))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schema_fits_all_values() {
        let (a, b) = (json!({"id": 1, "n": null, "x": 1}), json!({"id": 2, "t": ["a", null], "x": 1.5}));
        let want = json!({"type": "struct", "optional": true, "fields": [
            {"type": "int64", "optional": true, "field": "id"},
            {"type": "string", "optional": true, "field": "n"},
            {"type": "double", "optional": true, "field": "x"},
            {"type": "array", "items": {"type": "string", "optional": true}, "optional": true, "field": "t"}]});
        assert_eq!(schema(&[&a, &Value::Null, &b], "value").unwrap(), want);
        let change = json!({"op": "d", "before": {"id": 1}, "after": null});
        let found = value(&[&change], "shop.orders").unwrap();
        assert_eq!(found["name"], "shop.orders.Envelope");
        assert_eq!(
            (&found["fields"][2]["field"], &found["fields"][2]["fields"][0]["field"]),
            (&json!("after"), &json!("id"))
        );
        let (a, b) = (json!({"after": {"id": 1}}), json!({"after": {"id": "1"}}));
        assert_eq!(schema(&[&a, &b], "value").unwrap_err(), "`value.after.id` is of several types");
    }
}
