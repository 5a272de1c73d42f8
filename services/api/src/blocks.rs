//! Blocks and certificates.

use freeway_ledger::{Outcome, Transaction};
use freeway_primitives::{Address, Certificate, Digest, Header};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::events::EventView;
use crate::transactions::{FailureView, OutcomeView, kind_of};

/// The most blocks in one [`BlocksView`].
pub const MAX_BLOCKS: u64 = 100;

/// A header.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct HeaderView {
    /// The height.
    pub height: u64,
    /// The proposer's clock, in milliseconds since 1970.
    pub time_ms: u64,
    /// Who built the block.
    #[serde(with = "crate::text")]
    #[schema(value_type = String)]
    pub proposer: Address,
    /// The block before.
    #[serde(with = "crate::text")]
    #[schema(value_type = String)]
    pub parent: Digest,
    /// Root of the state after the parent.
    #[serde(with = "crate::text")]
    #[schema(value_type = String)]
    pub state_root: Digest,
    /// Digest of the parent's receipts.
    #[serde(with = "crate::text")]
    #[schema(value_type = String)]
    pub receipts_root: Digest,
    /// Digest of the list of transactions.
    #[serde(with = "crate::text")]
    #[schema(value_type = String)]
    pub transactions_root: Digest,
    /// Digest of the parent's certificate.
    #[serde(with = "crate::text")]
    #[schema(value_type = String)]
    pub parent_certificate: Digest,
    /// Digest of the validators that sign this height.
    #[serde(with = "crate::text")]
    #[schema(value_type = String)]
    pub validators: Digest,
    /// Digest of the validators that sign the next height.
    #[serde(with = "crate::text")]
    #[schema(value_type = String)]
    pub next_validators: Digest,
    /// The beacon's value that the header records.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub beacon: Option<BeaconRecordView>,
}

/// A value of the randomness beacon in a header.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BeaconRecordView {
    /// The height that the value belongs to.
    pub height: u64,
    /// The group's signature in hexadecimal; the value is its digest.
    pub signature: String,
}

impl From<&Header> for HeaderView {
    fn from(header: &Header) -> Self {
        Self {
            height: header.height.0,
            time_ms: header.time_ms,
            proposer: header.proposer,
            parent: header.parent.0,
            state_root: header.state_root,
            receipts_root: header.receipts_root,
            transactions_root: header.transactions_root,
            parent_certificate: header.parent_certificate,
            validators: header.validators,
            next_validators: header.next_validators,
            beacon: header.beacon.map(|record| BeaconRecordView {
                height: record.height.0,
                signature: hex::encode(record.signature),
            }),
        }
    }
}

/// Why a block is final.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CertificateView {
    /// The block's height.
    pub height: u64,
    /// The round in which it was decided, from 0.
    pub round: u32,
    /// The block.
    #[serde(with = "crate::text")]
    #[schema(value_type = String)]
    pub block: Digest,
    /// Who signed.
    #[serde(with = "crate::text::list")]
    #[schema(value_type = Vec<String>)]
    pub signers: Vec<Address>,
}

impl From<&Certificate> for CertificateView {
    fn from(certificate: &Certificate) -> Self {
        Self {
            height: certificate.height.0,
            round: certificate.round,
            block: certificate.block.0,
            signers: certificate.signatures.iter().map(|commit| commit.validator).collect(),
        }
    }
}

/// A block.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BlockView {
    /// Its identity: digest of the header.
    #[serde(with = "crate::text")]
    #[schema(value_type = String)]
    pub id: Digest,
    /// The header.
    pub header: HeaderView,
    /// Its length in bytes.
    pub bytes: u64,
    /// Why the parent is final; missing in the first block.
    #[serde(default)]
    pub parent_certificate: Option<CertificateView>,
    /// Why this block is final, as this node knows it.
    pub certificate: CertificateView,
    /// Its transactions, in order.
    pub transactions: Vec<TransactionSummary>,
    /// The block's own events: phases, payouts, switches.
    pub events: Vec<EventView>,
}

/// A transaction of a block.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TransactionSummary {
    /// Its hash.
    #[serde(with = "crate::text")]
    #[schema(value_type = String)]
    pub hash: Digest,
    /// What it asks.
    #[schema(example = "accounts.transfer")]
    pub kind: String,
    /// The account that acts.
    #[serde(with = "crate::text")]
    #[schema(value_type = String)]
    pub from: Address,
    /// How it ended.
    pub outcome: OutcomeView,
    /// Why it failed, if it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<FailureView>,
}

impl TransactionSummary {
    /// A transaction and how it ended.
    pub fn new(hash: Digest, transaction: &Transaction, outcome: &Outcome) -> Self {
        let (outcome, failure) = OutcomeView::of(outcome);
        let kind = kind_of(&transaction.body.message).into();
        Self { hash, kind, from: transaction.body.account(), outcome, failure }
    }
}

/// A block in a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BlockSummary {
    /// The height.
    pub height: u64,
    /// The block.
    #[serde(with = "crate::text")]
    #[schema(value_type = String)]
    pub id: Digest,
    /// The proposer's clock, in milliseconds since 1970.
    pub time_ms: u64,
    /// Who built it.
    #[serde(with = "crate::text")]
    #[schema(value_type = String)]
    pub proposer: Address,
    /// The round in which it was decided, from 0.
    pub round: u32,
    /// How many signed it.
    pub signers: u64,
    /// How many transactions it has.
    pub transactions: u64,
    /// Its length in bytes.
    pub bytes: u64,
}

/// Blocks in a row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BlocksView {
    /// The blocks, by rising height.
    pub blocks: Vec<BlockSummary>,
    /// The latest height.
    pub latest: u64,
    /// The lowest height that is kept here.
    pub oldest: u64,
}
