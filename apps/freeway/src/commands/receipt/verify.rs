//! `freeway receipt verify`.

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use freeway_api::serving::Artifact;
use freeway_api::{KeptReceipt, ReceiptsView};
use freeway_engines::{Engine, Exact, ExactOptions, VerifyJob};
use freeway_models::{Library, Package, guide};
use freeway_primitives::{Address, Amount, Digest};
use freeway_proofs::work;
use serde::Serialize;

use super::{Checked, Included, Inclusion, damaged, from_file};
use crate::cli::{Context, Node};
use crate::commands::asking::WhichGateway;
use crate::commands::model::FOLDER;
use crate::hints::Problem;
use crate::output::{Page, Show};

/// Options of `freeway receipt verify`.
#[derive(Debug, Args)]
pub(super) struct Verify {
    /// The receipts' digests: 64 hexadecimal digits each.
    #[arg(value_name = "RECEIPT", required_unless_present_any = ["file", "last"])]
    digests: Vec<Digest>,

    /// Read a receipt from a file, as `freeway receipt show --json` writes it, instead of asking the gateway.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["digests", "last"])]
    file: Option<PathBuf>,

    /// The newest receipts of the gateway.
    #[arg(long, value_name = "N", conflicts_with = "digests", value_parser = clap::value_parser!(u32).range(1..=1_000))]
    last: Option<u32>,

    /// Do not compute the answer again: for whoever does not have the model.
    #[arg(long)]
    skip_execution: bool,

    /// The folder of packages [default: `models` in the directory of the network].
    #[arg(long, value_name = "DIR", env = "FREEWAY_MODELS")]
    models: Option<PathBuf>,

    #[command(flatten)]
    gateway: WhichGateway,
}

/// What was found about a receipt.
#[derive(Debug, Serialize)]
struct Found {
    #[serde(with = "freeway_api::text")]
    receipt: Digest,
    #[serde(with = "freeway_api::text")]
    host: Address,
    lane: u64,
    interval: u64,
    #[serde(with = "freeway_api::text::nfwy")]
    amount: Amount,
    /// The host signed it, for this request and output.
    signature: bool,
    /// It stands in the host's commitment: true, false, `pending`, `lapsed`, `unknown` or `forgotten`.
    included: Included,
    /// Where that commitment stands: `open`, `matured`, or why it pays nothing.
    commitment: Option<String>,
    /// Computing it again gives the same tokens and the same trace; null if that was skipped.
    reexecuted: Option<bool>,
    /// It charges what its tokens cost.
    fee: bool,
    /// Nothing speaks against it.
    valid: bool,
    /// Where the output first differs, as choice and token.
    #[serde(skip_serializing_if = "Option::is_none")]
    differs: Option<(u16, u32)>,
    notes: Vec<String>,
}

impl Show for Found {
    fn show(&self, page: &mut Page) {
        let word = |holds: bool| if holds { "holds" } else { "DOES NOT HOLD" }.to_owned();
        let place = match self.included {
            Included::Yes => "proven",
            Included::No => "NO",
            Included::Lapsed => "none: the host is paid nothing",
            Included::Pending => "not yet: the host still may commit",
            Included::Unknown => "unknown: the host does not answer",
            Included::Forgotten => "not to be told any more",
        };
        let state = self.commitment.as_ref().map(|state| format!(", {state}")).unwrap_or_default();
        let again = match (self.reexecuted, self.differs) {
            (None, _) => "skipped".to_owned(),
            (Some(true), _) => "the same tokens and trace".to_owned(),
            (Some(false), Some((choice, token))) => format!("OTHER from token {token} of choice {choice} on"),
            (Some(false), None) => "OTHER: the trace is not the same".to_owned(),
        };
        page.fields([
            ("receipt", self.receipt.to_string()),
            ("host", self.host.to_string()),
            ("signature", word(self.signature)),
            ("fee", format!("{}, {}", self.amount, if self.fee { "right" } else { "NOT RIGHT" })),
            ("in a commitment", format!("{place}{state}")),
            ("computed again", again),
            ("valid", if self.valid { "yes" } else { "NO" }.to_owned()),
        ]);
        for note in &self.notes {
            page.line(format_args!("  {note}"));
        }
    }
}

impl Verify {
    pub(super) async fn run(self, context: &Context) -> Result<(), Problem> {
        let output = context.output();
        let models = match &self.models {
            Some(folder) => folder.clone(),
            None => context.directory()?.join(FOLDER),
        };
        let mut bench = if self.skip_execution { None } else { Some(Bench::new(models)) };
        let (mut wrong, mut all) = (0_usize, 0_usize);
        if let Some(file) = &self.file {
            let node = context.connect().await?;
            let found = verify(&node, &from_file(file)?, bench.as_mut()).await?;
            (wrong, all) = (usize::from(!found.valid), 1);
            output.result(&found)?;
        } else {
            let gateway = self.gateway.gateway(context)?;
            let mut digests = self.digests;
            if let Some(last) = self.last {
                let view: ReceiptsView = gateway.get(&format!("receipts?limit={last}")).await?;
                digests.extend(view.receipts.iter().map(|receipt| receipt.digest));
            }
            let mut progress = output.progress();
            let count = digests.len();
            for digest in digests {
                progress.set(format_args!("{} of {count}", all + 1));
                let kept = gateway.receipt(&digest).await?;
                // Anew each time: what was pending may have come.
                let node = context.connect().await?;
                let found = verify(&node, &kept, bench.as_mut()).await?;
                wrong += usize::from(!found.valid);
                all += 1;
                progress.set("");
                output.result(&found)?;
                if !output.json && all < count {
                    output.raw(b"\n")?;
                }
            }
        }
        match wrong {
            0 => Ok(()),
            wrong => Err(Problem::new("invalid_receipt", format!("{wrong} of {all} receipts do not hold")).hint(
                "`freeway report RECEIPT` reports one that its host did not commit to; a wrong answer is found by \
                 the samples of verifiers",
            )),
        }
    }
}

/// All checks of one receipt.
async fn verify(node: &Node, kept: &KeptReceipt, bench: Option<&mut Bench>) -> Result<Found, Problem> {
    let Checked { artifact, lane, signature, fee, mut notes } = Checked::of(node, kept).await?;
    let place = Inclusion::of(node, &artifact.receipt, lane.as_ref()).await?;
    notes.extend(place.note);
    let again = match bench {
        Some(bench) => Some(bench.again(kept, &artifact).await?),
        None => None,
    };
    let (reexecuted, differs) = match again {
        Some(again) => (Some(again.same), again.differs),
        None => (None, None),
    };
    let placed = !matches!(place.included, Included::No | Included::Unknown);
    Ok(Found {
        receipt: kept.summary.digest,
        host: artifact.receipt.host,
        lane: artifact.receipt.lane.0,
        interval: artifact.receipt.interval,
        amount: artifact.receipt.fee,
        signature,
        included: place.included,
        commitment: place.state,
        reexecuted,
        fee,
        valid: signature && fee && placed && reexecuted != Some(false),
        differs,
        notes,
    })
}

/// Where answers are computed again: models are loaded once.
struct Bench {
    folder: PathBuf,
    engine: Arc<Exact>,
    loaded: Vec<Digest>,
}

/// What came of computing again.
struct Again {
    same: bool,
    differs: Option<(u16, u32)>,
}

impl Bench {
    fn new(folder: PathBuf) -> Self {
        Self { folder, engine: Arc::new(Exact::new(ExactOptions::default())), loaded: Vec::new() }
    }

    /// Computes an answer again and compares tokens, trace and salt.
    async fn again(&mut self, kept: &KeptReceipt, artifact: &Artifact) -> Result<Again, Problem> {
        let name = kept.root.to_string();
        if !self.loaded.contains(&kept.root) {
            let package = package(&self.folder, &kept.root)?;
            self.engine.add(&name, package).map_err(|error| Problem::told("model", error))?;
            self.loaded.push(kept.root);
        }
        let job = VerifyJob { request: Arc::new(artifact.request.clone()), output: artifact.output.clone() };
        let done = self.engine.verify(&name, job).await.map_err(|error| {
            Problem::told("not_computed", format!("the answer cannot be computed again: {}", error.message))
                .or_hint("leave that out with --skip-execution")
        })?;
        let salt = kept.salt().map_err(|error| damaged(&error))?;
        let traced = work::salted(&salt, &work::traces(&done.traces)) == artifact.receipt.trace;
        Ok(Again { same: done.differs.is_none() && traced, differs: done.differs })
    }
}

/// The package of this root: the built-in one, or one of the folder.
fn package(folder: &std::path::Path, root: &Digest) -> Result<Package, Problem> {
    let guide = guide::package();
    if guide.root().0 == *root {
        return Ok(guide);
    }
    let missing = |error: &dyn std::fmt::Display| {
        Problem::new("unknown_model", format!("the model {root} is not on this machine: {error}")).hint(
            "get its package and keep it with `freeway model add`, or leave this check out with --skip-execution",
        )
    };
    let library = Library::open(folder).map_err(|error| missing(&error))?;
    let entry = library.find(&root.to_string()).map_err(|error| missing(&error))?;
    library.load(&entry).map_err(|error| missing(&error))
}
