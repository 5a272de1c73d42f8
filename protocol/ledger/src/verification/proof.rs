//! What convicts by itself: things that no honest host signs or commits to.

use freeway_primitives::Address;
use freeway_proofs::work::{Entry, Receipt};

use super::answer::signed_lane;
use super::{Failure, Leaf, Proof, Signed, fail, fate};
use crate::context::Context;
use crate::error::Error;
use crate::hosts::{HOSTS, Status};
use crate::lanes::{LANES, Lane};
use crate::work::{self, Branch, COMMITS, Commitment, STANDING, State, Void};

pub(super) fn prove(context: &mut Context<'_, '_>, proof: &Proof) -> Result<(), Error> {
    let (host, interval, holds) = match proof {
        Proof::Receipts { first, second } => {
            let (host, interval) = (first.receipt.host, first.receipt.interval);
            (host, interval, receipts(context, first, second)?)
        }
        Proof::Leaf { interval, host, leaf, receipt } => {
            (*host, *interval, wrong_leaf(context, *interval, host, leaf, receipt.as_ref())?)
        }
        Proof::Leaves { host, interval, first, later, second } => {
            (*host, *later, wrong_leaves(context, host, (*interval, first), (*later, second))?)
        }
    };
    if !holds {
        return fail(Failure::NoProof);
    }
    match HOSTS.get(context.state, &host)? {
        None => return fail(Failure::NoProof),
        Some(host) if host.status == Status::Removed => return fail(Failure::AlreadyConvicted),
        Some(_) => {}
    }
    let finder = context.caller;
    fate::convict(context, interval, &host, true, Some(finder))?;
    Ok(())
}

/// Whether a host signed two receipts for one request.
fn receipts(context: &Context<'_, '_>, first: &Signed, second: &Signed) -> Result<bool, Error> {
    let (a, b) = (&first.receipt, &second.receipt);
    if (a.host, a.lane, a.sequence) != (b.host, b.lane, b.sequence) || a == b {
        return Ok(false);
    }
    let (Some(lane), Some(_)) = (signed_lane(context, first)?, signed_lane(context, second)?) else {
        return Ok(false);
    };
    // Shares that it had when it was convicted are lost already; what it signed for them was covered.
    let standing = STANDING.get(context.state, &a.host)?.unwrap_or_default();
    let drawn = lane.share(&a.host).map(|share| share.drawn);
    if standing.convicted.is_some_and(|convicted| drawn.is_some_and(|drawn| drawn <= convicted)) {
        return fail(Failure::AlreadyConvicted);
    }
    Ok(true)
}

/// A commitment for which its host has not been convicted yet.
fn chargeable(context: &Context<'_, '_>, interval: u64, host: &Address) -> Result<Commitment, Error> {
    let host = *host;
    let Some(commitment) = COMMITS.get(context.state, &(interval, host))? else {
        return fail(Failure::NotCommitted { host, interval });
    };
    let standing = STANDING.get(context.state, &host)?.unwrap_or_default();
    let committed = work::last_commit(interval, &context.params.work);
    if matches!(commitment.state, State::Convicted | State::Void(Void::Forfeited))
        || standing.convicted.is_some_and(|convicted| convicted >= committed)
    {
        return fail(Failure::AlreadyConvicted);
    }
    Ok(commitment)
}

/// Whether a leaf contradicts its receipt, the prices of its lane, or the tree that it stands in.
fn wrong_leaf(
    context: &Context<'_, '_>,
    interval: u64,
    host: &Address,
    leaf: &Leaf,
    receipt: Option<&Receipt>,
) -> Result<bool, Error> {
    let commitment = chargeable(context, interval, host)?;
    let branch = commitment.branches.get(usize::from(leaf.branch));
    let (Some(_), Some(branch)) = (leaf.verify(&commitment), branch) else { return Ok(false) };
    // Of a lane that is over nobody knows any more what it was.
    let Some(lane) = LANES.get(context.state, &leaf.entry.lane)? else { return Ok(false) };
    if !belongs(&lane, branch) || lane.share(host).is_none() {
        return Ok(true);
    }
    let Some(receipt) = receipt.filter(|receipt| receipt.digest() == leaf.entry.receipt) else {
        return Ok(false);
    };
    Ok(receipt.entry() != leaf.entry
        || (receipt.host, receipt.interval) != (*host, interval)
        || receipt.usage.cached > receipt.usage.prompt
        || receipt.fee != lane.prices.fee(&receipt.usage))
}

fn belongs(lane: &Lane, branch: &Branch) -> bool {
    lane.model == branch.model && lane.constraints == branch.constraints
}

/// Whether two leaves of a host contradict each other.
fn wrong_leaves(
    context: &Context<'_, '_>,
    host: &Address,
    first: (u64, &Leaf),
    second: (u64, &Leaf),
) -> Result<bool, Error> {
    let place = |(interval, leaf): (u64, &Leaf)| (interval, leaf.branch, leaf.opening.index);
    if first.0 > second.0 || place(first) == place(second) {
        return Ok(false);
    }
    let later = chargeable(context, second.0, host)?;
    let Some(earlier) = COMMITS.get(context.state, &(first.0, *host))? else {
        return fail(Failure::NotCommitted { host: *host, interval: first.0 });
    };
    if first.1.verify(&earlier).is_none() || second.1.verify(&later).is_none() {
        return Ok(false);
    }
    let adjacent = (first.0, first.1.branch) == (second.0, second.1.branch)
        && first.1.opening.index.checked_add(1) == Some(second.1.opening.index);
    let (a, b) = (&first.1.entry, &second.1.entry);
    Ok((adjacent && !a.precedes(b)) || contradict(a, b))
}

/// Whether two entries cannot both be true, wherever they stand.
fn contradict(a: &Entry, b: &Entry) -> bool {
    if a.lane != b.lane {
        return false;
    }
    if a.sequence == b.sequence {
        return true;
    }
    let (low, high) = if a.sequence < b.sequence { (a, b) } else { (b, a) };
    let least = low.total.0.checked_add(high.sums.fees);
    let next = low.sequence.checked_add(1) == Some(high.sequence);
    match least {
        None => true,
        Some(least) if next => least != high.total.0,
        Some(least) => least > high.total.0,
    }
}
