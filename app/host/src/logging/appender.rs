//! Where lines go: the console, or a file that is put aside by length or by date.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use super::layout::{Layout, write_date};
use super::{Level, Record};

/// One appender of `log4j.properties`.
#[derive(Clone, Debug)]
pub(super) struct Appender {
    pub(super) target: Target,
    pub(super) threshold: Level,
    pub(super) layout: Layout,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Target {
    Stdout,
    Stderr,
    File(PathBuf, Roll),
    Nowhere,
}

/// When a file is put aside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Roll {
    /// `FileAppender`
    Never,
    /// `RollingFileAppender`: beyond this length, as `.1`, which was `.2` before ...
    Length { length_max: u64, backups: u32 },
    /// `DailyRollingFileAppender`: when the date in this pattern changes, with the old one behind the name.
    Date(String),
}

/// An appender at work. Lines are collected and leave at [`Sink::flush`].
pub(super) struct Sink {
    appender: Appender,
    text: String,
    open: Option<Open>,
    /// An error was told; not again before a write succeeds.
    failing: bool,
}

struct Open {
    file: File,
    length: u64,
    suffix: String,
}

impl Sink {
    /// Opens the file, if it is one. What can't be opened is told on stderr as log4j does, and gets no lines: a server must not fail
    /// for want of a log.
    pub(super) fn open(mut appender: Appender) -> Self {
        let open = match &appender.target {
            Target::File(path, roll) => Open::new(path, roll).map_err(|error| (path.clone(), error)).map(Some),
            _ => Ok(None),
        };
        let open = open.unwrap_or_else(|(path, error)| {
            let exception = format!("java.io.FileNotFoundException: {} ({})", path.display(), base::reason(&error));
            // Nobody may be listening.
            let _ = writeln!(io::stderr(), "log4j:ERROR setFile(null,true) call failed.\n{exception}");
            appender.target = Target::Nowhere;
            None
        });
        Self { appender, text: String::new(), open, failing: false }
    }

    pub(super) fn write(&mut self, record: &Record) {
        if record.level < self.appender.threshold {
            return;
        }
        if let (Target::File(path, Roll::Date(pattern)), Some(open)) = (&self.appender.target, &self.open) {
            let mut suffix = String::new();
            write_date(pattern, record.wall_ms, &mut suffix);
            if suffix != open.suffix {
                let aside = with_suffix(path, &open.suffix);
                self.flush();
                let (path, aside) = (self.path(), aside);
                self.reopen(|| fs::rename(path, aside), suffix);
            }
        }
        self.appender.layout.write(record, &mut self.text);
        if let Some(exception) = &record.exception {
            self.text.push_str(exception);
            self.text.push('\n');
        }
        if let (Target::File(_, Roll::Length { length_max, backups }), Some(open)) = (&self.appender.target, &self.open)
            && open.length + self.text.len() as u64 >= *length_max
        {
            let backups = *backups;
            self.flush();
            let path = self.path();
            self.reopen(|| shift(&path, backups), String::new());
        }
    }

    /// Writes what was collected. An error is told once on stderr, as log4j does, and costs the lines.
    pub(super) fn flush(&mut self) {
        if self.text.is_empty() {
            return;
        }
        let text = self.text.as_bytes();
        let result = match (&self.appender.target, &mut self.open) {
            (Target::Stdout, _) => io::stdout().lock().write_all(text).and_then(|()| io::stdout().flush()),
            (Target::Stderr, _) => io::stderr().lock().write_all(text),
            (Target::File(path, roll), open) => append(path, roll, open, text),
            (Target::Nowhere, _) => Ok(()),
        };
        self.text.clear();
        self.note(result);
    }

    fn path(&self) -> PathBuf {
        match &self.appender.target {
            Target::File(path, _) => path.clone(),
            _ => PathBuf::new(),
        }
    }

    fn reopen(&mut self, put_aside: impl FnOnce() -> io::Result<()>, suffix: String) {
        let Target::File(path, roll) = &self.appender.target else { return };
        let result = put_aside().and_then(|()| Open::new(path, roll));
        let result = match result {
            Ok(open) => {
                self.open = Some(open);
                Ok(())
            }
            Err(error) => Err(error),
        };
        // Also when it failed: else each line would try again.
        if let Some(open) = &mut self.open
            && !suffix.is_empty()
        {
            open.suffix = suffix;
        }
        self.note(result);
    }

    fn note(&mut self, result: io::Result<()>) {
        match result {
            Ok(()) => self.failing = false,
            Err(error) if !self.failing => {
                self.failing = true;
                // The log itself fails, so this is the only place left; and it may be gone too.
                let _ = writeln!(io::stderr(), "log4j:ERROR Failed to write {}: {error}", self.path().display());
            }
            Err(_) => {}
        }
    }
}

impl Open {
    fn new(path: &Path, roll: &Roll) -> io::Result<Self> {
        let open = || OpenOptions::new().append(true).create(true).open(path);
        let file = open().or_else(|error| match path.parent() {
            Some(dir) if error.kind() == io::ErrorKind::NotFound => fs::create_dir_all(dir).and_then(|()| open()),
            _ => Err(error),
        })?;
        let metadata = file.metadata()?;
        let mut suffix = String::new();
        if let Roll::Date(pattern) = roll {
            let modified = metadata.modified()?.duration_since(UNIX_EPOCH).unwrap_or_default();
            write_date(pattern, i64::try_from(modified.as_millis()).unwrap_or(0), &mut suffix);
        }
        Ok(Self { file, length: metadata.len(), suffix })
    }
}

fn append(path: &Path, roll: &Roll, open: &mut Option<Open>, text: &[u8]) -> io::Result<()> {
    let open = match open {
        Some(open) => open,
        None => open.insert(Open::new(path, roll)?),
    };
    open.length += text.len() as u64;
    open.file.write_all(text)
}

/// Puts `name` aside as `name.1`, `name.1` as `name.2` and so on; the last one goes.
fn shift(path: &Path, backups: u32) -> io::Result<()> {
    if backups == 0 {
        return fs::remove_file(path);
    }
    for number in (1..backups).rev() {
        let from = with_suffix(path, &format!(".{number}"));
        if from.exists() {
            fs::rename(from, with_suffix(path, &format!(".{}", number + 1)))?;
        }
    }
    fs::rename(path, with_suffix(path, ".1"))
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    PathBuf::from(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(message: &'static str, wall_ms: i64) -> Record {
        Record {
            server_id: None,
            level: Level::Info,
            logger: "a".into(),
            message: message.into(),
            exception: None,
            thread: "t".into(),
            wall_ms,
        }
    }

    fn sink(path: &Path, roll: Roll) -> Sink {
        let target = Target::File(path.to_owned(), roll);
        Sink::open(Appender { target, threshold: Level::Info, layout: Layout::parse("%m%n") })
    }

    fn names(dir: &Path) -> Vec<String> {
        let mut names: Vec<_> =
            fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn by_length_old_files_move_up_and_out() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("logs/zookeeper.log");
        let mut sink = sink(&path, Roll::Length { length_max: 10, backups: 2 });
        for message in ["one one", "two two", "three three", "four four", "five"] {
            sink.write(&record(message, 0));
            sink.flush();
        }
        assert_eq!(names(&dir.path().join("logs")), ["zookeeper.log", "zookeeper.log.1", "zookeeper.log.2"]);
        assert_eq!(fs::read_to_string(path).unwrap(), "five\n");
        assert_eq!(fs::read_to_string(dir.path().join("logs/zookeeper.log.1")).unwrap(), "four four\n");
    }

    #[test]
    fn an_exception_stands_on_its_own_line_behind_the_logger() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("server.log");
        let target = Target::File(path.clone(), Roll::Never);
        let layout = Layout::parse("%p %m (%c)%n");
        let mut sink = Sink::open(Appender { target, threshold: Level::Info, layout });
        sink.write(&Record { exception: Some("java.io.IOException: gone".to_owned()), ..record("Exiting", 0) });
        sink.write(&record("after", 0));
        sink.flush();
        assert_eq!(fs::read_to_string(path).unwrap(), "INFO Exiting (a)\njava.io.IOException: gone\nINFO after (a)\n");
    }

    #[test]
    fn by_hour_the_old_hour_stands_behind_the_name() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("server.log");
        let now = chrono::Utc::now().timestamp_millis();
        let mut sink = sink(&path, Roll::Date("'.'yyyy-MM-dd-HH".to_owned()));
        sink.write(&record("this hour", now));
        sink.write(&record("next hour", now + 3_600_000));
        sink.write(&Record { level: Level::Debug, ..record("not this", now + 3_600_000) });
        sink.flush();
        let mut old = "server.log".to_owned();
        write_date("'.'yyyy-MM-dd-HH", now, &mut old);
        assert_eq!(names(dir.path()), ["server.log", old.as_str()]);
        assert_eq!(fs::read_to_string(&path).unwrap(), "next hour\n");
        assert_eq!(fs::read_to_string(dir.path().join(old)).unwrap(), "this hour\n");
    }
}
