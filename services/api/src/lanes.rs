//! Lanes: how inference is paid for.

use freeway_ledger::Text;
use freeway_ledger::lanes::{Constraints, Lane, Share, State};
use freeway_primitives::{Address, Amount, Digest, PublicKey};
use freeway_proofs::work::LaneId;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::models::PricesView;

/// Which hosts a lane may have. An empty list allows all.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ConstraintsView {
    /// One of these regions.
    #[serde(default)]
    pub regions: Vec<String>,
    /// One of these operators.
    #[serde(default)]
    pub operators: Vec<String>,
}

impl From<&Constraints> for ConstraintsView {
    fn from(constraints: &Constraints) -> Self {
        let texts = |list: &[Text]| list.iter().map(ToString::to_string).collect();
        Self { regions: texts(&constraints.regions), operators: texts(&constraints.operators) }
    }
}

impl ConstraintsView {
    /// The ledger's constraints; `None` if a text is none.
    pub fn read(&self) -> Option<Constraints> {
        let texts =
            |list: &[String]| list.iter().map(|text| Text::new(text.as_str()).ok()).collect::<Option<_>>();
        Some(Constraints { regions: texts(&self.regions)?, operators: texts(&self.operators)? })
    }
}

/// A lane.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LaneView {
    /// Its number.
    pub id: u64,
    /// Who pays, and gets back what is left.
    #[serde(with = "crate::text")]
    #[schema(value_type = String)]
    pub payer: Address,
    /// The key that signs vouchers.
    #[serde(with = "crate::text")]
    #[schema(value_type = String)]
    pub key: PublicKey,
    /// The model's root.
    #[serde(with = "crate::text")]
    #[schema(value_type = String)]
    pub model: Digest,
    /// The model's tier: `exact` or `statistical`.
    #[schema(example = "exact")]
    pub tier: String,
    /// What requests cost, from opening to end.
    pub prices: PricesView,
    /// All that was ever put in, in base units.
    #[serde(with = "crate::text::nfwy")]
    #[schema(value_type = String)]
    pub escrow: Amount,
    /// What the lane holds, in base units. What its hosts have earned and not settled is still in it.
    #[serde(with = "crate::text::nfwy")]
    #[schema(value_type = String)]
    pub left: Amount,
    /// Which hosts may be drawn.
    pub constraints: ConstraintsView,
    /// How many hosts the payer wants.
    pub wanted: u8,
    /// `waiting` for its hosts, `open` or `closing`. A lane that is over is not shown any more.
    #[schema(example = "open")]
    pub state: String,
    /// While it waits: the height whose value draws its hosts.
    pub value_of: Option<u64>,
    /// While it closes: the last height at which it can be settled.
    pub settled_until: Option<u64>,
    /// When it was opened.
    pub opened: u64,
    /// The height at whose beginning it closes by itself.
    pub expires: u64,
    /// Its hosts, in the order drawn; none while it waits.
    pub shares: Vec<ShareView>,
}

/// A host's part of a lane.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ShareView {
    /// The host.
    #[serde(with = "crate::text")]
    #[schema(value_type = String)]
    pub host: Address,
    /// The key that signs its acceptances and receipts.
    #[serde(with = "crate::text")]
    #[schema(value_type = String)]
    pub key: PublicKey,
    /// Its operator at the draw.
    pub operator: String,
    /// When it was drawn.
    pub drawn: u64,
    /// Its part of the escrow, in base units.
    #[serde(with = "crate::text::nfwy")]
    #[schema(value_type = String)]
    pub deposit: Amount,
    /// Of this, what the host has settled, in base units.
    #[serde(with = "crate::text::nfwy")]
    #[schema(value_type = String)]
    pub paid: Amount,
    /// Whether the host has nothing to do with the payer, as far as is known.
    pub arms_length: bool,
    /// Whether the host was convicted since: it is paid nothing more.
    pub forfeited: bool,
}

impl LaneView {
    /// A lane of the ledger; `forfeited` says of a share whether it is.
    ///
    /// # Errors
    /// Whatever `forfeited` reports.
    pub fn new<E>(
        id: LaneId,
        lane: &Lane,
        mut forfeited: impl FnMut(&Share) -> Result<bool, E>,
    ) -> Result<Self, E> {
        let share = |share: &Share| {
            Ok(ShareView {
                host: share.host,
                key: share.key,
                operator: share.operator.to_string(),
                drawn: share.drawn.0,
                deposit: share.deposit,
                paid: share.paid,
                arms_length: share.arms_length,
                forfeited: forfeited(share)?,
            })
        };
        let (value_of, settled_until) = match lane.state {
            State::Waiting { value_of } => (Some(value_of.0), None),
            State::Open => (None, None),
            State::Closing { until } => (None, Some(until.0)),
        };
        Ok(Self {
            id: id.0,
            payer: lane.payer,
            key: lane.key,
            model: lane.model,
            tier: lane.tier.name().into(),
            prices: (&lane.prices).into(),
            escrow: lane.escrow,
            left: lane.left(),
            constraints: (&lane.constraints).into(),
            wanted: lane.wanted,
            state: lane.state.name().into(),
            value_of,
            settled_until,
            opened: lane.opened.0,
            expires: lane.expires.0,
            shares: lane.shares.iter().map(share).collect::<Result<_, E>>()?,
        })
    }

    /// Whether requests may be made in it.
    pub fn is_open(&self) -> bool {
        self.state == "open"
    }

    /// A host's share.
    pub fn share(&self, host: &Address) -> Option<&ShareView> {
        self.shares.iter().find(|share| share.host == *host)
    }
}

/// A page of lanes, by their number.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LanesView {
    /// The height of the state that this shows.
    pub height: u64,
    /// The lanes.
    pub lanes: Vec<LaneView>,
    /// If there are more: what to give as `after` for the next page.
    pub next: Option<u64>,
}
