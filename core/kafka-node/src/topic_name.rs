//! Which names a topic may have (upstream: `org.apache.kafka.common.internals.Topic`).

/// Longest name: a partition's folder must fit a file name of 255 bytes.
const NAME_LENGTH_MAX: usize = 249;

/// Checks a name; the error is the original's text for INVALID_TOPIC_EXCEPTION.
pub(crate) fn validate(name: &str) -> Result<(), String> {
    let is_legal = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '.' | '_' | '-');
    if name.is_empty() {
        return Err("Topic name is illegal, it can't be empty".to_owned());
    }
    if name == "." || name == ".." {
        return Err("Topic name cannot be \".\" or \"..\"".to_owned());
    }
    if name.len() > NAME_LENGTH_MAX {
        return Err(format!(
            "Topic name is illegal, it can't be longer than {NAME_LENGTH_MAX} characters, topic name: {name}"
        ));
    }
    if !name.chars().all(is_legal) {
        return Err(format!(
            "Topic name \"{name}\" is illegal, it contains a character other than ASCII alphanumerics, '.', '_' and '-'"
        ));
    }
    Ok(())
}

/// Whether two names become one in the names of metrics, where `.` turns into `_`.
pub(crate) fn collide(one: &str, other: &str) -> bool {
    one.len() == other.len() && one.replace('.', "_") == other.replace('.', "_")
}

/// Whether a name may collide with another at all.
pub(crate) fn has_collision_chars(name: &str) -> bool {
    name.contains(['.', '_'])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        assert_eq!(validate("a.B_c-9"), Ok(()));
        assert_eq!(validate(&"x".repeat(249)), Ok(()));
        for bad in ["", ".", "..", "a/b", "ü", "a b", &"x".repeat(250)] {
            assert!(validate(bad).is_err(), "{bad}");
        }
        assert!(collide("a.b", "a_b") && !collide("a.b", "a-b"));
    }
}
