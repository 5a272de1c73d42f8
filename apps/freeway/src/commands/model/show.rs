//! `freeway model show`.

use std::path::{Path, PathBuf};

use clap::Args;
use freeway_models::{Package, guide};
use serde::Serialize;

use super::{Line, library, progress};
use crate::hints::Problem;
use crate::output::{Output, Page, Show};

/// Options of `freeway model show`.
#[derive(Debug, Args)]
pub(super) struct ShowModel {
    /// A name, the first digits of a root, or a file.
    model: String,

    /// Compute the root again, look at every weight, and prove that nothing overflows.
    #[arg(long)]
    verify: bool,
}

#[derive(Debug, Serialize)]
struct Shown {
    #[serde(flatten)]
    line: Line,
    width: u32,
    layers: u32,
    heads: u32,
    kv_heads: u32,
    head: u32,
    hidden: u32,
    vocabulary: u32,
    tied: bool,
    chat_template: bool,
    licence: Option<String>,
    verified: Option<bool>,
}

impl Show for Shown {
    fn show(&self, page: &mut Page) {
        self.line.fields(page);
        page.fields([
            ("layers", format!("{} of width {}, hidden {}", self.layers, self.width, self.hidden)),
            ("heads", format!("{} of {}, {} for keys and values", self.heads, self.head, self.kv_heads)),
            ("vocabulary", format!("{}{}", self.vocabulary, if self.tied { ", tied" } else { "" })),
            (
                "template",
                if self.chat_template { "yes".into() } else { "none: chats get a plain one".into() },
            ),
            ("licence", self.licence.clone().unwrap_or_default()),
            ("verified", self.verified.map(|_| "root and weights are right".to_owned()).unwrap_or_default()),
        ]);
    }
}

impl ShowModel {
    pub(super) fn run(self, folder: &Path, output: Output) -> Result<(), Problem> {
        let (package, built_in) = find(&self.model, folder)?;
        if self.verify {
            package.verify(&mut progress(output)).map_err(|error| {
                Problem::told("damaged_model", error)
                    .or_hint("remove it, and get it again from where it came")
            })?;
        }
        let config = package.config();
        output.result(&Shown {
            width: config.width,
            layers: config.layers,
            heads: config.heads,
            kv_heads: config.kv_heads,
            head: config.head,
            hidden: config.hidden,
            vocabulary: config.vocabulary,
            tied: config.tied,
            chat_template: package.chat_template().is_some(),
            licence: package.licence().map(|text| text.lines().next().unwrap_or_default().to_owned()),
            verified: self.verify.then_some(true),
            line: Line::of(&package, built_in),
        })
    }
}

/// The package that is meant, and whether it is built in.
fn find(model: &str, folder: &Path) -> Result<(Package, bool), Problem> {
    let guide = guide::package();
    if model == guide.name() || (model.len() >= 6 && guide.root().to_string().starts_with(model)) {
        return Ok((guide, true));
    }
    let file = PathBuf::from(model);
    if file.is_file() {
        let package = Package::open(&file).map_err(|error| Problem::told("damaged_model", error))?;
        return Ok((package, false));
    }
    let missing = || {
        Problem::new("unknown_model", format!("there is no model {model:?} here"))
            .hint("`freeway model list` shows those of this machine; `freeway model pack` makes one")
    };
    if !folder.exists() {
        return Err(missing());
    }
    let library = library(folder)?;
    let entry = library.find(model).map_err(|error| Problem::told("unknown_model", error))?;
    let package = library.package(&entry).map_err(|error| Problem::told("damaged_model", error))?;
    Ok((package, false))
}
