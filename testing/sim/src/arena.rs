//! Races by the rules alone: one ledger in memory and the real hosts on it, without nodes, links and votes.
//!
//! Every block takes everything that is due, everybody reaches everybody, and the beacon's values come from the
//! seed. What is left are the rules, the draws, the commitments and the conduct of the hosts: enough to count
//! what happens in thousands of races.

use std::collections::BTreeMap;

use freeway_host::Adversary;
use freeway_host::core::{Action, Core, Identity, Unreachable};
use freeway_host::engine::cheap_trace;
use freeway_ledger::accounts::{self, ACCOUNTS};
use freeway_ledger::hosts::HOSTS;
use freeway_ledger::sprint::{self, Event as Race, HostResult, TRIALS};
use freeway_ledger::{
    BlockInfo, Body, Event, Executor, MemoryState, Message, Params, Transaction, open, weights,
};
use freeway_primitives::{
    Address, Amount, Canonical, ChainId, Digest, Domain, Epoch, Height, SecretKey, ValidatorSet,
};
use freeway_proofs::sprint::{Position, Trace};

use crate::adversaries::sprint::Seen;
use crate::cast::{Cast, race_params};
use crate::properties::races::Charges;

const BEACON: Domain = Domain::new("freeway simulation arena");

/// Hosts of an arena.
const MEMBERS: usize = 5;
/// Accounts without hosts.
const USERS: usize = 2;
/// Nonces of a host in a race.
pub const NONCES: u64 = 800;
/// Who misbehaves, if somebody does.
pub const BAD: usize = MEMBERS - 1;

struct Host {
    address: Address,
    key: SecretKey,
    core: Core,
}

/// The place where hosts race.
pub struct Arena {
    chain: ChainId,
    seed: u64,
    state: MemoryState,
    height: Height,
    validators: ValidatorSet,
    signers: Vec<Address>,
    hosts: Vec<Host>,
    /// Owners of money without a host.
    pub users: Vec<SecretKey>,
    waiting: Vec<Transaction>,
    charges: BTreeMap<Address, Charges>,
    /// Messages that no block took, with what they were refused for.
    pub refused: Vec<(Address, &'static str)>,
}

/// The rules in the arena: those of simulated networks, as short as they can be.
pub fn rules() -> Params {
    let mut params = race_params();
    params.epochs.sprint_blocks = 2;
    params.epochs.dealing_blocks = 1;
    params.epochs.epoch_blocks = 19;
    params.evidence.max_age_blocks = 38;
    params.hosts.unbonding_blocks = 57;
    // No emission: it would make good what a race costs.
    params.rewards.first = Amount::ZERO;
    params
}

impl Arena {
    /// Hosts of equal hardware; the last one misbehaves as said.
    ///
    /// # Panics
    /// If the rules contradict themselves: a defect of the simulator.
    pub fn new(seed: u64, adversary: Option<Adversary>) -> Self {
        let mut cast = Cast::new(&[(1_000, true); MEMBERS], USERS, rules());
        cast.genesis.time_ms += seed;
        let chain = cast.genesis.chain();
        let (delta, validators) = open(&cast.genesis).expect("the simulator's genesis is sound");
        let mut state = MemoryState::default();
        state.apply(&delta);
        let hosts = cast.members.iter().enumerate().map(|(number, member)| {
            let (address, key) = (member.address(), member.consensus.clone());
            let identity = Identity { chain, address, key: key.clone() };
            let core = Core::new(identity, adversary.filter(|_| number == BAD));
            Host { address, key, core }
        });
        Self {
            chain,
            seed,
            state,
            height: Height::GENESIS,
            validators,
            signers: Vec::new(),
            hosts: hosts.collect(),
            users: cast.users.clone(),
            waiting: Vec::new(),
            charges: BTreeMap::new(),
            refused: Vec::new(),
        }
    }

    /// The latest height.
    pub fn height(&self) -> Height {
        self.height
    }

    /// The state after the latest block.
    pub fn state(&self) -> &MemoryState {
        &self.state
    }

    /// Everything that a host owns, in the smallest unit.
    fn wealth(&self, host: &Address) -> u128 {
        let balance = ACCOUNTS.get(&self.state, host).ok().flatten().map(|account| account.balance);
        let collateral = HOSTS.get(&self.state, host).ok().flatten().map(|host| host.collateral);
        balance.unwrap_or(Amount::ZERO).0 + collateral.unwrap_or(Amount::ZERO).0
    }

    /// Adds blocks until the race of the next epoch is over, and says what became of the misbehaving host in
    /// it, and of how many honest ones something was taken.
    ///
    /// # Panics
    /// If the rules fail: a defect of the ledger or of the host.
    pub fn race(&mut self) -> (Seen, usize) {
        let blocks = rules().epochs.epoch_blocks;
        // There is none in epoch 0.
        let epoch = Epoch((self.height.0 / blocks).max(1));
        let before: Vec<u128> = self.hosts.iter().map(|host| self.wealth(&host.address)).collect();
        self.charges.clear();
        while self.height.0 < (epoch.0 + 1) * blocks {
            self.block();
        }
        let race = sprint::race(&self.state).ok().flatten().expect("there was a race");
        assert!(race.epoch == epoch && race.end.is_some(), "{race:?}");
        let results: BTreeMap<Address, HostResult> =
            sprint::results(&self.state, None, MEMBERS).expect("memory is readable").into_iter().collect();
        let of = |host: usize| results.get(&self.hosts[host].address).cloned().unwrap_or_default();
        let power = |host: usize| weights::power(&self.state, &self.hosts[host].address).unwrap_or_default();
        let mean = |of: &dyn Fn(usize) -> u64| (0..BAD).map(of).sum::<u64>() as f64 / BAD as f64;
        let harmed = (0..BAD).filter(|host| {
            let result = of(*host);
            let poorer = self.wealth(&self.hosts[*host].address) < before[*host];
            poorer || result.weight == 0 || result.void.is_some() || result.done != result.owed
        });
        let harmed = harmed.count();
        let seen = Seen {
            epoch,
            result: of(BAD),
            charges: self.charges.get(&self.hosts[BAD].address).copied().unwrap_or_default(),
            weight: of(BAD).weight as f64 / mean(&|host| of(host).weight),
            power: power(BAD) as f64 / mean(&power),
            lost: before[BAD].saturating_sub(self.wealth(&self.hosts[BAD].address)),
        };
        (seen, harmed)
    }

    fn value(&self) -> Option<(Height, Digest)> {
        let parts = [self.seed.to_le_bytes(), self.height.0.to_le_bytes()].concat();
        (self.height > Height::GENESIS).then(|| (self.height, Digest::of(BEACON, &parts)))
    }

    /// Asks something of the ledger for the account of `key`: at most once a block.
    pub fn submit(&mut self, key: &SecretKey, message: Message) {
        let (chain, signer, expiry) = (self.chain, key.public(), self.height.plus(10));
        let account = Address::of(&signer);
        let next = accounts::next_sequence(&self.state, &account, &account).ok().flatten();
        let sequence = next.unwrap_or_default();
        self.waiting.push(Body { chain, signer, on_behalf_of: None, sequence, expiry, message }.sign(key));
    }

    /// Adds a block.
    ///
    /// # Panics
    /// If the rules fail: a defect of the ledger or of the host.
    pub fn block(&mut self) {
        let info = BlockInfo {
            height: self.height.next(),
            proposer: self.validators.members()[0].address,
            parent_signers: self.signers.clone(),
            beacon: self.value(),
        };
        let mut executor = Executor::begin(&self.state, info).expect("memory is readable");
        let mut published = Vec::new();
        for transaction in std::mem::take(&mut self.waiting) {
            let bytes = transaction.encode();
            let sender = transaction.body.account();
            let taken = executor.include(&transaction, Transaction::hash_of(&bytes), bytes.len());
            match taken.expect("memory is readable").map(|_| ()) {
                Ok(()) => {
                    if let Message::Sprint(sprint::Message::Answer { member, openings }) =
                        transaction.body.message
                    {
                        published.push((sender, member, openings));
                    }
                }
                Err(rejection) => self.refused.push((sender, rejection.code())),
            }
        }
        let outcome = executor.finish().expect("the rules hold");
        self.state.apply(&outcome.delta);
        self.height = outcome.height;
        self.signers = self.validators.members().iter().map(|member| member.address).collect();
        self.validators = outcome.next_validators;
        let of_transactions = outcome.receipts.into_iter().flat_map(|receipt| receipt.events);
        for event in outcome.events.into_iter().chain(of_transactions) {
            self.note(&event);
        }
        let race = sprint::race(&self.state).expect("memory is readable");
        for (host, member, openings) in published {
            let epoch = race.as_ref().map(|race| race.epoch).unwrap_or_default();
            for other in self.hosts.iter_mut().filter(|other| other.address == member) {
                other.core.published(epoch, host, &openings);
            }
        }
        for host in 0..self.hosts.len() {
            self.drive(host);
        }
    }

    fn note(&mut self, event: &Event) {
        let Event::Sprint(event) = event else { return };
        let accuser = match event {
            Race::Acquitted { host, position } => {
                let trial = TRIALS.get(&self.state, &(*host, *position)).ok().flatten();
                trial.and_then(|trial| trial.accuser)
            }
            _ => None,
        };
        Charges::note(&mut self.charges, event, accuser);
    }

    /// A host's turn: it is asked until it wants nothing but messages on chain.
    fn drive(&mut self, number: usize) {
        loop {
            let actions = self.hosts[number].core.step(&self.state, self.height).expect("memory is readable");
            let (mut messages, mut quiet) = (Vec::new(), true);
            for action in actions {
                match action {
                    Action::Send(wanted) => messages = wanted,
                    action => {
                        quiet &= matches!(action, Action::Forget { .. });
                        self.act(number, action);
                    }
                }
            }
            if quiet {
                self.send(number, messages);
                return;
            }
        }
    }

    fn act(&mut self, number: usize, action: Action) {
        let own = &mut self.hosts[number];
        match action {
            Action::Race { epoch, seed, from_nonce, .. } => {
                let place = |nonce| Position { device: 0, nonce };
                let trace = |nonce| cheap_trace(&seed, &own.address, place(nonce));
                let traces: Vec<Trace> = (from_nonce..NONCES).map(trace).collect();
                own.core.computed(epoch, from_nonce, &traces);
            }
            Action::EndRace { epoch } => own.core.ended(epoch),
            Action::Fetch { epoch, host, member, .. } => {
                let other = self.hosts.iter().find(|other| other.address == host);
                let shown = match other {
                    Some(other) => other.core.serve(&self.state, epoch, member),
                    None => return,
                };
                let shown = shown.map_err(|refusal| Unreachable(refusal.to_string()));
                self.hosts[number].core.opened(epoch, host, shown);
            }
            Action::Recompute { epoch, host, seed, positions, .. } => {
                let trace = |position| (position, cheap_trace(&seed, &host, position));
                let traces: Vec<_> = positions.into_iter().map(trace).collect();
                own.core.recomputed(epoch, host, &traces);
            }
            Action::Forget { .. } | Action::Send(_) => {}
        }
    }

    fn send(&mut self, number: usize, messages: Vec<Message>) {
        let Host { address, key, .. } = &self.hosts[number];
        let (account, signer) = (*address, Address::of(&key.public()));
        let next = accounts::next_sequence(&self.state, &account, &signer).ok().flatten().unwrap_or_default();
        for (sequence, message) in (next..).zip(messages) {
            let body = Body {
                chain: self.chain,
                signer: key.public(),
                on_behalf_of: Some(account),
                sequence,
                expiry: self.height.plus(10),
                message,
            };
            self.waiting.push(body.sign(key));
        }
    }
}
