//! `cargo x bench`: Weir and Debezium at the same work, on the same PostgreSQL and the same Kafka, in one run.
//!
//! What counts is what lies in the topic: the number of records is taken from it, every id has to be there, and the time is
//! the broker's between the first and the last record. Both read the same connector and have the defaults of their own.

mod case;
mod cores;
mod freezer;
mod latency;
mod micro;
mod neighbours;
mod report;
mod soak;
mod stage;
mod system;
mod workload;

use crate::checkout;
use anyhow::{Result, ensure};
use case::{CASES, Case};
use clap::ValueEnum;
use report::Figure;
use stage::Stage;
use std::path::PathBuf;
use system::Which;

#[derive(clap::Args, Debug)]
pub struct Args {
    /// Only this case, as "backlog" or "backlog+chain" [default: all]
    #[arg(long, value_name = "NAME", value_parser = case::NAMES)]
    case: Vec<String>,
    /// Rows of a case; small-tx takes a fifth of them
    #[arg(long, value_name = "N", default_value_t = 1_000_000)]
    rows: u64,
    /// Only one of the two
    #[arg(long)]
    only: Option<Which>,
    /// Where `snapshot` goes; nothing but weir can discard
    #[arg(long, default_value = "kafka")]
    sink: Sink,
    /// Runs of each case and system; all are shown
    #[arg(long, value_name = "N", default_value_t = 1)]
    repeat: u32,
    /// A pipeline file that weir runs in the same process, as one with a guest that misbehaves; may be repeated
    #[arg(long, value_name = "FILE")]
    beside: Vec<PathBuf>,
    /// A healthy pipeline's latency beside each hostile guest, or beside those named
    #[arg(long, value_name = "GUEST", num_args = 0.., conflicts_with_all = ["case", "only", "sink", "beside", "micro"])]
    neighbours: Option<Vec<String>>,
    /// For so many minutes 20,000 rows a second: memory, and that nothing is lost
    #[arg(long, value_name = "MINUTES", conflicts_with_all = ["case", "only", "sink", "beside", "micro", "neighbours", "repeat"])]
    soak: Option<u64>,
    /// What a row costs, without a database and without Kafka
    #[arg(long, conflicts_with_all = ["case", "only", "sink", "repeat", "weir"])]
    micro: bool,
    /// One JSON object a line
    #[arg(long)]
    json: bool,
    /// A built `weir` [default: built now, in release mode]
    #[arg(long, value_name = "FILE", env = "WEIR_BINARY")]
    weir: Option<PathBuf>,
}

#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
enum Sink {
    Kafka,
    Discard,
}

pub fn run(args: &Args) -> Result<()> {
    if args.micro {
        return micro::run(args.json);
    }
    let binary = checkout::weir(args.weir.as_deref(), true)?;
    if let Some(guests) = &args.neighbours {
        return neighbours::run(binary, guests, args.repeat, args.json);
    }
    if let Some(minutes) = args.soak {
        return soak::run(binary, minutes, args.json);
    }
    let cases: Vec<&Case> = match (args.sink, args.case.is_empty()) {
        (Sink::Discard, _) => vec![&case::DISCARD],
        (Sink::Kafka, true) => CASES.iter().collect(),
        (Sink::Kafka, false) => CASES.iter().filter(|c| args.case.iter().any(|name| name == c.name)).collect(),
    };
    let mut stage = Stage::new(binary, args.only != Some(Which::Weir) && args.sink == Sink::Kafka)?;
    stage.beside = args.beside.iter().map(std::path::absolute).collect::<std::io::Result<_>>()?;
    let (mut figures, mut failed): (Vec<Figure>, u32) = (vec![], 0);
    for case in cases {
        for which in [Which::Weir, Which::Debezium] {
            if args.only.is_some_and(|only| only != which) || !case.takes(which) {
                continue;
            }
            for _ in 0..args.repeat {
                match case.run(&stage, which, args.rows) {
                    Ok(Ok(figure)) => {
                        if args.json {
                            println!("{}", figure.json());
                        } else {
                            eprintln!("{}", figure.line());
                        }
                        figures.push(figure);
                    }
                    Ok(Err(skipped)) => eprintln!("{} {}: skipped: {}", case.name, which.name(), skipped.0),
                    // one broken case must not end the round
                    Err(error) => {
                        failed += 1;
                        eprintln!("{} {}: failed: {error:#}", case.name, which.name());
                    }
                }
            }
        }
    }
    if !args.json {
        print!("{}", report::table(&figures));
    }
    ensure!(failed == 0, "{failed} runs failed");
    Ok(())
}
