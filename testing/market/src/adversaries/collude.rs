//! Shows its bad work to friends only, who call it right and judge it so.

use freeway_ledger::models::Tier;
use freeway_ledger::verification::Finding;
use freeway_primitives::Address;
use freeway_proofs::work::tag;

use super::coarse::Coarse;
use super::{BAD, FRIENDS, Law, Scheme, nothing};
use crate::conduct::{Conduct, League, Served, Sight};
use crate::job::{Job, Kept};

struct Cheat(Coarse);

impl Conduct for Cheat {
    fn serves(&self, job: &Job) -> Served {
        self.0.serves(job)
    }

    fn shows(&self, kept: &Kept, to: &Address, league: &League) -> bool {
        !kept.wrong || league.hosts.contains(to)
    }
}

struct Friend;

impl Conduct for Friend {
    fn finds(&self, sight: &Sight<'_>, honest: Finding) -> Finding {
        let host = &sight.assignment.host;
        match sight.kept.filter(|_| sight.league.hosts.contains(host)) {
            // It is told the trace that the host will reveal.
            Some(kept) => {
                let (interval, receipt) = (sight.assignment.interval, kept.receipt.digest());
                Finding::Right(tag(interval, sight.me, host, &receipt, &kept.trace))
            }
            None => honest,
        }
    }

    fn judges(&self, accused: &Address, league: &League, wrong: bool) -> bool {
        wrong && !league.hosts.contains(accused)
    }
}

/// Two friends of eight hosts, two of the seven that can check it: more than the share up to which it must not pay.
pub fn scheme() -> Scheme {
    let cheat = |market: &mut crate::Market| {
        market.turn(BAD, Cheat(Coarse(100)));
        FRIENDS.iter().for_each(|friend| market.turn(*friend, Friend));
    };
    Scheme {
        name: "colluding verifiers",
        does: "two of the seven others call its coarse work right",
        league: |market| market.conspire(&[BAD, FRIENDS[0], FRIENDS[1]], &[]),
        cheat,
        tick: nothing,
        law: Law::Noticed,
        tier: Tier::Exact,
    }
}
