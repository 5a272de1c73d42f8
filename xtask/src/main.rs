//! Work on the tree itself: the rules that `cargo` and `clippy` do not know, and references generated from code.
//!
//! `cargo xtask tidy` is the judge of the architecture: it reads every tracked file and rejects what
//! contradicts the sentences in the README and in `docs/` ("protocol has no floats", "platform and compute do
//! not meet"). Each rule is one function from a [`Workspace`] to a list of [`Violation`](tidy::Violation)s,
//! so that each can be tested on a tree of three lines.
//!
//! | module | what it knows |
//! |---|---|
//! | [`workspace`] | the files of the tree and the manifests in it |
//! | [`lexer`], [`source`] | Rust tokens: what is a comment, a string, a test |
//! | [`tidy`] | the rules, one family per file |
//! | [`map`] | the crate map in the README |
//! | [`markdown`] | links, headings and blocks of documents |
//! | [`licences`], [`spdx`] | the licences of everything we link |
//!
//! This crate stands alone: it depends on no other crate of the workspace, so that it works on a broken tree.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command line tool speaks on the terminal")]

mod lexer;
mod licences;
mod map;
mod markdown;
mod source;
mod spdx;
mod tidy;
mod workspace;

use std::process::ExitCode;

use crate::workspace::Workspace;

const HELP: &str = "\
Checks of the tree and references generated from it.

Usage: cargo xtask <command>

Commands:
  tidy          check every rule of the tree: layers, purity of protocol, unsafe, documents, licences
  map           rewrite the crate map in README.md from folders and manifests
  map --check   only compare the crate map (part of tidy)
  licences      check the licences of all dependencies, direct and not (part of tidy)
  help          print this text
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let outcome = match words.as_slice() {
        [] | ["help" | "-h" | "--help"] => {
            print!("{HELP}");
            Ok(ExitCode::SUCCESS)
        }
        ["tidy"] => load().map(|workspace| tidy::report("tidy", &workspace, &tidy::run(&workspace))),
        ["map"] => load().and_then(|workspace| map::write(&workspace)),
        ["map", "--check"] => {
            load().map(|workspace| tidy::report("map", &workspace, &tidy::readme::check(&workspace)))
        }
        ["licences"] => {
            load().map(|workspace| tidy::report("licences", &workspace, &licences::check_tree(&workspace)))
        }
        unknown => Err(format!(
            "unknown command `{}`\nhint: `cargo xtask --help` lists the commands",
            unknown.join(" ")
        )),
    };
    outcome.unwrap_or_else(|message| {
        eprintln!("error: {message}");
        ExitCode::FAILURE
    })
}

fn load() -> Result<Workspace, String> {
    Workspace::load(&workspace::find_root()?)
}
