//! Pays itself through lanes of its own, for the emission that serving brings.

use super::{BAD, Law, PAYER, Scheme, Tier, bad_with_payer, nothing};

/// As much as the host serves for others, and computed as it should be: a fake would be found as any other.
pub fn scheme() -> Scheme {
    let cheat = |market: &mut crate::Market| {
        let next = market.chain.next();
        market.tally.wrong(next);
        let conduct = &mut market.payers[PAYER].conduct;
        (conduct.rate, conduct.only) = (5, Some(BAD));
    };
    Scheme {
        name: "self-dealing",
        does: "pays itself as much as others pay it (its own computing not counted)",
        league: bad_with_payer,
        cheat,
        tick: nothing,
        law: Law::Poorer,
        tier: Tier::Exact,
    }
}
