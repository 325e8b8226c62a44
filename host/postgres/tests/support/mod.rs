//! A source at work, for tests: what it reads, as Kafka would see it.
// The lints let tests do this, but not the functions that tests share; and each test uses its part.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, dead_code)]

pub mod cases;

use serde_json::Value as Json;
use std::sync::Arc;
use std::time::{Duration, Instant};
use weir_api::{Error, Limit, Offset, Poll, Settings, Source};
use weir_converters::{JsonConverter, SimpleHeader};
use weir_model::Window;
use weir_runtime::{Chain, Converters};
use weir_testkit::Postgres;

pub const LIMIT: Duration = Duration::from_secs(60);

/// Reads a database; slot and publication have its name, unless `more` says otherwise.
pub struct Reader {
    pub source: Box<dyn Source>,
    /// what had to be stored before anything went on
    pub stored: Option<Offset>,
    window: Window,
    chain: Chain,
}

/// A record as a consumer sees it.
#[derive(Clone, PartialEq, Debug)]
pub struct Seen {
    pub topic: String,
    pub key: Option<String>,
    pub value: Option<String>,
    pub headers: Vec<(String, Option<String>)>,
}

impl Reader {
    pub fn open(server: &Postgres, database: &str, more: &[(&str, &str)]) -> Reader {
        let mut reader = Reader::unstarted(server, database, more);
        reader.source.start(None).unwrap();
        reader
    }

    pub fn unstarted(server: &Postgres, database: &str, more: &[(&str, &str)]) -> Reader {
        let port = server.port().to_string();
        let mut settings = Settings::new([
            ("database.hostname", server.host()),
            ("database.port", &port),
            ("database.user", server.user()),
            ("database.password", server.password().unwrap_or_default()),
            ("database.dbname", database),
            ("topic.prefix", "p"),
            ("slot.name", database),
            ("publication.name", "dbz"),
            ("database.sslmode", "disable"),
        ]);
        settings.values.extend(more.iter().map(|(k, v)| (k.to_string(), v.to_string())));
        let source = weir_postgres::open(&settings).unwrap();
        let json = || Arc::new(JsonConverter(weir_converters::Json { schemas: true, ..Default::default() }));
        let on_error = weir_runtime::OnError::Fail;
        let converters = Converters { key: json(), value: json(), header: Arc::new(SimpleHeader), on_error };
        Reader { source, stored: None, window: Window::default(), chain: Chain::new(vec![], converters, 1 << 20) }
    }

    /// What one poll brings.
    pub fn poll(&mut self, into: &mut Vec<Seen>) -> Result<(), Error> {
        self.window.runs.clear();
        let limit = Limit { rows: 1000, bytes: 1 << 24 };
        match self.source.poll(Duration::from_millis(50), limit, &mut self.window)? {
            Poll::Window(_) => {}
            Poll::Store(position) => {
                self.stored = Some(self.source.offset(&position));
                return Ok(());
            }
            Poll::Idle(_) | Poll::End => return Ok(()),
        }
        let blocks = self.chain.run(&mut self.window)?;
        if let Some(failed) = blocks.failed {
            panic!("a row of {} failed: {:?}", failed.stream, failed.failure)
        }
        let text = |b: Option<&[u8]>| b.map(|b| String::from_utf8(b.to_vec()).unwrap());
        for block in &blocks.blocks {
            into.extend(block.records.iter().map(|r| Seen {
                topic: block.route(r).unwrap().topic.to_string(),
                key: text(block.key(r)),
                value: text(block.value(r)),
                headers: block.headers(r).map(|(name, value)| (name.into(), text(value))).collect(),
            }));
        }
        Ok(())
    }

    /// The next records, once there are so many.
    pub fn seen(&mut self, count: usize) -> Vec<Seen> {
        let deadline = Instant::now() + LIMIT;
        let mut all = vec![];
        while all.len() < count {
            assert!(Instant::now() < deadline, "{} of {count} records", all.len());
            self.poll(&mut all).unwrap();
        }
        all
    }

    /// The values of the next records, with their schemas, once there are so many.
    pub fn records(&mut self, count: usize) -> Vec<Json> {
        self.seen(count).iter().map(Seen::json).collect()
    }
}

impl Seen {
    pub fn json(&self) -> Json {
        self.value.as_ref().map_or(Json::Null, |v| serde_json::from_str(v).unwrap())
    }
    pub fn after(&self) -> Json {
        self.json()["payload"]["after"].clone()
    }
    pub fn op(&self) -> String {
        self.json()["payload"]["op"].as_str().unwrap_or("tombstone").to_owned()
    }
    /// Without when it was read.
    pub fn timeless(mut self) -> Seen {
        self.value = self.value.map(|v| match v.rfind(",\"ts_ms\":") {
            Some(at) => v[..at].to_owned(),
            None => v,
        });
        self
    }
}
