//! `freeway model pack`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::{Args, ValueEnum};
use freeway_inference::quality;
use freeway_inference::{Model, ModelOptions};
use freeway_models::{Group, PackOptions, Package, Source, pack};
use serde::Serialize;
use tokenizers::Tokenizer;

use super::{Line, TEXT, progress};
use crate::files::read_bounded;
use crate::hints::Problem;
use crate::output::{Output, Page, Show};

/// Largest text for a report.
const MAX_TEXT_BYTES: u64 = 16 << 20;

/// Options of `freeway model pack`.
#[derive(Debug, Args)]
pub(super) struct Pack {
    /// A Hugging Face folder (config.json, safetensors, tokenizer.json), or a GGUF file with Q8_0 weights.
    source: PathBuf,

    /// The name by which it is served [default: that of the folder or file].
    #[arg(long)]
    name: Option<String>,

    /// How many weights share a scale: fewer are more accurate and slower.
    #[arg(long, value_enum, default_value_t = Scales::G32)]
    group: Scales,

    /// The tokenizer.json, where the source has none.
    #[arg(long, value_name = "FILE")]
    tokenizer: Option<PathBuf>,

    /// Write the package there instead of into the folder of packages.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,

    /// The text on which the package is compared with the float model [default: a page of English].
    #[arg(long, value_name = "FILE")]
    text: Option<PathBuf>,

    /// Tokens of the text that are compared; 0 makes no report.
    #[arg(long, value_name = "N", default_value_t = 512, value_parser = clap::value_parser!(u32).range(0..=65_536))]
    report_tokens: u32,
}

/// How many weights share a scale.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Scales {
    #[value(name = "32")]
    G32,
    #[value(name = "64")]
    G64,
    #[value(name = "128")]
    G128,
    #[value(name = "whole")]
    Whole,
}

impl From<Scales> for Group {
    fn from(scales: Scales) -> Self {
        match scales {
            Scales::G32 => Self::G32,
            Scales::G64 => Self::G64,
            Scales::G128 => Self::G128,
            Scales::Whole => Self::Whole,
        }
    }
}

#[derive(Debug, Serialize)]
struct Packed {
    #[serde(flatten)]
    line: Line,
    path: PathBuf,
    notes: Vec<String>,
    report: Option<Report>,
}

/// The package beside the float model.
#[derive(Debug, Serialize)]
struct Report {
    tokens: usize,
    perplexity_float: f64,
    perplexity_exact: f64,
    difference_percent: f64,
    top1_agreement_percent: f64,
}

impl Show for Packed {
    fn show(&self, page: &mut Page) {
        self.line.fields(page);
        page.fields([("file", self.path.display().to_string())]);
        if let Some(report) = &self.report {
            page.gap();
            page.fields([
                ("compared on", format!("{} tokens", report.tokens)),
                (
                    "perplexity",
                    format!(
                        "{:.4}, float {:.4} ({:+.3} %)",
                        report.perplexity_exact, report.perplexity_float, report.difference_percent
                    ),
                ),
                ("same first", format!("{:.2} % of tokens", report.top1_agreement_percent)),
            ]);
        }
        for note in &self.notes {
            page.line(note);
        }
    }
}

impl Pack {
    pub(super) fn run(self, folder: &Path, output: Output) -> Result<(), Problem> {
        let text = match &self.text {
            Some(path) => String::from_utf8(read_bounded(path, MAX_TEXT_BYTES)?)
                .map_err(|_| Problem::file("read", path, "it is not UTF-8"))?,
            None => TEXT.to_owned(),
        };
        if self.out.is_none() {
            std::fs::create_dir_all(folder).map_err(|error| Problem::file("make", folder, error))?;
        }
        let options = PackOptions {
            name: self.name,
            group: self.group.into(),
            tokenizer: self.tokenizer,
            output: Some(self.out.unwrap_or_else(|| folder.to_owned())),
        };
        let packed = pack(&self.source, &options, &mut progress(output)).map_err(|error| {
            Problem::told("cannot_pack", error)
                .or_hint("see `freeway model pack --help` for what can be packed")
        })?;
        let package = Package::open_known(&packed.path, packed.root)
            .map_err(|error| Problem::told("damaged_model", error))?;
        let report = match self.report_tokens {
            0 => None,
            tokens => Some(report(&self.source, &package, &text, tokens as usize, output)?),
        };
        output.result(&Packed {
            line: Line::of(&package, false),
            path: packed.path,
            notes: packed.notes,
            report,
        })
    }
}

fn report(
    source: &Path,
    package: &Package,
    text: &str,
    limit: usize,
    output: Output,
) -> Result<Report, Problem> {
    let failed = |error: &dyn std::fmt::Display| {
        Problem::told("no_report", format!("the package is made, but not compared: {error}"))
            .or_hint("leave the report out with --report-tokens 0")
    };
    let mut line = output.progress();
    line.set("comparing with the float model");
    let tokenizer = Tokenizer::from_bytes(package.tokenizer_json()).map_err(|error| failed(&error))?;
    let mut tokens = tokenizer.encode(text, true).map_err(|error| failed(&error))?.get_ids().to_vec();
    tokens.truncate(limit.min(package.config().context()));
    let model = Model::load(package.clone(), &ModelOptions::default()).map_err(|error| failed(&error))?;
    let source = Source::open(source).map_err(|error| failed(&error))?;
    let report = quality::report(&source, &Arc::new(model), &tokens).map_err(|error| failed(&error))?;
    Ok(Report {
        tokens: report.tokens,
        perplexity_float: report.perplexity_float,
        perplexity_exact: report.perplexity_exact,
        difference_percent: (report.perplexity_exact / report.perplexity_float - 1.0) * 100.0,
        top1_agreement_percent: report.top1_agreement * 100.0,
    })
}
