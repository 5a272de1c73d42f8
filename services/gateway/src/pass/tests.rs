//! Passes bind whoever holds them, whatever they do to them.

use std::collections::BTreeSet;

use freeway_primitives::Amount;
use proptest::prelude::*;

use super::*;

fn owner(seed: u8) -> OwnerKey {
    OwnerKey::parse(&hex::encode([seed; 32])).expect("a key")
}

fn models(names: &[&str]) -> Option<BTreeSet<String>> {
    Some(names.iter().map(|name| (*name).to_owned()).collect())
}

fn all() -> Limits {
    Limits {
        name: Some("team one".to_owned()),
        budget: Some(Amount(1_000)),
        models: models(&["guide", "org/m:7b"]),
        expires: Some(1_900_000_000),
        rate: Some(60),
        network: Some("freeway-local-1".to_owned()),
    }
}

fn ending() -> Limits {
    Limits { expires: Some(1_900_000_000), ..Limits::default() }
}

#[test]
fn a_pass_says_what_it_was_given() {
    let pass = Pass::issue(&owner(1), &all()).expect("a pass");
    assert!(pass.reveal().starts_with(PASS_PREFIX) && pass.reveal().len() < 800, "{}", pass.reveal().len());
    let read = Pass::parse(pass.reveal()).expect("the same");
    assert_eq!((read.limits(), read.id()), (all(), pass.id()));
    assert_eq!(pass.verify(&[owner(2).public(), owner(1).public()]), Ok(()));
    assert_eq!(pass.verify(&[owner(2).public()]), Err(PassError::Foreign));
    assert_eq!(pass.verify(&[]), Err(PassError::Foreign));
    assert!(!format!("{pass:?}").contains(&pass.reveal()[8..]));
    // Two with the same limits are two.
    assert_ne!(Pass::issue(&owner(1), &all()).expect("a pass").id(), pass.id());
}

#[test]
fn narrowing_adds_a_block_and_keeps_the_others() {
    let pass = Pass::issue(&owner(1), &all()).expect("a pass");
    let less = Limits {
        budget: Some(Amount(10)),
        models: models(&["guide"]),
        name: Some("a".to_owned()),
        ..Limits::default()
    };
    let child = Pass::parse(pass.reveal()).expect("a pass").narrow(&less).expect("narrower");
    assert_eq!(child.verify(&[owner(1).public()]), Ok(()));
    assert_eq!(child.blocks()[0], pass.blocks()[0]);
    let limits = child.limits();
    assert_eq!((limits.budget, limits.rate, limits.expires), (Some(Amount(10)), Some(60), all().expires));
    assert_eq!((limits.models, limits.name.as_deref()), (models(&["guide"]), Some("a")));
    for (limits, what) in [
        (Limits { budget: Some(Amount(11)), ..Limits::default() }, "budget"),
        (Limits { rate: Some(61), ..Limits::default() }, "rate"),
        (Limits { expires: Some(1_900_000_001), ..Limits::default() }, "end"),
        (Limits { models: models(&["org/m:7b"]), ..Limits::default() }, "models"),
        (Limits { network: Some("other".to_owned()), ..Limits::default() }, "network"),
        (Limits::default(), "nothing is limited"),
    ] {
        let error = child.narrow(&limits).expect_err(what).to_string();
        assert!(error.contains(what), "{what}: {error}");
    }
    let mut deep = pass;
    for _ in 1..MAX_BLOCKS {
        deep = deep.narrow(&Limits { rate: Some(5), ..Limits::default() }).expect("room");
    }
    assert_eq!(
        deep.narrow(&Limits { rate: Some(5), ..Limits::default() }).map(|_| ()),
        Err(PassError::TooDeep)
    );
    assert!(deep.verify(&[owner(1).public()]).is_ok() && deep.reveal().len() < MAX_CHARACTERS);
}

#[test]
fn limits_that_make_no_sense() {
    let owner = owner(1);
    for (limits, told) in [
        (Limits { expires: None, ..all() }, "needs an end"),
        (Limits { budget: Some(Amount(u128::MAX)), ..all() }, "too large"),
        (Limits { expires: Some(u64::MAX), ..all() }, "too large"),
        (Limits { models: models(&[]), ..all() }, "models"),
        (Limits { models: models(&["a\", \"b"]), ..all() }, "cannot be a name"),
        (Limits { name: Some("a\");\nbudget(9".to_owned()), ..all() }, "cannot be a name"),
    ] {
        let error = Pass::issue(&owner, &limits).expect_err(told).to_string();
        assert!(error.contains(told), "{told}: {error}");
    }
}

#[test]
fn other_biscuits_are_no_passes() {
    let owner = owner(1);
    let ending = "check if time($time), $time <= 2030-01-01T00:00:00Z;";
    for (code, told) in [
        ("budget(5);".to_owned(), "needs an end"),
        (format!("{ending} budget(-5);"), "budget(-5)"),
        (format!("{ending} budget(5); budget(6);"), "twice"),
        (format!("{ending} budget(\"5\");"), "no limit"),
        (format!("{ending} free(true);"), "free(true)"),
        (format!("{ending} budget($x) <- rate($x);"), "no limit"),
        (format!("{ending} check if false;"), "check if false"),
        (format!("{ending} check if model($m), $m.matches(\".*\");"), "no limit"),
        (format!("{ending} reject if model($model), {{\"a\"}}.contains($model);"), "no limit"),
        (format!("{ending} name(\"a\\\");\");"), "no limit"),
    ] {
        let block = BlockBuilder::new().code(&code).expect("Datalog");
        let biscuit = Biscuit::builder().merge(block).build(owner.pair()).expect("a biscuit");
        let text = format!("{PASS_PREFIX}{}", biscuit.to_base64().expect("text"));
        let error = Pass::parse(&text).expect_err(told).to_string();
        assert!(error.contains(told), "{code}: {error}");
    }
}

#[test]
fn keys_whose_signatures_can_be_changed_are_refused() {
    use biscuit_auth::builder::Algorithm;
    let pair = biscuit_auth::KeyPair::new_with_algorithm(Algorithm::Secp256r1);
    let builder = Biscuit::builder().merge(block(&ending()).expect("a block"));
    let biscuit = builder.build(&pair).expect("a biscuit");
    let text = format!("{PASS_PREFIX}{}", biscuit.to_base64().expect("text"));
    assert_eq!(Pass::parse(&text).map(|_| ()), Err(PassError::Signatures));
    // The same in a later block.
    let pass = Pass::issue(&owner(1), &ending()).expect("a pass");
    let mut longer =
        pass.biscuit.append_with_keypair(&pair, block(&ending()).expect("a block")).expect("longer");
    longer = longer.append(block(&ending()).expect("a block")).expect("longer");
    let text = format!("{PASS_PREFIX}{}", longer.to_base64().expect("text"));
    assert_eq!(Pass::parse(&text).map(|_| ()), Err(PassError::Signatures));
}

#[test]
fn sealed_passes_are_handed_on_as_they_are() {
    let pass = Pass::issue(&owner(1), &ending()).expect("a pass");
    let sealed = pass.biscuit.seal().expect("sealed").to_base64().expect("text");
    let sealed = Pass::parse(&format!("{PASS_PREFIX}{sealed}")).expect("a pass");
    assert!(sealed.verify(&[owner(1).public()]).is_ok());
    let rate = Limits { rate: Some(1), ..Limits::default() };
    assert_eq!(sealed.narrow(&rate).map(|_| ()), Err(PassError::Sealed));
}

#[test]
fn what_is_no_pass_is_refused() {
    let whole = Pass::issue(&owner(1), &all()).expect("a pass").reveal().to_owned();
    for text in ["", "fwp_", "fw-0123456789abcdef", "fwp_!!!!", "eyJhbGciOiJIUzI1NiJ9.e30.x", &whole[4..]] {
        assert_eq!(Pass::parse(text).map(|_| ()), Err(PassError::Malformed), "{text}");
    }
    assert!(Pass::parse(&format!("{whole}=")).is_err());
    assert!(Pass::parse(&format!("fwp_{}", "A".repeat(1 << 20))).is_err());
}

#[test]
fn the_folder_of_passes() {
    let folder = tempfile::tempdir().expect("a folder");
    let passes = PassFolder::new(folder.path().join("passes"));
    assert!(passes.owners().expect("none").is_empty() && passes.revoked().expect("none").is_empty());
    let (key, made) = passes.owner().expect("a key");
    assert!(made && !passes.owner().expect("a key").1);
    assert_eq!(passes.owners().expect("one"), [key.public()]);
    let id = Pass::issue(&key, &all()).expect("a pass").id();
    assert!(passes.revoke(id, "lost\nit").expect("written"));
    assert!(!passes.revoke(id, "").expect("there"));
    assert!(passes.revoked().expect("one").contains(&id));
    // Half a line is being written; half an id in a whole line is a mistake.
    let file = passes.path().join("revoked");
    std::fs::write(&file, format!("# ids\n{id} x\n12")).expect("written");
    assert_eq!(passes.revoked().expect("one").len(), 1);
    std::fs::write(&file, "12\n").expect("written");
    assert!(passes.revoked().expect_err("a mistake").to_string().contains("line 1"));
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let key = passes.path().join("owner.key");
        assert_eq!(std::fs::metadata(&key).expect("a file").permissions().mode() & 0o777, 0o600);
        std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o640)).expect("changed");
        assert!(passes.owner().expect_err("open to others").to_string().contains("chmod 600"));
    }
}

fn limits() -> impl Strategy<Value = Limits> {
    let names = proptest::collection::btree_set(prop_oneof!["a", "b", "org/c"], 1..3);
    let parts = (
        proptest::option::of(0u64..1_000),
        proptest::option::of(names),
        proptest::option::of(1_800_000_000u64..1_900_000_000),
        proptest::option::of(1u32..100),
    );
    parts.prop_map(|(budget, models, expires, rate)| Limits {
        name: Some("x".to_owned()),
        budget: budget.map(|budget| Amount(budget.into())),
        models,
        expires,
        rate,
        network: None,
    })
}

/// Whether everything that `inner` allows, `outer` allows.
fn within(inner: &Limits, outer: &Limits) -> bool {
    fn most<T: PartialOrd>(inner: Option<T>, outer: Option<T>) -> bool {
        match (inner, outer) {
            (_, None) => true,
            (None, Some(_)) => false,
            (Some(inner), Some(outer)) => inner <= outer,
        }
    }
    let models = match (&inner.models, &outer.models) {
        (_, None) => true,
        (None, Some(_)) => false,
        (Some(inner), Some(outer)) => inner.is_subset(outer),
    };
    models
        && most(inner.budget, outer.budget)
        && most(inner.expires, outer.expires)
        && most(inner.rate, outer.rate)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Even if a holder appends blocks that `narrow` would refuse.
    #[test]
    fn no_block_ever_widens(first in limits(), more in proptest::collection::vec(limits(), 0..4)) {
        let first = Limits { expires: Some(1_950_000_000), ..first };
        let mut pass = Pass::issue(&owner(1), &first).expect("a pass");
        for limits in more {
            let longer = pass.append(&limits).expect("longer");
            prop_assert!(within(&longer.limits(), &pass.limits()));
            prop_assert!(within(&longer.limits(), &limits));
            prop_assert_eq!(&longer.blocks()[..pass.blocks().len()], pass.blocks());
            prop_assert_eq!(pass.narrow(&limits).is_ok(), limits.narrower_than(&pass.limits()).is_ok());
            let read = Pass::parse(longer.reveal()).expect("the same");
            prop_assert!(read.verify(&[owner(1).public()]).is_ok());
            prop_assert_eq!(read.limits(), longer.limits());
            pass = read;
        }
    }

    /// No change of a pass makes another good one.
    #[test]
    fn changed_passes_are_not_good(at in 4usize..400, to in 0usize..64) {
        const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        let pass = Pass::issue(&owner(1), &all()).expect("a pass");
        let mut bytes = pass.reveal().as_bytes().to_vec();
        let at = at % (bytes.len() - 4) + 4;
        bytes[at] = DIGITS[to];
        let text = String::from_utf8(bytes).expect("text");
        prop_assume!(text != pass.reveal());
        if let Ok(changed) = Pass::parse(&text) {
            prop_assert_eq!(changed.verify(&[owner(1).public()]), Err(PassError::Foreign));
        }
    }

    #[test]
    fn noise_is_no_pass(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let refused = Pass::parse(&format!("fwp_{}", hex::encode(&bytes))).is_err();
        prop_assert!(refused);
        let _ = Limits::read(&String::from_utf8_lossy(&bytes));
    }
}
