//! `freeway model list`.

use std::path::Path;

use clap::Args;
use freeway_models::guide;
use serde::Serialize;

use super::{Line, count, library, mib};
use crate::hints::Problem;
use crate::output::{Column, Output, Page, Show};

/// Options of `freeway model list`.
#[derive(Debug, Args)]
pub(super) struct List {
    /// The models of the network instead, and what they cost.
    #[arg(long)]
    pub(super) chain: bool,
}

#[derive(Debug, Serialize)]
struct Models {
    models: Vec<Line>,
}

impl Show for Models {
    fn show(&self, page: &mut Page) {
        let columns = [
            Column::left("NAME"),
            Column::left("ROOT"),
            Column::left("FAMILY"),
            Column::right("PARAMETERS"),
            Column::right("CONTEXT"),
            Column::right("SIZE"),
        ];
        let rows = self.models.iter().map(|model| {
            vec![
                model.name.clone(),
                model.root[..12].to_owned(),
                model.family.clone(),
                count(model.parameters),
                model.context.to_string(),
                mib(model.bytes),
            ]
        });
        page.table(&columns, rows);
    }
}

impl List {
    pub(super) fn run(self, folder: &Path, output: Output) -> Result<(), Problem> {
        let mut models = vec![Line::of(&guide::package(), true)];
        if folder.exists() {
            let listing = library(folder)?.list().map_err(|error| Problem::told("models", error))?;
            models.extend(listing.entries.iter().map(Line::from));
            for (path, error) in listing.damaged {
                let damaged = Problem::told("damaged_model", format!("{}: {error}", path.display()));
                output.note(damaged.or_hint("remove it, and get it again from where it came"));
            }
        }
        output.result(&Models { models })
    }
}
