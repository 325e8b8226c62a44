//! The services that both systems work with.

use crate::topic::Cluster;
use anyhow::{Context, Result};
use postgres::{Client, NoTls};
use serde_json::{Value, json};
use std::path::PathBuf;
use weir_testkit::connect::Plugin;
use weir_testkit::{Kafka, Postgres};

/// PostgreSQL that keeps everything in memory and makes no checkpoint by itself, and Kafka.
pub struct Stage {
    pub weir: PathBuf,
    /// pipelines that weir runs beside the one that is measured
    pub beside: Vec<PathBuf>,
    pub plugin: Option<Plugin>,
    pub cluster: Cluster,
    pub kafka: Kafka,
    pub postgres: Postgres,
}

/// A database of one run.
pub struct Database {
    pub name: String,
    pub client: Client,
}

/// A server that does nothing by itself while a case runs.
pub fn postgres() -> Result<Postgres> {
    let postgres = Postgres::builder()
        .setting("shared_buffers", "3GB")
        .setting("max_wal_size", "32GB")
        .setting("checkpoint_timeout", "1h")
        .setting("autovacuum", "off")
        .start()?;
    Ok(postgres)
}

// === impl Stage ===

impl Stage {
    pub fn new(weir: PathBuf, debezium: bool) -> Result<Stage> {
        let plugin = if debezium { Some(Plugin::debezium_postgres()?.with_scripting()?) } else { None };
        let postgres = postgres()?;
        let kafka = Kafka::builder().start()?;
        let cluster = Cluster::new(kafka.bootstrap())?;
        Ok(Stage { weir, beside: vec![], plugin, cluster, kafka, postgres })
    }

    pub fn database(&self) -> Result<Database> {
        let name = self.postgres.database()?;
        let client = self.client(&name)?;
        Ok(Database { name, client })
    }

    pub fn client(&self, database: &str) -> Result<Client> {
        Client::connect(&self.postgres.url_of(database), NoTls).context("the bench's own connection")
    }

    /// Worker properties: JSON without schemas.
    pub fn worker(&self) -> String {
        format!(
            "bootstrap.servers={}\nkey.converter=org.apache.kafka.connect.json.JsonConverter\n\
             key.converter.schemas.enable=false\nvalue.converter=org.apache.kafka.connect.json.JsonConverter\n\
             value.converter.schemas.enable=false\n",
            self.kafka.bootstrap()
        )
    }

    /// A connector that captures `public.events`, without transforms; its publication is called as its slot.
    pub fn connector(&self, database: &str, prefix: &str, slot: &str) -> Value {
        json!({
            "connector.class": "io.debezium.connector.postgresql.PostgresConnector",
            "tasks.max": "1",
            "database.hostname": self.postgres.host(),
            "database.port": self.postgres.port().to_string(),
            "database.user": self.postgres.user(),
            "database.password": self.postgres.password().unwrap_or_default(),
            "database.dbname": database,
            "topic.prefix": prefix,
            "plugin.name": "pgoutput",
            "slot.name": slot,
            "publication.name": slot,
            "table.include.list": "public.events",
        })
    }

    /// Removes a run's slot and database; their size would weigh on the next one.
    pub fn clear(&self, database: Database, slot: &str) -> Result<()> {
        let Database { name, client } = database;
        drop(client);
        self.postgres.sql(&format!(
            "SELECT pg_terminate_backend(active_pid, 10000) FROM pg_replication_slots WHERE slot_name = '{slot}' AND active"
        ))?;
        self.postgres.sql(&format!(
            "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = '{slot}'"
        ))?;
        self.postgres.sql(&format!("DROP DATABASE {name} WITH (FORCE)"))?;
        self.postgres.sql("CHECKPOINT")?;
        Ok(())
    }
}
