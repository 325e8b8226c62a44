//! `slot.stream.params`: options of `START_REPLICATION` beside those that we need ourselves.

use crate::Connection;
use weir_api::Error;

/// Debezium's key.
pub const KEY: &str = "slot.stream.params";

#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct StreamOptions {
    /// cells in the types' binary form
    pub binary: bool,
    /// only what was written here, not what came by replication; from PostgreSQL 16 on
    pub origin_none: Option<bool>,
}

// === impl StreamOptions ===

impl StreamOptions {
    /// "name=value;name=value"
    pub fn parse(text: &str) -> Result<StreamOptions, Error> {
        let mut options = StreamOptions::default();
        for part in text.split(';').map(str::trim).filter(|p| !p.is_empty()) {
            let wrong = |why: String| Error::input("postgres.stream-params", why);
            let Some((name, value)) = part.split_once('=').map(|(n, v)| (n.trim(), v.trim())) else {
                return Err(wrong(format!("`{KEY}` holds \"{part}\", which sets nothing"))
                    .help("name=value;name=value, as \"binary=true\""));
            };
            let cannot = || wrong(format!("`{KEY}`: `{name}` cannot be \"{value}\""));
            match name.to_ascii_lowercase().as_str() {
                "binary" => options.binary = flag(value).ok_or_else(|| cannot().help("true or false"))?,
                "origin" => {
                    options.origin_none = Some(match value.to_ascii_lowercase().as_str() {
                        "none" => true,
                        "any" => false,
                        _ => return Err(cannot().help("none or any")),
                    })
                }
                "messages" if flag(value) == Some(false) => {}
                known => {
                    return Err(wrong(format!("`{KEY}`: `{name}` cannot be set")).help(instead(known)));
                }
            }
        }
        Ok(options)
    }

    /// As the server takes them.
    pub fn options(&self) -> Vec<(&'static str, &'static str)> {
        let mut all = vec![];
        if self.binary {
            all.push(("binary", "true"))
        }
        if let Some(none) = self.origin_none {
            all.push(("origin", if none { "none" } else { "any" }))
        }
        all
    }

    /// What the server is too old for.
    pub fn check(&self, sql: &Connection) -> Result<(), Error> {
        let major = sql.major_version();
        if self.origin_none.is_some() && major < 16 {
            let message = format!("`{KEY}`: the server is PostgreSQL {major}, and `origin` exists from 16 on");
            return Err(Error::environment("postgres.version", message).help("remove `origin`, or upgrade the server"));
        }
        Ok(())
    }
}

/// As the server reads it.
fn flag(value: &str) -> Option<bool> {
    match value.to_ascii_lowercase().as_str() {
        "true" | "on" | "1" => Some(true),
        "false" | "off" | "0" => Some(false),
        _ => None,
    }
}

fn instead(name: &str) -> &'static str {
    match name {
        "proto_version" => "remove it: version 1 of the protocol is spoken, or 2 with `stream.in.progress`",
        "publication_names" => "remove it, and set `publication.name`",
        "streaming" => "remove it, and set `stream.in.progress`",
        "two_phase" => "remove it: prepared transactions come when they are committed",
        "messages" => "remove it: logical messages are not captured",
        _ => "of pgoutput's options binary and origin can be set",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_values_are_told_apart() {
        let parse = StreamOptions::parse;
        assert_eq!(parse("").unwrap(), StreamOptions::default());
        let all = parse(" binary = TRUE ; origin=none;").unwrap();
        assert_eq!(all.options(), [("binary", "true"), ("origin", "none")]);
        assert!(parse("binary=off;messages=false").unwrap().options().is_empty());
    }

    #[test]
    fn what_cannot_be_set_says_what_works() {
        for (text, help) in [
            ("binary", "name=value"),
            ("binary=perhaps", "true or false"),
            ("origin=here", "none or any"),
            ("proto_version=2", "version 1"),
            ("publication_names=p", "`publication.name`"),
            ("streaming=on", "`stream.in.progress`"),
            ("two_phase=true", "prepared"),
            ("messages=true", "not captured"),
            ("nonsense=1", "binary and origin"),
        ] {
            let error = StreamOptions::parse(text).unwrap_err();
            assert_eq!(error.code(), "postgres.stream-params");
            assert!(error.hint().is_some_and(|h| h.contains(help)), "{text}: {error:?}");
        }
    }
}
