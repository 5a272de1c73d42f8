//! Whether a receipt stands in what its host has committed to.
//!
//! ```text
//! receipt ──digest──► leaf ──path──► root of a tree ──in the commitment──► state, which validators have signed
//! ```

use freeway_api::serving::LeafShown;
use freeway_ledger::lanes::Lane;
use freeway_ledger::work::{self, Branch, COMMITS, State};
use freeway_primitives::{Canonical, Height};
use freeway_proofs::work::Receipt;
use serde::{Serialize, Serializer};

use crate::cli::Node;
use crate::commands::asking;
use crate::hints::Problem;

/// Whether it is included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::commands) enum Included {
    /// It is, by proof.
    Yes,
    /// The host has committed to other work of that interval, and does not show it there: it can be reported.
    No,
    /// The host did not commit to anything of that interval, so it is paid nothing for it.
    Lapsed,
    /// The host has not committed yet and still may.
    Pending,
    /// The host has committed, and cannot be asked where.
    Unknown,
    /// Too long ago: the network keeps commitments for some time only.
    Forgotten,
}

impl Serialize for Included {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Yes => serializer.serialize_bool(true),
            Self::No => serializer.serialize_bool(false),
            Self::Lapsed => serializer.serialize_str("lapsed"),
            Self::Pending => serializer.serialize_str("pending"),
            Self::Unknown => serializer.serialize_str("unknown"),
            Self::Forgotten => serializer.serialize_str("forgotten"),
        }
    }
}

/// What is known of a receipt's place.
#[derive(Clone, Debug)]
pub(in crate::commands) struct Inclusion {
    pub(in crate::commands) included: Included,
    /// Where the commitment stands, if there is one.
    pub(in crate::commands) state: Option<String>,
    /// Why it is not included, or not known to be.
    pub(in crate::commands) note: Option<String>,
}

impl Inclusion {
    fn without(included: Included, note: impl Into<String>) -> Self {
        Self { included, state: None, note: Some(note.into()) }
    }

    /// Looks a receipt up. `lane` is its lane, if that is not over.
    ///
    /// # Errors
    /// If the node does not answer, or lies.
    pub(in crate::commands) async fn of(
        node: &Node,
        receipt: &Receipt,
        lane: Option<&Lane>,
    ) -> Result<Self, Problem> {
        let params = node.client().parameters().await?.work;
        let last = work::last_commit(receipt.interval, &params);
        let proven = node.proven(&COMMITS, &(receipt.interval, receipt.host)).await?;
        let Some(commitment) = proven.value else {
            let height = Height(proven.height);
            if height < last {
                return Ok(Self::without(
                    Included::Pending,
                    format!("the host may commit until height {last}; this is {height}"),
                ));
            }
            let now = work::interval_at(height, &params);
            return Ok(if now.saturating_sub(receipt.interval) >= params.keep_intervals {
                Self::without(Included::Forgotten, "commitments so old are not kept on the chain")
            } else {
                Self::without(
                    Included::Lapsed,
                    "the host did not commit to its work of that interval: it is paid nothing for it",
                )
            });
        };
        let state = Some(state(&commitment.state));
        let endpoints = node.host(&receipt.host).await?.endpoints;
        let path = format!("/v1/work/{}/leaves/{}/{}", receipt.interval, receipt.lane.0, receipt.sequence);
        let mut notes = Vec::new();
        let mut answered = false;
        for endpoint in endpoints.iter().take(freeway_ledger::hosts::MAX_ENDPOINTS) {
            let url = format!("{}{path}", endpoint.trim_end_matches('/'));
            let shown = match asking::fetch(&url, LeafShown::MAX_BYTES).await {
                Ok(Some(bytes)) => {
                    answered = true;
                    LeafShown::decode(&bytes)
                }
                Ok(None) => {
                    answered = true;
                    notes.push("the host shows no leaf for it".to_owned());
                    continue;
                }
                Err(problem) => {
                    notes.push(problem.message().to_owned());
                    continue;
                }
            };
            let Ok(LeafShown { leaf, .. }) = shown else {
                notes.push("what the host shows is no leaf".to_owned());
                continue;
            };
            if leaf.entry != receipt.entry() {
                notes.push("the leaf that the host shows is for something else".to_owned());
                continue;
            }
            if leaf.verify(&commitment).is_none() {
                notes.push("the leaf that the host shows is not in its commitment".to_owned());
                continue;
            }
            let branch = commitment.branches.get(usize::from(leaf.branch));
            if let (Some(lane), Some(branch)) = (lane, branch)
                && !belongs(lane, branch)
            {
                notes.push("it stands in a tree for lanes of another kind".to_owned());
                continue;
            }
            return Ok(Self { included: Included::Yes, state, note: None });
        }
        let note = if notes.is_empty() { "the host names no address".to_owned() } else { notes.join("; ") };
        let included = if answered { Included::No } else { Included::Unknown };
        Ok(Self { included, state, note: Some(note) })
    }
}

/// Whether a lane's receipts belong into this tree.
fn belongs(lane: &Lane, branch: &Branch) -> bool {
    lane.model == branch.model && lane.constraints == branch.constraints
}

/// Where a commitment stands, in a word.
fn state(state: &State) -> String {
    state.name().to_owned()
}
