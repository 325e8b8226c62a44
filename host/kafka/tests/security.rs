//! Logins and TLS against a real Kafka, with the settings that a Java client has.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)] // helpers of tests are tests

mod support;

use support::{Row, block, deliver_all, read, topic, try_open};
use weir_testkit::Kafka;
use weir_testkit::kafka::Secure;

fn works(kafka: &Kafka, servers: &str, settings: &[(&str, &str)]) {
    let name = topic("secure");
    let mut sink = try_open(servers, settings).unwrap();
    deliver_all(&mut *sink, &[block(0, &name, &[Row::new("k", "v")])]).unwrap();
    assert_eq!(read(kafka.bootstrap(), &name, 1)[0].text(), "v");
}

fn jaas(user: &str, password: &str) -> String {
    format!(
        "org.apache.kafka.common.security.plain.PlainLoginModule required username=\"{user}\" password=\"{password}\";"
    )
}

#[test]
fn logins_and_tls_take_javas_settings() {
    let kafka = Kafka::builder().secure().start().unwrap();
    let secure = kafka.secure().unwrap().clone();
    passwords(&kafka, &secure);
    stores(&kafka, &secure);
}

fn passwords(kafka: &Kafka, secure: &Secure) {
    let servers = format!("127.0.0.1:{}", secure.sasl_port);
    let right = jaas(secure.user, secure.password);
    let base = [("security.protocol", "SASL_PLAINTEXT"), ("sasl.mechanism", "PLAIN")];
    works(kafka, &servers, &[&base[..], &[("sasl.jaas.config", &right)]].concat());
    let wrong = jaas(secure.user, "no-secret");
    let error = try_open(&servers, &[&base[..], &[("sasl.jaas.config", &wrong)]].concat()).err().unwrap();
    assert_eq!(error.code(), "kafka.authentication", "{error:?}");
    assert!(!format!("{error:?}").contains("no-secret"));
}

fn stores(kafka: &Kafka, secure: &Secure) {
    let servers = format!("127.0.0.1:{}", secure.ssl_port);
    let path = |p: &std::path::Path| p.to_str().unwrap().to_owned();
    let pass = secure.store_password;
    for (kind, trust, key) in [
        ("JKS", &secure.truststore_jks, &secure.keystore_jks),
        ("PKCS12", &secure.truststore_p12, &secure.keystore_p12),
        ("PEM", &secure.authority_pem, &secure.client_pem),
    ] {
        let settings = [
            ("security.protocol", "SSL"),
            ("ssl.truststore.location", &path(trust)),
            ("ssl.truststore.type", kind),
            ("ssl.truststore.password", pass),
            ("ssl.keystore.location", &path(key)),
            ("ssl.keystore.type", kind),
            ("ssl.keystore.password", pass),
        ];
        works(kafka, &servers, &settings);
    }
    // Without the authority nobody is trusted, and that is said.
    let error = try_open(&servers, &[("security.protocol", "SSL")]).err().unwrap();
    assert_eq!(error.code(), "kafka.tls", "{error:?}");
}
