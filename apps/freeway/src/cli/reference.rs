//! The reference of the command line, generated from the command line itself.

pub mod configuration;

use clap::{Command, CommandFactory};

use super::{Cli, HELP_COLUMNS};

/// The text of `docs/reference/cli.md`.
pub fn markdown() -> String {
    let mut text = String::from(
        "# Command line\n\n\
         Every command of `freeway` with all its options, as `--help` prints them. This page is generated; after a\n\
         change of the command line, write it anew with\n\
         `FREEWAY_UPDATE_REFERENCE=1 cargo test -p freeway --test cli reference`.\n",
    );
    let mut root = Cli::command().term_width(HELP_COLUMNS);
    root.build();
    section(&mut text, &root, root.get_name());
    text
}

/// One command, then those below it.
fn section(text: &mut String, command: &Command, path: &str) {
    // The page of a subcommand repeats the global options; said once, they are enough.
    let mut page = if path.contains(' ') { without_globals(command) } else { command.clone() };
    let help = page.render_long_help().to_string();
    let help: Vec<&str> = help.lines().map(str::trim_end).collect();
    text.push_str(&format!("\n## `{path}`\n\n```text\n{}\n```\n", help.join("\n").trim_end()));
    for sub in command.get_subcommands().filter(|sub| !sub.is_hide_set() && sub.get_name() != "help") {
        section(text, sub, &format!("{path} {}", sub.get_name()));
    }
}

fn without_globals(command: &Command) -> Command {
    command.clone().mut_args(|option| if option.is_global_set() { option.hide(true) } else { option })
}
