//! Computes in its first race, and commits to that work again in all later ones.

use freeway_host::Adversary;

use super::{Scheme, always, any, convicted, ensure, pays_if_convicted};

/// What must come of it: another seed makes every one of its leaves wrong.
pub fn scheme() -> Scheme {
    Scheme {
        adversary: Adversary::Replay,
        from: 2,
        races: 2,
        occasion: any,
        noticed: convicted,
        theory: always,
        law: |races| {
            races.iter().try_for_each(pays_if_convicted)?;
            races.iter().skip(1).try_for_each(|seen| ensure(convicted(seen), "old work counts", seen))
        },
    }
}
