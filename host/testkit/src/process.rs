//! A server that a test started: ended by its process id when the handle goes, and when the test process dies in any other
//! way (a `static` that is never dropped, a crash, a SIGKILL).
//!
//! A small shell stands guard beside each server. It reads from a pipe whose other end only this process holds; when this
//! process is gone the pipe ends, and the guard ends the server and removes its directory.

use std::fs::File;
use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// How often a condition is looked at again.
const POLL: Duration = Duration::from_millis(10);

/// A running server and its guard.
pub struct Process {
    child: Child,
    guard: Child,
    log: PathBuf,
}

// === impl Process ===

impl Process {
    /// Starts `command` with its output appended to `log`. `directory` is removed by the guard when this process dies
    /// without having dropped the handle.
    pub fn start(mut command: Command, log: &Path, directory: &Path) -> io::Result<Process> {
        let out = File::options().create(true).append(true).open(log)?;
        command.stdout(out.try_clone()?);
        Process::spawn(command, out, log, directory)
    }

    /// The same with the standard output in the caller's hands.
    pub fn start_piped(mut command: Command, log: &Path, directory: &Path) -> io::Result<(Process, ChildStdout)> {
        let out = File::options().create(true).append(true).open(log)?;
        command.stdout(Stdio::piped());
        let mut process = Process::spawn(command, out, log, directory)?;
        let stdout = process.child.stdout.take().ok_or_else(|| io::Error::other("there is no pipe"))?;
        Ok((process, stdout))
    }

    fn spawn(mut command: Command, err: File, log: &Path, directory: &Path) -> io::Result<Process> {
        command.stdin(Stdio::null()).stderr(err);
        // A group of its own: an interrupt typed at the terminal reaches the test first, which then ends the server.
        command.process_group(0);
        let mut child = command.spawn()?;
        match guard(child.id(), directory) {
            Ok(guard) => Ok(Process { child, guard, log: log.to_owned() }),
            Err(error) => {
                let _ = child.kill();
                let _ = child.wait();
                Err(error)
            }
        }
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// What the server wrote, at most the last 4,000 bytes of it.
    pub fn log_tail(&self) -> String {
        let bytes = std::fs::read(&self.log).unwrap_or_default();
        let from = bytes.len().saturating_sub(4000);
        String::from_utf8_lossy(bytes.get(from..).unwrap_or_default()).into_owned()
    }

    /// Polls until `ready` says so; an error when the server ends first or `limit` passes, with the end of its log.
    pub fn wait_ready(&mut self, limit: Duration, mut ready: impl FnMut() -> bool) -> io::Result<()> {
        let deadline = Instant::now() + limit;
        loop {
            if ready() {
                return Ok(());
            }
            if let Some(status) = self.child.try_wait()? {
                return Err(io::Error::other(format!("the server ended with {status}: {}", self.log_tail())));
            }
            if Instant::now() > deadline {
                return Err(io::Error::other(format!("the server did not answer in {limit:?}: {}", self.log_tail())));
            }
            std::thread::sleep(POLL);
        }
    }

    pub fn signal(&self, signal: Signal) -> io::Result<()> {
        let id = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        let id = id.ok_or_else(|| io::Error::other("the process id does not fit"))?;
        Ok(kill_process(id, signal)?)
    }

    /// Asks the server to end by `signal`; kills it when it has not after `limit`.
    pub fn stop(&mut self, signal: Signal, limit: Duration) -> io::Result<ExitStatus> {
        if let Some(status) = self.child.try_wait()? {
            return Ok(status);
        }
        self.signal(signal)?;
        let deadline = Instant::now() + limit;
        while Instant::now() < deadline {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            std::thread::sleep(POLL);
        }
        self.child.kill()?;
        self.child.wait()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // The guard first: once the server is gone its process id may belong to somebody else.
        let _ = self.guard.kill();
        let _ = self.guard.wait();
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn guard(server: u32, directory: &Path) -> io::Result<Child> {
    const SCRIPT: &str =
        r#"read -r _; kill -QUIT "$1" 2>/dev/null; sleep 1; kill -KILL "$1" 2>/dev/null; rm -rf -- "$2""#;
    let mut command = Command::new("sh");
    command.args(["-c", SCRIPT, "weir-test-guard", &server.to_string()]).arg(directory);
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).process_group(0);
    command.spawn()
}

/// A TCP port of 127.0.0.1 that nobody listens on at this moment.
pub fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}
