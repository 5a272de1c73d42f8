//! Genesis files: what is written is read back, and what is wrong is named.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use freeway_api::{GenesisFile, GenesisFileError};
use freeway_ledger::{Genesis, GenesisAccount, GenesisHost, Preset, Text};
use freeway_primitives::{Address, Amount, SecretKey};
use proptest::prelude::*;

fn key(i: u8) -> SecretKey {
    SecretKey::from_seed([i; 32])
}

fn text() -> impl Strategy<Value = Text> {
    proptest::string::string_regex("[ -~é漢]{0,40}").unwrap().prop_map(|text| Text::new(text).unwrap())
}

prop_compose! {
    fn host(i: u8)(
        weight in 1u64..1 << 50, collateral in 0u128..1 << 80, operator in text(), region in text(),
        endpoints in proptest::collection::vec(text(), 0..4),
    ) -> GenesisHost {
        GenesisHost {
            address: Address::of(&key(i).public()),
            consensus_key: key(i + 100).public(),
            weight,
            // What backs at least one unit of power.
            collateral: Amount((1 << 30) + collateral),
            operator,
            region,
            endpoints,
        }
    }
}

prop_compose! {
    fn genesis()(
        name in text(), time_ms: u64, main: bool, target_ms in 1u32..600_000, quota_unit in 1u128..u128::MAX,
        bond in 0u128..1 << 100, seats in 1u16..=255,
        hosts in (1u8..6).prop_flat_map(|count| (0..count).map(host).collect::<Vec<_>>()),
        others in proptest::collection::vec(0u128..1 << 100, 0..5),
        spare in 0u128..1 << 90,
    ) -> Genesis {
        let mut params = if main { Preset::Main } else { Preset::Local }.params();
        params.blocks.target_ms = target_ms;
        params.accounts.quota_unit = Amount(quota_unit);
        params.sprint.demand_bond = Amount(bond);
        params.sprint.shape = Text::new(if main { "C" } else { "a shape" }).unwrap();
        params.beacon.seats = seats;
        let owner = |host: &GenesisHost| GenesisAccount {
            address: host.address,
            balance: Amount(host.collateral.0 + spare),
        };
        let other = |(i, balance): (u8, u128)| GenesisAccount {
            address: Address([i; 32]),
            balance: Amount(balance),
        };
        let accounts = hosts.iter().map(owner).chain((0..).zip(others).map(other)).collect();
        Genesis { name, time_ms, params, accounts, hosts }
    }
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(genesis in genesis()) {
        let file = GenesisFile::from(&genesis);
        let json = file.to_json();
        let read = GenesisFile::from_json(&json).unwrap();
        prop_assert_eq!(&read, &file);
        prop_assert_eq!(read.build().unwrap(), genesis);
    }

    #[test]
    fn anything_is_survived(json in ".{0,300}") {
        let _ = GenesisFile::from_json(&json);
    }
}

fn example(parameters: &str) -> String {
    let (owner, consensus) = (Address::of(&key(1).public()), key(2).public());
    format!(
        r#"{{"name":"test","time_ms":1,{parameters}
            "accounts":[{{"address":"{owner}","balance":"12.5 FWY"}}],
            "hosts":[{{"address":"{owner}","consensus_key":"{consensus}","weight":5,"collateral":"10000000000nfwy"}}]}}"#
    )
}

fn built(json: &str) -> Result<Genesis, GenesisFileError> {
    GenesisFile::from_json(json)?.build()
}

#[test]
fn a_file_can_be_short() {
    let genesis = built(&example(r#""preset":"local","#)).unwrap();
    assert_eq!(genesis.params, Preset::Local.params());
    assert_eq!(genesis.accounts[0].balance, Amount(12_500_000_000));
    assert_eq!(genesis.hosts[0].collateral, Amount::fwy(10));

    let json = example(
        r#""preset":"main","parameters":{"blocks":{"target_ms":500},"hosts":{"collateral_per_power":"1 FWY"},
            "sprint":{"shape":"C","committee":5,"accusation_bond":"3 FWY"},"beacon":{"seats":200},
            "epochs":{"dealing_blocks":600}},"#,
    );
    let mut expected = Preset::Main.params();
    expected.blocks.target_ms = 500;
    expected.hosts.collateral_per_power = Amount::fwy(1);
    expected.sprint.shape = Text::new("C").unwrap();
    expected.sprint.committee = 5;
    expected.sprint.accusation_bond = Amount::fwy(3);
    expected.beacon.seats = 200;
    expected.epochs.dealing_blocks = 600;
    assert_eq!(built(&json).unwrap().params, expected);
    let full = GenesisFile::from(&built(&json).unwrap());
    assert_eq!(full.preset, None, "it is no preset any more");
}

#[test]
fn what_is_wrong_is_named() {
    let wrong = |parameters: &str| built(&example(parameters)).unwrap_err().to_string();
    assert!(wrong(r#""preset":"lokal","#).contains("local, main"));
    assert!(wrong("").contains("preset"), "neither preset nor parameters");
    assert!(wrong(r#""parameters":{"blocks":{}},"#).contains("parameters.accounts is missing"));
    let unknown = wrong(r#""preset":"local","parameters":{"blocks":{"target":1}},"#);
    assert!(unknown.contains("parameters.blocks.target") && unknown.contains("target_ms"), "{unknown}");
    let range = wrong(r#""preset":"local","parameters":{"epochs":{"epoch_blocks":0}},"#);
    assert!(range.contains("epochs.epoch_blocks"), "{range}");
    assert!(wrong(r#""preset":"local","parameters":{"blocks":7},"#).contains("parameters.blocks"));
    let shape = wrong(r#""preset":"local","parameters":{"sprint":{"shape":"a\nb"}},"#);
    assert!(shape.contains("sprint.shape") && shape.contains("name of a shape"), "{shape}");
    assert!(wrong(r#""preset":"local","parameters":{"beacon":{"seats":0}},"#).contains("beacon.seats"));
    let bond = wrong(r#""preset":"local","parameters":{"sprint":{"demand_bond":5}},"#);
    assert!(bond.contains("parameters"), "an amount without a unit: {bond}");
    assert!(wrong(r#""preset":"local","parameters":{"blocks":{"target_ms":-1}},"#).contains("parameters"));
    assert!(wrong(r#""preset":"local","prest":1,"#).contains("prest"));
    let local = example(r#""preset":"local","#);
    let unit = built(&local.replace("12.5 FWY", "12.5")).unwrap_err().to_string();
    assert!(unit.contains("no unit"), "{unit}");
    let poor = built(&local.replace("12.5 FWY", "1 FWY")).unwrap_err();
    assert!(matches!(poor, GenesisFileError::Genesis(_)), "collateral must come from the balance");
    let long = built(&local.replace("\"test\"", &format!("{:?}", "x".repeat(201)))).unwrap_err();
    assert!(matches!(long, GenesisFileError::Text { .. }));
}

#[test]
fn a_changed_file_is_noticed() {
    let file = GenesisFile::from(&built(&example(r#""preset":"local","#)).unwrap());
    let changed = file.to_json().replace("12.5 FWY", "13 FWY");
    let error = built(&changed).unwrap_err();
    assert!(matches!(error, GenesisFileError::OtherChain { .. }), "{error}");
    let mut fresh = GenesisFile::from_json(&changed).unwrap();
    fresh.chain = None;
    fresh.build().unwrap();
}
