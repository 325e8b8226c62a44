//! `Filter`: keeps the records for which a condition holds, written in a part of Groovy.
//!
//! A condition is resolved for each shape of record and becomes rules as far as rules can tell; only the rest is
//! evaluated here. Groovy's ways hold: `31 == 31.0`, `31 != '31'`, a null is less than everything, a null field with a
//! default is the default, a field of a null struct is an error. Two things differ from Debezium: `in` compares numbers by
//! value, and heartbeats, schema changes and transaction records pass where the condition names fields that they lack.

mod expr;
mod node;
mod rows;
mod rules;
mod token;
mod value;

use expr::Expr;
use node::{Failed, Node, Resolver};
use rows::Row;
use rules::End;
use std::collections::BTreeMap;
use value::Value;
use weir::{RowError, prelude::*};
use weir_java_regex::Regex;

/// Debezium's options of the same names.
#[derive(Options)]
#[options(order = 1, width = "long", importance = "low")]
pub struct FilterOptions {
    /// Regular expression of the topics to which the filter is applied; it is for the whole name. Records of other topics pass.
    #[option(label = "Topic regex")]
    topic_regex: Option<String>,
    /// Language of the condition: jsr223.groovy, which is also taken where there is none.
    #[option(label = "Expression language", importance = "high", width = "medium")]
    language: Option<String>,
    /// A condition, which records that pass fulfil: value.op == 'u' && value.after.status == 'cancelled'
    #[option(label = "Filtering condition", importance = "high")]
    condition: Option<String>,
    /// What becomes of records without value: keep - they pass (the default), drop - they are removed, evaluate - the
    /// condition decides.
    #[option(default = "keep", one_of = ["keep", "drop", "evaluate"], ignore_case, width = "short", label = "Handle null records")]
    null_handling_mode: String,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Nulls {
    Keep,
    Drop,
    Evaluate,
}

pub struct Filter {
    topics: Option<Regex>,
    nulls: Nulls,
    text: String,
    condition: Expr,
    /// a language was named: then its result is a Boolean and nothing else
    strict: bool,
    /// false in tests that hold rows against rules
    rules: bool,
    bound: BTreeMap<u32, Bound>,
}

/// A shape with rows that rules cannot decide.
struct Bound {
    node: Node,
    lenient: bool,
}

const DEBEZIUM: &str = "io.debezium.DebeziumException";
const GROOVY: &str = "jsr223.groovy";

/// Records that a connector sends beside change events, by the names of their schemas.
const BESIDE: &[&str] = &["Heartbeat", "TransactionMetadataValue", "SchemaChangeValue"];

// === impl Filter ===

impl Transform for Filter {
    const SUMMARY: &'static str = "Keeps the records for which a condition holds.";
    type Options = FilterOptions;

    fn new(options: FilterOptions) -> Result<Self, Failure> {
        if let Some(text) = language(options.language.as_deref()) {
            return Err(Failure::new(DEBEZIUM, text));
        }
        let text = options.condition.filter(|c| !c.trim().is_empty()).ok_or_else(invalid)?;
        let topics = options.topic_regex.filter(|r| !r.is_empty()).map(|r| Regex::new(&r));
        let topics = topics.transpose().map_err(|_| invalid())?;
        let nulls = match options.null_handling_mode.trim() {
            mode if mode.eq_ignore_ascii_case("drop") => Nulls::Drop,
            mode if mode.eq_ignore_ascii_case("evaluate") => Nulls::Evaluate,
            _ => Nulls::Keep,
        };
        let condition = expr::parse(&text).map_err(|why| Failure::new(DEBEZIUM, unparsed(&text, &why)))?;
        let strict = options.language.is_some();
        Ok(Filter { topics, nulls, text, condition, strict, rules: true, bound: BTreeMap::new() })
    }

    fn bind(&mut self, shape: &Shape) -> Result<Binding, Failure> {
        let (None | Some(true), Some(value)) =
            (self.topics.as_ref().map(|t| t.matches(&shape.topic)), shape.root("value"))
        else {
            return Ok(Binding::pass());
        };
        let resolver = Resolver { shape, evaluates_null: self.nulls == Nulls::Evaluate };
        let node = resolver.node(&self.condition);
        let lenient = shape.schema_name("value").is_some_and(|n| {
            let last = n.rsplit('.').next().unwrap_or_default();
            n.starts_with("io.debezium.") && BESIDE.contains(&last)
        });
        let mut binding = Binding::pass();
        let null = vec![Test::IsNull(value)];
        match self.nulls {
            Nulls::Keep => binding = binding.rule("null", null, Then::emit(0)),
            Nulls::Drop => binding = binding.rule("null", null, Then::drop()),
            Nulls::Evaluate => {}
        }
        let mut applies = false;
        for (tests, end) in self.branches(&node) {
            let (name, then) = match end {
                End::Truth(true) => ("kept", Then::emit(0)),
                End::Truth(false) => ("filtered", Then::drop()),
                End::Fail(failed) if failed.missing && lenient => ("no change event", Then::emit(0)),
                End::Fail(failed) => ("failed", Then::Fail(self.failure(&failed))),
                End::Apply => {
                    applies = true;
                    ("evaluated", Then::Apply)
                }
            };
            if tests.is_empty() {
                binding = binding.otherwise(then);
                break;
            }
            binding = binding.rule(name, tests, then);
        }
        if applies {
            let mut node = node;
            node.read(&mut binding);
            self.bound.insert(shape.id, Bound { node, lenient });
        }
        Ok(binding)
    }

    fn unbind(&mut self, shape: u32) {
        self.bound.remove(&shape);
    }

    fn apply(&mut self, batch: Batch) -> Result<Output, Failure> {
        let unbound = || Failure::new("weir.filter.unbound", "a batch of a shape that needs no call");
        let bound = self.bound.get(&batch.shape).ok_or_else(unbound)?;
        let mut output = Output::rows(vec![]);
        let mut kept = Vec::with_capacity(batch.rows as usize);
        for row in 0..batch.rows {
            let cells = Row { columns: &batch.columns, row: row as usize };
            let quick = cells.quick(&bound.node).map(Ok);
            match quick.unwrap_or_else(|| cells.value(&bound.node).and_then(|v| self.holds(&v))) {
                Ok(true) => kept.push(row),
                Ok(false) => {}
                Err(failed) if failed.missing && bound.lenient => kept.push(row),
                Err(failed) => output.errors.push(RowError { row, failure: self.failure(&failed) }),
            }
        }
        output.rows = Some(kept);
        Ok(output)
    }

    fn check(options: &[(String, Option<String>)]) -> Vec<Problem> {
        let option = |name: &str| weir::option(options, name).flatten();
        let mut problems = FilterOptions::refused(options);
        let mut add = |name: &str, message: String| problems.push(Problem { name: name.into(), message });
        if let Some(text) = language(option("language")) {
            add("language", text);
        }
        match option("condition").filter(|c| !c.trim().is_empty()) {
            None => add("condition", "The 'condition' value is invalid: A value is required".into()),
            Some(condition) => {
                if let Err(why) = expr::parse(condition) {
                    add("condition", unparsed(condition, &why));
                }
            }
        }
        if let Some(Err(why)) = option("topic.regex").map(Regex::new) {
            add("topic.regex", format!("The 'topic.regex' value is invalid: {why}"));
        }
        problems
    }

    fn rejected(_: Vec<Problem>) -> Failure {
        // the original says no more; `check` does
        invalid()
    }
}

impl Filter {
    /// The branches of the whole condition, whose result must be a Boolean.
    fn branches(&self, node: &Node) -> Vec<rules::Branch> {
        let boolean = match node {
            Node::Not(_) | Node::And(..) | Node::Or(..) | Node::Compare(..) | Node::In(..) => true,
            Node::Match { whole, .. } => *whole,
            _ => false,
        };
        match node {
            _ if boolean && self.rules => rules::truth(node),
            Node::Const(v) => vec![(vec![], self.holds(v).map_or_else(End::Fail, End::Truth))],
            Node::Fail(failed) => vec![(vec![], End::Fail(failed.clone()))],
            _ => vec![(vec![], End::Apply)],
        }
    }

    /// Whether a result lets a record pass.
    fn holds(&self, value: &Value) -> Result<bool, Failed> {
        match value {
            Value::Bool(v) => Ok(*v),
            Value::Matcher(v) if !self.strict => Ok(*v),
            Value::Null => Err(Failed { text: String::new(), missing: false }),
            other => {
                let text = format!("{} was returned by the expression, not a Boolean", other.kind());
                Err(Failed { text, missing: false })
            }
        }
    }

    fn failure(&self, failed: &Failed) -> Failure {
        if failed.text.is_empty() {
            return Failure::new(
                "java.lang.NullPointerException",
                format!("the expression '{}' returned null", self.text),
            );
        }
        Failure::new(DEBEZIUM, format!("Error while evaluating expression '{}': {}", self.text, failed.text))
    }
}

/// What is wrong with a language.
fn language(language: Option<&str>) -> Option<String> {
    match language? {
        GROOVY => None,
        "" => Some(invalid().message),
        named if !named.starts_with("jsr223.") && !named.starts_with("wasm") => {
            Some("Value for option 'language' must begin with 'jsr223.' or 'wasm', e.g. 'jsr223.groovy'".into())
        }
        named => Some(format!("The language '{named}' is not available here; {GROOVY} is, and of it {}", expr::WORKS)),
    }
}

fn invalid() -> Failure {
    Failure::new(DEBEZIUM, "The provided configuration isn't valid; check the error log for details.")
}

fn unparsed(condition: &str, why: &str) -> String {
    format!("Failed to parse expression '{condition}': {why}")
}

weir::export!(Filter);

#[cfg(test)]
mod tests;
