//! The words of paid work: what payer and host sign for a request, and what a host later commits to.
//!
//! ```text
//! payer  -> host   request, Voucher         "you may take up to this much in all"
//! host   -> payer  Acceptance               "I do this request, at these prices"; before the first token
//! host   -> payer  tokens, Receipt          "this is what I did, and what it costs"; closes the stream
//! payer  -> host   the next Voucher         carries the true total of all before
//! host   -> chain  WorkCommit               a sum tree over Entries, ordered by lane and sequence
//! ```
//!
//! A lane's share is one payer and one host. Vouchers are numbered in the order in which the payer asks, receipts from
//! 0 without gaps in the order in which the host ends; so any number of requests may run at once, and a receipt's
//! total is that of all that ended before. Nothing here touches the chain: the ledger sees a share's opening and its
//! settlement, however many requests lie between.

use borsh::{BorshDeserialize, BorshSerialize};
use freeway_primitives::{Address, Amount, Canonical, Digest, Domain};

use crate::draw::Stream;
use crate::sum::Sums;

/// Signs a [`Voucher`].
pub const VOUCHER: Domain = Domain::new("freeway 1 voucher");
/// Signs an [`Acceptance`].
pub const ACCEPTANCE: Domain = Domain::new("freeway 1 acceptance");
/// Signs a [`Receipt`].
pub const RECEIPT: Domain = Domain::new("freeway 1 receipt");

const RECEIPT_DIGEST: Domain = Domain::new("freeway 1 receipt digest");
const ENTRY: Domain = Domain::new("freeway 1 work entry");
const OUTPUT: Domain = Domain::new("freeway 1 output");
const TRACES: Domain = Domain::new("freeway 1 traces of choices");
const CLAIMED: Domain = Domain::new("freeway 1 claimed log-probabilities");
const SALTED: Domain = Domain::new("freeway 1 salted trace");
const TAG: Domain = Domain::new("freeway 1 work tag");
const POINTS: Domain = Domain::new("freeway 1 work points");

/// Prices are per so many tokens.
pub const PRICE_TOKENS: u128 = 1_000_000;

/// The number of a lane on its network.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize, BorshDeserialize,
)]
pub struct LaneId(pub u64);

/// What a million tokens cost, in base units.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Prices {
    /// Tokens of a prompt that are computed.
    pub input: u64,
    /// Tokens of a prompt that the host still knew.
    pub cached: u64,
    /// Tokens that are generated.
    pub output: u64,
}

/// How many tokens a request took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Usage {
    /// Tokens of the prompt, those that the host still knew among them.
    pub prompt: u32,
    /// Of these, tokens that the host still knew.
    pub cached: u32,
    /// Tokens that were generated, over all choices.
    pub completion: u32,
}

impl Usage {
    /// Tokens that were computed, for display and statistics.
    pub fn tokens(&self) -> u64 {
        u64::from(self.prompt) + u64::from(self.completion)
    }
}

impl Prices {
    /// What a request costs: each kind of token at its price, the sum rounded up to a whole base unit. Less than
    /// 2^80 whatever the prices are.
    pub fn fee(&self, usage: &Usage) -> Amount {
        let cached = usage.cached.min(usage.prompt);
        let parts = [(usage.prompt - cached, self.input), (cached, self.cached)];
        let prompt: u128 = parts.iter().map(|(tokens, price)| u128::from(*tokens) * u128::from(*price)).sum();
        let all = prompt + u128::from(usage.completion) * u128::from(self.output);
        Amount(all.div_ceil(PRICE_TOKENS))
    }

    /// The most that a request can cost: nothing of its prompt is known, and every choice is as long as it may be.
    pub fn most(&self, prompt: u32, completion: u32) -> Amount {
        let dearest = Self { input: self.input.max(self.cached), ..*self };
        dearest.fee(&Usage { prompt, cached: 0, completion })
    }
}

/// A payer's promise for one more request. Signed by the lane's voucher key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Voucher {
    /// The lane.
    pub lane: LaneId,
    /// The host whose share of it is meant.
    pub host: Address,
    /// The number of the voucher on this share, from 0 on, in the order in which the payer asks. A host takes each number
    /// once; as requests overtake each other, one up to 256 below the highest is taken as well.
    pub sequence: u64,
    /// What all requests that have ended cost, by their receipts.
    pub spent: Amount,
    /// What the host may take in all: this request and those still under way included, each at its most.
    pub limit: Amount,
    /// The digest of the token request.
    pub request: Digest,
}

impl Canonical for Voucher {
    const KIND: &'static str = "voucher";
    const MAX_BYTES: usize = 8 + 32 + 8 + 16 + 16 + 32;
}

/// A host's promise to do a request. Signed by its key before the first token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Acceptance {
    /// The lane.
    pub lane: LaneId,
    /// The host.
    pub host: Address,
    /// The voucher's number.
    pub sequence: u64,
    /// The model's root.
    pub model: Digest,
    /// The digest of the token request.
    pub request: Digest,
    /// What it costs.
    pub prices: Prices,
}

impl Canonical for Acceptance {
    const KIND: &'static str = "acceptance";
    const MAX_BYTES: usize = 8 + 32 + 8 + 32 + 32 + 24;
}

/// What a host did. Signed by its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Receipt {
    /// The lane.
    pub lane: LaneId,
    /// The host.
    pub host: Address,
    /// The number of the receipt on this share, from 0 without gaps.
    pub sequence: u64,
    /// The interval of work in which the host will commit to it.
    pub interval: u64,
    /// The digest of the token request.
    pub request: Digest,
    /// See [`output`].
    pub output: Digest,
    /// See [`salted`].
    pub trace: Digest,
    /// What it took.
    pub usage: Usage,
    /// What it costs.
    pub fee: Amount,
    /// What this request and all before it on this share cost.
    pub total: Amount,
}

impl Canonical for Receipt {
    const KIND: &'static str = "receipt of work";
    const MAX_BYTES: usize = 8 + 32 + 8 + 8 + 96 + 12 + 16 + 16;
}

impl Receipt {
    /// What an [`Entry`] names the receipt by.
    pub fn digest(&self) -> Digest {
        Digest::of(RECEIPT_DIGEST, &self.encode())
    }

    /// The entry for it in its interval's commitment.
    pub fn entry(&self) -> Entry {
        Entry {
            lane: self.lane,
            sequence: self.sequence,
            total: self.total,
            receipt: self.digest(),
            sums: Sums { fees: self.fee.0, tokens: self.usage.tokens() },
        }
    }
}

/// The digest of what a request gave: the tokens of each choice, one after the other, each with its length.
pub fn output<'a>(choices: impl IntoIterator<Item = &'a [u32]>) -> Digest {
    let mut bytes = Vec::new();
    for tokens in choices {
        bytes.extend_from_slice(&(tokens.len() as u64).to_le_bytes());
        bytes.extend(tokens.iter().flat_map(|token| token.to_le_bytes()));
    }
    Digest::of(OUTPUT, &bytes)
}

/// The trace of a request: one digest over the trace roots of its choices, in order.
pub fn traces(choices: &[Digest]) -> Digest {
    let bytes: Vec<u8> = choices.iter().flat_map(|choice| choice.0).collect();
    Digest::of(TRACES, &bytes)
}

/// The trace of one choice where no bit can be computed again: a digest of what the host says of each of its tokens'
/// likelihoods, in millionths of a nat. Who was shown them has the trace.
pub fn claimed(logprobs: impl IntoIterator<Item = i32>) -> Digest {
    let bytes: Vec<u8> = logprobs.into_iter().flat_map(i32::to_le_bytes).collect();
    Digest::of(CLAIMED, &bytes)
}

/// What a receipt says of the trace: nothing that helps anybody who has not computed it and does not know the salt.
pub fn salted(salt: &[u8; 32], trace: &Digest) -> Digest {
    let mut bytes = [0; 64];
    bytes[..32].copy_from_slice(salt);
    bytes[32..].copy_from_slice(trace.as_bytes());
    Digest::of(SALTED, &bytes)
}

/// A leaf of a commitment to work. Leaves are ordered by lane and sequence; a lane's sequences have no gaps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Entry {
    /// The lane.
    pub lane: LaneId,
    /// The receipt's number.
    pub sequence: u64,
    /// What this request and all before it on this share cost.
    pub total: Amount,
    /// The receipt's digest.
    pub receipt: Digest,
    /// Its fee and tokens.
    pub sums: Sums,
}

impl Entry {
    /// What stands in the tree for it, beside its sums.
    pub fn digest(&self) -> Digest {
        let mut bytes = [0; 64];
        bytes[..8].copy_from_slice(&self.lane.0.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.sequence.to_le_bytes());
        bytes[16..32].copy_from_slice(&self.total.0.to_le_bytes());
        bytes[32..].copy_from_slice(self.receipt.as_bytes());
        Digest::of(ENTRY, &bytes)
    }

    /// Whether it may stand right before `next` in one commitment: the next request of the same lane with its fee on
    /// top, or the first of a later lane.
    pub fn precedes(&self, next: &Self) -> bool {
        if self.lane == next.lane {
            let total = self.total.checked_add(Amount(next.sums.fees));
            return self.sequence.checked_add(1) == Some(next.sequence) && total == Some(next.total);
        }
        self.lane < next.lane
    }
}

/// What a verifier says of a sampled receipt: bound to the verifier, so that it is of no use to another, and to the
/// trace, so that nobody makes it without having computed or been told it.
pub fn tag(interval: u64, verifier: &Address, host: &Address, receipt: &Digest, trace: &Digest) -> [u8; 16] {
    let mut bytes = [0; 136];
    bytes[..8].copy_from_slice(&interval.to_le_bytes());
    bytes[8..40].copy_from_slice(&verifier.0);
    bytes[40..72].copy_from_slice(&host.0);
    bytes[72..104].copy_from_slice(receipt.as_bytes());
    bytes[104..].copy_from_slice(trace.as_bytes());
    let mut tag = [0; 16];
    tag.copy_from_slice(&Digest::of(TAG, &bytes).0[..16]);
    tag
}

/// The points of a host's commitment that are looked at: `count` of them, uniform over its fees, from the beacon's
/// value after the commitment. A tree without fees has none.
pub fn points(value: &Digest, host: &Address, interval: u64, fees: u128, count: u32) -> Vec<u128> {
    if fees == 0 {
        return Vec::new();
    }
    let mut stream = Stream::new(value, POINTS, &[&host.0, &interval.to_le_bytes()]);
    (0..count).map(|_| stream.below_wide(fees)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sum::{Opening, Tree};
    use proptest::prelude::*;

    fn receipt(lane: u64, sequence: u64, fee: u128, total: u128) -> Receipt {
        Receipt {
            lane: LaneId(lane),
            host: Address([7; 32]),
            sequence,
            interval: 3,
            request: Digest([1; 32]),
            output: output([[1u32, 2].as_slice(), &[3]]),
            trace: salted(&[5; 32], &Digest([2; 32])),
            usage: Usage { prompt: 10, cached: 4, completion: 3 },
            fee: Amount(fee),
            total: Amount(total),
        }
    }

    #[test]
    fn fees_are_rounded_up_once() {
        let prices = Prices { input: 1_000_000, cached: 100_000, output: 3_000_000 };
        let usage = Usage { prompt: 10, cached: 4, completion: 3 };
        // 6 + 0.4 + 9
        assert_eq!(prices.fee(&usage), Amount(16));
        assert_eq!(prices.fee(&Usage::default()), Amount::ZERO);
        assert_eq!(prices.most(10, 3), Amount(19));
        let wild = Prices { input: u64::MAX, cached: u64::MAX, output: u64::MAX };
        let most = Usage { prompt: u32::MAX, cached: u32::MAX, completion: u32::MAX };
        assert!(wild.fee(&most).0 < 1 << 80);
        // More known tokens than there are cost no less than all of them.
        assert_eq!(prices.fee(&Usage { cached: 400, ..usage }), prices.fee(&Usage { cached: 10, ..usage }));
    }

    #[test]
    fn outputs_are_told_apart_by_their_choices() {
        assert_ne!(output([[1u32, 2].as_slice(), &[3]]), output([[1u32].as_slice(), &[2, 3]]));
        assert_ne!(output([[].as_slice()]), output([]));
    }

    #[test]
    fn entries_have_an_order_without_gaps() {
        let first = receipt(4, 8, 5, 100).entry();
        for (lane, sequence, fee, total, holds) in [
            (4, 9, 7, 107, true),
            (4, 9, 7, 106, false),
            (4, 10, 7, 107, false),
            (4, 8, 7, 107, false),
            (5, 0, 7, 7, true),
            (5, 40, 7, 900, true),
            (3, 9, 7, 107, false),
        ] {
            assert_eq!(
                first.precedes(&receipt(lane, sequence, fee, total).entry()),
                holds,
                "{lane} {sequence}"
            );
        }
        let last = Entry { sequence: u64::MAX, ..first };
        assert!(!last.precedes(&Entry { sequence: 0, ..first }));
    }

    #[test]
    fn signed_words_have_their_size() {
        let receipt = receipt(1, 2, 3, 4);
        assert_eq!(receipt.encode().len(), Receipt::MAX_BYTES);
        let voucher = Voucher {
            lane: LaneId(1),
            host: Address([0; 32]),
            sequence: 0,
            spent: Amount(0),
            limit: Amount(9),
            request: Digest::ZERO,
        };
        assert_eq!(voucher.encode().len(), Voucher::MAX_BYTES);
        let acceptance = Acceptance {
            lane: LaneId(1),
            host: Address([0; 32]),
            sequence: 0,
            model: Digest::ZERO,
            request: Digest::ZERO,
            prices: Prices::default(),
        };
        assert_eq!(acceptance.encode().len(), Acceptance::MAX_BYTES);
    }

    proptest! {
        /// What is drawn follows from fees alone: however a host splits the rest, a leaf is hit in proportion.
        #[test]
        fn points_open_the_leaves_they_belong_to(fees in prop::collection::vec(0u128..1_000, 1..60), seed: [u8; 32]) {
            let mut tree = Tree::new();
            let mut total = 0;
            let mut entries = Vec::new();
            for (sequence, fee) in (0u64..).zip(&fees) {
                total += fee;
                let entry = receipt(1, sequence, *fee, total).entry();
                tree.push(&entry.digest(), entry.sums).unwrap();
                entries.push(entry);
            }
            let committed = tree.total();
            let drawn = points(&Digest(seed), &Address([7; 32]), 3, committed.sums.fees, 16);
            prop_assert_eq!(drawn.len(), if total == 0 { 0 } else { 16 });
            for point in drawn {
                let index = tree.at(point).unwrap();
                let entry = &entries[index as usize];
                let opening = Opening {
                    index,
                    digest: entry.digest(),
                    sums: entry.sums,
                    path: tree.path(index).unwrap(),
                };
                prop_assert!(opening.holds(&committed, point));
                prop_assert!(entry.sums.fees > 0);
            }
        }
    }
}
