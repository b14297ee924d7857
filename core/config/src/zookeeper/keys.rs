//! The registry of `zoo.cfg` and of the `zookeeper.*` properties of ZooKeeper 3.6.3.
//!
//! A key of `zoo.cfg` that is not in [`ZOO_CFG`] becomes the property `zookeeper.<key>`, so each property below with
//! that prefix can stand in `zoo.cfg` too, without the prefix. The four without it are read from `-D` alone.

use crate::key::{Key, Valid, boolean, double, int, list, long, password, string};

pub(crate) const NO_REVOCATION: &str = "whether a certificate was revoked is not looked up: take it out of the trust store, or let certificates live shortly; remove the key";
pub(super) const NO_SUPPLIER: &str =
    "classes of Java can't be loaded: name the stores with keyStore.location and trustStore.location";
const CLIENT_NAMES: &str =
    "a client's certificate is not compared with the name of its host; clients read the key for that of the server";
const ADMIN: &str = "the AdminServer is not served yet; the four-letter words answer the same questions";
const OBSERVER_LOG: &str = "an observer always keeps a log, and starts from it";
const NO_DELAY: &str = "what is written leaves at once, always";
const TRACKER: &str = "the last packets between servers are not remembered; the log tells of what went wrong";
const REACHABILITY: &str = "all addresses of a server are tried at once, and the first that answers is taken";
const METRICS: &str = "metrics providers are not served yet; the word mntr gives the figures";
const THREADS: &str = "event loops are chosen by the number of processors; there is no pool of that kind";
const JVM: &str = "it tunes the Java virtual machine, and there is none";
const BUFFERS: &str = "memory is taken as it is needed; there is no such buffer";
const CACHE: &str = "replies are made from the tree itself; there is no cache in front of it";
const CLEANER: &str = "dead watches are dropped at once; there is no cleaner to tune";
const PATH_STATS: &str = "path statistics are not kept";
const FLOW: &str = "the network library it tunes is not part of this server";
const KERBEROS: &str = "Kerberos is not served yet";
const WATCH_MANAGERS: &[Valid] = &[Valid::Classes(&[
    "org.apache.zookeeper.server.watch.WatchManager",
    "org.apache.zookeeper.server.watch.WatchManagerOptimized",
])];
const CONNECTION_FACTORIES: &[Valid] = &[Valid::Classes(&[
    "org.apache.zookeeper.server.NIOServerCnxnFactory",
    "org.apache.zookeeper.server.NettyServerCnxnFactory",
])];
const METRICS_PROVIDERS: &[Valid] = &[Valid::Classes(&[
    "org.apache.zookeeper.metrics.impl.DefaultMetricsProvider",
    "org.apache.zookeeper.metrics.impl.NullMetricsProvider",
    "org.apache.zookeeper.metrics.prometheus.PrometheusMetricsProvider",
])];

/// Keys of `zoo.cfg` (`QuorumPeerConfig.parseProperties`).
pub static ZOO_CFG: &[Key] = &[
    string("dataDir").required().high().doc("Folder of the snapshots, and of the transaction logs unless dataLogDir says otherwise. The files myid and initialize lie here too."),
    string("dataLogDir").high().doc("Folder of the transaction logs. A disk of its own keeps snapshots from delaying writes. Default: dataDir."),
    int("clientPort").default("0").high().doc("Port for clients. 0, the default, opens none."),
    string("clientPortAddress").medium().doc("Address on which clients are served. Default: all."),
    int("secureClientPort").default("0").medium().doc("Port for clients that speak TLS. 0 opens none."),
    string("secureClientPortAddress").medium().doc("Address on which clients that speak TLS are served. Default: all."),
    int("observerMasterPort").default("0").doc("Port on which followers feed observers; observers that have the key go to the followers by turns, and to the leader only if none takes them. 0 or less: none."),
    int("clientPortListenBacklog").default("-1").doc("Connections that the kernel keeps waiting for each client port. -1: as many as the system likes."),
    int("tickTime").default("3000").high().doc("Length of a tick in milliseconds: the unit of session timeouts, initLimit and syncLimit."),
    int("maxClientCnxns").default("60").high().doc("Connections allowed from one IP address. 0: no limit."),
    int("minSessionTimeout").default("-1").medium().doc("Shortest session timeout that a client is given, in milliseconds. -1: two ticks."),
    int("maxSessionTimeout").default("-1").medium().doc("Longest session timeout that a client is given, in milliseconds. -1: twenty ticks."),
    int("initLimit").default("0").high().doc("Ticks that a follower may take to find and follow its leader. Required in an ensemble."),
    int("syncLimit").default("0").high().doc("Ticks that a follower may lag behind its leader. Required in an ensemble."),
    int("connectToLearnerMasterLimit").default("0").doc("Ticks that a learner may take to connect to its leader. 0: initLimit."),
    int("electionAlg").default("3").doc("Election algorithm; 3 is the only one there is."),
    boolean("quorumListenOnAllIPs").default("false").doc("Listen for peers on all addresses instead of the one in server.N."),
    string("peerType").default("participant").doc("participant or observer; the list of servers has the last word."),
    boolean("syncEnabled").default("true").no_effect(OBSERVER_LOG).doc("Observers write a log and snapshots of their own."),
    string("dynamicConfigFile").medium().doc("File that holds the server.N, group.N and weight.N lines."),
    int("autopurge.snapRetainCount").default("3").medium().doc("Snapshots that the purge keeps, with the logs they need. 3 at least."),
    int("autopurge.purgeInterval").default("0").medium().doc("Hours between two purges. 0: never."),
    boolean("standaloneEnabled").default("true").medium().doc("One server line may start a server on its own; false makes it an ensemble of one."),
    boolean("reconfigEnabled").default("false").medium().doc("Serve the command reconfig; refused to clients otherwise."),
    boolean("localSessionsEnabled").default("false").doc("New sessions are known to their server alone, until they need more. In an ensemble; all servers should agree."),
    boolean("localSessionsUpgradingEnabled").default("false").doc("Let all servers know a local session when it creates an ephemeral node; it is refused otherwise."),
    boolean("sslQuorum").default("false").doc("Speak TLS between servers."),
    boolean("portUnification").default("false").doc("Take TLS and plain text from peers on one port."),
    boolean("sslQuorumReloadCertFiles").default("false").doc("Read changed certificate files while running."),
    boolean("quorum.auth.enableSasl").default("false").doc("Let servers log in to each other by SASL."),
    boolean("quorum.auth.serverRequireSasl").default("false").doc("Refuse peers that do not log in."),
    boolean("quorum.auth.learnerRequireSasl").default("false").doc("Log in to every peer."),
    string("quorum.auth.kerberos.servicePrincipal").default("zkquorum/localhost").no_effect(KERBEROS).doc("Kerberos principal of the servers."),
    string("quorum.auth.learner.saslLoginContext").default("QuorumLearner").doc("Section of the JAAS file for a learner."),
    string("quorum.auth.server.saslLoginContext").default("QuorumServer").doc("Section of the JAAS file for a server."),
    int("quorum.cnxn.threads.size").default("20").no_effect(THREADS).doc("Threads that set up election connections."),
    boolean("jvm.pause.monitor").default("false").no_effect(JVM).doc("Watch for pauses of the virtual machine."),
    long("jvm.pause.info-threshold.ms").default("1000").no_effect(JVM).doc("Pause that is logged, in milliseconds."),
    long("jvm.pause.warn-threshold.ms").default("10000").no_effect(JVM).doc("Pause that is warned of, in milliseconds."),
    long("jvm.pause.sleep.time.ms").default("500").no_effect(JVM).doc("Milliseconds between two looks for a pause."),
    string("metricsProvider.className").default("org.apache.zookeeper.metrics.impl.DefaultMetricsProvider").valid(METRICS_PROVIDERS).no_effect(METRICS).doc("Class that publishes metrics."),
    string("metricsProvider.").no_effect(METRICS).doc("Settings of the metrics provider."),
    boolean("multiAddress.enabled").default("false").doc("A server may have several addresses, separated by |. Also read as the property zookeeper.multiAddress.enabled."),
    int("multiAddress.reachabilityCheckTimeoutMs").default("1000").no_effect(REACHABILITY).doc("Milliseconds in which an address must answer to count as reachable."),
    boolean("multiAddress.reachabilityCheckEnabled").default("true").no_effect(REACHABILITY).doc("Ask an address whether it is reachable before it is used."),
    string("server.").high().doc("server.N=host:port:port[:participant|:observer][;[address:]port]: a member of the ensemble. One such line alone starts a server on its own, unless standaloneEnabled is false."),
    string("group.").doc("group.N=id:id...: servers that vote as one group."),
    string("weight.").doc("weight.N=number: votes of a server in its group."),
];

/// Properties that the server reads (`-D`, or `zoo.cfg` without the prefix).
pub static PROPERTIES: &[Key] = &[
    // Four-letter words and the AdminServer.
    string("zookeeper.4lw.commands.whitelist").default("srvr").high().doc("Four-letter words that are answered, separated by commas; * for all. srvr always is."),
    boolean("zookeeper.admin.enableServer").default("true").no_effect(ADMIN).doc("Start the AdminServer."),
    string("zookeeper.admin.serverAddress").default("0.0.0.0").no_effect(ADMIN).doc("Address of the AdminServer."),
    int("zookeeper.admin.serverPort").default("8080").no_effect(ADMIN).doc("Port of the AdminServer."),
    int("zookeeper.admin.idleTimeout").default("30000").no_effect(ADMIN).doc("Milliseconds after which the AdminServer closes an idle connection."),
    string("zookeeper.admin.commandURL").default("/commands").no_effect(ADMIN).doc("Path under which the AdminServer lists its commands."),
    int("zookeeper.admin.httpVersion").default("11").no_effect(ADMIN).doc("HTTP version of the AdminServer, times ten."),
    boolean("zookeeper.admin.portUnification").default("false").no_effect(ADMIN).doc("AdminServer: HTTP and HTTPS on one port."),
    boolean("zookeeper.admin.forceHttps").default("false").no_effect(ADMIN).doc("AdminServer: HTTPS alone."),
    // Storage.
    int("zookeeper.snapCount").default("100000").medium().doc("Transactions after which, at a random point between half of it and all of it, a snapshot is taken. 2 at least."),
    long("zookeeper.snapSizeLimitInKb").default("4194304").doc("Log size in kilobytes after which a snapshot is taken. 0 or less: size takes none."),
    long("zookeeper.preAllocSize").default("65536").doc("Kilobytes by which a transaction log is grown ahead."),
    long("zookeeper.txnLogSizeLimitInKb").default("-1").doc("Kilobytes after which a new transaction log is begun. -1: no limit."),
    int("zookeeper.commitLogCount").default("500").doc("Committed transactions kept in memory for followers that come back. 500 at least."),
    double("zookeeper.snapshotSizeFactor").default("0.33").no_effect("a learner that lags is sent the log as far back as there is one, whatever its size, and a snapshot only beyond that").doc("Share of a snapshot's size up to which a follower is sent transactions instead of it."),
    string("zookeeper.snapshot.compression.method").default("").doc("How snapshots are written: empty for plain, gz, or snappy."),
    boolean("zookeeper.snapshot.trust.empty").default("false").doc("Start although there are logs but no snapshot, as after an upgrade from 3.4."),
    string("zookeeper.forceSync").default("yes").high().doc("no acknowledges writes before they are on the disk. A power failure then loses them."),
    long("zookeeper.fsync.warningthresholdms").default("1000").doc("Milliseconds after which a slow disk sync is warned of."),
    boolean("zookeeper.datadir.autocreate").default("true").doc("Make dataDir and dataLogDir when they are missing."),
    boolean("zookeeper.db.autocreate").default("true").doc("In an ensemble: take an empty data folder for an empty tree; false asks for the file initialize, without which such a server has no say in elections."),
    boolean("zookeeper.digest.enabled").default("true").doc("Keep a digest of the tree in snapshots and transactions."),
    boolean("zookeeper.closeSessionTxn.enabled").default("true").doc("Write the removed ephemeral nodes into the transaction that closes a session."),
    // Limits.
    int("zookeeper.globalOutstandingLimit").default("1000").medium().doc("Requests in the server at which reading from busy connections stops."),
    int("jute.maxbuffer").default("1048575").medium().doc("Largest request, in bytes, that a client may send. -D only."),
    int("zookeeper.jute.maxbuffer.extrasize").default("1048575").doc("Bytes by which a transaction in the log may exceed jute.maxbuffer. Default: jute.maxbuffer."),
    int("zookeeper.maxCnxns").default("0").medium().doc("Connections allowed from everybody together. 0: no limit."),
    int("zookeeper.request_throttle_max_requests").default("0").doc("Requests in the server at which new ones wait. 0: no limit."),
    int("zookeeper.request_throttle_stall_time").default("100").no_effect("a throttled request goes on as soon as there is room for it").doc("Milliseconds that a throttled request waits before it is looked at again."),
    boolean("zookeeper.request_throttle_drop_stale").default("true").no_effect("what waits on a closed connection always goes with it").doc("Drop throttled requests whose connection is gone."),
    int("zookeeper.request_throttler.shutdownTimeout").default("10000").no_effect("requests in the server are finished when it stops; none waits in a throttler's queue").doc("Milliseconds that the throttler's queue may take to drain at a stop."),
    boolean("zookeeper.request_stale_connection_check").default("true").no_effect("what waits on a closed connection always goes with it").doc("Treat a request as stale when its connection is closed."),
    boolean("zookeeper.request_stale_latency_check").default("false").no_effect("a request is never dropped for the time it waited; the limits on requests bound that time").doc("Treat a request as stale when it waited longer than its session's timeout."),
    int("zookeeper.largeRequestMaxBytes").default("104857600").doc("Bytes of all large requests together."),
    int("zookeeper.largeRequestThreshold").default("-1").doc("Bytes from which a request counts as large. -1: none does."),
    long("zookeeper.flushDelay").default("0").doc("Milliseconds that a write may wait so that more are synced together. 0: none."),
    long("zookeeper.maxWriteQueuePollTime").default("0").doc("Milliseconds that the writer waits for more while a flush is delayed. Default: a third of flushDelay."),
    int("zookeeper.maxBatchSize").default("1000").doc("Writes that are synced together at most. 0: no limit."),
    int("zookeeper.maxResponseCacheSize").default("400").no_effect(CACHE).doc("Replies of getData that are kept encoded."),
    int("zookeeper.maxGetChildrenResponseCacheSize").default("400").no_effect(CACHE).doc("Replies of getChildren that are kept encoded."),
    int("zookeeper.intBufferStartingSizeBytes").default("1024").no_effect(BUFFERS).doc("First size of the buffer in which a reply is made."),
    // Threads.
    int("zookeeper.nio.numSelectorThreads").no_effect(THREADS).doc("Threads that wait for connections to become readable."),
    int("zookeeper.nio.numWorkerThreads").no_effect(THREADS).doc("Threads that read and write."),
    int("zookeeper.nio.directBufferBytes").default("65536").no_effect(BUFFERS).doc("Size of the buffers outside of the Java heap."),
    int("zookeeper.nio.sessionlessCnxnTimeout").default("10000").doc("Milliseconds after which a connection without a session is closed."),
    long("zookeeper.nio.shutdownTimeout").default("5000").no_effect(THREADS).doc("Milliseconds that the network threads may take to end."),
    int("zookeeper.commitProcessor.numWorkerThreads").no_effect(THREADS).doc("Threads that answer committed requests."),
    long("zookeeper.commitProcessor.shutdownTimeout").default("5000").no_effect(THREADS).doc("Milliseconds that those threads may take to end."),
    int("zookeeper.commitProcessor.maxReadBatchSize").default("-1").no_effect(THREADS).doc("Reads that are answered before a commit is looked at. -1: no limit."),
    int("zookeeper.commitProcessor.maxCommitBatchSize").default("1").no_effect(THREADS).doc("Commits that are applied before reads are looked at."),
    string("zookeeper.serverCnxnFactory").default("org.apache.zookeeper.server.NIOServerCnxnFactory").valid(CONNECTION_FACTORIES).no_effect("one network layer serves all connections").doc("Network layer."),
    // Connection throttle.
    int("zookeeper.connection_throttle_tokens").default("0").doc("New sessions that may be opened in a burst. 0: no limit."),
    int("zookeeper.connection_throttle_fill_time").default("1").doc("Milliseconds between two refills of the burst."),
    int("zookeeper.connection_throttle_fill_count").default("1").doc("New sessions that each refill allows."),
    int("zookeeper.connection_throttle_freeze_time").default("-1").doc("Milliseconds between two changes of the probability that a connection is dropped. -1: it never changes."),
    double("zookeeper.connection_throttle_drop_increase").default("0.02").doc("How much that probability grows."),
    double("zookeeper.connection_throttle_drop_decrease").default("0.002").doc("How much that probability shrinks."),
    double("zookeeper.connection_throttle_decrease_ratio").default("0").doc("Share of free tokens above which it shrinks."),
    boolean("zookeeper.connection_throttle_weight_enabled").default("false").doc("Count sessions by weight."),
    int("zookeeper.connection_throttle_global_session_weight").default("3").doc("Weight of a new global session."),
    int("zookeeper.connection_throttle_local_session_weight").default("1").doc("Weight of a new local session."),
    int("zookeeper.connection_throttle_renew_session_weight").default("2").doc("Weight of a renewed session."),
    // Ensemble.
    int("zookeeper.fastleader.minNotificationInterval").default("200").doc("Shortest wait for votes, in milliseconds."),
    int("zookeeper.fastleader.maxNotificationInterval").default("60000").doc("Longest wait for votes, in milliseconds."),
    int("zookeeper.cnxTimeout").default("5000").doc("Milliseconds to connect to a peer's election port."),
    int("zookeeper.quorumCnxnTimeoutMs").default("-1").no_effect("a new election connection has syncLimit ticks to say who it is").doc("Milliseconds of silence after which an election connection is closed. -1: syncLimit times tickTime."),
    int("zookeeper.electionPortBindRetry").default("3").doc("Tries to open the election port. 0: for ever."),
    boolean("zookeeper.tcpKeepAlive").default("false").doc("Keep election connections alive by TCP."),
    string("zookeeper.leaderServes").default("yes").doc("no keeps clients away from the leader."),
    int("zookeeper.leader.maxConcurrentSnapSyncs").default("10").doc("Followers that are sent a snapshot at the same time."),
    int("zookeeper.leader.maxConcurrentDiffSyncs").default("100").no_effect("transactions are sent as each learner takes them, which bounds what they cost").doc("Followers that are sent transactions at the same time."),
    int("zookeeper.leader.maxTimeToWaitForEpoch").default("-1").doc("Milliseconds that a new leader waits for its followers. -1: initLimit."),
    int("zookeeper.leader.ackLoggingFrequency").default("1000").no_effect("how long acknowledgements take is not measured").doc("Acknowledgements of which one is measured."),
    boolean("zookeeper.forceSnapshotSync").default("false").doc("Always send followers a snapshot."),
    boolean("zookeeper.learner.asyncSending").default("false").no_effect("sending never waits for a peer, with or without it").doc("Learners send in a thread of their own."),
    int("zookeeper.leaderConnectDelayDuringRetryMs").default("100").no_effect("a leader that does not answer yet is tried again after 5 ms, then after twice as long each time, for half a second in all").doc("Milliseconds between two tries to reach the leader."),
    long("zookeeper.observer.reconnectDelayMs").default("0").doc("Milliseconds that an observer waits at most before it connects to its leader, or to a master that it has tried before."),
    long("zookeeper.observer.election.DelayMs").default("200").doc("Milliseconds that an observer waits at most, when it has lost its leader, before it looks for one."),
    boolean("zookeeper.observer.syncEnabled").no_effect(OBSERVER_LOG).doc("As syncEnabled, and stronger."),
    int("zookeeper.observerMaster.sizeLimit").default("33554432").doc("Bytes of transactions that a follower keeps for its observers."),
    boolean("leader.nodelay").default("true").no_effect(NO_DELAY).doc("TCP without delay on the leader's side. -D only."),
    boolean("follower.nodelay").default("true").no_effect(NO_DELAY).doc("TCP without delay on the follower's side. -D only."),
    // Who may do what.
    string("zookeeper.skipACL").default("no").medium().doc("yes lets everybody do everything."),
    password("zookeeper.DigestAuthenticationProvider.superDigest").medium().doc("super:hash of the user who may do everything, as DigestAuthenticationProvider prints it."),
    string("zookeeper.superUser").doc("SASL name of a user who may do everything."),
    string("zookeeper.X509AuthenticationProvider.superUser").medium().doc("Certificate name of a user who may do everything."),
    password("zookeeper.SASLAuthenticationProvider.superPassword").doc("Password of the SASL user super, instead of that in the JAAS file."),
    string("zookeeper.letAnySaslUserDoX").doc("SASL id under whose permissions in ACLs every SASL user acts."),
    string("zookeeper.authProvider.").doc("authProvider.N=class: a way to log in. The classes for digest, ip, x509 and sasl are built in; others are refused."),
    boolean("zookeeper.sessionRequireClientSASLAuth").default("false").doc("Close sessions that do not log in by SASL."),
    boolean("zookeeper.allowSaslFailedClients").default("false").doc("Keep sessions whose SASL login failed."),
    string("zookeeper.sasl.serverconfig").default("Server").doc("Section of the JAAS file with the users who may log in."),
    string("zookeeper.ensembleAuthName").no_effect("the scheme ensemble is not served yet").doc("Names that clients may give for this ensemble."),
    boolean("zookeeper.enableEagerACLCheck").default("false").doc("Check permissions before a request is ordered, as well as after."),
    boolean("zookeeper.kerberos.removeHostFromPrincipal").default("false").no_effect(KERBEROS).doc("Leave the host out of a Kerberos name."),
    boolean("zookeeper.kerberos.removeRealmFromPrincipal").default("false").no_effect(KERBEROS).doc("Leave the realm out of a Kerberos name."),
    string("zookeeper.security.auth_to_local").default("DEFAULT").no_effect(KERBEROS).doc("Rules from Kerberos names to short ones."),
    boolean("zookeeper.requireKerberosConfig").default("false").no_effect(KERBEROS).doc("Do not start without a Kerberos configuration."),
    string("zookeeper.server.realm").no_effect(KERBEROS).doc("Kerberos realm of the server."),
    string("zookeeper.kinit").default("/usr/bin/kinit").no_effect(KERBEROS).doc("Program that renews Kerberos tickets."),
    // TLS of clients (ssl.) and of peers (ssl.quorum.).
    boolean("zookeeper.client.portUnification").default("false").doc("Take TLS and plain text from clients on one port."),
    string("zookeeper.ssl.protocol").default("TLSv1.2").doc("Version of TLS, unless enabledProtocols says which."),
    list("zookeeper.ssl.enabledProtocols").doc("Versions of TLS. TLSv1.2 and TLSv1.3 are spoken; older ones are left out. Default: protocol."),
    list("zookeeper.ssl.ciphersuites").doc("Cipher suites, by Java's names. Those of ECDHE with AES-GCM or ChaCha20-Poly1305, and of TLS 1.3, are spoken; others are left out. Default: all of AES-GCM."),
    string("zookeeper.ssl.keyStore.location").medium().doc("File with the server's private key and certificates: PEM, PKCS12 or JKS."),
    password("zookeeper.ssl.keyStore.password").medium().doc("Its password."),
    string("zookeeper.ssl.keyStore.type").doc("JKS, PKCS12 or PEM. Default: by the file's name, .jks, .p12 or .pem."),
    string("zookeeper.ssl.trustStore.location").medium().doc("File with the certificates of those who are trusted."),
    password("zookeeper.ssl.trustStore.password").medium().doc("Its password."),
    string("zookeeper.ssl.trustStore.type").doc("As keyStore.type."),
    string("zookeeper.ssl.context.supplier.class").refused(NO_SUPPLIER).doc("Class that makes the SSLContext."),
    boolean("zookeeper.ssl.hostnameVerification").default("true").no_effect(CLIENT_NAMES).doc("Compare a server's certificate with its host."),
    boolean("zookeeper.ssl.crl").default("false").refused(NO_REVOCATION).doc("Look up revoked certificates in lists."),
    boolean("zookeeper.ssl.ocsp").default("false").refused(NO_REVOCATION).doc("Ask whether certificates are revoked."),
    string("zookeeper.ssl.clientAuth").default("need").medium().doc("need, want or none: whether a client must, may or need not show a certificate."),
    int("zookeeper.ssl.handshakeDetectionTimeoutMillis").default("5000").no_effect(ADMIN).doc("Milliseconds that a client of the AdminServer may take to begin."),
    string("zookeeper.ssl.authProvider").doc("Name of the authProvider that takes clients' certificates. Default: x509, which is built in."),
    string("zookeeper.ssl.quorum.protocol").default("TLSv1.2").doc("Version of TLS, unless enabledProtocols says which."),
    list("zookeeper.ssl.quorum.enabledProtocols").doc("Versions of TLS. TLSv1.2 and TLSv1.3 are spoken; older ones are left out. Default: protocol."),
    list("zookeeper.ssl.quorum.ciphersuites").doc("Cipher suites, by Java's names. Those of ECDHE with AES-GCM or ChaCha20-Poly1305, and of TLS 1.3, are spoken; others are left out. Default: all of AES-GCM."),
    string("zookeeper.ssl.quorum.keyStore.location").medium().doc("File with the server's private key and certificates: PEM, PKCS12 or JKS."),
    password("zookeeper.ssl.quorum.keyStore.password").medium().doc("Its password."),
    string("zookeeper.ssl.quorum.keyStore.type").doc("JKS, PKCS12 or PEM. Default: by the file's name, .jks, .p12 or .pem."),
    string("zookeeper.ssl.quorum.trustStore.location").medium().doc("File with the certificates of those who are trusted."),
    password("zookeeper.ssl.quorum.trustStore.password").medium().doc("Its password."),
    string("zookeeper.ssl.quorum.trustStore.type").doc("As keyStore.type."),
    string("zookeeper.ssl.quorum.context.supplier.class").refused(NO_SUPPLIER).doc("Class that makes the SSLContext."),
    boolean("zookeeper.ssl.quorum.hostnameVerification").default("true").doc("Compare the certificates of other servers with their addresses, and with the names of those."),
    boolean("zookeeper.ssl.quorum.crl").default("false").refused(NO_REVOCATION).doc("Look up revoked certificates in lists."),
    boolean("zookeeper.ssl.quorum.ocsp").default("false").refused(NO_REVOCATION).doc("Ask whether certificates are revoked."),
    string("zookeeper.ssl.quorum.clientAuth").default("need").medium().doc("need, want or none: whether a server that connects must, may or need not show a certificate."),
    int("zookeeper.ssl.quorum.handshakeDetectionTimeoutMillis").default("5000").doc("Milliseconds that another server may take to begin."),
    boolean("zookeeper.netty.advancedFlowControl.enabled").default("false").no_effect(FLOW).doc("Flow control of the Netty network layer."),
    int("zookeeper.netty.server.outstandingHandshake.limit").default("-1").doc("TLS handshakes at the same time. -1: no limit."),
    // Features.
    boolean("zookeeper.extendedTypesEnabled").default("false").medium().doc("Allow nodes with a time to live."),
    boolean("zookeeper.emulate353TTLNodes").default("false").refused("nodes with a time to live are read and written as 3.5.4 and later do, and those of 3.5.3 would be taken for ephemeral ones: delete them with 3.5.3 first, and leave this out").doc("Read nodes with a time to live as 3.5.3 wrote them."),
    boolean("readonlymode.enabled").default("false").doc("A member that finds no leader for 2 seconds (or tickTime) serves reads to clients that ask for no more; allows the word isro. -D only."),
    string("zookeeper.watchManagerName").default("org.apache.zookeeper.server.watch.WatchManager").valid(WATCH_MANAGERS).no_effect("one structure keeps all watches").doc("How watches are kept."),
    int("zookeeper.watcherCleanThreadsNum").default("2").no_effect(CLEANER).doc("Threads that remove dead watches."),
    int("zookeeper.watcherCleanThreshold").default("1000").no_effect(CLEANER).doc("Dead watchers that are removed together."),
    int("zookeeper.watcherCleanIntervalInSeconds").default("600").no_effect(CLEANER).doc("Seconds after which dead watches are removed."),
    int("zookeeper.maxInProcessingDeadWatchers").default("-1").no_effect(CLEANER).doc("Dead watchers that may wait. -1: no limit."),
    int("zookeeper.bitHashCacheSize").default("10").no_effect(CLEANER).doc("Watchers of a path that are kept in a hash."),
    int("znode.container.checkIntervalMs").default("60000").doc("Milliseconds between two looks for empty containers and expired nodes. -D only."),
    int("znode.container.maxPerMinute").default("10000").doc("Containers removed in a minute at most. -D only."),
    long("znode.container.maxNeverUsedIntervalMs").default("0").doc("Milliseconds after which a container that never had a child is removed. 0: never. -D only."),
    boolean("zookeeper.audit.enable").default("false").refused("an audit log is not written yet: remove the key, or keep this node on the original until it is").doc("Write an audit log."),
    string("zookeeper.audit.impl.class").no_effect("an audit log is not written yet").doc("Class that writes the audit log."),
    boolean("zookeeper.messageTracker.Enabled").default("false").no_effect(TRACKER).doc("Remember the last packets between leader and follower for the log."),
    int("zookeeper.messageTracker.BufferSize").default("10").no_effect(TRACKER).doc("How many of them."),
    boolean("zookeeper.pathStats.enabled").default("false").no_effect(PATH_STATS).doc("Count requests by path."),
    list("zookeeper.pathStats.").no_effect(PATH_STATS).doc("slotCapacity, slotDuration, maxDepth, sampleRate, initialDelay, delay, topPathMax: how they are counted."),
    long("zookeeper.testingonly.initialZxid").default("0").doc("Counter of transactions at which a new leader begins, for tests of its roll-over: a number of 32 bits."),
    // Read by the logging configuration, log4j.properties.
    string("zookeeper.root.logger").default("INFO, CONSOLE").doc("Level, and where log lines go: CONSOLE or ROLLINGFILE."),
    string("zookeeper.console.threshold").default("INFO").doc("Lowest level on the console."),
    string("zookeeper.log.dir").default(".").doc("Folder of the log file."),
    string("zookeeper.log.file").default("zookeeper.log").doc("Name of the log file."),
    string("zookeeper.log.threshold").default("INFO").doc("Lowest level in the log file."),
    string("zookeeper.log.maxfilesize").default("256MB").doc("Size at which the log file is rolled."),
    string("zookeeper.log.maxbackupindex").default("20").doc("Rolled log files that are kept."),
    boolean("zookeeper.jmx.log4j.disable").default("false").no_effect(JVM).doc("Keep log4j out of JMX."),
    string("zookeeper.jmx.log4j.mbean").default("log4j:hierarchy=default").no_effect(JVM).doc("Name of log4j in JMX."),
    string("java.security.auth.login.config").medium().doc("JAAS file with the users who may log in by SASL (DIGEST-MD5). -D only."),
];

/// The entry of a key of `zoo.cfg`, families (`server.1`, `metricsProvider.x`) included.
#[must_use]
pub fn zoo_cfg(name: &str) -> Option<&'static Key> {
    find(ZOO_CFG, name)
}

/// The entry of a property by its full name.
#[must_use]
pub fn property(name: &str) -> Option<&'static Key> {
    find(PROPERTIES, name)
}

/// An exact name first, then the longest family.
fn find(table: &'static [Key], name: &str) -> Option<&'static Key> {
    let exact = table.iter().find(|key| key.name == name);
    exact.or_else(|| {
        table
            .iter()
            .filter(|key| key.name.ends_with('.') && name.starts_with(key.name))
            .max_by_key(|key| key.name.len())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_defaults_fit_their_types() {
        for table in [ZOO_CFG, PROPERTIES] {
            for (place, key) in table.iter().enumerate() {
                assert!(table.iter().skip(place + 1).all(|other| other.name != key.name), "{} twice", key.name);
                assert!(key.doc.ends_with('.'), "{}", key.name);
                if let Some(text) = key.default_text() {
                    key.parse(text).unwrap();
                }
            }
        }
    }

    #[test]
    fn families_are_found_by_their_longest_prefix() {
        assert_eq!(zoo_cfg("server.12").unwrap().name, "server.");
        assert_eq!(zoo_cfg("metricsProvider.className").unwrap().name, "metricsProvider.className");
        assert_eq!(zoo_cfg("metricsProvider.httpPort").unwrap().name, "metricsProvider.");
        assert_eq!(property("zookeeper.pathStats.maxDepth").unwrap().name, "zookeeper.pathStats.");
        assert!(property("zookeeper.sslish").is_none() && zoo_cfg("tickTimes").is_none());
    }
}
