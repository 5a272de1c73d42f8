//! Calls work right without computing it.

use freeway_ledger::verification::{Finding, VERDICTS};
use freeway_primitives::{Address, Digest};
use freeway_proofs::work::tag;

use super::{BAD, Law, Scheme};
use crate::conduct::{Conduct, League, Sight};

/// Takes another member's tag, which is bound to that member.
pub struct Copies;

impl Conduct for Copies {
    fn computes(&self) -> bool {
        false
    }

    fn hurries(&self) -> bool {
        false
    }

    fn finds(&self, sight: &Sight<'_>, _: Finding) -> Finding {
        let (interval, host) = (sight.assignment.interval, sight.assignment.host);
        let under = freeway_ledger::work::commitment(sight.state, interval, &host).ok().flatten();
        let committee = under.map(|commitment| commitment.branches[0].committee.clone()).unwrap_or_default();
        let said = |member: &Address| {
            let given = VERDICTS.get(sight.state, &(interval, (host, (0, *member)))).ok().flatten()?;
            given.findings.get(sight.place).copied()
        };
        committee.iter().find_map(said).unwrap_or(Finding::Right([0; 16]))
    }

    fn judges(&self, _: &Address, _: &League, _: bool) -> bool {
        false
    }
}

/// Makes a tag of what it is shown, which does not tell the trace.
pub struct Guesses;

impl Conduct for Guesses {
    fn computes(&self) -> bool {
        false
    }

    fn finds(&self, sight: &Sight<'_>, _: Finding) -> Finding {
        let receipt = sight.kept.map_or(Digest::ZERO, |kept| kept.receipt.digest());
        Finding::Right(tag(sight.assignment.interval, sight.me, &sight.assignment.host, &receipt, &receipt))
    }
}

/// Copies.
pub fn copies() -> Scheme {
    let cheat = |market: &mut crate::Market| market.turn(BAD, Copies);
    Scheme::of_host("lazy verifier, copies", "copies other members' tags", cheat, Law::Noticed)
}

/// Guesses.
pub fn guesses() -> Scheme {
    let cheat = |market: &mut crate::Market| market.turn(BAD, Guesses);
    Scheme::of_host("lazy verifier, guesses", "makes up tags", cheat, Law::Noticed)
}
