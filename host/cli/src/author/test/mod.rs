//! `weir test`: a transform's cases, against the component that pipelines run.

mod case;
mod infer;
mod junit;
mod notation;
mod runner;

use super::build;
use crate::args::{Common, Test};
use crate::failure::Failure;
use crate::guests::Guests;
use crate::output::Done;
use case::Case;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use weir_api::{Cure, Error};

/// What is tested, and the cases.
struct Subject {
    uses: String,
    cases: PathBuf,
}

/// What became of a case.
struct Verdict {
    name: String,
    path: PathBuf,
    /// None: it passed
    diff: Option<String>,
    accepted: bool,
}

pub fn run(args: &Test, common: &Common) -> Result<Done, Failure> {
    let subject = subject(args)?;
    let guests = common.guests()?;
    let cases = cases(&subject.cases, args.filter.as_deref())?;
    let verdicts =
        cases.iter().map(|case| judge(case, &subject, &guests, args.accept)).collect::<Result<Vec<_>, _>>()?;
    if let Some(file) = &args.junit {
        junit::write(file, &subject.uses, &verdicts)?
    }
    let failed = verdicts.iter().filter(|v| v.diff.is_some()).count();
    let text = report(&verdicts);
    let summary = match (verdicts.len(), failed) {
        (all, 0) => format!("{all} cases pass"),
        (all, failed) => format!("{failed} of {all} cases fail"),
    };
    let list: Vec<Value> = verdicts
        .iter()
        .map(
            |v| json!({"case": v.name, "file": v.path, "ok": v.diff.is_none(), "accepted": v.accepted, "diff": v.diff}),
        )
        .collect();
    let result = json!({"use": subject.uses, "cases": list});
    match failed {
        0 => Ok(Done { text: format!("{text}{summary}\n"), summary, result }),
        _ => {
            let error = Error::new("test.failed", Cure::None, summary)
                .help("mend the transform, or `weir test --accept` where what comes out is right");
            let done = Done { summary: error.message().to_owned(), text, result };
            Err(Failure::Partly(Box::new(done), error))
        }
    }
}

/// A transform by its name, a component, or a crate that is built first.
fn subject(args: &Test) -> Result<Subject, Error> {
    let given = args.path.clone();
    if let Some(uses) = &args.uses {
        let cases = args.cases.clone().or(given).unwrap_or_else(|| "cases".into());
        return Ok(Subject { uses: uses.clone(), cases });
    }
    let path = given.unwrap_or_else(|| ".".into());
    let beside = |folder: &Path| args.cases.clone().unwrap_or_else(|| folder.join("cases"));
    if path.extension().is_some_and(|e| e == "wasm") {
        let cases = beside(path.parent().unwrap_or(Path::new("")));
        return Ok(Subject { uses: path.display().to_string(), cases });
    }
    let uses = build::component(&path)?.display().to_string();
    Ok(Subject { uses, cases: beside(&path) })
}

fn cases(folder: &Path, filter: Option<&str>) -> Result<Vec<Case>, Error> {
    let none = |why: &str| {
        Error::input("test.no-cases", format!("`{}` {why}", folder.display()))
            .help("a case is a file cases/NAME.json: {\"options\": {…}, \"in\": [{\"topic\": …, \"value\": …}]}; then `weir test --accept`")
    };
    let mut files: Vec<PathBuf> = match folder.is_file() {
        true => vec![folder.to_owned()],
        false => {
            let entries = std::fs::read_dir(folder).map_err(|_| none("is no folder that can be read"))?;
            entries
                .filter_map(|e| Some(e.ok()?.path()))
                .filter(|p| p.extension().is_some_and(|e| e == "json"))
                .collect()
        }
    };
    files.sort();
    let all = files.iter().map(|f| Case::read(f)).collect::<Result<Vec<_>, _>>()?;
    let wanted: Vec<Case> = all.into_iter().filter(|c| filter.is_none_or(|f| c.name().contains(f))).collect();
    match wanted.is_empty() {
        true => Err(none("has no case, or none of that name")),
        false => Ok(wanted),
    }
}

fn judge(case: &Case, subject: &Subject, guests: &Arc<Guests>, accept: bool) -> Result<Verdict, Error> {
    let came = runner::outcomes(case, &subject.uses, guests)?;
    let mut verdict = Verdict { name: case.name(), path: case.path.clone(), diff: None, accepted: false };
    let expected = case.outcomes.as_deref().unwrap_or_default();
    let same = expected.len() == came.len() && expected.iter().zip(&came).all(|(e, c)| case::is_as_expected(e, c));
    match (same && case.outcomes.is_some(), accept) {
        (true, _) => {}
        (false, true) => {
            notation::accept(&case.path, &came)?;
            verdict.accepted = true
        }
        (false, false) => verdict.diff = Some(diff(expected, &came)),
    }
    Ok(verdict)
}

/// Line by line; what is as expected stands as it is expected.
fn diff(expected: &[Value], came: &[Value]) -> String {
    let pretty = |v: &Value| serde_json::to_string_pretty(v).unwrap_or_default();
    let shown = |(i, c): (usize, &Value)| match expected.get(i) {
        Some(e) if case::is_as_expected(e, c) => pretty(e),
        _ => pretty(c),
    };
    let old: Vec<String> = expected.iter().map(pretty).collect();
    let new: Vec<String> = came.iter().enumerate().map(shown).collect();
    let (old, new) = (old.join("\n") + "\n", new.join("\n") + "\n");
    similar::TextDiff::from_lines(&old, &new)
        .unified_diff()
        .context_radius(4)
        .header("expected", "what came out")
        .to_string()
}

fn report(verdicts: &[Verdict]) -> String {
    let mut text = String::new();
    for v in verdicts {
        match (&v.diff, v.accepted) {
            (None, false) => text.push_str(&format!("ok      {}\n", v.name)),
            (None, true) => text.push_str(&format!("written {}\n", v.name)),
            (Some(diff), _) => text.push_str(&format!("FAILED  {}\n{diff}", v.name)),
        }
    }
    text
}
