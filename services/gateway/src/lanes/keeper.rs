//! Keeps a lane open and funded for each model, within the budget.

mod funds;

use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use freeway_ledger::lanes::{Constraints, Message, Opened};
use freeway_primitives::{Address, Amount, Digest};
use freeway_proofs::work::LaneId;
use tokio::sync::watch;
use tokio::time::Instant;

use super::chain::{ChainError, Lane, LaneShare, LaneState, Outcome};
use super::config::LanesError;
use super::engine::{Lanes, ModelState, OpenLane, Status};
use super::share::Share;
use super::store::{LaneRecord, Pending, Write};
use funds::{Need, bound, need};

/// Between two looks at the chain.
const PAUSE: Duration = Duration::from_millis(300);
/// Blocks within which what was sent stands in a block, or never does. Longer than transactions live.
const SETTLED_AFTER: u64 = 32;
/// Blocks before its expiry from which a lane gets no more requests.
const LAST_BLOCKS: u64 = 3;
/// Blocks between two attempts when one was refused.
const BACK_OFF: u64 = 16;
/// Blocks from the end of a lane to the opening of another one that is needed.
const AFTER_END: u64 = 4;
/// Blocks after which a lane that waits for its hosts is not waited for any more, and how many such lanes there may be
/// of a model.
const LATE_AFTER: u64 = 20;
const MAX_LATE: usize = 3;
/// Looks at the chain after which hosts' addresses are read anew.
const ADDRESSES_EVERY: u64 = 32;

/// Keeps lanes.
pub(super) struct Keeper {
    lanes: Arc<Lanes>,
    constraints: Constraints,
    known: BTreeMap<LaneId, LaneRecord>,
    pending: BTreeMap<Digest, Pending>,
    /// By model: the height from which it is tried again.
    again: BTreeMap<Digest, u64>,
    shares: BTreeMap<(LaneId, Address), Arc<Share>>,
    looks: u64,
}

impl Keeper {
    /// Goes on where the last one ended.
    pub(super) fn new(lanes: Arc<Lanes>) -> Result<Self, LanesError> {
        let wrong = |error: super::store::StoreError| LanesError::Store {
            path: lanes.config.data.display().to_string(),
            detail: error.to_string(),
        };
        let known = lanes.store.lanes().map_err(wrong)?.into_iter().collect();
        let mut pending = BTreeMap::new();
        for model in lanes.models.values() {
            if let Some(found) = lanes.store.pending(&model.root).map_err(wrong)? {
                pending.insert(model.root, found);
            }
        }
        let constraints = lanes.config.constraints()?;
        let (again, shares) = (BTreeMap::new(), BTreeMap::new());
        Ok(Self { lanes, constraints, known, pending, again, shares, looks: 0 })
    }

    pub(super) async fn run(mut self, mut stop: watch::Receiver<bool>) {
        let lanes = Arc::clone(&self.lanes);
        loop {
            let began = Instant::now();
            let height = tokio::select! {
                height = self.look() => height,
                _ = stop.wait_for(|stop| *stop) => return,
            };
            let height = match height {
                Ok(height) => height,
                Err(error) => {
                    tracing::debug!(%error, "the chain does not tell about lanes");
                    self.problem(&error);
                    0
                }
            };
            let next = async {
                // Until the next block, or until somebody needs something.
                tokio::select! {
                    () = lanes.chain.wait(height) => {}
                    () = lanes.wake.notified() => {}
                }
                tokio::time::sleep_until(began + PAUSE).await;
            };
            tokio::select! {
                () = next => {}
                _ = stop.wait_for(|stop| *stop) => return,
            }
        }
    }

    /// Says what is wrong where it leaves a model without a lane.
    fn problem(&self, error: &ChainError) {
        for model in self.lanes.models.values() {
            if model.prices().is_none() {
                model.set_status(Status::Problem(error.to_string()));
            }
        }
    }

    /// Looks at the chain once, and does what is to be done.
    async fn look(&mut self) -> Result<u64, ChainError> {
        let height = self.lanes.chain.height().await?;
        let own = self.lanes.own().await?;
        self.looks = self.looks.wrapping_add(1);
        self.shares.retain(|(lane, _), _| own.iter().any(|own| own.id == *lane));
        let models: Vec<Arc<ModelState>> = self.lanes.models.values().cloned().collect();
        for model in &models {
            let mut open = Vec::new();
            for lane in own.iter().filter(|lane| lane.model == model.root && lane.state == LaneState::Open) {
                if lane.expires > height.saturating_add(LAST_BLOCKS) {
                    let shares = self.shares_of(lane)?;
                    open.push(OpenLane { lane: lane.clone(), shares });
                }
            }
            self.addresses(&open).await;
            model.set_open(open);
        }
        let hosts: BTreeSet<Address> = self.shares.keys().map(|(_, host)| *host).collect();
        self.lanes.hosts.retain(|host| hosts.contains(host));
        self.record(&own, height).await?;
        for model in &models {
            self.fund(model, &own, height).await?;
        }
        Ok(height)
    }

    /// The shares of a lane that can be used, as they are known here.
    fn shares_of(&mut self, lane: &Lane) -> Result<Vec<Arc<Share>>, ChainError> {
        let mut shares = Vec::new();
        for LaneShare { host, key, deposit, forfeited, .. } in &lane.shares {
            if *forfeited {
                continue;
            }
            let share = match self.shares.get(&(lane.id, *host)) {
                Some(share) => Arc::clone(share),
                None => {
                    let record = self.lanes.store.share(lane.id, host).map_err(of_store)?;
                    let host = self.lanes.hosts.get(host);
                    let share = Arc::new(Share::new(lane, host, *key, record));
                    self.shares.insert((lane.id, share.host.address), Arc::clone(&share));
                    share
                }
            };
            share.account().set_deposit(*deposit);
            shares.push(share);
        }
        Ok(shares)
    }

    /// Where the hosts are, as far as that is unknown or old.
    async fn addresses(&self, open: &[OpenLane]) {
        let all = self.looks.is_multiple_of(ADDRESSES_EVERY);
        for share in open.iter().flat_map(|open| &open.shares) {
            if !all && !share.host.endpoints().is_empty() {
                continue;
            }
            match self.lanes.chain.endpoints(&share.host.address).await {
                Ok(endpoints) => share.host.set_endpoints(endpoints),
                Err(error) => tracing::debug!(%error, host = %share.host.address, "no address of a host"),
            }
        }
    }

    /// Writes down what lanes there are, and what was spent in them.
    async fn record(&mut self, own: &[Lane], height: u64) -> Result<(), ChainError> {
        let mut writes = Vec::new();
        for lane in own {
            let paid = lane.shares.iter().fold(0u128, |sum, share| {
                let known = self.shares.get(&(lane.id, share.host));
                let spent = known.map_or(0, |share| share.account().spent().0);
                sum.saturating_add(spent.max(share.paid.0))
            });
            let before = self.known.get(&lane.id).map_or(0, |record| record.spent);
            let record =
                LaneRecord { model: lane.model, escrow: lane.escrow.0, spent: paid.max(before), over: false };
            if self.known.insert(lane.id, record) != Some(record) {
                writes.push(Write::Lane(lane.id, record));
            }
        }
        for (id, record) in &mut self.known {
            if !record.over && own.iter().all(|lane| lane.id != *id) {
                record.over = true;
                // Perhaps nobody could be drawn; then the next block is no better.
                self.again.entry(record.model).or_insert(height.saturating_add(AFTER_END));
                writes.push(Write::Lane(*id, *record));
            }
        }
        if writes.is_empty() {
            return Ok(());
        }
        self.lanes.store.write(writes).await.map_err(of_store)
    }

    /// Opens a lane, or puts more in, if that is needed and the budget allows it.
    async fn fund(&mut self, model: &ModelState, own: &[Lane], height: u64) -> Result<(), ChainError> {
        let waiting = own.iter().filter(|lane| lane.model == model.root && lane.state == LaneState::Waiting);
        let late = |lane: &&Lane| lane.opened.saturating_add(LATE_AFTER) < height;
        let (late, fresh) = waiting.partition::<Vec<_>, _>(late);
        // The value that draws its hosts did not come; the money is back when nobody waits for it any more.
        let waiting = !fresh.is_empty() || late.len() >= MAX_LATE;
        let open = model.open();
        let told = if open.is_empty() { Status::Opening } else { Status::Open };
        if self.is_pending(model, height).await? || waiting {
            model.set_status(told);
            return Ok(());
        }
        if self.again.get(&model.root).is_some_and(|again| height < *again) {
            return Ok(());
        }
        self.again.remove(&model.root);
        let config = &self.lanes.config;
        let need = need(&open, config, height, model.take_need());
        let message = match need {
            Need::Nothing => {
                model.set_status(told);
                return Ok(());
            }
            Need::Lane if !self.is_ready(model).await? => return Ok(()),
            Need::Lane => Message::Open(Box::new(Opened {
                model: model.root,
                escrow: config.escrow,
                shares: config.shares,
                constraints: self.constraints.clone(),
                key: self.lanes.voucher_key.public(),
                lifetime: config.lifetime,
            })),
            Need::Money(lane) => Message::TopUp { lane, amount: config.escrow },
        };
        let all = bound(&self.known, &self.pending).saturating_add(config.escrow.0);
        if all > config.budget.0 {
            tracing::debug!(model = model.name, "the budget for lanes is used up");
            model.set_status(Status::Budget);
            return Ok(());
        }
        model.set_status(told);
        self.send(model, message, height).await
    }

    /// Whether a lane that is opened now would get hosts.
    async fn is_ready(&self, model: &ModelState) -> Result<bool, ChainError> {
        let status = match self.lanes.chain.serving(&model.root).await? {
            None => Status::Unregistered,
            Some(0) => Status::Problem("no host serves the model yet".into()),
            Some(_) if self.lanes.chain.draws().await? => return Ok(true),
            Some(_) => Status::Problem("the network draws no hosts yet: its beacon is being set up".into()),
        };
        // Another lane may still be in use.
        if model.prices().is_none() {
            model.set_status(status);
        }
        Ok(false)
    }

    async fn send(&mut self, model: &ModelState, message: Message, height: u64) -> Result<(), ChainError> {
        let amount = self.lanes.config.escrow;
        // On disk before it is sent: after a crash in between nobody knows whether it was.
        let intent =
            Pending { hash: Digest::ZERO, expiry: height.saturating_add(SETTLED_AFTER), amount: amount.0 };
        self.note(model.root, Some(intent)).await?;
        match self.lanes.chain.send(message).await {
            Ok(sent) => {
                tracing::info!(model = model.name, %amount, "money goes into a lane");
                let expiry = sent.expiry.max(height);
                self.note(model.root, Some(Pending { hash: sent.hash, expiry, ..intent })).await
            }
            Err(error) => {
                tracing::warn!(%error, model = model.name, "a lane cannot be opened or funded");
                self.again.insert(model.root, height.saturating_add(BACK_OFF));
                if model.prices().is_none() {
                    model.set_status(Status::Problem(error.to_string()));
                }
                // A node that is not heard may have taken it.
                if is_refusal(&error) { self.note(model.root, None).await } else { Ok(()) }
            }
        }
    }

    async fn note(&mut self, model: Digest, pending: Option<Pending>) -> Result<(), ChainError> {
        match pending {
            Some(pending) => self.pending.insert(model, pending),
            None => self.pending.remove(&model),
        };
        self.lanes.store.write(vec![Write::Pending(model, pending)]).await.map_err(of_store)
    }

    /// Whether money is still on its way.
    async fn is_pending(&mut self, model: &ModelState, height: u64) -> Result<bool, ChainError> {
        let Some(pending) = self.pending.get(&model.root).copied() else { return Ok(false) };
        let outcome = if pending.hash == Digest::ZERO {
            Outcome::Waiting
        } else {
            self.lanes.chain.outcome(&pending.hash).await?
        };
        match outcome {
            Outcome::Waiting if height <= pending.expiry => return Ok(true),
            Outcome::Waiting => {}
            // The lanes that were read may be older than that; the next look shows it.
            Outcome::Done => {
                self.note(model.root, None).await?;
                self.lanes.wake.notify_one();
                return Ok(true);
            }
            Outcome::Failed(error) => {
                tracing::warn!(%error, model = model.name, "a lane was not opened or funded");
                self.again.insert(model.root, height.saturating_add(BACK_OFF));
                if model.prices().is_none() {
                    model.set_status(Status::Problem(error.to_string()));
                }
            }
        }
        self.note(model.root, None).await?;
        Ok(false)
    }
}

/// Whether the chain has said no, so that it cannot happen any more.
fn is_refusal(error: &ChainError) -> bool {
    !matches!(error.code.as_str(), "unreachable" | "timed_out" | "broken_connection" | "unexpected_answer")
}

fn of_store(error: super::store::StoreError) -> ChainError {
    ChainError::new("record", error.to_string())
}

/// What lanes hold or have spent, for display.
pub(super) fn bound_of(lanes: &Lanes) -> Amount {
    let known = lanes.store.lanes().unwrap_or_default().into_iter().collect();
    Amount(bound(&known, &BTreeMap::new()))
}
