//! The reference in the documentation is what the binary says, and completions exist for every shell.

use std::path::Path;

use crate::kit::Place;

/// Set it to write the page instead of comparing it.
const UPDATE: &str = "FREEWAY_UPDATE_REFERENCE";

#[test]
fn the_reference_is_what_help_says() {
    is_as_expected("cli.md", &freeway::cli::reference::markdown());
}

#[test]
fn the_reference_of_configuration_is_what_the_code_reads() {
    is_as_expected("configuration.md", &freeway::cli::reference::configuration::markdown().unwrap());
}

fn is_as_expected(name: &str, expected: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference").join(name);
    if std::env::var_os(UPDATE).is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, expected).unwrap();
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    let line = expected.lines().zip(found.lines()).position(|(expected, found)| expected != found);
    assert!(
        found == expected,
        "docs/reference/{name} is not what the code says (first difference in line {}); write it anew with {UPDATE}=1 \
         cargo test -p freeway --test cli reference",
        line.unwrap_or(expected.lines().count().min(found.lines().count())) + 1
    );
}

#[test]
fn every_shell_gets_its_completions() {
    let place = Place::new();
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let ended = place.run(&["completions", shell]);
        assert_eq!(ended.code, 0, "{}", ended.stderr);
        for word in ["status", "genesis", "passphrase-file"] {
            assert!(ended.stdout.contains(word), "{shell}: {word}");
        }
    }
}
