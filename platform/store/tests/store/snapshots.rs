//! Snapshots: written while the chain goes on, restored without trust, recognised when unfinished.

use freeway_ledger::state::Reader;
use freeway_primitives::Canonical;
use freeway_store::{Manifest, Restore, RestoreError, chunk_digest, chunk_name};

use super::*;

const KEYS: u32 = 400;

fn source() -> Store {
    let store = open(&SimulatedDisk::new()).unwrap();
    store.initialise(b"genesis", &numbered(0..KEYS, 0)).unwrap();
    for height in (1..=5).map(Height) {
        let mut delta = numbered(0..50, height.0 as u8);
        delta.insert(height.0.to_be_bytes().to_vec(), Some(vec![9; 3000]));
        delta.insert((height.0 as u32 + 100).to_be_bytes().to_vec(), None);
        extend(&store, height, &delta).unwrap();
    }
    store.flush_all().unwrap();
    store
}

fn chunks(store: &Store, max: usize) -> (Manifest, Vec<Vec<u8>>) {
    let mut snapshot = store.snapshot(max).unwrap();
    let mut chunks = Vec::new();
    while let Some(chunk) = snapshot.next_chunk().unwrap() {
        chunks.push(chunk);
    }
    (snapshot.manifest().clone(), chunks)
}

fn begin(disk: &SimulatedDisk, manifest: &Manifest) -> Result<Restore, StoreError> {
    let medium = Medium::Simulated(disk.clone());
    Restore::begin(medium, config(), b"genesis", manifest.height, manifest.root)
}

#[test]
fn a_restored_store_goes_on_like_its_source() {
    let store = source();
    for max in [0, 12_000, 1 << 20] {
        let (manifest, chunks) = chunks(&store, max);
        assert_eq!((manifest.height, manifest.entries), (Height(5), u64::from(KEYS)));
        let disk = SimulatedDisk::new();
        let mut restore = begin(&disk, &manifest).unwrap();
        for chunk in &chunks {
            restore.add_chunk(chunk).unwrap();
        }
        let restored = restore.finish(&block(Height(5)), b"results").unwrap();
        assert_eq!(restored.view().scan(&[], None, 1000), store.view().scan(&[], None, 1000));
        let heights = (restored.state_height(), restored.block_height(), restored.oldest_block());
        assert_eq!(heights, (Height(5), Height(5), Height(5)));
        drop(restored);
        let restored = open(&disk).unwrap();
        assert_eq!(restored.genesis(), Ok(Some(b"genesis".to_vec())));
        assert_eq!(restored.root(Height(5)), Some(manifest.root));
        let mut delta = numbered(20..90, 77);
        delta.extend((200u32..390).map(|i| (i.to_be_bytes().to_vec(), None)));
        let other = source();
        assert_eq!(extend(&restored, Height(6), &delta), extend(&other, Height(6), &delta));
        restored.flush_all().unwrap();
        for key in [30u32, 250, 395] {
            let key = key.to_be_bytes();
            let proof = restored.prove(Height(6), &key).unwrap();
            assert_eq!(
                proof.verify(&other.root(Height(6)).unwrap(), &key),
                Ok(other.view().get(&key).unwrap())
            );
        }
    }
}

#[test]
fn a_bad_chunk_is_named_and_harmless() {
    let (manifest, chunks) = chunks(&source(), 16_000);
    assert!(chunks.len() > 3);
    let disk = SimulatedDisk::new();
    let mut restore = begin(&disk, &manifest).unwrap();
    for (index, chunk) in chunks.iter().enumerate() {
        for at in (0..chunk.len()).step_by(chunk.len() / 9 + 1) {
            let mut bad = chunk.clone();
            bad[at] ^= 4;
            let error = restore.add_chunk(&bad).unwrap_err();
            assert!(matches!(error, RestoreError::Chunk { index: i, .. } if i == index as u64), "{error}");
        }
        let wrong = chunks.get(index + 1).or(chunks.first()).unwrap();
        assert!(matches!(restore.add_chunk(wrong), Err(RestoreError::Chunk { .. })), "out of order");
        assert!(restore.add_chunk(&[]).is_err() && restore.add_chunk(&chunk[1..]).is_err());
        restore.add_chunk(chunk).unwrap();
        assert_eq!(restore.chunks(), index as u64 + 1);
    }
    assert!(restore.add_chunk(chunks.last().unwrap()).is_err(), "after the last");
    restore.finish(&block(Height(5)), b"results").unwrap();
}

#[test]
fn an_interrupted_restore_is_recognised_and_starts_over() {
    let (manifest, chunks) = chunks(&source(), 16_000);
    let disk = SimulatedDisk::new();
    for (seed, added) in [(1, 0), (2, 1), (3, chunks.len())] {
        let mut restore = begin(&disk, &manifest).unwrap();
        chunks[..added].iter().for_each(|chunk| restore.add_chunk(chunk).unwrap());
        disk.crash(seed);
        drop(restore);
        assert!(matches!(open(&disk), Err(StoreError::Unfinished)));
    }
    let mut restore = begin(&disk, &manifest).unwrap();
    restore.add_chunk(&chunks[0]).unwrap();
    let error = restore.finish(&block(Height(5)), b"results").err();
    assert_eq!(error, Some(RestoreError::Incomplete { chunks: 1 }));
    let mut restore = begin(&disk, &manifest).unwrap();
    chunks.iter().for_each(|chunk| restore.add_chunk(chunk).unwrap());
    let store = restore.finish(&block(Height(5)), b"results").unwrap();
    assert_eq!(store.root(Height(5)), Some(manifest.root));
    drop(store);
    assert!(matches!(begin(&disk, &manifest), Err(StoreError::AlreadyInitialised)));
}

#[test]
fn a_block_of_another_height_does_not_finish_a_restore() {
    let store = open(&SimulatedDisk::new()).unwrap();
    store.initialise(b"genesis", &Delta::new()).unwrap();
    extend(&store, Height(1), &Delta::new()).unwrap();
    store.flush_all().unwrap();
    let (manifest, chunks) = chunks(&store, 1000);
    assert_eq!((chunks.len(), manifest.root), (0, Digest::ZERO), "an empty state has no chunks");
    let error = begin(&SimulatedDisk::new(), &manifest).unwrap().finish(&block(Height(2)), b"results").err();
    assert_eq!(error, Some(RestoreError::Block { expected: Height(1), got: Height(2) }));
    begin(&SimulatedDisk::new(), &manifest).unwrap().finish(&block(Height(1)), b"results").unwrap();
}

#[test]
fn a_snapshot_directory_holds_what_its_manifest_names() {
    let directory = tempfile::tempdir().unwrap();
    let store = source();
    let manifest = store.write_snapshot(&directory.path().join("5"), 16_000).unwrap();
    let read = |name: &str| std::fs::read(directory.path().join("5").join(name)).unwrap();
    assert_eq!(Manifest::decode(&read(freeway_store::MANIFEST_NAME)), Ok(manifest.clone()));
    for (index, digest) in manifest.chunks.iter().enumerate() {
        let bytes = read(&chunk_name(index));
        assert_eq!(chunk_digest(&bytes), *digest);
        assert!(bytes.len() <= 16_000);
    }
}

#[test]
fn a_snapshot_shows_its_height_while_the_chain_goes_on() {
    let store = source();
    let mut snapshot = store.snapshot(16_000).unwrap();
    let mut chunks = vec![snapshot.next_chunk().unwrap().unwrap()];
    for height in (6..=12).map(Height) {
        extend(&store, height, &numbered(0..KEYS, height.0 as u8)).unwrap();
        store.flush_all().unwrap();
    }
    while let Some(chunk) = snapshot.next_chunk().unwrap() {
        chunks.push(chunk);
    }
    let mut restore = begin(&SimulatedDisk::new(), snapshot.manifest()).unwrap();
    chunks.iter().for_each(|chunk| restore.add_chunk(chunk).unwrap());
    assert!(restore.finish(&block(Height(5)), b"results").is_ok());
}
