//! `derive(Row)` and `derive(Columns)`.

use crate::path::{Place, Repr, place};
use proc_macro2::TokenStream;
use quote::quote;
use syn::{Data, DeriveInput, Error, Field, Fields, GenericParam, Result};

/// The named fields of a struct.
pub fn fields(input: &DeriveInput) -> Result<Vec<&Field>> {
    match &input.data {
        Data::Struct(data) => match &data.fields {
            Fields::Named(named) => Ok(named.named.iter().collect()),
            Fields::Unit => Ok(vec![]),
            Fields::Unnamed(_) => Err(Error::new_spanned(&input.ident, "fields need names")),
        },
        _ => Err(Error::new_spanned(&input.ident, "only a struct can be derived")),
    }
}

pub fn row(input: &DeriveInput) -> Result<TokenStream> {
    let name = &input.ident;
    let mut lifetimes = input.generics.params.iter();
    let (header, generics) = match (lifetimes.next(), lifetimes.next()) {
        (None, _) => (quote!('row), quote!()),
        (Some(GenericParam::Lifetime(_)), None) => (quote!('row), quote!(<'row>)),
        _ => return Err(Error::new_spanned(&input.generics, "a row has one lifetime at most")),
    };
    let (mut cells, mut reads) = (vec![], vec![]);
    for (i, field) in fields(input)?.into_iter().enumerate() {
        let Place { path, repr, .. } = place(field)?;
        let (ident, ty) = (&field.ident, erased(&field.ty));
        let repr = self::repr(repr);
        cells.push(quote! {
            ::weir::Cell {
                path: &[#(#path),*],
                repr: #repr,
                optional: <#ty as ::weir::FromCell<'static>>::OPTIONAL,
                wanted: <#ty as ::weir::FromCell<'static>>::WANTED,
                fits: <#ty as ::weir::FromCell<'static>>::fits,
            }
        });
        reads.push(quote!(#ident: cells.get(#i, row)?));
    }
    Ok(quote! {
        #[automatically_derived]
        impl<#header> ::weir::Row<#header> for #name #generics {
            const CELLS: &'static [::weir::Cell] = &[#(#cells),*];
            #[inline]
            fn read(cells: &::weir::Cells<#header>, row: usize) -> ::core::option::Option<Self> {
                ::core::option::Option::Some(#name { #(#reads),* })
            }
        }
    })
}

pub fn columns(input: &DeriveInput) -> Result<TokenStream> {
    let name = &input.ident;
    let (header, generics, bounds) = input.generics.split_for_impl();
    let (mut cells, mut pushes) = (vec![], vec![]);
    for (i, field) in fields(input)?.into_iter().enumerate() {
        let Place { path, repr, name } = place(field)?;
        let (ident, ty) = (&field.ident, erased(&field.ty));
        let kind = match repr {
            Repr::Json => quote!(::weir::Kind::Any),
            _ => quote!(<#ty as ::weir::IntoCell>::KIND),
        };
        let repr = self::repr(repr);
        let name = match name {
            Some(name) => quote!(::core::option::Option::Some(#name)),
            None => quote!(::core::option::Option::None),
        };
        cells.push(quote! {
            ::weir::NewCell {
                path: &[#(#path),*],
                kind: #kind,
                repr: #repr,
                optional: <#ty as ::weir::IntoCell>::OPTIONAL,
                name: #name,
            }
        });
        pushes.push(quote! {
            if let ::core::option::Option::Some(column) = columns.get_mut(#i) {
                ::weir::IntoCell::write(self.#ident, column);
            }
        });
    }
    Ok(quote! {
        #[automatically_derived]
        impl #header ::weir::Columns for #name #generics #bounds {
            const CELLS: &'static [::weir::NewCell] = &[#(#cells),*];
            #[inline]
            fn push(self, columns: &mut [::weir::Builder]) {
                #(#pushes)*
            }
        }
    })
}

fn repr(repr: Repr) -> TokenStream {
    match repr {
        Repr::Native => quote!(::weir::Repr::Native),
        Repr::Dictionary => quote!(::weir::Repr::Dictionary),
        Repr::Json => quote!(::weir::Repr::Json),
    }
}

/// A type with its lifetimes made `'static`: what it is does not depend on them, and a constant cannot name them.
fn erased(ty: &syn::Type) -> TokenStream {
    with_lifetime(quote!(#ty), &quote!('static))
}

/// The same tokens with another lifetime for each.
pub fn with_lifetime(tokens: TokenStream, lifetime: &TokenStream) -> TokenStream {
    use proc_macro2::{Group, TokenTree};
    let mut out = TokenStream::new();
    let mut tokens = tokens.into_iter();
    while let Some(token) = tokens.next() {
        match token {
            TokenTree::Punct(p) if p.as_char() == '\'' => {
                tokens.next();
                out.extend(lifetime.clone());
            }
            TokenTree::Group(g) => {
                let inner = with_lifetime(g.stream(), lifetime);
                out.extend([TokenTree::Group(Group::new(g.delimiter(), inner))]);
            }
            other => out.extend([other]),
        }
    }
    out
}
