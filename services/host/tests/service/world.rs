//! A chain in memory for hosts that run for real: with threads, files and HTTP.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use freeway_host::service::Chain;
use freeway_ledger::hosts::{self, HOSTS};
use freeway_ledger::sprint::{self, HostResult};
use freeway_ledger::{
    BlockInfo, Body, Executor, Fault, Genesis, GenesisAccount, GenesisHost, MemoryState, Message, Outcome,
    Pair, Params, Preset, Reader, Text, Transaction, accounts, open,
};
use freeway_primitives::{
    Address, Amount, Canonical, ChainId, Digest, Domain, Height, SecretKey, ValidatorSet,
};
use freeway_proofs::sprint::Opening;
use tokio::sync::watch;

fn text(text: &str) -> Text {
    Text::new(text).unwrap()
}

pub(crate) fn owner(i: u8) -> SecretKey {
    SecretKey::from_seed([i + 1; 32])
}

pub(crate) fn vote_key(i: u8) -> SecretKey {
    SecretKey::from_seed([i + 101; 32])
}

/// Somebody with money.
pub(crate) fn payer() -> SecretKey {
    SecretKey::from_seed([0xaa; 32])
}

pub(crate) fn address(i: u8) -> Address {
    Address::of(&owner(i).public())
}

/// Short epochs: sprint 12, grace 2, challenge 1, verify 12.
pub(crate) fn params() -> Params {
    let mut params = Preset::Local.params();
    params.epochs.epoch_blocks = 40;
    params.epochs.dealing_blocks = 8;
    params
}

/// State that can be held on to.
pub(crate) struct Held(Arc<MemoryState>);

impl Reader for Held {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Fault> {
        self.0.get(key)
    }

    fn scan(&self, prefix: &[u8], after: Option<&[u8]>, limit: usize) -> Result<Vec<Pair>, Fault> {
        self.0.scan(prefix, after, limit)
    }
}

struct Inner {
    state: Arc<MemoryState>,
    height: Height,
    validators: ValidatorSet,
    waiting: Vec<Transaction>,
    /// The transactions of each block.
    blocks: BTreeMap<Height, Vec<Transaction>>,
    rejected: Vec<(Address, &'static str)>,
    /// Whether a host whose messages wait takes another step at once, and a block comes whenever it looks whether they do.
    is_hasty: bool,
}

/// The chain.
pub(crate) struct World {
    pub(crate) id: ChainId,
    inner: Mutex<Inner>,
    tip: watch::Sender<Height>,
}

impl World {
    /// So many hosts of equal weight.
    pub(crate) fn new(hosts: u8) -> Arc<Self> {
        Self::with(hosts, params())
    }

    /// The same under other parameters.
    pub(crate) fn with(hosts: u8, params: Params) -> Arc<Self> {
        let host = |i| GenesisHost {
            address: address(i),
            consensus_key: vote_key(i).public(),
            weight: 100,
            collateral: Amount::fwy(10),
            operator: text(&format!("operator {i}")),
            region: text("somewhere"),
            endpoints: Vec::new(),
        };
        let genesis = Genesis {
            name: text("test"),
            time_ms: 1,
            params,
            accounts: (0..hosts)
                .map(address)
                .chain([Address::of(&payer().public())])
                .map(|address| GenesisAccount { address, balance: Amount::fwy(100) })
                .collect(),
            hosts: (0..hosts).map(host).collect(),
        };
        let (delta, validators) = open(&genesis).unwrap();
        let mut state = MemoryState::default();
        state.apply(&delta);
        let inner = Inner {
            state: Arc::new(state),
            height: Height::GENESIS,
            validators,
            waiting: Vec::new(),
            blocks: BTreeMap::new(),
            rejected: Vec::new(),
            is_hasty: false,
        };
        let tip = watch::Sender::new(Height::GENESIS);
        Arc::new(Self { id: genesis.chain(), inner: Mutex::new(inner), tip })
    }

    /// Adds a block of all that waits.
    pub(crate) fn block(&self) -> Height {
        let mut inner = self.inner.lock().unwrap();
        let beacon =
            |height: Height| (height, Digest::of(Domain::new("test beacon"), &height.0.to_le_bytes()));
        let info = BlockInfo {
            height: inner.height.next(),
            proposer: inner.validators.members()[0].address,
            parent_signers: inner.validators.members().iter().map(|member| member.address).collect(),
            beacon: (inner.height > Height::GENESIS).then(|| beacon(inner.height)),
        };
        let waiting = core::mem::take(&mut inner.waiting);
        let state = Arc::clone(&inner.state);
        let mut executor = Executor::begin(&*state, info).unwrap();
        let mut included = Vec::new();
        for transaction in waiting {
            transaction.verify().unwrap();
            let bytes = transaction.encode();
            match executor.include(&transaction, Transaction::hash_of(&bytes), bytes.len()).unwrap() {
                Ok(receipt) => {
                    assert_eq!(receipt.outcome, Outcome::Done);
                    included.push(transaction);
                }
                Err(rejection) => {
                    inner.rejected.push((transaction.body.account(), rejection.code()));
                }
            }
        }
        let outcome = executor.finish().unwrap();
        let mut next = (*state).clone();
        next.apply(&outcome.delta);
        inner.state = Arc::new(next);
        inner.height = outcome.height;
        inner.validators = outcome.next_validators;
        inner.blocks.insert(outcome.height, included);
        self.tip.send_replace(outcome.height);
        outcome.height
    }

    /// Adds a transaction to those that wait.
    pub(crate) fn submit(&self, key: &SecretKey, account: Address, message: Message) {
        let mut inner = self.inner.lock().unwrap();
        let signer = Address::of(&key.public());
        let next = accounts::next_sequence(&*inner.state, &account, &signer).unwrap().unwrap();
        let before = inner.waiting.iter().filter(|waiting| waiting.body.signer == key.public()).count();
        let body = Body {
            chain: self.id,
            signer: key.public(),
            on_behalf_of: (signer != account).then_some(account),
            sequence: next + before as u64,
            expiry: inner.height.plus(10),
            message,
        };
        inner.waiting.push(body.sign(key));
    }

    /// Says where a host is reached.
    pub(crate) fn reached_at(&self, i: u8, url: &str) {
        let mut profile = HOSTS.get(&self.state().0, &address(i)).unwrap().unwrap().profile;
        profile.endpoints = vec![text(url)];
        self.submit(&owner(i), address(i), Message::Hosts(hosts::Message::Update { profile }));
    }

    pub(crate) fn state(&self) -> (Held, Height) {
        let inner = self.inner.lock().unwrap();
        (Held(Arc::clone(&inner.state)), inner.height)
    }

    pub(crate) fn results(&self) -> BTreeMap<Address, HostResult> {
        sprint::results(&self.state().0, None, 100).unwrap().into_iter().collect()
    }

    /// From now on blocks come between a host's look at the state and its next step.
    pub(crate) fn hurry(&self) {
        self.inner.lock().unwrap().is_hasty = true;
    }

    pub(crate) fn rejected(&self) -> Vec<(Address, &'static str)> {
        self.inner.lock().unwrap().rejected.clone()
    }
}

/// The chain as one host sees it.
pub(crate) struct Seat {
    pub(crate) world: Arc<World>,
    pub(crate) i: u8,
}

impl Seat {
    /// Whether the worst moment for a block is there.
    fn is_caught(&self) -> bool {
        let (inner, key) = (self.world.inner.lock().unwrap(), vote_key(self.i).public());
        inner.is_hasty && inner.waiting.iter().any(|waiting| waiting.body.signer == key)
    }
}

impl Chain for Seat {
    type State = Held;

    fn id(&self) -> ChainId {
        self.world.id
    }

    fn state(&self) -> (Held, Height) {
        self.world.state()
    }

    fn is_current(&self) -> bool {
        true
    }

    async fn wait(&self, after: Height) -> bool {
        let mut tip = self.world.tip.subscribe();
        if self.is_caught() {
            return true;
        }
        let reached = tip.wait_for(|height| *height > after).await;
        reached.is_ok()
    }

    fn answers(&self, height: Height, member: &Address) -> Result<Vec<(Address, Vec<Opening>)>, Fault> {
        let inner = self.world.inner.lock().unwrap();
        let of = |transaction: &Transaction| match &transaction.body.message {
            Message::Sprint(sprint::Message::Answer { member: to, openings }) if to == member => {
                Some((transaction.body.account(), openings.clone()))
            }
            _ => None,
        };
        Ok(inner.blocks.get(&height).into_iter().flatten().filter_map(of).collect())
    }

    fn waiting(&self) -> Result<bool, Fault> {
        let key = vote_key(self.i).public();
        if self.is_caught() {
            self.world.block();
        }
        Ok(self.world.inner.lock().unwrap().waiting.iter().any(|waiting| waiting.body.signer == key))
    }

    fn send(&self, messages: Vec<Message>) -> Result<usize, Fault> {
        let count = messages.len();
        for message in messages {
            self.world.submit(&vote_key(self.i), address(self.i), message);
        }
        Ok(count)
    }
}
