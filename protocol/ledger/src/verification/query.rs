//! What can be asked about verification. Nothing here changes state.

use borsh::{BorshDeserialize, BorshSerialize};
use freeway_primitives::Address;

use super::{Case, DEMANDS, Demanded, Place, REPORTS, Reported, Request, TRIALS, Trial, VERDICTS};
use crate::state::{Fault, Key, Reader, Table};
use crate::work::{self, COMMITS, Commitment, Sample, State};

/// How many entries are read at once.
const PAGE: usize = 256;

/// Work that a member has to check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assignment {
    /// The interval.
    pub interval: u64,
    /// The host.
    pub host: Address,
    /// Which of the commitment's branches.
    pub branch: u8,
    /// The branch's samples, in order, with their numbers among all of the commitment.
    pub samples: Vec<(u32, Sample)>,
    /// Whether the verdict is given.
    pub given: bool,
}

/// What `member` has to check of an interval now. Reads all of its commitments: to be asked once a round.
///
/// # Errors
/// [`Fault`] if the state cannot be read.
pub fn assigned(state: &dyn Reader, interval: u64, member: &Address) -> Result<Vec<Assignment>, Fault> {
    let (mut all, mut after) = (Vec::new(), None);
    loop {
        let page = work::of_interval(state, interval, after, PAGE)?;
        let Some((last, _)) = page.last() else { return Ok(all) };
        after = Some(*last);
        for (host, commitment) in page.iter().filter(|(_, commitment)| commitment.state == State::Open) {
            all.extend(of_commitment(state, interval, host, commitment, member)?);
        }
    }
}

fn of_commitment(
    state: &dyn Reader,
    interval: u64,
    host: &Address,
    commitment: &Commitment,
    member: &Address,
) -> Result<Vec<Assignment>, Fault> {
    let mut all = Vec::new();
    for (index, branch) in (0u8..).zip(&commitment.branches) {
        if branch.members().contains(member) {
            let seat = (interval, (*host, (u64::from(index), *member)));
            let given = VERDICTS.contains(state, &seat)?;
            let samples = samples_of(interval, host, commitment, index);
            all.push(Assignment { interval, host: *host, branch: index, samples, given });
        }
    }
    Ok(all)
}

/// The samples of a branch, with their numbers among all of the commitment.
pub(super) fn samples_of(
    interval: u64,
    host: &Address,
    commitment: &Commitment,
    branch: u8,
) -> Vec<(u32, Sample)> {
    let samples = work::samples(host, interval, commitment);
    (0u32..).zip(samples).filter(|(_, sample)| sample.branch == usize::from(branch)).collect()
}

/// What a host must reveal of its commitment: the number of a sample, and the sample.
pub fn reveal_due(interval: u64, host: &Address, commitment: &Commitment) -> Option<(u32, Sample)> {
    let reveal = commitment.reveal.as_ref().filter(|reveal| !reveal.done)?;
    if commitment.state != State::Open {
        return None;
    }
    let samples = work::samples(host, interval, commitment);
    Some((reveal.sample, *samples.get(reveal.sample as usize)?))
}

/// The first bytes of everything about one commitment.
pub(super) fn prefix(interval: u64, host: &Address) -> Vec<u8> {
    (interval, *host).to_bytes()
}

/// Demands on a commitment, also those that were answered.
///
/// # Errors
/// [`Fault`] if the state cannot be read.
pub fn demands_on(
    state: &dyn Reader,
    interval: u64,
    host: &Address,
) -> Result<Vec<(Place, Demanded)>, Fault> {
    under(state, &DEMANDS, &prefix(interval, host))
}

/// Reports about a commitment, also those that were answered.
///
/// # Errors
/// [`Fault`] if the state cannot be read.
pub fn reports_on(
    state: &dyn Reader,
    interval: u64,
    host: &Address,
) -> Result<Vec<(Request, Reported)>, Fault> {
    under(state, &REPORTS, &prefix(interval, host))
}

/// Trials without a ruling.
///
/// # Errors
/// [`Fault`] if the state cannot be read.
pub fn open_trials(state: &dyn Reader) -> Result<Vec<(Case, Trial)>, Fault> {
    let all = under(state, &TRIALS, &[])?;
    Ok(all.into_iter().filter(|(_, trial)| trial.ruling.is_none()).collect())
}

/// The place in the jury of `judge`, if it is in it.
pub fn is_judge(trial: &Trial, judge: &Address) -> Option<usize> {
    trial.jury.iter().position(|juror| juror.host == *judge)
}

/// All entries of a table whose keys begin with these bytes.
pub(super) fn under<K: Key, V: BorshSerialize + BorshDeserialize>(
    state: &dyn Reader,
    table: &Table<K, V>,
    prefix: &[u8],
) -> Result<Vec<(K, V)>, Fault> {
    let mut all: Vec<(K, V)> = Vec::new();
    loop {
        let page = table.page_under(state, prefix, all.last().map(|(key, _)| key), PAGE)?;
        if page.is_empty() {
            return Ok(all);
        }
        all.extend(page);
    }
}

/// Looks at every value of a table.
pub(super) fn each<K: Key, V: BorshSerialize + BorshDeserialize>(
    state: &dyn Reader,
    table: &Table<K, V>,
    mut look: impl FnMut(V) -> Result<(), Fault>,
) -> Result<(), Fault> {
    under(state, table, &[])?.into_iter().try_for_each(|(_, value)| look(value))
}

/// What a host committed to, if it is kept.
pub(super) fn commitment(
    state: &dyn Reader,
    interval: u64,
    host: &Address,
) -> Result<Option<Commitment>, Fault> {
    COMMITS.get(state, &(interval, *host))
}
