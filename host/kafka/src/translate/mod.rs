//! Settings of the Java client into those of librdkafka, with everything that is wrong about them.

mod security;

use weir_api::{Finding, Settings};

use crate::client::{self, Becomes};

/// librdkafka's settings, name and value, in the order in which they are set. Values may be secret.
pub type Native = Vec<(String, String)>;

/// What every producer has before the user's settings.
const BASE: &[(&str, &str)] = &[
    // A record waits for the cluster as long as it takes: it never expires behind our back.
    ("message.timeout.ms", "0"),
    // Java's producer keeps records of one key together by this hash; librdkafka's own default is another.
    ("partitioner", "murmur2_random"),
    // A record with four headers costs librdkafka about 1 kB beside its bytes, which `buffer.memory` does not count. Five
    // requests of 1 MB under way hold some 6,000 records of ordinary size: this is more than twice that.
    ("queue.buffering.max.messages", "16384"),
    ("queue.buffering.max.kbytes", "65536"),
    ("message.max.bytes", "1048576"),
    // Measured (`examples/throughput.rs`): the throughput and the CPU of 5 ms, a lone record acknowledged after 1.6 ms instead of
    // 6; 0 costs a fifth more CPU. Under load batches fill while requests are under way, whatever this says.
    ("linger.ms", "1"),
    ("reconnect.backoff.ms", "50"),
    ("reconnect.backoff.max.ms", "1000"),
];

const DEFAULT_PARTITIONERS: &[&str] = &[
    "",
    "null",
    "org.apache.kafka.clients.producer.internals.DefaultPartitioner",
    "org.apache.kafka.clients.producer.internals.BuiltInPartitioner",
];

/// One translation under way.
struct Translation<'a> {
    settings: &'a Settings,
    native: Native,
    findings: Vec<Finding>,
}

/// Translates settings under their Java names. Keys that are no client settings (`topic.creation.*`) are passed over.
/// Reads the files that `ssl.*.location` name. Findings hold no secret; the settings do.
pub fn translate(settings: &Settings) -> (Native, Vec<Finding>) {
    let mut t = Translation { settings, native: Vec::new(), findings: Vec::new() };
    for (name, value) in &settings.values {
        if let Some(known) = client::find(name) {
            t.findings.extend(known.key.check(value));
        } else if !name.starts_with("topic.creation.") {
            let text = format!("`{name}` is not a setting of Kafka's producer and has no effect");
            t.findings.push(Finding::warning("config.unknown-key", text).key(name));
        }
    }
    let (native, findings) = cross(settings);
    t.findings.extend(findings);
    (native, t.findings)
}

/// As [`translate`], with only those findings that no single key's declaration can make.
pub(crate) fn cross(settings: &Settings) -> (Native, Vec<Finding>) {
    let native = BASE.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
    let mut t = Translation { settings, native, findings: Vec::new() };
    for (name, value) in &settings.values {
        let value = value.trim();
        match client::find(name).map(|k| k.becomes) {
            Some(Becomes::Same) if !value.is_empty() => t.put(name, value),
            Some(Becomes::Named(names)) if !value.is_empty() => names.iter().for_each(|n| t.put(n, value)),
            _ => {}
        }
    }
    t.delivery();
    t.sizes();
    t.compression();
    t.partitioner();
    t.sasl();
    t.trust();
    t.identity();
    (t.native, t.findings)
}

// === impl Translation ===

impl<'a> Translation<'a> {
    fn get(&self, name: &str) -> Option<&'a str> {
        self.settings.values.get(name).map(|v| v.trim()).filter(|v| !v.is_empty())
    }

    fn number(&self, name: &str) -> Option<i64> {
        self.get(name)?.parse().ok()
    }

    fn put(&mut self, name: &str, value: impl Into<String>) {
        self.native.retain(|(n, _)| n != name);
        self.native.push((name.to_owned(), value.into()));
    }

    fn refuse(&mut self, key: &str, message: impl Into<String>, help: &str) {
        self.findings.push(Finding::error("kafka.settings", message).key(key).help(help));
    }

    fn warn(&mut self, key: &str, message: impl Into<String>, help: &str) {
        self.findings.push(Finding::warning("kafka.settings", message).key(key).help(help));
    }

    /// Acknowledgements and idempotence, with the rules that Java's ProducerConfig has for their conflicts.
    fn delivery(&mut self) {
        let acks = match self.get("acks") {
            None | Some("-1") => "all",
            Some(acks) => acks,
        };
        let asked = self.get("enable.idempotence").map(|v| v.eq_ignore_ascii_case("true"));
        let in_flight = self.number("max.in.flight.requests.per.connection");
        let conflict = if !acks.eq_ignore_ascii_case("all") {
            Some(("acks", "`acks` must be all"))
        } else if self.number("retries") == Some(0) {
            Some(("retries", "`retries` must not be 0"))
        } else if in_flight.is_some_and(|n| n > 5) {
            Some(("max.in.flight.requests.per.connection", "`max.in.flight.requests.per.connection` must be at most 5"))
        } else {
            None
        };
        if let (Some(true), Some((key, text))) = (asked, conflict) {
            self.refuse(key, format!("{text} with `enable.idempotence` = true"), "remove one of the two settings");
        }
        let idempotent = asked.unwrap_or(conflict.is_none());
        self.put("acks", acks.to_lowercase());
        self.put("enable.idempotence", idempotent.to_string());
        self.put("enable.gapless.guarantee", idempotent.to_string());
        // Without idempotence only one request under way keeps a retried batch before those behind it.
        let most = if idempotent { 5 } else { 1 };
        self.put("max.in.flight.requests.per.connection", in_flight.unwrap_or(most).clamp(1, most).to_string());
        if !acks.eq_ignore_ascii_case("all") {
            let text =
                format!("with `acks` = {acks} a record that a broker loses is lost: it counts as delivered already");
            self.warn("acks", text, "remove `acks`: the default waits for all in-sync replicas");
        } else if !idempotent {
            let text =
                "without idempotence a retried record may be written twice, and records behind a refused one before it";
            self.warn("enable.idempotence", text, "remove the setting: brokers since 0.11 can do it");
        }
    }

    fn sizes(&mut self) {
        if let Some(n) = self.number("batch.size") {
            self.put("batch.size", n.max(1).to_string());
        }
        if let Some(n) = self.number("buffer.memory") {
            self.put("queue.buffering.max.kbytes", (n / 1024).clamp(1, i32::MAX as i64).to_string());
        }
        if let Some(n) = self.number("max.request.size") {
            self.put("message.max.bytes", n.clamp(1000, 1_000_000_000).to_string());
        }
        if let Some(n) = self.number("request.timeout.ms") {
            self.put("request.timeout.ms", n.clamp(10, 300_000).to_string());
            self.put("socket.timeout.ms", n.clamp(10, 300_000).to_string());
        }
        if let Some(n) = self.number("retries") {
            self.put("retries", n.max(0).to_string());
        }
        if let Some(n) = self.number("socket.connection.setup.timeout.ms") {
            self.put("socket.connection.setup.timeout.ms", n.max(1000).to_string());
        }
        for (java, native) in
            [("send.buffer.bytes", "socket.send.buffer.bytes"), ("receive.buffer.bytes", "socket.receive.buffer.bytes")]
        {
            if let Some(n) = self.number(java) {
                self.put(native, n.max(0).to_string());
            }
        }
    }

    fn compression(&mut self) {
        let codec = self.get("compression.type").unwrap_or("none").to_lowercase();
        if !codec.is_empty() && self.get("compression.type").is_some() {
            self.put("compression.type", codec.clone());
        }
        let key = format!("compression.{codec}.level");
        let Some(level) = self.number(&key) else { return };
        let most = if codec == "gzip" { 9 } else { 12 };
        let least = if codec == "zstd" { 1 } else { -1 };
        let used = level.clamp(least, most);
        if used != level {
            self.warn(
                &key,
                format!("`{key}` = {level} is used as {used}"),
                "levels outside of the range only cost more or save less",
            );
        }
        self.put("compression.level", used.to_string());
    }

    fn partitioner(&mut self) {
        if let Some(class) = self.get("partitioner.class").filter(|c| !DEFAULT_PARTITIONERS.contains(c)) {
            let text = format!("`partitioner.class` = {class} cannot be loaded");
            let help = "leave it out (the Java client's own hash of the key is used), or set each record's partition by a transform";
            self.refuse("partitioner.class", text, help);
        }
        if self.get("partitioner.ignore.keys").is_some_and(|v| v.eq_ignore_ascii_case("true")) {
            self.put("partitioner", "random");
            let text = "with `partitioner.ignore.keys` the records of one key may overtake each other";
            self.warn("partitioner.ignore.keys", text, "remove the setting to keep their order");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(settings: &[(&str, &str)]) -> (Native, Vec<Finding>) {
        translate(&Settings::new(settings.iter().copied()))
    }
    fn native<'a>(native: &'a Native, name: &str) -> Option<&'a str> {
        native.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }
    fn errors(findings: &[Finding]) -> Vec<&str> {
        findings.iter().filter(|f| f.is_error()).filter_map(|f| f.key.as_deref()).collect()
    }

    #[test]
    fn the_defaults_are_safe() {
        let (n, findings) = of(&[("bootstrap.servers", "a:1")]);
        assert!(findings.is_empty(), "{findings:?}");
        for (name, value) in [
            ("acks", "all"),
            ("enable.idempotence", "true"),
            ("enable.gapless.guarantee", "true"),
            ("message.timeout.ms", "0"),
            ("partitioner", "murmur2_random"),
            ("max.in.flight.requests.per.connection", "5"),
        ] {
            assert_eq!(native(&n, name), Some(value), "{name}");
        }
    }

    #[test]
    fn acks_switch_idempotence_off_as_in_java() {
        let (n, findings) = of(&[("acks", "1")]);
        assert_eq!(native(&n, "enable.idempotence"), Some("false"));
        assert_eq!(native(&n, "max.in.flight.requests.per.connection"), Some("1"));
        assert!(errors(&findings).is_empty() && findings.len() == 1);
        assert_eq!(errors(&of(&[("acks", "1"), ("enable.idempotence", "true")]).1), ["acks"]);
        assert_eq!(errors(&of(&[("retries", "0"), ("enable.idempotence", "true")]).1), ["retries"]);
        let in_flight = "max.in.flight.requests.per.connection";
        assert_eq!(errors(&of(&[(in_flight, "6"), ("enable.idempotence", "true")]).1), [in_flight]);
    }

    #[test]
    fn a_login_becomes_user_and_password() {
        let jaas = "org.apache.kafka.common.security.scram.ScramLoginModule required username=\"u\" password=\"p;w\";";
        let all = [("security.protocol", "SASL_SSL"), ("sasl.mechanism", "SCRAM-SHA-512"), ("sasl.jaas.config", jaas)];
        let (n, findings) = of(&all);
        assert!(findings.is_empty(), "{findings:?}");
        assert_eq!(native(&n, "sasl.username"), Some("u"));
        assert_eq!(native(&n, "sasl.password"), Some("p;w"));
        assert_eq!(native(&n, "security.protocol"), Some("sasl_ssl"));
        let plain = [("security.protocol", "SASL_SSL"), ("sasl.mechanism", "PLAIN"), ("sasl.jaas.config", jaas)];
        let findings = of(&plain).1;
        assert_eq!(errors(&findings), ["sasl.jaas.config"]);
        assert!(!format!("{findings:?}").contains("p;w"));
        for mechanism in ["GSSAPI", "OAUTHBEARER", "AWS_MSK_IAM"] {
            let all = [("security.protocol", "SASL_SSL"), ("sasl.mechanism", mechanism), ("sasl.jaas.config", jaas)];
            assert_eq!(errors(&of(&all).1), ["sasl.mechanism"], "{mechanism}");
        }
    }

    #[test]
    fn stores_become_pem() {
        let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/stores/");
        let (jks, p12) = (format!("{dir}client.jks"), format!("{dir}trust.p12"));
        let (n, findings) = of(&[
            ("ssl.keystore.location", &jks),
            ("ssl.keystore.password", "store-secret"),
            ("ssl.truststore.location", &p12),
            ("ssl.truststore.type", "PKCS12"),
            ("ssl.truststore.password", "store-secret"),
            ("ssl.endpoint.identification.algorithm", ""),
        ]);
        assert!(findings.is_empty(), "{findings:?}");
        assert!(native(&n, "ssl.key.pem").is_some_and(|k| k.contains("BEGIN PRIVATE KEY")));
        assert!(native(&n, "ssl.certificate.pem").is_some_and(|k| k.contains("BEGIN CERTIFICATE")));
        assert!(native(&n, "ssl.ca.pem").is_some_and(|k| k.contains("BEGIN CERTIFICATE")));
        assert_eq!(native(&n, "ssl.endpoint.identification.algorithm"), Some("none"));
        let findings = of(&[("ssl.keystore.location", &jks), ("ssl.keystore.password", "no-secret")]).1;
        assert_eq!(errors(&findings), ["ssl.keystore.location"]);
        assert!(!format!("{findings:?}").contains("no-secret"));
    }

    #[test]
    fn sizes_and_levels_are_translated() {
        let (n, findings) = of(&[
            ("max.request.size", "5000000"),
            ("buffer.memory", "33554432"),
            ("compression.type", "zstd"),
            ("compression.zstd.level", "19"),
            ("compression.gzip.level", "3"),
            ("request.timeout.ms", "40000"),
            ("metadata.max.age.ms", "60000"),
            ("send.buffer.bytes", "-1"),
        ]);
        assert_eq!(native(&n, "message.max.bytes"), Some("5000000"));
        assert_eq!(native(&n, "queue.buffering.max.kbytes"), Some("32768"));
        assert_eq!(native(&n, "compression.level"), Some("12"));
        assert_eq!(native(&n, "socket.timeout.ms"), Some("40000"));
        assert_eq!(native(&n, "topic.metadata.refresh.interval.ms"), Some("60000"));
        assert_eq!(native(&n, "socket.send.buffer.bytes"), Some("0"));
        assert_eq!(findings.len(), 1);
    }

    #[test]
    fn what_cannot_be_done_is_refused() {
        for (key, value) in [
            ("interceptor.classes", "a.B"),
            ("partitioner.class", "org.apache.kafka.clients.producer.RoundRobinPartitioner"),
            ("transactional.id", "t"),
            ("ssl.engine.factory.class", "a.B"),
            ("sasl.oauthbearer.token.endpoint.url", "https://idp"),
        ] {
            assert_eq!(errors(&of(&[(key, value)]).1), [key]);
        }
        assert!(of(&[("interceptor.classes", ""), ("partitioner.class", "")]).1.is_empty());
        assert!(!of(&[("delivery.timeout.ms", "2147483647")]).1.iter().any(Finding::is_error));
    }
}
