//! Whether what a host shows can be right: everything that can be said of it without computing it again.
//!
//! Members and jurors ask the same questions in the same way, so that all honest ones come to the same end.

use freeway_api::serving::Artifact;
use freeway_ledger::lanes::{LANES, Lane, probe};
use freeway_ledger::models::{self, Model, Tier};
use freeway_ledger::verification::Leaf;
use freeway_ledger::work::{Branch, Commitment, Sample};
use freeway_ledger::{Fault, Reader};
use freeway_primitives::{Address, ChainId, Digest};
use freeway_proofs::work::{RECEIPT, Receipt, VOUCHER};
use freeway_requests::TokenRequest;

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
        /// How it can be checked.
        tier: Tier,
    },
}

/// Looks at an artifact that is said to belong to a receipt: from a host that was asked, or from the own shelf.
pub(super) fn artifact(
    state: &dyn Reader,
    chain: &ChainId,
    digest: &Digest,
    artifact: &Artifact,
    from: Option<Address>,
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
    let (model, tier) = (lane.model, lane.tier);
    let plausible = Shown::Plausible { model, tier };
    if !is_honest(&lane, artifact) || !is_asked(state, &lane, artifact)? {
        return Ok(Shown::Wrong);
    }
    match tier {
        // Claims have no meaning there. They belong to the trace that the host signed, so what is computed shows that it
        // is no trace of the work: to take them for nothing would let a host off that has to answer for it.
        Tier::Exact => Ok(plausible),
        // Nobody signs for it that claims are there: another than the host may have taken them away.
        Tier::Statistical if artifact.claims.is_none() => {
            let is_host = from.is_none_or(|from| from == receipt.host);
            Ok(if is_host { Shown::Wrong } else { Shown::Nothing })
        }
        Tier::Statistical => {
            let known = models::model(state, &model)?;
            Ok(if known.is_none_or(|known| is_whole(&known, artifact)) { plausible } else { Shown::Wrong })
        }
    }
}

/// Whether a model can be asked this, and each choice fits its context and ends where it may: what cannot be computed again must be looked at
/// for that.
fn is_whole(model: &Model, artifact: &Artifact) -> bool {
    let Artifact { request, output, .. } = artifact;
    let ends = |tokens: &Vec<u32>| ends(request, tokens, model.context);
    let most = (model.context as usize).saturating_add(1).saturating_sub(request.prompt.len());
    let is_known = |token: &u32| *token < model.vocabulary;
    request.validate(model.vocabulary).is_ok()
        && output.iter().all(|tokens| tokens.len() <= most && ends(tokens))
        && output.iter().flatten().all(is_known)
}

/// Whether a choice ends where it may: with a stop token or at the limit, of the request or of the context. What ends a
/// grammar cannot be seen from here.
pub(crate) fn ends(request: &TokenRequest, tokens: &[u32], context: u32) -> bool {
    let Some((last, before)) = tokens.split_last() else { return request.grammar.is_some() };
    let most = request.max_tokens as usize;
    // The last token of a context may stand in it or behind it.
    let is_full = || request.prompt.len().saturating_add(tokens.len()).saturating_add(1) >= context as usize;
    let is_ended =
        request.stop.contains(last) || tokens.len() == most || request.grammar.is_some() || is_full();
    is_ended && tokens.len() <= most && !before.iter().any(|token| request.stop.contains(token))
}

/// Whether the network asked for it, in a lane of its own: everybody can sign vouchers there.
fn is_asked(state: &dyn Reader, lane: &Lane, artifact: &Artifact) -> Result<bool, Fault> {
    let Receipt { lane: id, sequence, host, .. } = &artifact.receipt;
    Ok(probe::probes(state, *id, lane)?.is_none_or(|probes| {
        let asked = || probe::request(&probes.value, &lane.model, probes.vocabulary, host, *sequence);
        *sequence < probes.most && artifact.request == asked()
    }))
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
