//! What the chain must do for the engine.

use std::time::Duration;

use crate::parts::Opening;
use bytes::Bytes;
use freeway_primitives::{Address, BlockId, Certificate, Equivocation, Height, ValidatorSet};

/// A failure after which the node must not go on: storage that cannot be read or written, or rules that
/// contradict themselves. Nothing is sent after it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Fatal(pub String);

/// How long the engine waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// From block to block, if all goes well.
    pub target: Duration,
    /// For a round's proposal; half as much more in each further round.
    pub propose: Duration,
    /// For stragglers' votes; half as much more in each further round.
    pub vote: Duration,
}

/// The surroundings of a height.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeightPlan {
    /// The height to decide.
    pub height: Height,
    /// Who decides it.
    pub validators: ValidatorSet,
    /// Those who are not asked for proposals because they have been silent.
    pub silent: Vec<Address>,
    /// How long to wait.
    pub timing: Timing,
}

/// A block that the application knows, and its judgement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Judged {
    /// The block.
    pub block: BlockId,
    /// What it was last proposed for.
    pub opening: Opening,
    /// Whether it may be voted for.
    pub valid: bool,
}

/// What became of a decision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decided {
    /// The block is durable and executed.
    Committed,
    /// The application does not know the block; the engine must fetch it from a peer.
    Unknown,
}

/// The chain, as the engine sees it. Calls come one at a time and may block.
///
/// Every method may fail with [`Fatal`]; then the node stops.
pub trait Application: Send + 'static {
    /// The next height to decide.
    fn plan(&mut self) -> Result<HeightPlan, Fatal>;

    /// Builds a block for the current height, in the caller's own name. It must be durable, with `opening`,
    /// when this returns: a vote will depend on it.
    fn propose(&mut self, opening: Opening) -> Result<(BlockId, Bytes), Fatal>;

    /// Judges a block for the current height. If valid, it must be durable, with `opening`, when this returns.
    /// With `certified` a certificate stands for the block: what only clocks could hold against it does not
    /// count any more.
    fn judge(&mut self, opening: Opening, block: Bytes, certified: bool) -> Result<Judged, Fatal>;

    /// Judged blocks of `height` from before a restart.
    fn known(&mut self, height: Height) -> Result<Vec<Judged>, Fatal>;

    /// The bytes of a judged block.
    fn bytes(&mut self, height: Height, block: BlockId) -> Result<Option<Bytes>, Fatal>;

    /// The block is final: store and execute it. Called again with the same certificate after a crash.
    fn decided(&mut self, certificate: &Certificate) -> Result<Decided, Fatal>;

    /// The height is over; the certificate may have gained signatures since `decided`. Evidence is what the
    /// engine saw of equivocation.
    fn finalized(&mut self, certificate: &Certificate, evidence: Vec<Equivocation>)
    -> Result<Decided, Fatal>;

    /// Whether the latest block was certainly made after this node started. Before that, what looks like the
    /// network deciding may be its past: messages that were late, or that somebody sends again.
    fn is_current(&mut self) -> Result<bool, Fatal>;

    /// Decided blocks with their certificates, from `from`, at most `count` and about `max_bytes`.
    fn history(
        &mut self,
        from: Height,
        count: usize,
        max_bytes: usize,
    ) -> Result<Vec<(Bytes, Certificate)>, Fatal>;

    /// The oldest height that [`Application::history`] can give.
    fn oldest(&mut self) -> Result<Height, Fatal>;
}
