//! The two that are compared, behind one handle: a connector that starts, stops and goes on.

use super::stage::Stage;
use crate::weir::Weir;
use anyhow::{Context, Result};
use clap::ValueEnum;
use serde_json::Value;
use std::time::{Duration, SystemTime};
use weir_testkit::connect::Connect;

pub const CONNECTOR: &str = "bench";
const STATE_LIMIT: Duration = Duration::from_secs(60);

#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub enum Which {
    Weir,
    Debezium,
}

/// A system with its one connector.
pub enum System {
    Weir(Weir),
    /// the worker, and whether it knows the connector yet
    Debezium(Box<Connect>, bool),
}

// === impl Which ===

impl Which {
    pub fn name(self) -> &'static str {
        match self {
            Which::Weir => "weir",
            Which::Debezium => "debezium",
        }
    }
}

// === impl System ===

impl System {
    pub fn new(stage: &Stage, which: Which) -> Result<System> {
        Ok(match which {
            Which::Weir => System::Weir(Weir::new(&stage.weir, &stage.worker())?.beside(&stage.beside)),
            Which::Debezium => {
                let plugin = stage.plugin.clone().context("Debezium was not fetched")?;
                System::Debezium(Box::new(Connect::start(&stage.kafka, &[plugin])?), false)
            }
        })
    }

    /// Why it cannot run this connector.
    pub fn refusal(&self, config: &Value) -> Result<Option<String>> {
        match self {
            System::Weir(weir) => {
                weir.configure(CONNECTOR, config)?;
                weir.refusal()
            }
            System::Debezium(..) => Ok(None),
        }
    }

    /// Starts the connector, or lets a stopped one go on.
    pub fn start(&mut self, config: &Value) -> Result<()> {
        match self {
            System::Weir(weir) => {
                weir.configure(CONNECTOR, config)?;
                weir.start()
            }
            System::Debezium(connect, known) => {
                if std::mem::replace(known, true) {
                    Ok(connect.action(CONNECTOR, "resume")?)
                } else {
                    connect.put(CONNECTOR, config)?;
                    Ok(())
                }
            }
        }
    }

    /// Stops the connector with its offsets stored. Debezium's worker goes on, so that its code stays compiled.
    pub fn stop(&mut self) -> Result<()> {
        match self {
            System::Weir(weir) => weir.stop(),
            System::Debezium(connect, _) => {
                connect.action(CONNECTOR, "stop")?;
                Ok(connect.wait_state(CONNECTOR, "STOPPED", STATE_LIMIT)?)
            }
        }
    }

    /// Ends the whole process in order, and says when a new one was started.
    pub fn restart_process(&mut self, between: impl FnOnce() -> Result<()>) -> Result<SystemTime> {
        match self {
            System::Weir(weir) => {
                weir.stop()?;
                between()?;
                weir.start()?;
                Ok(weir.started)
            }
            System::Debezium(connect, _) => {
                connect.stop()?;
                between()?;
                let started = SystemTime::now();
                connect.launch()?;
                Ok(started)
            }
        }
    }

    pub fn id(&self) -> Option<u32> {
        match self {
            System::Weir(weir) => weir.id(),
            System::Debezium(connect, _) => connect.id(),
        }
    }

    /// An error when the connector has failed.
    pub fn alive(&self) -> Result<()> {
        match self {
            System::Weir(weir) => weir.alive(),
            System::Debezium(connect, _) => {
                let status = connect.status(CONNECTOR).ok().flatten().unwrap_or_default();
                let text = status.to_string();
                anyhow::ensure!(!text.contains("\"FAILED\""), "Debezium has failed: {status:#}");
                Ok(())
            }
        }
    }
}
