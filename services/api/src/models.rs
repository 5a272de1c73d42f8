//! Models: what hosts serve, and what it costs.

use freeway_ledger::models::{Model, Tier};
use freeway_primitives::{Address, Amount, Digest};
use freeway_proofs::work::Prices;
use freeway_requests::evidence::Noise;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What a million tokens cost, in base units.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PricesView {
    /// Tokens of a prompt that are computed.
    #[serde(with = "crate::text")]
    #[schema(value_type = String, example = "1000000")]
    pub input: u64,
    /// Tokens of a prompt that the host still knew.
    #[serde(with = "crate::text")]
    #[schema(value_type = String, example = "100000")]
    pub cached: u64,
    /// Tokens that are generated.
    #[serde(with = "crate::text")]
    #[schema(value_type = String, example = "2000000")]
    pub output: u64,
}

impl From<&Prices> for PricesView {
    fn from(prices: &Prices) -> Self {
        Self { input: prices.input, cached: prices.cached, output: prices.output }
    }
}

impl From<&PricesView> for Prices {
    fn from(view: &PricesView) -> Self {
        Self { input: view.input, cached: view.cached, output: view.output }
    }
}

/// How much honest machines differ in a model of the statistical tier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NoiseView {
    /// Differences of log-probabilities up to this, in millionths of a nat, are noise.
    pub gap: u32,
    /// How often in a million tokens an honest machine is beyond.
    pub rate: u32,
    /// What an honest token may give to the bets on surprise in the mean, in millionths of a nat: bets on some more
    /// surprise, on much more, and on less.
    pub allowance: [u32; 3],
}

impl From<&Noise> for NoiseView {
    fn from(noise: &Noise) -> Self {
        Self { gap: noise.gap, rate: noise.rate, allowance: noise.allowance }
    }
}

impl From<&NoiseView> for Noise {
    fn from(view: &NoiseView) -> Self {
        Self { gap: view.gap, rate: view.rate, allowance: view.allowance }
    }
}

/// A model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ModelView {
    /// The root of its content.
    #[serde(with = "crate::text")]
    #[schema(value_type = String)]
    pub root: Digest,
    /// Its name.
    pub name: String,
    /// How its answers can be checked: `exact` or `statistical`.
    #[schema(example = "exact")]
    pub tier: String,
    /// Tokens of its context.
    pub context: u32,
    /// Tokens that it knows.
    pub vocabulary: u32,
    /// How many multiply-adds of the race take as long as one generated token.
    pub work: u64,
    /// Who registered it.
    #[serde(with = "crate::text")]
    #[schema(value_type = String)]
    pub by: Address,
    /// What is held for it, in base units.
    #[serde(with = "crate::text::nfwy")]
    #[schema(value_type = String)]
    pub bond: Amount,
    /// The epoch in which it was registered.
    pub since_epoch: u64,
    /// What it costs in lanes that are opened now.
    pub prices: PricesView,
    /// How busy its hosts were in the last interval, in thousandths; `null` if none of them had power.
    pub utilisation: Option<u64>,
    /// Lanes for it that are not over.
    pub lanes: u32,
    /// On the statistical tier, how much honest machines are taken to differ in it: measured, or else the widest that
    /// is assumed.
    pub noise: Option<NoiseView>,
}

impl ModelView {
    /// A model of the ledger, with what stands beside its record.
    pub fn new(root: Digest, model: &Model, utilisation: Option<u64>, lanes: u32) -> Self {
        Self {
            root,
            name: model.name.to_string(),
            tier: model.tier.name().into(),
            context: model.context,
            vocabulary: model.vocabulary,
            work: model.work,
            by: model.by,
            bond: model.bond,
            since_epoch: model.since.0,
            prices: (&model.prices).into(),
            utilisation,
            lanes,
            noise: (model.tier == Tier::Statistical).then(|| (&model.noise()).into()),
        }
    }

    /// Whether its answers can be checked bit for bit.
    pub fn is_exact(&self) -> bool {
        self.tier == "exact"
    }
}

/// A page of models, by root.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ModelsView {
    /// The height of the state that this shows.
    pub height: u64,
    /// The models.
    pub models: Vec<ModelView>,
    /// If there are more: what to give as `after` for the next page.
    #[serde(with = "crate::text::option")]
    #[schema(value_type = Option<String>)]
    pub next: Option<Digest>,
}

/// A model and a page of who serves it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ModelDetailView {
    /// The height of the state that this shows.
    pub height: u64,
    /// The model.
    #[serde(flatten)]
    pub model: ModelView,
    /// How many hosts serve it.
    pub serving: u64,
    /// Those of this page, by address.
    pub hosts: Vec<ServingHostView>,
    /// If there are more: what to give as `after` for the next page.
    #[serde(with = "crate::text::option")]
    #[schema(value_type = Option<String>)]
    pub next: Option<Address>,
}

/// A host that says that it serves a model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ServingHostView {
    /// The host.
    #[serde(with = "crate::text")]
    #[schema(value_type = String)]
    pub host: Address,
    /// The height since which it does.
    pub since: u64,
    /// The smaller of what it proved in the last two races; without any it is not drawn.
    pub power: u64,
    /// Who runs it, by its own words.
    pub operator: String,
    /// Where it stands, by its own words.
    pub region: String,
    /// Where it can be reached.
    pub endpoints: Vec<String>,
}
