//! Shows less than is asked for.

use freeway_primitives::Address;

use super::coarse::Coarse;
use super::{BAD, Law, Scheme};
use crate::conduct::{Conduct, League, Served};
use crate::job::{Job, Kept};

/// Shows good work and hides bad.
struct Hides(Coarse);

impl Conduct for Hides {
    fn serves(&self, job: &Job) -> Served {
        self.0.serves(job)
    }

    fn shows(&self, kept: &Kept, _: &Address, _: &League) -> bool {
        !kept.wrong
    }
}

/// Works as it should and shows nothing to anybody.
struct Shy;

impl Conduct for Shy {
    fn shows(&self, _: &Kept, _: &Address, _: &League) -> bool {
        false
    }

    fn answers(&self) -> bool {
        false
    }
}

/// Half of its work is bad, and it shows the other half. Leaves it shows when they are demanded; what they were
/// computed from it does not.
pub fn scheme() -> Scheme {
    let cheat = |market: &mut crate::Market| market.turn(BAD, Hides(Coarse(50)));
    Scheme::of_host("withheld artifacts", "hides the half of its work that is bad", cheat, Law::Noticed)
}

/// All of its work is good.
pub fn everything() -> Scheme {
    let cheat = |market: &mut crate::Market| {
        market.turn(BAD, Shy);
        let next = market.chain.next();
        market.tally.wrong(next);
    };
    Scheme::of_host("shows nothing", "works, and answers no member and no demand", cheat, Law::Noticed)
}
