//! log4j's `PatternLayout`, and the date patterns of Java's `SimpleDateFormat` that file names and lines use.

use std::fmt::Write as _;

use chrono::{DateTime, Datelike, Local, TimeZone, Timelike};

use super::Record;

/// A conversion pattern, parsed.
#[derive(Clone, Debug)]
pub(super) struct Layout(Vec<Piece>);

#[derive(Clone, Debug)]
struct Piece {
    what: What,
    width_min: usize,
    width_max: usize,
    left: bool,
}

#[derive(Clone, Debug)]
enum What {
    Text(String),
    Date(String),
    Level,
    Message,
    /// `%c`: the logger's last so many parts, or all of them.
    Logger(Option<usize>),
    /// `%t`
    Thread,
    /// `%L`, `%M`, `%F`: lines of Java that we don't have; a number, since log parsers expect one.
    Line,
    /// `%X{myid}`: of a member of an ensemble.
    ServerId,
    /// `%x`, and any other `%X{...}`: contexts that nobody sets.
    Empty,
}

impl Layout {
    /// Parses a `ConversionPattern`. An unknown conversion is written as it stands.
    pub(super) fn parse(pattern: &str) -> Self {
        let mut pieces = Vec::new();
        let mut rest = pattern;
        while let Some(at) = rest.find('%') {
            let (text, conversion) = rest.split_at(at);
            push_text(&mut pieces, text);
            let (piece, left) = conversion_of(conversion);
            pieces.push(piece);
            rest = left;
        }
        push_text(&mut pieces, rest);
        Self(pieces)
    }

    /// Appends the line.
    pub(super) fn write(&self, record: &Record, line: &mut String) {
        for piece in &self.0 {
            let start = line.len();
            piece.what.write(record, line);
            let length = line.get(start..).unwrap_or_default().chars().count();
            if length < piece.width_min {
                let padding = " ".repeat(piece.width_min - length);
                line.insert_str(if piece.left { line.len() } else { start }, &padding);
            } else if length > piece.width_max {
                // log4j cuts off the beginning.
                let cut = line.get(start..).unwrap_or_default().char_indices().nth(length - piece.width_max);
                line.replace_range(start..start + cut.map_or(0, |(at, _)| at), "");
            }
        }
    }
}

fn push_text(pieces: &mut Vec<Piece>, text: &str) {
    if !text.is_empty() {
        pieces.push(plain(What::Text(text.to_owned())));
    }
}

fn plain(what: What) -> Piece {
    Piece { what, width_min: 0, width_max: usize::MAX, left: false }
}

/// Parses `%-5.30c{1}` at the start of `text`; the piece, and what follows.
fn conversion_of(text: &str) -> (Piece, &str) {
    let unknown = (plain(What::Text("%".to_owned())), text.strip_prefix('%').unwrap_or(text));
    let rest = unknown.1;
    let (left, rest) = rest.strip_prefix('-').map_or((false, rest), |rest| (true, rest));
    let (width_min, rest) = number(rest);
    let (width_max, rest) = rest.strip_prefix('.').map_or((None, rest), number);
    let mut letters = rest.chars();
    let Some(letter) = letters.next() else { return unknown };
    let mut rest = letters.as_str();
    let mut option = None;
    if let Some((inside, after)) = rest.strip_prefix('{').and_then(|inner| inner.split_once('}')) {
        option = Some(inside);
        rest = after;
    }
    let what = match letter {
        'd' => What::Date(date_pattern(option.unwrap_or("ISO8601")).to_owned()),
        'p' => What::Level,
        'm' => What::Message,
        'c' => What::Logger(option.and_then(|parts| parts.parse().ok())),
        'C' => What::Logger(option.and_then(|parts| parts.parse().ok())),
        't' => What::Thread,
        'L' | 'M' | 'F' => What::Line,
        'X' if option == Some("myid") => What::ServerId,
        'x' | 'X' => What::Empty,
        'n' => What::Text("\n".to_owned()),
        '%' => What::Text("%".to_owned()),
        _ => return unknown,
    };
    let width_max = width_max.unwrap_or(usize::MAX);
    (Piece { what, width_min: width_min.unwrap_or(0), width_max, left }, rest)
}

fn number(text: &str) -> (Option<usize>, &str) {
    let end = text.find(|character: char| !character.is_ascii_digit()).unwrap_or(text.len());
    let (digits, rest) = text.split_at(end);
    (digits.parse().ok(), rest)
}

/// log4j's named formats as patterns.
fn date_pattern(name: &str) -> &str {
    match name {
        "" | "ISO8601" => "yyyy-MM-dd HH:mm:ss,SSS",
        "ABSOLUTE" => "HH:mm:ss,SSS",
        "DATE" => "dd MMM yyyy HH:mm:ss,SSS",
        pattern => pattern,
    }
}

impl What {
    fn write(&self, record: &Record, line: &mut String) {
        match self {
            Self::Text(text) => line.push_str(text),
            Self::Date(pattern) => write_date(pattern, record.wall_ms, line),
            Self::Level => _ = write!(line, "{}", record.level),
            Self::Message => line.push_str(&record.message),
            Self::Logger(None) => line.push_str(&record.logger),
            Self::Logger(Some(parts)) => {
                let start = record.logger.rmatch_indices('.').nth(parts.saturating_sub(1)).map_or(0, |(at, _)| at + 1);
                line.push_str(record.logger.get(start..).unwrap_or_default());
            }
            Self::Thread => line.push_str(&record.thread),
            Self::Line => line.push('0'),
            Self::ServerId => {
                if let Some(id) = record.server_id {
                    let _ = write!(line, "{id}");
                }
            }
            Self::Empty => {}
        }
    }
}

/// Appends a time in local time, by a pattern of `SimpleDateFormat`.
pub(super) fn write_date(pattern: &str, wall_ms: i64, line: &mut String) {
    let Some(time) = Local.timestamp_millis_opt(wall_ms).single() else { return };
    let mut quoted = false;
    let mut letters = pattern.chars().peekable();
    while let Some(letter) = letters.next() {
        let mut count = 1;
        if letter == '\'' {
            if letters.next_if_eq(&'\'').is_some() {
                line.push('\'');
            } else {
                quoted = !quoted;
            }
            continue;
        }
        if quoted || !letter.is_ascii_alphabetic() {
            line.push(letter);
            continue;
        }
        while letters.next_if_eq(&letter).is_some() {
            count += 1;
        }
        write_field(&time, letter, count, line);
    }
}

fn write_field(time: &DateTime<Local>, letter: char, count: usize, line: &mut String) {
    let value = match letter {
        'y' | 'Y' if count == 2 => time.year().rem_euclid(100),
        'y' | 'Y' => time.year(),
        'M' if count >= 3 => {
            let _ = write!(line, "{}", time.format("%b"));
            return;
        }
        'M' => time.month() as i32,
        'd' => time.day() as i32,
        'D' => time.ordinal() as i32,
        'w' => time.iso_week().week() as i32,
        'H' => time.hour() as i32,
        'h' => time.hour12().1 as i32,
        'm' => time.minute() as i32,
        's' => time.second() as i32,
        'S' => time.timestamp_subsec_millis() as i32,
        'a' => {
            line.push_str(if time.hour() < 12 { "AM" } else { "PM" });
            return;
        }
        'E' => {
            let _ = write!(line, "{}", time.format("%a"));
            return;
        }
        'z' | 'Z' | 'X' => {
            let _ = write!(line, "{}", time.format("%z"));
            return;
        }
        _ => return,
    };
    let _ = write!(line, "{value:0count$}");
}

#[cfg(test)]
mod tests {
    use super::super::Level;
    use super::*;

    fn line(pattern: &str) -> String {
        line_of_server(pattern, None)
    }

    fn line_of_server(pattern: &str, server_id: Option<i64>) -> String {
        let wall_ms = Local.with_ymd_and_hms(2026, 1, 1, 12, 0, 0).unwrap().timestamp_millis() + 7;
        let record = Record {
            server_id,
            level: Level::Info,
            logger: "kafka.server.KafkaServer".into(),
            message: "[KafkaServer id=0] started".into(),
            exception: None,
            thread: "main".into(),
            wall_ms,
        };
        let mut line = String::new();
        Layout::parse(pattern).write(&record, &mut line);
        line
    }

    #[test]
    fn lines_of_kafka_and_zookeeper() {
        assert_eq!(
            line("[%d] %p %m (%c)%n"),
            "[2026-01-01 12:00:00,007] INFO [KafkaServer id=0] started (kafka.server.KafkaServer)\n"
        );
        assert_eq!(
            line("%d{ISO8601} [myid:%X{myid}] - %-5p [%t:%C{1}@%L] - %m%n"),
            "2026-01-01 12:00:00,007 [myid:] - INFO  [main:KafkaServer@0] - [KafkaServer id=0] started\n"
        );
        assert_eq!(line_of_server("[myid:%X{myid}] %X{other}-", Some(2)), "[myid:2] -");
    }

    #[test]
    fn widths_and_unknown_conversions() {
        assert_eq!(line("%6p|%-6p|%.3p|%c{2}|%%|%q|100%"), "  INFO|INFO  |NFO|server.KafkaServer|%|%q|100%");
        assert_eq!(line("%d{HH:mm} %d{'o''clock' yy}"), "12:00 o'clock 26");
    }
}
