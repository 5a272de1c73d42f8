//! What the host needs of the node it runs in.

use core::time::Duration;
use std::future::Future;
use std::time::{SystemTime, UNIX_EPOCH};

use freeway_ledger::{Fault, Message, Reader, Transaction, sprint};
use freeway_node::Access;
use freeway_primitives::{Address, Block, Canonical, ChainId, Height};
use freeway_proofs::sprint::Opening;
use freeway_store::StateView;

/// A tip older than this is one that the node still has to catch up from; its races are over.
const MAX_AGE: Duration = Duration::from_secs(600);

/// Blocks that a message may wait. What another's message has made undue in the meantime stands in no block and
/// holds up those behind it until it expires; what is still due is signed again.
const LIFETIME: u64 = 3;

/// The chain as a host sees it.
pub trait Chain: Send + Sync + 'static {
    /// The state of one height.
    type State: Reader;

    /// The network.
    fn id(&self) -> ChainId;

    /// The latest state, and its height.
    fn state(&self) -> (Self::State, Height);

    /// Whether the latest state is about now, and not one on the way there.
    fn is_current(&self) -> bool;

    /// Waits for a height after this one; `false` if there will be none.
    fn wait(&self, after: Height) -> impl Future<Output = bool> + Send;

    /// What hosts have published in the block at `height` on demands of `member`.
    ///
    /// # Errors
    /// [`Fault`] if the block cannot be read.
    fn answers(&self, height: Height, member: &Address) -> Result<Vec<(Address, Vec<Opening>)>, Fault>;

    /// Whether a message of this host still waits for a block.
    ///
    /// # Errors
    /// [`Fault`] if the state cannot be read.
    fn waiting(&self) -> Result<bool, Fault>;

    /// Signs and sends messages of this host, in order: how many were accepted.
    ///
    /// # Errors
    /// [`Fault`] if the state cannot be read.
    fn send(&self, messages: Vec<Message>) -> Result<usize, Fault>;
}

impl Chain for Access {
    type State = StateView;

    fn id(&self) -> ChainId {
        self.chain
    }

    fn state(&self) -> (StateView, Height) {
        let view = self.store.view();
        let height = view.height();
        (view, height)
    }

    fn is_current(&self) -> bool {
        let time = Duration::from_millis(self.feed.tip().borrow().time_ms);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        now.saturating_sub(time) < MAX_AGE
    }

    async fn wait(&self, after: Height) -> bool {
        let mut tip = self.feed.tip();
        // The guard must not live across the caller's next await.
        let reached = tip.wait_for(|tip| tip.height > after).await;
        reached.is_ok()
    }

    fn answers(&self, height: Height, member: &Address) -> Result<Vec<(Address, Vec<Opening>)>, Fault> {
        let stored = self.store.block(height).map_err(|error| Fault(error.to_string()))?;
        // Without old blocks, what was published then is not to be had here.
        let Some((block, _)) = stored else { return Ok(Vec::new()) };
        let block = Block::decode(&block).map_err(|error| Fault(error.to_string()))?;
        // Messages of the race stand in a block only if they did what they ask.
        Ok(block.transactions.iter().filter_map(|bytes| answer(bytes, member)).collect())
    }

    fn waiting(&self) -> Result<bool, Fault> {
        self.duties.waiting()
    }

    fn send(&self, messages: Vec<Message>) -> Result<usize, Fault> {
        self.duties.send_for(messages, LIFETIME)
    }
}

/// The answer to a demand of `member` in a transaction, if it is one.
fn answer(bytes: &[u8], member: &Address) -> Option<(Address, Vec<Opening>)> {
    let transaction = Transaction::decode(bytes).ok()?;
    let host = transaction.body.account();
    match transaction.body.message {
        Message::Sprint(sprint::Message::Answer { member: to, openings }) if to == *member => {
            Some((host, openings))
        }
        _ => None,
    }
}
