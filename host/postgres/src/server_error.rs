//! What a server's refusal means for us: a stable code, whether it heals by itself, and the SQL or setting that mends it.
//!
//! Refusals are told apart by SQLSTATE and, where one stands for several things, by the routine that raised them (never
//! translated) or the English text. Details, contexts and statements are left out: they may hold a row's values.

use weir_api::{Cure, Error};

use crate::frame;

/// An ErrorResponse.
#[derive(Clone, Default, Debug)]
pub struct ServerError {
    pub sqlstate: String,
    pub message: String,
    pub routine: String,
}

/// Whose refusal it is, for help that can be copied.
#[derive(Clone, Debug)]
pub struct Peer {
    pub address: String,
    pub user: String,
    pub database: String,
}

/// The first rule that matches wins.
struct Rule {
    /// the SQLSTATE or its beginning
    sqlstate: &'static str,
    /// a part of the routine or of the text; empty for any
    mark: &'static str,
    code: &'static str,
    cure: Cure,
    /// `{user}` and `{database}` are filled in
    help: &'static str,
}

const fn rule(sqlstate: &'static str, mark: &'static str, code: &'static str, cure: Cure, help: &'static str) -> Rule {
    Rule { sqlstate, mark, code, cure, help }
}

const RULES: &[Rule] = &[
    rule("28P01", "", "postgres.password", Cure::Environment, "ALTER ROLE {user} PASSWORD '…'"),
    rule(
        "28000",
        "does not exist",
        "postgres.role-missing",
        Cure::Environment,
        "CREATE ROLE {user} LOGIN REPLICATION PASSWORD '…'",
    ),
    rule("28000", "not permitted to log in", "postgres.right-missing", Cure::Environment, "ALTER ROLE {user} LOGIN"),
    rule(
        "28",
        "",
        "postgres.access",
        Cure::Environment,
        "a line in pg_hba.conf: host {database} {user} ADDRESS scram-sha-256, then SELECT pg_reload_conf()",
    ),
    rule("3D000", "", "postgres.database-missing", Cure::Environment, "CREATE DATABASE {database}"),
    // up to version 15, and since
    rule("42501", "walsender", "postgres.right-missing", Cure::Environment, "ALTER ROLE {user} REPLICATION"),
    rule("42501", "start WAL sender", "postgres.right-missing", Cure::Environment, "ALTER ROLE {user} REPLICATION"),
    rule("42501", "replication", "postgres.right-missing", Cure::Environment, "ALTER ROLE {user} REPLICATION"),
    rule("42501", "CheckSlotPermissions", "postgres.right-missing", Cure::Environment, "ALTER ROLE {user} REPLICATION"),
    rule("42501", "for schema", "postgres.right-missing", Cure::Environment, "GRANT USAGE ON SCHEMA … TO {user}"),
    rule("42501", "for table", "postgres.right-missing", Cure::Environment, "GRANT SELECT ON TABLE … TO {user}"),
    rule(
        "42501",
        "for database",
        "postgres.right-missing",
        Cure::Environment,
        "GRANT CREATE ON DATABASE {database} TO {user}",
    ),
    rule(
        "42501",
        "must be owner",
        "postgres.right-missing",
        Cure::Environment,
        "ALTER TABLE … OWNER TO {user}, or let the owner create the publication",
    ),
    rule("42501", "", "postgres.right-missing", Cure::Environment, "GRANT the right that is named to {user}"),
    rule(
        "55006",
        "eplication",
        "postgres.slot-in-use",
        Cure::Retry,
        "SELECT active_pid FROM pg_replication_slots; SELECT pg_terminate_backend(active_pid) ends the other reader",
    ),
    rule("55006", "", "postgres.in-use", Cure::Retry, ""),
    rule(
        "42710",
        "ReplicationSlotCreate",
        "postgres.slot-exists",
        Cure::Environment,
        "SELECT pg_drop_replication_slot('…') if nobody needs it, or another slot name",
    ),
    rule(
        "42710",
        "replication slot",
        "postgres.slot-exists",
        Cure::Environment,
        "SELECT pg_drop_replication_slot('…') if nobody needs it, or another slot name",
    ),
    rule(
        "42704",
        "eplicationSlot",
        "postgres.slot-missing",
        Cure::Environment,
        "SELECT pg_create_logical_replication_slot('…', 'pgoutput')",
    ),
    rule(
        "42704",
        "replication slot",
        "postgres.slot-missing",
        Cure::Environment,
        "SELECT pg_create_logical_replication_slot('…', 'pgoutput')",
    ),
    rule("42704", "publication", "postgres.publication-missing", Cure::Environment, "CREATE PUBLICATION … FOR TABLE …"),
    rule(
        "55000",
        "CheckLogicalDecodingRequirements",
        "postgres.wal-level",
        Cure::Environment,
        "ALTER SYSTEM SET wal_level = logical, then restart the server",
    ),
    rule(
        "55000",
        "wal_level",
        "postgres.wal-level",
        Cure::Environment,
        "ALTER SYSTEM SET wal_level = logical, then restart the server",
    ),
    rule(
        "55000",
        "can no longer",
        "postgres.slot-lost",
        Cure::Environment,
        "SELECT pg_drop_replication_slot('…') and take a new snapshot; max_slot_wal_keep_size says how much log a slot may hold",
    ),
    rule(
        "55000",
        "invalidated",
        "postgres.slot-lost",
        Cure::Environment,
        "SELECT pg_drop_replication_slot('…') and take a new snapshot; max_slot_wal_keep_size says how much log a slot may hold",
    ),
    rule(
        "55000",
        "cannot read from logical replication slot",
        "postgres.slot-lost",
        Cure::Environment,
        "SELECT pg_drop_replication_slot('…') and take a new snapshot",
    ),
    rule(
        "58P01",
        "WAL segment",
        "postgres.slot-lost",
        Cure::Environment,
        "SELECT pg_drop_replication_slot('…') and take a new snapshot; max_slot_wal_keep_size says how much log a slot may hold",
    ),
    rule(
        "53400",
        "replication slots",
        "postgres.slots-exhausted",
        Cure::Environment,
        "SELECT pg_drop_replication_slot('…') of one that nobody reads; or ALTER SYSTEM SET max_replication_slots = …, then restart \
         the server",
    ),
    rule(
        "53300",
        "max_wal_senders",
        "postgres.connections-exhausted",
        Cure::Retry,
        "ALTER SYSTEM SET max_wal_senders = …, then restart the server",
    ),
    rule(
        "53300",
        "",
        "postgres.connections-exhausted",
        Cure::Retry,
        "ALTER SYSTEM SET max_connections = …, then restart the server",
    ),
    rule(
        "42883",
        "no binary output function",
        "postgres.no-binary-form",
        Cure::Environment,
        "a published table has an array or a composite type that has no binary form: remove `binary` from `slot.stream.params`",
    ),
    rule("57P03", "", "postgres.starting", Cure::Retry, ""),
    rule("57P04", "", "postgres.database-missing", Cure::Environment, "CREATE DATABASE {database}"),
    rule("57P", "", "postgres.shutting-down", Cure::Retry, ""),
    rule("57014", "", "postgres.canceled", Cure::Retry, "statement_timeout, or somebody canceled it"),
    rule("08", "", "postgres.connection-lost", Cure::Retry, ""),
    rule("40", "", "postgres.conflict", Cure::Retry, ""),
    rule("55P03", "", "postgres.conflict", Cure::Retry, "SELECT * FROM pg_locks WHERE NOT granted"),
    rule("53", "", "postgres.resources", Cure::Retry, ""),
    rule("58", "", "postgres.server", Cure::Retry, ""),
];

/// Classes whose texts quote the data: what was entered, or what a user's own function says of it.
const QUOTING: [&str; 3] = ["22", "23", "P0"];

// === impl ServerError ===

impl ServerError {
    /// The body of an ErrorResponse: fields of a letter and a zero-terminated text.
    pub fn parse(mut body: &[u8]) -> ServerError {
        let mut error = ServerError::default();
        while let Some((kind, rest)) = body.split_first() {
            let Some((text, rest)) = frame::text(rest) else { break };
            let place = match kind {
                b'C' => Some(&mut error.sqlstate),
                b'M' => Some(&mut error.message),
                b'R' => Some(&mut error.routine),
                _ => None,
            };
            if let Some(place) = place {
                *place = String::from_utf8_lossy(text).into_owned();
            }
            body = rest;
        }
        error
    }

    pub fn into_error(self, peer: &Peer) -> Error {
        let found = RULES.iter().find(|r| {
            self.sqlstate.starts_with(r.sqlstate)
                && (r.mark.is_empty() || self.routine.contains(r.mark) || self.message.contains(r.mark))
        });
        let (code, cure, help) = found.map_or(("postgres.server", Cure::Environment, ""), |r| (r.code, r.cure, r.help));
        let message = if self.sqlstate == "22023" {
            // About a setting: its name may be said, its value not.
            self.message.split(':').next().unwrap_or_default().to_owned()
        } else if QUOTING.iter().any(|class| self.sqlstate.starts_with(class)) {
            self.message.split(['"', ':', '\'', '(']).next().unwrap_or_default().trim_end().to_owned()
        } else {
            self.message
        };
        let error = Error::new(code, cure, format!("{message} (SQLSTATE {})", self.sqlstate));
        match help {
            "" => error,
            help => {
                error.help(help.replace("{user}", &ident(&peer.user)).replace("{database}", &ident(&peer.database)))
            }
        }
    }
}

/// A name as it must be written in SQL: in quotes where it needs them.
pub fn ident(name: &str) -> String {
    let simple = name.starts_with(|c: char| c.is_ascii_lowercase() || c == '_')
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    if simple { name.to_owned() } else { quoted(name) }
}

/// A name in double quotes.
pub fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(sqlstate: &str, message: &str, routine: &str) -> Error {
        let body = format!("SERROR\0C{sqlstate}\0M{message}\0R{routine}\0DKey (id)=(7) is secret\0\0");
        let peer = Peer { address: "h:1".into(), user: "Eve".into(), database: "shop".into() };
        ServerError::parse(body.as_bytes()).into_error(&peer)
    }

    #[test]
    fn refusals_are_told_apart() {
        for (sqlstate, message, routine, code, cure) in [
            ("28P01", "password authentication failed", "auth_failed", "postgres.password", Cure::Environment),
            ("3D000", "database \"x\" does not exist", "InitPostgres", "postgres.database-missing", Cure::Environment),
            ("55006", "replication slot \"s\" is active for PID 1", "", "postgres.slot-in-use", Cure::Retry),
            ("42704", "übersetzt", "ReplicationSlotAcquire", "postgres.slot-missing", Cure::Environment),
            ("42704", "publication \"p\" does not exist", "", "postgres.publication-missing", Cure::Environment),
            ("42704", "type \"p\" does not exist", "typenameType", "postgres.server", Cure::Environment),
            ("55000", "übersetzt", "CheckLogicalDecodingRequirements", "postgres.wal-level", Cure::Environment),
            ("57P01", "terminating connection", "", "postgres.shutting-down", Cure::Retry),
            ("57P03", "the database system is starting up", "", "postgres.starting", Cure::Retry),
            ("53300", "too many clients already", "", "postgres.connections-exhausted", Cure::Retry),
            ("55006", "database \"x\" is being accessed by other users", "", "postgres.in-use", Cure::Retry),
            ("42710", "übersetzt", "ReplicationSlotCreate", "postgres.slot-exists", Cure::Environment),
            ("57014", "canceling statement due to statement timeout", "", "postgres.canceled", Cure::Retry),
            ("40P01", "deadlock detected", "", "postgres.conflict", Cure::Retry),
            ("55P03", "could not obtain lock", "", "postgres.conflict", Cure::Retry),
            ("53100", "could not extend file", "", "postgres.resources", Cure::Retry),
            ("42601", "syntax error", "", "postgres.server", Cure::Environment),
        ] {
            let error = error(sqlstate, message, routine);
            assert_eq!((error.code(), error.cure()), (code, cure), "{sqlstate} {message}");
            assert!(error.message().contains(sqlstate));
        }
    }

    #[test]
    fn help_names_the_role_as_sql_wants_it() {
        let error = error("42501", "must be superuser or replication role to start walsender", "InitPostgres");
        assert_eq!(error.hint(), Some("ALTER ROLE \"Eve\" REPLICATION"));
        let error = self::error("42501", "permission denied to start WAL sender", "InitPostgres");
        assert_eq!(error.hint(), Some("ALTER ROLE \"Eve\" REPLICATION"));
    }

    #[test]
    fn values_stay_out() {
        for message in ["invalid input syntax for type integer: \"4711\"", "duplicate key (4711)"] {
            let error = error("22P02", message, "pg_strtoint32_safe");
            assert!(!format!("{error:?}").contains("4711"), "{error:?}");
            assert!(!format!("{error:?}").contains("secret"));
        }
    }

    #[test]
    fn broken_bodies_are_harmless() {
        for body in [&b""[..], b"C", b"C28P01", b"\0", b"Mx\0\xff\xff\0\0"] {
            ServerError::parse(body);
        }
    }
}
