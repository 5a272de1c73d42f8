//! Takes what it can get and goes.

use super::{Law, PAYER, Scheme};

/// It never signs for what it got last. As every voucher comes before the work that it pays for, nothing is missing.
pub fn last() -> Scheme {
    let cheat = |market: &mut crate::Market| {
        let next = market.chain.next();
        market.tally.wrong(next);
        market.payers[PAYER].conduct.leaves = true;
    };
    Scheme::of_payer("unsigned last voucher", "signs nothing after its last request", cheat, Law::AtMost(0))
}

/// It breaks half of its requests off just before the end: all of the answer, and no receipt. Hosts have patience for
/// eight of these a minute and lane, and serve it no more until the minute is over.
pub fn breaks_off() -> Scheme {
    let cheat = |market: &mut crate::Market| market.payers[PAYER].conduct.hangs_up = 500;
    Scheme::of_payer(
        "breaks off",
        "takes answers and breaks off before the receipt",
        cheat,
        Law::AtMost(5_000),
    )
}
