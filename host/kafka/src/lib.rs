//! Serialised records into Kafka: the producer sink, its topics, and the table of Java client names.
