//! Computes with a smaller or more coarsely quantised model, at a quarter of the cost.

use super::{BAD, Law, Scheme};
use crate::conduct::{Conduct, Served};
use crate::job::{Job, Model};

/// Thousandths of the honest computing that it takes.
pub const COST: u64 = 250;

/// So many of a hundred requests, chosen by what they are.
pub struct Coarse(pub u8);

impl Coarse {
    /// Whether it cheats with a request.
    pub fn cheats(&self, job: &Job) -> bool {
        job.digest.0[0] % 100 < self.0
    }
}

impl Conduct for Coarse {
    fn serves(&self, job: &Job) -> Served {
        if !self.cheats(job) {
            return Served::honestly(job);
        }
        let answer = job.compute(Model::Coarse);
        let usage = job.usage(answer.completion);
        Served { answer, usage, spent: COST, wrong: true, ..Served::honestly(job) }
    }
}

/// Every request.
pub fn always() -> Scheme {
    let cheat = |market: &mut crate::Market| market.turn(BAD, Coarse(100));
    Scheme::of_host("coarser model", "computes all with a coarser model", cheat, Law::Convicted)
}

/// One of ten: it is not found in every interval, and pays more than it gained when it is.
pub fn sometimes() -> Scheme {
    let cheat = |market: &mut crate::Market| market.turn(BAD, Coarse(10));
    Scheme::of_host("coarser model, 10 %", "computes a tenth with a coarser model", cheat, Law::Poorer)
}
