//! `derive(Options)`.

use crate::cells::fields;
use proc_macro2::TokenStream;
use quote::{format_ident, quote};
use syn::{
    Attribute, DeriveInput, Error, Expr, ExprArray, ExprLit, Lit, LitInt, LitStr, Result, ext::IdentExt,
    meta::ParseNestedMeta,
};

/// What the attributes of an option say.
#[derive(Clone, Default)]
struct Attributes {
    name: Option<String>,
    label: Option<String>,
    group: Option<String>,
    default: Option<String>,
    importance: Option<String>,
    width: Option<String>,
    order: Option<i32>,
    one_of: Vec<String>,
    required: bool,
    ignore_case: bool,
    hidden: bool,
    class: bool,
    password: bool,
}

const IMPORTANCES: &[&str] = &["high", "medium", "low"];
const WIDTHS: &[&str] = &["none", "short", "medium", "long"];

pub fn derive(input: &DeriveInput) -> Result<TokenStream> {
    let mut all = Attributes::default();
    for attribute in input.attrs.iter().filter(|a| a.path().is_ident("options")) {
        attribute.parse_nested_meta(|meta| all.parse(&meta))?;
    }
    let (mut declared, mut shown, mut parses, mut idents, mut types) = (vec![], vec![], vec![], vec![], vec![]);
    for (i, field) in fields(input)?.into_iter().enumerate() {
        let mut attributes = all.clone();
        for attribute in field.attrs.iter().filter(|a| a.path().is_ident("option")) {
            attribute.parse_nested_meta(|meta| attributes.parse(&meta))?;
        }
        let ident = field.ident.as_ref().ok_or_else(|| Error::new_spanned(field, "a field needs a name"))?;
        declared.push(attributes.declaration(&ident.unraw().to_string(), &field.ty, &doc(&field.attrs), i as i32)?);
        if !attributes.hidden {
            shown.push(i);
        }
        idents.push(ident);
        types.push(&field.ty);
        parses.push(i);
    }
    let name = &input.ident;
    let count = declared.len();
    Ok(quote! {
        const _: () = {
            const DECLARED: [::weir::options::Declared; #count] = [#(#declared),*];
            #[automatically_derived]
            impl ::weir::Options for #name {
                fn defs() -> ::std::vec::Vec<::weir::OptionDef> {
                    ::std::vec![#(DECLARED[#shown].def()),*]
                }
                fn unparsed(given: &::weir::Given) -> ::std::vec::Vec<::weir::Problem> {
                    let problems: [::core::option::Option<::weir::Problem>; #count] =
                        [#(DECLARED[#parses].unparsed::<#types>(given)),*];
                    problems.into_iter().flatten().collect()
                }
                fn refused(given: &::weir::Given) -> ::std::vec::Vec<::weir::Problem> {
                    DECLARED.iter().filter_map(|o| o.refused(given)).collect()
                }
                fn parse(given: &::weir::Given) -> ::core::result::Result<Self, ::std::vec::Vec<::weir::Problem>> {
                    let one = |problem| ::std::vec![problem];
                    ::core::result::Result::Ok(#name {
                        #(#idents: DECLARED[#parses].parse::<#types>(given).map_err(one)?),*
                    })
                }
            }
        };
    })
}

/// The text of a doc comment.
pub fn doc(attributes: &[Attribute]) -> String {
    let lines = attributes.iter().filter(|a| a.path().is_ident("doc")).filter_map(|a| match &a.meta {
        syn::Meta::NameValue(pair) => match &pair.value {
            Expr::Lit(ExprLit { lit: Lit::Str(text), .. }) => Some(text.value().trim().to_string()),
            _ => None,
        },
        _ => None,
    });
    lines.collect::<Vec<_>>().join("\n").trim().to_string()
}

// === impl Attributes ===

impl Attributes {
    fn parse(&mut self, meta: &ParseNestedMeta) -> Result<()> {
        let word = meta.path.get_ident().map(|i| i.to_string()).unwrap_or_default();
        let text = || -> Result<String> { Ok(meta.value()?.parse::<LitStr>()?.value()) };
        let among = |allowed: &[&str]| -> Result<String> {
            let text = meta.value()?.parse::<LitStr>()?;
            match allowed.contains(&text.value().as_str()) {
                true => Ok(text.value()),
                false => Err(Error::new(text.span(), format!("expected one of {}", allowed.join(", ")))),
            }
        };
        match word.as_str() {
            "name" => self.name = Some(text()?),
            "label" => self.label = Some(text()?),
            "group" => self.group = Some(text()?),
            "default" => self.default = Some(text()?),
            "importance" => self.importance = Some(among(IMPORTANCES)?),
            "width" => self.width = Some(among(WIDTHS)?),
            "order" => {
                let value = meta.value()?;
                let minus = value.parse::<Option<syn::Token![-]>>()?.is_some();
                let number: i32 = value.parse::<LitInt>()?.base10_parse()?;
                self.order = Some(if minus { -number } else { number });
            }
            "one_of" => self.one_of = texts(&meta.value()?.parse()?)?,
            "required" => self.required = true,
            "ignore_case" => self.ignore_case = true,
            "hidden" => self.hidden = true,
            "class" => self.class = true,
            "password" => self.password = true,
            _ => return Err(meta.error("no such attribute of an option")),
        }
        Ok(())
    }

    fn declaration(&self, field: &str, ty: &syn::Type, doc: &str, place: i32) -> Result<TokenStream> {
        let optional = |text: &Option<String>| match text {
            Some(text) => quote!(::core::option::Option::Some(#text)),
            None => quote!(::core::option::Option::None),
        };
        let name = self.name.clone().unwrap_or_else(|| field.replace('_', "."));
        let label = self.label.clone().unwrap_or_else(|| name.clone());
        let (group, default) = (optional(&self.group), optional(&self.default));
        let importance = variant(self.importance.as_deref().unwrap_or("medium"));
        let width = variant(self.width.as_deref().unwrap_or("none"));
        let order = self.order.unwrap_or(place);
        let (one_of, ignore_case) = (&self.one_of, self.ignore_case);
        let type_ = match (self.class, self.password) {
            (true, _) => quote!(::weir::wit::OptionType::Class),
            (_, true) => quote!(::weir::wit::OptionType::Password),
            _ => quote!(<#ty as ::weir::OptionValue>::TYPE),
        };
        // without default and not an Option: there is nothing else to take
        let required = self.required || (self.default.is_none() && !is_option(ty));
        Ok(quote! {
            ::weir::options::Declared {
                name: #name,
                type_: #type_,
                doc: #doc,
                label: #label,
                group: #group,
                default: #default,
                required: #required,
                importance: ::weir::wit::Importance::#importance,
                width: ::weir::wit::Width::#width,
                order: #order,
                one_of: &[#(#one_of),*],
                ignore_case: #ignore_case,
            }
        })
    }
}

/// `high` as `High`.
fn variant(word: &str) -> proc_macro2::Ident {
    let (first, rest) = word.split_at(word.len().min(1));
    format_ident!("{}{}", first.to_uppercase(), rest)
}

fn texts(array: &ExprArray) -> Result<Vec<String>> {
    let text = |e: &Expr| match e {
        Expr::Lit(ExprLit { lit: Lit::Str(text), .. }) => Ok(text.value()),
        other => Err(Error::new_spanned(other, "expected a text")),
    };
    array.elems.iter().map(text).collect()
}

fn is_option(ty: &syn::Type) -> bool {
    matches!(ty, syn::Type::Path(path) if path.path.segments.last().is_some_and(|s| s.ident == "Option"))
}
