//! Makes up a share of its leaves, and saves that share of the work.

use freeway_host::Adversary;
use freeway_ledger::sprint::Params;

use super::{Scheme, any, convicted, found, pays_if_convicted};

/// What must come of it: whoever draws a made-up leaf recomputes it, and then all do.
pub fn scheme(adversary: Adversary) -> Scheme {
    Scheme {
        adversary,
        from: 1,
        races: 2,
        occasion: any,
        noticed: convicted,
        theory,
        law: |races| races.iter().try_for_each(pays_if_convicted),
    }
}

/// At least one leaf is made up, however few there are.
fn theory(adversary: Adversary, rules: &Params, nonces: u64) -> f64 {
    let Adversary::Fake { percent } = adversary else { return 0.0 };
    let fakes = (nonces * u64::from(percent)).div_ceil(100);
    found(fakes as f64 / nonces as f64, rules)
}
