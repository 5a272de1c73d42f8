//! Does bad work, and leaves its receipts out of the commitment, so that nobody computes it again.

use super::coarse::Coarse;
use super::{BAD, Law, Scheme};
use crate::conduct::{Conduct, Served};
use crate::job::{Job, Kept};

struct Omits(Coarse);

impl Conduct for Omits {
    fn serves(&self, job: &Job) -> Served {
        self.0.serves(job)
    }

    fn commits_to(&self, kept: &Kept) -> bool {
        !kept.wrong
    }
}

/// A quarter of its work.
pub fn scheme() -> Scheme {
    let cheat = |market: &mut crate::Market| market.turn(BAD, Omits(Coarse(25)));
    Scheme::of_host("omission", "leaves the receipts of bad work out", cheat, Law::Noticed)
}
