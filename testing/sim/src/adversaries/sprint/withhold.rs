//! Computes honestly, and then opens, answers and reveals nothing.

use freeway_host::Adversary;

use super::{Scheme, always, any, ensure};

/// What must come of it: what is demanded and not shown is withheld, and its race counts for nothing. That is no
/// proof of fraud: it costs the weight, and no money.
pub fn scheme() -> Scheme {
    Scheme {
        adversary: Adversary::Withhold,
        from: 1,
        races: 1,
        occasion: any,
        noticed: |seen| seen.result.void.is_some(),
        theory: always,
        law: |races| {
            races.iter().try_for_each(|seen| {
                ensure(seen.result.weight == 0 && seen.power == 0.0, "what is hidden counts", seen)?;
                ensure(seen.charges.convictions == 0, "silence is no proof", seen)
            })
        },
    }
}
