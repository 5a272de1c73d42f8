//! What lanes ask of the chain.

use async_trait::async_trait;
use freeway_engines::Tier;
use freeway_ledger::lanes::Message;
use freeway_primitives::{Address, Amount, ChainId, Digest, PublicKey};
use freeway_proofs::work::{LaneId, Prices};

/// Why the chain cannot be asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ChainError {
    /// For programs.
    pub code: String,
    /// For people: what is wrong, and what to do next.
    pub message: String,
}

impl ChainError {
    /// An error.
    pub fn new(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self { code: code.into(), message: message.into() }
    }
}

/// Where a lane stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LaneState {
    /// Its hosts are not drawn.
    Waiting,
    /// In use.
    Open,
    /// Only settled any more.
    Closing,
}

/// A lane as the chain has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lane {
    /// Its number.
    pub id: LaneId,
    /// The key that signs vouchers.
    pub key: PublicKey,
    /// The model's root.
    pub model: Digest,
    /// How its answers can be checked.
    pub tier: Tier,
    /// What requests cost.
    pub prices: Prices,
    /// All that was put in.
    pub escrow: Amount,
    /// Where it stands.
    pub state: LaneState,
    /// When it was opened.
    pub opened: u64,
    /// The height at whose beginning it closes by itself.
    pub expires: u64,
    /// Its hosts.
    pub shares: Vec<LaneShare>,
}

/// A host's part of a lane.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LaneShare {
    /// The host.
    pub host: Address,
    /// The key that signs its acceptances and receipts.
    pub key: PublicKey,
    /// Its part of the escrow.
    pub deposit: Amount,
    /// What it has settled.
    pub paid: Amount,
    /// Whether it is paid nothing more.
    pub forfeited: bool,
}

/// A transaction on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sent {
    /// Its hash.
    pub hash: Digest,
    /// The last height at which it may stand in a block.
    pub expiry: u64,
}

/// What became of a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It waits, or nobody knows it.
    Waiting,
    /// It did what it asked.
    Done,
    /// It stands in a block and did nothing.
    Failed(ChainError),
}

/// The chain as a payer sees it.
#[async_trait]
pub trait Chain: Send + Sync + 'static {
    /// The network.
    fn id(&self) -> ChainId;

    /// The latest height.
    ///
    /// # Errors
    /// [`ChainError`] if no node answers; the same below.
    async fn height(&self) -> Result<u64, ChainError>;

    /// Waits for a height after this one, but not for ever.
    async fn wait(&self, after: u64);

    /// How many hosts serve a model; `None` if it is not registered.
    ///
    /// # Errors
    /// [`ChainError`]
    async fn serving(&self, root: &Digest) -> Result<Option<u64>, ChainError>;

    /// Whether the hosts of a lane that is opened now would be drawn soon: the beacon gives values.
    ///
    /// # Errors
    /// [`ChainError`]
    async fn draws(&self) -> Result<bool, ChainError>;

    /// The lanes of the account that are not over.
    ///
    /// # Errors
    /// [`ChainError`]
    async fn lanes(&self) -> Result<Vec<Lane>, ChainError>;

    /// Where a host can be reached.
    ///
    /// # Errors
    /// [`ChainError`]
    async fn endpoints(&self, host: &Address) -> Result<Vec<String>, ChainError>;

    /// Signs and sends a message of the account, to stand in a block soon or never.
    ///
    /// # Errors
    /// [`ChainError`]; also if it is refused.
    async fn send(&self, message: Message) -> Result<Sent, ChainError>;

    /// What became of it.
    ///
    /// # Errors
    /// [`ChainError`]
    async fn outcome(&self, hash: &Digest) -> Result<Outcome, ChainError>;
}
