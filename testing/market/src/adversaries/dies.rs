//! No cheat: a host that dies in mid answer again and again, and comes back after a while.

use super::{BAD, Law, Scheme, Tier, bad};

/// Down a third of the time, some blocks at a time.
pub fn scheme() -> Scheme {
    Scheme {
        name: "dies in mid answer",
        does: "an honest host that is down a third of the time",
        league: bad,
        cheat: |_| {},
        tick: |market, chance| {
            let host = &mut market.hosts[BAD];
            host.up = if host.up { !chance.thousandths(50) } else { chance.thousandths(100) };
        },
        law: Law::Spared,
        tier: Tier::Exact,
    }
}
