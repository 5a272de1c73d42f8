//! What becomes of each adversary of the race, by the rules alone and in whole networks; and how surely.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use freeway_host::Adversary;
use freeway_ledger::hosts::{self, Profile};
use freeway_ledger::{Message, Text, sprint};
use freeway_primitives::{Address, Amount, Digest, Epoch, SecretKey};
use freeway_proofs::sprint::{Commitment, DeviceCommitment};
use freeway_sim::adversaries::sprint::{Scheme, Seen, all, fake};
use freeway_sim::arena::{Arena, rules};
use freeway_sim::measure::{SHARES, count, count_draws};
use freeway_sim::{Plan, World};

/// Who misbehaves in whole networks: one of five with a fifth of the power.
const BAD: usize = 4;

fn scheme(text: &str) -> Scheme {
    let adversary: Adversary = text.parse().unwrap();
    all().into_iter().find(|scheme| scheme.adversary == adversary).unwrap()
}

/// A whole network with the adversary in it. That the chain goes on, that honest hosts keep what is theirs, that
/// weights follow speeds and that no money is lost are properties of every run.
fn whole_network(text: &str) {
    let scheme = scheme(text);
    let plan = Plan::racing(11, scheme.races, &[300; 5]).with_adversary(BAD, scheme.adversary);
    let mut world = World::new(plan);
    let summary = world.run();
    assert_eq!((summary.races, summary.held), (scheme.races, 0), "{text}: {summary:?}");
    let bad = world.cast().members[BAD].address();
    let seen: Vec<Seen> = world.properties().races.seen(&bad);
    (scheme.law)(&seen).unwrap();
    let cheated = seen.iter().filter(|seen| seen.epoch >= Epoch(scheme.from) && (scheme.occasion)(seen));
    let (cheated, noticed) = (cheated.clone().count(), cheated.filter(|seen| (scheme.noticed)(seen)).count());
    assert!(cheated > 0, "{text}: {seen:?}");
    let expected = (scheme.theory)(scheme.adversary, &world.plan().params.sprint, 700);
    if expected > 0.999 {
        assert_eq!(noticed, cheated, "{text}: {seen:?}");
    } else if expected == 0.0 {
        assert_eq!(noticed, 0, "{text}: {seen:?}");
    }
}

macro_rules! whole_networks {
    ($($name:ident: $text:literal,)*) => {
        $(#[test]
        fn $name() {
            whole_network($text);
        })*
    };
}

whole_networks! {
    made_up_leaves_are_found: "fake:20",
    few_made_up_leaves_are_found_too: "fake:5",
    choosing_what_to_make_up_does_not_help: "grind",
    an_earlier_races_work_is_no_work: "replay",
    work_counts_once: "overcommit:2",
    what_is_not_shown_counts_for_nothing: "withhold",
    a_copied_verdict_is_found_false: "lazy:copy",
    a_guessed_verdict_is_found_false: "lazy:guess",
    slander_costs_its_bond: "accuse",
    who_is_late_is_not_in_the_race: "late",
    rented_hardware_gives_no_power: "rent",
}

/// Counts and theory, for fixed seeds. Three and a half standard deviations: one count in two thousand is off by
/// more, and these do not change.
#[test]
fn counts_agree_with_theory() {
    for scheme in all() {
        let row = count(&scheme, 60, 5);
        assert!(row.deviation().abs() < 3.5, "{row:?}");
        assert_eq!(row.harmed, 0, "{row:?}");
    }
    // Where chance decides: half of one percent would be found in one race of two.
    let row = count(&fake::scheme(Adversary::Fake { percent: 1 }), 250, 6);
    assert!(row.deviation().abs() < 3.5 && row.noticed < row.races, "{row:?}");
}

#[test]
fn draws_agree_with_theory() {
    for (share, choice) in SHARES {
        let row = count_draws(share, choice, 150, 7);
        assert!(row.deviation().abs() < 3.5, "{row:?}");
    }
}

#[test]
fn counting_again_counts_the_same() {
    let counts = || format!("{:?}", count(&scheme("fake:1"), 10, 8));
    assert_eq!(counts(), counts());
}

/// Who could register after the seed is known could compute under many names and enter the best. So whoever
/// registers in an epoch is not in its race, whatever it has computed.
#[test]
fn a_key_made_for_a_known_seed_is_not_in_the_race() {
    let mut arena = Arena::new(1, None);
    while arena.height().0 <= rules().epochs.epoch_blocks {
        arena.block();
    }
    let key = arena.users[0].clone();
    let profile = Profile {
        consensus_key: SecretKey::from_seed([9; 32]).public(),
        endpoints: Vec::new(),
        region: Text::default(),
        operator: Text::new("a new name").unwrap(),
        hardware: Text::default(),
    };
    let device = DeviceCommitment { count: 1_000_000, root: Digest::ZERO };
    let commit = sprint::Message::Commit(Commitment { devices: vec![device] });
    arena.submit(&key, Message::Hosts(hosts::Message::Register { profile, collateral: Amount::fwy(1) }));
    arena.block();
    arena.submit(&key, Message::Sprint(commit));
    arena.block();
    let address = Address::of(&key.public());
    assert!(hosts::HOSTS.get(arena.state(), &address).unwrap().is_some(), "it is registered");
    assert_eq!(arena.refused, [(address, "too_new")]);
}
