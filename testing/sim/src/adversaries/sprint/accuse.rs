//! Accuses leaves of the honest hosts that it checks, as often as its bonds allow.

use freeway_host::Adversary;

use super::{Scheme, always, checks_somebody, ensure};

/// What must come of it: everybody recomputes the leaf and finds it right. The bond is lost, and after the first
/// one it accuses nobody any more in this race. That the accused lose nothing is a property of every run.
pub fn scheme() -> Scheme {
    Scheme {
        adversary: Adversary::Accuse,
        from: 1,
        races: 1,
        occasion: checks_somebody,
        noticed: |seen| seen.charges.false_accusations > 0,
        theory: always,
        law: |races| {
            races.iter().try_for_each(|seen| {
                let paid = seen.charges.false_accusations > 0 && seen.lost > 0;
                ensure(paid || !checks_somebody(seen), "slander is free", seen)?;
                ensure(seen.result.weight > 0, "its own race is sound", seen)
            })
        },
    }
}
