//! Apache Kafka for tests: the cluster at `$WEIR_TEST_KAFKA` (bootstrap servers), else one KRaft node of the real thing.
//!
//! The node's jars come from Maven Central once (see [`crate::maven`]); it listens on free ports of 127.0.0.1 and keeps its log
//! in a temporary folder. Whatever way the test process ends, the node ends with it.

use std::fs;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, OnceLock};
use std::time::Duration;

use rustix::process::Signal;

use crate::process::Process;
use crate::{maven, process::free_port};

/// Bootstrap servers of a cluster to use instead of a node of our own.
pub const SERVERS_VARIABLE: &str = "WEIR_TEST_KAFKA";
pub const VERSION: &str = "4.3.1";

const READY_LIMIT: Duration = Duration::from_secs(90);
const STOP_LIMIT: Duration = Duration::from_secs(30);
const STORE_PASSWORD: &str = "store-secret";

/// A Kafka cluster that tests may write to.
pub struct Kafka {
    bootstrap: String,
    node: Option<Node>,
}

struct Node {
    jars: PathBuf,
    port: u16,
    secure: Option<Secure>,
    process: Mutex<Option<Process>>,
    /// last: removed after the node has ended
    directory: tempfile::TempDir,
}

/// The listeners of a node started by [`Builder::secure`].
#[derive(Clone, Debug)]
pub struct Secure {
    /// SASL without TLS; PLAIN and SCRAM-SHA-256 are enabled, PLAIN knows `user`
    pub sasl_port: u16,
    /// TLS that wants a client certificate
    pub ssl_port: u16,
    pub user: &'static str,
    pub password: &'static str,
    /// PEM, PKCS12 and JKS of the same authority and client
    pub authority_pem: PathBuf,
    pub client_pem: PathBuf,
    pub truststore_jks: PathBuf,
    pub truststore_p12: PathBuf,
    pub keystore_jks: PathBuf,
    pub keystore_p12: PathBuf,
    pub store_password: &'static str,
}

/// What a node of our own has beyond the defaults.
#[derive(Clone, Debug, Default)]
pub struct Builder {
    settings: Vec<(String, String)>,
    secure: bool,
}

// === impl Builder ===

impl Builder {
    /// A line of `server.properties`.
    pub fn setting(mut self, name: &str, value: &str) -> Self {
        self.settings.push((name.to_owned(), value.to_owned()));
        self
    }
    /// Adds a SASL and a TLS listener; needs `keytool` and `openssl`.
    pub fn secure(mut self) -> Self {
        self.secure = true;
        self
    }
    /// A node of our own, whatever the environment says.
    pub fn start(self) -> io::Result<Kafka> {
        let kafka = format!("org.apache.kafka:kafka_2.13:{VERSION}");
        let jars = maven::jars(&[&kafka, "org.slf4j:slf4j-simple:1.7.36"], &format!("kafka-{VERSION}"))?;
        let directory = tempfile::Builder::new().prefix("weir-kafka-").tempdir()?;
        let (port, controller) = (free_port()?, free_port()?);
        let secure = if self.secure { Some(secure(directory.path())?) } else { None };
        let text = self.properties(directory.path(), port, controller, secure.as_ref());
        fs::write(directory.path().join("server.properties"), text)?;
        let node = Node { jars, port, secure, process: Mutex::new(None), directory };
        node.format()?;
        node.launch()?;
        Ok(Kafka { bootstrap: format!("127.0.0.1:{port}"), node: Some(node) })
    }

    fn properties(&self, directory: &Path, port: u16, controller: u16, secure: Option<&Secure>) -> String {
        let mut listeners = format!("PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}");
        let mut more = String::new();
        if let Some(s) = secure {
            listeners.push_str(&format!(",SASL_PLAINTEXT://127.0.0.1:{},SSL://127.0.0.1:{}", s.sasl_port, s.ssl_port));
            let server = directory.join("server.pem");
            more = format!(
                "sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256\n\
                 listener.name.sasl_plaintext.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule \
                 required user_{}=\"{}\";\n\
                 listener.name.sasl_plaintext.scram-sha-256.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule \
                 required;\n\
                 ssl.client.auth=required\nssl.keystore.type=PEM\nssl.keystore.location={}\n\
                 ssl.truststore.type=PEM\nssl.truststore.location={}\n",
                s.user,
                s.password,
                server.display(),
                s.authority_pem.display()
            );
        }
        for (name, value) in &self.settings {
            more.push_str(&format!("{name}={value}\n"));
        }
        format!(
            "process.roles=broker,controller\nnode.id=1\ncontroller.quorum.voters=1@127.0.0.1:{controller}\n\
             listeners={listeners}\ncontroller.listener.names=CONTROLLER\nlog.dirs={}\nnum.partitions=1\n\
             listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SSL:SSL,SASL_PLAINTEXT:SASL_PLAINTEXT\n\
             offsets.topic.replication.factor=1\noffsets.topic.num.partitions=1\n\
             transaction.state.log.replication.factor=1\ntransaction.state.log.num.partitions=1\ntransaction.state.log.min.isr=1\n\
             share.coordinator.state.topic.replication.factor=1\nshare.coordinator.state.topic.min.isr=1\n\
             group.initial.rebalance.delay.ms=0\n{more}",
            directory.join("log").display()
        )
    }
}

// === impl Node ===

impl Node {
    fn java(&self, main: &str) -> io::Result<Command> {
        let mut command = Command::new(maven::java()?);
        command.arg("-Xmx512m").arg("-XX:+UseSerialGC").arg("-XX:TieredStopAtLevel=1");
        command.arg("-Dorg.slf4j.simpleLogger.defaultLogLevel=warn");
        command.arg("-cp").arg(self.jars.join("*")).arg(main).current_dir(self.directory.path());
        Ok(command)
    }

    fn format(&self) -> io::Result<()> {
        let mut command = self.java("kafka.tools.StorageTool")?;
        // Any 16 bytes in base64 name a cluster; nobody but this node ever reads it.
        command.args(["format", "-t", "d2Vpci10ZXN0LWthZmthMQ", "-c", "server.properties"]);
        let output = command.output()?;
        if output.status.success() {
            return Ok(());
        }
        Err(io::Error::other(format!("kafka storage format failed: {}", String::from_utf8_lossy(&output.stderr))))
    }

    fn launch(&self) -> io::Result<()> {
        let mut command = self.java("kafka.Kafka")?;
        command.arg("server.properties");
        let log = self.directory.path().join("output.log");
        let mut process = Process::start(command, &log, self.directory.path())?;
        process.wait_ready(READY_LIMIT, || answers(self.port).unwrap_or(false))?;
        *lock(&self.process) = Some(process);
        Ok(())
    }
}

// === impl Kafka ===

impl Kafka {
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// The cluster of the environment, else a new node.
    pub fn start() -> io::Result<Kafka> {
        match std::env::var(SERVERS_VARIABLE) {
            Ok(bootstrap) if !bootstrap.is_empty() => Ok(Kafka { bootstrap, node: None }),
            _ => Builder::default().start(),
        }
    }

    /// One for all tests of this process.
    pub fn shared() -> io::Result<&'static Kafka> {
        static SHARED: OnceLock<Result<Kafka, String>> = OnceLock::new();
        SHARED
            .get_or_init(|| Kafka::start().map_err(|e| e.to_string()))
            .as_ref()
            .map_err(|e| io::Error::other(e.as_str()))
    }

    /// What `bootstrap.servers` takes.
    pub fn bootstrap(&self) -> &str {
        &self.bootstrap
    }

    /// None unless the node was started by [`Builder::secure`].
    pub fn secure(&self) -> Option<&Secure> {
        self.node.as_ref().and_then(|n| n.secure.as_ref())
    }

    /// Freezes the node: connections stay open and nobody answers.
    pub fn pause(&self) -> io::Result<()> {
        self.signal(Signal::STOP)
    }

    pub fn resume(&self) -> io::Result<()> {
        self.signal(Signal::CONT)
    }

    /// Ends the node in order; its data stays for [`Kafka::launch`].
    pub fn stop(&self) -> io::Result<()> {
        match lock(&self.node()?.process).take() {
            Some(mut process) => process.stop(Signal::TERM, STOP_LIMIT).map(|_| ()),
            None => Ok(()),
        }
    }

    /// Ends the node at once, as a crash does.
    pub fn kill(&self) -> io::Result<()> {
        lock(&self.node()?.process).take();
        Ok(())
    }

    /// Starts a stopped node on the ports and the data that it had.
    pub fn launch(&self) -> io::Result<()> {
        self.node()?.launch()
    }

    pub fn restart(&self) -> io::Result<()> {
        self.stop()?;
        self.launch()
    }

    /// The process id of the node.
    pub fn id(&self) -> Option<u32> {
        lock(&self.node.as_ref()?.process).as_ref().map(|p| p.id())
    }

    fn node(&self) -> io::Result<&Node> {
        self.node
            .as_ref()
            .ok_or_else(|| io::Error::other(format!("the cluster at ${SERVERS_VARIABLE} is not ours to stop")))
    }

    fn signal(&self, signal: Signal) -> io::Result<()> {
        match lock(&self.node()?.process).as_ref() {
            Some(process) => process.signal(signal),
            None => Err(io::Error::other("the node is not running")),
        }
    }
}

/// Whether a broker answers an ApiVersions request; it does so only after it has joined its cluster.
fn answers(port: u16) -> io::Result<bool> {
    // size, key 18 (ApiVersions), version 0, correlation id, no client id
    const REQUEST: [u8; 14] = [0, 0, 0, 10, 0, 18, 0, 0, 0, 0, 0, 7, 0xff, 0xff];
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    stream.write_all(&REQUEST)?;
    let mut answer = [0; 10];
    stream.read_exact(&mut answer)?;
    Ok(matches!(answer, [_, _, _, _, 0, 0, 0, 7, 0, 0]))
}

/// Makes an authority, a server and a client certificate, and the client's stores in every format of Java.
fn secure(directory: &Path) -> io::Result<Secure> {
    let at = |name: &str| directory.join(name);
    write_certificates(directory).map_err(io::Error::other)?;
    let keytool = |args: &[&str]| run("keytool", args, directory);
    let pass = STORE_PASSWORD;
    let pkcs12 = format!("pass:{pass}");
    run(
        "openssl",
        &["pkcs12", "-export", "-in", "client.pem", "-name", "client", "-out", "client.p12", "-passout", &pkcs12],
        directory,
    )?;
    for (kind, file) in [("JKS", "trust.jks"), ("PKCS12", "trust.p12")] {
        keytool(&[
            "-importcert",
            "-noprompt",
            "-alias",
            "ca",
            "-file",
            "ca.pem",
            "-keystore",
            file,
            "-storetype",
            kind,
            "-storepass",
            pass,
        ])?;
    }
    keytool(&[
        "-importkeystore",
        "-srckeystore",
        "client.p12",
        "-srcstoretype",
        "PKCS12",
        "-srcstorepass",
        pass,
        "-destkeystore",
        "client.jks",
        "-deststoretype",
        "JKS",
        "-deststorepass",
        pass,
    ])?;
    Ok(Secure {
        sasl_port: free_port()?,
        ssl_port: free_port()?,
        user: "weir",
        password: "a;p=s's w",
        authority_pem: at("ca.pem"),
        client_pem: at("client.pem"),
        truststore_jks: at("trust.jks"),
        truststore_p12: at("trust.p12"),
        keystore_jks: at("client.jks"),
        keystore_p12: at("client.p12"),
        store_password: STORE_PASSWORD,
    })
}

fn write_certificates(directory: &Path) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
    let mut params = CertificateParams::new(Vec::<String>::new())?;
    params.distinguished_name.push(DnType::CommonName, "weir test authority");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate()?;
    fs::write(directory.join("ca.pem"), params.self_signed(&key)?.pem())?;
    let issuer = Issuer::new(params, key);
    for (file, name) in [("server.pem", "127.0.0.1"), ("client.pem", "weir-client")] {
        let mut params = CertificateParams::new(vec!["localhost".to_owned(), "127.0.0.1".to_owned()])?;
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &issuer)?;
        fs::write(directory.join(file), format!("{}{}", certificate.pem(), key.serialize_pem()))?;
    }
    Ok(())
}

fn run(program: &str, args: &[&str], directory: &Path) -> io::Result<()> {
    let path =
        weir_local::program::find(program, &[]).ok_or_else(|| io::Error::other(format!("install `{program}`")))?;
    let output = Command::new(path).args(args).current_dir(directory).output()?;
    if output.status.success() {
        return Ok(());
    }
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    Err(io::Error::other(format!("{program} failed: {said}")))
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
