//! 200 seeded runs with everything that the adversaries have, in two halves so that both cores work.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use freeway_sim::{Plan, runner};

fn runs(first: u64, count: u64) {
    let (summary, failures) = runner::run(Plan::from_seed, first, count, 1, |_| {});
    assert!(
        failures.is_empty(),
        "{} failed, the first: seed {}\n{}",
        failures.len(),
        failures[0].0,
        failures[0].1
    );
    assert_eq!(summary.runs, count);
    assert!(summary.crashes > 0 && summary.cuts > 0 && summary.evidence > 0 && summary.switches > 0);
    assert!(summary.values > 0 && summary.keys > 0);
}

#[test]
fn seeds_0_to_99() {
    runs(0, 100);
}

#[test]
fn seeds_100_to_199() {
    runs(100, 100);
}

/// In these, hosts race: they are longer, so there are fewer.
#[test]
fn racing_seeds_0_to_9() {
    let (summary, failures) = runner::run(Plan::racing_seed, 0, 10, 1, |_| {});
    assert!(failures.is_empty(), "the first: seed {}\n{}", failures[0].0, failures[0].1);
    assert!(summary.crashes > 0 && summary.races > summary.runs);
}
