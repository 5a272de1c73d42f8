//! What hosts and payers do where they have a choice. The default of every method is honest.

use std::collections::BTreeSet;

use freeway_ledger::verification::{Assignment, Finding};
use freeway_ledger::{MemoryState, Message};
use freeway_primitives::{Address, Amount, Digest};
use freeway_proofs::work::Usage;

use crate::job::{Answer, Job, Kept, Model};
use crate::market::Market;
use crate::text::Voice;

/// What a host says that it did, and what it spent on it.
#[derive(Clone, Copy, Debug)]
pub struct Served {
    /// The request that it names.
    pub request: Digest,
    /// The answer.
    pub answer: Answer,
    /// What it counts.
    pub usage: Usage,
    /// Thousandths of the honest computing that it spent.
    pub spent: u64,
    /// Whether that is wrong.
    pub wrong: bool,
    /// On the statistical tier, whose tokens they are and what is said of them.
    pub voice: Voice,
}

impl Served {
    /// As it should be.
    pub fn honestly(job: &Job) -> Self {
        let answer = job.compute(Model::Asked);
        let usage = job.usage(answer.completion);
        Self { request: job.digest, answer, usage, spent: 1_000, wrong: false, voice: Voice::Own }
    }
}

/// Who acts together against the rest.
#[derive(Clone, Debug, Default)]
pub struct League {
    /// Hosts.
    pub hosts: BTreeSet<Address>,
    /// Payers.
    pub payers: BTreeSet<Address>,
}

impl League {
    /// Whether an account belongs to it.
    pub fn has(&self, account: &Address) -> bool {
        self.hosts.contains(account) || self.payers.contains(account)
    }
}

/// A sample before the eyes of a member.
pub struct Sight<'a> {
    /// What stands on chain.
    pub state: &'a MemoryState,
    /// What it has to check.
    pub assignment: &'a Assignment,
    /// Which of the samples in it.
    pub place: usize,
    /// Who looks.
    pub me: &'a Address,
    /// What it is shown; a friend of the host's is also shown what others are not.
    pub kept: Option<&'a Kept>,
    /// Who acts together.
    pub league: &'a League,
}

/// A host's conduct.
pub trait Conduct {
    /// What it makes of a request.
    fn serves(&self, job: &Job) -> Served {
        Served::honestly(job)
    }

    /// Whether it puts a receipt that it signed into its commitment.
    fn commits_to(&self, _: &Kept) -> bool {
        true
    }

    /// Whether it shows what belongs to a receipt to somebody who may see it.
    fn shows(&self, _: &Kept, _to: &Address, _: &League) -> bool {
        true
    }

    /// Whether it answers demands and reveals what is drawn.
    fn answers(&self) -> bool {
        true
    }

    /// Whether it computes again what it is to check.
    fn computes(&self) -> bool {
        true
    }

    /// Whether it gives its verdicts as soon as it can, or sees first what others say.
    fn hurries(&self) -> bool {
        true
    }

    /// What it says of a sample, where `honest` is what it found.
    fn finds(&self, _: &Sight<'_>, honest: Finding) -> Finding {
        honest
    }

    /// Whether it accuses a leaf that it calls wrong. Honest members do.
    fn accuses(&self) -> bool {
        true
    }

    /// What it says as a juror about a host whose leaf is wrong or not.
    fn judges(&self, _: &Address, _: &League, wrong: bool) -> bool {
        wrong
    }

    /// What else it sends, being the host with this number.
    fn also(&self, _: &Market, _me: usize) -> Vec<Message> {
        Vec::new()
    }
}

/// Does all that is asked.
pub struct Honest;

impl Conduct for Honest {}

/// How a payer promises.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Promise {
    /// As it should: a new number, and enough for this request and all before it.
    Fresh,
    /// With the number of the voucher before.
    Double,
    /// With a limit that was enough for the requests before.
    Stale,
}

/// A payer's conduct.
#[derive(Clone, Copy, Debug)]
pub struct Paying {
    /// Requests in every block.
    pub rate: u64,
    /// Tokens of prompts.
    pub prompt: (u64, u64),
    /// The most tokens of answers.
    pub limit: (u64, u64),
    /// It has use for one host only.
    pub only: Option<usize>,
    /// Its vouchers.
    pub promise: Promise,
    /// Thousandths of its requests that it breaks off just before the end.
    pub hangs_up: u64,
    /// It signs nothing after the last request, and closes the lane at once.
    pub leaves: bool,
    /// What it puts into a lane.
    pub escrow: Amount,
    /// It reports receipts that it knows to be committed to.
    pub griefs: bool,
    /// Lanes that it opens beyond the one it uses, as many a block as it may, up to so many.
    pub hoards: u32,
}

impl Paying {
    /// An honest payer of so many requests a block.
    pub fn honest(rate: u64) -> Self {
        Self {
            rate,
            prompt: (100, 2_000),
            limit: (50, 800),
            only: None,
            promise: Promise::Fresh,
            hangs_up: 0,
            leaves: false,
            escrow: Amount::fwy(400),
            griefs: false,
            hoards: 0,
        }
    }
}
