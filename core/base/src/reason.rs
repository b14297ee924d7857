//! What the system says of an error, as people are told.

use std::io;
use std::path::Path;

/// The system's text, without its number.
#[must_use]
pub fn reason(error: &io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or(&text).to_owned()
}

/// The same for an error at a file that is named elsewhere in the message: disks put its path in front.
#[must_use]
pub fn reason_at(error: &io::Error, path: &Path) -> String {
    let text = reason(error);
    let rest = text.strip_prefix(&path.display().to_string()).and_then(|rest| rest.strip_prefix(": "));
    rest.map(str::to_owned).unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neither_number_nor_the_own_path_stand_in_it() {
        assert_eq!(reason(&io::Error::from_raw_os_error(28)), "No space left on device");
        let at = |text| reason_at(&io::Error::other(text), Path::new("/logs/a"));
        assert_eq!(at("/logs/a: No space left on device (os error 28)"), "No space left on device");
        assert_eq!(at("/logs/b: gone"), "/logs/b: gone");
        assert_eq!(at("gone"), "gone");
    }
}
