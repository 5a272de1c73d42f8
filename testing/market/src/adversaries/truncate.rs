//! Stops early, and counts as if it had not.

use super::{BAD, Law, Scheme};
use crate::conduct::{Conduct, Served};
use crate::job::Job;

struct Truncates;

impl Conduct for Truncates {
    fn serves(&self, job: &Job) -> Served {
        let honest = Served::honestly(job);
        let usage = honest.usage;
        let answer = honest.answer.altered(honest.answer.completion / 2);
        Served { answer, usage, spent: 600, wrong: true, ..honest }
    }
}

/// Every request.
pub fn scheme() -> Scheme {
    let cheat = |market: &mut crate::Market| market.turn(BAD, Truncates);
    Scheme::of_host("truncation", "stops half-way, and charges for all", cheat, Law::Convicted)
}
