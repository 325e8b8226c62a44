//! A private PostgreSQL cluster: a data directory of our own, and the command that serves it.

use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::process::{Pid, Signal, kill_process};

use crate::account::{self, Account};
use crate::program;

/// The first role, which may do everything.
pub const SUPERUSER: &str = "postgres";

/// A data directory and the programs for it.
#[derive(Clone, Debug)]
pub struct Cluster {
    bin: PathBuf,
    pub account: Option<Account>,
    data: PathBuf,
}

/// Asks a server to end in order, as `pg_ctl stop -m fast` does: clients are sent away, nothing is lost.
pub fn interrupt(server: u32) -> io::Result<()> {
    let id = i32::try_from(server).ok().and_then(Pid::from_raw);
    let id = id.ok_or_else(|| io::Error::other("no process has this id"))?;
    Ok(kill_process(id, Signal::INT)?)
}

// === impl Cluster ===

impl Cluster {
    /// None: there is no PostgreSQL server on this machine. Nothing is made yet.
    pub fn new(data: impl Into<PathBuf>) -> Option<Cluster> {
        let bin = program::postgres()?;
        Some(Cluster { bin, account: account::unprivileged(&["postgres", "nobody"]), data: data.into() })
    }

    /// With the programs of a folder.
    pub fn of(bin: impl Into<PathBuf>, data: impl Into<PathBuf>) -> Cluster {
        Cluster { bin: bin.into(), account: account::unprivileged(&["postgres", "nobody"]), data: data.into() }
    }

    /// The same programs and account for another data directory.
    pub fn at(&self, data: impl Into<PathBuf>) -> Cluster {
        Cluster { data: data.into(), ..self.clone() }
    }

    pub fn data(&self) -> &Path {
        &self.data
    }

    pub fn exists(&self) -> bool {
        self.data.join("PG_VERSION").is_file()
    }

    /// `initdb`: UTF-8, locale C, and whoever reaches the server is let in. The account must be able to write beside `data`.
    pub fn make(&self) -> io::Result<()> {
        let mut initdb = self.command("initdb");
        initdb.args(["--no-sync", "--no-instructions", "-A", "trust", "-E", "UTF8", "--locale=C", "-U", SUPERUSER]);
        let made = initdb.output()?;
        if made.status.success() {
            return Ok(());
        }
        Err(io::Error::other(format!("initdb failed: {}", String::from_utf8_lossy(&made.stderr).trim())))
    }

    /// The server in the foreground.
    pub fn server(&self) -> Command {
        self.command("postgres")
    }

    fn command(&self, program: &str) -> Command {
        self.command_at(&self.bin.join(program))
    }

    fn command_at(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.arg("-D").arg(&self.data);
        if let Some(folder) = self.data.parent() {
            // the account may not be let into the folder that we were started in
            command.current_dir(folder);
        }
        account::run_as(&mut command, self.account);
        command
    }
}
