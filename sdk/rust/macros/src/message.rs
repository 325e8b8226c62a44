//! `#[weir::transform]`: a transform out of a per-message function.

use crate::{cells::with_lifetime, options::doc};
use proc_macro2::TokenStream;
use quote::quote;
use syn::{Error, FnArg, ItemFn, LitStr, Result, ReturnType, Type, parse::Parser};

pub fn transform(arguments: TokenStream, function: ItemFn) -> Result<TokenStream> {
    let mut missing = quote!(Pass);
    let parser = syn::meta::parser(|meta| {
        if !meta.path.is_ident("on_missing") {
            return Err(meta.error("expected `on_missing = \"pass\"` or `on_missing = \"fail\"`"));
        }
        let text: LitStr = meta.value()?.parse()?;
        missing = match text.value().as_str() {
            "pass" => quote!(Pass),
            "fail" => quote!(Fail),
            _ => return Err(Error::new(text.span(), "expected \"pass\" or \"fail\"")),
        };
        Ok(())
    });
    parser.parse2(arguments)?;
    let (name, visibility) = (&function.sig.ident, &function.vis);
    let mut types = function.sig.inputs.iter().map(argument);
    let row = types.next().ok_or_else(|| Error::new_spanned(&function.sig, "the first argument is the row"))??;
    let options = types.next().transpose()?;
    if let Some(extra) = types.next() {
        return Err(Error::new_spanned(extra?, "a function takes a row and, if it has any, its options"));
    }
    let (options, call) = match options {
        Some(Type::Reference(options)) => (&*options.elem, quote!(#name(row, options))),
        Some(other) => return Err(Error::new_spanned(other, "options are taken by reference")),
        None => (&syn::parse_quote!(::weir::NoOptions), quote!(#name(row))),
    };
    let ReturnType::Type(_, outcome) = &function.sig.output else {
        return Err(Error::new_spanned(&function.sig, "return a Verdict, columns, or a bool"));
    };
    // lifetimes of the function are unknown outside of it
    let (row, outcome) = (with_lifetime(quote!(#row), &quote!('_)), with_lifetime(quote!(#outcome), &quote!('_)));
    let summary = doc(&function.attrs);
    let summary = summary.lines().next().unwrap_or_default();
    let text = if summary.is_empty() { name.to_string() } else { summary.to_string() };
    Ok(quote! {
        #function

        #[doc = #text]
        #[allow(non_camel_case_types)]
        #visibility struct #name {
            options: #options,
            shapes: ::weir::message::Shapes,
        }

        impl ::weir::Transform for #name {
            const SUMMARY: &'static str = #text;
            type Options = #options;

            fn new(options: #options) -> ::core::result::Result<Self, ::weir::Failure> {
                ::core::result::Result::Ok(#name { options, shapes: ::core::default::Default::default() })
            }

            fn bind(&mut self, shape: &::weir::Shape) -> ::core::result::Result<::weir::Binding, ::weir::Failure> {
                self.shapes.bind::<#row, <#outcome as ::weir::Outcome>::Columns>(shape, ::weir::OnMissing::#missing)
            }

            fn unbind(&mut self, shape: u32) {
                self.shapes.unbind(shape);
            }

            fn apply(&mut self, batch: ::weir::Batch) -> ::core::result::Result<::weir::Output, ::weir::Failure> {
                let options = &self.options;
                let _ = options;
                self.shapes.run(&batch, |row: #row| #call)
            }
        }

        ::weir::export!(#name);
    })
}

fn argument(argument: &FnArg) -> Result<&Type> {
    match argument {
        FnArg::Typed(typed) => Ok(&typed.ty),
        FnArg::Receiver(receiver) => Err(Error::new_spanned(receiver, "a function, not a method")),
    }
}
