//! On the statistical tier: generates with a small model, and claims likelihoods that it did not compute.

use super::coarse::COST;
use super::{BAD, Law, Scheme};
use crate::conduct::{Conduct, Served};
use crate::job::Job;
use crate::text::Voice;

struct Forges;

impl Conduct for Forges {
    fn serves(&self, job: &Job) -> Served {
        Served { spent: COST, wrong: true, voice: Voice::Forged, ..Served::honestly(job) }
    }
}

/// Every request.
pub fn scheme() -> Scheme {
    let cheat = |market: &mut crate::Market| market.turn(BAD, Forges);
    let does = "statistical tier: generates with a small model, and claims likelihoods that nothing computed";
    Scheme::of_host("forged log-probabilities", does, cheat, Law::Suspected).statistical()
}
