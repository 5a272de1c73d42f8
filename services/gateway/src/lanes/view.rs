//! Receipts and lanes as JSON.

use std::time::Instant;

use freeway_api::models::PricesView;
use freeway_api::{KeptReceipt, ReceiptSummary};
use freeway_primitives::{Amount, ChainId};
use serde::Serialize;
use utoipa::ToSchema;

use super::engine::{Lanes, budget_left};
use super::keeper::bound_of;
use super::store::Kept;

/// What the gateway holds.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub(crate) struct LanesView {
    /// The network.
    pub(crate) chain: String,
    /// The account that pays.
    pub(crate) account: String,
    /// The key that signs vouchers.
    pub(crate) key: String,
    /// What may be put into lanes, in base units.
    pub(crate) budget: String,
    /// Of it, what is not bound in lanes and not spent, in base units.
    pub(crate) budget_left: String,
    pub(crate) models: Vec<ModelLanes>,
}

/// A model's lanes.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub(crate) struct ModelLanes {
    /// The model's name here.
    pub(crate) model: String,
    /// Its root.
    pub(crate) root: String,
    /// `open`, `opening`, `unregistered`, `budget` or `problem`.
    pub(crate) status: &'static str,
    /// The same for people.
    pub(crate) message: String,
    pub(crate) lanes: Vec<LaneHeld>,
}

/// An open lane.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub(crate) struct LaneHeld {
    /// Its number.
    pub(crate) lane: u64,
    /// All that was put in, in base units.
    pub(crate) escrow: String,
    /// The height at which it closes by itself.
    pub(crate) expires: u64,
    /// What a million tokens cost.
    pub(crate) prices: PricesView,
    pub(crate) shares: Vec<ShareHeld>,
}

/// A host's share of a lane.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub(crate) struct ShareHeld {
    pub(crate) host: String,
    /// Its part of the escrow, in base units.
    pub(crate) deposit: String,
    /// What its receipts add up to, in base units.
    pub(crate) spent: String,
    /// What is not promised, in base units.
    pub(crate) left: String,
    /// Requests under way.
    pub(crate) running: usize,
    /// How long it takes to accept, mostly of late.
    pub(crate) latency_ms: f64,
    /// Share of requests that went well, mostly of late.
    pub(crate) success: f64,
    /// It is left alone for a moment after a failure.
    pub(crate) paused: bool,
    /// It signed what does not fit, and gets no further voucher.
    pub(crate) excluded: bool,
}

/// What the gateway holds now.
pub(super) fn held(lanes: &Lanes) -> LanesView {
    let now = Instant::now();
    let text = |amount: Amount| amount.0.to_string();
    let models = lanes.models.values().map(|model| ModelLanes {
        model: model.name.clone(),
        root: model.root.to_string(),
        status: model.status().name(),
        message: model.status().words(&lanes.config),
        lanes: model
            .open()
            .iter()
            .map(|open| LaneHeld {
                lane: open.lane.id.0,
                escrow: text(open.lane.escrow),
                expires: open.lane.expires,
                prices: (&open.lane.prices).into(),
                shares: open
                    .shares
                    .iter()
                    .map(|share| {
                        let (latency_ms, success, paused) = share.host.standing(now);
                        let mut account = share.account();
                        ShareHeld {
                            host: share.host.address.to_string(),
                            deposit: text(account.deposit()),
                            spent: text(account.spent()),
                            left: text(account.room(now)),
                            running: account.running(),
                            latency_ms,
                            success,
                            paused,
                            excluded: account.is_excluded(),
                        }
                    })
                    .collect(),
            })
            .collect(),
    });
    LanesView {
        chain: lanes.chain_id.to_string(),
        account: lanes.config.account.to_string(),
        key: lanes.voucher_key.public().to_string(),
        budget: text(lanes.config.budget),
        budget_left: text(budget_left(lanes.config.budget, bound_of(lanes))),
        models: models.collect(),
    }
}

/// A receipt in a list.
pub(crate) fn summary(kept: &Kept) -> ReceiptSummary {
    ReceiptSummary::new(&kept.model, kept.time_ms, &kept.artifact.receipt)
}

/// A receipt with all that checking it takes.
pub(crate) fn receipt(chain: ChainId, kept: &Kept) -> KeptReceipt {
    let ids = (chain, kept.artifact.request.model.0, kept.key);
    KeptReceipt::new(summary(kept), ids, kept.prices, &kept.artifact, (&kept.salt, &kept.traces))
}
