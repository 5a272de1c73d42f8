//! What payer and hosts do with each other, without the chain.

use freeway_api::serving::{Artifact, Claims};
use freeway_host::work::{Kept, Shelf};
use freeway_ledger::lanes::probe::{self, Probes};
use freeway_ledger::lanes::{self, LANES, Lane, Opened, PROBES};
use freeway_ledger::models::Tier;
use freeway_ledger::work;
use freeway_ledger::{Message, Params};
use freeway_primitives::{Amount, Digest};
use freeway_proofs::work::{
    LaneId, RECEIPT, Receipt, Usage, VOUCHER, Voucher, claimed, output, salted, traces,
};
use freeway_requests::{ModelRoot, TokenRequest};

use super::{MODEL, Net, Quality, address, chance, compute};

/// What a host of this quality answers where every bit is computed again.
fn exact(quality: Quality, request: TokenRequest) -> (TokenRequest, Vec<u32>, Digest, Option<Claims>) {
    let (mut tokens, mut trace) = compute(&request);
    if quality == Quality::Coarse {
        tokens[5] += 1;
        trace = Digest([0xee; 32]);
    }
    if quality == Quality::FalseTrace {
        trace = Digest([0xef; 32]);
    }
    (request, tokens, trace, None)
}

impl Net {
    /// A lane with a share for every host.
    pub(crate) fn lane(&mut self) -> LaneId {
        let id = self.lane_for(lanes::Constraints::default());
        assert_eq!(self.lane_of(id).shares.len(), self.nodes.len());
        id
    }

    /// A lane with a share for every host that meets these.
    pub(crate) fn lane_for(&mut self, constraints: lanes::Constraints) -> LaneId {
        let opened = Opened {
            model: MODEL,
            escrow: Amount::fwy(20),
            shares: u8::try_from(self.nodes.len()).unwrap(),
            constraints,
            key: self.payer.public(),
            lifetime: 1_000,
        };
        self.pays(Message::Lanes(lanes::Message::Open(Box::new(opened))));
        self.block();
        let all = lanes::of_payer(&self.state, &address(&self.payer), None, 100).unwrap();
        *all.last().unwrap()
    }

    /// From now on a lane is one of probes, five for each host.
    pub(crate) fn probe(&mut self, lane: LaneId) {
        self.state.0.insert(PROBES.key(&lane), borsh::to_vec(&(Digest([0x21; 32]), 5u32)).unwrap());
    }

    pub(crate) fn lane_of(&self, id: LaneId) -> Lane {
        LANES.get(&self.state, &id).unwrap().unwrap()
    }

    /// Whether a lane is not over.
    pub(crate) fn is_known(&self, id: LaneId) -> bool {
        LANES.contains(&self.state, &id).unwrap()
    }

    pub(crate) fn close(&mut self, lane: LaneId) {
        self.pays(Message::Lanes(lanes::Message::Close { lane }));
    }

    /// The interval in which a request ends that ends now.
    pub(crate) fn interval(&self) -> u64 {
        work::interval_at(self.height, &Params::current(&self.state).unwrap().work)
    }

    /// Host `i` serves so many requests. Gives the receipts.
    pub(crate) fn serve(&mut self, i: usize, lane: LaneId, count: u32) -> Vec<Kept> {
        let known = self.lane_of(lane);
        (0..count).map(|_| self.serve_one(i, lane, known.clone())).collect()
    }

    /// What host `i` shows of a receipt from now on has another voucher for the same request, which allows nothing.
    pub(crate) fn cheapen(&self, i: usize, receipt: &Digest) {
        let mut artifact = self.nodes[i].shelf.artifact(receipt).unwrap().unwrap();
        artifact.voucher.limit = Amount::ZERO;
        artifact.voucher_signature = self.payer.sign(VOUCHER, &self.chain, &artifact.voucher);
        self.nodes[i].shelf.keep(&artifact).unwrap();
    }

    /// What host `i` shows of a receipt from now on has these claims.
    pub(crate) fn claim(&self, i: usize, receipt: &Digest, claims: Option<Claims>) -> Artifact {
        let mut artifact = self.nodes[i].shelf.artifact(receipt).unwrap().unwrap();
        artifact.claims = claims;
        self.nodes[i].shelf.keep(&artifact).unwrap();
        artifact
    }

    /// As [`serve`](Self::serve), in a lane as it was once.
    pub(crate) fn serve_one(&mut self, i: usize, lane: LaneId, known: Lane) -> Kept {
        self.requests += 1;
        let interval = self.interval();
        let node = &mut self.nodes[i];
        let salt = [9; 32];
        let (request, tokens, trace, claims) = match self.tier {
            Tier::Exact => {
                let any = TokenRequest::greedy(ModelRoot(MODEL), vec![1, 2, self.requests], 6);
                let wanted = probe::probes(&self.state, lane, &known).unwrap();
                let wanted = wanted.filter(|_| node.quality != Quality::Unasked);
                let number = node.shelf.voucher(lane).unwrap().map_or(0, |(voucher, _)| voucher.sequence + 1);
                let probe = |probes: Probes| {
                    probe::request(&probes.value, &MODEL, probes.vocabulary, &node.address, number)
                };
                exact(node.quality, wanted.map_or(any, probe))
            }
            Tier::Statistical => {
                let request = chance::request(self.requests, self.is_greedy);
                let (tokens, said) = chance::answer(node.quality, &request);
                let trace = claimed(said.iter().copied());
                (request, tokens, trace, Some(chance::claims(salt, said)))
            }
        };
        let prompt = request.prompt.len() as u32;
        let mut usage = Usage { prompt, cached: 1, completion: tokens.len() as u32 };
        if node.quality == Quality::Inflated {
            usage.completion += 3;
        }
        let mut fee = known.prices.fee(&usage);
        if node.quality == Quality::Dear {
            fee.0 += 1;
        }
        let last = node.shelf.voucher(lane).unwrap();
        let sequence = last.map_or(0, |(voucher, _)| voucher.sequence + 1);
        let total = match sequence.checked_sub(1) {
            Some(before) => node.shelf.kept(lane, before).unwrap().unwrap().receipt.total,
            None => Amount::ZERO,
        };
        let host = node.address;
        let receipt = Receipt {
            lane,
            host,
            sequence,
            interval,
            request: request.digest(),
            output: output([tokens.as_slice()]),
            trace: salted(&salt, &traces(&[trace])),
            usage,
            fee,
            total: total.checked_add(fee).unwrap(),
        };
        let most = known.prices.most(prompt, usage.completion);
        let limit = Amount(total.0 + most.0);
        let voucher = Voucher { lane, host, sequence, spent: total, limit, request: request.digest() };
        let signature = node.key.sign(RECEIPT, &self.chain, &receipt);
        let artifact = Artifact {
            receipt,
            signature,
            voucher,
            voucher_signature: self.payer.sign(VOUCHER, &self.chain, &voucher),
            request,
            output: vec![tokens],
            claims,
        };
        let kept = Kept { receipt, signature, salt, traces: vec![trace] };
        assert!(
            node.shelf.put(kept.clone(), artifact, (MODEL, known.constraints)),
            "{receipt:?} comes after its interval was sealed"
        );
        kept
    }
}
