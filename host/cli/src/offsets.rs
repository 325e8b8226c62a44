//! `weir offsets`: how far pipelines have come.

use crate::args::{Common, Offsets, OffsetsVerb};
use crate::failure::Failure;
use crate::output::{Done, confirmed};
use serde_json::{Map, Value, json};
use weir_api::Error;
use weir_store::{Embedded, Store};

pub fn run(args: &Offsets, common: &Common) -> Result<Done, Failure> {
    let mut store = Embedded::open(common.data_dir())?;
    match &args.verb {
        OffsetsVerb::Show { pipeline } => show(&store, pipeline.as_deref()),
        OffsetsVerb::Reset { pipeline, yes, dry_run } => reset(&mut store, pipeline, *yes, *dry_run),
    }
}

fn show(store: &Embedded, pipeline: Option<&str>) -> Result<Done, Failure> {
    let names = match pipeline {
        Some(name) => vec![name.to_string()],
        None => store.list()?,
    };
    let mut all = Map::new();
    for name in names {
        match store.load(&name)? {
            Some(stored) => {
                all.insert(name, stored.show());
            }
            None => return Err(none(&name).into()),
        }
    }
    let text = all.iter().map(|(name, v)| format!("{name}\t{v}\n")).collect();
    Ok(Done { summary: format!("{} stored", all.len()), text, result: Value::Object(all) })
}

fn none(name: &str) -> Error {
    Error::input("offsets.none", format!("nothing is stored for a pipeline `{name}`"))
        .help("`weir offsets show` lists what there is")
}

fn reset(store: &mut Embedded, name: &str, yes: bool, dry_run: bool) -> Result<Done, Failure> {
    let stored = store.load(name)?.ok_or_else(|| none(name))?;
    let what = json!({"pipeline": name, "forgets": stored.show()});
    if dry_run {
        let text = format!("would forget {}\n", stored.show());
        return Ok(Done { summary: format!("would forget the offsets of {name}"), text, result: what });
    }
    eprintln!("this forgets the offsets of `{name}`: {}", stored.show());
    eprintln!("its next start begins anew, with a snapshot if its configuration says so");
    if !yes && !confirmed()? {
        return Err(Error::input("offsets.not-confirmed", "nothing was changed").help("say `y`, or give --yes").into());
    }
    store.reset(name)?;
    Ok(Done { summary: format!("forgot the offsets of {name}"), text: String::new(), result: what })
}
