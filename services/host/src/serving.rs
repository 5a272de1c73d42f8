//! Paid requests: what a host does for payers in lanes, and what it shows verifiers of it.
//!
//! ```text
//!   payer ── Ask ──► http ──► desk: voucher, lane, limits, exposure ──► seat
//!                     ▲                                                  │
//!                     └── frames ◄── run ◄── events ◄── engine ◄─────────┤
//!                           └ Done ◄── store: number, signature, disk ◄──┘
//! ```
//!
//! | module | what it does |
//! |---|---|
//! | [`desk`] | decides whether a request is done, and counts what may be owed for those under way |
//! | [`store`] | receipts and artifacts on disk |
//! | `run` | a request from its acceptance to its receipt |
//! | [`probes`] | requests of the network itself |
//! | `claims` | what is said of the tokens' likelihoods where no bit can be computed again |
//! | `http`, `verifiers` | the routes |
//! | [`view`] | what of the chain all this needs |
//!
//! # What must hold
//! - Nothing is done that the payer has not promised to pay, and nothing beyond what the chain lets a host commit to.
//! - A receipt is on disk before the payer sees it: its number is never given twice, and none is left out.
//! - A payer that leaves owes nothing, so those who do it often are asked to wait.

pub(crate) mod claims;
pub mod desk;
mod http;
pub mod probes;
mod refusal;
mod run;
pub mod store;
mod verifiers;
pub mod view;

use std::sync::Arc;

use axum::Router;
use freeway_engines::{Engine, Registry};
use freeway_primitives::Digest;

use crate::work::ShowWork;

pub use desk::{Desk, Limits};
pub use http::Lease;
pub use refusal::Refusal;

/// What a host serves, and how.
#[derive(Clone)]
pub struct Serving {
    /// What computes answers.
    pub engines: Arc<Registry>,
    /// The models that are served: their names in the registry, and their roots.
    pub models: Vec<(String, Digest)>,
    /// Who says how likely tokens are, of models whose own engine does not.
    pub scorers: Vec<(Digest, Arc<dyn Engine>, String)>,
    /// Requests at a time, at most.
    pub requests: usize,
}

impl core::fmt::Debug for Serving {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let models: Vec<&str> = self.models.iter().map(|(name, _)| name.as_str()).collect();
        f.debug_struct("Serving")
            .field("models", &models)
            .field("requests", &self.requests)
            .finish_non_exhaustive()
    }
}

impl Serving {
    /// Who computes a model's answers, and under which name.
    pub fn engine(&self, root: &Digest) -> Option<(Arc<dyn Engine>, String)> {
        let (name, _) = self.models.iter().find(|(_, served)| served == root)?;
        let route = self.engines.resolve(name).ok()?;
        Some((route.engine, route.theirs))
    }

    /// Who says how likely a model's tokens are, and under which name.
    pub fn scorer(&self, root: &Digest) -> Option<(Arc<dyn Engine>, String)> {
        let known = self.scorers.iter().find(|(model, ..)| model == root);
        let other = known.map(|(_, engine, name)| (Arc::clone(engine), name.clone()));
        other.or_else(|| {
            self.engine(root).filter(|(engine, name)| {
                engine.capabilities(name).is_some_and(|capabilities| capabilities.can_score)
            })
        })
    }

    /// The models whose answers here nobody could compute again.
    pub(crate) fn inexact(&self) -> Vec<Digest> {
        let is_inexact = |root: &Digest| {
            self.engine(root).is_some_and(|(engine, name)| {
                engine.capabilities(&name).is_some_and(|capabilities| !capabilities.exact)
            })
        };
        self.models.iter().map(|(_, root)| *root).filter(is_inexact).collect()
    }

    /// A model of coarser weights that a cheating host has in its place: the one with `-coarse` behind the name.
    fn coarse(&self, root: &Digest) -> Option<(Arc<dyn Engine>, String)> {
        let (name, _) = self.models.iter().find(|(_, served)| served == root)?;
        let route = self.engines.resolve(&format!("{name}-coarse")).ok()?;
        Some((route.engine, route.theirs))
    }
}

/// The route of payers.
pub fn routes(desk: Arc<Desk>) -> Router {
    http::routes(desk)
}

/// The routes of verifiers: what `show` shows of the host that `own` is.
pub fn verifier_routes(own: store::Signer, show: Arc<dyn ShowWork>) -> Router {
    verifiers::routes(own, show)
}
