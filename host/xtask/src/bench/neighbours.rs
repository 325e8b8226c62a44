//! `cargo x bench --neighbours`: how old is a row of a healthy pipeline when it arrives, alone and with a hostile guest in another
//! pipeline of the same process?
//!
//! From PostgreSQL through a guest into a pipe, and no Kafka: where the cores are few its broker takes turns with the pipelines,
//! and what is asked is what the guests cost. For the same reason the process that is measured has one core to itself, which both
//! of its pipelines want, and the database, the writer and the reader have the others.
//!
//! Each other second the thread of the hostile pipeline is frozen: a machine that changes changes for both, and what was said of
//! one process is not compared with another. Where there is no freezer, a calm run right before each guest has to do.

use super::case::now_us;
use super::cores::Cores;
use super::freezer::Freezer;
use super::latency::{percentile, written};
use super::stage;
use crate::{checkout, process};
use anyhow::{Context, Result, ensure};
use postgres::{Client, NoTls};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{ChildStdout, Command};
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
/// Rows before those that are measured: a wasteful guest is known for it by then.
const WARM: i64 = 6 * RATE as i64;
/// Half of them while the guest is frozen, where it is.
const MEASURED: i64 = 30 * RATE as i64;
/// Rows of the first part of a second are of neither kind.
const SWITCH_US: i64 = 100_000;
/// Beside a guest that keeps its contract, for no row is poison to it: what a second pipeline costs.
const CALM: &str = "calm";
/// What a run alone is called.
const ALONE: &str = "alone";

/// What all runs need.
struct Scene {
    weir: PathBuf,
    cores: Option<Cores>,
    has_freezer: bool,
    postgres: Postgres,
    healthy: PathBuf,
    hostile: PathBuf,
}

/// What one run gave.
struct Figure {
    guest: &'static str,
    rows: Vec<Row>,
    /// in odd seconds the guest ran, in even ones it was frozen
    alternates: bool,
    peak_mb: f64,
    cpu_seconds: f64,
}

/// When a row was written, and how old it was when it arrived; in microseconds.
struct Row {
    at: i64,
    age: i64,
}

pub fn run(weir: PathBuf, only: &[String], repeat: u32, json: bool) -> Result<()> {
    for name in only {
        ensure!(GUESTS.contains(&name.as_str()), "no guest `{name}`; there are {}", GUESTS.join(", "));
    }
    let target = checkout::target()?.join("guests");
    let module = |name: &str| guest::build(&checkout::root().join("tests/guests").join(name), name, &target);
    let (healthy, hostile) = (module("healthy")?, module("hostile")?);
    let cores = Cores::split()?;
    if fs::read_to_string("/proc/sys/kernel/sched_autogroup_enabled").is_ok_and(|text| text.trim() == "1") {
        eprintln!(
            "each session is a task group of its own: take kernel.sched_autogroup_enabled = 0, or p99 is milliseconds"
        );
    }
    let has_freezer = Freezer::is_there();
    let scene = Scene { weir, cores, has_freezer, postgres: stage::postgres()?, healthy, hostile };
    let mut figures = vec![];
    for _ in 0..repeat {
        let guests = GUESTS.iter().filter(|name| only.is_empty() || only.iter().any(|o| o == *name));
        let guests: Vec<&str> = match has_freezer {
            true => std::iter::once(&CALM).chain(guests).copied().collect(),
            false => std::iter::once(ALONE).chain(guests.flat_map(|guest| [CALM, *guest])).collect(),
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
        let (arrived, ended) = (AtomicI64::new(0), AtomicBool::new(false));
        let id = weir.id();
        let alternates = self.has_freezer && guest != ALONE;
        let (rows, cpu) = std::thread::scope(|scope| -> Result<_> {
            let writer = scope.spawn(|| write(client, &arrived, &ended));
            let other = scope.spawn(|| if alternates { alternate(id, &arrived, &ended) } else { Ok(()) });
            let result = read(records, &arrived, id);
            ended.store(true, Ordering::Relaxed);
            writer.join().map_err(|_| anyhow::anyhow!("the writer panicked"))??;
            other.join().map_err(|_| anyhow::anyhow!("the freezer panicked"))??;
            result
        })
        .with_context(|| fs::read_to_string(&log).unwrap_or_default())?;
        Ok(Figure { guest, rows, alternates, peak_mb: process::peak_mb(id).unwrap_or_default(), cpu_seconds: cpu })
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
fn write(mut client: Client, arrived: &AtomicI64, ended: &AtomicBool) -> Result<()> {
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

/// Freezes the hostile pipeline in even seconds, once the rows are measured.
fn alternate(process: u32, arrived: &AtomicI64, ended: &AtomicBool) -> Result<()> {
    let mut freezer = None;
    while !ended.load(Ordering::Relaxed) {
        let now = now_us();
        let wait = 1_000_000 - now.rem_euclid(1_000_000);
        std::thread::sleep(Duration::from_micros(wait.unsigned_abs()));
        if arrived.load(Ordering::Relaxed) < WARM - RATE as i64 {
            continue;
        }
        let freezer = match &mut freezer {
            Some(freezer) => freezer,
            none => none.insert(Freezer::of(process, "weir-hostile")?),
        };
        match is_frozen(now + wait) {
            true => freezer.freeze()?,
            false => freezer.thaw()?,
        }
    }
    Ok(())
}

fn is_frozen(at: i64) -> bool {
    at.div_euclid(1_000_000) % 2 == 0
}

/// The rows after the first [`WARM`], and the CPU that the process had for them.
fn read(records: impl BufRead, arrived: &AtomicI64, id: u32) -> Result<(Vec<Row>, f64)> {
    let (mut rows, mut before) = (vec![], 0.0);
    for record in records.split(b'\n') {
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
        if rows.len() as i64 == MEASURED - 1 {
            return Ok((rows, process::cpu_seconds(id)? - before));
        }
    }
    anyhow::bail!("weir ended after {} rows", arrived.load(Ordering::Relaxed))
}

// === impl Figure ===

impl Figure {
    fn json(&self) -> Value {
        json!({
            "beside": self.guest,
            "latency_p50_ms": all([self], 50),
            "latency_p99_ms": all([self], 99),
            "latency_p99_of_a_second_ms": usual([self], false),
            "latency_p99_of_a_second_without_ms": usual([self], true),
            "rss_peak_mb": self.peak_mb,
            "cpu_seconds": self.cpu_seconds,
        })
    }

    fn line(&self) -> String {
        let Figure { guest, peak_mb, cpu_seconds, .. } = self;
        let [p50, p99] = [50, 99].map(|p| all([self], p).unwrap_or_default());
        let [second, without] = [false, true].map(|frozen| usual([self], frozen).unwrap_or_default());
        format!(
            "{guest:<14} p50 {p50:>7.3} ms  p99 {p99:>7.3} ms  of a second {second:>7.3} ms, {without:.3} without  peak \
             {peak_mb:>4.0} MB  cpu {cpu_seconds:>5.1} s"
        )
    }

    /// The ages of the rows of each second in which the guest ran or was frozen, sorted.
    fn seconds(&self, frozen: bool) -> Vec<Vec<i64>> {
        let mut seconds: BTreeMap<i64, Vec<i64>> = BTreeMap::new();
        for row in &self.rows {
            let is_settled = row.at.rem_euclid(1_000_000) >= SWITCH_US;
            let is_asked = match self.alternates {
                true => is_settled && is_frozen(row.at) == frozen,
                false => !frozen,
            };
            if is_asked {
                seconds.entry(row.at.div_euclid(1_000_000)).or_default().push(row.age)
            }
        }
        let mut seconds: Vec<_> = seconds.into_values().filter(|ages| ages.len() >= RATE as usize / 2).collect();
        seconds.iter_mut().for_each(|ages| ages.sort_unstable());
        seconds
    }
}

/// For each guest the 99th percentile of a usual second, that of one without it, how the one stands to the other, and the
/// percentiles of its whole runs.
fn table(figures: &[Figure]) -> String {
    let mut text = format!("{:<14} {:>7} {:>7} {:>8}  whole runs, ms\n", "beside", "p99, ms", "without", "change");
    for guest in [ALONE, CALM].iter().chain(GUESTS) {
        let runs = || figures.iter().enumerate().filter(|(_, f)| f.guest == *guest);
        let before = runs().filter_map(|(at, _)| figures.get(at.checked_sub(1)?)).filter(|f| f.guest == CALM);
        let Some(p99) = usual(runs().map(|(_, f)| f), false) else { continue };
        let without = usual(runs().map(|(_, f)| f), true).or(usual(before, false));
        let (without, change) = match without {
            Some(without) => (format!("{without:.2}"), format!("{:+.0} %", (p99 / without - 1.0) * 100.0)),
            None => Default::default(),
        };
        let each: Vec<String> = runs().map(|(_, f)| format!("{:.2}", all([f], 99).unwrap_or_default())).collect();
        text.push_str(&format!("{guest:<14} {p99:>7.2} {without:>7} {change:>8}  {}\n", each.join(" ")));
    }
    text
}

/// A percentile of the rows of several runs, beside the guest, in milliseconds.
fn all<'a>(runs: impl IntoIterator<Item = &'a Figure>, percent: usize) -> Option<f64> {
    let mut ages: Vec<i64> = runs.into_iter().flat_map(|f| f.seconds(false)).flatten().collect();
    ages.sort_unstable();
    percentile(&ages, percent)
}

/// The 99th percentile of the second in the middle, of all of several runs. What a guest does, it does in each second; what the
/// machine does besides, a stall of some milliseconds now and then, is in a few.
fn usual<'a>(runs: impl IntoIterator<Item = &'a Figure>, frozen: bool) -> Option<f64> {
    let seconds = runs.into_iter().flat_map(|f| f.seconds(frozen));
    let mut each: Vec<i64> = seconds.filter_map(|ages| percentile(&ages, 99).map(|ms| (ms * 1000.0) as i64)).collect();
    each.sort_unstable();
    percentile(&each, 50)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As many seconds as there are ages, each of a thousand rows.
    fn figure(guest: &'static str, alternates: bool, ages: &[&dyn Fn(usize) -> i64]) -> Figure {
        let second = |(s, age): (usize, &&dyn Fn(usize) -> i64)| -> Vec<Row> {
            let at = |n: usize| (s * 1_000_000 + n * 1000) as i64;
            (0..RATE as usize).map(|n| Row { at: at(n), age: age(n) }).collect()
        };
        let rows = ages.iter().enumerate().flat_map(second).collect();
        Figure { guest, rows, alternates, peak_mb: 1.0, cpu_seconds: 1.0 }
    }

    #[test]
    fn a_guest_is_compared_with_the_calm_ones_before_it() {
        let runs = [(ALONE, 1), (CALM, 2), ("trap", 3), (CALM, 9), ("divide", 9), (CALM, 4), ("trap", 5)];
        let text = table(&runs.map(|(guest, ms)| figure(guest, false, &[&|_| ms * 1000])));
        assert_eq!(
            text,
            "beside         p99, ms without   change  whole runs, ms\n\
             alone             1.00                   1.00\n\
             calm              4.00                   2.00 9.00 4.00\n\
             trap              5.00    4.00    +25 %  3.00 5.00\n\
             divide            9.00    9.00     +0 %  9.00\n"
        );
    }

    #[test]
    fn where_it_is_frozen_a_guest_is_compared_with_the_seconds_without_it() {
        // of the first tenth of a second nobody knows whether it was frozen
        let (frozen, runs) = (|n: usize| if n < 100 { 9000 } else { 1000 }, |n: usize| if n < 100 { 1 } else { 1500 });
        let text = table(&[figure("loop", true, &[&frozen, &runs, &frozen, &runs])]);
        assert!(text.ends_with("loop              1.50    1.00    +50 %  1.50\n"), "{text}");
    }

    #[test]
    fn a_stall_is_in_a_few_seconds_and_a_guest_in_each() {
        let (none, stall, guest) = (|_| 300, |n| if n < 300 { 8000 } else { 300 }, |n| if n < 20 { 900 } else { 300 });
        assert_eq!(usual([&figure(CALM, false, &[&none, &stall, &none])], false), Some(0.3));
        assert_eq!(usual([&figure(CALM, false, &[&guest, &guest, &none])], false), Some(0.9));
    }
}
