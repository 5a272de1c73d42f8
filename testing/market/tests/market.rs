//! Small versions of what the command counts, and what must hold in each.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::time::Duration;

use freeway_ledger::work;
use freeway_market::adversaries::coarse::Coarse;
use freeway_market::adversaries::lazy::Guesses;
use freeway_market::adversaries::tiny::LANES;
use freeway_market::adversaries::{Law, all};
use freeway_market::long::{self, Trouble};
use freeway_market::table::{Row, run};
use freeway_market::{Market, Setting, scale};
use freeway_primitives::Amount;

/// A few requests of each payer a block.
const RATE: u64 = 4;

fn obeys(law: fn(&Law) -> bool, seeds: core::ops::Range<u64>) {
    for scheme in all().into_iter().filter(|scheme| law(&scheme.law)) {
        let runs = seeds.clone().map(|seed| run(&scheme, seed, RATE)).collect();
        let row = Row { scheme, runs };
        row.check().unwrap();
    }
}

#[test]
fn who_computes_or_counts_wrong_is_convicted_within_two_epochs() {
    obeys(|law| *law == Law::Convicted, 0..2);
}

#[test]
fn who_hides_omits_copies_or_griefs_is_noticed_and_poorer() {
    obeys(|law| *law == Law::Noticed, 0..2);
}

/// On the statistical tier by evidence alone, and honest hosts of it are suspected by nobody.
#[test]
fn who_generates_with_a_small_model_is_suspected_and_loses_no_collateral() {
    obeys(|law| *law == Law::Suspected, 0..1);
}

#[test]
fn dealing_with_oneself_does_not_pay() {
    obeys(|law| *law == Law::Poorer, 3..5);
}

#[test]
fn payers_get_nothing_for_nothing() {
    obeys(|law| matches!(law, Law::Refused | Law::AtMost(0)), 0..1);
}

#[test]
fn ten_thousand_lanes_harm_nobody() {
    let scheme = all().into_iter().find(|scheme| scheme.name.starts_with("10,000")).unwrap();
    let run = run(&scheme, 3, 1);
    assert!(run.tally.traffic["opening"].0 >= u64::from(LANES), "{:?}", run.tally.traffic);
    assert!(run.tally.harmed.is_empty() && run.tally.voided.is_empty());
}

#[test]
fn what_a_payer_takes_by_breaking_off_is_bounded() {
    obeys(|law| matches!(law, Law::AtMost(1..)), 0..1);
}

#[test]
fn who_dies_in_mid_answer_is_not_punished() {
    obeys(|law| *law == Law::Spared, 0..3);
}

/// Also the smallest networks convict: where there are only four hosts, the accuser is one of the jurors.
#[test]
fn four_hosts_are_enough_to_take_collateral() {
    for hosts in 4..7 {
        let mut market = Market::new(&Setting { rate: RATE, hosts, ..Setting::local(1) });
        market.conspire(&[hosts - 1], &[]);
        market.turn(hosts - 1, Coarse(100));
        let before = market.wealth_of_league();
        market.run(100);
        assert!(market.tally.charges["convicted"] > 0 && market.tally.harmed.is_empty(), "{hosts}");
        assert!(market.wealth_of_league() + Amount::fwy(80).0 < before, "{hosts}");
    }
}

/// Made-up tags are found false by those who are not in question. Among four hosts the liar would be one of three jurors,
/// and all three would have to agree.
#[test]
fn few_hosts_notice_a_lazy_verifier() {
    for hosts in 4..7 {
        let mut market = Market::new(&Setting { rate: RATE, hosts, ..Setting::local(1) });
        market.conspire(&[hosts - 1], &[]);
        market.turn(hosts - 1, Guesses);
        market.run(100);
        assert!(market.tally.harmed.is_empty(), "{hosts}: {:?}", market.tally.harmed);
        assert!(market.tally.charges.contains_key("false verdict"), "{hosts}: {:?}", market.tally.charges);
    }
}

/// All that was received is paid for, to the base unit, and every commitment matures.
#[test]
fn among_the_honest_the_books_balance() {
    let setting = Setting { rate: RATE, ..Setting::local(5) };
    let mut market = Market::new(&setting);
    market.chain.audits = true;
    market.run(3 * setting.params.epochs.epoch_blocks);
    market.close();
    assert!(market.payers.iter().all(|payer| payer.done > 100 && payer.received == payer.paid));
    assert!(market.tally.harmed.is_empty() && market.tally.charges.is_empty());
    assert!(market.tally.voided.is_empty() && market.tally.matured > 100, "{:?}", market.tally.voided);
    assert_eq!(work::rounds(&market.chain.state).unwrap(), []);
}

#[test]
fn honest_hosts_in_trouble_are_never_slashed() {
    for seed in 0..2 {
        let setting = Setting { rate: 1, ..Setting::local(seed) };
        let report = long::run(&setting, Trouble::USUAL, 40, Duration::from_secs(60), |_, _| {});
        assert!(report.tally.matured > 500 && report.trouble["restarts"] > 0, "{}", report.text());
        assert!(report.paid <= report.received);
    }
}

#[test]
fn the_same_seed_gives_the_same_run() {
    let scheme = all()[0];
    let of = || run(&scheme, 9, RATE);
    let (one, other) = (of(), of());
    assert_eq!((one.money, one.saved, one.epochs), (other.money, other.saved, other.epochs));
    assert_eq!(format!("{:?}", one.tally), format!("{:?}", other.tally));
}

/// The target of the design, in a small network: bytes grow with hosts and shares, not with requests.
#[test]
fn bytes_follow_hosts_and_shares() {
    let shape = scale::Shape { hosts: 12, lanes: 6, shares: 4, requests: 12_000, reputation: 30 };
    let small = scale::measure(shape);
    let large = scale::measure(scale::Shape { requests: 120_000, ..shape });
    assert_eq!((small.matured, small.serving), (large.matured, large.serving));
    // Ten times the requests: paths are a little longer.
    assert!(large.epoch().0 < small.epoch().0 * 5 / 4, "{:?} {:?}", small.epoch(), large.epoch());
    assert_eq!(small.epoch().1, large.epoch().1);
}
