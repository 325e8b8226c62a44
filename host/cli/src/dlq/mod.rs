//! `weir dlq`: the dead letters of pipelines: what there is, what is in them, and sending them again.

pub mod letter;
mod place;
mod replay;
mod replayed;
pub mod rows;

use crate::args::{Common, Dlq, DlqVerb, Selection, Show};
use crate::failure::Failure;
use crate::file;
use crate::output::Done;
use letter::Letter;
pub use letter::is_context;
use replayed::Replayed;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use weir_api::Error;
use weir_config::{Plan, Providers};

pub fn run(args: &Dlq, common: &Common) -> Result<Done, Failure> {
    match &args.verb {
        DlqVerb::Ls(files) => {
            let plans = file::plans(files, &common.guests()?)?;
            let all = plans.iter().map(|plan| kinds(plan, common)).collect::<Result<Vec<_>, _>>()?;
            Ok(ls(all))
        }
        DlqVerb::Show(show) => {
            let plans = file::plans(&show.files, &common.guests()?)?;
            let mut shown = vec![];
            for plan in &plans {
                shown.extend(select(plan, common, &show.selection, show.limit)?)
            }
            shown.truncate(show.limit);
            Ok(list(&shown, show))
        }
        DlqVerb::Replay(replay) => replay::run(replay, common),
    }
}

/// A plan that dead letters can be read with; an error where it has none.
fn ready(plan: &Plan) -> Result<Plan, Error> {
    let plan = plan.with_values(&Providers::from_env())?;
    match plan.errors.dead_letters {
        Some(_) => Ok(plan),
        None => Err(Error::input("dlq.none", format!("`{}` has no dead letters", plan.name))
            .help("[errors] dead-letter = { topic = \"…\" }, or { file = \"…\" }")),
    }
}

/// How many letters a pipeline has, by step and code.
struct Kinds {
    pipeline: String,
    place: String,
    /// (step, code) → (letters, those that were sent again)
    by: BTreeMap<(String, String), (u64, u64)>,
}

fn kinds(plan: &Plan, common: &Common) -> Result<Kinds, Error> {
    let plan = ready(plan)?;
    let replayed = Replayed::load(&common.data_dir(), &plan.name)?;
    let mut by: BTreeMap<_, (u64, u64)> = BTreeMap::new();
    place::read(&plan, &mut |letter| {
        let (all, again) = by.entry((letter.step.clone(), letter.code.clone())).or_default();
        *all += 1;
        *again += u64::from(replayed.has(&letter));
        Ok(())
    })?;
    Ok(Kinds { place: place::name(&plan), pipeline: plan.name, by })
}

fn ls(all: Vec<Kinds>) -> Done {
    let (mut text, mut total, mut result) = (String::new(), 0, vec![]);
    for Kinds { pipeline, place, by } in all {
        let mut list = vec![];
        for ((step, code), (letters, again)) in &by {
            total += letters;
            text.push_str(&format!("{pipeline}\t{step}\t{code}\t{letters} letters\t{again} replayed\n"));
            list.push(json!({"step": step, "code": code, "letters": letters, "replayed": again}));
        }
        let letters: u64 = by.values().map(|n| n.0).sum();
        result.push(json!({"pipeline": pipeline, "place": place, "letters": letters, "kinds": list}));
    }
    Done { summary: format!("{total} letters"), text, result: result.into() }
}

/// A letter, and whether it was sent again.
struct Selected {
    letter: Letter,
    replayed: bool,
}

fn select(plan: &Plan, common: &Common, wanted: &Selection, limit: usize) -> Result<Vec<Selected>, Error> {
    let plan = ready(plan)?;
    let marks = Replayed::load(&common.data_dir(), &plan.name)?;
    let mut found = vec![];
    place::read(&plan, &mut |letter| {
        if found.len() < limit && wanted.takes(&letter) {
            let replayed = marks.has(&letter);
            found.push(Selected { letter, replayed })
        }
        Ok(())
    })?;
    Ok(found)
}

fn list(shown: &[Selected], show: &Show) -> Done {
    let (mut text, mut result) = (String::new(), vec![]);
    for Selected { letter, replayed } in shown {
        let mark = if *replayed { "\treplayed" } else { "" };
        let Letter { step, code, topic, position, message, .. } = letter;
        text.push_str(&format!("{}\t{step}\t{code}\t{topic}\t{position}\t{message}{mark}\n", letter.place()));
        let mut one = json!({
            "pipeline": letter.pipeline, "place": letter.place(), "step": step, "module": letter.module, "code": code,
            "message": message, "position": position, "topic": topic, "guest-log": letter.guest_log,
            "timestamp": letter.timestamp, "replayed": replayed,
        });
        if show.values {
            let mut values = Map::new();
            values.insert("key".into(), letter.key.clone().unwrap_or_default());
            values.insert("value".into(), letter.value.clone().unwrap_or_default());
            values.insert("headers".into(), letter.headers.iter().map(|(n, v)| json!([n, v])).collect());
            let payload = |v: &Value| v.get("payload").cloned().unwrap_or_default();
            text.push_str(&format!("  key    {}\n", letter.key.as_ref().map_or(Value::Null, payload)));
            text.push_str(&format!("  value  {}\n", letter.value.as_ref().map_or(Value::Null, payload)));
            if let Some(one) = one.as_object_mut() {
                one.append(&mut values)
            }
        }
        // what a guest logged may hold values of the record
        if let (true, Some(lines)) = (show.values, &letter.guest_log) {
            lines.lines().for_each(|line| text.push_str(&format!("  log    {line}\n")))
        } else if let Some(one) = one.as_object_mut().filter(|_| !show.values) {
            one.remove("guest-log");
        }
        result.push(one);
    }
    Done { summary: format!("{} letters", shown.len()), text, result: result.into() }
}

// === impl Selection ===

impl Selection {
    fn takes(&self, letter: &Letter) -> bool {
        self.step.as_ref().is_none_or(|s| *s == letter.step) && self.code.as_ref().is_none_or(|c| *c == letter.code)
    }
}
