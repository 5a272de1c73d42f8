//! A model, ready to compute.

use core::ops::Range;

use freeway_kernels::served::{PAGE_POSITIONS, Page};
use freeway_kernels::{Backend, Pool, PoolError, Unavailable};
use freeway_models::{Config, Package};
use freeway_requests::ModelRoot;

use crate::forward::{Chunk, Forward};
use crate::request::{Refused, check_tokens};
use crate::trace::{Leaves, Trace};

/// With what a model is computed. None of it changes a bit of what comes out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelOptions {
    /// The implementation of the products.
    pub backend: Backend,
    /// Threads, at least one.
    pub threads: usize,
}

impl Default for ModelOptions {
    /// The best there is, on all cores.
    fn default() -> Self {
        let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Self { backend: Backend::best(), threads }
    }
}

/// Why a model is not ready.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The backend does not run on this machine.
    #[error(transparent)]
    Backend(#[from] Unavailable),
    /// There are no threads.
    #[error(transparent)]
    Threads(#[from] PoolError),
}

/// A package with what computes it. Shared by reference; what changes is elsewhere.
#[derive(Debug)]
pub struct Model {
    package: Package,
    backend: Backend,
    pool: Pool,
    leaves: Leaves,
}

impl Model {
    /// Makes a package ready. The package is mapped, so this takes no time; its pages come into memory as they are used.
    ///
    /// # Errors
    /// If the backend does not run here, or the threads do not start.
    pub fn load(package: Package, options: &ModelOptions) -> Result<Self, LoadError> {
        let backend = options.backend.check()?;
        let pool = Pool::new(options.threads)?;
        let leaves = Leaves::new(package.root().0.as_bytes());
        Ok(Self { package, backend, pool, leaves })
    }

    /// The package.
    pub fn package(&self) -> &Package {
        &self.package
    }

    /// Its dimensions.
    pub fn config(&self) -> &Config {
        self.package.config()
    }

    /// Its content address.
    pub fn root(&self) -> ModelRoot {
        self.package.root()
    }

    /// The implementation of the products.
    pub fn backend(&self) -> Backend {
        self.backend
    }

    /// The threads.
    pub fn pool(&self) -> &Pool {
        &self.pool
    }

    /// Bytes of one page of keys and values.
    pub fn page_bytes(&self) -> usize {
        let config = self.config();
        Page::bytes_of(config.layers(), config.kv_heads(), config.head())
    }

    /// The trace of `tokens`, with all its leaves, computed here and now. The root is that of a generation or scoring
    /// that computed the same positions.
    ///
    /// # Errors
    /// If there are no tokens, more than the context has, or one that the vocabulary does not have.
    pub fn trace(&self, tokens: &[u32]) -> Result<Trace, Refused> {
        let context = self.config().context();
        check_tokens("prompt", tokens, self.config().vocabulary)?;
        if tokens.len() > context {
            return Err(Refused::TooLong { tokens: tokens.len(), limit: context });
        }
        let mut leaves = Vec::with_capacity(tokens.len() * self.config().layers());
        self.walk(tokens, true, |forward, rows| {
            rows.for_each(|row| leaves.extend_from_slice(forward.leaves(row)));
        });
        Ok(Trace::new(self.config().layers(), leaves))
    }

    /// Computes `tokens` (valid, and not more than the context) from the beginning, without an engine. `each` gets the
    /// forward pass after each step, with the rows of that step; their results are all wanted.
    pub(crate) fn walk(
        &self,
        tokens: &[u32],
        traced: bool,
        mut each: impl FnMut(&mut Forward, Range<usize>),
    ) {
        /// Rows of a step.
        const ROWS: usize = 256;
        let count = tokens.len().div_ceil(PAGE_POSITIONS);
        let mut slab: Vec<Page> = (0..count).map(|_| self.page()).collect();
        let pages: Vec<u32> = (0..).take(count).collect();
        let mut forward = Forward::new();
        for (index, tokens) in tokens.chunks(ROWS).enumerate() {
            let chunk = Chunk { pages: &pages, first: index * ROWS, tokens, wanted: 0, traced };
            forward.run(self, &mut slab, &[chunk]);
            each(&mut forward, 0..tokens.len());
        }
    }

    /// An empty page of keys and values.
    pub(crate) fn page(&self) -> Page {
        let config = self.config();
        Page::new(config.layers(), config.kv_heads(), config.head())
    }

    /// What hashes rows of this model.
    pub(crate) fn leaf_hasher(&self) -> &Leaves {
        &self.leaves
    }
}
