//! `zoo.cfg` in, settings or the original's refusal out.

use super::*;
use crate::notice::Level;

/// Files that do not exist but `zoo.cfg` and those given.
fn load(config: &str, java: &[(&str, &str)], files: &[(&str, &str)]) -> Result<Loaded, ZooKeeperError> {
    let java: Properties = java.iter().copied().collect();
    let mut read = |path: &str| {
        let found = files.iter().find(|(name, _)| *name == path).map(|(_, text)| *text);
        let text = if path == "/zoo.cfg" { Some(config) } else { found };
        text.map(|text| text.as_bytes().to_vec()).ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))
    };
    ZooKeeperSettings::load("/zoo.cfg", &java, &mut read)
}

fn settings_of(config: &str) -> ZooKeeperSettings {
    load(config, &[], &[]).unwrap().settings
}

fn refusal(config: &str) -> String {
    load(config, &[], &[]).unwrap_err().lines().join("\n")
}

const MINIMUM: &str = "dataDir=/data\nclientPort=2181\n";

#[test]
fn defaults_are_those_of_the_original() {
    let settings = settings_of(MINIMUM);
    assert_eq!(settings.data_log_dir, "/data");
    assert_eq!(settings.client_address, Some(HostPort { host: "0.0.0.0".into(), port: 2181 }));
    assert_eq!(
        (settings.tick_time_ms, settings.session_timeout_ms_min, settings.session_timeout_ms_max),
        (3000, 6000, 60_000)
    );
    assert_eq!((settings.connections_per_address_max, settings.connections_max), (60, 0));
    assert_eq!(settings.limits.request_bytes_max, 0xf_ffff);
    assert_eq!(settings.storage.snapshot_log_bytes, Some(4 << 30));
    assert_eq!(settings.storage.preallocate_bytes, 64 << 20);
    assert_eq!(settings.storage.log_bytes_max, None);
    assert!(settings.storage.force_sync && settings.storage.digest && !settings.access.skip_acl);
    assert!(settings.access.words.allow("srvr") && !settings.access.words.allow("ruok"));
}

#[test]
fn a_file_is_stronger_than_a_property_and_values_are_trimmed() {
    let config =
        "dataDir = /data \nsnapCount=7\n4lw.commands.whitelist=ruok, stat\nminSessionTimeout=1\njute.maxbuffer=5\n";
    let loaded =
        load(config, &[("zookeeper.snapCount", "9"), ("jute.maxbuffer", "0x400"), ("zookeeper.forceSync", "no")], &[])
            .unwrap();
    let settings = loaded.settings;
    assert_eq!((settings.data_dir.as_str(), settings.storage.snapshot_transactions), ("/data", 7));
    assert_eq!((settings.limits.request_bytes_max, settings.limits.transaction_extra_bytes), (1024, 1024));
    assert!(!settings.storage.force_sync && settings.client_address.is_none());
    assert!(settings.access.words.allow("stat") && settings.access.words.allow("srvr"));
    assert!(
        loaded.notices.iter().any(|notice| notice.level == Level::Warn && notice.text.contains("-Djute.maxbuffer="))
    );
}

#[test]
fn unknown_keys_warn_and_known_ones_without_effect_are_told_once() {
    let loaded =
        load(&format!("{MINIMUM}tickTimes=1\nadmin.serverPort=1\nadmin.enableServer=false\ninitLimit=5\n"), &[], &[])
            .unwrap();
    let texts: Vec<_> = loaded.notices.iter().map(|notice| notice.text.as_str()).collect();
    assert_eq!(texts.iter().filter(|text| text.contains("tickTimes is unknown")).count(), 1);
    assert_eq!(
        texts
            .iter()
            .filter(|text| text.starts_with("zookeeper.admin.enableServer, zookeeper.admin.serverPort: accepted"))
            .count(),
        1
    );
    assert!(!texts.iter().any(|text| text.contains("initLimit")));
}

#[test]
fn refusals_are_in_the_words_of_the_original() {
    for (config, text) in [
        ("clientPort=2181", "Caused by: java.lang.IllegalArgumentException: dataDir is not set"),
        ("dataDir=/d\ntickTime=0", "Caused by: java.lang.IllegalArgumentException: tickTime is not set"),
        ("dataDir=/d\nclientPort=x", "Caused by: java.lang.NumberFormatException: For input string: \"x\""),
        ("dataDir=/d\nclientPort=70000", "Caused by: java.lang.IllegalArgumentException: port out of range:70000"),
        ("dataDir=/d\nclientPortAddress=h", "clientPortAddress is set but clientPort is not set"),
        (
            "dataDir=/d\nminSessionTimeout=9\nmaxSessionTimeout=8",
            "minSessionTimeout must not be larger than maxSessionTimeout",
        ),
        ("dataDir=/d\nelectionAlg=0", "ConfigException: Invalid electionAlg value. Only 3 is supported."),
        ("dataDir=/d\npeerType=king", "ConfigException: Unrecognised peertype: king"),
        ("dataDir=/d\nstandaloneEnabled=no", "Invalid option no for standalone mode. Choose 'true' or 'false.'"),
        ("dataDir=/d\nreconfigEnabled=1", "Invalid option 1 for reconfigEnabled flag. Choose 'true' or 'false.'"),
        ("dataDir=/d\nstandaloneEnabled=false", "standaloneEnabled = false then number of participants should be >0"),
        ("dataDir=/d\nserver.1=a:1:2:observer", "Observers w/o participants is an invalid configuration"),
        ("dataDir=/d\nserver.1=a:1:2\nserver.2=a:1:2:observer", "Observers w/o quorum is an invalid configuration"),
        (
            "dataDir=/d\nserver.1=a:1:2\ndynamicConfigFile=/x",
            "parameter: server.1 must be in a separate dynamic config file",
        ),
        ("dataDir=/d\\u12", "Malformed \\uxxxx encoding."),
    ] {
        let found = refusal(config);
        assert!(found.contains(text), "{config}: {found}");
    }
    let mut missing = |_: &str| Err(io::Error::from(io::ErrorKind::NotFound));
    let error = ZooKeeperSettings::load("/no.cfg", &Properties::new(), &mut missing).unwrap_err();
    assert_eq!(error.to_string(), "Error processing /no.cfg: /no.cfg file is missing");
    assert!(!error.is_usage());
}

#[test]
fn bad_values_say_which_key_and_that_comments_are_part_of_them() {
    for (config, text) in [
        (
            "tickTime=2000 # ms",
            "For input string: \"2000 # ms\" (the value of tickTime) (a properties file has no comment behind a value",
        ),
        ("snapCount=many", "For input string: \"many\" (the value of zookeeper.snapCount)"),
        (
            "digest.enabled=yes",
            "Invalid value yes for configuration zookeeper.digest.enabled: it is either true or false",
        ),
        ("forceSync=false", "Invalid value false for configuration zookeeper.forceSync: it is either yes or no"),
        ("snapshot.compression.method=lz4", "the methods are gz, snappy and none at all"),
        ("serverCnxnFactory=my.Factory", "Class my.Factory could not be found."),
    ] {
        let found = refusal(&format!("{MINIMUM}{config}"));
        assert!(found.contains(text), "{config}: {found}");
    }
}

#[test]
fn ways_to_log_in_that_are_not_served_refuse_the_start() {
    assert!(refusal(&format!("{MINIMUM}authProvider.1=my.Provider")).contains("served"));
    settings_of(&format!(
        "{MINIMUM}sslQuorum=false\nsecureClientPort=0\nauthProvider.d=org.apache.zookeeper.server.auth.DigestAuthenticationProvider"
    ));
}

#[test]
fn logins_are_what_the_jaas_file_says() {
    const SERVER: &str =
        "Server { org.apache.zookeeper.server.auth.DigestLoginModule required user_super=\"a\" user_bob=\"b\"; };";
    let load_with = |config: &str, jaas: &str| {
        let java = [("java.security.auth.login.config", "/jaas")];
        load(&format!("{MINIMUM}{config}"), &java, &[("/jaas", jaas)])
    };
    let sasl = load_with("", SERVER).unwrap().settings.access.sasl;
    let users = sasl.users.unwrap();
    assert_eq!((users["super"].0.as_str(), users["bob"].0.as_str()), ("a", "b"));
    assert!(!sasl.provider && !sasl.required && !sasl.failed_go_on && !format!("{users:?}").contains("\"b\""));
    let lines = "authProvider.1=org.apache.zookeeper.server.auth.SASLAuthenticationProvider\nsuperUser=bob\n\
                 SASLAuthenticationProvider.superPassword=s\nsessionRequireClientSASLAuth=true\nsasl.serverconfig=Mine\n";
    let sasl = load_with(lines, &SERVER.replace("Server", "Mine")).unwrap().settings.access.sasl;
    assert_eq!(sasl.users.unwrap()["super"].0, "s");
    assert!(sasl.provider && sasl.required && sasl.super_user.as_deref() == Some("bob"));
    assert_eq!(load_with("", "Client { a.B required; };").unwrap().settings.access.sasl.users, None);
    for (config, jaas, text) in [
        ("sessionRequireClientSASLAuth=true", "", "no client could log in"),
        ("", "Server { com.sun.security.auth.module.Krb5LoginModule required; };", "Kerberos is not served"),
        ("", "Server {", "Configuration Error:\n\tLine 1"),
    ] {
        let found = load_with(config, jaas).unwrap_err().lines().join("\n");
        assert!(found.contains(text), "{found}");
    }
    let missing = load(MINIMUM, &[("java.security.auth.login.config", "/none")], &[]).unwrap_err();
    assert!(missing.to_string().contains("/none (No such file or directory)"));
}

/// With a store of each kind, so that each asks for the next thing.
#[test]
fn tls_for_clients_is_what_its_keys_say_or_refused() {
    const STORES: &str = "ssl.keyStore.location=/k.p12\nssl.keyStore.password=secret\nssl.trustStore.location=/t\nssl.trustStore.type=pem\n";
    let tls = settings_of(&format!("{MINIMUM}secureClientPort=2281\n{STORES}")).client_tls.unwrap();
    assert_eq!(tls.address, Some(HostPort { host: "0.0.0.0".into(), port: 2281 }));
    assert!(!tls.unified && tls.tls.tls12 && !tls.tls.tls13 && tls.tls.client_auth == ClientAuth::Need);
    let (keys, trust) = (tls.tls.key_store.unwrap(), tls.tls.trust_store.unwrap());
    assert!((keys.path.as_str(), keys.pem) == ("/k.p12", false) && trust.pem);
    assert!(!format!("{keys:?}").contains("secret"));
    let config = format!("{MINIMUM}client.portUnification=true\n{STORES}ssl.enabledProtocols=TLSv1.1,TLSv1.3\n");
    let loaded = load(&config, &[], &[]).unwrap();
    let tls = loaded.settings.client_tls.unwrap();
    assert!(tls.unified && tls.address.is_none() && tls.tls.tls13 && !tls.tls.tls12);
    assert!(loaded.settings.access.x509 && loaded.notices.iter().any(|notice| notice.text.contains("TLSv1.1 are not")));
    for (line, text) in [
        ("", "trustStore.location"),
        ("ssl.keyStore.location=", "keyStore.location is not set"),
        ("ssl.trustStore.location=/t.store", "Unable to auto-detect store file type from file name: /t.store"),
        ("ssl.trustStore.location=/t.bcfks", "convert the file"),
        ("ssl.trustStore.location=/t.pem\nssl.protocol=TLSv1", "not safe"),
        ("ssl.trustStore.location=/t.pem\nssl.clientAuth=maybe", "need, want or none"),
        ("ssl.trustStore.location=/t.pem\nssl.crl=true", "revoked"),
        ("ssl.trustStore.location=/t.pem\nssl.context.supplier.class=a.B", "classes of Java"),
        ("ssl.trustStore.location=/t.pem\nssl.ciphersuites=TLS_RSA_WITH_AES_128_CBC_SHA", "none of them is spoken"),
        (
            "ssl.trustStore.location=/t.pem\nssl.authProvider=other",
            "No auth provider configured for the SSL authentication scheme 'other'",
        ),
    ] {
        let found = refusal(&format!("{MINIMUM}secureClientPort=2281\nssl.keyStore.location=/k.jks\n{line}"));
        assert!(found.contains(text), "{line}: {found}");
    }
    settings_of(&format!("{MINIMUM}secureClientPort=2281\nssl.keyStore.location=/k.jks\nssl.clientAuth=none"));
    assert!(refusal(&format!("{MINIMUM}secureClientPortAddress=a")).contains("but secureClientPort is not set"));
}

#[test]
fn tls_between_servers_is_what_its_keys_say_or_refused() {
    const SERVERS: &str = "initLimit=5\nsyncLimit=2\nserver.1=a:1:2\nserver.2=b:1:2\nserver.3=c:1:2\n";
    let member = |lines: &str| {
        let loaded = load(&format!("{MINIMUM}{SERVERS}{lines}"), &[], &[("/data/myid", "1\n")]);
        loaded.map(|loaded| loaded.settings.member.unwrap().tls)
    };
    assert_eq!(member("sslQuorum=false").unwrap(), None);
    let stores = "ssl.quorum.keyStore.location=/k.jks\nssl.quorum.trustStore.location=/t.jks\n";
    let tls = member(&format!("portUnification=true\n{stores}")).unwrap().unwrap();
    assert!(!tls.dial && tls.unified && !tls.reload && tls.tls.verify_hosts && tls.detection_timeout_ms == 5000);
    let tls = member(&format!("sslQuorum=true\nsslQuorumReloadCertFiles=true\n{stores}")).unwrap().unwrap();
    assert!(tls.dial && !tls.unified && tls.reload);
    for (lines, text) in [
        ("sslQuorum=true", "zookeeper.ssl.quorum.keyStore.location is not set"),
        ("sslQuorum=true\nssl.quorum.keyStore.location=/k.jks\nssl.quorum.clientAuth=none", "trustStore.location"),
    ] {
        let found = member(lines).unwrap_err().to_string();
        assert!(found.contains(text), "{lines}: {found}");
    }
}

#[test]
fn logins_between_servers_are_what_the_jaas_file_says() {
    const SERVERS: &str = "initLimit=5\nsyncLimit=2\nserver.1=a:1:2\nserver.2=b:1:2\nserver.3=c:1:2\n";
    const MODULE: &str = "org.apache.zookeeper.server.auth.DigestLoginModule required";
    let jaas = format!(
        "QuorumServer {{ {MODULE} user_s=\"p\"; }}; QuorumLearner {{ {MODULE} username=\"s\" password=\"p\"; }};"
    );
    let member = |lines: &str, jaas: &str| {
        let java = [("java.security.auth.login.config", "/jaas")];
        let files = [("/data/myid", "1\n"), ("/jaas", jaas)];
        let loaded = load(&format!("{MINIMUM}{SERVERS}{lines}"), &java, &files);
        loaded.map(|loaded| loaded.settings.member.unwrap().sasl)
    };
    assert_eq!(member("", &jaas).unwrap(), None);
    let on = "quorum.auth.enableSasl=true\n";
    let sasl = member(on, &jaas).unwrap().unwrap();
    assert!(!sasl.server_required && sasl.learner.is_none() && sasl.users["s"].0 == "p");
    let all = format!("{on}quorum.auth.learnerRequireSasl=true\nquorum.auth.serverRequireSasl=true\n");
    let sasl = member(&all, &jaas).unwrap().unwrap();
    assert!(sasl.server_required && sasl.learner == Some(("s".into(), Secret("p".into()))));
    for (lines, jaas, text) in [
        (all.as_str(), "", "section 'QuorumServer' could not be found"),
        (on, &jaas.replace("QuorumLearner", "Other"), "section 'QuorumLearner' could not be found"),
        (&all, &jaas.replace("username", "name"), "QuorumLearner: username is not set"),
        ("quorum.auth.serverRequireSasl=true\n", &jaas, "quorum.auth.enableSasl is disabled"),
    ] {
        let found = member(lines, jaas).unwrap_err().to_string();
        assert!(found.contains(text), "{lines}: {found}");
    }
}

#[test]
fn one_server_line_stands_alone() {
    let one = load(&format!("{MINIMUM}server.3=a:2888:3888;2181"), &[], &[("/data/myid", "3\n")]).unwrap();
    assert_eq!(one.settings.my_id, Some(3));
    assert!(
        one.notices.iter().any(|notice| notice.text == "Invalid configuration, only one server specified (ignoring)")
    );
    assert!(one.settings.member.is_none());
    let bad_id = load(MINIMUM, &[], &[("/data/myid", "three\n")]).unwrap_err();
    assert!(bad_id.to_string().contains("serverid three is not a number"));
    let other_port = load(&format!("{MINIMUM}server.3=a:2888:3888;2182"), &[], &[("/data/myid", "3")]).unwrap_err();
    assert!(other_port.to_string().contains("is different from client address found in dynamic file: 0.0.0.0:2182"));
}

#[test]
fn the_list_of_servers_may_stand_in_a_file_of_its_own() {
    let config = "dataDir=/data\ndynamicConfigFile=/zoo.cfg.dynamic.1f\n";
    let files = [("/zoo.cfg.dynamic.1f", "server.1=a:1:2:participant;2181\n"), ("/data/myid", "1")];
    let settings = load(config, &[], &files).unwrap().settings;
    assert_eq!(settings.ensemble.version, 0x1f);
    assert_eq!(settings.client_address, Some(HostPort { host: "0.0.0.0".into(), port: 2181 }));
    for (text, error) in [
        ("version=1", "dynamic file shouldn't have version inside"),
        ("tickTime=1", "Unrecognised parameter: tickTime"),
    ] {
        assert!(load(config, &[], &[("/zoo.cfg.dynamic.1f", text)]).unwrap_err().to_string().contains(error));
    }
    assert!(load(config, &[], &[]).unwrap_err().to_string().contains("Error processing /zoo.cfg.dynamic.1f"));
}

#[test]
fn arguments_stand_for_a_file() {
    let loaded = ZooKeeperSettings::from_arguments(&["2181", "/data", "2000"], &Properties::new()).unwrap();
    assert_eq!((loaded.settings.tick_time_ms, loaded.settings.connections_per_address_max), (2000, 0));
    for bad in [&["2181"][..], &["x", "/data"]] {
        assert!(ZooKeeperSettings::from_arguments(bad, &Properties::new()).unwrap_err().is_usage());
    }
}

const THREE: &str = "dataDir=/data\ninitLimit=10\nsyncLimit=5\nserver.1=a:1:2;2181\nserver.2=b:1:2\nserver.3=c:1:2\n";

fn member(config: &str, java: &[(&str, &str)], id: &str) -> Result<Loaded, ZooKeeperError> {
    load(config, java, &[("/data/myid", id)])
}

fn member_of(config: &str) -> Result<MemberSettings, ZooKeeperError> {
    member(config, &[], "1").map(|loaded| loaded.settings.member.unwrap())
}

#[test]
fn several_server_lines_make_a_member() {
    let loaded = member(THREE, &[], "1").unwrap();
    assert!(!loaded.notices.iter().any(|notice| notice.level >= Level::Warn), "{:?}", loaded.notices);
    let member = loaded.settings.member.unwrap();
    assert_eq!((member.id, member.peer_type, member.ensemble.servers.len()), (1, PeerType::Participant, 3));
    assert_eq!((member.init_limit, member.sync_limit, member.connect_limit), (10, 5, 0));
    assert_eq!(member.election_connect_timeout_ms, 5000);
    assert_eq!((member.notification_interval_ms_min, member.notification_interval_ms_max), (200, 60_000));
    assert_eq!((member.history_len, member.epoch_wait_ms_max), (500, -1));
    assert_eq!((member.snapshot_syncs_max, member.bind_tries_max), (10, 3));
    assert!(!member.keep_alive && !member.listen_on_all_addresses && !member.multiple_addresses);
    assert!(!member.local_sessions && !member.local_session_upgrades && member.observer_master_port.is_none());
    assert_eq!((member.observer_reconnect_delay_ms, member.observer_election_delay_ms), (0, 200));
    assert_eq!(member.observer_master_bytes, 32 << 20);
    assert_eq!(loaded.settings.client_address, Some(HostPort { host: "0.0.0.0".into(), port: 2181 }));
    // One line is enough where standing alone is not allowed.
    let one = "dataDir=/data\ninitLimit=1\nsyncLimit=1\nstandaloneEnabled=false\nserver.1=a:1:2\n";
    assert!(self::member(one, &[], "1").unwrap().settings.member.is_some());
}

#[test]
fn a_members_keys_come_from_the_file_and_from_properties() {
    let config = format!(
        "{THREE}quorumListenOnAllIPs=true\nconnectToLearnerMasterLimit=3\nfastleader.maxNotificationInterval=1000\n\
         commitLogCount=7\nleader.maxTimeToWaitForEpoch=70\nsyncEnabled=false\nleaderServes=no\ndb.autocreate=false\n"
    );
    let loaded = member(&config, &[("zookeeper.tcpKeepAlive", "true")], "2").unwrap();
    let member = loaded.settings.member.unwrap();
    assert!(member.listen_on_all_addresses && member.keep_alive);
    assert_eq!((member.connect_limit, member.notification_interval_ms_max, member.epoch_wait_ms_max), (3, 1000, 70));
    assert_eq!((member.history_len, member.leader_serves, member.creates_tree), (500, false, false));
    let config = format!(
        "{THREE}localSessionsEnabled=true\nobserverMasterPort=2191\nobserver.reconnectDelayMs=7\nobserver.election.DelayMs=-1\n"
    );
    let of_observers = member_of(&config).unwrap();
    assert!(of_observers.local_sessions && !of_observers.local_session_upgrades);
    assert_eq!(of_observers.observer_master_port, Some(2191));
    assert_eq!((of_observers.observer_reconnect_delay_ms, of_observers.observer_election_delay_ms), (7, 0));
    let refused = member_of(&format!("{THREE}observerMasterPort=70000\n")).unwrap_err().lines().join("\n");
    assert!(refused.contains("port out of range:70000"), "{refused}");
    for text in
        ["The configured commitLogCount 7 is less than", "syncEnabled: accepted without effect, since an observer"]
    {
        assert!(loaded.notices.iter().any(|notice| notice.text.starts_with(text)), "{text}");
    }
}

#[test]
fn a_member_that_does_not_fit_its_list_is_refused_in_the_words_of_the_original() {
    let cases = [
        (THREE.replace("initLimit=10", ""), "1", "initLimit is not set"),
        (THREE.replace("syncLimit=5", ""), "1", "syncLimit is not set"),
        (format!("{THREE}group.1=1:2:3:4"), "1", "Server 4 is in a group, but has no vote and no weight"),
        (THREE.replace("c:1:2", "c:1:2|d:1:2"), "1", "Multiple address feature is disabled"),
    ];
    for (config, id, text) in cases {
        let found = member(&config, &[], id).unwrap_err();
        assert!(found.to_string().contains(text) && !found.is_usage() && !found.is_unexpected(), "{config}: {found}");
    }
    assert!(refusal(THREE).contains("Caused by: java.lang.IllegalArgumentException: myid file is missing"));
    let stranger = member(THREE, &[], "4").unwrap_err();
    assert_eq!(stranger.lines(), ["java.lang.RuntimeException: My id 4 not in the peer list"]);
    assert!(stranger.is_unexpected() && !stranger.is_usage());
    let large = THREE.replace("server.3", "server.255");
    let error = member(&format!("{large}extendedTypesEnabled=true"), &[], "255").unwrap_err();
    assert!(error.to_string().contains("Server ID is too large. Cannot be larger than 254") && error.is_unexpected());
    assert!(member(&large, &[], "255").is_ok());
}

#[test]
fn odd_lists_and_roles_are_warned_of() {
    let warned = |config: &str, id: &str, text: &str| {
        let loaded = member(config, &[], id).unwrap();
        assert!(loaded.notices.iter().any(|notice| notice.level == Level::Warn && notice.text == text), "{text}");
        loaded.settings.member.unwrap()
    };
    let two = THREE.replace("server.3=c:1:2\n", "");
    warned(&two, "1", "No server failure will be tolerated. You need at least 3 servers.");
    let four = format!("{THREE}server.4=d:1:2\n");
    warned(&four, "1", "Non-optimial configuration, consider an odd number of servers.");
    let text =
        "Peer type from servers list (PARTICIPANT) doesn't match peerType (OBSERVER). Defaulting to servers list.";
    assert_eq!(warned(&format!("{THREE}peerType=observer"), "1", text).peer_type, PeerType::Participant);
    let observer = format!("{THREE}server.4=d:1:2:observer\n");
    let text =
        "Peer type from servers list (OBSERVER) doesn't match peerType (PARTICIPANT). Defaulting to servers list.";
    assert_eq!(warned(&observer, "4", text).peer_type, PeerType::Observer);
}

#[test]
fn several_addresses_by_either_name_of_their_switch() {
    let config = THREE.replace("c:1:2", "d:1:2|[::1]:3:4");
    for loaded in [
        member(&format!("{config}multiAddress.enabled=true"), &[], "1"),
        member(&config, &[("zookeeper.multiAddress.enabled", "true")], "1"),
    ] {
        let member = loaded.unwrap().settings.member.unwrap();
        assert!(member.multiple_addresses);
        let text = member.ensemble.text();
        assert!(text.contains("server.3=[::1]:3:4|d:1:2:participant\n"), "{text}");
    }
}

/// As three JVM servers of 3.6.3 show it in `/zookeeper/config`.
#[test]
fn the_list_is_told_to_others_in_the_form_of_the_original() {
    let config = format!("{THREE}server.4=d:1:2:observer;h:5\nclientPort=2181\n");
    let ensemble = member(&config, &[], "2").unwrap().settings.member.unwrap().ensemble;
    let expected = "server.1=a:1:2:participant;0.0.0.0:2181\nserver.2=b:1:2:participant\nserver.3=c:1:2:participant\n\
                    server.4=d:1:2:observer;h:5\nversion=0";
    assert_eq!(ensemble.text(), expected);
    let grouped = format!("{THREE}group.1=1:2\ngroup.2=3\nweight.3=7\n");
    let text = member(&grouped, &[], "1").unwrap().settings.member.unwrap().ensemble.text();
    assert!(text.ends_with("group.1=1:2\ngroup.2=3\nweight.1=1\nweight.2=1\nweight.3=7\nversion=0"), "{text}");
}

#[test]
fn a_list_that_may_be_in_force_elsewhere_is_kept_beside_the_one_that_is() {
    let config =
        "dataDir=/data\ninitLimit=10\nsyncLimit=5\nreconfigEnabled=true\ndynamicConfigFile=/d/zoo.cfg.dynamic.100\n";
    let list = "server.1=a:1:2;2181\nserver.2=b:1:2;2181\n";
    let start = |config: &str, next: Option<&str>| {
        let files = [("/d/zoo.cfg.dynamic.100", list), ("/data/myid", "1")];
        let next = next.map(|text| ("/zoo.cfg.dynamic.next", text));
        let loaded = load(config, &[], &files.into_iter().chain(next).collect::<Vec<_>>())?;
        Ok::<_, ZooKeeperError>(loaded.settings.member.unwrap())
    };
    let member = start(config, None).unwrap();
    assert_eq!((member.ensemble.version, member.next), (0x100, None));
    let files = member.files.unwrap();
    assert_eq!((files.is_inline, files.dynamic(0x1ab)), (false, "/zoo.cfg.dynamic.1ab".to_owned()));
    let next = start(config, Some("server.1=a:1:2\nversion=101")).unwrap().next.unwrap();
    assert_eq!((next.version, next.servers.len()), (0x101, 1));
    assert!(start(config, Some("server.1=a")).is_err(), "half of a list is no list");
    let disabled = config.replace("reconfigEnabled=true\n", "");
    let member = start(&disabled, Some("server.1=a:1:2\nversion=101")).unwrap();
    assert_eq!((member.next, member.files), (None, None), "as the original without reconfiguration");
    let inline = format!("{THREE}reconfigEnabled=true\n");
    let files = self::member(&inline, &[], "1").unwrap().settings.member.unwrap().files.unwrap();
    assert!(files.is_inline);
    assert_eq!((files.next(), files.backup()), ("/zoo.cfg.dynamic.next".to_owned(), "/zoo.cfg.bak".to_owned()));
}
