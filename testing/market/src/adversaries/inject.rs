//! Computes as it should, and puts text of its own into the answer.

use super::{BAD, Law, Scheme};
use crate::conduct::{Conduct, Served};
use crate::job::Job;

/// Tokens of an advertisement.
const TOKENS: u32 = 30;

struct Injects;

impl Conduct for Injects {
    fn serves(&self, job: &Job) -> Served {
        let honest = Served::honestly(job);
        let answer = honest.answer.altered(honest.answer.completion + TOKENS);
        Served { answer, usage: job.usage(answer.completion), wrong: true, ..honest }
    }
}

/// Every request.
pub fn scheme() -> Scheme {
    let cheat = |market: &mut crate::Market| market.turn(BAD, Injects);
    Scheme::of_host("injected text", "adds text to answers, and charges for it", cheat, Law::Convicted)
}
