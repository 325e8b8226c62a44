//! The command line.

use crate::guests::Guests;
use clap::{Parser, Subcommand};
use std::path::PathBuf;
use std::sync::Arc;

/// Change data capture: from a database's log, through sandboxed WebAssembly transforms, to Kafka.
#[derive(Parser, Debug)]
#[command(name = "weir", version, arg_required_else_help = true, disable_help_subcommand = true)]
pub struct Args {
    #[command(subcommand)]
    pub verb: Verb,
    #[command(flatten)]
    pub common: Common,
}

#[derive(clap::Args, Debug, Clone)]
pub struct Common {
    /// Print the result as one JSON object: {command, ok, summary, result, error}
    #[arg(long, global = true)]
    pub json: bool,
    /// Where offsets and compiled guests are kept [default: the platform's data directory]
    #[arg(long, global = true, value_name = "DIR", env = "WEIR_DATA_DIR", hide_env_values = true)]
    pub data_dir: Option<PathBuf>,
    /// What to log, as "info" or "warn,weir_postgres=debug"
    #[arg(
        long,
        global = true,
        value_name = "FILTER",
        env = "WEIR_LOG",
        hide_env_values = true,
        default_value = "info"
    )]
    pub log: String,
}

#[derive(Subcommand, Debug)]
pub enum Verb {
    /// Show it all with nothing set up: a shop that changes, four transforms, rows on standard output
    Demo(Demo),
    /// Run pipelines
    Run(Run),
    /// Check pipeline files; silent when nothing is wrong
    Validate(Files),
    /// Print what pipeline files resolve to
    Plan(Files),
    /// Show or reset how far pipelines have come
    Offsets(Offsets),
    /// Let a running `weir run` take what its transforms' files hold now; what is refused changes nothing
    Reload,
    /// Look at dead letters, and send them again
    Dlq(Dlq),
}

#[derive(clap::Args, Debug)]
pub struct Demo {
    /// A shop that is made up, or one in a private PostgreSQL, started from this machine's programs
    #[arg(value_enum, default_value_t = DemoSource::Generator)]
    pub source: DemoSource,
    /// Changes a second
    #[arg(long, default_value_t = 5)]
    pub rate: u32,
    /// End after so many changes [default: never]
    #[arg(long, value_name = "N")]
    pub rows: Option<u64>,
    /// Begin again from the first row
    #[arg(long)]
    pub reset: bool,
}

#[derive(clap::ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub enum DemoSource {
    Generator,
    Postgres,
}

#[derive(clap::Args, Debug)]
pub struct Run {
    #[command(flatten)]
    pub files: Files,
    /// Serve /metrics and /health here, as "127.0.0.1:9464"
    #[arg(long, value_name = "ADDRESS")]
    pub metrics: Option<std::net::SocketAddr>,
}

#[derive(clap::Args, Debug)]
pub struct Files {
    /// Pipeline files (TOML), or Kafka Connect connectors (JSON or .properties)
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// The Kafka Connect worker's properties, for connectors
    #[arg(long, value_name = "FILE")]
    pub worker: Option<PathBuf>,
}

#[derive(clap::Args, Debug)]
pub struct Offsets {
    #[command(subcommand)]
    pub verb: OffsetsVerb,
}

#[derive(Subcommand, Debug)]
pub enum OffsetsVerb {
    /// Show the stored offsets of one pipeline, or of all
    Show { pipeline: Option<String> },
    /// Forget the stored offsets of a pipeline: its next start begins anew
    Reset {
        pipeline: String,
        /// Do not ask
        #[arg(long)]
        yes: bool,
        /// Only say what would be done
        #[arg(long)]
        dry_run: bool,
    },
}

#[derive(clap::Args, Debug)]
pub struct Dlq {
    #[command(subcommand)]
    pub verb: DlqVerb,
}

#[derive(Subcommand, Debug)]
pub enum DlqVerb {
    /// Count the dead letters of pipelines, by step and code
    Ls(Files),
    /// Show dead letters: what failed, where and why
    Show(Show),
    /// Send dead letters again, through the chain from the step that failed on, into the pipeline's sink; none twice
    Replay(Replay),
}

#[derive(clap::Args, Debug)]
pub struct Show {
    #[command(flatten)]
    pub files: Files,
    #[command(flatten)]
    pub selection: Selection,
    /// The most letters to show
    #[arg(long, value_name = "N", default_value_t = 20)]
    pub limit: usize,
    /// With keys, values, headers and what the guest logged
    #[arg(long)]
    pub values: bool,
}

#[derive(clap::Args, Debug)]
pub struct Replay {
    /// The pipeline file (TOML), or Kafka Connect connector (JSON or .properties)
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// The Kafka Connect worker's properties, for a connector
    #[arg(long, value_name = "FILE")]
    pub worker: Option<PathBuf>,
    #[command(flatten)]
    pub selection: Selection,
    /// Do not ask
    #[arg(long)]
    pub yes: bool,
    /// Only run the chain, and say what would be sent
    #[arg(long)]
    pub dry_run: bool,
}

#[derive(clap::Args, Debug, Default)]
pub struct Selection {
    /// Only letters of this step; "converter" is the one behind the last
    #[arg(long)]
    pub step: Option<String>,
    /// Only letters with this code
    #[arg(long)]
    pub code: Option<String>,
}

// === impl Replay ===

impl Replay {
    pub fn files(&self) -> Files {
        Files { files: vec![self.file.clone()], worker: self.worker.clone() }
    }
}

// === impl Verb ===

impl Verb {
    pub fn name(&self) -> &'static str {
        match self {
            Verb::Demo(_) => "demo",
            Verb::Run(_) => "run",
            Verb::Validate(_) => "validate",
            Verb::Plan(_) => "plan",
            Verb::Offsets(_) => "offsets",
            Verb::Reload => "reload",
            Verb::Dlq(_) => "dlq",
        }
    }
}

// === impl Common ===

impl Common {
    /// Compiled guests are kept in the data directory.
    pub fn guests(&self) -> Result<Arc<Guests>, weir_api::Error> {
        Guests::new(self.data_dir().join("guests")).map(Arc::new)
    }

    /// Made if need be by who opens the store.
    pub fn data_dir(&self) -> PathBuf {
        let platform = || directories::ProjectDirs::from("", "", "weir").map(|d| d.data_dir().to_path_buf());
        self.data_dir.clone().or_else(platform).unwrap_or_else(|| PathBuf::from("weir-data"))
    }
}
