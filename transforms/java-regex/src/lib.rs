//! Java's regular expressions (`java.util.regex`), translated for an engine that is small enough for a guest.
//!
//! Matches are Java's: leftmost, first alternative, `.` stops at every line terminator, `\d \w \s \b` and `(?i)` know
//! ASCII. What needs backtracking (look-around, backreferences, possessive and atomic groups) is refused by name, and
//! so are the Unicode classes beyond those of [`class`].

pub mod class;
mod replacement;
mod translate;

use regex_lite::Captures;
pub use replacement::{BadReplacement, Replacement};

/// A compiled expression.
#[derive(Clone, Debug)]
pub struct Regex {
    find: regex_lite::Regex,
    whole: regex_lite::Regex,
}

/// Why an expression is refused.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Refused(pub String);

// === impl Regex ===

impl Regex {
    pub fn new(pattern: &str) -> Result<Regex, Refused> {
        let translated = translate::translate(pattern)?;
        let compile = |text: &str| regex_lite::Regex::new(text).map_err(|e| Refused(e.to_string()));
        let find = compile(&translated)?;
        let whole = compile(&format!(r"\A(?:{translated})\z"))?;
        Ok(Regex { find, whole })
    }

    /// `Matcher.matches`: the whole text.
    pub fn matches(&self, text: &str) -> bool {
        self.whole.is_match(text)
    }

    /// `Matcher.find`: anywhere in the text.
    pub fn finds(&self, text: &str) -> bool {
        self.find.is_match(text)
    }

    /// `Matcher.replaceFirst`.
    pub fn replace_first(&self, text: &str, replacement: &Replacement) -> Result<String, BadReplacement> {
        let Some(found) = self.find.captures(text) else { return Ok(text.into()) };
        let Some(all) = found.get(0) else { return Ok(text.into()) };
        let mut out = text.get(..all.start()).unwrap_or_default().to_string();
        replacement.expand(&Groups(&found), &mut out)?;
        out.push_str(text.get(all.end()..).unwrap_or_default());
        Ok(out)
    }
}

/// The groups of a match.
struct Groups<'a>(&'a Captures<'a>);

impl replacement::Groups for Groups<'_> {
    fn count(&self) -> usize {
        self.0.len().saturating_sub(1)
    }
    fn number(&self, group: usize) -> &str {
        self.0.get(group).map(|m| m.as_str()).unwrap_or_default()
    }
    fn name(&self, group: &str) -> Option<&str> {
        self.0.name(group).map(|m| m.as_str())
    }
}

// === impl Refused ===

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Refused {}

impl From<&str> for Refused {
    fn from(text: &str) -> Self {
        Refused(text.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_texts_match() {
        let cases = [
            (r"\Qa.b\E", "a.b", true),
            (r"\Qa.b\E", "axb", false),
            (r"\Qa.b", "a.b", true),
            ("[a-z&&[^b]]+", "acd", true),
            ("[a-z&&[^b]]+", "abd", false),
            ("[a-c[x-z]]+", "axz", true),
            ("[^a-c[x-z]]", "y", false),
            ("[a-z&&[def]]", "e", true),
            ("[]a]", "]", true),
            ("[a-]", "-", true),
            (r"[\w&&[^\d]]+", "ab", true),
            (r"[\w&&[^\d]]+", "a1", false),
            (r"\p{Lu}+", "ABCÄ", true),
            (r"\p{Lu}+", "ABc", false),
            (r"\P{Upper}", "a", true),
            (r"\p{Alpha}[\p{Digit}]", "a1", true),
            (".*", "a\nb", false),
            (".*", "a\u{85}b", false),
            ("(?s).*", "a\nb", true),
            ("(?s:.)(.)", "\nb", true),
            ("(?s:.)(.)", "\n\n", false),
            ("(?i)srv", "SRV", true),
            ("(?i)ä", "Ä", false),
            (r"a\.b", "a.b", true),
            (r"\x41\u0042\x{43}", "ABC", true),
            (r"\uD83D\uDE00", "😀", true),
            (r"a\R", "a\r\n", true),
            (r"(?<n>x)+", "xx", true),
            (r"x{2,}", "xxx", true),
            (r"\d", "٣", false),
            (r"a#b c", "a#b c", true),
            (r"[&&a]", "a", true),
            (r"\-\_", "-_", true),
            (r"a|", "", true),
        ];
        for (pattern, text, expected) in cases {
            let regex = Regex::new(pattern).unwrap_or_else(|e| panic!("{pattern}: {e}"));
            assert_eq!(regex.matches(text), expected, "{pattern} on {text:?}");
        }
    }

    #[test]
    fn what_needs_backtracking_is_refused_by_name() {
        let cases = [
            ("(?=a)", "look-ahead"),
            ("(?!a)", "look-ahead"),
            ("(?<=a)b", "look-behind"),
            ("(?<!a)b", "look-behind"),
            ("(?>a)", "atomic"),
            ("a*+", "possessive"),
            ("a++", "possessive"),
            ("a?+", "possessive"),
            ("a{2}+", "possessive"),
            (r"(.)\1", "backreference"),
            (r"(?<n>.)\k<n>", "backreference"),
            (r"\G", r"\G"),
            (r"\X", r"\X"),
            (r"\p{IsGreek}", "IsGreek"),
            ("(?U)a", "flag"),
            ("(a", "("),
            ("[a", "["),
            (r"(?<n>x)(?<n>y)", "n"),
        ];
        for (pattern, word) in cases {
            let Err(refused) = Regex::new(pattern) else { panic!("{pattern} was taken") };
            assert!(refused.0.contains(word), "{pattern}: {refused}");
        }
    }

    /// Whatever comes in, translation ends and does not panic.
    #[test]
    fn any_text_is_translated_or_refused() {
        let alphabet: Vec<char> = r"ab(){}[]^-&\|?*+.<>=!:#,1QEdwspux$ä😀".chars().collect();
        let mut seed = 0x9e37_79b9_7f4a_7c15u64;
        for _ in 0..20_000 {
            let mut pattern = String::new();
            for _ in 0..12 {
                seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                pattern.extend(alphabet.get((seed >> 33) as usize % alphabet.len()));
            }
            if let Ok(regex) = Regex::new(&pattern) {
                regex.matches("aabb1");
            }
        }
    }
}
