//! Every option of Debezium's connector is known, and set to its default says nothing.

use std::collections::BTreeMap;
use weir_api::{Effect, Finding, Key, KeyType, Settings};
use weir_postgres::{KEYS, check};

const OPTIONS: &str = include_str!("data/debezium-options.tsv");

fn options() -> impl Iterator<Item = (&'static str, Option<&'static str>)> {
    let lines = OPTIONS.lines().filter(|l| !l.starts_with('#'));
    lines.filter_map(|l| l.split_once('\t')).map(|(name, default)| (name, Some(default).filter(|d| *d != "-")))
}

/// What is said of one key among settings that are in order.
fn said(name: &str, value: &str) -> Vec<Finding> {
    let mut settings = BTreeMap::from(
        [("topic.prefix", "p"), ("database.hostname", "h"), ("database.user", "u"), ("database.dbname", "d")]
            .map(|(k, v)| (k.to_string(), v.to_string())),
    );
    settings.insert(name.into(), value.into());
    let own = KEYS.key(name).and_then(|k| k.check(value));
    own.into_iter().chain(check(&Settings { values: settings })).collect()
}

#[test]
fn every_option_is_known_and_silent_at_its_default() {
    assert!(options().count() > 140);
    for (name, default) in options() {
        assert!(KEYS.takes(name), "{name} is not known");
        if let Some(default) = default {
            let findings = said(name, default);
            assert!(findings.is_empty(), "{name} = {default}: {findings:?}");
        }
        let is_text = |k: &Key| !matches!(k.kind, KeyType::Int | KeyType::Boolean | KeyType::Long);
        if KEYS.key(name).is_some_and(|k| k.effect != Effect::Works && is_text(k)) && default.is_none() {
            assert!(said(name, "").is_empty(), "{name} set to nothing");
        }
    }
}

#[test]
fn what_has_no_effect_says_why() {
    for key in KEYS.keys {
        let other = ["true", "false", "17", "other"]
            .into_iter()
            .filter(|v| key.default.is_none_or(|d| d != *v))
            .find(|v| key.check(v).is_none_or(|f| f.code != "config.wrong-type"));
        let found = said(key.name, other.unwrap());
        match key.effect {
            Effect::Works => {}
            Effect::Ignored(why) => {
                assert!(found.iter().any(|f| !f.is_error() && f.message.ends_with(why)), "{}: {found:?}", key.name)
            }
            Effect::Refused(instead) => {
                assert!(
                    found.iter().any(|f| f.is_error() && f.help.as_deref() == Some(instead)),
                    "{}: {found:?}",
                    key.name
                )
            }
        }
    }
}

#[test]
fn names_are_said_once() {
    let mut names: Vec<_> = KEYS.keys.iter().map(|k| k.name).collect();
    names.sort_unstable();
    let count = names.len();
    names.dedup();
    assert_eq!(names.len(), count);
}

#[test]
fn families_and_values_are_checked() {
    for (name, value, code) in [
        ("column.mask.with.12.chars", "public.t.c", "config.not-supported"),
        ("column.mask.hash.SHA-256.with.salt.x", "public.t.c", "config.not-supported"),
        ("column.truncate.to.5.chars", "public.t.c", "config.not-supported"),
        ("snapshot.select.statement.overrides.public.t", "SELECT 1", "config.no-effect"),
        ("signal.kafka.topic", "s", "config.no-effect"),
        ("openlineage.integration.job.namespace", "n", "config.no-effect"),
        ("internal.log.position.check.enable", "false", "config.no-effect"),
        ("slot.stream.params", "streaming=on", "postgres.stream-params"),
        ("message.key.columns", "public.t", "config.not-allowed"),
        ("table.include.list", "(", "config.pattern"),
        ("slot.name", "Bad Name", "postgres.slot-name"),
        ("lsn.flush.mode", "manual", "config.not-allowed"),
        ("offset.mismatch.strategy", "trust_slot", "config.not-allowed"),
    ] {
        let found = said(name, value);
        let codes: Vec<_> = found.iter().map(|f| f.code).collect();
        assert_eq!(codes, [code], "{name}");
        assert!(found[0].message.contains(name) || name == "slot.name", "{found:?}");
    }
    assert_eq!(check(&Settings::default())[0].key.as_deref(), Some("database.hostname"));
}
