//! Sets of characters, as Java's classes describe them.

use crate::Refused;

/// A set of characters: ranges, ascending, apart from each other.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Class(Vec<(u32, u32)>);

const LAST: u32 = 0x10ffff;

/// Characters of category Other_Uppercase, which are upper case but no letters.
const OTHER_UPPER: &[(u32, u32)] =
    &[(0x2160, 0x216f), (0x24b6, 0x24cf), (0x1f130, 0x1f149), (0x1f150, 0x1f169), (0x1f170, 0x1f189)];

/// Java's line terminators.
pub const TERMINATORS: &[(u32, u32)] = &[(0x0a, 0x0a), (0x0d, 0x0d), (0x85, 0x85), (0x2028, 0x2029)];

const DIGIT: &[(u32, u32)] = &[(0x30, 0x39)];
const UPPER: &[(u32, u32)] = &[(0x41, 0x5a)];
const LOWER: &[(u32, u32)] = &[(0x61, 0x7a)];
const ALPHA: &[(u32, u32)] = &[(0x41, 0x5a), (0x61, 0x7a)];
const ALNUM: &[(u32, u32)] = &[(0x30, 0x39), (0x41, 0x5a), (0x61, 0x7a)];
const WORD: &[(u32, u32)] = &[(0x30, 0x39), (0x41, 0x5a), (0x5f, 0x5f), (0x61, 0x7a)];
const SPACE: &[(u32, u32)] = &[(0x09, 0x0d), (0x20, 0x20)];
const PUNCT: &[(u32, u32)] = &[(0x21, 0x2f), (0x3a, 0x40), (0x5b, 0x60), (0x7b, 0x7e)];
const HORIZONTAL: &[(u32, u32)] = &[
    (0x09, 0x09),
    (0x20, 0x20),
    (0xa0, 0xa0),
    (0x1680, 0x1680),
    (0x180e, 0x180e),
    (0x2000, 0x200a),
    (0x202f, 0x202f),
    (0x205f, 0x205f),
    (0x3000, 0x3000),
];
const VERTICAL: &[(u32, u32)] = &[(0x0a, 0x0d), (0x85, 0x85), (0x2028, 0x2029)];

/// What `\p{…}` knows, beside the properties that [`named`] computes.
const NAMED: &[(&str, &[(u32, u32)])] = &[
    ("Lower", LOWER),
    ("Upper", UPPER),
    ("ASCII", &[(0, 0x7f)]),
    ("Alpha", ALPHA),
    ("Digit", DIGIT),
    ("Alnum", ALNUM),
    ("Punct", PUNCT),
    ("Graph", &[(0x21, 0x7e)]),
    ("Print", &[(0x20, 0x7e)]),
    ("Blank", &[(0x09, 0x09), (0x20, 0x20)]),
    ("Cntrl", &[(0, 0x1f), (0x7f, 0x7f)]),
    ("XDigit", &[(0x30, 0x39), (0x41, 0x46), (0x61, 0x66)]),
    ("Space", SPACE),
];

/// `\d`, `\w`, `\s`, `\h`, `\v` and their capitals.
pub fn letter(letter: char) -> Option<Class> {
    let ranges = match letter.to_ascii_lowercase() {
        'd' => DIGIT,
        'w' => WORD,
        's' => SPACE,
        'h' => HORIZONTAL,
        'v' => VERTICAL,
        _ => return None,
    };
    let class = Class::of(ranges);
    Some(if letter.is_ascii_uppercase() { class.negated() } else { class })
}

/// `\p{name}`.
pub fn named(name: &str) -> Result<Class, Refused> {
    if let Some((_, ranges)) = NAMED.iter().find(|(n, _)| *n == name) {
        return Ok(Class::of(ranges));
    }
    Ok(match name.strip_prefix("Is").unwrap_or(name) {
        "Lu" => Class::all(char::is_uppercase).and(&Class::of(OTHER_UPPER).negated()),
        "Uppercase" | "javaUpperCase" => Class::all(char::is_uppercase),
        "Lowercase" | "javaLowerCase" => Class::all(char::is_lowercase),
        "Alphabetic" | "javaAlphabetic" => Class::all(char::is_alphabetic),
        "White_Space" => Class::all(char::is_whitespace),
        _ => {
            let known: Vec<&str> = NAMED.iter().map(|(n, _)| *n).collect();
            let known = known.join(", ");
            let text = format!(
                "\\p{{{name}}} is not known here; {known}, Lu, IsUppercase, IsLowercase, IsAlphabetic and IsWhite_Space are"
            );
            return Err(Refused(text));
        }
    })
}

// === impl Class ===

impl Class {
    pub fn of(ranges: &[(u32, u32)]) -> Self {
        Class(ranges.to_vec()).tidied()
    }

    pub fn one(letter: char) -> Self {
        Class(vec![(letter as u32, letter as u32)])
    }

    fn all(is: fn(char) -> bool) -> Self {
        let letters = (0..=LAST).filter(|c| char::from_u32(*c).is_some_and(is));
        Class(letters.map(|c| (c, c)).collect()).tidied()
    }

    pub fn or(mut self, other: &Class) -> Self {
        self.0.extend(&other.0);
        self.tidied()
    }

    pub fn and(&self, other: &Class) -> Self {
        // not (not a or not b)
        self.clone().negated().or(&other.clone().negated()).negated()
    }

    pub fn negated(self) -> Self {
        let mut out = vec![];
        let mut next = 0;
        for (start, end) in self.tidied().0 {
            if start > next {
                out.push((next, start - 1));
            }
            next = end + 1;
        }
        if next <= LAST {
            out.push((next, LAST));
        }
        Class(out)
    }

    fn tidied(mut self) -> Self {
        self.0.sort_unstable();
        let mut out: Vec<(u32, u32)> = vec![];
        for (start, end) in self.0 {
            match out.last_mut() {
                Some((_, last)) if start <= last.saturating_add(1) => *last = (*last).max(end),
                _ => out.push((start, end)),
            }
        }
        Class(out)
    }

    /// With both cases of every ASCII letter in it, for `(?i)`.
    pub fn ignoring_case(self) -> Self {
        let other = |c: u32| match char::from_u32(c) {
            Some(c) if c.is_ascii_lowercase() => c.to_ascii_uppercase() as u32,
            Some(c) => c.to_ascii_lowercase() as u32,
            None => c,
        };
        let letters: Vec<u32> = (0x41..=0x5a).chain(0x61..=0x7a).filter(|c| self.has(*c)).collect();
        let others = Class(letters.into_iter().map(|c| (other(c), other(c))).collect());
        self.or(&others)
    }

    fn has(&self, letter: u32) -> bool {
        self.0.iter().any(|(start, end)| (*start..=*end).contains(&letter))
    }

    /// As the engine writes it. Surrogates are left out: no text has them.
    pub fn write(&self, out: &mut String) {
        use std::fmt::Write;
        let surrogates = [(0, 0xd7ff), (0xe000, LAST)];
        let parts = |(start, end): (u32, u32)| {
            surrogates.map(|(s, e)| (start.max(s), end.min(e))).into_iter().filter(|(s, e)| s <= e)
        };
        let ranges: Vec<(u32, u32)> = self.0.iter().copied().flat_map(parts).collect();
        if ranges.is_empty() {
            // nothing matches
            out.push_str(r"[^\x{0}-\x{10ffff}]");
            return;
        }
        out.push('[');
        for (start, end) in ranges {
            let _ = write!(out, r"\x{{{start:x}}}-\x{{{end:x}}}");
        }
        out.push(']');
    }
}
