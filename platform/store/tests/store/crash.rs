//! Crashes and failing disks: what was acknowledged survives, and replay leads to the same roots.

use super::*;

/// Runs the chain from where the store is until `blocks` or the first failure. Returns the highest block
/// that was acknowledged.
fn run(store: &Store, deltas: &[Delta], roots: &[Digest]) -> Result<(), (u64, StoreError)> {
    if store.genesis().ok().flatten().is_none() {
        store.initialise(b"genesis", &deltas[0]).map_err(|error| (0, error))?;
    }
    // As the node does: replay what is decided but not in the state.
    for height in store.state_height().0 + 1..=store.block_height().0 {
        let delta = deltas[height as usize].clone();
        let root = store.apply(Height(height), delta, receipts(Height(height)), vec![]);
        assert_eq!(root.map_err(|error| (store.block_height().0, error))?, roots[height as usize]);
    }
    for height in store.block_height().0 + 1..deltas.len() as u64 {
        let id = block(Height(height)).id;
        store.put_proposal(Height(height), id, b"meta", b"block").map_err(|error| (height - 1, error))?;
        store.append_block(&block(Height(height))).map_err(|error| (height - 1, error))?;
        let delta = deltas[height as usize].clone();
        let root = store.apply(Height(height), delta, receipts(Height(height)), vec![]);
        assert_eq!(root.map_err(|error| (height, error))?, roots[height as usize]);
        store.update_certificate(Height(height), &[7; 60]).map_err(|error| (height, error))?;
        if store.needs_flush() {
            store.flush().map_err(|error| (height, error))?;
        }
    }
    Ok(())
}

fn check_recovered(store: &Store, acknowledged: u64, roots: &[Digest]) -> Result<(), TestCaseError> {
    prop_assert!(store.block_height().0 >= acknowledged);
    prop_assert!(store.state_height() <= store.block_height());
    for height in (1..=store.block_height().0).map(Height) {
        let (found, certificate) = store.block(height).unwrap().unwrap();
        prop_assert_eq!(found, block(height).block);
        prop_assert!([block(height).certificate, vec![7; 60]].contains(&certificate));
    }
    if store.genesis().unwrap().is_some() {
        let height = store.state_height();
        prop_assert_eq!(store.root(height), Some(roots[height.0 as usize]));
    }
    Ok(())
}

#[derive(Clone, Copy, Debug)]
enum Failing {
    Write(u64),
    Sync,
    Space(u64),
}

fn failing() -> impl Strategy<Value = Failing> {
    prop_oneof![
        6 => (0u64..400).prop_map(Failing::Write),
        1 => Just(Failing::Sync),
        2 => (0u64..400_000).prop_map(Failing::Space),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn a_crash_loses_nothing_acknowledged(
        deltas in proptest::collection::vec(delta(), 12..20),
        crashes in proptest::collection::vec((failing(), any::<u64>()), 1..5),
    ) {
        let (roots, _) = reference(&deltas);
        let disk = SimulatedDisk::new();
        let mut acknowledged = 0;
        for (failing, seed) in crashes {
            match failing {
                Failing::Write(writes) => disk.fail_after(writes),
                Failing::Sync => disk.fail_sync(),
                Failing::Space(more) => disk.out_of_space(disk.bytes() + more),
            }
            match open(&disk) {
                Ok(store) => {
                    check_recovered(&store, acknowledged, &roots)?;
                    if let Err((reached, error)) = run(&store, &deltas, &roots) {
                        acknowledged = acknowledged.max(reached);
                        prop_assert!(error.is_fault(), "{error}");
                        prop_assert!(!matches!(error, StoreError::Corrupt { .. }), "{error}");
                        prop_assert_eq!(store.poisoned(), Some(error.clone()));
                        let cause = Box::new(error);
                        let refused = Err(StoreError::Poisoned { cause });
                        prop_assert_eq!(store.put_proposal(Height(99), block(Height(99)).id, b"", b""), refused);
                    } else {
                        acknowledged = deltas.len() as u64 - 1;
                    }
                    disk.crash(seed);
                    prop_assert!(store.put_proposal(Height(99), block(Height(99)).id, b"", b"").is_err());
                }
                Err(error) => {
                    prop_assert!(!matches!(error, StoreError::Corrupt { .. }), "{error}");
                    disk.crash(seed);
                }
            }
            disk.heal();
        }
        let store = open(&disk).unwrap();
        check_recovered(&store, acknowledged, &roots)?;
        prop_assert!(run(&store, &deltas, &roots).is_ok());
        prop_assert_eq!(store.view().root(), *roots.last().unwrap());
    }
}

#[test]
fn a_full_disk_stops_the_store_and_loses_nothing() {
    let disk = SimulatedDisk::new();
    let store = open(&disk).unwrap();
    store.initialise(b"genesis", &numbered(0..100, 0)).unwrap();
    let mut roots = Vec::new();
    let mut height = Height::GENESIS;
    disk.out_of_space(disk.bytes() + (256 << 10));
    let error = loop {
        height = height.next();
        let grown = numbered(height.0 as u32 * 100..height.0 as u32 * 100 + 100, 1);
        match extend(&store, height, &grown) {
            Ok(root) => roots.push(root),
            Err(error) => break error,
        }
        if let Err(error) = store.flush() {
            break error;
        }
    };
    assert!(matches!(error, StoreError::NoSpace { .. }), "{error}");
    assert!(error.to_string().contains("free space"));
    let refused = extend(&store, store.block_height().next(), &Delta::new());
    assert!(matches!(refused, Err(StoreError::Poisoned { cause }) if *cause == error));
    drop(store);
    disk.heal();
    let store = open(&disk).unwrap();
    assert!(store.block_height().0 >= roots.len() as u64);
    for height in store.state_height().0 + 1..=roots.len() as u64 {
        let grown = numbered(height as u32 * 100..height as u32 * 100 + 100, 1);
        let root = store.apply(Height(height), grown, receipts(Height(height)), vec![]).unwrap();
        assert_eq!(root, roots[height as usize - 1]);
    }
}

#[test]
fn flushing_beside_reading_and_applying() {
    let store = Arc::new(open(&SimulatedDisk::new()).unwrap());
    store.initialise(b"genesis", &numbered(0..50, 0)).unwrap();
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                store.flush().unwrap();
            }
        });
        scope.spawn(|| {
            use freeway_ledger::state::Reader;
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                let view = store.view();
                let all = view.scan(&[], None, 100).unwrap();
                let value = &all[0].1;
                assert!(all.len() == 50 && all.iter().all(|(_, v)| v == value), "a view is one height");
                let (height, key) = (view.height(), &all[3].0);
                if let Ok(proof) = store.prove(height, key) {
                    assert_eq!(proof.verify(&view.root(), key), Ok(Some(value.clone())));
                }
            }
        });
        for height in (1..=150).map(Height) {
            extend(&store, height, &numbered(0..50, height.0 as u8)).unwrap();
        }
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
    });
    assert_eq!(store.state_height(), Height(150));
}
