//! Endorsements: who answers for outputs, and how that went.

use freeway_ledger::endorsements::{Endorsement, EndorsementId, Record};
use freeway_primitives::{Address, Amount, Digest};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Somebody's word for an output.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct EndorsementView {
    /// Its number.
    pub id: u64,
    /// Who answers.
    #[serde(with = "crate::text")]
    #[schema(value_type = String)]
    pub endorser: Address,
    /// The digest of the receipt.
    #[serde(with = "crate::text")]
    #[schema(value_type = String)]
    pub receipt: Digest,
    /// The digest of what is said about its output.
    #[serde(with = "crate::text")]
    #[schema(value_type = String)]
    pub statement: Digest,
    /// What was put up, in base units.
    #[serde(with = "crate::text::nfwy")]
    #[schema(value_type = String)]
    pub bond: Amount,
    /// Of this, what was awarded, in base units.
    #[serde(with = "crate::text::nfwy")]
    #[schema(value_type = String)]
    pub awarded: Amount,
    /// What is left, in base units.
    #[serde(with = "crate::text::nfwy")]
    #[schema(value_type = String)]
    pub left: Amount,
    /// Who may award it.
    #[serde(with = "crate::text")]
    #[schema(value_type = String)]
    pub arbiter: Address,
    /// The height of the endorsement.
    pub made: u64,
    /// The last height at which harm counts.
    pub until: u64,
    /// The last height at which the arbiter can award.
    pub decided_by: u64,
}

impl EndorsementView {
    /// An endorsement of the ledger.
    pub fn new(id: EndorsementId, endorsement: &Endorsement) -> Self {
        Self {
            id: id.0,
            endorser: endorsement.endorser,
            receipt: endorsement.receipt,
            statement: endorsement.statement,
            bond: endorsement.bond,
            awarded: endorsement.awarded,
            left: endorsement.left(),
            arbiter: endorsement.arbiter,
            made: endorsement.made.0,
            until: endorsement.expiry.0,
            decided_by: endorsement.decided_by.0,
        }
    }
}

/// What became of an account's endorsements. Amounts are in base units.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RecordView {
    /// Endorsements whose bond has not gone back or out.
    pub active: u32,
    /// What is left in them.
    #[serde(with = "crate::text::nfwy")]
    #[schema(value_type = String)]
    pub at_stake: Amount,
    /// Endorsements that ended without an award.
    pub kept: u64,
    /// The bonds of these.
    #[serde(with = "crate::text::nfwy")]
    #[schema(value_type = String)]
    pub kept_amount: Amount,
    /// Endorsements of which anything was awarded.
    pub lost: u64,
    /// What was awarded of them.
    #[serde(with = "crate::text::nfwy")]
    #[schema(value_type = String)]
    pub lost_amount: Amount,
}

impl From<Record> for RecordView {
    fn from(record: Record) -> Self {
        let Record { active, at_stake, kept, kept_amount, lost, lost_amount } = record;
        Self { active, at_stake, kept, kept_amount, lost, lost_amount }
    }
}

/// An account's record, and a page of its endorsements whose bonds are not gone, by their number.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct EndorsementsView {
    /// The height of the state that this shows.
    pub height: u64,
    /// What became of all of them.
    pub record: RecordView,
    /// The endorsements.
    pub endorsements: Vec<EndorsementView>,
    /// If there are more: what to give as `after` for the next page.
    pub next: Option<u64>,
}

/// A page of the endorsements of a receipt whose bonds are not gone, by their number.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ReceiptEndorsementsView {
    /// The height of the state that this shows.
    pub height: u64,
    /// The endorsements.
    pub endorsements: Vec<EndorsementView>,
    /// If there are more: what to give as `after` for the next page.
    pub next: Option<u64>,
}
