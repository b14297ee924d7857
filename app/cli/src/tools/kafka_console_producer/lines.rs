//! Lines of standard input as records: `kafka.tools.ConsoleProducer$LineMessageReader`.

use std::collections::VecDeque;
use std::io::{self, BufRead, BufReader};
use std::sync::mpsc::{Receiver, TryRecvError, sync_channel};

use bytes::Bytes;
use config::Properties;

use crate::console::Thrown;
use crate::driver::Waker;

/// How much is read at once, and how many such pieces are kept.
const READ_BYTES: usize = 64 * 1024;
const PIECES: usize = 4;

/// Lines that a thread reads ahead.
pub(super) struct Lines {
    ready: VecDeque<Vec<u8>>,
    pieces: Receiver<Vec<Vec<u8>>>,
}

/// What there is to read.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    Line(Vec<u8>),
    NotYet,
    End,
}

impl Lines {
    /// Begins to read; `waker` is told of each piece.
    pub(super) fn read(input: impl io::Read + Send + 'static, waker: Waker) -> Self {
        let (sender, pieces) = sync_channel(PIECES);
        std::thread::spawn(move || {
            let mut input = BufReader::with_capacity(READ_BYTES, input);
            let mut splitter = Splitter::default();
            loop {
                let taken = match input.fill_buf() {
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                    Ok([]) | Err(_) => break,
                    Ok(bytes) => {
                        splitter.feed(bytes);
                        bytes.len()
                    }
                };
                input.consume(taken);
                if sender.send(splitter.take()).is_err() {
                    return;
                }
                waker.wake();
            }
            let _ = sender.send(splitter.end());
            drop(sender);
            waker.wake();
        });
        Self { ready: VecDeque::new(), pieces }
    }

    /// The next line, if it is there.
    pub(super) fn next(&mut self) -> Next {
        loop {
            if let Some(line) = self.ready.pop_front() {
                return Next::Line(line);
            }
            match self.pieces.try_recv() {
                Ok(lines) => self.ready.extend(lines),
                Err(TryRecvError::Empty) => return Next::NotYet,
                Err(TryRecvError::Disconnected) => return Next::End,
            }
        }
    }
}

/// Cuts bytes into lines, which end in `\n`, `\r` or `\r\n`.
#[derive(Debug, Default)]
struct Splitter {
    lines: Vec<Vec<u8>>,
    partial: Vec<u8>,
    /// The last line ended in `\r`: a `\n` that follows belongs to it.
    after_return: bool,
}

impl Splitter {
    fn feed(&mut self, mut bytes: &[u8]) {
        if self.after_return && !bytes.is_empty() {
            bytes = bytes.strip_prefix(b"\n").unwrap_or(bytes);
            self.after_return = false;
        }
        while let Some(end) = bytes.iter().position(|byte| matches!(byte, b'\n' | b'\r')) {
            let (line, rest) = bytes.split_at(end);
            self.partial.extend_from_slice(line);
            self.lines.push(std::mem::take(&mut self.partial));
            bytes = match rest {
                [b'\r', b'\n', rest @ ..] => rest,
                [end, rest @ ..] => {
                    self.after_return = *end == b'\r' && rest.is_empty();
                    rest
                }
                [] => rest,
            };
        }
        self.partial.extend_from_slice(bytes);
    }

    fn take(&mut self) -> Vec<Vec<u8>> {
        std::mem::take(&mut self.lines)
    }

    /// What stands behind the last end of a line is a line too.
    fn end(mut self) -> Vec<Vec<u8>> {
        if !self.partial.is_empty() {
            self.lines.push(self.partial);
        }
        self.lines
    }
}

/// Makes keys and values of lines.
#[derive(Debug)]
pub(super) struct LineMessageReader {
    parse_key: bool,
    separator: String,
    ignore_error: bool,
    number: u64,
}

impl LineMessageReader {
    pub(super) fn new(properties: &Properties) -> Self {
        let flag = |key: &str| properties.get(key).is_some_and(|value| value.trim().eq_ignore_ascii_case("true"));
        Self {
            parse_key: flag("parse.key"),
            separator: properties.get("key.separator").unwrap_or("\t").to_owned(),
            ignore_error: flag("ignore.error"),
            number: 0,
        }
    }

    /// Key and value of the next line.
    pub(super) fn message(&mut self, line: Vec<u8>) -> Result<(Option<Bytes>, Bytes), Thrown> {
        self.number += 1;
        let line = match String::from_utf8(line) {
            Ok(line) => line,
            Err(error) => String::from_utf8_lossy(error.as_bytes()).into_owned(),
        };
        if !self.parse_key {
            return Ok((None, line.into()));
        }
        match line.split_once(&self.separator) {
            Some((key, value)) => Ok((Some(Bytes::copy_from_slice(key.as_bytes())), value.to_owned().into())),
            None if self.ignore_error => Ok((None, line.into())),
            None => Err(Thrown::new(
                "org.apache.kafka.common.KafkaException",
                format!("No key found on line {}: {line}", self.number),
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(pieces: &[&str]) -> Vec<String> {
        let mut splitter = Splitter::default();
        for piece in pieces {
            splitter.feed(piece.as_bytes());
        }
        splitter.end().into_iter().map(|line| String::from_utf8(line).unwrap()).collect()
    }

    #[test]
    fn lines_end_as_java_ends_them() {
        assert_eq!(split(&["a\nb\r\nc\rd"]), ["a", "b", "c", "d"]);
        assert_eq!(split(&["a\r", "\nb", "c\n", "\n"]), ["a", "bc", ""]);
        assert_eq!(split(&["\r\r\n\n"]), ["", "", ""]);
        assert_eq!(split(&["a\r", "b\r", "\r"]), ["a", "b", ""]);
        assert!(split(&[""]).is_empty());
    }

    fn reader(properties: &[(&str, &str)]) -> LineMessageReader {
        let mut all = Properties::new();
        for (key, value) in properties {
            all.set(key, *value);
        }
        LineMessageReader::new(&all)
    }

    #[test]
    fn keys_stand_before_the_separator() {
        let mut plain = reader(&[]);
        assert_eq!(plain.message(b"k\tv".to_vec()).unwrap(), (None, Bytes::from("k\tv")));
        assert_eq!(plain.message(b"\xff".to_vec()).unwrap().1, "\u{fffd}");
        let mut keyed = reader(&[("parse.key", " TRUE ")]);
        assert_eq!(keyed.message(b"k\tv\tw".to_vec()).unwrap(), (Some(Bytes::from("k")), Bytes::from("v\tw")));
        assert_eq!(keyed.message(b"k\t".to_vec()).unwrap(), (Some(Bytes::from("k")), Bytes::new()));
        assert_eq!(keyed.message(b"none".to_vec()).unwrap_err().message, "No key found on line 3: none");
        let mut patient = reader(&[("parse.key", "true"), ("key.separator", "::"), ("ignore.error", "true")]);
        assert_eq!(patient.message(b"a::b".to_vec()).unwrap(), (Some(Bytes::from("a")), Bytes::from("b")));
        assert_eq!(patient.message(b"a:b".to_vec()).unwrap(), (None, Bytes::from("a:b")));
    }
}
