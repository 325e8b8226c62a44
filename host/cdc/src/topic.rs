//! Topic names.

/// `<prefix>.<schema or database>.<table>`
pub fn topic_name(prefix: &str, schema: &str, table: &str, delimiter: &str) -> String {
    sanitize(&format!("{prefix}{delimiter}{schema}{delimiter}{table}"))
}

/// What a topic's name may not hold becomes `_`, one for each UTF-16 unit; at most 249 are kept.
pub fn sanitize(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    for c in name.chars() {
        match c {
            'A'..='Z' | 'a'..='z' | '0'..='9' | '.' | '_' | '-' => out.push(c),
            c => (0..c.len_utf16()).for_each(|_| out.push('_')),
        }
    }
    out.truncate(249);
    match out.as_str() {
        "." => "_".into(),
        ".." => "__".into(),
        _ => out,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_made_safe_as_debezium_does() {
        assert_eq!(topic_name("dbz", "public", "orders", "."), "dbz.public.orders");
        assert_eq!(sanitize("größe x"), "gr__e_x");
        assert_eq!(sanitize("😀"), "__");
        assert_eq!(sanitize(".."), "__");
        assert_eq!(sanitize(&"x".repeat(300)).len(), 249);
    }
}
