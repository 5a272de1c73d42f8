//! Tries many choices of leaves to make up, and takes the one that a draw which it can foresee would hit least.

use freeway_host::Adversary;

use super::{Scheme, any, convicted, found, pays_if_convicted};

/// The share that it makes up.
const SHARE: f64 = 0.05;

/// What must come of it: the draw that counts cannot be foreseen, so it is found as often as who does not choose.
pub fn scheme() -> Scheme {
    Scheme {
        adversary: Adversary::Grind,
        from: 1,
        races: 2,
        occasion: any,
        noticed: convicted,
        theory: |_, rules, _| found(SHARE, rules),
        law: |races| races.iter().try_for_each(pays_if_convicted),
    }
}
