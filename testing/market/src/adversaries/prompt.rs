//! Computes something else than it was asked: another system prompt, a shortened context.

use super::{BAD, Law, Scheme};
use crate::conduct::{Conduct, Served};
use crate::job::{Job, Model};

struct Changes;

impl Conduct for Changes {
    fn serves(&self, job: &Job) -> Served {
        let other = job.changed();
        let answer = other.compute(Model::Asked);
        // Half of the time it names the request that it was asked, else the one that it computed. The first does not
        // compute to the answer, the second is not what the payer's voucher names.
        let request = if job.digest.0[1].is_multiple_of(2) { job.digest } else { other.digest };
        let usage = job.usage(answer.completion);
        Served { request, answer, usage, spent: 600, wrong: true, ..Served::honestly(job) }
    }
}

/// Every request.
pub fn scheme() -> Scheme {
    let cheat = |market: &mut crate::Market| market.turn(BAD, Changes);
    Scheme::of_host("changed prompt", "computes another prompt than it was sent", cheat, Law::Convicted)
}
