//! Races for tests: machines whose computation is one hash, and what honest hosts, members and judges send.

use std::collections::BTreeMap;

use freeway_ledger::sprint::{
    self, COMMITTEES, ENTRIES, Judgement, Message as Sprint, RESULTS, Race, Reveal, Stage, Verdict,
    due_reveals, open_trials, positions,
};
use freeway_ledger::weights::{self, Record};
use freeway_ledger::{BlockOutcome, Event, Failure, Genesis, Message, Params, Rejection, Transaction};
use freeway_primitives::{Address, Digest, Domain, SecretKey};
use freeway_proofs::merkle::Tree;
use freeway_proofs::sprint::{
    Commitment, DeviceCommitment, Opening, Position, Revelation, Tag, Trace, leaf, tag,
};

use crate::kit::*;

/// The local preset with epochs of 24 blocks: sprint 3, grace 1, verdicts 4, reveals 3, judging 3.
pub(crate) fn racing() -> Params {
    let mut params = quick();
    params.epochs.epoch_blocks = 24;
    params.epochs.sprint_blocks = 3;
    params.epochs.grace_blocks = 1;
    params.epochs.verify_blocks = 10;
    params.sprint.verdict_blocks = 4;
    params.sprint.judge_blocks = 2;
    params.sprint.answer_blocks = 2;
    params.sprint.macs_per_nonce = 1 << 24;
    params.sprint.weight_shift = 24;
    params.sprint.committee = 3;
    params.sprint.leaves = 16;
    params.sprint.revealed = 4;
    params.evidence.max_age_blocks = 48;
    params.hosts.unbonding_blocks = 72;
    // Weights of a few nonces are small; all of them are backed.
    params.hosts.collateral_per_power = freeway_primitives::Amount(1_000);
    params
}

pub(crate) fn of_race(message: Sprint) -> Message {
    Message::Sprint(message)
}

/// What nonce `position` of `host` gives.
pub(crate) fn trace(seed: &Digest, host: &Address, position: Position) -> Trace {
    let (device, nonce) = (position.device.to_le_bytes(), position.nonce.to_le_bytes());
    let parts: [&[u8]; 4] = [seed.as_bytes(), &host.0, &device, &nonce];
    Trace(Digest::of_list(Domain::new("test trace"), parts).0)
}

/// A leaf's trace that nobody who computes comes to.
pub(crate) const WRONG: Trace = Trace([0xee; 32]);

/// Machines of a host in one race.
#[derive(Clone)]
pub(crate) struct Machines {
    pub(crate) host: Address,
    seed: Digest,
    trees: Vec<Tree>,
    wrong: Vec<Position>,
}

impl Machines {
    /// Devices with so many nonces each, some of them wrong.
    pub(crate) fn new(seed: Digest, host: Address, counts: &[u64], wrong: &[Position]) -> Self {
        let mut machines = Self { host, seed, trees: Vec::new(), wrong: wrong.to_vec() };
        for (device, count) in (0u32..).zip(counts) {
            let mut tree = Tree::new();
            for nonce in 0..*count {
                tree.push(&leaf(&machines.trace(Position { device, nonce }))).unwrap();
            }
            machines.trees.push(tree);
        }
        machines
    }

    fn trace(&self, position: Position) -> Trace {
        if self.wrong.contains(&position) { WRONG } else { trace(&self.seed, &self.host, position) }
    }

    pub(crate) fn commitment(&self) -> Commitment {
        let device = |tree: &Tree| DeviceCommitment { count: tree.count(), root: tree.root() };
        Commitment { devices: self.trees.iter().map(device).collect() }
    }

    pub(crate) fn reveal(&self, position: Position) -> Revelation {
        let path = self.trees[position.device as usize].path(position.nonce).unwrap();
        Revelation { position, trace: self.trace(position), path }
    }

    pub(crate) fn open(&self, position: Position) -> Opening {
        self.reveal(position).opening()
    }
}

/// A chain with a race on it.
#[derive(Clone)]
pub(crate) struct Track {
    pub(crate) chain: Chain,
    /// The machines of those who committed.
    pub(crate) machines: BTreeMap<Address, Machines>,
}

impl Track {
    /// So many equal hosts of different operators, at the beginning of the race of epoch 1.
    pub(crate) fn new(hosts: u8) -> Self {
        Self::of(&genesis(racing(), &vec![WEIGHT; usize::from(hosts)], 2))
    }

    pub(crate) fn of(genesis: &Genesis) -> Self {
        let mut track = Self { chain: Chain::of(genesis), machines: BTreeMap::new() };
        track.next_race();
        track
    }

    /// Goes to the first block of the next race.
    pub(crate) fn next_race(&mut self) {
        self.machines.clear();
        let epoch = self.race().map_or(0, |race| race.epoch.0);
        while self.race().is_none_or(|race| race.epoch.0 == epoch || race.started.is_none()) {
            self.chain.block(&[]);
        }
    }

    pub(crate) fn race(&self) -> Option<Race> {
        sprint::race(&self.chain.state).unwrap()
    }

    /// The stage that the next block finds.
    pub(crate) fn stage(&self) -> Stage {
        sprint::stage(&self.race().unwrap(), self.chain.height.next())
    }

    pub(crate) fn seed(&self) -> Digest {
        self.race().unwrap().started.unwrap().seed
    }

    /// Adds empty blocks until the next one finds this stage.
    pub(crate) fn reach(&mut self, name: &str) {
        for _ in 0..100 {
            if self.stage().name() == name {
                return;
            }
            self.chain.block(&[]);
        }
        panic!("the race never came to {name}");
    }

    /// Commits to so many nonces on one device of host `i`.
    pub(crate) fn enter(&mut self, i: u8, count: u64) {
        self.enter_with(i, &[count], &[]);
    }

    pub(crate) fn enter_with(&mut self, i: u8, counts: &[u64], wrong: &[Position]) {
        let transaction = self.entry(&owner(i), counts, wrong);
        self.chain.done(&transaction);
    }

    /// The commitment of a key's host, whose machines are kept.
    pub(crate) fn entry(&mut self, key: &SecretKey, counts: &[u64], wrong: &[Position]) -> Transaction {
        let machines = Machines::new(self.seed(), address(key), counts, wrong);
        let message = of_race(Sprint::Commit(machines.commitment()));
        self.machines.insert(address(key), machines);
        self.chain.tx(key, message)
    }

    /// Hosts 0, 1, ... commit to so many nonces each.
    pub(crate) fn enter_all(&mut self, counts: &[u64]) {
        let all: Vec<_> =
            counts.iter().zip(0..).map(|(count, i)| self.entry(&owner(i), &[*count], &[])).collect();
        let outcome = self.chain.block(&all);
        assert!(outcome.receipts.iter().all(|r| r.outcome == freeway_ledger::Outcome::Done));
    }

    pub(crate) fn committee(&self, host: &Address) -> Vec<Address> {
        COMMITTEES.get(&self.chain.state, host).unwrap().unwrap_or_default()
    }

    /// The leaves that `member` checks of `host`.
    pub(crate) fn places(&self, host: &Address, member: &Address) -> Vec<Position> {
        let race = self.race().unwrap();
        let entry = ENTRIES.get(&self.chain.state, host).unwrap().unwrap();
        let challenge = race.challenged.unwrap().challenge;
        positions(&challenge, host, member, &entry.commitment, &race.rules)
    }

    /// The tags of an honest member, who computes.
    pub(crate) fn tags(&self, host: &Address, member: &Address) -> Vec<Tag> {
        let (race, seed) = (self.race().unwrap(), self.seed());
        let of = |place: Position| tag(&self.chain.id, race.epoch, member, host, &trace(&seed, host, place));
        self.places(host, member).into_iter().map(of).collect()
    }

    /// All verdicts that a member owes.
    pub(crate) fn verdicts(&self, member: &Address) -> Vec<Verdict> {
        let hosts = sprint::assigned(&self.chain.state, member).unwrap();
        hosts.into_iter().map(|host| Verdict { host, tags: self.tags(&host, member) }).collect()
    }

    pub(crate) fn send_verdicts(&self, key: &SecretKey) -> Option<Transaction> {
        let verdicts = self.verdicts(&address(key));
        (!verdicts.is_empty()).then(|| self.chain.tx(key, of_race(Sprint::Verdicts(verdicts))))
    }

    /// Every host in the race checks the others, but for those that are `absent`.
    pub(crate) fn check_all(&mut self, absent: &[u8]) {
        self.reach("verdicts");
        let checks = |i: &u8| !absent.contains(i);
        let all: Vec<_> = (0..40).filter(checks).filter_map(|i| self.send_verdicts(&owner(i))).collect();
        self.chain.block(&all);
    }

    /// What a host must reveal and has not.
    pub(crate) fn reveals(&self, host: &Address) -> Vec<Reveal> {
        let mut by_member: BTreeMap<Address, Vec<Revelation>> = BTreeMap::new();
        for due in due_reveals(&self.chain.state, host).unwrap().into_iter().filter(|due| !due.revealed) {
            by_member.entry(due.member).or_default().push(self.machines[host].reveal(due.position));
        }
        by_member.into_iter().map(|(member, revelations)| Reveal { member, revelations }).collect()
    }

    pub(crate) fn send_reveals(&self, key: &SecretKey) -> Option<Transaction> {
        let reveals = self.reveals(&address(key));
        (!reveals.is_empty()).then(|| self.chain.tx(key, of_race(Sprint::Reveal(reveals))))
    }

    /// Every host in the race reveals, but for those that are `absent`.
    pub(crate) fn reveal_all(&mut self, absent: &[u8]) -> BlockOutcome {
        self.reach("revealing");
        let reveals = |i: &u8| !absent.contains(i);
        let all: Vec<_> = (0..40)
            .filter(reveals)
            .filter(|i| self.machines.contains_key(&host(*i)))
            .filter_map(|i| self.send_reveals(&owner(i)))
            .collect();
        self.chain.block(&all)
    }

    /// The judgements of an honest validator on all open trials.
    pub(crate) fn judgements(&self, judge: &Address) -> Vec<Judgement> {
        let (race, seed) = (self.race().unwrap(), self.seed());
        let jury = sprint::JURY.require(&self.chain.state).unwrap();
        let mut all = Vec::new();
        for ((host, position), trial) in open_trials(&self.chain.state).unwrap() {
            let entry = ENTRIES.get(&self.chain.state, &host).unwrap().unwrap();
            let Some(bit) = sprint::is_judge(&jury, &race, &entry, &host, judge) else { continue };
            if trial.judged >> bit & 1 == 0 {
                let guilty = leaf(&trace(&seed, &host, position)) != trial.leaf;
                all.push(Judgement { host, position, guilty });
            }
        }
        all
    }

    pub(crate) fn send_judgements(&self, key: &SecretKey) -> Option<Transaction> {
        let all = self.judgements(&address(key));
        (!all.is_empty()).then(|| self.chain.tx(key, of_race(Sprint::Judge(all))))
    }

    /// Every validator judges what is on trial, one after the other, as far as it is still open.
    pub(crate) fn judge_all(&mut self) -> Vec<Event> {
        let mut all = Vec::new();
        for i in 0..40 {
            if let Some(transaction) = self.send_judgements(&owner(i)) {
                all.extend(events(&self.chain.done(&transaction)));
            }
        }
        all
    }

    /// Adds empty blocks until the race is over.
    pub(crate) fn finish(&mut self) -> BlockOutcome {
        loop {
            let outcome = self.chain.block(&[]);
            if self.race().unwrap().end.is_some() {
                return outcome;
            }
        }
    }

    /// A whole race without incidents, from its first block on: hosts 0, 1, ... with so many nonces.
    pub(crate) fn honest_race(&mut self, counts: &[u64]) -> BlockOutcome {
        self.enter_all(counts);
        self.check_all(&[]);
        self.reveal_all(&[]);
        self.finish()
    }

    pub(crate) fn record(&self, i: u8) -> Record {
        weights::of(&self.chain.state, &host(i)).unwrap()
    }

    pub(crate) fn result(&self, i: u8) -> sprint::HostResult {
        RESULTS.get(&self.chain.state, &host(i)).unwrap().unwrap_or_default()
    }

    /// Why the next block does not take this message.
    #[track_caller]
    pub(crate) fn refuses(&self, key: &SecretKey, message: Sprint) -> sprint::Failure {
        match self.chain.rejects(&self.chain.tx(key, of_race(message))) {
            Rejection::NotDue(failure) => match *failure {
                Failure::Sprint(failure) => failure,
                other => panic!("another failure: {other}"),
            },
            other => panic!("another rejection: {other}"),
        }
    }
}

/// The events of races in a block.
pub(crate) fn of_sprint(events: &[Event]) -> Vec<sprint::Event> {
    let only = |event: &Event| match event {
        Event::Sprint(event) => Some(event.clone()),
        _ => None,
    };
    events.iter().filter_map(only).collect()
}
