//! Where a server is and how it wants to be spoken to: the words of libpq and of Debezium's `database.*` keys.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use weir_api::Error;

/// How much TLS is wanted, spelled as libpq and Debezium spell it.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum SslMode {
    /// never
    Disable,
    /// only when the server does not let us in without
    Allow,
    /// when the server offers it
    #[default]
    Prefer,
    /// always; the certificate is checked only when `sslrootcert` is given
    Require,
    /// always; the certificate must come from a trusted authority
    VerifyCa,
    /// always; the certificate must also be for the host
    VerifyFull,
}

/// What a connection needs to know. `ConnectOptions { host: …, ..Default::default() }`
#[derive(Clone)]
pub struct ConnectOptions {
    /// a name, an address, or the directory of a unix socket (begins with `/`)
    pub host: String,
    pub port: u16,
    /// the other servers of a cluster, where there are some: the first one that may be written to is taken
    pub others: Vec<(String, u16)>,
    pub user: String,
    pub password: Option<String>,
    pub database: String,
    pub sslmode: SslMode,
    /// PEM file of trusted authorities, or `system`. Not given: `~/.postgresql/root.crt`, else those of the system
    pub sslrootcert: Option<PathBuf>,
    /// the client's certificate and its chain, PEM or DER. Not given: `~/.postgresql/postgresql.crt` if it exists
    pub sslcert: Option<PathBuf>,
    /// the client's key without a password, PEM or PKCS#8 DER. Not given: `~/.postgresql/postgresql.key` if it exists
    pub sslkey: Option<PathBuf>,
    /// for each address of the host, up to the first prompt of the server
    pub connect_timeout: Duration,
    pub tcp_keepalive: bool,
    pub application_name: String,
    /// a session that can stream changes (`replication=database`); it can run simple queries, too
    pub replication: bool,
    /// settings of the session: `("wal_sender_timeout", "60s")`
    pub options: Vec<(String, String)>,
    /// SQL that a session begins with, but not one that streams
    pub initial: Vec<String>,
}

// === impl SslMode ===

const MODES: [(&str, SslMode); 6] = [
    ("disable", SslMode::Disable),
    ("allow", SslMode::Allow),
    ("prefer", SslMode::Prefer),
    ("require", SslMode::Require),
    ("verify-ca", SslMode::VerifyCa),
    ("verify-full", SslMode::VerifyFull),
];

impl SslMode {
    pub fn as_str(self) -> &'static str {
        MODES.iter().find(|(_, mode)| *mode == self).map_or("", |(name, _)| name)
    }
}

impl FromStr for SslMode {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        MODES.iter().find(|(name, _)| name.eq_ignore_ascii_case(text)).map(|(_, mode)| *mode).ok_or_else(|| {
            Error::input("postgres.tls", format!("unknown sslmode '{text}'"))
                .help("one of disable, allow, prefer, require, verify-ca, verify-full")
        })
    }
}

impl fmt::Display for SslMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

// === impl ConnectOptions ===

impl ConnectOptions {
    /// `host:port`, or the path of the unix socket.
    pub fn address(&self) -> String {
        if self.is_unix() {
            format!("{}/.s.PGSQL.{}", self.host.trim_end_matches('/'), self.port)
        } else if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }

    /// Each server alone.
    pub(crate) fn each(&self) -> impl Iterator<Item = ConnectOptions> {
        let first = (self.host.clone(), self.port);
        let all = std::iter::once(first).chain(self.others.iter().cloned());
        all.map(|(host, port)| ConnectOptions { host, port, others: Vec::new(), ..self.clone() })
    }

    pub(crate) fn is_unix(&self) -> bool {
        self.host.starts_with('/')
    }

    /// The startup packet's names and values: text in one form, whatever the server's or the role's settings say.
    pub(crate) fn startup_parameters(&self) -> Vec<(&'static str, String)> {
        let mut all = vec![
            ("user", self.user.clone()),
            ("database", self.database.clone()),
            ("application_name", self.application_name.clone()),
            ("client_encoding", "UTF8".to_owned()),
            ("DateStyle", "ISO".to_owned()),
            ("TimeZone", "UTC".to_owned()),
            ("extra_float_digits", "3".to_owned()),
        ];
        if self.replication {
            all.push(("replication", "database".to_owned()));
            // A walsender prints values with the session's settings; a query's caller may set these itself.
            all.push(("IntervalStyle", "postgres".to_owned()));
            all.push(("bytea_output", "hex".to_owned()));
        }
        let settings: Vec<String> = self.options.iter().map(|(name, value)| setting(name, value)).collect();
        if !settings.is_empty() {
            all.push(("options", settings.join(" ")));
        }
        all
    }
}

impl Default for ConnectOptions {
    fn default() -> Self {
        ConnectOptions {
            host: "localhost".into(),
            port: 5432,
            others: Vec::new(),
            user: "postgres".into(),
            password: None,
            database: "postgres".into(),
            sslmode: SslMode::default(),
            sslrootcert: None,
            sslcert: None,
            sslkey: None,
            connect_timeout: Duration::from_secs(10),
            tcp_keepalive: true,
            application_name: "weir".into(),
            replication: false,
            options: Vec::new(),
            initial: Vec::new(),
        }
    }
}

/// Without the password, and without the session's settings, which may hold one.
impl fmt::Debug for ConnectOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("ConnectOptions");
        out.field("address", &self.address()).field("user", &self.user).field("database", &self.database);
        out.field("sslmode", &self.sslmode).field("replication", &self.replication).finish_non_exhaustive()
    }
}

/// `-c name=value`, with the blanks and backslashes of the value escaped as the server splits it.
fn setting(name: &str, value: &str) -> String {
    let mut out = format!("-c {name}=");
    for c in value.chars() {
        if c == '\\' || c.is_whitespace() {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_mode_is_read_as_it_is_written() {
        for (name, mode) in MODES {
            assert_eq!(name.parse::<SslMode>().unwrap(), mode);
            assert_eq!(mode.to_string(), name);
        }
        assert_eq!("verify_full".parse::<SslMode>().unwrap_err().code(), "postgres.tls");
    }

    #[test]
    fn a_password_is_not_printed() {
        let options = ConnectOptions { password: Some("hunter2".into()), ..Default::default() };
        assert!(!format!("{options:?}").contains("hunter2"));
    }

    #[test]
    fn settings_are_escaped() {
        let options = vec![("search_path".into(), r"a b\".into()), ("work_mem".into(), "1MB".into())];
        let options = ConnectOptions { options, ..Default::default() };
        let sent = options.startup_parameters();
        assert_eq!(sent.last().unwrap(), &("options", r"-c search_path=a\ b\\ -c work_mem=1MB".to_owned()));
    }
}
