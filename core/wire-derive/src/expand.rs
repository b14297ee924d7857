//! Writes the implementations. Read the output with `cargo expand -p kafka-proto messages::fetch`.

use proc_macro2::TokenStream;
use quote::{ToTokens, quote};

use crate::parse::{Field, Structure, Versions};

/// `Default` and `Wire`.
pub(crate) fn wire(structure: &Structure) -> TokenStream {
    let ident = &structure.ident;
    let defaults = structure.fields.iter().map(|field| {
        let (name, default) = (&field.ident, default_of(field));
        quote! { #name: #default }
    });
    let shapes = structure.fields.iter().map(shape_of);
    let reads = structure.fields.iter().map(read_of);
    let read_tags = read_tags(structure);
    let writes = structure.fields.iter().filter(|field| field.tag.is_none()).map(|field| write_of(structure, field));
    let write_tags = write_tags(structure);
    quote! {
        impl ::core::default::Default for #ident {
            fn default() -> Self {
                Self { #(#defaults),* }
            }
        }

        impl ::kafka_proto::wire::Wire for #ident {
            const SHAPE: &'static ::kafka_proto::wire::Shape = &::kafka_proto::wire::Shape::Structure(&[#(#shapes),*]);

            #[allow(unused_mut, unused_variables, clippy::too_many_lines)]
            fn read(
                version: ::kafka_proto::wire::Version,
                reader: &mut ::base::Reader<'_>,
            ) -> ::core::result::Result<Self, ::base::DecodeError> {
                let mut message = Self { #(#reads),* };
                #read_tags
                Ok(message)
            }

            #[allow(unused_variables, clippy::too_many_lines)]
            fn write(
                &self,
                version: ::kafka_proto::wire::Version,
                writer: &mut ::kafka_proto::wire::Writer,
            ) -> ::core::result::Result<(), ::kafka_proto::wire::EncodeError> {
                #(#writes)*
                #write_tags
                Ok(())
            }
        }
    }
}

/// `Message`, and `Request` where the structure names its API.
pub(crate) fn message(structure: &Structure) -> TokenStream {
    let ident = &structure.ident;
    let versions = versions_of(structure.versions);
    let flexible = match structure.flexible {
        Some(flexible) => flexible.first,
        None => i16::MAX,
    };
    let request = structure.api.as_ref().map(|api| {
        quote! {
            impl ::kafka_proto::Request for #ident {
                const KEY: ::kafka_proto::ApiKey = ::kafka_proto::ApiKey::#api;
                type Response = Response;
            }
        }
    });
    quote! {
        impl ::kafka_proto::Message for #ident {
            const VERSIONS: ::kafka_proto::wire::Versions = #versions;
            const FLEXIBLE_FROM: i16 = #flexible;
        }
        #request
    }
}

fn default_of(field: &Field) -> TokenStream {
    match &field.default {
        Some(default) => default.to_token_stream(),
        None => {
            let ty = &field.ty;
            quote! { <#ty as ::core::default::Default>::default() }
        }
    }
}

fn versions_of(versions: Versions) -> TokenStream {
    let Versions { first, last } = versions;
    quote! { ::kafka_proto::wire::Versions::new(#first, #last) }
}

fn shape_of(field: &Field) -> TokenStream {
    let name = field.ident.to_string();
    let ty = &field.ty;
    let (versions, nullable) = (versions_of(field.versions), versions_of(field.nullable));
    let tag = match field.tag {
        Some(tag) => quote! { ::core::option::Option::Some(#tag) },
        None => quote! { ::core::option::Option::None },
    };
    let classic = field.classic;
    quote! {
        ::kafka_proto::wire::FieldShape {
            name: #name,
            shape: <#ty as ::kafka_proto::wire::Wire>::SHAPE,
            versions: #versions,
            nullable: #nullable,
            tag: #tag,
            classic: #classic,
        }
    }
}

/// A condition on `version`, or `None` if all versions meet it.
fn condition(versions: Versions) -> Option<TokenStream> {
    let Versions { first, last } = versions;
    match (first, last) {
        (0, i16::MAX) => None,
        (0, last) => Some(quote! { version.number <= #last }),
        (first, i16::MAX) => Some(quote! { version.number >= #first }),
        (first, last) if first == last => Some(quote! { version.number == #first }),
        (first, last) => Some(quote! { (#first..=#last).contains(&version.number) }),
    }
}

fn version_of(field: &Field) -> TokenStream {
    if field.classic {
        quote! { version.classic() }
    } else {
        quote! { version }
    }
}

/// Reads one value, heeding the versions in which it may be null.
fn read_value(field: &Field) -> TokenStream {
    let version = version_of(field);
    let read = quote! { ::kafka_proto::wire::Wire::read(#version, reader)? };
    match condition(field.nullable) {
        Some(nullable) => quote! { if #nullable { #read } else { ::core::option::Option::Some(#read) } },
        None => read,
    }
}

fn read_of(field: &Field) -> TokenStream {
    let (name, default) = (&field.ident, default_of(field));
    if field.tag.is_some() {
        return quote! { #name: #default };
    }
    let read = read_value(field);
    match condition(field.versions) {
        Some(present) => quote! { #name: if #present { #read } else { #default } },
        None => quote! { #name: #read },
    }
}

fn read_tags(structure: &Structure) -> TokenStream {
    let arms = structure.fields.iter().filter_map(|field| {
        let tag = field.tag?;
        let (name, read) = (&field.ident, read_value(field));
        let guard = condition(field.versions).map(|present| quote! { if #present });
        Some(quote! { #tag #guard => message.#name = #read, })
    });
    quote! {
        if version.flexible {
            ::kafka_proto::wire::read_tags(reader, |tag, reader| {
                match tag {
                    #(#arms)*
                    _ => return Ok(false),
                }
                #[allow(unreachable_code)]
                Ok(true)
            })?;
        }
    }
}

fn error_of(structure: &Structure, field: &Field, kind: &str) -> TokenStream {
    let kind = quote::format_ident!("{kind}");
    let (message, name) = (structure.ident.to_string(), field.ident.to_string());
    quote! {
        return Err(::kafka_proto::wire::EncodeError::#kind {
            message: #message,
            field: #name,
            version: version.number,
        })
    }
}

/// Refuses a value that the version can't carry, unless dropping it was declared harmless.
fn refuse_unsupported(structure: &Structure, field: &Field) -> TokenStream {
    if field.ignorable {
        return TokenStream::new();
    }
    let (name, default) = (&field.ident, default_of(field));
    let error = error_of(structure, field, "Unsupported");
    quote! { if self.#name != #default { #error; } }
}

fn write_value(structure: &Structure, field: &Field) -> TokenStream {
    let (name, version) = (&field.ident, version_of(field));
    let refuse_null = condition(field.nullable).map(|nullable| {
        let error = error_of(structure, field, "Null");
        quote! { if self.#name.is_none() && !(#nullable) { #error; } }
    });
    quote! {
        #refuse_null
        ::kafka_proto::wire::Wire::write(&self.#name, #version, writer)?;
    }
}

fn write_of(structure: &Structure, field: &Field) -> TokenStream {
    let write = write_value(structure, field);
    let refuse = refuse_unsupported(structure, field);
    match condition(field.versions) {
        None => write,
        Some(present) if refuse.is_empty() => quote! { if #present { #write } },
        Some(present) => quote! { if #present { #write } else { #refuse } },
    }
}

fn write_tags(structure: &Structure) -> TokenStream {
    let tagged: Vec<_> = structure.fields.iter().filter(|field| field.tag.is_some()).collect();
    let present = tagged.iter().map(|field| {
        let (name, default) = (&field.ident, default_of(field));
        let in_version = condition(field.versions).unwrap_or_else(|| quote! { true });
        quote! { u32::from(#in_version && self.#name != #default) }
    });
    let writes = tagged.iter().map(|field| {
        let (name, default, tag) = (&field.ident, default_of(field), field.tag);
        let in_version = condition(field.versions).unwrap_or_else(|| quote! { true });
        let write = write_value(structure, field);
        quote! {
            if #in_version && self.#name != #default {
                writer.tagged(#tag, |writer| { #write Ok(()) })?;
            }
        }
    });
    let refusals = tagged.iter().filter(|field| !field.ignorable).map(|field| {
        let refuse = refuse_unsupported(structure, field);
        match condition(field.versions) {
            Some(present) => quote! { if !(version.flexible && #present) { #refuse } },
            None => quote! { if !version.flexible { #refuse } },
        }
    });
    quote! {
        #(#refusals)*
        if version.flexible {
            writer.put_uvarint(0 #(+ #present)*);
            #(#writes)*
        }
    }
}
