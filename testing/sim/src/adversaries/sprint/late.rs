//! Commits and judges when it is too late: after it could have seen what others committed to.

use freeway_host::Adversary;

use super::{Scheme, always, any, ensure};

/// What must come of it: no block takes its messages. It is not in the race, and its duties are not done.
pub fn scheme() -> Scheme {
    Scheme {
        adversary: Adversary::Late,
        from: 1,
        races: 1,
        occasion: any,
        noticed: |seen| seen.result.count == 0,
        theory: always,
        law: |races| {
            races.iter().try_for_each(|seen| {
                ensure(seen.result.weight == 0 && seen.power == 0.0, "it is in the race", seen)?;
                ensure(seen.result.done == 0 && seen.charges.convictions == 0, "it did a duty", seen)
            })
        },
    }
}
