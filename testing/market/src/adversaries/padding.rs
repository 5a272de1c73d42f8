//! Hides large fakes among many tiny receipts, all right, that it pays itself for.

use super::{BAD, Law, PAYER, Scheme, Tier, bad_with_payer, nothing};
use crate::conduct::{Conduct, Served};
use crate::job::{Job, Model};

/// Requests of its own payer are smaller than this.
const TINY: u32 = 20;

struct Pads;

impl Conduct for Pads {
    fn serves(&self, job: &Job) -> Served {
        if job.limit < TINY {
            return Served::honestly(job);
        }
        let answer = job.compute(Model::Coarse);
        let usage = job.usage(answer.completion);
        Served { answer, usage, spent: super::coarse::COST, wrong: true, ..Served::honestly(job) }
    }
}

/// Fifty tiny requests a block, as many as all others make.
pub fn scheme() -> Scheme {
    let cheat = |market: &mut crate::Market| {
        market.turn(BAD, Pads);
        let conduct = &mut market.payers[PAYER].conduct;
        (conduct.rate, conduct.only) = (50, Some(BAD));
        (conduct.prompt, conduct.limit) = ((1, 2), (1, 2));
    };
    Scheme {
        name: "padding",
        does: "hides fakes among thousands of tiny, right receipts to itself",
        league: bad_with_payer,
        cheat,
        tick: nothing,
        law: Law::Convicted,
        tier: Tier::Exact,
    }
}
