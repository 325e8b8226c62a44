//! `weir`: change data capture in one process.

mod addresses;
mod args;
mod author;
mod connectors;
mod demo;
mod dlq;
mod explain;
mod failure;
mod file;
mod guests;
mod metrics;
mod offsets;
mod output;
mod progress;
mod reload;
mod run;
mod show;

use args::{Args, Verb};
use clap::Parser;
use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(e) => {
            let _ = e.print();
            return if e.use_stderr() { ExitCode::from(2) } else { ExitCode::SUCCESS };
        }
    };
    output::log(&args.common);
    let verb = args.verb.name();
    let result = match &args.verb {
        Verb::Demo(a) => demo::run(a, &args.common),
        Verb::Run(a) => run::run(a, &args.common),
        Verb::Validate(a) => show::validate(a, &args.common),
        Verb::Plan(a) => show::plan(a, &args.common),
        Verb::Offsets(a) => offsets::run(a, &args.common),
        Verb::Reload => reload::verb::run(&args.common),
        Verb::Dlq(a) => dlq::run(a, &args.common),
        Verb::New(a) => author::new::run(a),
        Verb::Build(a) => author::build::run(a, &args.common),
        Verb::Test(a) => author::test::run(a, &args.common),
        Verb::Explain(a) => explain::run(a, &args.common),
    };
    output::finish(verb, &args.common, result)
}
