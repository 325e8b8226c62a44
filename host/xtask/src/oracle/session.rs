//! One workload against `weir run`: the database, the connector, the topics, and the marker rows that tell how far it is.

use super::normalise::{MARK, Normaliser, Topics};
use super::workload::{End, Phase, Workload, statements};
use crate::topic::{Cluster, Raw};
use crate::weir::Weir;
use anyhow::{Context, Result, bail};
use postgres::{Client, NoTls};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::{Offset, TopicPartitionList};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use weir_testkit::{Kafka, Postgres};

const LIMIT: Duration = Duration::from_secs(60);
const MARK_TABLE: &str = "public.weir_mark";
/// Nothing came for so long: nothing will come.
const QUIET: Duration = Duration::from_secs(3);
const WORKER: &str = "key.converter=org.apache.kafka.connect.json.JsonConverter\n\
                      value.converter=org.apache.kafka.connect.json.JsonConverter\n";

/// Why a workload gave nothing to compare.
pub enum Refused {
    /// `weir validate` does not take the connector
    Config(String),
}

pub struct Session<'a> {
    workload: &'a Workload,
    postgres: &'a Postgres,
    database: String,
    client: Client,
    prefix: String,
    slot: String,
    weir: Weir,
    config: Value,
    reader: Reader,
    marks: u32,
}

/// Reads every topic whose name holds the run's prefix.
struct Reader {
    cluster: Cluster,
    consumer: BaseConsumer,
    prefix: String,
    assigned: BTreeSet<(String, i32)>,
    records: BTreeMap<String, Vec<Raw>>,
    listed: Option<Instant>,
    /// when the last record came that no clock sent
    changed: Instant,
}

// === impl Session ===

impl<'a> Session<'a> {
    pub fn new(workload: &'a Workload, binary: &Path, postgres: &'a Postgres, kafka: &Kafka) -> Result<Session<'a>> {
        static NEXT: AtomicU32 = AtomicU32::new(1);
        let seconds = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
        let run = format!(
            "{:08x}",
            seconds.wrapping_mul(2_654_435_761).wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed).into()) as u32
        );
        let (database, prefix) = (format!("oracle_{run}"), format!("db{run}"));
        postgres.sql(&format!("CREATE DATABASE {database} TEMPLATE template0 ENCODING 'UTF8' LOCALE 'C.UTF-8'"))?;
        let client = Client::connect(&postgres.url_of(&database), NoTls)?;
        let weir = Weir::new(binary, &format!("bootstrap.servers={}\n{WORKER}", kafka.bootstrap()))?;
        let mut session = Session {
            workload,
            postgres,
            database,
            client,
            slot: format!("slot_{prefix}"),
            weir,
            config: Value::Null,
            reader: Reader::new(kafka, &prefix)?,
            prefix,
            marks: 0,
        };
        session.config = serde_json::from_str(&session.fill(&workload.config, kafka.bootstrap()))?;
        Ok(session)
    }

    /// Runs the workload; what came out of it, normalised.
    pub fn run(&mut self) -> Result<Result<Topics, Refused>> {
        self.weir.configure(&format!("oracle-{}", self.prefix), &self.config)?;
        if let Some(why) = self.weir.refusal()? {
            return Ok(Err(Refused::Config(why)));
        }
        self.client.batch_execute("CREATE TABLE public.weir_mark (id int PRIMARY KEY, note text)")?;
        let before = self.workload.before.clone();
        self.sql(&before)?;
        self.weir.start()?;
        self.start()?;
        for phase in &self.workload.phases {
            match phase {
                Phase::Sql(text) => self.sql(text)?,
                Phase::Do(line) => self.act(line).with_context(|| format!("action {line}"))?,
            }
        }
        match self.workload.end {
            End::Failed => self.until_failed()?,
            End::Marker => {
                self.barrier()?;
                self.settle(Duration::from_millis(800))?;
            }
            End::Quiet => self.settle(QUIET)?,
        }
        let keep = |topic: &String| self.workload.compare_history || !topic.ends_with("-history");
        let raw = self.reader.records.iter().filter(|(t, _)| keep(t)).map(|(t, r)| (t.clone(), r.clone())).collect();
        Ok(Ok(Normaliser::new(&self.prefix, &self.database, &self.workload.normalise)?.topics(raw)))
    }

    /// Ends the process and removes slot, database and topics.
    pub fn clear(self) -> Result<()> {
        let Session { postgres, database, client, slot, mut weir, reader, .. } = self;
        let stopped = weir.stop();
        drop((weir, client));
        postgres.sql(&format!(
            "SELECT pg_terminate_backend(active_pid, 10000) FROM pg_replication_slots WHERE database = '{database}' AND active"
        ))?;
        postgres.sql(&format!(
            "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = '{slot}'"
        ))?;
        postgres.sql(&format!("DROP DATABASE {database} WITH (FORCE)"))?;
        let topics: Vec<&str> = reader.records.keys().map(String::as_str).collect();
        if !topics.is_empty() {
            reader.cluster.delete(&topics)?;
        }
        stopped
    }

    /// What the process said, for a run that could not be carried through.
    pub fn log_tail(&self) -> String {
        self.weir.log_tail()
    }

    fn fill(&self, text: &str, kafka: &str) -> String {
        let values = [
            ("prefix", self.prefix.clone()),
            ("slot", self.slot.clone()),
            ("publication", format!("pub_{}", self.prefix)),
            ("side", "b".into()),
            ("host", self.postgres.host().into()),
            ("port", self.postgres.port().to_string()),
            ("user", self.postgres.user().into()),
            ("password", self.postgres.password().unwrap_or("none").into()),
            ("db", self.database.clone()),
            ("kafka", kafka.into()),
            ("marker", MARK_TABLE.into()),
        ];
        values.iter().fold(text.to_owned(), |text, (name, value)| text.replace(&format!("${{{name}}}"), value))
    }

    /// `-- @barrier` on a line of its own lets the connector catch up.
    fn sql(&mut self, text: &str) -> Result<()> {
        let text = self.fill(text, "");
        for (n, part) in text.split("-- @barrier\n").enumerate() {
            if n > 0 {
                self.barrier()?;
            }
            for statement in statements(part) {
                self.client
                    .batch_execute(&statement)
                    .with_context(|| statement.chars().take(300).collect::<String>())?;
            }
        }
        Ok(())
    }

    fn wait(&mut self, what: &str, mut done: impl FnMut(&mut Session<'a>) -> Result<bool>) -> Result<()> {
        let deadline = Instant::now() + LIMIT;
        while !done(self)? {
            self.weir.alive()?;
            if Instant::now() > deadline {
                bail!("timed out waiting for {what}");
            }
            self.reader.poll()?;
        }
        Ok(())
    }

    /// Inserts a marker row and waits until it has come through.
    fn barrier(&mut self) -> Result<()> {
        self.marks += 1;
        let note = format!("{MARK}{}-{}", self.prefix, self.marks);
        let sql = self.workload.marker_sql.clone();
        let sql = sql.unwrap_or_else(|| format!("insert into {MARK_TABLE} values (${{n}}, '${{mark}}')"));
        let sql = self.fill(&sql, "").replace("${n}", &self.marks.to_string()).replace("${mark}", &note);
        for statement in statements(&sql) {
            self.client.batch_execute(&statement)?;
        }
        self.wait(&format!("marker {}", self.marks), |s| Ok(s.reader.seen(note.as_bytes())))
    }

    /// Waits until nothing has come for a while and every topic is read to its end.
    fn settle(&mut self, quiet: Duration) -> Result<()> {
        let deadline = Instant::now() + LIMIT;
        self.reader.changed = Instant::now();
        while Instant::now() < deadline && (self.reader.changed.elapsed() < quiet || !self.reader.at_end()?) {
            self.reader.poll()?;
        }
        Ok(())
    }

    fn streaming(&mut self) -> Result<bool> {
        let sql = "SELECT active FROM pg_replication_slots WHERE slot_name = $1";
        Ok(self.client.query_opt(sql, &[&self.slot])?.is_some_and(|row| row.get(0)))
    }

    fn start(&mut self) -> Result<()> {
        if self.workload.quiet_start {
            return self.settle(QUIET);
        }
        self.wait("streaming to begin", Session::streaming)?;
        match self.workload.end {
            End::Marker => self.barrier(),
            _ => self.settle(Duration::from_millis(1500)),
        }
    }

    fn act(&mut self, line: &str) -> Result<()> {
        let (verb, rest) = line.split_once(' ').unwrap_or((line, ""));
        let seconds = || rest.parse().map(Duration::from_secs_f64).with_context(|| format!("`{rest}` seconds"));
        match verb {
            "" => Ok(()),
            "stop" | "pause" => self.stop(),
            "resume" => self.go_on(),
            "restart" => {
                self.stop()?;
                self.go_on()
            }
            "sleep" => {
                let until = Instant::now() + seconds()?;
                while Instant::now() < until {
                    self.reader.poll()?;
                }
                Ok(())
            }
            "barrier" => self.barrier(),
            "settle" => self.settle(if rest.is_empty() { QUIET } else { seconds()? }),
            "config" => {
                let (key, value) = rest.split_once('=').context("config takes key=value")?;
                if let Some(config) = self.config.as_object_mut() {
                    config.insert(key.to_owned(), value.into());
                }
                self.stop()?;
                self.weir.configure(&format!("oracle-{}", self.prefix), &self.config)?;
                self.go_on()
            }
            other => bail!("there is no action {other}"),
        }
    }

    fn stop(&mut self) -> Result<()> {
        self.weir.stop()?;
        // the old walsender must not pass for the next one
        self.wait("the slot to be free", |s| Ok(!s.streaming()?))
    }

    fn go_on(&mut self) -> Result<()> {
        self.weir.start()?;
        self.wait("streaming to go on", Session::streaming)
    }

    fn until_failed(&mut self) -> Result<()> {
        let deadline = Instant::now() + LIMIT;
        while self.weir.alive().is_ok() {
            if Instant::now() > deadline {
                bail!("the connector was expected to fail and did not");
            }
            self.reader.poll()?;
        }
        self.settle(Duration::from_secs(1))
    }
}

// === impl Reader ===

impl Reader {
    fn new(kafka: &Kafka, prefix: &str) -> Result<Reader> {
        let cluster = Cluster::new(kafka.bootstrap())?;
        let consumer = cluster.consumer()?;
        Ok(Reader {
            cluster,
            consumer,
            prefix: prefix.to_owned(),
            assigned: BTreeSet::new(),
            records: BTreeMap::new(),
            listed: None,
            changed: Instant::now(),
        })
    }

    fn partitions(&self) -> Result<BTreeSet<(String, i32)>> {
        let topics = self.cluster.topics(|name| name.contains(&self.prefix))?;
        Ok(topics.into_iter().flat_map(|(t, n)| (0..n as i32).map(move |p| (t.clone(), p))).collect())
    }

    fn poll(&mut self) -> Result<()> {
        if self.listed.is_none_or(|at| at.elapsed() > Duration::from_millis(300)) {
            let fresh: Vec<_> = self.partitions()?.difference(&self.assigned).cloned().collect();
            if !fresh.is_empty() {
                let mut list = TopicPartitionList::new();
                for (topic, partition) in &fresh {
                    list.add_partition_offset(topic, *partition, Offset::Beginning)?;
                }
                self.consumer.incremental_assign(&list)?;
                self.assigned.extend(fresh);
            }
            self.listed = Some(Instant::now());
        }
        let mut patience = Duration::from_millis(100);
        while let Some(message) = self.consumer.poll(patience) {
            let message = message?;
            let topic = rdkafka::Message::topic(&message).to_owned();
            if !topic.contains("__debezium-heartbeat") && !topic.contains("whb_") {
                self.changed = Instant::now();
            }
            self.records.entry(topic).or_default().push(Raw::of(&message));
            patience = Duration::ZERO;
        }
        Ok(())
    }

    fn at_end(&self) -> Result<bool> {
        if self.partitions()? != self.assigned {
            return Ok(false);
        }
        let position = self.consumer.position()?;
        for (topic, partition) in &self.assigned {
            let (_, high) = self.consumer.fetch_watermarks(topic, *partition, Duration::from_secs(10))?;
            let at = position.find_partition(topic, *partition).and_then(|p| p.offset().to_raw()).unwrap_or_default();
            if high > 0 && at < high {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn seen(&self, note: &[u8]) -> bool {
        let holds = |part: &Option<Vec<u8>>| part.as_ref().is_some_and(|p| p.windows(note.len()).any(|w| w == note));
        self.records.values().any(|list| list.iter().rev().take(500).any(|r| holds(&r.value) || holds(&r.key)))
    }
}
