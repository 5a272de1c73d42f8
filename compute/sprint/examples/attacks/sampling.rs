//! Committing to more leaves than were computed, and checking fewer than one should: theory.

use crate::report::{Table, percent};

/// Members of a committee, and leaves of each, on local networks.
const LOCAL: (i32, f64) = (3, 48.0);
/// The same on the public network.
const MAIN: (i32, f64) = (8, 200.0);
/// Leaves of each member that are revealed after the verdicts.
const REVEALED: i32 = 4;

/// The columns of [`overcommitment`].
pub(crate) const COMMITTED: [&str; 6] = [
    "wrong leaves",
    "local: one member, 48",
    "local: all 3",
    "main: one member, 200",
    "main: all 8",
    "main: 8, each an accomplice with 1/3",
];

/// For each share of wrong leaves, the probability that an honest member draws one.
pub(crate) fn overcommitment(table: &mut Table) {
    for share in [0.0001f64, 0.001, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5] {
        let missed = |leaves: f64| (1.0 - share).powf(leaves);
        let all = |(members, leaves): (i32, f64)| 1.0 - missed(leaves).powi(members);
        let accomplices = 1.0 - (1.0 / 3.0 + 2.0 / 3.0 * missed(MAIN.1)).powi(MAIN.0);
        let caught = [1.0 - missed(LOCAL.1), all(LOCAL), 1.0 - missed(MAIN.1), all(MAIN), accomplices];
        table.row([percent(share)].into_iter().chain(caught.map(percent)));
    }
}

/// The columns of [`laziness`].
pub(crate) const LAZY: [&str; 4] = ["leaves not checked", "work saved", "caught in one race", "in ten"];

/// For each share of leaves that a member tags without computing, the probability that one of them is revealed.
pub(crate) fn laziness(table: &mut Table) {
    for share in [0.01f64, 0.05, 0.1, 0.25, 0.5, 1.0] {
        let missed = (1.0 - share).powi(REVEALED);
        table.row([share, share, 1.0 - missed, 1.0 - missed.powi(10)].map(percent));
    }
}
