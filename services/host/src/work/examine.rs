//! Whether what a host shows can be right: everything that can be said of it without computing it again.
//!
//! Members and jurors ask the same questions in the same way, so that all honest ones come to the same end.

use freeway_api::serving::Artifact;
use freeway_ledger::lanes::{LANES, Lane};
use freeway_ledger::verification::Leaf;
use freeway_ledger::work::{Branch, Commitment, Sample};
use freeway_ledger::{Fault, Reader};
use freeway_primitives::{Address, ChainId, Digest};
use freeway_proofs::work::{RECEIPT, Receipt, VOUCHER};

/// Whether a leaf is the one that a sample hits, with its receipt.
pub(super) fn is_shown(commitment: &Commitment, sample: &Sample, leaf: &Leaf, receipt: &Receipt) -> bool {
    let covers = |before: u128| {
        let within = sample.point.checked_sub(before);
        within.is_some_and(|within| within < leaf.entry.sums.fees)
    };
    usize::from(leaf.branch) == sample.branch
        && receipt.digest() == leaf.entry.receipt
        && leaf.verify(commitment).is_some_and(|before| covers(before.fees))
}

/// Whether a leaf of a commitment, with its receipt, convicts its host by itself.
pub(super) fn convicts(
    state: &dyn Reader,
    interval: u64,
    host: &Address,
    branch: &Branch,
    leaf: &Leaf,
    receipt: &Receipt,
) -> Result<bool, Fault> {
    // Of a lane that is over nobody knows any more what it was.
    let Some(lane) = LANES.get(state, &leaf.entry.lane)? else { return Ok(false) };
    let belongs = lane.model == branch.model && lane.constraints == branch.constraints;
    Ok(!belongs
        || lane.share(host).is_none()
        || receipt.entry() != leaf.entry
        || (receipt.host, receipt.interval) != (*host, interval)
        || receipt.usage.cached > receipt.usage.prompt
        || receipt.fee != lane.prices.fee(&receipt.usage))
}

/// Whether two leaves of one branch contradict each other.
pub(super) fn contradict(first: &Leaf, second: &Leaf) -> bool {
    let (a, b) = (&first.entry, &second.entry);
    if first.branch != second.branch || first.opening.index == second.opening.index {
        return false;
    }
    let adjacent = first.opening.index.checked_add(1) == Some(second.opening.index);
    if adjacent && !a.precedes(b) {
        return true;
    }
    if a.lane != b.lane {
        return false;
    }
    let (low, high) = if a.sequence <= b.sequence { (a, b) } else { (b, a) };
    let least = low.total.0.checked_add(high.sums.fees);
    a.sequence == b.sequence || least.is_none_or(|least| least > high.total.0)
}

/// What an artifact is, once its signatures are looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shown {
    /// Not what was asked for: as good as nothing.
    Nothing,
    /// It is, and it is wrong without computing anything.
    Wrong,
    /// It is; whether it is right, computing will show.
    Plausible {
        /// The model's root.
        model: Digest,
    },
}

/// Looks at an artifact that is said to belong to a receipt.
pub(super) fn artifact(
    state: &dyn Reader,
    chain: &ChainId,
    digest: &Digest,
    artifact: &Artifact,
) -> Result<Shown, Fault> {
    let Artifact { receipt, signature, voucher, voucher_signature, .. } = artifact;
    if receipt.digest() != *digest || !artifact.belongs_together() {
        return Ok(Shown::Nothing);
    }
    let Some(lane) = LANES.get(state, &receipt.lane)? else { return Ok(Shown::Nothing) };
    let Some(share) = lane.share(&receipt.host) else { return Ok(Shown::Nothing) };
    let signed = share.key.verify(RECEIPT, chain, receipt, signature).is_ok()
        && lane.key.verify(VOUCHER, chain, voucher, voucher_signature).is_ok();
    if !signed {
        return Ok(Shown::Nothing);
    }
    let model = lane.model;
    Ok(if is_honest(&lane, artifact) { Shown::Plausible { model } } else { Shown::Wrong })
}

/// Whether usage and fee are what request, answer and prices make them. What the voucher allows is for the settlement to
/// see: a payer can sign as many for one request as it likes, and no receipt names one.
fn is_honest(lane: &Lane, artifact: &Artifact) -> bool {
    let Artifact { receipt, request, output, .. } = artifact;
    let usage = &receipt.usage;
    let tokens = output.iter().fold(0usize, |sum, choice| sum.saturating_add(choice.len()));
    request.model.0 == lane.model
        && output.len() == usize::from(request.choices)
        && usize::try_from(usage.prompt).is_ok_and(|prompt| prompt == request.prompt.len())
        && usize::try_from(usage.completion).is_ok_and(|completion| completion == tokens)
        && usage.cached <= usage.prompt
        && receipt.fee == lane.prices.fee(usage)
}
