//! `add.fields` and `add.headers`: what is taken from the event, and its new name.

use weir::prelude::*;

/// One entry of a list.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Added {
    /// as written, without new name: "op", "source.ts_ms"
    path: String,
    /// with prefix
    pub name: String,
}

/// Where a name without struct is looked for, in this order; the event itself comes first.
const STRUCTS: &[&str] = &["source", "transaction"];

/// Structs that a path may begin with.
const NAMED: &[&str] = &["source", "transaction", "before", "after"];

// === impl Added ===

impl Added {
    pub fn parse(entries: &[String], prefix: &str) -> Result<Vec<Added>, Failure> {
        let mut added = vec![];
        for entry in entries.iter().filter(|e| !e.is_empty()) {
            // Java's split leaves trailing empty parts out
            let entry = entry.trim_end_matches(':');
            let mut parts = entry.split(':');
            let (path, renamed) = (parts.next().unwrap_or_default(), parts.next());
            if parts.next().is_some() {
                let text = format!("Unexpected field name: {entry}");
                return Err(Failure::new("java.lang.IllegalArgumentException", text));
            }
            let name = match renamed {
                Some(name) => name.to_string(),
                None => path.split('.').take(2).collect::<Vec<_>>().join("_"),
            };
            added.push(Added { path: path.into(), name: format!("{prefix}{name}") });
        }
        Ok(added)
    }

    /// The steps of the path that count: two at most.
    pub fn source(&self) -> Vec<&str> {
        self.path.split('.').take(2).collect()
    }

    /// Where it is in an event; `None`: the event has no such field, and nothing is added.
    pub fn find(&self, shape: &Shape, value: u32) -> Result<Option<u32>, Failure> {
        match self.source().as_slice() {
            [name] => {
                if let Some(found) = shape.child(value, name) {
                    return Ok(Some(found));
                }
                let mut structs = STRUCTS.iter().filter_map(|s| shape.child(value, s));
                Ok(structs.find_map(|s| shape.child(s, name)))
            }
            [first, name] => match shape.child(value, first) {
                Some(found) => Ok(shape.child(found, name)),
                None if NAMED.contains(first) => Ok(None),
                // the original stumbles over a struct that it does not know
                None => Err(Failure::new("java.lang.NullPointerException", format!("the event has no `{first}`"))),
            },
            _ => Ok(None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_read_as_the_original_reads_them() {
        let parse = |entry: &str| Added::parse(&[entry.to_string()], "__");
        let one = |entry: &str| parse(entry).unwrap().remove(0);
        assert_eq!((one("op").path, one("op").name), ("op".into(), "__op".into()));
        assert_eq!(one("source.ts_ms").name, "__source_ts_ms");
        assert_eq!(one("source.ts_ms.x").name, "__source_ts_ms");
        assert_eq!(one("op:operation").name, "__operation");
        assert_eq!(one("op:").name, "__op");
        assert_eq!(parse("op:x:y").unwrap_err().message, "Unexpected field name: op:x:y");
        assert_eq!(parse("").unwrap(), []);
    }
}
