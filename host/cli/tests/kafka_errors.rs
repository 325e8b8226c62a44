//! What Kafka does to a pipeline, and what is said of it: away at the start, killed in the middle, a topic that cannot be made,
//! a record that is too large. What can heal is waited for; what cannot is an error that names its cure; nothing is lost.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)] // helpers of tests are tests

mod support;
#[path = "support/topic.rs"]
mod topic;

use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, AlterConfig, ResourceSpecifier};
use rdkafka::client::DefaultClientContext;
use serde_json::Value;
use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;
use std::time::Duration;
use support::{Place, Weir, wait_for};
use weir_testkit::{Kafka, Postgres, process::free_port};

const LIMIT: Duration = Duration::from_secs(120);
const TABLES: [&str; 3] = ["users", "products", "orders"];

/// A generated shop to Kafka; it ends by itself.
fn shop(name: &str, rows: u32, rate: u32, bootstrap: &str, more: &str) -> String {
    format!(
        "name = \"{name}\"\n[source.generator]\ntopic.prefix = \"{name}\"\nrows = {rows}\nrate = {rate}\n\
         [sink.kafka]\nbootstrap.servers = \"{bootstrap}\"\n{more}\n"
    )
}

const PARTITIONS: &str = "topic.creation.default.partitions = 3\ntopic.creation.default.replication.factor = 1";

/// What a consumer is told of each row, in order: key → (op, event, what it became).
type Histories = BTreeMap<String, Vec<(String, u64, Value)>>;

fn add(histories: &mut Histories, table: &str, key: &Value, value: &Value) {
    if value.is_null() {
        return;
    }
    let event = value["source"]["event"].as_u64().expect("an event");
    let history = histories.entry(format!("{table} {key}")).or_default();
    let op = value["op"].as_str().expect("an op").to_string();
    // a record that comes again behind itself says nothing new
    if !history.iter().any(|(o, e, _)| *o == op && *e == event) {
        history.push((op, event, value["after"].clone()))
    }
}

fn in_kafka(bootstrap: &str, name: &str) -> Histories {
    let mut all = Histories::new();
    for table in TABLES {
        for record in topic::read(bootstrap, &format!("{name}.shop.{table}")) {
            let key = serde_json::from_str(record.key.as_ref().expect("a key")).expect("JSON");
            add(&mut all, table, &key, &record.json());
        }
    }
    all
}

/// The same shop on standard output.
fn wanted(place: &Place, name: &str, rows: u32) -> Histories {
    let text = shop(name, rows, 0, "-", "");
    let (source, _) = text.split_once("[sink.kafka]").expect("a sink");
    place.write("wanted.toml", &format!("{}[sink.stdout]\n", source.replace("name = \"", "name = \"wanted-")));
    let out = place.weir_with(&["run", "wanted.toml"], &[("WEIR_DATA_DIR", "wanted")]);
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let mut all = Histories::new();
    for line in String::from_utf8(out.stdout).expect("UTF-8").lines() {
        let record: Value = serde_json::from_str(line).expect("JSON");
        let table = record["topic"].as_str().expect("a topic").rsplit('.').next().expect("a table").to_string();
        add(&mut all, &table, &record["key"], &record["value"]);
    }
    all
}

fn same(found: &Histories, wanted: &Histories) {
    assert_eq!(found.keys().collect::<Vec<_>>(), wanted.keys().collect::<Vec<_>>(), "rows");
    for (key, history) in wanted {
        assert_eq!(found.get(key), Some(history), "{key}");
    }
}

/// The one error of `weir run --json`, and the exit code.
fn error(place: &Place, file: &str) -> (Option<i32>, String, String, String) {
    let out = place.weir(&["run", file, "--json"]);
    let said: Value = serde_json::from_slice(&out.stdout).expect("an envelope");
    let error = &said["error"]["pipelines"][0]["error"];
    let text = |key: &str| error[key].as_str().unwrap_or_default().to_string();
    (out.status.code(), text("code"), text("message"), text("help"))
}

fn said(weir: &Weir, what: &str) {
    wait_for(what, LIMIT, || weir.log().contains(what).then_some(()));
}

#[test]
fn a_kafka_that_is_away_at_the_start_is_waited_for() {
    let kafka = Kafka::builder().start().expect("Kafka");
    kafka.stop().expect("stopped");
    let place = Place::new();
    place.write("p.toml", &shop("early", 500, 0, kafka.bootstrap(), PARTITIONS));
    let weir = place.start("p.toml");
    said(&weir, "kafka.unreachable");
    said(&weir, "trying again");
    kafka.launch().expect("started");
    let log = weir.log();
    assert!(weir.wait().success(), "{log}");
    same(&in_kafka(kafka.bootstrap(), "early"), &wanted(&place, "early", 500));
}

#[test]
fn a_kafka_that_is_killed_in_the_middle_loses_nothing() {
    let kafka = Kafka::builder().start().expect("Kafka");
    let place = Place::new();
    place.write("p.toml", &shop("middle", 6000, 400, kafka.bootstrap(), PARTITIONS));
    let mut weir = place.start("p.toml");
    wait_for("some orders", LIMIT, || (topic::read(kafka.bootstrap(), "middle.shop.orders").len() > 200).then_some(()));
    kafka.kill().expect("killed");
    said(&weir, "Kafka acknowledges nothing");
    assert!(weir.is_running());
    kafka.launch().expect("started");
    let log = weir.log();
    assert!(weir.wait().success(), "{log}");
    same(&in_kafka(kafka.bootstrap(), "middle"), &wanted(&place, "middle", 6000));
}

#[test]
fn a_topic_that_cannot_be_made_names_the_setting() {
    let kafka = Kafka::shared().expect("Kafka");
    let place = Place::new();
    let copies = "topic.creation.default.partitions = 3\ntopic.creation.default.replication.factor = 3";
    place.write("p.toml", &shop("copies", 10, 0, kafka.bootstrap(), copies));
    let (exit, code, message, help) = error(&place, "p.toml");
    assert_eq!((exit, code.as_str()), (Some(3), "kafka.topic-not-creatable"), "{message}");
    assert!(message.contains("copies.shop.") && message.contains("fewer brokers than copies"), "{message}");
    assert!(help.contains("topic.creation.") && help.contains("--replication-factor 3"), "{help}");
    assert!(topic::read(kafka.bootstrap(), "copies.shop.users").is_empty());
}

#[test]
fn a_user_that_may_not_write_is_told_what_to_allow() {
    let kafka = Kafka::builder()
        .secure()
        .setting("authorizer.class.name", "org.apache.kafka.metadata.authorizer.StandardAuthorizer")
        .setting("super.users", "User:ANONYMOUS")
        .start()
        .expect("Kafka");
    let secure = kafka.secure().expect("a listener");
    let place = Place::new();
    let login = format!(
        "security.protocol = \"SASL_PLAINTEXT\"\nsasl.mechanism = \"PLAIN\"\nsasl.jaas.config = \
         'org.apache.kafka.common.security.plain.PlainLoginModule required username=\"{}\" password=\"{}\";'",
        secure.user, "${env:KAFKA_PASSWORD}"
    );
    let run = |password: &str, more: &str| {
        let login = format!("{login}\n{more}");
        place.write("p.toml", &shop("denied", 10, 0, &format!("127.0.0.1:{}", secure.sasl_port), &login));
        let out = place.weir_with(&["run", "p.toml", "--json"], &[("KAFKA_PASSWORD", password)]);
        let said: Value = serde_json::from_slice(&out.stdout).expect("an envelope");
        (out.status.code(), said["error"]["pipelines"][0]["error"].clone(), said.to_string())
    };
    // by default the right to write idempotently or the one to make a topic is missed first; without, it is the topic
    for more in ["", "enable.idempotence = false"] {
        let (exit, error, _) = run(secure.password, more);
        assert_eq!((exit, error["code"].as_str()), (Some(3), Some("kafka.authorization")), "{error}");
        let help = error["help"].as_str().unwrap_or_default();
        assert!(help.contains("kafka-acls.sh") || help.contains("kafka-topics.sh"), "{error}");
        let message = error["message"].as_str().unwrap_or_default();
        let topic = message.contains("denied.shop.");
        assert!(topic || (more.is_empty() && message.contains("idempotent writing")), "{error}");
    }
    let (exit, error, all) = run("wrong-secret", "");
    assert_eq!((exit, error["code"].as_str()), (Some(3), Some("kafka.authentication")), "{error}");
    assert!(!all.contains("wrong-secret"), "a secret is shown");
}

/// A table with a row that is too large for its topic, 30 of 60, and its pipeline; the snapshot of row 0 was sent.
struct Oversized {
    place: Place,
    name: String,
}

// === impl Oversized ===

impl Oversized {
    /// `more`: at the end of the pipeline file.
    fn new(name: &str, more: &str) -> Self {
        let (postgres, kafka) = (Postgres::shared().expect("PostgreSQL"), Kafka::shared().expect("Kafka"));
        let database = postgres.database().expect("a database");
        let sql = |text: &str| postgres.sql_in(&database, text).expect("SQL");
        sql("CREATE TABLE t (id int PRIMARY KEY, v text)");
        let oversized = Oversized { place: Place::new(), name: name.into() };
        let pipeline = format!(
            "name = \"{name}\"\n[source.postgres]\nurl = \"{}\"\ntopic.prefix = \"{name}\"\nslot.name = \"{name}\"\n\
             publication.name = \"{name}\"\npublication.autocreate.mode = \"filtered\"\n[sink.kafka]\n\
             bootstrap.servers = \"{}\"\nmax.request.size = 10000000\ntopic.creation.default.partitions = 1\n\
             topic.creation.default.replication.factor = 1\ntopic.creation.default.max.message.bytes = 100000\n{more}",
            postgres.url_of(&database),
            kafka.bootstrap()
        );
        oversized.place.write("p.toml", &pipeline);
        sql("INSERT INTO t VALUES (0, 'snapshot')");
        let weir = oversized.place.start("p.toml");
        wait_for("the snapshot", LIMIT, || (oversized.ids() == [0]).then_some(()));
        assert!(weir.stop().success());
        // 320,000 letters that no compression makes small, between others; a transaction each
        for i in 1..=60 {
            let large = "(SELECT string_agg(md5(random()::text), '') FROM generate_series(1, 10000))";
            sql(&format!("INSERT INTO t VALUES ({i}, {})", if i == 30 { large } else { "'small'" }));
        }
        oversized
    }

    fn topic(&self) -> String {
        format!("{}.public.t", self.name)
    }

    fn ids(&self) -> Vec<u64> {
        let records = topic::read(Kafka::shared().expect("Kafka").bootstrap(), &self.topic());
        records.iter().map(|r| r.json()["after"]["id"].as_u64().expect("an id")).collect()
    }

    fn allow(&self) {
        allow(Kafka::shared().expect("Kafka").bootstrap(), &self.topic(), "10000000")
    }
}

/// Without those that came again behind themselves.
fn once(ids: Vec<u64>) -> Vec<u64> {
    let mut seen = vec![];
    for id in ids {
        if !seen.contains(&id) {
            seen.push(id)
        }
    }
    seen
}

#[test]
fn nothing_is_written_behind_a_record_that_is_too_large_and_then_all_of_it() {
    let large = Oversized::new("large", "");
    for _ in 0..2 {
        let (exit, code, message, help) = error(&large.place, "p.toml");
        assert_eq!((exit, code.as_str()), (Some(1), "kafka.message-too-large"), "{message}");
        assert!(message.contains(&large.topic()), "{message}");
        for cure in ["max.message.bytes", "max.request.size", "dead-letter"] {
            assert!(help.contains(cure), "{help}");
        }
        let written = large.ids();
        assert!(written.iter().all(|id| *id < 30), "written behind the record: {written:?}");
    }
    large.allow();
    let weir = large.place.start("p.toml");
    wait_for("the last row", LIMIT, || large.ids().contains(&60).then_some(()));
    assert!(weir.stop().success());
    assert_eq!(once(large.ids()), (0..=60).collect::<Vec<_>>());
}

#[test]
fn a_record_that_is_too_large_is_kept_aside_and_sent_when_its_topic_takes_it() {
    let aside =
        Oversized::new("aside", "on-error = \"dead-letter\"\n[errors]\ndead-letter.topic = \"aside.letters\"\n");
    let weir = aside.place.start("p.toml");
    wait_for("the last row", LIMIT, || aside.ids().contains(&60).then_some(()));
    assert!(weir.stop().success());
    let others: Vec<u64> = (0..=60).filter(|id| *id != 30).collect();
    assert_eq!(once(aside.ids()), others);
    let list = |args: &[&str]| {
        let out = aside.place.weir(&[&["dlq"], args, &["p.toml", "--json"]].concat());
        serde_json::from_slice::<Value>(&out.stdout).expect("an envelope")
    };
    let listed = list(&["ls"]).to_string();
    assert!(listed.contains("kafka.message-too-large") && listed.contains("\"sink\""), "{listed}");
    // it is as large as it was
    let again = list(&["replay", "--yes"]);
    assert_eq!(again["result"]["replayed"], 0, "{again}");
    assert_eq!(again["result"]["failed"][0]["code"], "kafka.message-too-large", "{again}");
    aside.allow();
    let again = list(&["replay", "--yes"]);
    assert_eq!((&again["result"]["replayed"], &again["result"]["records"]), (&1.into(), &1.into()), "{again}");
    assert_eq!(once(aside.ids()), others.iter().copied().chain([30]).collect::<Vec<_>>());
}

#[test]
fn a_wrong_address_is_said_and_tried_again_as_often_as_wanted() {
    let place = Place::new();
    let port = free_port().expect("a port");
    for (address, tries) in [(format!("127.0.0.1:{port}"), 1), ("no-such-host.invalid:9092".to_string(), 0)] {
        let text = shop("lost", 10, 0, &address, &format!("[errors]\nretry.max = {tries}"));
        place.write("p.toml", &text);
        let out = place.weir(&["run", "p.toml"]);
        let said = String::from_utf8_lossy(&out.stderr).into_owned();
        assert_eq!(out.status.code(), Some(1), "{said}");
        assert_eq!(said.matches("trying again").count(), tries, "{said}");
        for part in ["error[kafka.unreachable]", &address, "help:", "bootstrap.servers"] {
            assert!(said.contains(part), "`{part}` is missing in: {said}");
        }
    }
}

/// What `kafka-configs.sh --alter` does.
fn allow(bootstrap: &str, topic: &str, bytes: &str) {
    let client: AdminClient<DefaultClientContext> =
        ClientConfig::new().set("bootstrap.servers", bootstrap).create().expect("a client");
    let change = AlterConfig::new(ResourceSpecifier::Topic(topic)).set("max.message.bytes", bytes);
    let options = AdminOptions::new();
    let results = wait(client.alter_configs([&change], &options)).expect("an answer");
    assert!(results.iter().all(Result::is_ok), "{results:?}");
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
    let mut future = Box::pin(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(output) => return output,
            Poll::Pending => std::thread::park(),
        }
    }
}
