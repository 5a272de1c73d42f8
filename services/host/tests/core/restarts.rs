//! kill -9 in every stage of a race.

use freeway_ledger::sprint::Void;

use crate::kit::{Net, PACE};

const ALL: u64 = 11 * PACE + 3;

#[test]
fn a_restart_at_any_block_loses_nothing_that_was_recorded() {
    let start = Net::start(1);
    for height in start..start + 29 {
        let mut net = Net::honest();
        net.run_to(height);
        net.restart(0, true);
        net.run_race(1);
        net.assert_clean(0..5);
        assert_eq!(net.rejected, [], "restarted at {height}");
        let result = net.result(0);
        let expected = match height - start {
            // In the block of the restart nothing is computed.
            ..10 => ALL - PACE,
            // So late it is not worth while to begin again.
            10 => 10 * PACE,
            _ => ALL,
        };
        assert_eq!((result.count, result.confirmed), (expected, 3), "restarted at {height}");
    }
}

#[test]
fn without_its_record_a_host_starts_over_or_is_void() {
    let mut early = Net::honest();
    early.run_to(Net::start(1) + 5);
    early.restart(0, false);
    early.run_race(1);
    early.assert_clean(0..5);
    assert!(early.result(0).count < 7 * PACE);

    let mut late = Net::honest();
    late.run_to(Net::start(1) + 13);
    late.restart(0, false);
    late.block();
    assert!(late.nodes[0].core.standing().lost);
    late.run_race(1);
    late.assert_clean(1..5);
    assert_eq!(late.result(0).void, Some(Void::Withheld));
    let duties = late.result(0);
    assert_eq!(duties.owed, duties.done, "its own verdicts do not depend on its work");
    late.run_race(2);
    late.assert_clean(0..5);
}
