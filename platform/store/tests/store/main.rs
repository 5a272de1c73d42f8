//! The store as a whole: against a model, over crashes, on damaged files, through snapshots.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::sync::Arc;

use freeway_ledger::state::{Delta, MemoryState};
use freeway_primitives::{BlockId, Digest, Domain, Height};
use freeway_store::{BlockRecord, Config, Medium, ReceiptRecord, SimulatedDisk, Store, StoreError};
use proptest::prelude::*;

mod crash;
mod damage;
mod model;
mod snapshots;

const TEST: Domain = Domain::new("freeway 1 store test");

/// Small caches and frequent flushes, so that short tests reach every path.
fn config() -> Config {
    Config { cache_bytes: 1 << 20, flush_every: 3, ..Config::default() }
}

fn open(disk: &SimulatedDisk) -> Result<Store, StoreError> {
    Store::open(Medium::Simulated(disk.clone()), config())
}

fn digest(parts: &[&[u8]]) -> Digest {
    Digest::of_list(TEST, parts.iter().copied())
}

fn block(height: Height) -> BlockRecord {
    let id = BlockId(digest(&[b"id", &height.0.to_le_bytes()]));
    let body = vec![height.0 as u8; 100 + height.0 as usize % 7];
    BlockRecord { height, id, block: body, certificate: vec![height.0 as u8; 50] }
}

fn receipts(height: Height) -> Vec<ReceiptRecord> {
    let receipt = |i: u8| ReceiptRecord {
        hash: digest(&[b"receipt", &height.0.to_le_bytes(), &[i]]),
        bytes: vec![i, height.0 as u8],
    };
    (0..2).map(receipt).collect()
}

/// Decides and applies a block.
fn extend(store: &Store, height: Height, delta: &Delta) -> Result<Digest, StoreError> {
    store.append_block(&block(height))?;
    store.apply(height, delta.clone(), receipts(height), height.0.to_le_bytes().to_vec())
}

/// Few keys under few prefixes, so that values are replaced and removed often.
fn key() -> impl Strategy<Value = Vec<u8>> {
    (0u8..3, 0u8..40).prop_map(|(table, n)| vec![table, n])
}

fn delta() -> impl Strategy<Value = Delta> {
    let value = proptest::option::weighted(0.7, proptest::collection::vec(any::<u8>(), 0..100));
    proptest::collection::btree_map(key(), value, 0..12)
}

fn numbered(keys: std::ops::Range<u32>, value: u8) -> Delta {
    keys.map(|i| (i.to_be_bytes().to_vec(), Some(vec![value; 40]))).collect()
}

/// Roots of a chain that never flushes, reopens or crashes.
fn reference(deltas: &[Delta]) -> (Vec<Digest>, Vec<MemoryState>) {
    let store = open(&SimulatedDisk::new()).unwrap();
    let (mut roots, mut states) = (Vec::new(), Vec::new());
    let mut state = MemoryState::default();
    for (height, delta) in (0..).map(Height).zip(deltas) {
        state.apply(delta);
        states.push(state.clone());
        roots.push(match height {
            Height::GENESIS => store.initialise(b"genesis", delta).unwrap(),
            height => extend(&store, height, delta).unwrap(),
        });
    }
    (roots, states)
}

#[test]
fn the_store_can_be_shared() {
    fn shared<T: Send + Sync + 'static>(_: &T) {}
    shared(&Arc::new(open(&SimulatedDisk::new()).unwrap()));
}

#[test]
fn a_store_on_a_directory_is_locked_and_reopens() {
    let directory = tempfile::tempdir().unwrap();
    let medium = Medium::Directory(directory.path().join("new/data"));
    let store = Store::open(medium.clone(), config()).unwrap();
    assert_eq!(store.genesis(), Ok(None));
    assert!(matches!(extend(&store, Height(1), &Delta::new()), Err(StoreError::Uninitialised)));
    drop(store);
    std::fs::remove_dir_all(directory.path().join("new")).unwrap();
    let store = Store::open(medium.clone(), config()).unwrap();
    let root = store.initialise(b"genesis", &numbered(0..10, 1)).unwrap();
    assert!(matches!(store.initialise(b"other", &Delta::new()), Err(StoreError::AlreadyInitialised)));
    assert!(matches!(Store::open(medium.clone(), config()), Err(StoreError::Locked { .. })));
    drop(store);
    let store = Store::open(medium, config()).unwrap();
    assert_eq!(store.genesis(), Ok(Some(b"genesis".to_vec())));
    assert_eq!(store.root(Height::GENESIS), Some(root));
}

#[test]
fn heights_out_of_order_are_refused() {
    let store = open(&SimulatedDisk::new()).unwrap();
    store.initialise(b"genesis", &Delta::new()).unwrap();
    let order = |expected, got| StoreError::Order { expected: Height(expected), got: Height(got) };
    assert_eq!(store.append_block(&block(Height(2))), Err(order(1, 2)));
    store.append_block(&block(Height(1))).unwrap();
    assert_eq!(store.append_block(&block(Height(1))), Err(order(2, 1)));
    assert_eq!(store.apply(Height(2), Delta::new(), vec![], vec![]), Err(order(1, 2)));
    assert_eq!(store.update_certificate(Height(2), b""), Err(order(1, 2)));
    assert_eq!(store.poisoned(), None, "a refused request is no failed write");
    let long = BTreeMap::from([(vec![1], Some(vec![0; freeway_store::MAX_VALUE_BYTES + 1]))]);
    assert!(matches!(store.apply(Height(1), long, vec![], vec![]), Err(StoreError::Limit { .. })));
    let nameless = BTreeMap::from([(vec![], Some(vec![]))]);
    assert!(matches!(store.apply(Height(1), nameless, vec![], vec![]), Err(StoreError::Limit { .. })));
}

#[test]
fn proposals_live_until_their_height_is_decided() {
    let disk = SimulatedDisk::new();
    let store = open(&disk).unwrap();
    store.initialise(b"genesis", &Delta::new()).unwrap();
    let id = |n| BlockId(Digest([n; 32]));
    store.put_proposal(Height(1), id(1), b"round 0", b"a").unwrap();
    store.put_proposal(Height(1), id(2), b"round 1", b"b").unwrap();
    store.put_proposal(Height(1), id(2), b"round 2", b"b").unwrap();
    store.put_proposal(Height(2), id(3), b"early", b"c").unwrap();
    disk.crash(1);
    drop(store);
    let store = open(&disk).unwrap();
    let expected =
        vec![(id(1), b"round 0".to_vec(), b"a".to_vec()), (id(2), b"round 2".to_vec(), b"b".to_vec())];
    assert_eq!(store.proposals(Height(1)), Ok(expected));
    store.append_block(&block(Height(1))).unwrap();
    store.put_proposal(Height(1), id(4), b"late", b"d").unwrap();
    assert_eq!(store.proposals(Height(1)), Ok(vec![]));
    assert_eq!(store.proposals(Height(2)).unwrap().len(), 1);
}

#[test]
fn old_blocks_and_receipts_are_forgotten_but_never_those_that_replay_needs() {
    let disk = SimulatedDisk::new();
    let config = Config { retain_blocks: 5, ..config() };
    let store = Store::open(Medium::Simulated(disk.clone()), config).unwrap();
    store.initialise(b"genesis", &Delta::new()).unwrap();
    for height in (1..=20).map(Height) {
        extend(&store, height, &numbered(0..2, height.0 as u8)).unwrap();
    }
    assert_eq!(store.oldest_block(), Height(1), "nothing was flushed, a restart would replay all");
    store.flush().unwrap();
    for height in (21..=40).map(Height) {
        extend(&store, height, &numbered(0..2, height.0 as u8)).unwrap();
        store.flush().unwrap();
    }
    assert_eq!(store.oldest_block(), Height(36));
    assert_eq!(store.block(Height(35)), Ok(None));
    assert_eq!(store.block(Height(36)).unwrap().unwrap().0, block(Height(36)).block);
    assert_eq!(store.receipt(&receipts(Height(35))[0].hash), Ok(None));
    assert_eq!(store.block_results(Height(35)), Ok(None));
    assert!(store.receipt(&receipts(Height(36))[1].hash).unwrap().is_some());
    store.update_certificate(Height(3), b"too late to matter").unwrap();
    store.update_certificate(Height(40), b"more signatures").unwrap();
    assert_eq!(store.block(Height(40)).unwrap().unwrap().1, b"more signatures");
}

#[test]
fn a_long_chain_of_changes_does_not_grow_the_files() {
    let disk = SimulatedDisk::new();
    let config = Config { retain_blocks: 1, ..config() };
    let store = Store::open(Medium::Simulated(disk.clone()), config).unwrap();
    store.initialise(b"genesis", &numbered(0..500, 0)).unwrap();
    let mut sizes = Vec::new();
    for height in (1..=240).map(Height) {
        let start = height.0 as u32 * 37 % 400;
        extend(&store, height, &numbered(start..start + 50, height.0 as u8)).unwrap();
        if store.needs_flush() {
            store.flush().unwrap();
            sizes.push(disk.bytes());
        }
    }
    let settled = sizes[sizes.len() / 3];
    assert!(sizes.last().unwrap() <= &(settled * 5 / 4), "{sizes:?}");
}
