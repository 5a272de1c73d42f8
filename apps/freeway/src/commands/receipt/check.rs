//! What can be said of a receipt without computing anything: signatures, digests, price.

use freeway_api::KeptReceipt;
use freeway_api::serving::Artifact;
use freeway_ledger::lanes::{LANES, Lane};
use freeway_primitives::PublicKey;
use freeway_proofs::work::{self, Prices, Receipt};

use super::damaged;
use crate::cli::Node;
use crate::hints::Problem;

/// How many blocks a lane is waited for that the node knows and cannot prove yet.
const PATIENCE_BLOCKS: usize = 8;

/// A receipt whose words were held against the chain.
#[derive(Clone, Debug)]
pub(in crate::commands) struct Checked {
    pub(in crate::commands) artifact: Artifact,
    /// Its lane, with proof, if that is not over.
    pub(in crate::commands) lane: Option<Lane>,
    /// Whether the host has signed it, and the request and output are those that it names.
    pub(in crate::commands) signature: bool,
    /// Whether its usage is that of request and output, and its fee what these cost by the lane's prices.
    pub(in crate::commands) fee: bool,
    /// What else is to be said.
    pub(in crate::commands) notes: Vec<String>,
}

impl Checked {
    /// Checks a receipt.
    ///
    /// # Errors
    /// If it is of another network or damaged, or the node does not answer or lies.
    pub(in crate::commands) async fn of(node: &Node, kept: &KeptReceipt) -> Result<Self, Problem> {
        node.require_chain(&kept.chain).map_err(|problem| {
            problem.hint("the receipt is of another network: name one of its nodes with --rpc")
        })?;
        let artifact = kept.artifact().map_err(|error| damaged(&error))?;
        let receipt = &artifact.receipt;
        let lane = lane_of(node, receipt).await?;
        let mut notes = Vec::new();
        let (key, prices) = match lane.as_ref().and_then(|lane| Some((lane, lane.share(&receipt.host)?))) {
            Some((lane, share)) => (Some(share.key), lane.prices),
            None if lane.is_some() => {
                notes.push("the host has no share of that lane".to_owned());
                (None, (&kept.prices).into())
            }
            None => {
                notes.push("its lane is over, so its prices are those that the gateway remembers".to_owned());
                (host_key(node, kept, &mut notes).await, (&kept.prices).into())
            }
        };
        if lane.as_ref().is_some_and(|lane| lane.model != kept.root) {
            notes.push("its lane is for another model".to_owned());
        }
        let right_model =
            lane.as_ref().is_none_or(|lane| lane.model == kept.root) && artifact.request.model.0 == kept.root;
        let signed = key
            .is_some_and(|key| key.verify(work::RECEIPT, &kept.chain, receipt, &artifact.signature).is_ok());
        if key.is_some() && !signed {
            notes.push("the host's signature does not hold".to_owned());
        }
        let together = artifact.belongs_together();
        if !together {
            notes.push("request, output and voucher are not those of the receipt".to_owned());
        }
        let fee = usage_is_right(&artifact) && prices.fee(&receipt.usage) == receipt.fee && covers(receipt);
        if !fee {
            notes.push(charged(&prices, receipt));
        }
        Ok(Self { signature: signed && together && right_model, fee, artifact, lane, notes })
    }
}

/// The lane of a receipt, with proof; `None` if it is over. What is proven is a block or two behind what the node
/// knows: a lane that was drawn just now is waited for.
async fn lane_of(node: &Node, receipt: &Receipt) -> Result<Option<Lane>, Problem> {
    let known = match node.client().lane(receipt.lane.0).await {
        Ok(lane) => lane.share(&receipt.host).is_some(),
        Err(error) if error.is_not_found() => false,
        Err(error) => return Err(error.into()),
    };
    let mut blocks = node.blocks(node.status.height).await?;
    for _ in 0..PATIENCE_BLOCKS {
        let lane = node.proven(&LANES, &receipt.lane).await?.value;
        let proven = lane.as_ref().is_some_and(|lane| lane.share(&receipt.host).is_some());
        if proven || !known || blocks.next().await.is_none() {
            return Ok(lane);
        }
    }
    Ok(node.proven(&LANES, &receipt.lane).await?.value)
}

/// The key of a host whose lane is over, if it still is what the gateway remembers.
async fn host_key(node: &Node, kept: &KeptReceipt, notes: &mut Vec<String>) -> Option<PublicKey> {
    let host = node.host(&kept.summary.host).await.ok()?;
    if host.consensus_key == kept.key {
        return Some(kept.key);
    }
    notes.push("the host has another key by now, so its old signature cannot be checked".to_owned());
    None
}

/// Whether the tokens that are charged are those of request and output.
fn usage_is_right(artifact: &Artifact) -> bool {
    let usage = &artifact.receipt.usage;
    let generated: usize = artifact.output.iter().map(Vec::len).sum();
    usage.prompt as usize == artifact.request.prompt.len()
        && usage.cached <= usage.prompt
        && usage.completion as usize == generated
}

fn covers(receipt: &Receipt) -> bool {
    receipt.total >= receipt.fee
}

fn charged(prices: &Prices, receipt: &Receipt) -> String {
    format!("it charges {}; its tokens cost {}", receipt.fee, prices.fee(&receipt.usage))
}
