//! The verifier's desk: which requests of others are to be done again, what is known of them, and what comes next.
//!
//! A request is fetched once and done once, whoever wants to know: as a member of a committee first, as a juror
//! perhaps later. What has the nearest deadline is done first.

use std::collections::BTreeMap;

use freeway_ledger::models::Tier;
use freeway_primitives::{Address, Digest, Height};
use freeway_proofs::work::traces;

use super::action::Redone;

/// The most requests that are remembered; beyond, those with the latest deadline wait to be asked for again.
const MAX_JOBS: usize = 4_096;
/// Artifacts that are fetched at a time.
const MAX_FETCHES: usize = 8;
/// How often something is tried.
const MAX_TRIES: u32 = 8;

/// What is known of a request that was done again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It is right, and this is its trace.
    Right(Digest),
    /// It is wrong.
    Wrong,
    /// It is not what came out here, under a grammar: masks have no golden vectors, so nobody is accused for it.
    Doubtful,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// It is to be looked for on the shelf, and then asked for.
    Wanted,
    Fetching,
    /// Its artifact is on the shelf.
    Held {
        model: Digest,
    },
    Verifying {
        model: Digest,
    },
    Known(Outcome),
    /// It could not be had, often enough.
    Failed,
    /// It was had, and could not be done, often enough.
    Stuck,
}

#[derive(Clone, Debug)]
struct Job {
    /// Who may have it; whose work it is comes first.
    from: Vec<Address>,
    state: State,
    tries: u32,
    next_try: Height,
    /// The last height at which it is of use.
    until: Height,
    /// How its model can be checked.
    tier: Tier,
    /// Whether its answer had to keep to a grammar.
    has_grammar: bool,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Desk {
    jobs: BTreeMap<Digest, Job>,
}

/// What the desk wants done next.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Look on the shelf, then ask these.
    Get(Digest, Vec<Address>),
    /// Do it again.
    Verify(Digest, Digest),
    /// Score it.
    Score(Digest, Digest),
}

impl Desk {
    /// Somebody wants to know of a request by `until`. Gives what is known.
    pub(super) fn want(&mut self, receipt: Digest, from: &[Address], until: Height) -> Option<Outcome> {
        if let Some(job) = self.jobs.get_mut(&receipt) {
            job.until = job.until.max(until);
            for host in from {
                if !job.from.contains(host) {
                    job.from.push(*host);
                    // Somebody new to ask.
                    if job.state == State::Failed {
                        (job.state, job.tries) = (State::Wanted, 0);
                    }
                }
            }
            return match job.state {
                State::Known(outcome) => Some(outcome),
                _ => None,
            };
        }
        if self.jobs.len() < MAX_JOBS {
            let (from, next_try) = (from.to_vec(), Height::GENESIS);
            let (state, tier) = (State::Wanted, Tier::Exact);
            let job = Job { from, state, tries: 0, next_try, until, tier, has_grammar: false };
            self.jobs.insert(receipt, job);
        }
        None
    }

    /// What is known.
    pub(super) fn outcome(&self, receipt: &Digest) -> Option<Outcome> {
        match self.jobs.get(receipt)?.state {
            State::Known(outcome) => Some(outcome),
            _ => None,
        }
    }

    /// Whether its artifact was had.
    pub(super) fn is_held(&self, receipt: &Digest) -> bool {
        let state = self.jobs.get(receipt).map(|job| job.state);
        matches!(state, Some(State::Held { .. } | State::Verifying { .. } | State::Known(_) | State::Stuck))
    }

    /// What is to be done now, of what has the nearest deadline first: at most `at_once` are done at a time.
    pub(super) fn next(&mut self, height: Height, at_once: usize) -> Vec<Next> {
        let count = |jobs: &BTreeMap<Digest, Job>, which: fn(&State) -> bool| {
            jobs.values().filter(|job| which(&job.state)).count()
        };
        let fetching = count(&self.jobs, |state| *state == State::Fetching);
        let verifying = count(&self.jobs, |state| matches!(state, State::Verifying { .. }));
        let mut fetches = MAX_FETCHES.saturating_sub(fetching);
        let mut verifications = at_once.saturating_sub(verifying);
        let mut order: Vec<(Height, Digest)> = self.jobs.iter().map(|(id, job)| (job.until, *id)).collect();
        order.sort_unstable();
        let mut all = Vec::new();
        for (until, receipt) in order {
            let Some(job) = self.jobs.get_mut(&receipt) else { continue };
            if height > until || height < job.next_try {
                continue;
            }
            match job.state {
                State::Wanted if fetches > 0 => {
                    fetches -= 1;
                    job.state = State::Fetching;
                    let mut from = job.from.clone();
                    let first = usize::try_from(job.tries).unwrap_or(0).checked_rem(from.len()).unwrap_or(0);
                    from.rotate_left(first);
                    all.push(Next::Get(receipt, from));
                }
                State::Held { model } if verifications > 0 => {
                    verifications -= 1;
                    job.state = State::Verifying { model };
                    all.push(match job.tier {
                        Tier::Exact => Next::Verify(receipt, model),
                        Tier::Statistical => Next::Score(receipt, model),
                    });
                }
                _ => {}
            }
        }
        all
    }

    /// What was to be done could not be begun: it comes again.
    pub(super) fn put_back(&mut self, next: &Next) {
        let (receipt, state) = match next {
            Next::Get(receipt, _) => (receipt, State::Wanted),
            Next::Verify(receipt, model) | Next::Score(receipt, model) => {
                (receipt, State::Held { model: *model })
            }
        };
        if let Some(job) = self.jobs.get_mut(receipt) {
            job.state = state;
        }
    }

    /// Its artifact is on the shelf, of this model.
    pub(super) fn held(&mut self, receipt: &Digest, model: Digest, tier: Tier, has_grammar: bool) {
        self.set(receipt, State::Held { model });
        if let Some(job) = self.jobs.get_mut(receipt) {
            (job.tier, job.has_grammar) = (tier, has_grammar);
        }
    }

    /// It is known without computing.
    pub(super) fn known(&mut self, receipt: &Digest, outcome: Outcome) {
        self.set(receipt, State::Known(outcome));
    }

    /// Nobody had it; it is tried again at `next_try`.
    pub(super) fn missed(&mut self, receipt: &Digest, next_try: Height) {
        self.again(receipt, State::Wanted, next_try);
    }

    /// What came of doing it again.
    pub(super) fn verified(&mut self, receipt: &Digest, redone: &Redone, next_try: Height) {
        let Some(State::Verifying { model }) = self.jobs.get(receipt).map(|job| job.state) else { return };
        match redone {
            Redone::Done { differs: false, traces: roots } => {
                self.set(receipt, State::Known(Outcome::Right(traces(roots))));
            }
            Redone::Done { differs: true, .. } | Redone::Impossible => {
                let is_doubtful = |job: &Job| job.has_grammar && job.tier == Tier::Exact;
                let is_doubtful = self.jobs.get(receipt).is_some_and(is_doubtful);
                let outcome = if is_doubtful { Outcome::Doubtful } else { Outcome::Wrong };
                self.set(receipt, State::Known(outcome));
            }
            // What was scored is known once it is weighed; until then it is to be scored again.
            Redone::Scored(_) | Redone::Unable => self.again(receipt, State::Held { model }, next_try),
        }
    }

    fn set(&mut self, receipt: &Digest, state: State) {
        if let Some(job) = self.jobs.get_mut(receipt) {
            (job.state, job.tries) = (state, 0);
        }
    }

    fn again(&mut self, receipt: &Digest, state: State, next_try: Height) {
        if let Some(job) = self.jobs.get_mut(receipt) {
            job.tries = job.tries.saturating_add(1);
            job.next_try = next_try;
            job.state = match state {
                _ if job.tries < MAX_TRIES => state,
                State::Held { .. } => State::Stuck,
                _ => State::Failed,
            };
        }
    }

    /// Forgets what has been of no use for so many blocks; until then a trial may bring it back.
    pub(super) fn forget(&mut self, height: Height, blocks: u64) {
        self.jobs.retain(|_, job| {
            let busy = matches!(job.state, State::Fetching | State::Verifying { .. });
            busy || height <= job.until.plus(blocks)
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: Digest = Digest([1; 32]);
    const B: Digest = Digest([2; 32]);
    const MODEL: Digest = Digest([9; 32]);
    const HOST: Address = Address([3; 32]);

    #[test]
    fn what_is_due_first_is_done_first_and_once() {
        let mut desk = Desk::default();
        assert_eq!(desk.want(A, &[HOST], Height(9)), None);
        assert_eq!(desk.want(B, &[HOST], Height(5)), None);
        let next = desk.next(Height(1), 1);
        assert_eq!(next, [Next::Get(B, vec![HOST]), Next::Get(A, vec![HOST])]);
        assert_eq!(desk.next(Height(1), 1), []);
        desk.held(&A, MODEL, Tier::Exact, false);
        desk.held(&B, MODEL, Tier::Exact, false);
        assert_eq!(desk.next(Height(1), 1), [Next::Verify(B, MODEL)]);
        let right = Redone::Done { differs: false, traces: vec![A] };
        desk.verified(&B, &right, Height(2));
        assert_eq!(desk.outcome(&B), Some(Outcome::Right(traces(&[A]))));
        assert_eq!(desk.next(Height(1), 1), [Next::Verify(A, MODEL)]);
        desk.verified(&A, &Redone::Impossible, Height(2));
        assert_eq!(desk.want(A, &[HOST], Height(20)), Some(Outcome::Wrong));
        assert_eq!(desk.next(Height(1), 1), []);
    }

    /// Masks of grammars have no golden vectors: what differs under one is not paid, and nobody is accused.
    #[test]
    fn what_differs_under_a_grammar_is_doubtful_only() {
        let mut desk = Desk::default();
        for (receipt, has_grammar, outcome) in [(A, true, Outcome::Doubtful), (B, false, Outcome::Wrong)] {
            desk.want(receipt, &[HOST], Height(9));
            desk.next(Height(1), 2);
            desk.held(&receipt, MODEL, Tier::Exact, has_grammar);
            desk.next(Height(1), 2);
            desk.verified(&receipt, &Redone::Done { differs: true, traces: Vec::new() }, Height(2));
            assert_eq!(desk.outcome(&receipt), Some(outcome));
        }
    }

    #[test]
    fn what_nobody_has_is_given_up_until_somebody_new_may_have_it() {
        let mut desk = Desk::default();
        desk.want(A, &[HOST], Height(100));
        for height in 1..=u64::from(MAX_TRIES) {
            assert_eq!(desk.next(Height(height), 1).len(), 1);
            desk.missed(&A, Height(height + 1));
            assert!(!desk.is_held(&A));
        }
        assert_eq!(desk.next(Height(50), 1), []);
        desk.want(A, &[HOST], Height(100));
        assert_eq!(desk.next(Height(50), 1), []);
        desk.want(A, &[Address([4; 32])], Height(100));
        assert_eq!(desk.next(Height(50), 1).len(), 1);
        desk.forget(Height(200), 10);
        desk.missed(&A, Height(200));
        desk.forget(Height(200), 10);
        assert_eq!(desk.want(A, &[HOST], Height(300)), None);
    }

    #[test]
    fn the_desk_is_bounded_and_late_answers_change_nothing() {
        let mut desk = Desk::default();
        for i in 0..MAX_JOBS + 10 {
            let mut digest = [0; 32];
            digest[..8].copy_from_slice(&(i as u64).to_le_bytes());
            desk.want(Digest(digest), &[HOST], Height(9));
        }
        assert_eq!(desk.jobs.len(), MAX_JOBS);
        desk.verified(&A, &Redone::Impossible, Height(1));
        assert_eq!(desk.outcome(&A), None);
    }
}
