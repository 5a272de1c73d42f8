//! `freeway model remove`.

use std::path::Path;

use clap::Args;
use serde::Serialize;

use super::library;
use crate::hints::Problem;
use crate::output::{Output, Page, Show};

/// Options of `freeway model remove`.
#[derive(Debug, Args)]
pub(super) struct Remove {
    /// A name, or the first digits of a root.
    model: String,
}

#[derive(Debug, Serialize)]
struct Removed {
    removed: String,
    root: String,
}

impl Show for Removed {
    fn show(&self, page: &mut Page) {
        page.fields([("removed", self.removed.clone()), ("root", self.root.clone())]);
    }
}

impl Remove {
    pub(super) fn run(self, folder: &Path, output: Output) -> Result<(), Problem> {
        if self.model == "guide" {
            return Err(Problem::new("built_in", "the guide is part of the program and cannot be removed")
                .hint("leave it out of gateway.serve in a node's configuration to serve other models only"));
        }
        let unknown = |error| {
            Problem::told("unknown_model", error).or_hint("`freeway model list` shows those of this machine")
        };
        let library = library(folder)?;
        let entry = library.find(&self.model).map_err(unknown)?;
        library.remove(&entry).map_err(|error| Problem::told("models", error))?;
        output.result(&Removed { removed: entry.name.clone(), root: entry.root.to_string() })
    }
}
