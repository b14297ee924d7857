//! `log4j.properties`: loggers with levels, appenders with layouts, `${...}` substituted from system properties first.

use std::collections::{BTreeMap, HashMap};

use config::Properties;

use super::Level;
use super::appender::{Appender, Roll, Target};
use super::layout::{Layout, write_date};

/// What Kafka's own `log4j.properties` sets up, for a broker that is given none. Files go to `${kafka.logs.dir}`.
pub const KAFKA_DEFAULT: &str = include_str!("../../../../config/kafka-log4j.properties");

/// Kafka's layout on the console alone: for a server that was started outside of an installation.
pub const KAFKA_CONSOLE: &str = "log4j.rootLogger=INFO, stdout\n\
    log4j.appender.stdout=org.apache.log4j.ConsoleAppender\n\
    log4j.appender.stdout.layout=org.apache.log4j.PatternLayout\n\
    log4j.appender.stdout.layout.ConversionPattern=[%d] %p %m (%c)%n\n";

/// What ZooKeeper's own `log4j.properties` sets up, for a server that is given none.
pub const ZOOKEEPER_DEFAULT: &str = include_str!("../../../../config/zookeeper-log4j.properties");

/// Which lines are written, and where.
#[derive(Debug)]
pub struct LogSettings {
    root: Logger,
    loggers: HashMap<String, Logger>,
    appenders: Vec<Appender>,
}

#[derive(Debug, Default)]
struct Logger {
    level: Option<Level>,
    /// Indexes of its own appenders.
    appenders: Vec<usize>,
    /// Its lines go to no appender of those above it.
    alone: bool,
}

impl LogSettings {
    /// Reads a `log4j.properties`. `system` are the process's system properties (`-D`). What is not understood is passed over and told
    /// in `complaints`, as log4j does on stderr.
    pub fn parse(file: &Properties, system: &Properties, complaints: &mut Vec<String>) -> Self {
        let source = Source { file, system };
        let mut settings = Self { root: Logger::default(), loggers: HashMap::new(), appenders: Vec::new() };
        let mut numbers = BTreeMap::new();
        for (key, value) in file.iter() {
            let value = source.substitute(value, 0);
            if key == "log4j.rootLogger" || key == "log4j.rootCategory" {
                settings.root = source.logger(&value, &mut numbers, &mut settings.appenders, complaints);
            }
            let name = key.strip_prefix("log4j.logger.").or_else(|| key.strip_prefix("log4j.category."));
            if let Some(name) = name {
                let mut logger = source.logger(&value, &mut numbers, &mut settings.appenders, complaints);
                logger.alone = source
                    .get(&format!("log4j.additivity.{name}"))
                    .is_some_and(|additive| additive.trim().eq_ignore_ascii_case("false"));
                settings.loggers.insert(name.to_owned(), logger);
            }
        }
        settings
    }

    /// The threshold of `logger`: its own, or that of the nearest logger above it.
    pub(super) fn level_of(&self, logger: &str) -> Level {
        self.chain(logger).find_map(|logger| logger.level).unwrap_or(Level::Debug)
    }

    /// The loggers that are configured, and the root's level.
    pub(super) fn levels(&self) -> (Level, impl Iterator<Item = (&str, Option<Level>)>) {
        let own = self.loggers.iter().map(|(name, logger)| (name.as_str(), logger.level));
        (self.root.level.unwrap_or(Level::Debug), own)
    }

    /// Gives a logger a level of its own, or takes it away; `None` is the root.
    pub(super) fn set_level(&mut self, logger: Option<&str>, level: Option<Level>) {
        let logger = match logger {
            None => &mut self.root,
            Some(name) => self.loggers.entry(name.to_owned()).or_default(),
        };
        logger.level = level;
    }

    /// The appenders, by number, that a line of `logger` goes to.
    pub(super) fn appenders_of(&self, logger: &str) -> Vec<usize> {
        let mut numbers = Vec::new();
        for logger in self.chain(logger) {
            numbers.extend(&logger.appenders);
            if logger.alone {
                break;
            }
        }
        numbers
    }

    pub(super) fn appenders(&self) -> Vec<Appender> {
        self.appenders.clone()
    }

    /// The configured loggers from the most special to the root.
    fn chain<'a>(&'a self, logger: &'a str) -> impl Iterator<Item = &'a Logger> {
        let names = std::iter::successors(Some(logger), |name| name.rsplit_once('.').map(|(above, _)| above));
        names.filter_map(|name| self.loggers.get(name)).chain(std::iter::once(&self.root))
    }
}

struct Source<'a> {
    file: &'a Properties,
    system: &'a Properties,
}

impl Source<'_> {
    fn get(&self, key: &str) -> Option<String> {
        self.file.get(key).map(|value| self.substitute(value.trim(), 0))
    }

    /// Replaces `${name}` by the system property or the file's own key of that name, or by nothing.
    fn substitute(&self, value: &str, depth: usize) -> String {
        let mut result = String::new();
        let mut rest = value;
        while let Some((before, (name, after))) =
            rest.split_once("${").and_then(|(before, inner)| Some((before, inner.split_once('}')?)))
        {
            result.push_str(before);
            let found = self.system.get(name).or_else(|| self.file.get(name)).unwrap_or_default();
            // A property that names itself would go on for ever.
            if depth < 16 {
                result.push_str(&self.substitute(found, depth + 1));
            }
            rest = after;
        }
        result.push_str(rest);
        result
    }

    /// `LEVEL, appender, appender`
    fn logger(
        &self,
        value: &str,
        numbers: &mut BTreeMap<String, Option<usize>>,
        appenders: &mut Vec<Appender>,
        complaints: &mut Vec<String>,
    ) -> Logger {
        let mut parts = value.split(',').map(str::trim);
        let level = parts.next().and_then(Level::parse);
        let mut own = Vec::new();
        for name in parts.filter(|name| !name.is_empty()) {
            let number = *numbers.entry(name.to_owned()).or_insert_with(|| match self.appender(name, complaints) {
                Ok(appender) => {
                    appenders.push(appender);
                    Some(appenders.len() - 1)
                }
                Err(complaint) => {
                    complaints.push(complaint);
                    None
                }
            });
            own.extend(number);
        }
        Logger { level, appenders: own, alone: false }
    }

    fn appender(&self, name: &str, complaints: &mut Vec<String>) -> Result<Appender, String> {
        let key = format!("log4j.appender.{name}");
        let get = |option: &str| self.get(&format!("{key}.{option}"));
        let class = self.get(&key).ok_or_else(|| format!("Could not find value for key {key}"))?;
        let file = || get("File").ok_or_else(|| format!("File option not set for appender [{name}]."));
        let target = match class.rsplit('.').next().unwrap_or_default() {
            "ConsoleAppender" if get("Target").as_deref() == Some("System.err") => Target::Stderr,
            "ConsoleAppender" => Target::Stdout,
            "FileAppender" => Target::File(file()?.into(), Roll::Never),
            "RollingFileAppender" => {
                let length_max = get("MaxFileSize").and_then(|size| file_size(&size)).unwrap_or(10 << 20);
                let backups = get("MaxBackupIndex").and_then(|count| count.parse().ok()).unwrap_or(1);
                Target::File(file()?.into(), Roll::Length { length_max, backups })
            }
            "DailyRollingFileAppender" => {
                let pattern = get("DatePattern").unwrap_or_else(|| "'.'yyyy-MM-dd".to_owned());
                let mut suffix = String::new();
                write_date(&pattern, 0, &mut suffix);
                if suffix.contains('/') {
                    return Err(format!("DatePattern of appender [{name}] makes a path: {pattern}"));
                }
                Target::File(file()?.into(), Roll::Date(pattern))
            }
            "NullAppender" => Target::Nowhere,
            _ => return Err(format!("Could not instantiate appender named \"{name}\": no class {class} here.")),
        };
        Ok(Appender {
            target,
            threshold: get("Threshold").and_then(|level| Level::parse(&level)).unwrap_or(Level::Trace),
            layout: self.layout(name, complaints),
        })
    }
}

impl Source<'_> {
    /// An appender's layout. One of a class that is not here gets the pattern all the same: a line in another form is better than none.
    fn layout(&self, name: &str, complaints: &mut Vec<String>) -> Layout {
        let key = format!("log4j.appender.{name}.layout");
        let pattern = self.get(&format!("{key}.ConversionPattern"));
        let default = match self.get(&key) {
            None => {
                complaints.push(format!("No layout set for the appender named [{name}]."));
                "%m%n"
            }
            Some(class) => match class.rsplit('.').next().unwrap_or_default() {
                "SimpleLayout" => "%p - %m%n",
                "PatternLayout" | "EnhancedPatternLayout" => "%m%n",
                _ => {
                    complaints.push(format!("Could not instantiate class [{class}]."));
                    "%m%n"
                }
            },
        };
        Layout::parse(pattern.as_deref().unwrap_or(default))
    }
}

/// `256MB`, `10KB`, `1GB` or plain bytes.
fn file_size(text: &str) -> Option<u64> {
    let text = text.trim().to_ascii_uppercase();
    let units = [("KB", 10), ("MB", 20), ("GB", 30), ("", 0)];
    units.iter().find_map(|(unit, shift)| {
        let number: u64 = text.strip_suffix(unit)?.trim().parse().ok()?;
        number.checked_mul(1 << shift)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str, system: &[(&str, &str)]) -> (LogSettings, Vec<String>) {
        let mut complaints = Vec::new();
        let file = Properties::parse(text.as_bytes()).unwrap();
        let system = system.iter().copied().collect();
        (LogSettings::parse(&file, &system, &mut complaints), complaints)
    }

    #[test]
    fn kafkas_files_by_logger() {
        let (settings, complaints) = parse(KAFKA_DEFAULT, &[("kafka.logs.dir", "/logs")]);
        assert_eq!(complaints, Vec::<String>::new());
        let files = |logger: &str| -> Vec<String> {
            let appenders = settings.appenders();
            let targets = settings.appenders_of(logger).into_iter().map(|number| &appenders[number].target);
            targets
                .map(|target| match target {
                    Target::File(path, Roll::Date(_)) => path.display().to_string(),
                    other => format!("{other:?}"),
                })
                .collect()
        };
        assert_eq!(files("kafka.server.KafkaServer"), ["Stdout", "/logs/server.log"]);
        assert_eq!(files("kafka.controller.KafkaController"), ["/logs/controller.log"]);
        assert_eq!(files("state.change.logger"), ["/logs/state-change.log"]);
        assert_eq!(files("kafka.log.LogCleaner"), ["/logs/log-cleaner.log"]);
        assert_eq!(settings.level_of("kafka.controller.Topic"), Level::Trace);
        assert_eq!(settings.level_of("kafka.request.logger"), Level::Warn);
        assert_eq!(settings.level_of("kafka.server.KafkaServer"), Level::Info);
    }

    #[test]
    fn zookeepers_variables_and_their_overriding() {
        let system = [("zookeeper.root.logger", "DEBUG,ROLLINGFILE"), ("zookeeper.log.dir", "/var/log")];
        let (settings, complaints) = parse(ZOOKEEPER_DEFAULT, &system);
        assert_eq!(complaints, Vec::<String>::new());
        assert_eq!(settings.level_of("org.apache.zookeeper.server.ZooKeeperServer"), Level::Debug);
        let number = settings.appenders_of("org.apache.zookeeper")[0];
        let appender = &settings.appenders()[number];
        assert_eq!(appender.threshold, Level::Info);
        let expected =
            Target::File("/var/log/zookeeper.log".into(), Roll::Length { length_max: 256 << 20, backups: 20 });
        assert_eq!(appender.target, expected);
    }

    #[test]
    fn what_is_not_understood_is_told_and_passed_over() {
        let text = "log4j.rootLogger=INFO, a, b, c\nlog4j.appender.a=org.apache.log4j.net.SyslogAppender\n\
                    log4j.appender.b=org.apache.log4j.FileAppender\nlog4j.appender.c=org.apache.log4j.ConsoleAppender\n\
                    log4j.appender.c.layout=com.example.JsonLayout\n\
                    loop=${loop}\nlog4j.logger.x=${loop}";
        let (settings, complaints) = parse(text, &[]);
        assert_eq!(complaints.len(), 3, "{complaints:?}");
        assert!(
            complaints.contains(&"Could not instantiate class [com.example.JsonLayout].".to_owned()),
            "{complaints:?}"
        );
        assert_eq!(settings.appenders().len(), 1);
        assert_eq!(settings.level_of("x"), Level::Info);
    }
}
