//! A topic, read from outside: how far it is, and what lies in it.

use anyhow::{Context, Result, anyhow, bail};
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::{BorrowedMessage, Headers, Message};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use std::time::{Duration, Instant};

const ANSWER_LIMIT: Duration = Duration::from_secs(20);
const READ_LIMIT: Duration = Duration::from_secs(120);

/// A cluster, seen by a client of our own.
pub struct Cluster {
    config: ClientConfig,
    admin: AdminClient<DefaultClientContext>,
    consumer: BaseConsumer,
}

/// A record as bytes.
#[derive(Clone, Debug)]
pub struct Raw {
    pub partition: i32,
    pub key: Option<Vec<u8>>,
    pub value: Option<Vec<u8>>,
    pub headers: Vec<(String, Option<Vec<u8>>)>,
}

// === impl Cluster ===

impl Cluster {
    pub fn new(bootstrap: &str) -> Result<Cluster> {
        let mut config = ClientConfig::new();
        for (name, value) in [
            ("bootstrap.servers", bootstrap),
            ("group.id", "weir-xtask"),
            ("enable.auto.commit", "false"),
            ("enable.partition.eof", "false"),
            ("auto.offset.reset", "earliest"),
            ("fetch.wait.max.ms", "10"),
            ("fetch.message.max.bytes", "16777216"),
            ("topic.metadata.refresh.interval.ms", "1000"),
        ] {
            config.set(name, value);
        }
        Ok(Cluster { admin: config.create()?, consumer: config.create()?, config })
    }

    /// A consumer that reads nothing yet.
    pub fn consumer(&self) -> Result<BaseConsumer> {
        Ok(self.config.create()?)
    }

    /// One partition, whose records carry the time at which the broker took them.
    pub fn create(&self, topic: &str) -> Result<()> {
        let new = NewTopic::new(topic, 1, TopicReplication::Fixed(1)).set("message.timestamp.type", "LogAppendTime");
        let made = futures_executor::block_on(self.admin.create_topics([&new], &AdminOptions::new()))?;
        match made.into_iter().next() {
            Some(Err((_, code))) => bail!("topic {topic} cannot be made: {code}"),
            _ => Ok(()),
        }
    }

    pub fn delete(&self, topics: &[&str]) -> Result<()> {
        futures_executor::block_on(self.admin.delete_topics(topics, &AdminOptions::new()))?;
        Ok(())
    }

    /// The offset behind the last record of the topic's only partition.
    pub fn end(&self, topic: &str) -> Result<i64> {
        Ok(self.consumer.fetch_watermarks(topic, 0, ANSWER_LIMIT).with_context(|| format!("topic {topic}"))?.1)
    }

    /// Topics whose name `wanted` takes, each with its number of partitions.
    pub fn topics(&self, wanted: impl Fn(&str) -> bool) -> Result<Vec<(String, usize)>> {
        let all = self.consumer.fetch_metadata(None, ANSWER_LIMIT)?;
        let topics = all.topics().iter().filter(|t| wanted(t.name()));
        Ok(topics.map(|t| (t.name().to_owned(), t.partitions().len())).collect())
    }

    /// Hands every record of a partition from `from` up to `to` to `see`. Offsets may have gaps (transaction markers).
    pub fn read(
        &self,
        topic: &str,
        partition: i32,
        from: i64,
        to: i64,
        mut see: impl FnMut(&BorrowedMessage<'_>) -> Result<()>,
    ) -> Result<()> {
        if from >= to {
            return Ok(());
        }
        let consumer = self.consumer()?;
        let mut place = TopicPartitionList::new();
        place.add_partition_offset(topic, partition, Offset::Offset(from))?;
        consumer.assign(&place)?;
        let mut deadline = Instant::now() + READ_LIMIT;
        loop {
            if let Some(message) = consumer.poll(Duration::from_millis(100)) {
                let message = message?;
                see(&message)?;
                deadline = Instant::now() + READ_LIMIT;
                if message.offset() + 1 >= to {
                    return Ok(());
                }
            } else {
                let here = consumer.position()?.find_partition(topic, partition).map(|p| p.offset());
                if let Some(Offset::Offset(at)) = here
                    && at >= to
                {
                    return Ok(());
                }
                if Instant::now() > deadline {
                    return Err(anyhow!("topic {topic} ends before offset {to}"));
                }
            }
        }
    }
}

// === impl Raw ===

impl Raw {
    pub fn of(message: &BorrowedMessage<'_>) -> Raw {
        let headers = message.headers().into_iter().flat_map(|h| h.iter());
        Raw {
            partition: message.partition(),
            key: message.key().map(<[u8]>::to_vec),
            value: message.payload().map(<[u8]>::to_vec),
            headers: headers.map(|h| (h.key.to_owned(), h.value.map(<[u8]>::to_vec))).collect(),
        }
    }
}
