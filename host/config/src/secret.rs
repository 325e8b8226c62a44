//! What must never be shown (invariant 8): values of password keys, whatever has a name that says so, passwords inside URLs.

use crate::catalog::{Catalog, Component, find};
use crate::written::{Entries, When, Written};
use std::borrow::Cow;
use std::ops::Range;
use weir_api::{ConfigDef, KeyType, Place};

/// What stands for a secret.
pub const MASK: &str = "****";

/// Keys with one of these in them hold secrets, whether or not a definition says so.
const WORDS: &[&str] = &["pass", "pwd", "secret", "token", "jaas.config", "user.info", "credential", "private.key"];

/// Whether a key's name says that its value is a secret.
pub fn is_secret_name(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    WORDS.iter().any(|w| key.contains(w))
}

/// A value as it may be shown. A placeholder is no secret: it only says where one is.
pub fn shown(text: &str, secret: bool) -> Cow<'_, str> {
    if secret {
        let placeholder = text.starts_with("${") && text.find('}') == Some(text.len() - 1);
        return if placeholder || text.is_empty() { Cow::Borrowed(text) } else { Cow::Borrowed(MASK) };
    }
    let mut spans = user_info(text).peekable();
    if spans.peek().is_none() {
        return Cow::Borrowed(text);
    }
    let (mut out, mut from) = (String::new(), 0);
    for span in spans {
        out.push_str(text.get(from..span.start).unwrap_or_default());
        out.push_str(MASK);
        from = span.end;
    }
    out.push_str(text.get(from..).unwrap_or_default());
    Cow::Owned(out)
}

/// Passwords of `scheme://user:password@host`, and `password=…` parameters of URLs.
pub fn user_info(text: &str) -> impl Iterator<Item = Range<usize>> {
    let in_authority = text.match_indices("://").filter_map(|(at, _)| {
        let start = at + 3;
        let rest = text.get(start..)?;
        let end =
            rest.find(|c: char| c.is_whitespace() || matches!(c, '/' | '?' | '#' | '"' | '\'')).unwrap_or(rest.len());
        let authority = rest.get(..end)?;
        let at_sign = authority.rfind('@')?;
        let colon = authority.get(..at_sign)?.find(':')? + 1;
        let password = authority.get(colon..at_sign)?;
        (!password.is_empty() && !password.starts_with("${")).then_some(start + colon..start + at_sign)
    });
    let as_parameter = text.match_indices("password=").filter_map(|(at, word)| {
        let start = at + word.len();
        let before = text.get(..at)?.chars().next_back()?;
        let rest = text.get(start..)?;
        let end = rest.find(|c: char| c.is_whitespace() || matches!(c, '&' | ';' | '"' | '\'')).unwrap_or(rest.len());
        let value = rest.get(..end)?;
        (matches!(before, '?' | '&' | ';') && !value.is_empty() && !value.starts_with("${"))
            .then_some(start..start + end)
    });
    let mut all: Vec<_> = in_authority.chain(as_parameter).collect();
    all.sort_by_key(|r| r.start);
    all.dedup_by(|b, a| b.start < a.end);
    all.into_iter()
}

/// Where a text that could not even be parsed may hold secrets: what stands behind a telling key.
pub fn suspects(text: &str) -> Vec<Range<usize>> {
    let lower = text.to_ascii_lowercase();
    let mut found: Vec<Range<usize>> = user_info(text).collect();
    for word in WORDS {
        // "${secret:…}" is a placeholder, and no key.
        let keys = lower.match_indices(word).filter(|(at, _)| !text.get(..*at).is_some_and(|t| t.ends_with("${")));
        found.extend(keys.filter_map(|(at, _)| value_behind(text, at + word.len())));
    }
    found.sort_by_key(|r| (r.start, std::cmp::Reverse(r.end)));
    found.dedup_by(|b, a| b.start < a.end);
    found
}

/// The value of the key in which `at` lies.
fn value_behind(text: &str, at: usize) -> Option<Range<usize>> {
    let bytes = text.as_bytes();
    let skip = |mut i: usize, wanted: fn(&u8) -> bool| {
        while bytes.get(i).is_some_and(wanted) {
            i += 1;
        }
        i
    };
    let blank = |b: &u8| matches!(b, b' ' | b'\t');
    let end_of_key = skip(at, |b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-' | b'"' | b'\'' | b'\\'));
    let sign = skip(end_of_key, blank);
    if !matches!(bytes.get(sign), Some(b'=' | b':')) {
        return None;
    }
    let mut start = skip(sign + 1, blank);
    let quote = bytes.get(start).copied().filter(|b| matches!(b, b'"' | b'\''));
    if quote.is_some() {
        start += 1;
    }
    let (mut end, mut escaped) = (start, false);
    while let Some(b) = bytes.get(end) {
        let over = match quote {
            Some(q) => *b == q && !escaped || *b == b'\n',
            None => *b == b'\n' && !escaped,
        };
        if over {
            break;
        }
        escaped = *b == b'\\' && !escaped;
        end += 1;
    }
    let value = text.get(start..end)?;
    (!value.trim().is_empty() && !value.starts_with("${")).then_some(start..end)
}

/// Places of values that must not be shown, for [`crate::report::Texts::hide`].
pub fn places(written: &Written, catalog: &Catalog) -> Vec<Place> {
    let mut places = vec![];
    let mut look = |entries: &Entries, def: Option<&ConfigDef>| {
        let hidden = entries.iter().filter(|e| is_secret(def, &e.key) && shown(&e.text, true) != e.text);
        places.extend(hidden.filter_map(|e| e.at(&(0..e.text.len()))));
    };
    let def_of = |components: &[Component], kind: &str| find(components, kind).and_then(|c| c.def);
    if let Some(part) = &written.source {
        look(&part.entries, def_of(&catalog.sources, &part.kind).as_ref());
    }
    if let Some(part) = &written.sink {
        look(&part.entries, def_of(&catalog.sinks, &part.kind).as_ref());
    }
    for step in &written.steps {
        look(&step.with, step.uses.as_ref().and_then(|u| def_of(&catalog.transforms, &u.text)).as_ref());
        if let Some(When::Predicate { with, .. }) = &step.when {
            look(with, None);
        }
    }
    look(&written.converters, None);
    look(&written.errors, None);
    places
}

pub(crate) fn is_secret(def: Option<&ConfigDef>, key: &str) -> bool {
    match def.and_then(|d| d.key(key)) {
        Some(key) => key.kind == KeyType::Password,
        None => is_secret_name(key),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_masked_and_placeholders_are_not() {
        assert_eq!(shown("hunter2", true), MASK);
        assert_eq!(shown("${env:PW}", true), "${env:PW}");
        assert_eq!(shown("${env:PW}x}", true), MASK);
        assert_eq!(shown("postgres://weir:hun@ter2@db/shop?x=1", false), "postgres://weir:****@db/shop?x=1");
        assert_eq!(shown("postgres://weir@db/shop", false), "postgres://weir@db/shop");
        assert_eq!(shown("postgres://weir:${env:PW}@db", false), "postgres://weir:${env:PW}@db");
        assert_eq!(
            shown("jdbc:mysql://db/shop?user=a&password=hunter2&x=1", false),
            "jdbc:mysql://db/shop?user=a&password=****&x=1"
        );
    }

    #[test]
    fn telling_keys_of_a_broken_text_are_found() {
        let text = "database.password = \"hun\\\"ter2\" # x\n{\"ssl.key.password\":\"b\",\"a\":1}\nsasl.jaas.config=one \\\n two\ntoken x\n";
        let found: Vec<&str> = suspects(text).into_iter().map(|r| &text[r]).collect();
        assert_eq!(found, ["hun\\\"ter2", "b", "one \\\n two"]);
    }
}
