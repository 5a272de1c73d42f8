//! `freeway pass show`.

use std::path::PathBuf;

use clap::Args;
use freeway_gateway::{PassBlock, PassId, Spent};
use freeway_primitives::Amount;
use serde::Serialize;

use super::terms::{Limits, now};
use super::{Folder, folder_problem, read};
use crate::cli::Context;
use crate::commands::gateway::local;
use crate::hints::Problem;
use crate::output::{Page, Show};

#[derive(Debug, Args)]
pub(super) struct ShowPass {
    /// The pass, or `-` to read it from stdin.
    #[arg(value_name = "PASS")]
    pass: String,

    /// The folder in which the gateway keeps what passes have spent [default: that of the network's gateway].
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,

    #[command(flatten)]
    folder: Folder,
}

/// A block of a pass.
#[derive(Debug, Serialize)]
struct Block {
    id: String,
    revoked: bool,
    limits: Limits,
    /// What it and all that was narrowed from it have spent; null if that is not known here.
    #[serde(with = "freeway_api::text::option")]
    spent: Option<Amount>,
}

/// A pass without its secret.
#[derive(Debug, Serialize)]
struct Shown {
    id: String,
    /// What holds in the end.
    limits: Limits,
    /// What it and all that was narrowed from it have spent; null without books of a gateway, or if the pass has no
    /// budget of its own.
    #[serde(with = "freeway_api::text::option")]
    spent: Option<Amount>,
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
        let spent = [("spent", self.spent.map(|spent| spent.to_string()).unwrap_or_default())];
        page.fields(head.into_iter().chain(self.limits.fields()).chain(spent));
        page.gap();
        for (index, block) in self.blocks.iter().enumerate() {
            let revoked = if block.revoked { " (revoked)" } else { "" };
            page.line(format_args!("block {index}  {}{revoked}", block.id));
            let spent = block.spent.map(|spent| format!("; spent {spent}")).unwrap_or_default();
            page.line(format_args!("         {}{spent}", block.limits.line()));
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
        let data = match self.data {
            Some(data) => data,
            None => local::books(context)?,
        };
        let books = Spent::read(&data).map_err(|error| Problem::told("books", error))?;
        // Only what has a budget is booked.
        let spent = |block: &PassBlock| {
            books.as_ref().filter(|_| block.limits.budget.is_some()).map(|books| books.of(&block.id))
        };
        let blocks = pass.blocks().iter().map(|block| Block {
            id: block.id.to_string(),
            revoked: gone(&block.id),
            limits: Limits::from(&block.limits),
            spent: spent(block),
        });
        let blocks: Vec<Block> = blocks.collect();
        let known_owner = pass.verify(&owners).is_ok();
        let revoked = blocks.iter().any(|block| block.revoked);
        let expired = limits.expires.is_some_and(|expires| expires < now());
        context.output().result(&Shown {
            id: pass.id().to_string(),
            limits: Limits::from(&limits),
            spent: pass.blocks().last().and_then(spent),
            known_owner,
            revoked,
            expired,
            usable: known_owner && !revoked && !expired,
            blocks,
        })
    }
}
