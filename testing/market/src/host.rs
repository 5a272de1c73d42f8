//! A host: its books of lanes, what it served in each interval, and what it shows of that.

use std::collections::{BTreeMap, BTreeSet};

use freeway_ledger::lanes::Settlement;
use freeway_ledger::verification::{Leaf, Signed};
use freeway_ledger::work::Claim;
use freeway_primitives::{Address, Amount, ChainId, Digest, Height, SecretKey};
use freeway_proofs::sum::{Opening, Tree};
use freeway_proofs::work::{LaneId, RECEIPT, Receipt, VOUCHER, Voucher, salted};
use freeway_requests::evidence::Evidence;

use crate::chain::{consensus, owner, vouchers};
use crate::conduct::{Conduct, Honest, Served};
use crate::job::{Job, Kept, PRICES, SALT};

/// How often a lane's payer may break off in [`PATIENCE`] blocks.
const HANG_UPS: usize = 8;
/// About a minute of the local preset.
const PATIENCE: u64 = 86;

/// What a payer promises with a request.
#[derive(Clone, Copy, Debug)]
pub struct Asked {
    /// The lane.
    pub lane: LaneId,
    /// The voucher's number.
    pub voucher: u64,
    /// Its limit.
    pub limit: u128,
    /// The request.
    pub job: Job,
}

/// A share of a lane, as its host knows it.
#[derive(Clone, Debug)]
pub struct Book {
    /// Whose lane it is.
    pub payer: usize,
    deposit: u128,
    next: u64,
    total: u128,
    voucher: Option<u64>,
    limit: u128,
    hang_ups: Vec<Height>,
}

/// What was served in an interval.
#[derive(Clone, Debug, Default)]
pub struct Shelf {
    /// In the order in which it was done; once it is committed, in that of the tree.
    pub kept: Vec<Kept>,
    /// What was committed to.
    pub tree: Option<Tree>,
    places: BTreeMap<(LaneId, u64), usize>,
}

impl Shelf {
    /// Where a receipt stands in the tree.
    pub fn place(&self, lane: LaneId, sequence: u64) -> Option<usize> {
        self.places.get(&(lane, sequence)).copied()
    }

    /// The leaf at a place.
    pub fn leaf(&self, place: usize) -> Option<Leaf> {
        let entry = self.kept.get(place)?.receipt.entry();
        let path = self.tree.as_ref()?.path(place as u64)?;
        let opening = Opening { index: place as u64, digest: entry.digest(), sums: entry.sums, path };
        Some(Leaf { branch: 0, opening, entry })
    }

    /// The place that a point belongs to.
    pub fn at(&self, point: u128) -> Option<usize> {
        usize::try_from(self.tree.as_ref()?.at(point)?).ok()
    }

    /// Puts what the conduct commits to into a tree.
    fn close(&mut self, conduct: &dyn Conduct) {
        self.kept.retain(|kept| conduct.commits_to(kept));
        self.kept.sort_by_key(|kept| (kept.receipt.lane, kept.receipt.sequence));
        let mut tree = Tree::new();
        for (place, kept) in self.kept.iter().enumerate() {
            let entry = kept.receipt.entry();
            tree.push(&entry.digest(), entry.sums).expect("no interval has so many requests");
            self.places.insert((entry.lane, entry.sequence), place);
        }
        self.tree = Some(tree);
    }
}

/// A host.
pub struct Host {
    /// Its number.
    pub number: usize,
    /// Its account.
    pub address: Address,
    /// The key of that.
    pub key: SecretKey,
    /// What it does.
    pub conduct: Box<dyn Conduct>,
    /// Whether it runs.
    pub up: bool,
    /// Whether it is too busy to send anything just now.
    pub late: bool,
    /// What it served, by interval.
    pub shelves: BTreeMap<u64, Shelf>,
    /// What it may still serve before something matures.
    pub room: u128,
    /// Rounds in which it gave its verdicts.
    pub given: BTreeSet<(u64, u64)>,
    /// Intervals that have matured and are to be settled.
    pub due: BTreeSet<u64>,
    /// What speaks against others, on the statistical tier.
    pub evidence: BTreeMap<Address, Evidence>,
    /// The receipts that went into it, with their intervals, and whether their hosts were suspected then.
    pub heard: BTreeMap<(u64, Digest), bool>,
    books: BTreeMap<LaneId, Book>,
}

impl Host {
    /// An honest one.
    pub fn new(number: usize) -> Self {
        let key = owner(number);
        Self {
            number,
            address: Address::of(&key.public()),
            key,
            conduct: Box::new(Honest),
            up: true,
            late: false,
            shelves: BTreeMap::new(),
            room: 0,
            given: BTreeSet::new(),
            due: BTreeSet::new(),
            evidence: BTreeMap::new(),
            heard: BTreeMap::new(),
            books: BTreeMap::new(),
        }
    }

    /// It has a share of a lane.
    pub fn joins(&mut self, lane: LaneId, payer: usize, deposit: Amount) {
        let book = Book {
            payer,
            deposit: deposit.0,
            next: 0,
            total: 0,
            voucher: None,
            limit: 0,
            hang_ups: Vec::new(),
        };
        self.books.insert(lane, book);
    }

    /// A lane is over.
    pub fn parts(&mut self, lane: LaneId) {
        self.books.remove(&lane);
    }

    /// Checks a promise before any work, and keeps it.
    ///
    /// # Errors
    /// Why it refuses.
    pub fn takes(&mut self, asked: &Asked, height: Height) -> Result<(), &'static str> {
        let most = PRICES.most(asked.job.prompt, asked.job.limit).0;
        if !self.up {
            return Err("down");
        }
        if most > self.room {
            return Err("no_room");
        }
        let Some(book) = self.books.get_mut(&asked.lane) else { return Err("no_share") };
        if book.voucher.is_some_and(|last| asked.voucher <= last) {
            return Err("voucher_used");
        }
        if asked.limit < book.total + most {
            return Err("voucher_too_low");
        }
        if asked.limit > book.deposit {
            return Err("voucher_uncovered");
        }
        book.hang_ups.retain(|at| height.0 < at.0 + PATIENCE);
        if book.hang_ups.len() >= HANG_UPS {
            return Err("hangs_up");
        }
        (book.voucher, book.limit) = (Some(asked.voucher), book.limit.max(asked.limit));
        Ok(())
    }

    /// The payer broke off: nothing is owed, and it is remembered for a while.
    pub fn left_alone(&mut self, lane: LaneId, height: Height) {
        if let Some(book) = self.books.get_mut(&lane) {
            book.hang_ups.push(height);
        }
    }

    /// Does a request that it took. Gives the receipt, and what the conduct made of it.
    pub fn does(&mut self, asked: &Asked, interval: u64) -> Option<(Receipt, Served)> {
        let served = self.conduct.serves(&asked.job);
        let book = self.books.get_mut(&asked.lane)?;
        let fee = PRICES.fee(&served.usage);
        book.total += fee.0;
        let receipt = Receipt {
            lane: asked.lane,
            host: self.address,
            sequence: book.next,
            interval,
            request: served.request,
            output: served.answer.output,
            trace: salted(&SALT, &served.answer.trace),
            usage: served.usage,
            fee,
            total: Amount(book.total),
        };
        book.next += 1;
        self.room = self.room.saturating_sub(fee.0);
        let Served { answer, wrong, voice, .. } = served;
        let kept = Kept { receipt, job: asked.job, trace: answer.trace, wrong, voice };
        self.shelves.entry(interval).or_default().kept.push(kept);
        Some((receipt, served))
    }

    /// What it commits to of an interval, if there is anything.
    pub fn claim(&mut self, interval: u64) -> Option<Claim> {
        let shelf = self.shelves.get_mut(&interval)?;
        if shelf.tree.is_none() {
            shelf.close(self.conduct.as_ref());
        }
        let (first, tree) = (shelf.kept.first()?, shelf.tree.as_ref()?);
        Some(Claim { lane: first.receipt.lane, total: tree.total() })
    }

    /// What it has not committed to yet.
    pub fn uncommitted(&self) -> u128 {
        let open = self.shelves.values().filter(|shelf| shelf.tree.is_none());
        open.flat_map(|shelf| &shelf.kept).map(|kept| kept.receipt.fee.0).sum()
    }

    /// What it shows to be paid for an interval, one for each lane.
    pub fn settlements(&self, chain: &ChainId, interval: u64) -> Vec<Settlement> {
        let Some(shelf) = self.shelves.get(&interval) else { return Vec::new() };
        let mut last: BTreeMap<LaneId, usize> = BTreeMap::new();
        for (place, kept) in shelf.kept.iter().enumerate() {
            last.insert(kept.receipt.lane, place);
        }
        last.into_iter()
            .filter_map(|(lane, place)| self.settlement(chain, interval, shelf, lane, place))
            .collect()
    }

    fn settlement(
        &self,
        chain: &ChainId,
        interval: u64,
        shelf: &Shelf,
        lane: LaneId,
        place: usize,
    ) -> Option<Settlement> {
        let (book, leaf) = (self.books.get(&lane)?, shelf.leaf(place)?);
        let voucher = Voucher {
            lane,
            host: self.address,
            sequence: book.voucher?,
            spent: Amount::ZERO,
            limit: Amount(book.limit),
            request: Digest::ZERO,
        };
        // The payer signed it when it asked. Signing all of them would take most of the simulation's time.
        let signature = vouchers(book.payer).sign(VOUCHER, chain, &voucher);
        Some(Settlement { voucher, signature, interval, entry: leaf.entry, opening: leaf.opening })
    }

    /// A receipt under its signature.
    pub fn signed(&self, chain: &ChainId, receipt: Receipt) -> Signed {
        Signed { receipt, signature: consensus(self.number).sign(RECEIPT, chain, &receipt) }
    }

    /// Forgets what is older than an interval.
    pub fn forgets(&mut self, before: u64) {
        self.shelves = self.shelves.split_off(&before);
        self.given = self.given.split_off(&(before, 0));
        self.heard = self.heard.split_off(&(before, Digest::ZERO));
    }
}
