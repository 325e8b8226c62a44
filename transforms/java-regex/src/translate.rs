//! From Java's notation to the engine's. Classes become plain ranges, so that neither sets nor Unicode tables are needed.

use crate::{
    Refused,
    class::{Class, TERMINATORS, letter, named},
};
use std::{iter::Peekable, str::Chars};

/// Flags in force; a group ends what it began.
#[derive(Clone, Copy, Default)]
struct Flags {
    dot_all: bool,
    ignore_case: bool,
    comments: bool,
    unix_lines: bool,
}

struct Translator<'a> {
    rest: Peekable<Chars<'a>>,
    out: String,
    flags: Flags,
    /// flags outside of each open group
    groups: Vec<Flags>,
    /// something stands there that a quantifier could follow
    depth: usize,
}

/// Classes within classes, at most.
const DEEPEST: usize = 32;

pub fn translate(pattern: &str) -> Result<String, Refused> {
    let rest = pattern.chars().peekable();
    let mut t = Translator { rest, out: String::new(), flags: Flags::default(), groups: vec![], depth: 0 };
    while let Some(letter) = t.rest.next() {
        t.step(letter)?;
    }
    if !t.groups.is_empty() {
        return Err("unclosed group: a `(` has no `)`".into());
    }
    Ok(t.out)
}

// === impl Translator ===

impl Translator<'_> {
    fn step(&mut self, letter: char) -> Result<(), Refused> {
        match letter {
            '\\' => self.escape()?,
            '[' => {
                let class = self.class()?;
                self.write(class);
            }
            '.' => {
                let terminators = match self.flags {
                    Flags { dot_all: true, .. } => Class::default(),
                    Flags { unix_lines: true, .. } => Class::one('\n'),
                    _ => Class::of(TERMINATORS),
                };
                terminators.negated().write(&mut self.out);
            }
            '(' => self.group()?,
            ')' => {
                self.flags = self.groups.pop().ok_or("unmatched `)`")?;
                self.out.push(')');
            }
            '*' | '+' | '?' => {
                self.out.push(letter);
                self.quantified()?;
            }
            '{' => {
                self.out.push('{');
                loop {
                    match self.rest.next() {
                        Some(c) if c.is_ascii_digit() || c == ',' => self.out.push(c),
                        Some('}') => break,
                        _ => return Err("illegal repetition: `{` takes numbers".into()),
                    }
                }
                if self.out.ends_with('{') || self.out.ends_with("{,") {
                    return Err("illegal repetition: `{` takes numbers".into());
                }
                self.out.push('}');
                self.quantified()?;
            }
            '|' | '^' => self.out.push(letter),
            '$' => self.out.push('$'),
            _ if self.flags.comments && letter.is_ascii_whitespace() => {}
            '#' if self.flags.comments => while self.rest.next_if(|c| *c != '\n').is_some() {},
            _ => self.literal(letter),
        }
        Ok(())
    }

    /// After a quantifier: lazy is understood, possessive is not.
    fn quantified(&mut self) -> Result<(), Refused> {
        if self.rest.next_if_eq(&'+').is_some() {
            return Err("possessive quantifiers (`*+`, `++`, `?+`) are not available here".into());
        }
        if self.rest.next_if_eq(&'?').is_some() {
            self.out.push('?');
        }
        Ok(())
    }

    fn literal(&mut self, letter: char) {
        if self.flags.ignore_case && letter.is_ascii_alphabetic() {
            self.write(Class::one(letter));
            return;
        }
        if letter.is_ascii_punctuation() || letter.is_ascii_whitespace() {
            Class::one(letter).write(&mut self.out);
        } else {
            self.out.push(letter);
        }
    }

    fn write(&mut self, class: Class) {
        let class = if self.flags.ignore_case { class.ignoring_case() } else { class };
        class.write(&mut self.out);
    }

    fn group(&mut self) -> Result<(), Refused> {
        let outside = self.flags;
        self.out.push('(');
        if self.rest.next_if_eq(&'?').is_none() {
            self.groups.push(outside);
            return Ok(());
        }
        match self.rest.next() {
            Some(':') => self.out.push_str("?:"),
            Some('=' | '!') => return Err("look-ahead (`(?=`, `(?!`) is not available here".into()),
            Some('>') => return Err("atomic groups (`(?>`) are not available here".into()),
            Some('<') => {
                if self.rest.next_if(|c| matches!(c, '=' | '!')).is_some() {
                    return Err("look-behind (`(?<=`, `(?<!`) is not available here".into());
                }
                self.out.push_str("?<");
                while let Some(c) = self.rest.next_if(char::is_ascii_alphanumeric) {
                    self.out.push(c);
                }
                if self.rest.next() != Some('>') {
                    return Err("a group's name has no `>`".into());
                }
                self.out.push('>');
            }
            first => return self.switch(first, outside),
        }
        self.groups.push(outside);
        Ok(())
    }

    /// `(?i)`, `(?s-i:`: flags for the rest of the group, or for one of their own.
    fn switch(&mut self, first: Option<char>, outside: Flags) -> Result<(), Refused> {
        let (mut on, mut letter) = (true, first);
        let mut multiline = None;
        loop {
            match letter {
                Some('-') => on = false,
                Some('i') => self.flags.ignore_case = on,
                Some('s') => self.flags.dot_all = on,
                Some('x') => self.flags.comments = on,
                Some('d') => self.flags.unix_lines = on,
                Some('m') => multiline = Some(on),
                // Unicode case is asked for together with `i`; ASCII is what there is
                Some(c @ ('u' | 'U')) if on => return Err(Refused(format!("the flag `{c}` is not available here"))),
                Some('u' | 'U') => {}
                Some(')') => {
                    // the engine knows `m` alone; everything else is written out
                    self.out.push_str(match multiline {
                        Some(true) => "?m)",
                        Some(false) => "?-m)",
                        None => "?:)",
                    });
                    return Ok(());
                }
                Some(':') => {
                    self.out.push_str(match multiline {
                        Some(true) => "?m:",
                        Some(false) => "?-m:",
                        None => "?:",
                    });
                    self.groups.push(outside);
                    return Ok(());
                }
                _ => return Err("unknown inline flag or group".into()),
            }
            letter = self.rest.next();
        }
    }

    fn escape(&mut self) -> Result<(), Refused> {
        let next = self.rest.next().ok_or("nothing follows the backslash")?;
        match next {
            'Q' => {
                let mut quoted = String::new();
                for c in self.rest.by_ref() {
                    quoted.push(c);
                    if let Some(end) = quoted.strip_suffix("\\E") {
                        quoted = end.into();
                        break;
                    }
                }
                quoted.chars().for_each(|c| self.literal(c));
            }
            'E' => {}
            '1'..='9' | 'k' => return Err("backreferences (`\\1`, `\\k<name>`) are not available here".into()),
            'b' => self.out.push_str(r"\b"),
            'B' => self.out.push_str(r"\B"),
            'A' => self.out.push_str(r"\A"),
            'z' => self.out.push_str(r"\z"),
            'R' => {
                self.out.push_str(r"(?:\r\n|");
                letter('v').unwrap_or_default().write(&mut self.out);
                self.out.push(')');
            }
            _ => match self.escaped(next)? {
                Escaped::One(c) => self.literal(c),
                Escaped::Class(class) => self.write(class),
            },
        }
        Ok(())
    }

    /// What an escape stands for, within a class and outside.
    fn escaped(&mut self, next: char) -> Result<Escaped, Refused> {
        if let Some(class) = letter(next) {
            return Ok(Escaped::Class(class));
        }
        let one = match next {
            'p' | 'P' => {
                let name = match self.rest.next() {
                    Some('{') => self.until('}')?,
                    Some(c) => c.to_string(),
                    None => return Err("`\\p` takes a name".into()),
                };
                let class = named(&name)?;
                return Ok(Escaped::Class(if next == 'P' { class.negated() } else { class }));
            }
            't' => '\t',
            'n' => '\n',
            'r' => '\r',
            'f' => '\u{c}',
            'a' => '\u{7}',
            'e' => '\u{1b}',
            'c' => {
                let c = self.rest.next().ok_or("`\\c` takes a letter")?;
                char::from_u32(c as u32 ^ 64).ok_or("`\\c` takes a letter")?
            }
            '0' => {
                let mut code = 0;
                for _ in 0..3 {
                    match self.rest.peek().and_then(|c| c.to_digit(8)) {
                        Some(digit) if code * 8 + digit <= 0o377 => {
                            code = code * 8 + digit;
                            self.rest.next();
                        }
                        _ => break,
                    }
                }
                char::from_u32(code).ok_or("no such character")?
            }
            'x' if self.rest.next_if_eq(&'{').is_some() => {
                let digits = self.until('}')?;
                let code = u32::from_str_radix(&digits, 16).ok();
                code.and_then(char::from_u32).ok_or("`\\x{…}` takes a character's number")?
            }
            'x' => char::from_u32(self.hex(2)?).ok_or("no such character")?,
            'u' => self.utf16()?,
            c if c.is_ascii_alphanumeric() => return Err(Refused(format!("`\\{c}` is not available here"))),
            c => c,
        };
        Ok(Escaped::One(one))
    }

    /// `\uXXXX`, or a pair of them.
    fn utf16(&mut self) -> Result<char, Refused> {
        let first = self.hex(4)?;
        if let Some(c) = char::from_u32(first) {
            return Ok(c);
        }
        let low = match (self.rest.next(), self.rest.next()) {
            (Some('\\'), Some('u')) => self.hex(4)?,
            _ => return Err("half of a surrogate pair".into()),
        };
        let units = [first as u16, low as u16];
        char::decode_utf16(units).next().and_then(Result::ok).ok_or_else(|| "half of a surrogate pair".into())
    }

    fn hex(&mut self, digits: usize) -> Result<u32, Refused> {
        (0..digits).try_fold(0, |code, _| {
            let digit = self.rest.next().and_then(|c| c.to_digit(16)).ok_or("too few hexadecimal digits")?;
            Ok(code * 16 + digit)
        })
    }

    fn until(&mut self, end: char) -> Result<String, Refused> {
        let mut text = String::new();
        loop {
            match self.rest.next() {
                Some(c) if c == end => return Ok(text),
                Some(c) => text.push(c),
                None => return Err(Refused(format!("`{end}` is missing"))),
            }
        }
    }

    /// What follows a `[`, up to its `]`.
    fn class(&mut self) -> Result<Class, Refused> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err("classes within classes, too deep".into());
        }
        let negated = self.rest.next_if_eq(&'^').is_some();
        // what stands left of the `&&`s so far
        let mut left: Option<Class> = None;
        let mut set = Class::default();
        let mut empty = true;
        loop {
            let letter = self.rest.next().ok_or("unclosed class: a `[` has no `]`")?;
            let low = match letter {
                ']' if !empty || left.is_some() => break,
                '[' => {
                    set = set.or(&self.class()?);
                    empty = false;
                    continue;
                }
                '&' if self.rest.next_if_eq(&'&').is_some() => {
                    if !empty {
                        left = Some(left.map_or_else(|| set.clone(), |l| l.and(&set)));
                    }
                    (set, empty) = (Class::default(), true);
                    continue;
                }
                _ if self.flags.comments && letter.is_ascii_whitespace() => continue,
                '\\' => {
                    let next = self.rest.next().ok_or("nothing follows the backslash")?;
                    if next == 'Q' {
                        return Err("`\\Q` within a class is not available here".into());
                    }
                    match self.escaped(next)? {
                        Escaped::One(c) => c,
                        Escaped::Class(class) => {
                            set = set.or(&class);
                            empty = false;
                            continue;
                        }
                    }
                }
                _ => letter,
            };
            set = set.or(&self.range(low)?);
            empty = false;
        }
        if let Some(left) = left {
            set = if empty { left } else { left.and(&set) };
        }
        self.depth -= 1;
        Ok(if negated { set.negated() } else { set })
    }

    /// `a-z` if a `-` and an end follow, else the one character.
    fn range(&mut self, low: char) -> Result<Class, Refused> {
        let mut ahead = self.rest.clone();
        if ahead.next() != Some('-') || matches!(ahead.peek(), None | Some(']' | '[')) {
            return Ok(Class::one(low));
        }
        self.rest.next();
        let high = match self.rest.next() {
            Some('\\') => {
                let next = self.rest.next().ok_or("nothing follows the backslash")?;
                match self.escaped(next)? {
                    Escaped::One(c) => c,
                    Escaped::Class(class) => return Ok(Class::one(low).or(&Class::one('-')).or(&class)),
                }
            }
            Some(c) => c,
            None => return Err("unclosed class: a `[` has no `]`".into()),
        };
        if high < low {
            return Err(Refused(format!("illegal range `{low}-{high}`")));
        }
        Ok(Class::of(&[(low as u32, high as u32)]))
    }
}

enum Escaped {
    One(char),
    Class(Class),
}
