//! How a local server is set up, and its files.

use super::{Certificates, Local, Postgres, URL_VARIABLE};
use crate::process;
use crate::release;
use std::path::Path;
use std::sync::Mutex;
use std::{fs, io};
use weir_local::cluster::SUPERUSER;
use weir_local::{Cluster, account};

/// How a local server is set up; anything but the defaults is never looked for at [`URL_VARIABLE`].
#[derive(Clone, Default, Debug)]
pub struct Builder {
    password: Option<String>,
    tls: bool,
    access: Vec<String>,
    settings: Vec<(String, String)>,
    release: Option<String>,
}

// === impl Builder ===

impl Builder {
    /// TCP connections need this password by SCRAM-SHA-256 (trust otherwise).
    pub fn password(mut self, password: &str) -> Self {
        self.password = Some(password.into());
        self
    }
    /// TLS with certificates of its own; connections without it are still let in.
    pub fn tls(mut self) -> Self {
        self.tls = true;
        self
    }
    /// A line of `pg_hba.conf`, before the usual ones.
    pub fn access(mut self, line: &str) -> Self {
        self.access.push(line.into());
        self
    }
    /// A setting of `postgresql.conf`, after the usual ones: `("wal_sender_timeout", "1s")`.
    pub fn setting(mut self, name: &str, value: &str) -> Self {
        self.settings.push((name.into(), value.into()));
        self
    }

    /// Another release than the machine's, as "17.5.0".
    pub fn release(mut self, release: &str) -> Self {
        self.release = Some(release.into());
        self
    }

    pub fn start(self) -> io::Result<Postgres> {
        let plain = self.password.is_none() && !self.tls && self.access.is_empty() && self.settings.is_empty();
        let plain = plain && self.release.is_none();
        match std::env::var(URL_VARIABLE) {
            Ok(url) if plain && !url.is_empty() => Postgres::at(&url),
            _ => self.start_local(),
        }
    }

    fn start_local(self) -> io::Result<Postgres> {
        let directory = tempfile::Builder::new().prefix("weir-postgres-").tempdir()?;
        let data = directory.path().join("data");
        let cluster = match &self.release {
            Some(release) => Some(Cluster::of(release::unpack(release, &directory.path().join("programs"))?, data)),
            None => Cluster::new(data),
        };
        let cluster = cluster.ok_or_else(|| {
            io::Error::other(format!("no PostgreSQL server here: apt-get install postgresql, or set {URL_VARIABLE}"))
        })?;
        // initdb runs as somebody else, who must be able to reach the directory.
        account::own(directory.path(), cluster.account, 0o755)?;
        cluster.make()?;
        let data = cluster.data();
        let certificates =
            if self.tls { Some(Certificates::make(directory.path(), data, cluster.account)?) } else { None };
        let port = process::free_port()?;
        fs::write(data.join("pg_hba.conf"), self.access_file())?;
        let mut settings = fs::read_to_string(data.join("postgresql.conf"))?;
        settings.push_str(&self.settings_file(directory.path(), port));
        fs::write(data.join("postgresql.conf"), settings)?;

        let local = Local { cluster, certificates, process: Mutex::new(None), directory };
        let server = Postgres::of(local, port, self.password);
        server.launch()?;
        if let Some(password) = &server.password {
            server.sql(&format!("ALTER ROLE {SUPERUSER} PASSWORD '{}'", password.replace('\'', "''")))?;
        }
        Ok(server)
    }

    fn access_file(&self) -> String {
        let method = if self.password.is_some() { "scram-sha-256" } else { "trust" };
        let mut text = String::new();
        for line in &self.access {
            text.push_str(line);
            text.push('\n');
        }
        text + &format!(
            "local all,replication all trust\nhost all all 127.0.0.1/32 {method}\nhost all all ::1/128 {method}\n"
        )
    }

    fn settings_file(&self, sockets: &Path, port: u16) -> String {
        // Commits stay synchronous: otherwise the log is written every 200 ms, and a walsender sends only what is written.
        let mut text = format!(
            "\nlisten_addresses = '127.0.0.1'\nport = {port}\nunix_socket_directories = '{}'\nwal_level = logical\n\
             fsync = off\nfull_page_writes = off\nmax_replication_slots = 50\n\
             max_wal_senders = 50\nmax_connections = 200\nshared_buffers = 128MB\nmax_wal_size = 4GB\n\
             log_line_prefix = '%m [%p] '\n",
            sockets.display()
        );
        if self.tls {
            text.push_str(
                "ssl = on\nssl_cert_file = 'server.crt'\nssl_key_file = 'server.key'\nssl_ca_file = 'ca.crt'\n",
            );
        }
        for (name, value) in &self.settings {
            text.push_str(&format!("{name} = '{}'\n", value.replace('\'', "''")));
        }
        text
    }
}
