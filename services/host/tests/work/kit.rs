//! A network in memory that works for money: one ledger, several cores of work, a payer, and a model that is one hash.

pub(crate) mod chance;
mod look;
mod trade;

use std::sync::Arc;

use freeway_host::Adversary;
use freeway_host::core::{Identity, Unreachable};
use freeway_host::work::{MemoryShelf, Redone, Shelf, Source, WorkAction, WorkCore, WorkSettings};
use freeway_ledger::models::{self, Description, Tier};
use freeway_ledger::work;
use freeway_ledger::{
    BlockInfo, Body, Event, Executor, Genesis, GenesisAccount, GenesisHost, MemoryState, Message, Outcome,
    Params, Preset, SUPPLY, Text, Transaction, accounts, holdings, open, vaults, verification,
};
use freeway_primitives::{
    Address, Amount, Canonical, ChainId, Digest, Domain, Height, SecretKey, ValidatorSet,
};
use freeway_proofs::work::Prices;
use freeway_requests::TokenRequest;

/// The model that all serve.
pub(crate) const MODEL: Digest = Digest([0x33; 32]);
/// What everybody owns, a host's collateral included.
pub(crate) const WEALTH: Amount = Amount::fwy(100);
/// A host's collateral.
pub(crate) const STAKE: Amount = Amount::fwy(50);
/// Blocks of an interval under the local preset.
pub(crate) const INTERVAL: u64 = 12;

const PRICES: Prices = Prices { input: 100_000, cached: 10_000, output: 2_000_000_000 };

/// How a host computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Quality {
    /// As it should.
    Right,
    /// With a coarser model.
    Coarse,
    /// As it should, but it signs another trace than that of the work.
    FalseTrace,
    /// As it should, but it takes more than its prices allow.
    Dear,
    /// As it should, but it counts more tokens than it gave.
    Inflated,
    /// As it should, but it claims likelier tokens than it found. This and the next only where likelihoods are judged.
    Forged,
    /// With a coarser model, and has the tokens scored by the right one.
    Rescored,
    /// As it should, but it ends half way.
    Short,
    /// As it should, but in lanes of probes it does what it likes.
    Unasked,
}

/// A host process.
pub(crate) struct Node {
    pub(crate) address: Address,
    key: SecretKey,
    pub(crate) core: WorkCore,
    pub(crate) shelf: Arc<MemoryShelf>,
    adversary: Option<Adversary>,
    pub(crate) quality: Quality,
    pub(crate) up: bool,
    /// Whether it sees what this one asks.
    pub(crate) reachable: bool,
    /// How often it did something again, and asked for an artifact.
    pub(crate) verified: usize,
    pub(crate) fetched: usize,
    /// The receipts that it scored, in this order.
    pub(crate) scored: Vec<Digest>,
}

/// The network.
pub(crate) struct Net {
    pub(crate) chain: ChainId,
    pub(crate) state: MemoryState,
    pub(crate) height: Height,
    validators: ValidatorSet,
    signers: Vec<Address>,
    pub(crate) nodes: Vec<Node>,
    payer: SecretKey,
    waiting: Vec<Transaction>,
    pub(crate) events: Vec<Event>,
    /// Messages that no block took or that failed: who sent them, and why not.
    pub(crate) rejected: Vec<(Address, String)>,
    /// How many requests were made.
    requests: u32,
    /// Whether none of them is drawn.
    pub(crate) is_greedy: bool,
    /// That of the model.
    tier: Tier,
    /// Whether every host's process is killed and started again after every block.
    pub(crate) restless: bool,
    /// Whether every host's disk fails once after every block.
    pub(crate) flaky: bool,
    /// Who is reached by nobody any more once a trial is opened.
    pub(crate) hides: Option<usize>,
}

fn text(text: &str) -> Text {
    Text::new(text).unwrap()
}

fn key(role: u8, i: u8) -> SecretKey {
    let mut seed = [role; 32];
    seed[31] = i;
    SecretKey::from_seed(seed)
}

fn address(key: &SecretKey) -> Address {
    Address::of(&key.public())
}

/// What the model gives: tokens and trace.
fn compute(request: &TokenRequest) -> (Vec<u32>, Digest) {
    let digest = request.digest();
    let tokens = (0..request.max_tokens).map(|i| u32::from(digest.0[i as usize % 32])).collect();
    (tokens, Digest::of(Domain::new("test trace"), &digest.0))
}

fn params() -> Params {
    let mut params = Preset::Local.params();
    // One epoch that no test outlasts: who is who stays, and no race is missed.
    params.epochs.epoch_blocks = 2_000;
    params.hosts.unbonding_blocks = 2_500;
    params.rewards.first = Amount::ZERO;
    params
}

impl Net {
    /// Hosts of equal weight, each under its own operator, that behave as said.
    pub(crate) fn new(adversaries: &[Option<Adversary>]) -> Self {
        let description = Description {
            name: text("a-model"),
            tier: Tier::Exact,
            context: 4_096,
            vocabulary: 32_000,
            work: 1_000_000,
            prices: PRICES,
            noise: None,
        };
        Self::serving(adversaries, description)
    }

    /// The same with this model.
    fn serving(adversaries: &[Option<Adversary>], description: Description) -> Self {
        let indices = 0..u8::try_from(adversaries.len()).unwrap();
        let host = |i| GenesisHost {
            address: address(&key(1, i)),
            consensus_key: key(2, i).public(),
            weight: 100,
            collateral: STAKE,
            operator: text(&format!("operator {i}")),
            region: text("somewhere"),
            endpoints: vec![text("http://one.example")],
        };
        let payer = key(3, 0);
        let owners = indices.clone().map(|i| address(&key(1, i)));
        let accounts = owners.chain([address(&payer)]);
        let genesis = Genesis {
            name: text("test"),
            time_ms: 1,
            params: params(),
            accounts: accounts.map(|address| GenesisAccount { address, balance: WEALTH }).collect(),
            hosts: indices.clone().map(host).collect(),
        };
        let chain = genesis.chain();
        let (delta, validators) = open(&genesis).unwrap();
        let mut state = MemoryState::default();
        state.apply(&delta);
        let node = |(i, adversary): (u8, &Option<Adversary>)| {
            let (address, key) = (address(&key(1, i)), key(2, i));
            let shelf = Arc::new(MemoryShelf::default());
            let core = new_core(chain, address, &key, &shelf, *adversary, &[]);
            let (quality, adversary) = (Quality::Right, *adversary);
            let (up, reachable, verified, fetched, scored) = (true, true, 0, 0, Vec::new());
            Node { address, key, core, shelf, adversary, quality, up, reachable, verified, fetched, scored }
        };
        let mut net = Self {
            chain,
            state,
            height: Height::GENESIS,
            validators,
            signers: Vec::new(),
            nodes: indices.zip(adversaries).map(node).collect(),
            payer,
            waiting: Vec::new(),
            events: Vec::new(),
            rejected: Vec::new(),
            requests: 0,
            is_greedy: false,
            tier: Tier::Exact,
            restless: false,
            flaky: false,
            hides: None,
        };
        net.tier = description.tier;
        net.pays(Message::Models(models::Message::Register { root: MODEL, description }));
        // Hosts declare by themselves what they serve.
        net.block();
        net.block();
        net
    }

    /// Five honest hosts.
    pub(crate) fn honest() -> Self {
        Self::new(&[None; 5])
    }

    /// Five honest hosts, and another.
    pub(crate) fn with(adversary: &str) -> Self {
        Self::new(&[None, None, None, None, None, Some(adversary.parse().unwrap())])
    }

    /// The payer sends a message in the next block.
    pub(crate) fn pays(&mut self, message: Message) {
        let payer = self.payer.clone();
        let sequence =
            accounts::next_sequence(&self.state, &address(&payer), &address(&payer)).unwrap().unwrap();
        let body = Body {
            chain: self.chain,
            signer: payer.public(),
            on_behalf_of: None,
            sequence,
            expiry: self.height.plus(10),
            message,
        };
        self.waiting.push(body.sign(&payer));
        self.block();
    }

    /// Adds a block, and does all that the hosts ask for after it.
    pub(crate) fn block(&mut self) {
        let value = |height: Height| Digest::of(Domain::new("test beacon"), &height.0.to_le_bytes());
        let info = BlockInfo {
            height: self.height.next(),
            proposer: self.validators.members()[0].address,
            parent_signers: self.signers.clone(),
            beacon: (self.height > Height::GENESIS).then(|| (self.height, value(self.height))),
        };
        let mut executor = Executor::begin(&self.state, info).unwrap();
        for transaction in core::mem::take(&mut self.waiting) {
            let bytes = transaction.encode();
            let sender = transaction.body.account();
            transaction.verify().unwrap();
            match executor.include(&transaction, Transaction::hash_of(&bytes), bytes.len()).unwrap() {
                Ok(receipt) => {
                    if let Outcome::Failed(failure) = &receipt.outcome {
                        self.rejected.push((sender, failure.to_string()));
                    }
                }
                Err(rejection) => self.rejected.push((sender, rejection.to_string())),
            }
        }
        let outcome = executor.finish().unwrap();
        self.state.apply(&outcome.delta);
        self.height = outcome.height;
        self.signers = self.validators.members().iter().map(|member| member.address).collect();
        self.validators = outcome.next_validators.clone();
        self.events.extend(outcome.events);
        self.events.extend(outcome.receipts.into_iter().flat_map(|receipt| receipt.events));
        let held = holdings(&self.state).unwrap();
        assert_eq!(held, vaults(&self.state).unwrap());
        assert_eq!(held.total(), Some(SUPPLY.require(&self.state).unwrap()));
        let is_trial = |event: &verification::Event| matches!(event, verification::Event::TrialOpened { .. });
        if let Some(i) = self.hides
            && self.verification().any(is_trial)
        {
            self.nodes[i].reachable = false;
        }
        for i in 0..self.nodes.len() {
            if self.restless {
                self.restart(i);
            }
            if self.flaky {
                self.nodes[i].shelf.fail_once();
            }
            self.drive(i);
        }
    }

    /// One host's turn: it steps until it asks for nothing but messages.
    fn drive(&mut self, i: usize) {
        while self.nodes[i].up {
            // As in a host process: the next step asks again.
            let Ok(actions) = self.nodes[i].core.step(&self.state, self.height) else { continue };
            let (mut messages, mut quiet) = (None, true);
            for action in actions {
                match action {
                    WorkAction::Send(wanted) => messages = Some(wanted),
                    action => {
                        quiet = false;
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

    fn perform(&mut self, i: usize, action: WorkAction) {
        let (state, height, me) = (self.state.clone(), self.height, self.nodes[i].address);
        match action {
            WorkAction::Send(_) => {}
            WorkAction::FetchSamples { interval, source } => {
                let found = self.asked(&source);
                let samples = found.and_then(|other| {
                    let answer = other.core.samples(&state, interval, me);
                    answer.map_err(|refusal| Unreachable(refusal.to_string()))
                });
                self.nodes[i].core.sampled(&state, interval, source.host, samples).unwrap();
            }
            WorkAction::FetchArtifact { receipt, from } => {
                let mut answer = Err(Unreachable("nobody".into()));
                for source in from {
                    let found = self.asked(&source);
                    answer = found.and_then(|other| {
                        let answer = other.core.artifact(&state, receipt, me);
                        let answer = answer.map(|artifact| (other.address, artifact));
                        answer.map_err(|refusal| Unreachable(refusal.to_string()))
                    });
                    if answer.is_ok() {
                        break;
                    }
                }
                self.nodes[i].fetched += 1;
                self.nodes[i].core.fetched(&state, height, receipt, answer).unwrap();
            }
            WorkAction::Verify { receipt, model, artifact } => {
                assert_eq!(model, MODEL);
                let (tokens, trace) = compute(&artifact.request);
                let differs = artifact.output != [tokens];
                let redone = Redone::Done { differs, traces: vec![trace] };
                self.nodes[i].verified += 1;
                self.nodes[i].core.verified(&state, height, receipt, &redone).unwrap();
            }
            WorkAction::Score { receipt, model, artifact } => {
                assert_eq!(model, MODEL);
                let redone = Redone::Scored(vec![chance::scores(&artifact)]);
                self.nodes[i].scored.push(receipt);
                // As in a host process: it is asked for again.
                let _ = self.nodes[i].core.verified(&state, height, receipt, &redone);
            }
        }
    }

    fn asked(&mut self, source: &Source) -> Result<&mut Node, Unreachable> {
        let other = self.nodes.iter_mut().find(|node| node.address == source.host).unwrap();
        if other.reachable && other.up { Ok(other) } else { Err(Unreachable("no answer".into())) }
    }

    fn send(&mut self, i: usize, messages: Vec<Message>) {
        let node = &self.nodes[i];
        let signer = address(&node.key);
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

    /// Kills a host's process and starts it anew.
    pub(crate) fn restart(&mut self, i: usize) {
        let chain = self.chain;
        let node = &mut self.nodes[i];
        node.core = new_core(chain, node.address, &node.key, &node.shelf, node.adversary, &[]);
    }

    /// As [`restart`](Self::restart), with a server in place of its engine.
    pub(crate) fn restart_with_server(&mut self, i: usize) {
        let chain = self.chain;
        let node = &mut self.nodes[i];
        node.core = new_core(chain, node.address, &node.key, &node.shelf, node.adversary, &[MODEL]);
    }

    /// Adds blocks up to and with `height`.
    pub(crate) fn run_to(&mut self, height: u64) {
        while self.height.0 < height {
            self.block();
        }
    }

    /// Adds blocks until the next one is the first of an interval.
    pub(crate) fn next_interval(&mut self) -> u64 {
        self.block();
        while !self.height.0.is_multiple_of(INTERVAL) {
            self.block();
        }
        self.interval()
    }

    /// Adds blocks until nothing of an interval is open any more.
    pub(crate) fn finish(&mut self, interval: u64) {
        self.run_to((interval + 1) * INTERVAL + 1);
        for _ in 0..200 {
            let rounds = work::rounds(&self.state).unwrap();
            if !rounds.iter().any(|((number, _), _)| *number <= interval) {
                return;
            }
            self.block();
        }
        panic!("the interval never ends");
    }
}

fn new_core(
    chain: ChainId,
    address: Address,
    key: &SecretKey,
    shelf: &Arc<MemoryShelf>,
    adversary: Option<Adversary>,
    inexact: &[Digest],
) -> WorkCore {
    let identity = Identity { chain, address, key: key.clone() };
    let settings = WorkSettings { models: vec![MODEL], inexact: inexact.to_vec(), at_once: 2 };
    let shelf: Arc<dyn Shelf> = Arc::<MemoryShelf>::clone(shelf);
    WorkCore::new(identity, settings, shelf, adversary)
}
