//! `freeway completions`: scripts that complete commands in a shell.

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use crate::cli::{Cli, Context};
use crate::hints::Problem;

const EXAMPLES: &str = "\
Examples:
  freeway completions bash > ~/.local/share/bash-completion/completions/freeway
  freeway completions zsh > ~/.zfunc/_freeway          with ~/.zfunc in fpath
  freeway completions fish > ~/.config/fish/completions/freeway.fish
  freeway completions powershell >> $PROFILE";

/// Options of `freeway completions`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Completions {
    /// The shell.
    shell: Shell,
}

impl Completions {
    /// Prints the script.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn run(self, context: &Context) -> Result<(), Problem> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Cli::command(), "freeway", &mut script);
        context.output().raw(&script)
    }
}
