//! Counts more than there is.

use super::{BAD, Law, Scheme};
use crate::conduct::{Conduct, Served};
use crate::job::Job;

/// It counts half as many tokens again.
struct Counts;

impl Conduct for Counts {
    fn serves(&self, job: &Job) -> Served {
        let honest = Served::honestly(job);
        let usage = job.usage(honest.usage.completion / 2 * 3);
        Served { usage, wrong: true, ..honest }
    }
}

/// It counts more tokens of the prompt.
struct Prompts;

impl Conduct for Prompts {
    fn serves(&self, job: &Job) -> Served {
        let honest = Served::honestly(job);
        let mut usage = honest.usage;
        usage.prompt += usage.prompt / 4;
        Served { usage, wrong: true, ..honest }
    }
}

/// More tokens in the answer.
pub fn counts() -> Scheme {
    let cheat = |market: &mut crate::Market| market.turn(BAD, Counts);
    Scheme::of_host("inflated answers", "counts half as many tokens again", cheat, Law::Convicted)
}

/// More tokens in the prompt.
pub fn fees() -> Scheme {
    let cheat = |market: &mut crate::Market| market.turn(BAD, Prompts);
    Scheme::of_host("inflated prompts", "counts a quarter more of the prompt", cheat, Law::Convicted)
}
