//! What an epoch of work costs the chain, by the real ledger under the public network's rules.
//!
//! One interval is run in full: commitments over real trees, samples, verdicts, revelations, settlement of every share.
//! An epoch has six of them, all alike; a share is settled once in it. Lanes are opened before. The bytes are those of the
//! transactions as they stand in blocks; headers and certificates are the same without work.

mod report;

use std::collections::BTreeMap;
use std::time::Duration;

use freeway_ledger::lanes::{self, Constraints, Message as Lanes, Opened};
use freeway_ledger::models::{self, Description, Tier};
use freeway_ledger::verification::{self, Finding, Message as Verify, Reveal, Verdict};
use freeway_ledger::weights::{Record, WEIGHTS};
use freeway_ledger::work::{self, Message as Work, Stage, State};
use freeway_ledger::{Event, Message, Params, Preset};
use freeway_primitives::{Address, Amount, Epoch};
use freeway_proofs::work::{LaneId, tag};

use crate::chain::{Chain, Mined, genesis, text, vouchers};
use crate::host::{Asked, Host};
use crate::job::{Chance, Job, PRICES, SALT};
use crate::market::MODEL;

pub use report::{CURVES, HEAD};

/// Lanes that one payer has.
const LANES_OF_PAYER: usize = 50;
/// Messages that wait for one block.
const CHUNK: usize = 2_000;
/// What each lane holds.
const ESCROW: Amount = Amount::fwy(3_000);

/// What each host has: enough for whatever the draws give it to do.
const COLLATERAL: Amount = Amount::fwy(100_000);

/// A network to be measured.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    /// Hosts.
    pub hosts: usize,
    /// Lanes.
    pub lanes: usize,
    /// Hosts of each lane.
    pub shares: u8,
    /// Requests in an epoch.
    pub requests: u64,
    /// The reputation of all hosts.
    pub reputation: u8,
}

/// The networks that are measured.
pub const SHAPES: [Shape; 7] = [
    Shape { hosts: 100, lanes: 100, shares: 1, requests: 1_000_000, reputation: 30 },
    Shape { hosts: 100, lanes: 100, shares: 4, requests: 1_000_000, reputation: 30 },
    Shape { hosts: 100, lanes: 100, shares: 4, requests: 1_000_000, reputation: 0 },
    Shape { hosts: 100, lanes: 100, shares: 16, requests: 1_000_000, reputation: 30 },
    Shape { hosts: 1_000, lanes: 100, shares: 16, requests: 1_000_000, reputation: 30 },
    Shape { hosts: 1_000, lanes: 1_000, shares: 16, requests: 1_000_000, reputation: 30 },
    Shape { hosts: 10_000, lanes: 1_000, shares: 16, requests: 1_000_000, reputation: 30 },
];

/// What was measured.
#[derive(Clone, Debug)]
pub struct Measured {
    /// Of which network.
    pub shape: Shape,
    /// Hosts that had something to commit to.
    pub serving: usize,
    /// Transactions and bytes of one interval, or of all settlements, by kind.
    pub traffic: BTreeMap<&'static str, (u64, u64)>,
    /// Commitments that matured.
    pub matured: usize,
    /// What the slowest block took, and what a block without work takes.
    pub slowest: Duration,
    /// The mean of all blocks.
    pub mean: Duration,
    /// The state at the end, in bytes.
    pub state: usize,
    /// And when there were hosts and lanes, and no work yet.
    pub state_before: usize,
}

struct Bench {
    chain: Chain,
    params: Params,
    hosts: Vec<Host>,
    numbers: BTreeMap<Address, usize>,
    traffic: BTreeMap<&'static str, (u64, u64)>,
    blocks: u32,
    took: Duration,
    slowest: Duration,
    matured: usize,
}

impl Bench {
    fn new(shape: &Shape) -> Self {
        let params = Preset::Main.params();
        let payers = shape.lanes.div_ceil(LANES_OF_PAYER);
        let wealth = Amount(ESCROW.0 * (LANES_OF_PAYER as u128 + 1) + Amount::fwy(2_000).0);
        let genesis = genesis(params.clone(), shape.hosts, payers, COLLATERAL, wealth);
        let mut chain = Chain::new(&genesis, 1);
        let hosts: Vec<Host> = (0..shape.hosts).map(Host::new).collect();
        for host in &hosts {
            let (now, raced, reputation) = (1_000, Epoch(u64::MAX), shape.reputation);
            let record = Record { now, before: now, raced, reputation, ..Record::default() };
            chain.state.0.insert(WEIGHTS.key(&host.address), borsh::to_vec(&record).unwrap_or_default());
        }
        let numbers = hosts.iter().map(|host| (host.address, host.number)).collect();
        let (blocks, took) = (0, Duration::ZERO);
        let mut bench = Self {
            chain,
            params,
            hosts,
            numbers,
            traffic: BTreeMap::new(),
            blocks,
            took,
            slowest: took,
            matured: 0,
        };
        bench.prepare(shape);
        bench
    }

    /// A model, all who serve it, and lanes.
    fn prepare(&mut self, shape: &Shape) {
        let description = Description {
            name: text("a-model"),
            tier: Tier::Exact,
            context: 1 << 20,
            vocabulary: 32_000,
            work: 1_000_000,
            prices: PRICES,
            noise: None,
        };
        let register = models::Message::Register { root: MODEL, description };
        self.chain.send(&crate::chain::payer(0), Message::Models(register));
        self.chain.block();
        let serve = || Message::Models(models::Message::Serve { models: vec![MODEL] });
        let all: Vec<_> = self.hosts.iter().map(|host| (host.key.clone(), serve())).collect();
        self.send_all(all, false);
        let opened = |payer: usize| Opened {
            model: MODEL,
            escrow: ESCROW,
            shares: shape.shares,
            constraints: Constraints::default(),
            key: vouchers(payer).public(),
            lifetime: 30 * 86_400,
        };
        for at in 0..LANES_OF_PAYER {
            for lane in (at..shape.lanes).step_by(LANES_OF_PAYER) {
                let payer = lane / LANES_OF_PAYER;
                let open = Lanes::Open(Box::new(opened(payer)));
                self.chain.send(&crate::chain::payer(payer), Message::Lanes(open));
            }
            self.block(false);
        }
        (0..1 + shape.lanes / 256).for_each(|_| self.block(false));
    }

    fn send_all(&mut self, all: Vec<(freeway_primitives::SecretKey, Message)>, counts: bool) {
        for chunk in all.chunks(CHUNK) {
            chunk.iter().for_each(|(key, message)| self.chain.send(key, message.clone()));
            self.block(counts);
        }
    }

    fn block(&mut self, counts: bool) {
        let Mined { events, refused, failed, sizes, took } = self.chain.block();
        assert!(refused.is_empty() && failed.is_empty(), "{:?} {:?}", refused.first(), failed.first());
        for event in events {
            self.matured += usize::from(matches!(event, Event::Work(work::Event::Matured { .. })));
        }
        if counts {
            (self.blocks, self.took) = (self.blocks + 1, self.took + took);
            self.slowest = self.slowest.max(took);
            for (kind, bytes) in sizes {
                let (count, sum) = self.traffic.entry(kind).or_default();
                (*count, *sum) = (*count + 1, *sum + bytes as u64);
            }
        }
    }

    /// Requests of an interval, spread evenly over all shares.
    fn serve(&mut self, interval: u64, requests: u64) {
        let mut shares: Vec<(LaneId, usize)> = Vec::new();
        let number = lanes::number(&self.chain.state).unwrap_or_default() as usize;
        let payer = |number| (Address::of(&crate::chain::payer(number).public()), number);
        let payers: BTreeMap<Address, usize> = (0..number.div_ceil(LANES_OF_PAYER)).map(payer).collect();
        for (id, lane) in lanes::all(&self.chain.state, None, usize::MAX).unwrap_or_default() {
            for share in &lane.shares {
                let Some(number) = self.numbers.get(&share.host).copied() else { continue };
                self.hosts[number].joins(
                    id,
                    payers.get(&lane.payer).copied().unwrap_or_default(),
                    share.deposit,
                );
                self.hosts[number].room = u128::MAX;
                shares.push((id, number));
            }
        }
        let mut chance = Chance::new(1, interval);
        for request in 0..requests {
            let (lane, number) = shares[request as usize % shares.len()];
            let job = Job::new(&mut chance, (100, 2_000), (50, 800));
            let host = &mut self.hosts[number];
            let asked =
                Asked { lane, voucher: request, limit: ESCROW.0 / u128::from(lanes::MAX_SHARES), job };
            let taken = host.takes(&asked, self.chain.next());
            assert!(taken.is_ok() && host.does(&asked, interval).is_some(), "{taken:?}");
        }
    }

    fn stage(&self, interval: u64) -> Option<Stage> {
        let rounds = work::rounds(&self.chain.state).unwrap_or_default();
        let round = rounds.into_iter().find(|((known, _), _)| *known == interval)?;
        Some(work::stage(&round.1, self.chain.next()))
    }

    fn reach(&mut self, interval: u64, wanted: fn(&Stage) -> bool) {
        // While a pass over all commitments is under way, the next deadline is not set.
        let is_set = |stage: &Stage| !matches!(stage, Stage::Verdicts { until } | Stage::Revealing { until } if until.0 == u64::MAX);
        while self.stage(interval).is_some_and(|stage| !wanted(&stage) || !is_set(&stage)) {
            self.block(true);
        }
    }

    /// From the requests of an interval to their settlement.
    fn interval(&mut self, requests: u64) {
        let length = self.params.work.interval_blocks;
        let interval = work::interval_at(self.chain.next(), &self.params.work) + 1;
        while self.chain.next().0 < (interval + 1) * length - 4 {
            self.block(false);
        }
        self.serve(interval, requests);
        while self.chain.next().0 < (interval + 1) * length {
            self.block(false);
        }
        let claims = self.hosts.iter_mut().filter_map(|host| Some((host.key.clone(), host.claim(interval)?)));
        let commit = |claim| Message::Work(Work::Commit { interval, claims: vec![claim] });
        let all: Vec<_> = claims.map(|(key, claim)| (key, commit(claim))).collect();
        self.send_all(all, true);
        self.reach(interval, |stage| matches!(stage, Stage::Verdicts { .. }));
        let all = self.verdicts(interval);
        self.send_all(all, true);
        self.reach(interval, |stage| matches!(stage, Stage::Revealing { .. }));
        let all = self.reveals(interval);
        self.send_all(all, true);
        while self.stage(interval).is_some() {
            self.block(true);
        }
        let ended = work::of_interval(&self.chain.state, interval, None, usize::MAX).unwrap_or_default();
        let failed: Vec<_> = ended.iter().filter(|(_, end)| end.state != State::Matured).collect();
        assert!(failed.is_empty(), "{} of {}: {:?}", failed.len(), ended.len(), failed.first());
        // What one host may send in a block is bounded; its settlements take turns.
        let mut turns: Vec<Vec<(freeway_primitives::SecretKey, Message)>> = Vec::new();
        for host in &self.hosts {
            for (at, settlement) in host.settlements(&self.chain.id, interval).into_iter().enumerate() {
                if turns.len() <= at / 32 {
                    turns.push(Vec::new());
                }
                let settle = Message::Lanes(Lanes::Settle(Box::new(settlement)));
                turns[at / 32].push((host.key.clone(), settle));
            }
        }
        for turn in turns {
            // Ordinary transactions leave room for duties.
            for chunk in turn.chunks(1_000) {
                self.send_all(chunk.to_vec(), true);
            }
        }
    }

    fn verdicts(&self, interval: u64) -> Vec<(freeway_primitives::SecretKey, Message)> {
        let mut all: BTreeMap<usize, Vec<Verdict>> = BTreeMap::new();
        let commits = work::of_interval(&self.chain.state, interval, None, usize::MAX).unwrap_or_default();
        for (address, commitment) in commits {
            let shelf = self.numbers.get(&address).and_then(|host| self.hosts[*host].shelves.get(&interval));
            let Some(shelf) = shelf else { continue };
            let samples = work::samples(&address, interval, &commitment);
            let leaves: Vec<_> =
                samples.iter().filter_map(|sample| shelf.kept.get(shelf.at(sample.point)?)).collect();
            for member in commitment.branches[0].members() {
                let find = |kept: &&crate::job::Kept| match kept.check(&address, Tier::Exact) {
                    Some(trace) => {
                        Finding::Right(tag(interval, member, &address, &kept.receipt.digest(), &trace))
                    }
                    None => Finding::Wrong,
                };
                let findings = leaves.iter().map(find).collect();
                let verdict = Verdict { host: address, branch: 0, findings };
                if let Some(number) = self.numbers.get(member) {
                    all.entry(*number).or_default().push(verdict);
                }
            }
        }
        let message = |verdicts| Message::Verification(Verify::Verdicts { interval, verdicts });
        all.into_iter().map(|(host, verdicts)| (self.hosts[host].key.clone(), message(verdicts))).collect()
    }

    fn reveals(&self, interval: u64) -> Vec<(freeway_primitives::SecretKey, Message)> {
        let mut all = Vec::new();
        let commits = work::of_interval(&self.chain.state, interval, None, usize::MAX).unwrap_or_default();
        for (address, commitment) in commits.iter().filter(|(_, commitment)| commitment.state == State::Open)
        {
            let due = verification::reveal_due(interval, address, commitment);
            let host = self.numbers.get(address).map(|host| &self.hosts[*host]);
            let (Some((_, sample)), Some(host)) = (due, host) else { continue };
            let revealed = || {
                let shelf = host.shelves.get(&interval)?;
                let place = shelf.at(sample.point)?;
                let (leaf, kept) = (shelf.leaf(place)?, shelf.kept.get(place)?);
                Some(Reveal { interval, leaf, receipt: kept.receipt, salt: SALT, trace: kept.trace })
            };
            if let Some(reveal) = revealed() {
                all.push((host.key.clone(), Message::Verification(Verify::Reveal(Box::new(reveal)))));
            }
        }
        all
    }
}

/// Measures a network.
///
/// # Panics
/// If something that honest hosts do is refused.
pub fn measure(shape: Shape) -> Measured {
    let mut bench = Bench::new(&shape);
    let state_before = bench.chain.state_bytes();
    let intervals = bench.params.epochs.epoch_blocks / bench.params.work.interval_blocks;
    bench.interval(shape.requests / intervals);
    let serving = bench.hosts.iter().filter(|host| !host.shelves.is_empty()).count();
    bench.chain.audit();
    Measured {
        shape,
        serving,
        matured: bench.matured,
        slowest: bench.slowest,
        mean: bench.took / bench.blocks.max(1),
        state: bench.chain.state_bytes(),
        state_before,
        traffic: bench.traffic,
    }
}
