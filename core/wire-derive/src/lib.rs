//! Derive macros for Kafka messages: one documented struct, its versions as attributes on its fields.
//!
//! `#[derive(Wire)]` on a structure inside a message gives `Default` (the protocol's defaults) and `kafka_proto::wire::Wire`;
//! `#[derive(Message)]` on a whole message gives these and `Message`, and with `api` also `Request`.
//!
//! On a message: `#[wire(versions = "0-12", flexible = "12+", api = Fetch)]`. `flexible` names the versions with compact
//! lengths and tagged fields (none if absent); `api` stands on requests and names the `ApiKey`; the response is the
//! type `Response` beside it.
//!
//! On a field, all optional:
//!
//! | attribute | meaning |
//! |---|---|
//! | `versions = "3+"` | the versions that carry it (`"3+"`, `"0-2"`, `"4"`); all if absent |
//! | `nullable = "3+"` | of an `Option`: the versions in which null may be sent; all if absent |
//! | `default = -1` | its value in versions without it; `Default::default()` of its type if absent |
//! | `ignorable` | a value that the version can't carry is dropped; otherwise it is an error to encode it |
//! | `tag = 0` | a tagged field: sent only if it isn't the default |
//! | `classic` | never in compact form, also in flexible versions |
//!
//! One departure from the upstream generator: an `Option` defaults to `None`, not to an empty value.

mod expand;
mod parse;

use proc_macro::TokenStream;
use syn::{DeriveInput, parse_macro_input};

/// Implements `Default` and `Wire` for a structure inside a message.
#[proc_macro_derive(Wire, attributes(wire))]
pub fn derive_wire(input: TokenStream) -> TokenStream {
    derive(parse_macro_input!(input as DeriveInput), expand::wire)
}

/// Implements `Default`, `Wire` and `Message` (and `Request` with `api`) for a whole message.
#[proc_macro_derive(Message, attributes(wire))]
pub fn derive_message(input: TokenStream) -> TokenStream {
    derive(parse_macro_input!(input as DeriveInput), |parsed| {
        let wire = expand::wire(parsed);
        let message = expand::message(parsed);
        quote::quote! { #wire #message }
    })
}

fn derive(input: DeriveInput, expand: impl Fn(&parse::Structure) -> proc_macro2::TokenStream) -> TokenStream {
    match parse::Structure::new(input) {
        Ok(parsed) => expand(&parsed).into(),
        Err(error) => error.to_compile_error().into(),
    }
}
