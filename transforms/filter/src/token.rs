//! Words, numbers, texts and signs.

use crate::{expr::WORKS, value::Value};

#[derive(Clone, Debug)]
pub enum Token {
    Word(String),
    Number(Value<'static>),
    Text(String),
    Sign(&'static str),
}

/// Longer ones first.
const SIGNS: &[&str] =
    &["==~", "!in", "==", "=~", "!=", "<=", ">=", "&&", "||", "?.", "<", ">", "!", "(", ")", "[", "]", ",", ".", "-"];

/// Signs of Groovy that conditions here are not made of.
const OTHERS: &[&str] = &["===", "<=>", "**", "++", "--", "<<", ">>", "?:"];

pub fn tokens(condition: &str) -> Result<Vec<Token>, String> {
    let mut out: Vec<Token> = vec![];
    let mut rest = condition.trim();
    while let Some(first) = rest.chars().next() {
        if let Some(other) = OTHERS.iter().find(|o| rest.starts_with(**o)) {
            return Err(format!("`{other}` is not available here; {WORKS}"));
        }
        let (token, length) = match first {
            '\'' | '"' => quoted(rest, first)?,
            '/' if matches!(out.last(), Some(Token::Sign("=~" | "==~"))) => slashy(rest)?,
            c if c.is_ascii_digit() => number(rest)?,
            c if c.is_alphabetic() || c == '_' || c == '$' => {
                let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_' && c != '$').unwrap_or(rest.len());
                let word = rest.get(..end).unwrap_or_default();
                (if word == "in" { Token::Sign("in") } else { Token::Word(word.into()) }, end)
            }
            _ => {
                let whole = |s: &&&str| {
                    // `!in` is a word too: `!index` is not
                    **s != "!in" || !rest.chars().nth(3).is_some_and(|c| c.is_alphanumeric() || c == '_')
                };
                let sign = SIGNS.iter().filter(|s| rest.starts_with(**s)).find(whole);
                let sign = sign.ok_or_else(|| format!("`{first}` is not available here; {WORKS}"))?;
                (Token::Sign(sign), sign.len())
            }
        };
        out.push(token);
        rest = rest.get(length..).unwrap_or_default().trim_start();
    }
    Ok(out)
}

fn quoted(rest: &str, quote: char) -> Result<(Token, usize), String> {
    if rest.starts_with("'''") || rest.starts_with("\"\"\"") {
        return Err("texts in three quotes are not available here".into());
    }
    let mut text = String::new();
    let mut letters = rest.char_indices().skip(1);
    while let Some((at, letter)) = letters.next() {
        match letter {
            '\\' => text.push(match letters.next().map(|(_, c)| c) {
                Some('n') => '\n',
                Some('t') => '\t',
                Some('r') => '\r',
                Some('b') => '\u{8}',
                Some('f') => '\u{c}',
                Some('u') => {
                    let digits = (0..4).try_fold(0, |code, _| Some(code * 16 + letters.next()?.1.to_digit(16)?));
                    digits.and_then(char::from_u32).ok_or("`\\u` takes the four digits of a character")?
                }
                Some(c @ ('\\' | '\'' | '"' | '$')) => c,
                _ => return Err("a text has an unknown escape".into()),
            }),
            '$' if quote == '"' => {
                return Err("texts with `$` in them are computed, which is not available here".into());
            }
            _ if letter == quote => return Ok((Token::Text(text), at + 1)),
            _ => text.push(letter),
        }
    }
    Err(format!("a text has no closing {quote}"))
}

/// `/a\/b/`: a backslash stays, but for the one before a slash.
fn slashy(rest: &str) -> Result<(Token, usize), String> {
    let mut text = String::new();
    let mut letters = rest.char_indices().skip(1).peekable();
    while let Some((at, letter)) = letters.next() {
        match letter {
            '\\' if letters.next_if(|(_, c)| *c == '/').is_some() => text.push('/'),
            '/' => return Ok((Token::Text(text), at + 1)),
            _ => text.push(letter),
        }
    }
    Err("a pattern has no closing /".into())
}

/// `31`, `31L`, `1.5`, `1.5d`, `1e3`, `1_000`.
fn number(rest: &str) -> Result<(Token, usize), String> {
    let mut end = rest.find(|c: char| !c.is_ascii_digit() && c != '_').unwrap_or(rest.len());
    let after = |end: usize| rest.get(end..).unwrap_or_default();
    let mut whole = true;
    if after(end).starts_with('.') && after(end + 1).starts_with(|c: char| c.is_ascii_digit()) {
        whole = false;
        end += 1 + after(end + 1).find(|c: char| !c.is_ascii_digit() && c != '_').unwrap_or(after(end + 1).len());
    }
    if after(end).starts_with(['e', 'E']) {
        let sign = usize::from(after(end + 1).starts_with(['+', '-']));
        let digits = after(end + 1 + sign);
        let length = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
        if length == 0 {
            return Err("a number's exponent has no digits".into());
        }
        whole = false;
        end += 1 + sign + length;
    }
    let text = rest.get(..end).unwrap_or_default().replace('_', "");
    let suffix = after(end).chars().next().filter(char::is_ascii_alphabetic);
    let wrong = || format!("`{text}` is no number that fits here");
    let value = match suffix.map(|s| s.to_ascii_lowercase()) {
        None | Some('g') if !whole => Value::Decimal(text.clone().into()),
        None | Some('l' | 'i' | 'g') if whole => Value::Int(text.parse().map_err(|_| wrong())?),
        Some('d') => Value::Float(text.parse().map_err(|_| wrong())?),
        Some('f') => Value::Float(text.parse::<f32>().map_err(|_| wrong())?.into()),
        _ => return Err(wrong()),
    };
    Ok((Token::Number(value), end + usize::from(suffix.is_some())))
}

// === impl Token ===

impl std::fmt::Display for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Token::Word(word) => write!(f, "`{word}`"),
            Token::Number(_) => f.write_str("a number"),
            Token::Text(text) => write!(f, "'{text}'"),
            Token::Sign(sign) => write!(f, "`{sign}`"),
        }
    }
}
