//! Groups as text: what is asked, what is answered, what is logged, as time passes.
//!
//! Each script names its expectations line by line, behind `=>`. Appends end well at once unless `fail` or `hold` says otherwise.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]
#![allow(clippy::too_many_lines, reason = "one table of the script's words")]

use std::collections::BTreeMap;

use base::{Monotonic, Now, Str};
use bytes::Bytes;
use kafka_coord::record::{CommittedOffset, Key, TopicPartition};
use kafka_coord::{Append, Commit, Group, Joiner, Loader, Reply, Settings, Step};
use kafka_proto::ErrorCode;
use kafka_proto::messages::{heartbeat, join_group, leave_group, sync_group};
use kafka_proto::record::{BuilderOptions, Codec, Magic, RecordsBuilder};
use proptest::prelude::*;

/// One group, its log, and a clock.
struct World {
    group: Group<String>,
    settings: Settings,
    now: Now,
    log: Vec<Append>,
    held: Vec<(u64, i64)>,
    fails: Option<ErrorCode>,
    holds: bool,
    /// Members by the name that the script gives them.
    ids: BTreeMap<String, Str>,
    uniques: u8,
    out: Vec<String>,
}

fn start() -> Now {
    Now { monotonic: Monotonic::from_ms(0), wall_ms: 1_000_000 }
}

impl World {
    fn new(settings: Settings) -> Self {
        Self {
            group: Group::new("g".into(), start()),
            settings,
            now: start(),
            log: Vec::new(),
            held: Vec::new(),
            fails: None,
            holds: false,
            ids: BTreeMap::new(),
            uniques: 0,
            out: Vec::new(),
        }
    }

    fn step(&mut self, act: impl FnOnce(&mut Group<String>, &mut Step<'_, String>)) {
        let settings = self.settings.clone();
        let mut step = Step::new(&settings, self.now);
        act(&mut self.group, &mut step);
        for (who, reply) in step.replies {
            self.answer(&who, reply);
        }
        while let Some(append) = self.group.take_append() {
            let id = append.id;
            if let Some(error) = self.fails {
                self.ended(id, Err(error));
            } else {
                let at = self.log.len() as i64;
                self.log.push(append);
                if self.holds {
                    self.held.push((id, at));
                } else {
                    self.ended(id, Ok(at));
                }
            }
        }
    }

    fn ended(&mut self, id: u64, result: Result<i64, ErrorCode>) {
        self.step(|group, step| group.appended(id, result, step));
    }

    fn name_of(&self, id: &Str) -> String {
        if id.is_empty() {
            return "-".to_owned();
        }
        self.ids.iter().find(|(_, known)| *known == id).map_or("?".to_owned(), |(name, _)| name.clone())
    }

    fn answer(&mut self, who: &str, reply: Reply) {
        let line = match reply {
            Reply::Join(response) => {
                if !response.member_id.is_empty() {
                    self.ids.insert(who.to_owned(), response.member_id.clone());
                }
                if response.error_code.is_error() {
                    format!("{who} join {}", response.error_code.name())
                } else {
                    let leader = self.name_of(&response.leader);
                    let protocol = response.protocol_name.unwrap_or_default();
                    let (generation, members) = (response.generation_id, response.members.len());
                    format!("{who} joined {generation} {protocol} leader {leader} members {members}")
                }
            }
            Reply::Sync(response) if response.error_code.is_error() => {
                format!("{who} sync {}", response.error_code.name())
            }
            Reply::Sync(response) => format!("{who} synced {}", String::from_utf8_lossy(&response.assignment)),
            Reply::Offsets(Ok(errors)) => {
                let names: Vec<&str> = errors.iter().map(|error| error.name()).collect();
                format!("{who} offsets {}", names.join(","))
            }
            Reply::Offsets(Err(error)) | Reply::Delete(error) => format!("{who} {}", error.name()),
            Reply::Heartbeat(error) => format!("{who} beat {}", error.name()),
            Reply::Leave(response) => format!("{who} left {}", response.error_code.name()),
        };
        self.out.push(line);
    }

    fn id(&self, who: &str) -> Str {
        self.ids.get(who).cloned().unwrap_or_default()
    }

    /// Runs a line; what came of it.
    fn run(&mut self, line: &str) -> String {
        let words: Vec<&str> = line.split_whitespace().collect();
        let option = |name: &str| words.iter().find_map(|word| word.strip_prefix(&format!("{name}=")));
        let instance_id = option("instance").map(Str::from);
        let who = words.get(1).copied().unwrap_or_default().to_owned();
        match words[0] {
            "join" => {
                let protocols = option("protocols").unwrap_or("range").split(',');
                let metadata = Bytes::copy_from_slice(option("metadata").unwrap_or("x").as_bytes());
                let request = join_group::Request {
                    group_id: "g".into(),
                    session_timeout_ms: 10_000,
                    rebalance_timeout_ms: 30_000,
                    member_id: option("as").map_or_else(|| self.id(&who), |name| self.id(name)),
                    group_instance_id: instance_id,
                    protocol_type: option("type").unwrap_or("consumer").into(),
                    protocols: protocols
                        .map(|name| join_group::Protocol { name: name.into(), metadata: metadata.clone() })
                        .collect(),
                };
                let request = if words.contains(&"new") {
                    join_group::Request { member_id: Str::EMPTY, ..request }
                } else {
                    request
                };
                self.uniques += 1;
                let joiner = Joiner {
                    client_id: "c".into(),
                    client_host: "/h".into(),
                    unique: [self.uniques; 16],
                    id_first: words.contains(&"v4"),
                };
                self.step(|group, step| group.join(&request, &joiner, who, step));
            }
            "sync" => {
                let assignments = words[2..].iter().filter_map(|word| word.split_once(':')).map(|(name, bytes)| {
                    sync_group::Assignment {
                        member_id: self.id(name),
                        assignment: Bytes::copy_from_slice(bytes.as_bytes()),
                    }
                });
                let request = sync_group::Request {
                    group_id: "g".into(),
                    generation_id: option("generation").map_or(self.group.generation(), |text| text.parse().unwrap()),
                    member_id: self.id(&who),
                    group_instance_id: instance_id,
                    assignments: assignments.collect(),
                    ..sync_group::Request::default()
                };
                self.step(|group, step| group.sync(&request, who, step));
            }
            "beat" => {
                let request = heartbeat::Request {
                    group_id: "g".into(),
                    generation_id: option("generation").map_or(self.group.generation(), |text| text.parse().unwrap()),
                    member_id: self.id(&who),
                    group_instance_id: instance_id,
                };
                let now = self.now;
                let mut error = ErrorCode::NONE;
                self.step(|group, _| error = group.heartbeat(&request, now));
                self.answer(&who, Reply::Heartbeat(error));
            }
            "leave" => {
                let member_id = if words.contains(&"anonymous") { Str::EMPTY } else { self.id(&who) };
                let member = leave_group::RequestMember { member_id, group_instance_id: instance_id };
                let mut response = leave_group::Response::default();
                self.step(|group, step| response = group.leave(&[member], step));
                self.out.push(format!("{who} left {}", response.members[0].error_code.name()));
            }
            "commit" => {
                let offset = words[2].parse().unwrap();
                let place = TopicPartition { topic: "t".into(), partition: 0 };
                let commit = Commit {
                    member_id: self.id(&who),
                    instance_id,
                    generation: option("generation").map_or(self.group.generation(), |text| text.parse().unwrap()),
                    offsets: vec![(place, committed(offset, option("note").unwrap_or(""), self.now.wall_ms))],
                };
                self.step(|group, step| group.commit(commit, who, step));
            }
            "delete" => self.step(|group, step| group.delete(who, step)),
            "expire" => self.step(Group::expire_offsets),
            "wait" => {
                let ms: u64 = words[1].parse().unwrap();
                self.now.monotonic = self.now.monotonic.plus_ms(ms);
                self.now.wall_ms += ms as i64;
                self.step(Group::tick);
            }
            "fail" => self.fails = Some(ErrorCode::NOT_ENOUGH_REPLICAS),
            "hold" => self.holds = true,
            "release" => {
                (self.holds, self.fails) = (false, None);
                for (id, at) in std::mem::take(&mut self.held) {
                    self.ended(id, Ok(at));
                }
            }
            "state" => {
                let line = format!(
                    "{} {} members {}",
                    self.group.state().name(),
                    self.group.generation(),
                    self.group.describe().members.len()
                );
                self.out.push(line);
            }
            "offset" => {
                let place = TopicPartition { topic: "t".into(), partition: 0 };
                let offset = self.group.offsets().get(&place).map(|value| value.offset);
                let unstable = if self.group.offsets().is_unstable(&place) { " unstable" } else { "" };
                self.out.push(format!("{offset:?}{unstable}"));
            }
            other => panic!("{other}"),
        }
        std::mem::take(&mut self.out).join("; ")
    }

    fn script(&mut self, text: &str) {
        for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
            let (command, expected) = line.split_once("=>").unwrap_or((line, ""));
            let found = self.run(command.trim());
            assert_eq!(found.trim_end(), expected.trim(), "at: {line}");
        }
    }
}

fn committed(offset: i64, note: &str, at_ms: i64) -> CommittedOffset {
    CommittedOffset {
        offset,
        leader_epoch: -1,
        metadata: note.into(),
        commit_timestamp_ms: at_ms,
        expire_timestamp_ms: None,
    }
}

const TWO_STABLE: &str = "
    join a
    join b
    wait 3000
    wait 3000 => a joined 1 range leader a members 2; b joined 1 range leader a members 0
    sync b
    sync a a:A b:B => a synced A; b synced B
    state => Stable 1 members 2
";

fn script(text: &str) {
    World::new(Settings::default()).script(text);
}

#[test]
fn the_first_rebalance_waits_and_is_prolonged() {
    script(
        "
        join a
        wait 2999
        join b
        wait 1
        wait 2999
        wait 1 => a joined 1 range leader a members 2; b joined 1 range leader a members 0
        beat a => a beat NONE
        commit a 5 => a offsets REBALANCE_IN_PROGRESS
        sync a a:A => a synced A
        sync b => b synced
        ",
    );
}

#[test]
fn new_members_learn_their_id_first() {
    script(
        "
        join a v4 => a join MEMBER_ID_REQUIRED
        state => Empty 0 members 0
        join a v4
        wait 3000 => a joined 1 range leader a members 1
        join b v4 => b join MEMBER_ID_REQUIRED
        wait 5000
        beat a => a beat NONE
        wait 5000
        join b v4 => b join UNKNOWN_MEMBER_ID
        ",
    );
}

#[test]
fn a_rebalance_waits_for_all_and_drops_who_does_not_come() {
    script(TWO_STABLE);
    script(&format!(
        "{TWO_STABLE}
        join c
        beat a => a beat REBALANCE_IN_PROGRESS
        commit a 5 => a offsets NONE
        join a
        join b => a joined 2 range leader a members 3; b joined 2 range leader a members 0; c joined 2 range leader a members 0
        beat a generation=1 => a beat ILLEGAL_GENERATION
        sync a a:A => a synced A
        join c metadata=y
        join b
        beat a => a beat REBALANCE_IN_PROGRESS
        wait 9000
        beat a => a beat REBALANCE_IN_PROGRESS
        wait 9000
        beat a => a beat REBALANCE_IN_PROGRESS
        wait 9000
        beat a => a beat REBALANCE_IN_PROGRESS
        wait 3000 => b joined 3 range leader b members 2; c joined 3 range leader b members 0
        beat a => a beat UNKNOWN_MEMBER_ID
        "
    ));
}

#[test]
fn silent_members_are_removed() {
    script(&format!(
        "{TWO_STABLE}
        wait 6000
        beat a => a beat NONE
        wait 4000
        beat a => a beat REBALANCE_IN_PROGRESS
        join a => a joined 2 range leader a members 1
        leave a => a left NONE
        state => Empty 3 members 0
        beat a => a beat UNKNOWN_MEMBER_ID
        "
    ));
}

#[test]
fn static_members_are_replaced_and_fenced() {
    script(
        "
        join a instance=i
        join b instance=j
        wait 3000
        wait 3000 => a joined 1 range leader a members 2; b joined 1 range leader a members 0
        sync a a:A b:B => a synced A
        sync b instance=j => b synced B
        join b2 instance=j new => b2 joined 1 range leader a members 0
        sync b2 instance=j => b2 synced B
        beat b instance=j => b beat FENCED_INSTANCE_ID
        commit b 5 instance=j => b offsets FENCED_INSTANCE_ID
        join b instance=j => b join FENCED_INSTANCE_ID
        leave b instance=j => b left FENCED_INSTANCE_ID
        state => Stable 1 members 2
        fail
        join b3 instance=j new => b3 join COORDINATOR_NOT_AVAILABLE
        release
        beat b2 instance=j => b2 beat NONE
        leave x instance=j anonymous => x left NONE
        state => PreparingRebalance 1 members 1
        ",
    );
}

#[test]
fn protocols_are_voted_for() {
    script(
        "
        join a protocols=range,sticky
        join b protocols=sticky,range
        join c protocols=sticky
        join d protocols=range => d join INCONSISTENT_GROUP_PROTOCOL
        join d type=connect protocols=sticky => d join INCONSISTENT_GROUP_PROTOCOL
        wait 3000
        wait 3000 => a joined 1 sticky leader a members 3; b joined 1 sticky leader a members 0; c joined 1 sticky leader a members 0
        ",
    );
}

#[test]
fn a_full_group_refuses() {
    let mut world = World::new(Settings { members_max: 1, ..Settings::default() });
    world.script(
        "
        join a
        join b => b join GROUP_MAX_SIZE_REACHED
        wait 3000 => a joined 1 range leader a members 1
        join b => b join GROUP_MAX_SIZE_REACHED
        ",
    );
}

#[test]
fn nothing_is_visible_before_it_is_logged() {
    script(
        "
        commit x 5 generation=-1 => x offsets NONE
        offset => Some(5)
        hold
        commit x 6 generation=-1
        offset => Some(5) unstable
        release => x offsets NONE
        offset => Some(6)
        fail
        commit x 7 generation=-1 => x offsets COORDINATOR_NOT_AVAILABLE
        offset => Some(6)
        delete x => x COORDINATOR_NOT_AVAILABLE
        state => Empty 0 members 0
        release
        commit x 7 generation=3 => x offsets UNKNOWN_MEMBER_ID
        delete x => x NONE
        state => Dead 0 members 0
        ",
    );
    script(&format!(
        "{TWO_STABLE}
        join a
        join b => a joined 2 range leader a members 2; b joined 2 range leader a members 0
        sync b
        fail
        sync a a:A => a sync COORDINATOR_NOT_AVAILABLE; b sync COORDINATOR_NOT_AVAILABLE
        state => PreparingRebalance 2 members 2
        "
    ));
}

#[test]
fn offsets_expire_with_their_group() {
    let mut world = World::new(Settings { offsets_retention_ms: 60_000, ..Settings::default() });
    world.script(&format!(
        "{TWO_STABLE}
        commit a 5 => a offsets NONE
        leave a => a left NONE
        leave b => b left NONE
        state => Empty 2 members 0
        "
    ));
    world.script(
        "
        wait 59999
        expire
        offset => Some(5)
        wait 1
        expire
        offset => None
        state => Dead 2 members 0
        ",
    );
    let last = world.log.last().unwrap();
    assert_eq!(last.records.len(), 2, "the offset and the group");
    assert!(last.records.iter().all(|(_, value)| value.is_none()));
}

#[test]
fn a_partition_that_a_deletion_names_twice_counts_once() {
    let mut world = World::new(Settings::default());
    let [first, second] = [0, 1].map(|partition| TopicPartition { topic: "t".into(), partition });
    let offsets = [&first, &second].map(|place| (place.clone(), committed(5, "", world.now.wall_ms)));
    let commit = Commit { member_id: Str::EMPTY, instance_id: None, generation: -1, offsets: offsets.into() };
    world.step(|group, step| group.commit(commit, "x".to_owned(), step));
    let places = [first.clone(), first.clone()];
    world.step(|group, step| group.delete_offsets(&places, "x".to_owned(), step));
    assert_eq!(world.out, ["x offsets NONE,NONE", "x offsets NONE,NONE"]);
    world.out.clear();
    assert_eq!(world.log.last().unwrap().records.len(), 1, "one removal");
    world.script("state => Empty 0 members 0");
    let left: Vec<_> = world.group.offsets().iter().map(|(place, _)| place.clone()).collect();
    assert_eq!(left, [second]);
}

/// The log as bytes, a batch for each append.
fn bytes_of(log: &[Append]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (at, append) in log.iter().enumerate() {
        let options = BuilderOptions { base_offset: at as i64, ..BuilderOptions::new(Magic::V2, Codec::None) };
        let mut builder = RecordsBuilder::new(options).unwrap();
        for (key, value) in &append.records {
            builder.append(1, Some(key), value.as_deref(), &[]).unwrap();
        }
        bytes.extend_from_slice(&builder.build().unwrap().bytes);
    }
    bytes
}

fn load(bytes: &[u8]) -> Vec<Group<String>> {
    let mut loader = Loader::default();
    let replayed = loader.replay(bytes);
    assert!(replayed.broken.is_empty() && replayed.lost.is_none(), "{replayed:?}");
    assert_eq!(loader.skipped(), 0);
    loader.finish(&mut Step::new(&Settings::default(), start()))
}

/// A batch with the commit of one group.
fn commit_batch(base_offset: i64, group: &str, offset: i64) -> Vec<u8> {
    let options = BuilderOptions { base_offset, ..BuilderOptions::new(Magic::V2, Codec::Gzip) };
    let mut builder = RecordsBuilder::new(options).unwrap();
    let place = TopicPartition { topic: "t".into(), partition: 0 };
    let key = Key::Offset { group: group.into(), place }.encode().unwrap();
    let value = committed(offset, "", 1).encode(Settings::default().versions).unwrap();
    builder.append(1, Some(&key), Some(&value), &[]).unwrap();
    builder.build().unwrap().bytes.to_vec()
}

fn loaded_offsets(loader: Loader) -> Vec<(String, i64)> {
    let groups: Vec<Group<String>> = loader.finish(&mut Step::new(&Settings::default(), start()));
    let offsets = groups.iter().flat_map(|group| {
        group.offsets().iter().map(|(_, value)| (group.id().to_string(), value.offset)).collect::<Vec<_>>()
    });
    offsets.collect()
}

#[test]
fn a_broken_batch_costs_its_own_records_alone() {
    let mut broken = commit_batch(1, "g", 6);
    let end = broken.len();
    broken[end - 10..].fill(0xff);
    let bytes = [commit_batch(0, "g", 5), broken, commit_batch(2, "h", 7)].concat();
    let mut loader = Loader::default();
    let replayed = loader.replay(&bytes);
    assert_eq!((replayed.next, replayed.broken.len(), replayed.lost.is_none()), (Some(3), 1, true), "{replayed:?}");
    assert_eq!(replayed.broken[0].0, 1);
    assert_eq!(loaded_offsets(loader), [("g".to_owned(), 5), ("h".to_owned(), 7)]);
}

#[test]
fn behind_a_batch_without_a_length_nothing_is_found() {
    let mut lost = commit_batch(1, "g", 6);
    lost[8..12].copy_from_slice(&(-1_i32).to_be_bytes());
    let mut loader = Loader::default();
    let replayed = loader.replay(&[commit_batch(0, "g", 5), lost].concat());
    assert_eq!((replayed.next, replayed.lost.is_some()), (Some(1), true), "{replayed:?}");
    assert_eq!(loaded_offsets(loader), [("g".to_owned(), 5)]);
}

#[test]
fn open_transactions_are_pending_and_markers_end_them() {
    let place = TopicPartition { topic: "t".into(), partition: 0 };
    let batch = |base_offset, offset| {
        let options = BuilderOptions {
            base_offset,
            producer_id: 9,
            producer_epoch: 0,
            base_sequence: 0,
            transactional: true,
            ..BuilderOptions::new(Magic::V2, Codec::None)
        };
        let mut builder = RecordsBuilder::new(options).unwrap();
        let key = Key::Offset { group: "g".into(), place: place.clone() }.encode().unwrap();
        let value = committed(offset, "", 1).encode(Settings::default().versions).unwrap();
        builder.append(1, Some(&key), Some(&value), &[]).unwrap();
        builder.build().unwrap().bytes
    };
    let marker = |base_offset, commit| {
        let options = BuilderOptions {
            base_offset,
            producer_id: 9,
            producer_epoch: 0,
            transactional: true,
            control: true,
            ..BuilderOptions::new(Magic::V2, Codec::None)
        };
        let mut builder = RecordsBuilder::new(options).unwrap();
        let marker = kafka_proto::record::EndTransactionMarker { commit, coordinator_epoch: 0 };
        builder.append_marker(1, &marker).unwrap();
        builder.build().unwrap().bytes
    };
    let offset = |parts: &[Bytes]| {
        let groups = load(&parts.concat());
        let offsets = groups.first().map(Group::offsets)?;
        Some((offsets.get(&place).map(|value| value.offset), offsets.is_unstable(&place)))
    };
    assert_eq!(offset(&[batch(0, 5)]), Some((None, true)));
    assert_eq!(offset(&[batch(0, 5), marker(1, true)]), Some((Some(5), false)));
    assert_eq!(offset(&[batch(0, 5), marker(1, false)]), None);
    assert_eq!(offset(&[batch(0, 5), marker(1, true), batch(2, 6), marker(3, false)]), Some((Some(5), false)));
}

proptest! {
    /// Whatever happens, with appends that fail or are late: the log tells the committed offsets as the live group does.
    #[test]
    fn replay_equals_the_live_state(steps in proptest::collection::vec(0_u8..24, 0..60)) {
        let mut world = World::new(Settings::default());
        for (at, step) in steps.iter().enumerate() {
            let who = ["a", "b", "c"][at % 3];
            let line = match step {
                0..=4 => format!("join {who}"),
                5 => format!("join {who} instance={who}"),
                6..=9 => format!("sync {who} a:A b:B c:C"),
                10..=12 => format!("commit {who} {at}"),
                13..=14 => format!("commit x {at} generation=-1"),
                15 => format!("leave {who}"),
                16..=18 => "wait 3000".to_owned(),
                19 => "wait 11000".to_owned(),
                20 => "fail".to_owned(),
                21 => "hold".to_owned(),
                _ => "release".to_owned(),
            };
            world.run(&line);
        }
        // Late answers come in any case; ids and offsets of held appends are told as they were given.
        world.run("release");
        let loaded = load(&bytes_of(&world.log));
        let live: Vec<i64> = world.group.offsets().iter().map(|(_, value)| value.offset).collect();
        let replayed: Vec<i64> =
            loaded.iter().flat_map(|group| group.offsets().iter()).map(|(_, value)| value.offset).collect();
        prop_assert_eq!(replayed, live);
        if world.group.state() == kafka_coord::State::Stable {
            prop_assert_eq!(loaded[0].generation(), world.group.generation());
            prop_assert_eq!(loaded[0].describe(), world.group.describe());
        }
    }
}
