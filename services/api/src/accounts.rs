//! Accounts.

use freeway_ledger::accounts::Delegate;
use freeway_primitives::{Address, Amount, PublicKey};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::hosts::HostView;
use crate::text::limit_of;

/// An account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AccountView {
    /// Its address.
    #[serde(with = "crate::text")]
    #[schema(value_type = String)]
    pub address: Address,
    /// The height of the state that this shows.
    pub height: u64,
    /// Whether it was ever used. One that was not is shown as empty.
    pub exists: bool,
    /// Free balance in base units.
    #[serde(with = "crate::text::nfwy")]
    #[schema(value_type = String)]
    pub balance: Amount,
    /// Sequence of the account's next transaction, after those that wait at this node.
    pub sequence: u64,
    /// Sequence of its next transaction by the chain alone.
    pub committed_sequence: u64,
    /// Its delegate keys, at most 256.
    pub delegates: Vec<DelegateView>,
    /// What it may put on chain.
    pub quota: QuotaView,
    /// Its host, if it has one.
    #[serde(default)]
    pub host: Option<HostView>,
}

/// A delegate key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DelegateView {
    /// The key.
    #[serde(with = "crate::text")]
    #[schema(value_type = String)]
    pub key: PublicKey,
    /// Its address.
    #[serde(with = "crate::text")]
    #[schema(value_type = String)]
    pub address: Address,
    /// What it may do: `operator`, `verifier`, `lane`, `vote`, `spend`.
    pub scopes: Vec<String>,
    /// The last height at which it may act; `null` for no end.
    pub expires: Option<u64>,
    /// How much it may still move, in base units.
    #[serde(with = "crate::text::nfwy")]
    #[schema(value_type = String)]
    pub allowance: Amount,
    /// Sequence of its next transaction, after those that wait at this node.
    pub sequence: u64,
    /// Sequence of its next transaction by the chain alone.
    pub committed_sequence: u64,
}

impl DelegateView {
    /// A delegate of the ledger, whose next sequence after those that wait is `sequence`.
    pub fn new(delegate: &Delegate, sequence: u64) -> Self {
        Self {
            key: delegate.key,
            address: Address::of(&delegate.key),
            scopes: delegate.scopes.iter().map(|scope| scope.name().into()).collect(),
            expires: limit_of(delegate.expires),
            allowance: delegate.allowance,
            sequence,
            committed_sequence: delegate.sequence,
        }
    }
}

/// What an account may put on chain, as it stands for the next block.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct QuotaView {
    /// How many transactions it may send in each `period`.
    pub limit: u32,
    /// `block`, or `epoch` for accounts that hold next to nothing.
    #[schema(example = "block")]
    pub period: String,
    /// How many of them it has used in the next block's period.
    pub used: u32,
    /// Transactions in this epoch.
    pub used_in_epoch: u32,
    /// What it held when the epoch began, in base units: the limit follows from it.
    #[serde(with = "crate::text::nfwy")]
    #[schema(value_type = String)]
    pub basis: Amount,
}
