//! Offsets as comma-separated values: what `--export` writes and `--from-file` reads (upstream: Jackson's `CsvMapper`).

use std::fmt::Write as _;

use super::reset::Offsets;
use crate::console::Thrown;

/// Longer texts are put in quotes unseen.
const UNQUOTED_MAX: usize = 24;
const EXCEPTIONS: &str = "com.fasterxml.jackson";
/// Where the parser says that its text is from, before and behind the last column.
const READING: &str = "(StringReader)";
const READ: &str = "UNKNOWN";

/// What a file plans for each group.
pub(super) type Plan = Vec<(String, Offsets)>;

/// A line for each offset.
pub(super) fn export(reset: &[(String, Offsets)], with_group: bool) -> String {
    let mut text = String::new();
    for (group, offsets) in reset {
        for ((topic, index), offset) in offsets {
            let group = if with_group { format!("{},", quoted(group)) } else { String::new() };
            let _ = writeln!(text, "{group}{},{index},{offset}", quoted(topic));
        }
    }
    text
}

fn quoted(text: &str) -> String {
    let plain = |letter: char| letter > ',';
    if text.encode_utf16().count() <= UNQUOTED_MAX && text.chars().all(plain) {
        return text.to_owned();
    }
    format!("\"{}\"", text.replace('"', "\"\""))
}

/// Reads a plan: of the only group `topic,partition,offset`, else `group,topic,partition,offset`.
pub(super) fn read(path: &str, only: Option<&str>) -> Result<Plan, Thrown> {
    let bytes = std::fs::read(path).map_err(|error| {
        let class = match error.kind() {
            std::io::ErrorKind::NotFound => "java.nio.file.NoSuchFileException",
            std::io::ErrorKind::PermissionDenied => "java.nio.file.AccessDeniedException",
            _ => "java.io.IOException",
        };
        Thrown::new("java.io.IOException", format!("Unable to read file {path}")).caused_by(Thrown::new(class, path))
    })?;
    parse(&String::from_utf8_lossy(&bytes), only)
}

fn parse(text: &str, only: Option<&str>) -> Result<Plan, Thrown> {
    let mut lines: Vec<&str> = text.split('\n').collect();
    while lines.len() > 1 && lines.last().is_some_and(|line| line.is_empty()) {
        lines.pop();
    }
    let without_group = |line: &&&str| Record::parse(line, Columns::WithoutGroup).is_ok();
    let only = only.filter(|_| lines.first().filter(without_group).is_some());
    let columns = if only.is_some() { Columns::WithoutGroup } else { Columns::WithGroup };
    let mut plan = Plan::new();
    for line in lines {
        let record = Record::parse(line, columns)?;
        let group = only.map_or(record.group, str::to_owned);
        let partition = (record.topic, record.partition);
        match plan.iter_mut().find(|(known, _)| *known == group) {
            None => plan.push((group, vec![(partition, record.offset)])),
            Some((_, offsets)) => offsets.push((partition, record.offset)),
        }
    }
    Ok(plan)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Columns {
    WithGroup,
    WithoutGroup,
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Record {
    group: String,
    topic: String,
    partition: i32,
    offset: i64,
}

/// A value and the column of its first letter, from 1.
type Cell = (String, usize);

impl Record {
    /// Reads a line; what is missing at its end is 0.
    fn parse(line: &str, columns: Columns) -> Result<Self, Thrown> {
        let line = line.split('\r').next().unwrap_or_default();
        if line.is_empty() {
            let message = "No content to map due to end-of-input\n at [Source: UNKNOWN; line: -1, column: -1]";
            return Err(Thrown::new(format!("{EXCEPTIONS}.databind.exc.MismatchedInputException"), message));
        }
        let (class, count) = match columns {
            Columns::WithGroup => ("CsvRecordWithGroup", 4),
            Columns::WithoutGroup => ("CsvRecordNoGroup", 3),
        };
        let mut cells = cells(line)?;
        if let Some((value, column)) = cells.get(count) {
            let message = format!(
                "Too many entries: expected at most {count} (value #{count} ({} chars) \"{value}\"){}",
                value.encode_utf16().count(),
                location(READ, *column)
            );
            return Err(Thrown::new(format!("{EXCEPTIONS}.dataformat.csv.CsvMappingException"), message));
        }
        let given = cells.len();
        cells.resize(4, (String::new(), 0));
        if columns == Columns::WithoutGroup {
            cells.rotate_right(1);
        }
        let [group, topic, partition, offset] = cells.as_slice() else { return Ok(Self::default()) };
        let source = |place: usize| if place < given { READING } else { READ };
        let chain =
            |field: &str| format!("(through reference chain: kafka.admin.ConsumerGroupCommand${class}[\"{field}\"])");
        Ok(Self {
            group: group.0.clone(),
            topic: topic.0.clone(),
            partition: int(partition)
                .map_err(|problem| invalid("int", partition, &problem, source(count - 1), &chain("partition")))?,
            offset: long(offset)
                .map_err(|problem| invalid("long", offset, &problem, source(count), &chain("offset")))?,
        })
    }
}

fn cells(line: &str) -> Result<Vec<Cell>, Thrown> {
    let letters: Vec<char> = line.chars().collect();
    let json = |message: String| Thrown::new(format!("{EXCEPTIONS}.core.JsonParseException"), message);
    let mut cells = Vec::new();
    let mut at = 0;
    loop {
        let start = at;
        let mut value = String::new();
        if letters.get(at) == Some(&'"') {
            at += 1;
            loop {
                match (letters.get(at), letters.get(at + 1)) {
                    (Some('"'), Some('"')) => {
                        value.push('"');
                        at += 2;
                    }
                    (Some('"'), _) => break,
                    (Some(letter), _) => {
                        value.push(*letter);
                        at += 1;
                    }
                    (None, _) => {
                        let end = location(READ, 2 * letters.len() + 1);
                        return Err(json(format!("Missing closing quote for value{end}")));
                    }
                }
            }
            at += 1;
            if let Some(letter) = letters.get(at).filter(|letter| **letter != ',') {
                let code = u32::from(*letter);
                let place = location(READING, at + 2);
                return Err(json(format!(
                    "Unexpected character ('{letter}' (code {code})): Expected separator (',' (code 44)) or \
                     end-of-line{place}"
                )));
            }
        } else {
            while let Some(letter) = letters.get(at).filter(|letter| **letter != ',') {
                value.push(*letter);
                at += 1;
            }
        }
        cells.push((value, start + 1));
        if letters.get(at).is_none() {
            return Ok(cells);
        }
        at += 1;
    }
}

fn location(source: &str, column: usize) -> String {
    format!("\n at [Source: {source}; line: 1, column: {column}]")
}

fn int((text, _): &Cell) -> Result<i32, String> {
    let text = text.trim();
    if text.is_empty() {
        return Ok(0);
    }
    let number: i64 = text.parse().map_err(|_| "not a valid Integer value".to_owned())?;
    i32::try_from(number)
        .map_err(|_| format!("Overflow: numeric value ({text}) out of range of Integer ({} - {})", i32::MIN, i32::MAX))
}

fn long((text, _): &Cell) -> Result<i64, String> {
    let text = text.trim();
    if text.is_empty() { Ok(0) } else { text.parse().map_err(|_| "not a valid Long value".to_owned()) }
}

fn invalid(kind: &str, (text, column): &Cell, problem: &str, source: &str, chain: &str) -> Thrown {
    let place = location(source, *column);
    let message = format!("Cannot deserialize value of type `{kind}` from String \"{text}\": {problem}{place} {chain}");
    Thrown::new(format!("{EXCEPTIONS}.databind.exc.InvalidFormatException"), message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offsets(offsets: &[(&str, i32, i64)]) -> Offsets {
        offsets.iter().map(|(topic, index, offset)| (((*topic).to_owned(), *index), *offset)).collect()
    }

    #[test]
    fn what_is_exported_is_read() {
        let long = "a-topic-with-a-rather-long-name";
        let reset = vec![("a \"group\"".to_owned(), offsets(&[("t", 0, 7), (long, 1, 8)]))];
        assert_eq!(export(&reset, false), format!("t,0,7\n\"{long}\",1,8\n"));
        let text = export(&reset, true);
        assert_eq!(text, format!("\"a \"\"group\"\"\",t,0,7\n\"a \"\"group\"\"\",\"{long}\",1,8\n"));
        assert_eq!(parse(&text, None), Ok(reset.clone()));
        let plan = parse(&export(&reset, false), Some("g")).unwrap();
        assert_eq!(plan, [("g".to_owned(), reset[0].1.clone())]);
    }

    #[test]
    fn lines_that_say_less_or_more() {
        assert_eq!(parse("t, 0 , 1 \r\nt\n\n", Some("g")).unwrap()[0].1, offsets(&[("t", 0, 1), ("t", 0, 0)]));
        // What is no line of one group is one of several.
        assert_eq!(parse("t,0,1,5", Some("g")).unwrap(), [("t".to_owned(), offsets(&[("0", 1, 5)]))]);
        // Each made by kafka-consumer-groups.sh of 2.7.1.
        for (text, message) in [
            ("", "No content to map due to end-of-input\n at [Source: UNKNOWN; line: -1, column: -1]"),
            (
                "t,0,1\nt,1,yyy",
                "Cannot deserialize value of type `long` from String \"yyy\": not a valid Long value\n at [Source: UNKNOWN; \
                 line: 1, column: 5] (through reference chain: \
                 kafka.admin.ConsumerGroupCommand$CsvRecordNoGroup[\"offset\"])",
            ),
            (
                "t,0,1\nt,yy,1",
                "Cannot deserialize value of type `int` from String \"yy\": not a valid Integer value\n at [Source: \
                 (StringReader); line: 1, column: 3] (through reference chain: \
                 kafka.admin.ConsumerGroupCommand$CsvRecordNoGroup[\"partition\"])",
            ),
            (
                "t,0,1\nt,99999999999,1",
                "Cannot deserialize value of type `int` from String \"99999999999\": Overflow: numeric value (99999999999) \
                 out of range of Integer (-2147483648 - 2147483647)\n at [Source: (StringReader); line: 1, column: 3] \
                 (through reference chain: kafka.admin.ConsumerGroupCommand$CsvRecordNoGroup[\"partition\"])",
            ),
            (
                "gb,t,0,z",
                "Cannot deserialize value of type `long` from String \"z\": not a valid Long value\n at [Source: UNKNOWN; \
                 line: 1, column: 8] (through reference chain: \
                 kafka.admin.ConsumerGroupCommand$CsvRecordWithGroup[\"offset\"])",
            ),
            (
                "gb,t,1,1,4",
                "Too many entries: expected at most 4 (value #4 (1 chars) \"4\")\n at [Source: UNKNOWN; line: 1, column: 10]",
            ),
            ("t,0,1\n\"t\",1,\"1", "Missing closing quote for value\n at [Source: UNKNOWN; line: 1, column: 17]"),
            (
                "t,0,1\n\"t\"x,1,1",
                "Unexpected character ('x' (code 120)): Expected separator (',' (code 44)) or end-of-line\n at [Source: \
                 (StringReader); line: 1, column: 5]",
            ),
        ] {
            assert_eq!(parse(text, Some("g")).unwrap_err().message, message, "{text}");
        }
    }
}
