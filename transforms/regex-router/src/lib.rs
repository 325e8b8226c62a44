//! `RegexRouter`: a topic whose whole name matches an expression gets a new one.

use weir::prelude::*;
use weir_java_regex::{Regex, Replacement};

/// Kafka Connect's options of the same names.
#[derive(Options)]
#[options(order = -1, importance = "high")]
pub struct RouterOptions {
    /// Regular expression to use for matching.
    #[option(required)]
    regex: String,
    /// Replacement string.
    #[option(required)]
    replacement: Option<String>,
}

pub struct RegexRouter {
    regex: Regex,
    /// a configured null fails the first topic that matches, as in Java
    replacement: Option<Replacement>,
}

const CONFIG: &str = "org.apache.kafka.common.config.ConfigException";

// === impl RegexRouter ===

impl Transform for RegexRouter {
    const SUMMARY: &'static str =
        "Update the record topic using the configured regular expression and replacement string.";
    type Options = RouterOptions;

    fn new(options: RouterOptions) -> Result<Self, Failure> {
        let regex = Regex::new(&options.regex)
            .map_err(|why| Failure::new(CONFIG, invalid(&options.regex, &why.to_string())))?;
        Ok(RegexRouter { regex, replacement: options.replacement.as_deref().map(Replacement::new) })
    }

    fn bind(&mut self, shape: &Shape) -> Result<Binding, Failure> {
        if !self.regex.matches(&shape.topic) {
            return Ok(Binding::pass());
        }
        let Some(replacement) = &self.replacement else {
            return Err(Failure::new("java.lang.NullPointerException", "replacement"));
        };
        let topic = self.regex.replace_first(&shape.topic, replacement);
        let topic = topic.map_err(|bad| Failure::new(bad.class, bad.message))?;
        Ok(Binding::one(vec![Edit::topic(Constant::text(topic))]))
    }

    fn check(options: &[(String, Option<String>)]) -> Vec<Problem> {
        let Some(Some(regex)) = weir::option(options, "regex") else { return vec![] };
        let refused = Regex::new(regex).err();
        refused
            .map(|why| Problem { name: "regex".into(), message: invalid(regex, &why.to_string()) })
            .into_iter()
            .collect()
    }
}

fn invalid(regex: &str, why: &str) -> String {
    format!("Invalid value {regex} for configuration regex: Invalid regex: {why}")
}

weir::export!(RegexRouter);
