//! Which servers are enough, and how they reach each other, in ensembles of both kinds: groups and weights (`group.N`, `weight.N`),
//! and servers with several addresses (`multiAddress.enabled`).

use interop::{Ensemble, Kind, python};

use Kind::{Ours, Theirs};

use crate::zookeeper_ensemble::through_each;

/// Servers 3 and 5 win two of three groups; 1, 2 and 4 win one: of their group, 3 has more than the half.
const GROUPS: &str = "group.1=1:2:3\ngroup.2=4\ngroup.3=5\nweight.3=3\n";

fn dump(ensemble: &Ensemble) {
    let finished = python("zookeeper_ensemble.py", &["dump", &ensemble.hosts()]).unwrap();
    finished.success().unwrap_or_else(|error| panic!("{error}\n{}", ensemble.log_ends()));
}

/// A minority that is enough by weight, and a majority that is not.
fn counts_weights(kinds: [Kind; 5]) {
    let mut written = Vec::new();
    let mut ensemble = Ensemble::new(5, GROUPS).unwrap();
    for ids in [&[5, 3][..], &[1, 2, 4]] {
        for id in ids {
            ensemble.start(*id, kinds[id - 1]).unwrap();
        }
        assert_eq!(ensemble.await_leader().unwrap(), 5, "{kinds:?}");
        through_each(&ensemble, &format!("with-{}", ids.len()), &mut written);
    }
    ensemble.kill(3).unwrap();
    assert_eq!(ensemble.await_leader().unwrap(), 5, "{kinds:?}: groups 2 and 3 are enough");
    through_each(&ensemble, "without-3", &mut written);

    let left = [1, 2, 4];
    // An original tells of votes that come to nothing.
    let original = left.into_iter().find(|id| kinds[id - 1] == Theirs).unwrap();
    let before = ensemble.log(original).unwrap().len();
    ensemble.kill(5).unwrap();
    let has_voted_in_vain = |ensemble: &Ensemble| {
        Ok(ensemble.log(original)?.split_off(before).matches("Notification time out").count() >= 3)
    };
    ensemble.wait("votes that come to nothing", has_voted_in_vain).unwrap();
    for id in left {
        assert!(
            !ensemble.serves(id).unwrap(),
            "{kinds:?}: server {id} serves without a quorum\n{}",
            ensemble.log_ends()
        );
    }
    ensemble.start(3, kinds[2]).unwrap();
    assert_eq!(ensemble.await_leader().unwrap(), 4, "{kinds:?}: groups 1 and 2 are enough");
    through_each(&ensemble, "without-5", &mut written);
    dump(&ensemble);
}

#[test]
fn groups_and_weights_decide_in_mixed_ensembles() {
    counts_weights([Theirs, Ours, Theirs, Theirs, Ours]);
    counts_weights([Ours, Theirs, Ours, Ours, Theirs]);
}

/// The line of `zoo.cfg` is not enough for the original.
const MULTIPLE: &[&str] = &["-Dzookeeper.multiAddress.enabled=true"];

/// All servers have two addresses, and lose the first: nothing comes from there any more. They agree by the others; who starts
/// then has an address that it can't listen at.
fn goes_on_by_other_addresses(kinds: [Kind; 3]) {
    let mut written = Vec::new();
    let mut ensemble = Ensemble::with_second_addresses(3).unwrap();
    for id in [3, 2, 1] {
        ensemble.start_with(id, kinds[id - 1], MULTIPLE).unwrap();
    }
    ensemble.await_leader().unwrap();
    through_each(&ensemble, "two", &mut written);
    for id in 1..=3 {
        ensemble.remove_second_address(id).unwrap();
    }
    let moved = |ensemble: &Ensemble| Ok(ensemble.links_by_second_addresses()? == 0);
    ensemble.wait("servers to find that an address is gone", moved).unwrap();
    let leader = ensemble.await_leader().unwrap();
    through_each(&ensemble, "one", &mut written);
    ensemble.kill(leader).unwrap();
    ensemble.await_leader().unwrap();
    through_each(&ensemble, "without", &mut written);
    ensemble.start_with(leader, kinds[leader - 1], MULTIPLE).unwrap();
    ensemble.await_leader().unwrap();
    through_each(&ensemble, "back", &mut written);
    dump(&ensemble);
}

#[test]
fn servers_with_two_addresses_go_on_with_one() {
    goes_on_by_other_addresses([Theirs, Ours, Ours]);
    goes_on_by_other_addresses([Ours, Theirs, Theirs]);
}
