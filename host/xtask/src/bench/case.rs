//! The cases, and how one is run: warmed up, stopped, given its work, measured, counted.

use super::report::Figure;
use super::stage::{Database, Stage};
use super::system::{System, Which};
use super::workload::{self, Shape};
use super::{Sink, latency};
use crate::process;
use anyhow::{Context, Result, bail, ensure};
use rdkafka::message::{Message, Timestamp};
use serde_json::Value;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

const CASE_LIMIT: Duration = Duration::from_secs(900);
/// How often the topic's end is looked at; the times that count come from the records.
const POLL: Duration = Duration::from_millis(20);
/// Rows of the tenth that a filter drops: `qty` is `id % 1000`.
const DROPPED: u64 = 100;

pub struct Case {
    pub name: &'static str,
    kind: Kind,
    chain: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    Snapshot(Sink),
    Backlog(Shape),
    /// `poll.interval.ms`, where it is not the default of half a second
    Latency(Option<u32>),
    Start,
}

/// Why a system sits a case out.
pub struct Skipped(pub String);

/// One run: a database, a topic, a slot, a system.
pub struct Run<'a> {
    pub stage: &'a Stage,
    pub database: Database,
    pub topic: String,
    pub slot: String,
    pub system: System,
    pub config: Value,
    case: &'a Case,
}

const fn case(name: &'static str, kind: Kind, chain: bool) -> Case {
    Case { name, kind, chain }
}

pub const CASES: &[Case] = &[
    case("snapshot", Kind::Snapshot(Sink::Kafka), false),
    case("snapshot+chain", Kind::Snapshot(Sink::Kafka), true),
    case("backlog", Kind::Backlog(Shape::Ten), false),
    case("backlog+chain", Kind::Backlog(Shape::Ten), true),
    case("small-tx", Kind::Backlog(Shape::Each), false),
    case("small-tx+chain", Kind::Backlog(Shape::Each), true),
    case("one-tx", Kind::Backlog(Shape::One), false),
    case("one-tx+chain", Kind::Backlog(Shape::One), true),
    case("latency", Kind::Latency(None), false),
    case("latency-10ms", Kind::Latency(Some(10)), false),
    case("start", Kind::Start, false),
];
pub const DISCARD: Case = case("snapshot-discard", Kind::Snapshot(Sink::Discard), false);
pub const NAMES: [&str; 11] = [
    "snapshot",
    "snapshot+chain",
    "backlog",
    "backlog+chain",
    "small-tx",
    "small-tx+chain",
    "one-tx",
    "one-tx+chain",
    "latency",
    "latency-10ms",
    "start",
];

// === impl Case ===

impl Case {
    pub fn takes(&self, which: Which) -> bool {
        self.kind != Kind::Snapshot(Sink::Discard) || which == Which::Weir
    }

    pub fn run(&self, stage: &Stage, which: Which, rows: u64) -> Result<Result<Figure, Skipped>> {
        let rows = if self.kind == Kind::Backlog(Shape::Each) { rows.div_ceil(5) } else { rows };
        let mut run = Run::new(stage, self, which)?;
        if let Some(why) = run.system.refusal(&run.config)? {
            return Ok(Err(Skipped(why)));
        }
        let load = process::load();
        let figure = match self.kind {
            Kind::Snapshot(_) => run.snapshot(which, rows),
            Kind::Backlog(shape) => run.backlog(shape, rows),
            Kind::Latency(_) => latency::measure(&mut run),
            Kind::Start => run.start(),
        };
        let figure = Figure { case: self.name, system: which.name(), load: (load, process::load()), ..figure? };
        run.end()?;
        Ok(Ok(figure))
    }

    /// Records that `rows` rows from `first` on become.
    fn records(&self, first: u64, rows: u64) -> u64 {
        (first..first + rows).filter(|id| !self.chain || id % 1000 >= DROPPED).count() as u64
    }
}

// === impl Run ===

impl<'a> Run<'a> {
    fn new(stage: &'a Stage, case: &'a Case, which: Which) -> Result<Run<'a>> {
        static NEXT: AtomicU32 = AtomicU32::new(1);
        let n = NEXT.fetch_add(1, Ordering::Relaxed);
        let mut database = stage.database()?;
        database.client.batch_execute(workload::TABLE)?;
        let (prefix, slot) = (format!("bench{n}"), format!("bench_{n}"));
        let topic = if case.chain { format!("{prefix}-events") } else { format!("{prefix}.public.events") };
        stage.cluster.create(&topic)?;
        let mut config = config(stage, &database.name, &prefix, &slot, case.chain);
        if let (Kind::Latency(Some(ms)), Some(map)) = (case.kind, config.as_object_mut()) {
            map.insert("poll.interval.ms".into(), ms.to_string().into());
        }
        let system = System::new(stage, which)?;
        Ok(Run { stage, database, topic, slot, system, config, case })
    }

    fn end(mut self) -> Result<()> {
        self.system.stop()?;
        drop(self.system);
        self.stage.clear(self.database, &self.slot)?;
        self.stage.cluster.delete(&[&self.topic])
    }

    /// Waits until the topic holds `records` records; says how many it holds.
    pub fn wait(&mut self, records: u64) -> Result<u64> {
        let deadline = Instant::now() + CASE_LIMIT;
        let mut look = Instant::now() + Duration::from_secs(2);
        loop {
            let end = u64::try_from(self.stage.cluster.end(&self.topic)?)?;
            if end >= records {
                return Ok(end);
            }
            if Instant::now() > look {
                self.system.alive()?;
                look = Instant::now() + Duration::from_secs(2);
            }
            if Instant::now() > deadline {
                bail!("{end} of {records} records after {CASE_LIMIT:?}");
            }
            std::thread::sleep(POLL);
        }
    }

    /// A snapshot of `rows` rows and a stream of as many; the connector runs on. Returns the records in the topic.
    pub fn warm_up(&mut self, rows: u64) -> Result<u64> {
        self.database.client.batch_execute(&workload::insert(1, rows))?;
        let config = self.config.clone();
        self.system.start(&config)?;
        self.wait(self.case.records(1, rows))?;
        // The slot was made before the snapshot, so nothing is lost between the two.
        self.database.client.batch_execute(&workload::insert(rows + 1, 2 * rows))?;
        self.wait(self.case.records(1, 2 * rows))
    }

    fn backlog(&mut self, shape: Shape, rows: u64) -> Result<Figure> {
        let warm = (rows / 20).max(1000);
        let base = self.warm_up(warm)?;
        self.system.stop()?;
        let first = 2 * warm + 1;
        for statement in workload::statements(shape, first, first + rows - 1) {
            self.database.client.batch_execute(&statement)?;
        }
        self.database.client.batch_execute("CHECKPOINT")?;
        let base = base.max(u64::try_from(self.stage.cluster.end(&self.topic)?)?);
        let running = self.system.id().map(|id| (id, process::cpu_seconds(id)));
        if let Some((id, _)) = running {
            process::reset_peak(id);
        }
        let config = self.config.clone();
        self.system.start(&config)?;
        let records = self.case.records(first, rows);
        self.wait(base + records)?;
        // Debezium attaches more than once: only at the end it is known which sender had the work.
        let walsender = sender(&mut self.database, &self.slot);
        let id = self.system.id().context("the system runs")?;
        let before = running.map_or(Ok(0.0), |(_, cpu)| cpu)?;
        let figure = Figure {
            cpu_seconds: Some(process::cpu_seconds(id)? - before),
            walsender_cpu_seconds: walsender.and_then(|pid| process::cpu_seconds(pid).ok()),
            rss_peak_mb: process::peak_mb(id),
            ..Figure::default()
        };
        self.count(figure, base, first, rows)
    }

    fn snapshot(&mut self, which: Which, rows: u64) -> Result<Figure> {
        self.database.client.batch_execute(&workload::insert(1, rows))?;
        for statement in ["VACUUM (FREEZE, ANALYZE) events", "CHECKPOINT"] {
            self.database.client.batch_execute(statement)?;
        }
        if self.case.kind == Kind::Snapshot(Sink::Discard) {
            return self.discard(rows);
        }
        let before = match which {
            Which::Weir => 0.0,
            Which::Debezium => process::cpu_seconds(self.system.id().context("the worker runs")?)?,
        };
        let config = self.config.clone();
        self.system.start(&config)?;
        self.wait(self.case.records(1, rows))?;
        let id = self.system.id().context("the system runs")?;
        let figure = Figure {
            cpu_seconds: Some(process::cpu_seconds(id)? - before),
            rss_peak_mb: process::peak_mb(id),
            ..Figure::default()
        };
        self.count(figure, 0, 1, rows)
    }

    /// The rows are read, made into records and serialised, and go nowhere; the time is the process's, from start to end.
    fn discard(&mut self, rows: u64) -> Result<Figure> {
        let System::Weir(weir) = &mut self.system else { bail!("only weir can discard") };
        let (usage, seconds, records) = weir.run_to_end(&format!(
            "name = \"bench\"\n[source.postgres]\nurl = \"{}\"\ntopic.prefix = \"bench\"\nslot.name = \"{}\"\n\
             snapshot.mode = \"initial_only\"\n[sink.discard]\nvalue.format = \"json\"\nkey.format = \"json\"\n",
            self.stage.postgres.url_of(&self.database.name),
            self.slot
        ))?;
        ensure!(records == rows, "{records} records of {rows} rows");
        Ok(Figure {
            events: records,
            seconds: Some(seconds),
            cpu_seconds: Some(usage.cpu_seconds),
            rss_peak_mb: Some(usage.peak_mb),
            ..Figure::default()
        })
    }

    /// From the start of the process to the first record of a change that already waits.
    fn start(&mut self) -> Result<Figure> {
        let base = self.warm_up(1000)?;
        let client = &mut self.database.client;
        let started = self.system.restart_process(|| Ok(client.batch_execute(&workload::insert(2001, 2100))?))?;
        self.wait(base + 100)?;
        let figure = self.count(Figure::default(), base, 2001, 100)?;
        let first = self.times(base)?.context("no record")?;
        let started = started.duration_since(UNIX_EPOCH)?.as_secs_f64();
        Ok(Figure { start_ms: Some(first as f64 - started * 1000.0), seconds: None, ..figure })
    }

    /// When the broker took the record at `offset`, in milliseconds.
    fn times(&self, offset: u64) -> Result<Option<i64>> {
        let (mut time, offset) = (None, i64::try_from(offset)?);
        self.stage.cluster.read(&self.topic, 0, offset, offset + 1, |message| {
            if let Timestamp::LogAppendTime(ms) = message.timestamp() {
                time = Some(ms);
            }
            Ok(())
        })?;
        Ok(time)
    }

    /// Reads the topic from `base` on: every id of the rows has to be there.
    fn count(&self, figure: Figure, base: u64, first: u64, rows: u64) -> Result<Figure> {
        let end = self.stage.cluster.end(&self.topic)?;
        let mut seen = vec![false; usize::try_from(rows)?];
        let (mut events, mut repeated, mut bytes) = (0u64, 0u64, 0usize);
        let mut times: Option<(i64, i64)> = None;
        self.stage.cluster.read(&self.topic, 0, i64::try_from(base)?, end, |message| {
            let key = message.key().unwrap_or_default();
            let id = id(key).with_context(|| format!("unexpected key {}", String::from_utf8_lossy(key)))?;
            // what was warmed up may come again after a stop
            let place = id.checked_sub(first).and_then(|at| seen.get_mut(usize::try_from(at).ok()?));
            match place {
                Some(seen) if !*seen => *seen = true,
                _ => repeated += 1,
            }
            events += 1;
            bytes += key.len() + message.payload().map_or(0, <[u8]>::len);
            if let Timestamp::LogAppendTime(ms) = message.timestamp() {
                times = Some((times.map_or(ms, |(from, _)| from), ms));
            }
            Ok(())
        })?;
        let distinct = seen.iter().filter(|s| **s).count() as u64;
        let wanted = self.case.records(first, rows);
        ensure!(distinct == wanted, "{distinct} of {wanted} rows are in the topic");
        Ok(Figure {
            events,
            repeated,
            seconds: times.map(|(from, to)| (to - from) as f64 / 1000.0),
            bytes_per_event: Some(bytes as f64 / events.max(1) as f64),
            ..figure
        })
    }
}

/// `{"id":17}`
pub fn id(key: &[u8]) -> Option<u64> {
    let digits = key.strip_prefix(b"{\"id\":")?.strip_suffix(b"}")?;
    std::str::from_utf8(digits).ok()?.parse().ok()
}

fn sender(database: &mut Database, slot: &str) -> Option<u32> {
    let sql = "SELECT active_pid FROM pg_replication_slots WHERE slot_name = $1 AND active_pid IS NOT NULL";
    let row = database.client.query_opt(sql, &[&slot]).ok()??;
    u32::try_from(row.get::<_, i32>(0)).ok()
}

/// One connector for both systems.
fn config(stage: &Stage, database: &str, prefix: &str, slot: &str, chain: bool) -> Value {
    let mut config = stage.connector(database, prefix, slot);
    if let (true, Some(map)) = (chain, config.as_object_mut()) {
        let regex = format!("{prefix}\\.public\\.(.*)");
        for (name, value) in [
            ("transforms", "route,keep,unwrap,stamp"),
            ("transforms.route.type", "org.apache.kafka.connect.transforms.RegexRouter"),
            ("transforms.route.regex", &regex),
            ("transforms.route.replacement", &format!("{prefix}-$1")),
            ("transforms.keep.type", "io.debezium.transforms.Filter"),
            ("transforms.keep.language", "jsr223.groovy"),
            ("transforms.keep.condition", &format!("value.op != 'd' && value.after.qty >= {DROPPED}")),
            ("transforms.unwrap.type", "io.debezium.transforms.ExtractNewRecordState"),
            ("transforms.stamp.type", "org.apache.kafka.connect.transforms.InsertField$Value"),
            ("transforms.stamp.static.field", "origin"),
            ("transforms.stamp.static.value", "bench"),
        ] {
            map.insert(name.to_owned(), value.into());
        }
    }
    config
}

/// Microseconds since 1970.
pub fn now_us() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| i64::try_from(d.as_micros()).unwrap_or_default())
}
