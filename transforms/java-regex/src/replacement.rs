//! Replacements: `$1`, `${name}` and `\` escapes, as in `Matcher.appendReplacement`.

/// A replacement as written. Java reads it only once there is a match, and so do we.
#[derive(Clone, Debug)]
pub struct Replacement(String);

/// Java's exception for a replacement: its class and message.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BadReplacement {
    pub class: &'static str,
    pub message: String,
}

/// The groups of a match; a group that took no part is empty.
pub(crate) trait Groups {
    fn count(&self) -> usize;
    fn number(&self, group: usize) -> &str;
    fn name(&self, group: &str) -> Option<&str>;
}

const ARGUMENT: &str = "java.lang.IllegalArgumentException";
const BOUNDS: &str = "java.lang.IndexOutOfBoundsException";

// === impl Replacement ===

impl Replacement {
    pub fn new(text: &str) -> Self {
        Replacement(text.into())
    }

    pub(crate) fn expand(&self, groups: &dyn Groups, out: &mut String) -> Result<(), BadReplacement> {
        let mut rest = self.0.chars().peekable();
        while let Some(letter) = rest.next() {
            match letter {
                '\\' => match rest.next() {
                    Some(letter) => out.push(letter),
                    None => return Err(bad(ARGUMENT, "character to be escaped is missing")),
                },
                '$' => match rest.next() {
                    None => return Err(bad(ARGUMENT, "Illegal group reference: group index is missing")),
                    Some('{') => {
                        let mut name = String::new();
                        while let Some(letter) = rest.next_if(char::is_ascii_alphanumeric) {
                            name.push(letter);
                        }
                        if name.is_empty() {
                            return Err(bad(ARGUMENT, "named capturing group is missing trailing '}'"));
                        }
                        if rest.next() != Some('}') {
                            return Err(bad(ARGUMENT, "named capturing group is missing trailing '}'"));
                        }
                        let missing = || bad(ARGUMENT, format!("No group with name {{{name}}}"));
                        out.push_str(groups.name(&name).ok_or_else(missing)?);
                    }
                    Some(digit) => {
                        let mut group = value(digit).ok_or_else(|| bad(ARGUMENT, "Illegal group reference"))?;
                        if group > groups.count() {
                            return Err(bad(BOUNDS, format!("No group {group}")));
                        }
                        // further digits belong to the number as long as there is such a group
                        while let Some(more) = rest.peek().copied().and_then(value) {
                            if group * 10 + more > groups.count() {
                                break;
                            }
                            group = group * 10 + more;
                            rest.next();
                        }
                        out.push_str(groups.number(group));
                    }
                },
                _ => out.push(letter),
            }
        }
        Ok(())
    }
}

fn value(digit: char) -> Option<usize> {
    digit.to_digit(10).map(|d| d as usize)
}

fn bad(class: &'static str, message: impl Into<String>) -> BadReplacement {
    BadReplacement { class, message: message.into() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Regex;

    #[test]
    fn groups_and_escapes() {
        let cases = [
            ("(.*)", "$1$10", "ab", Ok("abab0")),
            ("(a)(b)?", "<$2>", "a", Ok("<>")),
            ("(?<x>a)", "${x}${x}", "a", Ok("aa")),
            ("a", r"\$1\\", "a", Ok(r"$1\")),
            ("a|ab", "X", "ab", Ok("Xb")),
            ("a", "$1", "a", Err("No group 1")),
            ("a", "$", "a", Err("Illegal group reference: group index is missing")),
            ("a", "$x", "a", Err("Illegal group reference")),
            ("a", "${x}", "a", Err("No group with name {x}")),
            ("a", "\\", "a", Err("character to be escaped is missing")),
        ];
        for (pattern, replacement, text, expected) in cases {
            let made = Regex::new(pattern).unwrap().replace_first(text, &Replacement::new(replacement));
            assert_eq!(made.as_deref().map_err(|e| e.message.as_str()), expected, "{pattern} {replacement}");
        }
    }
}
