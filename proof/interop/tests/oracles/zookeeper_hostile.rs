//! What no server of an ensemble should say, and servers that do not belong: refused in the original's words, without harm to
//! those who agree. Each is done to an ensemble of originals first: what that says and does is the yardstick.

use std::fs;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::path::Path;
use std::time::Duration;

use interop::{Ensemble, Kind, Load};

use Kind::{Ours, Theirs};

use crate::zookeeper_ensemble::through_each;

const ELECTION: u16 = 3888;
const QUORUM: u16 = 2888;

const FOLLOWERINFO: i32 = 11;
const PING: i32 = 5;
const PROPOSAL: i32 = 2;
const REQUEST: i32 = 1;

/// Server 3 leads; there is a load on all.
fn serving(kind: Kind, lines: &str) -> (Ensemble, Load) {
    let mut ensemble = Ensemble::new(4, lines).unwrap();
    for id in 1..=3 {
        ensemble.reconfigure(id, &ensemble.line(4).unwrap(), "").unwrap();
    }
    for id in [3, 2] {
        ensemble.start(id, kind).unwrap();
    }
    assert_eq!(ensemble.await_leader().unwrap(), 3);
    ensemble.start(1, kind).unwrap();
    assert_eq!(ensemble.await_leader().unwrap(), 3);
    let load = Load::begin(&ensemble, 10).unwrap();
    (ensemble, load)
}

fn elections(ensemble: &Ensemble, id: usize) -> usize {
    ensemble.log(id).unwrap().lines().filter(|line| line.trim_end().ends_with("LOOKING")).count()
}

/// A greeting on the election port.
fn greeting(version: i64, id: i64, length: i32, address: &str) -> Vec<u8> {
    let mut bytes = version.to_be_bytes().to_vec();
    bytes.extend_from_slice(&id.to_be_bytes());
    bytes.extend_from_slice(&length.to_be_bytes());
    bytes.extend_from_slice(address.as_bytes());
    bytes
}

/// A greeting of server 9, of which nobody knows, and what it sends.
fn stranger(message: &[u8]) -> Vec<u8> {
    [greeting(-65536, 9, 14, "127.0.0.1:3888"), message.to_vec()].concat()
}

fn frame(message: &[u8]) -> Vec<u8> {
    [&(message.len() as i32).to_be_bytes()[..], message].concat()
}

/// A notification that ends before its list of servers.
fn notification(state: i32, leader: i64, length: i32) -> Vec<u8> {
    let mut bytes = state.to_be_bytes().to_vec();
    for value in [leader, 0x7f_0000_0000, 99, 0x7f] {
        bytes.extend_from_slice(&value.to_be_bytes());
    }
    bytes.extend_from_slice(&2_i32.to_be_bytes());
    bytes.extend_from_slice(&length.to_be_bytes());
    bytes
}

/// A packet of the quorum port up to its data, whose length may be a lie.
fn packet(kind: i32, zxid: i64, length: i32, data: &[u8]) -> Vec<u8> {
    [&kind.to_be_bytes()[..], &zxid.to_be_bytes(), &length.to_be_bytes(), data].concat()
}

fn whole(kind: i32, zxid: i64, data: &[u8]) -> Vec<u8> {
    [&packet(kind, zxid, data.len() as i32, data)[..], &(-1_i32).to_be_bytes()].concat()
}

/// A learner's first packet.
fn info(id: i64, accepted_epoch: i64, config_version: i64) -> Vec<u8> {
    let data = [&id.to_be_bytes()[..], &0x1_0000_i32.to_be_bytes(), &config_version.to_be_bytes()].concat();
    whole(FOLLOWERINFO, accepted_epoch << 32, &data)
}

struct Attack {
    port: u16,
    bytes: Vec<u8>,
    /// What the attacked server's log says of it.
    said: &'static str,
}

fn attacks() -> Vec<Attack> {
    let election = |bytes, said| Attack { port: ELECTION, bytes, said };
    let quorum = |bytes, said| Attack { port: QUORUM, bytes, said };
    let http = b"GET / HTTP/1.1\r\nHost: zookeeper\r\n\r\n".to_vec();
    vec![
        election(http.clone(), "Received packet with invalid packet: 1414541105"),
        election(greeting(-3, 1, 9, "x"), "Got unrecognized protocol version -3"),
        election(greeting(-65536, 9, 0, ""), "Unreasonable buffer length: 0"),
        election(greeting(-65535, 9, 2049, ""), "Unreasonable buffer length: 2049"),
        election(greeting(-65536, 9, i32::MIN, ""), "Unreasonable buffer length: -2147483648"),
        election(greeting(-65536, 9, 8, "nonsense"), "Badly formed address: nonsense"),
        election(greeting(-65535, 9, 7, "[::1:38"), "Badly formed address: [::1:38"),
        election(greeting(-65536, 9, 5, "h:two"), "Bad port number: two"),
        election(stranger(&0_i32.to_be_bytes()), "Received packet with invalid packet: 0"),
        election(stranger(&(-1_i32).to_be_bytes()), "Received packet with invalid packet: -1"),
        election(stranger(&524_289_i32.to_be_bytes()), "Received packet with invalid packet: 524289"),
        election(stranger(&frame(b"short")), "Got a short response from server 9: 5"),
        election(
            stranger(&frame(&notification(0, 9, 1_000_000))),
            "Skipping the processing of a partial / malformed response message sent by sid=9 (message length: 44)",
        ),
        election(
            stranger(&frame(&notification(0, 9, -5))),
            "Skipping the processing of a partial / malformed response message sent by sid=9 (message length: 44)",
        ),
        // Well-formed, from nobody: it has a later history than all, and must not be elected.
        election(stranger(&frame(&notification(0, 9, 0))), ""),
        election(stranger(&frame(&notification(2, 9, 0))), ""),
        election(stranger(&frame(&notification(77, 9, 0))), ""),
        election(greeting(-65536, 2, 14, "127.0.0.1:3888"), "a connection request from a server with our own ID"),
        quorum(http, "Unreasonable length = 774966538"),
        quorum(packet(PROPOSAL, 1, i32::MAX, b"x"), "Unreasonable length = 2147483647"),
        quorum(packet(PROPOSAL, 1, -2, b"x"), "Unreasonable length = -2"),
        quorum([packet(PROPOSAL, 1, -1, b""), i32::MAX.to_be_bytes().to_vec()].concat(), ""),
        quorum(whole(PING, 0, b""), "is not FOLLOWERINFO or OBSERVERINFO!"),
        quorum(whole(REQUEST, 0, &[0; 16]), "is not FOLLOWERINFO or OBSERVERINFO!"),
        quorum(info(77, 0, 5), "Follower is ahead of the leader (has a later activated configuration)"),
        quorum([info(77, 0, 0), whole(PING, 0, b"")].concat(), "is not ACKEPOCH"),
        quorum([info(77, 0, 0), whole(PING, 0, b"")].concat(), "Follower sid: 77 not in the current config 0"),
        // A follower of a later epoch is told of this one, and of what it must make of that.
        quorum([info(1, 1000, 0), whole(PING, 0, b"")].concat(), "is not ACKEPOCH"),
    ]
}

/// Sends, and says no more; what came back until the other side closed.
fn attack(ensemble: &Ensemble, id: usize, attack: &Attack) -> Vec<u8> {
    let mut stream = ensemble.connect(id, attack.port).unwrap();
    // The original keeps some connections open on which it reads no more.
    stream.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
    // It may close in the middle of that.
    let _ = stream.write_all(&attack.bytes);
    let mut answer = Vec::new();
    let _ = stream.shutdown(Shutdown::Write);
    let _ = stream.read_to_end(&mut answer);
    answer
}

fn endures_bad_bytes(kind: Kind) {
    let (mut ensemble, load) = serving(kind, "");
    let before = [1, 2, 3].map(|id| elections(&ensemble, id));
    for bad in attacks() {
        let id = if bad.port == ELECTION { 2 } else { 3 };
        let logged = ensemble.log(id).unwrap().len();
        attack(&ensemble, id, &bad);
        let what = format!("{kind:?} to say '{}'", bad.said);
        ensemble.wait(&what, |ensemble| Ok(ensemble.log(id)?[logged..].contains(bad.said))).unwrap();
    }
    load.goes_on(&mut ensemble, "bad bytes").unwrap();
    assert_eq!(ensemble.await_leader().unwrap(), 3);
    assert_eq!([1, 2, 3].map(|id| elections(&ensemble, id)), before, "nobody looked for a leader");
    load.account(&ensemble).unwrap();
}

#[test]
fn bad_bytes_are_refused_in_the_words_of_the_original() {
    endures_bad_bytes(Theirs);
    endures_bad_bytes(Ours);
}

/// More connections than there are servers, each with the longest thing that may come, unfinished.
#[test]
fn a_flood_of_unfinished_messages_takes_no_room() {
    const ROOM: u64 = 96 << 20;
    let (mut ensemble, load) = serving(Ours, "");
    let before = [2, 3].map(|id| ensemble.memory(id).unwrap());
    let mut flood: Vec<TcpStream> = Vec::new();
    for number in 0..200_i64 {
        let mut voter = greeting(-65536, 100 + number, 14, "127.0.0.1:3888");
        voter.extend_from_slice(&(512 * 1024_i32).to_be_bytes());
        voter.resize(500_000, 0);
        let mut early = packet(REQUEST, 0, 1_000_000, b"");
        early.resize(1_000_000, 0);
        let mut late = info(100 + number, 0, 0);
        late.extend_from_slice(&early);
        for (id, port, bytes) in [(2, ELECTION, voter), (3, QUORUM, early), (3, QUORUM, late), (2, QUORUM, vec![0; 8])]
        {
            let mut stream = ensemble.connect(id, port).unwrap();
            // Refused is as good as taken.
            let _ = stream.write_all(&bytes);
            flood.push(stream);
        }
    }
    load.goes_on(&mut ensemble, "a flood").unwrap();
    for (id, before) in [2, 3].into_iter().zip(before) {
        let grown = ensemble.memory(id).unwrap().saturating_sub(before);
        assert!(grown < ROOM, "server {id} has grown by {} MiB", grown >> 20);
    }
    drop(flood);
    assert_eq!(ensemble.await_leader().unwrap(), 3);
    load.account(&ensemble).unwrap();
}

/// What a server that can't start says, and its exit code.
struct Refusal {
    prepare: fn(&Ensemble),
    said: &'static str,
    code: i32,
}

fn epochs(ensemble: &Ensemble, accepted: &str, current: &str) {
    let folder = ensemble.data(1).unwrap().join("version-2");
    fs::write(folder.join("acceptedEpoch"), accepted).unwrap();
    fs::write(folder.join("currentEpoch"), current).unwrap();
}

fn my_id(ensemble: &Ensemble, id: usize, text: &str) {
    fs::write(ensemble.data(id).unwrap().join("myid"), text).unwrap();
}

const REFUSALS: [Refusal; 7] = [
    Refusal { prepare: |one| my_id(one, 1, "9"), said: "My id 9 not in the peer list", code: 1 },
    Refusal { prepare: |one| my_id(one, 1, "one"), said: "serverid one is not a number", code: 2 },
    Refusal {
        prepare: |one| fs::remove_file(one.data(1).unwrap().join("myid")).unwrap(),
        said: "myid file is missing",
        code: 2,
    },
    Refusal {
        prepare: |one| epochs(one, "0", "0"),
        said: "The current epoch, 0, is older than the last zxid, 429496",
        code: 1,
    },
    Refusal {
        prepare: |one| epochs(one, "1", "2"),
        said: "The accepted epoch, 1 is less than the current epoch, 2",
        code: 1,
    },
    Refusal { prepare: |one| epochs(one, "1", "first"), said: "Found first in ", code: 1 },
    // The same configuration as server 2, which runs.
    Refusal {
        prepare: |one| {
            one.reconfigure(1, "/1/data", "/2/data").unwrap();
            let [own, its] = [1, 2].map(|id| one.host(id).unwrap().split(':').next().unwrap().to_owned());
            one.reconfigure(1, &format!("clientPortAddress={own}"), &format!("clientPortAddress={its}")).unwrap();
        },
        said: "Address already in use",
        code: 1,
    },
];

fn refuses_to_start(kind: Kind) {
    let mut ensemble = Ensemble::new(3, "").unwrap();
    for id in 1..=3 {
        ensemble.start(id, kind).unwrap();
    }
    ensemble.await_leader().unwrap();
    through_each(&ensemble, "before", &mut Vec::new());
    ensemble.stop(1).unwrap();
    let data = ensemble.data(1).unwrap();
    let files = ["../zoo.cfg", "myid", "version-2/acceptedEpoch", "version-2/currentEpoch"].map(|name| data.join(name));
    let kept = files.each_ref().map(|path| fs::read(path).unwrap());
    for refusal in REFUSALS {
        (refusal.prepare)(&ensemble);
        let logged = ensemble.log(1).unwrap().len();
        ensemble.start(1, kind).unwrap();
        let code = ensemble.await_end(1).unwrap();
        let log = ensemble.log(1).unwrap().split_off(logged);
        assert!(log.contains(refusal.said), "{kind:?}: no '{}' in\n{log}", refusal.said);
        assert_eq!(code, Some(refusal.code), "{kind:?}: {}", refusal.said);
        files.iter().zip(&kept).for_each(|(path, content)| fs::write(path, content).unwrap());
    }
    ensemble.start(1, kind).unwrap();
    ensemble.await_leader().unwrap();
}

#[test]
fn a_server_that_can_not_be_is_refused_in_the_words_of_the_original() {
    refuses_to_start(Theirs);
    refuses_to_start(Ours);
}

/// The data of a server whose ensemble has had several leaders.
fn data_of_another_ensemble(kind: Kind, to: &Path) {
    let mut other = Ensemble::new(3, "").unwrap();
    for id in 1..=3 {
        other.start(id, kind).unwrap();
    }
    let mut written = Vec::new();
    for round in 0..3 {
        let leader = other.await_leader().unwrap();
        through_each(&other, &format!("round-{round}"), &mut written);
        other.kill(leader).unwrap();
        other.await_leader().unwrap();
        other.start(leader, kind).unwrap();
    }
    other.await_leader().unwrap();
    other.stop(1).unwrap();
    for entry in fs::read_dir(other.data(1).unwrap().join("version-2")).unwrap() {
        let path = entry.unwrap().path();
        fs::copy(&path, to.join(path.file_name().unwrap())).unwrap();
    }
}

/// A server comes back with the data of an ensemble whose epochs are later. Its history would win an election.
fn stays_out_with_foreign_data(kind: Kind, stranger: Kind) {
    let (mut ensemble, load) = serving(kind, "");
    ensemble.stop(1).unwrap();
    let folder = ensemble.data(1).unwrap().join("version-2");
    fs::remove_dir_all(&folder).unwrap();
    fs::create_dir(&folder).unwrap();
    data_of_another_ensemble(stranger, &folder);
    let before = [2, 3].map(|id| elections(&ensemble, id));
    let logged = ensemble.log(1).unwrap().len();
    ensemble.start(1, stranger).unwrap();
    // How many elections the other ensemble has needed is not known.
    let accepted = fs::read_to_string(folder.join("acceptedEpoch")).unwrap();
    let said = format!(" is less than accepted epoch, {accepted}");
    ensemble.wait(&said, |ensemble| Ok(ensemble.log(1)?[logged..].contains(&said))).unwrap();
    if kind == Ours {
        let said = ": its data directory is another ensemble's";
        ensemble.wait(said, |ensemble| Ok(ensemble.log(3)?.contains(said))).unwrap();
    }
    load.goes_on(&mut ensemble, "foreign data").unwrap();
    assert!(!ensemble.serves(1).unwrap(), "{}", ensemble.log_ends());
    assert_eq!(ensemble.await_leader_without(1).unwrap(), 3);
    assert_eq!([2, 3].map(|id| elections(&ensemble, id)), before, "nobody looked for a leader");
    ensemble.kill(1).unwrap();
    load.account(&ensemble).unwrap();
}

#[test]
fn a_data_directory_of_another_ensemble_is_kept_out() {
    stays_out_with_foreign_data(Theirs, Theirs);
    stays_out_with_foreign_data(Ours, Theirs);
    stays_out_with_foreign_data(Ours, Ours);
}

/// Another server 1, at an address of its own.
fn endures_a_twin(kind: Kind) {
    let (mut ensemble, load) = serving(kind, "");
    let [line, twin] = [1, 4].map(|id| ensemble.line(id).unwrap());
    ensemble.reconfigure(4, &twin, "").unwrap();
    ensemble.reconfigure(4, &line, &twin.replace("server.4", "server.1")).unwrap();
    my_id(&ensemble, 4, "1");
    let before = [2, 3].map(|id| elections(&ensemble, id));
    ensemble.start(4, kind).unwrap();
    if kind == Ours {
        let said = "the same server has connected again";
        ensemble.wait(said, |ensemble| Ok(ensemble.log(3)?.contains(said))).unwrap();
    } else {
        ensemble.wait("the twin to serve", |ensemble| ensemble.serves(4)).unwrap();
    }
    load.goes_on(&mut ensemble, "a twin").unwrap();
    assert_eq!([2, 3].map(|id| elections(&ensemble, id)), before, "nobody looked for a leader");
    ensemble.kill(4).unwrap();
    assert_eq!(ensemble.await_leader().unwrap(), 3);
    load.account(&ensemble).unwrap();
}

#[test]
fn two_servers_with_one_number_harm_nobody_else() {
    endures_a_twin(Theirs);
    endures_a_twin(Ours);
}

/// A server whose list lacks the leader.
fn endures_another_list(kind: Kind) {
    let (mut ensemble, load) = serving(kind, "");
    ensemble.stop(1).unwrap();
    let leader = ensemble.line(3).unwrap();
    ensemble.reconfigure(1, &leader, "").unwrap();
    let before = [2, 3].map(|id| elections(&ensemble, id));
    ensemble.start(1, kind).unwrap();
    let said = "Ignoring notification for non-cluster member sid 3 from sid 2";
    ensemble.wait(said, |ensemble| Ok(ensemble.log(1)?.contains(said))).unwrap();
    load.goes_on(&mut ensemble, "another list").unwrap();
    assert!(!ensemble.serves(1).unwrap());
    assert_eq!([2, 3].map(|id| elections(&ensemble, id)), before, "nobody looked for a leader");
    ensemble.kill(1).unwrap();
    load.account(&ensemble).unwrap();
}

#[test]
fn a_server_with_another_list_is_told_so_and_harms_nobody_else() {
    endures_another_list(Theirs);
    endures_another_list(Ours);
}
