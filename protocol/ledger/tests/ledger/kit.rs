//! A chain in memory, its actors, and short names for what they ask.

use std::collections::{BTreeMap, BTreeSet};

use freeway_beacon::{Board, Round, Seats};
use freeway_ledger::accounts::{self, ACCOUNTS, Account, DELEGATES, Scope, Scopes};
use freeway_ledger::epochs::{CLOCK, Phase};
use freeway_ledger::hosts::{self, HOSTS, Host, Profile};
use freeway_ledger::{
    BlockInfo, BlockOutcome, Body, Event, Executor, Failure, Genesis, GenesisAccount, GenesisHost,
    MemoryState, Message, Outcome, Params, Preset, Rejection, SUPPLY, Text, Transaction, admit, beacon,
    evidence, holdings, open, vaults,
};
use freeway_primitives::{
    Address, Amount, BlockId, Canonical, ChainId, Digest, Domain, Equivocation, Height, PublicKey, SecretKey,
    SignedVote, Validator, ValidatorSet, Vote, VoteKind,
};

/// Weight of a host, unless a test says otherwise.
pub(crate) const WEIGHT: u64 = 100;
/// What every host and user owns at genesis, a host's collateral included.
pub(crate) const WEALTH: Amount = Amount::fwy(100);
/// Collateral that exactly backs [`WEIGHT`].
pub(crate) const STAKE: Amount = Amount(WEIGHT as u128 * 1_000_000);

fn key(role: u8, number: u8) -> SecretKey {
    let mut seed = [role; 32];
    seed[31] = number;
    SecretKey::from_seed(seed)
}

/// The account key of a host.
pub(crate) fn owner(i: u8) -> SecretKey {
    key(1, i)
}

/// The consensus key of a host.
pub(crate) fn vote_key(i: u8) -> SecretKey {
    key(2, i)
}

/// The key of an account with money.
pub(crate) fn user(i: u8) -> SecretKey {
    key(3, i)
}

/// The key of somebody whom genesis does not know.
pub(crate) fn stranger(i: u8) -> SecretKey {
    key(4, i)
}

/// The account of a key.
pub(crate) fn address(key: &SecretKey) -> Address {
    Address::of(&key.public())
}

/// The account of a host.
pub(crate) fn host(i: u8) -> Address {
    address(&owner(i))
}

/// The local preset with epochs of eight blocks: sprint 2, grace 1, challenge 1, verify 2, serve 1, switch 1.
pub(crate) fn quick() -> Params {
    let mut params = Preset::Local.params();
    params.epochs.epoch_blocks = 8;
    params.epochs.sprint_blocks = 2;
    params.epochs.grace_blocks = 1;
    params.epochs.verify_blocks = 2;
    params.epochs.dealing_blocks = 0;
    params.sprint.verdict_blocks = 1;
    params.sprint.judge_blocks = 0;
    params.sprint.answer_blocks = 1;
    params.hosts.collateral_per_power = Amount(1_000_000);
    params.hosts.unbonding_blocks = 24;
    params.evidence.max_age_blocks = 16;
    params.accounts.max_lifetime_blocks = 100;
    // Intervals of work that are decided well within the unbonding.
    params.work.interval_blocks = 4;
    params.work.commit_grace = 1;
    params.verification.verdict_blocks = 2;
    params.verification.reveal_blocks = 1;
    params.verification.judge_blocks = 1;
    params.verification.answer_blocks = 1;
    // No emission: what tests count is what they move.
    params.rewards.first = Amount::ZERO;
    params
}

/// A genesis of hosts with these weights, each fully backed and under its own operator, and of some users.
pub(crate) fn genesis(params: Params, weights: &[u64], users: u8) -> Genesis {
    let hosts: Vec<_> = weights
        .iter()
        .zip(0..)
        .map(|(weight, i)| GenesisHost {
            address: host(i),
            consensus_key: vote_key(i).public(),
            weight: *weight,
            collateral: Amount(u128::from(*weight) * params.hosts.collateral_per_power.0),
            operator: text(&format!("operator {i}")),
            region: text("somewhere"),
            endpoints: vec![text("https://host.example")],
        })
        .collect();
    let owners = hosts.iter().map(|host| host.address);
    let accounts = owners
        .chain((0..users).map(|i| address(&user(i))))
        .map(|address| GenesisAccount { address, balance: WEALTH })
        .collect();
    Genesis { name: text("test"), time_ms: 1_700_000_000_000, params, accounts, hosts }
}

pub(crate) fn text(text: &str) -> Text {
    Text::new(text).unwrap()
}

/// A chain whose blocks are signed by everybody who is not absent.
#[derive(Clone)]
pub(crate) struct Chain {
    pub(crate) id: ChainId,
    pub(crate) state: MemoryState,
    /// The last block's height.
    pub(crate) height: Height,
    /// The validators of the next height.
    pub(crate) validators: ValidatorSet,
    /// Those who sign nothing.
    pub(crate) absent: BTreeSet<Address>,
    /// The heights whose values the next blocks record, the first one next. Otherwise each its parent's.
    pub(crate) values: Option<Vec<Height>>,
    signers: Vec<Address>,
}

impl Chain {
    /// The chain of a genesis.
    pub(crate) fn of(genesis: &Genesis) -> Self {
        let (delta, validators) = open(genesis).unwrap();
        let mut state = MemoryState::default();
        state.apply(&delta);
        audit(&state);
        Self {
            id: genesis.chain(),
            state,
            height: Height::GENESIS,
            validators,
            absent: BTreeSet::new(),
            values: None,
            signers: Vec::new(),
        }
    }

    /// So many equal hosts and so many users, under [`quick`] parameters.
    pub(crate) fn new(hosts: u8, users: u8) -> Self {
        Self::of(&genesis(quick(), &vec![WEIGHT; usize::from(hosts)], users))
    }

    /// What the next block is.
    pub(crate) fn next_block(&self) -> BlockInfo {
        BlockInfo {
            height: self.height.next(),
            proposer: self.validators.members()[0].address,
            parent_signers: self.signers.clone(),
            beacon: self.beacon(),
        }
    }

    /// The randomness that the next block records: a stand-in of the parent's height.
    fn beacon(&self) -> Option<(Height, Digest)> {
        let height = match &self.values {
            Some(values) => *values.first()?,
            None => self.height,
        };
        let value = |height: Height| Digest::of(Domain::new("test beacon"), &height.0.to_le_bytes());
        (height > Height::GENESIS).then(|| (height, value(height)))
    }

    /// What `key` would sign to send `message` for itself.
    pub(crate) fn body(&self, key: &SecretKey, message: Message) -> Body {
        self.body_for(key, None, message)
    }

    fn body_for(&self, key: &SecretKey, on_behalf_of: Option<Address>, message: Message) -> Body {
        let signer = address(key);
        let account = on_behalf_of.unwrap_or(signer);
        let sequence = accounts::next_sequence(&self.state, &account, &signer).unwrap().unwrap_or(0);
        let expiry = self.height.plus(50);
        Body { chain: self.id, signer: key.public(), on_behalf_of, sequence, expiry, message }
    }

    /// The next transaction of `key`.
    pub(crate) fn tx(&self, key: &SecretKey, message: Message) -> Transaction {
        self.body(key, message).sign(key)
    }

    /// The next transaction of `key` for `account`.
    pub(crate) fn tx_for(&self, key: &SecretKey, account: Address, message: Message) -> Transaction {
        self.body_for(key, Some(account), message).sign(key)
    }

    /// Several transactions of `key`, one after the other.
    pub(crate) fn txs(
        &self,
        key: &SecretKey,
        messages: impl IntoIterator<Item = Message>,
    ) -> Vec<Transaction> {
        let signed = messages.into_iter().zip(0..).map(|(message, i)| {
            let mut body = self.body(key, message);
            body.sequence += i;
            body.sign(key)
        });
        signed.collect()
    }

    /// The outcome of the next block made of those of `transactions` that it accepts, and why not of the
    /// others. Changes nothing.
    pub(crate) fn try_block(&self, transactions: &[Transaction]) -> (BlockOutcome, Vec<(usize, Rejection)>) {
        let mut executor = Executor::begin(&self.state, self.next_block()).unwrap();
        let mut rejected = Vec::new();
        for (i, transaction) in transactions.iter().enumerate() {
            if let Err(rejection) = deliver(&mut executor, &self.id, transaction) {
                rejected.push((i, rejection));
            }
        }
        (executor.finish().unwrap(), rejected)
    }

    /// Adds the next block, of those of `transactions` that it accepts.
    pub(crate) fn run(&mut self, transactions: &[Transaction]) -> (BlockOutcome, Vec<(usize, Rejection)>) {
        let (outcome, rejected) = self.try_block(transactions);
        assert_eq!(outcome.receipts.len() + rejected.len(), transactions.len());
        self.state.apply(&outcome.delta);
        self.height = outcome.height;
        if let Some(values) = &mut self.values {
            values.drain(..values.len().min(1));
        }
        let signs = |address: &Address| !self.absent.contains(address);
        self.signers = self.validators.members().iter().map(|v| v.address).filter(signs).collect();
        self.validators = outcome.next_validators.clone();
        audit(&self.state);
        self.stand_in_for_the_group();
        (outcome, rejected)
    }

    /// Before a switch: a group that nobody dealt. Tests of the beacon post real dealings; for all others any
    /// group does, as the ledger itself verifies no values.
    fn stand_in_for_the_group(&mut self) {
        let params = Params::current(&self.state).unwrap();
        let clock = CLOCK.require(&self.state).unwrap().at(self.height.next(), &params.epochs);
        let dealt = beacon::ROUND.require(&self.state).unwrap().is_some();
        if dealt || clock.phase(self.height.next(), &params.epochs) != Phase::Switch {
            return;
        }
        self.deal();
    }

    /// Puts a group in place for the epoch after the next block's, as if one had been dealt.
    pub(crate) fn deal(&mut self) {
        let params = Params::current(&self.state).unwrap();
        let clock = CLOCK.require(&self.state).unwrap().at(self.height.next(), &params.epochs);
        let epoch = clock.epoch.next();
        let one = Validator { address: host(0), key: vote_key(0).public(), power: 1 };
        let seats = Seats::apportion(&ValidatorSet::new(vec![one]).unwrap(), 1).unwrap();
        let round = Round::new(self.id, epoch, seats);
        let dealing = round.deal(&vote_key(0), &host(0)).unwrap();
        let board = Board::new(round, BTreeMap::from([(host(0), dealing)]));
        let acks = board.acknowledge(&vote_key(0), &host(0)).unwrap();
        let group = board.group(&BTreeMap::from([(host(0), acks)]), &BTreeMap::new()).unwrap();
        self.state.0.insert(beacon::NEXT.key(), borsh::to_vec(&Some(group)).unwrap());
    }

    /// Adds a block of exactly these transactions.
    pub(crate) fn block(&mut self, transactions: &[Transaction]) -> BlockOutcome {
        let (outcome, rejected) = self.run(transactions);
        assert_eq!(rejected, []);
        outcome
    }

    /// Adds a block with this one transaction, which must do what it asks.
    #[track_caller]
    pub(crate) fn done(&mut self, transaction: &Transaction) -> BlockOutcome {
        let outcome = self.block(core::slice::from_ref(transaction));
        assert_eq!(outcome.receipts[0].outcome, Outcome::Done);
        outcome
    }

    /// Adds a block with this one transaction, which must fail. Checks invariant 4 on the whole state: beside
    /// what an empty block does, nothing has changed but sequence, quota and allowance.
    #[track_caller]
    pub(crate) fn fails(&mut self, transaction: &Transaction) -> Failure {
        let mut untouched = self.clone();
        untouched.block(&[]);
        let outcome = self.block(core::slice::from_ref(transaction));
        let receipt = &outcome.receipts[0];
        let Outcome::Failed(failure) = &receipt.outcome else { panic!("it did not fail") };
        assert_eq!(receipt.events, []);

        let account = transaction.body.account();
        let delegate = (account, Address::of(&transaction.body.signer));
        let before = untouched.account(&account);
        let now = self.account(&account);
        let counted = Account { sequence: now.sequence, quota: now.quota, ..before };
        assert_eq!(now, counted, "a failed transaction changed its account");
        let mut rest = self.state.clone();
        for key in [ACCOUNTS.key(&account), DELEGATES.key(&delegate)] {
            untouched.state.0.remove(&key);
            rest.0.remove(&key);
        }
        assert!(rest == untouched.state, "a failed transaction changed the state");
        failure.clone()
    }

    /// Why the next block does not accept this transaction. Checks that the attempt leaves no trace, and that
    /// the mempool says the same.
    #[track_caller]
    pub(crate) fn rejects(&self, transaction: &Transaction) -> Rejection {
        let (outcome, rejected) = self.try_block(core::slice::from_ref(transaction));
        let Some((_, rejection)) = rejected.into_iter().next() else { panic!("it was accepted") };
        assert_eq!(outcome, self.try_block(&[]).0);
        if !matches!(rejection, Rejection::Malformed(_)) {
            let answer = admit(&self.state, transaction, self.height.next()).unwrap();
            assert_eq!(answer, Err(rejection.clone()));
        }
        rejection
    }

    /// Adds empty blocks up to and with `height`.
    pub(crate) fn skip_to(&mut self, height: u64) {
        while self.height.0 < height {
            self.block(&[]);
        }
    }

    /// Adds empty blocks until the next one is the first of `phase`.
    pub(crate) fn skip_to_phase(&mut self, phase: Phase) {
        let params = Params::current(&self.state).unwrap().epochs;
        let phase_at = |chain: &Self, height: Height| {
            CLOCK.require(&chain.state).unwrap().at(height, &params).phase(height, &params)
        };
        loop {
            let next = self.height.next();
            let fresh = self.height == Height::GENESIS || phase_at(self, self.height) != phase;
            if fresh && phase_at(self, next) == phase {
                return;
            }
            self.block(&[]);
        }
    }

    /// Adds empty blocks up to and with the next switch, and gives its outcome.
    pub(crate) fn switch(&mut self) -> BlockOutcome {
        self.skip_to_phase(Phase::Switch);
        self.block(&[])
    }

    pub(crate) fn account(&self, address: &Address) -> Account {
        ACCOUNTS.get(&self.state, address).unwrap().unwrap_or_default()
    }

    pub(crate) fn balance(&self, key: &SecretKey) -> Amount {
        self.account(&address(key)).balance
    }

    pub(crate) fn host(&self, i: u8) -> Option<Host> {
        HOSTS.get(&self.state, &host(i)).unwrap()
    }

    /// The power of a host at the next height, in thousandths of the whole, rounded.
    pub(crate) fn share(&self, i: u8) -> u64 {
        let total = self.validators.total_power();
        (self.power(i) * 1_000 + total / 2) / total
    }

    /// The power of a host at the next height.
    pub(crate) fn power(&self, i: u8) -> u64 {
        self.validators.get(&host(i)).map_or(0, |validator| validator.power)
    }

    /// Two signed votes of host `i` at `height`, under its consensus key.
    pub(crate) fn double_vote(&self, i: u8, height: Height) -> Equivocation {
        let vote = |block| self.vote(&vote_key(i), host(i), height, block);
        Equivocation::of_votes(vote(None), vote(Some(BlockId(Digest([7; 32])))))
    }

    /// A vote signed with `key`.
    pub(crate) fn vote(
        &self,
        key: &SecretKey,
        validator: Address,
        height: Height,
        block: Option<BlockId>,
    ) -> SignedVote {
        Vote { kind: VoteKind::Precommit, height, round: 0, block, validator }.sign(&self.id, key)
    }
}

/// Brings a transaction to a block as a node does: as bytes, with its chain and signature checked.
pub(crate) fn deliver(
    executor: &mut Executor<'_>,
    chain: &ChainId,
    transaction: &Transaction,
) -> Result<(), Rejection> {
    let bytes = transaction.encode();
    let transaction = Transaction::parse(&bytes, chain)?;
    transaction.verify()?;
    executor.include(&transaction, Transaction::hash_of(&bytes), bytes.len()).unwrap().map(|_| ())
}

/// Invariant 1: what the records hold is what the totals say, and their sum is the supply.
pub(crate) fn audit(state: &MemoryState) {
    let held = holdings(state).unwrap();
    assert_eq!(held, vaults(state).unwrap());
    assert_eq!(held.total(), Some(SUPPLY.require(state).unwrap()));
}

pub(crate) fn pay(to: Address, amount: Amount) -> Message {
    Message::Accounts(accounts::Message::Transfer { to, amount })
}

pub(crate) fn authorise(key: &SecretKey, scopes: &[Scope], expires: Height, allowance: Amount) -> Message {
    let scopes = Scopes::of(scopes);
    Message::Accounts(accounts::Message::Authorise { key: key.public(), scopes, expires, allowance })
}

pub(crate) fn revoke(key: &SecretKey) -> Message {
    Message::Accounts(accounts::Message::Revoke { key: key.public() })
}

/// The profile that a host might have under `consensus_key`.
pub(crate) fn profile(consensus_key: PublicKey) -> Profile {
    Profile {
        consensus_key,
        endpoints: vec![text("https://new.example")],
        region: text("elsewhere"),
        operator: text("an operator"),
        hardware: text("one machine"),
    }
}

pub(crate) fn register(key: &SecretKey, collateral: Amount) -> Message {
    Message::Hosts(hosts::Message::Register { profile: profile(key.public()), collateral })
}

pub(crate) fn update(profile: Profile) -> Message {
    Message::Hosts(hosts::Message::Update { profile })
}

pub(crate) fn leave() -> Message {
    Message::Hosts(hosts::Message::Leave)
}

pub(crate) fn deposit(amount: Amount) -> Message {
    Message::Hosts(hosts::Message::Deposit { amount })
}

pub(crate) fn withdraw(amount: Amount) -> Message {
    Message::Hosts(hosts::Message::Withdraw { amount })
}

pub(crate) fn report(proof: Equivocation) -> Message {
    Message::Evidence(evidence::Message::Report(Box::new(proof)))
}

/// All events of a block: its own, then those of its transactions.
pub(crate) fn events(outcome: &BlockOutcome) -> Vec<Event> {
    outcome.events.iter().chain(outcome.receipts.iter().flat_map(|r| &r.events)).cloned().collect()
}

/// The sum of two amounts.
pub(crate) fn plus(a: Amount, b: Amount) -> Amount {
    a.checked_add(b).unwrap()
}

/// The difference of two amounts.
pub(crate) fn minus(a: Amount, b: Amount) -> Amount {
    a.checked_sub(b).unwrap()
}
