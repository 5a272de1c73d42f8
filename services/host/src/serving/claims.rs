//! What a host says of the likelihood of its tokens, where no bit can be computed again: its trace is of that.

use std::sync::Arc;

use freeway_api::serving::UNSAID;
use freeway_engines::{Engine, Job};
use freeway_primitives::Digest;
use freeway_proofs::work::claimed;
use freeway_requests::{LogProb, Scored};

/// What is said of the tokens so far, by choice.
pub(super) struct Said(Vec<Vec<i32>>);

impl Said {
    pub(super) fn new(choices: usize) -> Self {
        Self(vec![Vec::new(); choices])
    }

    /// Takes down one more token of a choice; `None` if it goes unsaid and is no stop token, or comes after one that did.
    pub(super) fn add(&mut self, choice: u16, scored: Option<&Scored>, stops: bool) -> Option<()> {
        let choice = self.0.get_mut(usize::from(choice))?;
        let said = match scored {
            Some(scored) => scored.logprob.clamp(LogProb::FLOOR, LogProb(0)).0,
            None if stops => UNSAID,
            None => return None,
        };
        if choice.last() == Some(&UNSAID) {
            return None;
        }
        choice.push(said);
        Some(())
    }

    /// The trace roots of the choices.
    pub(super) fn traces(&self) -> Vec<Digest> {
        self.0.iter().map(|choice| claimed(choice.iter().copied())).collect()
    }

    pub(super) fn into_logprobs(self) -> Vec<Vec<i32>> {
        self.0
    }
}

/// What of a token's likelihood the payer asked for.
pub(super) fn shown(scored: Option<Scored>, asked: Option<u8>) -> Option<Scored> {
    let (mut scored, most) = (scored?, asked?);
    scored.top.truncate(usize::from(most));
    Some(scored)
}

/// The job as `engine` understands it: one whose answers can be computed again tells likelihoods only if the request
/// asks. The draws then are others, and as good.
pub(crate) fn asking(engine: &dyn Engine, name: &str, mut job: Job) -> Job {
    if job.claims && engine.capabilities(name).is_some_and(|capabilities| capabilities.exact) {
        Arc::make_mut(&mut job.request).top_logprobs.get_or_insert(0);
    }
    job
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scored(logprob: i32) -> Scored {
        Scored { logprob: LogProb(logprob), rank: 1, top: vec![(4, LogProb(-1)), (5, LogProb(-2))] }
    }

    #[test]
    fn only_a_stop_token_at_the_end_goes_unsaid() {
        let mut said = Said::new(2);
        assert_eq!(said.add(0, Some(&scored(-7)), false), Some(()));
        // Never above 0, and nothing that stands for being unsaid.
        assert_eq!(said.add(0, Some(&scored(3)), true), Some(()));
        assert_eq!(said.add(1, Some(&scored(i32::MIN)), false), Some(()));
        assert_eq!(said.add(1, None, false), None);
        assert_eq!(said.add(1, None, true), Some(()));
        assert_eq!(said.add(1, Some(&scored(-7)), false), None);
        assert_eq!(said.add(2, Some(&scored(-7)), false), None);
        assert_eq!(said.traces(), [claimed([-7, 0]), claimed([LogProb::FLOOR.0, UNSAID])]);
        assert_eq!(said.into_logprobs(), [vec![-7, 0], vec![LogProb::FLOOR.0, UNSAID]]);
    }

    #[test]
    fn a_payer_sees_what_it_asked_for() {
        assert_eq!(shown(Some(scored(-7)), None), None);
        assert_eq!(shown(None, Some(1)), None);
        let one = Scored { top: vec![(4, LogProb(-1))], ..scored(-7) };
        assert_eq!(shown(Some(scored(-7)), Some(1)), Some(one));
    }
}
