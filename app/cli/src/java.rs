//! Orders that come from Java's collections and reach the tools' output.

/// The order in which a `java.util.HashMap` (`Properties` too) that texts were put into one by one gives them back.
#[must_use]
pub(crate) fn hash_order<T>(entries: Vec<T>, key: impl Fn(&T) -> &str) -> Vec<T> {
    hash_order_from(16, entries, key)
}

/// The same, of a `HashMap` that was made for as many entries as it got.
#[must_use]
pub(crate) fn hash_order_sized<T>(entries: Vec<T>, key: impl Fn(&T) -> &str) -> Vec<T> {
    let slots = u32::try_from(entries.len().next_power_of_two()).unwrap_or(1 << 30);
    hash_order_from(slots, entries, key)
}

fn hash_order_from<T>(mut slots: u32, mut entries: Vec<T>, key: impl Fn(&T) -> &str) -> Vec<T> {
    while entries.len() as f64 > f64::from(slots) * 0.75 {
        slots *= 2;
    }
    entries.sort_by_key(|entry| {
        let hash = key(entry).encode_utf16().fold(0_u32, |hash, unit| hash.wrapping_mul(31).wrapping_add(unit.into()));
        (hash ^ (hash >> 16)) & (slots - 1)
    });
    entries
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_of_a_hash_map() {
        // As java.util.HashMap prints them.
        let names =
            ["retention.ms", "cleanup.policy", "segment.bytes", "compression.type", "max.message.bytes", "flush.ms"];
        let ordered = hash_order(names.to_vec(), |name| name);
        assert_eq!(
            ordered,
            ["compression.type", "cleanup.policy", "flush.ms", "max.message.bytes", "retention.ms", "segment.bytes"]
        );
    }
}
