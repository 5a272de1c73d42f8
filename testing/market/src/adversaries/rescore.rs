//! On the statistical tier: generates with a small model, and has its tokens scored by the right one, so that its
//! claims are true.

use super::coarse::COST;
use super::{BAD, Law, Scheme};
use crate::conduct::{Conduct, Served};
use crate::job::Job;
use crate::text::Voice;

/// What scoring known tokens takes beside, in thousandths of generating them.
const SCORING: u64 = 180;

struct Rescores;

impl Conduct for Rescores {
    fn serves(&self, job: &Job) -> Served {
        Served { spent: COST + SCORING, wrong: true, voice: Voice::Rescored, ..Served::honestly(job) }
    }
}

/// Every request.
pub fn scheme() -> Scheme {
    let cheat = |market: &mut crate::Market| market.turn(BAD, Rescores);
    let does = "statistical tier: generates with a small model, and has it honestly scored by the right one";
    Scheme::of_host("rescored small model", does, cheat, Law::Suspected).statistical()
}
