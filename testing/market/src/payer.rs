//! A payer: its lanes, its vouchers, and the receipts that it watches.

use std::collections::BTreeMap;

use freeway_primitives::{Address, Height, SecretKey};
use freeway_proofs::work::{LaneId, Receipt};

use crate::chain::payer;
use crate::conduct::{Paying, Promise};
use crate::host::Asked;
use crate::job::{Chance, Job, PRICES};

/// A lane in use.
#[derive(Clone, Debug)]
pub struct InUse {
    /// Its hosts, by number.
    pub hosts: Vec<usize>,
    /// When it closes.
    pub expires: Height,
}

/// What it knows of a share.
#[derive(Clone, Copy, Debug, Default)]
struct Share {
    spent: u128,
    vouchers: u64,
}

/// A payer.
pub struct Payer {
    /// Its number.
    pub number: usize,
    /// Its account.
    pub address: Address,
    /// The key of that.
    pub key: SecretKey,
    /// What it does.
    pub conduct: Paying,
    /// Its lanes that are open.
    pub lanes: BTreeMap<LaneId, InUse>,
    /// The height at which it last asked for a lane.
    pub opened: Option<Height>,
    /// How many it has opened.
    pub hoard: u32,
    /// Receipts whose inclusion it has not seen yet, with the host.
    pub receipts: BTreeMap<u64, Vec<(usize, Receipt)>>,
    /// What it got, by its hosts' prices: also what it broke off.
    pub received: u128,
    /// What its lanes paid.
    pub paid: u128,
    /// Requests that hosts refused because of its vouchers or manners.
    pub refused: u64,
    /// Requests that were done.
    pub done: u64,
    /// All chance of its requests.
    pub chance: Chance,
    shares: BTreeMap<(LaneId, usize), Share>,
}

impl Payer {
    /// A payer, whose requests come from the seed.
    pub fn new(number: usize, conduct: Paying, seed: u64) -> Self {
        let key = payer(number);
        Self {
            number,
            address: Address::of(&key.public()),
            key,
            conduct,
            lanes: BTreeMap::new(),
            opened: None,
            hoard: 0,
            receipts: BTreeMap::new(),
            received: 0,
            paid: 0,
            refused: 0,
            done: 0,
            chance: Chance::new(seed, 100 + number as u64),
            shares: BTreeMap::new(),
        }
    }

    /// Its latest lane that is still good for a while.
    pub fn lane(&self, height: Height) -> Option<(LaneId, &InUse)> {
        let open = self.lanes.iter().rev().find(|(_, lane)| height < lane.expires);
        open.map(|(id, lane)| (*id, lane))
    }

    /// What it promises to a host for a request.
    pub fn asks(&mut self, lane: LaneId, host: usize, job: Job) -> Asked {
        let share = self.shares.entry((lane, host)).or_default();
        let most = PRICES.most(job.prompt, job.limit).0;
        let is_first = share.vouchers == 0;
        let (mut voucher, mut limit) = (share.vouchers, share.spent + most);
        match self.conduct.promise {
            Promise::Double if !is_first => voucher -= 1,
            Promise::Stale if !is_first => limit = share.spent,
            _ => {}
        }
        share.vouchers += 1;
        Asked { lane, voucher, limit, job }
    }

    /// It got an answer and its receipt.
    pub fn gets(&mut self, host: usize, receipt: Receipt) {
        self.shares.entry((receipt.lane, host)).or_default().spent = receipt.total.0;
        self.received += receipt.fee.0;
        self.done += 1;
        self.receipts.entry(receipt.interval).or_default().push((host, receipt));
    }

    /// A lane is over.
    pub fn parts(&mut self, lane: LaneId) {
        self.lanes.remove(&lane);
        self.shares.retain(|(known, _), _| *known != lane);
    }
}
