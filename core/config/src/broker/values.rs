//! The values of all 216 keys, set or default, read and checked by the registry.

use std::collections::BTreeMap;

use super::keys;
use crate::error::ConfigError;
use crate::properties::Properties;
use crate::value::{FromValue, Value};

/// A value for each key of the registry.
#[derive(Clone, Debug, PartialEq)]
pub struct Values {
    by_name: BTreeMap<&'static str, Value>,
}

impl Values {
    /// Reads what was written; the first bad key in the registry's order is the error (`ConfigDef.parse`).
    pub(super) fn read(originals: &Properties) -> Result<Self, ConfigError> {
        let mut by_name = BTreeMap::new();
        for key in keys::all() {
            let value = match originals.get(key.name) {
                Some(text) => key.parse(text)?,
                None => key.default_value()?,
            };
            key.check(&value)?;
            by_name.insert(key.name, value);
        }
        Ok(Self { by_name })
    }

    /// The value of a key.
    #[must_use]
    pub fn value(&self, name: &str) -> Option<&Value> {
        self.by_name.get(name)
    }

    /// Names and values, sorted by name.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, &Value)> {
        self.by_name.iter().map(|(name, value)| (*name, value))
    }

    /// The value of a key of the registry, as the Rust type of its kind.
    pub(super) fn get<T: FromValue>(&self, name: &str) -> T {
        let value = self.by_name.get(name).and_then(T::from_value);
        value.expect("the registry has this key with this type, as a test of each section shows")
    }
}
