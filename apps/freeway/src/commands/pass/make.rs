//! `freeway pass new` and `freeway pass narrow`.

use clap::Args;
use freeway_gateway::Pass;
use serde::Serialize;

use super::terms::{Limits, Terms};
use super::{Folder, folder_problem, pass_problem, read};
use crate::cli::Context;
use crate::hints::Problem;
use crate::network_file::NetworkFile;
use crate::output::{Page, Show};

/// How long a pass lasts if nothing is said: 30 days.
const LASTING: u64 = 30 * 86_400;

#[derive(Debug, Args)]
pub(super) struct New {
    #[command(flatten)]
    terms: Terms,

    /// The network whose money it spends; gateways that pay on another refuse it [default: that of the directory, if
    /// there is one].
    #[arg(long, value_name = "CHAIN")]
    network: Option<String>,

    #[command(flatten)]
    folder: Folder,
}

#[derive(Debug, Args)]
pub(super) struct Narrow {
    /// The pass, or `-` to read it from stdin.
    #[arg(value_name = "PASS")]
    pass: String,

    #[command(flatten)]
    terms: Terms,
}

/// A pass that was made.
#[derive(Debug, Serialize)]
struct Made {
    pass: String,
    id: String,
    limits: Limits,
    /// Whether the owner's key was made too.
    new_owner: bool,
}

impl Made {
    fn new(pass: &Pass, new_owner: bool) -> Self {
        Self {
            pass: pass.reveal().to_owned(),
            id: pass.id().to_string(),
            limits: Limits::from(&pass.limits()),
            new_owner,
        }
    }
}

impl Show for Made {
    fn show(&self, page: &mut Page) {
        page.line(&self.pass);
        page.gap();
        page.fields([("id", self.id.clone())].into_iter().chain(self.limits.fields()));
        if self.limits.fields()[1].1.is_empty() {
            page.line("It has no budget: it asks only what is free.");
        }
    }
}

impl New {
    pub(super) fn run(self, context: &Context) -> Result<(), Problem> {
        let folder = self.folder.open(context)?;
        let mut limits = self.terms.limits(Some(LASTING))?;
        limits.network = match self.network {
            Some(network) => Some(network),
            None => network_here(context)?,
        };
        let (owner, new_owner) = folder.owner().map_err(folder_problem)?;
        let pass = Pass::issue(&owner, &limits).map_err(pass_problem)?;
        if new_owner {
            context.output().note(format_args!(
                "made a new owner's key in {}: keep the folder, and name it to your gateway as gateway.passes",
                folder.path().display()
            ));
        }
        context.output().result(&Made::new(&pass, new_owner))
    }
}

/// The network of the directory, if there is one.
fn network_here(context: &Context) -> Result<Option<String>, Problem> {
    let file = NetworkFile::read(&context.directory()?).ok();
    Ok(file.map(|file| file.chain).filter(|chain| !chain.is_empty()))
}

impl Narrow {
    pub(super) fn run(self, context: &Context) -> Result<(), Problem> {
        let pass = read(&self.pass)?;
        let narrower = pass.narrow(&self.terms.limits(None)?).map_err(pass_problem)?;
        context.output().result(&Made::new(&narrower, false))
    }
}
