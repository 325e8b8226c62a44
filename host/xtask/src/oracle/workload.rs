//! A workload as it lies on disk, and its golden records.

use super::normalise::Topics;
use anyhow::{Context, Result, bail};
use flate2::read::GzDecoder;
use serde_json::{Map, Value};
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

/// How a run knows that it is over.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum End {
    /// a marker row has come through
    Marker,
    /// nothing came for a while
    Quiet,
    /// the connector stopped with an error
    Failed,
}

/// A step of a workload.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Phase {
    Sql(String),
    /// one action: stop, resume, restart, pause, sleep N, barrier, settle [N], config key=value
    Do(String),
}

pub struct Workload {
    pub name: String,
    /// the connector's configuration, placeholders as written
    pub config: String,
    pub before: String,
    pub phases: Vec<Phase>,
    pub normalise: Vec<Value>,
    pub marker_sql: Option<String>,
    pub compare_history: bool,
    /// streaming cannot be seen by a marker
    pub quiet_start: bool,
    pub end: End,
}

// === impl Workload ===

impl Workload {
    /// None when it is for another database than PostgreSQL.
    pub fn read(path: &Path) -> Result<Option<Workload>> {
        let text = |path: PathBuf| fs::read_to_string(&path).with_context(|| path.display().to_string());
        let spec: Value = serde_json::from_str(&text(path.join("workload.json"))?)?;
        if spec.get("db").and_then(Value::as_str) != Some("postgres") {
            return Ok(None);
        }
        let name = path.file_name().and_then(|n| n.to_str()).context("a workload's folder has a name")?.to_owned();
        let said = |key: &str| spec.get(key).and_then(Value::as_str);
        let sql = path.with_file_name(said("base").unwrap_or(&name));
        let mut files: Vec<PathBuf> = match sql.join("phases") {
            folder if folder.is_dir() => fs::read_dir(folder)?.map(|e| Ok(e?.path())).collect::<Result<_>>()?,
            _ => vec![],
        };
        files.sort();
        let mut phases = vec![];
        for file in files {
            match file.extension().and_then(|e| e.to_str()) {
                Some("sql") => phases.push(Phase::Sql(text(file)?)),
                _ => phases.extend(text(file)?.lines().map(|line| Phase::Do(line.trim().to_owned()))),
            }
        }
        let end = match said("end").unwrap_or("marker") {
            "marker" => End::Marker,
            "quiet" => End::Quiet,
            "failed" => End::Failed,
            other => bail!("{name}: there is no end {other}"),
        };
        Ok(Some(Workload {
            config: text(path.join("config.json"))?,
            before: text(sql.join("before.sql"))?,
            phases,
            normalise: spec.get("normalise").and_then(Value::as_array).cloned().unwrap_or_default(),
            marker_sql: said("marker_sql").map(str::to_owned),
            compare_history: spec.get("compare_history").is_some_and(|v| v == true),
            quiet_start: said("start") == Some("quiet"),
            end,
            name,
        }))
    }
}

/// Splits SQL at semicolons, minding quotes, comments, dollar quotes and `-- @multi` … `-- @end` blocks (sent whole).
pub fn statements(text: &str) -> Vec<String> {
    let (mut out, mut current, mut said, mut rest) = (vec![], String::new(), false, text);
    while let Some(first) = rest.chars().next() {
        if let Some(block) = rest.strip_prefix("-- @multi\n")
            && let Some((block, behind)) = block.split_once("-- @end")
        {
            out.push(block.trim_end().to_owned());
            rest = behind;
            continue;
        }
        if first == ';' {
            if said {
                out.push(current.trim().to_owned());
            }
            (current, said) = (String::new(), false);
            rest = rest.get(1..).unwrap_or_default();
            continue;
        }
        let length = token(rest).max(first.len_utf8());
        let (part, behind) = rest.split_at_checked(length).unwrap_or((rest, ""));
        let comment = part.starts_with("--") || part.starts_with("/*");
        said |= !comment && !part.trim().is_empty();
        current.push_str(part);
        rest = behind;
    }
    if said {
        out.push(current.trim().to_owned());
    }
    out
}

/// Bytes of the comment or quoted text that `text` begins with; 0 when it begins with neither.
fn token(text: &str) -> usize {
    let up_to = |end: &str, from: usize| {
        text.get(from..).and_then(|t| t.find(end)).map_or(text.len(), |i| from + i + end.len())
    };
    match text.as_bytes() {
        [b'-', b'-', ..] => text.find('\n').unwrap_or(text.len()),
        [b'/', b'*', ..] => up_to("*/", 2),
        [b'"', ..] => up_to("\"", 1),
        [b'\'', ..] => quoted(text),
        [b'$', ..] => {
            let tag =
                text.get(1..).and_then(|t| t.find(|c: char| !c.is_alphanumeric() && c != '_')).map_or(0, |i| i + 1);
            match text.get(..=tag) {
                Some(quote) if tag > 0 && quote.ends_with('$') => up_to(quote, quote.len()),
                _ => 0,
            }
        }
        _ => 0,
    }
}

/// A doubled quote and a backslash before one do not end it.
fn quoted(text: &str) -> usize {
    let mut bytes = text.bytes().enumerate().skip(1);
    while let Some((i, byte)) = bytes.next() {
        match byte {
            b'\\' => drop(bytes.next()),
            b'\'' if text.as_bytes().get(i + 1) == Some(&b'\'') => drop(bytes.next()),
            b'\'' => return i + 1,
            _ => {}
        }
    }
    text.len()
}

/// The golden records of a workload: a file for each topic, inline schemas pooled in `<workload>.schemas.json`.
pub fn golden(directory: &Path, workload: &str) -> Result<Topics> {
    let mut files: Vec<PathBuf> = fs::read_dir(directory)
        .with_context(|| directory.display().to_string())?
        .map(|e| Ok(e?.path()))
        .collect::<Result<_>>()?;
    files.sort();
    let (mut pool, mut topics) = (None, Topics::new());
    let start = format!("{workload}.");
    let of_it = |path: &PathBuf| path.file_name().and_then(|n| n.to_str()).is_some_and(|n| n.starts_with(&start));
    files.retain(of_it);
    for path in &files {
        if path.to_string_lossy().contains(".schemas.json") {
            pool = Some(serde_json::from_str::<Map<String, Value>>(&unpacked(path)?)?);
        }
    }
    let pool = pool.with_context(|| format!("there is no golden record of {workload} in {}", directory.display()))?;
    for path in files.iter().filter(|p| p.to_string_lossy().contains(".jsonl")) {
        for line in unpacked(path)?.lines() {
            let mut record: Value = serde_json::from_str(line)?;
            let topic = record.as_object_mut().and_then(|r| r.shift_remove("topic"));
            for part in ["key", "value"] {
                if let Some(schema) = record.get_mut(part).and_then(|p| p.get_mut("schema"))
                    && let Some(name) = schema.as_str().and_then(|s| s.strip_prefix('@'))
                {
                    *schema = pool.get(name).with_context(|| format!("schema {name} is not in the pool"))?.clone();
                }
            }
            let topic = topic.as_ref().and_then(Value::as_str).context("a golden record without its topic")?;
            topics.entry(topic.to_owned()).or_default().push(record);
        }
    }
    Ok(topics)
}

fn unpacked(path: &Path) -> Result<String> {
    let bytes = fs::read(path)?;
    let mut text = String::new();
    match path.extension().is_some_and(|e| e == "gz") {
        true => GzDecoder::new(bytes.as_slice()).read_to_string(&mut text)?,
        false => bytes.as_slice().read_to_string(&mut text)?,
    };
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sql_is_split_where_statements_end() {
        let text = "select ';', E'it\\'s; ''x', \"a;b\"; -- none;\n\n/* ; */ do $x$ begin; end $x$; select $$;$$\n-- @multi\na;\nb;\n-- @end\nlast; -- rest";
        let expected = [
            "select ';', E'it\\'s; ''x', \"a;b\"",
            "-- none;\n\n/* ; */ do $x$ begin; end $x$",
            "a;\nb;",
            "select $$;$$\n\nlast",
        ];
        assert_eq!(statements(text), expected);
        assert_eq!(statements("select 1; naïve ☃"), ["select 1", "naïve ☃"]);
        assert!(statements(" ; -- x\n;").is_empty());
    }
}
