//! Hosts that cheat those whom they serve.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use freeway_engines::{
    Capabilities, Engine, EngineError, Event, EventStream, FinishReason, Health, Job, ModelInfo, ScoreJob,
    Stats, TextAssets, Token, Verified, VerifyJob,
};
use freeway_proofs::work::Usage;
use freeway_requests::{LogProb, MAX_TOP_LOGPROBS, TokenRequest};
use futures::StreamExt;

use crate::serving::claims::asking;

/// How a host cheats those whom it serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Serve {
    /// It answers with a model of coarser weights, if it is given one; else with draws of its own.
    Coarser,
    /// It ends each answer half way and says that it was as long as it may be.
    Truncate,
    /// It counts more tokens than it gave.
    Inflate,
    /// It puts a token of its own into each answer.
    Inject,
    /// Where no bit can be computed again: it says that its tokens are likelier than it found them.
    Forge,
    /// Where no bit can be computed again: as [`Coarser`](Self::Coarser), but it has the tokens scored by the right model.
    Rescore,
}

/// By so many millionths of a nat a forger makes its tokens likelier.
const FORGED: i32 = 500_000;

/// An engine, and the name of a model in it.
type Named = (Arc<dyn Engine>, String);

impl Serve {
    /// What computes its answers, in place of `honest`.
    pub(crate) fn engine(
        self,
        honest: Arc<dyn Engine>,
        coarse: Option<Named>,
        scorer: Option<Named>,
    ) -> Arc<dyn Engine> {
        let coarse = coarse.filter(|_| matches!(self, Self::Coarser | Self::Rescore));
        match self {
            Self::Inflate => honest,
            _ => Arc::new(Cheat { honest, coarse, scorer, how: self }),
        }
    }

    /// What it says that a request took.
    pub(crate) fn usage(self, honest: Usage) -> Usage {
        match self {
            Self::Inflate => {
                let more = (honest.completion / 10).max(1);
                Usage { completion: honest.completion.saturating_add(more), ..honest }
            }
            _ => honest,
        }
    }
}

/// Makes a token likelier than it is.
fn forged(event: Event) -> Event {
    match event {
        Event::Token(mut token) => {
            if let Some(scored) = &mut token.scored {
                scored.logprob = LogProb(scored.logprob.0.saturating_add(FORGED).min(0));
            }
            Event::Token(token)
        }
        other => other,
    }
}

/// The events of an answer once all of it is there, with the likelihoods that its tokens have under the right model.
async fn rescored(
    events: EventStream,
    request: &TokenRequest,
    (scorer, name): &Named,
) -> Result<EventStream, EngineError> {
    let mut events: Vec<Event> = events.collect().await;
    for choice in 0..request.choices {
        let mut tokens: Vec<&mut Token> =
            events.iter_mut().filter_map(|event| token_of(event, choice)).collect();
        if tokens.is_empty() {
            continue;
        }
        let continuation = tokens.iter().map(|token| token.id).collect();
        let job = ScoreJob { prompt: request.prompt.clone(), continuation, top: MAX_TOP_LOGPROBS };
        let scores = scorer.score(name, job).await?;
        for (token, scored) in tokens.iter_mut().zip(scores.tokens) {
            token.scored = Some(scored);
        }
    }
    Ok(futures::stream::iter(events).boxed())
}

/// The token of this choice that comes with an event.
fn token_of(event: &mut Event, choice: u16) -> Option<&mut Token> {
    match event {
        Event::Token(token) if token.choice == choice => Some(token),
        _ => None,
    }
}

/// An engine whose answers are altered on their way out.
struct Cheat {
    honest: Arc<dyn Engine>,
    /// What it uses instead, and under which name.
    coarse: Option<Named>,
    /// What says how likely tokens are under the right model.
    scorer: Option<Named>,
    how: Serve,
}

#[async_trait]
impl Engine for Cheat {
    fn label(&self) -> &str {
        self.honest.label()
    }

    async fn models(&self) -> Result<Vec<ModelInfo>, EngineError> {
        self.honest.models().await
    }

    fn capabilities(&self, model: &str) -> Option<Capabilities> {
        self.honest.capabilities(model)
    }

    async fn text(&self, model: &str) -> Result<TextAssets, EngineError> {
        self.honest.text(model).await
    }

    async fn generate(&self, model: &str, mut job: Job) -> Result<EventStream, EngineError> {
        if let Some((coarse, name)) = &self.coarse {
            let root = coarse.models().await?.into_iter().find(|info| info.name == *name);
            let right = Arc::clone(&job.request);
            if let Some(root) = root.and_then(|info| info.root) {
                Arc::make_mut(&mut job.request).model = root;
            }
            let job = asking(&**coarse, name, job);
            let events = coarse.generate(name, job).await?;
            return match &self.scorer {
                Some(scorer) if self.how == Serve::Rescore => rescored(events, &right, scorer).await,
                _ => Ok(events),
            };
        }
        let most = job.request.max_tokens;
        let altered = Arc::make_mut(&mut job.request);
        match self.how {
            Serve::Truncate => altered.max_tokens = (most / 2).max(1),
            // Another seed: draws that are as likely, and not those that were asked for.
            Serve::Coarser | Serve::Rescore => altered.seed.0[0] ^= 1,
            Serve::Inflate | Serve::Inject | Serve::Forge => {}
        }
        let events = self.honest.generate(model, job).await?;
        if self.how == Serve::Forge {
            return Ok(events.map(forged).boxed());
        }
        if self.how != Serve::Inject {
            return Ok(events);
        }
        // In place of the second token of each choice.
        let mut counts: BTreeMap<u16, u32> = BTreeMap::new();
        let inject = move |event| match event {
            Event::Token(mut token) => {
                let count = counts.entry(token.choice).or_default();
                *count = count.saturating_add(1);
                if *count == 2 {
                    token.id ^= 1;
                }
                Event::Token(token)
            }
            Event::Finished(mut finished) if counts.get(&finished.choice) == Some(&2) => {
                finished.reason = FinishReason::Length;
                Event::Finished(finished)
            }
            other => other,
        };
        Ok(events.map(inject).boxed())
    }

    async fn verify(&self, model: &str, job: VerifyJob) -> Result<Verified, EngineError> {
        self.honest.verify(model, job).await
    }

    async fn health(&self) -> Health {
        self.honest.health().await
    }

    fn stats(&self) -> Stats {
        self.honest.stats()
    }
}
