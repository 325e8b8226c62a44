//! `weir` as a process, for tests.
#![allow(dead_code)] // each test uses its part

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Output, Stdio};
use std::time::{Duration, Instant};

/// A directory with a pipeline file and offsets.
pub struct Place {
    pub dir: tempfile::TempDir,
}

/// A running `weir`; killed when dropped.
pub struct Weir {
    child: Child,
    log: PathBuf,
}

impl Place {
    pub fn new() -> Self {
        Place { dir: tempfile::tempdir().expect("a temporary directory") }
    }
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }
    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, text).expect("a written file");
        path
    }
    /// `weir …`, to its end.
    pub fn weir(&self, args: &[&str]) -> Output {
        self.command(args).output().expect("weir runs")
    }
    pub fn weir_with(&self, args: &[&str], env: &[(&str, &str)]) -> Output {
        self.command(args).envs(env.iter().copied()).output().expect("weir runs")
    }
    fn command(&self, args: &[&str]) -> Command {
        let mut c = Command::new(env!("CARGO_BIN_EXE_weir"));
        c.args(args)
            .current_dir(self.dir.path())
            .env("WEIR_DATA_DIR", self.path("data"))
            .env("NO_COLOR", "1")
            .env("COLUMNS", "100");
        c.env_remove("WEIR_LOG").stdin(Stdio::null());
        c
    }
    /// A program of this place, as a user who has so many threads at most: one of its own where root asks, or else the same in a
    /// namespace of its own.
    pub fn limited(&self, program: &Path, threads: u32) -> Command {
        let limit = ["prlimit".to_owned(), format!("--nproc={threads}")];
        let root = weir_local::account::is_root();
        let mut words = limit.iter().map(String::as_str).collect::<Vec<_>>();
        if !root {
            words.splice(0..0, ["unshare", "--user"]);
        }
        let mut c = Command::new(words[0]);
        c.args(&words[1..]).arg(program).current_dir(self.dir.path()).env("NO_COLOR", "1").stdin(Stdio::null());
        if root {
            std::os::unix::process::CommandExt::uid(&mut c, 54_321);
        }
        c
    }
    /// Starts `weir run` on a file.
    pub fn start(&self, file: &str) -> Weir {
        self.start_with(&["run", file])
    }
    pub fn start_with(&self, args: &[&str]) -> Weir {
        self.spawn(args, Stdio::null())
    }
    /// The same with more in its environment.
    pub fn start_under(&self, args: &[&str], env: &[(&str, &str)]) -> Weir {
        self.spawn_under(args, Stdio::null(), env)
    }
    /// The same with standard output at the end of a file.
    pub fn start_into(&self, args: &[&str], output: &str) -> Weir {
        let file = std::fs::OpenOptions::new().create(true).append(true).open(self.path(output)).expect("a file");
        self.spawn(args, file.into())
    }
    /// The same with standard output in the test's hands: what is not read holds it up.
    pub fn start_piped(&self, args: &[&str]) -> (Weir, ChildStdout) {
        let mut weir = self.spawn(args, Stdio::piped());
        let out = weir.child.stdout.take().expect("a pipe");
        (weir, out)
    }
    fn spawn(&self, args: &[&str], stdout: Stdio) -> Weir {
        self.spawn_under(args, stdout, &[])
    }
    fn spawn_under(&self, args: &[&str], stdout: Stdio, env: &[(&str, &str)]) -> Weir {
        let log = self.path("weir.log");
        let stderr = std::fs::OpenOptions::new().create(true).append(true).open(&log).expect("a log");
        let child =
            self.command(args).envs(env.iter().copied()).stdout(stdout).stderr(stderr).spawn().expect("weir starts");
        Weir { child, log }
    }
}

impl Weir {
    /// SIGKILL: nothing is stored, nothing is said.
    pub fn kill(mut self) {
        self.child.kill().expect("killed");
        self.child.wait().expect("gone");
    }
    /// SIGTERM, and waits for the orderly end.
    pub fn stop(self) -> std::process::ExitStatus {
        self.ask_to_stop();
        self.wait()
    }
    pub fn ask_to_stop(&self) {
        self.signal("-TERM");
    }
    /// `-STOP` and `-CONT`: it is held, and goes on.
    pub fn signal(&self, name: &str) {
        let status = Command::new("kill").args([name, &self.child.id().to_string()]).status().expect("kill");
        assert!(status.success(), "kill {name}: {status}");
    }
    /// What it has in memory now (`VmRSS`) or had at most (`VmHWM`), in bytes.
    pub fn memory(&self, which: &str) -> u64 {
        let kilobytes: u64 = self.status(which).trim_end_matches(" kB").parse().expect("kB");
        kilobytes * 1024
    }
    /// What the kernel says of it.
    pub fn status(&self, which: &str) -> String {
        let status = read(Path::new(&format!("/proc/{}/status", self.child.id())));
        let line = status.lines().find_map(|l| l.strip_prefix(which)?.strip_prefix(':')).expect("a running weir");
        line.trim().into()
    }
    pub fn wait(mut self) -> std::process::ExitStatus {
        wait_for("weir ends", Duration::from_secs(120), || self.child.try_wait().expect("a status"))
    }
    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("a status").is_none()
    }
    pub fn log(&self) -> String {
        read(&self.log)
    }
}

impl Drop for Weir {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A number that a running weir's `/metrics` shows; 0: it does not, or not yet.
pub fn metric(port: u16, name: &str) -> u64 {
    let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)) else { return 0 };
    let (mut answer, request) = (String::new(), "GET /metrics HTTP/1.1\r\nHost: weir\r\nConnection: close\r\n\r\n");
    if stream.write_all(request.as_bytes()).and_then(|()| stream.read_to_string(&mut answer)).is_err() {
        return 0;
    }
    let line = answer.lines().find(|l| l.starts_with(name));
    line.and_then(|l| l.rsplit(' ').next()?.parse::<f64>().ok()).map_or(0, |n| n as u64)
}

pub fn read(path: &Path) -> String {
    let mut text = String::new();
    if let Ok(mut f) = std::fs::File::open(path) {
        let _ = f.read_to_string(&mut text);
    }
    text
}

/// Asks until there is an answer.
pub fn wait_for<T>(what: &str, most: Duration, mut f: impl FnMut() -> Option<T>) -> T {
    let until = Instant::now() + most;
    loop {
        if let Some(t) = f() {
            return t;
        }
        assert!(Instant::now() < until, "waited {most:?} for: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
