//! `freeway keys`.

use crate::kit::{PASSPHRASE, Place};

/// A test vector of BIP-39.
const WORDS: &str = "legal winner thank year wave sausage worth useful legal winner thank yellow";

#[test]
fn a_new_key_is_listed_shown_and_found_again_from_its_words() {
    let place = Place::new();
    let made = place.json(&["keys", "new", "alice"]);
    let words = made["words"].as_str().unwrap();
    assert_eq!(words.split(' ').count(), 24);
    assert_eq!(made["derivation"], "m/44'/4609881'/0'");

    let listed = place.json(&["keys", "list"]);
    assert_eq!(listed["keys"][0]["address"], made["address"]);
    assert!(!listed.to_string().contains(words));

    for wanted in ["alice", made["address"].as_str().unwrap()] {
        assert_eq!(place.json(&["keys", "show", wanted])["public_key"], made["public_key"]);
    }

    // Elsewhere, the words give the same key; another account of them does not.
    let elsewhere = Place::new();
    let same = elsewhere.run_with(&["keys", "import", "a", "--json"], &words.to_uppercase());
    assert_eq!(same.code, 0, "{}", same.stderr);
    assert_eq!(elsewhere.json(&["keys", "show", "a"])["address"], made["address"]);
    elsewhere.write("words.txt", words);
    let other = elsewhere.json(&["keys", "import", "b", "--words-file", "words.txt", "--account", "1"]);
    assert_ne!(other["address"], made["address"]);
    let path = ["keys", "import", "c", "--words-file", "words.txt", "--path", "m/44h/4609881h/1h"];
    assert_eq!(elsewhere.json(&path)["address"], other["address"]);
}

#[test]
fn people_see_the_words_once_and_what_they_mean() {
    let place = Place::new();
    let made = place.run(&["keys", "new", "alice"]);
    assert_eq!(made.code, 0, "{}", made.stderr);
    assert!(made.stdout.contains("Write down these 24 words"), "{}", made.stdout);
    assert!(made.stdout.contains("  24 "), "{}", made.stdout);
    let shown = place.run(&["keys", "show", "alice"]);
    assert_eq!(shown.stdout.lines().count(), 4, "{}", shown.stdout);
    let listed = place.run(&["keys", "list"]);
    assert!(listed.stdout.starts_with("NAME   ADDRESS\nalice  fwy1"), "{}", listed.stdout);
    assert!(Place::new().run(&["keys", "list"]).stdout.contains("freeway keys new"));
}

#[test]
fn known_words_give_the_known_key_for_ever() {
    let place = Place::new();
    place.write("words.txt", WORDS);
    let key = place.json(&["keys", "import", "a", "--words-file", "words.txt"]);
    assert_eq!(key["address"], "fwy14ke7wlqmyq3eh25c0kw4469vegg7up4vwy7xtfx733p2swxsnmssnwn5za");
}

#[test]
fn keys_are_never_overwritten() {
    let place = Place::new();
    let made = place.json(&["keys", "new", "alice"]);
    assert_eq!(place.error(&["keys", "new", "alice"], 1)["code"], "name_taken");
    assert_eq!(place.json(&["keys", "show", "alice"])["address"], made["address"]);
}

#[test]
fn a_passphrase_comes_from_a_file_before_the_environment() {
    let place = Place::new().with("FREEWAY_PASSPHRASE", "");
    let error = place.error(&["keys", "new", "alice"], 1);
    assert!(error["message"].as_str().unwrap().contains("FREEWAY_PASSPHRASE is set but empty"), "{error}");

    place.write("passphrase.txt", PASSPHRASE);
    let file = ["keys", "new", "alice", "--passphrase-file", "passphrase.txt"];
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let set = |mode| {
            let permissions = std::fs::Permissions::from_mode(mode);
            std::fs::set_permissions(place.path("passphrase.txt"), permissions).unwrap();
        };
        set(0o644);
        assert_eq!(place.error(&file, 1)["code"], "unsafe_permissions");
        set(0o600);
    }
    place.json(&file);
}

#[test]
fn a_passphrase_is_changed() {
    let place = Place::new();
    let made = place.json(&["keys", "new", "alice"]);
    place.write("new.txt", "another battery staple");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let permissions = std::fs::Permissions::from_mode(0o600);
        std::fs::set_permissions(place.path("new.txt"), permissions).unwrap();
    }
    // Nobody is there to be asked.
    let error = place.error(&["keys", "change-passphrase", "alice"], 1);
    assert!(error["hint"].as_str().unwrap().contains("--new-passphrase-file"), "{error}");
    let change = ["keys", "change-passphrase", "alice", "--new-passphrase-file", "new.txt"];
    assert_eq!(place.json(&change)["address"], made["address"]);
    assert_eq!(place.error(&change, 1)["code"], "wrong_passphrase");
    let back = ["keys", "change-passphrase", "alice", "--passphrase-file", "new.txt"];
    place.json(&[&back[..], &["--new-passphrase-file", "new.txt"]].concat());
    assert_eq!(place.error(&["keys", "change-passphrase", "bob"], 1)["code"], "unknown_key");
}

#[test]
fn bad_words_are_named_and_not_repeated() {
    let place = Place::new();
    for (words, says) in [
        ("", "here are 0"),
        ("legal winner thank", "here are 3"),
        ("legal winner thank year wave sausage worth useful legal winner thank yelow", "yelow"),
        (&WORDS.replace("yellow", "legal"), "checksum"),
        (&"legal ".repeat(10_000), "too long"),
    ] {
        place.write("words.txt", words);
        let error = place.error(&["keys", "import", "a", "--words-file", "words.txt"], 1);
        assert_eq!(error["code"], "invalid_words");
        let text = error.to_string();
        assert!(text.contains(says) && !text.contains("sausage worth"), "{text}");
    }
    assert!(!place.path("keys").exists());
}

#[test]
fn a_damaged_key_is_reported_and_the_others_work() {
    let place = Place::new();
    place.json(&["keys", "new", "alice"]);
    place.write("keys/bob.json", "{");
    let listed = place.json(&["keys", "list"]);
    assert_eq!(
        (listed["keys"].as_array().unwrap().len(), listed["skipped"].as_array().unwrap().len()),
        (1, 1)
    );
    assert!(place.run(&["keys", "list"]).stderr.contains("warning: "));
    assert_eq!(place.error(&["keys", "show", "bob"], 1)["code"], "damaged_key");
}

/// A reader that has gone is no error, except where the words of a key would be lost.
#[cfg(unix)]
#[test]
fn a_closed_output_is_an_error_only_where_something_is_lost() {
    let place = Place::new();
    let run = |arguments: &[&str]| {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = place.command(arguments).stdout(writer).output().unwrap();
        (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
    };
    assert_eq!(run(&["keys", "list"]), (0, String::new()));
    assert_eq!(run(&["completions", "bash"]), (0, String::new()));
    assert_eq!(run(&["--help"]), (0, String::new()));
    let (code, said) = run(&["keys", "new", "alice"]);
    assert!(code == 1 && said.contains("put no money on it"), "{code}: {said}");
}
