//! Opening a server: what is on the disk becomes a tree and its sessions (upstream `ZKDatabase.loadDataBase`).

use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;

use base::{Disk, Now, Random, Slow, Str};
use bytes::BytesMut;
use config::zookeeper::MemberSettings;
use zk_proto::snapshot::{AclRecord, NodeRecord, SessionRecord};
use zk_proto::{Acl, TxnEntry};
use zk_store::{
    DataDirs, LogConfig, Recovered, Recovery, SnapshotDigest, SnapshotSink, SnapshotWriter, StoreError, TxnLog, recover,
};
use zk_tree::auth::AuthSettings;
use zk_tree::prep::{Prep, PrepSettings};
use zk_tree::session::{Sessions, Strangers};
use zk_tree::watch::Watches;
use zk_tree::{Restore, RestoreError, Tree, TreeSettings};

use crate::connection::Connections;
use crate::containers::Containers;
use crate::housekeeping::Housekeeping;
use crate::journal::Journal;
use crate::link_logins::LinkLogins;
use crate::log::{Lines, Logger};
use crate::member::Member;
use crate::pipeline::Pipeline;
use crate::role::Role;
use crate::server::State;
use crate::snapshot::TreeWalk;
use crate::stats::ServerStats;
use crate::throttle::TokenBucket;
use crate::words::Whitelist;
use crate::{Effects, Server, ServerConfig};

/// Why a server could not be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The data directories can't be used, or what is in them can't be trusted.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The newest snapshot's records contradict each other.
    #[error(transparent)]
    Restore(#[from] RestoreError),
    /// The file `currentEpoch` of an ensemble's member contradicts its log.
    #[error("The current epoch, {epoch:x}, is older than the last zxid, {last_zxid}")]
    CurrentEpoch {
        /// What it says.
        epoch: i64,
        /// The last transaction in the log.
        last_zxid: i64,
    },
    /// The files `acceptedEpoch` and `currentEpoch` of an ensemble's member contradict each other.
    #[error("The accepted epoch, {accepted:x} is less than the current epoch, {current:x}")]
    AcceptedEpoch {
        /// What one says.
        accepted: i64,
        /// What the other says.
        current: i64,
    },
}

impl StartError {
    /// The exit code of `QuorumPeerMain`: 3 where the data directories can't be used, 1 for all else.
    pub const fn exit_code(&self) -> i32 {
        match self {
            Self::Store(error) if error.is_of_directory() => 3,
            _ => 1,
        }
    }
}

/// In the high byte of session ids: what the original gives a server that is alone.
const STANDALONE_SESSION_SERVER: u8 = 1;

/// Takes in what the disk holds.
struct Loading {
    settings: TreeSettings,
    zxid: i64,
    restore: Option<Restore>,
    failed: Option<RestoreError>,
    tree: Option<Tree>,
}

impl SnapshotSink for Loading {
    fn begin(&mut self, zxid: i64) {
        *self = Self {
            settings: self.settings,
            zxid,
            restore: Some(Restore::new(self.settings)),
            failed: None,
            tree: None,
        };
    }

    fn session(&mut self, session: SessionRecord) {
        if let Some(restore) = &mut self.restore {
            restore.session(&session);
        }
    }

    fn acl(&mut self, index: i64, acl: Vec<Acl>) {
        if let Some(Err(error)) = self.restore.as_mut().map(|restore| restore.acl(&AclRecord { index, acl })) {
            self.failed.get_or_insert(error);
        }
    }

    fn node(&mut self, node: NodeRecord) -> Result<(), String> {
        // An ACL that was refused is told with the first node, so that the snapshot counts as invalid.
        if let Some(error) = self.failed.take() {
            return Err(error.to_string());
        }
        self.restore.as_mut().map_or(Ok(()), |restore| restore.node(&node)).map_err(|error| error.to_string())
    }

    fn end(&mut self, _digest: Option<SnapshotDigest>) {
        if let Some(restore) = self.restore.take() {
            match restore.finish(self.zxid) {
                Ok(tree) => self.tree = Some(tree),
                Err(error) => self.failed = Some(error),
            }
        }
    }
}

impl Recovered for Loading {
    fn txn(&mut self, entry: TxnEntry, _payload_len: usize) -> Result<(), String> {
        let settings = self.settings;
        let tree = self.tree.get_or_insert_with(|| Tree::new(settings));
        tree.apply(&entry.header, &entry.txn, &mut Vec::new());
        Ok(())
    }
}

impl Server {
    /// Recovers the tree from the newest valid snapshot and the log behind it, and is ready to serve.
    ///
    /// Sessions found there get their whole timeout anew. Lines for the log are put into `effects`, with the work of a
    /// first snapshot if there is something new to put into one.
    ///
    /// # Errors
    /// What is wrong with the data directories, told so that a person can mend it; nothing was changed then.
    pub fn open(
        config: ServerConfig,
        disk: Arc<dyn Disk>,
        mut random: Random,
        now: Now,
        effects: &mut Effects,
        slow: &Slow,
    ) -> Result<Self, StartError> {
        let dirs = DataDirs::open(&*disk, &config.data_dir, &config.data_log_dir, config.create_folders, slow)?;
        let mut log = Lines::default();
        let (mut tree, recovery) = load(&config, &*disk, dirs.log_dir(), dirs.snap_dir(), &mut log, slow)?;
        let may_be_empty = dirs.take_initialize(&*disk, slow)?;
        let creates_tree = config.member.as_ref().is_none_or(|member| member.creates_tree) || may_be_empty;
        let last_zxid = tree.last_zxid();
        let is_blank = recovery.snapshot.is_none() && last_zxid == 0 && !creates_tree;
        match recovery.snapshot {
            _ if is_blank => log.warn(Logger::Snapshot, "Unexpected empty data tree, setting zxid to -1"),
            Some(_) => {}
            None => first_snapshot(&mut tree, &config, &disk, &dirs, slow)?,
        }
        let txn_log = TxnLog::new(disk.clone(), dirs.log_dir(), log_config(&config), last_zxid);
        let (role, state) = match &config.member {
            None => (Role::Standalone, State::Running),
            Some(member) => {
                let mut member = Member::open(member, &config, &*disk, dirs.snap_dir(), last_zxid)?;
                if is_blank {
                    member.has_no_history();
                }
                (Role::Member(Box::new(member)), State::Looking)
            }
        };
        let mut server = Self {
            journal: Journal::new(txn_log, &config, &mut random),
            pipeline: Pipeline::new(Prep::new(prep_settings(&config)), last_zxid),
            role,
            started: now.monotonic,
            state,
            watches: Watches::default(),
            sessions: sessions(&tree, &config, now),
            tree,
            snapshot: None,
            snapshot_serial: 0,
            matching: false,
            housekeeping: Housekeeping::new(&config, now.monotonic),
            containers: Containers::new(&config, now.monotonic),
            link_logins: LinkLogins::new(config.member.as_ref().and_then(|member| member.sasl.clone())),
            connections: Connections::new(config.sessionless_timeout_ms),
            marked: Vec::new(),
            held: VecDeque::new(),
            idle_again: Vec::new(),
            full: Vec::new(),
            ending: Vec::new(),
            in_process: 0,
            large_bytes: 0,
            tokens: TokenBucket::new(config.connection_throttle.clone(), now.monotonic),
            whitelist: Whitelist::new(&config.four_letter_words, config.read_only_mode),
            trace_mask: crate::words::TRACE_MASK,
            stats: ServerStats::default(),
            log,
            config,
            disk,
            dirs,
            random,
        };
        server.introduce();
        server.stats.startup_txns.add(recovery.txns);
        match server.is_serving() {
            true => server.close_forgotten_sessions(now),
            // A member watches over sessions when it leads.
            false => server.sessions.clear(),
        }
        if recovery.txns > 0 && recovery.snapshot.is_some() {
            server.begin_snapshot(now, effects);
        }
        server.end_turn(now, effects);
        Ok(server)
    }

    /// The lines with which the original tells what it runs by.
    fn introduce(&mut self) {
        let config = &self.config;
        let created = format!(
            "Created server with tickTime {} minSessionTimeout {} maxSessionTimeout {} clientPortListenBacklog {} \
             datadir {} snapdir {}",
            config.tick_time_ms,
            config.session_timeout_min_ms,
            config.session_timeout_max_ms,
            config.client_port_listen_backlog,
            self.dirs.log_dir().display(),
            self.dirs.snap_dir().display()
        );
        let prep = format!("PrepRequestProcessor (sid:0) started, reconfigEnabled={}", config.reconfig);
        let containers = format!(
            "Using checkIntervalMs={} maxPerMinute={} maxNeverUsedIntervalMs={}",
            config.container_check_interval_ms,
            config.container_per_minute_max,
            config.container_never_used_ms.unwrap_or(0)
        );
        self.log.info(Logger::Server, created);
        self.log.info(Logger::Prep, prep);
        self.log.info(Logger::Containers, containers);
    }

    /// Ephemeral nodes of sessions that are no more: a crash between a session's end and that of its nodes.
    pub(crate) fn close_forgotten_sessions(&mut self, now: Now) {
        let forgotten: Vec<i64> = self
            .tree
            .sessions_with_ephemerals()
            .filter(|session| !self.tree.sessions().contains_key(session) && !self.tree.ephemerals(*session).is_empty())
            .collect();
        for session in forgotten {
            self.close_session(session, now);
        }
    }
}

/// What the disk holds: the newest valid snapshot, and the log behind it.
pub(crate) fn load(
    config: &ServerConfig,
    disk: &dyn Disk,
    log_dir: &Path,
    snap_dir: &Path,
    log: &mut Lines,
    slow: &Slow,
) -> Result<(Tree, Recovery), StartError> {
    let settings = TreeSettings { extended_types: config.extended_types, digest: config.digest };
    let mut loading = Loading { settings, zxid: 0, restore: None, failed: None, tree: None };
    let recovery = recover(disk, log_dir, snap_dir, config.trust_empty_snapshot, &mut loading, slow)?;
    for note in &recovery.notes {
        match note.warning {
            true => log.warn(Logger::Snapshot, note.text.clone()),
            false => log.info(Logger::Snapshot, note.text.clone()),
        }
    }
    if let Some(error) = loading.failed {
        return Err(error.into());
    }
    let mut tree = loading.tree.unwrap_or_else(|| Tree::new(settings));
    tree.set_last_zxid(recovery.last_zxid);
    Ok((tree, recovery))
}

/// How the log is written.
pub(crate) const fn log_config(config: &ServerConfig) -> LogConfig {
    LogConfig {
        force_sync: config.force_sync,
        preallocation: config.preallocation,
        file_len_max: config.log_file_length_max,
    }
}

/// The first snapshot is there before the first transaction: a log without one is not trusted at the next start.
fn first_snapshot(
    tree: &mut Tree,
    config: &ServerConfig,
    disk: &Arc<dyn Disk>,
    dirs: &DataDirs,
    slow: &Slow,
) -> Result<(), StoreError> {
    let mut bytes = BytesMut::new();
    let mut walk = TreeWalk::begin(tree, &mut bytes);
    let mut writer = SnapshotWriter::create(disk.clone(), dirs.snap_dir(), walk.zxid(), config.compression, slow)?;
    loop {
        let (slice, rest) = walk.slice(tree, std::mem::take(&mut bytes));
        writer = slice.write(writer, slow)?;
        match rest {
            Ok(more) => walk = more,
            Err(seal) => return seal.put(writer, slow),
        }
    }
}

fn prep_settings(config: &ServerConfig) -> PrepSettings {
    let auth = AuthSettings {
        skip_acl: config.skip_acl,
        super_digest: config.super_digest.as_deref().map(Str::from),
        x509: config.x509,
        x509_super_user: config.x509_super_user.as_deref().map(Str::from),
        sasl: config.sasl.provider,
        let_any_sasl_user_do: config.sasl.any_user.as_deref().map(Str::from),
    };
    PrepSettings {
        auth,
        close_session_txn: config.close_session_paths,
        reconfig_enabled: config.reconfig,
        entry_bytes_max: config.frame_length_max as usize + config.entry_length_extra as usize,
    }
}

/// Sessions as they were. New ids start from the wall clock: the other one may start anew with each process, and an id
/// must never come twice.
pub(crate) fn sessions(tree: &Tree, config: &ServerConfig, now: Now) -> Sessions {
    let wall = base::Monotonic::from_ms(u64::try_from(now.wall_ms).unwrap_or(0));
    // The original takes the number's low byte, whatever it is.
    let server = config.member.as_ref().map_or(STANDALONE_SESSION_SERVER, |member| member.id as u8);
    let strangers = match &config.member {
        None => Strangers::Unknown,
        Some(member) if member.local_sessions => Strangers::Local { remembered_ms: remembered_ms(config, member) },
        Some(_) => Strangers::Expired,
    };
    let mut sessions = Sessions::new(u64::from(config.tick_time_ms), server, strangers, wall);
    for (id, timeout_ms) in tree.sessions() {
        sessions.track(*id, *timeout_ms, now.monotonic);
    }
    sessions
}

/// How long a request may be on its way from a server that its session has left: twice what a learner may be silent.
fn remembered_ms(config: &ServerConfig, member: &MemberSettings) -> u64 {
    2 * u64::from(config.tick_time_ms) * u64::try_from(member.sync_limit).unwrap_or(0)
}
