//! Where no bit can be computed again: what a host's tokens say of it, receipt after receipt.
//!
//! One receipt says little. Evidence is gathered for each host and model over all that was ever scored, and kept where
//! it survives the process; each receipt counts once, whoever asks for it and however often. See
//! [`freeway_requests::evidence`] for what is gathered and how seldom an honest host is suspected.

use freeway_api::serving::{Artifact, UNSAID};
use freeway_ledger::{Reader, models};
use freeway_primitives::Digest;
use freeway_proofs::work::traces;
use freeway_requests::evidence::{Spoken, THRESHOLD};
use freeway_requests::{LogProb, Scored};
use tracing::warn;

use super::desk::Outcome;
use super::shelf::Weighed;
use super::{WorkCore, WorkError};

impl WorkCore {
    /// What was found of a receipt when it was weighed.
    pub(super) fn weighed(
        &self,
        receipt: &Digest,
        artifact: &Artifact,
    ) -> Result<Option<Outcome>, WorkError> {
        let known = self.shelf.weighed(artifact.receipt.interval, receipt)?;
        Ok(known.and_then(|is_suspected| outcome(artifact, is_suspected)))
    }

    /// Takes the tokens of a receipt into account. `None` if these are no scores of them.
    pub(super) fn weigh(
        &mut self,
        state: &dyn Reader,
        receipt: &Digest,
        scores: &[Vec<Scored>],
    ) -> Result<Option<Outcome>, WorkError> {
        let Some(artifact) = self.shelf.artifact(receipt)? else { return Ok(None) };
        if let Some(known) = self.weighed(receipt, &artifact)? {
            return Ok(Some(known));
        }
        let (host, interval) = (artifact.receipt.host, artifact.receipt.interval);
        let Artifact { request, output, claims: Some(claims), .. } = &artifact else { return Ok(None) };
        let Some(model) = models::model(state, &request.model.0)? else { return Ok(None) };
        let lengths = |choices: &[Vec<Scored>]| choices.iter().map(Vec::len).collect::<Vec<_>>();
        if lengths(scores) != output.iter().map(Vec::len).collect::<Vec<_>>() {
            return Ok(None);
        }
        let noise = model.noise();
        let mut evidence = self.shelf.evidence(&host, &request.model.0)?;
        let (mut found, mut most) = (None, 0);
        let said = output.iter().flatten().zip(claims.logprobs.iter().flatten());
        for ((token, said), scored) in said.zip(scores.iter().flatten()) {
            // What no server tells is no claim that could be false.
            let claimed = if *said == UNSAID { scored.logprob } else { LogProb(*said) };
            let spoken = Spoken {
                sampling: &request.sampling,
                constrained: request.grammar.is_some(),
                vocabulary: model.vocabulary,
                token: *token,
                claimed: Some(claimed),
                scored,
            };
            evidence.observe(&noise, &spoken);
            found = found.or_else(|| evidence.suspicion(THRESHOLD));
            most = most.max(evidence.strongest().1);
        }
        let (model, receipt, is_suspected) = (request.model.0, *receipt, found.is_some());
        self.shelf.weigh(&Weighed { host, model, interval, receipt, evidence, is_suspected })?;
        if let Some(suspicion) = found {
            self.standing.suspected += 1;
            let nats = f64::from(most) / 1e6;
            warn!(
                %host, %model, %receipt, ?suspicion, nats,
                "a host's tokens are hardly those of the model that it is paid for; its work is called wrong"
            );
        }
        Ok(outcome(&artifact, is_suspected))
    }
}

/// What a member says of a receipt. The trace is that of the claims, which the host signed.
fn outcome(artifact: &Artifact, is_suspected: bool) -> Option<Outcome> {
    let claims = artifact.claims.as_ref()?;
    Some(if is_suspected { Outcome::Wrong } else { Outcome::Right(traces(&claims.traces())) })
}
