//! The explorer's figures and history, as far as programs read them: `/explorer/v1`, which a node may have switched off.
//!
//! The explorer writes these documents itself; here is what readers need of them.

use freeway_primitives::{Address, Amount, Digest};
use serde::{Deserialize, Serialize};

/// The present in figures.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NowView {
    /// The latest height.
    pub height: u64,
    /// Where it stands in its epoch.
    pub clock: ClockView,
    /// How far the history is.
    pub history: HistoryView,
    /// What hosts have proven.
    pub capacity: Option<CapacityView>,
    /// Tokens to which hosts committed of late.
    pub tokens: Option<TokensView>,
    /// What models cost.
    #[serde(default)]
    pub prices: Vec<NowPriceView>,
    /// The part of all proven compute that paid work took.
    pub useful: Option<UsefulView>,
    /// Verdicts, and what was found.
    pub checks: Option<ChecksView>,
    /// Blocks of late.
    pub blocks: Option<PaceView>,
    /// New money of the last whole epoch.
    pub money: Option<MoneyView>,
}

/// Where a height stands in its epoch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClockView {
    /// The epoch.
    pub epoch: u64,
    /// The phase.
    pub phase: String,
    /// Blocks of an epoch.
    pub epoch_blocks: u64,
    /// Blocks that are still to come in this phase.
    pub left_in_phase: u64,
    /// Blocks that are still to come in this epoch.
    pub left_in_epoch: u64,
    /// How long a block is to take, in milliseconds.
    pub block_ms: u64,
    /// All phases in order.
    pub phases: Vec<PhaseView>,
}

/// A phase of every epoch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PhaseView {
    /// Its name.
    pub phase: String,
    /// Its blocks.
    pub blocks: u64,
}

/// How far the history of a node is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HistoryView {
    /// `current`, `catching_up` or `stopped`.
    pub state: String,
    /// The height that it has reached.
    pub height: u64,
    /// The first block in it.
    pub first: Option<u64>,
    /// Whether it begins with the chain.
    pub complete: bool,
    /// Blocks that it is behind.
    pub behind: u64,
    /// Why it does not go on, if it does not.
    pub problem: Option<String>,
}

/// What hosts have proven.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CapacityView {
    /// In H100-equivalents.
    pub h100_equivalents: f64,
    /// Hosts with weight.
    pub hosts: u64,
    /// The epoch of the race.
    pub epoch: u64,
    /// Whether any race has settled; else genesis says what hosts have.
    pub proven: bool,
}

/// Tokens to which hosts committed of late.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TokensView {
    /// A second.
    pub per_second: f64,
    /// All of them.
    pub tokens: u64,
    /// The time in which they were.
    pub seconds: f64,
    /// In all epochs of the history.
    pub total: u64,
}

/// What a million tokens of a model cost, in base units.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NowPriceView {
    /// The model's root.
    #[serde(with = "crate::text")]
    pub model: Digest,
    /// Its name.
    pub name: String,
    /// Tokens of a prompt that are computed.
    #[serde(with = "crate::text::nfwy")]
    pub input: Amount,
    /// Tokens of a prompt that the host still knew.
    #[serde(with = "crate::text::nfwy")]
    pub cached: Amount,
    /// Tokens that are generated.
    #[serde(with = "crate::text::nfwy")]
    pub output: Amount,
    /// How busy its hosts were, in thousandths, when the price changed last.
    pub utilisation: Option<u64>,
}

/// The part of all proven compute that paid work took.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct UsefulView {
    /// From 0 to 1.
    pub share: f64,
    /// In this epoch.
    pub epoch: u64,
}

/// Verdicts, and what was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChecksView {
    /// The epoch.
    pub epoch: u64,
    /// Made in it.
    pub made: u64,
    /// Of these, failed.
    pub failed: u64,
    /// Made in all epochs of the history.
    pub total_made: u64,
    /// Of these, failed.
    pub total_failed: u64,
}

/// Blocks of late.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PaceView {
    /// A second.
    pub per_second: f64,
    /// Transactions in them.
    pub transactions: u64,
    /// Of these, failed.
    pub failed: u64,
    /// The time in which they were.
    pub seconds: f64,
}

/// New money and fees of the last whole epoch, in base units.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MoneyView {
    /// What was made.
    #[serde(with = "crate::text::nfwy")]
    pub emission: Amount,
    /// Fees that were settled.
    #[serde(with = "crate::text::nfwy")]
    pub fees_settled: Amount,
    /// The epoch.
    pub epoch: u64,
}

/// A page of a table of the history.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RowsView<R> {
    /// The height that the history has reached.
    pub height: u64,
    /// The rows, newest first unless asked otherwise.
    pub rows: Vec<R>,
    /// What to give as `after` for the next page.
    pub next: Option<String>,
}

/// A row that a table of the history has.
pub trait Row: serde::de::DeserializeOwned {
    /// The table's name.
    const TABLE: &'static str;
}

/// An epoch in the history.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EpochRow {
    /// The epoch.
    pub epoch: u64,
    /// Time of its first block, in milliseconds since 1970.
    pub time_ms: u64,
    /// Its blocks so far.
    pub blocks: u64,
    /// What hosts have proven, in H100-equivalents.
    pub h100_equivalents: f64,
    /// Tokens to which hosts committed in it.
    pub tokens: u64,
    /// Verdicts in it.
    pub checks_made: u64,
    /// Of these, failed.
    pub checks_failed: u64,
}

impl Row for EpochRow {
    const TABLE: &'static str = "epochs";
}

/// A host in an epoch of the history. Amounts and counts that may be large are decimal text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostEpochRow {
    /// The epoch.
    pub epoch: u64,
    /// What the host had proven; `null` if that did not change.
    pub weight: Option<String>,
    /// Nonces in the epoch's race.
    pub nonces: String,
    /// Tokens that it served.
    pub tokens: u64,
    /// Fees that it was paid, in base units.
    #[serde(with = "crate::text::nfwy")]
    pub fees_paid: Amount,
    /// Emission that it got, in base units.
    #[serde(with = "crate::text::nfwy")]
    pub granted: Amount,
}

impl Row for HostEpochRow {
    const TABLE: &'static str = "host-epochs";
}

/// An event in the history.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EventRow {
    /// The height of its block.
    pub height: u64,
    /// What happened, such as `work.matured`.
    pub kind: String,
    /// Whom it is about.
    pub subject: Option<String>,
    /// The interval of work.
    pub interval: Option<u64>,
    /// All of it.
    pub data: serde_json::Value,
}

impl Row for EventRow {
    const TABLE: &'static str = "events";
}

/// A lane in the history.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LaneRow {
    /// The lane.
    pub lane: u64,
    /// Who pays.
    #[serde(with = "crate::text")]
    pub payer: Address,
    /// The model's name.
    pub name: String,
    /// What was put in, in base units.
    #[serde(with = "crate::text::nfwy")]
    pub escrow: Amount,
    /// Its state, such as `open`.
    pub state: String,
    /// Its hosts, once they are drawn.
    #[serde(default)]
    pub hosts: Vec<String>,
    /// The height of its opening.
    pub opened: u64,
    /// Fees that left it, in base units.
    #[serde(with = "crate::text::nfwy")]
    pub fees_settled: Amount,
    /// Of these, what hosts got, in base units.
    #[serde(with = "crate::text::nfwy")]
    pub paid: Amount,
}

impl Row for LaneRow {
    const TABLE: &'static str = "lanes";
}
