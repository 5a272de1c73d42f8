//! A chain with a model that all its hosts serve, and what payers and hosts sign when they deal with each other.

use freeway_ledger::lanes::{
    self, CREDITS, Constraints, Credit, LANES, Lane, Opened, Settlement, Share, State,
};
use freeway_ledger::models::{self, Description, Tier};
use freeway_ledger::work::{self, COMMITS, Commitment};
use freeway_ledger::{Failure, Genesis, Message, Params, Transaction};
use freeway_primitives::{Address, Amount, Digest, SecretKey};
use freeway_proofs::sum::{Opening, Tree};
use freeway_proofs::work::{Entry, LaneId, Prices, Receipt, Usage, VOUCHER, Voucher};
use freeway_requests::evidence::Noise;

use crate::kit::*;

/// The model of a [`Market`].
pub(crate) const MODEL: Digest = Digest([0x33; 32]);

/// What it costs at first.
pub(crate) const PRICES: Prices = Prices { input: 100_000, cached: 10_000, output: 200_000 };

/// What most lanes here are opened with.
pub(crate) const ESCROW: Amount = Amount(9_000_000);

/// The key that signs a payer's vouchers.
pub(crate) fn voucher_key(i: u8) -> SecretKey {
    SecretKey::from_seed([0x50 + i; 32])
}

pub(crate) fn description(name: &str) -> Description {
    Description {
        name: text(name),
        tier: Tier::Exact,
        context: 4_096,
        vocabulary: 32_000,
        work: 1_000_000,
        prices: PRICES,
        noise: None,
    }
}

/// A model of the statistical tier, whose noise has been measured.
pub(crate) fn measured(name: &str) -> Description {
    let noise = Some(Noise { gap: 40_000, rate: 3_000, allowance: [1_000, 2_000, 3_000] });
    Description { tier: Tier::Statistical, noise, ..description(name) }
}

pub(crate) fn register_model(root: Digest, description: Description) -> Message {
    Message::Models(models::Message::Register { root, description })
}

pub(crate) fn retire(root: Digest) -> Message {
    Message::Models(models::Message::Retire { root })
}

pub(crate) fn serve(models: &[Digest]) -> Message {
    Message::Models(models::Message::Serve { models: models.to_vec() })
}

/// A lane for [`MODEL`] with the voucher key of user 0.
pub(crate) fn opened(escrow: Amount, shares: u8) -> Opened {
    let key = voucher_key(0).public();
    let constraints = Constraints::default();
    Opened { model: MODEL, escrow, shares, constraints, key, lifetime: 1_000 }
}

pub(crate) fn open(opened: Opened) -> Message {
    Message::Lanes(lanes::Message::Open(Box::new(opened)))
}

pub(crate) fn top_up(lane: LaneId, amount: Amount) -> Message {
    Message::Lanes(lanes::Message::TopUp { lane, amount })
}

pub(crate) fn close(lane: LaneId) -> Message {
    Message::Lanes(lanes::Message::Close { lane })
}

pub(crate) fn settle(settlement: Settlement) -> Message {
    Message::Lanes(lanes::Message::Settle(Box::new(settlement)))
}

/// What a host has served in an interval: lane, sequence and fee of each request, in the order of the tree.
#[derive(Clone, Debug, Default)]
pub(crate) struct Served {
    pub(crate) tree: Tree,
    pub(crate) entries: Vec<Entry>,
}

impl Served {
    /// Requests of one lane from its first on, with these fees.
    pub(crate) fn of(lane: LaneId, host: Address, fees: &[u128]) -> Self {
        let mut served = Self::default();
        let mut total = 0;
        for (sequence, fee) in (0..).zip(fees) {
            total += fee;
            served.push(lane, host, sequence, *fee, total);
        }
        served
    }

    /// One more request, whose receipt says that all so far cost `total`.
    pub(crate) fn push(&mut self, lane: LaneId, host: Address, sequence: u64, fee: u128, total: u128) {
        let receipt = Receipt {
            lane,
            host,
            sequence,
            interval: 0,
            request: Digest([1; 32]),
            output: Digest([2; 32]),
            trace: Digest([3; 32]),
            usage: Usage { prompt: 5, cached: 0, completion: 7 },
            fee: Amount(fee),
            total: Amount(total),
        };
        let entry = receipt.entry();
        self.tree.push(&entry.digest(), entry.sums).unwrap();
        self.entries.push(entry);
    }

    pub(crate) fn fees(&self) -> Amount {
        Amount(self.tree.sums().fees)
    }

    /// The entry at a place, and its opening.
    pub(crate) fn open(&self, index: usize) -> (Entry, Opening) {
        let entry = self.entries[index];
        let path = self.tree.path(index as u64).unwrap();
        (entry, Opening { index: index as u64, digest: entry.digest(), sums: entry.sums, path })
    }
}

/// A chain whose hosts all serve [`MODEL`].
#[derive(Clone)]
pub(crate) struct Market {
    pub(crate) chain: Chain,
}

impl Market {
    /// So many equal hosts and two users.
    pub(crate) fn new(hosts: u8) -> Self {
        Self::with(hosts, |_| {})
    }

    /// The same, under other parameters.
    pub(crate) fn with(hosts: u8, change: impl Fn(&mut Params)) -> Self {
        let mut params = quick();
        change(&mut params);
        Self::of(&genesis(params, &vec![WEIGHT; usize::from(hosts)], 2))
    }

    /// The chain of a genesis with at least one user, who registers the model.
    pub(crate) fn of(genesis: &Genesis) -> Self {
        let mut chain = Chain::of(genesis);
        chain.done(&chain.tx(&user(0), register_model(MODEL, description("a-model"))));
        let hosts = genesis.hosts.len() as u8;
        let serving: Vec<_> = (0..hosts).map(|i| chain.tx(&owner(i), serve(&[MODEL]))).collect();
        chain.block(&serving);
        Self { chain }
    }

    /// Opens a lane of user 0 and gives it its hosts.
    pub(crate) fn open(&mut self, opened: Opened) -> LaneId {
        let id = self.ask(opened);
        self.chain.block(&[]);
        id
    }

    /// Opens a lane of user 0.
    pub(crate) fn ask(&mut self, opened: Opened) -> LaneId {
        self.chain.done(&self.chain.tx(&user(0), open(opened)));
        let all = lanes::of_payer(&self.chain.state, &address(&user(0)), None, 100_000).unwrap();
        *all.last().unwrap()
    }

    pub(crate) fn lane(&self, id: LaneId) -> Option<Lane> {
        LANES.get(&self.chain.state, &id).unwrap()
    }

    pub(crate) fn state(&self, id: LaneId) -> State {
        self.lane(id).unwrap().state
    }

    /// A share of a lane by its place, and the key of its host's account.
    pub(crate) fn share(&self, id: LaneId, place: usize) -> (Share, SecretKey) {
        let share = self.lane(id).unwrap().shares[place].clone();
        let key = (0..=u8::MAX).map(owner).find(|key| address(key) == share.host).unwrap();
        (share, key)
    }

    /// Puts what a host served in an interval into state as if it had been committed to and had matured.
    pub(crate) fn mature(&mut self, host: Address, interval: u64, lane: LaneId, served: &Served) {
        let known = self.lane(lane).unwrap();
        let branch = work::Branch {
            lane,
            model: known.model,
            tier: known.tier,
            constraints: known.constraints,
            total: served.tree.total(),
            committee: Vec::new(),
            asked: 0,
        };
        let commitment = Commitment {
            branches: vec![branch],
            operator: text("operator"),
            fees: served.fees(),
            sampled: None,
            round: 0,
            reveal: None,
            open: 0,
            state: work::State::Matured,
        };
        let state = &mut self.chain.state.0;
        state.insert(COMMITS.key(&(interval, host)), borsh::to_vec(&commitment).unwrap());
        let mut credit = self.credit(host);
        credit.matured = plus(credit.matured, served.fees());
        self.chain.state.0.insert(CREDITS.key(&host), borsh::to_vec(&credit).unwrap());
    }

    pub(crate) fn credit(&self, host: Address) -> Credit {
        CREDITS.get(&self.chain.state, &host).unwrap().unwrap_or_default()
    }

    /// What the host would send: the entry at `index` of what it served in that interval, and a voucher for the same
    /// request up to `limit`.
    pub(crate) fn settlement(
        &self,
        host: Address,
        interval: u64,
        served: &Served,
        index: usize,
    ) -> Settlement {
        let (entry, opening) = served.open(index);
        let voucher = Voucher {
            lane: entry.lane,
            host,
            sequence: entry.sequence,
            spent: Amount(entry.total.0 - entry.sums.fees),
            limit: entry.total,
            request: Digest([1; 32]),
        };
        self.signed(Settlement {
            voucher,
            signature: voucher_signature(self, &voucher),
            interval,
            entry,
            opening,
        })
    }

    /// The same with the payer's signature over its voucher, as it is now.
    pub(crate) fn signed(&self, mut settlement: Settlement) -> Settlement {
        settlement.signature = voucher_signature(self, &settlement.voucher);
        settlement
    }

    /// One share served these requests in interval 0, all of which has matured.
    pub(crate) fn earn(&mut self, id: LaneId, place: usize, fees: &[u128]) -> (SecretKey, Settlement) {
        let (share, key) = self.share(id, place);
        let served = Served::of(id, share.host, fees);
        self.mature(share.host, 0, id, &served);
        let settlement = self.settlement(share.host, 0, &served, fees.len() - 1);
        (key, settlement)
    }

    pub(crate) fn tx(&self, key: &SecretKey, message: Message) -> Transaction {
        self.chain.tx(key, message)
    }

    /// Why a settlement fails.
    #[track_caller]
    pub(crate) fn refuses(&mut self, key: &SecretKey, settlement: &Settlement) -> &'static str {
        let transaction = self.chain.tx(key, settle(settlement.clone()));
        match self.chain.fails(&transaction) {
            Failure::Lanes(failure) => Failure::Lanes(failure).code(),
            other => panic!("failed otherwise: {other}"),
        }
    }

    /// Settles.
    #[track_caller]
    pub(crate) fn pays(&mut self, key: &SecretKey, settlement: &Settlement) {
        self.chain.done(&self.chain.tx(key, settle(settlement.clone())));
    }
}

fn voucher_signature(market: &Market, voucher: &Voucher) -> freeway_primitives::Signature {
    voucher_key(0).sign(VOUCHER, &market.chain.id, voucher)
}
