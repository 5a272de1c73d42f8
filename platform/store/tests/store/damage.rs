//! Damaged files give errors, whatever the damage.

use std::fs;
use std::path::Path;

use freeway_ledger::state::Reader;

use super::*;

/// A small chain in a directory.
fn chain(directory: &Path) {
    let store = Store::open(Medium::Directory(directory.into()), config()).unwrap();
    store.initialise(b"genesis", &numbered(0..60, 0)).unwrap();
    for height in (1..=6).map(Height) {
        extend(&store, height, &numbered(0..30, height.0 as u8)).unwrap();
        store.flush().unwrap();
    }
}

/// Uses everything that reads; only the absence of panics counts.
fn exercise(directory: &Path, verify: bool) -> bool {
    let config = Config { verify_on_open: verify, ..config() };
    let Ok(store) = Store::open(Medium::Directory(directory.into()), config) else {
        return false;
    };
    let mut sound = true;
    for height in (1..=store.block_height().0.min(10)).map(Height) {
        sound &= store.block(height).is_ok() & store.block_results(height).is_ok();
        sound &= store.receipt(&receipts(height)[0].hash).is_ok() & store.proposals(height).is_ok();
    }
    let view = store.view();
    sound &= view.scan(&[], None, 100).is_ok();
    for n in 0u32..60 {
        sound &= view.get(&n.to_be_bytes()).is_ok();
        sound &= store.prove(view.height(), &n.to_be_bytes()).is_ok();
    }
    for height in store.state_height().0 + 1..=store.block_height().0.min(10) {
        sound &= store.apply(Height(height), numbered(0..30, height as u8), vec![], vec![]).is_ok();
    }
    let next = store.block_height().next();
    sound & extend(&store, next, &numbered(5..50, 9)).is_ok() & store.flush_all().is_ok()
}

#[derive(Clone, Debug)]
enum Damage {
    Flip(Vec<(prop::sample::Index, u8)>),
    Truncate(prop::sample::Index),
    Garbage(u8),
}

fn damage() -> impl Strategy<Value = Damage> {
    let flip = (any::<prop::sample::Index>(), 1u8..);
    prop_oneof![
        6 => proptest::collection::vec(flip, 1..30).prop_map(Damage::Flip),
        2 => any::<prop::sample::Index>().prop_map(Damage::Truncate),
        1 => any::<u8>().prop_map(Damage::Garbage),
    ]
}

#[test]
fn damaged_files_never_panic() {
    let sound = tempfile::tempdir().unwrap();
    chain(sound.path());
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig::with_cases(64));
    let result = runner.run(&(damage(), any::<bool>(), any::<bool>()), |(damage, state, verify)| {
        let directory = tempfile::tempdir().unwrap();
        for name in ["blocks.redb", "state.redb"] {
            fs::copy(sound.path().join(name), directory.path().join(name)).unwrap();
        }
        let path = directory.path().join(if state { "state.redb" } else { "blocks.redb" });
        let mut bytes = fs::read(&path).unwrap();
        match &damage {
            Damage::Flip(flips) => {
                for (at, mask) in flips {
                    // The first pages steer everything; half of the flips go there.
                    let len = if mask % 2 == 0 { bytes.len() } else { 8 << 10 };
                    bytes[at.index(len)] ^= mask;
                }
            }
            Damage::Truncate(at) => bytes.truncate(at.index(bytes.len())),
            Damage::Garbage(seed) => bytes.iter_mut().for_each(|byte| *byte = byte.wrapping_mul(31) ^ seed),
        }
        fs::write(&path, &bytes).unwrap();
        exercise(directory.path(), verify);
        Ok(())
    });
    result.unwrap();
}

#[test]
fn a_sound_directory_passes_the_same_exercise() {
    for verify in [false, true] {
        let directory = tempfile::tempdir().unwrap();
        chain(directory.path());
        assert!(exercise(directory.path(), verify));
    }
}

#[test]
fn errors_say_what_to_do() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("state.redb"), [0x5a; 9000]).unwrap();
    let medium = Medium::Directory(directory.path().into());
    let Err(error) = Store::open(medium.clone(), config()) else { panic!("garbage was opened") };
    assert!(matches!(error, StoreError::Corrupt { .. }), "{error}");
    assert!(error.to_string().contains("restore from a snapshot"));

    fs::remove_file(directory.path().join("state.redb")).unwrap();
    chain(directory.path());
    fs::remove_file(directory.path().join("state.redb")).unwrap();
    let Err(error) = Store::open(medium, config()) else { panic!("blocks without their state") };
    assert!(matches!(error, StoreError::Corrupt { .. }), "{error}");

    let file = tempfile::NamedTempFile::new().unwrap();
    let Err(error) = Store::open(Medium::Directory(file.path().into()), config()) else { panic!("a file") };
    assert!(matches!(error, StoreError::Io { .. }), "{error}");
}

#[test]
fn a_newer_format_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    chain(directory.path());
    let database = redb::Database::open(directory.path().join("blocks.redb")).unwrap();
    let txn = database.begin_write().unwrap();
    let table: redb::TableDefinition<'_, &str, &[u8]> = redb::TableDefinition::new("meta");
    txn.open_table(table).unwrap().insert("format", 9u64.to_le_bytes().as_slice()).unwrap();
    txn.commit().unwrap();
    drop(database);
    let Err(error) = Store::open(Medium::Directory(directory.path().into()), config()) else { panic!() };
    assert_eq!(error, StoreError::Format { found: 9, supported: 1 });
}
