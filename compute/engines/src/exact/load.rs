//! Loading models when they are asked for.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use freeway_inference::{Constraint, Model, Shutdown};
use freeway_models::{Entry, Library, Package};
use freeway_requests::{ModelRoot, TokenRequest};
use tokio::sync::OnceCell;

use super::{ExactOptions, unavailable};
use crate::grammar::{Grammars, VocabularyError, token_bytes_exist};
use crate::{EngineError, ErrorKind, Stats, TextAssets};

/// A model that can be asked for.
pub(super) struct Slot {
    pub(super) root: ModelRoot,
    pub(super) context: u32,
    origin: Origin,
    loaded: OnceCell<Arc<Loaded>>,
    /// The last attempt to load it failed.
    broken: AtomicBool,
}

enum Origin {
    Package(Package),
    Library(Library, Entry),
}

/// A model that answers.
pub(super) struct Loaded {
    pub(super) text: TextAssets,
    pub(super) engine: Arc<freeway_inference::Engine>,
    /// Why it takes no grammars, if it takes none.
    no_grammars: Option<VocabularyError>,
    grammars: OnceCell<Arc<Grammars>>,
    /// Given back when the model is gone.
    _share: Share,
}

impl Slot {
    pub(super) fn of_package(package: Package) -> Self {
        let (root, context) = (package.root(), package.config().context);
        Self::new(root, context, Origin::Package(package))
    }

    pub(super) fn of_entry(library: Library, entry: Entry) -> Self {
        Self::new(entry.root, entry.context, Origin::Library(library, entry))
    }

    fn new(root: ModelRoot, context: u32, origin: Origin) -> Self {
        Self { root, context, origin, loaded: OnceCell::new(), broken: AtomicBool::new(false) }
    }

    /// The model, if it was loaded.
    pub(super) fn loaded(&self) -> Option<&Arc<Loaded>> {
        self.loaded.get()
    }

    /// Whether it could not be loaded.
    pub(super) fn is_broken(&self) -> bool {
        self.broken.load(Ordering::Relaxed)
    }

    /// The model; loads it if it is not. Many may ask at once, and one of them loads.
    pub(super) async fn load(
        self: &Arc<Self>,
        options: &ExactOptions,
        budget: &Arc<Budget>,
    ) -> Result<Arc<Loaded>, EngineError> {
        let load = async || {
            let (slot, options, budget) = (Arc::clone(self), options.clone(), Arc::clone(budget));
            let made = tokio::task::spawn_blocking(move || slot.load_now(&options, &budget)).await;
            let made = made.unwrap_or_else(|_| Err(unavailable("the model broke while it was loaded")));
            self.broken.store(made.is_err(), Ordering::Relaxed);
            made.map(Arc::new)
        };
        self.loaded.get_or_try_init(load).await.cloned()
    }

    fn load_now(&self, options: &ExactOptions, budget: &Arc<Budget>) -> Result<Loaded, EngineError> {
        let failed =
            |error: &dyn core::fmt::Display| unavailable(format!("the model cannot be loaded: {error}"));
        let package = match &self.origin {
            Origin::Package(package) => package.clone(),
            Origin::Library(library, entry) => library.load(entry).map_err(|error| failed(&error))?,
        };
        let share = budget.take(package.bytes().saturating_add(options.engine.cache_bytes))?;
        let text = TextAssets::of_package(&package);
        let no_grammars = token_bytes_exist(&text.tokenizer_json, text.vocabulary, &text.eos).err();
        let model = Model::load(package, &options.model).map_err(|error| failed(&error))?;
        let engine = freeway_inference::Engine::start(Arc::new(model), &options.engine)
            .map_err(|error| failed(&error))?;
        let engine = Arc::new(engine);
        Ok(Loaded { text, engine, no_grammars, grammars: OnceCell::new(), _share: share })
    }
}

impl Loaded {
    /// Whether requests may have grammars.
    pub(super) fn takes_grammars(&self) -> bool {
        self.no_grammars.is_none()
    }

    /// The constraint of a request, if it has a grammar.
    pub(super) async fn constraint(
        &self,
        request: &TokenRequest,
    ) -> Result<Option<Box<dyn Constraint>>, EngineError> {
        let Some(grammar) = &request.grammar else { return Ok(None) };
        let made = self.grammars().await?.constraint(grammar, &request.stop).await?;
        Ok(Some(Box::new(made)))
    }

    /// The model's grammars; makes them ready when they are first asked for.
    pub(super) async fn grammars(&self) -> Result<Arc<Grammars>, EngineError> {
        let unusable = |error: &VocabularyError| {
            EngineError::new(ErrorKind::Unsupported, error.to_string()).with_param(crate::grammar::PARAM)
        };
        if let Some(error) = &self.no_grammars {
            return Err(unusable(error));
        }
        let make = async || {
            let text = self.text.clone();
            let made = tokio::task::spawn_blocking(move || {
                Grammars::new(&text.tokenizer_json, text.vocabulary, &text.eos).map(Arc::new)
            });
            match made.await {
                Ok(made) => made.map_err(|error| unusable(&error)),
                Err(_) => Err(EngineError::unsupported("grammars: its tokenizer cannot be used with them")),
            }
        };
        self.grammars.get_or_try_init(make).await.cloned()
    }
}

impl Drop for Loaded {
    fn drop(&mut self) {
        self.engine.shutdown(Shutdown::Abort);
        // The last to let an engine go waits for its thread. That must not be an asynchronous one.
        let engine = Arc::clone(&self.engine);
        let waiter = std::thread::Builder::new().name("engine-end".to_owned());
        if let Err(error) = waiter.spawn(move || engine.join()) {
            tracing::warn!(%error, "no thread could be started to wait for the end of an engine");
        }
    }
}

/// Memory that models may take together.
#[derive(Debug)]
pub(super) struct Budget {
    most: u64,
    taken: Mutex<u64>,
}

/// A part of the memory, given back when dropped.
struct Share {
    budget: Arc<Budget>,
    bytes: u64,
}

impl Budget {
    pub(super) fn new(most: u64) -> Self {
        Self { most, taken: Mutex::new(0) }
    }

    fn take(self: &Arc<Self>, bytes: u64) -> Result<Share, EngineError> {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        match taken.checked_add(bytes).filter(|sum| *sum <= self.most) {
            Some(sum) => *taken = sum,
            None => {
                return Err(unavailable(format!(
                    "the model takes {bytes} bytes of memory, {} of {} are taken; give more, or serve fewer models",
                    *taken, self.most
                )));
            }
        }
        Ok(Share { budget: Arc::clone(self), bytes })
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut taken = self.budget.taken.lock().unwrap_or_else(PoisonError::into_inner);
        *taken = taken.saturating_sub(self.bytes);
    }
}

/// An engine's numbers in the words of the trait.
pub(super) fn stats(stats: &freeway_inference::Stats) -> Stats {
    let wide = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
    let ended = stats.finished.saturating_add(stats.failed).saturating_add(stats.cancelled);
    let bytes = |pages: usize| wide(pages).saturating_mul(wide(stats.page_bytes));
    Stats {
        running: wide(stats.running),
        waiting: wide(stats.waiting).saturating_add(wide(stats.paused)),
        requests: ended,
        failures: stats.failed,
        cancelled: stats.cancelled,
        retries: 0,
        prompt_tokens: stats.prompt_tokens,
        cached_tokens: stats.cached_tokens,
        completion_tokens: stats.generated_tokens,
        cache_bytes_used: bytes(stats.pages_in_use),
        cache_bytes: bytes(stats.pages_total),
    }
}
