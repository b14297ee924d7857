//! How a broker stops (upstream: `KafkaServer.controlledShutdown` and `shutdown`): its leaders move, its logs are closed, its session
//! ends, and with it the registration.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use base::{Now, once};
use kafka_control::{Answer, Request, TopicPartition};
use kafka_proto::ErrorCode;

use crate::broker::Broker;
use crate::control::NoAnswer;

const SERVER: &str = "kafka.server.KafkaServer";

impl Broker {
    /// Stops cleanly: the controller is asked to move the leaders away, a few times if need be (`controlled.shutdown.*`); logs are flushed,
    /// closed and marked so on a disk thread; then the session with ZooKeeper is closed and with it the registration goes.
    /// [`Broker::zookeeper_is_over`] tells when it is done.
    ///
    /// The note of the session and the directories' locks stay until the session is closed: whoever starts after a stop that was
    /// cut short ends the session by its note, and cannot meet a broker that is still registered.
    pub fn stop(self: &Arc<Self>) {
        let settings = self.settings();
        if settings.replication.controlled_shutdown && self.is_ready() {
            tracing::info!(target: SERVER, "[KafkaServer id={}] Starting controlled shutdown", self.id());
            self.replication.is_handing_over.store(true, Ordering::Relaxed);
            self.ask_for_release(settings.replication.controlled_shutdown_retries_max, self.host.now());
        } else {
            self.shut_down();
        }
    }

    /// Asks the controller so many times at most, then stops in any case.
    fn ask_for_release(self: &Arc<Self>, attempts: i32, now: Now) {
        if attempts <= 0 {
            tracing::warn!(
                target: SERVER,
                "[KafkaServer id={}] Proceeding to do an unclean shutdown as all the controlled shutdown attempts failed",
                self.id()
            );
            return self.shut_down();
        }
        let request = Request::ControlledShutdown { broker: self.id(), broker_epoch: self.epoch() };
        self.attempt_controller(request, now, move |broker, result, now| {
            if broker.is_released(result) {
                return broker.shut_down();
            }
            let backoff_ms = broker.settings().replication.controlled_shutdown_backoff_ms;
            let retry_at = now.monotonic.plus_ms(u64::try_from(backoff_ms).unwrap_or(0));
            broker.schedule(retry_at, move |broker, now| {
                tracing::warn!(
                    target: SERVER,
                    "[KafkaServer id={}] Retrying controlled shutdown after the previous attempt failed...",
                    broker.id()
                );
                broker.ask_for_release(attempts - 1, now);
            });
        });
    }

    /// Whether the controller's answer lets this broker go; says so, in the original's words.
    fn is_released(&self, result: Result<Answer, NoAnswer>) -> bool {
        let id = self.id();
        let (remaining, code) = match result {
            Ok(Answer::ControlledShutdown(Ok(remaining))) if remaining.is_empty() => {
                tracing::info!(target: SERVER, "[KafkaServer id={id}] Controlled shutdown succeeded");
                return true;
            }
            Ok(Answer::ControlledShutdown(Ok(remaining))) => (remaining, ErrorCode::NONE),
            Ok(Answer::ControlledShutdown(Err(code))) => (BTreeSet::new(), code),
            Ok(_) | Err(NoAnswer::NoController) => {
                tracing::info!(target: SERVER, "[KafkaServer id={id}] No controller registered in ZooKeeper");
                return false;
            }
            Err(error) => {
                tracing::warn!(
                    target: SERVER,
                    "[KafkaServer id={id}] Error during controlled shutdown, possibly because leader movement took longer than the configured controller.socket.timeout.ms and/or request.timeout.ms: {error}"
                );
                return false;
            }
        };
        let name = |partition: &TopicPartition| {
            format!("RemainingPartition(topicName='{}', partitionIndex={})", partition.topic, partition.partition)
        };
        let names: Vec<String> = remaining.iter().map(name).collect();
        tracing::info!(target: SERVER, "[KafkaServer id={id}] Remaining partitions to move: [{}]", names.join(", "));
        tracing::info!(target: SERVER, "[KafkaServer id={id}] Error from controller: {}", code.name());
        false
    }

    fn shut_down(self: &Arc<Self>) {
        let broker = self.clone();
        self.host.submit(once(move |slow| {
            broker.stop_following();
            broker.moves.stop_all();
            let locks = broker.logs().map(|logs| logs.shutdown(slow)).unwrap_or_default();
            *broker.directory_locks.lock() = locks;
            broker.zookeeper_close(broker.host.now());
        }));
    }

    /// The session that a stop has closed is over, as far as this broker can know.
    pub(crate) fn session_closed(self: &Arc<Self>) {
        self.close_control_links();
        // Without ZooKeeper's word it may live on: its note stays for the next start.
        let confirmed = self.session_key().is_none();
        if confirmed {
            self.host.session_is(None);
        }
        let broker = self.clone();
        self.host.submit(once(move |slow| {
            let mut session_file = broker.session_file.lock();
            if confirmed && let Some((disk, path)) = session_file.take() {
                // A note that stays costs the next start a question to ZooKeeper.
                let _ = disk.remove_file(&path, slow);
            }
            drop(session_file);
            broker.directory_locks.lock().clear();
            broker.zookeeper_ended();
        }));
    }
}
