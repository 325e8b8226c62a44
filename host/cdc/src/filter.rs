//! Include and exclude lists: comma separated regular expressions that match a whole name, whatever its case.

use regex::{Regex, RegexBuilder};

/// A list of regular expressions; `\,` is a comma within one.
#[derive(Clone, Debug, Default)]
pub struct Patterns(Vec<Regex>);

/// An expression that does not compile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListError {
    pub pattern: String,
    pub reason: String,
}

/// Which tables are captured, by schema and by table.
#[derive(Clone, Debug, Default)]
pub struct TableFilter {
    pub schemas: Option<Patterns>,
    pub schemas_out: Option<Patterns>,
    pub tables: Option<Patterns>,
    pub tables_out: Option<Patterns>,
}

// === impl Patterns ===

impl Patterns {
    pub fn parse(list: &str) -> Result<Self, ListError> {
        let mut parts = vec![String::new()];
        let mut chars = list.chars().peekable();
        while let Some(c) = chars.next() {
            match (c, chars.peek()) {
                ('\\', Some(',')) => {
                    chars.next();
                    parts.last_mut().into_iter().for_each(|p| p.push(','));
                }
                (',', _) => parts.push(String::new()),
                _ => parts.last_mut().into_iter().for_each(|p| p.push(c)),
            }
        }
        let compile = |p: &str| {
            let whole = RegexBuilder::new(&format!("^(?:{p})$")).case_insensitive(true).build();
            whole.map_err(|e| ListError { pattern: p.into(), reason: e.to_string() })
        };
        let parts = parts.iter().map(|p| p.trim()).filter(|p| !p.is_empty());
        Ok(Patterns(parts.map(compile).collect::<Result<_, _>>()?))
    }
    pub fn matches(&self, name: &str) -> bool {
        self.0.iter().any(|p| p.is_match(name))
    }
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

// === impl TableFilter ===

impl TableFilter {
    pub fn takes(&self, schema: &str, table: &str) -> bool {
        let full = format!("{schema}.{table}");
        let inside = |p: &Option<Patterns>, name: &str| p.as_ref().is_none_or(|p| p.matches(name));
        let outside = |p: &Option<Patterns>, name: &str| !p.as_ref().is_some_and(|p| p.matches(name));
        inside(&self.schemas, schema)
            && outside(&self.schemas_out, schema)
            && inside(&self.tables, &full)
            && outside(&self.tables_out, &full)
    }
    pub fn is_open(&self) -> bool {
        self.schemas.is_none() && self.schemas_out.is_none() && self.tables.is_none() && self.tables_out.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_match_whole_names_in_any_case() {
        let list = Patterns::parse(r"public\.orders, inv.*\.x , a\,b").unwrap();
        assert!(list.matches("PUBLIC.Orders") && list.matches("inventory.x") && list.matches("a,b"));
        assert!(!list.matches("public.orders2") && !list.matches("xpublic.orders"));
        assert_eq!(Patterns::parse("ok,(").unwrap_err().pattern, "(");
    }

    #[test]
    fn a_table_must_pass_every_list() {
        let list = |t: &str| Some(Patterns::parse(t).unwrap());
        let f = TableFilter { schemas: list("public"), tables_out: list("public.secret"), ..Default::default() };
        assert!(f.takes("public", "orders") && !f.takes("public", "secret") && !f.takes("other", "orders"));
    }
}
