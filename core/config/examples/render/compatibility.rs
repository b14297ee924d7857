//! Renders `docs/compatibility.md`: the state of each API, op code, four-letter word, command and key.
//!
//! Names, numbers, versions, defaults and reasons come from the code that serves them; what is said of an API, a word
//! or a command as a whole stands here.

use std::fmt::Write as _;

use config::broker::keys as broker;
use config::zookeeper::keys as zookeeper;
use config::{Client, Default, Key, State, Update};
use kafka_proto::ApiKey;
use zk_proto::OpCode;

const HEAD: &str = "\
# Compatibility

What Jackdaw makes of each part of ZooKeeper 3.6.3 and Kafka 2.7.1. This page is rendered from the code by `cargo xtask
fix`; a test fails when it is out of date.

Configuration keys are in one of three states. *Honoured*: the key does what the original's documentation says. *No
effect*: it is read and checked, changes nothing, and one log line at the start says why. *Refused*: a value other than
the default stops the start with a line that says what to do, because security, durability or meaning is at stake.
Unknown keys warn, as in the originals.

## Where we differ on purpose

- A `# comment` behind a value is part of the value, as in the originals; the error about such a value says so.
- In `zoo.cfg` and in `zookeeper.*` properties, a number or a boolean that is none refuses the start. The original takes
  such a boolean for false, and such a property for its default, without a word.
- An unknown key of `zoo.cfg` warns. The original makes it a property `zookeeper.<key>` without a word.
- `jute.maxbuffer`, `readonlymode.enabled` and `znode.container.*` in `zoo.cfg` warn that they are read from `-D` alone;
  in the original they are silently without effect there.
- Java classes are not loaded. Names of built-in classes stand for our parts; any other class refuses the start.
- TLS that can't be had with its keys and stores refuses the start of a ZooKeeper server, with the file and the reason. The original starts, and
  every handshake fails. The secure port is served whatever `serverCnxnFactory` says; TLS 1.3 needs no `ciphersuites` of its own.
- A SASL user that the JAAS file does not have fails to log in. The original checks such a name against the password of who logged in before.
- A ZooKeeper request behind a `setACL` that is still under way is checked by the new ACL. The original checks it by the
  old one, or by the new one if that is already applied.
- A broker whose file does not set `zookeeper.connection.timeout.ms` waits for ZooKeeper at its start for ever, with
  back-off, and warns of each attempt: the order in which servers start does not matter. The original gives up after the
  session timeout. Where the key is set, the start ends after that time as the original's does.
- A registration in `/brokers/ids` that another session holds is waited for, up to one and a half session timeouts, with
  a line that says so; then the start ends with the original's exception. The original ends at once, also when the other
  session is that of the broker's own earlier life. That one is closed first here: its key is kept in `.jackdaw.session`
  beside `meta.properties`.
- A broker that is killed or crashes is noticed at once, not when its ZooKeeper session times out: beside each broker stands a small
  process, `jackdaw guardian`, that closes the session when the broker's process is gone. A stopped broker (SIGSTOP) counts as gone
  only when its session times out, as in the original. `jackdaw.guardian.enable=false` in `server.properties` does without, and
  `jackdaw dev` has none. More in decision 12.
- A full disk ends nothing: appends to it get KAFKA_STORAGE_ERROR until there is room, reads go on, and the log says so
  once when it is full and once when it is not. The original takes the whole log directory offline, and ends with the last.
  A stop on a full disk is no clean one, as its last index entries have no room. A start needs none: entries stay in memory
  until there is some, and reads are served, but no group can be joined, as that is written to `__consumer_offsets`. Only a new
  log directory, and an index that is missing, can't do without. The original ends with 1, in a memory fault. A new replica that
  the disk has no room for is offline until there is some.
- A server accepts no more connections of clients and brokers than its limit of open files has room for beside its data files, which get half of
  it: further ones wait until others end, and the log says so; brokers with a listener of their own do not wait. The original accepts them until no file can be opened, and its log directory goes
  offline.
- A ZooKeeper whose transaction log can't be written ends with exit code 1, and every acknowledged write is there when it is
  started again. The original ends with 0, as after a stop in good order.
- A leader of an ensemble that has logged nothing for `syncLimit`, while the others committed without it, gives up, as followers that log nothing are
  left. The original leads on, and what waits for its disk grows.
- A batch may be decompressed to 256 MiB at most: a larger one is refused as corrupt. The original has no limit but its
  heap.
- Text that is not UTF-8 (a topic's name) closes the connection. The original puts replacement characters for it, and
  answers that there is no such topic.
- A partition whose leader's log directory fails has no leader, as in the original; a failed directory is taken again at
  the next start.
- When all in-sync replicas of a partition die at once, they all stay in its ISR, and whichever comes back first leads. The original's controller
  takes them out one after the other, and waits for the last. A broker that asked for a controlled shutdown leads on where nobody in sync can
  take over, until it is gone, also where another replica could lead uncleanly.
- A reassignment is not given up or replaced where the replicas in sync are all among those that this would delete (INVALID_REPLICA_ASSIGNMENT, in
  the words of later versions). The original deletes them. An empty or repeated replica list in `/admin/reassign_partitions`, or an id below 0, is
  refused as in the API. The original's controllers fail for ever over an empty one.
- A reassignment ends with one write of the partition's state: its leader and ISR. The original writes the leader, then takes each removed replica out.
- A new controller treats brokers that registered after a partition's state was written as gone and come back, where another member of the ISR was not: they
  may lack what was acknowledged. The original lets them lead on (decision 16).
- Partitions that are added to a topic while its replicas move are kept: the controller writes the topic's znode with its version. The original
  overwrites them.
- AlterIsr from who does not lead, of another epoch, or with an ISR that is not part of the replicas is refused. The original looks at the znode's
  version alone. A topic that waits for its replicas to be moved before it is deleted still gets leaders. More in decision 13.
- What a request names twice is done and answered twice (Produce, Fetch, OffsetCommit, DeleteRecords and others). The original takes the
  last mention, and never answers an AlterConfigs with a resource twice, or a JoinGroup with a protocol twice, which here counts once.
- A fetch session is its owner's: a fetch with another replica id gets FETCH_SESSION_ID_NOT_FOUND. The original does not look. Decision 15.
- Some requests that make the original answer with UNKNOWN_SERVER_ERROR by accident, or close the connection, are told what is wrong:
  unknown operations and keys of IncrementalAlterConfigs, null values in AlterConfigs, names of topics that no path can have,
  `log.cleaner.threads=0`.
- What is converted for a consumer from before 0.11 is as long as it is. The original fills it up to the length of what it was made from,
  with a message that is not whole.
- A start that finds two folders of one partition's name, because a move between log directories was cut off, keeps the log that holds all of the
  other one, and goes on with the move or ends it. The original ends, and leaves it to people; so does ours if neither holds the other. A
  copy that lies beside its log in one directory is deleted. More in decision 17.
- The tools for leader elections name the partitions that had the right leader already. The originals print those that were elected in
  their place, which is mended since 3.0.
- `kafka.request.logger` writes nothing, whatever its level: requests are not traced.
- A topic whose znode would be longer than 1,047,551 bytes is refused at once. The original sends it to ZooKeeper again and
  again, which closes the connection each time; at millions of partitions it runs out of memory.
- A ZooKeeper request with a null path is answered with a marshalling error (-5). The original answers some of them with bad
  arguments (-8), and does `sync` and `addWatch`. A SASL token that is null is answered, not met with a closed connection, and a
  client's own `createSession` request is refused and its connection closed, where the original lets it through.
- A client whose `reconfig` changes the part of its own server, or its leader, is answered before its connection ends; the original ends it
  without an answer. Comments and the order of lines in `zoo.cfg` stay when the list of servers moves to a file of its own. Whether two
  servers have the same address is seen by what is written, not by what names resolve to. More in decision 11.
- A member of an ensemble that is killed while it takes over a leader's history may leave a log that is an epoch ahead of its file
  `currentEpoch`. Ours starts from that; a server of the original refuses (`The current epoch, N, is older than the last zxid`). Before
  such a server goes back to the original, let ours follow once, or empty its `version-2` folders.
- A `compression.type` of the broker that is not in lower case is refused when the configuration is read, not later when
  the logs start.
";

/// APIs that are decoded and encoded, but not advertised yet, and what they wait for.
fn api_state(key: ApiKey) -> &'static str {
    use ApiKey as K;
    match key {
        K::Vote | K::BeginQuorumEpoch | K::EndQuorumEpoch | K::DescribeQuorum => {
            "decoded, never served: as in the original, they belong to the mode without ZooKeeper"
        }
        K::AddPartitionsToTxn | K::AddOffsetsToTxn | K::EndTxn | K::WriteTxnMarkers | K::TxnOffsetCommit => {
            "later: transactions"
        }
        K::SaslHandshake
        | K::SaslAuthenticate
        | K::DescribeAcls
        | K::CreateAcls
        | K::DeleteAcls
        | K::CreateDelegationToken
        | K::RenewDelegationToken
        | K::ExpireDelegationToken
        | K::DescribeDelegationToken
        | K::DescribeUserScramCredentials
        | K::AlterUserScramCredentials => "later: security",
        K::DescribeClientQuotas | K::AlterClientQuotas => "later: quotas",
        K::InitProducerId => "served; a transactional id gets an error until transactions are served",
        K::DescribeConfigs | K::IncrementalAlterConfigs => "served for topics, brokers and their loggers",
        K::AlterConfigs => "served for topics and brokers",
        _ => "served",
    }
}

fn op_state(op: OpCode) -> &'static str {
    match op {
        OpCode::CreateSession | OpCode::CloseSession | OpCode::Error => "served; in transactions",
        OpCode::Notification => "sent with watch events",
        OpCode::Check => "served, also inside a multi",
        OpCode::Sasl => "served: DIGEST-MD5; Kerberos is refused",
        OpCode::Reconfig => "served in ensembles; a server that stands alone refuses it, as the original",
        OpCode::CreateTtl => "served behind `extendedTypesEnabled`",
        _ => "served",
    }
}

const WORDS: &str = "conf cons crst dirs dump envi gtmk hash isro mntr ruok srst srvr stat stmk wchc wchp wchs";

/// Commands and what they wait for, if they do.
const COMMANDS: &[(&str, &str)] = &[
    ("zkServer.sh", "served"),
    ("zkServer-initialize.sh", "served"),
    ("zkEnv.sh", "served; sets the variables, but for a class path"),
    ("zkCli.sh", "served"),
    ("zkCleanup.sh", "later"),
    ("zkSnapShotToolkit.sh", "served; refuses a file whose seals are wrong, which the original does not look at"),
    ("zkTxnLogToolkit.sh", "later"),
    ("zookeeper-server-start.sh", "served"),
    ("zookeeper-server-stop.sh", "served"),
    ("zookeeper-shell.sh", "served"),
    ("zookeeper-security-migration.sh", "later"),
    ("kafka-server-start.sh", "served"),
    ("kafka-server-stop.sh", "served"),
    ("kafka-run-class.sh", "served for the classes behind these commands, and `kafka.tools.GetOffsetShell`"),
    ("kafka-topics.sh", "served"),
    ("kafka-configs.sh", "served for topics, brokers and their loggers"),
    ("kafka-console-producer.sh", "served"),
    (
        "kafka-console-consumer.sh",
        "served; the deserializers of Kafka's own package that make text, and UTF-8 alone as encoding",
    ),
    ("kafka-consumer-groups.sh", "served"),
    (
        "kafka-producer-perf-test.sh",
        "served; `--print-metrics` has totals, averages and maxima of the whole run, no rates",
    ),
    (
        "kafka-consumer-perf-test.sh",
        "served; `--print-metrics` as above, without bytes, lags and leads; `--date-format` without the letters `GYLwWFuz`",
    ),
    ("kafka-broker-api-versions.sh", "served"),
    ("kafka-dump-log.sh", "served"),
    ("kafka-acls.sh", "later"),
    ("kafka-delegation-tokens.sh", "later"),
    ("kafka-delete-records.sh", "later"),
    ("kafka-features.sh", "served"),
    ("kafka-leader-election.sh", "served"),
    ("kafka-log-dirs.sh", "served"),
    ("kafka-mirror-maker.sh", "later"),
    ("kafka-preferred-replica-election.sh", "served"),
    ("kafka-reassign-partitions.sh", "served"),
    ("kafka-replica-verification.sh", "served"),
    ("kafka-streams-application-reset.sh", "later"),
    ("kafka-verifiable-consumer.sh", "served"),
    ("kafka-verifiable-producer.sh", "served"),
    ("connect-standalone.sh", "not planned: Kafka Connect is Java"),
    ("connect-distributed.sh", "not planned: Kafka Connect is Java"),
    ("connect-mirror-maker.sh", "not planned: Kafka Connect is Java"),
    ("trogdor.sh", "not planned: a test framework in Java"),
];

/// The whole page.
#[must_use]
pub(crate) fn page() -> String {
    let mut page = HEAD.to_owned();
    protocol(&mut page);
    commands(&mut page);
    page.push_str("\n## Configuration keys\n");
    keys(&mut page, "zoo.cfg", zookeeper::ZOO_CFG.iter(), false);
    keys(
        &mut page,
        "ZooKeeper properties (`-D`; in zoo.cfg without `zookeeper.`)",
        zookeeper::PROPERTIES.iter(),
        false,
    );
    keys(&mut page, "server.properties", broker::all(), true);
    keys(&mut page, "server.properties, keys of ours", broker::OURS.iter(), true);
    keys(&mut page, "Broker keys that are only set while running", broker::DYNAMIC_ONLY.iter(), true);
    keys(&mut page, "Topic configs", config::topic::all().iter(), false);
    for (name, client) in
        [("Producer", Client::Producer), ("Consumer", Client::Consumer), ("Admin client", Client::Admin)]
    {
        keys(&mut page, name, client.keys(), false);
    }
    page
}

fn protocol(page: &mut String) {
    page.push_str(
        "\n## Kafka APIs\n\nVersions are those of 2.7.1.\n\n| key | API | versions | state |\n|--:|---|---|---|\n",
    );
    for key in ApiKey::ALL {
        row(page, &[&key.code().to_string(), key.name(), &key.versions().to_string(), api_state(*key)]);
    }
    page.push_str("\n## ZooKeeper op codes\n\n| code | op | state |\n|--:|---|---|\n");
    for op in OpCode::ALL {
        row(page, &[&op.code().to_string(), op.name(), op_state(*op)]);
    }
    page.push_str(
        "\n## Four-letter words\n\nAnswered when `4lw.commands.whitelist` allows them; `srvr` always is.\n\n",
    );
    let words: Vec<_> = WORDS.split(' ').map(|word| format!("`{word}`")).collect();
    writeln!(page, "{}", words.join(" ")).expect("a String takes all text");
}

fn commands(page: &mut String) {
    page.push_str(
        "\n## Commands\n\nEach also works without `.sh`. Later ones answer with one line and exit code 1.\n\n",
    );
    page.push_str("| command | state |\n|---|---|\n");
    for (name, state) in COMMANDS {
        row(page, &[&format!("`{name}`"), state]);
    }
}

fn keys<'a>(page: &mut String, title: &str, keys: impl Iterator<Item = &'a Key>, with_update: bool) {
    let keys: Vec<_> = keys.collect();
    let (head, line) = if with_update { (" may change |", "---|") } else { ("", "") };
    write!(page, "\n### {title} ({})\n\n| key | default |{head} state |\n|---|---|{line}---|\n", keys.len())
        .expect("a String takes all text");
    for key in keys {
        let default = match key.default {
            Default::Required => "required".to_owned(),
            Default::Null | Default::Is("") => String::new(),
            Default::Is(text) => format!("`{text}`"),
        };
        let state = match key.state {
            State::Honoured => "honoured".to_owned(),
            State::NoEffect(why) => format!("no effect: {why}"),
            State::Refused(why) => format!("refused: {why}"),
        };
        let family = if key.name.ends_with('.') { "*" } else { "" };
        let name = format!("`{}{family}`", key.name);
        let update = if key.update == Update::ReadOnly { "at a restart" } else { key.update.name() };
        let cells = [name.as_str(), &default, update, &state];
        row(
            page,
            &cells
                .into_iter()
                .enumerate()
                .filter(|(place, _)| with_update || *place != 2)
                .map(|(_, cell)| cell)
                .collect::<Vec<_>>(),
        );
    }
}

fn row(page: &mut String, cells: &[&str]) {
    let cells: Vec<_> = cells.iter().map(|cell| cell.replace('|', "\\|")).collect();
    writeln!(page, "| {} |", cells.join(" | ")).expect("a String takes all text");
}
