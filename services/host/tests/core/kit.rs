//! A network in memory: one ledger, several cores, and everything they ask for done at once.

use std::collections::BTreeMap;

use freeway_host::Adversary;
use freeway_host::core::{Action, Core, Identity, Unreachable};
use freeway_host::engine::cheap_trace;
use freeway_ledger::sprint::{self, Event as Race, HostResult};
use freeway_ledger::{
    BlockInfo, Body, Event, Executor, Genesis, GenesisAccount, GenesisHost, MemoryState, Message, Params,
    Preset, Text, Transaction, accounts, open, weights,
};
use freeway_primitives::{
    Address, Amount, Canonical, ChainId, Digest, Domain, Epoch, Height, SecretKey, ValidatorSet,
};
use freeway_proofs::sprint::{Position, Trace};

/// Nonces that a host computes in a block.
pub(crate) const PACE: u64 = 20;
/// Blocks of an epoch under the local preset.
pub(crate) const EPOCH: u64 = 60;
/// What every host owns, collateral included.
const WEALTH: Amount = Amount::fwy(100);
const WEIGHT: u64 = 100;

/// What a host is computing.
#[derive(Clone, Copy)]
struct Racing {
    epoch: Epoch,
    seed: Digest,
    next: u64,
}

/// A host process.
pub(crate) struct Node {
    pub(crate) address: Address,
    pub(crate) core: Core,
    key: SecretKey,
    adversary: Option<Adversary>,
    racing: Option<Racing>,
    /// What it computed in this race, as its record has it.
    record: Vec<Trace>,
    seed: Digest,
    /// Whether others reach it.
    pub(crate) reachable: bool,
    /// Whether it runs.
    pub(crate) up: bool,
    /// All that it was asked to do.
    pub(crate) actions: Vec<Action>,
}

/// The network.
pub(crate) struct Net {
    pub(crate) chain: ChainId,
    pub(crate) state: MemoryState,
    pub(crate) height: Height,
    validators: ValidatorSet,
    signers: Vec<Address>,
    pub(crate) nodes: Vec<Node>,
    waiting: Vec<Transaction>,
    /// All that happened, by height.
    pub(crate) events: Vec<(Height, Event)>,
    /// Messages that no block took: who sent them, and why not.
    pub(crate) rejected: Vec<(Address, &'static str)>,
    /// How many blocks late the beacon's values come.
    pub(crate) beacon_lag: u64,
    recorded: Height,
    /// Whether the next block takes nothing.
    pub(crate) drop_next: bool,
}

fn text(text: &str) -> Text {
    Text::new(text).unwrap()
}

fn key(role: u8, i: u8) -> SecretKey {
    let mut seed = [role; 32];
    seed[31] = i;
    SecretKey::from_seed(seed)
}

impl Net {
    /// Hosts of equal weight, each under its own operator, that behave as said.
    pub(crate) fn new(adversaries: &[Option<Adversary>]) -> Self {
        let mut params = Preset::Local.params();
        // No emission: what tests count is what is put up and taken.
        params.rewards.first = Amount::ZERO;
        let address = |i| Address::of(&key(1, i).public());
        let indices = 0..u8::try_from(adversaries.len()).unwrap();
        let host = |i| GenesisHost {
            address: address(i),
            consensus_key: key(2, i).public(),
            weight: WEIGHT,
            collateral: Amount::fwy(10),
            operator: text(&format!("operator {i}")),
            region: text("somewhere"),
            endpoints: vec![text("http://one.example"), text("http://two.example")],
        };
        let genesis = Genesis {
            name: text("test"),
            time_ms: 1,
            params,
            accounts: indices
                .clone()
                .map(|i| GenesisAccount { address: address(i), balance: WEALTH })
                .collect(),
            hosts: indices.clone().map(host).collect(),
        };
        let chain = genesis.chain();
        let (delta, validators) = open(&genesis).unwrap();
        let mut state = MemoryState::default();
        state.apply(&delta);
        let node = |(i, adversary): (u8, &Option<Adversary>)| {
            let (address, key) = (address(i), key(2, i));
            let core = Core::new(Identity { chain, address, key: key.clone() }, *adversary);
            Node {
                address,
                core,
                key,
                adversary: *adversary,
                racing: None,
                record: Vec::new(),
                seed: Digest::ZERO,
                reachable: true,
                up: true,
                actions: Vec::new(),
            }
        };
        Self {
            chain,
            state,
            height: Height::GENESIS,
            validators,
            signers: Vec::new(),
            nodes: indices.zip(adversaries).map(node).collect(),
            waiting: Vec::new(),
            events: Vec::new(),
            rejected: Vec::new(),
            beacon_lag: 0,
            recorded: Height::GENESIS,
            drop_next: false,
        }
    }

    /// Five honest hosts.
    pub(crate) fn honest() -> Self {
        Self::new(&[None; 5])
    }

    /// Four honest hosts, and the last one.
    pub(crate) fn with(adversary: &str) -> Self {
        Self::new(&[None, None, None, None, Some(adversary.parse().unwrap())])
    }

    /// The values come one by one, each a block or more after its height.
    fn beacon(&mut self) -> Option<(Height, Digest)> {
        let next = self.recorded.next();
        if next.plus(self.beacon_lag) > self.height {
            return None;
        }
        self.recorded = next;
        Some((next, Digest::of(Domain::new("test beacon"), &next.0.to_le_bytes())))
    }

    /// Adds a block, and does all that the hosts ask for after it.
    pub(crate) fn block(&mut self) {
        let info = BlockInfo {
            height: self.height.next(),
            proposer: self.validators.members()[0].address,
            parent_signers: self.signers.clone(),
            beacon: self.beacon(),
        };
        let mut executor = Executor::begin(&self.state, info).unwrap();
        let mut published = Vec::new();
        let waiting = core::mem::take(&mut self.waiting);
        for transaction in waiting.into_iter().filter(|_| !core::mem::take(&mut self.drop_next)) {
            let bytes = transaction.encode();
            let sender = transaction.body.account();
            transaction.verify().unwrap();
            match executor.include(&transaction, Transaction::hash_of(&bytes), bytes.len()).unwrap() {
                Ok(receipt) => {
                    assert_eq!(receipt.outcome, freeway_ledger::Outcome::Done);
                    if let Message::Sprint(sprint::Message::Answer { member, openings }) =
                        transaction.body.message
                    {
                        published.push((sender, member, openings));
                    }
                }
                Err(rejection) => self.rejected.push((sender, rejection.code())),
            }
        }
        let outcome = executor.finish().unwrap();
        self.state.apply(&outcome.delta);
        self.height = outcome.height;
        self.signers = self.validators.members().iter().map(|member| member.address).collect();
        self.validators = outcome.next_validators.clone();
        let of_transactions = outcome.receipts.into_iter().flat_map(|receipt| receipt.events);
        let events = outcome.events.into_iter().chain(of_transactions);
        self.events.extend(events.map(|event| (outcome.height, event)));
        let epoch = self.standing_epoch();
        for (host, member, openings) in published {
            for node in self.nodes.iter_mut().filter(|node| node.address == member) {
                node.core.published(epoch, host, &openings);
            }
        }
        for i in 0..self.nodes.len() {
            self.drive(i);
        }
    }

    fn standing_epoch(&self) -> Epoch {
        sprint::race(&self.state).unwrap().map(|race| race.epoch).unwrap_or_default()
    }

    /// One host's turn: it computes for a block, then steps until it asks for nothing but messages.
    fn drive(&mut self, i: usize) {
        if !self.nodes[i].up {
            return;
        }
        self.compute(i, PACE);
        loop {
            let actions = self.nodes[i].core.step(&self.state, self.height).unwrap();
            let mut messages = None;
            let mut quiet = true;
            for action in actions {
                match action {
                    Action::Send(wanted) => messages = Some(wanted),
                    action => {
                        quiet &= matches!(action, Action::Race { .. } | Action::Forget { .. });
                        self.nodes[i].actions.push(action.clone());
                        self.perform(i, action);
                    }
                }
            }
            if quiet {
                self.send(i, messages.unwrap_or_default());
                return;
            }
        }
    }

    fn compute(&mut self, i: usize, count: u64) {
        let node = &mut self.nodes[i];
        let Some(racing) = &mut node.racing else { return };
        let place = |nonce| Position { device: 0, nonce };
        let trace = |nonce| cheap_trace(&racing.seed, &node.address, place(nonce));
        let traces: Vec<_> = (racing.next..racing.next + count).map(trace).collect();
        node.record.extend(&traces);
        node.core.computed(racing.epoch, racing.next, &traces);
        racing.next += count;
    }

    fn perform(&mut self, i: usize, action: Action) {
        match action {
            Action::Race { epoch, seed, shape, from_nonce } => {
                assert_eq!(shape.as_str(), "tiny");
                let node = &mut self.nodes[i];
                if from_nonce == 0 {
                    node.record.clear();
                }
                assert_eq!(from_nonce, node.record.len() as u64);
                node.seed = seed;
                node.racing = Some(Racing { epoch, seed, next: from_nonce });
            }
            Action::EndRace { epoch } => {
                // What was in the making when the race ended.
                self.compute(i, 3);
                self.nodes[i].racing = None;
                self.nodes[i].core.ended(epoch);
            }
            Action::Fetch { epoch, host, member, endpoints, .. } => {
                assert_eq!(endpoints.len(), 2);
                let other = self.nodes.iter().find(|node| node.address == host).unwrap();
                let answer = if other.reachable && other.up {
                    other
                        .core
                        .serve(&self.state, epoch, member)
                        .map_err(|refusal| Unreachable(refusal.to_string()))
                } else {
                    Err(Unreachable("no answer".into()))
                };
                self.nodes[i].core.opened(epoch, host, answer);
            }
            Action::Recompute { epoch, host, seed, positions, .. } => {
                let trace = |position| (position, cheap_trace(&seed, &host, position));
                let traces: Vec<_> = positions.into_iter().map(trace).collect();
                self.nodes[i].core.recomputed(epoch, host, &traces);
            }
            Action::Forget { .. } | Action::Send(_) => {}
        }
    }

    fn send(&mut self, i: usize, messages: Vec<Message>) {
        let node = &self.nodes[i];
        let signer = Address::of(&node.key.public());
        let next = accounts::next_sequence(&self.state, &node.address, &signer).unwrap().unwrap();
        for (sequence, message) in (next..).zip(messages) {
            let body = Body {
                chain: self.chain,
                signer: node.key.public(),
                on_behalf_of: Some(node.address),
                sequence,
                expiry: self.height.plus(10),
                message,
            };
            self.waiting.push(body.sign(&node.key));
        }
    }

    /// Starts a host's process anew, with the record of its race or without.
    pub(crate) fn restart(&mut self, i: usize, with_record: bool) {
        let epoch = self.standing_epoch();
        let node = &mut self.nodes[i];
        let identity = Identity { chain: self.chain, address: node.address, key: node.key.clone() };
        node.core = Core::new(identity, node.adversary);
        node.racing = None;
        if with_record {
            node.core.restore(epoch, node.seed, node.record.clone());
        } else {
            node.record.clear();
        }
    }

    /// Adds blocks up to and with `height`.
    pub(crate) fn run_to(&mut self, height: u64) {
        while self.height.0 < height {
            self.block();
        }
    }

    /// The first block of the race of `epoch`. The very first race waits a block longer for its seed, as nobody could
    /// sign the value of the height before it.
    pub(crate) fn start(epoch: u64) -> u64 {
        epoch * EPOCH + if epoch == 1 { 2 } else { 1 }
    }

    /// How many leaves each member draws.
    pub(crate) fn leaves(&self) -> u32 {
        Params::current(&self.state).unwrap().sprint.leaves
    }

    /// Adds blocks until the race of `epoch` is over.
    pub(crate) fn run_race(&mut self, epoch: u64) {
        self.run_to((epoch + 1) * EPOCH);
        let race = sprint::race(&self.state).unwrap().unwrap();
        assert_eq!(race.epoch, Epoch(epoch));
        assert!(race.end.is_some(), "{race:?}");
    }

    /// All that happened in races.
    pub(crate) fn races(&self) -> impl Iterator<Item = &Race> {
        self.events.iter().filter_map(|(_, event)| match event {
            Event::Sprint(event) => Some(event),
            _ => None,
        })
    }

    /// What the latest race found.
    pub(crate) fn results(&self) -> BTreeMap<Address, HostResult> {
        sprint::results(&self.state, None, 100).unwrap().into_iter().collect()
    }

    pub(crate) fn result(&self, i: usize) -> HostResult {
        self.results().remove(&self.nodes[i].address).unwrap_or_default()
    }

    pub(crate) fn power(&self, i: usize) -> u64 {
        weights::power(&self.state, &self.nodes[i].address).unwrap()
    }

    pub(crate) fn balance(&self, i: usize) -> Amount {
        accounts::ACCOUNTS.get(&self.state, &self.nodes[i].address).unwrap().unwrap().balance
    }

    /// That the race of these hosts is proven, and their duties are done.
    #[track_caller]
    pub(crate) fn assert_clean(&self, hosts: impl IntoIterator<Item = usize>) {
        for i in hosts {
            let result = self.result(i);
            assert!(result.weight > 0, "{i}: {result:?}");
            assert_eq!((result.void, result.owed), (None, result.done), "{i}: {result:?}");
        }
    }
}
