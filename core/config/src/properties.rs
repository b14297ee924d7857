//! The `.properties` grammar of `java.util.Properties`: what `zoo.cfg`, `server.properties`, `meta.properties` and the
//! tools' property files are written in.
//!
//! Files are Latin-1, as `Properties.load(InputStream)` reads them; other characters are written `\uXXXX`. A key that
//! stands twice keeps the last value. There is no comment behind a value: `port=9092 # mine` sets the whole rest of
//! the line, so [`trailing_comment`] finds it for the error message when such a value is then ill-typed.

use std::fmt::Write as _;

/// Keys and values in the order of their first appearance.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Properties {
    entries: Vec<(String, String)>,
}

/// Text that is not a `.properties` file; the text of `java.lang.IllegalArgumentException` in the originals.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PropertiesError {
    /// `\u` without four hexadecimal digits behind it.
    #[error("Malformed \\uxxxx encoding.")]
    MalformedUnicode,
}

impl Properties {
    /// No keys.
    #[must_use]
    pub const fn new() -> Self {
        Self { entries: Vec::new() }
    }

    /// Reads a whole file.
    ///
    /// # Errors
    /// [`PropertiesError::MalformedUnicode`]; everything else is a key and a value in this grammar.
    pub fn parse(file: &[u8]) -> Result<Self, PropertiesError> {
        let mut properties = Self::new();
        for line in LogicalLines::of(file) {
            let (key, value) = split(&line);
            properties.set(&unescape(key)?, unescape(value)?);
        }
        Ok(properties)
    }

    /// Reads text (`Properties.load(Reader)`), of which all characters stand for themselves.
    ///
    /// # Errors
    /// As [`Properties::parse`].
    pub fn parse_text(text: &str) -> Result<Self, PropertiesError> {
        let mut latin = Vec::with_capacity(text.len());
        for unit in text.encode_utf16() {
            match u8::try_from(unit) {
                Ok(byte) => latin.push(byte),
                Err(_) => latin.extend_from_slice(format!("\\u{unit:04X}").as_bytes()),
            }
        }
        Self::parse(&latin)
    }

    /// The value of `key`, with the white space at its end, which the grammar keeps.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&str> {
        self.entries.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str())
    }

    /// Sets or replaces; a replaced key keeps its place. Returns the earlier value.
    pub fn set(&mut self, key: &str, value: impl Into<String>) -> Option<String> {
        match self.entries.iter_mut().find(|(name, _)| name == key) {
            Some((_, old)) => Some(std::mem::replace(old, value.into())),
            None => {
                self.entries.push((key.to_owned(), value.into()));
                None
            }
        }
    }

    /// Takes a key out. Returns its value.
    pub fn remove(&mut self, key: &str) -> Option<String> {
        let place = self.entries.iter().position(|(name, _)| name == key)?;
        Some(self.entries.remove(place).1)
    }

    /// Keys and values in the order of the file.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.entries.iter().map(|(key, value)| (key.as_str(), value.as_str()))
    }

    /// How many keys.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// No keys?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// One line for each key, escaped as `Properties.store` does it, without that method's date line.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut text = String::new();
        for (key, value) in self.iter() {
            escape(key, Escape::EverySpace, &mut text);
            text.push('=');
            escape(value, Escape::LeadingSpace, &mut text);
            text.push('\n');
        }
        text
    }
}

/// The file without the lines of some keys; all else, comments too, stays byte by byte.
///
/// # Errors
/// As [`Properties::parse`].
pub(crate) fn without_keys(file: &[u8], is_dropped: impl Fn(&str) -> bool) -> Result<Vec<u8>, PropertiesError> {
    let mut kept = Vec::with_capacity(file.len());
    let mut lines = LogicalLines::of(file);
    while !lines.rest.is_empty() {
        let before = lines.rest;
        let first = lines.natural().map(trim_start).unwrap_or_default();
        let is_text = !first.is_empty() && !first.starts_with(b"#") && !first.starts_with(b"!");
        let line = is_text.then(|| {
            lines.rest = before;
            lines.next()
        });
        let raw = before.get(..before.len() - lines.rest.len()).unwrap_or_default();
        let key = line.flatten().map(|line| unescape(split(&line).0)).transpose()?;
        if !key.is_some_and(|key| is_dropped(&key)) {
            kept.extend_from_slice(raw);
        }
    }
    Ok(kept)
}

impl<K: AsRef<str>, V: Into<String>> FromIterator<(K, V)> for Properties {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(pairs: I) -> Self {
        let mut properties = Self::new();
        for (key, value) in pairs {
            properties.set(key.as_ref(), value);
        }
        properties
    }
}

/// The part of a value that was meant as a comment: from the first ` #` on.
#[must_use]
pub fn trailing_comment(value: &str) -> Option<&str> {
    let behind_space = |(at, _): &(usize, &str)| value.get(..*at).is_some_and(|head| head.ends_with([' ', '\t']));
    value.match_indices('#').find(behind_space).and_then(|(at, _)| value.get(at..))
}

/// What an error about `value` adds when a comment stands behind it; empty otherwise.
#[must_use]
pub fn comment_hint(value: &str) -> String {
    trailing_comment(value).map_or_else(String::new, |comment| {
        format!(
            " (a properties file has no comment behind a value: '{comment}' is part of it; put it on a line of its own)"
        )
    })
}

/// Lines with continuations joined, comments and blank lines left out. Items are Latin-1 bytes, still escaped.
struct LogicalLines<'a> {
    rest: &'a [u8],
    file_ends_in_backslash: bool,
}

impl<'a> LogicalLines<'a> {
    fn of(file: &'a [u8]) -> Self {
        Self {
            rest: file,
            file_ends_in_backslash: [&b"\\"[..], b"\\\n", b"\\\r"].iter().any(|end| file.ends_with(end)),
        }
    }

    /// The next natural line without its end; `\n`, `\r` and `\r\n` end a line.
    fn natural(&mut self) -> Option<&'a [u8]> {
        if self.rest.is_empty() {
            return None;
        }
        let end = self.rest.iter().position(|byte| matches!(byte, b'\n' | b'\r')).unwrap_or(self.rest.len());
        let (line, tail) = self.rest.split_at(end);
        let end_of_line = if tail.starts_with(b"\r\n") { 2 } else { tail.len().min(1) };
        self.rest = tail.get(end_of_line..).unwrap_or_default();
        Some(line)
    }
}

impl Iterator for LogicalLines<'_> {
    type Item = Vec<u8>;

    fn next(&mut self) -> Option<Vec<u8>> {
        loop {
            let first = trim_start(self.natural()?);
            if first.is_empty() || first.starts_with(b"#") || first.starts_with(b"!") {
                continue;
            }
            let mut line = first.to_vec();
            let mut ends_the_file = false;
            while ends_in_continuation(&line) && !ends_the_file {
                line.pop();
                match self.natural().map(trim_start) {
                    // Behind nothing but a backslash a comment is still one; behind text `#` is text.
                    Some(more) if line.is_empty() && (more.starts_with(b"#") || more.starts_with(b"!")) => {}
                    // A blank line ends the logical line.
                    Some(more) => line.extend_from_slice(more),
                    None => ends_the_file = true,
                }
            }
            // Nothing joined to nothing is no line, but a lone backslash at the very end (\n or \r may follow, not both) is one.
            if !line.is_empty() || (ends_the_file && self.file_ends_in_backslash) {
                return Some(line);
            }
        }
    }
}

/// An odd number of backslashes at the end.
fn ends_in_continuation(line: &[u8]) -> bool {
    line.iter().rev().take_while(|byte| **byte == b'\\').count() % 2 == 1
}

const fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | 0x0c)
}

fn trim_start(line: &[u8]) -> &[u8] {
    let start = line.iter().position(|byte| !is_space(*byte)).unwrap_or(line.len());
    line.get(start..).unwrap_or_default()
}

/// Key and value at the first unescaped `=`, `:` or space; the spaces around one separator belong to neither.
fn split(line: &[u8]) -> (&[u8], &[u8]) {
    let mut escaped = false;
    let end = line.iter().position(|byte| {
        let ends = !escaped && (is_space(*byte) || matches!(byte, b'=' | b':'));
        escaped = !escaped && *byte == b'\\';
        ends
    });
    let (key, rest) = line.split_at(end.unwrap_or(line.len()));
    let rest = trim_start(rest);
    let value = rest.strip_prefix(b"=").or_else(|| rest.strip_prefix(b":")).unwrap_or(rest);
    (key, trim_start(value))
}

/// Latin-1 bytes with escapes to text. A lone surrogate becomes U+FFFD.
fn unescape(bytes: &[u8]) -> Result<String, PropertiesError> {
    let mut units = Vec::with_capacity(bytes.len());
    let mut rest = bytes.iter();
    while let Some(byte) = rest.next() {
        if *byte != b'\\' {
            units.push(u16::from(*byte));
            continue;
        }
        match rest.next() {
            Some(b'u') => {
                let (digits, tail) = rest.as_slice().split_at_checked(4).ok_or(PropertiesError::MalformedUnicode)?;
                units.push(hex(digits).ok_or(PropertiesError::MalformedUnicode)?);
                rest = tail.iter();
            }
            Some(b't') => units.push(u16::from(b'\t')),
            Some(b'n') => units.push(u16::from(b'\n')),
            Some(b'r') => units.push(u16::from(b'\r')),
            Some(b'f') => units.push(0x0c),
            Some(other) => units.push(u16::from(*other)),
            None => {}
        }
    }
    Ok(String::from_utf16_lossy(&units))
}

fn hex(digits: &[u8]) -> Option<u16> {
    digits.iter().try_fold(0_u16, |value, digit| {
        let digit = char::from(*digit).to_digit(16)?;
        Some(value << 4 | u16::try_from(digit).ok()?)
    })
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Escape {
    EverySpace,
    LeadingSpace,
}

fn escape(text: &str, spaces: Escape, out: &mut String) {
    for (place, unit) in text.encode_utf16().enumerate() {
        match u8::try_from(unit) {
            Ok(b' ') if place == 0 || spaces == Escape::EverySpace => out.push_str("\\ "),
            Ok(b'\t') => out.push_str("\\t"),
            Ok(b'\n') => out.push_str("\\n"),
            Ok(b'\r') => out.push_str("\\r"),
            Ok(0x0c) => out.push_str("\\f"),
            Ok(byte @ (b'\\' | b'=' | b':' | b'#' | b'!')) => {
                out.push('\\');
                out.push(char::from(byte));
            }
            Ok(byte @ 0x20..=0x7e) => out.push(char::from(byte)),
            _ => write!(out, "\\u{unit:04X}").expect("a String takes all text"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(file: &str) -> Vec<(String, String)> {
        Properties::parse(file.as_bytes()).unwrap().entries
    }

    #[test]
    fn a_comment_behind_a_value_is_part_of_it_and_found() {
        assert_eq!(pairs("port=9092 # mine"), [("port".into(), "9092 # mine".into())]);
        assert_eq!(trailing_comment("9092 # mine"), Some("# mine"));
        assert_eq!(trailing_comment("a#b"), None);
        assert_eq!(trailing_comment("a#b\t#c"), Some("#c"));
        assert!(comment_hint("1 # x").contains("'# x' is part of it"));
        assert_eq!(comment_hint("1"), "");
    }

    #[test]
    fn text_may_hold_all_characters() {
        let text = Properties::parse_text("a=\u{e9}\u{20ac}\u{1f600} x").unwrap();
        assert_eq!(text.get("a"), Some("\u{e9}\u{20ac}\u{1f600} x"));
    }

    #[test]
    fn the_last_value_of_a_key_wins_in_the_place_of_the_first() {
        assert_eq!(pairs("a=1\nb=2\na=3"), [("a".into(), "3".into()), ("b".into(), "2".into())]);
    }

    #[test]
    fn lines_of_some_keys_are_left_out_and_all_else_stays() {
        let file =
            "# servers\r\nserver.1=a:1:2\n\n  server.2 = b:1:2\\\n   :observer\ntickTime=2000\\\n0\n! end\nlast=1";
        let kept = without_keys(file.as_bytes(), |key| key.starts_with("server.")).unwrap();
        assert_eq!(String::from_utf8(kept).unwrap(), "# servers\r\n\ntickTime=2000\\\n0\n! end\nlast=1");
        assert_eq!(without_keys(b"a\\u1=2", |_| false), Err(PropertiesError::MalformedUnicode));
    }

    #[test]
    fn malformed_unicode_is_an_error() {
        for bad in ["a=\\u12", "a=\\u12g4", "\\u=1"] {
            assert_eq!(Properties::parse(bad.as_bytes()), Err(PropertiesError::MalformedUnicode), "{bad}");
        }
    }

    #[test]
    fn what_is_written_is_read_back() {
        let all: Properties =
            [(" k e:y", " v #x\\ "), ("tab", "\t\n\r\u{c}"), ("ünï", "ÿ\u{1F600}€"), ("", "empty key")]
                .into_iter()
                .collect();
        assert_eq!(Properties::parse(all.to_text().as_bytes()), Ok(all));
    }

    proptest::proptest! {
        #[test]
        fn any_pairs_survive_writing_and_any_bytes_are_read(pairs: Vec<(String, String)>, bytes: Vec<u8>) {
            let all: Properties = pairs.into_iter().collect();
            proptest::prop_assert_eq!(Properties::parse(all.to_text().as_bytes()), Ok(all));
            let _no_panic = Properties::parse(&bytes);
        }
    }
}
