//! Commits to more than it has computed: its work stands in its tree several times.

use freeway_host::Adversary;
use freeway_ledger::sprint::Params;

use super::{Scheme, any, convicted, found, pays_if_convicted};

/// What must come of it: a leaf's place is its nonce, so what stands in a second place is wrong there.
pub fn scheme() -> Scheme {
    Scheme {
        adversary: Adversary::Overcommit { factor: 2 },
        from: 1,
        races: 2,
        occasion: any,
        noticed: convicted,
        theory,
        law: |races| races.iter().try_for_each(pays_if_convicted),
    }
}

fn theory(adversary: Adversary, rules: &Params, _: u64) -> f64 {
    let Adversary::Overcommit { factor } = adversary else { return 0.0 };
    found(1.0 - 1.0 / f64::from(factor), rules)
}
