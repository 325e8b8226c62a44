//! `weir demo`: everything with nothing set up.

use crate::args::{Common, Demo};
use crate::failure::Failure;
use crate::output::Done;
use crate::{connectors, run};
use weir_api::{Error, Finding};
use weir_config::{Plan, Texts, toml};
use weir_store::{Embedded, Store};

const NAME: &str = "demo";

pub fn run(args: &Demo, common: &Common) -> Result<Done, Failure> {
    if args.with.is_some() {
        return Err(Error::environment("demo.postgres", "a private PostgreSQL cannot be started").into());
    }
    let text = generated(args);
    if args.reset {
        Embedded::open(common.data_dir())?.reset(NAME)?;
    }
    if common.log == "info" {
        // what runs, so that it can be kept: `weir demo 2> demo.toml`
        eprint!("{text}");
    }
    let plan = plan(&text)?;
    run::run_plans(&[plan], common)
}

fn plan(text: &str) -> Result<Plan, Failure> {
    let (written, mut findings) = toml::parse("demo.toml", text);
    let plan = written.and_then(|written| {
        let (plan, found) = Plan::new(&written, &connectors::catalog());
        findings.extend(found);
        plan
    });
    let mut texts = Texts::default();
    texts.add("demo.toml", text);
    match plan {
        Some(plan) if !findings.iter().any(Finding::is_error) => Ok(plan),
        _ => Err(Failure::Findings(findings, texts)),
    }
}

/// The pipeline file.
fn generated(args: &Demo) -> String {
    let rows = args.rows.map_or(String::new(), |n| format!("rows = {n}\n"));
    format!(
        "# what `weir demo` runs\nname = \"{NAME}\"\n\n[source.generator]\ntopic.prefix = \"shop\"\nrate = {}\n{rows}\n[sink.stdout]\n",
        args.rate
    )
}
