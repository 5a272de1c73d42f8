//! How many transfers a second one core takes: execution alone, with signatures in batches, and what a single
//! signature costs.
//!
//! `cargo bench -p freeway-ledger`. Blocks have 5,000 transfers between 10,000 accounts in memory.

use divan::Bencher;
use divan::counter::ItemsCount;
use freeway_ledger::{
    BlockInfo, BlockOutcome, Body, Executor, Genesis, GenesisAccount, GenesisHost, MemoryState, Message,
    Preset, Text, Transaction, accounts, open,
};
use freeway_primitives::{
    Address, Amount, BatchItem, Canonical, ChainId, Digest, Height, SecretKey, verify_batch,
};

const ACCOUNTS: u32 = 10_000;
const TRANSFERS: usize = 5_000;
/// Signatures checked at once.
const CHUNK: usize = 256;

fn main() {
    divan::main();
}

fn secret(i: u32) -> SecretKey {
    let mut seed = [7; 32];
    seed[..4].copy_from_slice(&i.to_le_bytes());
    SecretKey::from_seed(seed)
}

/// A block as it comes from the network, on the state that it stands on.
struct Scene {
    chain: ChainId,
    state: MemoryState,
    bytes: Vec<Vec<u8>>,
}

/// A transaction that was parsed.
struct Parsed {
    transaction: Transaction,
    hash: Digest,
    bytes: usize,
}

impl Scene {
    fn new() -> Self {
        let keys: Vec<_> = (0..ACCOUNTS).map(secret).collect();
        let addresses: Vec<_> = keys.iter().map(|key| Address::of(&key.public())).collect();
        let balance = Amount::fwy(1_000);
        let host = GenesisHost {
            address: addresses[0],
            consensus_key: keys[0].public(),
            weight: 100,
            collateral: Amount::fwy(1),
            operator: Text::default(),
            region: Text::default(),
            endpoints: Vec::new(),
        };
        let genesis = Genesis {
            name: Text::default(),
            time_ms: 0,
            params: Preset::Main.params(),
            accounts: addresses.iter().map(|address| GenesisAccount { address: *address, balance }).collect(),
            hosts: vec![host],
        };
        let chain = genesis.chain();
        let mut state = MemoryState::default();
        let Ok((delta, _)) = open(&genesis) else { unreachable!("the genesis is valid") };
        state.apply(&delta);
        // Every second account pays one far away.
        let pay = |i: usize| {
            let from = 2 * i;
            let to = addresses[(from * 7 + 4_999) % addresses.len()];
            let message = Message::Accounts(accounts::Message::Transfer { to, amount: Amount(1) });
            let signer = keys[from].public();
            let body = Body { chain, signer, on_behalf_of: None, sequence: 0, expiry: Height(100), message };
            body.sign(&keys[from]).encode()
        };
        Self { chain, state, bytes: (0..TRANSFERS).map(pay).collect() }
    }

    fn parse(&self) -> Vec<Parsed> {
        let parse = |bytes: &Vec<u8>| {
            let Ok(transaction) = Transaction::parse(bytes, &self.chain) else {
                unreachable!("the transaction is valid")
            };
            Parsed { transaction, hash: Transaction::hash_of(bytes), bytes: bytes.len() }
        };
        self.bytes.iter().map(parse).collect()
    }

    fn execute(&self, parsed: &[Parsed]) -> BlockOutcome {
        let block = BlockInfo {
            height: Height::FIRST,
            proposer: Address([0; 32]),
            parent_signers: Vec::new(),
            beacon: None,
        };
        let Ok(mut executor) = Executor::begin(&self.state, block) else { unreachable!("state is readable") };
        for Parsed { transaction, hash, bytes } in parsed {
            assert!(matches!(executor.include(transaction, *hash, *bytes), Ok(Ok(_))));
        }
        let Ok(outcome) = executor.finish() else { unreachable!("the books balance") };
        outcome
    }
}

fn check_in_chunks(parsed: &[Parsed]) {
    for chunk in parsed.chunks(CHUNK) {
        let items: Vec<BatchItem> = chunk.iter().map(|parsed| parsed.transaction.signature_item()).collect();
        assert_eq!(verify_batch(&items), Ok(()));
    }
}

/// Execution only: parsed, and signatures checked before.
#[divan::bench]
fn execute(bencher: Bencher<'_, '_>) {
    let scene = Scene::new();
    let parsed = scene.parse();
    bencher.counter(ItemsCount::new(TRANSFERS)).bench_local(|| scene.execute(&parsed));
}

/// Everything a node does for a block of strangers' transactions: parse, hash, check in batches, execute.
#[divan::bench]
fn parse_verify_batch_and_execute(bencher: Bencher<'_, '_>) {
    let scene = Scene::new();
    bencher.counter(ItemsCount::new(TRANSFERS)).bench_local(|| {
        let parsed = scene.parse();
        check_in_chunks(&parsed);
        scene.execute(&parsed)
    });
}

/// Signatures in batches, alone.
#[divan::bench]
fn verify_batches(bencher: Bencher<'_, '_>) {
    let parsed = Scene::new().parse();
    bencher.counter(ItemsCount::new(TRANSFERS)).bench_local(|| check_in_chunks(&parsed));
}

/// Signatures one by one, for comparison.
#[divan::bench]
fn verify_single(bencher: Bencher<'_, '_>) {
    let parsed = Scene::new().parse();
    bencher.counter(ItemsCount::new(TRANSFERS)).bench_local(|| {
        for parsed in &parsed {
            assert_eq!(parsed.transaction.verify(), Ok(()));
        }
    });
}
