//! The sink of serialised records: blocks in, acknowledged block ids out. See `weir_api::sink` for the contract.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::types::RDKafkaErrorCode as Code;
use weir_api::{Block, BlockId, Error, Largest, Route, Sink};

use crate::failure::Failure;
use crate::outbox::{Notice, Outbox, Refusal, TopicId};
use crate::topics::{Rules, Topics};

/// How long [`open`] waits for the cluster's first answer.
const FIRST_ANSWER: Duration = Duration::from_secs(10);
/// How often [`open`] and `flush` look for news while they wait.
const LOOK: Duration = Duration::from_millis(100);
/// How long the cause of a producer's end may come behind the news of it.
const LAST_WORDS: Duration = Duration::from_millis(500);
/// Longest wait of a poll while a topic is being looked up, whose answer does not wake it.
const LOOK_UP: Duration = Duration::from_millis(5);
/// Records under way without any acknowledgement for this long are worth a warning; the next one comes after twice the time.
const STALL: Duration = Duration::from_secs(10);
const STALL_MOST: Duration = Duration::from_secs(300);

/// See the module.
struct KafkaSink {
    outbox: Outbox,
    topics: Topics,
    handles: HashMap<Arc<str>, TopicId>,
    /// the routes of the last block, and their topics' handles as far as a record wanted them
    routes: Arc<[Arc<Route>]>,
    routed: Vec<Option<TopicId>>,
    /// ids of blocks without records, done by the next poll
    empty: Vec<BlockId>,
    notices: Vec<Notice>,
    failure: Option<Failure>,
    watch: Watch,
    servers: String,
    largest: Largest,
}

/// Warns when nothing is acknowledged for long.
struct Watch {
    since: Instant,
    next: Duration,
    /// what librdkafka said last about its connections
    reason: Option<String>,
}

/// Connects a sink; waits up to 10 s for the cluster's first answer.
pub(crate) fn connect(
    native: &[(String, String)],
    rules: Rules,
    client_id: &str,
    largest: Largest,
) -> Result<Box<dyn Sink>, Error> {
    let mut config = ClientConfig::new();
    config.set_log_level(RDKafkaLogLevel::Info);
    for (name, value) in native {
        config.set(name, value);
    }
    if config.get("client.id").is_none() && !client_id.is_empty() {
        config.set("client.id", client_id);
    }
    // A topic is created by our rules or not at all.
    config.set("allow.auto.create.topics", "false");
    let size = config.get("batch.size").and_then(|n| n.parse::<u32>().ok());
    if let Some(least) = largest.least().filter(|least| size.is_none_or(|size| *least < size)) {
        config.set("batch.size", least.to_string());
    }
    let servers = config.get("bootstrap.servers").unwrap_or_default().to_owned();
    let outbox = Outbox::open(&config)
        .map_err(|e| Error::input("kafka.settings", format!("Kafka's client does not start: {e}")))?;
    let topics = Topics::new(config, rules);
    let watch = Watch { since: Instant::now(), next: STALL, reason: None };
    let mut sink = KafkaSink {
        outbox,
        topics,
        handles: HashMap::new(),
        routes: Arc::new([]),
        routed: Vec::new(),
        empty: Vec::new(),
        notices: Vec::new(),
        failure: None,
        watch,
        servers,
        largest,
    };
    sink.await_cluster()?;
    Ok(Box::new(sink))
}

// === impl KafkaSink ===

impl KafkaSink {
    fn await_cluster(&mut self) -> Result<(), Error> {
        let deadline = Instant::now() + FIRST_ANSWER;
        let mut tls = None;
        loop {
            let reached = self.outbox.reached(LOOK);
            self.outbox.poll(Duration::ZERO, &mut Vec::new(), &mut self.notices);
            for notice in &self.notices {
                if let Notice::Trouble { code: Code::SSL, reason } = notice {
                    tls = Some(reason.clone());
                }
            }
            self.read_notices()?;
            if reached {
                return Ok(());
            }
            if Instant::now() > deadline {
                let reason = self.watch.reason.as_deref();
                let failure = tls.map_or_else(|| Failure::unreachable(&self.servers, reason), |r| Failure::tls(&r));
                return Err(failure.error());
            }
        }
    }

    /// Ends the sink: what is not written yet never will be, and every later call gets this error.
    fn fail(&mut self, failure: Failure) -> Error {
        let first = self.failure.get_or_insert(failure).error();
        self.outbox.purge();
        first
    }

    fn check(&self) -> Result<(), Error> {
        self.failure.as_ref().map_or(Ok(()), |f| Err(f.error()))
    }

    /// The topic of record `i`. None: it is not known to exist yet, and has been asked for with those of the records behind.
    fn topic(&mut self, block: &Block, i: usize) -> Result<Option<TopicId>, Failure> {
        let route = block.records.get(i).map(|r| r.route as usize);
        let Some((at, route)) = route.and_then(|at| Some((at, block.routes.get(at)?))) else {
            return Err(malformed(i));
        };
        if let Some(known) = self.handles.get(&route.topic).copied() {
            self.routed.get_mut(at).into_iter().for_each(|r| *r = Some(known));
            return Ok(Some(known));
        }
        if self.topics.exists(&route.topic) {
            let id = self.outbox.topic(&route.topic).map_err(|code| Failure::delivery(code, &route.topic, -1))?;
            self.handles.insert(route.topic.clone(), id);
            self.routed.get_mut(at).into_iter().for_each(|r| *r = Some(id));
            return Ok(Some(id));
        }
        let wanted = block.records.iter().skip(i).filter_map(|r| block.routes.get(r.route as usize));
        let missing: HashSet<&Arc<str>> =
            wanted.map(|r| &r.topic).filter(|topic| !self.handles.contains_key(*topic)).collect();
        self.topics.ask(missing.into_iter())?;
        Ok(None)
    }

    fn read_notices(&mut self) -> Result<(), Error> {
        let mut worst = self.worst_notice();
        if worst.is_none() && self.failure.is_none() && self.outbox.fatal().is_some() {
            // The report that names the record comes right behind the news that the producer has stopped.
            self.outbox.poll(LAST_WORDS, &mut Vec::new(), &mut self.notices);
            worst = self.worst_notice();
        }
        if worst.is_none() && self.failure.is_none() {
            worst = self.outbox.fatal().map(|(code, _)| Failure::delivery(code, "all topics", -1));
        }
        match worst {
            Some(failure) => Err(self.fail(failure)),
            None => self.check(),
        }
    }

    /// A topic refused a batch for its size, and takes less than was known: with smaller batches, and without records that are too
    /// large for it, all goes on.
    fn less(&self, topic: &str) -> Option<Failure> {
        let bytes = self.topics.largest(topic)?;
        self.largest.learn(topic, bytes).then(|| {
            let text = format!("topic {topic} takes batches of up to {bytes} bytes, and one was larger");
            Failure::new(crate::BATCH_TOO_LARGE, weir_api::Cure::Retry, text, "smaller ones are tried next")
        })
    }

    fn worst_notice(&mut self) -> Option<Failure> {
        let mut worst: Option<Failure> = None;
        for notice in std::mem::take(&mut self.notices) {
            match notice {
                // These only follow from another record's failure, or from our own purge.
                Notice::Undelivered { code: Code::PurgeQueue | Code::PurgeInflight | Code::Fatal, .. } => {}
                Notice::Undelivered { code: Code::GaplessGuarantee, .. } => {}
                Notice::Undelivered { code, topic, partition } => {
                    if worst.is_none() {
                        let is_size = matches!(code, Code::MessageSizeTooLarge | Code::InvalidMessageSize);
                        let less = is_size.then(|| self.less(&topic)).flatten();
                        worst = Some(less.unwrap_or_else(|| Failure::delivery(code, &topic, partition)));
                    }
                }
                Notice::Trouble { code: Code::Fatal, .. } => {}
                Notice::Trouble { code: Code::Authentication, reason } if refused(&reason) => {
                    worst.get_or_insert(Failure::authentication(&reason));
                }
                Notice::Trouble { reason, .. } => {
                    tracing::debug!(target: "weir::kafka", "{reason}");
                    self.watch.reason = Some(reason);
                }
            }
        }
        worst
    }
}

impl Sink for KafkaSink {
    fn deliver(&mut self, block: &Arc<Block>, from: usize) -> Result<usize, Error> {
        self.check()?;
        if block.records.is_empty() {
            self.empty.push(block.id);
            return Ok(0);
        }
        if !Arc::ptr_eq(&self.routes, &block.routes) {
            self.routes = block.routes.clone();
            self.routed = vec![None; block.routes.len()];
        }
        self.watch.busy(self.outbox.under_way());
        for (i, record) in block.records.iter().enumerate().skip(from) {
            let topic = match self.routed.get(record.route as usize) {
                Some(Some(topic)) => *topic,
                _ => match self.topic(block, i) {
                    Ok(Some(topic)) => topic,
                    Ok(None) => return Ok(i),
                    Err(failure) => return Err(self.fail(failure)),
                },
            };
            let Err(refusal) = self.outbox.send(block, i, topic) else { continue };
            let failure = match refusal {
                Refusal::Full => return Ok(i),
                Refusal::Malformed => malformed(i),
                Refusal::Failed(Code::Fatal) => match self.outbox.fatal() {
                    Some((code, _)) => Failure::delivery(code, "all topics", -1),
                    None => Failure::delivery(Code::Fatal, "all topics", -1),
                },
                Refusal::Failed(code) => {
                    let topic = block.route(record).map(|r| r.topic.clone()).unwrap_or_default();
                    Failure::delivery(code, &topic, record.partition)
                }
            };
            return Err(self.fail(failure));
        }
        Ok(block.records.len())
    }

    fn poll(&mut self, wait: Duration, done: &mut Vec<BlockId>) -> Result<(), Error> {
        self.check()?;
        let before = self.outbox.under_way();
        let wait = match (self.empty.is_empty(), self.topics.pending()) {
            (false, _) => Duration::ZERO,
            (true, true) => wait.min(LOOK_UP),
            (true, false) => wait,
        };
        done.append(&mut self.empty);
        self.outbox.poll(wait, done, &mut self.notices);
        if let Err(failure) = self.topics.collect() {
            return Err(self.fail(failure));
        }
        if !self.notices.is_empty() {
            self.read_notices()?;
        }
        let left = self.outbox.under_way();
        if left < before || left == 0 && !self.topics.pending() {
            self.watch.moved();
        } else {
            self.watch.warn(&self.servers, left);
        }
        Ok(())
    }

    fn flush(&mut self, deadline: Instant, done: &mut Vec<BlockId>) -> Result<(), Error> {
        loop {
            let wait = deadline.saturating_duration_since(Instant::now()).min(LOOK);
            self.poll(if self.outbox.under_way() == 0 { Duration::ZERO } else { wait }, done)?;
            if self.outbox.under_way() == 0 {
                return Ok(());
            }
            if wait.is_zero() {
                let failure = Failure::unreachable(&self.servers, self.watch.reason.as_deref());
                return Err(failure.error());
            }
        }
    }
}

fn malformed(i: usize) -> Failure {
    let text = format!("record {i} of a block does not lie in it");
    Failure::new("kafka.record-malformed", weir_api::Cure::None, text, "this is a defect: please report it")
}

/// Whether librdkafka's words about a login mean that it was refused, and not that the connection broke meanwhile.
fn refused(reason: &str) -> bool {
    !["isconnect", "timed out", "onnection reset"].iter().any(|w| reason.contains(w))
}

// === impl Watch ===

impl Watch {
    /// Counts from now when nothing was under way until now.
    fn busy(&mut self, under_way: usize) {
        if under_way == 0 {
            self.since = Instant::now();
        }
    }

    fn moved(&mut self) {
        if self.next > STALL {
            tracing::info!(target: "weir::kafka", "Kafka acknowledges records again");
        }
        *self = Watch { since: Instant::now(), next: STALL, reason: None };
    }

    fn warn(&mut self, servers: &str, under_way: usize) {
        let waited = self.since.elapsed();
        if waited < self.next {
            return;
        }
        self.next = (self.next * 2).min(waited + STALL_MOST);
        let reason = self.reason.as_deref().unwrap_or("no answer");
        tracing::warn!(
            target: "weir::kafka", servers, under_way, seconds = waited.as_secs(), reason,
            "Kafka acknowledges nothing: the source waits"
        );
    }
}
