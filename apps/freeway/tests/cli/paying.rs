//! The commands of lanes and receipts, as far as they go without a network.

use crate::kit::Place;

#[test]
fn without_a_network_they_say_how_to_start_one() {
    let place = Place::new();
    let digest = "ab".repeat(32);
    for arguments in [
        vec!["lane", "show", "1"],
        vec!["price"],
        vec!["model", "list", "--chain"],
        vec!["receipt", "list"],
        vec!["receipt", "verify", &digest],
        vec!["endorsement", "show", "1"],
    ] {
        let all: Vec<&str> =
            ["--json", "--dir", "none"].into_iter().chain(arguments.iter().copied()).collect();
        let ended = place.run(&all);
        assert_eq!(ended.code, 1, "{arguments:?}: {}", ended.stderr);
        let error: serde_json::Value = serde_json::from_str(ended.stderr.trim()).unwrap();
        assert_eq!(error["error"]["code"], "no_network", "{arguments:?}");
        assert!(error["error"]["hint"].as_str().unwrap().contains("freeway up"), "{arguments:?}");
    }
}

#[test]
fn mistakes_are_named() {
    let place = Place::new();
    place.write("receipt.json", "{\"digest\":1}");
    place.write(
        "gateway.toml",
        "[gateway]\nlisten = \"127.0.0.1:0\"\n[lanes]\nrpc = []\n[lanes.key]\nkeystore = \"k\"\n",
    );
    for (arguments, code, named) in [
        (vec!["receipt", "show", "--file", "receipt.json"], "invalid_receipt", "is no receipt"),
        (vec!["receipt", "verify"], "usage", "RECEIPT"),
        (vec!["receipt", "show", "abcdefa"], "usage", "names no receipt"),
        (vec!["receipt", "show", "abcdefgh"], "usage", "names no receipt"),
        (vec!["lane", "list"], "usage", "no account"),
        (vec!["lane", "list", "--host"], "usage", ""),
        (vec!["receipt", "verify", "--last", "0"], "usage", "1..=1000"),
        (vec!["endorse", "ab", "--from", "alice"], "usage", ""),
        (
            vec!["lane", "open", "--from", "alice", "--model", "guide", "--escrow", "1", "--hosts", "17"],
            "usage",
            "17",
        ),
        (vec!["gateway", "--config", "gateway.toml"], "invalid_config", "lanes.rpc"),
        (vec!["model", "register", "nobody", "--from", "alice"], "unknown_model", "nobody"),
    ] {
        let all: Vec<&str> = ["--json", "--dir", "."].into_iter().chain(arguments.iter().copied()).collect();
        let ended = place.run(&all);
        let error: serde_json::Value = serde_json::from_str(ended.stderr.lines().last().unwrap_or_default())
            .unwrap_or_else(|_| panic!("{arguments:?}: {}", ended.stderr));
        assert_eq!(error["error"]["code"], code, "{arguments:?}: {error}");
        assert!(error["error"]["message"].as_str().unwrap().contains(named), "{arguments:?}: {error}");
        assert!(error["error"]["hint"].is_string(), "{arguments:?}: {error}");
    }
}

#[test]
fn a_gateway_without_its_file_says_which_file_is_meant() {
    let place = Place::new();
    let error = place.error(&["gateway", "--config", "missing.toml"], 1);
    let hint = error["hint"].as_str().unwrap();
    assert!(hint.contains("gateway/gateway.toml") && !hint.contains("node init"), "{error}");
    let error = place.error(&["node", "start", "--config", "missing.toml"], 1);
    assert!(error["hint"].as_str().unwrap().contains("freeway node init"), "{error}");
}

#[test]
fn lanes_are_those_that_the_gateway_here_pays_for() {
    let place = Place::new();
    place.json(&["keys", "new", "payer"]);
    std::fs::create_dir(place.path("gateway")).unwrap();
    place.write(
        "gateway/gateway.toml",
        "[gateway]\nlisten = \"127.0.0.1:0\"\n[lanes]\nrpc = [\"http://127.0.0.1:1\"]\n[lanes.key]\n\
         keystore = \"../keys\"\nname = \"payer\"\n",
    );
    // It is known whose they are; there is no network to ask.
    let error = place.error(&["lane", "list"], 1);
    assert_eq!(error["code"], "no_network");
    let told = place.run(&["lane", "list"]).stderr;
    assert!(told.contains("with the key payer: fwy1"), "{told}");
}
