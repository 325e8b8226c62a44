//! `sasl.jaas.config`: the one line of Java's login configuration that Kafka clients carry a user and a password in.

use std::iter::Peekable;
use std::str::Chars;

/// One login module and its options.
#[derive(Debug, PartialEq, Eq)]
pub struct Login {
    /// class name of the module
    pub module: String,
    pub options: Vec<(String, String)>,
}

#[derive(Debug, PartialEq, Eq)]
enum Token {
    Word(String),
    Equals,
    End,
}

// === impl Login ===

impl Login {
    pub fn option(&self, name: &str) -> Option<&str> {
        self.options.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }

    /// Reads `module flag name=value …;`. The error says what is missing and never holds a value.
    pub fn parse(text: &str) -> Result<Login, &'static str> {
        let mut tokens = tokens(text)?.into_iter();
        let Some(Token::Word(module)) = tokens.next() else { return Err("the login module's class is missing") };
        match tokens.next() {
            Some(Token::Word(f))
                if matches!(&*f.to_lowercase(), "required" | "requisite" | "sufficient" | "optional") => {}
            _ => return Err("`required` must follow the login module's class"),
        }
        let mut options = Vec::new();
        loop {
            match tokens.next() {
                Some(Token::End) => break,
                Some(Token::Word(name)) => match (tokens.next(), tokens.next()) {
                    (Some(Token::Equals), Some(Token::Word(value))) => options.push((name, value)),
                    _ => return Err("an option is not written name=\"value\""),
                },
                Some(Token::Equals) => return Err("an option has no name"),
                None => return Err("the `;` at the end is missing"),
            }
        }
        match tokens.next() {
            None => Ok(Login { module, options }),
            Some(_) => Err("there is more than one login module"),
        }
    }
}

fn tokens(text: &str) -> Result<Vec<Token>, &'static str> {
    let mut chars = text.chars().peekable();
    let mut out = Vec::new();
    while let Some(c) = chars.next() {
        out.push(match c {
            c if c.is_whitespace() => continue,
            ';' => Token::End,
            '=' => Token::Equals,
            '"' | '\'' => Token::Word(quoted(&mut chars, c)?),
            c => {
                let mut word = String::from(c);
                while let Some(c) = chars.next_if(|c| !c.is_whitespace() && !matches!(c, ';' | '=' | '"' | '\'')) {
                    word.push(c);
                }
                Token::Word(word)
            }
        });
    }
    Ok(out)
}

fn quoted(chars: &mut Peekable<Chars<'_>>, quote: char) -> Result<String, &'static str> {
    let mut word = String::new();
    while let Some(c) = chars.next() {
        match c {
            c if c == quote => return Ok(word),
            '\\' => match chars.next() {
                Some('n') => word.push('\n'),
                Some('t') => word.push('\t'),
                Some('r') => word.push('\r'),
                Some(c) => word.push(c),
                None => break,
            },
            c => word.push(c),
        }
    }
    Err("a quote is not closed")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_scram_login() {
        let text = "org.apache.kafka.common.security.scram.ScramLoginModule required\n username=\"u\" password='a \"b\"; \\\\c';";
        let login = Login::parse(text).unwrap();
        assert!(login.module.ends_with("ScramLoginModule"));
        assert_eq!(login.option("username"), Some("u"));
        assert_eq!(login.option("password"), Some("a \"b\"; \\c"));
    }

    #[test]
    fn errors_hold_no_value() {
        for text in [
            "",
            "M",
            "M required username=\"secret\"",
            "M required password=\"secret",
            "M required secret;",
            "M x a=b;",
        ] {
            let error = Login::parse(text).unwrap_err();
            assert!(!error.contains("secret"), "{error}");
        }
    }

    proptest! {
        #[test]
        fn any_password_comes_back(password in ".*", text in ".*") {
            let escaped = password.replace('\\', "\\\\").replace('"', "\\\"");
            let login = Login::parse(&format!("M required password=\"{escaped}\";")).unwrap();
            prop_assert_eq!(login.option("password"), Some(&*password));
            let _ = Login::parse(&text);
        }
    }
}
