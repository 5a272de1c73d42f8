//! Requests, and what computing them gives: hashes instead of tokens.

use freeway_ledger::models::Tier;
use freeway_primitives::{Address, Digest, Domain};
use freeway_proofs::draw::Stream;
use freeway_proofs::work::{Prices, Receipt, Usage, salted};

use crate::text::Voice;

const JOB: Domain = Domain::new("freeway market job");
const ANSWER: Domain = Domain::new("freeway market answer");
const CHOICE: Domain = Domain::new("freeway market choice");

/// With what every host here salts its traces.
pub const SALT: [u8; 32] = [9; 32];

/// What a million tokens cost: a usual request some hundredths of a FWY.
pub const PRICES: Prices = Prices { input: 15_000_000_000, cached: 1_500_000_000, output: 60_000_000_000 };

/// Choices that depend on a seed alone.
pub struct Chance(Stream);

impl Chance {
    /// The choices of a seed for one concern.
    pub fn new(seed: u64, concern: u64) -> Self {
        Self(Stream::new(&Digest::of(CHOICE, &seed.to_le_bytes()), CHOICE, &[&concern.to_le_bytes()]))
    }

    /// A number below `n`.
    pub fn below(&mut self, n: u64) -> u64 {
        self.0.below(n)
    }

    /// True so many times in a thousand.
    pub fn thousandths(&mut self, n: u64) -> bool {
        self.below(1_000) < n
    }
}

/// A request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Job {
    /// The digest of the token request.
    pub digest: Digest,
    /// Tokens of its prompt.
    pub prompt: u32,
    /// The most tokens that it may give.
    pub limit: u32,
}

impl Job {
    /// A request with a prompt of so many tokens and at most so many in the answer.
    pub fn new(chance: &mut Chance, prompt: (u64, u64), limit: (u64, u64)) -> Self {
        let mut between = |(low, high): (u64, u64)| (low + chance.below(high - low + 1)) as u32;
        let (prompt, limit) = (between(prompt), between(limit));
        Self { digest: Digest::of(JOB, &chance.0.word().to_le_bytes()), prompt, limit }
    }

    /// The same request with something else in its prompt.
    pub fn changed(&self) -> Self {
        Self { digest: Digest::of(JOB, self.digest.as_bytes()), ..*self }
    }

    /// What computing it with a model gives, the same everywhere.
    pub fn compute(&self, model: Model) -> Answer {
        let of = |what: u8| {
            let list = [&self.digest.0[..], &self.limit.to_le_bytes(), &[model as u8, what]];
            Digest::of_list(ANSWER, list)
        };
        let (output, trace) = (of(0), of(1));
        // Between half of the limit and all of it.
        let half = u64::from(self.limit / 2);
        let more = Stream::new(&output, ANSWER, &[]).below(u64::from(self.limit) - half);
        Answer { output, trace, completion: (half + more + 1).min(u64::from(self.limit)) as u32 }
    }

    /// Its usage, if the answer has so many tokens.
    pub fn usage(&self, completion: u32) -> Usage {
        Usage { prompt: self.prompt, cached: 0, completion }
    }
}

/// With what a request is computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Model {
    /// The one that was asked for.
    Asked,
    /// A smaller or more coarsely quantised one.
    Coarse,
}

/// What computing a request gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The digest of the tokens.
    pub output: Digest,
    /// The trace.
    pub trace: Digest,
    /// How many tokens there are.
    pub completion: u32,
}

impl Answer {
    /// An answer with other tokens than those computed, so many of them.
    pub fn altered(&self, completion: u32) -> Self {
        Self { output: Digest::of(ANSWER, self.output.as_bytes()), completion, ..*self }
    }
}

/// What a host keeps of a request: all that is needed to do it again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kept {
    /// What the host signed.
    pub receipt: Receipt,
    /// What was asked for, as the payer's voucher names it.
    pub job: Job,
    /// The trace behind the receipt's salted one.
    pub trace: Digest,
    /// Whether the host knows it to be wrong.
    pub wrong: bool,
    /// On the statistical tier, whose tokens they are and what the host says of them.
    pub voice: Voice,
}

impl Kept {
    /// What whoever checks it finds: the trace, or nothing if the receipt is wrong. On the statistical tier that is what
    /// the host says, if it fits the receipt; the rest is a matter of evidence.
    pub fn check(&self, host: &Address, tier: Tier) -> Option<Digest> {
        match tier {
            Tier::Exact => self.again(host),
            Tier::Statistical => self.shown(host),
        }
    }

    fn shown(&self, host: &Address) -> Option<Digest> {
        let receipt = &self.receipt;
        let holds = receipt.host == *host
            && receipt.request == self.job.digest
            && receipt.usage.completion <= self.job.limit
            && receipt.usage == self.job.usage(receipt.usage.completion)
            && receipt.fee == PRICES.fee(&receipt.usage)
            && receipt.trace == salted(&SALT, &self.trace);
        holds.then_some(self.trace)
    }

    fn again(&self, host: &Address) -> Option<Digest> {
        let (right, receipt) = (self.job.compute(Model::Asked), &self.receipt);
        let holds = receipt.host == *host
            && receipt.request == self.job.digest
            && receipt.output == right.output
            && receipt.usage == self.job.usage(right.completion)
            && receipt.fee == PRICES.fee(&receipt.usage)
            && receipt.trace == salted(&SALT, &right.trace);
        holds.then_some(right.trace)
    }
}
