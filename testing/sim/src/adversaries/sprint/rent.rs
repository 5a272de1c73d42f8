//! Brings ten times its hardware to one race of four. All its leaves are right.

use freeway_host::Adversary;

use super::{Scheme, any, ensure};

/// The share of its rented hardware that it owns, and what rounding may add.
const OWN: f64 = 0.1;
const SLACK: f64 = 0.05;

/// What must come of it: nothing is wrong, so nothing is found. But power is the smaller of two races' weights,
/// so what it rents for one race gives it none, in that race or after it.
pub fn scheme() -> Scheme {
    Scheme {
        adversary: Adversary::Rent,
        from: 1,
        races: 4,
        occasion: any,
        noticed: |seen| seen.charges.convictions > 0 || seen.result.void.is_some(),
        theory: |_, _, _| 0.0,
        law: |races| {
            races.iter().try_for_each(|seen| {
                ensure(seen.result.void.is_none(), "it is honest in what it computes", seen)?;
                ensure(seen.power > 0.0 && seen.power <= OWN + SLACK, "rented power counts", seen)
            })
        },
    }
}
