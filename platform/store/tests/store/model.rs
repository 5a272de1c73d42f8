//! The store against a map in memory.

use freeway_ledger::state::Reader;
use freeway_primitives::Canonical;
use freeway_store::{Proof, ProofError, StateView};

use super::*;

#[derive(Clone, Copy, Debug)]
enum After {
    Nothing,
    Flush,
    FlushAll,
    Reopen,
}

fn after() -> impl Strategy<Value = After> {
    prop_oneof![
        4 => Just(After::Nothing),
        2 => Just(After::Flush),
        1 => Just(After::FlushAll),
        1 => Just(After::Reopen),
    ]
}

fn agrees(view: &StateView, state: &MemoryState) -> Result<(), TestCaseError> {
    for table in 0u8..3 {
        for n in 0u8..40 {
            prop_assert_eq!(view.get(&[table, n]), state.get(&[table, n]));
        }
        for (after, limit) in [(None, 100), (None, 3), (Some([table, 7]), 4), (Some([table, 39]), 1)] {
            let after = after.as_ref().map(<[u8; 2]>::as_slice);
            prop_assert_eq!(view.scan(&[table], after, limit), state.scan(&[table], after, limit));
        }
    }
    prop_assert_eq!(view.scan(&[], None, 1000), state.scan(&[], None, 1000));
    prop_assert_eq!(view.scan(&[], None, 0), Ok(vec![]));
    Ok(())
}

/// Closes the store without flushing, opens it again, and replays what is missing.
fn reopen(store: Store, disk: &SimulatedDisk, deltas: &[Delta]) -> Store {
    let tip = store.state_height();
    drop(store);
    let store = open(disk).unwrap();
    for height in (store.state_height().0 + 1..=tip.0).map(Height) {
        let delta = deltas[height.0 as usize].clone();
        store.apply(height, delta, receipts(height), height.0.to_le_bytes().to_vec()).unwrap();
    }
    store
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn the_store_reads_as_the_model(
        genesis in delta(),
        blocks in proptest::collection::vec((delta(), after()), 1..16),
    ) {
        let mut deltas = vec![genesis];
        deltas.extend(blocks.iter().map(|(delta, _)| delta.clone()));
        let (roots, states) = reference(&deltas);
        let disk = SimulatedDisk::new();
        let mut store = open(&disk).unwrap();
        prop_assert_eq!(store.initialise(b"genesis", &deltas[0]), Ok(roots[0]));
        for (i, (_, after)) in blocks.iter().enumerate() {
            let tip = Height(i as u64 + 1);
            extend(&store, tip, &deltas[i + 1]).unwrap();
            let held = store.view();
            match after {
                After::Nothing => {}
                After::Flush => store.flush().unwrap(),
                After::FlushAll => store.flush_all().unwrap(),
                After::Reopen => store = reopen(store, &disk, &deltas),
            }
            if !matches!(after, After::Reopen) {
                agrees(&held, &states[i + 1])?;
            }
            prop_assert_eq!(store.state_height(), tip);
            for height in store.flushed_height().0..=tip.0 {
                let view = store.view_at(Height(height)).unwrap();
                prop_assert_eq!((view.height(), view.root()), (Height(height), roots[height as usize]));
                prop_assert_eq!(store.root(Height(height)), Some(roots[height as usize]));
                agrees(&view, &states[height as usize])?;
            }
            prop_assert!(store.view_at(tip.next()).is_none());
        }
        for height in (1..=blocks.len() as u64).map(Height) {
            prop_assert_eq!(store.block_results(height), Ok(Some(height.0.to_le_bytes().to_vec())));
            for (index, receipt) in (0u32..).zip(receipts(height)) {
                prop_assert_eq!(store.receipt(&receipt.hash), Ok(Some((height, index, receipt.bytes))));
            }
        }
    }

    #[test]
    fn roots_depend_on_the_content_alone(deltas in proptest::collection::vec(delta(), 1..6)) {
        let (roots, states) = reference(&deltas);
        let state = states.last().unwrap();
        let at_once = state.0.iter().map(|(key, value)| (key.clone(), Some(value.clone()))).collect();
        let (direct, _) = reference(&[at_once]);
        prop_assert_eq!(roots.last(), direct.last());
    }

    #[test]
    fn proofs_verify_and_changed_ones_do_not(
        genesis in delta(),
        next in delta(),
        key in key(),
        other in key(),
        at in any::<prop::sample::Index>(),
        bit in 0u8..8,
    ) {
        let (roots, states) = reference(&[genesis.clone(), next.clone()]);
        let store = open(&SimulatedDisk::new()).unwrap();
        store.initialise(b"genesis", &genesis).unwrap();
        extend(&store, Height(1), &next).unwrap();
        for height in 0..2usize {
            let proof = store.prove(Height(height as u64), &key).unwrap();
            let value = states[height].0.get(&key).cloned();
            prop_assert_eq!(proof.verify(&roots[height], &key), Ok(value.clone()));
            let mut bytes = proof.encode();
            prop_assert_eq!(Proof::decode(&bytes), Ok(proof.clone()));
            prop_assert_eq!(proof.verify(&digest(&[b"other"]), &key), Err(ProofError::WrongRoot));
            if let Ok(found) = proof.verify(&roots[height], &other) {
                // One proof of absence can cover more than one key, a proof of a value only its own.
                prop_assert_eq!(found, states[height].0.get(&other).cloned());
            }
            let at = at.index(bytes.len());
            bytes[at] ^= 1 << bit;
            if let Ok(changed) = Proof::decode(&bytes) {
                prop_assert!(changed.verify(&roots[height], &key).is_err());
            }
        }
        let missing = store.prove(Height(2), &key);
        let (oldest, newest) = (Height(0), Height(1));
        prop_assert_eq!(missing, Err(StoreError::NotRetained { height: Height(2), oldest, newest }));
    }

    #[test]
    fn any_bytes_decode_or_fail(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = Proof::decode(&bytes).map(|proof| proof.verify(&Digest::ZERO, b"key"));
        let _ = freeway_store::Manifest::decode(&bytes);
        let _ = freeway_store::Chunk::decode(&bytes);
    }
}
