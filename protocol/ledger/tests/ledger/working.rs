//! Paid work for tests: hosts whose computation is one hash, and what honest hosts, members and jurors send.

use std::collections::{BTreeMap, BTreeSet};

use freeway_ledger::verification::{
    self, Accusation, Answer, Assignment, Case, Finding, Inclusion, Judgement, Leaf, Message as Verify,
    Report, Reveal, Signed, Verdict, open_trials,
};
use freeway_ledger::work::{
    self, Claim, Commitment, Message as Work, STANDING, Stage, Standing, State, Void,
};
use freeway_ledger::{BlockOutcome, Event, Failure, Genesis, Message, Params, Rejection, Transaction};
use freeway_primitives::{Address, Amount, Digest, Domain, Height, SecretKey};
use freeway_proofs::sum::{Opening, Tree};
use freeway_proofs::work::{Entry, LaneId, RECEIPT, Receipt, Usage, salted, tag};

use crate::kit::*;
use crate::paying::*;

/// Quick parameters with intervals of six blocks; verdicts 6, reveals 4, judging 6.
pub(crate) fn working(params: &mut Params) {
    params.work.interval_blocks = 6;
    params.verification.verdict_blocks = 6;
    params.verification.reveal_blocks = 4;
    params.verification.judge_blocks = 6;
    params.verification.answer_blocks = 2;
    // Epochs that no test outlasts: what is counted in one stays.
    params.epochs.epoch_blocks = 400;
    params.hosts.unbonding_blocks = 500;
}

/// With what every host here salts its traces.
pub(crate) const SALT: [u8; 32] = [9; 32];

/// What a request's computation gives.
pub(crate) fn trace(host: &Address, lane: LaneId, sequence: u64) -> Digest {
    let (lane, sequence) = (lane.0.to_le_bytes(), sequence.to_le_bytes());
    Digest::of_list(Domain::new("test work trace"), [&host.0[..], &lane, &sequence])
}

/// What a coarser model gives.
pub(crate) const COARSE: Digest = Digest([0xee; 32]);

/// What a host served in an interval, in lanes of one class.
#[derive(Clone, Debug, Default)]
pub(crate) struct Done {
    pub(crate) tree: Tree,
    pub(crate) receipts: Vec<Receipt>,
}

impl Done {
    pub(crate) fn push(&mut self, receipt: Receipt) {
        let entry = receipt.entry();
        self.tree.push(&entry.digest(), entry.sums).unwrap();
        self.receipts.push(receipt);
    }

    pub(crate) fn claim(&self) -> Claim {
        Claim { lane: self.receipts[0].lane, total: self.tree.total() }
    }

    pub(crate) fn entry(&self, index: usize) -> Entry {
        self.receipts[index].entry()
    }

    pub(crate) fn leaf(&self, branch: u8, index: usize) -> Leaf {
        let entry = self.entry(index);
        let path = self.tree.path(index as u64).unwrap();
        let opening = Opening { index: index as u64, digest: entry.digest(), sums: entry.sums, path };
        Leaf { branch, opening, entry }
    }

    fn at(&self, point: u128) -> usize {
        self.tree.at(point).unwrap() as usize
    }
}

/// A market in which work is done and checked.
#[derive(Clone)]
pub(crate) struct Shop {
    pub(crate) market: Market,
    /// By interval and host, one for each class of lanes.
    pub(crate) done: BTreeMap<(u64, Address), Vec<Done>>,
    /// Receipts that were left out: of which host, and in which interval.
    pub(crate) omitted: Vec<(u8, u64, Receipt)>,
    /// The next request of a share, and what all before it cost.
    next: BTreeMap<(LaneId, Address), (u64, u128)>,
}

impl Shop {
    /// So many equal hosts of different operators, who all serve one model.
    pub(crate) fn new(hosts: u8) -> Self {
        Self::with(hosts, |_| {})
    }

    pub(crate) fn with(hosts: u8, change: impl Fn(&mut Params)) -> Self {
        Self::around(Market::with(hosts, |params| {
            working(params);
            change(params);
        }))
    }

    pub(crate) fn of(genesis: &Genesis) -> Self {
        Self::around(Market::of(genesis))
    }

    fn around(market: Market) -> Self {
        Self { market, done: BTreeMap::new(), omitted: Vec::new(), next: BTreeMap::new() }
    }

    pub(crate) fn chain(&mut self) -> &mut Chain {
        &mut self.market.chain
    }

    pub(crate) fn params(&self) -> Params {
        Params::current(&self.market.chain.state).unwrap()
    }

    /// A lane with a share for every host.
    pub(crate) fn lane(&mut self) -> LaneId {
        let hosts = self.market.chain.validators.members().len() as u8;
        self.market.open(opened(Amount::fwy(1), hosts.min(16)))
    }

    /// The interval that the next block lies in.
    pub(crate) fn interval(&self) -> u64 {
        work::interval_at(self.market.chain.height.next(), &self.params().work)
    }

    /// The receipt of the next request on a share.
    pub(crate) fn receipt(&mut self, host: Address, lane: LaneId, completion: u32, right: bool) -> Receipt {
        let interval = self.interval();
        let next = self.next.entry((lane, host)).or_default();
        let usage = Usage { prompt: 100, cached: 20, completion };
        let fee = PRICES.fee(&usage);
        let traced = if right { trace(&host, lane, next.0) } else { COARSE };
        *next = (next.0 + 1, next.1 + fee.0);
        Receipt {
            lane,
            host,
            sequence: next.0 - 1,
            interval,
            request: Digest([1; 32]),
            output: Digest([2; 32]),
            trace: salted(&SALT, &traced),
            usage,
            fee,
            total: Amount(next.1),
        }
    }

    /// Host `i` serves requests with so many tokens in this interval.
    pub(crate) fn serve(&mut self, i: u8, lane: LaneId, completions: &[u32]) {
        self.serve_as(i, lane, completions, |_| true);
    }

    /// As [`Shop::serve`]; which of them it computes right is asked.
    pub(crate) fn serve_as(
        &mut self,
        i: u8,
        lane: LaneId,
        completions: &[u32],
        right: impl Fn(usize) -> bool,
    ) {
        let mut done = Done::default();
        for (place, completion) in completions.iter().enumerate() {
            done.push(self.receipt(host(i), lane, *completion, right(place)));
        }
        let interval = self.interval();
        self.done.entry((interval, host(i))).or_default().push(done);
    }

    /// What host `i` commits to.
    pub(crate) fn commitment(&self, i: u8, interval: u64) -> Message {
        let claims = self.done[&(interval, host(i))].iter().map(Done::claim).collect();
        Message::Work(Work::Commit { interval, claims })
    }

    pub(crate) fn commit_tx(&self, i: u8, interval: u64) -> Transaction {
        self.market.chain.tx(&owner(i), self.commitment(i, interval))
    }

    /// Goes to the first block for commitments to an interval, and adds it with those of all who served.
    pub(crate) fn commit_all(&mut self, interval: u64) -> BlockOutcome {
        let first = (interval + 1) * self.params().work.interval_blocks;
        self.chain().skip_to(first - 1);
        let who: Vec<u8> = (0..40).filter(|i| self.done.contains_key(&(interval, host(*i)))).collect();
        let all: Vec<_> = who.into_iter().map(|i| self.commit_tx(i, interval)).collect();
        self.chain().block(&all)
    }

    /// The stage of the latest round of an interval that is not over.
    pub(crate) fn stage(&self, interval: u64) -> Option<Stage> {
        let chain = &self.market.chain;
        let all = work::rounds(&chain.state).unwrap();
        let round = all.into_iter().rfind(|((known, _), _)| *known == interval)?.1;
        Some(work::stage(&round, chain.height.next()))
    }

    /// Adds empty blocks until the next one finds an interval in a stage.
    pub(crate) fn reach(&mut self, interval: u64, wanted: impl Fn(&Stage) -> bool) {
        for _ in 0..100 {
            if self.stage(interval).is_some_and(|stage| wanted(&stage)) {
                return;
            }
            self.chain().block(&[]);
        }
        panic!("the interval is at {:?}", self.stage(interval));
    }

    pub(crate) fn reach_verdicts(&mut self, interval: u64) {
        self.reach(interval, |stage| matches!(stage, Stage::Verdicts { .. }));
    }

    pub(crate) fn reach_reveals(&mut self, interval: u64) {
        self.reach(interval, |stage| matches!(stage, Stage::Revealing { .. }));
    }

    /// Adds empty blocks until nothing of an interval is undecided. Gives their events.
    pub(crate) fn finish(&mut self, interval: u64) -> Vec<Event> {
        let mut all = Vec::new();
        for _ in 0..100 {
            if self.stage(interval).is_none() {
                return all;
            }
            all.extend(events(&self.chain().block(&[])));
        }
        panic!("the interval never ends");
    }

    pub(crate) fn commitment_of(&self, i: u8, interval: u64) -> Commitment {
        work::commitment(&self.market.chain.state, interval, &host(i)).unwrap().unwrap()
    }

    pub(crate) fn state(&self, i: u8, interval: u64) -> State {
        self.commitment_of(i, interval).state
    }

    pub(crate) fn standing(&self, i: u8) -> Standing {
        STANDING.get(&self.market.chain.state, &host(i)).unwrap().unwrap_or_default()
    }

    pub(crate) fn assigned(&self, i: u8, interval: u64) -> Vec<Assignment> {
        let all = verification::assigned(&self.market.chain.state, interval, &host(i)).unwrap();
        all.into_iter().filter(|assignment| !assignment.given).collect()
    }

    /// The receipt that a sample of an assignment belongs to.
    pub(crate) fn sampled(&self, assignment: &Assignment, place: usize) -> Receipt {
        let done = &self.done[&(assignment.interval, assignment.host)][usize::from(assignment.branch)];
        done.receipts[done.at(assignment.samples[place].1.point)]
    }

    /// What an honest member finds, who computes.
    pub(crate) fn findings(&self, member: Address, assignment: &Assignment) -> Vec<Finding> {
        let find = |place| {
            let receipt = self.sampled(assignment, place);
            let computed = trace(&receipt.host, receipt.lane, receipt.sequence);
            if salted(&SALT, &computed) != receipt.trace {
                return Finding::Wrong;
            }
            Finding::Right(tag(assignment.interval, &member, &assignment.host, &receipt.digest(), &computed))
        };
        (0..assignment.samples.len()).map(find).collect()
    }

    pub(crate) fn verdicts(&self, i: u8, interval: u64) -> Vec<Verdict> {
        let of = |assignment: &Assignment| Verdict {
            host: assignment.host,
            branch: assignment.branch,
            findings: self.findings(host(i), assignment),
        };
        self.assigned(i, interval).iter().map(of).collect()
    }

    pub(crate) fn verdict_tx(&self, i: u8, interval: u64, verdicts: Vec<Verdict>) -> Transaction {
        self.market.chain.tx(&owner(i), of_checks(Verify::Verdicts { interval, verdicts }))
    }

    /// Every member checks, but for those that are `absent`.
    pub(crate) fn check_all(&mut self, interval: u64, absent: &[u8]) {
        self.reach_verdicts(interval);
        let mut all = Vec::new();
        for i in (0..40).filter(|i| !absent.contains(i)) {
            let verdicts = self.verdicts(i, interval);
            if !verdicts.is_empty() {
                all.push(self.verdict_tx(i, interval, verdicts));
            }
        }
        self.chain().block(&all);
    }

    /// The leaf that a sample of a host's commitment belongs to, and its receipt.
    pub(crate) fn leaf_of(&self, i: u8, interval: u64, sample: u32) -> (Leaf, Receipt) {
        let samples = work::samples(&host(i), interval, &self.commitment_of(i, interval));
        let sample = samples[sample as usize];
        let done = &self.done[&(interval, host(i))][sample.branch];
        let index = done.at(sample.point);
        (done.leaf(sample.branch as u8, index), done.receipts[index])
    }

    pub(crate) fn reveal(&self, i: u8, interval: u64) -> Option<Reveal> {
        let commitment = self.commitment_of(i, interval);
        let (sample, _) = verification::reveal_due(interval, &host(i), &commitment)?;
        let (leaf, receipt) = self.leaf_of(i, interval, sample);
        let right = trace(&receipt.host, receipt.lane, receipt.sequence);
        let trace = if salted(&SALT, &right) == receipt.trace { right } else { COARSE };
        Some(Reveal { interval, leaf, receipt, salt: SALT, trace })
    }

    pub(crate) fn reveal_tx(&self, i: u8, interval: u64) -> Option<Transaction> {
        let reveal = self.reveal(i, interval)?;
        Some(self.market.chain.tx(&owner(i), of_checks(Verify::Reveal(Box::new(reveal)))))
    }

    /// Every host reveals what is drawn, but for those that are `absent`.
    pub(crate) fn reveal_all(&mut self, interval: u64, absent: &[u8]) -> BlockOutcome {
        self.reach_reveals(interval);
        let who = (0..40).filter(|i| !absent.contains(i) && self.done.contains_key(&(interval, host(*i))));
        let all: Vec<_> = who.filter_map(|i| self.reveal_tx(i, interval)).collect();
        self.chain().block(&all)
    }

    /// From commitments to the end, without incidents. Gives the events of the last blocks.
    pub(crate) fn honest(&mut self, interval: u64) -> Vec<Event> {
        self.commit_all(interval);
        self.check_all(interval, &[]);
        self.reveal_all(interval, &[]);
        self.finish(interval)
    }

    /// As [`Shop::honest`], where there may be nobody to check.
    pub(crate) fn honest_or_unchecked(&mut self, interval: u64) {
        self.commit_all(interval);
        self.check_all(interval, &[]);
        self.finish_revealing(interval);
    }

    /// Goes on until an interval is decided; every host reveals as soon as it is asked.
    pub(crate) fn finish_revealing(&mut self, interval: u64) {
        while self.stage(interval).is_some() {
            let who = (0..40).filter(|i| self.done.contains_key(&(interval, host(*i))));
            let due: Vec<_> = who.filter_map(|i| self.reveal_tx(i, interval)).collect();
            self.chain().run(&due);
        }
    }

    /// An accusation of a leaf.
    pub(crate) fn accusation(&self, i: u8, interval: u64, index: usize) -> Message {
        let done = &self.done[&(interval, host(i))][0];
        let (leaf, receipt) = (done.leaf(0, index), done.receipts[index]);
        of_checks(Verify::Accuse(Box::new(Accusation { interval, host: host(i), leaf, receipt })))
    }

    pub(crate) fn answer(&self, i: u8, interval: u64, sample: u32) -> Message {
        let (leaf, receipt) = self.leaf_of(i, interval, sample);
        of_checks(Verify::Answer(Box::new(Answer { interval, sample, leaf, receipt })))
    }

    pub(crate) fn inclusion(&self, i: u8, interval: u64, index: usize) -> Message {
        let leaf = self.done[&(interval, host(i))][0].leaf(0, index);
        of_checks(Verify::Include(Box::new(Inclusion { interval, leaf })))
    }

    /// A receipt as host `i` signs it.
    pub(crate) fn signed(&self, i: u8, receipt: Receipt) -> Signed {
        Signed { receipt, signature: vote_key(i).sign(RECEIPT, &self.market.chain.id, &receipt) }
    }

    pub(crate) fn report(&self, i: u8, receipt: Receipt) -> Message {
        of_checks(Verify::Report(Box::new(Report { signed: self.signed(i, receipt) })))
    }

    /// Whether the receipt on trial is wrong.
    fn is_wrong(&self, case: Case) -> bool {
        let (interval, (host, (branch, index))) = case;
        let receipt = self.done[&(interval, host)][branch as usize].receipts[index as usize];
        salted(&SALT, &trace(&receipt.host, receipt.lane, receipt.sequence)) != receipt.trace
    }

    /// The judgements of an honest juror on all open trials.
    pub(crate) fn judgements(&self, i: u8) -> Vec<Judgement> {
        let all = open_trials(&self.market.chain.state).unwrap();
        let mine = all.into_iter().filter(|(_, trial)| {
            let place = verification::is_judge(trial, &host(i));
            place.is_some_and(|place| (trial.guilty | trial.innocent) >> place & 1 == 0)
        });
        mine.map(|(case, _)| Judgement { case, guilty: self.is_wrong(case) }).collect()
    }

    /// Every juror judges what is on trial, in one block, as far as it is still open. Gives its events.
    pub(crate) fn judge_all(&mut self, absent: &[u8]) -> Vec<Event> {
        let mut all = Vec::new();
        for i in (0..40).filter(|i| !absent.contains(i)) {
            let judgements = self.judgements(i);
            if !judgements.is_empty() {
                all.push(self.market.chain.tx(&owner(i), of_checks(Verify::Judge(judgements))));
            }
        }
        events(&self.chain().run(&all).0)
    }

    /// Sends a message that must do what it asks.
    #[track_caller]
    pub(crate) fn sends(&mut self, key: &SecretKey, message: Message) -> Vec<Event> {
        let transaction = self.market.chain.tx(key, message);
        events(&self.market.chain.done(&transaction))
    }

    /// Why the next block does not take this message.
    #[track_caller]
    pub(crate) fn refuses(&self, key: &SecretKey, message: Message) -> &'static str {
        if !message.is_owed() {
            let transaction = self.market.chain.tx(key, message);
            return self.market.chain.clone().fails(&transaction).code();
        }
        match self.market.chain.rejects(&self.market.chain.tx(key, message)) {
            Rejection::NotDue(failure) => match *failure {
                Failure::Work(failure) => Failure::Work(failure).code(),
                Failure::Verification(failure) => Failure::Verification(failure).code(),
                other => other.code(),
            },
            other => panic!("another rejection: {other}"),
        }
    }

    pub(crate) fn reputation(&self, i: u8) -> u8 {
        freeway_ledger::weights::of(&self.market.chain.state, &host(i)).unwrap().reputation
    }

    /// Gives a host reputation that it has not earned.
    pub(crate) fn trust(&mut self, i: u8, reputation: u8) {
        let mut record = freeway_ledger::weights::of(&self.market.chain.state, &host(i)).unwrap();
        (record.reputation, record.raced) = (reputation, freeway_primitives::Epoch(1_000));
        let key = freeway_ledger::weights::WEIGHTS.key(&host(i));
        self.market.chain.state.0.insert(key, borsh::to_vec(&record).unwrap());
    }

    pub(crate) fn stake(&self, i: u8) -> Amount {
        self.market.chain.host(i).unwrap().collateral
    }

    /// What a host may still be paid.
    pub(crate) fn matured(&self, i: u8) -> Amount {
        self.market.credit(host(i)).left()
    }
}

pub(crate) fn of_checks(message: Verify) -> Message {
    Message::Verification(message)
}

pub(crate) fn of_verification(events: &[Event]) -> Vec<verification::Event> {
    let only = |event: &Event| match event {
        Event::Verification(event) => Some(event.clone()),
        _ => None,
    };
    events.iter().filter_map(only).collect()
}

pub(crate) fn of_work(events: &[Event]) -> Vec<work::Event> {
    let only = |event: &Event| match event {
        Event::Work(event) => Some(event.clone()),
        _ => None,
    };
    events.iter().filter_map(only).collect()
}

/// Hosts of whom something is said.
pub(crate) fn convicted(events: &[Event]) -> BTreeSet<Address> {
    let only = |event| match event {
        verification::Event::Convicted { host, .. } => Some(host),
        _ => None,
    };
    of_verification(events).into_iter().filter_map(only).collect()
}

/// The state of a void commitment.
pub(crate) const fn void(reason: Void) -> State {
    State::Void(reason)
}

/// The last height of what a stage allows.
pub(crate) fn until(stage: Option<Stage>) -> Height {
    match stage {
        Some(Stage::Committing { until } | Stage::Verdicts { until } | Stage::Revealing { until }) => until,
        other => panic!("nothing ends at {other:?}"),
    }
}
