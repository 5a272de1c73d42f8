//! Hosts that cheat those whom they serve.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use freeway_engines::{
    Capabilities, Engine, EngineError, Event, EventStream, FinishReason, Health, Job, ModelInfo, Stats,
    TextAssets, Verified, VerifyJob,
};
use freeway_proofs::work::Usage;
use futures::StreamExt;

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
}

impl Serve {
    /// What computes its answers, in place of `honest`.
    pub(crate) fn engine(
        self,
        honest: Arc<dyn Engine>,
        coarse: Option<(Arc<dyn Engine>, String)>,
    ) -> Arc<dyn Engine> {
        match self {
            Self::Inflate => honest,
            _ => Arc::new(Cheat { honest, coarse: coarse.filter(|_| self == Self::Coarser), how: self }),
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

/// An engine whose answers are altered on their way out.
struct Cheat {
    honest: Arc<dyn Engine>,
    /// What it uses instead, and under which name.
    coarse: Option<(Arc<dyn Engine>, String)>,
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
            if let Some(root) = root.and_then(|info| info.root) {
                Arc::make_mut(&mut job.request).model = root;
            }
            return coarse.generate(name, job).await;
        }
        let most = job.request.max_tokens;
        let altered = Arc::make_mut(&mut job.request);
        match self.how {
            Serve::Truncate => altered.max_tokens = (most / 2).max(1),
            // Another seed: draws that are as likely, and not those that were asked for.
            Serve::Coarser => altered.seed.0[0] ^= 1,
            Serve::Inflate | Serve::Inject => {}
        }
        let events = self.honest.generate(model, job).await?;
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
