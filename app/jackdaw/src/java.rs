//! `jackdaw java [OPTIONS] CLASS [ARGUMENTS]`: a server or a tool as its JVM original would be started.
//!
//! The upstream scripts end in such a line; ours do too, so that `ps` shows the class, and options for the JVM are taken
//! where they mean something: `-D` sets a property, `-X` and the like are passed over. The word `java` may be left out, so
//! that a script that has `JAVA=.../jackdaw` from `zkEnv.sh` can run `"$JAVA" $JVMFLAGS CLASS`.

use std::ffi::OsString;
use std::path::PathBuf;

use config::Properties;
use host::logging::{KAFKA_CONSOLE, KAFKA_DEFAULT, Log, LogSettings, ZOOKEEPER_DEFAULT};

use crate::{kafka_server, zookeeper_server};

/// The class of a ZooKeeper server.
pub(crate) const ZOOKEEPER_CLASS: &str = cli::upstream::ZOOKEEPER_SERVER;
/// The class of a broker.
pub(crate) const KAFKA_CLASS: &str = cli::upstream::KAFKA_SERVER;
/// A property of ours: the command that started a server without a home, whose log goes to the console in Kafka's layout.
pub(crate) const KAFKA_STYLE: &str = "jackdaw.kafka.console";

/// The class behind `zookeeper-shell`.
const ZOOKEEPER_SHELL_CLASS: &str = "org.apache.zookeeper.ZooKeeperMainWithTlsSupportForKafka";

/// Variables whose words are options, as in the upstream scripts: they come before those of the command line.
const VARIABLES: [&str; 8] = [
    "KAFKA_HEAP_OPTS",
    "KAFKA_JVM_PERFORMANCE_OPTS",
    "KAFKA_GC_LOG_OPTS",
    "KAFKA_JMX_OPTS",
    "KAFKA_LOG4J_OPTS",
    "KAFKA_OPTS",
    "SERVER_JVMFLAGS",
    "JVMFLAGS",
];

/// Options of a JVM whose value is the next word.
const WITH_VALUE: [&str; 6] = ["-p", "--module-path", "--add-modules", "--add-opens", "--add-exports", "--add-reads"];

/// A JVM's command line, understood as far as it concerns us.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Java {
    /// `-Dname=value`
    pub(crate) properties: Properties,
    /// `-cp`
    class_path: String,
    /// What is meant for a JVM.
    passed_over: Vec<String>,
    /// Programs that would look into a JVM.
    agents: Vec<String>,
    class: String,
    arguments: Vec<String>,
}

impl Java {
    fn parse(words: impl Iterator<Item = String>) -> Self {
        let mut java = Self::default();
        let mut words = words.peekable();
        while let Some(word) = words.next_if(|word| word.starts_with('-')) {
            if let Some(property) = word.strip_prefix("-D") {
                let (name, value) = property.split_once('=').unwrap_or((property, ""));
                java.properties.set(name, value);
            } else if word == "-cp" || word == "-classpath" || word == "--class-path" {
                java.class_path = words.next().unwrap_or_default();
            } else if word.starts_with("-javaagent") || word.starts_with("-agent") {
                java.agents.push(word);
            } else {
                let value = if WITH_VALUE.contains(&word.as_str()) { words.next() } else { None };
                java.passed_over.push(word);
                java.passed_over.extend(value);
            }
        }
        java.class = words.next().unwrap_or_default();
        java.arguments = words.collect();
        java
    }

    /// The log as `log4j.properties` says: that of `log4j.configuration`, that on the class path, or the original's own.
    pub(crate) fn log(&self) -> anyhow::Result<Log> {
        let mut complaints = Vec::new();
        let found = self.log4j_file().and_then(|path| match std::fs::read(&path) {
            Ok(text) => Some(text),
            Err(error) => {
                complaints.push(format!("Could not read configuration file [{}]: {error}", path.display()));
                None
            }
        });
        let default = match (self.properties.get("kafka.logs.dir"), self.properties.get(KAFKA_STYLE)) {
            (Some(_), _) => KAFKA_DEFAULT,
            (None, Some(_)) => KAFKA_CONSOLE,
            (None, None) => ZOOKEEPER_DEFAULT,
        };
        let text = found.as_deref().unwrap_or(default.as_bytes());
        let settings = LogSettings::parse(&Properties::parse(text)?, &self.properties, &mut complaints);
        for complaint in complaints {
            eprintln!("log4j:ERROR {complaint}");
        }
        Ok(Log::start(settings)?)
    }

    fn log4j_file(&self) -> Option<PathBuf> {
        if let Some(location) = self.properties.get("log4j.configuration") {
            return Some(location.strip_prefix("file:").unwrap_or(location).into());
        }
        let mut folders = self.class_path.split(':').filter(|folder| !folder.is_empty());
        folders.find_map(|folder| Some(PathBuf::from(folder).join("log4j.properties")).filter(|file| file.is_file()))
    }

    /// Lines for the log about options that have no effect.
    pub(crate) fn notes(&self) -> Vec<(host::logging::Level, String)> {
        use host::logging::Level;
        let mut notes = Vec::new();
        if !self.passed_over.is_empty() {
            notes.push((Level::Info, format!("Passed over, meant for a JVM: {}", self.passed_over.join(" "))));
        }
        let jmx = self.properties.iter().filter(|(name, _)| name.starts_with("com.sun.management.jmxremote.port"));
        let jmx = jmx.map(|(name, value)| format!("-D{name}={value}"));
        let port =
            std::env::var("JMX_PORT").ok().filter(|port| !port.is_empty()).map(|port| format!("JMX_PORT={port}"));
        let ignored: Vec<String> = self.agents.iter().cloned().chain(jmx).chain(port).collect();
        if !ignored.is_empty() {
            let text = format!("Ignored, since there is no JVM here to look into: {}", ignored.join(" "));
            notes.push((Level::Warn, text));
        }
        notes
    }
}

/// Whether a word begins a JVM's command line: one of its options, or a class with a counterpart here.
pub(crate) fn begins_line(word: &str) -> bool {
    let option = word.starts_with('-') && !["-h", "--help", "-V", "--version"].contains(&word);
    let other = [cli::upstream::FOUR_LETTER_WORD, cli::upstream::VERSION_INFO, ZOOKEEPER_SHELL_CLASS].contains(&word);
    let alone = cli::upstream::CLASSES.contains(&word);
    option || other || alone || cli::upstream::by_class(word).is_some()
}

/// Who this is, in one line.
pub(crate) fn version() -> String {
    format!("jackdaw {} (ZooKeeper 3.6.3, Kafka 2.7.1)", env!("CARGO_PKG_VERSION"))
}

/// Runs a class that has a counterpart here.
pub(crate) fn run(arguments: &[OsString]) -> i32 {
    let variables = VARIABLES.iter().filter_map(|name| std::env::var(name).ok());
    let of_variables: Vec<String> =
        variables.flat_map(|text| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>()).collect();
    let of_line = arguments.iter().map(|argument| argument.to_string_lossy().into_owned());
    let java = Java::parse(of_variables.into_iter().chain(of_line));
    match java.class.as_str() {
        ZOOKEEPER_CLASS => zookeeper_server::run(&java, &java.arguments),
        KAFKA_CLASS => kafka_server::run(&java, &java.arguments),
        "" if java.passed_over.iter().any(|option| option.ends_with("-version")) => {
            eprintln!("{}", version());
            0
        }
        "" => {
            eprintln!("jackdaw java: no class among {arguments:?}; see `jackdaw --help`");
            1
        }
        class => {
            cli::properties::set(&java.properties);
            run_tool(class, &java.arguments)
        }
    }
}

/// A tool by its class.
fn run_tool(class: &str, arguments: &[String]) -> i32 {
    let arguments: Vec<OsString> = arguments.iter().map(OsString::from).collect();
    let name = match class {
        ZOOKEEPER_SHELL_CLASS => "zookeeper-shell",
        class => cli::upstream::by_class(class).map_or(class, |command| command.name),
    };
    match cli::run(name, &arguments) {
        Some(code) => code,
        None if cli::upstream::by_name(name).is_none() && !cli::upstream::CLASSES.contains(&name) => {
            eprintln!("Error: Could not find or load main class {class}");
            1
        }
        None => {
            eprintln!("{name}: this command is not part of this version of Jackdaw yet.");
            1
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_as_the_scripts_write_it() {
        let line = "-Xmx1G -server -Dkafka.logs.dir=/l -cp /conf:/libs/* -javaagent:x.jar -Dflag kafka.Kafka s.properties \
                    --override -Da=b";
        let java = Java::parse(line.split_whitespace().map(str::to_owned));
        assert_eq!(java.properties.get("kafka.logs.dir"), Some("/l"));
        assert_eq!(java.properties.get("flag"), Some(""));
        assert_eq!(java.class_path, "/conf:/libs/*");
        assert_eq!(java.passed_over, ["-Xmx1G", "-server"]);
        assert!(java.notes().iter().any(|(_, note)| note.contains("-Xmx1G -server")));
        assert_eq!(java.agents, ["-javaagent:x.jar"]);
        assert_eq!(java.class, "kafka.Kafka");
        assert_eq!(java.arguments, ["s.properties", "--override", "-Da=b"]);
    }

    #[test]
    fn options_with_a_value_do_not_pass_for_the_class_and_agents_get_one_warning() {
        let line = "--add-opens java.base/java.lang=ALL-UNNAMED -javaagent:a.jar -agentlib:jdwp \
                    -Dcom.sun.management.jmxremote.port=9999 kafka.Kafka f";
        let java = Java::parse(line.split_whitespace().map(str::to_owned));
        assert_eq!((java.class.as_str(), java.arguments), ("kafka.Kafka", vec!["f".to_owned()]));
        let java = Java::parse(line.split_whitespace().map(str::to_owned));
        let warnings: Vec<_> =
            java.notes().into_iter().filter(|(level, _)| *level == host::logging::Level::Warn).collect();
        assert_eq!(warnings.len(), 1, "{warnings:?}");
        assert!(warnings[0].1.contains("-javaagent:a.jar -agentlib:jdwp -Dcom.sun.management.jmxremote.port=9999"));
    }

    #[test]
    fn a_command_line_of_a_jvm_is_known_by_its_first_word() {
        let begins = ["-Dkafka.logs.dir=/a/b", "-Xmx1G", "-cp", "-version", KAFKA_CLASS, ZOOKEEPER_CLASS];
        assert!(
            begins.into_iter().chain([cli::upstream::FOUR_LETTER_WORD, "kafka.admin.TopicCommand"]).all(begins_line)
        );
        assert!(!["dev", "--help", "-V", "kafka-topics", "java", "zkCli.sh"].into_iter().any(begins_line));
    }
}
