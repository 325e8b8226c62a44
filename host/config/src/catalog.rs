//! What exists: the kinds of sources, sinks, transforms and predicates, as the caller declares them.

use std::collections::BTreeMap;
use std::sync::Arc;
use weir_api::{ConfigDef, Finding, Settings};

/// One kind: its names, and the keys it takes.
#[derive(Clone, Debug)]
pub struct Component {
    /// The first is its own name ("postgres", "weir:filter"), the others mean the same: class names of Java originals (also by
    /// simple name, as Kafka Connect allows), older names.
    pub names: Vec<String>,
    /// None: the component checks its options itself
    pub def: Option<ConfigDef>,
    /// what else can be wrong with its settings together; the findings' keys say where they belong
    pub check: Option<Check>,
}

/// A component's own check of all its settings.
#[derive(Clone)]
pub struct Check(Arc<CheckFn>);

type CheckFn = dyn Fn(&Settings) -> Vec<Finding> + Send + Sync;

/// All of them. `Default` has nothing.
#[derive(Clone, Debug, Default)]
pub struct Catalog {
    pub sources: Vec<Component>,
    pub sinks: Vec<Component>,
    pub transforms: Vec<Component>,
    /// what `when = { use = "…" }` and Kafka Connect's `predicates` may name
    pub predicates: Vec<Component>,
    /// whether steps may be guests from a file, as "./mask.wasm"
    pub guests: bool,
    /// whether steps may be packages, as "oci://ghcr.io/acme/mask@1"
    pub packages: bool,
}

/// Ends that Kafka Connect lets one leave out of a simple class name.
const ENDS: &[&str] = &["Connector", "Transformation", "Predicate", "Converter"];

// === impl Check ===

impl Check {
    pub(crate) fn run(&self, settings: &Settings) -> Vec<Finding> {
        (self.0)(settings)
    }
}

impl std::fmt::Debug for Check {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Check")
    }
}

// === impl Component ===

impl Component {
    pub fn new(names: &[&str], def: ConfigDef) -> Self {
        Component { names: names.iter().map(|n| (*n).to_owned()).collect(), def: Some(def), check: None }
    }
    /// A component whose options only itself can check.
    pub fn opaque(names: &[&str]) -> Self {
        Component { names: names.iter().map(|n| (*n).to_owned()).collect(), def: None, check: None }
    }
    /// The same with a check of settings that belong together.
    pub fn with_check(self, check: impl Fn(&Settings) -> Vec<Finding> + Send + Sync + 'static) -> Self {
        Component { check: Some(Check(Arc::new(check))), ..self }
    }
    /// Its own name.
    pub fn name(&self) -> &str {
        self.names.first().map_or("", String::as_str)
    }
    /// Whether a configuration means this component by that name.
    pub fn is(&self, wanted: &str) -> bool {
        self.names.iter().any(|name| name == wanted || short_names(name).any(|short| short == wanted))
    }
}

/// "PostgresConnector" and "Postgres" for "io.debezium.connector.postgresql.PostgresConnector"; nothing for own names.
fn short_names(name: &str) -> impl Iterator<Item = &str> {
    let simple = name.rsplit_once('.').map(|(_, s)| s).filter(|s| s.starts_with(|c: char| c.is_ascii_uppercase()));
    let stem = simple.and_then(|s| ENDS.iter().find_map(|end| s.strip_suffix(end))).filter(|s| !s.is_empty());
    simple.into_iter().chain(stem)
}

// === impl Catalog ===

impl Catalog {
    /// Whether `class` names a sink, and no source.
    pub fn is_sink_class(&self, class: &str) -> bool {
        find(&self.sinks, class).is_some() && find(&self.sources, class).is_none()
    }
}

pub(crate) fn find<'a>(components: &'a [Component], wanted: &str) -> Option<&'a Component> {
    components.iter().find(|c| c.is(wanted.trim()))
}

/// The nearest of `names`, when it is near enough to be meant.
pub fn nearest<'a>(wanted: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let low = wanted.to_ascii_lowercase();
    let mut best = BTreeMap::new();
    for name in names {
        let distance = strsim::damerau_levenshtein(&low, &name.to_ascii_lowercase());
        let allowed = (low.chars().count().min(name.chars().count()) / 3).clamp(1, 4);
        if distance <= allowed {
            best.entry((distance, name)).or_insert(name);
        }
    }
    best.into_values().next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn class_names_may_be_shortened_as_connect_allows() {
        let pg = Component::opaque(&["postgres", "io.debezium.connector.postgresql.PostgresConnector"]);
        for name in ["postgres", "io.debezium.connector.postgresql.PostgresConnector", "PostgresConnector", "Postgres"]
        {
            assert!(pg.is(name), "{name}");
        }
        assert!(!pg.is("postgresql") && !pg.is("Connector"));
        let insert = Component::opaque(&["weir:insert-field", "org.apache.kafka.connect.transforms.InsertField$Value"]);
        assert!(insert.is("InsertField$Value") && !insert.is("InsertField"));
    }

    #[test]
    fn near_is_near() {
        let names = ["table.include.list", "table.exclude.list", "slot.name"];
        assert_eq!(nearest("table.includ.list", names), Some("table.include.list"));
        assert_eq!(nearest("slotname", names), Some("slot.name"));
        assert_eq!(nearest("something.else", names), None);
    }
}
