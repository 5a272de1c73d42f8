//! Lanes as an engine.

mod state;

use core::time::Duration;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use freeway_engines::{
    Capabilities, Embedding, Engine, EngineError, EventStream, Health, Job, ModelInfo, ScoreJob, Scores,
    Stats, TextAssets, Tier, Verified, VerifyJob,
};
use freeway_primitives::{Amount, ChainId, Digest};
use freeway_proofs::work::{LaneId, Prices};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::chain::{Chain, ChainError, LaneState};
use super::client::HostClient;
use super::config::{LanesConfig, LanesError};
use super::flight::Flight;
use super::keeper::Keeper;
use super::rpc::RpcChain;
use super::share::{Hosts, Prefixes};
use super::store::{Kept, Store};
use super::view::{LanesView, held};
pub(super) use state::{Counts, Lanes, ModelState, OpenLane, Status};

/// How long the end of a keeper may take.
const LAST_TICK: Duration = Duration::from_secs(5);
/// What `owned_by` says of models here.
const OWNER: &str = "freeway network";

/// Models that hosts of the network serve, paid by lanes.
///
/// Tokenizers come from a local engine, which also answers while no lane is open if that is allowed. It stops when
/// this is dropped; [`LaneEngine::shutdown`] waits for that.
pub struct LaneEngine {
    lanes: Arc<Lanes>,
    stop: watch::Sender<bool>,
    keeper: Mutex<Option<JoinHandle<()>>>,
}

impl core::fmt::Debug for LaneEngine {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("LaneEngine").field("models", &self.lanes.models.keys()).finish_non_exhaustive()
    }
}

impl LaneEngine {
    /// Begins to keep lanes for models of `local`, through the nodes of the set-up.
    ///
    /// # Errors
    /// If the set-up makes no sense, no node answers, or the data folder cannot be used.
    pub async fn start(config: LanesConfig, local: Arc<dyn Engine>) -> Result<Arc<Self>, LanesError> {
        config.check()?;
        let chain = RpcChain::connect(&config.rpc, config.account, config.key.clone()).await;
        let chain = chain.map_err(|error| LanesError::Chain(error.to_string()))?;
        Self::with_chain(config, Arc::new(chain), local).await
    }

    /// The same with a chain that is there already; `config.rpc` and `config.key` are ignored.
    ///
    /// # Errors
    /// As [`LaneEngine::start`].
    pub async fn with_chain(
        config: LanesConfig,
        chain: Arc<dyn Chain>,
        local: Arc<dyn Engine>,
    ) -> Result<Arc<Self>, LanesError> {
        config.check()?;
        let models = models(&config, local.as_ref()).await?;
        let voucher_key = super::key::open(&config.data)?;
        let chain_id = chain.id();
        let (folder, receipts) = (config.data.clone(), config.receipts);
        let opening = tokio::task::spawn_blocking(move || Store::open(&folder, &chain_id, receipts));
        let store = opening.await.map_err(|error| LanesError::Store {
            path: config.data.display().to_string(),
            detail: error.to_string(),
        })??;
        let lanes = Arc::new(Lanes {
            client: HostClient::new(config.allow_private),
            hosts: Hosts::default(),
            prefixes: Prefixes::default(),
            counts: Counts::default(),
            wake: Arc::default(),
            config,
            chain,
            chain_id,
            store,
            voucher_key,
            models,
            local,
        });
        let (stop, stopped) = watch::channel(false);
        let keeper = Keeper::new(Arc::clone(&lanes))?;
        let keeper = Mutex::new(Some(tokio::spawn(keeper.run(stopped))));
        Ok(Arc::new(Self { lanes, stop, keeper }))
    }

    /// Stops keeping lanes. They stay open: the next start goes on with them.
    pub async fn shutdown(&self) {
        self.stop.send_replace(true);
        let keeper = self.keeper.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(keeper) = keeper {
            // What it waits for then is a silent node.
            let _ = tokio::time::timeout(LAST_TICK, keeper).await;
        }
    }

    /// Closes all lanes; what is left in them comes back after their hosts had time to settle. Lanes are opened anew
    /// as long as this runs, so it is for the end.
    ///
    /// # Errors
    /// [`ChainError`] if the chain does not take it.
    pub async fn close(&self) -> Result<Vec<LaneId>, ChainError> {
        self.shutdown().await;
        let mut closed = Vec::new();
        for lane in self.lanes.own().await? {
            if lane.state == LaneState::Open {
                self.lanes.chain.send(freeway_ledger::lanes::Message::Close { lane: lane.id }).await?;
                closed.push(lane.id);
            }
        }
        Ok(closed)
    }

    /// The network.
    pub fn chain(&self) -> ChainId {
        self.lanes.chain_id
    }

    /// Resolves when a lane for `model` is open; for programs that wait for it.
    pub async fn opened(&self, model: &str) {
        let Some(state) = self.lanes.models.get(model) else { return core::future::pending().await };
        state.opened().await;
    }

    pub(crate) fn view(&self) -> LanesView {
        held(&self.lanes)
    }

    pub(crate) async fn receipt(&self, digest: Digest) -> Result<Option<Kept>, EngineError> {
        let store = self.lanes.store.clone();
        aside(move || store.receipt(&digest)).await
    }

    pub(crate) async fn receipts(&self, limit: usize) -> Result<Vec<Kept>, EngineError> {
        let store = self.lanes.store.clone();
        aside(move || store.receipts(limit)).await
    }

    #[cfg(test)]
    pub(super) fn lanes(&self) -> &Arc<Lanes> {
        &self.lanes
    }
}

impl Drop for LaneEngine {
    fn drop(&mut self) {
        self.stop.send_replace(true);
    }
}

/// Reads from disk where it stops no request.
async fn aside<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, super::store::StoreError> + Send + 'static,
) -> Result<T, EngineError> {
    let internal = |reason: String| EngineError::new(freeway_engines::ErrorKind::Internal, reason);
    let done = tokio::task::spawn_blocking(work).await.map_err(|error| internal(error.to_string()))?;
    done.map_err(|error| internal(error.to_string()))
}

async fn models(
    config: &LanesConfig,
    local: &dyn Engine,
) -> Result<BTreeMap<String, Arc<ModelState>>, LanesError> {
    let listed = local.models().await.unwrap_or_default();
    let names: Vec<String> = if config.models.is_empty() {
        listed.iter().map(|info| info.name.clone()).collect()
    } else {
        config.models.clone()
    };
    let mut models = BTreeMap::new();
    for name in names {
        let root = listed.iter().find(|info| info.name == name).and_then(|info| info.root);
        let root = root.ok_or_else(|| LanesError::Model(name.clone()))?;
        models.insert(name.clone(), Arc::new(ModelState::new(name, root.0)));
    }
    Ok(models)
}

#[async_trait]
impl Engine for LaneEngine {
    fn label(&self) -> &str {
        "lanes"
    }

    async fn models(&self) -> Result<Vec<ModelInfo>, EngineError> {
        let mut listed = self.lanes.local.models().await?;
        listed.retain(|info| self.lanes.models.contains_key(&info.name));
        for info in &mut listed {
            OWNER.clone_into(&mut info.owned_by);
            let tier = self.lanes.models.get(&info.name).and_then(|state| state.tier());
            // While no lane is open, the local engine is who may answer.
            info.tier = tier.unwrap_or(info.tier);
        }
        Ok(listed)
    }

    fn capabilities(&self, model: &str) -> Option<Capabilities> {
        let state = self.lanes.models.get(model)?;
        let local = self.lanes.local.capabilities(model)?;
        Some(Capabilities { exact: local.exact && state.tier() != Some(Tier::Statistical), ..local })
    }

    async fn text(&self, model: &str) -> Result<TextAssets, EngineError> {
        self.lanes.local.text(model).await
    }

    async fn generate(&self, model: &str, job: Job) -> Result<EventStream, EngineError> {
        let state = self.lanes.models.get(model).ok_or_else(|| EngineError::unknown_model(model))?;
        if self.lanes.config.fallback && state.may_fall_back() {
            return self.lanes.local.generate(model, job).await;
        }
        self.lanes.counts.request();
        let flight = Flight::new(Arc::clone(&self.lanes), Arc::clone(state), job.request);
        flight.begin().await.inspect_err(|_| self.lanes.counts.failure())
    }

    async fn score(&self, model: &str, job: ScoreJob) -> Result<Scores, EngineError> {
        self.lanes.local.score(model, job).await
    }

    async fn verify(&self, model: &str, job: VerifyJob) -> Result<Verified, EngineError> {
        self.lanes.local.verify(model, job).await
    }

    fn prices(&self, model: &str) -> Option<Prices> {
        self.lanes.models.get(model)?.prices()
    }

    async fn embed(&self, model: &str, tokens: Vec<u32>) -> Result<Embedding, EngineError> {
        self.lanes.local.embed(model, tokens).await
    }

    async fn health(&self) -> Health {
        let without: Vec<String> = self
            .lanes
            .models
            .values()
            .filter(|state| state.prices().is_none())
            .map(|state| format!("{}: {}", state.name, state.status().words(&self.lanes.config)))
            .collect();
        if without.is_empty() {
            let open: usize = self.lanes.models.values().map(|state| state.open().len()).sum();
            return Health { ok: true, detail: format!("{open} lanes are open") };
        }
        Health { ok: self.lanes.config.fallback, detail: without.join("; ") }
    }

    fn stats(&self) -> Stats {
        let mut stats = self.lanes.counts.stats();
        let models = self.lanes.models.values();
        stats.running =
            models.flat_map(|state| state.shares()).map(|share| share.account().running() as u64).sum();
        stats += self.lanes.local.stats();
        stats
    }
}

/// The most of the budget that is bound in lanes, for display.
pub(super) fn budget_left(budget: Amount, bound: Amount) -> Amount {
    budget.checked_sub(bound).unwrap_or_default()
}
