//! `InsertField`: adds topic, partition, offset, timestamp or a fixed text to the key or the value.

mod layout;

use layout::Part;
use weir::prelude::*;

/// Kafka Connect's options of the same names, and `part`.
#[derive(Options)]
#[options(order = -1)]
pub struct InsertOptions {
    /// Field name for Kafka topic. Suffix with ! to make this a required field, or ? to keep it optional (the default).
    topic_field: Option<String>,
    /// Field name for Kafka partition. Suffix with ! to make this a required field, or ? to keep it optional (the default).
    partition_field: Option<String>,
    /// Field name for Kafka offset - only applicable to sink connectors. Suffix with ! to make this a required field, or ? to keep it optional (the default).
    offset_field: Option<String>,
    /// Field name for record timestamp. Suffix with ! to make this a required field, or ? to keep it optional (the default).
    timestamp_field: Option<String>,
    /// Field name for static data field. Suffix with ! to make this a required field, or ? to keep it optional (the default).
    static_field: Option<String>,
    /// Static field value, if field name configured.
    static_value: Option<String>,
    /// Whether to replace fields that have a default value and that are null to the default value. When set to true, the default value is used, otherwise null is used.
    #[option(default = "true")]
    replace_null_with_default: bool,
    /// Whether fields go into the key or into the value.
    #[option(default = "value", one_of = ["key", "value"])]
    part: String,
}

/// A field to insert: its name, and whether it may be null.
#[derive(Clone, Debug)]
struct Insertion {
    name: String,
    optional: bool,
}

pub struct InsertField {
    part: &'static str,
    topic: Option<Insertion>,
    partition: Option<Insertion>,
    offset: Option<Insertion>,
    timestamp: Option<Insertion>,
    fixed: Option<(Insertion, String)>,
    replace_null_with_default: bool,
}

const CONFIG: &str = "org.apache.kafka.common.config.ConfigException";

// === impl Insertion ===

impl Insertion {
    fn parse(spec: Option<String>) -> Option<Insertion> {
        let spec = spec?;
        let (name, optional) = match (spec.strip_suffix('?'), spec.strip_suffix('!')) {
            (Some(name), _) => (name, true),
            (_, Some(name)) => (name, false),
            _ => (spec.as_str(), true),
        };
        Some(Insertion { name: name.into(), optional })
    }
}

// === impl InsertField ===

impl Transform for InsertField {
    const SUMMARY: &'static str =
        "Insert field(s) using attributes from the record metadata or a configured static value.";
    type Options = InsertOptions;

    fn new(options: InsertOptions) -> Result<Self, Failure> {
        let fixed = match (Insertion::parse(options.static_field), options.static_value) {
            (None, _) => None,
            (Some(insertion), Some(value)) => Some((insertion, value)),
            (Some(insertion), None) => {
                let name = insertion.name;
                let text = format!(
                    "Invalid value null for configuration static.value: No value specified for static field: {name}"
                );
                return Err(Failure::new(CONFIG, text));
            }
        };
        let insert = InsertField {
            part: if options.part == "key" { "key" } else { "value" },
            topic: Insertion::parse(options.topic_field),
            partition: Insertion::parse(options.partition_field),
            offset: Insertion::parse(options.offset_field),
            timestamp: Insertion::parse(options.timestamp_field),
            fixed,
            replace_null_with_default: options.replace_null_with_default,
        };
        let fields = [&insert.topic, &insert.partition, &insert.offset, &insert.timestamp];
        if insert.fixed.is_none() && fields.into_iter().all(Option::is_none) {
            return Err(Failure::new(CONFIG, "No field insertion configured"));
        }
        Ok(insert)
    }

    fn bind(&mut self, shape: &Shape) -> Result<Binding, Failure> {
        let part = Part::find(self, shape)?;
        // a null passes as it is, schema and all
        let identity = |mut binding: Binding| {
            let pass = binding.layout(vec![]);
            binding.rules.insert(
                0,
                weir::Rule { name: "null".into(), when: vec![Test::IsNull(part.root)], then: Then::emit(pass) },
            );
            binding
        };
        let made = if part.schemaless { part.members() } else { part.fields() };
        match made {
            Ok(binding) => Ok(identity(binding)),
            // rows with a value fail, nulls pass all the same
            Err(failure) => Ok(identity(Binding::pass().otherwise(Then::Fail(failure)))),
        }
    }
}

weir::export!(InsertField);

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use weir::testing::{Host, Outcome, Record};

    #[test]
    fn a_map_whose_keys_are_no_texts_gains_nothing() {
        let mut host = Host::<InsertField>::new(&[("static.field", "origin"), ("static.value", "shop")]).unwrap();
        let map = json!({"topic": "t", "value": {"payload": {"$map": [[1, "a"]]}}});
        let outcomes = host.run(&[Record::from_json(&map).unwrap()]).unwrap();
        let [Outcome::Failed(failure)] = outcomes.as_slice() else { panic!("{outcomes:?}") };
        assert_eq!(failure.code, "weir.insert-field.map");
    }
}
