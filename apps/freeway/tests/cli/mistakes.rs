//! Every mistake ends with an exit code, an error and a hint, never with a panic.

use crate::kit::Place;

const HEX: &str = "0000000000000000000000000000000000000000000000000000000000000000";

#[test]
fn a_command_line_without_sense_is_2() {
    let place = Place::new();
    let cases: &[&[&str]] = &[
        &["sned"],
        &["status", "--jsn"],
        &["status", "extra"],
        &["-q", "-v", "status"],
        &["keys"],
        &["keys", "new"],
        &["keys", "new", "Alice"],
        &["keys", "new", "../x"],
        &["keys", "show", "a b"],
        &["keys", "import", "a", "--account", "70000"],
        &["keys", "import", "a", "--path", "m/0"],
        &["keys", "import", "a", "--path", "m/0'", "--account", "1"],
        &["account"],
        &["account", "fwy1qqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqq"],
        &["send"],
        &["send", "--from", "alice", "bob"],
        &["send", "--from", "alice", "bob", "-1"],
        &["send", "--from", "alice", "bob", "1e9"],
        &["send", "--from", "alice", "bob", "0.0000000001"],
        &["send", "--from", "alice", "bob", "1", "--expires-in", "-1"],
        &["send", "--from", "alice", "bob", "1", "--chain", "ab"],
        &["send", "--from", "alice", "", "1"],
        &["block", "0"],
        &["block", "-1"],
        &["block", "first"],
        &["block", "99999999999999999999999"],
        &["transaction", "abc"],
        &["host"],
        &["host", "register", "--from", "alice"],
        &["host", "register", "--from", "alice", "--consensus-key", "ab"],
        &["host", "register", "--from", "alice", "--consensus-key", HEX, "--node-dir", "x"],
        &["host", "update", "--from", "alice"],
        &["host", "update", "--from", "alice", "--region", "a\nb"],
        &["delegate", "add", "alice", "--from", "bob", "--scope", "all"],
        &["genesis", "new", "--name", "x", "--out", "y"],
        &["genesis", "new", "--name", "x", "--host", "h", "--out", "y", "--preset", "big"],
        &["genesis", "new", "--name", "x", "--host", "h", "--out", "y", "--account", "alice"],
        &["completions", "tcsh"],
        &["sprint"],
        &["sprint", "bench", "--shape", "huge"],
        &["sprint", "bench", "--shape", "a"],
        &["sprint", "bench", "--backend", "cuda"],
        &["sprint", "bench", "--threads", "0"],
        &["sprint", "bench", "--seconds", "0"],
        &["sprint", "bench", "--seconds", "nan"],
        &["sprint", "bench", "--seconds", "1e9"],
        &["sprint", "verify"],
        &["beacon", "0"],
        &["beacon", "latest"],
        &["node", "start", "--config", "x", "--sprint-share", "101"],
        &["node", "start", "--config", "x", "--adversary", "kind"],
        &["up", "--adversary", "fake:0"],
        &["\u{1b}[31mred"],
    ];
    for case in cases {
        let error = place.error(case, 2);
        assert_eq!(error["code"], "usage", "{case:?}");
    }
}

#[test]
fn a_request_that_fails_is_1() {
    let place = Place::new();
    place.write("empty", "");
    let missing: &str = "missing";
    let cases: &[(&[&str], &str)] = &[
        (&["keys", "show", "alice"], "unknown_key"),
        (&["keys", "import", "a", "--words-file", missing], "file"),
        (&["keys", "import", "a", "--words-file", "."], "file"),
        (&["keys", "list", "--keys", "empty"], "file"),
        (&["keys", "new", "a", "--passphrase-file", missing], "file"),
        (&["account", "alice"], "unknown_key"),
        (&["status"], "no_network"),
        (&["status", "--dir", missing], "no_network"),
        (&["status", "--rpc", "nonsense"], "bad_url"),
        (&["status", "--rpc", "http://127.0.0.1:1"], "unreachable"),
        (&["status", "--watch", "--rpc", "http://127.0.0.1:1"], "unreachable"),
        (&["block", "--rpc", "http://127.0.0.1:1"], "unreachable"),
        (&["transaction", HEX], "no_network"),
        (&["host", "list"], "no_network"),
        (&["host", "show", "alice"], "unknown_key"),
        (&["host", "register", "--from", "alice", "--node-dir", missing], "unknown_key"),
        (&["send", "--from", "alice", "bob", "1"], "unknown_key"),
        (&["delegate", "remove", "bob", "--from", "alice"], "unknown_key"),
        (&["genesis", "show", missing], "file"),
        (&["genesis", "show", "empty"], "invalid_genesis"),
        (&["genesis", "new", "--name", "x", "--host", "empty", "--out", "y"], "invalid_host_file"),
    ];
    for (case, code) in cases {
        let error = place.error(case, 1);
        assert_eq!(error["code"], *code, "{case:?}: {error}");
    }
}

#[test]
fn a_network_file_that_makes_no_sense_is_named() {
    let place = Place::new();
    for (text, code) in [
        ("", "no_network"),
        ("[]", "no_network"),
        (r#"{"rpc":[]}"#, "unreachable"),
        (r#"{"rpc":["http://127.0.0.1:1","http://127.0.0.1:1"]}"#, "unreachable"),
        (r#"{"rpc":["nonsense"]}"#, "unreachable"),
    ] {
        place.write("network.json", text);
        assert_eq!(place.error(&["status"], 1)["code"], code, "{text}");
    }
}

#[test]
fn what_is_typed_comes_before_what_is_set() {
    let place = Place::new().with("FREEWAY_RPC", "http://127.0.0.1:1");
    assert_eq!(place.error(&["status"], 1)["code"], "unreachable");
    assert_eq!(place.error(&["status", "--dir", "elsewhere"], 1)["code"], "no_network");
    assert_eq!(place.error(&["status", "--rpc", "nonsense", "--dir", "elsewhere"], 1)["code"], "bad_url");
}

#[test]
fn help_and_version_are_no_mistakes() {
    let place = Place::new();
    for arguments in [&["--help"][..], &["-h"], &["help", "send"], &["keys", "new", "--help"], &["--version"]]
    {
        let ended = place.run(arguments);
        assert!(ended.code == 0 && ended.stderr.is_empty() && !ended.stdout.is_empty(), "{arguments:?}");
    }
    let nothing = place.run(&[]);
    assert!(nothing.code == 2 && nothing.stderr.contains("Commands:"), "{}", nothing.stderr);
    assert!(place.run(&["help", "send"]).stdout.contains("Examples:"));
}
