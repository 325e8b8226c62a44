//! A PostgreSQL server for tests: the one at `WEIR_TEST_POSTGRES_URL`, or a local one on a free port in a temporary
//! directory, with logical decoding switched on and durability switched off.
//!
//! `sql` uses its own connection for every call (through the unix socket when the server is ours), so it works whatever
//! the test did to passwords, TLS and limits.

mod builder;
mod certificates;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, OnceLock};
use std::time::Duration;

use ::postgres::config::Host;
use ::postgres::{Config, NoTls, SimpleQueryMessage};
use rustix::process::Signal;
use weir_local::cluster::SUPERUSER;
use weir_local::{Account, Cluster, account};

use crate::process::{self, Process};
pub use builder::Builder;
pub use certificates::Certificates;

/// A server of one's own choice, with superuser rights and `wal_level = logical`.
pub const URL_VARIABLE: &str = "WEIR_TEST_POSTGRES_URL";

const START_LIMIT: Duration = Duration::from_secs(60);
const STOP_LIMIT: Duration = Duration::from_secs(20);

/// Rows of a simple query; every value as text.
pub type Rows = Vec<Vec<Option<String>>>;

/// A PostgreSQL server. Dropping it ends the server (if it is ours) and removes its directory.
pub struct Postgres {
    config: Config,
    host: String,
    port: u16,
    password: Option<String>,
    local: Option<Local>,
}

/// What is known only of a server that we started.
struct Local {
    cluster: Cluster,
    certificates: Option<Certificates>,
    process: Mutex<Option<Process>>,
    /// last: removed after the server has ended
    directory: tempfile::TempDir,
}

// === impl Postgres ===

impl Postgres {
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// The server at [`URL_VARIABLE`], or a new local one with the usual settings.
    pub fn start() -> io::Result<Postgres> {
        Builder::default().start()
    }

    /// One server with the usual settings for all tests of this process; take a database each by [`Postgres::database`].
    pub fn shared() -> io::Result<&'static Postgres> {
        static SHARED: OnceLock<Result<Postgres, String>> = OnceLock::new();
        SHARED
            .get_or_init(|| Postgres::start().map_err(|e| e.to_string()))
            .as_ref()
            .map_err(|e| io::Error::other(e.clone()))
    }

    fn at(url: &str) -> io::Result<Postgres> {
        let config: Config = url.parse().map_err(|e| io::Error::other(format!("{URL_VARIABLE}: {e}")))?;
        let host = match config.get_hosts().first() {
            Some(Host::Tcp(host)) => host.clone(),
            Some(Host::Unix(path)) => path.display().to_string(),
            None => "127.0.0.1".into(),
        };
        let port = config.get_ports().first().copied().unwrap_or(5432);
        let password = config.get_password().map(|p| String::from_utf8_lossy(p).into_owned());
        Ok(Postgres { config, host, port, password, local: None })
    }

    fn of(local: Local, port: u16, password: Option<String>) -> Postgres {
        let socket = local.directory.path().display().to_string();
        let mut config = Config::new();
        config.host(&socket).port(port).user(SUPERUSER).dbname(SUPERUSER).connect_timeout(START_LIMIT);
        Postgres { config, host: "127.0.0.1".into(), port, password, local: Some(local) }
    }

    /// A new server that follows this one, which must be ours and live as long, until [`Postgres::promote`].
    pub fn standby(&self) -> io::Result<Postgres> {
        self.standby_with(&[])
    }

    /// The same with more in its `postgresql.conf`.
    pub fn standby_with(&self, settings: &[(&str, &str)]) -> io::Result<Postgres> {
        let theirs = self.local()?;
        let directory = tempfile::Builder::new().prefix("weir-postgres-").tempdir()?;
        let cluster = theirs.cluster.at(directory.path().join("data"));
        account::own(directory.path(), cluster.account, 0o755)?;
        self.back_up(cluster.data(), cluster.account)?;
        let port = process::free_port()?;
        let file = cluster.data().join("postgresql.conf");
        let (sockets, from) = (directory.path().display(), theirs.directory.path().display());
        let mut own = format!(
            "port = {port}\nunix_socket_directories = '{sockets}'\n\
             primary_conninfo = 'host={from} port={} user={SUPERUSER} dbname={SUPERUSER}'\n",
            self.port
        );
        for (name, value) in settings {
            own.push_str(&format!("{name} = '{}'\n", value.replace('\'', "''")));
        }
        fs::write(&file, fs::read_to_string(&file)? + &own)?;
        let local = Local { cluster, certificates: theirs.certificates.clone(), process: Mutex::new(None), directory };
        let server = Postgres::of(local, port, self.password.clone());
        server.launch()?;
        Ok(server)
    }

    /// A copy of the data directory, as a standby begins with it. Not by `pg_basebackup`, which not every release comes with.
    fn back_up(&self, to: &Path, account: Option<Account>) -> io::Result<()> {
        let mut session = self.config.connect(NoTls).map_err(io::Error::other)?;
        let old = session.simple_query("SHOW server_version_num").map_err(io::Error::other)?;
        let is_old = first(&old).is_some_and(|n| *n < *"150000");
        let (start, stop) = match is_old {
            true => ("pg_start_backup('standby', true, false)", "pg_stop_backup(false, false)"),
            false => ("pg_backup_start('standby', true)", "pg_backup_stop(false)"),
        };
        session.simple_query(&format!("SELECT {start}")).map_err(io::Error::other)?;
        let from = self.data_dir()?;
        copy(&from, to, account)?;
        let label = session.simple_query(&format!("SELECT labelfile FROM {stop}")).map_err(io::Error::other)?;
        // with the log up to the end of the backup
        copy(&from.join("pg_wal"), &to.join("pg_wal"), account)?;
        fs::remove_file(to.join("postmaster.pid"))?;
        for (name, text) in [("backup_label", first(&label).unwrap_or_default()), ("standby.signal", "")] {
            fs::write(to.join(name), text)?;
            account::own(&to.join(name), account, 0o600)?;
        }
        for slot in fs::read_dir(to.join("pg_replslot"))?.flatten() {
            fs::remove_dir_all(slot.path())?;
        }
        Ok(())
    }

    /// Makes a server of its own of a standby.
    pub fn promote(&self) -> io::Result<()> {
        self.sql("SELECT pg_promote()").map(drop)
    }

    /// `postgresql://user[:password]@host:port/database` of the superuser and its database.
    pub fn url(&self) -> String {
        self.url_of(self.config.get_dbname().unwrap_or(SUPERUSER))
    }
    pub fn url_of(&self, database: &str) -> String {
        let password = self.password.as_ref().map(|p| format!(":{p}")).unwrap_or_default();
        format!("postgresql://{}{password}@{}:{}/{database}", self.user(), self.host, self.port)
    }
    pub fn host(&self) -> &str {
        &self.host
    }
    pub fn port(&self) -> u16 {
        self.port
    }
    pub fn user(&self) -> &str {
        self.config.get_user().unwrap_or(SUPERUSER)
    }
    pub fn password(&self) -> Option<&str> {
        self.password.as_deref()
    }
    /// The directory of a local server's unix socket.
    pub fn socket_dir(&self) -> io::Result<&Path> {
        Ok(self.local()?.directory.path())
    }
    /// The data directory of a local server.
    pub fn data_dir(&self) -> io::Result<PathBuf> {
        Ok(self.local()?.cluster.data().to_owned())
    }
    /// Files for clients, when the server was built with TLS.
    pub fn certificates(&self) -> Option<&Certificates> {
        self.local.as_ref()?.certificates.as_ref()
    }

    /// A fresh database with a name of its own. It goes with the server; at [`URL_VARIABLE`] it stays.
    pub fn database(&self) -> io::Result<String> {
        static NEXT: AtomicU32 = AtomicU32::new(1);
        let name = format!("weir_test_{}_{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        self.sql(&format!("CREATE DATABASE {name}"))?;
        Ok(name)
    }

    /// Runs statements in the superuser's database; the rows of all of them.
    pub fn sql(&self, sql: &str) -> io::Result<Rows> {
        self.query(&self.config, sql)
    }
    pub fn sql_in(&self, database: &str, sql: &str) -> io::Result<Rows> {
        let mut config = self.config.clone();
        config.dbname(database);
        self.query(&config, sql)
    }

    /// The client runs a runtime of its own, which must not happen on a thread of a test's runtime.
    fn query(&self, config: &Config, sql: &str) -> io::Result<Rows> {
        let work = || -> Result<Rows, ::postgres::Error> {
            let answer = config.connect(NoTls)?.simple_query(sql)?;
            let rows = answer.iter().filter_map(|message| match message {
                SimpleQueryMessage::Row(row) => Some((0..row.len()).map(|i| row.get(i).map(str::to_owned)).collect()),
                _ => None,
            });
            Ok(rows.collect())
        };
        let answer = std::thread::scope(|scope| scope.spawn(work).join());
        answer.map_err(|_| io::Error::other("the SQL client panicked"))?.map_err(|error| {
            let text = error.as_db_error().map_or_else(|| error.to_string(), |e| format!("{}: {e}", e.code().code()));
            io::Error::other(format!("{text} in: {sql}"))
        })
    }

    /// Ends a local server in order (walsenders are given their rest) and starts it on the same port.
    pub fn restart(&self) -> io::Result<()> {
        self.end(Signal::INT)?;
        self.launch()
    }

    /// Ends a local server at once, as a crash would (`pg_ctl stop -m immediate`); [`Postgres::launch`] starts it again.
    pub fn stop_immediate(&self) -> io::Result<()> {
        self.end(Signal::QUIT)
    }

    /// Starts a local server that was ended.
    pub fn launch(&self) -> io::Result<()> {
        let local = self.local()?;
        let log = local.directory.path().join("server.log");
        let mut process = Process::start(local.cluster.server(), &log, local.directory.path())?;
        process.wait_ready(START_LIMIT, || self.sql("SELECT 1").is_ok())?;
        let mut slot =
            local.process.lock().map_err(|_| io::Error::other("a test panicked while it started the server"))?;
        *slot = Some(process);
        Ok(())
    }

    fn end(&self, signal: Signal) -> io::Result<()> {
        let mut slot =
            self.local()?.process.lock().map_err(|_| io::Error::other("a test panicked while it ended the server"))?;
        match slot.take() {
            Some(mut process) => process.stop(signal, STOP_LIMIT).map(|_| ()),
            None => Ok(()),
        }
    }

    fn local(&self) -> io::Result<&Local> {
        self.local.as_ref().ok_or_else(|| io::Error::other(format!("not possible with the server of {URL_VARIABLE}")))
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        if self.local.is_some() {
            // Quietly ended, its children go with it and no longer write into the directory that goes next.
            let _ = self.end(Signal::QUIT);
        }
    }
}

/// The first value of the first row.
fn first(rows: &[SimpleQueryMessage]) -> Option<&str> {
    rows.iter().find_map(|m| match m {
        SimpleQueryMessage::Row(row) => row.get(0),
        _ => None,
    })
}

/// A folder with all in it; what goes away meanwhile is left out.
fn copy(from: &Path, to: &Path, account: Option<Account>) -> io::Result<()> {
    fs::create_dir_all(to)?;
    account::own(to, account, 0o700)?;
    for entry in fs::read_dir(from)?.flatten() {
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        if entry.file_type()?.is_dir() {
            copy(&source, &target, account)?;
            continue;
        }
        match fs::copy(&source, &target) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            other => {
                other?;
                account::own(&target, account, 0o600)?
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_starts_answers_restarts_and_goes() {
        let server = Postgres::builder().setting("work_mem", "5MB").start().unwrap();
        let database = server.database().unwrap();
        server.sql_in(&database, "CREATE TABLE t (id int); INSERT INTO t VALUES (1), (NULL)").unwrap();
        let rows = server.sql_in(&database, "SELECT id, current_setting('wal_level') FROM t ORDER BY id").unwrap();
        assert_eq!(rows, [[Some("1".to_owned()), Some("logical".into())], [None, Some("logical".into())]]);
        server.restart().unwrap();
        server.stop_immediate().unwrap();
        assert!(server.sql("SELECT 1").is_err());
        server.launch().unwrap();
        assert_eq!(server.sql("SHOW work_mem").unwrap(), [[Some("5MB".to_owned())]]);
        let data = server.data_dir().unwrap();
        assert!(data.exists());
        drop(server);
        assert!(!data.exists());
    }

    #[test]
    fn sql_errors_carry_the_code_and_the_statement() {
        let error = Postgres::shared().unwrap().sql("SELECT nothing").unwrap_err().to_string();
        assert!(error.contains("42703") && error.contains("SELECT nothing"), "{error}");
    }
}
