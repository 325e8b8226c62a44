//! `weir demo`: everything with nothing set up. The shop is made up by the generator, or stands in a private PostgreSQL.

mod server;
mod shop;

use crate::args::{Common, Demo, DemoSource};
use crate::failure::Failure;
use crate::file;
use crate::output::Done;
use crate::run::{self, Ends};
use server::{PORT, Server};
use shop::{DATABASE, Shop};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use weir_api::{Cure, Error};
use weir_local::cluster::SUPERUSER;
use weir_store::{Embedded, Store};

const GENERATED: &str = "demo";
const CAPTURED: &str = "demo-postgres";

pub fn run(args: &Demo, common: &Common) -> Result<Done, Failure> {
    let mut store = Embedded::open(common.data_dir())?;
    match args.source {
        DemoSource::Generator => {
            if args.reset {
                store.reset(GENERATED)?;
            }
            pipeline(&generated(args), common, &store, None)
        }
        DemoSource::Postgres => postgres(args, common, &mut store),
    }
}

/// The shop in a real database, which lives as long as the demo.
fn postgres(args: &Demo, common: &Common, store: &mut Embedded) -> Result<Done, Failure> {
    let server = Server::start(&common.data_dir().join(CAPTURED), args.reset)?;
    if server.is_new {
        // what was stored speaks of another server
        store.reset(CAPTURED)?;
    }
    let shop = Shop::open(&server, args.rate, args.rows)?;
    let (stop, finished) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
    let work = {
        let (store, stop, finished) = (store.clone(), stop.clone(), finished.clone());
        move || {
            let result = shop.run(CAPTURED, &store, &stop);
            finished.store(true, Relaxed);
            result
        }
    };
    let thread = std::thread::Builder::new().name("weir-demo-shop".into()).spawn(work);
    let thread = thread.map_err(|e| Error::no_thread(&e))?;
    let ran = pipeline(&captured(&server), common, store, Some(finished));
    stop.store(true, Relaxed);
    let changed = thread.join();
    drop(server);
    let done = ran?;
    changed.map_err(|_| Error::new("demo.shop", Cure::None, "the shop's thread panicked"))??;
    Ok(done)
}

/// Runs what the text says, and says it: `weir demo 2> demo.toml` keeps it.
fn pipeline(text: &str, common: &Common, store: &Embedded, finished: Option<Arc<AtomicBool>>) -> Result<Done, Failure> {
    if common.log == "info" {
        eprint!("{text}");
    }
    let guests = common.guests()?;
    let plan = file::plan_of("demo.toml", text, &guests)?;
    if store.load(&plan.name)?.is_some() {
        // else `--rows` that are reached already look like a demo that does nothing
        tracing::info!(data_dir = %common.data_dir().display(), "going on where an earlier demo ended; --reset begins anew");
    }
    run::run_plans(&[plan], &guests, store, Ends { finished, data_dir: common.data_dir(), ..Ends::default() })
}

fn generated(args: &Demo) -> String {
    let rows = args.rows.map_or(String::new(), |n| format!("rows = {n}\n"));
    let rate = args.rate;
    let source = format!(
        r#"[source.generator]          # a shop that changes: users, products, orders
topic.prefix = "shop"
rate = {rate}
{rows}"#
    );
    whole(GENERATED, &source)
}

fn captured(server: &Server) -> String {
    // JSON writes text as TOML does
    let host = serde_json::Value::from(server.host().display().to_string());
    let source = format!(
        r#"[source.postgres]           # a shop that changes, in a PostgreSQL that lives as long as the demo
database.hostname = {host}
database.port = {PORT}
database.user = "{SUPERUSER}"
database.dbname = "{DATABASE}"
topic.prefix = "shop"
table.include.list = 'shop\..*'
slot.name = "weir_demo"
publication.name = "weir_demo"
publication.autocreate.mode = "filtered"
"#
    );
    whole(CAPTURED, &source)
}

/// The pipeline file: the four standard transforms, each where tutorials put it.
fn whole(name: &str, source: &str) -> String {
    format!(
        r#"# what `weir demo` runs
name = "{name}"

{source}
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
