//! Rows that a transform cannot take, from a real PostgreSQL to a real Kafka: the others arrive in their order, these are letters,
//! whatever is killed; and when the transform is mended they arrive too, once.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)] // helpers of tests are tests

mod support;
#[path = "support/topic.rs"]
mod topic;

use serde_json::Value;
use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};
use support::{Place, Weir, wait_for};
use topic::Record;
use weir_testkit::{Kafka, Postgres, guest};

const LIMIT: Duration = Duration::from_secs(120);

/// A transform that fails every hundredth row unless it is told that it is mended.
fn poison() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/guests/poison");
        guest::build(&folder, "poison", &Path::new(env!("CARGO_TARGET_TMPDIR")).join("poison")).expect("a guest")
    })
}

fn source(database: &str, name: &str) -> String {
    let url = Postgres::shared().expect("PostgreSQL").url_of(database);
    format!(
        "name = \"{name}\"\n[source.postgres]\nurl = \"{url}\"\ntopic.prefix = \"{name}\"\nslot.name = \"{name}\"\n\
         publication.name = \"{name}\"\npublication.autocreate.mode = \"filtered\"\n"
    )
}

fn step(options: &str) -> String {
    format!("[[transform]]\nname = \"poison\"\nuse = \"{}\"\non-error = \"dead-letter\"\n{options}", poison().display())
}

fn kafka_sink(kafka: &Kafka) -> String {
    format!("[sink.kafka]\nbootstrap.servers = \"{}\"\n", kafka.bootstrap())
}

fn database(sql: &str) -> (String, impl Fn(&str)) {
    let postgres = Postgres::shared().expect("PostgreSQL");
    let database = postgres.database().expect("a database");
    postgres.sql_in(&database, sql).expect("SQL");
    let name = database.clone();
    (database, move |text: &str| drop(postgres.sql_in(&name, text).expect("SQL")))
}

fn id(value: &Value) -> u64 {
    value["after"]["id"].as_u64().expect("an id")
}

/// Numbers of the rows in a topic, each where it comes first.
fn ids(records: &[Record]) -> Vec<u64> {
    let mut seen = BTreeSet::new();
    records.iter().map(|r| id(&r.json())).filter(|id| seen.insert(*id)).collect()
}

/// Numbers of the rows whose letters are in a topic.
fn dead(bootstrap: &str, name: &str) -> BTreeSet<u64> {
    topic::read(bootstrap, name).iter().map(|r| id(&r.json()["payload"])).collect()
}

/// The envelope's result of a verb that succeeds.
fn result(place: &Place, args: &[&str]) -> Value {
    let out = place.weir(&[args, &["--json"]].concat());
    let said = String::from_utf8_lossy(&out.stderr).into_owned();
    assert!(out.status.success(), "{args:?}: {said}{}", String::from_utf8_lossy(&out.stdout));
    serde_json::from_slice::<Value>(&out.stdout).expect("an envelope")["result"].clone()
}

/// The letters' own Kafka goes away, records go on, and weir is killed: what was on its way to the letters comes again.
#[test]
fn an_offset_waits_for_letters_whose_kafka_is_away() {
    let (kafka, other) = (Kafka::shared().expect("Kafka"), Kafka::builder().start().expect("another Kafka"));
    let (database, sql) = database("CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (100)");
    let place = Place::new();
    let servers = other.bootstrap();
    let errors = format!("[errors.dead-letter]\ntopic = \"away.dead\"\nkafka.bootstrap.servers = \"{servers}\"\n");
    place.write("p.toml", &[source(&database, "away").as_str(), &step(""), &kafka_sink(kafka), &errors].concat());
    let weir = place.start("p.toml");
    wait_for("the first letter", LIMIT, || dead(servers, "away.dead").contains(&100).then_some(()));
    other.kill().expect("killed");
    let (began, mut next) = (Instant::now(), 200);
    // offsets are stored twice a second: there is time for three, each behind records that have arrived
    while began.elapsed() < Duration::from_millis(2000) {
        sql(&format!("INSERT INTO t VALUES ({next}), ({})", next + 1));
        let arrived = || ids(&topic::read(kafka.bootstrap(), "away.public.t")).contains(&(next + 1));
        wait_for("the record behind", LIMIT, || arrived().then_some(()));
        next += 100;
    }
    weir.kill();
    other.launch().expect("started");
    let weir = place.start_with(&["run", "p.toml", "--metrics", "127.0.0.1:0"]);
    let poison: BTreeSet<u64> = (100..next).step_by(100).collect();
    wait_for("every letter", LIMIT, || (dead(servers, "away.dead") == poison).then_some(()));
    let metrics = metrics(&weir);
    for code in ["guest.trap", "org.example.Poison"] {
        let sample = format!("weir_dead_letters_total{{pipeline=\"away\",step=\"poison\",code=\"{code}\"}}");
        assert!(metrics.contains(&sample), "{metrics}");
    }
    assert!(weir.stop().success());
}

/// What `/metrics` says.
fn metrics(weir: &Weir) -> String {
    let address = wait_for("an address", LIMIT, || {
        let log = weir.log();
        let (_, rest) = log.split_once("metrics at http://")?;
        Some(rest.split_once('/')?.0.to_string())
    });
    let mut stream = TcpStream::connect(address).expect("connected");
    stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: weir\r\nConnection: close\r\n\r\n").expect("asked");
    let mut text = String::new();
    stream.read_to_string(&mut text).expect("an answer");
    text
}

const ROWS: u64 = 10_000;

/// 10,000 rows, every hundredth poison, and weir is killed again and again: nothing is in neither place.
#[test]
fn letters_and_records_are_everything_whatever_is_killed() {
    let kafka = Kafka::shared().expect("Kafka");
    let (database, sql) = database("CREATE TABLE t (id int PRIMARY KEY, v text)");
    let place = Place::new();
    let errors = "[errors.dead-letter]\ntopic = \"poisoned.dead\"\n";
    let text = |options: &str| [&source(&database, "poisoned"), &step(options), &kafka_sink(kafka), errors].concat();
    place.write("p.toml", &text(""));
    let (records, letters) = ("poisoned.public.t", "poisoned.dead");
    let inserted = AtomicU64::new(0);
    std::thread::scope(|scope| {
        // a transaction for each ten rows, so that a kill finds some behind and some ahead of it
        scope.spawn(|| {
            let first = place.start("p.toml");
            wait_for("the slot", LIMIT, || first.log().contains("stream").then_some(()));
            for from in (1..=ROWS).step_by(10) {
                sql(&format!("INSERT INTO t SELECT g, 'v' || g FROM generate_series({from}, {}) g", from + 9));
                inserted.store(from + 9, Relaxed);
                if from == 1001 {
                    // the first one is killed by the other thread's hand
                    break;
                }
            }
            first.kill();
            for from in (1011..=ROWS).step_by(10) {
                sql(&format!("INSERT INTO t SELECT g, 'v' || g FROM generate_series({from}, {}) g", from + 9));
                inserted.store(from + 9, Relaxed);
            }
        });
        let mut seed = std::process::id() as u64 | 1;
        wait_for("the first death", LIMIT, || (inserted.load(Relaxed) > 1010).then_some(()));
        while inserted.load(Relaxed) < ROWS {
            let weir = place.start("p.toml");
            seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            let after = (inserted.load(Relaxed) + 200 + (seed >> 33) % 1500).min(ROWS);
            wait_for("rows", LIMIT, || (inserted.load(Relaxed) >= after).then_some(()));
            weir.kill();
        }
    });
    let weir = place.start("p.toml");
    wait_for("the last row", LIMIT, || {
        let all = topic::read(kafka.bootstrap(), letters);
        all.iter().any(|r| id(&r.json()["payload"]) == ROWS).then_some(())
    });
    wait_for("the last record", LIMIT, || {
        ids(&topic::read(kafka.bootstrap(), records)).contains(&(ROWS - 1)).then_some(())
    });
    assert!(weir.stop().success());
    let poison: BTreeSet<u64> = (1..=ROWS).filter(|i| i % 100 == 0).collect();
    assert_eq!(dead(kafka.bootstrap(), letters), poison);
    let healthy: Vec<u64> = (1..=ROWS).filter(|i| i % 100 != 0).collect();
    assert_eq!(ids(&topic::read(kafka.bootstrap(), records)), healthy, "all others, in their order");
    replay(&place, kafka, &text);
}

/// The mended transform takes the letters, once.
fn replay(place: &Place, kafka: &Kafka, text: &dyn Fn(&str) -> String) {
    let (records, letters) = ("poisoned.public.t", "poisoned.dead");
    let count = topic::read(kafka.bootstrap(), letters).len() as u64;
    let ls = result(place, &["dlq", "ls", "p.toml"]);
    assert_eq!(ls[0]["letters"], count);
    let kinds: Vec<_> = ls[0]["kinds"].as_array().unwrap().iter().map(|k| k["code"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["guest.trap", "org.example.Poison"]);
    // nothing is mended: nothing is sent, and nothing is lost from the letters
    let before = topic::end(kafka.bootstrap(), records);
    let again = result(place, &["dlq", "replay", "p.toml", "--yes"]);
    assert_eq!((&again["replayed"], topic::end(kafka.bootstrap(), records)), (&Value::from(0), before));
    place.write("p.toml", &text("with.mended = true\n"));
    let dry = result(place, &["dlq", "replay", "p.toml", "--dry-run"]);
    assert_eq!((&dry["replayed"], topic::end(kafka.bootstrap(), records)), (&Value::from(count), before));
    let one = result(place, &["dlq", "replay", "p.toml", "--code", "guest.trap", "--yes"]);
    let trapped = one["replayed"].as_u64().unwrap();
    assert!(trapped >= 50 && trapped < count, "{one}");
    let rest = result(place, &["dlq", "replay", "p.toml", "--yes"]);
    assert_eq!(rest["replayed"], count - trapped, "{rest}");
    let after = topic::end(kafka.bootstrap(), records);
    assert_eq!(after - before, count as i64, "a record for each letter");
    let again = result(place, &["dlq", "replay", "p.toml", "--yes"]);
    assert_eq!((&again["replayed"], topic::end(kafka.bootstrap(), records)), (&Value::from(0), after), "none twice");
    let all = topic::read(kafka.bootstrap(), records);
    assert_eq!(ids(&all).len() as u64, ROWS);
    // what comes behind is what came before, but for the row's own values
    let (old, new) = (&all[0], all.last().unwrap());
    assert_eq!(shape(&old.json()), shape(&new.json()));
    assert_eq!(new.json()["after"]["passed"], true);
    assert!(new.key.as_ref().unwrap().starts_with("{\"id\":"));
    let ls = result(place, &["dlq", "ls", "p.toml"]);
    let replayed: u64 = ls[0]["kinds"].as_array().unwrap().iter().map(|k| k["replayed"].as_u64().unwrap()).sum();
    assert_eq!(replayed, count);
}

/// Names of members, and the sort of each value.
fn shape(value: &Value) -> Value {
    match value {
        Value::Object(all) => all.iter().map(|(k, v)| (k.clone(), shape(v))).collect(),
        Value::String(_) => "text".into(),
        Value::Number(_) => "number".into(),
        other => other.clone(),
    }
}

#[test]
fn letters_in_a_file_say_what_failed_and_hide_values_until_they_are_asked_for() {
    let (database, _) = database(
        "CREATE TABLE t (id int PRIMARY KEY, v text, amount numeric(8,2), at timestamptz, tags text[]);
         INSERT INTO t SELECT g, 'secret ' || g, g / 8.0, '2026-01-05 12:00+00', array['a', NULL] FROM generate_series(1, 200) g",
    );
    let place = Place::new();
    let text = |options: &str| {
        let sink = "[sink.file]\npath = \"records.jsonl\"\n[errors]\ndead-letter = { file = \"dead.jsonl\" }\n";
        let source = source(&database, "filed") + "snapshot.mode = \"initial_only\"\n";
        let unwrap = "[[transform]]\nuse = \"weir:extract-new-record-state\"\nwith.add.fields = \"op,source.lsn\"\n";
        [&source, &step(options), unwrap, sink].concat()
    };
    place.write("p.toml", &text(""));
    let ran = result(&place, &["run", "p.toml"]);
    assert_eq!(ran[0]["records"], 198);
    let kinds = ran[0]["dead-letters"].as_array().unwrap();
    assert_eq!(kinds.iter().map(|k| k["letters"].as_u64().unwrap()).sum::<u64>(), 2, "{ran}");
    let shown = place.weir(&["dlq", "show", "p.toml"]);
    let shown = String::from_utf8(shown.stdout).unwrap();
    assert!(shown.contains("guest.trap") && shown.contains("org.example.Poison"), "{shown}");
    let quiet = place.weir(&["dlq", "show", "p.toml", "--json"]);
    let quiet = String::from_utf8(quiet.stdout).unwrap() + &shown + &support::read(&place.path("weir.log"));
    assert!(!quiet.contains("secret"), "a value is shown: {quiet}");
    let values = result(&place, &["dlq", "show", "p.toml", "--values", "--code", "guest.trap"]);
    let [letter] = values.as_array().unwrap().as_slice() else { panic!("{values}") };
    assert_eq!(letter["value"]["payload"]["after"]["v"], "secret 200");
    assert_eq!(letter["guest-log"], "row 200 is poison");
    assert_eq!((&letter["step"], &letter["topic"]), (&"poison".into(), &"filed.public.t".into()));
    assert!(letter["module"].as_str().unwrap().contains("poison.wasm@sha256:"), "{letter}");
    refused(&place, &text("with.mended = true\n"));
    assert_eq!(result(&place, &["dlq", "replay", "p.toml", "--yes"])["replayed"], 2);
    // what comes behind is, byte for byte, what a transform that never failed would have made
    let records = support::read(&place.path("records.jsonl"));
    let lines: Vec<Value> = records.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    assert_eq!(lines.len(), 200);
    let (first, last) = (&lines[0], &lines[199]);
    assert_eq!(shape(first), shape(last));
    let text_of = |v: &Value| v["value"]["amount"].as_str().unwrap().len();
    assert!(text_of(first) > 0 && text_of(last) > 0);
    assert_eq!(last["value"]["tags"], first["value"]["tags"]);
    assert_eq!((&last["value"]["__op"], &last["value"]["passed"]), (&"r".into(), &true.into()));
    assert_eq!(last["value"]["at"], "2026-01-05T12:00:00.000000Z");
}

/// Letters are not sent without a word from somebody, nor through steps that are not there.
fn refused(place: &Place, text: &str) {
    let code = |args: &[&str]| {
        let out = place.weir(&[&["dlq", "replay", "p.toml", "--json"], args].concat());
        let said: Value = serde_json::from_slice(&out.stdout).expect("an envelope");
        (out.status.code(), said["error"]["code"].as_str().unwrap_or_default().to_string())
    };
    place.write("p.toml", &text.replace("name = \"poison\"", "name = \"renamed\""));
    assert_eq!(code(&["--yes"]), (Some(2), "dlq.no-such-step".into()));
    place.write("p.toml", text);
    assert_eq!(code(&[]), (Some(2), "dlq.not-confirmed".into()));
}

/// Whoever writes letters and whoever reads them are two clients: both have the letters' own settings.
#[test]
fn letters_lie_in_a_kafka_that_wants_a_certificate_or_a_login() {
    let kafka = Kafka::builder().secure().start().expect("Kafka");
    let secure = kafka.secure().expect("its listeners");
    let (database, _) =
        database("CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t SELECT g FROM generate_series(1, 200) g");
    let certificate = format!(
        "kafka.bootstrap.servers = \"127.0.0.1:{}\"\nkafka.security.protocol = \"SSL\"\n\
         kafka.ssl.truststore.location = \"{}\"\nkafka.ssl.truststore.type = \"PKCS12\"\nkafka.ssl.truststore.password = \"{3}\"\n\
         kafka.ssl.keystore.location = \"{}\"\nkafka.ssl.keystore.type = \"PKCS12\"\nkafka.ssl.keystore.password = \"{3}\"\n",
        secure.ssl_port,
        secure.truststore_p12.display(),
        secure.keystore_p12.display(),
        secure.store_password
    );
    let login = format!(
        "kafka.bootstrap.servers = \"127.0.0.1:{}\"\nkafka.security.protocol = \"SASL_PLAINTEXT\"\nkafka.sasl.mechanism = \"PLAIN\"\n\
         kafka.sasl.jaas.config = '''org.apache.kafka.common.security.plain.PlainLoginModule required username=\"{}\" password=\"{}\";'''\n",
        secure.sasl_port, secure.user, secure.password
    );
    for (name, client, secret) in
        [("certificate", certificate, secure.store_password), ("login", login, secure.password)]
    {
        let place = Place::new();
        let text = |options: &str| {
            let source = source(&database, name) + "snapshot.mode = \"initial_only\"\n";
            let errors = format!("[errors.dead-letter]\ntopic = \"{name}.dead\"\n{client}");
            [&source, &step(options), "[sink.file]\npath = \"records.jsonl\"\n", &errors].concat()
        };
        place.write("p.toml", &text(""));
        assert_eq!(result(&place, &["run", "p.toml"])[0]["records"], 198, "{name}");
        assert_eq!(dead(kafka.bootstrap(), &format!("{name}.dead")), BTreeSet::from([100, 200]));
        let ls = place.weir(&["dlq", "ls", "p.toml", "--log", "debug"]);
        let said = String::from_utf8_lossy(&[ls.stdout, ls.stderr].concat()).into_owned();
        assert!(said.contains("guest.trap") && !said.contains(secret), "{said}");
        place.write("p.toml", &text("with.mended = true\n"));
        assert_eq!(result(&place, &["dlq", "replay", "p.toml", "--yes"])["replayed"], 2, "{name}");
        assert_eq!(support::read(&place.path("records.jsonl")).lines().count(), 200, "{name}");
    }
}

#[test]
fn a_value_is_logged_where_that_was_asked_for() {
    let (database, _) = database("CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t VALUES (100, 'secret')");
    let place = Place::new();
    let sink =
        "[sink.discard]\n[errors]\nlog.enable = true\nlog.include.messages = true\ndead-letter.file = \"dead.jsonl\"\n";
    let source = source(&database, "logged") + "snapshot.mode = \"initial_only\"\n";
    place.write("p.toml", &[&source, &step(""), sink].concat());
    let out = place.weir(&["run", "p.toml"]);
    let said = String::from_utf8_lossy(&out.stderr).into_owned();
    assert!(out.status.success() && said.contains("a row failed") && said.contains("secret"), "{said}");
}

#[test]
fn a_connector_with_a_dead_letter_queue_has_one() {
    let kafka = Kafka::shared().expect("Kafka");
    let (database, _) = database(
        "CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t SELECT g, 'secret' FROM generate_series(1, 100) g",
    );
    let url = Postgres::shared().expect("PostgreSQL").url_of(&database);
    let place = Place::new();
    place.write("worker.properties", &format!("bootstrap.servers={}\n", kafka.bootstrap()));
    let connector = serde_json::json!({
        "name": "queued", "connector.class": "io.debezium.connector.postgresql.PostgresConnector", "url": url,
        "topic.prefix": "queued", "slot.name": "queued", "publication.name": "queued",
        "publication.autocreate.mode": "filtered", "snapshot.mode": "initial_only",
        "key.converter": "org.apache.kafka.connect.json.JsonConverter",
        "value.converter": "org.apache.kafka.connect.json.JsonConverter",
        "transforms": "poison", "transforms.poison.type": poison().display().to_string(),
        "errors.tolerance": "all", "errors.deadletterqueue.topic.name": "queued.dead",
        "errors.deadletterqueue.topic.replication.factor": "1",
        "errors.deadletterqueue.context.headers.enable": "true", "errors.log.enable": "true"
    });
    place.write("connector.json", &connector.to_string());
    let out = place.weir(&["run", "connector.json", "--worker", "worker.properties"]);
    let said = String::from_utf8_lossy(&out.stderr).into_owned();
    assert!(out.status.success(), "{said}");
    assert!(said.contains("Kafka Connect sends no dead letters of a source connector"), "{said}");
    assert!(said.contains("a row failed") && said.contains("org.example.Poison"), "{said}");
    assert!(!said.contains("secret"), "a value is logged that nobody asked for: {said}");
    assert_eq!(topic::read(kafka.bootstrap(), "queued.public.t").len(), 99);
    let letters = topic::read(kafka.bootstrap(), "queued.dead");
    let [letter] = letters.as_slice() else { panic!("{letters:?}") };
    let header = |name: &str| letter.headers.iter().find(|h| h.0 == name).map(|h| h.1.as_str());
    assert_eq!(header("__connect.errors.topic"), Some("queued.public.t"));
    assert_eq!(header("__connect.errors.connector.name"), Some("queued"));
    assert_eq!(header("__connect.errors.stage"), Some("TRANSFORMATION"));
    assert_eq!(header("__connect.errors.exception.class.name"), Some("org.example.Poison"));
    assert_eq!(header("__weir.error.code"), Some("org.example.Poison"));
}

#[test]
fn letters_that_have_no_place_to_go_end_the_pipeline_and_lose_nothing() {
    let kafka = Kafka::shared().expect("Kafka");
    let (database, _) = database(
        "CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t SELECT g, 'v' FROM generate_series(1, 100) g",
    );
    let place = Place::new();
    let source = source(&database, "nowhere") + "snapshot.mode = \"initial_only\"\n";
    // three copies in a cluster of one node: the topic cannot be made
    let write = |copies: u32| {
        let errors = format!(
            "[errors.dead-letter]\ntopic = \"nowhere.dead\"\nkafka.topic.creation.default.replication.factor = {copies}\n"
        );
        place.write("p.toml", &[source.as_str(), &step(""), &kafka_sink(kafka), &errors].concat());
    };
    write(3);
    let out = place.weir(&["run", "p.toml", "--json"]);
    let said: Value = serde_json::from_slice(&out.stdout).expect("an envelope");
    let error = &said["error"]["pipelines"][0]["error"];
    assert_eq!((out.status.code(), error["code"].as_str()), (Some(3), Some("kafka.topic-not-creatable")), "{said}");
    assert!(error["message"].as_str().unwrap().contains("nowhere.dead"), "{said}");
    assert_eq!(result(&place, &["dlq", "ls", "p.toml"])[0]["letters"], 0, "a topic that is not there has none");
    write(1);
    result(&place, &["run", "p.toml"]);
    assert_eq!(dead(kafka.bootstrap(), "nowhere.dead"), BTreeSet::from([100]));
    assert_eq!(ids(&topic::read(kafka.bootstrap(), "nowhere.public.t")).len(), 99);
}

#[test]
fn what_is_wrong_about_dead_letters_is_said_before_anything_runs() {
    let place = Place::new();
    let shop = "name = \"shop\"\n[source.generator]\ntopic.prefix = \"shop\"\n[sink.stdout]\n[errors]\non-error = \"dead-letter\"\n";
    let said = |more: &str| {
        place.write("p.toml", &format!("{shop}{more}"));
        let out = place.weir(&["validate", "p.toml"]);
        (out.status.code(), String::from_utf8_lossy(&out.stderr).into_owned())
    };
    let (code, text) = said("");
    assert!(code == Some(2) && text.contains("dead letters have no place to go"), "{text}");
    let (code, text) = said("dead-letter = { topic = \"dead\" }\n");
    assert!(code == Some(2) && text.contains("dead-letter.kafka.bootstrap.servers"), "{text}");
    let (code, text) = said("dead-letter = { topic = \"dead\", kafka.bootstrap.server = \"h:1\" }\n");
    assert!(code == Some(2) && text.contains("`dead-letter.kafka.bootstrap.server` is no known key"), "{text}");
    let (code, text) = said("dead-letter = { file = \"dead.jsonl\" }\n");
    assert!(code == Some(0) && text.is_empty(), "{text}");
    let out = place.weir(&["dlq", "ls", "p.toml"]);
    assert!(out.status.success() && out.stdout.is_empty(), "no letters yet");
}
