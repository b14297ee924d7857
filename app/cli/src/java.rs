//! Orders that come from the collections of Java and Scala and reach the tools' output, and times as Java writes them.

use chrono::TimeZone as _;

/// `String.hashCode`.
#[must_use]
pub(crate) fn string_hash(text: &str) -> u32 {
    text.encode_utf16().fold(0, |hash: u32, unit| hash.wrapping_mul(31).wrapping_add(unit.into()))
}

/// `org.apache.kafka.common.TopicPartition.hashCode`.
#[must_use]
pub(crate) fn partition_hash(topic: &str, partition: i32) -> u32 {
    partition.cast_unsigned().wrapping_add(31).wrapping_mul(31).wrapping_add(string_hash(topic))
}

/// The same of the client's own.
#[must_use]
pub(crate) fn topic_partition_hash(partition: &kafka_client::TopicPartition) -> u32 {
    partition_hash(&partition.topic, partition.partition)
}

/// The order in which a `java.util.HashMap` (`Properties` too) that texts were put into one by one gives them back.
#[must_use]
pub(crate) fn hash_order<T>(entries: Vec<T>, key: impl Fn(&T) -> &str) -> Vec<T> {
    hash_order_by(entries, |entry| string_hash(key(entry)))
}

/// The same, of keys with these hash codes.
#[must_use]
pub(crate) fn hash_order_by<T>(entries: Vec<T>, hash: impl Fn(&T) -> u32) -> Vec<T> {
    hash_order_from(16, entries, hash)
}

/// The same, of a `HashMap` that was made for as many entries as it got.
#[must_use]
pub(crate) fn hash_order_sized<T>(entries: Vec<T>, key: impl Fn(&T) -> &str) -> Vec<T> {
    let slots = u32::try_from(entries.len().next_power_of_two()).unwrap_or(1 << 30);
    hash_order_from(slots, entries, |entry| string_hash(key(entry)))
}

/// The same, of a `HashMap` or `HashSet` that was made from another collection; a set has at least 16 slots.
#[must_use]
pub(crate) fn hash_order_copied<T>(slots_min: u32, entries: Vec<T>, hash: impl Fn(&T) -> u32) -> Vec<T> {
    let needed = entries.len() * 4 / 3 + 1;
    let slots = u32::try_from(needed.next_power_of_two()).unwrap_or(1 << 30);
    hash_order_from(slots.max(slots_min), entries, hash)
}

/// The same, of a `HashMap` that begins with so many slots.
#[must_use]
pub(crate) fn hash_order_from<T>(mut slots: u32, mut entries: Vec<T>, hash: impl Fn(&T) -> u32) -> Vec<T> {
    while entries.len() as f64 > f64::from(slots) * 0.75 {
        slots *= 2;
    }
    entries.sort_by_key(|entry| {
        let hash = hash(entry);
        (hash ^ (hash >> 16)) & (slots - 1)
    });
    entries
}

/// The order of a `scala.collection.mutable.HashMap` (2.13) that entries were added to one by one.
#[must_use]
pub(crate) fn scala_mutable_order<T>(mut entries: Vec<T>, hash: impl Fn(&T) -> u32) -> Vec<T> {
    let mut slots: u32 = 16;
    // It grows before it is three quarters full.
    while entries.len() as f64 >= f64::from(slots) * 0.75 {
        slots *= 2;
    }
    entries.sort_by_key(|entry| {
        let hash = hash(entry);
        let improved = hash ^ (hash >> 16);
        (improved & (slots - 1), improved.cast_signed())
    });
    entries
}

/// The order of a `scala.collection.immutable.Map` or `Set` (2.13): up to four entries as they came, more as the tree of
/// their hashes has them, five bits for each level.
#[must_use]
pub(crate) fn scala_order<T>(entries: Vec<T>, hash: impl Fn(&T) -> u32) -> Vec<T> {
    if entries.len() <= 4 {
        return entries;
    }
    scala_hash_order(entries, hash)
}

/// The order of a `scala.collection.immutable.HashMap` or `HashSet` (2.13), as `groupBy` makes one even of few entries.
#[must_use]
pub(crate) fn scala_hash_order<T>(entries: Vec<T>, hash: impl Fn(&T) -> u32) -> Vec<T> {
    let hashed = entries.into_iter().map(|entry| (scala_improved(hash(&entry)), entry)).collect();
    let mut ordered = Vec::new();
    add_node(hashed, 0, &mut ordered);
    ordered
}

/// An immutable `Set` (2.13) of what came, in its order.
#[must_use]
pub(crate) fn scala_set<T: PartialEq>(entries: impl IntoIterator<Item = T>, hash: impl Fn(&T) -> u32) -> Vec<T> {
    let mut distinct: Vec<T> = Vec::new();
    for entry in entries {
        if !distinct.contains(&entry) {
            distinct.push(entry);
        }
    }
    scala_order(distinct, hash)
}

/// What came more than once, in the order of `kafka.utils.CoreUtils.duplicates`.
#[must_use]
pub(crate) fn duplicates<T: Clone + Ord>(entries: &[T], hash: impl Fn(&T) -> u32) -> Vec<T> {
    let mut sorted = entries.to_vec();
    sorted.sort_unstable();
    let mut twice: Vec<T> =
        sorted.windows(2).filter(|pair| pair.first() == pair.last()).flat_map(<[T]>::first).cloned().collect();
    twice.dedup();
    scala_hash_order(twice, hash)
}

/// `Integer.hashCode`.
#[must_use]
pub(crate) const fn int_hash(number: &i32) -> u32 {
    number.cast_unsigned()
}

/// `scala.collection.Hashing.improve`.
const fn scala_improved(hash: u32) -> u32 {
    let mut hash = hash.wrapping_add(!(hash << 9));
    hash ^= hash >> 14;
    hash = hash.wrapping_add(hash << 4);
    hash ^ (hash >> 10)
}

/// A node has what is alone in its place first, then the nodes below.
fn add_node<T>(entries: Vec<(u32, T)>, shift: u32, ordered: &mut Vec<T>) {
    if shift >= u32::BITS {
        return ordered.extend(entries.into_iter().map(|(_, entry)| entry));
    }
    let mut places: Vec<Vec<(u32, T)>> = (0..32).map(|_| Vec::new()).collect();
    for (hash, entry) in entries {
        if let Some(place) = places.get_mut(((hash >> shift) & 31) as usize) {
            place.push((hash, entry));
        }
    }
    let (alone, shared): (Vec<_>, Vec<_>) =
        places.into_iter().filter(|place| !place.is_empty()).partition(|place| place.len() == 1);
    ordered.extend(alone.into_iter().flatten().map(|(_, entry)| entry));
    for below in shared {
        add_node(below, shift + 5, ordered);
    }
}

/// A time as `Date.toString` writes it. Zones other than UTC are named by their offset.
#[must_use]
pub(crate) fn date(time_ms: i64) -> String {
    let Some(time) = chrono::Local.timestamp_millis_opt(time_ms).single() else { return time_ms.to_string() };
    let offset = time.offset().local_minus_utc();
    let zone = if offset == 0 { "UTC".to_owned() } else { format!("GMT{}", time.format("%:z")) };
    format!("{} {zone} {}", time.format("%a %b %d %H:%M:%S"), time.format("%Y"))
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

    #[test]
    fn the_orders_of_scala() {
        // As Scala 2.13.3 gives back the keys.
        let groups: Vec<String> = (0..12).map(|number| format!("g{number}")).collect();
        let ordered = scala_order(groups, |group| string_hash(group));
        assert_eq!(ordered, ["g11", "g8", "g7", "g2", "g9", "g0", "g5", "g10", "g1", "g6", "g3", "g4"]);
        let partitions = || (0..12).collect::<Vec<i32>>();
        let hash = |partition: &i32| partition_hash("topic-a", *partition);
        assert_eq!(scala_order(partitions(), hash), [10, 7, 11, 1, 5, 0, 2, 9, 4, 8, 6, 3]);
        assert_eq!(scala_order(vec![3, 1, 2], hash), [3, 1, 2]);
        assert_eq!(scala_mutable_order(partitions(), hash), [11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0]);
        let groups: Vec<String> = (0..7).map(|number| format!("group{number}")).collect();
        let ordered = scala_mutable_order(groups, |group| string_hash(group));
        assert_eq!(ordered, ["group4", "group3", "group6", "group5", "group0", "group2", "group1"]);
    }
}
