//! Transactions: on their way in, waiting, and in blocks.

mod convert;
mod message;

use freeway_ledger::{Body, Failure, Outcome, Receipt, Transaction};
use freeway_primitives::{Address, ChainId, Digest, PublicKey};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::error::ErrorDetail;
use crate::events::EventView;

pub use convert::kind_of;
pub use message::{DeviceView, JudgementView, MessageView, ProfileView, WorkJudgementView};

/// The most transactions in one request.
pub const MAX_SUBMIT: usize = 4_096;

/// The body of a submission: exactly one of the two fields.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SubmitRequest {
    /// One transaction: its canonical bytes in hexadecimal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transaction: Option<String>,
    /// Many transactions, each in hexadecimal; at most 4,096.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transactions: Option<Vec<String>>,
}

/// The answer to a submission of one transaction. What it names is durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SubmitView {
    /// The transaction's hash.
    #[serde(with = "crate::text")]
    #[schema(value_type = String)]
    pub hash: Digest,
}

/// One of the answers to a submission of many: `hash` if it was accepted, else `error`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SubmitResult {
    /// The transaction's hash.
    #[serde(default, with = "crate::text::option", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub hash: Option<Digest>,
    /// Why it was not accepted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<ErrorDetail>,
}

/// A transaction as the node knows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TransactionView {
    /// Its hash.
    #[serde(with = "crate::text")]
    #[schema(value_type = String)]
    pub hash: Digest,
    /// Whether it is in a block.
    pub status: TransactionStatus,
    /// The block's height.
    #[serde(default)]
    pub height: Option<u64>,
    /// Its place in the block, from 0.
    #[serde(default)]
    pub index: Option<u32>,
    /// How it ended.
    #[serde(default)]
    pub outcome: Option<OutcomeView>,
    /// Why it failed, if it did.
    #[serde(default)]
    pub failure: Option<FailureView>,
    /// What it caused.
    #[serde(default)]
    pub events: Vec<EventView>,
    /// Its length in bytes.
    pub bytes: u64,
    /// What was signed.
    pub body: BodyView,
}

/// Whether a transaction is in a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum TransactionStatus {
    /// It waits for a block.
    Pending,
    /// It is in a block, for good.
    Included,
}

/// How a transaction ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum OutcomeView {
    /// It did what it asked.
    Done,
    /// It changed nothing but its sequence and quota.
    Failed,
}

impl OutcomeView {
    /// The name on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Failed => "failed",
        }
    }

    /// The outcome and, if it failed, why.
    pub fn of(outcome: &Outcome) -> (Self, Option<FailureView>) {
        match outcome {
            Outcome::Done => (Self::Done, None),
            Outcome::Failed(failure) => (Self::Failed, Some(failure.into())),
        }
    }
}

/// Why a transaction failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FailureView {
    /// A stable name for programs.
    #[schema(example = "insufficient_balance")]
    pub code: String,
    /// What happened, for people.
    pub message: String,
}

impl From<&Failure> for FailureView {
    fn from(failure: &Failure) -> Self {
        Self { code: failure.code().into(), message: failure.to_string() }
    }
}

/// How a transaction of a block ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ReceiptView {
    /// The transaction's hash.
    #[serde(with = "crate::text")]
    #[schema(value_type = String)]
    pub hash: Digest,
    /// How it ended.
    pub outcome: OutcomeView,
    /// Why it failed, if it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<FailureView>,
    /// What it caused.
    pub events: Vec<EventView>,
}

impl From<&Receipt> for ReceiptView {
    fn from(receipt: &Receipt) -> Self {
        let (outcome, failure) = OutcomeView::of(&receipt.outcome);
        let events = receipt.events.iter().map(EventView::from).collect();
        Self { hash: receipt.transaction, outcome, failure, events }
    }
}

/// What a transaction says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BodyView {
    /// The network.
    #[serde(with = "crate::text")]
    #[schema(value_type = String)]
    pub chain: ChainId,
    /// The account that acts and pays.
    #[serde(with = "crate::text")]
    #[schema(value_type = String)]
    pub account: Address,
    /// The key that signed: the account's own or a delegate's.
    #[serde(with = "crate::text")]
    #[schema(value_type = String)]
    pub signer: PublicKey,
    /// The number of the key's transaction.
    pub sequence: u64,
    /// The last height at which it may stand in a block.
    pub expiry: u64,
    /// What is asked.
    pub message: MessageView,
}

impl From<&Body> for BodyView {
    fn from(body: &Body) -> Self {
        Self {
            chain: body.chain,
            account: body.account(),
            signer: body.signer,
            sequence: body.sequence,
            expiry: body.expiry.0,
            message: (&body.message).into(),
        }
    }
}

impl TransactionView {
    /// A transaction that waits.
    pub fn pending(hash: Digest, transaction: &Transaction, bytes: usize) -> Self {
        Self {
            hash,
            status: TransactionStatus::Pending,
            height: None,
            index: None,
            outcome: None,
            failure: None,
            events: Vec::new(),
            bytes: bytes as u64,
            body: (&transaction.body).into(),
        }
    }

    /// A transaction in a block.
    pub fn included(
        receipt: &Receipt,
        height: u64,
        index: u32,
        transaction: &Transaction,
        bytes: usize,
    ) -> Self {
        let ReceiptView { hash, outcome, failure, events } = receipt.into();
        Self {
            status: TransactionStatus::Included,
            height: Some(height),
            index: Some(index),
            outcome: Some(outcome),
            failure,
            events,
            ..Self::pending(hash, transaction, bytes)
        }
    }
}
