//! Pays with a voucher twice, or with one that covers nothing new.

use super::{Law, PAYER, Scheme};
use crate::conduct::Promise;

/// The voucher before, once more.
pub fn twice() -> Scheme {
    let cheat = |market: &mut crate::Market| market.payers[PAYER].conduct.promise = Promise::Double;
    Scheme::of_payer("double voucher", "pays with the voucher before once more", cheat, Law::Refused)
}

/// A new one with the old limit.
pub fn stale() -> Scheme {
    let cheat = |market: &mut crate::Market| market.payers[PAYER].conduct.promise = Promise::Stale;
    Scheme::of_payer("stale voucher", "promises no more than was spent before", cheat, Law::Refused)
}
