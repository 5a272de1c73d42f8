//! `freeway pass show`.

use clap::Args;
use freeway_gateway::PassId;
use serde::Serialize;

use super::terms::{Limits, now};
use super::{Folder, folder_problem, read};
use crate::cli::Context;
use crate::hints::Problem;
use crate::output::{Page, Show};

#[derive(Debug, Args)]
pub(super) struct ShowPass {
    /// The pass, or `-` to read it from stdin.
    #[arg(value_name = "PASS")]
    pass: String,

    #[command(flatten)]
    folder: Folder,
}

/// A block of a pass.
#[derive(Debug, Serialize)]
struct Block {
    id: String,
    revoked: bool,
    limits: Limits,
}

/// A pass without its secret.
#[derive(Debug, Serialize)]
struct Shown {
    id: String,
    /// What holds in the end.
    limits: Limits,
    /// Whether an owner who is known here signed it.
    known_owner: bool,
    revoked: bool,
    expired: bool,
    /// Whether a gateway with this folder would take it.
    usable: bool,
    /// The owner's block first.
    blocks: Vec<Block>,
}

impl Show for Shown {
    fn show(&self, page: &mut Page) {
        let state = match (self.known_owner, self.revoked, self.expired) {
            (_, true, _) => "revoked",
            (_, _, true) => "expired",
            (false, ..) => "made by an owner who is not known here",
            _ => "usable",
        };
        let head = [("id", self.id.clone()), ("state", state.to_owned())];
        page.fields(head.into_iter().chain(self.limits.fields()));
        page.gap();
        for (index, block) in self.blocks.iter().enumerate() {
            let revoked = if block.revoked { " (revoked)" } else { "" };
            page.line(format_args!("block {index}  {}{revoked}", block.id));
            page.line(format_args!("         {}", block.limits.line()));
        }
    }
}

impl ShowPass {
    pub(super) fn run(self, context: &Context) -> Result<(), Problem> {
        let pass = read(&self.pass)?;
        let folder = self.folder.open(context)?;
        let revoked = folder.revoked().map_err(folder_problem)?;
        let owners = folder.owners().map_err(folder_problem)?;
        let gone = |id: &PassId| revoked.contains(id);
        let limits = pass.limits();
        let blocks = pass.blocks().iter().map(|block| Block {
            id: block.id.to_string(),
            revoked: gone(&block.id),
            limits: Limits::from(&block.limits),
        });
        let blocks: Vec<Block> = blocks.collect();
        let known_owner = pass.verify(&owners).is_ok();
        let revoked = blocks.iter().any(|block| block.revoked);
        let expired = limits.expires.is_some_and(|expires| expires < now());
        context.output().result(&Shown {
            id: pass.id().to_string(),
            limits: Limits::from(&limits),
            known_owner,
            revoked,
            expired,
            usable: known_owner && !revoked && !expired,
            blocks,
        })
    }
}
