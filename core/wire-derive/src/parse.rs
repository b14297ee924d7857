//! Reads a structure and its `#[wire(...)]` attributes.

use syn::{
    Data, DeriveInput, Error, Expr, Fields, GenericArgument, Ident, LitInt, LitStr, PathArguments, Result, Type,
    meta::ParseNestedMeta,
};

/// A structure with named fields, in the order of the wire.
pub(crate) struct Structure {
    pub(crate) ident: Ident,
    pub(crate) versions: Versions,
    pub(crate) flexible: Option<Versions>,
    pub(crate) api: Option<Ident>,
    pub(crate) fields: Vec<Field>,
}

/// One field and its attributes.
pub(crate) struct Field {
    pub(crate) ident: Ident,
    pub(crate) ty: Type,
    pub(crate) versions: Versions,
    pub(crate) nullable: Versions,
    pub(crate) default: Option<Expr>,
    pub(crate) ignorable: bool,
    pub(crate) tag: Option<u32>,
    pub(crate) classic: bool,
}

/// An inclusive range of versions; the last is `i16::MAX` where it is open.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Versions {
    pub(crate) first: i16,
    pub(crate) last: i16,
}

impl Versions {
    pub(crate) const ALL: Self = Self { first: 0, last: i16::MAX };

    fn parse(text: &LitStr) -> Result<Self> {
        let value = text.value();
        let number = |digits: &str| {
            digits.parse::<i16>().map_err(|_| Error::new(text.span(), "versions are \"3+\", \"0-2\" or \"4\""))
        };
        let (first, last) = match (value.strip_suffix('+'), value.split_once('-')) {
            (Some(first), _) => (number(first)?, i16::MAX),
            (None, Some((first, last))) => (number(first)?, number(last)?),
            (None, None) => (number(&value)?, number(&value)?),
        };
        if first > last {
            return Err(Error::new(text.span(), "the first version is above the last"));
        }
        Ok(Self { first, last })
    }
}

impl Structure {
    pub(crate) fn new(input: DeriveInput) -> Result<Self> {
        let Data::Struct(data) = input.data else {
            return Err(Error::new_spanned(input.ident, "a message is a struct"));
        };
        let Fields::Named(named) = data.fields else {
            return Err(Error::new_spanned(input.ident, "a message has named fields"));
        };
        let mut structure =
            Self { ident: input.ident, versions: Versions::ALL, flexible: None, api: None, fields: Vec::new() };
        for attribute in input.attrs.iter().filter(|attribute| attribute.path().is_ident("wire")) {
            attribute.parse_nested_meta(|meta| structure.attribute(&meta))?;
        }
        for field in named.named {
            structure.fields.push(Field::new(field)?);
        }
        structure.check_tags()?;
        Ok(structure)
    }

    fn attribute(&mut self, meta: &ParseNestedMeta<'_>) -> Result<()> {
        if meta.path.is_ident("versions") {
            self.versions = Versions::parse(&meta.value()?.parse()?)?;
        } else if meta.path.is_ident("flexible") {
            self.flexible = Some(Versions::parse(&meta.value()?.parse()?)?);
        } else if meta.path.is_ident("api") {
            self.api = Some(meta.value()?.parse()?);
        } else {
            return Err(meta.error("known here: versions, flexible, api"));
        }
        Ok(())
    }

    fn check_tags(&self) -> Result<()> {
        let mut tags: Vec<u32> = self.fields.iter().filter_map(|field| field.tag).collect();
        let ascending = tags.is_sorted();
        tags.dedup();
        if !ascending || tags.len() != self.fields.iter().filter(|field| field.tag.is_some()).count() {
            return Err(Error::new_spanned(&self.ident, "tags stand in ascending order, each once"));
        }
        Ok(())
    }
}

impl Field {
    fn new(field: syn::Field) -> Result<Self> {
        let ident = field.ident.clone().ok_or_else(|| Error::new_spanned(&field, "a field has a name"))?;
        let mut parsed = Self {
            ident,
            ty: field.ty,
            versions: Versions::ALL,
            nullable: Versions::ALL,
            default: None,
            ignorable: false,
            tag: None,
            classic: false,
        };
        for attribute in field.attrs.iter().filter(|attribute| attribute.path().is_ident("wire")) {
            attribute.parse_nested_meta(|meta| parsed.attribute(&meta))?;
        }
        if parsed.nullable != Versions::ALL && !parsed.is_option() {
            return Err(Error::new_spanned(&parsed.ident, "only an Option is nullable"));
        }
        Ok(parsed)
    }

    fn attribute(&mut self, meta: &ParseNestedMeta<'_>) -> Result<()> {
        if meta.path.is_ident("versions") {
            self.versions = Versions::parse(&meta.value()?.parse()?)?;
        } else if meta.path.is_ident("nullable") {
            self.nullable = Versions::parse(&meta.value()?.parse()?)?;
        } else if meta.path.is_ident("default") {
            self.default = Some(meta.value()?.parse()?);
        } else if meta.path.is_ident("tag") {
            self.tag = Some(meta.value()?.parse::<LitInt>()?.base10_parse()?);
        } else if meta.path.is_ident("ignorable") {
            self.ignorable = true;
        } else if meta.path.is_ident("classic") {
            self.classic = true;
        } else {
            return Err(meta.error("known here: versions, nullable, default, ignorable, tag, classic"));
        }
        Ok(())
    }

    /// Whether the field's type is written `Option<...>`.
    pub(crate) fn is_option(&self) -> bool {
        let Type::Path(path) = &self.ty else { return false };
        path.path.segments.last().is_some_and(|segment| {
            segment.ident == "Option"
                && matches!(&segment.arguments, PathArguments::AngleBracketed(arguments)
                    if matches!(arguments.args.first(), Some(GenericArgument::Type(_))))
        })
    }
}
