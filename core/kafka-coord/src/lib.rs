//! The group coordinator: membership, rebalances, committed offsets and their records.
