//! Kafka Connect for tests and benches: one distributed worker of the real thing, with the plugins that a test names.
//!
//! Jars come from Maven Central once (see [`crate::maven`]). The worker has the heap and the collector that Kafka's own start
//! script gives it, so what is measured here is what people run.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::Value;

use crate::kafka::{Kafka, VERSION};
use crate::maven;
use crate::process::{Process, free_port};

/// The newest first; Maven Central does not give every release with all it depends on.
pub const DEBEZIUM_VERSIONS: &[&str] = &["3.6.3.Final", "3.5.0.Final"];
const SCRIPTING: &str = "io.debezium:debezium-scripting:3.5.0.Final";
const GROOVY: &str = "org.apache.groovy:groovy-jsr223:4.0.27";

/// The defaults of `kafka-run-class.sh` and `connect-distributed.sh`.
const JVM: &[&str] = &[
    "-Xms256M",
    "-Xmx2G",
    "-server",
    "-XX:+UseG1GC",
    "-XX:MaxGCPauseMillis=20",
    "-XX:InitiatingHeapOccupancyPercent=35",
    "-XX:+ExplicitGCInvokesConcurrent",
    "-Djava.awt.headless=true",
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
];

const READY_LIMIT: Duration = Duration::from_secs(120);
const STOP_LIMIT: Duration = Duration::from_secs(30);
const REQUEST_LIMIT: Duration = Duration::from_secs(90);
const POLL: Duration = Duration::from_millis(100);

/// A folder of `plugin.path`: jars that are loaded together and apart from all others.
#[derive(Clone, Debug)]
pub struct Plugin {
    pub name: String,
    pub version: String,
    /// folders whose jars belong to it
    pub folders: Vec<PathBuf>,
}

/// A distributed worker. Dropping it ends the process; its topics stay in the cluster.
pub struct Connect {
    port: u16,
    libs: PathBuf,
    process: Option<Process>,
    /// last: removed after the worker has ended
    directory: tempfile::TempDir,
}

// === impl Plugin ===

impl Plugin {
    /// `debezium-connector-postgres`, the newest release that can be had.
    pub fn debezium_postgres() -> io::Result<Plugin> {
        let mut last = None;
        for version in DEBEZIUM_VERSIONS {
            let coordinates = format!("io.debezium:debezium-connector-postgres:{version}");
            match maven::jars(&[&coordinates], &format!("debezium-connector-postgres-{version}")) {
                Ok(jars) => {
                    return Ok(Plugin { name: "debezium".into(), version: (*version).into(), folders: vec![jars] });
                }
                Err(error) => last = Some(error),
            }
        }
        Err(last.unwrap_or_else(|| io::Error::other("no release of Debezium is known")))
    }

    /// Adds Debezium's scripted transforms and Groovy, which have to lie in the connector's own folder.
    pub fn with_scripting(mut self) -> io::Result<Plugin> {
        self.folders.push(jar_alone(SCRIPTING, "debezium-scripting-3.5.0")?);
        self.folders.push(maven::jars(&[GROOVY], "groovy-jsr223-4.0.27")?);
        Ok(self)
    }

    fn install(&self, plugins: &Path) -> io::Result<()> {
        let folder = plugins.join(&self.name);
        fs::create_dir_all(&folder)?;
        for from in &self.folders {
            for entry in fs::read_dir(from)? {
                let entry = entry?;
                let to = folder.join(entry.file_name());
                if !to.exists() {
                    fs::copy(entry.path(), to)?;
                }
            }
        }
        Ok(())
    }
}

// === impl Connect ===

impl Connect {
    /// A worker whose JSON converters write no schemas.
    pub fn start(kafka: &Kafka, plugins: &[Plugin]) -> io::Result<Connect> {
        Connect::start_with(kafka, plugins, &[])
    }

    /// `settings` are lines of the worker's properties, after the usual ones.
    pub fn start_with(kafka: &Kafka, plugins: &[Plugin], settings: &[(&str, &str)]) -> io::Result<Connect> {
        let coordinates = ["connect-runtime", "connect-json", "connect-transforms"]
            .map(|artifact| format!("org.apache.kafka:{artifact}:{VERSION}"));
        let [runtime, json, transforms] = &coordinates;
        let libs =
            maven::jars(&[runtime, json, transforms, "org.slf4j:slf4j-simple:1.7.36"], &format!("connect-{VERSION}"))?;
        let directory = tempfile::Builder::new().prefix("weir-connect-").tempdir()?;
        let folder = directory.path().join("plugins");
        fs::create_dir(&folder)?;
        for plugin in plugins {
            plugin.install(&folder)?;
        }
        let port = free_port()?;
        let text = properties(kafka.bootstrap(), port, &folder, settings);
        fs::write(directory.path().join("worker.properties"), text)?;
        let mut connect = Connect { port, libs, process: None, directory };
        connect.launch()?;
        connect.ready()?;
        Ok(connect)
    }

    /// Starts the worker's process and returns at once; [`Connect::ready`] waits for its answers.
    pub fn launch(&mut self) -> io::Result<()> {
        let mut command = Command::new(maven::java()?);
        command.args(JVM).arg("-cp").arg(self.libs.join("*"));
        command.arg("org.apache.kafka.connect.cli.ConnectDistributed").arg("worker.properties");
        command.current_dir(self.directory.path());
        let log = self.directory.path().join("output.log");
        self.process = Some(Process::start(command, &log, self.directory.path())?);
        Ok(())
    }

    pub fn ready(&mut self) -> io::Result<()> {
        let url = self.url();
        let process = self.process.as_mut().ok_or_else(|| io::Error::other("the worker is not running"))?;
        process.wait_ready(READY_LIMIT, || matches!(call("GET", &format!("{url}/connectors"), None), Ok((200, _))))
    }

    /// Ends the worker in order; its connectors run again after [`Connect::launch`].
    pub fn stop(&mut self) -> io::Result<()> {
        match self.process.take() {
            Some(mut process) => process.stop(Signal::TERM, STOP_LIMIT).map(|_| ()),
            None => Ok(()),
        }
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The process id of the JVM.
    pub fn id(&self) -> Option<u32> {
        self.process.as_ref().map(Process::id)
    }

    /// The end of what the worker wrote.
    pub fn log_tail(&self) -> String {
        self.process.as_ref().map(Process::log_tail).unwrap_or_default()
    }

    /// Creates or changes a connector.
    pub fn put(&self, name: &str, config: &Value) -> io::Result<Value> {
        self.call("PUT", &format!("/connectors/{name}/config"), Some(config))
    }

    /// None when there is no such connector.
    pub fn status(&self, name: &str) -> io::Result<Option<Value>> {
        let (code, answer) = call("GET", &format!("{}/connectors/{name}/status", self.url()), None)?;
        Ok((code == 200).then_some(answer))
    }

    pub fn delete(&self, name: &str) -> io::Result<()> {
        self.call("DELETE", &format!("/connectors/{name}"), None).map(|_| ())
    }

    /// `stop`, `pause` or `resume`: asked for, not waited for.
    pub fn action(&self, name: &str, action: &str) -> io::Result<()> {
        self.call("PUT", &format!("/connectors/{name}/{action}"), None).map(|_| ())
    }

    /// Waits until the connector and its tasks (none when it is to be STOPPED) are in `state`; an error with the trace
    /// when one of them has FAILED.
    pub fn wait_state(&self, name: &str, state: &str, limit: Duration) -> io::Result<()> {
        let deadline = Instant::now() + limit;
        loop {
            let status = self.status(name)?.unwrap_or_default();
            if reached(&status, state) {
                return Ok(());
            }
            let failed = tasks(&status).iter().any(|t| t.get("state").is_some_and(|s| s == "FAILED"));
            if failed || Instant::now() > deadline {
                return Err(io::Error::other(format!("connector {name} is not {state}: {status:#}")));
            }
            std::thread::sleep(POLL);
        }
    }

    /// A worker that is rebalancing answers 409 and wants to be asked again.
    fn call(&self, method: &str, path: &str, body: Option<&Value>) -> io::Result<Value> {
        let deadline = Instant::now() + REQUEST_LIMIT;
        loop {
            let (code, answer) = call(method, &format!("{}{path}", self.url()), body)?;
            match code {
                200..=299 => return Ok(answer),
                409 if Instant::now() < deadline => std::thread::sleep(POLL),
                _ => return Err(io::Error::other(format!("{method} {path}: {code} {answer}"))),
            }
        }
    }
}

fn tasks(status: &Value) -> &[Value] {
    status.get("tasks").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

fn reached(status: &Value, state: &str) -> bool {
    let connector = status.pointer("/connector/state").is_some_and(|s| s == state);
    let tasks = tasks(status);
    let settled = if state == "STOPPED" { tasks.is_empty() } else { !tasks.is_empty() };
    connector && settled && tasks.iter().all(|t| t.get("state").is_some_and(|s| s == state))
}

fn properties(bootstrap: &str, port: u16, plugins: &Path, settings: &[(&str, &str)]) -> String {
    let mut text = format!(
        "bootstrap.servers={bootstrap}\ngroup.id=connect-{port}\nlisteners=http://127.0.0.1:{port}\n\
         key.converter=org.apache.kafka.connect.json.JsonConverter\nkey.converter.schemas.enable=false\n\
         value.converter=org.apache.kafka.connect.json.JsonConverter\nvalue.converter.schemas.enable=false\n\
         config.storage.topic=connect-{port}-configs\nconfig.storage.replication.factor=1\n\
         offset.storage.topic=connect-{port}-offsets\noffset.storage.replication.factor=1\noffset.storage.partitions=1\n\
         status.storage.topic=connect-{port}-status\nstatus.storage.replication.factor=1\nstatus.storage.partitions=1\n\
         plugin.path={}\n",
        plugins.display()
    );
    for (name, value) in settings {
        text.push_str(&format!("{name}={value}\n"));
    }
    text
}

/// The status and the answer's JSON, null when there is none.
fn call(method: &str, url: &str, body: Option<&Value>) -> io::Result<(u16, Value)> {
    let agent: ureq::Agent =
        ureq::Agent::config_builder().http_status_as_error(false).timeout_global(Some(REQUEST_LIMIT)).build().into();
    let text = body.map(Value::to_string).unwrap_or_default();
    let request = ureq::http::Request::builder().method(method).uri(url).header("content-type", "application/json");
    let mut answer = match body {
        Some(_) => agent.run(request.body(text).map_err(io::Error::other)?),
        None => agent.run(request.body(()).map_err(io::Error::other)?),
    }
    .map_err(io::Error::other)?;
    let code = answer.status().as_u16();
    let text = answer.body_mut().read_to_string().map_err(io::Error::other)?;
    Ok((code, serde_json::from_str(&text).unwrap_or(Value::Null)))
}

/// The jar of one coordinate without anything it depends on, nor its parent, which Maven Central may lack.
fn jar_alone(coordinate: &str, name: &str) -> io::Result<PathBuf> {
    let cache = maven::cache()?;
    let folder = cache.join(name);
    if folder.is_dir() {
        return Ok(folder);
    }
    fs::create_dir_all(&cache)?;
    let mvn = weir_local::program::find("mvn", &[])
        .ok_or_else(|| io::Error::other("`mvn` was not found in PATH: install Apache Maven (Debian: maven)"))?;
    let work = tempfile::Builder::new().prefix(&format!("{name}.")).tempdir_in(&cache)?;
    let mut command = Command::new(mvn);
    command.args(["-q", "-B", "dependency:copy", "-DoutputDirectory=jars"]).arg(format!("-Dartifact={coordinate}"));
    let output = command.current_dir(work.path()).stdin(Stdio::null()).output()?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        return Err(io::Error::other(format!("mvn could not fetch {coordinate}: {said}")));
    }
    match fs::rename(work.path().join("jars"), &folder) {
        // somebody else was faster
        Err(_) if folder.is_dir() => Ok(folder),
        other => other.map(|()| folder),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_answers_refuses_and_starts_again() {
        let kafka = Kafka::start().unwrap();
        let mut worker = Connect::start(&kafka, &[]).unwrap();
        let first = worker.id().unwrap();
        assert_eq!(worker.status("nobody").unwrap(), None);
        let config = serde_json::json!({"connector.class": "no.such.Connector", "tasks.max": "1"});
        let refused = worker.put("c", &config).unwrap_err().to_string();
        assert!(refused.contains("no.such.Connector"), "{refused}");
        worker.stop().unwrap();
        assert!(call("GET", &worker.url(), None).is_err());
        worker.launch().unwrap();
        worker.ready().unwrap();
        assert_ne!(worker.id(), Some(first));
    }
}
