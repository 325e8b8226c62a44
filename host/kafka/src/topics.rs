//! Topics that are not there yet: looked up when a pipeline first writes to them, and created by the rules of Kafka Connect's
//! `topic.creation.*` settings, else with the cluster's own defaults.
//!
//! The cluster's automatic creation is never relied on: it would make the same topic when it is switched on, and nothing when it
//! is not. Lookups run on a thread of their own, for a cluster that does not answer must not stop the task.

use std::collections::HashMap;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;
use std::time::{Duration, Instant};

use fancy_regex::Regex;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, ResourceSpecifier, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::error::KafkaError;
use rdkafka::types::RDKafkaErrorCode as Code;
use weir_api::{Finding, Settings};

use crate::failure::Failure;

/// How long the cluster may take to answer one question about a topic.
const ANSWER: Duration = Duration::from_secs(10);
/// Pause before a lookup that got no answer is tried again.
const AGAIN: Duration = Duration::from_secs(1);
const PREFIX: &str = "topic.creation.";
const DEFAULT: &str = "default";

/// How the topics of one group are made.
#[derive(Clone, Debug, Default)]
pub(crate) struct Plan {
    /// -1: the cluster's default
    pub(crate) partitions: i32,
    /// -1: the cluster's default
    pub(crate) replication: i32,
    /// settings of the topic, as `cleanup.policy`
    pub(crate) settings: Vec<(String, String)>,
}

/// Which plan a topic gets: the first group that includes its name and does not exclude it, then the default.
#[derive(Debug, Default)]
pub(crate) struct Rules {
    groups: Vec<Group>,
    default: Plan,
}

#[derive(Debug)]
struct Group {
    include: Vec<Regex>,
    exclude: Vec<Regex>,
    plan: Plan,
}

/// What a lookup found out about a topic.
type Answer = (Arc<str>, Result<(), Trouble>);

enum Trouble {
    /// nobody answered: to be asked again
    Silence,
    Failure(Failure),
}

/// What is known of a topic.
#[derive(Clone, Copy)]
enum State {
    Asked,
    /// not before this moment again
    Silent(Instant),
    Exists,
}

/// The topics that a sink writes to.
pub(crate) struct Topics {
    config: ClientConfig,
    rules: Arc<Rules>,
    states: HashMap<Arc<str>, State>,
    asked: usize,
    sender: Sender<Answer>,
    receiver: Receiver<Answer>,
}

// === impl Rules ===

impl Rules {
    /// Reads `topic.creation.*`, with everything that is wrong about it.
    pub(crate) fn read(settings: &Settings) -> (Rules, Vec<Finding>) {
        let mut findings = Vec::new();
        let names = settings.values.get("topic.creation.groups").map(String::as_str).unwrap_or_default();
        let names = names.split(',').map(str::trim).filter(|n| !n.is_empty() && *n != DEFAULT).collect::<Vec<_>>();
        let used = settings.under("topic.creation.default.").next().is_some() || !names.is_empty();
        let fallback = Plan { partitions: -1, replication: -1, settings: Vec::new() };
        let default = plan(settings, DEFAULT, &fallback, &mut findings);
        for key in ["replication.factor", "partitions"] {
            let key = format!("{PREFIX}{DEFAULT}.{key}");
            if used && !settings.values.contains_key(&key) {
                let text = format!("`{key}` must be set when topics are created by `topic.creation` settings");
                findings.push(Finding::error("config.missing", text).key(key).help("-1 takes the cluster's default"));
            }
        }
        let inherited = Plan { settings: Vec::new(), ..default.clone() };
        let mut groups = Vec::new();
        for name in &names {
            let include = patterns(settings, name, "include", &mut findings);
            if include.is_empty() && !findings.iter().any(Finding::is_error) {
                let key = format!("{PREFIX}{name}.include");
                let text = format!("`{key}` must say which topics the group {name} is for");
                findings.push(Finding::error("config.missing", text).key(key));
            }
            let exclude = patterns(settings, name, "exclude", &mut findings);
            groups.push(Group { include, exclude, plan: plan(settings, name, &inherited, &mut findings) });
        }
        for (rest, _) in settings.under(PREFIX).filter(|(rest, _)| *rest != "groups") {
            let group = rest.split('.').next().unwrap_or_default();
            if group != DEFAULT && !names.contains(&group) {
                let text = format!("`{PREFIX}{rest}` has no effect: {group} is not in `topic.creation.groups`");
                findings.push(Finding::warning("config.no-effect", text).key(format!("{PREFIX}{rest}")));
            }
        }
        (Rules { groups, default }, findings)
    }

    pub(crate) fn plan(&self, topic: &str) -> &Plan {
        let any = |patterns: &[Regex]| patterns.iter().any(|p| p.is_match(topic).unwrap_or(false));
        self.groups.iter().find(|g| any(&g.include) && !any(&g.exclude)).map_or(&self.default, |g| &g.plan)
    }
}

fn plan(settings: &Settings, group: &str, fallback: &Plan, findings: &mut Vec<Finding>) -> Plan {
    let mut plan = fallback.clone();
    let prefix = format!("{PREFIX}{group}.");
    for (name, value) in settings.under(&prefix) {
        let target = match name {
            "include" | "exclude" => continue,
            "partitions" => &mut plan.partitions,
            "replication.factor" => &mut plan.replication,
            _ => {
                plan.settings.push((name.to_owned(), value.to_owned()));
                continue;
            }
        };
        match value.trim().parse::<i32>() {
            Ok(n) if n == -1 || n > 0 => *target = n,
            _ => {
                let text = format!("`{prefix}{name}` takes a number from 1, or -1 for the cluster's default");
                findings.push(Finding::error("config.wrong-type", text).key(format!("{prefix}{name}")));
            }
        }
    }
    plan
}

fn patterns(settings: &Settings, group: &str, kind: &str, findings: &mut Vec<Finding>) -> Vec<Regex> {
    let key = format!("{PREFIX}{group}.{kind}");
    let list = settings.values.get(&key).map(String::as_str).unwrap_or_default();
    let mut out = Vec::new();
    for text in list.split(',').map(str::trim).filter(|t| !t.is_empty()) {
        // Java's `matches` wants the whole name.
        match Regex::new(&format!("^(?:{text})$")) {
            Ok(pattern) => out.push(pattern),
            Err(_) => {
                let message = format!("`{key}` holds \"{text}\", which is not a regular expression");
                findings.push(Finding::error("config.not-allowed", message).key(&key));
            }
        }
    }
    out
}

// === impl Topics ===

impl Topics {
    pub(crate) fn new(config: ClientConfig, rules: Rules) -> Topics {
        let (sender, receiver) = channel();
        Topics { config, rules: Arc::new(rules), states: HashMap::new(), asked: 0, sender, receiver }
    }

    /// Whether an answer is awaited.
    pub(crate) fn pending(&self) -> bool {
        self.asked > 0
    }

    pub(crate) fn exists(&self, topic: &str) -> bool {
        matches!(self.states.get(topic), Some(State::Exists))
    }

    /// Asks after those of these topics that nothing is known of; the answers come by [`Topics::collect`].
    pub(crate) fn ask<'a>(&mut self, topics: impl Iterator<Item = &'a Arc<str>>) -> Result<(), Failure> {
        let now = Instant::now();
        let mut wanted = Vec::new();
        for topic in topics {
            match self.states.get(topic) {
                Some(State::Asked | State::Exists) => continue,
                Some(State::Silent(until)) if now < *until => continue,
                _ => {}
            }
            self.states.insert(topic.clone(), State::Asked);
            wanted.push(topic.clone());
        }
        if wanted.is_empty() {
            return Ok(());
        }
        self.asked += wanted.len();
        let (config, rules, sender) = (self.config.clone(), self.rules.clone(), self.sender.clone());
        let run = move || look_up(&config, &rules, wanted, &sender);
        let thread = std::thread::Builder::new().name("weir-kafka-topics".to_owned()).spawn(run);
        thread.map(|_| ()).map_err(|e| {
            Failure::new("kafka.delivery", weir_api::Cure::Retry, format!("no thread could be started: {e}"), "")
        })
    }

    /// The largest batch that the topic takes; waits for the answer. None: nobody says.
    pub(crate) fn largest(&self, topic: &str) -> Option<u32> {
        let client: AdminClient<DefaultClientContext> = self.config.create().ok()?;
        let options = AdminOptions::new().request_timeout(Some(ANSWER));
        let said = wait(client.describe_configs([&ResourceSpecifier::Topic(topic)], &options)).ok()?;
        let settings = said.into_iter().next()?.ok()?;
        settings.entry_map().get("max.message.bytes")?.value.as_ref()?.parse().ok()
    }

    /// Takes in what lookups found; an error says why a topic cannot be written to.
    pub(crate) fn collect(&mut self) -> Result<(), Failure> {
        let mut result = Ok(());
        while let Ok((topic, answer)) = self.receiver.try_recv() {
            self.asked = self.asked.saturating_sub(1);
            let state = match answer {
                Ok(()) => State::Exists,
                Err(Trouble::Silence) => State::Silent(Instant::now() + AGAIN),
                Err(Trouble::Failure(failure)) => {
                    result = Err(failure);
                    continue;
                }
            };
            self.states.insert(topic, state);
        }
        result
    }
}

fn look_up(config: &ClientConfig, rules: &Rules, topics: Vec<Arc<str>>, answers: &Sender<Answer>) {
    let client: Result<AdminClient<DefaultClientContext>, KafkaError> = config.create();
    let mut silent = false;
    for topic in topics {
        let answer = match &client {
            // When the first question got no answer, the others would wait as long for nothing.
            Ok(_) if silent => Err(Trouble::Silence),
            Ok(client) => ensure(client, config, rules, &topic),
            Err(_) => Err(Trouble::Silence),
        };
        silent = matches!(answer, Err(Trouble::Silence));
        if answers.send((topic, answer)).is_err() {
            return; // the sink is gone
        }
    }
}

fn ensure(
    client: &AdminClient<DefaultClientContext>,
    config: &ClientConfig,
    rules: &Rules,
    topic: &str,
) -> Result<(), Trouble> {
    let metadata = client.inner().fetch_metadata(Some(topic), ANSWER).map_err(|_| Trouble::Silence)?;
    let said = metadata.topics().iter().find(|t| t.name() == topic).and_then(|t| t.error()).map(Code::from);
    match said {
        None | Some(Code::LeaderNotAvailable) => return Ok(()),
        Some(Code::UnknownTopicOrPartition) => {}
        Some(code) => return Err(Trouble::Failure(Failure::delivery(code, topic, -1))),
    }
    let plan = rules.plan(topic);
    let mut new = NewTopic::new(topic, plan.partitions, TopicReplication::Fixed(plan.replication));
    for (name, value) in &plan.settings {
        new = new.set(name, value);
    }
    let options = AdminOptions::new().operation_timeout(Some(ANSWER)).request_timeout(Some(ANSWER));
    let results = wait(client.create_topics([&new], &options));
    match results.map(|r| r.into_iter().next()) {
        Ok(Some(Ok(_)) | Some(Err((_, Code::TopicAlreadyExists)))) => {
            tracing::info!(target: "weir::kafka", topic, "topic created");
            Ok(())
        }
        Ok(Some(Err((_, Code::RequestTimedOut | Code::OperationTimedOut | Code::NotController)))) => {
            Err(Trouble::Silence)
        }
        Ok(Some(Err((_, code)))) => {
            Err(Trouble::Failure(Failure::creation(code, topic, &command(config, topic, plan))))
        }
        Ok(None) | Err(_) => Err(Trouble::Silence),
    }
}

/// What creates the topic by hand.
fn command(config: &ClientConfig, topic: &str, plan: &Plan) -> String {
    let servers = config.get("bootstrap.servers").unwrap_or("…");
    let mut text = format!("kafka-topics.sh --bootstrap-server {servers} --create --topic {topic}");
    for (option, n) in [("partitions", plan.partitions), ("replication-factor", plan.replication)] {
        if n > 0 {
            text.push_str(&format!(" --{option} {n}"));
        }
    }
    text
}

/// Runs a future on this thread, which sleeps meanwhile.
fn wait<F: Future>(future: F) -> F::Output {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut context = Context::from_waker(&waker);
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut context) {
            Poll::Ready(output) => return output,
            Poll::Pending => std::thread::park(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_group_that_includes_a_topic_wins() {
        let (rules, findings) = Rules::read(&Settings::new([
            ("topic.creation.groups", "compacted, rest"),
            ("topic.creation.default.partitions", "3"),
            ("topic.creation.default.replication.factor", "-1"),
            ("topic.creation.default.retention.ms", "1000"),
            ("topic.creation.compacted.include", "shop\\..*,stock"),
            ("topic.creation.compacted.exclude", "shop\\.log"),
            ("topic.creation.compacted.cleanup.policy", "compact"),
            ("topic.creation.compacted.partitions", "1"),
            ("topic.creation.rest.include", "shop.*"),
        ]));
        assert!(findings.is_empty(), "{findings:?}");
        let of = |topic: &str| {
            let plan = rules.plan(topic);
            (plan.partitions, plan.settings.first().map(|(n, _)| n.as_str()))
        };
        assert_eq!(of("shop.orders"), (1, Some("cleanup.policy")));
        assert_eq!(of("shop.log"), (3, None));
        assert_eq!(of("other"), (3, Some("retention.ms")));
        assert_eq!(of("stocks"), (3, Some("retention.ms")));
    }

    #[test]
    fn what_is_missing_or_wrong_is_found() {
        let keys = |settings: &[(&str, &str)]| {
            let findings = Rules::read(&Settings::new(settings.iter().copied())).1;
            findings.iter().filter_map(|f| f.key.clone()).collect::<Vec<_>>()
        };
        assert!(keys(&[]).is_empty());
        assert_eq!(keys(&[("topic.creation.default.partitions", "1")]), ["topic.creation.default.replication.factor"]);
        let full = [("topic.creation.default.partitions", "1"), ("topic.creation.default.replication.factor", "1")];
        let with = |more: &[(&'static str, &'static str)]| keys(&[&full, more].concat());
        assert_eq!(with(&[("topic.creation.groups", "a")]), ["topic.creation.a.include"]);
        assert_eq!(with(&[("topic.creation.a.include", "x")]), ["topic.creation.a.include"]);
        assert_eq!(
            with(&[("topic.creation.groups", "a"), ("topic.creation.a.include", "(")]),
            ["topic.creation.a.include"]
        );
        assert_eq!(keys(&[full[0], ("topic.creation.default.replication.factor", "0")]).len(), 1);
    }
}
