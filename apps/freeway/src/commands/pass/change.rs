//! `freeway pass revoke` and `freeway pass key`.

use clap::Args;
use freeway_gateway::{PASS_PREFIX, PassId};
use serde::Serialize;

use super::{Folder, folder_problem, read};
use crate::cli::Context;
use crate::hints::Problem;
use crate::output::{Page, Show};

#[derive(Debug, Args)]
pub(super) struct Revoke {
    /// The pass, the id of one of its blocks, or `-` to read the pass from stdin.
    #[arg(value_name = "PASS|ID")]
    pass: String,

    /// Why, for people.
    #[arg(long, value_name = "TEXT", default_value = "")]
    note: String,

    #[command(flatten)]
    folder: Folder,
}

/// What was revoked.
#[derive(Debug, Serialize)]
struct Revoked {
    id: String,
    /// Whether it had been before.
    already: bool,
}

impl Show for Revoked {
    fn show(&self, page: &mut Page) {
        let how = if self.already {
            "was revoked already"
        } else {
            "is revoked, with all that was narrowed from it"
        };
        page.line(format_args!("{} {how}", self.id));
    }
}

impl Revoke {
    pub(super) fn run(self, context: &Context) -> Result<(), Problem> {
        let folder = self.folder.open(context)?;
        let id: PassId = match self.pass.starts_with(PASS_PREFIX) || self.pass == "-" {
            true => read(&self.pass)?.id(),
            false => self.pass.parse().map_err(|error| Problem::told("invalid_pass", error))?,
        };
        let revoked = folder.revoke(id, &self.note).map_err(folder_problem)?;
        context.output().result(&Revoked { id: id.to_string(), already: !revoked })
    }
}

#[derive(Debug, Args)]
pub(super) struct OwnKey {
    #[command(flatten)]
    folder: Folder,
}

/// The owner's key without its secret.
#[derive(Debug, Serialize)]
struct Owner {
    public_key: String,
    folder: String,
    made: bool,
}

impl Show for Owner {
    fn show(&self, page: &mut Page) {
        page.fields([("public key", self.public_key.clone()), ("folder", self.folder.clone())]);
        if self.made {
            page.line("The key is new. Gateways take its passes once gateway.passes names the folder.");
        }
    }
}

impl OwnKey {
    pub(super) fn run(self, context: &Context) -> Result<(), Problem> {
        let folder = self.folder.open(context)?;
        let (key, made) = folder.owner().map_err(folder_problem)?;
        let public_key = key.public().to_string();
        context.output().result(&Owner { public_key, folder: folder.path().display().to_string(), made })
    }
}
