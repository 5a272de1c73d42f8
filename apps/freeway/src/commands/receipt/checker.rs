//! Where answers of hosts are computed again, or scored where that is not possible. Models are loaded once.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use freeway_api::KeptReceipt;
use freeway_api::serving::Artifact;
use freeway_engines::{Engine, Exact, ExactOptions, ScoreJob, VerifyJob};
use freeway_ledger::models::Tier;
use freeway_models::{Library, Package, guide};
use freeway_primitives::{Address, Digest};
use freeway_proofs::work;
use freeway_requests::MAX_TOP_LOGPROBS;
use freeway_requests::evidence::{Evidence, Noise, Spoken, Suspicion, THRESHOLD};

use super::damaged;
use crate::cli::Node;
use crate::hints::Problem;

/// How the answers of a model are checked here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Method {
    /// They are computed again.
    Again,
    /// By their likelihood, with this noise of honest machines.
    Likelihood(Noise),
}

impl Method {
    /// That of the model `root` on the network.
    ///
    /// # Errors
    /// If the node does not answer.
    pub(super) async fn of(node: &Node, root: &Digest) -> Result<Self, Problem> {
        let model = match node.client().model(&root.to_string(), None, 1).await {
            Ok(found) => found.model,
            // It was retired: then bits are wanted, and whoever cannot have them leaves this out.
            Err(error) if error.is_not_found() => return Ok(Self::Again),
            Err(error) => return Err(error.into()),
        };
        if model.tier != Tier::Statistical.name() {
            return Ok(Self::Again);
        }
        Ok(Self::Likelihood(model.noise.as_ref().map(Noise::from).unwrap_or_default()))
    }
}

/// What came of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It was computed again: whether the same came, and where the output first differs.
    Again { same: bool, differs: Option<(u16, u32)> },
    /// It was scored: what speaks against the host by all of its answers that were looked at, in millionths of a nat.
    Scored { strongest: (Suspicion, u32) },
}

impl Outcome {
    /// Whether nothing speaks against it.
    pub(super) const fn holds(self) -> bool {
        match self {
            Self::Again { same, .. } => same,
            Self::Scored { strongest: (_, evidence) } => evidence < THRESHOLD,
        }
    }
}

/// The packages, and what they found so far.
pub(super) struct Checker {
    folder: PathBuf,
    engine: Arc<Exact>,
    /// The models that are loaded, with the number of their tokens.
    loaded: HashMap<Digest, u32>,
    evidence: HashMap<(Address, Digest), Evidence>,
}

impl Checker {
    pub(super) fn new(folder: PathBuf) -> Self {
        let engine = Arc::new(Exact::new(ExactOptions::default()));
        Self { folder, engine, loaded: HashMap::new(), evidence: HashMap::new() }
    }

    /// Looks at an answer.
    ///
    /// # Errors
    /// If that is not possible here: it says nothing about the answer.
    pub(super) async fn look(
        &mut self,
        kept: &KeptReceipt,
        artifact: &Artifact,
        method: Method,
    ) -> Result<Outcome, Problem> {
        let name = kept.root.to_string();
        let vocabulary = match self.loaded.get(&kept.root) {
            Some(vocabulary) => *vocabulary,
            None => {
                let package = package(&self.folder, &kept.root)?;
                let vocabulary = package.config().vocabulary;
                self.engine.add(&name, package).map_err(|error| Problem::told("model", error))?;
                self.loaded.insert(kept.root, vocabulary);
                vocabulary
            }
        };
        match method {
            Method::Again => self.again(&name, kept, artifact).await,
            Method::Likelihood(noise) => {
                let evidence = self.evidence.entry((artifact.receipt.host, kept.root)).or_default();
                weigh(&*self.engine, &name, artifact, (&noise, vocabulary), evidence).await?;
                Ok(Outcome::Scored { strongest: evidence.strongest() })
            }
        }
    }

    /// Computes an answer again and compares tokens, trace and salt.
    async fn again(&self, name: &str, kept: &KeptReceipt, artifact: &Artifact) -> Result<Outcome, Problem> {
        let job = VerifyJob { request: Arc::new(artifact.request.clone()), output: artifact.output.clone() };
        let done = self.engine.verify(name, job).await.map_err(|error| {
            Problem::told("not_computed", format!("the answer cannot be computed again: {}", error.message))
                .or_hint("leave that out with --skip-execution")
        })?;
        let salt = kept.salt().map_err(|error| damaged(&error))?;
        let traced = work::salted(&salt, &work::traces(&done.traces)) == artifact.receipt.trace;
        Ok(Outcome::Again { same: done.differs.is_none() && traced, differs: done.differs })
    }
}

/// Scores the tokens of an answer and takes them into account. What the host said of them went to verifiers, not to the
/// payer: what is found counts for it.
async fn weigh(
    engine: &dyn Engine,
    name: &str,
    artifact: &Artifact,
    (noise, vocabulary): (&Noise, u32),
    evidence: &mut Evidence,
) -> Result<(), Problem> {
    let request = &artifact.request;
    for output in artifact.output.iter().filter(|output| !output.is_empty()) {
        let job =
            ScoreJob { prompt: request.prompt.clone(), continuation: output.clone(), top: MAX_TOP_LOGPROBS };
        let scores = engine.score(name, job).await.map_err(|error| {
            Problem::told("not_computed", format!("the answer cannot be scored: {}", error.message))
                .or_hint("leave that out with --skip-execution")
        })?;
        for (token, scored) in output.iter().zip(&scores.tokens) {
            evidence.observe(
                noise,
                &Spoken {
                    sampling: &request.sampling,
                    constrained: request.grammar.is_some(),
                    vocabulary,
                    token: *token,
                    claimed: Some(scored.logprob),
                    scored,
                },
            );
        }
    }
    Ok(())
}

/// The package of this root: the built-in one, or one of the folder.
fn package(folder: &Path, root: &Digest) -> Result<Package, Problem> {
    let guide = guide::package();
    if guide.root().0 == *root {
        return Ok(guide);
    }
    let missing = |error: &dyn std::fmt::Display| {
        Problem::new("unknown_model", format!("the model {root} is not on this machine: {error}")).hint(
            "get its package and keep it with `freeway model add`, or leave this check out with --skip-execution",
        )
    };
    let library = Library::open(folder).map_err(|error| missing(&error))?;
    let entry = library.find(&root.to_string()).map_err(|error| missing(&error))?;
    library.load(&entry).map_err(|error| missing(&error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use freeway_engines::{Event, Job};
    use freeway_primitives::{Amount, Signature};
    use freeway_proofs::work::{LaneId, Receipt, Usage, Voucher};
    use freeway_requests::TokenRequest;
    use futures::StreamExt;

    fn artifact(request: TokenRequest, output: Vec<u32>) -> Artifact {
        let (lane, host) = (LaneId(1), Address([1; 32]));
        let digest = request.digest();
        let receipt = Receipt {
            lane,
            host,
            sequence: 0,
            interval: 0,
            request: digest,
            output: work::output([output.as_slice()]),
            trace: Digest([3; 32]),
            usage: Usage { prompt: 1, cached: 0, completion: 1 },
            fee: Amount(1),
            total: Amount(1),
        };
        let voucher =
            Voucher { lane, host, sequence: 0, spent: Amount(0), limit: Amount(9), request: digest };
        let signature = Signature([9; 64]);
        let output = vec![output];
        Artifact { receipt, signature, voucher, voucher_signature: signature, request, output, claims: None }
    }

    #[tokio::test]
    async fn greedy_answers_of_the_model_hold_and_others_are_suspected() {
        let guide = guide::package();
        let (exact, vocabulary) = (Exact::new(ExactOptions::default()), guide.config().vocabulary);
        let request = TokenRequest::greedy(guide.root(), vec![5, 6, 7], 64);
        exact.add("guide", guide).unwrap();
        let job = Job { request: Arc::new(request.clone()), trace: false, claims: false };
        let events: Vec<Event> = exact.generate("guide", job).await.unwrap().collect().await;
        let tokens: Vec<u32> = events
            .iter()
            .filter_map(|event| match event {
                Event::Token(token) => Some(token.id),
                _ => None,
            })
            .collect();
        let (noise, mut evidence) = (Noise::default(), Evidence::default());
        let honest = artifact(request.clone(), tokens.clone());
        weigh(&exact, "guide", &honest, (&noise, vocabulary), &mut evidence).await.unwrap();
        let strongest = evidence.strongest();
        assert!(Outcome::Scored { strongest }.holds(), "{strongest:?}");
        let other = tokens.iter().map(|token| (token + 1) % vocabulary).collect();
        weigh(&exact, "guide", &artifact(request, other), (&noise, vocabulary), &mut evidence).await.unwrap();
        let strongest = evidence.strongest();
        assert!(!Outcome::Scored { strongest }.holds() && strongest.0 == Suspicion::Missed, "{strongest:?}");
    }
}
