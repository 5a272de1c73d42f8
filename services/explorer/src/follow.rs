//! Follows the chain: brings the read model up to the latest block, and tells open pages.

use core::time::Duration;
use std::sync::Arc;
use std::time::Instant;

use freeway_primitives::Height;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::watch;

use crate::Shared;
use crate::beside::{NodeBeside, Walked};
use crate::facts::{Facts, FactsError};
use crate::history::{Bounds, History, HistoryError, Mark};
use crate::live::{BlockFrame, frame};
use crate::now::Figures;

/// Blocks that are written at once while there are many.
const BATCH: usize = 64;
/// After a failure it is tried again.
const AGAIN: Duration = Duration::from_secs(10);

/// Where the read model stands.
#[derive(Clone, Debug, Default)]
pub(crate) struct Standing {
    pub(crate) height: u64,
    pub(crate) first: Option<u64>,
    /// Why it does not go on, if it does not.
    pub(crate) problem: Option<String>,
    /// Whether it was at the latest block.
    pub(crate) current: bool,
    pub(crate) phase: Option<&'static str>,
    pub(crate) figures: Arc<Figures>,
}

/// What a step has done.
enum Progress {
    /// There are more blocks.
    More,
    /// There are no more.
    Current,
}

/// Resolves when the node stops.
pub(crate) async fn raised(stop: &mut watch::Receiver<bool>) {
    // The guard must not live across the caller's next await.
    drop(stop.wait_for(|stop| *stop).await);
}

/// Follows until the node stops. Whatever fails is said and tried again; the node goes on.
pub(crate) async fn follow(shared: Arc<Shared>, mut stop: watch::Receiver<bool>) {
    let mut tip = shared.context.feed.tip();
    let mut history = None;
    let walked = Arc::new(Walked::default());
    loop {
        tip.borrow_and_update();
        let started = Instant::now();
        let (work, walks) = (Arc::clone(&shared), Arc::clone(&walked));
        let step = tokio::task::spawn_blocking(move || {
            let result = step(&work, &mut history, &walks);
            if result.is_err() {
                // It is opened anew: what failed may be the file.
                history = None;
            }
            (result, history)
        });
        let Ok((result, kept)) = step.await else { return };
        history = kept;
        let wait = match result {
            // Half of the time is left to the node.
            Ok(Progress::More) => Some(started.elapsed()),
            Ok(Progress::Current) => None,
            Err(error) => {
                tracing::warn!(%error, "the explorer's history does not go on; it is tried again");
                shared.stopped(error.to_string());
                Some(AGAIN)
            }
        };
        tokio::select! {
            () = raised(&mut stop) => return,
            () = tokio::time::sleep(wait.unwrap_or_default()), if wait.is_some() => {}
            changed = tip.changed(), if wait.is_none() => if changed.is_err() { return },
        }
    }
}

/// Writes some blocks and takes the figures.
fn step(shared: &Shared, history: &mut Option<History>, walked: &Walked) -> Result<Progress, HistoryError> {
    let store = &shared.context.store;
    let latest = shared.context.feed.tip().borrow().height;
    let fresh = history.is_none();
    let opened = match history {
        Some(history) => history,
        None => history.insert(open(shared)?),
    };
    let next = match opened.mark() {
        Some(mark) => mark.height.next(),
        None => store.oldest_block().max(Height::FIRST),
    };
    let last = latest.0.min(next.0.saturating_add(BATCH as u64 - 1));
    let mut blocks = Vec::new();
    for height in (next.0..=last).map(Height) {
        match Facts::load(store, height)? {
            Some(facts) => blocks.push(facts),
            // The block of a snapshot has no results here: the history begins after it.
            None if opened.mark().is_none() && blocks.is_empty() => {}
            // Blocks were removed before they were read: what is there begins anew with those that are left.
            None if height < store.oldest_block() => {
                opened.forget()?;
                return Ok(Progress::More);
            }
            None => break,
        }
    }
    let beside =
        NodeBeside { store, genesis: &shared.context.genesis, trail: shared.context.trail.as_ref(), walked };
    if !blocks.is_empty() {
        opened.apply(&blocks, &beside)?;
    }
    if !blocks.is_empty() || fresh {
        let references = &shared.config.reference_prices;
        let figures = Figures::read(opened, &shared.calendar, references)?;
        let height = opened.mark().map_or(0, |mark| mark.height.0);
        shared.stands(height, opened.first().map(|first| first.0), figures, height >= latest.0);
    }
    let reached = opened.mark().is_some_and(|mark| mark.height >= latest) || blocks.is_empty();
    Ok(if reached { Progress::Current } else { Progress::More })
}

fn open(shared: &Shared) -> Result<History, HistoryError> {
    let store = &shared.context.store;
    let bounds = Bounds { epochs: shared.config.history_epochs, rows: shared.config.history_rows };
    let is_block = |mark: Mark| {
        let stored = |height| -> Result<bool, FactsError> {
            Ok(Facts::load(store, height)?.is_some_and(|facts| facts.id == mark.block))
        };
        // The node may still be replaying; blocks are there before their results.
        let in_reach = mark.height.next() >= store.oldest_block() && mark.height <= store.block_height();
        in_reach && stored(mark.height).unwrap_or(false)
    };
    let history = History::open(&shared.folder, &shared.context.genesis, bounds, is_block)?;
    shared.readers.renew();
    Ok(history)
}

/// Renders each committed block for open pages, until the node stops.
pub(crate) async fn tell(shared: Arc<Shared>, mut stop: watch::Receiver<bool>) {
    let mut blocks = shared.context.feed.blocks();
    loop {
        let block = tokio::select! {
            block = blocks.recv() => block,
            () = raised(&mut stop) => return,
        };
        let height = match block {
            Ok(block) => block.header.height,
            // Pages notice by the height, and the tables have what was missed.
            Err(RecvError::Lagged(_)) => continue,
            Err(RecvError::Closed) => return,
        };
        if !shared.live.is_watched() {
            continue;
        }
        let work = Arc::clone(&shared);
        let rendered = tokio::task::spawn_blocking(move || Facts::load(&work.context.store, height)).await;
        match rendered {
            Ok(Ok(Some(facts))) => {
                shared.live.send(frame("block", Some(height.0), &shared.block_frame(&facts)));
            }
            Ok(Ok(None)) => {}
            Ok(Err(error)) => tracing::warn!(%height, %error, "a block cannot be shown to open pages"),
            Err(_) => return,
        }
    }
}

impl Shared {
    /// A block in a few numbers.
    fn block_frame(&self, facts: &Facts) -> BlockFrame {
        let height = facts.height();
        let clock = self.clock(height);
        let mut kinds = std::collections::BTreeMap::new();
        for (_, event) in facts.all_events() {
            *kinds.entry(crate::facts::kind_of_event(event)).or_default() += 1;
        }
        BlockFrame {
            height: height.0,
            id: facts.id.to_string(),
            time_ms: facts.header.time_ms,
            epoch: clock.epoch,
            phase: clock.phase,
            left_in_phase: clock.left_in_phase,
            left_in_epoch: clock.left_in_epoch,
            transactions: facts.transactions.len() as u64,
            failed: facts.failed(),
            tokens: facts.tokens(),
            checks: facts.checks(),
            kinds,
        }
    }
}
