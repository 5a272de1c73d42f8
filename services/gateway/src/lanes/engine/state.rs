//! What the parts of an engine of lanes share.

use core::sync::atomic::{AtomicU64, Ordering::Relaxed};
use core::time::Duration;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Instant;

use freeway_api::serving::most;
use freeway_engines::{Engine, EngineError, ErrorKind, Stats, Tier};
use freeway_primitives::{Address, Amount, ChainId, Digest, SecretKey};
use freeway_proofs::work::{LaneId, Prices, Usage};
use freeway_requests::TokenRequest;
use tokio::sync::{Notify, watch};

use crate::lanes::chain::{Chain, ChainError, Lane};
use crate::lanes::client::HostClient;
use crate::lanes::config::LanesConfig;
use crate::lanes::share::{Hosts, Prefixes, Share, pick};
use crate::lanes::store::Store;

/// What all parts share.
pub(in crate::lanes) struct Lanes {
    pub(in crate::lanes) config: LanesConfig,
    pub(in crate::lanes) chain: Arc<dyn Chain>,
    pub(in crate::lanes) chain_id: ChainId,
    pub(in crate::lanes) store: Store,
    pub(in crate::lanes) client: HostClient,
    pub(in crate::lanes) hosts: Hosts,
    pub(in crate::lanes) prefixes: Prefixes,
    pub(in crate::lanes) voucher_key: SecretKey,
    /// By name.
    pub(in crate::lanes) models: BTreeMap<String, Arc<ModelState>>,
    pub(in crate::lanes) local: Arc<dyn Engine>,
    pub(in crate::lanes) counts: Counts,
    /// Wakes the keeper.
    pub(in crate::lanes) wake: Arc<Notify>,
}

impl Lanes {
    /// The lanes whose vouchers this gateway signs. Those that others opened for the account are not touched.
    pub(in crate::lanes) async fn own(&self) -> Result<Vec<Lane>, ChainError> {
        let key = self.voucher_key.public();
        let mut lanes = self.chain.lanes().await?;
        lanes.retain(|lane| lane.key == key);
        Ok(lanes)
    }
}

/// Why a model has no lane, or that it has one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::lanes) enum Status {
    /// A lane is being opened, or is waiting for its hosts.
    Opening,
    /// It is open.
    Open,
    /// The network does not know the model.
    Unregistered,
    /// The budget is bound or spent.
    Budget,
    /// Something else is wrong.
    Problem(String),
}

impl Status {
    /// For people.
    pub(in crate::lanes) fn words(&self, config: &LanesConfig) -> String {
        match self {
            Self::Opening => "a lane is being opened".into(),
            Self::Open => "a lane is open".into(),
            Self::Unregistered => {
                "the network does not know the model; register it with `freeway model register`".into()
            }
            Self::Budget => {
                format!("the gateway's budget for lanes, {}, is used up; raise it", config.budget)
            }
            Self::Problem(problem) => problem.clone(),
        }
    }

    /// For programs.
    pub(in crate::lanes) const fn name(&self) -> &'static str {
        match self {
            Self::Opening => "opening",
            Self::Open => "open",
            Self::Unregistered => "unregistered",
            Self::Budget => "budget",
            Self::Problem(_) => "problem",
        }
    }
}

/// An open lane.
#[derive(Clone, Debug)]
pub(in crate::lanes) struct OpenLane {
    pub(in crate::lanes) lane: Lane,
    pub(in crate::lanes) shares: Vec<Arc<Share>>,
}

/// A model and its lanes.
#[derive(Debug)]
pub(in crate::lanes) struct ModelState {
    pub(in crate::lanes) name: String,
    pub(in crate::lanes) root: Digest,
    open: RwLock<Vec<OpenLane>>,
    status: Mutex<Status>,
    /// The most that a request asked for and no share had room for.
    need: Mutex<Amount>,
    is_open: watch::Sender<bool>,
}

impl ModelState {
    pub(in crate::lanes) fn new(name: String, root: Digest) -> Self {
        Self {
            name,
            root,
            open: RwLock::default(),
            status: Mutex::new(Status::Opening),
            need: Mutex::default(),
            is_open: watch::Sender::new(false),
        }
    }

    pub(in crate::lanes) fn open(&self) -> Vec<OpenLane> {
        self.open.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(in crate::lanes) fn set_open(&self, open: Vec<OpenLane>) {
        let any = !open.is_empty();
        *self.open.write().unwrap_or_else(PoisonError::into_inner) = open;
        self.is_open.send_if_modified(|is_open| core::mem::replace(is_open, any) != any);
    }

    /// How the answers of its lanes can be checked; `None` while none is open.
    pub(in crate::lanes) fn tier(&self) -> Option<Tier> {
        let open = self.open.read().unwrap_or_else(PoisonError::into_inner);
        open.first().map(|open| open.lane.tier)
    }

    pub(in crate::lanes) fn shares(&self) -> Vec<Arc<Share>> {
        let open = self.open.read().unwrap_or_else(PoisonError::into_inner);
        open.iter().flat_map(|open| open.shares.iter().cloned()).collect()
    }

    pub(in crate::lanes) fn status(&self) -> Status {
        self.status.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(in crate::lanes) fn set_status(&self, status: Status) {
        *self.status.lock().unwrap_or_else(PoisonError::into_inner) = status;
    }

    /// What no share had room for since it was asked last.
    pub(in crate::lanes) fn take_need(&self) -> Amount {
        core::mem::take(&mut self.need.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn needs(&self, amount: Amount) {
        let mut need = self.need.lock().unwrap_or_else(PoisonError::into_inner);
        *need = (*need).max(amount);
    }

    pub(in crate::lanes) async fn opened(&self) {
        // It lives as long as this.
        let _ = self.is_open.subscribe().wait_for(|open| *open).await;
    }

    /// What requests cost now: the dearest open lane decides, so that what is reserved suffices.
    pub(in crate::lanes) fn prices(&self) -> Option<Prices> {
        let open = self.open.read().unwrap_or_else(PoisonError::into_inner);
        open.iter().map(|open| open.lane.prices).reduce(|a, b| Prices {
            input: a.input.max(b.input),
            cached: a.cached.max(b.cached),
            output: a.output.max(b.output),
        })
    }

    /// Whether the local engine may answer: no lane is open, and that is not for want of money.
    pub(in crate::lanes) fn may_fall_back(&self) -> bool {
        let none = self.open.read().unwrap_or_else(PoisonError::into_inner).is_empty();
        none && self.status() != Status::Budget
    }

    /// The share to ask next.
    pub(in crate::lanes) fn pick(
        &self,
        request: &TokenRequest,
        tried: &[(LaneId, Address)],
        known: &HashMap<Address, f64>,
        now: Instant,
    ) -> Option<Arc<Share>> {
        let mut shares = self.shares();
        shares.retain(|share| !tried.contains(&(share.lane, share.host.address)));
        let most = |prices: &Prices| most(prices, request);
        // Rather somebody who failed a moment ago than nobody.
        pick(&shares, most, known, false, now).or_else(|| pick(&shares, most, known, true, now))
    }

    /// Why nobody can be asked.
    pub(in crate::lanes) fn unavailable(&self, request: &TokenRequest, lanes: &Lanes) -> EngineError {
        let error = |message: String, code: &str, seconds| {
            EngineError::new(ErrorKind::Unavailable, message)
                .with_code(code)
                .with_retry_after(Duration::from_secs(seconds))
        };
        let status = self.status();
        let budget = |words: String| error(words, "gateway_budget", 60);
        let Some(prices) = self.prices() else {
            let words = status.words(&lanes.config);
            if status == Status::Budget {
                return budget(words);
            }
            return error(format!("no lane is open for this model yet: {words}; try again"), "no_lane", 5);
        };
        self.needs(most(&prices, request));
        lanes.wake.notify_one();
        if status == Status::Budget {
            return budget(status.words(&lanes.config));
        }
        let message =
            "the hosts of the lane have no room for this request now; more money is put in: try again";
        error(message.to_owned(), "lane_full", 2)
    }
}

/// What was done.
#[derive(Debug, Default)]
pub(in crate::lanes) struct Counts {
    requests: AtomicU64,
    failures: AtomicU64,
    retries: AtomicU64,
    prompt: AtomicU64,
    cached: AtomicU64,
    completion: AtomicU64,
}

impl Counts {
    pub(in crate::lanes) fn request(&self) {
        self.requests.fetch_add(1, Relaxed);
    }

    pub(in crate::lanes) fn failure(&self) {
        self.failures.fetch_add(1, Relaxed);
    }

    pub(in crate::lanes) fn retry(&self) {
        self.retries.fetch_add(1, Relaxed);
    }

    pub(in crate::lanes) fn done(&self, usage: &Usage) {
        self.prompt.fetch_add(usage.prompt.into(), Relaxed);
        self.cached.fetch_add(usage.cached.into(), Relaxed);
        self.completion.fetch_add(usage.completion.into(), Relaxed);
    }

    pub(in crate::lanes) fn stats(&self) -> Stats {
        Stats {
            requests: self.requests.load(Relaxed),
            failures: self.failures.load(Relaxed),
            retries: self.retries.load(Relaxed),
            prompt_tokens: self.prompt.load(Relaxed),
            cached_tokens: self.cached.load(Relaxed),
            completion_tokens: self.completion.load(Relaxed),
            ..Stats::default()
        }
    }
}
