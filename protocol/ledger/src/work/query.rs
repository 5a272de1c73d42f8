//! What can be asked about work. Nothing here changes state.

use freeway_primitives::{Address, Amount, Digest, Height};
use freeway_proofs::sum::Total;
use freeway_proofs::work::points;

use super::{COMMITS, Commitment, Params, ROUNDS, Round, RoundId, STANDING, State};
use crate::hosts::{HOSTS, Host};
use crate::lanes::Constraints;
use crate::params;
use crate::state::{Fault, Key, Reader};

/// How many rounds are read at once; there are never nearly as many, as a round waits for a beacon's value only so long.
const MAX_ROUNDS: usize = 4_096;

/// The interval of work that a height lies in.
pub fn interval_at(height: Height, params: &Params) -> u64 {
    height.0.checked_div(params.interval_blocks).unwrap_or_default()
}

/// The first height for commitments to an interval: the one after its end.
pub(super) fn first_commit(interval: u64, params: &Params) -> Height {
    Height(interval.saturating_add(1).saturating_mul(params.interval_blocks))
}

/// The last height for commitments to an interval. The beacon's value of this height draws what is checked.
pub fn last_commit(interval: u64, params: &Params) -> Height {
    first_commit(interval, params).plus(params.commit_grace)
}

/// Blocks from the end of an interval until it is decided, if the beacon's values come in time and there are not more
/// commitments than a block may handle at once.
pub fn window(params: &params::Params) -> u64 {
    let rules = &params.verification;
    // Each value is there one block after the height it belongs to.
    let rounds = rules.verdict_blocks.saturating_add(1).saturating_mul(rules.max_rounds);
    let rest = rules.reveal_blocks.saturating_add(rules.judge_blocks).saturating_add(2);
    params.work.commit_grace.saturating_add(rounds).saturating_add(rest)
}

/// A sample of a commitment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sample {
    /// In which branch it lies.
    pub branch: usize,
    /// Which one of the branch's samples it is.
    pub place: usize,
    /// A point below the fees of the branch: the leaf that it belongs to is looked at.
    pub point: u128,
}

/// The samples of a host's commitment, in order; none before they are drawn.
pub fn samples(host: &Address, interval: u64, commitment: &Commitment) -> Vec<Sample> {
    let Some(sampled) = &commitment.sampled else { return Vec::new() };
    let mut places = vec![0usize; commitment.branches.len()];
    let mut samples = Vec::new();
    for point in points(&sampled.value, host, interval, commitment.fees.0, sampled.count) {
        let mut point = point;
        for (branch, place) in places.iter_mut().enumerate() {
            let fees = commitment.branches.get(branch).map_or(0, |branch| branch.total.sums.fees);
            match point.checked_sub(fees) {
                Some(rest) => point = rest,
                None => {
                    samples.push(Sample { branch, place: *place, point });
                    *place = place.saturating_add(1);
                    break;
                }
            }
        }
    }
    samples
}

/// What a host committed to, if that is still kept.
///
/// # Errors
/// [`Fault`] if the state cannot be read.
pub fn commitment(state: &dyn Reader, interval: u64, host: &Address) -> Result<Option<Commitment>, Fault> {
    COMMITS.get(state, &(interval, *host))
}

/// What hosts committed to in an interval: at most `limit` after `after`.
///
/// # Errors
/// [`Fault`] if the state cannot be read.
pub fn of_interval(
    state: &dyn Reader,
    interval: u64,
    after: Option<Address>,
    limit: usize,
) -> Result<Vec<(Address, Commitment)>, Fault> {
    let after = after.map(|host| (interval, host));
    let page = COMMITS.page_under(state, &interval.to_bytes(), after.as_ref(), limit)?;
    Ok(page.into_iter().map(|((_, host), commitment)| (host, commitment)).collect())
}

/// The tree to which a host committed its work in lanes of this class, once it has matured and while it is kept.
///
/// # Errors
/// [`Fault`] if the state cannot be read.
pub fn matured_total(
    state: &dyn Reader,
    host: &Address,
    interval: u64,
    model: &Digest,
    constraints: &Constraints,
) -> Result<Option<Total>, Fault> {
    let matured = COMMITS.get(state, &(interval, *host))?.filter(|commit| commit.state == State::Matured);
    let branches = matured.map(|commit| commit.branches).unwrap_or_default();
    let found = branches.iter().find(|branch| branch.model == *model && branch.constraints == *constraints);
    Ok(found.map(|branch| branch.total))
}

/// Rounds that are not over, with their interval and number, in order.
///
/// # Errors
/// [`Fault`] if the state cannot be read.
pub fn rounds(state: &dyn Reader) -> Result<Vec<(RoundId, Round)>, Fault> {
    ROUNDS.page(state, None, MAX_ROUNDS)
}

/// Where a round stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Hosts commit.
    Committing {
        /// The last height for it.
        until: Height,
    },
    /// Nothing happens before the beacon's value of this height is there.
    Waiting {
        /// The height.
        height: Height,
    },
    /// Members check and give verdicts.
    Verdicts {
        /// The last height for it.
        until: Height,
    },
    /// Hosts reveal.
    Revealing {
        /// The last height for it.
        until: Height,
    },
    /// The last trials are judged.
    Judging {
        /// The height at whose beginning all is decided.
        settles: Height,
    },
}

/// The stage in which the block at `next`, the first after the state that `round` is from, finds it, unless that block
/// brings the value that the round waits for.
pub fn stage(round: &Round, next: Height) -> Stage {
    match (&round.drawn, &round.closing) {
        (_, Some(closing)) if next <= closing.until => Stage::Revealing { until: closing.until },
        (_, Some(closing)) => Stage::Judging { settles: closing.settles },
        (Some(drawn), None) if next <= drawn.until => Stage::Verdicts { until: drawn.until },
        (Some(drawn), None) => Stage::Waiting { height: drawn.until },
        (None, None) if next <= round.from => Stage::Committing { until: round.from },
        (None, None) => Stage::Waiting { height: round.from },
    }
}

/// What a conviction could still reach when work that ends now is decided.
pub(super) fn slashable(host: &Host, params: &params::Params, height: Height) -> Amount {
    let decided = height.plus(window(params));
    let reach = host.unbonding.iter().filter(|(free_at, _)| *free_at > decided);
    reach.fold(host.collateral, |sum, (_, amount)| Amount(sum.0.saturating_add(amount.0)))
}

/// The most open fees that a host may have, and how much it has.
///
/// # Errors
/// [`Fault`] if the state cannot be read.
pub fn limit(state: &dyn Reader, host: &Address, height: Height) -> Result<(Amount, Amount), Fault> {
    let params = params::Params::current(state)?;
    let open = STANDING.get(state, host)?.unwrap_or_default().open;
    let collateral = HOSTS.get(state, host)?.map(|host| slashable(&host, &params, height));
    Ok((collateral.map_or(Amount::ZERO, |collateral| params.work.exposure(collateral)), open))
}
