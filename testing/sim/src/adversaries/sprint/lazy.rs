//! Races honestly, and gives verdicts without computing: it copies another member's, or guesses.

use freeway_host::Adversary;
use freeway_host::adversary::Lazy;

use super::{Scheme, Seen, always, checks_somebody, ensure};

/// Takes another member's tags, which are bound to that member.
pub fn copy() -> Scheme {
    scheme(Lazy::Copy)
}

/// Makes tags from the leaves that it is shown, which do not tell their traces.
pub fn guess() -> Scheme {
    scheme(Lazy::Guess)
}

/// What must come of it: the revelation contradicts its tags, the trial that follows finds the leaf right, and so
/// its verdict false. Its own weight stays: it has computed that.
fn scheme(lazy: Lazy) -> Scheme {
    Scheme {
        adversary: Adversary::Lazy(lazy),
        from: 1,
        races: 1,
        occasion: checks_somebody,
        noticed: |seen| seen.charges.false_verdicts > 0,
        theory: always,
        law,
    }
}

fn law(races: &[Seen]) -> Result<(), String> {
    races.iter().try_for_each(|seen| {
        let found = seen.charges.false_verdicts > 0 || !checks_somebody(seen);
        ensure(found, "a verdict without work stands", seen)?;
        ensure(seen.result.done == 0, "a duty is done without work", seen)?;
        ensure(seen.result.weight > 0 && seen.charges.convictions == 0, "its own race is sound", seen)
    })
}
