//! JSON in the originals' byte order.

use serde_json::{Map, Value};

use super::ZnodeError;

/// Compact JSON text.
pub(super) fn to_bytes(value: &Value) -> bytes::Bytes {
    bytes::Bytes::from(value.to_string())
}

/// The JSON object in `content`; what stands behind it is not looked at, as Jackson does.
pub(super) fn parse(path: &str, content: &[u8]) -> Result<Map<String, Value>, ZnodeError> {
    match serde_json::Deserializer::from_slice(content).into_iter().next() {
        Some(Ok(Value::Object(object))) => Ok(object),
        Some(Ok(_)) => Err(invalid(path, "not a JSON object")),
        Some(Err(error)) => Err(invalid(path, error)),
        None => Err(invalid(path, "no content")),
    }
}

/// An error about the znode at `path`.
#[expect(clippy::needless_pass_by_value, reason = "callers pass literals and errors alike")]
pub(super) fn invalid(path: &str, reason: impl ToString) -> ZnodeError {
    ZnodeError { path: path.to_owned(), reason: reason.to_string() }
}

/// The integer under `key`.
pub(super) fn integer(path: &str, object: &Map<String, Value>, key: &str) -> Result<i32, ZnodeError> {
    let number = object.get(key).and_then(Value::as_i64).and_then(|number| i32::try_from(number).ok());
    number.ok_or_else(|| invalid(path, format!("no integer under {key}")))
}

/// A list of broker ids.
pub(super) fn integers(path: &str, value: &Value) -> Result<Vec<i32>, ZnodeError> {
    let list = value.as_array().ok_or_else(|| invalid(path, "not a list"))?;
    let number = |value: &Value| value.as_i64().and_then(|number| i32::try_from(number).ok());
    list.iter().map(|item| number(item).ok_or_else(|| invalid(path, "not a list of integers"))).collect()
}

/// Entries in the order in which Scala 2.13's mutable `HashMap` gives them after they were added in the given order.
///
/// A table of 16 buckets doubles as it becomes three quarters full; buckets hold their entries by ascending hash.
pub(super) fn in_scala_order<V>(entries: impl IntoIterator<Item = (String, V)>) -> Vec<(String, V)> {
    let mut entries: Vec<_> = entries.into_iter().collect();
    let mut buckets = 16;
    while entries.len() >= buckets / 4 * 3 {
        buckets *= 2;
    }
    entries.sort_by_cached_key(|(key, _)| {
        let hash = spread(java_hash(key));
        (hash as usize & (buckets - 1), hash as i32)
    });
    entries
}

/// Entries in the order of a `java.util.Properties` of JDK 9 and later.
pub(super) fn in_properties_order<V>(entries: impl IntoIterator<Item = (String, V)>) -> Vec<(String, V)> {
    let mut entries: Vec<_> = entries.into_iter().collect();
    let mut buckets = 16;
    while entries.len() >= buckets / 4 * 3 {
        buckets *= 2;
    }
    entries.sort_by_cached_key(|(key, _)| spread(java_hash(key)) as usize & (buckets - 1));
    entries
}

fn spread(hash: i32) -> u32 {
    let hash = hash as u32;
    hash ^ (hash >> 16)
}

/// `java.lang.String.hashCode`.
fn java_hash(text: &str) -> i32 {
    text.encode_utf16().fold(0_i32, |hash, unit| hash.wrapping_mul(31).wrapping_add(i32::from(unit)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_behind_an_object_is_not_looked_at() {
        for content in ["{}", " {} ", "{}x", "{}{", "{} 7"] {
            assert_eq!(parse("/a", content.as_bytes()), Ok(Map::new()), "{content}");
        }
        for content in ["", " ", "7", "[]", "{", "x{}"] {
            assert!(parse("/a", content.as_bytes()).is_err(), "{content}");
        }
    }

    #[test]
    fn java_hashes() {
        assert_eq!(java_hash(""), 0);
        assert_eq!(java_hash("hello"), 99_162_322);
        assert_eq!(java_hash("polygenelubricants"), i32::MIN);
    }
}
