//! `zkCli.sh` (`ZooKeeperMain`) and Kafka's `zookeeper-shell.sh`: one command, or a shell of them.
//!
//! The session is not closed when a single command is done or standard input ends, only by `quit` and `close`: its
//! ephemeral nodes stay until it expires, as with the original. At a terminal there is a prompt; without one the lines
//! are read as the original reads them without JLine.

mod commands;
mod nodes;
mod posix;
mod quota;
mod watch_list;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::{BufReader, IsTerminal, Read};
use std::sync::Arc;
use std::time::Duration;

use config::Properties;
use tls::Tls;
use zk_client::{ClientConfig, Failure, State};
use zk_proto::requests::Request;
use zk_proto::responses::Response;
use zk_proto::{ErrorCode, EventType};

use crate::console::{Console, Stop};
use crate::kafka_admin::load_properties;
use crate::properties::{kafkas_zookeeper_tls, zookeeper_login, zookeeper_tls};
use crate::zookeeper::{Happening, Next, Session};
use watch_list::WatchList;

/// Exit code of a command that there is none of.
const NO_COMMAND: i32 = 127;
const TLS_FILE: &str = "-zk-tls-config-file";

/// `zkCli.sh`.
pub(super) fn run(arguments: &[OsString], console: &mut Console<'_>) -> Result<i32, Stop> {
    let (input, terminal) = input(console);
    let settings = Settings::read(&texts(arguments), console);
    Shell::start(settings, false, console)?.run(input, terminal)
}

/// `zookeeper-shell.sh HOST:PORT[/PATH] [-zk-tls-config-file FILE] [COMMAND...]`; its class is given `-server` before that.
pub(super) fn run_kafka(arguments: &[OsString], console: &mut Console<'_>) -> Result<i32, Stop> {
    let mut arguments = texts(arguments);
    if arguments.is_empty() {
        let out = format!("USAGE: zookeeper-shell zookeeper_host:port[/path] [{TLS_FILE} file] [args...]\n");
        return Err(Stop { code: 1, out, err: String::new() });
    }
    let tls_file = match arguments.iter().position(|argument| argument == TLS_FILE) {
        Some(place) if place + 1 < arguments.len() => arguments.drain(place..place + 2).nth(1),
        Some(_) => return Err(Stop::failure(format!("Error: no argument found for option {TLS_FILE}"))),
        None => None,
    };
    if arguments.first().is_none_or(|first| first != "-server") {
        arguments.insert(0, "-server".to_owned());
    }
    let (input, terminal) = input(console);
    let settings = Settings { tls_file, ..Settings::read(&arguments, console) };
    Shell::start(settings, true, console)?.run(input, terminal)
}

/// Where the lines come from, and whether that is a terminal.
fn input(console: &mut Console<'_>) -> (Box<dyn Read + Send>, bool) {
    let terminal = console.input.is_none() && std::io::stdin().is_terminal();
    (console.input.take().unwrap_or_else(|| Box::new(std::io::stdin())), terminal)
}

fn texts(arguments: &[OsString]) -> Vec<String> {
    arguments.iter().map(|word| word.to_string_lossy().into_owned()).collect()
}

/// How a command fails.
#[derive(Debug)]
enum CommandError {
    /// A message on standard error and an exit code; the shell goes on.
    Said(String, i32),
    /// The shell ends.
    Stop(Stop),
}

impl CommandError {
    fn said(message: impl Into<String>) -> Self {
        Self::Said(message.into(), 1)
    }

    fn uncaught(class: &str, message: impl std::fmt::Display) -> Self {
        Self::Stop(Stop::uncaught(class, message))
    }
}

type Outcome = Result<(), CommandError>;

/// Options before the command.
#[derive(Clone, Debug)]
struct Settings {
    server: String,
    timeout: String,
    read_only: bool,
    client_configuration: Option<String>,
    /// Of the shell of Kafka's distribution, with Kafka's names for the keys.
    tls_file: Option<String>,
    wait_for_connection: bool,
    command: Vec<String>,
}

impl Settings {
    /// Unknown options are passed over, and a missing argument ends the reading, as in the original.
    fn read(arguments: &[String], console: &mut Console<'_>) -> Self {
        let mut settings = Self {
            server: "localhost:2181".to_owned(),
            timeout: "30000".to_owned(),
            read_only: false,
            client_configuration: None,
            tls_file: None,
            wait_for_connection: false,
            command: Vec::new(),
        };
        let mut words = arguments.iter();
        while let Some(word) = words.next() {
            let mut argument = |console: &mut Console<'_>| {
                let argument = words.next().cloned();
                if argument.is_none() {
                    console.error_line(format_args!("Error: no argument found for option {word}"));
                }
                argument
            };
            match word.as_str() {
                "-server" => match argument(console) {
                    Some(server) => settings.server = server,
                    None => break,
                },
                "-timeout" => match argument(console) {
                    Some(timeout) => settings.timeout = timeout,
                    None => break,
                },
                "-client-configuration" => match argument(console) {
                    Some(file) => settings.client_configuration = Some(file),
                    None => break,
                },
                "-r" => settings.read_only = true,
                "-waitforconnection" => settings.wait_for_connection = true,
                option if option.starts_with('-') => {}
                command => {
                    settings.command = std::iter::once(command.to_owned()).chain(words.cloned()).collect();
                    break;
                }
            }
        }
        settings
    }

    /// How to reach `server`.
    fn client(&self, server: &str) -> Result<ClientConfig, Stop> {
        let timeout_ms: u32 = self.timeout.parse().map_err(|_| {
            Stop::uncaught("java.lang.NumberFormatException", format!("For input string: \"{}\"", self.timeout))
        })?;
        let connect = server.parse().map_err(|error| Stop::uncaught("java.lang.IllegalArgumentException", error))?;
        let mut client = ClientConfig::new(connect, timeout_ms);
        client.read_only = self.read_only;
        let configuration = self.configuration()?;
        client.login = zookeeper_login(&configuration).map_err(Stop::failure)?;
        if let Some(bytes) = configuration.get("jute.maxbuffer").and_then(|bytes| bytes.trim().parse().ok()) {
            client.frame_length_max = bytes;
        }
        Ok(client)
    }

    /// What `-client-configuration` names.
    fn configuration(&self) -> Result<Properties, Stop> {
        let Some(file) = &self.client_configuration else { return Ok(Properties::new()) };
        let unreadable = |error: &dyn std::fmt::Display| Stop {
            code: 2,
            ..Stop::failure(format!("Error processing {file}: {error}"))
        };
        let text = std::fs::read(file).map_err(|error| unreadable(&error))?;
        Properties::parse(&text).map_err(|error| unreadable(&error))
    }

    /// TLS, if it is spoken.
    fn tls(&self) -> Result<Option<Arc<Tls>>, Stop> {
        match &self.tls_file {
            Some(file) => kafkas_zookeeper_tls(&load_properties(file)?),
            None => zookeeper_tls(&self.configuration()?),
        }
        .map_err(Stop::failure)
    }
}

/// The shell.
struct Shell<'a, 'c> {
    console: &'a mut Console<'c>,
    session: Session,
    settings: Settings,
    host: String,
    /// The shell of Kafka's distribution.
    is_kafka: bool,
    history: BTreeMap<i32, String>,
    count: i32,
    print_watches: bool,
    watches: WatchList,
    /// Of the last command.
    exit_code: i32,
}

impl<'a, 'c> Shell<'a, 'c> {
    fn start(settings: Settings, is_kafka: bool, console: &'a mut Console<'c>) -> Result<Self, Stop> {
        console.line(format_args!("Connecting to {}", settings.server));
        console.flush();
        let session = Session::with(settings.client(&settings.server)?, settings.tls()?);
        let mut shell = Self {
            host: settings.server.clone(),
            console,
            session,
            settings,
            is_kafka,
            history: BTreeMap::new(),
            count: 0,
            print_watches: true,
            watches: WatchList::default(),
            exit_code: 0,
        };
        shell.wait_for_connection()?;
        Ok(shell)
    }

    fn run(mut self, input: impl Read + Send + 'static, prompts: bool) -> Result<i32, Stop> {
        if !self.settings.command.is_empty() {
            let words = self.settings.command.clone();
            self.process(&words)?;
            self.console.flush();
            return Ok(self.exit_code);
        }
        self.console.line("Welcome to ZooKeeper!");
        self.console.line(format_args!("JLine support is {}", if prompts { "enabled" } else { "disabled" }));
        self.session.read_lines(BufReader::new(input));
        self.prompt(prompts);
        loop {
            match self.session.wait() {
                Next::Happened => self.tell_happenings(),
                Next::Line(line) if line.is_empty() => self.prompt(prompts),
                Next::Line(line) => {
                    self.execute(&line)?;
                    self.prompt(prompts);
                }
                Next::End => break,
            }
            self.console.flush();
        }
        Ok(self.exit_code)
    }

    fn prompt(&mut self, prompts: bool) {
        if prompts {
            let state = match (self.session.is_over(), self.session.is_connected()) {
                (true, _) => "CLOSED",
                (false, true) => "CONNECTED",
                (false, false) => "CONNECTING",
            };
            let _ = write!(self.console.out, "[zk: {}({state}) {}] ", self.host, self.count);
        }
        self.console.flush();
    }

    fn execute(&mut self, line: &str) -> Result<(), Stop> {
        let words = split_words(line);
        self.history.insert(self.count, line.to_owned());
        self.process(&words)?;
        self.count += 1;
        Ok(())
    }

    /// Runs a command and keeps its exit code.
    fn process(&mut self, words: &[String]) -> Result<(), Stop> {
        let outcome = self.dispatch(words);
        self.tell_happenings();
        match outcome {
            Ok(()) => self.exit_code = 0,
            Err(CommandError::Said(message, code)) => {
                self.exit_code = code;
                self.console.flush();
                self.console.error_line(message);
            }
            Err(CommandError::Stop(stop)) => return Err(stop),
        }
        Ok(())
    }

    fn dispatch(&mut self, words: &[String]) -> Outcome {
        let Some(name) = words.first() else {
            self.usage();
            return Err(CommandError::said("No command entered"));
        };
        if !commands::USAGE.iter().any(|(known, _)| known == name) {
            self.usage();
            return Err(CommandError::Said(format!("Command not found: Command not found {name}"), NO_COMMAND));
        }
        self.shell_command(name, words)?;
        if self.session.is_over() {
            self.tell_happenings();
            self.console.line("Not connected");
            return Ok(());
        }
        commands::run(self, name, words)
    }

    /// The commands that need no connection.
    fn shell_command(&mut self, name: &str, words: &[String]) -> Outcome {
        match (name, words.get(1)) {
            ("quit", _) => {
                self.close();
                return Err(CommandError::Stop(Stop { code: self.exit_code, out: String::new(), err: String::new() }));
            }
            ("redo", Some(number)) => self.redo(number)?,
            ("history", _) => {
                for index in (self.count - 10).max(0)..=self.count {
                    let line = self.history.get(&index).map_or("null", String::as_str);
                    self.console.line(format_args!("{index} - {line}"));
                }
            }
            ("printwatches", None) => {
                let state = if self.print_watches { "on" } else { "off" };
                self.console.line(format_args!("printwatches is {state}"));
            }
            ("printwatches", Some(state)) => self.print_watches = state == "on",
            ("connect", server) => {
                let server = server.cloned().unwrap_or_else(|| self.host.clone());
                self.connect(&server).map_err(CommandError::Stop)?;
            }
            _ => {}
        }
        Ok(())
    }

    fn redo(&mut self, number: &str) -> Outcome {
        let index: i32 = number.parse().map_err(|_| {
            CommandError::uncaught("java.lang.NumberFormatException", format!("For input string: \"{number}\""))
        })?;
        let Some(line) = self.history.get(&index).filter(|_| (0..self.count).contains(&index)).cloned() else {
            return Err(CommandError::said("Command index out of range"));
        };
        let words = split_words(&line);
        if words.first().is_some_and(|name| name == "redo") {
            return Err(CommandError::said("No redoing redos"));
        }
        self.history.insert(self.count, line);
        self.process(&words).map_err(CommandError::Stop)
    }

    fn connect(&mut self, server: &str) -> Result<(), Stop> {
        if !self.session.is_over() {
            self.close();
        }
        let client = self.settings.client(server)?;
        self.host = server.to_owned();
        self.watches = WatchList::default();
        self.session.replace(client);
        self.wait_for_connection()
    }

    fn wait_for_connection(&mut self) -> Result<(), Stop> {
        if !self.settings.wait_for_connection || self.is_kafka {
            return Ok(());
        }
        let patience = Duration::from_millis(self.settings.timeout.parse().unwrap_or(30_000));
        let connected = self.session.wait_connected(patience);
        if !connected {
            self.close();
        }
        self.tell_happenings();
        if connected {
            return Ok(());
        }
        let cause = "org.apache.zookeeper.KeeperException$ConnectionLossException: KeeperErrorCode = ConnectionLoss";
        let mut stop = Stop::uncaught("java.io.IOException", cause);
        stop.err += &format!("Caused by: {cause}\n");
        Err(stop)
    }

    fn close(&mut self) {
        self.session.close();
        self.tell_happenings();
    }

    fn usage(&mut self) {
        let options =
            if self.is_kafka { "[-zk-tls-config-file <file>]" } else { "-client-configuration properties-file" };
        self.console.flush();
        self.console.error_line(format_args!("ZooKeeper -server host:port {options} cmd args"));
        for (name, options) in commands::USAGE {
            self.console.error_line(format_args!("\t{name} {options}"));
        }
    }

    /// Asks the server; what happened meanwhile is told first.
    fn call(&mut self, request: Request) -> Result<Response, Failure> {
        let response = self.session.call(request);
        self.tell_happenings();
        response
    }

    fn tell_happenings(&mut self) {
        for happening in self.session.take_happenings() {
            match happening {
                Happening::State(state) => self.tell_event(keeper_state(state), EventType::None, None),
                Happening::Watch(event, path) => {
                    self.watches.fired(event, &path);
                    self.tell_event("SyncConnected", event, Some(&path));
                }
            }
        }
    }

    fn tell_event(&mut self, state: &str, event: EventType, path: Option<&str>) {
        if self.print_watches {
            let path = path.unwrap_or("null");
            let event = event.name();
            self.console.line(format_args!("\nWATCHER::\n\nWatchedEvent state:{state} type:{event} path:{path}"));
            self.console.flush();
        }
    }
}

/// The name in `Watcher.Event.KeeperState`.
const fn keeper_state(state: State) -> &'static str {
    match state {
        State::Disconnected => "Disconnected",
        State::Connected => "SyncConnected",
        State::ConnectedReadOnly => "ConnectedReadOnly",
        State::SaslAuthenticated => "SaslAuthenticated",
        State::Expired => "Expired",
        State::AuthFailed => "AuthFailed",
        State::Closed => "Closed",
    }
}

/// The text of an answer that is an error (`CliWrapperException`), about a path.
fn refusal(failure: Failure, path: &str) -> CommandError {
    let Failure::Code(code) = failure else {
        return CommandError::said(format!("KeeperErrorCode = {failure} for {path}"));
    };
    CommandError::said(match code {
        ErrorCode::NoNode => format!("Node does not exist: {path}"),
        ErrorCode::NoChildrenForEphemerals => format!("Ephemerals cannot have children: {path}"),
        ErrorCode::NodeExists => format!("Node already exists: {path}"),
        ErrorCode::NotEmpty => format!("Node not empty: {path}"),
        ErrorCode::NotReadOnly => format!("Not a read-only call: {path}"),
        ErrorCode::InvalidAcl => format!("Acl is not valid : {path}"),
        ErrorCode::NoAuth => format!("Insufficient permission : {path}"),
        ErrorCode::BadArguments => format!("Arguments are not valid : {path}"),
        ErrorCode::BadVersion => format!("version No is not valid : {path}"),
        ErrorCode::ReconfigInProgress => {
            "Another reconfiguration is in progress -- concurrent reconfigs not supported (yet)".to_owned()
        }
        ErrorCode::NewConfigNoQuorum => "No quorum of new config is connected and up-to-date with the leader of last \
                                         commmitted config - try invoking reconfiguration after new servers are \
                                         connected and synced"
            .to_owned(),
        code => code_message(code, path),
    })
}

/// The message of a `KeeperException`.
fn code_message(code: ErrorCode, path: &str) -> String {
    if path.is_empty() { format!("KeeperErrorCode = {code}") } else { format!("KeeperErrorCode = {code} for {path}") }
}

/// Cuts a line of the shell into words; quotes of both kinds hold a word together, and one without its pair is skipped.
fn split_words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut rest = line;
    loop {
        let word = rest.trim_start();
        let Some(first) = word.chars().next() else {
            break;
        };
        if matches!(first, '"' | '\'') {
            let inner = word.get(1..).unwrap_or_default();
            rest = match inner.split_once(first) {
                Some((quoted, behind)) => {
                    words.push(quoted.to_owned());
                    behind
                }
                None => inner,
            };
        } else {
            let end = word.find(char::is_whitespace).unwrap_or(word.len());
            words.extend(word.get(..end).map(str::to_owned));
            rest = word.get(end..).unwrap_or_default();
        }
    }
    if words.is_empty() && line.chars().any(char::is_whitespace) {
        // The original takes the last blank of a blank line for a command.
        words.push(" ".to_owned());
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_hold_words_together() {
        assert_eq!(split_words(" create '/x y'  \"quoted text\" z "), ["create", "/x y", "quoted text", "z"]);
        assert_eq!(split_words("set /a b\"c d"), ["set", "/a", "b\"c", "d"]);
        assert_eq!(split_words("get \"/a"), ["get", "/a"]);
        assert_eq!(split_words("  "), [" "]);
        assert!(split_words("").is_empty());
    }

    #[test]
    fn options_come_before_the_command() {
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let mut read = |line: &str| {
            let mut console = Console { input: None, out: &mut out, err: &mut err };
            Settings::read(&line.split(' ').map(str::to_owned).collect::<Vec<_>>(), &mut console)
        };
        let settings = read("-timeout 5 -q -server a:1/x -r ls -s /");
        assert_eq!((settings.server.as_str(), settings.timeout.as_str(), settings.read_only), ("a:1/x", "5", true));
        assert_eq!(settings.command, ["ls", "-s", "/"]);
        assert_eq!(read("-server").server, "localhost:2181");
        assert_eq!(err, b"Error: no argument found for option -server\n");
    }
}
