//! Lists of servers, as they stand in files and as clients ask for them: who votes, in which groups, on which ports.

use base::Random;

use crate::settings::{ServerId, one_of};

/// The port of a `server.N` line that learners dial, of the first set of ports.
pub(crate) const QUORUM_PORT: u16 = 2888;
const ELECTION_PORT: u16 = 3888;
const CLIENT_PORT: u16 = 2181;
/// How far the ports of two sets are apart.
const SET: u16 = 100;
const SETS: u16 = 3;
const GROUPS: u64 = 3;

/// What lists of a run are like.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Shape {
    /// Voters are in groups and have weights, of which one is 0.
    pub(crate) grouped: bool,
    /// Servers get other ports, of which the third is for clients.
    pub(crate) moves: bool,
}

impl Shape {
    /// What follows `server.N=`, with a set of ports.
    pub(crate) fn line(self, id: ServerId, votes: bool, set: u16) -> String {
        let part = if votes { "participant" } else { "observer" };
        let shift = SET * set;
        let addresses = format!("s{id}:{}:{}:{part}", QUORUM_PORT + shift, ELECTION_PORT + shift);
        match self.moves {
            true => format!("{addresses};s{id}:{}", CLIENT_PORT + shift),
            false => addresses,
        }
    }

    /// The lines of a list with these servers, in the order in which servers tell them.
    pub(crate) fn lines(self, servers: &[(ServerId, bool, u16)], random: &mut Random) -> Vec<String> {
        let line = |(id, votes, set): &(ServerId, bool, u16)| format!("server.{id}={}", self.line(*id, *votes, *set));
        let mut lines: Vec<String> = servers.iter().map(line).collect();
        if self.grouped {
            let voters: Vec<ServerId> = servers.iter().filter(|(_, votes, _)| *votes).map(|(id, ..)| *id).collect();
            lines.extend(groups(&voters, random));
        }
        lines
    }

    /// Any other list, of two voters at least; the fewer there are, the less it has in common with the one before.
    pub(crate) fn any(self, servers: ServerId, random: &mut Random) -> String {
        let sure = random.below(servers);
        let sure = [1 + sure, 1 + (sure + 1) % servers];
        let voters_of_six = one_of(random, [0, 1, 2, 4]);
        let mut listed = Vec::new();
        for id in 1..=servers {
            let set = if self.moves && random.below(3) == 0 { random.below(SETS.into()) as u16 } else { 0 };
            match random.below(6) {
                _ if sure.contains(&id) => listed.push((id, true, set)),
                drawn if drawn < voters_of_six => listed.push((id, true, set)),
                5 => listed.push((id, false, set)),
                _ => {}
            }
        }
        self.lines(&listed, random).join(",")
    }
}

/// Groups and weights of voters. A group of no weight does not count, and its voter may be alone in it.
fn groups(voters: &[ServerId], random: &mut Random) -> Vec<String> {
    let count = GROUPS.min(voters.len() as u64);
    let members = |group: u64| {
        let of_group = voters.iter().enumerate().filter(|(index, _)| *index as u64 % count == group);
        let ids: Vec<String> = of_group.map(|(_, id)| id.to_string()).collect();
        format!("group.{}={}", group + 1, ids.join(":"))
    };
    let mut lines: Vec<String> = (0..count).map(members).collect();
    let without = (voters.len() > 3).then(|| random.below(voters.len() as u64) as usize);
    for (index, id) in voters.iter().enumerate() {
        let weight = one_of(random, [1, 1, 2, 3]);
        lines.push(format!("weight.{id}={}", if Some(index) == without { 0 } else { weight }));
    }
    lines
}
