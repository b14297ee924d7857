//! Versions of the inter-broker protocol and of the message format (`kafka.api.ApiVersion`).

use std::fmt;

/// A version of Kafka's own protocol, the oldest first, so that versions compare as the original's do.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ApiVersion {
    id: u8,
}

/// A text that names no version; the original's `IllegalArgumentException`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("Version `{0}` is not a valid version")]
pub struct UnknownVersion(String);

/// Full names by id. The part before `-` is the short name; it means the last version that bears it.
const NAMES: [&str; 31] = [
    "0.8.0",
    "0.8.1",
    "0.8.2",
    "0.9.0",
    "0.10.0-IV0",
    "0.10.0-IV1",
    "0.10.1-IV0",
    "0.10.1-IV1",
    "0.10.1-IV2",
    "0.10.2-IV0",
    "0.11.0-IV0",
    "0.11.0-IV1",
    "0.11.0-IV2",
    "1.0-IV0",
    "1.1-IV0",
    "2.0-IV0",
    "2.0-IV1",
    "2.1-IV0",
    "2.1-IV1",
    "2.1-IV2",
    "2.2-IV0",
    "2.2-IV1",
    "2.3-IV0",
    "2.3-IV1",
    "2.4-IV0",
    "2.4-IV1",
    "2.5-IV0",
    "2.6-IV0",
    "2.7-IV0",
    "2.7-IV1",
    "2.7-IV2",
];

impl ApiVersion {
    /// 0.9.0.
    pub const V0_9_0: Self = Self { id: 3 };
    /// 0.10.0-IV0: message format 1.
    pub const V0_10_0_IV0: Self = Self { id: 4 };
    /// 0.10.0-IV1: racks, SASL handshake.
    pub const V0_10_0_IV1: Self = Self { id: 5 };
    /// 0.10.1-IV1: answers to fetches are limited as a whole (KIP-74).
    pub const V0_10_1_IV1: Self = Self { id: 7 };
    /// 0.10.1-IV2: ListOffsets by time (KIP-79).
    pub const V0_10_1_IV2: Self = Self { id: 8 };
    /// 0.10.2-IV0.
    pub const V0_10_2_IV0: Self = Self { id: 9 };
    /// 0.11.0-IV0: message format 2.
    pub const V0_11_0_IV0: Self = Self { id: 10 };
    /// 0.11.0-IV1: log starts in fetches (KIP-107).
    pub const V0_11_0_IV1: Self = Self { id: 11 };
    /// 0.11.0-IV2: OffsetForLeaderEpoch (KIP-101).
    pub const V0_11_0_IV2: Self = Self { id: 12 };
    /// 1.0-IV0: log directories that fail (KIP-112).
    pub const V1_0_IV0: Self = Self { id: 13 };
    /// 1.1-IV0: fetch sessions (KIP-227).
    pub const V1_1_IV0: Self = Self { id: 14 };
    /// 2.0-IV0: OffsetForLeaderEpoch names the epoch that it found (KIP-279).
    pub const V2_0_IV0: Self = Self { id: 15 };
    /// 2.0-IV1.
    pub const V2_0_IV1: Self = Self { id: 16 };
    /// 2.1-IV0.
    pub const V2_1_IV0: Self = Self { id: 17 };
    /// 2.1-IV1: leader epochs are checked (KIP-320).
    pub const V2_1_IV1: Self = Self { id: 18 };
    /// 2.1-IV2: zstd (KIP-110).
    pub const V2_1_IV2: Self = Self { id: 19 };
    /// 2.2-IV0: broker epochs (KIP-380).
    pub const V2_2_IV0: Self = Self { id: 20 };
    /// 2.2-IV1: OFFSET_NOT_AVAILABLE in ListOffsets (KIP-207).
    pub const V2_2_IV1: Self = Self { id: 21 };
    /// 2.3-IV1: fetches from followers (KIP-392).
    pub const V2_3_IV1: Self = Self { id: 23 };
    /// 2.4-IV0: reassignments in LeaderAndIsr (KIP-455).
    pub const V2_4_IV0: Self = Self { id: 24 };
    /// 2.4-IV1: flexible versions of the controller's requests (KIP-482).
    pub const V2_4_IV1: Self = Self { id: 25 };
    /// 2.6-IV0: leader epochs in StopReplica (KIP-570).
    pub const V2_6_IV0: Self = Self { id: 27 };
    /// Features are versioned, and a broker's registration names its own (KIP-584).
    pub const V2_7_IV0: Self = Self { id: 28 };
    /// 2.7-IV1: last fetched epochs in fetches (KIP-595).
    pub const V2_7_IV1: Self = Self { id: 29 };
    /// 2.7-IV2: AlterIsr (KIP-497).
    pub const V2_7_IV2: Self = Self { id: 30 };
    /// The newest that 2.7.1 knows.
    pub const LATEST: Self = Self::V2_7_IV2;

    /// Reads `2.7`, `2.7-IV2`, `2.7.1`, `0.10.0` or `0.10.0.1`: two segments count, three after `0.`.
    ///
    /// # Errors
    /// [`UnknownVersion`].
    pub fn parse(text: &str) -> Result<Self, UnknownVersion> {
        let segments = if text.starts_with("0.") { 3 } else { 2 };
        let key = text.split('.').take(segments).collect::<Vec<_>>().join(".");
        let place = NAMES.iter().rposition(|name| *name == key || name.split('-').next() == Some(key.as_str()));
        place.and_then(|id| u8::try_from(id).ok()).map(|id| Self { id }).ok_or_else(|| UnknownVersion(text.to_owned()))
    }

    /// The full name, as `2.7-IV2`.
    #[must_use]
    pub fn name(self) -> &'static str {
        NAMES.get(usize::from(self.id)).copied().unwrap_or_default()
    }

    /// The name without its sub-version, as `2.7`.
    #[must_use]
    pub fn short_name(self) -> &'static str {
        self.name().split('-').next().unwrap_or_default()
    }

    /// The magic of record batches of this version: 0, 1 or 2.
    #[must_use]
    pub fn record_version(self) -> i8 {
        match self {
            old if old < Self::V0_10_0_IV0 => 0,
            old if old < Self::V0_11_0_IV0 => 1,
            _ => 2,
        }
    }

    /// The first version whose record batches have this magic.
    #[must_use]
    pub const fn first_with(record_version: i8) -> Self {
        match record_version {
            0 => Self { id: 0 },
            1 => Self::V0_10_0_IV0,
            _ => Self::V0_11_0_IV0,
        }
    }

    /// All versions, the oldest first.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..).zip(NAMES).map(|(id, _)| Self { id })
    }
}

impl fmt::Display for ApiVersion {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

impl fmt::Debug for ApiVersion {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn constants_are_what_they_are_called() {
        for (version, name) in [
            (ApiVersion::V0_9_0, "0.9.0"),
            (ApiVersion::V0_10_1_IV2, "0.10.1-IV2"),
            (ApiVersion::V0_11_0_IV2, "0.11.0-IV2"),
            (ApiVersion::V1_1_IV0, "1.1-IV0"),
            (ApiVersion::V2_1_IV2, "2.1-IV2"),
            (ApiVersion::V2_2_IV1, "2.2-IV1"),
            (ApiVersion::V2_3_IV1, "2.3-IV1"),
            (ApiVersion::V2_4_IV1, "2.4-IV1"),
            (ApiVersion::V2_6_IV0, "2.6-IV0"),
            (ApiVersion::V2_7_IV1, "2.7-IV1"),
            (ApiVersion::LATEST, "2.7-IV2"),
        ] {
            assert_eq!(version.name(), name);
        }
    }

    #[test]
    fn short_names_mean_the_last_sub_version() {
        for (text, name) in [
            ("2.7", "2.7-IV2"),
            ("2.7.1", "2.7-IV2"),
            ("2.7-IV0", "2.7-IV0"),
            ("0.10.0", "0.10.0-IV1"),
            ("0.10.0.1", "0.10.0-IV1"),
            ("0.9.0", "0.9.0"),
            ("1.0", "1.0-IV0"),
        ] {
            assert_eq!(ApiVersion::parse(text).unwrap().name(), name, "{text}");
        }
        assert_eq!(ApiVersion::parse("2.8").unwrap_err().to_string(), "Version `2.8` is not a valid version");
        assert!(ApiVersion::parse("0.10").is_err() && ApiVersion::parse("").is_err());
        assert_eq!(ApiVersion::LATEST.name(), "2.7-IV2");
        assert_eq!(
            (ApiVersion::V0_10_0_IV0.name(), ApiVersion::V0_11_0_IV0.name(), ApiVersion::V2_1_IV0.name()),
            ("0.10.0-IV0", "0.11.0-IV0", "2.1-IV0")
        );
    }

    #[test]
    fn record_versions_follow_the_message_format() {
        let magic = |text: &str| ApiVersion::parse(text).unwrap().record_version();
        assert_eq!(["0.9.0", "0.10.0", "0.10.2", "0.11.0", "2.7"].map(magic), [0, 1, 1, 2, 2]);
        assert!((0..=2).all(|magic| ApiVersion::first_with(magic).record_version() == magic));
    }
}
