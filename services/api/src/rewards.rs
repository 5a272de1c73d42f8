//! Rewards: new money, and what a host earns.

use freeway_ledger::lanes::{Credit, Earned};
use freeway_ledger::rewards::{Duty, Earnings, Grant};
use freeway_ledger::work::Standing;
use freeway_primitives::{Address, Amount};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Where the emission of money stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RewardsView {
    /// The height of the state that this shows.
    pub height: u64,
    /// The epoch of the next block.
    pub epoch: u64,
    /// All money, in base units.
    #[serde(with = "crate::text::nfwy")]
    #[schema(value_type = String)]
    pub supply: Amount,
    /// Of this, what was made since genesis.
    #[serde(with = "crate::text::nfwy")]
    #[schema(value_type = String)]
    pub minted: Amount,
    /// The emission of this epoch: it is made in the epoch's last block.
    #[serde(with = "crate::text::nfwy")]
    #[schema(value_type = String)]
    pub emission: Amount,
    /// More than this is never made since genesis.
    #[serde(with = "crate::text::nfwy")]
    #[schema(value_type = String)]
    pub limit: Amount,
    /// The verifiers' part of fees settled in this epoch.
    #[serde(with = "crate::text::nfwy")]
    #[schema(value_type = String)]
    pub verifier_pot: Amount,
    /// What is put aside for training.
    #[serde(with = "crate::text::nfwy")]
    #[schema(value_type = String)]
    pub training: Amount,
}

/// What a host got at the end of an epoch, in base units.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct GrantView {
    /// The epoch that it was for.
    pub epoch: u64,
    /// Emission by weight.
    #[serde(with = "crate::text::nfwy")]
    #[schema(value_type = String)]
    pub capacity: Amount,
    /// Emission for serving.
    #[serde(with = "crate::text::nfwy")]
    #[schema(value_type = String)]
    pub served: Amount,
    /// Of these two, what went into collateral. The rest vests.
    #[serde(with = "crate::text::nfwy")]
    #[schema(value_type = String)]
    pub bonded: Amount,
    /// For verdicts.
    #[serde(with = "crate::text::nfwy")]
    #[schema(value_type = String)]
    pub verdicts: Amount,
}

impl From<&Grant> for GrantView {
    fn from(grant: &Grant) -> Self {
        let Grant { epoch, capacity, served, bonded, verdicts } = *grant;
        Self { epoch: epoch.0, capacity, served, bonded, verdicts }
    }
}

/// What a host earns. All amounts are in base units.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct EarningsView {
    /// The height of the state that this shows.
    pub height: u64,
    /// The host.
    #[serde(with = "crate::text")]
    #[schema(value_type = String)]
    pub host: Address,
    /// What it got last; nothing yet if its epoch and amounts are 0.
    pub last: GrantView,
    /// All emission that was put into vesting.
    #[serde(with = "crate::text::nfwy")]
    #[schema(value_type = String)]
    pub granted: Amount,
    /// All emission that went into its collateral.
    #[serde(with = "crate::text::nfwy")]
    #[schema(value_type = String)]
    pub bonded: Amount,
    /// Of what vested, all that was released.
    #[serde(with = "crate::text::nfwy")]
    #[schema(value_type = String)]
    pub released: Amount,
    /// Of what vested, all that was lost.
    #[serde(with = "crate::text::nfwy")]
    #[schema(value_type = String)]
    pub forfeited: Amount,
    /// All that it got for verdicts.
    #[serde(with = "crate::text::nfwy")]
    #[schema(value_type = String)]
    pub verdicts: Amount,
    /// What is not released.
    #[serde(with = "crate::text::nfwy")]
    #[schema(value_type = String)]
    pub vesting: Amount,
    /// The same by its end.
    pub buckets: Vec<BucketView>,
    /// Its fees.
    pub fees: FeesView,
    /// Checks of work in this epoch.
    pub duties: DutyView,
}

/// Money whose last part comes free at the same switch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BucketView {
    /// The epoch at whose end the last of it comes free.
    pub ends_epoch: u64,
    /// What has not come free.
    #[serde(with = "crate::text::nfwy")]
    #[schema(value_type = String)]
    pub left: Amount,
}

/// The fees of a host, in base units.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FeesView {
    /// Of commitments that are undecided.
    #[serde(with = "crate::text::nfwy")]
    #[schema(value_type = String)]
    pub open: Amount,
    /// The most that may be open.
    #[serde(with = "crate::text::nfwy")]
    #[schema(value_type = String)]
    pub open_limit: Amount,
    /// The intervals of these commitments.
    pub open_intervals: Vec<u64>,
    /// Of commitments that matured, ever.
    #[serde(with = "crate::text::nfwy")]
    #[schema(value_type = String)]
    pub matured: Amount,
    /// Settled, ever; all parts together.
    #[serde(with = "crate::text::nfwy")]
    #[schema(value_type = String)]
    pub settled: Amount,
    /// Matured and not settled.
    #[serde(with = "crate::text::nfwy")]
    #[schema(value_type = String)]
    pub to_settle: Amount,
    /// Settled in this epoch, from unconstrained lanes of payers at arm's length: what emission for serving follows.
    #[serde(with = "crate::text::nfwy")]
    #[schema(value_type = String)]
    pub settled_in_epoch: Amount,
    /// The height of its last conviction.
    pub convicted: Option<u64>,
}

impl FeesView {
    /// What the ledger knows of a host's fees; `limit` is the most that may be open.
    pub fn new(standing: &Standing, limit: Amount, credit: &Credit, earned: &Earned) -> Self {
        Self {
            open: standing.open,
            open_limit: limit,
            open_intervals: standing.intervals.clone(),
            matured: credit.matured,
            settled: credit.settled,
            to_settle: credit.left(),
            settled_in_epoch: earned.fees,
            convicted: standing.convicted.map(|height| height.0),
        }
    }
}

/// Checks of work that a host had to do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DutyView {
    /// Asked for.
    pub owed: u32,
    /// Of these, done.
    pub done: u32,
}

impl From<Duty> for DutyView {
    fn from(duty: Duty) -> Self {
        Self { owed: duty.owed, done: duty.done }
    }
}

impl EarningsView {
    /// What the ledger knows; `vesting` is the sum of what is not released.
    pub fn new(
        height: u64,
        host: Address,
        earnings: &Earnings,
        vesting: Amount,
        fees: FeesView,
        duty: Duty,
    ) -> Self {
        let buckets = earnings.vesting.buckets().iter();
        Self {
            height,
            host,
            last: (&earnings.last).into(),
            granted: earnings.granted,
            bonded: earnings.bonded,
            released: earnings.released,
            forfeited: earnings.forfeited,
            verdicts: earnings.verdicts,
            vesting,
            buckets: buckets
                .map(|bucket| BucketView { ends_epoch: bucket.ends.0, left: bucket.left })
                .collect(),
            fees,
            duties: duty.into(),
        }
    }
}
