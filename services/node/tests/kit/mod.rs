//! A chain of one validator, fed by hand: for tests of what surrounds the chain.
//!
//! [`Kit::commit`] does what the consensus engine would do with a single validator: asks for a block, signs the
//! precommit, and hands back the certificate. Time does not pass by itself.

// Each test binary uses its own part of this.
#![allow(dead_code)]

use std::sync::Arc;
use std::time::Instant;

use freeway_consensus::parts::Opening;
use freeway_consensus::{Application, Decided};
use freeway_ledger::{
    Body, Genesis, GenesisAccount, GenesisHost, Message, Preset, Text, Transaction, accounts,
};
use freeway_node::duties::OUTBOX;
use freeway_node::mempool::Limits;
use freeway_node::mempool::journal::Journal;
use freeway_node::metrics::Metrics;
use freeway_node::rpc::Context;
use freeway_node::{Chain, Durability, Duties, Feed, Mempool, Submitter};
use freeway_primitives::{
    Address, Amount, BlockId, Canonical, Certificate, ChainId, CommitSignature, Height, SecretKey,
};
use freeway_store::{Config, Medium, SimulatedDisk, Store};
use tempfile::TempDir;
use tokio::sync::mpsc;

/// The key of a name; the same in every run.
pub(crate) fn key(name: &str) -> SecretKey {
    let mut seed = [7; 32];
    seed[..name.len()].copy_from_slice(name.as_bytes());
    SecretKey::from_seed(seed)
}

/// The address of a name.
pub(crate) fn address(name: &str) -> Address {
    Address::of(&key(name).public())
}

/// The genesis: the host `host`, and `alice` and `bob` with 1,000 FWY each.
pub(crate) fn genesis() -> Genesis {
    let account = |name: &str| GenesisAccount { address: address(name), balance: Amount::fwy(1_000) };
    Genesis {
        name: Text::new("kit").unwrap(),
        time_ms: 1_700_000_000_000,
        params: Preset::Local.params(),
        accounts: ["host", "alice", "bob"].map(account).into(),
        hosts: vec![GenesisHost {
            address: address("host"),
            consensus_key: key("consensus").public(),
            weight: 100,
            collateral: Amount::fwy(10),
            operator: Text::new("the kit").unwrap(),
            region: Text::new("here").unwrap(),
            endpoints: vec![Text::new("http://127.0.0.1:1").unwrap()],
        }],
    }
}

/// A chain and what belongs to it, on a disk in memory; other files have a directory of their own.
pub(crate) struct Kit {
    pub(crate) folder: TempDir,
    pub(crate) disk: SimulatedDisk,
    pub(crate) genesis: Genesis,
    pub(crate) chain_id: ChainId,
    pub(crate) store: Arc<Store>,
    pub(crate) mempool: Arc<Mempool>,
    pub(crate) chain: Chain,
    pub(crate) feed: Feed,
    pub(crate) submitter: Submitter,
    outbox: mpsc::Receiver<freeway_node::Outgoing>,
}

impl Kit {
    /// A chain at genesis.
    pub(crate) fn new() -> Self {
        Self::with(genesis(), Config::default())
    }

    /// A chain at this genesis, in a store with this configuration.
    pub(crate) fn with(genesis: Genesis, config: Config) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let disk = SimulatedDisk::new();
        let medium = Medium::Simulated(disk.clone());
        let store = Arc::new(Store::open(medium, Config { cache_bytes: 4 << 20, ..config }).unwrap());
        let chain_id = genesis.chain();
        let mempool = Arc::new(Mempool::new(chain_id, Limits::default()));
        let start = genesis.time_ms;
        let (outgoing, outbox) = tokio::sync::mpsc::channel(OUTBOX);
        let duties = Duties::new(
            chain_id,
            address("host"),
            key("consensus"),
            Arc::clone(&store),
            Arc::clone(&mempool),
            outgoing.clone(),
        );
        let chain = Chain::open(
            Arc::clone(&store),
            &genesis,
            Arc::clone(&mempool),
            address("host"),
            Some(duties),
            // Every block is a millisecond after its parent: the chain sees to that.
            Box::new(move || start),
            Durability::Inline,
        )
        .unwrap();
        let feed = chain.feed().clone();
        let (journal, _) = {
            let mempool = Arc::clone(&mempool);
            Journal::open(folder.path().join("journal"), move || mempool.local()).unwrap()
        };
        let submitter =
            Submitter::new(Arc::clone(&store), Arc::clone(&mempool), feed.clone(), Some(journal), outgoing);
        Self { folder, disk, genesis, chain_id, store, mempool, chain, feed, submitter, outbox }
    }

    /// Builds, decides and commits the next block; its identity.
    pub(crate) fn commit(&mut self) -> BlockId {
        let height = self.chain.height().next();
        let proposer = address("host");
        let opening = Opening { height, round: 0, valid_round: None, proposer };
        let (block, _) = self.chain.propose(opening).unwrap();
        let certificate = self.certificate(height, block);
        assert_eq!(self.chain.decided(&certificate).unwrap(), Decided::Committed);
        assert_eq!(self.chain.finalized(&certificate, Vec::new()).unwrap(), Decided::Committed);
        block
    }

    /// Commits so many blocks.
    pub(crate) fn commit_many(&mut self, count: usize) {
        for _ in 0..count {
            self.commit();
        }
    }

    /// The certificate of the only validator.
    fn certificate(&self, height: Height, block: BlockId) -> Certificate {
        let mut certificate = Certificate { height, round: 0, block, signatures: Vec::new() };
        let validator = address("host");
        let vote = certificate.vote_of(validator).sign(&self.chain_id, &key("consensus"));
        certificate.signatures.push(CommitSignature { validator, signature: vote.signature });
        certificate
    }

    /// What an HTTP server around it shows. It reports to `fatal`.
    pub(crate) fn context(&self, fatal: mpsc::Sender<String>) -> Context {
        Context {
            store: Arc::clone(&self.store),
            submitter: self.submitter.clone(),
            feed: self.feed.clone(),
            genesis: Arc::new(self.genesis.clone()),
            chain: self.chain_id,
            address: Some(address("host")),
            guard: None,
            consensus: None,
            gossip: None,
            snapshots: None,
            trail: None,
            metrics: Arc::new(Metrics::new()),
            started: Instant::now(),
            fatal,
        }
    }

    /// A transfer that may stand in any of the next thousand blocks.
    pub(crate) fn transfer(&self, from: &str, sequence: u64, to: Address, amount: Amount) -> Transaction {
        let message = Message::Accounts(accounts::Message::Transfer { to, amount });
        self.sign(from, sequence, message)
    }

    /// A transaction of the account of a name.
    pub(crate) fn sign(&self, from: &str, sequence: u64, message: Message) -> Transaction {
        Body {
            chain: self.chain_id,
            signer: key(from).public(),
            on_behalf_of: None,
            sequence,
            expiry: self.chain.height().plus(1_000),
            message,
        }
        .sign(&key(from))
    }

    /// Takes in a transaction as from a client.
    pub(crate) async fn submit(&self, transaction: &Transaction) -> freeway_primitives::Digest {
        let results = self.submitter.submit(vec![transaction.encode()]).await.unwrap();
        results.into_iter().next().unwrap().unwrap()
    }
}
