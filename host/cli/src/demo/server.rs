//! The demo's own PostgreSQL: made in the data directory, reached by nobody but this account, ended with the demo.

use std::fs::{self, File};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};
use weir_api::Error;
use weir_local::account::{self, Account};
use weir_local::cluster::{self, Cluster, SUPERUSER};
use weir_local::program;
use weir_postgres::{ConnectOptions, Connection};

/// A running server. Dropping it ends the server in order; its data stays.
pub struct Server {
    home: PathBuf,
    child: Child,
    /// it was made just now
    pub is_new: bool,
}

/// Only the name of the socket: nothing listens on TCP.
pub const PORT: u16 = 5432;
/// Longest path of a socket on every platform.
const LONGEST_PATH: usize = 103;
const START_LIMIT: Duration = Duration::from_secs(60);
const STOP_LIMIT: Duration = Duration::from_secs(20);
const LOOK: Duration = Duration::from_millis(20);

// === impl Server ===

impl Server {
    /// Starts the server whose files are in `home`, and makes it when there is none. One that a killed demo has left is ended
    /// first: nobody else can be in `home`, for the demo holds the store of the data directory.
    pub fn start(home: &Path, reset: bool) -> Result<Server, Error> {
        let home = std::path::absolute(home).map_err(|e| unusable(home, &e))?;
        let socket = home.join(format!(".s.PGSQL.{PORT}"));
        if socket.as_os_str().len() > LONGEST_PATH {
            let message = format!("`{}` is longer than a socket's path may be", socket.display());
            return Err(Error::environment("demo.directory", message).help("give a shorter --data-dir"));
        }
        let cluster = Cluster::new(home.join("data")).ok_or_else(missing)?;
        if account::is_root() {
            check_account(cluster.account, &home)?;
        }
        let made = fs::create_dir_all(&home).and_then(|()| account::own(&home, cluster.account, 0o700));
        made.map_err(|e| unusable(&home, &e))?;
        end_leftover(&socket, cluster.data())?;
        if reset {
            remove(cluster.data())?;
        }
        let is_new = !cluster.exists();
        if is_new {
            make(&home, &cluster)?;
        }
        let mut server = Server { child: launch(&cluster, &home)?, home, is_new };
        server.wait_ready()?;
        Ok(server)
    }

    /// Where a client finds a database of this server.
    pub fn connect(&self, database: &str) -> Result<Connection, Error> {
        Connection::connect(&ConnectOptions {
            host: self.home.display().to_string(),
            port: PORT,
            user: SUPERUSER.into(),
            database: database.into(),
            application_name: "weir demo".into(),
            ..ConnectOptions::default()
        })
    }

    /// The directory of its socket.
    pub fn host(&self) -> &Path {
        &self.home
    }

    fn wait_ready(&mut self) -> Result<(), Error> {
        let deadline = Instant::now() + START_LIMIT;
        loop {
            let Err(error) = self.connect(SUPERUSER) else { return Ok(()) };
            if let Ok(Some(status)) = self.child.try_wait() {
                let said = fs::read_to_string(log(&self.home)).unwrap_or_default();
                let last = said.lines().rev().find(|l| !l.trim().is_empty()).unwrap_or("it said nothing");
                let message = format!("the demo's PostgreSQL ended with {status}: {last}");
                let help = format!("`{}` says more; --reset makes a new server", log(&self.home).display());
                return Err(Error::environment("demo.server", message).help(help));
            }
            if Instant::now() > deadline {
                return Err(error);
            }
            std::thread::sleep(LOOK);
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = cluster::interrupt(self.child.id());
        let deadline = Instant::now() + STOP_LIMIT;
        while Instant::now() < deadline {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return;
            }
            std::thread::sleep(LOOK);
        }
        // its data is safe: the next start recovers it from its log
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn launch(cluster: &Cluster, home: &Path) -> Result<Child, Error> {
    let log = File::create(log(home)).map_err(|e| unusable(home, &e))?;
    let errors = log.try_clone().map_err(|e| unusable(home, &e))?;
    let mut command = cluster.server();
    command.arg("-k").arg(home);
    for setting in ["listen_addresses=", "wal_level=logical", "shared_buffers=32MB", "cluster_name=weir demo"] {
        command.args(["-c", setting]);
    }
    command.arg("-c").arg(format!("port={PORT}"));
    // A group of its own: Ctrl-C reaches the demo, which ends the server when the last row is delivered.
    command.process_group(0).stdin(Stdio::null()).stdout(log).stderr(errors);
    command.spawn().map_err(|e| Error::environment("demo.server", format!("PostgreSQL does not start: {e}")))
}

fn log(home: &Path) -> PathBuf {
    home.join("server.log")
}

/// Makes the data directory under another name first: whoever is killed in between leaves nothing that looks whole.
fn make(home: &Path, cluster: &Cluster) -> Result<(), Error> {
    let unfinished = home.join("unfinished");
    remove(&unfinished)?;
    let failed = |e| {
        Error::environment("demo.initdb", format!("the demo's PostgreSQL cannot be made: {e}")).help(
            "give another --data-dir, or set PG_BIN to the folder of another server's programs; `weir demo` needs none",
        )
    };
    cluster.at(&unfinished).make().map_err(failed)?;
    fs::rename(&unfinished, cluster.data()).map_err(|e| unusable(home, &e))
}

fn remove(folder: &Path) -> Result<(), Error> {
    match fs::remove_dir_all(folder) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(unusable(folder, &e)),
        _ => Ok(()),
    }
}

/// Ends the server that answers at our socket. Its process id is in its own directory; a stale one is never signalled, for
/// nobody answers then.
fn end_leftover(socket: &Path, data: &Path) -> Result<(), Error> {
    let deadline = Instant::now() + STOP_LIMIT;
    let lock = data.join("postmaster.pid");
    let mut asked = false;
    // without its lock file it is no more than a socket's dust
    while UnixStream::connect(socket).is_ok() || asked && lock.exists() {
        let text = fs::read_to_string(&lock).unwrap_or_default();
        let pid = text.lines().next().and_then(|line| line.trim().parse().ok());
        if let (false, Some(pid)) = (asked, pid) {
            tracing::info!(pid, "ending the PostgreSQL that a killed demo left");
            asked = cluster::interrupt(pid).is_ok();
        }
        if Instant::now() > deadline {
            let message = format!("another PostgreSQL serves `{}` and does not end", data.display());
            return Err(Error::environment("demo.server", message).help("end it: its process id is in postmaster.pid"));
        }
        std::thread::sleep(LOOK);
    }
    Ok(())
}

/// For root, as whom no server runs.
fn check_account(account: Option<Account>, home: &Path) -> Result<(), Error> {
    let Some(account) = account else {
        let message = "PostgreSQL refuses to run as root, and there is no user `postgres` or `nobody` here";
        return Err(Error::environment("demo.account", message).help("run `weir demo postgres` as another user"));
    };
    if account.reaches(home) {
        return Ok(());
    }
    let message = format!("PostgreSQL does not run as root, and its user cannot reach `{}`", home.display());
    Err(Error::environment("demo.directory", message)
        .help("give a --data-dir below folders that everybody may enter, as --data-dir /var/lib/weir"))
}

fn missing() -> Error {
    let message = match std::env::var(program::PG_BIN) {
        Ok(folder) if !folder.is_empty() => {
            format!("{} is `{folder}`, which holds no initdb and postgres", program::PG_BIN)
        }
        _ => "there is no PostgreSQL server on this machine".to_owned(),
    };
    Error::environment("demo.no-postgres", message).help(
        "install it (Debian, Ubuntu: apt-get install postgresql; Fedora: dnf install postgresql-server; macOS: brew install \
         postgresql), or set PG_BIN to the folder of its programs; `weir demo` needs none",
    )
}

fn unusable(path: &Path, error: &std::io::Error) -> Error {
    Error::environment("demo.directory", format!("`{}` cannot be used: {error}", path.display()))
        .help("give another --data-dir")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{DirBuilderExt, MetadataExt};

    #[test]
    fn a_server_is_nobody_that_root_cannot_name_or_that_cannot_come_in() {
        let folder = tempfile::tempdir().unwrap();
        let (open, closed) = (folder.path().join("open"), folder.path().join("closed"));
        for (path, mode) in [(&open, 0o755), (&closed, 0o700)] {
            fs::DirBuilder::new().mode(mode).create(path).unwrap();
        }
        let code = |account, home: &Path| check_account(account, &home.join("demo")).map_err(|e| e.code());
        assert_eq!(code(None, &open), Err("demo.account"));
        let owner = fs::metadata(&closed).unwrap();
        let own = Account { uid: owner.uid(), gid: owner.gid() };
        assert_eq!(code(Some(own), &closed), Ok(()));
        let other = Account { uid: own.uid + 1, gid: own.gid + 1 };
        assert_eq!(code(Some(other), &closed), Err("demo.directory"));
    }
}
