//! Options that every command takes.

use std::path::PathBuf;

use clap::Args;

use crate::output::Output;

/// Options that every command takes, before or after its name.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Global options")]
pub struct Global {
    /// Print results as JSON, one line each.
    #[arg(long, global = true)]
    pub json: bool,

    /// Ask this node, such as http://127.0.0.1:7700 [default: a node of the network in --dir].
    #[arg(long, global = true, value_name = "URL", env = "FREEWAY_RPC", hide_env_values = true)]
    pub rpc: Option<String>,

    /// Directory of a network, as `freeway up` makes it [default: freeway in the data directory of the user].
    #[arg(long, global = true, value_name = "DIR", env = "FREEWAY_DIR", hide_env_values = true)]
    pub dir: Option<PathBuf>,

    /// Directory of keys [default: keys in --dir].
    #[arg(long, global = true, value_name = "DIR")]
    pub keys: Option<PathBuf>,

    /// Take passphrases from the first line of this file [default: FREEWAY_PASSPHRASE if set, else ask].
    #[arg(long, global = true, value_name = "FILE")]
    pub passphrase_file: Option<PathBuf>,

    /// Say on stderr what goes on; twice says more.
    #[arg(short, long, global = true, action = clap::ArgAction::Count, conflicts_with = "quiet")]
    pub verbose: u8,

    /// Say nothing but results and errors.
    #[arg(short, long, global = true)]
    pub quiet: bool,
}

impl Global {
    /// How results are printed.
    pub const fn output(&self) -> Output {
        Output { json: self.json, quiet: self.quiet, verbose: self.verbose }
    }
}
