//! Hosts and payers on one chain, block by block.

mod hear;

use std::collections::BTreeMap;

use freeway_ledger::accounts::ACCOUNTS;
use freeway_ledger::hosts::HOSTS;
use freeway_ledger::lanes::{self, Constraints, Opened};
use freeway_ledger::models::{self, Description, Tier};
use freeway_ledger::rewards::earnings;
use freeway_ledger::verification::{self, Message as Verify, Report, open_trials};
use freeway_ledger::weights::{Record, WEIGHTS};
use freeway_ledger::work;
use freeway_ledger::{Message, Params, Preset};
use freeway_primitives::{Address, Amount, Digest, Epoch, Height};
use freeway_proofs::work::LaneId;

use crate::chain::{Chain, genesis, text, vouchers};
use crate::conduct::{League, Paying};
use crate::duties::{self, Scene};
use crate::host::{Host, Shelf};
use crate::job::{Job, PRICES};
use crate::payer::Payer;
use crate::tally::Tally;
use crate::text::{Answers, VOCABULARY, noise};

/// The root of the model that everybody serves.
pub const MODEL: Digest = Digest([0x33; 32]);

/// Intervals that hosts and payers remember.
const REMEMBERED: u64 = 12;

/// How many receipts a griefing payer reports an interval.
const GRIEFS: usize = 16;

/// How many hosts a payer tries for a request.
const TRIES: usize = 3;

/// How a market is made.
#[derive(Clone, Debug)]
pub struct Setting {
    /// The rules.
    pub params: Params,
    /// All chance.
    pub seed: u64,
    /// Hosts.
    pub hosts: usize,
    /// Payers.
    pub payers: usize,
    /// Requests of each payer in every block.
    pub rate: u64,
    /// Collateral of each host.
    pub collateral: Amount,
    /// What each payer owns.
    pub wealth: Amount,
    /// The tier of the one model.
    pub tier: Tier,
    /// The reputation that hosts begin with. As they do not race, it never grows.
    pub reputation: u8,
}

impl Setting {
    /// Eight hosts of all reputation, which are sampled least, and three payers, under the rules of the local preset.
    pub fn local(seed: u64) -> Self {
        Self {
            params: Preset::Local.params(),
            seed,
            hosts: 8,
            payers: 3,
            rate: 20,
            collateral: Amount::fwy(400),
            wealth: Amount::fwy(20_000),
            tier: Tier::Exact,
            reputation: 30,
        }
    }
}

/// Hosts and payers on one chain.
pub struct Market {
    /// The chain.
    pub chain: Chain,
    /// Hosts, by number.
    pub hosts: Vec<Host>,
    /// Payers, by number.
    pub payers: Vec<Payer>,
    /// Who acts together.
    pub league: League,
    /// What is counted.
    pub tally: Tally,
    /// Whether payers ask for anything.
    pub trades: bool,
    /// The tier of the one model.
    pub tier: Tier,
    /// What was scored on the statistical tier.
    pub answers: Answers,
    numbers: BTreeMap<Address, usize>,
    params: Params,
}

impl Market {
    /// A market in which everybody is honest, and all hosts serve the one model.
    ///
    /// # Panics
    /// If the ledger does not let it begin: a defect of the simulation.
    pub fn new(setting: &Setting) -> Self {
        let Setting { params, hosts, payers, .. } = setting;
        let genesis = genesis(params.clone(), *hosts, *payers, setting.collateral, setting.wealth);
        let mut chain = Chain::new(&genesis, setting.seed);
        let hosts: Vec<Host> = (0..*hosts).map(Host::new).collect();
        for host in &hosts {
            let (now, raced) = (1_000, Epoch(u64::MAX));
            let reputation = setting.reputation;
            let record = Record { now, before: now, raced, reputation, ..Record::default() };
            let bytes = borsh::to_vec(&record).expect("memory is writable");
            chain.state.0.insert(WEIGHTS.key(&host.address), bytes);
        }
        let paying = Paying::honest(setting.rate);
        let payers: Vec<Payer> =
            (0..*payers).map(|number| Payer::new(number, paying, setting.seed)).collect();
        let description = Description {
            name: text("a-model"),
            tier: setting.tier,
            context: 1 << 20,
            vocabulary: VOCABULARY,
            work: 1_000_000,
            prices: PRICES,
            noise: (setting.tier == Tier::Statistical).then(noise),
        };
        let register = models::Message::Register { root: MODEL, description };
        chain.send(&payers[0].key, Message::Models(register));
        let registered = chain.block();
        assert!(registered.failed.is_empty() && registered.refused.is_empty(), "{registered:?}");
        for host in &hosts {
            chain.send(&host.key, Message::Models(models::Message::Serve { models: vec![MODEL] }));
        }
        let served = chain.block();
        assert!(served.failed.is_empty() && served.refused.is_empty(), "{served:?}");
        let numbers = hosts.iter().map(|host| (host.address, host.number)).collect();
        Self {
            chain,
            hosts,
            payers,
            league: League::default(),
            tally: Tally::default(),
            trades: true,
            tier: setting.tier,
            answers: Answers::default(),
            numbers,
            params: params.clone(),
        }
    }

    /// The number of a host.
    pub fn number(&self, host: &Address) -> Option<usize> {
        self.numbers.get(host).copied()
    }

    /// Host `number` and payers `payers` act together against the rest.
    pub fn conspire(&mut self, hosts: &[usize], payers: &[usize]) {
        self.league.hosts.extend(hosts.iter().map(|host| self.hosts[*host].address));
        self.league.payers.extend(payers.iter().map(|payer| self.payers[*payer].address));
    }

    /// One more block.
    pub fn step(&mut self) {
        let rounds = work::rounds(&self.chain.state).expect("memory is readable");
        let trials = open_trials(&self.chain.state).expect("memory is readable");
        let scene = Scene { next: self.chain.next(), params: self.params.clone(), rounds, trials };
        self.open_lanes(&scene);
        if self.trades {
            self.trade(&scene);
        }
        self.report(&scene);
        self.act(&scene);
        let mined = self.chain.block();
        self.hear(mined);
    }

    /// So many blocks.
    pub fn run(&mut self, blocks: u64) {
        (0..blocks).for_each(|_| self.step());
    }

    /// No more requests: everything that is under way comes to its end, and lanes give back what is left.
    pub fn close(&mut self) {
        self.trades = false;
        let params = &self.params;
        let rest = work::window(params) + params.work.interval_blocks + params.epochs.epoch_blocks;
        self.run(rest + params.lanes.grace_blocks + params.epochs.epoch_blocks);
    }

    fn open_lanes(&mut self, scene: &Scene) {
        let lifetime = scene.params.epochs.epoch_blocks + 4;
        for payer in &mut self.payers {
            let leaves =
                payer.conduct.leaves && payer.opened.is_some_and(|height| scene.next.0 == height.0 + 20);
            if leaves && let Some((lane, _)) = payer.lanes.pop_last() {
                self.chain.send(&payer.key, Message::Lanes(lanes::Message::Close { lane }));
            }
            let asked = payer.opened.is_some_and(|height| scene.next.0 < height.0 + lifetime - 4);
            let mut wanted = usize::from(self.trades && !asked);
            let hoarded = (payer.conduct.hoards - payer.hoard.min(payer.conduct.hoards)).min(63);
            payer.hoard += hoarded;
            wanted += hoarded as usize;
            if wanted == 0 {
                continue;
            }
            payer.opened = Some(scene.next);
            let opened = Opened {
                model: MODEL,
                escrow: payer.conduct.escrow,
                shares: 16.min(self.hosts.len()) as u8,
                constraints: Constraints::default(),
                key: vouchers(payer.number).public(),
                lifetime,
            };
            for _ in 0..wanted {
                self.chain.send(&payer.key, Message::Lanes(lanes::Message::Open(Box::new(opened.clone()))));
            }
        }
    }

    /// Everybody asks for what it wants.
    fn trade(&mut self, scene: &Scene) {
        let interval = work::interval_at(scene.next, &scene.params.work);
        for host in &mut self.hosts {
            let (limit, open) =
                work::limit(&self.chain.state, &host.address, scene.next).expect("memory is readable");
            host.room = limit.0.saturating_sub(open.0).saturating_sub(host.uncommitted());
        }
        for number in 0..self.payers.len() {
            let conduct = self.payers[number].conduct;
            for _ in 0..conduct.rate {
                // Each has chance of its own: what one does must not change what others want.
                let chance = &mut self.payers[number].chance;
                let job = Job::new(chance, conduct.prompt, conduct.limit);
                let first = chance.below(1 << 32) as usize;
                let hangs_up = chance.thousandths(conduct.hangs_up);
                let Some((lane, in_use)) = self.payers[number].lane(scene.next) else { continue };
                let hosts: Vec<usize> = match conduct.only {
                    Some(host) => vec![host],
                    None => (0..TRIES).map(|at| in_use.hosts[(first + at) % in_use.hosts.len()]).collect(),
                };
                let done =
                    hosts.into_iter().any(|host| self.ask(number, lane, host, job, hangs_up, interval));
                self.tally.unserved += u64::from(!done);
            }
        }
    }

    /// A payer asks a host. Whether it got its answer.
    fn ask(
        &mut self,
        payer: usize,
        lane: LaneId,
        host: usize,
        job: Job,
        hangs_up: bool,
        interval: u64,
    ) -> bool {
        let next = self.chain.next();
        let (payer, host) = (&mut self.payers[payer], &mut self.hosts[host]);
        let asked = payer.asks(lane, host.number, job);
        let honest = payer.conduct.promise == crate::conduct::Promise::Fresh && !hangs_up;
        if let Err(reason) = host.takes(&asked, next) {
            let of_payer = matches!(reason, "voucher_used" | "voucher_too_low" | "hangs_up");
            payer.refused += u64::from(of_payer);
            if of_payer && self.league.has(&payer.address) {
                self.tally.wrong(next);
                self.tally.charge(&payer.address, &self.league, "refused", next);
            }
            return false;
        }
        let right = job.compute(crate::job::Model::Asked);
        let honest_fee = PRICES.fee(&job.usage(right.completion)).0;
        if !honest && self.league.has(&payer.address) {
            self.tally.wrong(next);
        }
        if hangs_up {
            payer.received += honest_fee;
            host.left_alone(lane, next);
            return true;
        }
        let Some((receipt, served)) = host.does(&asked, interval) else { return false };
        payer.gets(host.number, receipt);
        self.tally.requests += 1;
        self.tally.served += receipt.usage.tokens();
        self.tally.saved += honest_fee * u128::from(1_000 - served.spent.min(1_000)) / 1_000;
        if served.wrong {
            self.tally.wrong(next);
        }
        true
    }

    /// Payers look whether their receipts were committed to, as soon as that is over, and report what is not.
    fn report(&mut self, scene: &Scene) {
        for ((interval, round), _) in &scene.rounds {
            if *round > 0 || scene.next.0 != work::last_commit(*interval, &scene.params.work).0 + 2 {
                continue;
            }
            for payer in &mut self.payers {
                let receipts = payer.receipts.remove(interval).unwrap_or_default();
                if payer.conduct.griefs {
                    self.tally.wrong(scene.next);
                }
                for (at, (host, receipt)) in receipts.into_iter().enumerate() {
                    let host = &self.hosts[host];
                    let shelf = host.shelves.get(interval);
                    let missing = |shelf: &Shelf| {
                        shelf.tree.is_some() && shelf.place(receipt.lane, receipt.sequence).is_none()
                    };
                    let griefs = payer.conduct.griefs && at < GRIEFS;
                    if host.up && shelf.is_none_or(missing) || griefs {
                        let signed = host.signed(&self.chain.id, receipt);
                        let report = Verify::Report(Box::new(Report { signed }));
                        self.chain.send(&payer.key, Message::Verification(report));
                    }
                }
            }
        }
    }

    fn act(&mut self, scene: &Scene) {
        for me in 0..self.hosts.len() {
            if !self.hosts[me].up || self.hosts[me].late {
                continue;
            }
            let mut messages = duties::commits(&mut self.hosts[me], &self.chain.state, scene);
            let deeds = duties::of(self, me, scene);
            messages.extend(deeds.messages);
            self.tally.checked += deeds.checked;
            // Checking is one pass over known tokens: it is worth what a prompt of as many costs.
            let prompt = u128::from(PRICES.input) / 1_000_000;
            self.tally.saved += u128::from(deeds.skipped) * prompt;
            if deeds.wrong {
                self.tally.wrong(scene.next);
            }
            for (host, suspicion) in deeds.suspects {
                self.tally.suspect(&host, &self.league, suspicion);
            }
            let host = &mut self.hosts[me];
            host.given.extend(deeds.given);
            host.evidence.extend(deeds.evidence);
            host.heard.extend(deeds.heard);
            for interval in deeds.settled {
                host.due.remove(&interval);
            }
            for message in messages {
                self.chain.send(&host.key, message);
            }
        }
    }

    /// All that an account owns, in base units: free, in lanes, bonded, unbonding, and what is not released yet.
    ///
    /// # Panics
    /// Never: memory is readable.
    pub fn wealth(&self, account: &Address) -> u128 {
        let state = &self.chain.state;
        let free = ACCOUNTS.get(state, account).expect("memory is readable").unwrap_or_default().balance.0;
        let host = HOSTS.get(state, account).expect("memory is readable");
        let bonded = host.map_or(0, |host| {
            host.unbonding.iter().fold(host.collateral.0, |sum, (_, amount)| sum + amount.0)
        });
        let holds = lanes::PAYERS.get(state, account).expect("memory is readable").unwrap_or_default();
        let vesting = earnings(state, account).expect("memory is readable").vesting.left();
        free + bonded + holds.escrow.0 + vesting.expect("grants are bounded").0
    }

    /// What the league owns together.
    pub fn wealth_of_league(&self) -> u128 {
        self.league.hosts.iter().chain(&self.league.payers).map(|account| self.wealth(account)).sum()
    }

    /// Host `number` does as it likes.
    pub fn turn(&mut self, number: usize, conduct: impl crate::conduct::Conduct + 'static) {
        self.hosts[number].conduct = Box::new(conduct);
    }

    /// The epoch that a height lies in, counted in epochs and parts of one.
    pub fn epochs(&self, height: Height) -> f64 {
        height.0 as f64 / self.params.epochs.epoch_blocks as f64
    }

    /// Assignments of a host in an interval: for conduct that looks at them.
    pub fn assigned(&self, host: usize, interval: u64) -> Vec<verification::Assignment> {
        let address = self.hosts[host].address;
        verification::assigned(&self.chain.state, interval, &address).unwrap_or_default()
    }
}
