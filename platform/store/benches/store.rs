//! What a block costs the store, at 10^5 and 10^6 accounts: `cargo bench -p freeway-store`.
//!
//! `apply` is on the critical path of a block, `append` is what a decision waits for, `flush` runs beside both.
//! An update replaces the value of a random account.

#![allow(clippy::unwrap_used)]

use std::hint::black_box;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use divan::Bencher;
use divan::counter::ItemsCount;
use freeway_ledger::state::{Delta, Reader};
use freeway_primitives::{BlockId, Digest, Domain, Height};
use freeway_store::{BlockRecord, Config, Medium, ReceiptRecord, Store};

const BENCH: Domain = Domain::new("freeway 1 store bench");
/// (accounts, updates a block)
const LOADS: [(u64, u64); 4] = [(100_000, 2_000), (100_000, 6_000), (1_000_000, 2_000), (1_000_000, 6_000)];
const ACCOUNTS: [u64; 2] = [100_000, 1_000_000];
const BLOCKS_A_FLUSH: u64 = 16;

fn main() {
    divan::main();
}

/// A store that all benches of one size share; every block moves it on.
struct Fixture {
    store: Store,
    accounts: u64,
    blocks: AtomicU64,
    _directory: tempfile::TempDir,
}

impl Fixture {
    fn of(accounts: u64) -> &'static Self {
        static SMALL: OnceLock<Fixture> = OnceLock::new();
        static LARGE: OnceLock<Fixture> = OnceLock::new();
        let slot = if accounts == ACCOUNTS[0] { &SMALL } else { &LARGE };
        slot.get_or_init(|| Self::new(accounts))
    }

    fn new(accounts: u64) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(Medium::Directory(directory.path().into()), Config::default()).unwrap();
        store.initialise(b"genesis", &Delta::new()).unwrap();
        let fixture = Self { store, accounts, blocks: AtomicU64::new(0), _directory: directory };
        for first in (0..accounts).step_by(50_000) {
            fixture.extend((first..first + 50_000).map(|i| (account(i), Some(value(i)))).collect());
            fixture.store.flush_all().unwrap();
        }
        fixture
    }

    fn next(&self) -> Height {
        Height(self.blocks.fetch_add(1, Ordering::Relaxed) + 1)
    }

    /// Random accounts with new values.
    fn delta(&self, updates: u64) -> Delta {
        let height = self.blocks.load(Ordering::Relaxed);
        let pick = |i: u64| {
            let digest = Digest::of_list(BENCH, [&height.to_le_bytes()[..], &i.to_le_bytes()[..]]);
            u64::from_le_bytes(digest.0[..8].try_into().unwrap()) % self.accounts
        };
        (0..updates).map(|i| (account(pick(i)), Some(value(height ^ i)))).collect()
    }

    fn append(&self) -> Height {
        let height = self.next();
        self.store.append_block(&block(height)).unwrap();
        height
    }

    fn extend(&self, delta: Delta) {
        let height = self.append();
        self.store.apply(height, delta, Vec::new(), Vec::new()).unwrap();
    }

    fn flush_if_due(&self) {
        if self.store.needs_flush() {
            self.store.flush().unwrap();
        }
    }
}

fn account(i: u64) -> Vec<u8> {
    let mut key = b"accounts/by address/".to_vec();
    key.extend(Digest::of(BENCH, &i.to_le_bytes()).0);
    key
}

fn value(i: u64) -> Vec<u8> {
    i.to_le_bytes().repeat(10)
}

fn block(height: Height) -> BlockRecord {
    let id = BlockId(Digest::of(BENCH, &height.0.to_le_bytes()));
    BlockRecord { height, id, block: vec![7; 500_000], certificate: vec![7; 4_000] }
}

fn receipts(height: Height, count: u64) -> Vec<ReceiptRecord> {
    let hash = |i: u64| Digest::of_list(BENCH, [&height.0.to_le_bytes()[..], &i.to_le_bytes()[..]]);
    (0..count).map(|i| ReceiptRecord { hash: hash(i), bytes: vec![1; 60] }).collect()
}

/// New root from the changes of a block.
#[divan::bench(args = LOADS, sample_count = 30, sample_size = 1)]
fn apply(bencher: Bencher<'_, '_>, (accounts, updates): (u64, u64)) {
    let fixture = Fixture::of(accounts);
    bencher
        .counter(ItemsCount::new(updates))
        .with_inputs(|| {
            fixture.flush_if_due();
            (fixture.delta(updates), fixture.append())
        })
        .bench_local_values(|(delta, height)| fixture.store.apply(height, delta, vec![], vec![]).unwrap());
}

/// As `apply`, with a tenth of the keys removed; the next block brings them back.
#[divan::bench(args = LOADS, sample_count = 30, sample_size = 1)]
fn apply_with_removals(bencher: Bencher<'_, '_>, (accounts, updates): (u64, u64)) {
    let fixture = Fixture::of(accounts);
    let mut removed: Vec<Vec<u8>> = Vec::new();
    bencher
        .counter(ItemsCount::new(updates))
        .with_inputs(|| {
            fixture.flush_if_due();
            let back = removed.drain(..).map(|key| (key, Some(value(1))));
            fixture.extend(back.collect());
            let mut delta = fixture.delta(updates);
            for (_, value) in delta.iter_mut().step_by(10) {
                *value = None;
            }
            removed = delta.iter().filter(|(_, v)| v.is_none()).map(|(k, _)| k.clone()).collect();
            (delta, fixture.append())
        })
        .bench_local_values(|(delta, height)| fixture.store.apply(height, delta, vec![], vec![]).unwrap());
}

/// A decided block of 500 kB made durable.
#[divan::bench(sample_count = 30, sample_size = 1)]
fn append(bencher: Bencher<'_, '_>) {
    let fixture = Fixture::of(ACCOUNTS[0]);
    bencher
        .with_inputs(|| {
            fixture.flush_if_due();
            block(fixture.next())
        })
        .bench_local_values(|block| {
            fixture.store.append_block(&block).unwrap();
            fixture.store.apply(block.height, Delta::new(), vec![], vec![]).unwrap();
        });
}

/// The state of sixteen blocks made durable, with as many receipts as updates.
#[divan::bench(args = LOADS, sample_count = 5, sample_size = 1)]
fn flush(bencher: Bencher<'_, '_>, (accounts, updates): (u64, u64)) {
    let fixture = Fixture::of(accounts);
    fixture.store.flush_all().unwrap();
    bencher
        .counter(ItemsCount::new(updates * BLOCKS_A_FLUSH))
        .with_inputs(|| {
            for _ in 0..BLOCKS_A_FLUSH {
                let delta = fixture.delta(updates);
                let height = fixture.append();
                let receipts = receipts(height, updates);
                fixture.store.apply(height, delta, receipts, Vec::new()).unwrap();
            }
        })
        .bench_local_values(|()| fixture.store.flush_all().unwrap());
}

#[divan::bench(args = ACCOUNTS, sample_count = 50, sample_size = 20)]
fn prove(bencher: Bencher<'_, '_>, accounts: u64) {
    let fixture = Fixture::of(accounts);
    let height = fixture.store.state_height();
    let mut i = 0;
    bencher
        .with_inputs(|| {
            i += 7919;
            account(i % accounts)
        })
        .bench_local_refs(|key| fixture.store.prove(height, key).unwrap());
}

#[divan::bench(args = ACCOUNTS)]
fn verify(bencher: Bencher<'_, '_>, accounts: u64) {
    let fixture = Fixture::of(accounts);
    let height = fixture.store.state_height();
    let root = fixture.store.root(height).unwrap();
    let key = account(accounts / 3);
    let proof = fixture.store.prove(height, &key).unwrap();
    bencher.bench(|| black_box(&proof).verify(&root, &key).unwrap());
}

/// A value from the latest view, over sixteen blocks that are not flushed.
#[divan::bench(args = ACCOUNTS, sample_count = 50, sample_size = 200)]
fn get(bencher: Bencher<'_, '_>, accounts: u64) {
    let fixture = Fixture::of(accounts);
    while !fixture.store.needs_flush() {
        fixture.extend(fixture.delta(2_000));
    }
    let view = fixture.store.view();
    let mut i = 0;
    bencher
        .with_inputs(|| {
            i += 7919;
            account(i % accounts)
        })
        .bench_local_refs(|key| view.get(key).unwrap());
}

/// The whole state read out as a snapshot.
#[divan::bench(args = ACCOUNTS, sample_count = 1, sample_size = 1)]
fn snapshot(bencher: Bencher<'_, '_>, accounts: u64) {
    let fixture = Fixture::of(accounts);
    fixture.store.flush_all().unwrap();
    bencher.counter(ItemsCount::new(accounts)).bench_local(|| {
        let mut snapshot = fixture.store.snapshot(1 << 20).unwrap();
        while let Some(chunk) = snapshot.next_chunk().unwrap() {
            black_box(chunk);
        }
    });
}
