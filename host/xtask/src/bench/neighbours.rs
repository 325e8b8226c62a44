//! `cargo x bench --neighbours`: how old is a row of a healthy pipeline when it arrives, alone and with a hostile guest in another
//! pipeline of the same process?
//!
//! From PostgreSQL through a guest into a pipe, and no Kafka: where the cores are few its broker takes turns with the pipelines,
//! and what is asked is what the guests cost. For the same reason the process that is measured has one core to itself, which both
//! of its pipelines want, and the database, the writer and the reader have the others.
//!
//! Each other ten seconds the thread of the hostile pipeline is frozen: a machine that changes changes for both, and what was said
//! of one process is not compared with another. Where there is no freezer, a calm run right before each guest has to do. Seconds in
//! which the machine below a virtual one took a core are left out: they have milliseconds that nobody here has caused. A run lasts
//! until there are enough of the others.

mod change;
mod figure;

use super::case::now_us;
use super::cores::Cores;
use super::freezer::Freezer;
use super::latency::written;
use super::stage;
use crate::{checkout, process};
use anyhow::{Context, Result, ensure};
use figure::{Figure, Row, table};
use postgres::{Client, NoTls};
use signal_hook::consts::{SIGINT, SIGTERM};
use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{ChildStdout, Command};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::{Duration, Instant};
use weir_testkit::process::Process;
use weir_testkit::{Postgres, guest};

/// Modes of `tests/guests/hostile` that do harm while rows pass.
const GUESTS: &[&str] = &[
    "trap",
    "divide",
    "loop",
    "memory",
    "stack",
    "deep",
    "refuse",
    "ordered",
    "short",
    "ends-outside",
    "utf8",
    "rows-range",
    "layout-range",
    "added-many",
    "added-again",
    "huge",
    "huge-text",
    "huge-list",
    "huge-error",
    "huge-word",
    "leak",
    "fill",
    "log-huge",
    "log-flood",
    "log-trap",
];
/// Rows a second, each with a transaction of its own. The hostile pipeline has as many, and a third of them are poison.
const RATE: u64 = 1000;
/// Rows before those that are measured: a wasteful guest is known for it by then, and a phase has begun.
const WARM: i64 = 18 * RATE as i64;
/// At most, however few seconds were clean. Half of them while the guest is frozen, where it is.
const MEASURED: i64 = 240 * RATE as i64;
/// So many clean seconds of each kind are enough.
const ENOUGH: u32 = 40;
/// A guest is frozen for so long, and then not. Longer than it rests, or its rests would fall into the time that it is frozen anyway.
const PHASE_US: i64 = 10_000_000;
/// Rows of the first second after that are of neither kind.
const SETTLE_US: i64 = SECOND_US;
const SECOND_US: i64 = 1_000_000;
/// Beside a guest that keeps its contract, for no row is poison to it: what a second pipeline costs.
const CALM: &str = "calm";
/// What a run alone is called.
const ALONE: &str = "alone";

/// What the threads of one run tell each other.
#[derive(Default)]
struct Progress {
    arrived: AtomicI64,
    has_enough: AtomicBool,
    ended: AtomicBool,
    /// a signal: what is frozen, and where the kernel's threads are, is put back before the end
    stop: Arc<AtomicBool>,
}

/// What all runs need.
struct Scene {
    weir: PathBuf,
    cores: Option<Cores>,
    has_freezer: bool,
    postgres: Postgres,
    healthy: PathBuf,
    hostile: PathBuf,
    stop: Arc<AtomicBool>,
}

pub fn run(weir: PathBuf, only: &[String], repeat: u32, json: bool) -> Result<()> {
    for name in only {
        let is_known = name == CALM || GUESTS.contains(&name.as_str());
        ensure!(is_known, "no guest `{name}`; there are {CALM}, {}", GUESTS.join(", "));
    }
    let target = checkout::target()?.join("guests");
    let module = |name: &str| guest::build(&checkout::root().join("tests/guests").join(name), name, &target);
    let (healthy, hostile) = (module("healthy")?, module("hostile")?);
    let stop = Arc::default();
    for signal in [SIGINT, SIGTERM] {
        signal_hook::flag::register(signal, Arc::clone(&stop))?;
    }
    let cores = Cores::split()?;
    if fs::read_to_string("/proc/sys/kernel/sched_autogroup_enabled").is_ok_and(|text| text.trim() == "1") {
        eprintln!(
            "each session is a task group of its own: take kernel.sched_autogroup_enabled = 0, or p99 is milliseconds"
        );
    }
    let has_freezer = Freezer::is_there();
    let scene = Scene { weir, cores, has_freezer, postgres: stage::postgres()?, healthy, hostile, stop };
    let mut figures = vec![];
    for _ in 0..repeat {
        let is_asked = |name: &&&str| only.is_empty() || only.iter().any(|o| o == **name);
        let guests: Vec<&str> = match has_freezer {
            true => std::iter::once(&CALM).chain(GUESTS).filter(is_asked).copied().collect(),
            false => {
                let guests = GUESTS.iter().filter(is_asked).flat_map(|guest| [CALM, *guest]);
                std::iter::once(ALONE).chain(guests).collect()
            }
        };
        for guest in guests {
            let figure = scene.run(guest).with_context(|| format!("beside {guest}"))?;
            match json {
                true => println!("{}", figure.json()),
                false => eprintln!("{}", figure.line()),
            }
            figures.push(figure);
        }
    }
    if !json {
        print!("{}", table(&figures));
    }
    Ok(())
}

// === impl Scene ===

impl Scene {
    fn run(&self, guest: &'static str) -> Result<Figure> {
        let database = self.postgres.database()?;
        let mut client = Client::connect(&self.postgres.url_of(&database), NoTls)?;
        client.batch_execute("CREATE TABLE events (id bigint PRIMARY KEY, name text, city text)")?;
        let folder = tempfile::Builder::new().prefix("weir-neighbours-").tempdir()?;
        let figure = self.measure(guest, &database, client, folder.path())?;
        self.postgres.sql("SELECT pg_terminate_backend(active_pid, 10000) FROM pg_replication_slots WHERE active")?;
        self.postgres.sql(&format!("SELECT pg_drop_replication_slot('{database}')"))?;
        self.postgres.sql(&format!("DROP DATABASE {database} WITH (FORCE)"))?;
        Ok(figure)
    }

    fn measure(&self, guest: &'static str, database: &str, client: Client, folder: &Path) -> Result<Figure> {
        let log = folder.join("log");
        let (weir, records) = self.start(guest, database, folder)?;
        let records = BufReader::new(records);
        let progress = Progress { stop: Arc::clone(&self.stop), ..Progress::default() };
        let id = weir.id();
        let alternates = self.has_freezer && guest != ALONE;
        let (rows, cpu_seconds, stolen) = std::thread::scope(|scope| -> Result<_> {
            let writer = scope.spawn(|| write(client, &progress));
            let other = scope.spawn(|| watch(id, alternates, &progress));
            let result = read(records, &progress, id);
            progress.ended.store(true, Ordering::Relaxed);
            writer.join().map_err(|_| anyhow::anyhow!("the writer panicked"))??;
            let stolen = other.join().map_err(|_| anyhow::anyhow!("the freezer panicked"))??;
            result.map(|(rows, cpu)| (rows, cpu, stolen))
        })
        .with_context(|| fs::read_to_string(&log).unwrap_or_default())?;
        let peak_mb = process::peak_mb(id).unwrap_or_default();
        Ok(Figure { guest, rows, alternates, stolen, peak_mb, cpu_seconds })
    }

    fn start(&self, guest: &str, database: &str, folder: &Path) -> Result<(Process, ChildStdout)> {
        let healthy = format!(
            "name = \"healthy\"\n[source.postgres]\nurl = \"{}\"\ntopic.prefix = \"healthy\"\nslot.name = \"{database}\"\n\
             snapshot.mode = \"no_data\"\n[[transform]]\nuse = \"{}\"\nwith.mode = \"echo\"\nwith.field = \"city\"\n\
             [sink.stdout]\nvalue.format = \"json\"\nkey.format = \"json\"\n",
            self.postgres.url_of(database),
            self.healthy.display()
        );
        let word = if guest == CALM { "never" } else { "paid" };
        let hostile = format!(
            "name = \"hostile\"\n[source.generator]\nrate = {RATE}\n[[transform]]\nuse = \"{}\"\non-error = \"skip\"\n\
             with.mode = \"{guest}\"\nwith.word = \"{word}\"\n[sink.discard]\n",
            self.hostile.display()
        );
        let mut command = Command::new(&self.weir);
        command.args(["--data-dir", "data", "--log", "warn", "run", "healthy.toml"]).current_dir(folder);
        fs::write(folder.join("healthy.toml"), healthy)?;
        if guest != ALONE {
            fs::write(folder.join("hostile.toml"), hostile)?;
            command.arg("hostile.toml");
        }
        let start = || Process::start_piped(command, &folder.join("log"), folder);
        Ok(match &self.cores {
            Some(cores) => cores.measured(start)??,
            None => start()?,
        })
    }
}

/// Writes rows at [`RATE`], each with the time of its statement, taken just before its commit.
fn write(mut client: Client, progress: &Progress) -> Result<()> {
    let Progress { arrived, ended, .. } = progress;
    let insert = client.prepare(
        "INSERT INTO events VALUES ($1, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint::text, 'town')",
    )?;
    // what is written before there is a slot never arrives
    let mut id = 0i64;
    while arrived.load(Ordering::Relaxed) == 0 && !ended.load(Ordering::Relaxed) {
        id -= 1;
        client.execute(&insert, &[&id])?;
        std::thread::sleep(Duration::from_millis(20));
    }
    let start = Instant::now();
    for n in 0..WARM + MEASURED {
        if ended.load(Ordering::Relaxed) {
            break;
        }
        let due = start + Duration::from_micros(n.unsigned_abs() * 1_000_000 / RATE);
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        client.execute(&insert, &[&(n + 1)])?;
    }
    Ok(())
}

/// Freezes the hostile pipeline in even phases, where that is asked, and tells in which seconds a core was not there.
fn watch(process: u32, alternates: bool, progress: &Progress) -> Result<BTreeSet<i64>> {
    let (mut freezer, mut stolen, mut before) = (None, BTreeSet::new(), process::stolen());
    let (mut clean, mut clean_without) = (0, 0);
    while !progress.ended.load(Ordering::Relaxed) && !progress.stop.load(Ordering::Relaxed) {
        let now = now_us();
        let begins = (now.div_euclid(SECOND_US) + 1) * SECOND_US;
        std::thread::sleep(Duration::from_micros((begins - now).unsigned_abs()));
        let arrived = progress.arrived.load(Ordering::Relaxed);
        let (last, total) = (begins - SECOND_US, process::stolen());
        if total != before {
            stolen.insert(last / SECOND_US);
        } else if arrived >= WARM + RATE as i64 && is_settled(last) {
            match alternates && is_frozen(last) {
                true => clean_without += 1,
                false => clean += 1,
            }
            let has_enough = clean >= ENOUGH && (clean_without >= ENOUGH || !alternates);
            progress.has_enough.store(has_enough, Ordering::Relaxed);
        }
        before = total;
        // a phase is to have begun when the first row is measured
        let is_due = arrived >= WARM - PHASE_US / SECOND_US * RATE as i64;
        if !alternates || !is_due || begins % PHASE_US != 0 {
            continue;
        }
        let freezer = match &mut freezer {
            Some(freezer) => freezer,
            none => none.insert(Freezer::of(process, "weir-hostile")?),
        };
        match is_frozen(begins) {
            true => freezer.freeze()?,
            false => freezer.thaw()?,
        }
    }
    Ok(stolen)
}

/// The guest has run, or been frozen, for long enough to tell.
fn is_settled(at: i64) -> bool {
    at.rem_euclid(PHASE_US) >= SETTLE_US
}

fn is_frozen(at: i64) -> bool {
    at.div_euclid(PHASE_US) % 2 == 0
}

/// The rows after the first [`WARM`], and the CPU that the process had for them.
fn read(records: impl BufRead, progress: &Progress, id: u32) -> Result<(Vec<Row>, f64)> {
    let Progress { arrived, has_enough, stop, .. } = progress;
    let (mut rows, mut before) = (vec![], 0.0);
    for record in records.split(b'\n') {
        ensure!(!stop.load(Ordering::Relaxed), "stopped by a signal");
        let record = record?;
        let now = now_us();
        let at = written(&record).context("a record without its time")?;
        // a negative id: one of the tries before the slot was there
        if !record.windows(6).any(|w| w == b"\"id\":-") {
            let n = arrived.fetch_add(1, Ordering::Relaxed);
            if n == WARM {
                before = process::cpu_seconds(id)?;
            }
            if n >= WARM {
                rows.push(Row { at, age: now - at });
            }
        } else if arrived.load(Ordering::Relaxed) == 0 {
            arrived.store(1, Ordering::Relaxed);
        }
        if rows.len() as i64 == MEASURED - 1 || has_enough.load(Ordering::Relaxed) {
            return Ok((rows, process::cpu_seconds(id)? - before));
        }
    }
    anyhow::bail!("weir ended after {} rows", arrived.load(Ordering::Relaxed))
}
