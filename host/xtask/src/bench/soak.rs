//! `cargo x bench --soak MINUTES`: does memory stay where it is while 20,000 rows a second go from PostgreSQL through
//! ExtractNewRecordState to Kafka, and is every one of them in the topic?
//!
//! Looked at each second. The first five minutes are left out, for caches and pools fill; of the rest the mean of each five minutes
//! is compared with the mean of all.

use super::stage::{Database, Stage};
use crate::process;
use crate::weir::Weir;
use anyhow::{Context, Result, ensure};
use rdkafka::message::Message;
use serde_json::{Value, json};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Rows a second, in [`COMMITS`] transactions.
const RATE: u64 = 20_000;
const COMMITS: u64 = 100;
/// Seconds of which a mean is taken.
const PART: usize = 300;
const NAME: &str = "soak";
/// For the last rows, once nothing more is written.
const LIMIT: Duration = Duration::from_secs(60);

/// What the run showed.
struct Soak {
    rows: u64,
    repeated: u64,
    cpu_seconds: f64,
    peak_mb: f64,
    /// resident, a sample a second
    samples_mb: Vec<f64>,
}

pub fn run(weir: PathBuf, minutes: u64, json: bool) -> Result<()> {
    let stage = Stage::new(weir, false)?;
    let mut database = stage.database()?;
    database.client.batch_execute("CREATE TABLE events (id bigint PRIMARY KEY, name text)")?;
    let topic = format!("{NAME}.public.events");
    stage.cluster.create(&topic)?;
    let mut config = stage.connector(&database.name, NAME, NAME);
    let chain = config.as_object_mut().context("a connector is an object")?;
    chain.insert("transforms".into(), "unwrap".into());
    chain.insert("transforms.unwrap.type".into(), "io.debezium.transforms.ExtractNewRecordState".into());
    let mut weir = Weir::new(&stage.weir, &stage.worker())?;
    weir.configure(NAME, &config)?;
    if let Some(why) = weir.refusal()? {
        anyhow::bail!(why);
    }
    let soak = measure(&stage, &mut database, &mut weir, &topic, minutes)?;
    weir.stop()?;
    drop(weir);
    stage.clear(database, NAME)?;
    match json {
        true => println!("{}", soak.json()),
        false => print!("{}", soak.text()),
    }
    Ok(())
}

fn measure(stage: &Stage, database: &mut Database, weir: &mut Weir, topic: &str, minutes: u64) -> Result<Soak> {
    weir.start()?;
    // what is written before there is a slot is not captured
    let slot = format!("SELECT FROM pg_replication_slots WHERE slot_name = '{NAME}' AND active");
    let deadline = Instant::now() + LIMIT;
    while database.client.query_opt(&slot, &[])?.is_none() {
        weir.alive()?;
        ensure!(Instant::now() < deadline, "no slot after {LIMIT:?}: {}", weir.log_tail());
        std::thread::sleep(Duration::from_millis(20));
    }
    let id = weir.id().context("weir runs")?;
    let (written, ended) = (AtomicU64::new(0), AtomicBool::new(false));
    let samples_mb = std::thread::scope(|scope| -> Result<_> {
        let writer = scope.spawn(|| {
            let result = write(database, minutes, &written, &ended);
            ended.store(true, Ordering::Relaxed);
            result
        });
        let samples = watch(weir, id, &written, &ended);
        ended.store(true, Ordering::Relaxed);
        writer.join().map_err(|_| anyhow::anyhow!("the writer panicked"))??;
        samples
    })?;
    let rows = written.load(Ordering::Relaxed);
    let deadline = Instant::now() + LIMIT;
    while u64::try_from(stage.cluster.end(topic)?)? < rows {
        weir.alive()?;
        ensure!(Instant::now() < deadline, "{} of {rows} records", stage.cluster.end(topic)?);
        std::thread::sleep(Duration::from_millis(100));
    }
    let (cpu_seconds, peak_mb) = (process::cpu_seconds(id)?, process::peak_mb(id).unwrap_or_default());
    let repeated = count(stage, topic, rows)?;
    Ok(Soak { rows, repeated, cpu_seconds, peak_mb, samples_mb })
}

/// Rows from 1 on at [`RATE`], with the transactions spread evenly.
fn write(database: &mut Database, minutes: u64, written: &AtomicU64, ended: &AtomicBool) -> Result<()> {
    let insert = database.client.prepare(
        "INSERT INTO events SELECT g, 'customer number ' || g FROM generate_series($1::bigint, $2::bigint) g",
    )?;
    let start = Instant::now();
    for n in 0..minutes * 60 * COMMITS {
        if ended.load(Ordering::Relaxed) {
            break;
        }
        let due = start + Duration::from_micros(n * 1_000_000 / COMMITS);
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        let (first, last) = (n * (RATE / COMMITS) + 1, (n + 1) * (RATE / COMMITS));
        database.client.execute(&insert, &[&i64::try_from(first)?, &i64::try_from(last)?])?;
        written.store(last, Ordering::Relaxed);
    }
    Ok(())
}

/// What is resident, each second until the writer has ended; a line a minute.
fn watch(weir: &Weir, id: u32, written: &AtomicU64, ended: &AtomicBool) -> Result<Vec<f64>> {
    let (start, mut samples) = (Instant::now(), vec![]);
    while !ended.load(Ordering::Relaxed) {
        weir.alive()?;
        let mb = process::resident_mb(id).context("weir runs")?;
        samples.push(mb);
        if samples.len() % 60 == 0 {
            eprintln!("minute {:>3}: {} rows, {mb:.1} MB", samples.len() / 60, written.load(Ordering::Relaxed));
        }
        let due = start + Duration::from_secs(samples.len() as u64);
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
    }
    Ok(samples)
}

/// Every id from 1 to `rows` has to be in the topic; says how many came again.
fn count(stage: &Stage, topic: &str, rows: u64) -> Result<u64> {
    let mut seen = vec![false; usize::try_from(rows)?];
    let (mut repeated, end) = (0, stage.cluster.end(topic)?);
    stage.cluster.read(topic, 0, 0, end, |message| {
        let key = message.key().unwrap_or_default();
        let id = super::case::id(key).with_context(|| format!("unexpected key {}", String::from_utf8_lossy(key)))?;
        let place = id.checked_sub(1).and_then(|at| seen.get_mut(usize::try_from(at).ok()?));
        let place = place.with_context(|| format!("nobody wrote {id}"))?;
        repeated += u64::from(std::mem::replace(place, true));
        Ok(())
    })?;
    let lost = seen.iter().filter(|seen| !**seen).count();
    ensure!(lost == 0, "{lost} of {rows} rows are not in the topic");
    Ok(repeated)
}

// === impl Soak ===

impl Soak {
    /// The mean of each [`PART`] after the first; what is left at the end is no part.
    fn parts(&self) -> Vec<f64> {
        self.samples_mb.chunks_exact(PART).skip(1).map(|part| part.iter().sum::<f64>() / part.len() as f64).collect()
    }

    /// How far a part is from the mean of all, in percent, at most.
    fn drift(&self) -> Option<f64> {
        let parts = self.parts();
        let mean = parts.iter().sum::<f64>() / parts.len() as f64;
        parts.iter().map(|part| 100.0 * (part / mean - 1.0).abs()).reduce(f64::max)
    }

    fn json(&self) -> Value {
        json!({
            "rows": self.rows,
            "rows_per_second": self.rate(),
            "lost": 0,
            "repeated": self.repeated,
            "cpu_us_per_event": self.cpu_us(),
            "rss_peak_mb": self.peak_mb,
            "rss_parts_mb": self.parts(),
            "rss_drift_percent": self.drift(),
        })
    }

    fn text(&self) -> String {
        let parts: Vec<String> = self.parts().iter().map(|mb| format!("{mb:.1}")).collect();
        let drift = self.drift().map_or_else(|| "too short to tell".into(), |percent| format!("within {percent:.1} %"));
        format!(
            "{} rows, {:.0} a second, 0 lost, {} again; {:.2} µs of CPU a row\nresident by five minutes, MB: {} ({drift}); {:.0} at most\n",
            self.rows,
            self.rate(),
            self.repeated,
            self.cpu_us(),
            parts.join(" "),
            self.peak_mb
        )
    }

    /// Rows a second that were written: fewer than asked where the database did not keep up.
    fn rate(&self) -> f64 {
        self.rows as f64 / self.samples_mb.len().max(1) as f64
    }

    fn cpu_us(&self) -> f64 {
        self.cpu_seconds * 1e6 / self.rows.max(1) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn soak(samples_mb: Vec<f64>) -> Soak {
        Soak { rows: 1_000_000, repeated: 2, cpu_seconds: 3.0, peak_mb: 130.0, samples_mb }
    }

    #[test]
    fn what_fills_at_first_is_left_out() {
        let samples = [50.0, 98.0, 102.0].map(|mb| vec![mb; PART]).concat();
        assert_eq!(
            soak(samples).text(),
            "1000000 rows, 1111 a second, 0 lost, 2 again; 3.00 µs of CPU a row\n\
             resident by five minutes, MB: 98.0 102.0 (within 2.0 %); 130 at most\n"
        );
        assert!(soak(vec![50.0; PART]).text().contains("too short to tell"));
    }
}
