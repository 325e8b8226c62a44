//! `weir run --from URL --to URL`: the pipeline file that two addresses amount to.

use crate::args::Addresses;
use crate::dlq::letter::Fnv;
use std::hash::Hasher;
use weir_api::Error;
use weir_config::secret;

/// A pipeline file, to be run and to be shown.
#[derive(PartialEq, Debug)]
pub struct Files {
    /// as it runs
    pub text: String,
    /// without the password
    pub shown: String,
}

/// One end: its table in a pipeline file.
struct End {
    /// for names: a database's, or what it is
    name: String,
    kind: &'static str,
    text: String,
    shown: String,
}

const FORMS: &str = "from: postgres://user:password@host:port/database, generator:; to: kafka://host:port,host:port, stdout:, \
                     file:PATH, discard:";
/// Where the password is taken from by the file that is shown.
const PASSWORD: &str = "database.password = \"${env:PGPASSWORD}\"\n";

pub fn files(addresses: &Addresses) -> Result<Option<Files>, Error> {
    let (Some(from), Some(to)) = (&addresses.from, &addresses.to) else { return Ok(None) };
    // where nothing comes after it, the colon may be left out
    let whole = |end: &str| if end.contains(':') { end.to_owned() } else { format!("{end}:") };
    let (from, to) = (&whole(from), &whole(to));
    let tables: Vec<String> = addresses.tables.iter().map(|t| t.trim().to_owned()).filter(|t| !t.is_empty()).collect();
    // of all that makes it another pipeline, and not of the password
    let mut digest = Fnv::default();
    for part in [secret::shown(from, false).as_ref(), to].into_iter().chain(tables.iter().map(String::as_str)) {
        digest.write(part.as_bytes());
        digest.write(b"\n");
    }
    let digest = format!("{:08x}", digest.finish() as u32);
    let (source, sink) = (source(from, &tables, &digest)?, sink(to)?);
    let head = format!("name = {}\n\n", quoted(&format!("{}-to-{}-{digest}", source.name, sink.kind)));
    let whole = |source: &str, sink: &str| format!("{head}{source}\n{sink}");
    Ok(Some(Files { text: whole(&source.text, &sink.text), shown: whole(&source.shown, &sink.shown) }))
}

fn source(url: &str, tables: &[String], digest: &str) -> Result<End, Error> {
    match url.split_once(':') {
        Some(("postgres" | "postgresql", rest)) if rest.starts_with("//") => postgres(url, tables, digest),
        Some(("generator", options)) => {
            if !tables.is_empty() {
                return Err(Error::input(
                    "run.address",
                    "--tables is for databases, and the generator makes all of its own",
                ));
            }
            let mut text = String::from("[source.generator]\n");
            for (key, value) in options.trim_start_matches('?').split('&').filter_map(|o| o.split_once('=')) {
                let value = if value.parse::<i64>().is_ok() { value.to_owned() } else { quoted(value) };
                text.push_str(&format!("{} = {value}\n", quoted(key)))
            }
            Ok(End { name: "generator".into(), kind: "generator", shown: text.clone(), text })
        }
        _ => Err(unknown("from")),
    }
}

fn postgres(url: &str, tables: &[String], digest: &str) -> Result<End, Error> {
    let (rest, _) = url.split_once('?').unwrap_or((url, ""));
    let database = rest.rsplit_once('/').map(|(before, name)| (before.contains("//"), name));
    let Some((true, database)) = database.filter(|(_, name)| !name.is_empty()) else {
        return Err(Error::input("run.address", "the address names no database")
            .help("postgres://user:password@host:port/database"));
    };
    let name = word(database, '-');
    // with its schema, and nothing in it that a regular expression would read otherwise
    let listed = tables.iter().map(|t| if t.contains('.') { t.clone() } else { format!("public.{t}") });
    let listed: Vec<String> = listed.map(|t| t.replace('.', "\\.")).collect();
    let slot = format!("weir_{:.40}_{digest}", word(database, '_'));
    let mut more = format!("topic.prefix = {}\n", quoted(&name));
    if !listed.is_empty() {
        more.push_str(&format!("table.include.list = {}\n", quoted(&listed.join(","))))
    }
    more.push_str(&format!(
        "slot.name = {slot}\npublication.name = {slot}\npublication.autocreate.mode = \"filtered\"\n",
        slot = quoted(&slot)
    ));
    let table = |url: &str, password: &str| format!("[source.postgres]\nurl = {}\n{password}{more}", quoted(url));
    let (open, hidden) = without_password(url);
    let shown = table(&secret::shown(&open, false), if hidden { PASSWORD } else { "" });
    Ok(End { name, kind: "postgres", text: table(url, ""), shown })
}

/// The address without the password in front of its host, and whether there was one.
fn without_password(url: &str) -> (String, bool) {
    let found = url.find("://").and_then(|at| {
        let start = at + 3;
        let authority = url.get(start..)?.split(['/', '?']).next()?;
        let sign = start + authority.rfind('@')?;
        let colon = start + url.get(start..sign)?.find(':')?;
        Some((url.get(..colon)?, url.get(sign..)?))
    });
    match found {
        Some((before, behind)) => (format!("{before}{behind}"), true),
        None => (url.to_owned(), false),
    }
}

fn sink(url: &str) -> Result<End, Error> {
    let (kind, text) = match url.split_once(':') {
        Some(("kafka", rest)) => {
            let servers = rest.trim_start_matches('/').trim_end_matches('/');
            if servers.is_empty() || servers.contains(['@', '/', '?']) {
                return Err(Error::input(
                    "run.address",
                    "the address of Kafka is not of the form kafka://host:port,host:port",
                )
                .help("logins and TLS are written in a pipeline file: `weir new pipeline NAME`"));
            }
            ("kafka", format!("[sink.kafka]\nbootstrap.servers = {}\nvalue.format = \"json\"\n", quoted(servers)))
        }
        Some(("stdout", "")) => ("stdout", "[sink.stdout]\n".to_owned()),
        Some(("discard", "")) => ("discard", "[sink.discard]\n".to_owned()),
        Some(("file", path)) if !path.is_empty() => {
            ("file", format!("[sink.file]\npath = {}\n", quoted(path.strip_prefix("//").unwrap_or(path))))
        }
        _ => return Err(unknown("to")),
    };
    Ok(End { name: kind.into(), kind, shown: text.clone(), text })
}

/// The address may hold a password: it is not said.
fn unknown(end: &str) -> Error {
    Error::input("run.address", format!("the address after --{end} is of no known form")).help(FORMS)
}

/// TOML writes text as JSON does.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// A name that is one everywhere: lower case letters, digits, and one other character.
fn word(text: &str, other: char) -> String {
    let low = text.to_ascii_lowercase();
    low.chars().map(|c| if c.is_ascii_lowercase() || c.is_ascii_digit() { c } else { other }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(from: &str, to: &str, tables: &[&str]) -> Result<Files, Error> {
        let tables = tables.iter().map(|t| t.to_string()).collect();
        let addresses = Addresses { from: Some(from.into()), to: Some(to.into()), tables };
        files(&addresses).map(Option::unwrap)
    }

    #[test]
    fn two_addresses_are_a_pipeline_file() {
        let files =
            of("postgres://u:hunter2@db:5433/Shop?sslmode=disable", "kafka://a:1,b:2", &["orders", "x.y"]).unwrap();
        let want = r#"name = "shop-to-kafka-HASH"

[source.postgres]
url = "postgres://u@db:5433/Shop?sslmode=disable"
database.password = "${env:PGPASSWORD}"
topic.prefix = "shop"
table.include.list = "public\\.orders,x\\.y"
slot.name = "weir_shop_HASH"
publication.name = "weir_shop_HASH"
publication.autocreate.mode = "filtered"

[sink.kafka]
bootstrap.servers = "a:1,b:2"
value.format = "json"
"#;
        let hash = files.shown.split_once("-kafka-").unwrap().1[..8].to_owned();
        assert_eq!(files.shown, want.replace("HASH", &hash));
        assert!(files.text.contains("u:hunter2@db") && !files.text.contains("PGPASSWORD"));
        let again =
            of("postgres://u:other@db:5433/Shop?sslmode=disable", "kafka://a:1,b:2", &["orders", "x.y"]).unwrap();
        assert_eq!(again.shown, files.shown, "a new password is no other pipeline");
        let other = of("postgres://u:hunter2@db:5433/Shop?sslmode=disable", "kafka://a:1,b:2", &["orders"]).unwrap();
        assert!(!other.shown.contains(&hash), "other tables are another pipeline");
    }

    #[test]
    fn a_colon_with_nothing_after_it_may_be_left_out() {
        let [bare, whole] =
            [("generator", "stdout"), ("generator:", "stdout:")].map(|(f, t)| of(f, t, &[]).unwrap().text);
        assert_eq!(bare, whole);
    }

    #[test]
    fn addresses_that_are_none_are_refused_without_being_said() {
        for (from, to) in [
            ("mysql://u:hunter2@h/d", "stdout:"),
            ("postgres://u:hunter2@h", "stdout:"),
            ("postgres://u:hunter2@h/", "stdout:"),
            ("generator:", "kafka://u:hunter2@h"),
            ("generator:", "http://hunter2"),
            ("generator:", "file:"),
            ("generator:", "hunter2"),
        ] {
            let error = of(from, to, &[]).unwrap_err();
            assert_eq!(error.code(), "run.address");
            assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
        }
    }
}
