//! An admin client that waits for its answers, for the tools that work through brokers (upstream: `KafkaAdminClient`).

use std::io::{sink, stderr};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base::Str;
use config::Properties;
use kafka_client::metadata::Node;
use kafka_client::{Admin, AdminConfig, CallId, CallOptions, ClientError, To};
use kafka_proto::messages::metadata;
use kafka_proto::{AnyRequest, AnyResponse, ErrorCode};

use crate::console::{Console, Stop, Thrown};
use crate::driver::Driver;

/// The longest that one request waits on the broker's side, in milliseconds.
pub const REQUEST_TIMEOUT_MS: i32 = 30_000;

/// What the machine's own limits leave to be said, past them.
const GRACE: Duration = Duration::from_secs(5);

/// A connection to a cluster.
pub struct KafkaAdmin {
    driver: Driver<Admin>,
    timeout_ms: u64,
}

impl KafkaAdmin {
    /// Reads the property file of `--command-config`, if there is one; `overrides` go over it. Nothing is dialled yet.
    ///
    /// # Errors
    /// The exceptions of the original, which nobody catches: no such file, or properties that are refused.
    pub fn new(command_config: Option<&str>, overrides: &[(&str, &str)]) -> Result<Self, Stop> {
        let mut properties = command_config.map(load_properties).transpose()?.unwrap_or_default();
        for (key, value) in overrides {
            properties.set(key, *value);
        }
        Ok(Self::of(&properties)?)
    }

    /// The same with a client id of the tool's own, if the file has none.
    ///
    /// # Errors
    /// The exceptions of the original.
    pub fn named(client_id: &str, command_config: Option<&str>, servers: &str) -> Result<Self, Thrown> {
        let mut properties = command_config.map(load_properties).transpose()?.unwrap_or_default();
        properties.set("bootstrap.servers", servers);
        if properties.get("client.id").is_none() {
            properties.set("client.id", client_id);
        }
        Self::of(&properties)
    }

    /// A client of these properties. Nothing is dialled yet.
    ///
    /// # Errors
    /// The exception of the original when they are refused.
    pub fn of(properties: &Properties) -> Result<Self, Thrown> {
        let (config, warnings) = AdminConfig::new(properties.iter()).map_err(|error| refused(&error.0))?;
        for warning in warnings {
            log_warning("org.apache.kafka.clients.admin.AdminClientConfig", &warning);
        }
        let timeout_ms = config.api_timeout_ms;
        let seed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos() as u64;
        Ok(Self { driver: Driver::new(Admin::new(config, seed), Box::new(log_warning)), timeout_ms })
    }

    /// From now on calls may take this long, whatever the properties say.
    pub const fn set_timeout_ms(&mut self, timeout_ms: u64) {
        self.timeout_ms = timeout_ms;
    }

    /// The servers that are asked first.
    pub(crate) fn bootstrap(&self) -> &[(Str, u16)] {
        &self.driver.machine.config().network.bootstrap
    }

    /// How long calls may take.
    pub(crate) const fn timeout(&self) -> Duration {
        Duration::from_millis(self.timeout_ms)
    }

    /// How long a broker may wait before it answers: its request's own time-out, within that of the call.
    pub fn request_timeout_ms(&self) -> i32 {
        let request_ms = self.driver.machine.config().network.request_timeout_ms;
        i32::try_from(request_ms.min(self.timeout_ms)).unwrap_or(i32::MAX)
    }

    /// The coordinator of a group that a call went to: id, host and port.
    pub fn coordinator(&self, group: &str) -> Option<&Node> {
        self.driver.machine.coordinator(&group.into())
    }

    /// One request and its answer; `name` is the original's name of the call and shows when it takes too long.
    ///
    /// # Errors
    /// The client's; what a response says of its parts is the caller's to read.
    pub fn call(&mut self, name: &str, to: To, request: impl Into<AnyRequest>) -> Result<AnyResponse, ClientError> {
        self.call_with(CallOptions::named(name), to, request)
    }

    /// The same, with options; their time-out is ours.
    ///
    /// # Errors
    /// As of [`KafkaAdmin::call`].
    pub fn call_with(
        &mut self,
        options: CallOptions,
        to: To,
        request: impl Into<AnyRequest>,
    ) -> Result<AnyResponse, ClientError> {
        let calls = vec![(options, to, request.into())];
        self.call_each(calls).pop().unwrap_or_else(|| Err(mismatched()))
    }

    /// Several requests at once, and their answers in the same order.
    pub fn call_all(&mut self, name: &str, calls: Vec<(To, AnyRequest)>) -> Vec<Result<AnyResponse, ClientError>> {
        self.call_each(calls.into_iter().map(|(to, request)| (CallOptions::named(name), to, request)).collect())
    }

    fn call_each(&mut self, calls: Vec<(CallOptions, To, AnyRequest)>) -> Vec<Result<AnyResponse, ClientError>> {
        let (now, timeout_ms) = (self.driver.now(), Some(self.timeout_ms));
        let machine = &mut self.driver.machine;
        let ids: Vec<CallId> = calls
            .into_iter()
            .map(|(options, to, request)| machine.call_with(to, request, CallOptions { timeout_ms, ..options }, now))
            .collect();
        let mut answers: Vec<_> = ids.iter().map(|_| None).collect();
        let limit = Duration::from_millis(self.timeout_ms) + GRACE;
        self.driver.run_until(limit, |admin, _| {
            while let Some((id, result)) = admin.next_result() {
                if let Some(place) = ids.iter().position(|asked| *asked == id).and_then(|at| answers.get_mut(at)) {
                    *place = Some(result);
                }
            }
            answers.iter().all(Option::is_some).then_some(())
        });
        let late = || ClientError::Timeout("the client did not keep to its own limit".to_owned());
        answers.into_iter().map(|answer| answer.unwrap_or_else(|| Err(late()))).collect()
    }

    /// Describes the cluster and these topics, or all.
    ///
    /// # Errors
    /// The client's; a topic's own error is in its place.
    pub fn metadata(&mut self, name: &str, topics: Option<&[String]>) -> Result<metadata::Response, ClientError> {
        self.metadata_with(CallOptions::named(name), topics)
    }

    /// The same, with options.
    ///
    /// # Errors
    /// As of [`KafkaAdmin::metadata`].
    pub fn metadata_with(
        &mut self,
        options: CallOptions,
        topics: Option<&[String]>,
    ) -> Result<metadata::Response, ClientError> {
        let named = |topic: &String| metadata::RequestTopic { name: topic.as_str().into() };
        let request = metadata::Request {
            topics: topics.map(|topics| topics.iter().map(named).collect()),
            allow_auto_topic_creation: false,
            ..metadata::Request::default()
        };
        match self.call_with(options, To::Any, request)? {
            AnyResponse::Metadata(response) => Ok(response),
            _ => Err(mismatched()),
        }
    }
}

/// Asks for the brokers, again until some are known: a broker that has just started may know of none yet.
pub fn until_brokers_are_known(name: &str) -> CallOptions {
    fn unknown(response: &AnyResponse) -> Option<ErrorCode> {
        match response {
            AnyResponse::Metadata(response) if response.brokers.is_empty() => Some(ErrorCode::LEADER_NOT_AVAILABLE),
            _ => None,
        }
    }
    CallOptions { try_again: unknown, ..CallOptions::named(name) }
}

/// A response of another API than was asked: the machine matches them, so it can't be.
pub fn mismatched() -> ClientError {
    ClientError::Illegal("the response belongs to another request".to_owned())
}

/// The exception of a client's error, with what is behind it.
pub fn thrown(error: ClientError) -> Thrown {
    let cause = error.cause().cloned().map(thrown);
    let thrown = Thrown::new(error.exception(), error);
    match cause {
        Some(cause) => thrown.caused_by(cause),
        None => thrown,
    }
}

/// Reads a file of properties as `Utils.loadProps` does.
///
/// # Errors
/// The exceptions of the original.
pub fn load_properties(path: &str) -> Result<Properties, Thrown> {
    Properties::parse(&read_file(path)?).map_err(Thrown::illegal_argument)
}

/// The bytes of a file.
///
/// # Errors
/// The exceptions of the original.
pub fn read_file(path: &str) -> Result<Vec<u8>, Thrown> {
    std::fs::read(path).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => Thrown::new("java.nio.file.NoSuchFileException", path),
        std::io::ErrorKind::PermissionDenied => Thrown::new("java.nio.file.AccessDeniedException", path),
        _ => Thrown::new("java.io.IOException", error),
    })
}

fn refused(message: &str) -> Thrown {
    let failed = Thrown::new("org.apache.kafka.common.KafkaException", "Failed to create new KafkaAdminClient");
    failed.caused_by(Thrown::new("org.apache.kafka.common.config.ConfigException", message))
}

/// A line of the log, past the tool's console: the machine speaks at any time.
fn log_warning(logger: &str, message: &str) {
    Console { input: None, out: &mut sink(), err: &mut stderr() }.log("WARN", message, logger);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_keeps_a_client_from_being_made() {
        let missing = KafkaAdmin::new(Some("/no/such/file"), &[]).err().unwrap();
        assert_eq!(missing.err, "Exception in thread \"main\" java.nio.file.NoSuchFileException: /no/such/file\n");
        let nowhere = KafkaAdmin::new(None, &[("bootstrap.servers", "nocolon")]).err().unwrap();
        assert_eq!(nowhere.code, 1);
        assert!(nowhere.err.contains("KafkaException: Failed to create new KafkaAdminClient\nCaused by: org.apache."));
    }

    #[test]
    fn a_broker_that_is_not_there_times_out_with_the_name_of_the_call() {
        // A port that was free a moment ago, and an address where nothing answers for others.
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let server = format!("127.0.0.1:{port}");
        let settings = [("bootstrap.servers", server.as_str()), ("default.api.timeout.ms", "50")];
        let mut admin = KafkaAdmin::new(None, &settings).unwrap();
        let thrown = thrown(admin.metadata("listTopics", None).unwrap_err());
        let message = thrown.to_string();
        let start = "org.apache.kafka.common.errors.TimeoutException: Call(callName=listTopics, deadlineMs=";
        assert!(message.starts_with(start) && message.ends_with(" after 1 attempt(s)"), "{message}");
        assert_eq!(
            thrown.cause.unwrap().to_string(),
            "org.apache.kafka.common.errors.TimeoutException: Timed out waiting for a node assignment. \
             Call: listTopics"
        );
    }
}
