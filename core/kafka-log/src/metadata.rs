//! `meta.properties`: which broker and cluster a log directory belongs to, as `java.util.Properties` writes and reads it
//! (`BrokerMetadataCheckpoint`).

use std::fmt::Write as _;

/// The file's name.
pub(crate) const FILE: &str = "meta.properties";

/// What `meta.properties` holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrokerMetadata {
    /// `broker.id`.
    pub broker_id: i32,
    /// `cluster.id`.
    pub cluster_id: Option<String>,
}

/// What is wrong with the file, in the original's words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MetadataError {
    /// A later release wrote it.
    #[error("Unrecognized version of the server meta.properties file: {0}")]
    Version(i32),
    /// A line is not there.
    #[error("requirement failed: Missing required property '{0}'")]
    Missing(&'static str),
    /// What should be a number is none.
    #[error("For input string: \"{0}\"")]
    NoNumber(String),
    /// A number is below 0.
    #[error("requirement failed: {key} has value {value} which is not in the range (0,2147483647).")]
    OutOfRange {
        /// Whose value it is.
        key: &'static str,
        /// The number.
        value: i32,
    },
}

impl MetadataError {
    /// The original's exception.
    pub const fn exception(&self) -> &'static str {
        match self {
            Self::Version(_) => "java.io.IOException",
            Self::NoNumber(_) => "java.lang.NumberFormatException",
            Self::Missing(_) | Self::OutOfRange { .. } => "java.lang.IllegalArgumentException",
        }
    }
}

impl BrokerMetadata {
    /// Reads the file's text.
    pub(crate) fn parse(text: &str) -> Result<Self, MetadataError> {
        let value =
            |wanted: &str| text.lines().filter_map(entry).rfind(|(key, _)| key == wanted).map(|(_, value)| value);
        let number = |key: &'static str| {
            let text = value(key).ok_or(MetadataError::Missing(key))?;
            let value: i32 = text.trim().parse().map_err(|_| MetadataError::NoNumber(text.trim().to_owned()))?;
            if value >= 0 { Ok(value) } else { Err(MetadataError::OutOfRange { key, value }) }
        };
        match number("version")? {
            0 => Ok(Self { broker_id: number("broker.id")?, cluster_id: value("cluster.id") }),
            version => Err(MetadataError::Version(version)),
        }
    }

    /// The file's text: an empty comment, the date, the entries in the order of the hash table of Java 9 and later.
    pub(crate) fn format(&self, wall_ms: i64) -> String {
        let mut text = format!("#\n#{}\n", java_date(wall_ms));
        // Writing to a string cannot fail.
        let _ = write!(text, "broker.id={}\nversion=0\n", self.broker_id);
        if let Some(cluster_id) = &self.cluster_id {
            let _ = writeln!(text, "cluster.id={}", escaped(cluster_id));
        }
        text
    }
}

/// Key and value of a line; `None` for comments and empty lines.
fn entry(line: &str) -> Option<(String, String)> {
    let line = line.trim_start_matches([' ', '\t', '\x0c']);
    if line.is_empty() || line.starts_with(['#', '!']) {
        return None;
    }
    let mut escape = false;
    let end = line.find(|letter: char| {
        let ends = !escape && matches!(letter, '=' | ':' | ' ' | '\t' | '\x0c');
        escape = !escape && letter == '\\';
        ends
    });
    let (key, rest) = line.split_at(end.unwrap_or(line.len()));
    let rest = rest.trim_start_matches([' ', '\t', '\x0c']);
    let value = rest.strip_prefix(['=', ':']).unwrap_or(rest).trim_start_matches([' ', '\t', '\x0c']);
    Some((unescaped(key), unescaped(value)))
}

fn unescaped(text: &str) -> String {
    let mut letters = text.chars();
    let mut plain = String::with_capacity(text.len());
    while let Some(letter) = letters.next() {
        match letter {
            '\\' => plain.extend(letters.next()),
            letter => plain.push(letter),
        }
    }
    plain
}

fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for (index, letter) in text.chars().enumerate() {
        if matches!(letter, '\\' | '=' | ':' | '#' | '!') || (index == 0 && letter == ' ') {
            escaped.push('\\');
        }
        escaped.push(letter);
    }
    escaped
}

/// As `java.util.Date.toString()` in UTC: `Mon Nov 23 20:35:24 UTC 2026`.
fn java_date(wall_ms: i64) -> String {
    const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let seconds = wall_ms.div_euclid(1000);
    let (days, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    // Years of 365.2425 days that begin in March, so that the leap day is the last.
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 2 } else { from_march - 10 };
    let year = year_of_era + era * 400 + i64::from(month < 2);
    let name = |names: &[&'static str], index: i64| names.get(index as usize).copied().unwrap_or_default();
    format!(
        "{} {} {day:02} {:02}:{:02}:{:02} UTC {year}",
        name(&DAYS, days.rem_euclid(7)),
        name(&MONTHS, month),
        second / 3600,
        second / 60 % 60,
        second % 60
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_is_javas() {
        let metadata = BrokerMetadata { broker_id: 3, cluster_id: Some("vPeOCWypqUOSepEvx0cbog".into()) };
        let text = metadata.format(1_795_466_124_000);
        assert_eq!(
            text,
            "#\n#Mon Nov 23 20:35:24 UTC 2026\nbroker.id=3\nversion=0\ncluster.id=vPeOCWypqUOSepEvx0cbog\n"
        );
        assert_eq!(BrokerMetadata::parse(&text), Ok(metadata));
        assert_eq!(java_date(951_782_400_000), "Tue Feb 29 00:00:00 UTC 2000");
        assert_eq!(java_date(0), "Thu Jan 01 00:00:00 UTC 1970");
    }

    #[test]
    fn what_people_write_is_read_and_nonsense_is_refused() {
        let parsed = BrokerMetadata::parse("! note\n\n  version : 0\nbroker.id 7\ncluster.id=a\\=b\n");
        assert_eq!(parsed, Ok(BrokerMetadata { broker_id: 7, cluster_id: Some("a=b".into()) }));
        let refused = |text: &str| BrokerMetadata::parse(text).unwrap_err();
        assert_eq!(refused("version=1\nbroker.id=0\n"), MetadataError::Version(1));
        assert_eq!(refused("version=0\n"), MetadataError::Missing("broker.id"));
        assert_eq!(refused("version=0\nbroker.id=-1\n"), MetadataError::OutOfRange { key: "broker.id", value: -1 });
        assert_eq!(refused("version= x \nbroker.id=1\n").to_string(), "For input string: \"x\"");
        assert_eq!(refused("").to_string(), "requirement failed: Missing required property 'version'");
    }
}
