//! Times as `java.text.SimpleDateFormat` writes them in the English locale.

use chrono::{DateTime, Datelike, Local, TimeZone, Timelike};

use crate::console::Thrown;

/// A pattern in its parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct DateFormat(Vec<Part>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    /// A letter and how often it stands.
    Field(char, usize),
}

/// What a letter can stand for here.
const FIELDS: &str = "yMdHhkKmsSaEDZX";

impl DateFormat {
    /// Reads a pattern.
    pub(super) fn new(pattern: &str) -> Result<Self, Thrown> {
        let mut parts: Vec<Part> = Vec::new();
        let mut letters = pattern.chars().peekable();
        while let Some(letter) = letters.next() {
            if letter == '\'' {
                let mut text = String::new();
                let mut closed = false;
                while let Some(letter) = letters.next() {
                    // Two of them are one, inside of quotes and outside.
                    if letter == '\'' && (letters.peek() != Some(&'\'') || letters.next().is_none()) {
                        closed = true;
                        break;
                    }
                    text.push(letter);
                }
                if !closed {
                    return Err(Thrown::illegal_argument("Unterminated quote"));
                }
                parts.push(Part::Text(if text.is_empty() { "'".to_owned() } else { text }));
            } else if !letter.is_ascii_alphabetic() {
                parts.push(Part::Text(letter.to_string()));
            } else if FIELDS.contains(letter) {
                let mut count = 1;
                while letters.next_if_eq(&letter).is_some() {
                    count += 1;
                }
                parts.push(Part::Field(letter, count));
            } else if "GYLwWFuz".contains(letter) {
                return Err(Thrown::illegal_argument(format!("Pattern character '{letter}' is not supported")));
            } else {
                return Err(Thrown::illegal_argument(format!("Illegal pattern character '{letter}'")));
            }
        }
        Ok(Self(parts))
    }

    /// A time of day and date in the zone of this machine.
    pub(super) fn format(&self, time_ms: i64) -> String {
        Local.timestamp_millis_opt(time_ms).single().map(|time| self.format_in(&time)).unwrap_or_default()
    }

    fn format_in<Zone: TimeZone>(&self, time: &DateTime<Zone>) -> String
    where
        Zone::Offset: std::fmt::Display,
    {
        self.0
            .iter()
            .map(|part| match part {
                Part::Text(text) => text.clone(),
                Part::Field(letter, count) => field(*letter, *count, time),
            })
            .collect()
    }
}

fn field<Zone: TimeZone>(letter: char, width: usize, time: &DateTime<Zone>) -> String
where
    Zone::Offset: std::fmt::Display,
{
    let named = |format: &str| time.format(format).to_string();
    let (afternoon, hour_12) = time.hour12();
    let number = match letter {
        'y' if width == 2 => return named("%y"),
        'y' => i64::from(time.year()),
        'M' if width > 3 => return named("%B"),
        'M' if width == 3 => return named("%b"),
        'M' => i64::from(time.month()),
        'E' => return named(if width > 3 { "%A" } else { "%a" }),
        'a' => return if afternoon { "PM" } else { "AM" }.to_owned(),
        'Z' => return named("%z"),
        'X' => return named(if width > 2 { "%:z" } else { "%z" }),
        'd' => i64::from(time.day()),
        'D' => i64::from(time.ordinal()),
        'H' => i64::from(time.hour()),
        'k' => i64::from((time.hour() + 23) % 24 + 1),
        'h' => i64::from(hour_12),
        'K' => i64::from(hour_12 % 12),
        'm' => i64::from(time.minute()),
        's' => i64::from(time.second()),
        _ => i64::from(time.timestamp_subsec_millis()),
    };
    format!("{number:0width$}")
}

#[cfg(test)]
mod tests {
    use chrono::Utc;

    use super::*;

    #[test]
    fn fields() {
        let time = Utc.timestamp_millis_opt(1_617_899_700_123).unwrap();
        let of = |pattern: &str| DateFormat::new(pattern).unwrap().format_in(&time);
        assert_eq!(of("yyyy-MM-dd HH:mm:ss:SSS"), "2021-04-08 16:35:00:123");
        assert_eq!(of("EEE, d MMM yy h:mm a"), "Thu, 8 Apr 21 4:35 PM");
        assert_eq!(of("EEEE MMMM 'at' k 'o''clock' Z"), "Thursday April at 16 o'clock +0000");
        assert!(DateFormat::new("yyyy'").is_err());
        assert_eq!(DateFormat::new("b").unwrap_err().message, "Illegal pattern character 'b'");
    }
}
