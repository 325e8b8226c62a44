//! Every producer setting of the Java client (Kafka 4.3) and what becomes of it in librdkafka: one table, from which the
//! configuration keys, the translation and `CLIENT.md` come.

use weir_api::config::{Importance, Key, KeyType};

/// What becomes of a Java client setting.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Becomes {
    /// handed to librdkafka under the same name
    Same,
    /// handed to librdkafka under these names
    Named(&'static [&'static str]),
    /// worked out by the code; the text says how
    Translated(&'static str),
    /// Accepted with a warning: nothing is lost by leaving it out. The text says why.
    NoEffect(&'static str),
    /// An error unless at its default; the text names what works.
    Refused(&'static str),
}

/// One setting of the Java client.
#[derive(Clone, Copy, Debug)]
pub struct ClientKey {
    pub key: Key,
    pub becomes: Becomes,
}

use Becomes::{Named, NoEffect, Refused, Same, Translated};
use KeyType::{Boolean, Class, Double, Int, List, Long, Millis, Password, Short};

const TEXT: KeyType = KeyType::String;
const PRODUCER: &str = "Producer";
const CONNECTION: &str = "Connection";
const SECURITY: &str = "Security";
const TRANSACTIONS: &str = "Transactions";

const METRICS: &str = "metrics are served by Weir itself";
const PARTITIONER: &str = "records without a key stay on one partition for the length of a batch";
const OAUTH: &str = "OAUTHBEARER is not in this build; use `sasl.mechanism` = PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512, or a client certificate (`ssl.keystore.location`)";
const OAUTH_ONLY: &str = "only OAUTHBEARER logins use it";
const KERBEROS_ONLY: &str = "only Kerberos logins use it, and GSSAPI is not in this build";
const HANDLER: &str = "Java classes cannot be loaded; use `sasl.jaas.config` with PLAIN or SCRAM, or a client certificate (`ssl.keystore.location`)";
const ALGORITHM: &str = "TLS is OpenSSL's: it chooses its algorithms itself";
const TRANSACTIONAL: &str =
    "leave it out: records are delivered at least once, and `enable.idempotence` writes a retried one once";

/// In the order of forms and reference pages: what everybody sets first, then by group and name.
pub static CLIENT: &[ClientKey] = &[
    required("bootstrap.servers", List, CONNECTION, Same, "Hosts and ports by which the cluster is found: `host1:9092,host2:9092`."),
    key("client.id", TEXT, CONNECTION, Same, "Name under which the brokers see this producer in logs, metrics and quotas."),
    set("acks", TEXT, "all", PRODUCER, Translated("`acks`; 0 and 1 switch `enable.idempotence` off unless it is set"), "Acknowledgements a write waits for: `all` in-sync replicas, the leader (`1`) or none (`0`). With less than `all` a record that a broker loses is lost.").choice(&["all", "-1", "0", "1"]),
    set("batch.size", Int, "1000000", PRODUCER, Translated("`batch.size`, at least 1"), "Largest batch for one partition, bytes."),
    set("buffer.memory", Long, "67108864", PRODUCER, Translated("`queue.buffering.max.kbytes`"), "Records waiting to be sent, bytes; when full the source is slowed down."),
    set("compression.type", TEXT, "none", PRODUCER, Same, "Compression of batches.").choice(&["none", "gzip", "snappy", "lz4", "zstd"]),
    set("compression.gzip.level", Int, "-1", PRODUCER, Translated("`compression.level` when `compression.type` is gzip"), "Level of gzip, 1 to 9; -1: its default."),
    set("compression.lz4.level", Int, "9", PRODUCER, Translated("`compression.level` when `compression.type` is lz4, at most 12"), "Level of lz4, 1 to 17."),
    set("compression.zstd.level", Int, "3", PRODUCER, Translated("`compression.level` when `compression.type` is zstd, 1 to 12"), "Level of zstd."),
    key("delivery.timeout.ms", Millis, PRODUCER, NoEffect("a record waits for the cluster as long as it takes, and the source waits with it"), "Limit of the time until a record is written."),
    set("enable.idempotence", Boolean, "true", PRODUCER, Translated("`enable.idempotence` and `enable.gapless.guarantee`"), "A retried batch is written once and in order."),
    set("linger.ms", Long, "1", PRODUCER, Same, "How long a batch waits for more records, milliseconds."),
    key("max.block.ms", Millis, PRODUCER, NoEffect("a full buffer slows the source down and fails nothing"), "Limit of the time that a send may block."),
    set("max.in.flight.requests.per.connection", Int, "5", PRODUCER, Same, "Requests sent to a broker before the first is answered; 1 without `enable.idempotence`, to keep the order."),
    set("max.request.size", Int, "1048576", PRODUCER, Translated("`message.max.bytes`, at least 1000"), "Largest record and largest request, bytes; a topic's `max.message.bytes` must allow it too."),
    set("partitioner.class", Class, "", PRODUCER, Translated("`partitioner` = murmur2_random, the Java client's own; other classes are refused"), "How a record without a partition of its own gets one."),
    set("partitioner.ignore.keys", Boolean, "false", PRODUCER, Translated("`partitioner` = random when true"), "Whether records of one key may go to different partitions; then their order is lost."),
    key("partitioner.adaptive.partitioning.enable", Boolean, PRODUCER, NoEffect(PARTITIONER), "Prefer faster brokers for records without a key."),
    key("partitioner.availability.timeout.ms", Millis, PRODUCER, NoEffect(PARTITIONER), "Avoid slow partitions for records without a key."),
    key("request.timeout.ms", Millis, PRODUCER, Translated("`request.timeout.ms` and `socket.timeout.ms`, at most 300000"), "How long a broker may take to answer."),
    key("retries", Int, PRODUCER, Translated("`retries`; 0 switches `enable.idempotence` off unless it is set"), "Attempts after a failed one; without limit unless set."),
    set("retry.backoff.ms", Millis, "100", PRODUCER, Same, "Pause before a second attempt."),
    set("retry.backoff.max.ms", Millis, "1000", PRODUCER, Same, "Longest pause between attempts."),
    key("key.serializer", Class, PRODUCER, NoEffect("the pipeline's converter serialises keys"), "Java class that serialises keys."),
    key("value.serializer", Class, PRODUCER, NoEffect("the pipeline's converter serialises values"), "Java class that serialises values."),
    set("interceptor.classes", List, "", PRODUCER, Refused("Java classes cannot be loaded; a transform can see and change every record"), "Java classes called for each record."),
    set("transactional.id", TEXT, "", TRANSACTIONS, Refused(TRANSACTIONAL), "Name of a transactional producer."),
    key("transaction.timeout.ms", Millis, TRANSACTIONS, NoEffect("there are no transactions"), "Longest transaction."),
    set("transaction.two.phase.commit.enable", Boolean, "false", TRANSACTIONS, Refused(TRANSACTIONAL), "Transactions prepared by an outside coordinator."),
    set("client.dns.lookup", TEXT, "use_all_dns_ips", CONNECTION, Same, "Which addresses of a host name are tried.").choice(&["use_all_dns_ips", "resolve_canonical_bootstrap_servers_only"]),
    key("bootstrap.controllers", List, CONNECTION, Refused("records are written through brokers: set `bootstrap.servers`"), "Controllers by which an admin client finds the cluster."),
    key("connections.max.idle.ms", Long, CONNECTION, Same, "Unused connections are closed after this time, milliseconds."),
    key("default.api.timeout.ms", Millis, CONNECTION, NoEffect("topics are looked up and created until it works"), "Limit of the admin client's calls."),
    key("metadata.max.age.ms", Long, CONNECTION, Named(&["topic.metadata.refresh.interval.ms"]), "How often leaders and partitions are looked up again, milliseconds."),
    key("metadata.max.idle.ms", Millis, CONNECTION, NoEffect("metadata of a topic stays as long as the pipeline"), "Metadata of an unused topic is forgotten after this time."),
    set("metadata.recovery.strategy", TEXT, "rebootstrap", CONNECTION, Same, "What happens when no known broker can be reached.").choice(&["rebootstrap", "none"]),
    key("metadata.recovery.rebootstrap.trigger.ms", Long, CONNECTION, Same, "After how long without metadata the cluster is looked up anew."),
    key("receive.buffer.bytes", Int, CONNECTION, Translated("`socket.receive.buffer.bytes`; -1 is 0 there"), "TCP receive buffer; -1: the system's."),
    key("send.buffer.bytes", Int, CONNECTION, Translated("`socket.send.buffer.bytes`; -1 is 0 there"), "TCP send buffer; -1: the system's."),
    set("reconnect.backoff.ms", Long, "50", CONNECTION, Same, "Pause before a broker is connected to again."),
    set("reconnect.backoff.max.ms", Long, "1000", CONNECTION, Same, "Longest pause before a broker is connected to again."),
    key("socket.connection.setup.timeout.ms", Long, CONNECTION, Translated("`socket.connection.setup.timeout.ms`, at least 1000"), "How long connecting may take, milliseconds."),
    key("socket.connection.setup.timeout.max.ms", Long, CONNECTION, NoEffect("the limit of `socket.connection.setup.timeout.ms` does not grow"), "Longest time that connecting may take."),
    set("config.providers", List, "", CONNECTION, Refused("references are resolved for the whole pipeline, not for one client"), "Java classes that resolve `${…}`."),
    set("enable.metrics.push", Boolean, "true", CONNECTION, Same, "Whether a cluster that asks for client metrics gets them."),
    key("metric.reporters", List, CONNECTION, NoEffect(METRICS), "Java classes that metrics are given to."),
    key("metrics.num.samples", Int, CONNECTION, NoEffect(METRICS), "Samples kept for a metric."),
    key("metrics.recording.level", TEXT, CONNECTION, NoEffect(METRICS), "Which metrics are recorded."),
    key("metrics.sample.window.ms", Long, CONNECTION, NoEffect(METRICS), "Length of a metric's sample."),
    set("security.protocol", TEXT, "PLAINTEXT", SECURITY, Same, "How brokers are spoken to.").choice(&["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"]),
    key("security.providers", TEXT, SECURITY, Refused("Java classes cannot be loaded; TLS and SASL are built in"), "Java security providers."),
    set("sasl.mechanism", TEXT, "GSSAPI", SECURITY, Translated("`sasl.mechanism`; GSSAPI and OAUTHBEARER are refused when `security.protocol` asks for SASL"), "How to log in: PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512."),
    key("sasl.jaas.config", Password, SECURITY, Translated("`sasl.username` and `sasl.password`, from PlainLoginModule or ScramLoginModule"), "User and password: `org.apache.kafka.common.security.scram.ScramLoginModule required username=\"u\" password=\"p\";`"),
    key("sasl.client.callback.handler.class", Class, SECURITY, Refused(HANDLER), "Java class of the login."),
    key("sasl.login.callback.handler.class", Class, SECURITY, Refused(HANDLER), "Java class of the login."),
    key("sasl.login.class", Class, SECURITY, Refused(HANDLER), "Java class of the login."),
    key("sasl.kerberos.kinit.cmd", TEXT, SECURITY, NoEffect(KERBEROS_ONLY), "Path of kinit."),
    key("sasl.kerberos.min.time.before.relogin", Long, SECURITY, NoEffect(KERBEROS_ONLY), "Pause between logins."),
    key("sasl.kerberos.service.name", TEXT, SECURITY, NoEffect(KERBEROS_ONLY), "Principal of the brokers."),
    key("sasl.kerberos.ticket.renew.jitter", Double, SECURITY, NoEffect(KERBEROS_ONLY), "Jitter of renewals."),
    key("sasl.kerberos.ticket.renew.window.factor", Double, SECURITY, NoEffect(KERBEROS_ONLY), "When tickets are renewed."),
    key("sasl.login.connect.timeout.ms", Int, SECURITY, NoEffect(OAUTH_ONLY), "Limit of connecting to the identity provider."),
    key("sasl.login.read.timeout.ms", Int, SECURITY, NoEffect(OAUTH_ONLY), "Limit of the identity provider's answer."),
    key("sasl.login.refresh.buffer.seconds", Short, SECURITY, NoEffect(OAUTH_ONLY), "When tokens are renewed."),
    key("sasl.login.refresh.min.period.seconds", Short, SECURITY, NoEffect(OAUTH_ONLY), "When tokens are renewed."),
    key("sasl.login.refresh.window.factor", Double, SECURITY, NoEffect(OAUTH_ONLY), "When tokens are renewed."),
    key("sasl.login.refresh.window.jitter", Double, SECURITY, NoEffect(OAUTH_ONLY), "When tokens are renewed."),
    key("sasl.login.retry.backoff.max.ms", Long, SECURITY, NoEffect(OAUTH_ONLY), "Longest pause between logins."),
    key("sasl.login.retry.backoff.ms", Long, SECURITY, NoEffect(OAUTH_ONLY), "Pause between logins."),
    key("sasl.oauthbearer.token.endpoint.url", TEXT, SECURITY, Refused(OAUTH), "Address of the identity provider."),
    key("sasl.oauthbearer.scope", TEXT, SECURITY, Refused(OAUTH), "Scope of a token."),
    key("sasl.oauthbearer.client.credentials.client.id", TEXT, SECURITY, Refused(OAUTH), "Client at the identity provider."),
    key("sasl.oauthbearer.client.credentials.client.secret", Password, SECURITY, Refused(OAUTH), "Secret at the identity provider."),
    key("sasl.oauthbearer.assertion.algorithm", TEXT, SECURITY, NoEffect(OAUTH_ONLY), "Signature of an assertion."),
    key("sasl.oauthbearer.assertion.claim.aud", TEXT, SECURITY, NoEffect(OAUTH_ONLY), "Claim of an assertion."),
    key("sasl.oauthbearer.assertion.claim.exp.seconds", Int, SECURITY, NoEffect(OAUTH_ONLY), "Claim of an assertion."),
    key("sasl.oauthbearer.assertion.claim.iss", TEXT, SECURITY, NoEffect(OAUTH_ONLY), "Claim of an assertion."),
    key("sasl.oauthbearer.assertion.claim.jti.include", Boolean, SECURITY, NoEffect(OAUTH_ONLY), "Claim of an assertion."),
    key("sasl.oauthbearer.assertion.claim.nbf.seconds", Int, SECURITY, NoEffect(OAUTH_ONLY), "Claim of an assertion."),
    key("sasl.oauthbearer.assertion.claim.sub", TEXT, SECURITY, NoEffect(OAUTH_ONLY), "Claim of an assertion."),
    key("sasl.oauthbearer.assertion.file", TEXT, SECURITY, Refused(OAUTH), "File with an assertion."),
    key("sasl.oauthbearer.assertion.private.key.file", TEXT, SECURITY, Refused(OAUTH), "Key that signs assertions."),
    key("sasl.oauthbearer.assertion.private.key.passphrase", Password, SECURITY, NoEffect(OAUTH_ONLY), "Password of that key."),
    key("sasl.oauthbearer.assertion.template.file", TEXT, SECURITY, NoEffect(OAUTH_ONLY), "Claims of assertions."),
    key("sasl.oauthbearer.clock.skew.seconds", Int, SECURITY, NoEffect(OAUTH_ONLY), "Tolerance of clocks; brokers use it."),
    key("sasl.oauthbearer.expected.audience", List, SECURITY, NoEffect(OAUTH_ONLY), "Brokers use it."),
    key("sasl.oauthbearer.expected.issuer", TEXT, SECURITY, NoEffect(OAUTH_ONLY), "Brokers use it."),
    key("sasl.oauthbearer.header.urlencode", Boolean, SECURITY, NoEffect(OAUTH_ONLY), "How client and secret are sent."),
    key("sasl.oauthbearer.jwks.endpoint.refresh.ms", Long, SECURITY, NoEffect(OAUTH_ONLY), "Brokers use it."),
    key("sasl.oauthbearer.jwks.endpoint.retry.backoff.max.ms", Long, SECURITY, NoEffect(OAUTH_ONLY), "Brokers use it."),
    key("sasl.oauthbearer.jwks.endpoint.retry.backoff.ms", Long, SECURITY, NoEffect(OAUTH_ONLY), "Brokers use it."),
    key("sasl.oauthbearer.jwks.endpoint.url", TEXT, SECURITY, NoEffect(OAUTH_ONLY), "Brokers use it."),
    key("sasl.oauthbearer.jwt.retriever.class", Class, SECURITY, Refused(OAUTH), "Java class that fetches tokens."),
    key("sasl.oauthbearer.jwt.validator.class", Class, SECURITY, NoEffect(OAUTH_ONLY), "Java class that checks tokens."),
    key("sasl.oauthbearer.scope.claim.name", TEXT, SECURITY, NoEffect(OAUTH_ONLY), "Name of a claim."),
    key("sasl.oauthbearer.sub.claim.name", TEXT, SECURITY, NoEffect(OAUTH_ONLY), "Name of a claim."),
    key("ssl.truststore.location", TEXT, SECURITY, Translated("`ssl.ca.pem`, read from the store"), "File with the certificates of authorities that are trusted; without it the system's."),
    set("ssl.truststore.type", TEXT, "JKS", SECURITY, Translated("says how the store is read; JKS and PKCS12 are told apart by their content"), "Format of the trust store.").choice(&["JKS", "PKCS12", "PEM"]),
    key("ssl.truststore.password", Password, SECURITY, Translated("opens the store"), "Password of the trust store."),
    key("ssl.truststore.certificates", Password, SECURITY, Translated("`ssl.ca.pem`"), "Certificates of authorities that are trusted, PEM."),
    key("ssl.keystore.location", TEXT, SECURITY, Translated("`ssl.certificate.pem` and `ssl.key.pem`, read from the store"), "File with the client's certificate and key."),
    set("ssl.keystore.type", TEXT, "JKS", SECURITY, Translated("says how the store is read; JKS and PKCS12 are told apart by their content"), "Format of the key store.").choice(&["JKS", "PKCS12", "PEM"]),
    key("ssl.keystore.password", Password, SECURITY, Translated("opens the store"), "Password of the key store."),
    key("ssl.keystore.certificate.chain", Password, SECURITY, Translated("`ssl.certificate.pem`"), "The client's certificate and those between it and its authority, PEM."),
    key("ssl.keystore.key", Password, SECURITY, Translated("`ssl.key.pem`"), "The client's key, PEM."),
    key("ssl.key.password", Password, SECURITY, Translated("`ssl.key.password`, or opens the key in the store"), "Password of the client's key."),
    set("ssl.endpoint.identification.algorithm", TEXT, "https", SECURITY, Translated("the same; empty is `none`"), "Whether a broker's certificate must name its host: `https`, or empty."),
    key("ssl.enabled.protocols", List, SECURITY, NoEffect("TLS 1.2 and 1.3 are offered, and the newest that both sides know is used"), "Versions of TLS."),
    key("ssl.protocol", TEXT, SECURITY, NoEffect("TLS 1.2 and 1.3 are offered, and the newest that both sides know is used"), "Version of TLS."),
    key("ssl.cipher.suites", List, SECURITY, Refused("leave it out: OpenSSL's own choice of suites is offered"), "Cipher suites."),
    key("ssl.engine.factory.class", Class, SECURITY, Refused("Java classes cannot be loaded; use the `ssl.keystore.*` and `ssl.truststore.*` settings"), "Java class that makes TLS connections."),
    key("ssl.keymanager.algorithm", TEXT, SECURITY, NoEffect(ALGORITHM), "Java's key manager."),
    key("ssl.provider", TEXT, SECURITY, NoEffect(ALGORITHM), "Java's security provider."),
    key("ssl.secure.random.implementation", TEXT, SECURITY, NoEffect(ALGORITHM), "Java's source of randomness."),
    key("ssl.trustmanager.algorithm", TEXT, SECURITY, NoEffect(ALGORITHM), "Java's trust manager."),
];

const fn key(name: &'static str, kind: KeyType, group: &'static str, becomes: Becomes, doc: &'static str) -> ClientKey {
    let key = Key::new(name, kind, doc).group(group);
    let key = match becomes {
        NoEffect(why) => key.ignored(why).importance(Importance::Low),
        Refused(instead) => key.refused(instead).importance(Importance::Low),
        Same | Named(_) | Translated(_) => key,
    };
    ClientKey { key, becomes }
}

const fn set(
    name: &'static str,
    kind: KeyType,
    default: &'static str,
    group: &'static str,
    becomes: Becomes,
    doc: &'static str,
) -> ClientKey {
    let mut key = key(name, kind, group, becomes, doc);
    key.key = key.key.default(default);
    key
}

const fn required(
    name: &'static str,
    kind: KeyType,
    group: &'static str,
    becomes: Becomes,
    doc: &'static str,
) -> ClientKey {
    let mut key = key(name, kind, group, becomes, doc);
    key.key = key.key.required();
    key
}

// === impl ClientKey ===

impl ClientKey {
    const fn choice(mut self, values: &'static [&'static str]) -> Self {
        self.key = self.key.one_of(values);
        self
    }
}

/// The setting of this name.
pub fn find(name: &str) -> Option<&'static ClientKey> {
    CLIENT.iter().find(|k| k.key.name == name)
}

/// The table as `CLIENT.md` shows it.
pub fn markdown() -> String {
    let mut text = String::from(
        "# Settings of the Java producer\n\nEvery producer setting of the Java client of Apache Kafka 4.3 is taken under its own name. \
         What becomes of it in librdkafka:\n\n| Setting | Default | Becomes |\n|---|---|---|\n",
    );
    for ClientKey { key, becomes } in CLIENT {
        let default = key.default.map(|d| if d.is_empty() { "empty".to_owned() } else { format!("`{d}`") });
        let becomes = match becomes {
            Same => "the same".to_owned(),
            Named(names) => names.iter().map(|n| format!("`{n}`")).collect::<Vec<_>>().join(", "),
            Translated(how) => (*how).to_owned(),
            NoEffect(why) => format!("*accepted with a warning*: {why}"),
            Refused(instead) => format!("**refused**: {instead}"),
        };
        text.push_str(&format!("| `{}` | {} | {becomes} |\n", key.name, default.unwrap_or_default()));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_is_the_table() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/CLIENT.md");
        if std::env::var_os("WEIR_BLESS").is_some() {
            std::fs::write(path, markdown()).unwrap();
        }
        let page = std::fs::read_to_string(path).unwrap_or_default();
        assert!(page == markdown(), "CLIENT.md differs from the table; WEIR_BLESS=1 writes it");
    }

    #[test]
    fn every_name_of_the_java_producer_is_there_once() {
        let java = include_str!("../tests/java-producer-keys.txt").lines().collect::<std::collections::BTreeSet<_>>();
        let ours = CLIENT.iter().map(|k| k.key.name).collect::<std::collections::BTreeSet<_>>();
        assert_eq!(ours.len(), CLIENT.len());
        assert_eq!(java, ours);
    }
}
