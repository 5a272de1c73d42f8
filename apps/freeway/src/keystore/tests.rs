//! The keystore as a whole, on a real directory.

use super::*;

fn fast() -> KdfParams {
    KdfParams::new(1, 1, 1).unwrap()
}

fn phrase(text: &str) -> Passphrase {
    Passphrase::new(text).unwrap()
}

/// A keystore in a directory that does not exist yet, with a guard that removes all of it.
fn keystore() -> (tempfile::TempDir, Keystore) {
    let root = tempfile::tempdir().unwrap();
    let store = Keystore::open(root.path().join("keys")).unwrap();
    (root, store)
}

fn create(store: &Keystore, name: &str, seed: u8) -> Result<Entry, KeystoreError> {
    let key = SecretKey::from_seed([seed; 32]);
    store.create(&name.parse().unwrap(), &key, Some(&DerivationPath::default()), &phrase(name), fast())
}

#[test]
fn a_key_is_found_by_name_and_by_address() {
    let (_root, store) = keystore();
    let alice = create(&store, "alice", 1).unwrap();
    let bob = create(&store, "bob", 2).unwrap();
    assert_eq!(store.list().unwrap().entries, [alice.clone(), bob.clone()]);
    for entry in [alice, bob] {
        for wanted in [entry.name.to_string(), entry.address.to_string()] {
            assert_eq!(store.entry(&wanted).unwrap(), entry);
            let key = store.unlock(&wanted, &phrase(entry.name.as_str())).unwrap();
            assert_eq!(key.public(), entry.public_key);
        }
    }
}

#[test]
fn property_what_was_created_unlocks() {
    let (_root, store) = keystore();
    for case in 0..32 {
        let seed = vectors::random_bytes(case);
        let secret = hex::encode(&vectors::random_bytes(1000 + case)[..1 + case as usize % 32]);
        let name: KeyName = format!("key{case}").parse().unwrap();
        let path = (case % 2 == 0).then(|| DerivationPath::account(case as u16));
        let key = SecretKey::from_seed(seed);
        let made = store.create(&name, &key, path.as_ref(), &phrase(&secret), fast()).unwrap();
        assert_eq!(store.entry(name.as_str()).unwrap(), made, "case {case}");
        assert_eq!(*store.unlock(name.as_str(), &phrase(&secret)).unwrap().seed(), seed, "case {case}");
        let wrong = store.unlock(name.as_str(), &phrase(&format!("{secret}x")));
        assert!(matches!(wrong, Err(KeystoreError::WrongPassphrase { .. })), "case {case}");
    }
    assert_eq!(store.list().unwrap().entries.len(), 32);
}

#[test]
fn words_come_back_to_the_same_key() {
    let (_root, store) = keystore();
    let path = DerivationPath::account(3);
    let key = Mnemonic::generate().map(|words| {
        let again = Mnemonic::parse(&words.phrase()).unwrap();
        assert_eq!(again.key(None, &path).public(), words.key(None, &path).public());
        words.key(None, &path)
    });
    // Once with the parameters that users get.
    let name = "main".parse().unwrap();
    let made = store.create(&name, &key.unwrap(), Some(&path), &phrase("p"), KdfParams::default()).unwrap();
    assert_eq!(made.path, Some(path));
    assert_eq!(store.unlock("main", &phrase("p")).unwrap().public(), made.public_key);
}

#[test]
fn a_name_is_given_once() {
    let (_root, store) = keystore();
    let alice = create(&store, "alice", 1).unwrap();
    let error = create(&store, "alice", 2).unwrap_err();
    assert!(matches!(error, KeystoreError::NameTaken { .. }), "{error}");
    assert_eq!(store.entry("alice").unwrap(), alice);
}

#[test]
fn an_unknown_key_is_answered_with_the_known_ones() {
    let (_root, store) = keystore();
    let empty = store.unlock("alice", &phrase("x")).unwrap_err().to_string();
    assert!(empty.contains("freeway keys new"), "{empty}");
    create(&store, "alice", 1).unwrap();
    for wanted in ["alcie", "Alice", "../alice", "alice.json", ""] {
        let error = store.entry(wanted).unwrap_err();
        assert!(matches!(error, KeystoreError::UnknownKey { .. }), "{wanted}: {error}");
        assert!(error.to_string().contains("the keys are: alice"), "{error}");
    }
    let stranger = Address::of(&SecretKey::from_seed([9; 32]).public()).to_string();
    assert!(matches!(store.entry(&stranger), Err(KeystoreError::UnknownKey { .. })));
    assert!(matches!(store.entry(&stranger[..61]), Err(KeystoreError::Address(_))));
}

#[test]
fn the_passphrase_can_be_changed() {
    let (_root, store) = keystore();
    let alice = create(&store, "alice", 1).unwrap();
    let (old, new) = (phrase("alice"), phrase("new"));
    let path = store.directory().join("alice.json");
    let before = std::fs::read(&path).unwrap();

    let wrong = store.change_passphrase("alice", &new, &old, fast());
    assert!(matches!(wrong, Err(KeystoreError::WrongPassphrase { .. })));
    assert_eq!(std::fs::read(&path).unwrap(), before);

    let stronger = KdfParams::new(2, 1, 1).unwrap();
    assert_eq!(store.change_passphrase("alice", &old, &new, stronger).unwrap(), alice);
    assert!(store.unlock("alice", &old).is_err());
    assert_eq!(store.unlock("alice", &new).unwrap().public(), alice.public_key);
    assert_eq!(std::fs::read_dir(store.directory()).unwrap().count(), 1);
}

#[test]
fn a_damaged_file_does_not_hide_the_others() {
    let (_root, store) = keystore();
    let alice = create(&store, "alice", 1).unwrap();
    let at = |name: &str| store.directory().join(name);
    std::fs::write(at("empty.json"), b"").unwrap();
    std::fs::write(at("large.json"), vec![b' '; 1 << 20]).unwrap();
    std::fs::write(at("text.json"), b"hello").unwrap();
    std::fs::copy(at("alice.json"), at("bob.json")).unwrap();
    std::fs::copy(at("alice.json"), at("Not A Name.json")).unwrap();
    std::fs::create_dir(at("directory.json")).unwrap();
    // None of ours, or the rest of a write that was cut short.
    std::fs::write(at("notes.txt"), b"hello").unwrap();
    std::fs::write(at(".alice.json.0123456789abcdef.tmp"), b"{").unwrap();
    std::fs::write(at(".hidden.json"), b"{").unwrap();

    let listing = store.list().unwrap();
    assert_eq!(listing.entries, [alice]);
    let skipped: Vec<_> = listing.skipped.iter().map(|file| file.path.file_name().unwrap()).collect();
    let expected = ["Not A Name.json", "bob.json", "directory.json", "empty.json", "large.json", "text.json"];
    assert_eq!(skipped, expected);
    assert!(listing.skipped.iter().all(|file| file.reason.to_string().contains("json")));

    let error = store.unlock("bob", &phrase("alice")).unwrap_err().to_string();
    assert!(error.contains("it is the file of the key alice"), "{error}");
}

#[test]
fn a_keystore_is_a_directory() {
    let root = tempfile::tempdir().unwrap();
    let file = root.path().join("file");
    std::fs::write(&file, b"").unwrap();
    assert!(matches!(Keystore::open(&file), Err(KeystoreError::Io { .. })));
    assert!(Keystore::open(root.path().join("missing")).unwrap().list().unwrap().entries.is_empty());
}

#[cfg(unix)]
#[test]
fn what_others_can_read_is_not_used() {
    use std::fs::{Permissions, set_permissions};
    use std::os::unix::fs::PermissionsExt;

    let (_root, store) = keystore();
    create(&store, "alice", 1).unwrap();
    let path = store.directory().join("alice.json");
    let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(store.directory()), mode(&path)), (0o700, 0o600));

    set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
    let error = store.unlock("alice", &phrase("alice")).unwrap_err().to_string();
    assert!(error.contains("mode 644") && error.contains("chmod 600"), "{error}");
    // It is still listed: the owner has to find it to put it right.
    assert_eq!(store.list().unwrap().entries.len(), 1);

    set_permissions(store.directory(), Permissions::from_mode(0o755)).unwrap();
    let error = Keystore::open(store.directory()).unwrap_err().to_string();
    assert!(error.contains("mode 755") && error.contains("chmod 700"), "{error}");
}

#[test]
fn no_error_shows_a_secret() {
    let (_root, store) = keystore();
    create(&store, "alice", 1).unwrap();
    let error = store.unlock("alice", &phrase("hunter22")).unwrap_err();
    let shown = format!("{error} {error:?} {store:?} {:?}", store.list());
    assert!(!shown.contains("hunter22") && !shown.contains(&hex::encode([1; 8])), "{shown}");
}
