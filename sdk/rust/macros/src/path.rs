//! `#[at("value.after.id", dictionary)]`: where a field of a struct is in a record.

use syn::{Error, Field, LitStr, Result, Token, ext::IdentExt, parse::ParseStream};

/// What `#[at(…)]` says, or what its absence means.
pub struct Place {
    pub path: Vec<String>,
    pub repr: Repr,
    /// of the schema
    pub name: Option<String>,
}

#[derive(Clone, Copy, PartialEq)]
pub enum Repr {
    Native,
    Dictionary,
    Json,
}

/// The place of a field; `value.after.<name>` unless it says another one.
pub fn place(field: &Field) -> Result<Place> {
    let mut place = Place { path: vec![], repr: Repr::Native, name: None };
    for attribute in field.attrs.iter().filter(|a| a.path().is_ident("at")) {
        attribute.parse_args_with(|input: ParseStream| place.parse(input))?;
    }
    if place.path.is_empty() {
        let name = field.ident.as_ref().ok_or_else(|| Error::new_spanned(field, "a field needs a name"))?;
        place.path = vec!["value".into(), "after".into(), name.unraw().to_string()];
    }
    Ok(place)
}

/// The names of a dotted path, in which a backslash takes a dot for itself.
fn names(dotted: &LitStr) -> Result<Vec<String>> {
    let mut names = vec![String::new()];
    let text = dotted.value();
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        let letter = match letter {
            '.' => {
                names.push(String::new());
                continue;
            }
            '\\' => letters.next().ok_or_else(|| Error::new(dotted.span(), "nothing follows the backslash"))?,
            _ => letter,
        };
        if let Some(name) = names.last_mut() {
            name.push(letter);
        }
    }
    if names.iter().any(String::is_empty) {
        return Err(Error::new(dotted.span(), "a step of the path is empty"));
    }
    Ok(names)
}

// === impl Place ===

impl Place {
    fn parse(&mut self, input: ParseStream) -> Result<()> {
        let path: LitStr = input.parse()?;
        self.path = names(&path)?;
        while input.parse::<Option<Token![,]>>()?.is_some() && !input.is_empty() {
            let word = input.call(syn::Ident::parse_any)?;
            match word.to_string().as_str() {
                "dictionary" => self.repr = Repr::Dictionary,
                "json" => self.repr = Repr::Json,
                "name" => {
                    input.parse::<Token![=]>()?;
                    self.name = Some(input.parse::<LitStr>()?.value());
                }
                _ => return Err(Error::new(word.span(), "expected `dictionary`, `json` or `name = \"…\"`")),
            }
        }
        Ok(())
    }
}
