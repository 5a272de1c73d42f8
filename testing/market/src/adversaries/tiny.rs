//! Opens ten thousand lanes of the least escrow.

use freeway_primitives::Amount;

use super::{Law, PAYER, Scheme};

/// How many.
pub const LANES: u32 = 10_000;

/// As fast as its quota lets it.
pub fn scheme() -> Scheme {
    let cheat = |market: &mut crate::Market| {
        let next = market.chain.next();
        market.tally.wrong(next);
        let conduct = &mut market.payers[PAYER].conduct;
        (conduct.rate, conduct.hoards, conduct.escrow) = (0, LANES, Amount(1_000_000));
    };
    Scheme::of_payer("10,000 tiny lanes", "opens 10,000 lanes of the least escrow", cheat, Law::AtMost(0))
}
