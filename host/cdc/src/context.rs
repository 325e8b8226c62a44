//! The four headers by which a record says which connector and which run of it made it; as Debezium's, from 3.5 on.

use uuid::Uuid;
use weir_model::{Name, Node};

/// Written once a task, copied into every data record, tombstone, truncate and schema change.
#[derive(Clone, Debug)]
pub struct Context {
    pub logical_name: String,
    pub task: u32,
    /// "postgresql", "mysql", "mariadb", "generator"
    pub connector: &'static str,
    /// a UUID of version 7, new with every start of the task
    pub run: String,
}

// === impl Context ===

impl Context {
    pub fn new(logical_name: &str, connector: &'static str) -> Self {
        Context { logical_name: logical_name.into(), task: 0, connector, run: Uuid::now_v7().to_string() }
    }

    pub fn headers(&self) -> Vec<(Name, Node)> {
        let header = |name: &str, value: &str| (Name::from(format!("__debezium.context.{name}")), Node::text(value));
        vec![
            header("connectorLogicalName", &self.logical_name),
            header("taskId", &self.task.to_string()),
            header("connectorName", self.connector),
            header("runId", &self.run),
        ]
    }
}
