//! What the Java originals make of records (`*.jsonl`, one case a line), and the runner that holds our transforms to it.
//!
//! A case that is meant to differ stands in `listed.json` with the reason. A listed case that agrees is a mistake too.

use serde_json::Value;
use std::{collections::BTreeMap, fs, path::Path};
use weir::{
    Options, Problem, Transform,
    testing::{Host, Outcome, Record, same},
};

/// What came of a file of cases.
#[derive(Debug, Default)]
pub struct Report {
    pub passed: Vec<String>,
    /// listed, with the reason
    pub listed: Vec<(String, String)>,
    /// wrong, with what is wrong
    pub wrong: Vec<(String, String)>,
}

type Given = Vec<(String, Option<String>)>;

/// Runs the cases of a file.
pub fn run<T: Transform>(file: &str) -> Result<Report, String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let read = |name: &Path| fs::read_to_string(name).map_err(|e| format!("{}: {e}", name.display()));
    let parse = |text: &str| serde_json::from_str::<Value>(text).map_err(|e| e.to_string());
    let listed = parse(&read(&folder.join("listed.json"))?)?;
    let standard = parse(&read(&folder.join("../standard.json"))?)?;
    let mut report = Report::default();
    for line in read(&folder.join(file))?.lines() {
        let case = parse(line)?;
        let id = text(&case, "id").to_string();
        let reason = listed.as_array().into_iter().flatten().find(|l| text(l, "id") == id).map(|l| text(l, "reason"));
        match (hold::<T>(&case, &standard), reason) {
            (Ok(()), None) => report.passed.push(id),
            (Ok(()), Some(_)) => report.wrong.push((id, "agrees, and is listed as different".into())),
            (Err(_), Some(reason)) => report.listed.push((id, reason.into())),
            (Err(wrong), None) => report.wrong.push((id, format!("{}: {wrong}", text(&case, "note")))),
        }
    }
    Ok(report)
}

/// The same as a test: prints the count, and says what is wrong.
pub fn assert<T: Transform>(file: &str) -> Result<(), String> {
    let report = run::<T>(file)?;
    println!("{file}: {} passed, {} listed, {} wrong", report.passed.len(), report.listed.len(), report.wrong.len());
    if report.passed.is_empty() {
        return Err(format!("{file}: no case passed"));
    }
    match report.wrong.is_empty() {
        true => Ok(()),
        false => Err(report.wrong.iter().map(|(id, wrong)| format!("\n{id} {wrong}")).collect()),
    }
}

fn text<'a>(json: &'a Value, key: &str) -> &'a str {
    json.get(key).and_then(Value::as_str).unwrap_or_default()
}

fn hold<T: Transform>(case: &Value, standard: &Value) -> Result<(), String> {
    if case.get("predicate").is_some_and(|p| !p.is_null()) {
        return Err("has a predicate".into());
    }
    let given = given(case, standard)?;
    let expect = case.get("expect").ok_or("expects nothing")?;
    validation::<T>(&given, expect.get("validate").unwrap_or(&Value::Null))?;
    let mut host = match (Host::<T>::configured(&given), expect.get("configure_error")) {
        (Ok(host), None) => host,
        (Err(failure), Some(error)) => return failed(error, &failure.code, &failure.message),
        (Ok(_), Some(error)) => return Err(format!("was taken; the original says {error}")),
        (Err(failure), None) => return Err(format!("was refused: {}", failure.message)),
    };
    let records = case.get("records").and_then(Value::as_array).into_iter().flatten().map(Record::from_json);
    let records = records.collect::<Result<Vec<_>, _>>().map_err(|e| e.to_string())?;
    let outcomes = host.run(&records).map_err(|e| format!("fault: {e}"))?;
    let results = expect.get("results").and_then(Value::as_array).ok_or("expects no results")?;
    for (i, result) in results.iter().enumerate() {
        let (record, outcome) = records.get(i).zip(outcomes.get(i)).ok_or("more results than records")?;
        agree(record, outcome, result).map_err(|wrong| format!("record {i}: {wrong}"))?;
    }
    Ok(())
}

/// The configuration, with what the class presets.
fn given(case: &Value, standard: &Value) -> Result<Given, String> {
    let members = |json: Option<&Value>| -> Given {
        let members = json.and_then(Value::as_object).into_iter().flatten();
        members.map(|(k, v)| (k.clone(), v.as_str().map(str::to_string))).collect()
    };
    let class = text(case, "class");
    let crates = standard.as_array().into_iter().flatten();
    let mut classes = crates.filter_map(|c| c.get("classes").and_then(Value::as_array)).flatten();
    let class = classes.find(|c| text(c, "name") == class).ok_or_else(|| format!("no transform answers to {class}"))?;
    let mut given = members(case.get("config"));
    given.extend(members(class.get("presets")));
    Ok(given)
}

/// Problems by option. Texts about regular expressions are the engine's own.
fn validation<T: Transform>(given: &Given, expected: &Value) -> Result<(), String> {
    let mut said: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for Problem { name, message } in T::Options::unparsed(given).into_iter().chain(Host::<T>::check(given)) {
        said.entry(name).or_default().push(message);
    }
    let known = T::Options::defs();
    let expected: BTreeMap<_, _> = expected.as_object().into_iter().flatten().collect();
    for (name, messages) in &expected {
        let ours = said.remove(*name).ok_or_else(|| format!("nothing is said of {name}: {messages}"))?;
        for message in messages.as_array().into_iter().flatten().filter_map(Value::as_str) {
            if !message.contains("Invalid regex") && !ours.iter().any(|m| m == message) {
                return Err(format!("of {name} we say {ours:?}, the original {message}"));
            }
        }
    }
    // `configure` of the original says more than its `validate`, and ours may say it early
    let early = |name: &String| known.iter().any(|d| d.name == *name);
    match said.into_iter().find(|(name, _)| !early(name)) {
        Some((name, messages)) => Err(format!("of {name}, which is no option, we say {messages:?}")),
        None => Ok(()),
    }
}

fn agree(record: &Record, outcome: &Outcome, result: &Value) -> Result<(), String> {
    match outcome {
        Outcome::Failed(failure) => match result.get("error") {
            Some(error) => failed(error, &failure.code, &failure.message),
            None => Err(format!("failed: {} {}", failure.code, failure.message)),
        },
        Outcome::Records(made) => {
            let expected = match (result.get("record"), result.get("dropped"), result.get("unchanged")) {
                (Some(expected), ..) => Some(Record::from_json(expected).map_err(|e| e.to_string())?.to_json()),
                (_, Some(_), _) => None,
                (.., Some(_)) => Some(record.to_json()),
                _ => return Err(format!("passed; the original says {result}")),
            };
            match (made.as_slice(), expected) {
                ([], None) => Ok(()),
                ([made], Some(expected)) if same(&made.to_json(), &expected) => Ok(()),
                ([made], Some(expected)) => Err(format!("\n     made {}\n expected {expected}", made.to_json())),
                (made, expected) => Err(format!("{} records, expected {expected:?}", made.len())),
            }
        }
    }
}

/// `loose` texts depend on the JVM: there the class alone counts.
fn failed(error: &Value, code: &str, message: &str) -> Result<(), String> {
    let loose = error.get("loose") == Some(&Value::Bool(true));
    if text(error, "class") == code && (loose || text(error, "message") == message) {
        return Ok(());
    }
    Err(format!(
        "failed with {code}: {message}; the original with {}: {}",
        text(error, "class"),
        text(error, "message")
    ))
}
