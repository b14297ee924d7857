//! `/feature`: the finalized features (KIP-584; upstream: `FeatureZNode`).

use std::collections::BTreeMap;

use bytes::Bytes;
use serde_json::{Map, Value, json};

use super::json::{in_properties_order, integer, invalid, parse, to_bytes};
use super::{FEATURE, ZnodeError};

/// Whether the finalized features count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FeatureStatus {
    /// They don't: the inter-broker protocol is older than 2.7-IV0.
    #[default]
    Disabled,
    /// They do.
    Enabled,
}

/// The levels of a feature that the cluster may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FeatureRange {
    /// The lowest.
    pub min: i16,
    /// The highest.
    pub max: i16,
}

/// The content of `/feature`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Features {
    /// Whether they count.
    pub status: FeatureStatus,
    /// The finalized features by name.
    pub ranges: BTreeMap<String, FeatureRange>,
}

impl Features {
    /// The content.
    pub fn encode(&self) -> Bytes {
        let range = |range: &FeatureRange| json!({"min_version_level": range.min, "max_version_level": range.max});
        let entries = self.ranges.iter().map(|(name, levels)| (name.clone(), range(levels)));
        let features: Map<String, Value> = in_properties_order(entries).into_iter().collect();
        let status = match self.status {
            FeatureStatus::Disabled => 0,
            FeatureStatus::Enabled => 1,
        };
        to_bytes(&json!({"features": features, "version": 1, "status": status}))
    }

    /// Reads the content.
    pub fn decode(content: &[u8]) -> Result<Self, ZnodeError> {
        let object = parse(FEATURE, content)?;
        let version = integer(FEATURE, &object, "version")?;
        if version < 1 {
            return Err(invalid(FEATURE, format!("Unsupported version: {version} of feature information")));
        }
        let status = match integer(FEATURE, &object, "status")? {
            0 => FeatureStatus::Disabled,
            1 => FeatureStatus::Enabled,
            other => return Err(invalid(FEATURE, format!("Malformed status: {other}"))),
        };
        let features = object.get("features").and_then(Value::as_object);
        let features = features.ok_or_else(|| invalid(FEATURE, "Features map can not be absent"))?;
        let range = |(name, levels): (&String, &Value)| {
            let levels = levels.as_object().ok_or_else(|| invalid(FEATURE, format!("no levels of {name}")))?;
            let level = |key| {
                i16::try_from(integer(FEATURE, levels, key)?).map_err(|_| invalid(FEATURE, format!("{key} of {name}")))
            };
            Ok((name.clone(), FeatureRange { min: level("min_version_level")?, max: level("max_version_level")? }))
        };
        Ok(Self { status, ranges: features.iter().map(range).collect::<Result<_, _>>()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_equal_the_originals() {
        let none = Features { status: FeatureStatus::Enabled, ranges: BTreeMap::new() };
        assert_eq!(none.encode(), r#"{"features":{},"version":1,"status":1}"#);
        let one = Features {
            status: FeatureStatus::Disabled,
            ranges: BTreeMap::from([("f".to_owned(), FeatureRange { min: 1, max: 3 })]),
        };
        let expected = r#"{"features":{"f":{"min_version_level":1,"max_version_level":3}},"version":1,"status":0}"#;
        assert_eq!(one.encode(), expected);
        assert_eq!(Features::decode(expected.as_bytes()), Ok(one));
    }

    #[test]
    fn nonsense_is_refused() {
        for bad in [
            "",
            "{}",
            r#"{"features":{},"version":0,"status":1}"#,
            r#"{"features":{},"version":1,"status":2}"#,
            r#"{"version":1,"status":1}"#,
            r#"{"features":{"f":{"min_version_level":1}},"version":1,"status":1}"#,
            r#"{"features":{"f":{"min_version_level":1,"max_version_level":99999}},"version":1,"status":1}"#,
        ] {
            assert!(Features::decode(bad.as_bytes()).is_err(), "{bad}");
        }
    }
}
