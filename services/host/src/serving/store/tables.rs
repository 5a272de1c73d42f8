//! What stands in the file of work, and how.

use borsh::{BorshDeserialize, BorshSerialize};
use freeway_api::serving::Ending;
use freeway_ledger::lanes::Constraints;
use freeway_primitives::{Amount, Digest, Signature};
use freeway_proofs::work::{Receipt, Voucher};
use freeway_requests::TokenRequest;
use freeway_requests::evidence::Evidence;
use freeway_store::{Failure, StoreError};
use redb::TableDefinition;

/// Small facts: see [`FLOOR`].
pub(super) const FACTS: TableDefinition<'_, &str, u64> = TableDefinition::new("facts");
/// The first interval that is not closed.
pub(super) const FLOOR: &str = "first open interval";
/// Shares, by their lane.
pub(super) const SHARES: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("shares");
/// The receipts of a lane in an interval, by interval and lane: see [`Run`].
pub(super) const RUNS: TableDefinition<'_, (u64, u64), &[u8]> = TableDefinition::new("runs");
/// Interval, lane and sequence.
pub(super) type Key = (u64, u64, u64);
/// [`Record`]s.
pub(super) const RECORDS: TableDefinition<'_, Key, &[u8]> = TableDefinition::new("records");
/// [`Body`]s, which are no longer needed sooner than records.
pub(super) const BODIES: TableDefinition<'_, Key, &[u8]> = TableDefinition::new("bodies");
/// Where the record of a receipt is, by its digest.
pub(super) const DIGESTS: TableDefinition<'_, &[u8; 32], Key> = TableDefinition::new("digests");
/// Where the record of a request is, by lane and the voucher's number.
pub(super) const VOUCHERS: TableDefinition<'_, (u64, u64), Key> = TableDefinition::new("vouchers");
/// Artifacts of other hosts, by interval and the receipt's digest.
pub(super) const FOREIGN: TableDefinition<'_, (u64, &[u8; 32]), &[u8]> = TableDefinition::new("foreign");
/// Receipts of other hosts that were weighed, by interval and the receipt's digest, and whether the host was suspected.
pub(super) const WEIGHED: TableDefinition<'_, (u64, &[u8; 32]), bool> = TableDefinition::new("weighed");
/// What speaks against a host in a model, by both: see [`Against`].
pub(super) const EVIDENCE: TableDefinition<'_, (&[u8; 32], &[u8; 32]), &[u8]> =
    TableDefinition::new("evidence");

/// How a host stands with a lane.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct ShareRecord {
    /// The lane's model.
    pub model: Digest,
    /// What its payer asks of hosts.
    pub constraints: Constraints,
    /// Receipts so far: the sequence of the next.
    pub next: u64,
    /// What they cost together.
    pub total: Amount,
    /// The interval of the last.
    pub interval: u64,
    /// The latest voucher, by its number. It covers [`total`](Self::total).
    pub voucher: Voucher,
    /// Of the lane's key over it.
    pub signature: Signature,
}

/// A request that was done.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Record {
    /// What was done.
    pub receipt: Receipt,
    /// Of the host's key over it.
    pub signature: Signature,
    /// The payer's voucher for it.
    pub voucher: Voucher,
    /// Of the lane's key over that.
    pub voucher_signature: Signature,
    /// With which the receipt's trace is salted.
    pub salt: [u8; 32],
    /// The trace roots of the choices.
    pub traces: Vec<Digest>,
}

/// What a request asked and what it gave.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Body {
    /// The request.
    pub request: TokenRequest,
    /// The tokens of each choice.
    pub output: Vec<Vec<u32>>,
    /// Why each choice ended.
    pub endings: Vec<Ending>,
    /// On the statistical tier what the host says of the tokens' likelihoods, as in an artifact's claims.
    pub claims: Option<Vec<Vec<i32>>>,
}

/// What speaks against a host in a model.
#[derive(Clone, Copy, Debug, Default, BorshSerialize, BorshDeserialize)]
pub(super) struct Against {
    /// The latest interval that was looked at.
    pub(super) interval: u64,
    /// What was gathered.
    pub(super) evidence: Evidence,
}

/// The receipts of one lane in one interval: sequences without gaps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub(super) struct Run {
    /// The first.
    pub(super) first: u64,
    /// How many.
    pub(super) count: u64,
    /// What they cost together.
    pub(super) fees: u128,
}

pub(super) fn bytes(row: &impl BorshSerialize) -> Vec<u8> {
    // Writing into memory does not fail.
    borsh::to_vec(row).unwrap_or_default()
}

pub(super) fn row<T: BorshDeserialize>(what: &str, bytes: &[u8]) -> Result<T, Failure> {
    borsh::from_slice(bytes).map_err(|error| {
        let detail = format!("{what}: {error}");
        Failure::Store(StoreError::Corrupt { path: super::FILE.into(), detail })
    })
}
