//! `kafka-dump-log.sh` (`kafka.tools.DumpLogSegments`): the content of the files of a partition.

mod decoders;
mod indexes;
mod segment;

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use base::Reader;
use kafka_proto::record::decrement_sequence;

use crate::console::{Console, Stop, Thrown};
use crate::options::{Parsed, Parser};
use decoders::Decoders;
use indexes::IndexErrors;
use segment::Gaps;

const STRING_DECODER: &str = "kafka.serializer.StringDecoder";
/// Decompressed bytes of a batch that are read before the batch is called broken.
const OUTPUT_MAX: u64 = 1 << 31;

/// Runs the command.
pub(super) fn run(arguments: &[OsString], console: &mut Console<'_>) -> Result<i32, Stop> {
    let parsed = parser().parse(arguments)?;
    parsed.help_or_version(
        "This tool helps to parse a log file and dump its contents to the console, useful for debugging a seemingly \
         corrupt log segment.",
    )?;
    parsed.check_required(&["files"])?;
    let mut dump = Dump::new(&parsed).map_err(|thrown| thrown.uncaught())?;
    for file in &dump.files.clone() {
        dump.file(file, console).map_err(|thrown| thrown.uncaught())?;
    }
    console.flush();
    dump.indexes.print_mismatches(console);
    dump.indexes.print_time_errors(console);
    dump.gaps.print(console);
    Ok(0)
}

fn parser() -> Parser {
    let mut parser = Parser::new();
    parser.accepts(
        "print-data-log",
        "if set, printing the messages content when dumping data logs. Automatically set if any decoder option is \
         specified.",
    );
    parser.accepts("verify-index-only", "if set, just verify the index log without printing its content.");
    parser.accepts(
        "index-sanity-check",
        "if set, just checks the index sanity without printing its content. This is the same check that is executed on \
         broker startup to determine if an index needs rebuilding or not.",
    );
    parser
        .accepts("files", "REQUIRED: The comma separated list of data and index log files to be dumped.")
        .argument("String", "file1, file2, ...");
    parser.accepts("max-message-size", "Size of largest message.").argument("Integer", "size").default("5242880");
    parser.accepts(
        "deep-iteration",
        "if set, uses deep instead of shallow iteration. Automatically set if print-data-log is enabled.",
    );
    for (name, what) in [("value-decoder-class", "messages"), ("key-decoder-class", "keys")] {
        parser
            .accepts(
                name,
                format!(
                    "if set, used to deserialize the {what}. This class should implement kafka.serializer.Decoder trait. \
                     Custom jar should be available in kafka/libs directory."
                ),
            )
            .optional_argument("String", "")
            .default(STRING_DECODER);
    }
    parser.accepts(
        "offsets-decoder",
        "if set, log data will be parsed as offset data from the __consumer_offsets topic.",
    );
    parser.accepts(
        "transaction-log-decoder",
        "if set, log data will be parsed as transaction metadata from the __transaction_state topic.",
    );
    parser
}

/// What was asked for, and what is told at the end.
struct Dump {
    files: Vec<String>,
    /// Asked for when the first log is dumped.
    decoders: Result<Decoders, Thrown>,
    prints_data: bool,
    goes_deep: bool,
    verify_only: bool,
    sanity_only: bool,
    message_size_max: u64,
    indexes: IndexErrors,
    gaps: Gaps,
}

impl Dump {
    fn new(parsed: &Parsed) -> Result<Self, Thrown> {
        let decides_data = [
            "print-data-log",
            "offsets-decoder",
            "transaction-log-decoder",
            "value-decoder-class",
            "key-decoder-class",
        ];
        let prints_data = decides_data.iter().any(|option| parsed.has(option));
        let files = parsed.value("files")?.unwrap_or_default();
        Ok(Self {
            files: files.split(',').filter(|file| !file.is_empty()).map(str::to_owned).collect(),
            decoders: Decoders::chosen(parsed),
            prints_data,
            goes_deep: prints_data || parsed.has("deep-iteration"),
            verify_only: parsed.has("verify-index-only"),
            sanity_only: parsed.has("index-sanity-check"),
            message_size_max: parsed.number::<u32>("max-message-size")?.unwrap_or_default().into(),
            indexes: IndexErrors::default(),
            gaps: Gaps::default(),
        })
    }

    fn file(&mut self, file: &str, console: &mut Console<'_>) -> Result<(), Thrown> {
        console.line(format_args!("Dumping {file}"));
        let path = Path::new(file);
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let Some((_, suffix)) = name.rsplit_once('.') else {
            let message = "begin -1, end ".to_owned() + &format!("{0}, length {0}", name.len());
            return Err(Thrown::new("java.lang.StringIndexOutOfBoundsException", message));
        };
        match suffix {
            "log" => self.log(path, console),
            "index" => self.offset_index(path, console),
            "timeindex" => self.time_index(path, console),
            "snapshot" => print_snapshot(path, console),
            "txnindex" => print_transactions(path, console),
            _ => {
                console.flush();
                console.error_line(format_args!("Ignoring unknown file {file}"));
                Ok(())
            }
        }
    }
}

/// The number that a file's name starts with.
fn base_offset(path: &Path) -> Result<i64, Thrown> {
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let digits = name.split('.').next().unwrap_or_default();
    digits
        .parse()
        .map_err(|_| Thrown::new("java.lang.NumberFormatException", format!("For input string: \"{digits}\"")))
}

/// Another file of the same segment.
fn beside(path: &Path, suffix: &str) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    path.with_file_name(format!("{}.{suffix}", name.split('.').next().unwrap_or_default()))
}

/// As the original names files in its findings.
fn absolute(path: &Path) -> String {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned()).display().to_string()
}

fn open(path: &Path) -> Result<File, Thrown> {
    File::open(path).map_err(|error| unreadable(path, &error))
}

fn read(path: &Path) -> Result<Vec<u8>, Thrown> {
    std::fs::read(path).map_err(|error| unreadable(path, &error))
}

fn unreadable(path: &Path, error: &io::Error) -> Thrown {
    let path = path.display();
    match error.kind() {
        io::ErrorKind::NotFound => Thrown::new("java.nio.file.NoSuchFileException", path),
        io::ErrorKind::PermissionDenied => Thrown::new("java.nio.file.AccessDeniedException", path),
        _ => Thrown::new("java.io.IOException", format!("{path}: {error}")),
    }
}

/// Entries of `.snapshot`: what is known of each producer at an offset. What is wrong is told, and the next file dumped.
fn print_snapshot(path: &Path, console: &mut Console<'_>) -> Result<(), Thrown> {
    let content = read(path)?;
    match snapshot_lines(&content) {
        Ok(lines) => lines.iter().for_each(|line| console.line(line)),
        Err(message) => {
            console.flush();
            console.error_line(message);
        }
    }
    Ok(())
}

fn snapshot_lines(content: &[u8]) -> Result<Vec<String>, String> {
    let content = bytes::Bytes::copy_from_slice(content);
    let mut reader = Reader::new(&content);
    let schema = |error: base::DecodeError| format!("Snapshot failed schema validation: {error}");
    let (version, stored) = (reader.i16().map_err(schema)?, reader.u32().map_err(schema)?);
    let count = reader.i32().map_err(schema)?;
    if version != 1 {
        return Err(format!("Snapshot contained an unknown file version {version}"));
    }
    let computed = crc32c::crc32c(content.get(6..).unwrap_or_default());
    if stored != computed {
        return Err(format!(
            "Snapshot is corrupt (CRC is no longer valid). Stored crc: {stored}. Computed crc: {computed}"
        ));
    }
    (0..count).map(|_| snapshot_line(&mut reader).map_err(schema)).collect()
}

fn snapshot_line(reader: &mut Reader<'_>) -> Result<String, base::DecodeError> {
    let (id, epoch) = (reader.i64()?, reader.i16()?);
    let (last_sequence, last_offset) = (reader.i32()?, reader.i64()?);
    let (offset_delta, timestamp) = (reader.i32()?, reader.i64()?);
    let (coordinator_epoch, start) = (reader.i32()?, reader.i64()?);
    let start = if start >= 0 { format!("Some({start})") } else { "None".to_owned() };
    let mut line = format!(
        "producerId: {id} producerEpoch: {epoch} coordinatorEpoch: {coordinator_epoch} currentTxnFirstOffset: {start} "
    );
    if last_offset >= 0 {
        let first_sequence = decrement_sequence(last_sequence, offset_delta);
        line += &format!(
            "firstSequence: {first_sequence} lastSequence: {last_sequence} lastOffset: {last_offset} offsetDelta: \
             {offset_delta} timestamp: {timestamp}"
        );
    }
    Ok(line)
}

/// Entries of `.txnindex`: aborted transactions.
fn print_transactions(path: &Path, console: &mut Console<'_>) -> Result<(), Thrown> {
    base_offset(path)?;
    let content = bytes::Bytes::from(read(path)?);
    let mut reader = Reader::new(&content);
    while reader.remaining() > 0 {
        let entry = (|| -> Result<String, base::DecodeError> {
            let (version, id) = (reader.i16()?, reader.i64()?);
            let (first, last, stable) = (reader.i64()?, reader.i64()?, reader.i64()?);
            Ok(format!(
                "version: {version} producerId: {id} firstOffset: {first} lastOffset: {last} lastStableOffset: {stable}"
            ))
        })();
        console.line(
            entry.map_err(|_| Thrown::new("kafka.common.KafkaException", "Failed to read an aborted transaction"))?,
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn help_is_the_originals() {
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let help = run(&[], &mut Console { input: None, out: &mut out, err: &mut err }).unwrap_err();
        assert_eq!(help.err, include_str!("../../../tests/golden/kafka-dump-log-help.txt"));
    }

    #[test]
    fn a_damaged_snapshot_is_told() {
        assert_eq!(
            snapshot_lines(&[0, 2, 0, 0, 0, 0, 0, 0, 0, 0]).unwrap_err(),
            "Snapshot contained an unknown file version 2"
        );
        let damaged = snapshot_lines(&[0, 1, 0, 0, 0, 9, 0, 0, 0, 0]).unwrap_err();
        assert!(
            damaged.starts_with("Snapshot is corrupt (CRC is no longer valid). Stored crc: 9. Computed crc: "),
            "{damaged}"
        );
        assert!(snapshot_lines(&[0]).unwrap_err().starts_with("Snapshot failed schema validation: "));
    }
}
