//! The kinds of znodes: flags of a create request, and the owner field that keeps the kind.

use crate::op::codes;

codes! {
/// Flags of a create request (`CreateMode`).
pub enum CreateMode {
    Persistent = 0, "PERSISTENT";
    Ephemeral = 1, "EPHEMERAL";
    PersistentSequential = 2, "PERSISTENT_SEQUENTIAL";
    EphemeralSequential = 3, "EPHEMERAL_SEQUENTIAL";
    Container = 4, "CONTAINER";
    PersistentWithTtl = 5, "PERSISTENT_WITH_TTL";
    PersistentSequentialWithTtl = 6, "PERSISTENT_SEQUENTIAL_WITH_TTL";
}
}

impl CreateMode {
    /// Whether the node goes with its session.
    pub const fn is_ephemeral(self) -> bool {
        matches!(self, Self::Ephemeral | Self::EphemeralSequential)
    }

    /// Whether the parent's counter is appended to the name.
    pub const fn is_sequential(self) -> bool {
        matches!(self, Self::PersistentSequential | Self::EphemeralSequential | Self::PersistentSequentialWithTtl)
    }

    /// Whether the node goes when it has had children and has none.
    pub const fn is_container(self) -> bool {
        matches!(self, Self::Container)
    }

    /// Whether the node goes when it is not changed for a time and has no children.
    pub const fn is_ttl(self) -> bool {
        matches!(self, Self::PersistentWithTtl | Self::PersistentSequentialWithTtl)
    }
}

const CONTAINER: i64 = i64::MIN;
const EXTENDED_MASK: i64 = 0xff << 56;
const RESERVED_MASK: i64 = 0xffff << 40;

/// The longest time to live in milliseconds: 40 bits, some 34 years.
pub const TTL_MS_MAX: i64 = (1 << 40) - 1;

/// What a znode's owner field says (`EphemeralType`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EphemeralType {
    /// A persistent node.
    Void,
    /// An ephemeral node of this session.
    Normal(i64),
    /// A container.
    Container,
    /// A node with this time to live in milliseconds.
    Ttl(i64),
    /// High byte all ones, but no feature that is known. The original fails on it.
    UnknownExtended,
}

impl EphemeralType {
    /// Reads an owner field. `extended` is `zookeeper.extendedTypesEnabled`: without it there are no TTL nodes, and the
    /// field of one reads as a session.
    pub const fn from_owner(owner: i64, extended: bool) -> Self {
        if extended && owner & EXTENDED_MASK == EXTENDED_MASK {
            return match owner & RESERVED_MASK {
                0 => Self::Ttl(owner & TTL_MS_MAX),
                _ => Self::UnknownExtended,
            };
        }
        match owner {
            CONTAINER => Self::Container,
            0 => Self::Void,
            session => Self::Normal(session),
        }
    }

    /// The owner field of a container.
    pub const fn container_owner() -> i64 {
        CONTAINER
    }

    /// The owner field of a node that lives `ttl_ms`; `None` unless that is 1 to [`TTL_MS_MAX`].
    pub const fn ttl_owner(ttl_ms: i64) -> Option<i64> {
        match ttl_ms {
            1..=TTL_MS_MAX => Some(EXTENDED_MASK | ttl_ms),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn owners_as_the_original_packs_them() {
        assert_eq!(EphemeralType::ttl_owner(1), Some(0xff00_0000_0000_0001_u64 as i64));
        assert_eq!(EphemeralType::ttl_owner(TTL_MS_MAX), Some(0xff00_00ff_ffff_ffff_u64 as i64));
        assert_eq!((EphemeralType::ttl_owner(0), EphemeralType::ttl_owner(TTL_MS_MAX + 1)), (None, None));
        let ttl = EphemeralType::ttl_owner(77).unwrap();
        assert_eq!(EphemeralType::from_owner(ttl, true), EphemeralType::Ttl(77));
        assert_eq!(EphemeralType::from_owner(ttl, false), EphemeralType::Normal(ttl));
        assert_eq!(EphemeralType::from_owner(i64::MIN, false), EphemeralType::Container);
        assert_eq!(EphemeralType::from_owner(-1, true), EphemeralType::UnknownExtended);
        assert_eq!(EphemeralType::from_owner(0, true), EphemeralType::Void);
        assert_eq!(EphemeralType::from_owner(0x100_0000_0000_0001, true), EphemeralType::Normal(0x100_0000_0000_0001));
    }
}
