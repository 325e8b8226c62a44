//! What `[source.postgres]` and Debezium's connector take: its own names, its own defaults where we share them.
//!
//! Every option of Debezium 3.6 stands here, with what it does: it works; it is ignored, where no change's record differs without
//! it; or it is refused when it is set to anything but its default, and what works instead is named.

/// `ignored "name" Type "default" "doc" => "why";` and `refused … => "what works instead";`, with a `-` for no default.
macro_rules! rows {
    (@default -) => { None };
    (@default $text:literal) => { Some($text) };
    ($group:ident: $($effect:ident $name:literal $kind:ident $default:tt $doc:literal => $why:literal;)*) => {
        &[$(Key { default: rows!(@default $default), ..Key::new($name, KeyType::$kind, $doc).$effect($why).group($group) }),*]
    };
}

mod connection;
mod records;
mod slot;
mod snapshot;
mod tables;

use weir_api::{ConfigDef, Effect, Finding, Key, KeyType, Settings};

const GROUPS: [&[Key]; 10] = [
    connection::WORKING,
    connection::OTHERS,
    slot::WORKING,
    slot::OTHERS,
    snapshot::WORKING,
    snapshot::OTHERS,
    tables::WORKING,
    tables::OTHERS,
    records::WORKING,
    records::OTHERS,
];

const COUNT: usize = {
    let (mut n, mut rest): (usize, &[&[Key]]) = (0, &GROUPS);
    while let Some((group, after)) = rest.split_first() {
        n += group.len();
        rest = after;
    }
    n
};

static ALL: [Key; COUNT] = {
    let mut all = [Key::new("", KeyType::String, ""); COUNT];
    let (mut free, mut groups): (&mut [Key], &[&[Key]]) = (&mut all, &GROUPS);
    'all: while let Some((group, after)) = groups.split_first() {
        let mut group = *group;
        while let Some((key, others)) = group.split_first() {
            let Some((slot, left)) = free.split_first_mut() else { break 'all };
            *slot = *key;
            free = left;
            group = others;
        }
        groups = after;
    }
    all
};

/// See the group of each.
pub static KEYS: ConfigDef = ConfigDef { keys: &ALL, prefixes: PREFIXES };

/// Options whose names hold something of the user's, and what each does.
const FAMILIES: &[(&str, Effect)] = &[
    ("column.mask.", Effect::Refused("`column.exclude.list`, or a transform step that you write, see sdk/rust")),
    ("column.truncate.to.", Effect::Refused("a transform step that you write, see sdk/rust")),
    ("signal.kafka.", Effect::Ignored("there are no signals yet")),
    ("signal.consumer.", Effect::Ignored("there are no signals yet")),
    ("openlineage.integration.", Effect::Ignored("nothing is told to OpenLineage")),
    ("internal.", Effect::Ignored("it is about Debezium's inside")),
];

const PREFIXES: &[&str] = &[
    "column.mask.",
    "column.truncate.to.",
    "snapshot.select.statement.overrides.",
    "signal.kafka.",
    "signal.consumer.",
    "openlineage.integration.",
    "internal.",
];

/// What no single key's declaration says: families of keys, and values that only the source can read.
pub fn check(settings: &Settings) -> Vec<Finding> {
    let family = |name: &String| {
        let found = FAMILIES.iter().filter(|_| KEYS.key(name).is_none()).find(|(prefix, _)| name.starts_with(prefix));
        match found?.1 {
            Effect::Works => None,
            Effect::Ignored(why) => {
                Some(Finding::warning("config.no-effect", format!("`{name}` has no effect here: {why}")).key(name))
            }
            Effect::Refused(instead) => {
                let finding = Finding::error("config.not-supported", format!("`{name}` is not supported"));
                Some(finding.key(name).help(instead))
            }
        }
    };
    let mut findings: Vec<_> = settings.values.keys().filter_map(family).collect();
    findings.extend(crate::config::snapshot::check(settings));
    if let Err(e) = crate::config::Config::parse(settings) {
        // what it refuses names its key first
        let key = e.message().split('`').nth(1).filter(|name| KEYS.key(name).is_some());
        let mut finding = Finding::error(e.code(), e.message());
        finding.key = key.map(String::from);
        finding.help = e.hint().map(String::from);
        findings.push(finding);
    }
    findings
}
