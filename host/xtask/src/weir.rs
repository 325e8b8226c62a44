//! The binary `weir` at work, as a user would run it: a connector's JSON and a worker's properties.

use crate::process;
use anyhow::{Context, Result, bail, ensure};
use rustix::process::Signal;
use serde_json::{Value, json};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant, SystemTime};
use weir_testkit::process::Process;

const STOP_LIMIT: Duration = Duration::from_secs(60);

/// One connector: its files, its data directory, and the process while it runs.
pub struct Weir {
    binary: PathBuf,
    /// pipeline files that run in the same process
    beside: Vec<PathBuf>,
    process: Option<Process>,
    /// when the process was last started
    pub started: SystemTime,
    /// last: removed after the process has ended
    directory: tempfile::TempDir,
}

/// What a process that has ended took.
#[derive(Clone, Copy, Default, Debug)]
pub struct Cost {
    pub cpu_seconds: f64,
    pub peak_mb: f64,
}

// === impl Weir ===

impl Weir {
    pub fn new(binary: &Path, worker: &str) -> Result<Weir> {
        let directory = tempfile::Builder::new().prefix("weir-run-").tempdir()?;
        fs::write(directory.path().join("worker.properties"), worker)?;
        Ok(Weir { binary: binary.to_owned(), beside: vec![], process: None, started: SystemTime::now(), directory })
    }

    /// Pipelines of their own that the process runs, too.
    pub fn beside(mut self, files: &[PathBuf]) -> Weir {
        self.beside = files.to_vec();
        self
    }

    /// What the next start runs.
    pub fn configure(&self, name: &str, config: &Value) -> Result<()> {
        let text = json!({"name": name, "config": config}).to_string();
        Ok(fs::write(self.directory.path().join("connector.json"), text)?)
    }

    fn command(&self, verb: &str) -> Command {
        let mut command = Command::new(&self.binary);
        command.arg("--data-dir").arg(self.directory.path().join("data")).args(["--log", "warn", verb]);
        command.args(["connector.json", "--worker", "worker.properties"]).current_dir(self.directory.path());
        command
    }

    /// What `weir validate` refuses; none when the connector can run.
    pub fn refusal(&self) -> Result<Option<String>> {
        let output =
            self.command("validate").arg("--json").output().with_context(|| self.binary.display().to_string())?;
        if output.status.success() {
            return Ok(None);
        }
        let answer: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
        let findings = answer.pointer("/error/findings").and_then(Value::as_array).cloned().unwrap_or_default();
        let error = findings.iter().find(|f| f.get("severity").is_none_or(|s| s == "error"));
        let message = error.and_then(|f| f.get("message")).and_then(Value::as_str).map(str::to_owned);
        Ok(Some(message.unwrap_or_else(|| String::from_utf8_lossy(&output.stderr).trim().to_owned())))
    }

    pub fn start(&mut self) -> Result<()> {
        let log = self.directory.path().join("output.log");
        self.started = SystemTime::now();
        let mut command = self.command("run");
        command.args(&self.beside);
        self.process = Some(Process::start(command, &log, self.directory.path())?);
        Ok(())
    }

    /// Asks the process to end and waits until it has stored its offsets.
    pub fn stop(&mut self) -> Result<()> {
        let Some(mut process) = self.process.take() else { return Ok(()) };
        let status = process.stop(Signal::TERM, STOP_LIMIT)?;
        if !status.success() {
            bail!("weir ended with {status}: {}", process.log_tail());
        }
        Ok(())
    }

    /// Runs a pipeline file that ends by itself: what it cost, its seconds from start to end, and its records.
    pub fn run_to_end(&self, pipeline: &str) -> Result<(Cost, f64, u64)> {
        fs::write(self.directory.path().join("pipeline.toml"), pipeline)?;
        let mut command = Command::new(&self.binary);
        command.arg("--data-dir").arg(self.directory.path().join("data")).args(["--log", "warn", "--json", "run"]);
        command.arg("pipeline.toml").current_dir(self.directory.path());
        let answer = File::create(self.directory.path().join("answer.json"))?;
        let started = Instant::now();
        let mut child = command.stdout(answer).spawn()?;
        let mut cost = Cost::default();
        // A process that has ended has no cost left to read, so the last look before that counts.
        let status = loop {
            cost.cpu_seconds = process::cpu_seconds(child.id()).unwrap_or(cost.cpu_seconds).max(cost.cpu_seconds);
            cost.peak_mb = process::peak_mb(child.id()).unwrap_or(cost.peak_mb);
            if let Some(status) = child.try_wait()? {
                break status;
            }
            std::thread::sleep(Duration::from_millis(2));
        };
        let seconds = started.elapsed().as_secs_f64();
        let text = fs::read_to_string(self.directory.path().join("answer.json"))?;
        let answer: Value = serde_json::from_str(&text).unwrap_or_default();
        ensure!(status.success(), "weir ended with {status}: {text}");
        let records = answer.pointer("/result/0/records").and_then(Value::as_u64).unwrap_or_default();
        Ok((cost, seconds, records))
    }

    pub fn id(&self) -> Option<u32> {
        self.process.as_ref().map(Process::id)
    }

    /// An error when the process has ended by itself.
    pub fn alive(&self) -> Result<()> {
        let Some(process) = &self.process else { return Ok(()) };
        let stat = fs::read_to_string(format!("/proc/{}/stat", process.id())).unwrap_or_default();
        if stat.is_empty() || stat.contains(") Z ") {
            bail!("weir has ended: {}", process.log_tail());
        }
        Ok(())
    }

    /// The end of what it wrote to standard error.
    pub fn log_tail(&self) -> String {
        let text = fs::read(self.directory.path().join("output.log")).unwrap_or_default();
        String::from_utf8_lossy(text.get(text.len().saturating_sub(4000)..).unwrap_or_default()).into_owned()
    }
}
