//! Conditions: a part of Groovy, read into a tree.

use crate::{token::Token, value::Value};
use std::rc::Rc;
use weir::Comparison;
use weir_java_regex::Regex;

#[derive(Clone, Debug)]
pub enum Expr {
    Literal(Value<'static>),
    /// there, and no Boolean; lists with items stand after `in`
    List,
    /// value, key, topic, header, valueSchema, keySchema
    Name(String),
    /// `of.name`, `of?.name`, `of['name']`
    Member {
        of: Box<Expr>,
        name: String,
        safe: bool,
    },
    Call {
        of: Box<Expr>,
        method: Method,
        argument: Option<Box<Expr>>,
        safe: bool,
    },
    Not(Box<Expr>),
    And(Box<Expr>, Box<Expr>),
    Or(Box<Expr>, Box<Expr>),
    Compare(Comparison, Box<Expr>, Box<Expr>),
    In(Box<Expr>, Vec<Expr>),
    /// `==~` asks for the whole text, `=~` for a part
    Match {
        of: Box<Expr>,
        regex: Rc<Regex>,
        whole: bool,
    },
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Method {
    Contains,
    StartsWith,
    EndsWith,
    EqualsIgnoreCase,
    ToUpperCase,
    ToLowerCase,
    Trim,
    IsEmpty,
    Size,
    ToString,
    /// of a schema
    Name,
}

/// A method's name, itself, and whether it takes an argument.
const METHODS: &[(&str, Method, bool)] = &[
    ("contains", Method::Contains, true),
    ("startsWith", Method::StartsWith, true),
    ("endsWith", Method::EndsWith, true),
    ("equalsIgnoreCase", Method::EqualsIgnoreCase, true),
    ("toUpperCase", Method::ToUpperCase, false),
    ("toLowerCase", Method::ToLowerCase, false),
    ("trim", Method::Trim, false),
    ("isEmpty", Method::IsEmpty, false),
    ("size", Method::Size, false),
    ("length", Method::Size, false),
    ("toString", Method::ToString, false),
    ("name", Method::Name, false),
];

const NAMES: &[&str] = &["value", "key", "topic", "header", "valueSchema", "keySchema"];

/// What a condition may be made of, for whoever wrote another one.
pub const WORKS: &str = "what works: value.…, key.…, topic, header.….value, valueSchema.name(), keySchema.name(); == != < <= > >= in !in =~ ==~ \
    && || ! and parentheses; ?. for what may be null; texts, numbers, true, false, null, [lists]; contains, startsWith, endsWith, \
    equals, equalsIgnoreCase, matches, toUpperCase, toLowerCase, trim, isEmpty, size, length, toString, get";

/// Brackets and operators within each other, at most.
const DEEPEST: usize = 64;

pub fn parse(condition: &str) -> Result<Expr, String> {
    let mut parser = Parser { tokens: crate::token::tokens(condition)?, at: 0, depth: 0 };
    let expr = parser.or()?;
    match parser.next() {
        None => Ok(expr),
        Some(token) => Err(format!("{token} was not expected; {WORKS}")),
    }
}

struct Parser {
    tokens: Vec<Token>,
    at: usize,
    depth: usize,
}

// === impl Method ===

impl Method {
    pub fn name(self) -> &'static str {
        METHODS.iter().find(|(_, method, _)| *method == self).map_or("", |(name, ..)| name)
    }
}

// === impl Parser ===

impl Parser {
    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at)
    }

    fn next(&mut self) -> Option<Token> {
        let token = self.peek().cloned();
        self.at += 1;
        token
    }

    fn takes(&mut self, sign: &str) -> bool {
        let found = matches!(self.peek(), Some(Token::Sign(s)) if *s == sign);
        self.at += usize::from(found);
        found
    }

    fn expect(&mut self, sign: &str) -> Result<(), String> {
        match self.takes(sign) {
            true => Ok(()),
            false => Err(match self.peek() {
                Some(token) => format!("{token} stands where `{sign}` was expected; {WORKS}"),
                None => format!("`{sign}` is missing at the end"),
            }),
        }
    }

    fn or(&mut self) -> Result<Expr, String> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err("too many brackets within each other".into());
        }
        let mut left = self.and()?;
        while self.takes("||") {
            left = Expr::Or(left.into(), self.and()?.into());
        }
        self.depth -= 1;
        Ok(left)
    }

    fn and(&mut self) -> Result<Expr, String> {
        let mut left = self.equality()?;
        while self.takes("&&") {
            left = Expr::And(left.into(), self.equality()?.into());
        }
        Ok(left)
    }

    fn equality(&mut self) -> Result<Expr, String> {
        let mut left = self.relation()?;
        loop {
            if self.takes("==") {
                left = Expr::Compare(Comparison::Eq, left.into(), self.relation()?.into());
            } else if self.takes("!=") {
                left = Expr::Compare(Comparison::Ne, left.into(), self.relation()?.into());
            } else if self.takes("=~") {
                left = Expr::Match { of: left.into(), regex: self.regex()?, whole: false };
            } else if self.takes("==~") {
                left = Expr::Match { of: left.into(), regex: self.regex()?, whole: true };
            } else {
                return Ok(left);
            }
        }
    }

    fn relation(&mut self) -> Result<Expr, String> {
        let left = self.unary()?;
        let signs = [("<=", Comparison::Le), (">=", Comparison::Ge), ("<", Comparison::Lt), (">", Comparison::Gt)];
        if let Some((_, is)) = signs.into_iter().find(|(sign, _)| self.takes(sign)) {
            return Ok(Expr::Compare(is, left.into(), self.unary()?.into()));
        }
        if self.takes("in") {
            return Ok(Expr::In(left.into(), self.list()?));
        }
        if self.takes("!in") {
            return Ok(Expr::Not(Expr::In(left.into(), self.list()?).into()));
        }
        Ok(left)
    }

    fn unary(&mut self) -> Result<Expr, String> {
        if self.takes("!") {
            self.depth += 1;
            if self.depth > DEEPEST {
                return Err("too many brackets within each other".into());
            }
            let expr = self.unary()?;
            self.depth -= 1;
            return Ok(Expr::Not(expr.into()));
        }
        if self.takes("-") {
            let Some(Token::Number(number)) = self.next() else { return Err("`-` takes a number here".into()) };
            return Ok(Expr::Literal(number.negated()));
        }
        self.postfix()
    }

    fn postfix(&mut self) -> Result<Expr, String> {
        let mut expr = self.primary()?;
        loop {
            let safe = self.takes("?.");
            if safe || self.takes(".") {
                let name = match self.next() {
                    Some(Token::Word(name) | Token::Text(name)) => name,
                    _ => return Err("a name is missing after `.`".into()),
                };
                expr = if self.takes("(") {
                    self.call(expr, &name, safe)?
                } else {
                    Expr::Member { of: expr.into(), name, safe }
                };
            } else if self.takes("[") {
                let Some(Token::Text(name)) = self.next() else {
                    return Err(format!("`[…]` takes a name in quotes here; {WORKS}"));
                };
                self.expect("]")?;
                expr = Expr::Member { of: expr.into(), name, safe: false };
            } else {
                return Ok(expr);
            }
        }
    }

    fn call(&mut self, of: Expr, name: &str, safe: bool) -> Result<Expr, String> {
        let argument = match self.takes(")") {
            true => None,
            false => {
                let argument = self.or()?;
                self.expect(")")?;
                Some(argument)
            }
        };
        let of = Box::new(of);
        match (name, argument) {
            ("get", Some(Expr::Literal(Value::Text(name)))) => Ok(Expr::Member { of, name: name.into(), safe }),
            ("equals", Some(other)) => Ok(Expr::Compare(Comparison::Eq, of, other.into())),
            ("matches", Some(Expr::Literal(Value::Text(pattern)))) => {
                Ok(Expr::Match { of, regex: regex(&pattern)?, whole: true })
            }
            (_, argument) => {
                let known = METHODS.iter().find(|(n, _, takes)| *n == name && *takes == argument.is_some());
                let (_, method, _) = known.ok_or_else(|| format!("`{name}(…)` is not available here; {WORKS}"))?;
                Ok(Expr::Call { of, method: *method, argument: argument.map(Box::new), safe })
            }
        }
    }

    fn primary(&mut self) -> Result<Expr, String> {
        Ok(match self.next() {
            Some(Token::Number(number)) => Expr::Literal(number),
            Some(Token::Text(text)) => Expr::Literal(Value::Text(text.into())),
            Some(Token::Word(word)) => match word.as_str() {
                "null" => Expr::Literal(Value::Null),
                "true" => Expr::Literal(Value::Bool(true)),
                "false" => Expr::Literal(Value::Bool(false)),
                name if NAMES.contains(&name) => Expr::Name(word),
                _ => return Err(format!("`{word}` is not known here; {WORKS}")),
            },
            Some(Token::Sign("(")) => {
                let inner = self.or()?;
                self.expect(")")?;
                inner
            }
            Some(Token::Sign("[")) => {
                self.at -= 1;
                self.list().map(|_| Expr::List)?
            }
            Some(token) => return Err(format!("{token} was not expected; {WORKS}")),
            None => return Err("something is missing at the end".into()),
        })
    }

    fn list(&mut self) -> Result<Vec<Expr>, String> {
        self.expect("[")?;
        let mut items = vec![];
        if self.takes("]") {
            return Ok(items);
        }
        loop {
            items.push(self.unary()?);
            if self.takes("]") {
                return Ok(items);
            }
            self.expect(",")?;
        }
    }

    fn regex(&mut self) -> Result<Rc<Regex>, String> {
        match self.next() {
            Some(Token::Text(pattern)) => regex(&pattern),
            _ => Err("a pattern is a text in quotes or slashes here".into()),
        }
    }
}

fn regex(pattern: &str) -> Result<Rc<Regex>, String> {
    Regex::new(pattern).map(Rc::new).map_err(|why| format!("the pattern {pattern}: {why}"))
}
