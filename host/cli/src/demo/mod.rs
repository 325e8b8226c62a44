//! `weir demo`: everything with nothing set up.

use crate::args::{Common, Demo};
use crate::failure::Failure;
use crate::guests::Guests;
use crate::output::Done;
use crate::{connectors, run};
use std::sync::Arc;
use weir_api::Finding;
use weir_config::{Plan, Texts, toml};
use weir_store::{Embedded, Store};

const NAME: &str = "demo";

pub fn run(args: &Demo, common: &Common) -> Result<Done, Failure> {
    let text = generated(args);
    if args.reset {
        Embedded::open(common.data_dir())?.reset(NAME)?;
    }
    if common.log == "info" {
        // what runs, so that it can be kept: `weir demo 2> demo.toml`
        eprint!("{text}");
    }
    let guests = common.guests()?;
    let plan = plan(&text, &guests)?;
    run::run_plans(&[plan], &guests, common, None)
}

fn plan(text: &str, guests: &Arc<Guests>) -> Result<Plan, Failure> {
    let (written, mut findings) = toml::parse("demo.toml", text);
    let plan = written.and_then(|written| {
        let (catalog, found) = connectors::with_used(connectors::catalog(), &written, guests);
        findings.extend(found);
        let (plan, found) = Plan::new(&written, &catalog);
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

/// The pipeline file: the four standard transforms, each where tutorials put it.
fn generated(args: &Demo) -> String {
    let rows = args.rows.map_or(String::new(), |n| format!("rows = {n}\n"));
    let rate = args.rate;
    format!(
        r#"# what `weir demo` runs
name = "{NAME}"

[source.generator]          # a shop that changes: users, products, orders
topic.prefix = "shop"
rate = {rate}
{rows}
[[transform]]
name = "route"
use = "weir:regex-router"
with.regex = 'shop\.shop\.(.*)'
with.replacement = "$1"

[[transform]]
name = "skip-cancelled"
use = "weir:filter"
with.topic.regex = "orders"
with.condition = "!(value.op == 'u' && value.after.status == 'cancelled')"

[[transform]]
name = "unwrap"
use = "weir:extract-new-record-state"
with.add.fields = "op"

[[transform]]
name = "stamp"
use = "weir:insert-field"
with.static.field = "shop"
with.static.value = "weir demo"

[sink.stdout]
"#
    )
}
