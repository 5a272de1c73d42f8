//! `freeway genesis`.

use serde_json::{Value, json};

use crate::kit::{PASSPHRASE, Place};

/// A place with two keys and the descriptions of `count` hosts, each of an account of its own.
fn place(count: usize) -> Place {
    let place = Place::new();
    for name in ["alice", "node"] {
        place.json(&["keys", "new", name]);
    }
    for number in 0..count {
        let name = format!("h{number}");
        let account = place.json(&["keys", "new", &name]);
        let host = json!({
            "address": account["address"],
            "consensus_key": account["public_key"],
            "operator": format!("operator {number}"),
            "region": "eu",
            "endpoints": [],
            "weight": 1000,
            "collateral": "100 FWY",
        });
        place.write(&format!("{name}.json"), &host.to_string());
    }
    place
}

const NEW: [&str; 7] = ["genesis", "new", "--name", "test", "--host", "h0.json", "--account"];

#[test]
fn what_is_made_is_what_is_shown() {
    let place = place(2);
    let made =
        place.json(&[&NEW[..], &["alice=1000", "--host", "h1.json", "--out", "genesis.json"]].concat());
    let shown = place.json(&["genesis", "show", "genesis.json"]);
    assert_eq!(made, shown);
    // 1000 FWY and twice 100 FWY of collateral.
    assert_eq!(shown["supply"], "1200000000000");
    assert_eq!(shown["hosts"].as_array().unwrap().len(), 2);
    assert_eq!(shown["total_power"], 2000);
    assert_eq!(shown["preset"], "local");
    let chain = shown["chain"].as_str().unwrap();
    let page = place.run(&["genesis", "show", "genesis.json"]).stdout;
    for text in [chain, "1200 FWY", "operator 1", "epochs.epoch_blocks"] {
        assert!(page.contains(text), "{text}: {page}");
    }
    // An existing file is kept.
    let again = place.error(&[&NEW[..], &["alice=1", "--out", "genesis.json"]].concat(), 1);
    assert_eq!(again["code"], "file_exists");
    assert_eq!(place.json(&["genesis", "show", "genesis.json"])["chain"], chain);
}

#[test]
fn a_changed_file_is_noticed() {
    let place = place(1);
    place.json(&[&NEW[..], &["alice=1000", "--out", "genesis.json"]].concat());
    let text = place.read("genesis.json");
    for (from, to) in
        [("\"1000 FWY\"", "\"2000 FWY\""), ("\"weight\": 1000", "\"weight\": 0"), ("\"hosts\"", "\"host\"")]
    {
        assert!(text.contains(from));
        place.write("changed.json", &text.replacen(from, to, 1));
        assert_eq!(place.error(&["genesis", "show", "changed.json"], 1)["code"], "invalid_genesis", "{from}");
    }
}

#[test]
fn contents_that_contradict_each_other_make_no_network() {
    let place = place(1);
    let host: Value = serde_json::from_str(&place.read("h0.json")).unwrap();
    let mut weak = host.clone();
    weak["weight"] = json!(0);
    place.write("weak.json", &weak.to_string());
    let mut rich = host.clone();
    rich["collateral"] = json!("340282366920938463463374607431.768211455 FWY");
    place.write("rich.json", &rich.to_string());
    let mut strange = host;
    strange["operator"] = json!("a\u{202e}b");
    place.write("strange.json", &strange.to_string());
    let cases: &[(&[&str], &str)] = &[
        (&["--host", "weak.json"], "invalid_genesis"),
        (&["--host", "h0.json", "--host", "h0.json"], "invalid_genesis"),
        (&["--host", "rich.json", "--account", "alice=340282366920938463463374607431"], "invalid_genesis"),
        (&["--host", "strange.json"], "invalid_text"),
        (&["--host", "h0.json", "--account", "nobody=1"], "unknown_key"),
    ];
    for (arguments, code) in cases {
        let error = place.error(&[&["genesis", "new", "--name", "x", "--out", "g"], *arguments].concat(), 1);
        assert_eq!(error["code"], *code, "{arguments:?}: {error}");
        assert!(!place.path("g").exists());
    }
}

/// The steps that `freeway node --help` shows, on one machine. A relative path of the command line stays where it is,
/// though paths in the file count from the node's folder.
#[test]
fn the_steps_to_a_network_of_several_machines_lead_to_a_genesis() {
    let place = Place::new();
    place.write("secret", PASSPHRASE);
    #[cfg(unix)]
    std::fs::set_permissions(place.path("secret"), std::os::unix::fs::PermissionsExt::from_mode(0o600))
        .unwrap();
    let mut hosts = Vec::new();
    for number in 1..=4 {
        let (owner, home) = (format!("owner{number}"), format!("node{number}"));
        place.json(&["keys", "new", &owner]);
        let made = place.json(&[
            "node",
            "init",
            "--home",
            &home,
            "--host",
            &owner,
            "--key-is-new",
            "--url",
            "http://10.0.0.1:27200",
            "--passphrase-file",
            "secret",
        ]);
        assert_eq!(made["host_file"], format!("{home}/host.json"));
        let absolute = place.path("secret").canonicalize().unwrap();
        let line = format!("passphrase_file = \"{}\"", absolute.display());
        assert!(place.read(&format!("{home}/node.toml")).contains(&line), "{line}");
        hosts.extend(["--host".to_owned(), format!("{home}/host.json")]);
    }
    let mut command = vec!["genesis", "new", "--name", "example", "--out", "genesis.json"];
    command.extend(hosts.iter().map(String::as_str));
    place.json(&command);
    let refused = place.error(&["node", "start", "--config", "node1/node.toml"], 1);
    assert!(refused["message"].as_str().unwrap().contains("genesis"), "{refused}");
}
