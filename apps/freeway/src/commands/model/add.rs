//! `freeway model add`.

use std::path::{Path, PathBuf};

use clap::Args;
use serde::Serialize;

use super::{Line, library, progress};
use crate::hints::Problem;
use crate::output::{Output, Page, Show};

/// Options of `freeway model add`.
#[derive(Debug, Args)]
pub(super) struct Add {
    /// The package.
    file: PathBuf,
}

#[derive(Debug, Serialize)]
struct Added {
    #[serde(flatten)]
    line: Line,
}

impl Show for Added {
    fn show(&self, page: &mut Page) {
        self.line.fields(page);
    }
}

impl Add {
    pub(super) fn run(self, folder: &Path, output: Output) -> Result<(), Problem> {
        let added = library(folder)?.add(&self.file, &mut progress(output)).map_err(|error| {
            Problem::told("damaged_model", error).or_hint("make a package with `freeway model pack`")
        })?;
        output.result(&Added { line: Line::from(&added) })
    }
}
