//! What payer and hosts do with each other, without the chain.

use freeway_api::serving::Artifact;
use freeway_host::work::{Kept, Shelf};
use freeway_ledger::lanes::{self, LANES, Lane, Opened};
use freeway_ledger::work;
use freeway_ledger::{Message, Params};
use freeway_primitives::{Amount, Digest};
use freeway_proofs::work::{LaneId, RECEIPT, Receipt, Usage, VOUCHER, Voucher, output, salted, traces};
use freeway_requests::{ModelRoot, TokenRequest};

use super::{MODEL, Net, Quality, address, compute};

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

    /// As [`serve`](Self::serve), in a lane as it was once.
    pub(crate) fn serve_one(&mut self, i: usize, lane: LaneId, known: Lane) -> Kept {
        self.requests += 1;
        let interval = self.interval();
        let node = &mut self.nodes[i];
        let request = TokenRequest::greedy(ModelRoot(MODEL), vec![1, 2, self.requests], 6);
        let (mut tokens, mut trace) = compute(&request);
        if node.quality == Quality::Coarse {
            tokens[5] += 1;
            trace = Digest([0xee; 32]);
        }
        if node.quality == Quality::FalseTrace {
            trace = Digest([0xef; 32]);
        }
        let mut usage = Usage { prompt: 3, cached: 1, completion: 6 };
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
        let salt = [9; 32];
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
        let most = known.prices.most(3, 9);
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
            claims: None,
        };
        let kept = Kept { receipt, signature, salt, traces: vec![trace] };
        assert!(
            node.shelf.put(kept.clone(), artifact, (MODEL, known.constraints)),
            "{receipt:?} comes after its interval was sealed"
        );
        kept
    }
}
