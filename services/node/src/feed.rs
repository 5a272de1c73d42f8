//! Committed blocks, for those who follow the chain.

use std::sync::Arc;

use freeway_ledger::epochs::{Clock, Phase};
use freeway_ledger::{Event, Receipt};
use freeway_primitives::{BlockId, Digest, Header, Height};
use tokio::sync::{broadcast, watch};

/// Blocks that a slow follower may lag behind before it misses some.
const BACKLOG: usize = 256;

/// Where the chain stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tip {
    /// The latest height.
    pub height: Height,
    /// Its block.
    pub block: BlockId,
    /// Its time in milliseconds since 1970, by its proposer.
    pub time_ms: u64,
    /// Root of the state after it.
    pub state_root: Digest,
    /// Its epoch.
    pub clock: Clock,
    /// Its phase.
    pub phase: Phase,
}

/// A committed block.
#[derive(Clone, Debug)]
pub struct Committed {
    /// The block's identity.
    pub id: BlockId,
    /// Its header.
    pub header: Header,
    /// The block's own events.
    pub events: Vec<Event>,
    /// The receipts of its transactions, in order.
    pub receipts: Vec<Receipt>,
    /// Its length in bytes.
    pub bytes: usize,
    /// From the start of judging or building it to its commit, in milliseconds.
    pub work_ms: f64,
}

/// Announces commits. Cheap to clone; all clones are the same feed.
#[derive(Clone, Debug)]
pub struct Feed {
    blocks: broadcast::Sender<Arc<Committed>>,
    tip: Arc<watch::Sender<Tip>>,
}

impl Feed {
    /// A feed that starts at `tip`.
    pub fn new(tip: Tip) -> Self {
        Self { blocks: broadcast::Sender::new(BACKLOG), tip: Arc::new(watch::Sender::new(tip)) }
    }

    /// Announces a commit.
    pub fn announce(&self, tip: Tip, block: Committed) {
        self.tip.send_replace(tip);
        // Nobody listening is fine.
        let _ = self.blocks.send(Arc::new(block));
    }

    /// The latest tip, and a way to wait for the next.
    pub fn tip(&self) -> watch::Receiver<Tip> {
        self.tip.subscribe()
    }

    /// The commits from now on. A receiver that lags by more than 256 blocks is told how many it missed.
    pub fn blocks(&self) -> broadcast::Receiver<Arc<Committed>> {
        self.blocks.subscribe()
    }
}
