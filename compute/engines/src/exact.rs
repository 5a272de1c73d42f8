//! The exact engine behind the trait: several models, each with an engine of its own once it is asked for.

mod load;
mod refusal;

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use async_trait::async_trait;
use freeway_inference::{EngineOptions, ModelOptions, Request, ScoreRequest, Shutdown, VerifyRequest};
use freeway_models::{Library, Package};
use futures::StreamExt;

use crate::error::shown;
use crate::{
    Capabilities, Embedding, Engine, EngineError, ErrorKind, Event, EventStream, FinishReason, Finished,
    Health, Job, ModelInfo, ScoreJob, Scores, Stats, TextAssets, Tier, Token, Verified, VerifyJob,
};
use load::{Budget, Loaded, Slot};

/// How exact models are run.
#[derive(Clone, Debug)]
pub struct ExactOptions {
    /// Threads and backend of each model.
    pub model: ModelOptions,
    /// Memory for keys and values, and queues, of each model.
    pub engine: EngineOptions,
    /// The most bytes that all loaded models take together: packages and room for keys and values. A model that
    /// would pass it is not loaded.
    pub memory_bytes: u64,
    /// Who offers the models.
    pub owned_by: String,
}

impl Default for ExactOptions {
    fn default() -> Self {
        Self {
            model: ModelOptions::default(),
            engine: EngineOptions::default(),
            memory_bytes: u64::MAX,
            owned_by: "freeway".to_owned(),
        }
    }
}

/// Why models cannot be offered.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The library does not have a model, or cannot be read.
    #[error("model {name:?} cannot be offered: {problem}")]
    Library {
        /// The name that was asked for.
        name: String,
        /// What the library says.
        problem: String,
    },
    /// Two models have one name.
    #[error("there are two models named {0:?}; give one of them by its root, under another name")]
    SameName(String),
}

/// Exact models.
pub struct Exact {
    options: ExactOptions,
    models: RwLock<BTreeMap<String, Arc<Slot>>>,
    budget: Arc<Budget>,
}

impl Exact {
    /// Without any model.
    pub fn new(options: ExactOptions) -> Self {
        let budget = Arc::new(Budget::new(options.memory_bytes));
        Self { options, models: RwLock::default(), budget }
    }

    /// The models of a library that are named, by name or by the beginning of a root; all if none is: of those with
    /// one name, the second has the beginning of its root behind the name. They are loaded when they are first
    /// asked for.
    ///
    /// # Errors
    /// If the library has no such model, or cannot be read.
    pub fn open(library: &Library, names: &[String], options: ExactOptions) -> Result<Self, OpenError> {
        let failed = |name: &str, problem: String| OpenError::Library { name: shown(name), problem };
        let entries = if names.is_empty() {
            // A damaged package is told about where models are listed; the others are offered.
            library.list().map_err(|error| failed("(all)", error.to_string()))?.entries
        } else {
            let find = |name: &String| library.find(name).map_err(|error| failed(name, error.to_string()));
            names.iter().map(find).collect::<Result<_, _>>()?
        };
        let exact = Self::new(options);
        for entry in entries {
            let mut name = entry.name.clone();
            // Two versions of a model in one library are told apart by their roots.
            if names.is_empty() && exact.slot(&name).is_some() {
                name = format!("{name}-{:.8}", entry.root.to_string());
            }
            exact.insert(&name, Slot::of_entry(library.clone(), entry))?;
        }
        Ok(exact)
    }

    /// Offers a package under `name`. It is loaded when it is first asked for.
    ///
    /// # Errors
    /// If the name is taken.
    pub fn add(&self, name: &str, package: Package) -> Result<(), OpenError> {
        self.insert(name, Slot::of_package(package))
    }

    fn insert(&self, name: &str, slot: Slot) -> Result<(), OpenError> {
        let mut models = self.models.write().unwrap_or_else(PoisonError::into_inner);
        if models.contains_key(name) {
            return Err(OpenError::SameName(shown(name)));
        }
        models.insert(name.to_owned(), Arc::new(slot));
        Ok(())
    }

    /// Takes a model away. What runs on it fails once nobody holds it any more. Gives whether there was one.
    pub fn remove(&self, name: &str) -> bool {
        let removed = self.models.write().unwrap_or_else(PoisonError::into_inner).remove(name);
        if let Some(loaded) = removed.as_ref().and_then(|slot| slot.loaded()) {
            loaded.engine.shutdown(Shutdown::Drain);
        }
        removed.is_some()
    }

    /// Loads a model before anybody asks for it.
    ///
    /// # Errors
    /// If there is none of that name, or it cannot be loaded.
    pub async fn preload(&self, model: &str) -> Result<(), EngineError> {
        self.load(model).await.map(drop)
    }

    /// Stops all engines, and waits for them to end.
    pub async fn shutdown(&self, how: Shutdown) {
        let slots: Vec<Arc<Slot>> = self.slots().into_iter().map(|(_, slot)| slot).collect();
        for loaded in slots.iter().filter_map(|slot| slot.loaded()) {
            loaded.engine.shutdown(how);
        }
        let joined = tokio::task::spawn_blocking(move || {
            for loaded in slots.iter().filter_map(|slot| slot.loaded()) {
                loaded.engine.join();
            }
        });
        if joined.await.is_err() {
            tracing::error!("an engine broke while it ended");
        }
    }

    fn slots(&self) -> Vec<(String, Arc<Slot>)> {
        let models = self.models.read().unwrap_or_else(PoisonError::into_inner);
        models.iter().map(|(name, slot)| (name.clone(), Arc::clone(slot))).collect()
    }

    fn slot(&self, model: &str) -> Option<Arc<Slot>> {
        self.models.read().unwrap_or_else(PoisonError::into_inner).get(model).cloned()
    }

    async fn load(&self, model: &str) -> Result<Arc<Loaded>, EngineError> {
        let slot = self.slot(model).ok_or_else(|| EngineError::unknown_model(model))?;
        slot.load(&self.options, &self.budget).await
    }
}

impl core::fmt::Debug for Exact {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let names: Vec<String> = self.slots().into_iter().map(|(name, _)| name).collect();
        f.debug_struct("Exact").field("models", &names).finish_non_exhaustive()
    }
}

#[async_trait]
impl Engine for Exact {
    fn label(&self) -> &str {
        "exact"
    }

    async fn models(&self) -> Result<Vec<ModelInfo>, EngineError> {
        let info = |(name, slot): (String, Arc<Slot>)| ModelInfo {
            name,
            root: Some(slot.root),
            context: Some(slot.context),
            tier: Tier::Exact,
            owned_by: self.options.owned_by.clone(),
            created: 0,
        };
        Ok(self.slots().into_iter().map(info).collect())
    }

    fn capabilities(&self, model: &str) -> Option<Capabilities> {
        let slot = self.slot(model)?;
        Some(Capabilities {
            exact: true,
            can_execute: true,
            can_score: true,
            takes_tokens: true,
            // Before the model is loaded nobody knows; almost all tokenizers will do.
            grammar: slot.loaded().is_none_or(|loaded| loaded.takes_grammars()),
            embeddings: true,
            context: Some(slot.context),
        })
    }

    async fn text(&self, model: &str) -> Result<TextAssets, EngineError> {
        Ok(self.load(model).await?.text.clone())
    }

    async fn generate(&self, model: &str, job: Job) -> Result<EventStream, EngineError> {
        let loaded = self.load(model).await?;
        let Job { request, trace, .. } = job;
        request.validate(loaded.text.vocabulary).map_err(|invalid| refusal::of_invalid(&invalid))?;
        let constraint = loaded.constraint(&request).await?;
        let prompt_tokens = u32::try_from(request.prompt.len()).unwrap_or(u32::MAX);
        let submitted = loaded.engine.submit(Request { tokens: request, constraint, trace });
        let mut running = submitted.map_err(refusal::of_refused)?;
        let events = futures::stream::poll_fn(move |context| {
            // The engine lives as long as somebody reads from it.
            let _engine = &loaded;
            running.poll_next(context)
        });
        Ok(events.map(move |event| translated(event, prompt_tokens)).boxed())
    }

    async fn score(&self, model: &str, job: ScoreJob) -> Result<Scores, EngineError> {
        let loaded = self.load(model).await?;
        let ScoreJob { prompt, continuation, top } = job;
        let pending = loaded.engine.score(ScoreRequest { prompt, continuation, top });
        let scores =
            pending.map_err(refusal::of_refused)?.await.map_err(|failure| refusal::of_failure(&failure))?;
        Ok(Scores { tokens: scores.tokens, trace: Some(scores.trace), cached_tokens: scores.cached_tokens })
    }

    async fn verify(&self, model: &str, job: VerifyJob) -> Result<Verified, EngineError> {
        let loaded = self.load(model).await?;
        let VerifyJob { request, output } = job;
        if request.validate(loaded.text.vocabulary).is_err() && request.model == loaded.text.root {
            // Nothing comes of it. Its grammar is not looked at.
            return Ok(Verified { differs: Some((0, 0)), traces: Vec::new() });
        }
        let constraint = loaded.constraint(&request).await?;
        let pending = loaded.engine.verify(VerifyRequest { tokens: request, constraint, output });
        let verified =
            pending.map_err(refusal::of_refused)?.await.map_err(|failure| refusal::of_failure(&failure))?;
        Ok(Verified { differs: verified.differs, traces: verified.traces })
    }

    async fn embed(&self, model: &str, tokens: Vec<u32>) -> Result<Embedding, EngineError> {
        let loaded = self.load(model).await?;
        let prompt_tokens = u32::try_from(tokens.len()).unwrap_or(u32::MAX);
        let pending = loaded.engine.embed(tokens).map_err(refusal::of_refused)?;
        let vector = pending.await.map_err(|failure| refusal::of_failure(&failure))?;
        Ok(Embedding { vector, prompt_tokens })
    }

    async fn health(&self) -> Health {
        let slots = self.slots();
        let broken: Vec<String> =
            slots.iter().filter(|(_, slot)| slot.is_broken()).map(|(name, _)| shown(name)).collect();
        let loaded = slots.iter().filter(|(_, slot)| slot.loaded().is_some()).count();
        let mut detail = format!("{} models, {loaded} of them loaded", slots.len());
        if !broken.is_empty() {
            detail.push_str(&format!("; cannot be loaded: {}", broken.join(", ")));
        }
        Health { ok: broken.is_empty(), detail }
    }

    fn stats(&self) -> Stats {
        let mut sum = Stats::default();
        for loaded in self.slots().iter().filter_map(|(_, slot)| slot.loaded()) {
            sum += load::stats(&loaded.engine.stats());
        }
        sum
    }
}

/// An event of an engine in the words of the trait.
fn translated(event: freeway_inference::Event, prompt_tokens: u32) -> Event {
    match event {
        freeway_inference::Event::Started { cached_tokens } => {
            Event::Started { prompt_tokens, cached_tokens }
        }
        freeway_inference::Event::Token(token) => {
            Event::Token(Token { choice: token.choice, id: token.id, scored: token.scored })
        }
        freeway_inference::Event::Finished(finished) => Event::Finished(Finished {
            choice: finished.choice,
            reason: match finished.reason {
                freeway_inference::FinishReason::Stop(id) => FinishReason::Stop(id),
                freeway_inference::FinishReason::Constraint => FinishReason::Grammar,
                freeway_inference::FinishReason::Length => FinishReason::Length,
            },
            completion_tokens: finished.completion_tokens,
            trace: finished.trace,
        }),
        freeway_inference::Event::Failed(failure) => Event::Failed(refusal::of_failure(&failure)),
    }
}

/// The engine cannot load a model.
fn unavailable(message: impl Into<String>) -> EngineError {
    EngineError::new(ErrorKind::Unavailable, message)
}
