//! `freeway receipt verify`.

use std::path::PathBuf;

use clap::Args;
use freeway_api::KeptReceipt;
use freeway_primitives::{Address, Amount, Digest};
use freeway_requests::evidence::{Suspicion, THRESHOLD};
use serde::Serialize;

use super::checker::{Checker, Method, Outcome};
use super::which::WhichReceipts;
use super::{Checked, Included, Inclusion};
use crate::cli::{Context, Node};
use crate::commands::model::FOLDER;
use crate::commands::suspicion;
use crate::hints::Problem;
use crate::output::{Page, Show};

/// Options of `freeway receipt verify`.
#[derive(Debug, Args)]
pub(super) struct Verify {
    #[command(flatten)]
    which: WhichReceipts,

    /// Do not compute the answer again, or score it: for whoever does not have the model.
    #[arg(long)]
    skip_execution: bool,

    /// The folder of packages [default: `models` in the directory of the network].
    #[arg(long, value_name = "DIR", env = "FREEWAY_MODELS")]
    models: Option<PathBuf>,
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
    /// Computing it again gives the same tokens and the same trace; null if that was skipped, or is not possible because
    /// the model is of the statistical tier.
    reexecuted: Option<bool>,
    /// On the statistical tier: by how likely the tokens are, nothing shows that another model gave them; else null.
    scored: Option<bool>,
    /// What speaks most against the host by those of its answers that were looked at just now.
    #[serde(skip_serializing_if = "Option::is_none")]
    suspicion: Option<Against>,
    /// It charges what its tokens cost.
    fee: bool,
    /// Nothing speaks against it.
    valid: bool,
    /// Where the output first differs, as choice and token.
    #[serde(skip_serializing_if = "Option::is_none")]
    differs: Option<(u16, u32)>,
    notes: Vec<String>,
}

/// What speaks against a host.
#[derive(Clone, Copy, Debug, Serialize)]
struct Against {
    /// `surprising`, `predictable`, `missed` or `forged`.
    kind: &'static str,
    /// The same in words.
    words: &'static str,
    /// How much: at the threshold a host is suspected.
    nats: f64,
    threshold: f64,
}

impl Against {
    /// `None` if nothing does.
    fn new((suspicion, evidence): (Suspicion, u32)) -> Option<Self> {
        (evidence > 0).then(|| Self {
            kind: suspicion::name(suspicion),
            words: suspicion::words(suspicion),
            nats: f64::from(evidence) / 1e6,
            threshold: f64::from(THRESHOLD) / 1e6,
        })
    }
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
            (None, _) if self.scored.is_some() => {
                "not possible: the model is of the statistical tier".to_owned()
            }
            (None, _) => "skipped".to_owned(),
            (Some(true), _) => "the same tokens and trace".to_owned(),
            (Some(false), Some((choice, token))) => format!("OTHER from token {token} of choice {choice} on"),
            (Some(false), None) => "OTHER: the trace is not the same".to_owned(),
        };
        let likelihood = match (self.scored, self.suspicion) {
            (Some(true), Some(Against { nats, threshold, .. })) => {
                format!("as the model's own: {nats:.1} of {threshold:.0} nats speak against the host")
            }
            (Some(true), None) => "as the model's own".to_owned(),
            (Some(_), Some(against)) => format!("SUSPECT: {}, {:.1} nats", against.words, against.nats),
            _ => String::new(),
        };
        page.fields([
            ("receipt", self.receipt.to_string()),
            ("host", self.host.to_string()),
            ("signature", word(self.signature)),
            ("fee", format!("{}, {}", self.amount, if self.fee { "right" } else { "NOT RIGHT" })),
            ("in a commitment", format!("{place}{state}")),
            ("computed again", again),
            ("likelihood", likelihood),
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
        let mut checker = if self.skip_execution { None } else { Some(Checker::new(models)) };
        let mut receipts = self.which.find(context).await?;
        let count = receipts.count;
        let (mut wrong, mut all) = (0_usize, 0_usize);
        let mut progress = output.progress();
        while let Some(kept) = receipts.next().await? {
            progress.set(format_args!("{} of {count}", all + 1));
            // Anew each time: what was pending may have come.
            let node = context.connect().await?;
            let found = verify(&node, &kept, checker.as_mut()).await?;
            wrong += usize::from(!found.valid);
            all += 1;
            progress.set("");
            output.result(&found)?;
            if !output.json && all < count {
                output.raw(b"\n")?;
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
async fn verify(node: &Node, kept: &KeptReceipt, checker: Option<&mut Checker>) -> Result<Found, Problem> {
    let Checked { artifact, lane, signature, fee, mut notes } = Checked::of(node, kept).await?;
    let place = Inclusion::of(node, &artifact.receipt, lane.as_ref()).await?;
    notes.extend(place.note);
    let looked = match checker {
        Some(checker) => {
            let method = Method::of(node, &kept.root).await?;
            Some(checker.look(kept, &artifact, method).await?)
        }
        None => None,
    };
    let (reexecuted, differs, scored, suspicion) = match looked {
        None => (None, None, None, None),
        Some(Outcome::Again { same, differs }) => (Some(same), differs, None, None),
        Some(outcome @ Outcome::Scored { strongest }) => {
            (None, None, Some(outcome.holds()), Against::new(strongest))
        }
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
        scored,
        suspicion,
        fee,
        valid: signature && fee && placed && looked.is_none_or(Outcome::holds),
        differs,
        notes,
    })
}
