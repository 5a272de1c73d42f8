//! protocol is pure: a block executes the same on every machine.

use crate::lexer::Kind;
use crate::source::Source;
use crate::tidy::Violation;
use crate::workspace::{File, Workspace};

/// What protocol must not contain, why, and whether tests may.
struct Ban {
    why: &'static str,
    in_tests: bool,
}

const FLOAT: Ban = Ban {
    why: "floats round differently between machines and compilers: use integers or the fixed-point type",
    in_tests: true,
};
const HASH_ORDER: Ban = Ban {
    why: "the order of a hash map differs between processes: use BTreeMap, BTreeSet or a sorted Vec",
    in_tests: true,
};
const FILES: Ban = Ban { why: "no input or output: take the bytes as an argument", in_tests: true };
const PRINT: Ban = Ban { why: "no output: return what happened as an event or an error", in_tests: true };
const CLOCK: Ban =
    Ban { why: "no clock: heights are the time, and they come as an argument", in_tests: false };
const NETWORK: Ban = Ban { why: "no network: a crate of platform fetches, protocol judges", in_tests: false };
const PROCESS: Ban =
    Ban { why: "nothing of the process or its environment: take it as an argument", in_tests: false };
const THREADS: Ban = Ban {
    why: "no threads: their order differs between runs; parallel work belongs to callers",
    in_tests: false,
};
const ASYNC: Ban = Ban { why: "no async: take input as arguments and return effects", in_tests: false };
const CHANCE: Ban = Ban { why: "no randomness of its own: take a seed as an argument", in_tests: false };
const SERDE: Ban = Ban {
    why: "one encoding only, the canonical one: JSON is for wire types in services/api",
    in_tests: false,
};

/// Checks the Rust code of protocol.
pub(super) fn check(workspace: &Workspace) -> Vec<Violation> {
    let files = workspace.rust().filter(|file| file.path.starts_with("protocol/"));
    files.flat_map(|file| check_file(file, workspace.is_test(&file.path))).collect()
}

fn check_file(file: &File, is_test_file: bool) -> Vec<Violation> {
    let source = Source::new(&file.text);
    let mut violations = Vec::new();
    let mut reject = |index: usize, line: usize, what: String, ban: &Ban| {
        if !(ban.in_tests && (is_test_file || source.is_test(index))) {
            violations.push(Violation::new(&file.path, line, format!("{what} in protocol"), ban.why));
        }
    };
    for (index, token) in source.code.iter().enumerate() {
        match token.kind {
            Kind::Float => reject(index, token.line, format!("the float `{}`", token.text), &FLOAT),
            Kind::Word => {
                if let Some(ban) = banned_word(&source, index) {
                    reject(index, token.line, format!("`{}`", token.text), &ban);
                }
                for (at, module) in std_modules(&source, index) {
                    if let Some(ban) = banned_module(module) {
                        let line = source.at(at).map_or(token.line, |module| module.line);
                        reject(at, line, format!("`std::{module}`"), &ban);
                    }
                }
            }
            _ => {}
        }
    }
    violations
}

fn banned_word(source: &Source<'_>, index: usize) -> Option<Ban> {
    let followed_by = |sign| source.at(index + 1).is_some_and(|next| next.is_punct(sign));
    Some(match source.at(index)?.text {
        "f16" | "f32" | "f64" | "f128" => FLOAT,
        "HashMap" | "HashSet" | "RandomState" => HASH_ORDER,
        "async" | "await" | "tokio" | "futures" => ASYNC,
        "thread_rng" | "ThreadRng" | "getrandom" | "OsRng" | "SysRng" | "from_entropy" | "from_os_rng" => {
            CHANCE
        }
        "rand" if ["rng", "random"].iter().any(|name| source.matches(index + 1, &[":", ":", name])) => CHANCE,
        "serde" | "serde_json" | "Serialize" | "Deserialize" => SERDE,
        "print" | "println" | "eprint" | "eprintln" if followed_by('!') => PRINT,
        _ => return None,
    })
}

fn banned_module(module: &str) -> Option<Ban> {
    Some(match module {
        "fs" => FILES,
        "time" => CLOCK,
        "net" => NETWORK,
        "env" | "process" | "os" => PROCESS,
        "thread" => THREADS,
        _ => return None,
    })
}

/// The modules of the standard library that are named at `index`, with their positions: one after `std::x`,
/// several after `std::{x::…, y}`.
fn std_modules<'a>(source: &Source<'a>, index: usize) -> Vec<(usize, &'a str)> {
    if !["std", "core"].iter().any(|library| source.matches(index, &[library, ":", ":"])) {
        return Vec::new();
    }
    let mut modules = Vec::new();
    let (mut at, mut depth, mut begins) = (index + 3, 0usize, true);
    while let Some(token) = source.at(at) {
        match (token.kind, token.text) {
            (Kind::Punct, "{") => depth += 1,
            (Kind::Punct, "}") => depth = depth.saturating_sub(1),
            (Kind::Punct, ",") => begins = depth == 1,
            (Kind::Word, module) if begins => {
                modules.push((at, module));
                begins = false;
            }
            _ => {}
        }
        if depth == 0 {
            break;
        }
        at += 1;
    }
    modules
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(path: &str, text: &str) -> Vec<String> {
        check(&Workspace::of(&[(path, text)])).into_iter().map(|violation| violation.found).collect()
    }

    fn fires(text: &str) -> bool {
        !found("protocol/x/src/lib.rs", text).is_empty()
    }

    #[test]
    fn impurities_are_found() {
        for bad in [
            "let x: f32 = y;",
            "let x = 1.5;",
            "let x = 1f64;",
            "use std::collections::HashMap;",
            "use std::collections::{BTreeMap, HashSet};",
            "std::time::Instant::now()",
            "use core::time::Duration;",
            "use std::{collections::BTreeMap, fs};",
            "use std::{io::{Read, Write}, net::IpAddr};",
            "std::thread::spawn(f)",
            "std::env::var(name)",
            "async fn f() {}",
            "tokio::spawn(x)",
            "rand::rng()",
            "rand::thread_rng()",
            "getrandom::fill(b)",
            "println!()",
            "eprintln!()",
            "#[derive(Serialize)] struct X;",
            "use serde::Deserialize;",
        ] {
            assert!(fires(bad), "{bad}");
        }
    }

    #[test]
    fn purity_is_not_disturbed_by_words_or_by_other_layers() {
        for good in [
            "// f64, HashMap and std::time\nfn f() {}",
            "/// Takes no `f64`; no println! either.\nstruct X;",
            "const TEXT: &str = \"std::fs 1.5 HashMap\";",
            "use std::collections::{BTreeMap, BTreeSet};",
            "use std::{collections::BTreeMap, fmt};",
            "#[derive(BorshSerialize)] struct X(u8);",
            "let x = pair.0.1 + 0x1e5; for i in 0..10 {}",
            "let time = self.time; let fs = net;",
            "rand_chacha::ChaCha20Rng::from_seed(seed)",
        ] {
            assert!(!fires(good), "{good}");
        }
        assert!(found("services/x/src/lib.rs", "let x = 1.5;").is_empty());
    }

    #[test]
    fn tests_may_use_floats_maps_and_files_but_no_clock() {
        let test = |body: &str| format!("#[cfg(test)] mod tests {{ {body} }}");
        assert!(!fires(&test("use std::collections::HashMap; let x = 1.5; std::fs::read(p);")));
        assert!(fires(&test("std::time::Instant::now();")));
        assert!(fires(&format!("{} let x = 1.5;", test(""))));
        assert!(found("protocol/x/tests/y.rs", "let x = 1.5;").is_empty());
        assert!(found("protocol/x/benches/y.rs", "println!()").is_empty());
        assert!(!found("protocol/x/tests/y.rs", "std::thread::spawn(f)").is_empty());
    }

    #[test]
    fn the_line_is_that_of_the_word() {
        let tree = Workspace::of(&[("protocol/x/src/lib.rs", "//! x\nuse std::{\n    fmt,\n    fs,\n};\n")]);
        assert_eq!(check(&tree)[0].line, 4);
    }
}
