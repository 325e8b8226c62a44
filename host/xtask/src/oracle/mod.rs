//! `cargo x oracle`: the work that Debezium was given, given to Weir, and every record compared with what Debezium wrote.
//!
//! A workload is SQL against a real PostgreSQL while `weir run` captures it into a real Kafka; the golden records come from
//! Debezium 3.5.0. `tests/oracle/README.md` tells how they are laid out.

mod compare;
mod normalise;
mod session;
mod workload;

use crate::checkout;
use anyhow::{Context, Result, ensure};
use compare::{Difference, KnownList};
use regex::Regex;
use serde_json::{Value, json};
use session::{Refused, Session};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use weir_testkit::{Kafka, Postgres};
use workload::Workload;

const KNOWN: &str = "known-3.5.0-3.6.json";
const SHOWN: usize = 20;

#[derive(clap::Args, Debug, Default)]
pub struct Args {
    /// Folder of workloads [default: tests/oracle/workloads]
    #[arg(long, value_name = "DIR")]
    workloads: Option<PathBuf>,
    /// Folder of golden records [default: tests/oracle/golden]
    #[arg(long, value_name = "DIR")]
    golden: Option<PathBuf>,
    /// Differences between releases of Debezium that Weir may make too [default: beside the workloads' folder]
    #[arg(long, value_name = "FILE")]
    known: Option<PathBuf>,
    /// Only workloads with such a name, as "pg-time*"
    #[arg(long, value_name = "GLOB")]
    only: Option<String>,
    /// Differences shown of each workload
    #[arg(long, value_name = "N", default_value_t = SHOWN)]
    max: usize,
    /// One object a line: {workload, identical, differences, …}
    #[arg(long)]
    json: bool,
    /// A built `weir` [default: built now]
    #[arg(long, value_name = "FILE", env = "WEIR_BINARY")]
    weir: Option<PathBuf>,
}

/// How a workload ended.
enum Outcome {
    /// records that were compared, and what differs
    Compared(usize, Vec<Difference>),
    Refused(String),
    Failed(String),
}

// === impl Args ===

impl Args {
    /// Everything, with this binary.
    pub fn with(weir: PathBuf) -> Args {
        Args { weir: Some(weir), max: SHOWN, ..Args::default() }
    }
}

/// 0 all identical, 1 something differs, 2 something could not be carried through.
pub fn run(args: &Args) -> Result<ExitCode> {
    let data = checkout::root().join("tests/oracle");
    let workloads = args.workloads.clone().unwrap_or_else(|| data.join("workloads"));
    let golden = args.golden.clone().unwrap_or_else(|| data.join("golden"));
    let beside = workloads.parent().map(|p| p.join(KNOWN)).unwrap_or_default();
    let known = KnownList::read(args.known.as_deref().unwrap_or(&beside))?;
    let chosen = chosen(&workloads, args.only.as_deref())?;
    ensure!(!chosen.is_empty(), "no workload in {} has such a name", workloads.display());
    let binary = checkout::weir(args.weir.as_deref(), false)?;
    let postgres = Postgres::start()?;
    let kafka = Kafka::builder().start()?;
    let (mut worst, mut identical) = (0, 0);
    for path in &chosen {
        let Some(workload) = Workload::read(path)? else { continue };
        let outcome = one(&workload, &golden, &known, &binary, &postgres, &kafka);
        let outcome = outcome.unwrap_or_else(|e| Outcome::Failed(format!("{e:#}")));
        worst = worst.max(match &outcome {
            Outcome::Compared(_, found) if found.is_empty() => {
                identical += 1;
                0
            }
            Outcome::Compared(..) => 1,
            _ => 2,
        });
        match args.json {
            true => println!("{}", object(&workload.name, &outcome, args.max)),
            false => print!("{}", text(&workload.name, &outcome, args.max)),
        }
    }
    if !args.json {
        println!("oracle: {identical} of {} workloads identical", chosen.len());
    }
    Ok(ExitCode::from(worst))
}

fn chosen(directory: &Path, only: Option<&str>) -> Result<Vec<PathBuf>> {
    let pattern = regex::escape(only.unwrap_or("*")).replace(r"\*", ".*").replace(r"\?", ".");
    let pattern = Regex::new(&format!("^{pattern}$"))?;
    let entries = std::fs::read_dir(directory).with_context(|| directory.display().to_string())?;
    let mut all: Vec<PathBuf> = entries.map(|e| Ok(e?.path())).collect::<Result<_>>()?;
    all.retain(|p| {
        p.join("workload.json").exists() && p.file_name().is_some_and(|n| pattern.is_match(&n.to_string_lossy()))
    });
    all.sort();
    Ok(all)
}

fn one(
    workload: &Workload,
    golden: &Path,
    known: &KnownList,
    binary: &Path,
    postgres: &Postgres,
    kafka: &Kafka,
) -> Result<Outcome> {
    let golden = workload::golden(golden, &workload.name)?;
    ensure!(golden.values().any(|r| !r.is_empty()), "no golden records: the workload proves nothing");
    let mut session = Session::new(workload, binary, postgres, kafka)?;
    let result = session.run();
    let log = session.log_tail();
    let cleared = session.clear();
    match result.with_context(|| format!("weir said: {log}"))? {
        Err(Refused::Config(why)) => Ok(Outcome::Refused(why)),
        Ok(topics) => {
            if workload.end != workload::End::Failed {
                cleared?;
            }
            let records = golden.values().map(Vec::len).sum();
            Ok(Outcome::Compared(records, compare::compare(&workload.name, &golden, &topics, known)))
        }
    }
}

fn object(name: &str, outcome: &Outcome, max: usize) -> Value {
    match outcome {
        Outcome::Compared(records, found) => {
            let detail = found.iter().take(max).map(
                |d| json!({"topic": d.topic, "record": d.record, "path": d.path, "golden": d.golden, "weir": d.weir}),
            );
            json!({"workload": name, "identical": found.is_empty(), "differences": found.len(), "records": records,
                   "details": detail.collect::<Vec<_>>()})
        }
        Outcome::Refused(why) => json!({"workload": name, "identical": false, "differences": null, "refused": why}),
        Outcome::Failed(why) => json!({"workload": name, "identical": false, "differences": null, "failed": why}),
    }
}

fn text(name: &str, outcome: &Outcome, max: usize) -> String {
    let short = |value: &Value| value.to_string().chars().take(400).collect::<String>();
    match outcome {
        Outcome::Compared(records, found) if found.is_empty() => format!("{name}: identical, {records} records\n"),
        Outcome::Compared(_, found) => {
            let mut text = format!("{name}: {} differences\n", found.len());
            for d in found.iter().take(max) {
                let (golden, weir) = (short(&d.golden), short(&d.weir));
                text.push_str(&format!(
                    "  {} {} {}\n    golden: {golden}\n    weir:   {weir}\n",
                    d.topic, d.record, d.path
                ));
            }
            if found.len() > max {
                text.push_str(&format!("  … {} more\n", found.len() - max));
            }
            text
        }
        Outcome::Refused(why) => format!("{name}: refused: {why}\n"),
        Outcome::Failed(why) => format!("{name}: not carried through: {why}\n"),
    }
}
