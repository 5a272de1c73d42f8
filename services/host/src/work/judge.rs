//! The duty of jurors: do again what is on trial, and say what it is.
//!
//! A leaf is wrong if its answer is not what the request gives, if usage or fee is not what they should be, or if a
//! member's tag that the host's revelation contradicts is that of the trace that the juror computed: then the trace that
//! the host signed is not that of the work. A juror that cannot have the artifact says nothing.

use freeway_ledger::verification::{
    Case, Finding, Judgement, Message as Verify, Trial, VERDICTS, is_judge, open_trials,
};
use freeway_ledger::work;
use freeway_ledger::{Fault, Message};
use freeway_primitives::{Address, Digest};
use freeway_proofs::work::tag;

use super::desk::Outcome;
use super::{Moment, Todo, WorkCore};
use crate::core::chunks;

/// The most judgements in one message; the ledger takes 256.
const MAX_JUDGEMENTS: usize = 128;
/// A case and a word.
const JUDGEMENT_BYTES: usize = 8 + 32 + 8 + 8 + 1;

impl WorkCore {
    pub(super) fn judge(&mut self, now: &Moment<'_>, todo: &mut Todo) -> Result<(), Fault> {
        if self.is_lazy() {
            return Ok(());
        }
        let mut judgements = Vec::new();
        for (case, trial) in open_trials(now.state)? {
            let bit = is_judge(&trial, &self.me.address).and_then(|place| 1u128.checked_shl(place as u32));
            let has_judged = bit.is_none_or(|bit| (trial.guilty | trial.innocent) & bit != 0);
            if has_judged || now.next() > trial.until {
                continue;
            }
            let from = self.holders(now, case, &trial)?;
            let Some(outcome) = self.desk.want(trial.receipt, &from, trial.until) else { continue };
            let guilty = match outcome {
                Outcome::Wrong => true,
                // Whose masks are right nobody can say: no word, so no collateral.
                Outcome::Doubtful => continue,
                Outcome::Right(trace) => is_slandered(now, case, &trial, &trace)?,
            };
            if judgements.len() < MAX_JUDGEMENTS {
                judgements.push(Judgement { case, guilty });
            }
        }
        for part in chunks(judgements.into_iter(), |_| JUDGEMENT_BYTES) {
            todo.messages.push(Message::Verification(Verify::Judge(part)));
        }
        Ok(())
    }

    /// Who may have the artifact: the accused, the accuser, and the members of the committee.
    fn holders(&self, now: &Moment<'_>, case: Case, trial: &Trial) -> Result<Vec<Address>, Fault> {
        let (interval, (host, (branch, _))) = case;
        let mut all = vec![host];
        all.extend(trial.accuser);
        let commitment = work::commitment(now.state, interval, &host)?;
        let place = usize::try_from(branch).unwrap_or(usize::MAX);
        let branch = commitment.as_ref().and_then(|commitment| commitment.branches.get(place));
        all.extend(branch.map(|branch| branch.committee.as_slice()).unwrap_or_default());
        all.retain(|holder| *holder != self.me.address);
        Ok(all)
    }
}

/// Whether a member that the host's revelation contradicts has computed the same trace as this juror.
fn is_slandered(now: &Moment<'_>, case: Case, trial: &Trial, trace: &Digest) -> Result<bool, Fault> {
    let (interval, (host, (branch, _))) = case;
    for member in &trial.members {
        let Some(given) = VERDICTS.get(now.state, &(interval, (host, (branch, *member))))? else { continue };
        let right = Finding::Right(tag(interval, member, &host, &trial.receipt, trace));
        let contradicted =
            |place: &u32| given.contradicted.checked_shr(*place).is_some_and(|bits| bits & 1 == 1);
        let mut places = trial.places.iter().filter(|place| contradicted(place));
        if places.any(|place| given.findings.get(*place as usize) == Some(&right)) {
            return Ok(true);
        }
    }
    Ok(false)
}
