//! Commands that ask a node. The node is a thread of the test that answers from a genesis.

mod fake;

use freeway_ledger::{Message, accounts};
use freeway_primitives::{Address, Amount};
use serde_json::Value;

use crate::kit::{PASSPHRASE, Place};
use fake::{Fake, Fate};

/// A place with the keys alice and bob, and a node that knows alice.
fn place(fate: Fate) -> (Place, Fake) {
    let place = Place::new();
    let alice = address(&place.json(&["keys", "new", "alice"]));
    place.json(&["keys", "new", "bob"]);
    let fake = Fake::start(alice, fate);
    let network = serde_json::json!({ "rpc": ["http://127.0.0.1:1", fake.url()], "chain": fake.chain() });
    place.write("network.json", &network.to_string());
    (place, fake)
}

fn address(key: &Value) -> Address {
    key["address"].as_str().unwrap().parse().unwrap()
}

#[test]
fn status_has_the_fields_that_scripts_rely_on() {
    let (place, fake) = place(Fate::Done);
    let status = place.json(&["status"]);
    assert_eq!(
        (&status["height"], &status["epoch"], &status["phase"]),
        (&1.into(), &0.into(), &"sprint".into())
    );
    let host = &status["hosts"][0];
    assert!(host["address"].is_string() && host["weight"] == 1000 && host["power"] == 1000, "{host}");
    let page = place.run(&["status", "--rpc", &fake.url()]).stdout;
    assert!(page.contains("\nphase    sprint, ") && page.contains("100.0 %"), "{page}");
    // Three lines: the status as it is, then one for each block that comes.
    let watched = place.command(&["status", "--watch", "--json"]).output().unwrap();
    assert_eq!(String::from_utf8(watched.stdout).unwrap().lines().count(), 3);
}

#[test]
fn a_payment_is_signed_here_and_waited_for() {
    let (place, fake) = place(Fate::Done);
    let bob = address(&place.json(&["keys", "show", "bob"]));
    let sent = place.json(&["send", "--from", "alice", "bob", "12.5"]);
    assert_eq!(
        (&sent["status"], &sent["outcome"], &sent["height"]),
        (&"included".into(), &"done".into(), &3.into())
    );
    let transaction = fake.last();
    assert_eq!(transaction.hash().to_string(), sent["hash"]);
    transaction.verify().unwrap();
    let expected = accounts::Message::Transfer { to: bob, amount: Amount(12_500_000_000) };
    assert_eq!(transaction.body.message, Message::Accounts(expected));
    assert_eq!((transaction.body.sequence, transaction.body.expiry.0), (fake::SEQUENCE, 101));
    assert_eq!(transaction.body.on_behalf_of, None);

    let page = place.run(&["send", "--from", "alice", &bob.to_string(), "1nfwy", "--expires-in", "7"]);
    assert!(
        page.code == 0 && page.stdout.contains("\noutcome      done\n"),
        "{}{}",
        page.stdout,
        page.stderr
    );
    assert_eq!(fake.last().body.expiry.0, 8);

    let quick = place.json(&["send", "--from", "alice", "bob", "1", "--no-wait"]);
    assert_eq!((&quick["status"], &quick["height"]), (&"pending".into(), &Value::Null));
}

#[test]
fn a_payment_that_fails_says_why() {
    let (place, fake) = place(Fate::Failed);
    let error = place.error(&["send", "--from", "alice", "bob", "5"], 1);
    assert_eq!(error["code"], "insufficient_balance");
    assert!(
        error["message"].as_str().unwrap().contains("the account has 1 FWY, this needs 5 FWY"),
        "{error}"
    );
    assert!(error["hint"].as_str().unwrap().starts_with("`freeway account`"), "{error}");
    let hash = fake.last().hash().to_string();
    assert!(error["hint"].as_str().unwrap().contains(&format!("freeway transaction {hash}")), "{error}");
}

#[test]
fn a_payment_that_no_block_takes_expires() {
    let (place, _fake) = place(Fate::Ignored);
    let error = place.error(&["send", "--from", "alice", "bob", "5", "--expires-in", "1"], 1);
    assert_eq!(error["code"], "expired");
    // The stream ends before the expiry, and there is no other node.
    let error = place.error(&["send", "--from", "alice", "bob", "5"], 1);
    assert!(error["hint"].as_str().unwrap().contains("may still happen until height 101"), "{error}");
}

#[test]
fn a_sequence_that_another_payment_took_is_tried_again() {
    let (place, fake) = place(Fate::OvertakenOnce);
    assert_eq!(place.json(&["send", "--from", "alice", "bob", "5"])["outcome"], "done");
    assert_eq!(fake.last().body.sequence, fake::SEQUENCE + 1);
}

#[test]
fn only_a_delegate_may_act_for_another_account() {
    let (place, fake) = place(Fate::Done);
    let error = place.error(&["send", "--from", "bob", "bob", "5", "--on-behalf-of", "alice"], 1);
    assert_eq!(error["code"], "not_authorised");
    assert!(error["hint"].as_str().unwrap().contains("freeway delegate add"), "{error}");
    // One's own account is no other.
    place.json(&["send", "--from", "alice", "bob", "5", "--on-behalf-of", "alice"]);
    assert_eq!(fake.last().body.on_behalf_of, None);
}

#[test]
fn nothing_is_signed_for_another_network() {
    let (place, fake) = place(Fate::Done);
    let other = "ab".repeat(32);
    let error = place.error(&["send", "--from", "alice", "bob", "5", "--chain", &other], 1);
    assert_eq!(error["code"], "wrong_chain");
    let network = serde_json::json!({ "rpc": [fake.url()], "chain": other });
    place.write("network.json", &network.to_string());
    assert_eq!(place.error(&["send", "--from", "alice", "bob", "5"], 1)["code"], "wrong_chain");
}

#[test]
fn a_wrong_passphrase_opens_nothing() {
    let (place, _fake) = place(Fate::Done);
    let place = place.with("FREEWAY_PASSPHRASE", format!("{PASSPHRASE}!"));
    assert_eq!(place.error(&["send", "--from", "alice", "bob", "5"], 1)["code"], "wrong_passphrase");
}

#[test]
fn an_account_is_proven_or_not() {
    let (place, fake) = place(Fate::Done);
    let account = place.json(&["account", "alice"]);
    assert_eq!((&account["balance"], &account["sequence"]), (&"900000000000".into(), &fake::SEQUENCE.into()));
    let proven = place.json(&["account", "alice", "--proof"]);
    assert_eq!((&proven["proof"]["verified"], &proven["proof"]["height"]), (&true.into(), &0.into()));
    assert_eq!(
        (&proven["proof"]["balance"], &proven["proof"]["exists"]),
        (&"900000000000".into(), &true.into())
    );
    let page = place.run(&["account", "alice", "--proof"]).stdout;
    assert!(page.contains("proven at height 0:\n  balance     900 FWY\n"), "{page}");
    // That an account does not exist is proven just as well.
    assert_eq!(place.json(&["account", "bob", "--proof"])["proof"]["exists"], false);
    fake.lie();
    let error = place.error(&["account", "alice", "--proof"], 1);
    assert_eq!(error["code"], "bad_proof");
}

#[test]
fn hosts_and_their_changes() {
    let (place, fake) = place(Fate::Done);
    let alice = place.json(&["keys", "show", "alice"]);
    let key = alice["public_key"].as_str().unwrap();
    assert_eq!(place.json(&["host", "list"])["hosts"].as_array().unwrap().len(), 1);
    assert_eq!(place.json(&["host", "show", "alice"])["collateral"], "100000000000");

    place.json(&["host", "update", "--from", "alice", "--region", "us"]);
    let Message::Hosts(freeway_ledger::hosts::Message::Update { profile }) = fake.last().body.message else {
        panic!("not an update");
    };
    assert_eq!((profile.region.as_str(), profile.operator.as_str()), ("us", "fake"));

    for arguments in [
        &["host", "register", "--consensus-key", key, "--operator", "me", "--endpoint", "http://h"][..],
        &["host", "deposit", "5"],
        &["host", "withdraw", "5"],
        &["host", "leave"],
        &["delegate", "add", "bob", "--scope", "spend,lane", "--allowance", "5"],
        &["delegate", "remove", "bob"],
    ] {
        let sent = place.json(&[arguments, &["--from", "alice"]].concat());
        assert_eq!(sent["hash"], fake.last().hash().to_string(), "{arguments:?}");
    }
    assert_eq!(place.json(&["delegate", "list", "alice"])["delegates"].as_array().unwrap().len(), 1);
}

#[test]
fn blocks_come_one_by_one_or_in_a_row() {
    let (place, _fake) = place(Fate::Done);
    for arguments in [&["block"][..], &["block", "latest"], &["block", "1"]] {
        assert_eq!(place.json(arguments)["header"]["height"], 1);
    }
    assert!(place.run(&["block"]).stdout.contains("final       in round 0, 1 signed"));
    assert_eq!(place.error(&["block", "9"], 1)["code"], "not_found");
    let followed = place.command(&["block", "--follow", "--json"]).output().unwrap();
    let heights = String::from_utf8(followed.stdout).unwrap();
    let heights: Vec<Value> = heights.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(heights.iter().map(|block| block["height"].as_u64().unwrap()).collect::<Vec<_>>(), [1, 2, 3]);
}

#[test]
fn the_race_and_its_results_are_tables() {
    let (place, _fake) = place(Fate::Done);
    let shown = place.json(&["sprint", "show"]);
    assert_eq!((&shown["race"]["stage"], &shown["race"]["epoch"]), (&"verdicts".into(), &5.into()));
    assert_eq!(shown["race"]["verdicts_owed"], 3);
    assert_eq!(shown["hosts"][0]["committee"][0]["given"], false);
    assert_eq!(
        (&shown["results"]["race"]["epoch"], &shown["results"]["results"][0]["confirmed"]),
        (&4.into(), &2.into())
    );
    let page = place.run(&["sprint", "show"]).stdout;
    for text in [
        "race            of epoch 5: verdicts until height 320; 1 host committed 12345 nonces; 0 of 3 verdicts",
        "seed            abababab",
        "12345        0    0 of 1         -",
        "results of epoch 4: 1 of 1 hosts proved weight 1000",
        "2 of 3  1 of 1",
    ] {
        assert!(page.contains(text), "{text}: {page}");
    }
}

#[test]
fn the_beacon_shows_its_group_and_values() {
    let (place, _fake) = place(Fate::Done);
    assert_eq!(place.json(&["beacon"])["group"]["majority"], 9);
    let page = place.run(&["beacon"]).stdout;
    for text in ["of epoch 5, since height 301: 9 of 16 seats", "4 of 4 dealt, 2 acknowledged", "height 315"]
    {
        assert!(page.contains(text), "{text}: {page}");
    }
    assert_eq!(place.json(&["beacon", "1"])["value"], "ee".repeat(32));
    let page = place.run(&["beacon", "1"]).stdout;
    assert!(page.contains("recorded in  2\n") && !page.contains("group"), "{page}");
    assert_eq!(place.error(&["beacon", "9"], 1)["code"], "not_found");
}

#[test]
fn the_status_shows_what_is_proven() {
    let (place, _fake) = place(Fate::Done);
    let status = place.json(&["status"]);
    assert_eq!(
        (&status["sprint"]["stage"], &status["sprint"]["settled_epoch"]),
        (&"verdicts".into(), &4.into())
    );
    assert_eq!((&status["sprint"]["commitments"], &status["sprint"]["nonces"]), (&1.into(), &12_345.into()));
    assert_eq!((&status["beacon"]["latest_height"], &status["beacon"]["epoch"]), (&315.into(), &5.into()));
    assert_eq!(status["hosts"][0]["h100_equivalents"], 0.000004);
    let page = place.run(&["status"]).stdout;
    for text in [
        "race     of epoch 5: verdicts until height 320",
        "seed     abababab",
        "of height 315",
        "weight 1000 (0.000004 H100s), in epoch 4",
        "HOST",
        "H100S",
    ] {
        assert!(page.contains(text), "{text}: {page}");
    }
}
