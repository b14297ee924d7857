//! One elector, what it hears and what it does.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use zk_zab::PeerState::{Following, Leading, Looking, Observing};
use zk_zab::{ElectionSettings, Electorate, Notification, PeerState, Quorum, ServerId, Vote, Voter};

use crate::elector::{CONFIG, Did, Elector, electorate, said, vote};

fn of(voters: ServerId) -> Quorum {
    Quorum::majority(0, 1..=voters, [])
}

fn told(peers: &[ServerId], vote: Vote, round: i64) -> Did {
    Did::Told(peers.to_vec(), Looking, vote, round)
}

#[test]
fn at_a_first_start_the_greatest_number_wins_and_all_heard_ends_the_wait() {
    let mut one = Elector::new(1, of(3));
    assert_eq!(one.look(0, 0), [told(&[2, 3], vote(1, 0, 0), 1)]);
    // A better vote is taken over, and everybody hears of it; a quorum agrees, but 3 may know better.
    assert_eq!(one.hears(2, Looking, vote(2, 0, 0), 1), [told(&[2, 3], vote(2, 0, 0), 1)]);
    // It does. All were heard, but 2 is not known to agree with 1 and 3: these two are a quorum, and that's it.
    let expected = [told(&[2, 3], vote(3, 0, 0), 1), Did::Elected(vote(3, 0, 0), Following)];
    assert_eq!(one.hears(3, Looking, vote(3, 0, 0), 1), expected);
    assert_eq!(one.election.deadline(), None);
}

#[test]
fn later_epochs_beat_longer_logs_and_longer_logs_beat_greater_numbers() {
    for (better, worse) in [
        (vote(1, 5, 2), vote(3, 9, 1)),
        (vote(1, 6, 1), vote(3, 5, 1)),
        (vote(3, 5, 1), vote(1, 5, 1)),
        (vote(1, 0, 0), vote(3, i64::MIN, 0)),
    ] {
        let mut two = Elector::new(2, of(5));
        two.look(-5, -1);
        assert_eq!(two.hears(1, Looking, worse, 1), [told(&[1, 3, 4, 5], worse, 1)]);
        assert_eq!(two.hears(3, Looking, better, 1), [told(&[1, 3, 4, 5], better, 1)]);
        assert_eq!(two.hears(4, Looking, worse, 1), [], "{worse:?} is no better than {better:?}");
    }
}

#[test]
fn a_quorum_waits_200_ms_for_a_voter_that_is_silent() {
    let mut two = Elector::new(2, of(3));
    two.look(0, 0);
    assert_eq!(two.hears(1, Looking, vote(2, 0, 0), 1), []);
    assert_eq!(two.waits(), (200, vec![Did::Elected(vote(2, 0, 0), Leading)]));
}

#[test]
fn a_better_vote_within_the_wait_begins_it_again() {
    let mut two = Elector::new(2, of(5));
    two.look(0, 0);
    two.hears(1, Looking, vote(2, 0, 0), 1);
    two.hears(3, Looking, vote(2, 0, 0), 1);
    two.now = two.now.plus_ms(150);
    assert_eq!(two.hears(4, Looking, vote(4, 0, 0), 1), [told(&[1, 3, 4, 5], vote(4, 0, 0), 1)]);
    let (_, did) = two.waits();
    assert_eq!(did, [told(&[1, 3, 4, 5], vote(4, 0, 0), 1)], "no quorum, so everybody is told again");
    two.hears(1, Looking, vote(4, 0, 0), 1);
    two.hears(3, Looking, vote(4, 0, 0), 1);
    assert_eq!(two.waits(), (200, vec![Did::Elected(vote(4, 0, 0), Following)]));
}

#[test]
fn a_vote_that_goes_over_to_another_ends_the_wait() {
    let mut two = Elector::new(2, of(5));
    two.look(7, 1);
    two.hears(1, Looking, vote(2, 7, 1), 1);
    two.hears(3, Looking, vote(2, 7, 1), 1);
    two.hears(3, Following, vote(5, 7, 1), 1);
    assert_eq!(two.waits(), (200, vec![told(&[1, 3, 4, 5], vote(2, 7, 1), 1)]));
}

/// A voter that was there before: it led.
fn two_that_followed_three() -> Elector {
    let mut two = Elector::new(2, of(3));
    assert_eq!(two.hears(3, Leading, vote(3, 0, 0), 0), []);
    two
}

#[test]
fn nobody_waits_for_voters_out_of_reach() {
    let mut two = two_that_followed_three();
    two.look(0, 0);
    two.hears(1, Looking, vote(2, 0, 0), 1);
    assert_eq!(two.loses(3), [Did::Elected(vote(2, 0, 0), Leading)]);

    // As a leader dies, its connection ends first.
    let mut two = two_that_followed_three();
    assert_eq!(two.loses(3), []);
    two.look(0, 0);
    assert_eq!(two.hears(1, Looking, vote(2, 0, 0), 1), [Did::Elected(vote(2, 0, 0), Leading)]);

    // It has its leader already, in this round: it was heard.
    let mut two = Elector::new(2, of(3));
    two.look(0, 0);
    two.hears(3, Looking, vote(3, 0, 0), 1);
    assert_eq!(two.hears(1, Following, vote(3, 0, 0), 1), [Did::Elected(vote(3, 0, 0), Following)]);

    // It is back: it is waited for.
    let mut two = two_that_followed_three();
    two.look(0, 0);
    two.loses(3);
    two.hears(3, Looking, vote(3, -1, 0), 1);
    assert_eq!(two.hears(1, Looking, vote(2, 0, 0), 1), []);
}

/// At a first start 1 votes for 2, and for 3 as soon as that has started: if 2 had not waited, it would lead nobody, and not look again
/// before `initLimit` is over.
#[test]
fn a_voter_that_was_never_heard_of_may_be_starting() {
    let mut two = Elector::new(2, of(3));
    two.look(0, 0);
    assert_eq!(two.loses(3), []);
    assert_eq!(two.hears(1, Looking, vote(2, 0, 0), 1), []);
    assert_eq!(two.loses(3), [], "it is tried again meanwhile");
    two.now = two.now.plus_ms(5);
    let elected = Did::Elected(vote(3, 0, 0), Following);
    assert_eq!(two.hears(3, Looking, vote(3, 0, 0), 1), [told(&[1, 3], vote(3, 0, 0), 1), elected]);

    // Whether it does not come is known after 200 ms.
    let mut two = Elector::new(2, of(3));
    two.look(0, 0);
    two.hears(1, Looking, vote(2, 0, 0), 1);
    two.loses(3);
    let begun = two.now;
    let did = loop {
        let (_, did) = two.waits();
        if did.iter().any(|did| matches!(did, Did::Elected(..))) {
            break did;
        }
    };
    assert_eq!((did, two.now), (vec![Did::Elected(vote(2, 0, 0), Leading)], begun.plus_ms(200)));
}

#[test]
fn the_only_voter_elects_itself_at_once() {
    let mut one = Elector::new(1, of(1));
    assert_eq!(one.look(4, 1), [Did::Elected(vote(1, 4, 1), Leading)]);
}

#[test]
fn a_later_server_joins_when_a_quorum_follows_and_the_leader_says_so() {
    let mut three = Elector::new(3, of(3));
    three.look(9, 1);
    assert_eq!(three.hears(1, Following, vote(2, 4, 1), 7), []);
    let elected = Did::Elected(vote(2, 4, 1), Following);
    assert_eq!(three.hears(2, Leading, vote(2, 4, 1), 7), [elected]);
    assert_eq!(three.election.round(), 7, "it is in their round now");
}

#[test]
fn a_leader_that_does_not_say_that_it_leads_is_not_elected() {
    let mut three = Elector::new(3, of(5));
    three.look(0, 0);
    for from in [1, 4, 5] {
        assert_eq!(three.hears(from, Following, vote(2, 0, 0), 4), [], "2 may be dead");
    }
    assert_eq!(three.hears(2, Following, vote(2, 0, 0), 4), []);
    assert_eq!(three.hears(2, Leading, vote(2, 0, 0), 4), [Did::Elected(vote(2, 0, 0), Following)]);
}

#[test]
fn in_one_round_followers_and_the_leader_are_believed_together() {
    let mut three = Elector::new(3, of(5));
    three.look(0, 0);
    three.hears(5, Leading, vote(5, 0, 0), 1);
    three.hears(1, Following, vote(5, 0, 0), 1);
    assert_eq!(three.hears(2, Following, vote(5, 0, 0), 1), [Did::Elected(vote(5, 0, 0), Following)]);
}

#[test]
fn a_server_leads_if_its_round_says_so_and_not_on_the_word_of_an_earlier_one() {
    let mut two = Elector::new(2, of(5));
    two.look(0, 0);
    two.hears(1, Following, vote(2, 0, 0), 1);
    // It votes for itself too.
    assert_eq!(two.hears(3, Following, vote(2, 0, 0), 1), [Did::Elected(vote(2, 0, 0), Leading)]);

    let mut two = Elector::new(2, of(3));
    two.look(0, 0);
    two.hears(1, Following, vote(2, 0, 0), 9);
    assert_eq!(two.hears(3, Following, vote(2, 0, 0), 9), [], "it led before it was started again");
}

#[test]
fn rounds_and_zxids_of_followers_may_differ_but_not_epochs() {
    let mut five = Elector::new(5, of(5));
    five.look(0, 0);
    five.hears(1, Following, vote(3, 4, 2), 7);
    five.hears(3, Leading, vote(3, 8, 2), 8);
    assert_eq!(five.hears(2, Following, vote(3, 8, 1), 7), [], "of an earlier epoch");
    assert_eq!(five.hears(4, Following, vote(3, 5, 2), 6), [Did::Elected(vote(3, 5, 2), Following)]);
}

#[test]
fn servers_from_before_3_4_6_have_another_idea_of_the_epoch() {
    let mut five = Elector::new(5, of(5));
    five.look(0, 0);
    let old = |state, epoch| Notification { version: 0, config: None, ..said(state, vote(3, 0, epoch), 7) };
    five.receives(1, &old(Following, 1));
    five.receives(3, &old(Leading, 1));
    assert_eq!(five.hears(2, Following, vote(3, 0, 2), 7), [Did::Elected(vote(3, 0, 2), Following)]);
}

#[test]
fn what_a_follower_said_is_forgotten_when_it_looks_again_or_is_out_of_reach() {
    let mut three = Elector::new(3, of(5));
    three.look(0, 0);
    three.hears(1, Following, vote(2, 0, 0), 4);
    three.hears(4, Following, vote(2, 0, 0), 4);
    three.loses(4);
    three.hears(1, Looking, vote(1, 0, 0), 0);
    assert_eq!(three.hears(2, Leading, vote(2, 0, 0), 4), []);
    three.hears(5, Following, vote(2, 0, 0), 4);
    assert_eq!(three.hears(1, Following, vote(2, 0, 0), 4), [Did::Elected(vote(2, 0, 0), Following)]);
}

#[test]
fn a_later_round_clears_the_votes_and_an_earlier_one_is_told() {
    let mut two = Elector::new(2, of(5));
    two.look(5, 1);
    two.hears(3, Looking, vote(3, 5, 1), 1);
    two.hears(4, Looking, vote(3, 5, 1), 1);
    // Round 6: 3's earlier vote counts no more, its own history is the start, and 1 has less.
    assert_eq!(two.hears(1, Looking, vote(1, 4, 1), 6), [told(&[1, 3, 4, 5], vote(2, 5, 1), 6)]);
    assert_eq!(two.hears(3, Looking, vote(3, 9, 1), 1), [told(&[3], vote(2, 5, 1), 6)], "only 3, and not counted");
    assert_eq!(two.hears(4, Looking, vote(4, 9, 1), 7), [told(&[1, 3, 4, 5], vote(4, 9, 1), 7)]);
    assert_eq!(two.election.round(), 7);
}

#[test]
fn who_was_heard_in_an_earlier_round_is_waited_for_in_the_next() {
    let mut two = Elector::new(2, of(3));
    two.look(0, 0);
    two.hears(3, Looking, vote(2, 0, 0), 1);
    assert_eq!(two.hears(1, Looking, vote(1, 0, 0), 2), [told(&[1, 3], vote(2, 0, 0), 2)]);
    assert_eq!(two.hears(1, Looking, vote(2, 0, 0), 2), []);
    assert_eq!(two.waits(), (200, vec![Did::Elected(vote(2, 0, 0), Leading)]));
}

#[test]
fn rounds_beyond_the_last_go_on() {
    let mut two = Elector::new(2, of(3));
    two.look(0, 0);
    two.hears(1, Looking, vote(2, 0, 0), i64::MAX);
    two.waits();
    two.look(0, 0);
    assert_eq!(two.election.round(), i64::MIN, "as Java counts");
}

#[test]
fn everybody_is_told_again_after_200_ms_doubling_to_a_minute() {
    let mut two = Elector::new(2, of(3));
    two.look(0, 0);
    let mut waited = Vec::new();
    for _ in 0..11 {
        let (ms, did) = two.waits();
        assert_eq!(did, [told(&[1, 3], vote(2, 0, 0), 1)]);
        waited.push(ms);
    }
    assert_eq!(waited, [200, 400, 800, 1600, 3200, 6400, 12_800, 25_600, 51_200, 60_000, 60_000]);
}

#[test]
fn a_voter_out_of_reach_is_told_again_within_a_second() {
    let mut two = Elector::new(2, of(5));
    two.look(0, 0);
    two.now = two.now.plus_ms(10);
    for pause in [200, 400, 800, 1000, 1000] {
        assert_eq!(two.loses(3), []);
        let due = two.now.plus_ms(pause);
        while two.now < due {
            let (_, did) = two.waits();
            let everybody = told(&[1, 3, 4, 5], vote(2, 0, 0), 1);
            assert_eq!(did, [if two.now < due { everybody } else { told(&[3], vote(2, 0, 0), 1) }]);
        }
    }
    // Heard again: no more of it.
    two.loses(3);
    two.hears(3, Looking, vote(2, 0, 0), 1);
    assert_eq!(two.waits().1, [told(&[1, 3, 4, 5], vote(2, 0, 0), 1)]);
}

#[test]
fn past_the_election_those_who_look_are_answered_and_nobody_else() {
    let mut two = Elector::new(2, of(3));
    two.look(0, 0);
    two.hears(1, Looking, vote(2, 0, 0), 1);
    two.waits();
    let answer = |epoch| Did::Told(vec![3], Leading, vote(2, 0, epoch), 1);
    assert_eq!(two.hears(3, Looking, vote(3, 0, 0), 1), [Did::StillLooking(3), answer(0)]);
    two.election.update_vote(1);
    assert_eq!(two.hears(3, Looking, vote(3, 0, 0), 5), [Did::StillLooking(3), answer(1)]);
    assert_eq!(two.hears(1, Following, vote(2, 0, 1), 1), []);
    assert_eq!(two.loses(1), []);

    let mut one = Elector::new(1, of(3));
    one.look(0, 0);
    one.hears(2, Looking, vote(2, 0, 0), 1);
    one.waits();
    assert_eq!(one.hears(3, Looking, vote(3, 0, 0), 1), [Did::Told(vec![3], Following, vote(2, 0, 0), 1)]);
}

/// The leader has died: server 3 knows that a moment earlier than server 1.
#[test]
fn a_vote_that_comes_a_moment_too_early_is_counted() {
    let follower = || {
        let mut one = Elector::new(1, of(3));
        one.look(0, 0);
        one.hears(2, Looking, vote(2, 0, 0), 1);
        one.waits();
        one.loses(2);
        one
    };
    let mut one = follower();
    one.hears(3, Looking, vote(3, 5, 1), 2);
    let agrees = told(&[2, 3], vote(3, 5, 1), 2);
    assert_eq!(
        one.look(5, 1),
        [told(&[2, 3], vote(1, 5, 1), 2), agrees, Did::Elected(vote(3, 5, 1), Following)],
        "nobody is left to be waited for"
    );

    let mut one = follower();
    one.hears(3, Looking, vote(3, 5, 1), 2);
    one.now = one.now.plus_ms(200);
    assert_eq!(one.look(5, 1), [told(&[2, 3], vote(1, 5, 1), 2)], "it may have found another leader since");

    let mut one = follower();
    one.hears(3, Looking, vote(3, 5, 1), 2);
    one.loses(3);
    assert_eq!(one.look(5, 1), [told(&[2, 3], vote(1, 5, 1), 2)], "it is gone");
}

/// Its disk hangs: it has left the others, and can't begin to look for a leader yet.
#[test]
fn a_server_between_two_parts_says_nothing_and_counts_what_it_heard() {
    let mut three = Elector::new(3, of(3));
    three.look(5, 1);
    three.hears(1, Looking, vote(3, 5, 1), 1);
    three.hears(2, Looking, vote(3, 5, 1), 1);
    let leads = Did::Told(vec![1], Leading, vote(3, 5, 1), 1);
    assert_eq!(three.hears(1, Looking, vote(1, 5, 1), 2), [Did::StillLooking(1), leads]);
    three.now = three.now.plus_ms(1000);
    three.election.role_ended(three.now);
    assert_eq!(three.hears(2, Looking, vote(2, 6, 1), 2), [], "it leads no more");
    three.now = three.now.plus_ms(30_000);
    let own = told(&[1, 2], vote(3, 5, 1), 2);
    assert_eq!(three.look(5, 1), [own, told(&[1, 2], vote(2, 6, 1), 2)], "the other's vote was of another time");
    assert_eq!(three.waits(), (200, vec![Did::Elected(vote(2, 6, 1), Following)]));
}

#[test]
fn a_leader_named_by_a_reconfiguration_is_told_too() {
    let mut one = Elector::new(1, of(3));
    one.look(0, 0);
    one.election.settled(Following, vote(3, 8, -1));
    assert_eq!(one.election.deadline(), None);
    assert_eq!(one.hears(2, Looking, vote(2, 0, 0), 1), [Did::Told(vec![2], Following, vote(3, 8, -1), -1)]);
}

#[test]
fn a_server_without_history_is_not_counted_and_does_not_count() {
    let mut two = Elector::new(2, of(3));
    two.look(-1, 0);
    two.hears(1, Looking, vote(3, 0, 0), 1);
    two.hears(3, Looking, vote(3, 0, 0), 1);
    assert_eq!(two.waits().1, [told(&[1, 3], vote(2, -1, 0), 1)], "they are a quorum, it has no say");
    two.hears(1, Following, vote(3, 0, 0), 1);
    assert_eq!(two.hears(3, Leading, vote(3, 0, 0), 1), [Did::Elected(vote(3, 0, 0), Following)]);

    let mut two = Elector::new(2, of(3));
    two.look(0, 0);
    assert_eq!(two.hears(3, Looking, vote(3, -1, 5), 9), []);
    assert_eq!(two.election.round(), 1);
}

#[test]
fn votes_of_and_for_servers_without_a_vote_do_not_count() {
    let mut two = Elector::new(2, Quorum::majority(0, [1, 2, 3], [4]));
    two.look(0, 0);
    assert_eq!(two.hears(1, Looking, vote(9, 9, 9), 1), [Did::Ignored(1, 9)]);
    assert_eq!(two.hears(1, Looking, vote(4, 9, 9), 1), [Did::Ignored(1, 4)]);
    assert_eq!(two.hears(1, Observing, vote(3, 9, 9), 1), []);
    // Observers and joiners get an answer, and no more.
    for stranger in [4, 9] {
        let answer = told(&[stranger], vote(2, 0, 0), 1);
        assert_eq!(two.hears(stranger, Looking, vote(3, 9, 9), 9), [answer]);
    }
    two.hears(1, Looking, vote(2, 0, 0), 1);
    two.waits();
    assert_eq!(
        two.hears(4, Looking, vote(i64::MIN, i64::MIN, i64::MIN), 3),
        [Did::Told(vec![4], Leading, vote(2, 0, 0), 1)]
    );
}

#[test]
fn answers_to_servers_without_a_vote_are_limited() {
    let mut two = Elector::new(2, of(3));
    two.look(0, 0);
    let count = |two: &mut Elector| (0..5000).filter(|_| !two.hears(9, Looking, vote(9, 0, 0), 1).is_empty()).count();
    assert_eq!(count(&mut two), 1000);
    two.now = two.now.plus_ms(1000);
    assert_eq!(count(&mut two), 1000);
}

#[test]
fn an_observer_votes_for_nobody_and_follows_the_vote_of_a_quorum() {
    let quorum = Quorum::majority(0, [1, 2, 3], [4]);
    let mut four = Elector::with(4, true, electorate(quorum), ElectionSettings::default());
    let nobody = vote(i64::MIN, i64::MIN, i64::MIN);
    assert_eq!(four.look(77, 3), [told(&[1, 2, 3], nobody, 1)]);
    assert_eq!(four.hears(1, Looking, vote(3, 5, 1), 6), [told(&[1, 2, 3], vote(3, 5, 1), 6)]);
    assert_eq!(four.hears(2, Looking, vote(3, 5, 1), 6), []);
    assert_eq!(four.waits(), (200, vec![Did::Elected(vote(3, 5, 1), Observing)]));
    assert_eq!(four.hears(1, Looking, vote(1, 0, 0), 7), [Did::Told(vec![1], Observing, vote(3, 5, 1), 6)]);
    // Again, now that there is a leader.
    four.look(77, 3);
    four.hears(1, Following, vote(3, 5, 2), 6);
    assert_eq!(four.hears(3, Leading, vote(3, 5, 2), 6), [Did::Elected(vote(3, 5, 2), Observing)]);
}

#[test]
fn a_joiner_that_is_no_observer_shows_its_history_and_follows() {
    let mut nine = Elector::new(9, of(3));
    assert_eq!(nine.look(77, 3), [told(&[1, 2, 3], vote(i64::MIN, 77, 3), 1)]);
    nine.hears(1, Following, vote(3, 5, 2), 6);
    assert_eq!(nine.hears(3, Leading, vote(3, 5, 2), 6), [Did::Elected(vote(3, 5, 2), Following)]);
}

/// Groups {1, 2, 3} and {4, 5, 6} and {7, 8, 9}; 9 weighs nothing.
fn three_groups() -> Quorum {
    let voter = |id: ServerId| (id, Voter { weight: i64::from(id != 9), group: (id - 1) / 3 });
    Quorum::hierarchical(0, (1..=9).map(voter).collect::<BTreeMap<_, _>>(), [])
}

#[test]
fn in_groups_a_quorum_is_most_of_most_groups_and_no_weight_never_wins() {
    let mut one = Elector::new(1, three_groups());
    one.look(0, 0);
    assert_eq!(one.hears(9, Looking, vote(9, 99, 9), 1), [], "weightless");
    one.hears(8, Looking, vote(8, 0, 0), 1);
    for from in [2, 3, 4] {
        assert_eq!(one.hears(from, Looking, vote(8, 0, 0), 1), []);
    }
    let (_, did) = one.waits();
    assert_eq!(did, [told(&[2, 3, 4, 5, 6, 7, 8, 9], vote(8, 0, 0), 1)], "five of nine, but of one group alone");
    one.hears(6, Looking, vote(8, 0, 0), 1);
    assert_eq!(one.waits(), (200, vec![Did::Elected(vote(8, 0, 0), Following)]));
}

#[test]
fn while_a_list_is_being_replaced_both_must_agree() {
    let next = Some(Arc::new(Quorum::majority(1, [1, 2, 4, 5, 6], [])));
    let mut two = Elector::with(2, false, Electorate { next, ..electorate(of(3)) }, ElectionSettings::default());
    assert_eq!(two.look(0, 0), [told(&[1, 3, 4, 5, 6], vote(2, 0, 0), 1)]);
    two.hears(3, Looking, vote(2, 0, 0), 1);
    two.hears(1, Looking, vote(2, 0, 0), 1);
    assert_eq!(two.waits().1, [told(&[1, 3, 4, 5, 6], vote(2, 0, 0), 1)], "two of the next five");
    two.hears(4, Looking, vote(2, 0, 0), 1);
    assert_eq!(two.waits(), (200, vec![Did::Elected(vote(2, 0, 0), Leading)]));
}

/// Server 3 observes by the list in force and votes by the next one. It has looked more often than the others.
#[test]
fn a_voter_of_the_next_list_that_is_none_yet_takes_the_others_into_its_round() {
    let next = Some(Arc::new(Quorum::majority(1, [2, 3], [])));
    let lists = Electorate { next, ..electorate(Quorum::majority(0, [1, 2], [3])) };
    let mut two = Elector::with(2, false, lists, ElectionSettings::default());
    two.look(7, 1);
    two.hears(1, Looking, vote(2, 7, 1), 1);
    let nobody = vote(i64::MIN, i64::MIN, i64::MIN);
    assert_eq!(two.hears(3, Looking, nobody, 4), [told(&[1, 3], vote(2, 7, 1), 4)]);
    assert_eq!(two.hears(3, Looking, nobody, 4), [], "once");
    assert_eq!(two.hears(3, Looking, vote(2, 7, 1), 4), []);
    assert_eq!(two.hears(1, Looking, vote(2, 7, 1), 4), [Did::Elected(vote(2, 7, 1), Leading)]);
}

/// Server 3 has logged most, may not be elected by the list in force, and the next one can't do without it. To elect another is not safe: if the
/// next list was in force before the power went off, server 3 may hold what it has committed. So in the original, where 3 does not take a
/// worse vote, and nobody counts one for nobody. `docs/operations/reconfiguration.md` has what is to be done.
#[test]
fn a_voter_of_the_next_list_alone_that_is_ahead_keeps_everybody_waiting() {
    let lists = || {
        let next = Some(Arc::new(Quorum::majority(1, [2, 3], [])));
        Electorate { next, ..electorate(Quorum::majority(0, [1, 2], [])) }
    };
    let mut three = Elector::with(3, false, lists(), ElectionSettings::default());
    let nobody = vote(i64::MIN, 9, 1);
    assert_eq!(three.look(9, 1), [told(&[1, 2], nobody, 1)]);
    assert_eq!(three.hears(1, Looking, vote(2, 7, 1), 1), []);
    assert_eq!(three.hears(2, Looking, vote(2, 7, 1), 1), []);
    let mut two = Elector::with(2, false, lists(), ElectionSettings::default());
    two.look(7, 1);
    two.hears(1, Looking, vote(2, 7, 1), 1);
    assert_eq!(two.hears(3, Looking, nobody, 1), []);
    assert_eq!(two.waits().1, [told(&[1, 3], vote(2, 7, 1), 1)], "and so on");
    // What 3 has is given to 2.
    let mut two = Elector::with(2, false, lists(), ElectionSettings::default());
    two.look(9, 1);
    two.hears(1, Looking, vote(2, 9, 1), 1);
    assert_eq!(two.hears(3, Looking, vote(2, 9, 1), 1), [Did::Elected(vote(2, 9, 1), Leading)]);
}

/// Else the server that the next list needs could not come back, and that list would wait for it for ever.
#[test]
fn a_leader_that_there_is_is_found_by_the_list_in_force() {
    let next = Some(Arc::new(Quorum::majority(1, [2, 4, 5], [])));
    let mut two = Elector::with(2, false, Electorate { next, ..electorate(of(3)) }, ElectionSettings::default());
    two.look(7, 1);
    assert_eq!(two.hears(1, Following, vote(3, 5, 2), 6), []);
    assert_eq!(two.hears(3, Leading, vote(3, 5, 2), 6), [Did::Elected(vote(3, 5, 2), Following)]);
}

#[test]
fn a_newer_list_of_servers_is_handed_over_and_the_vote_not_counted() {
    let newer = |state| {
        Notification::new(state, vote(3, 9, 9), 5, Bytes::from_static(b"server.1=b:1:2:participant\nversion=a"))
    };
    let settings = ElectionSettings { reconfig_enabled: true, ..ElectionSettings::default() };
    let mut two = Elector::with(2, false, electorate(of(3)), settings);
    two.look(0, 0);
    assert_eq!(two.receives(3, &newer(Following)), [Did::NewerConfig(3)]);
    assert_eq!(two.election.round(), 1);
    // The owner takes it over. What is of the same version is counted.
    two.election.set_electorate(false, electorate(Quorum::majority(0xa, [1, 2, 3], [])));
    two.look(0, 0);
    assert_eq!(two.receives(3, &newer(Looking)), [told(&[1, 3], vote(3, 9, 9), 5)]);

    // It may come from a server that only the newer list has.
    let mut two = Elector::with(2, false, electorate(of(3)), settings);
    two.look(0, 0);
    assert_eq!(two.receives(7, &newer(Looking)), [Did::NewerConfig(7)]);

    // Reconfiguration is off.
    let mut two = Elector::new(2, of(3));
    two.look(0, 0);
    assert_eq!(two.receives(3, &newer(Looking)), [told(&[1, 3], vote(3, 9, 9), 5)]);
}

#[test]
fn nothing_is_said_before_the_first_look_nor_to_oneself() {
    let mut two = Elector::new(2, of(3));
    for from in [1, 2, 9] {
        assert_eq!(two.hears(from, Looking, vote(3, 0, 0), 1), []);
    }
    assert_eq!(two.loses(1), []);
    assert_eq!(two.election.deadline(), None);
    two.look(0, 0);
    assert_eq!(two.hears(2, Looking, vote(3, 9, 9), 9), [], "a mirror");
    assert_eq!(two.loses(2), []);
    assert_eq!(PeerState::Looking.to_string(), "LOOKING");
    assert!(CONFIG.ends_with("version=0"));
}

/// A server that was started again with other data is no voter of before: as a learner it may come before its vote does.
#[test]
fn what_a_lost_peer_voted_is_forgotten() {
    let mut one = Elector::new(1, of(3));
    one.look(0, 0);
    one.hears(3, Looking, vote(3, 0, 4), 1);
    assert_eq!(one.election.voted_epoch(3), Some(4));
    one.loses(3);
    assert_eq!(one.election.voted_epoch(3), None);
}
