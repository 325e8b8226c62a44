//! librdkafka's error codes as errors of the house: what happened, to which topic, and what mends it.

use rdkafka::types::RDKafkaErrorCode as Code;
use weir_api::{Cure, Error};

/// What stopped a sink; every later call gets it again.
#[derive(Clone, Debug)]
pub(crate) struct Failure {
    code: &'static str,
    cure: Cure,
    message: String,
    help: String,
}

const UNREACHABLE_HELP: &str = "check `bootstrap.servers`, `security.protocol` and that the brokers' advertised listeners can be reached from here";

// === impl Failure ===

impl Failure {
    pub(crate) fn new(code: &'static str, cure: Cure, message: impl Into<String>, help: impl Into<String>) -> Failure {
        Failure { code, cure, message: message.into(), help: help.into() }
    }

    pub(crate) fn unreachable(servers: &str, reason: Option<&str>) -> Failure {
        let reason = reason.map(|r| format!(": {r}")).unwrap_or_default();
        Failure::new(
            "kafka.unreachable",
            Cure::Retry,
            format!("no Kafka broker answers at {servers}{reason}"),
            UNREACHABLE_HELP,
        )
    }

    /// A record that the cluster, or librdkafka before it, will not take.
    pub(crate) fn delivery(code: Code, topic: &str, partition: i32) -> Failure {
        let at = if partition < 0 { format!("topic {topic}") } else { format!("topic {topic}, partition {partition}") };
        let (name, cure, what, help) = match code {
            Code::MessageSizeTooLarge | Code::InvalidMessageSize => (
                "kafka.message-too-large",
                Cure::None,
                "a record is larger than Kafka takes",
                format!(
                    "raise `max.request.size` (in a connector `producer.override.max.request.size`) and the topic's \
                     `max.message.bytes`: `kafka-configs.sh --alter --entity-type topics --entity-name {topic} --add-config \
                     max.message.bytes=…`"
                ),
            ),
            Code::UnknownTopic | Code::UnknownTopicOrPartition | Code::UnknownTopicId => (
                "kafka.topic-missing",
                Cure::Retry,
                "the topic is not there",
                format!("create it: `kafka-topics.sh --create --topic {topic}`, or set `topic.creation.default.partitions`"),
            ),
            Code::UnknownPartition => (
                "kafka.partition-missing",
                Cure::None,
                "a record names a partition that the topic does not have",
                format!("add partitions: `kafka-topics.sh --alter --topic {topic} --partitions …`"),
            ),
            Code::TopicAuthorizationFailed => (
                "kafka.authorization",
                Cure::Environment,
                "writing is not allowed",
                format!("`kafka-acls.sh --add --allow-principal User:… --operation Write --operation Describe --topic {topic}`"),
            ),
            Code::ClusterAuthorizationFailed => (
                "kafka.authorization",
                Cure::Environment,
                "idempotent writing is not allowed",
                "`kafka-acls.sh --add --allow-principal User:… --operation IdempotentWrite --cluster`, or `enable.idempotence` = false"
                    .to_owned(),
            ),
            Code::SaslAuthenticationFailed | Code::Authentication => return Failure::authentication(&code.to_string()),
            Code::InvalidTopic => (
                "kafka.topic-invalid",
                Cure::Input,
                "the topic's name is not allowed",
                "a name has up to 249 letters, digits, dots, underscores and hyphens: rename it by a routing transform".to_owned(),
            ),
            Code::PolicyViolation | Code::InvalidRecord | Code::InvalidMessage | Code::InvalidTimestamp => (
                "kafka.record-refused",
                Cure::None,
                "the brokers refuse a record",
                "a compacted topic takes no record without a key; the broker's log says more".to_owned(),
            ),
            _ => ("kafka.delivery", Cure::Retry, "a record could not be delivered", String::new()),
        };
        Failure::new(name, cure, format!("{what} ({at}: {})", symbol(code)), help)
    }

    pub(crate) fn authentication(reason: &str) -> Failure {
        let help = "check `sasl.mechanism` and the user and password in `sasl.jaas.config`";
        Failure::new("kafka.authentication", Cure::Environment, format!("Kafka refuses the login: {reason}"), help)
    }

    pub(crate) fn tls(reason: &str) -> Failure {
        let help = "check `ssl.truststore.*`, `ssl.keystore.*` and that the listener speaks TLS";
        Failure::new("kafka.tls", Cure::Environment, format!("no TLS connection to Kafka: {reason}"), help)
    }

    /// A topic that is not there and cannot be created. `command` creates it by hand.
    pub(crate) fn creation(code: Code, topic: &str, command: &str) -> Failure {
        let (name, why) = match code {
            Code::TopicAuthorizationFailed | Code::ClusterAuthorizationFailed => {
                ("kafka.authorization", "creating it is not allowed")
            }
            Code::InvalidReplicationFactor => {
                ("kafka.topic-not-creatable", "there are fewer brokers than copies asked for")
            }
            Code::InvalidPartitions => ("kafka.topic-not-creatable", "the number of partitions is not allowed"),
            Code::InvalidConfig => ("kafka.topic-not-creatable", "a `topic.creation` setting is not one of a topic"),
            Code::InvalidTopic => ("kafka.topic-not-creatable", "its name is not allowed"),
            Code::PolicyViolation => ("kafka.topic-not-creatable", "the cluster's policy forbids it"),
            _ => ("kafka.topic-not-creatable", "the cluster refuses"),
        };
        let message = format!("topic {topic} does not exist and cannot be created: {why} ({})", symbol(code));
        Failure::new(name, Cure::Environment, message, format!("create it, or mend `topic.creation.*`: `{command}`"))
    }

    pub(crate) fn error(&self) -> Error {
        let error = Error::new(self.code, self.cure, self.message.clone());
        if self.help.is_empty() { error } else { error.help(self.help.clone()) }
    }
}

/// Kafka's own name of a code, as "MESSAGE_TOO_LARGE".
fn symbol(code: Code) -> String {
    match code {
        Code::MessageSizeTooLarge => "MESSAGE_TOO_LARGE".to_owned(),
        code => {
            let mut text = String::new();
            for c in format!("{code:?}").chars() {
                if c.is_ascii_uppercase() && !text.is_empty() {
                    text.push('_');
                }
                text.push(c.to_ascii_uppercase());
            }
            text
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_names_topic_partition_and_code() {
        let error = Failure::delivery(Code::MessageSizeTooLarge, "shop.orders", 3).error();
        assert_eq!(error.code(), "kafka.message-too-large");
        assert_eq!(
            error.message(),
            "a record is larger than Kafka takes (topic shop.orders, partition 3: MESSAGE_TOO_LARGE)"
        );
        assert!(
            error
                .hint()
                .is_some_and(|h| h.contains("producer.override.max.request.size") && h.contains("max.message.bytes"))
        );
        assert_eq!(symbol(Code::InvalidReplicationFactor), "INVALID_REPLICATION_FACTOR");
    }

    #[test]
    fn each_code_of_kafka_has_one_of_ours() {
        for (code, ours, cure) in [
            (Code::UnknownTopicOrPartition, "kafka.topic-missing", Cure::Retry),
            (Code::UnknownTopicId, "kafka.topic-missing", Cure::Retry),
            (Code::UnknownPartition, "kafka.partition-missing", Cure::None),
            (Code::TopicAuthorizationFailed, "kafka.authorization", Cure::Environment),
            (Code::ClusterAuthorizationFailed, "kafka.authorization", Cure::Environment),
            (Code::SaslAuthenticationFailed, "kafka.authentication", Cure::Environment),
            (Code::InvalidTopic, "kafka.topic-invalid", Cure::Input),
            (Code::InvalidRecord, "kafka.record-refused", Cure::None),
            (Code::NotEnoughReplicas, "kafka.delivery", Cure::Retry),
        ] {
            let error = Failure::delivery(code, "shop.orders", -1).error();
            assert_eq!((error.code(), error.cure()), (ours, cure), "{code:?}");
        }
    }
}
