//! Lines for the log, gathered during a turn.

use std::borrow::Cow;

use crate::{Effect, Effects, Level, LogLine};

/// The original's loggers that this crate speaks for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Logger {
    Server,
    Connection,
    ConnectionFactory,
    X509,
    AuthServer,
    AuthLearner,
    Prep,
    Final,
    Sync,
    TxnLog,
    Containers,
    Purge,
    Snapshot,
    Digest,
    Member,
    Election,
    Connections,
    Handler,
    Learner,
    Upgrade,
}

impl Logger {
    const fn name(self) -> &'static str {
        match self {
            Self::Server => "org.apache.zookeeper.server.ZooKeeperServer",
            Self::Connection => "org.apache.zookeeper.server.NIOServerCnxn",
            Self::ConnectionFactory => "org.apache.zookeeper.server.NIOServerCnxnFactory",
            Self::X509 => "org.apache.zookeeper.server.auth.X509AuthenticationProvider",
            Self::AuthServer => "org.apache.zookeeper.server.quorum.auth.SaslQuorumAuthServer",
            Self::AuthLearner => "org.apache.zookeeper.server.quorum.auth.SaslQuorumAuthLearner",
            Self::Prep => "org.apache.zookeeper.server.PrepRequestProcessor",
            Self::Final => "org.apache.zookeeper.server.FinalRequestProcessor",
            Self::Sync => "org.apache.zookeeper.server.SyncRequestProcessor",
            Self::TxnLog => "org.apache.zookeeper.server.persistence.FileTxnLog",
            Self::Containers => "org.apache.zookeeper.server.ContainerManager",
            Self::Purge => "org.apache.zookeeper.server.DatadirCleanupManager",
            Self::Snapshot => "org.apache.zookeeper.server.persistence.FileTxnSnapLog",
            Self::Digest => "org.apache.zookeeper.server.DataTree",
            Self::Member => "org.apache.zookeeper.server.quorum.QuorumPeer",
            Self::Election => "org.apache.zookeeper.server.quorum.FastLeaderElection",
            Self::Connections => "org.apache.zookeeper.server.quorum.QuorumCnxManager",
            Self::Handler => "org.apache.zookeeper.server.quorum.LearnerHandler",
            Self::Learner => "org.apache.zookeeper.server.quorum.Learner",
            Self::Upgrade => "org.apache.zookeeper.server.quorum.UpgradeableSessionTracker",
        }
    }
}

/// Lines not handed out yet.
#[derive(Debug, Default)]
pub(crate) struct Lines(Vec<LogLine>);

impl Lines {
    pub(crate) fn debug(&mut self, logger: Logger, message: impl Into<Cow<'static, str>>) {
        self.add(Level::Debug, logger, message.into());
    }

    pub(crate) fn info(&mut self, logger: Logger, message: impl Into<Cow<'static, str>>) {
        self.add(Level::Info, logger, message.into());
    }

    pub(crate) fn warn(&mut self, logger: Logger, message: impl Into<Cow<'static, str>>) {
        self.add(Level::Warn, logger, message.into());
    }

    pub(crate) fn error(&mut self, logger: Logger, message: impl Into<Cow<'static, str>>) {
        self.add(Level::Error, logger, message.into());
    }

    /// Hands out all lines.
    pub(crate) fn drain_into(&mut self, effects: &mut Effects) {
        effects.extend(self.0.drain(..).map(Effect::Log));
    }

    /// Adds lines that were gathered elsewhere.
    pub(crate) fn append(&mut self, mut lines: Self) {
        self.0.append(&mut lines.0);
    }

    fn add(&mut self, level: Level, logger: Logger, message: Cow<'static, str>) {
        self.0.push(LogLine { level, logger: logger.name(), message });
    }
}

/// A message with the head of a Java stack trace, which is what people search logs for.
pub(crate) fn java_exception(message: &str, class: &str, reason: &str) -> String {
    format!("{message}\n{class}: {reason}")
}
