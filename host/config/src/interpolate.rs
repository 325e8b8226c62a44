//! `${env:NAME}`, `${file:/path:key}`, `${dir:/path:file}` and `${secret:NAME}`: resolved when something runs, never before, and
//! never shown. `${1}` and `${routedByValue}` have no colon: they are the business of who reads the value.

use crate::properties;
use crate::written::Entry;
use std::ops::Range;
use std::path::{Path, PathBuf};
use weir_api::{Error, Finding, Settings};

/// Names the folder that `${secret:NAME}` reads the file NAME from.
pub const SECRETS_DIR: &str = "WEIR_SECRETS_DIR";

const KNOWN: &str = "${env:NAME}, ${file:/path:key}, ${dir:/path:file} or ${secret:NAME}";

type Lookup = Box<dyn Fn(&str) -> Option<String> + Send + Sync>;

/// Where values come from.
pub struct Providers {
    env: Lookup,
    secrets: Option<PathBuf>,
}

/// One `${provider:path:key}` of a text.
#[derive(Clone, PartialEq, Debug)]
struct Placeholder<'a> {
    span: Range<usize>,
    provider: &'a str,
    path: Option<&'a str>,
    key: &'a str,
}

/// Why a placeholder has no value. Texts name the placeholder and never what it stands for.
#[derive(Debug)]
struct Problem {
    span: Range<usize>,
    code: &'static str,
    message: String,
    help: String,
}

// === impl Providers ===

impl Providers {
    /// The environment of this process, and the secrets folder that it names.
    pub fn from_env() -> Self {
        Providers {
            env: Box::new(|name| std::env::var(name).ok()),
            secrets: std::env::var_os(SECRETS_DIR).map(PathBuf::from),
        }
    }
    pub fn new(env: impl Fn(&str) -> Option<String> + Send + Sync + 'static, secrets: Option<PathBuf>) -> Self {
        Providers { env: Box::new(env), secrets }
    }

    /// The same settings with every placeholder replaced.
    pub fn settings(&self, settings: &Settings) -> Result<Settings, Error> {
        let mut resolved = Settings::default();
        for (key, text) in &settings.values {
            let value =
                self.text(text).map_err(|p| Error::input(p.code, format!("`{key}`: {}", p.message)).help(p.help))?;
            resolved.values.insert(key.clone(), value);
        }
        Ok(resolved)
    }

    /// An entry's value, or what is wrong with it.
    pub(crate) fn entry(&self, entry: &Entry) -> Result<String, Box<Finding>> {
        self.text(&entry.text).map_err(|p| Box::new(p.blame(entry)))
    }

    fn text(&self, text: &str) -> Result<String, Problem> {
        let (mut out, mut from) = (String::new(), 0);
        for placeholder in placeholders(text) {
            out.push_str(text.get(from..placeholder.span.start).unwrap_or_default());
            from = placeholder.span.end;
            out.push_str(&self.value(&placeholder, text)?);
        }
        out.push_str(text.get(from..).unwrap_or_default());
        Ok(out)
    }

    fn value(&self, p: &Placeholder<'_>, text: &str) -> Result<String, Problem> {
        known(p, text)?;
        let shown = text.get(p.span.clone()).unwrap_or_default();
        let problem = |why: String, help: String| Problem {
            span: p.span.clone(),
            code: "config.unresolved",
            message: format!("{shown} has no value: {why}"),
            help,
        };
        let read = |path: &Path| {
            std::fs::read(path)
                .map_err(|e| problem(format!("{}: {e}", path.display()), "make the file readable".into()))
        };
        match (p.provider, p.path) {
            ("env", _) => {
                let why = || problem("the variable is not set".into(), format!("set {} in the environment", p.key));
                (self.env)(p.key).ok_or_else(why)
            }
            ("file", path) => {
                let path = Path::new(path.unwrap_or_default());
                let (entries, _) = properties::parse("", &properties::decode(&read(path)?));
                let why = || problem("the file has no such key".into(), format!("add {} to {}", p.key, path.display()));
                entries.text(p.key).map(str::to_owned).ok_or_else(why)
            }
            ("dir", path) => Ok(properties::decode(&read(&Path::new(path.unwrap_or_default()).join(p.key))?)),
            _ => {
                let why = || problem("there is no secrets folder".into(), format!("name it with {SECRETS_DIR}"));
                let folder = self.secrets.as_ref().ok_or_else(why)?;
                let text = properties::decode(&read(&folder.join(p.key))?);
                Ok(text.strip_suffix('\n').map_or(text.as_str(), |t| t.strip_suffix('\r').unwrap_or(t)).to_owned())
            }
        }
    }
}

/// What is wrong with an entry's placeholders as far as it can be seen without looking anything up.
pub(crate) fn check(entry: &Entry) -> Vec<Finding> {
    let problems = placeholders(&entry.text).filter_map(|p| known(&p, &entry.text).err());
    problems.map(|p| p.blame(entry)).collect()
}

pub(crate) fn has_placeholder(text: &str) -> bool {
    placeholders(text).next().is_some()
}

fn known(p: &Placeholder<'_>, text: &str) -> Result<(), Problem> {
    let shown = text.get(p.span.clone()).unwrap_or_default();
    let problem =
        |code, message: String| Problem { span: p.span.clone(), code, message, help: format!("write {KNOWN}") };
    let name_ok = |name: &str| !name.is_empty() && !name.contains(['/', '\\']) && name != "." && name != "..";
    match (p.provider, p.path) {
        ("env", None) if !p.key.is_empty() => Ok(()),
        ("file", Some(path)) if !path.is_empty() && !p.key.is_empty() => Ok(()),
        ("dir", Some(path)) if !path.is_empty() && name_ok(p.key) => Ok(()),
        ("secret", None) if name_ok(p.key) => Ok(()),
        ("env" | "file" | "dir" | "secret", _) => {
            Err(problem("config.bad-placeholder", format!("{shown} is not how `{}` is written", p.provider)))
        }
        _ => Err(problem("config.unknown-provider", format!("there is no provider `{}`", p.provider))),
    }
}

/// Kafka Connect's pattern: `\$\{([^}]*?):(([^}]*?):)?([^}]*?)\}`.
fn placeholders(text: &str) -> impl Iterator<Item = Placeholder<'_>> {
    let mut from = 0;
    std::iter::from_fn(move || {
        loop {
            let start = from + text.get(from..)?.find("${")?;
            let end = start + text.get(start..)?.find('}')?;
            from = end + 1;
            let inside = text.get(start + 2..end)?;
            let Some((provider, rest)) = inside.split_once(':') else { continue };
            let (path, key) = match rest.split_once(':') {
                Some((path, key)) => (Some(path), key),
                None => (None, rest),
            };
            return Some(Placeholder { span: start..end + 1, provider, path, key });
        }
    })
}

// === impl Problem ===

impl Problem {
    fn blame(self, entry: &Entry) -> Finding {
        let mut finding = Finding::error(self.code, self.message).help(self.help).key(entry.key.clone());
        finding.place = entry.at(&self.span);
        finding
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn every_provider_gives_its_value() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("db"), "hunter2\n").unwrap();
        let file = dir.path().join("x.properties");
        fs::write(&file, "user = weir\npass=\\u0068i").unwrap();
        let providers = Providers::new(|n| (n == "HOST").then(|| "db1".into()), Some(dir.path().to_owned()));
        let at = |text: &str| providers.text(&text.replace("@", dir.path().to_str().unwrap()));
        assert_eq!(at("jdbc://${env:HOST}:1/${file:@/x.properties:user}?").unwrap(), "jdbc://db1:1/weir?");
        assert_eq!(at("${file:@/x.properties:pass}${secret:db}").unwrap(), "hihunter2");
        assert_eq!(at("${dir:@:db}").unwrap(), "hunter2\n");
        assert_eq!(at("outbox.${routedByValue}.$1.${1}").unwrap(), "outbox.${routedByValue}.$1.${1}");
        for (text, code) in [
            ("${env:NOPE}", "config.unresolved"),
            ("${secret:nope}", "config.unresolved"),
            ("${file:@/x.properties:nope}", "config.unresolved"),
            ("${file:@/none:user}", "config.unresolved"),
            ("${vault:x}", "config.unknown-provider"),
            ("${secret:../x.properties}", "config.bad-placeholder"),
            ("${file:user}", "config.bad-placeholder"),
            ("${env:}", "config.bad-placeholder"),
        ] {
            let problem = at(text).unwrap_err();
            assert_eq!(problem.code, code, "{text}");
            assert!(!problem.message.contains("hunter2") && !problem.message.contains("weir\n"));
        }
        assert!(Providers::new(|_| None, None).text("${secret:db}").unwrap_err().help.contains(SECRETS_DIR));
    }
}
