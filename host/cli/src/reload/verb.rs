//! `weir reload`: asks the running process, and says what it answers.

use super::control;
use crate::args::Common;
use crate::failure::Failure;
use crate::output::Done;
use serde_json::Value;
use weir_api::{Cure, Error};

/// Digits of a digest that people see.
const SHORT: usize = "sha256:".len() + 12;

pub fn run(common: &Common) -> Result<Done, Failure> {
    let steps = control::ask(&common.data_dir())?;
    let is = |result: &str| steps.iter().filter(|s| field(s, "result") == result).count();
    let (swapped, unchanged, refused) = (is("swapped"), is("unchanged"), is("refused"));
    let summary = match steps.len() {
        0 => "no step runs from a file".into(),
        _ => format!("{swapped} swapped, {unchanged} unchanged, {refused} refused"),
    };
    let text = if steps.is_empty() { format!("{summary}\n") } else { steps.iter().map(line).collect() };
    let done = Done { summary: summary.clone(), text, result: steps.into() };
    if refused == 0 {
        return Ok(done);
    }
    let error = Error::new("reload.refused", Cure::None, summary)
        .help("what ran goes on; the file may be mended, and asked for again");
    Err(Failure::Partly(Box::new(done), error))
}

fn field<'a>(step: &'a Value, name: &str) -> &'a str {
    step.get(name).and_then(Value::as_str).unwrap_or_default()
}

fn line(step: &Value) -> String {
    let short = |name: &str| field(step, name).get(..SHORT).unwrap_or(field(step, name)).to_owned();
    let head = format!("{}\t{}\t{}", field(step, "pipeline"), field(step, "step"), field(step, "result"));
    match field(step, "result") {
        "swapped" => format!("{head}\t{} -> {}\n", short("from"), short("to")),
        "refused" => {
            let error = step.get("error").unwrap_or(&Value::Null);
            format!("{head}\t{}: {}\n", field(error, "code"), field(error, "message"))
        }
        _ => format!("{head}\t{}\n", short("from")),
    }
}
