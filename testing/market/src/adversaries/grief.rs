//! Calls all work wrong, accuses and judges it so, demands what it was shown, and reports what is there.

use freeway_ledger::Message;
use freeway_ledger::verification::{DEMANDS, Finding, Message as Verify};
use freeway_ledger::work::{self, Stage};
use freeway_primitives::Address;

use super::{BAD, Law, PAYER, Scheme, Tier, nothing};
use crate::conduct::{Conduct, League, Sight};
use crate::market::Market;

struct Griefs;

impl Conduct for Griefs {
    fn finds(&self, _: &Sight<'_>, _: Finding) -> Finding {
        Finding::Wrong
    }

    fn judges(&self, _: &Address, _: &League, _: bool) -> bool {
        true
    }

    /// One demand for each commitment that it checks.
    fn also(&self, market: &Market, me: usize) -> Vec<Message> {
        let state = &market.chain.state;
        let mut messages = Vec::new();
        for ((interval, _), round) in work::rounds(state).unwrap_or_default() {
            if !matches!(work::stage(&round, market.chain.next()), Stage::Verdicts { .. }) {
                continue;
            }
            for assignment in market.assigned(me, interval) {
                let Some((sample, _)) = assignment.samples.first() else { continue };
                let (host, place) = (assignment.host, (assignment.host, u64::from(*sample)));
                if DEMANDS.get(state, &(interval, place)).ok().flatten().is_none() {
                    let demand = Verify::Demand { interval, host, sample: *sample };
                    messages.push(Message::Verification(demand));
                }
            }
        }
        messages
    }
}

/// A host and a payer.
pub fn scheme() -> Scheme {
    let cheat = |market: &mut Market| {
        market.turn(BAD, Griefs);
        market.payers[PAYER].conduct.griefs = true;
    };
    Scheme {
        name: "griefing reporter",
        does: "calls all work wrong, accuses, demands and reports",
        league: |market| market.conspire(&[BAD], &[PAYER]),
        cheat,
        tick: nothing,
        law: Law::Noticed,
        tier: Tier::Exact,
    }
}
