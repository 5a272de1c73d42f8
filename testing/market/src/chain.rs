//! A chain in memory: the ledger's executor, block by block, without nodes, votes and links.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use freeway_beacon::{Board, Group, Round, Seats};
use freeway_ledger::accounts;
use freeway_ledger::epochs::{CLOCK, Phase};
use freeway_ledger::{
    BlockInfo, Body, Class, Event, Executor, Genesis, GenesisAccount, GenesisHost, MemoryState, Message,
    Outcome, Params, SUPPLY, Text, Transaction, beacon, holdings, open, vaults,
};
use freeway_primitives::{
    Address, Amount, Canonical, ChainId, Digest, Domain, Height, SecretKey, Validator, ValidatorSet,
};

const BEACON: Domain = Domain::new("freeway market beacon");
const OWNER: Domain = Domain::new("freeway market owner");
const CONSENSUS: Domain = Domain::new("freeway market consensus");
const PAYER: Domain = Domain::new("freeway market payer");
const VOUCHERS: Domain = Domain::new("freeway market vouchers");

/// When simulated networks are born, in milliseconds since 1970.
const GENESIS_MS: u64 = 1_750_000_000_000;

/// What every host owns at genesis beside its collateral.
pub const FREE: Amount = Amount::fwy(600);

fn key(domain: Domain, number: usize) -> SecretKey {
    let mut seed = [0; 32];
    seed[..8].copy_from_slice(&(number as u64).to_le_bytes());
    SecretKey::from_seed(seed).derive(domain)
}

/// The key of a host's account.
pub fn owner(number: usize) -> SecretKey {
    key(OWNER, number)
}

/// A host's consensus key, which signs its receipts.
pub fn consensus(number: usize) -> SecretKey {
    key(CONSENSUS, number)
}

/// The key of a payer's account.
pub fn payer(number: usize) -> SecretKey {
    key(PAYER, number)
}

/// The key of a payer's vouchers.
pub fn vouchers(number: usize) -> SecretKey {
    key(VOUCHERS, number)
}

/// A text that keeps the ledger's rules.
///
/// # Panics
/// If it does not: a defect of the simulation.
pub fn text(text: &str) -> Text {
    Text::new(text).expect("the simulation's texts are sound")
}

/// A genesis of equal hosts, each under its own operator, and of payers.
pub fn genesis(params: Params, hosts: usize, payers: usize, collateral: Amount, wealth: Amount) -> Genesis {
    let of = |number: usize| GenesisHost {
        address: Address::of(&owner(number).public()),
        consensus_key: consensus(number).public(),
        weight: 1_000,
        collateral,
        operator: text(&format!("operator {number}")),
        region: text("somewhere"),
        endpoints: vec![text("https://host.example")],
    };
    let hosts: Vec<GenesisHost> = (0..hosts).map(of).collect();
    let owners = hosts.iter().map(|host| (host.address, Amount(collateral.0 + FREE.0)));
    let payers = (0..payers).map(|number| (Address::of(&payer(number).public()), wealth));
    let accounts =
        owners.chain(payers).map(|(address, balance)| GenesisAccount { address, balance }).collect();
    Genesis { name: text("market"), time_ms: GENESIS_MS, params, accounts, hosts }
}

/// What a block came to.
#[derive(Debug, Default)]
pub struct Mined {
    /// All events, the block's own first.
    pub events: Vec<Event>,
    /// Messages that no block takes as things stand: whose, and why.
    pub refused: Vec<(Address, &'static str)>,
    /// Messages that stand in the block and did not do what they ask.
    pub failed: Vec<(Address, &'static str)>,
    /// The sizes of its transactions, with the kind of each.
    pub sizes: Vec<(&'static str, usize)>,
    /// What the ledger took for it, without signatures and without applying the changes.
    pub took: Duration,
}

/// A chain whose blocks everybody signs.
pub struct Chain {
    /// Its identity.
    pub id: ChainId,
    /// What stands in it.
    pub state: MemoryState,
    /// The last block's height.
    pub height: Height,
    /// Whether each block is audited in full, entry by entry. Slow; totals are always compared by the ledger itself.
    pub audits: bool,
    /// Whether the beacon fails: its values of these heights never come.
    pub dark: bool,
    seed: u64,
    validators: ValidatorSet,
    signers: Vec<Address>,
    group: Group,
    waiting: Vec<(SecretKey, Message)>,
}

impl Chain {
    /// The chain of a genesis, whose beacon's values come from the seed.
    ///
    /// # Panics
    /// If the genesis contradicts itself: a defect of the simulation.
    pub fn new(genesis: &Genesis, seed: u64) -> Self {
        let (delta, validators) = open(genesis).expect("the simulation's genesis is sound");
        let mut state = MemoryState::default();
        state.apply(&delta);
        let id = genesis.chain();
        Self {
            id,
            state,
            height: Height::GENESIS,
            audits: false,
            dark: false,
            seed,
            validators,
            signers: Vec::new(),
            group: stand_in(id),
            waiting: Vec::new(),
        }
    }

    /// The next block's height.
    pub fn next(&self) -> Height {
        self.height.next()
    }

    /// The parameters.
    ///
    /// # Panics
    /// Never: memory is readable.
    pub fn params(&self) -> Params {
        Params::current(&self.state).expect("memory is readable")
    }

    /// Asks something of the ledger in the next block, for the account of `key`.
    pub fn send(&mut self, key: &SecretKey, message: Message) {
        self.waiting.push((key.clone(), message));
    }

    /// Adds a block of everything that waits, duties first. What does not fit or is not due is dropped: who still wants
    /// it asks again.
    ///
    /// # Panics
    /// If the rules fail: a defect of the ledger.
    pub fn block(&mut self) -> Mined {
        let info = BlockInfo {
            height: self.next(),
            proposer: self.validators.members()[0].address,
            parent_signers: std::mem::take(&mut self.signers),
            beacon: self.value(),
        };
        let mut mined = Mined::default();
        let started = Instant::now();
        let mut executor = Executor::begin(&self.state, info).expect("memory is readable");
        mined.took += started.elapsed();
        let mut sequences: BTreeMap<Address, u64> = BTreeMap::new();
        let (duties, wishes): (Vec<_>, Vec<_>) = std::mem::take(&mut self.waiting)
            .into_iter()
            .partition(|(_, message)| message.class() == Class::Duty);
        for (key, message) in duties.into_iter().chain(wishes) {
            let account = Address::of(&key.public());
            let sequence = *sequences.entry(account).or_insert_with(|| {
                let next = accounts::next_sequence(&self.state, &account, &account);
                next.expect("memory is readable").unwrap_or_default()
            });
            let expiry = self.height.plus(20);
            let kind = kind(&message);
            let body =
                Body { chain: self.id, signer: key.public(), on_behalf_of: None, sequence, expiry, message };
            let transaction = body.sign(&key);
            let bytes = transaction.encode();
            let hash = Transaction::hash_of(&bytes);
            let started = Instant::now();
            let taken = executor.include(&transaction, hash, bytes.len());
            mined.took += started.elapsed();
            match taken.expect("memory is readable") {
                Ok(receipt) => {
                    sequences.insert(account, sequence + 1);
                    mined.sizes.push((kind, bytes.len()));
                    if let Outcome::Failed(failure) = &receipt.outcome {
                        mined.failed.push((account, failure.code()));
                    }
                }
                Err(rejection) => mined.refused.push((account, rejection.code())),
            }
        }
        let started = Instant::now();
        let outcome = executor.finish().expect("the rules hold");
        mined.took += started.elapsed();
        self.state.apply(&outcome.delta);
        self.height = outcome.height;
        self.validators = outcome.next_validators;
        self.signers = self.validators.members().iter().map(|member| member.address).collect();
        let of_transactions = outcome.receipts.into_iter().flat_map(|receipt| receipt.events);
        mined.events = outcome.events.into_iter().chain(of_transactions).collect();
        self.let_it_switch();
        if self.audits {
            self.audit();
        }
        mined
    }

    /// Before a switch: a group that nobody dealt. The ledger itself verifies no values.
    fn let_it_switch(&mut self) {
        let params = self.params().epochs;
        let clock = CLOCK.require(&self.state).expect("memory is readable").at(self.next(), &params);
        if clock.phase(self.next(), &params) == Phase::Switch {
            let group = borsh::to_vec(&Some(&self.group)).expect("memory is writable");
            self.state.0.insert(beacon::NEXT.key(), group);
        }
    }

    fn value(&self) -> Option<(Height, Digest)> {
        let parts = [self.seed.to_le_bytes(), self.height.0.to_le_bytes()].concat();
        (self.height > Height::GENESIS && !self.dark).then(|| (self.height, Digest::of(BEACON, &parts)))
    }

    /// Compares every entry with the totals, and these with the supply.
    ///
    /// # Panics
    /// If money was made or lost: a defect of the ledger.
    pub fn audit(&self) {
        let held = holdings(&self.state).expect("memory is readable");
        assert_eq!(held, vaults(&self.state).expect("memory is readable"));
        assert_eq!(held.total(), Some(SUPPLY.require(&self.state).expect("memory is readable")));
    }

    /// The bytes of all keys and values in state.
    pub fn state_bytes(&self) -> usize {
        self.state.0.iter().map(|(key, value)| key.len() + value.len()).sum()
    }
}

/// A group of one, for no epoch in particular.
fn stand_in(chain: ChainId) -> Group {
    let (key, dealer) = (consensus(0), Address::of(&owner(0).public()));
    let one = Validator { address: dealer, key: key.public(), power: 1 };
    let made = || {
        let seats = Seats::apportion(&ValidatorSet::new(vec![one]).ok()?, 1).ok()?;
        let round = Round::new(chain, freeway_primitives::Epoch(1), seats);
        let dealing = round.deal(&key, &dealer).ok()?;
        let board = Board::new(round, BTreeMap::from([(dealer, dealing)]));
        let acknowledged = board.acknowledge(&key, &dealer).ok()?;
        board.group(&BTreeMap::from([(dealer, acknowledged)]), &BTreeMap::new()).ok()
    };
    made().expect("a group of one can always be dealt")
}

fn kind(message: &Message) -> &'static str {
    use freeway_ledger::{lanes, verification};
    match message {
        Message::Work(_) => "commitment",
        Message::Verification(verification::Message::Verdicts { .. }) => "verdicts",
        Message::Verification(verification::Message::Reveal(_)) => "reveal",
        Message::Verification(_) => "dispute",
        Message::Lanes(lanes::Message::Settle(_)) => "settlement",
        Message::Lanes(lanes::Message::Open(_)) => "opening",
        Message::Lanes(_) => "lane",
        Message::Models(_) => "model",
        _ => "other",
    }
}
