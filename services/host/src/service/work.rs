//! The part of a host process that does the duties of work: what the core of work asks for is fetched, done again and
//! told to it, and what it shows is shown.

use core::panic::AssertUnwindSafe;
use core::time::Duration;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use freeway_api::serving::{Artifact, Asking, LeafShown, Question, Samples, Subject};
use freeway_api::trace::TARGET;
use freeway_engines::{ErrorKind, ScoreJob, VerifyJob};
use freeway_ledger::Message;
use freeway_ledger::hosts::HOSTS;
use freeway_primitives::{Address, Canonical, ChainId, Digest, Height, PublicKey, SecretKey};
use freeway_proofs::work::LaneId;
use freeway_requests::MAX_TOP_LOGPROBS;
use futures::FutureExt;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tracing::{Instrument, debug, error, info_span, warn};

use super::Chain;
use super::shared::Shared;
use crate::adversary::Adversary;
use crate::client::Fetcher;
use crate::core::{Identity, Unreachable};
use crate::serving::Serving;
use crate::work::{Redone, Refusal, Shelf, ShowWork, Source, WorkAction, WorkCore, WorkSettings};

/// Hosts that are asked at a time.
const MAX_FETCHES: usize = 8;
/// Requests of others that are done again at a time: what the host serves goes on beside it.
const VERIFICATIONS: usize = 2;
/// The parameter that an engine names if it is the grammar that it cannot use.
const GRAMMAR: &str = "response_format";
/// The longest that a request is done again; then it is tried once more.
const MAX_VERIFYING: Duration = Duration::from_secs(600);

/// What the duties of work need of a host process.
pub(super) struct Working {
    core: Mutex<WorkCore>,
    serving: Serving,
    chain: ChainId,
    host: Address,
    key: SecretKey,
}

impl Working {
    pub(super) fn new(
        core: WorkCore,
        serving: Serving,
        chain: ChainId,
        host: Address,
        key: SecretKey,
    ) -> Self {
        Self { core: Mutex::new(core), serving, chain, host, key }
    }

    fn core(&self) -> MutexGuard<'_, WorkCore> {
        self.core.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does a request again.
    async fn redo(&self, model: &Digest, artifact: &Artifact) -> Redone {
        let Some((engine, name)) = self.serving.engine(model) else { return Redone::Unable };
        let request = Arc::new(artifact.request.clone());
        let job = VerifyJob { request, output: artifact.output.clone() };
        match tokio::time::timeout(MAX_VERIFYING, engine.verify(&name, job)).await {
            Ok(Ok(verified)) => Redone::Done { differs: verified.differs.is_some(), traces: verified.traces },
            // That a grammar cannot be used may be this machine's doing: it was too slow, or had no memory for it.
            Ok(Err(error)) if error.kind == ErrorKind::Invalid && error.param.as_deref() != Some(GRAMMAR) => {
                Redone::Impossible
            }
            Ok(Err(error)) => {
                warn!(%error, "a request of another host cannot be done again now");
                Redone::Unable
            }
            Err(_) => Redone::Unable,
        }
    }

    /// Says how likely the tokens of an answer are.
    async fn score(&self, model: &Digest, artifact: &Artifact) -> Redone {
        match tokio::time::timeout(MAX_VERIFYING, self.scores(model, artifact)).await {
            Ok(redone) => redone,
            Err(_) => Redone::Unable,
        }
    }

    async fn scores(&self, model: &Digest, artifact: &Artifact) -> Redone {
        let Some((engine, name)) = self.serving.scorer(model) else { return Redone::Unable };
        let is_exact = engine.capabilities(&name).is_some_and(|capabilities| capabilities.exact);
        let mut all = Vec::new();
        // One choice after the other: what the host serves goes on beside it.
        for tokens in &artifact.output {
            if tokens.is_empty() {
                all.push(Vec::new());
                continue;
            }
            let (prompt, continuation) = (artifact.request.prompt.clone(), tokens.clone());
            let job = ScoreJob { prompt, continuation, top: MAX_TOP_LOGPROBS };
            match engine.score(&name, job).await {
                Ok(scores) => all.push(scores.tokens),
                // Servers have bounds of their own.
                Err(error) if error.kind == ErrorKind::Invalid && is_exact => return Redone::Impossible,
                Err(error) => {
                    warn!(%error, "an answer of another host cannot be scored now");
                    return Redone::Unable;
                }
            }
        }
        Redone::Scored(all)
    }

    fn asking(&self, host: Address, subject: Subject) -> Vec<u8> {
        let question = Question { chain: self.chain, host, asker: self.host, subject };
        Asking::sign(question, &self.key).encode()
    }
}

impl<C: Chain> Shared<C> {
    /// Takes up the duties of work for what is served. Once.
    pub(super) fn take_up(
        &self,
        me: Identity,
        serving: &Serving,
        shelf: Arc<dyn Shelf>,
        adversary: Option<Adversary>,
    ) {
        let models = serving.models.iter().map(|(_, root)| *root).collect();
        let settings = WorkSettings { models, inexact: serving.inexact(), at_once: VERIFICATIONS };
        let Identity { chain, address, key } = me.clone();
        let core = WorkCore::new(me, settings, shelf, adversary);
        let working = Working::new(core, serving.clone(), chain, address, key);
        if self.working.set(working).is_err() {
            error!("the duties of work were taken up before");
        }
    }

    /// One step of the core of work: messages that are wanted on chain, and what else is to be done.
    pub(super) fn work(&self, state: &C::State, height: Height) -> (Vec<Message>, Vec<WorkAction>) {
        let Some(working) = self.working.get() else { return Default::default() };
        let mut core = working.core();
        let actions = core.step(state, height).unwrap_or_else(|problem| {
            error!(%problem, %height, "the duties of work cannot be followed; trying again at the next block");
            Vec::new()
        });
        let standing = core.standing();
        drop(core);
        self.count(|stats| {
            (stats.work.right, stats.work.wrong) = (standing.right, standing.wrong);
            (stats.work.lost, stats.work.suspected) = (standing.lost, standing.suspected);
        });
        let (mut messages, mut rest) = (Vec::new(), Vec::new());
        for action in actions {
            match action {
                WorkAction::Send(wanted) => messages.extend(wanted),
                other => rest.push(other),
            }
        }
        (messages, rest)
    }
}

impl<C: Chain> ShowWork for Shared<C> {
    fn key_of(&self, asker: Address) -> Result<PublicKey, Refusal> {
        let (state, _) = self.chain.state();
        let known = HOSTS.get(&state, &asker)?.ok_or(Refusal::NotConcerned(asker))?;
        Ok(known.profile.consensus_key)
    }

    fn samples(&self, interval: u64, asker: Address) -> Result<Samples, Refusal> {
        let (state, _) = self.chain.state();
        let working = self.working.get().ok_or(Refusal::Unknown)?;
        let shown = working.core().samples(&state, interval, asker);
        self.count(|stats| stats.work.shown += u64::from(shown.is_ok()));
        shown
    }

    fn artifact(&self, receipt: Digest, asker: Address) -> Result<Artifact, Refusal> {
        let (state, _) = self.chain.state();
        let working = self.working.get().ok_or(Refusal::Unknown)?;
        let shown = working.core().artifact(&state, receipt, asker);
        self.count(|stats| stats.work.shown += u64::from(shown.is_ok()));
        shown
    }

    fn leaf(&self, interval: u64, lane: LaneId, sequence: u64) -> Result<LeafShown, Refusal> {
        let (state, _) = self.chain.state();
        let working = self.working.get().ok_or(Refusal::Unknown)?;
        working.core().leaf(&state, interval, lane, sequence)
    }
}

/// Does what the core of work asks for.
pub(super) struct Worker<C> {
    shared: Arc<Shared<C>>,
    fetcher: Fetcher,
    permits: Arc<Semaphore>,
}

impl<C: Chain> Worker<C> {
    pub(super) fn new(shared: Arc<Shared<C>>, fetcher: Fetcher) -> Self {
        Self { shared, fetcher, permits: Arc::new(Semaphore::new(MAX_FETCHES)) }
    }

    pub(super) fn perform(&self, action: WorkAction, tasks: &mut JoinSet<()>) {
        let (shared, fetcher) = (Arc::clone(&self.shared), self.fetcher);
        match action {
            WorkAction::FetchSamples { interval, source } => {
                let permits = Arc::clone(&self.permits);
                tasks.spawn(async move {
                    let Some(working) = shared.working.get() else { return };
                    // Never closed.
                    let _permit = permits.acquire_owned().await;
                    let broken = Err(Unreachable("asking for it met a defect".into()));
                    let span =
                        info_span!(target: TARGET, "duty fetch samples", interval, host = %source.host);
                    let asked = samples(fetcher, working, interval, &source).instrument(span);
                    let answer = guarded(asked, broken).await;
                    if let Err(reason) = &answer {
                        shared.count(|stats| stats.unreachable += 1);
                        debug!(host = %source.host, interval, %reason, "a host does not show its samples");
                    }
                    tell(shared, move |core, state, _| {
                        if let Err(fault) = core.sampled(state, interval, source.host, answer) {
                            error!(%fault, "samples cannot be compared with their commitment");
                        }
                    })
                    .await;
                });
            }
            WorkAction::FetchArtifact { receipt, from } => {
                let permits = Arc::clone(&self.permits);
                tasks.spawn(async move {
                    let Some(working) = shared.working.get() else { return };
                    let _permit = permits.acquire_owned().await;
                    let broken = Err(Unreachable("asking for it met a defect".into()));
                    let span = info_span!(target: TARGET, "duty fetch artifact", %receipt);
                    let asked = artifact(fetcher, working, receipt, &from).instrument(span);
                    let answer = guarded(asked, broken).await;
                    if let Err(reason) = &answer {
                        shared.count(|stats| stats.unreachable += 1);
                        debug!(%receipt, %reason, "nobody shows an artifact");
                    }
                    tell(shared, move |core, state, height| {
                        if let Err(problem) = core.fetched(state, height, receipt, answer) {
                            error!(%problem, "an artifact cannot be taken");
                        }
                    })
                    .await;
                });
            }
            WorkAction::Verify { receipt, model, artifact } => {
                tasks.spawn(async move {
                    let Some(working) = shared.working.get() else { return };
                    let span = info_span!(target: TARGET, "duty compute again", %receipt, %model);
                    let done = working.redo(&model, &artifact).instrument(span);
                    let redone = guarded(done, Redone::Unable).await;
                    tell_verified(shared, receipt, redone).await;
                });
            }
            WorkAction::Score { receipt, model, artifact } => {
                tasks.spawn(async move {
                    let Some(working) = shared.working.get() else { return };
                    let span = info_span!(target: TARGET, "duty score", %receipt, %model);
                    let done = working.score(&model, &artifact).instrument(span);
                    let redone = guarded(done, Redone::Unable).await;
                    tell_verified(shared, receipt, redone).await;
                });
            }
            // Sent in the turn itself.
            WorkAction::Send(_) => {}
        }
    }
}

/// What comes of `work`, or `otherwise` if it meets a defect: the core waits for an answer to all that it asked for.
async fn guarded<T>(work: impl Future<Output = T>, otherwise: T) -> T {
    AssertUnwindSafe(work).catch_unwind().await.unwrap_or_else(|_| {
        error!("a duty of work met a defect; it counts as not done");
        otherwise
    })
}

/// Tells the core, which may be at work for a while, and has it step.
async fn tell<C: Chain>(
    shared: Arc<Shared<C>>,
    what: impl FnOnce(&mut WorkCore, &C::State, Height) + Send + 'static,
) {
    let told = tokio::task::spawn_blocking(move || {
        let (state, height) = shared.chain.state();
        if let Some(working) = shared.working.get() {
            what(&mut working.core(), &state, height);
        }
        shared.wake.notify_one();
    });
    if let Err(defect) = told.await {
        error!(%defect, "an answer for the duties of work met a defect");
    }
}

async fn tell_verified<C: Chain>(shared: Arc<Shared<C>>, receipt: Digest, redone: Redone) {
    tell(shared, move |core, state, height| {
        if let Err(problem) = core.verified(state, height, receipt, &redone) {
            error!(%problem, "what came of a request of another host cannot be kept; it is done once more");
        }
    })
    .await;
}

async fn samples(
    fetcher: Fetcher,
    working: &Working,
    interval: u64,
    source: &Source,
) -> Result<Samples, Unreachable> {
    let body = working.asking(source.host, Subject::Samples(interval));
    let path = format!("/v1/work/{interval}/samples");
    fetcher.post(&source.endpoints, &path, &body).await
}

/// The first artifact that belongs to the receipt.
async fn artifact(
    fetcher: Fetcher,
    working: &Working,
    receipt: Digest,
    from: &[Source],
) -> Result<(Address, Artifact), Unreachable> {
    let mut reasons = Vec::new();
    for source in from {
        let body = working.asking(source.host, Subject::Artifact(receipt));
        match fetcher.post::<Artifact>(&source.endpoints, "/v1/work/artifacts", &body).await {
            Ok(artifact) if artifact.receipt.digest() == receipt && artifact.belongs_together() => {
                return Ok((source.host, artifact));
            }
            Ok(_) => reasons.push(format!("{}: another artifact", source.host)),
            Err(reason) => reasons.push(format!("{}: {reason}", source.host)),
        }
    }
    Err(Unreachable(reasons.join("; ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_defect_is_an_answer() {
        assert_eq!(guarded(async { 1 }, 2).await, 1);
        assert_eq!(guarded(async { panic!("told to") }, Redone::Unable).await, Redone::Unable);
    }
}
