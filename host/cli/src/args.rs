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
    /// Make a transform's crate, or a pipeline file
    New(New),
    /// Build a transform's crate into a component that pipelines can use
    Build(Build),
    /// Run a transform's cases: records in, records out
    Test(Test),
    /// Say what an error code, a configuration key, a connector or a transform means
    Explain(Explain),
}

#[derive(clap::Args, Debug)]
pub struct New {
    #[command(subcommand)]
    pub verb: NewVerb,
}

#[derive(Subcommand, Debug)]
pub enum NewVerb {
    /// A crate with an example and a case, ready for `weir test`
    Transform {
        /// The new folder; its name is the crate's
        #[arg(value_name = "NAME")]
        path: PathBuf,
        #[arg(long, value_enum, default_value_t = Language::Rust)]
        lang: Language,
        /// The SDK's folder, sdk/rust of a checkout [default: the one of this version on crates.io]
        #[arg(long, value_name = "PATH")]
        sdk: Option<PathBuf>,
    },
    /// A file to begin with: PostgreSQL to Kafka
    Pipeline {
        /// The new file, with or without .toml; its name is the pipeline's
        #[arg(value_name = "NAME")]
        path: PathBuf,
    },
}

#[derive(clap::ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub enum Language {
    Rust,
}

#[derive(clap::Args, Debug)]
pub struct Build {
    /// The crate's folder
    #[arg(value_name = "DIR", default_value = ".")]
    pub folder: PathBuf,
}

#[derive(clap::Args, Debug)]
pub struct Test {
    /// A transform's folder, which is built first, or a component; with --use, the folder of cases [default: .]
    #[arg(value_name = "DIR|FILE.wasm")]
    pub path: Option<PathBuf>,
    /// A transform by its name, as "weir:filter", rather than a crate
    #[arg(long = "use", value_name = "NAME")]
    pub uses: Option<String>,
    /// The folder of cases, or one of them [default: cases/ beside the crate or component]
    #[arg(long, value_name = "DIR")]
    pub cases: Option<PathBuf>,
    /// Only cases whose name holds this
    #[arg(long, value_name = "TEXT")]
    pub filter: Option<String>,
    /// Write what comes out into the cases that fail
    #[arg(long)]
    pub accept: bool,
    /// Write the verdicts as JUnit's XML too
    #[arg(long, value_name = "FILE")]
    pub junit: Option<PathBuf>,
}

#[derive(clap::Args, Debug)]
pub struct Explain {
    /// Codes ("postgres.slot-lost"), keys ("table.include.list"), or components ("kafka", "weir:filter") [default: list them]
    #[arg(value_name = "CODE|KEY")]
    pub what: Vec<String>,
}

#[derive(clap::Args, Debug)]
pub struct Demo {
    /// A shop that is made up, or one in a private PostgreSQL, started from this machine's programs
    #[arg(value_enum, default_value_t = DemoSource::Generator)]
    pub source: DemoSource,
    /// Changes a second
    #[arg(long, default_value_t = 5)]
    pub rate: u32,
    /// End after so many changes, those of earlier demos counted [default: never]
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
    /// Pipeline files (TOML), or Kafka Connect connectors (JSON or .properties)
    #[arg(required_unless_present = "from", conflicts_with = "from", value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// The Kafka Connect worker's properties, for connectors
    #[arg(long, value_name = "FILE")]
    pub worker: Option<PathBuf>,
    #[command(flatten)]
    pub addresses: Addresses,
    /// Serve /metrics and /health here, as "127.0.0.1:9464"
    #[arg(long, value_name = "ADDRESS")]
    pub metrics: Option<std::net::SocketAddr>,
}

/// A pipeline without a file.
#[derive(clap::Args, Debug, Default)]
pub struct Addresses {
    /// Without a file, from here: postgres://user:password@host:port/database, or generator:
    #[arg(long, value_name = "URL", requires = "to")]
    pub from: Option<String>,
    /// … to here: kafka://host:port,host:port, stdout:, file:PATH or discard:; the file it amounts to is printed at the end
    #[arg(long, value_name = "URL", requires = "from")]
    pub to: Option<String>,
    /// Only these tables, as "orders,sales.invoices"
    #[arg(long, value_name = "LIST", value_delimiter = ',', requires = "from")]
    pub tables: Vec<String>,
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
    /// Only letters of this step; "converter" and "sink" are behind the last
    #[arg(long)]
    pub step: Option<String>,
    /// Only letters with this code
    #[arg(long)]
    pub code: Option<String>,
}

// === impl Run ===

impl Run {
    pub fn files(&self) -> Files {
        Files { files: self.files.clone(), worker: self.worker.clone() }
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
            Verb::New(_) => "new",
            Verb::Build(_) => "build",
            Verb::Test(_) => "test",
            Verb::Explain(_) => "explain",
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
