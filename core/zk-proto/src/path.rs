//! What a valid znode path is, and its parts.

/// Why a path is refused; the texts are the original's (`PathUtils.validatePath`). Positions count UTF-16 units.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// It is empty.
    #[error("Path length must be > 0")]
    Empty,
    /// It does not start at the root.
    #[error("Path must start with / character")]
    NotAbsolute,
    /// It ends in a slash.
    #[error("Path must not end with / character")]
    TrailingSlash,
    /// A character or a name that is not allowed.
    #[error("Invalid path string \"{path}\" caused by {reason} @{at}")]
    Invalid {
        /// The whole path.
        path: String,
        /// What is wrong.
        reason: &'static str,
        /// Where, in UTF-16 units.
        at: usize,
    },
}

/// Checks the path of a znode.
pub fn validate(path: &str) -> Result<(), PathError> {
    validate_with(path, "")
}

/// Checks a path to which a counter will be appended, so that it may end in a slash.
pub fn validate_sequential(path: &str) -> Result<(), PathError> {
    validate_with(path, "1")
}

fn validate_with(path: &str, suffix: &str) -> Result<(), PathError> {
    let mut characters = path.chars().chain(suffix.chars()).peekable();
    match characters.next() {
        None => return Err(PathError::Empty),
        Some('/') => {}
        Some(_) => return Err(PathError::NotAbsolute),
    }
    if characters.peek().is_none() {
        return Ok(());
    }
    if suffix.is_empty() && path.ends_with('/') {
        return Err(PathError::TrailingSlash);
    }
    let (mut before_last, mut last, mut at) = ('\0', '/', 1);
    while let Some(character) = characters.next() {
        let ends_name = matches!(characters.peek(), None | Some('/'));
        let reason = match character {
            '\0' => Some("null character not allowed"),
            '/' if last == '/' => Some("empty node name specified"),
            '.' if ends_name && (last == '/' || last == '.' && before_last == '/') => {
                Some("relative paths not allowed")
            }
            '\u{1}'..='\u{1f}' | '\u{7f}'..='\u{9f}' | '\u{e000}'..='\u{f8ff}' | '\u{fff0}'.. => {
                Some("invalid character")
            }
            _ => None,
        };
        if let Some(reason) = reason {
            return Err(PathError::Invalid { path: format!("{path}{suffix}"), reason, at });
        }
        (before_last, last) = (last, character);
        at += character.len_utf16();
    }
    Ok(())
}

/// The path up to its last slash, and the name behind it. The root's children have the parent `""`; `None` without a
/// slash.
pub fn split(path: &str) -> Option<(&str, &str)> {
    path.rsplit_once('/')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(path: &str) -> String {
        validate(path).map_or_else(|error| error.to_string(), |()| "ok".to_owned())
    }

    #[test]
    fn messages_are_the_originals() {
        // Each answer is that of PathUtils.validatePath of 3.6.3.
        for (path, answer) in [
            ("/", "ok"),
            ("/a/b.c/...", "ok"),
            ("/a/..b/.c", "ok"),
            ("/\u{e9}\u{4e2d}", "ok"),
            ("", "Path length must be > 0"),
            ("a", "Path must start with / character"),
            ("/a/", "Path must not end with / character"),
            ("//", "Path must not end with / character"),
            ("/a//b", "Invalid path string \"/a//b\" caused by empty node name specified @3"),
            ("/a/.", "Invalid path string \"/a/.\" caused by relative paths not allowed @3"),
            ("/a/./b", "Invalid path string \"/a/./b\" caused by relative paths not allowed @3"),
            ("/..", "Invalid path string \"/..\" caused by relative paths not allowed @2"),
            ("/a/../b", "Invalid path string \"/a/../b\" caused by relative paths not allowed @4"),
            ("/a\0", "Invalid path string \"/a\0\" caused by null character not allowed @2"),
            ("/a\u{1}", "Invalid path string \"/a\u{1}\" caused by invalid character @2"),
            ("/\u{7f}", "Invalid path string \"/\u{7f}\" caused by invalid character @1"),
            ("/\u{4e2d}\u{1f426}", "Invalid path string \"/\u{4e2d}\u{1f426}\" caused by invalid character @2"),
            ("/\u{e000}", "Invalid path string \"/\u{e000}\" caused by invalid character @1"),
            ("/\u{fffd}", "Invalid path string \"/\u{fffd}\" caused by invalid character @1"),
        ] {
            assert_eq!(message(path), answer, "{path:?}");
        }
    }

    #[test]
    fn a_sequential_path_may_end_in_a_slash() {
        assert_eq!(validate_sequential("/a/"), Ok(()));
        assert_eq!(validate_sequential("/"), Ok(()));
        assert_eq!(validate_sequential("/a/."), Ok(()));
        assert!(validate_sequential("/a//").is_err());
    }

    #[test]
    fn parents() {
        assert_eq!(split("/a/b"), Some(("/a", "b")));
        assert_eq!(split("/a"), Some(("", "a")));
        assert_eq!(split("/"), Some(("", "")));
        assert_eq!(split("a"), None);
    }
}
