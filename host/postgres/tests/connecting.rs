//! Connecting to a real server in each way it can ask for, and being refused.
// The lints let tests do this, but not the functions that tests share.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::sync::OnceLock;
use std::time::Duration;

use weir_api::{Cure, Error};
use weir_postgres::{ConnectOptions, Connection, SslMode};
use weir_testkit::Postgres;

/// One server with TLS, and a user for each way of proving oneself.
fn server() -> &'static Postgres {
    static SERVER: OnceLock<Postgres> = OnceLock::new();
    SERVER.get_or_init(|| {
        let server = Postgres::builder()
            .tls()
            .access("host all clear all password")
            .access("host all digest all md5")
            .access("host all scram all scram-sha-256")
            .access("hostssl all only_tls all trust")
            .access("hostnossl all only_tls all reject")
            .access("hostnossl all only_plain all trust")
            .access("hostssl all only_plain all reject")
            .access("hostssl all certified all cert")
            .access("host all nobody all reject")
            .start()
            .unwrap();
        server
            .sql(
                "CREATE ROLE clear LOGIN PASSWORD 'Geheim'; CREATE ROLE scram LOGIN PASSWORD 'pässwörd\u{a0}1';
                 SET password_encryption = 'md5'; CREATE ROLE digest LOGIN PASSWORD 'Geheim';
                 CREATE ROLE only_tls LOGIN; CREATE ROLE only_plain LOGIN; CREATE ROLE certified LOGIN;
                 CREATE ROLE nobody LOGIN; CREATE ROLE asleep NOLOGIN; CREATE ROLE reader LOGIN",
            )
            .unwrap();
        server
    })
}

fn options(user: &str, sslmode: SslMode) -> ConnectOptions {
    ConnectOptions {
        host: "localhost".into(),
        port: server().port(),
        user: user.into(),
        sslmode,
        ..ConnectOptions::default()
    }
}

fn with_password(user: &str, password: &str, sslmode: SslMode) -> ConnectOptions {
    ConnectOptions { password: Some(password.into()), ..options(user, sslmode) }
}

/// Whether the session is encrypted, by its own account and by the server's.
#[track_caller]
fn connects(options: &ConnectOptions) -> bool {
    let mut connection = Connection::connect(options).unwrap();
    let sql = "SELECT current_user, (SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()), pg_backend_pid()";
    let rows = connection.simple_query(sql).unwrap();
    let tls = connection.is_tls();
    assert_eq!(rows[0][0].as_deref(), Some(options.user.as_str()));
    assert_eq!(rows[0][1].as_deref(), Some(if tls { "t" } else { "f" }));
    assert_eq!(rows[0][2], Some(connection.backend().to_string()));
    assert!(connection.major_version() >= 10);
    tls
}

#[track_caller]
fn refused(options: &ConnectOptions) -> Error {
    let Err(error) = Connection::connect(options) else { panic!("let in") };
    error
}

#[test]
fn every_authentication_works_with_and_without_tls() {
    for (user, password) in [("postgres", ""), ("clear", "Geheim"), ("digest", "Geheim"), ("scram", "pässwörd\u{a0}1")]
    {
        assert!(!connects(&with_password(user, password, SslMode::Disable)), "{user}");
        assert!(!connects(&with_password(user, password, SslMode::Allow)), "{user}");
        assert!(connects(&with_password(user, password, SslMode::Prefer)), "{user}");
        assert!(connects(&with_password(user, password, SslMode::Require)), "{user}");
    }
}

#[test]
fn allow_and_prefer_try_the_other_way() {
    assert!(connects(&options("only_tls", SslMode::Allow)));
    assert!(!connects(&options("only_plain", SslMode::Prefer)));
    assert_eq!(refused(&options("only_tls", SslMode::Disable)).code(), "postgres.access");
    assert_eq!(refused(&options("only_plain", SslMode::Require)).code(), "postgres.access");
}

#[test]
fn certificates_are_checked_as_far_as_asked() {
    let certificates = server().certificates().unwrap();
    let trusting = |sslmode, host: &str, root: &std::path::Path| ConnectOptions {
        host: host.into(),
        sslrootcert: Some(root.to_owned()),
        ..options("postgres", sslmode)
    };
    for host in ["localhost", "127.0.0.1"] {
        assert!(connects(&trusting(SslMode::VerifyFull, host, &certificates.authority)));
    }
    for mode in [SslMode::Require, SslMode::VerifyCa, SslMode::VerifyFull] {
        assert!(connects(&trusting(mode, "localhost", &certificates.authority)), "{mode}");
        let error = refused(&trusting(mode, "localhost", &certificates.stranger));
        assert_eq!((error.code(), error.cure()), ("postgres.tls", Cure::Environment), "{mode}");
        assert!(error.hint().unwrap().contains("sslrootcert"));
    }
    // The server's own certificate may stand for the authority.
    let own = server().data_dir().unwrap().join("server.crt");
    assert!(connects(&trusting(SslMode::VerifyFull, "localhost", &own)));
    // Nobody on this machine trusts the throw-away authority.
    for mode in [SslMode::VerifyCa, SslMode::VerifyFull] {
        assert_eq!(refused(&options("postgres", mode)).code(), "postgres.tls");
    }
    let missing = trusting(SslMode::VerifyCa, "localhost", "/nowhere/root.crt".as_ref());
    assert!(refused(&missing).message().contains("/nowhere/root.crt"));
    let system = trusting(SslMode::VerifyCa, "localhost", "system".as_ref());
    assert!(refused(&system).message().contains("verify-full"));
}

#[test]
fn a_name_that_the_certificate_lacks_is_refused_only_by_verify_full() {
    let server = Postgres::builder()
        .tls()
        .setting("listen_addresses", "127.0.0.1,127.0.0.2")
        .access("host all all 127.0.0.2/32 trust")
        .start()
        .unwrap();
    let certificates = server.certificates().unwrap();
    let by = |sslmode| ConnectOptions {
        host: "127.0.0.2".into(),
        port: server.port(),
        sslmode,
        sslrootcert: Some(certificates.authority.clone()),
        ..ConnectOptions::default()
    };
    assert!(connects(&by(SslMode::VerifyCa)));
    let error = refused(&by(SslMode::VerifyFull));
    assert_eq!(error.code(), "postgres.tls");
    assert!(error.hint().unwrap().contains("verify-ca"), "{error:?}");
}

#[test]
fn a_client_certificate_lets_in() {
    let certificates = server().certificates().unwrap();
    let mut options = options("certified", SslMode::Require);
    assert_eq!(refused(&options).code(), "postgres.access");
    options.sslcert = Some(certificates.client.clone());
    assert_eq!(refused(&options).code(), "postgres.tls");
    options.sslkey = Some(certificates.client_key.clone());
    assert!(connects(&options));
    options.sslkey = Some(certificates.client.clone());
    assert!(refused(&options).hint().unwrap().contains("openssl pkcs8"));
}

#[test]
fn wrong_passwords_are_told_apart_from_missing_ones() {
    for user in ["clear", "digest", "scram"] {
        let error = refused(&with_password(user, "falsch", SslMode::Prefer));
        assert_eq!((error.code(), error.cure()), ("postgres.password", Cure::Environment), "{user}: {error:?}");
        assert!(error.hint().unwrap().contains(&format!("ALTER ROLE {user}")));
        assert!(!format!("{error:?}").contains("falsch"));
        let error = refused(&options(user, SslMode::Disable));
        assert!(error.code() == "postgres.password" && error.message().contains("none is given"), "{error:?}");
    }
}

#[test]
fn what_is_missing_is_named() {
    let mut missing = options("postgres", SslMode::Prefer);
    missing.database = "No such".into();
    let error = refused(&missing);
    assert_eq!((error.code(), error.cure()), ("postgres.database-missing", Cure::Environment));
    assert_eq!(error.hint(), Some("CREATE DATABASE \"No such\""));
    assert_eq!(refused(&options("stranger", SslMode::Prefer)).code(), "postgres.role-missing");
    assert_eq!(refused(&options("asleep", SslMode::Prefer)).hint(), Some("ALTER ROLE asleep LOGIN"));
    assert_eq!(refused(&options("nobody", SslMode::Prefer)).code(), "postgres.access");
    let reader = ConnectOptions { replication: true, ..options("reader", SslMode::Prefer) };
    let error = refused(&reader);
    assert_eq!((error.code(), error.hint()), ("postgres.right-missing", Some("ALTER ROLE reader REPLICATION")));
}

#[test]
fn unix_sockets_ignore_sslmode() {
    let host = server().socket_dir().unwrap().display().to_string();
    assert!(!connects(&ConnectOptions { host, ..options("postgres", SslMode::Require) }));
}

#[test]
fn a_server_without_tls_is_refused_where_tls_is_asked_for() {
    let plain = Postgres::shared().unwrap();
    let by = |sslmode| ConnectOptions {
        host: plain.host().into(),
        port: plain.port(),
        user: plain.user().into(),
        password: plain.password().map(str::to_owned),
        sslmode,
        ..ConnectOptions::default()
    };
    assert!(!connects(&by(SslMode::Prefer)));
    let error = refused(&by(SslMode::Require));
    assert_eq!((error.code(), error.cure()), ("postgres.tls", Cure::Environment));
}

#[test]
fn nobody_there_is_worth_a_retry() {
    let port = weir_testkit::process::free_port().unwrap();
    let error = refused(&ConnectOptions { host: "127.0.0.1".into(), port, ..ConnectOptions::default() });
    assert_eq!((error.code(), error.cure()), ("postgres.connect", Cure::Retry));
    // One that takes the connection and says nothing.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = silent.local_addr().unwrap().port();
    for sslmode in [SslMode::Disable, SslMode::Require] {
        let connect_timeout = Duration::from_millis(100);
        let options =
            ConnectOptions { host: "127.0.0.1".into(), port, sslmode, connect_timeout, ..ConnectOptions::default() };
        let error = refused(&options);
        assert_eq!((error.code(), error.cure()), ("postgres.connect", Cure::Retry), "{error:?}");
    }
}

#[test]
fn sessions_have_our_settings_and_survive_refusals() {
    let mut options = options("postgres", SslMode::Disable);
    options.replication = true;
    options.options = vec![("wal_sender_timeout".into(), "17s".into()), ("weir.text".into(), r"a b\c".into())];
    let mut connection = Connection::connect(&options).unwrap();
    let error = connection.simple_query("SELECT 1; SELECT nothing").unwrap_err();
    assert_eq!(error.code(), "postgres.server");
    for (name, value) in [
        ("wal_sender_timeout", "17s"),
        ("weir.text", r"a b\c"),
        ("DateStyle", "ISO, MDY"),
        ("TimeZone", "UTC"),
        ("extra_float_digits", "3"),
        ("IntervalStyle", "postgres"),
        ("bytea_output", "hex"),
        ("client_encoding", "UTF8"),
        ("application_name", "weir"),
    ] {
        assert_eq!(connection.simple_query(&format!("SHOW {name}")).unwrap()[0][0].as_deref(), Some(value), "{name}");
    }
    assert_eq!(connection.simple_query("IDENTIFY_SYSTEM").unwrap()[0].len(), 4);
    assert_eq!(connection.parameter("integer_datetimes"), Some("on"));
    let rows = connection.simple_query("SELECT 1, NULL UNION ALL SELECT 2, ''; SELECT 'x'").unwrap();
    assert_eq!(rows.len(), 3);
    assert_eq!(rows[0], [Some("1".to_owned()), None]);
    let error = connection.simple_query("SELECT 'secret'::int").unwrap_err();
    assert!(!format!("{error:?}").contains("secret"));
}
