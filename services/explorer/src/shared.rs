//! What all answers are made from.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use freeway_ledger::epochs::Phase;
use freeway_node::config::ExplorerConfig;
use freeway_node::rpc::Context;
use freeway_primitives::Height;
use serde::Serialize;
use tokio::sync::{Semaphore, watch};

use crate::assets::Assets;
use crate::follow::Standing;
use crate::history::{Calendar, Readers};
use crate::live::{Live, frame};
use crate::now::Figures;
use crate::relay::Relay;

/// Pages of tables that are read at a time.
const MAX_QUERIES: usize = 8;
/// The latest block is recent if it is younger than this many block times, and at least [`RECENT_MS`].
const RECENT_BLOCKS: u64 = 10;
const RECENT_MS: u64 = 30_000;

/// What all answers are made from.
pub(crate) struct Shared {
    pub(crate) assets: Assets,
    pub(crate) live: Live,
    pub(crate) relay: Relay,
    pub(crate) readers: Readers,
    pub(crate) queries: Arc<Semaphore>,
    pub(crate) context: Arc<Context>,
    pub(crate) config: ExplorerConfig,
    /// The node's folder.
    pub(crate) folder: PathBuf,
    pub(crate) calendar: Calendar,
    standing: Mutex<Standing>,
}

/// Where the chain stands in its epoch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct ClockView {
    pub(crate) epoch: u64,
    pub(crate) phase: &'static str,
    epoch_start: u64,
    epoch_blocks: u64,
    pub(crate) left_in_phase: u64,
    pub(crate) left_in_epoch: u64,
    block_ms: u64,
    phases: Vec<PhaseView>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct PhaseView {
    phase: &'static str,
    blocks: u64,
}

#[derive(Serialize)]
struct NodeView {
    synced: bool,
    behind_ms: u64,
}

#[derive(Serialize)]
struct HistoryView {
    state: &'static str,
    height: u64,
    first: Option<u64>,
    complete: bool,
    behind: u64,
    problem: Option<String>,
}

/// The present.
#[derive(Serialize)]
pub(crate) struct NowView {
    chain: String,
    name: String,
    version: &'static str,
    height: u64,
    time_ms: u64,
    clock: ClockView,
    node: NodeView,
    history: HistoryView,
    /// A gateway that the node's owner proposes.
    api: Option<String>,
    #[serde(flatten)]
    figures: Figures,
}

impl Shared {
    pub(crate) fn new(
        context: Arc<Context>,
        config: ExplorerConfig,
        folder: &Path,
        allow_private: bool,
        stop: watch::Receiver<bool>,
    ) -> Self {
        Self {
            assets: Assets::of_this_build(),
            live: Live::new(stop),
            relay: Relay::new(allow_private),
            readers: Readers::new(folder),
            queries: Arc::new(Semaphore::new(MAX_QUERIES)),
            calendar: Calendar { params: context.genesis.params.clone() },
            folder: folder.to_owned(),
            standing: Mutex::default(),
            context,
            config,
        }
    }

    fn standing(&self) -> Standing {
        self.standing.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The read model has got this far; open pages are told if that makes a difference.
    pub(crate) fn stands(&self, height: u64, first: Option<u64>, figures: Figures, current: bool) {
        let differ = {
            let mut standing = self.standing.lock().unwrap_or_else(PoisonError::into_inner);
            let phase = Some(self.clock(Height(height)).phase);
            let differ = figures.differ(&standing.figures)
                || standing.problem.is_some()
                || standing.current != current
                || standing.phase != phase;
            *standing = Standing { height, first, problem: None, current, phase, figures: Arc::new(figures) };
            differ
        };
        if differ && current && self.live.is_watched() {
            self.live.send(self.now_frame());
        }
    }

    /// The read model does not go on.
    pub(crate) fn stopped(&self, problem: String) {
        self.standing.lock().unwrap_or_else(PoisonError::into_inner).problem = Some(problem);
        if self.live.is_watched() {
            self.live.send(self.now_frame());
        }
    }

    /// Why there is no history, if there is none.
    pub(crate) fn problem(&self) -> Option<String> {
        self.standing().problem
    }

    /// The present, as a frame of the live stream.
    pub(crate) fn now_frame(&self) -> bytes::Bytes {
        frame("now", None, &self.now())
    }

    /// The present.
    pub(crate) fn now(&self) -> NowView {
        let tip = self.context.feed.tip().borrow().clone();
        let Standing { height, first, problem, figures, .. } = self.standing();
        let now_ms = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
        let behind_ms = u64::try_from(now_ms).unwrap_or(u64::MAX).saturating_sub(tip.time_ms);
        let block_ms = u64::from(self.calendar.params.blocks.target_ms);
        let recent_ms = RECENT_MS.max(block_ms.saturating_mul(RECENT_BLOCKS));
        let behind = tip.height.0.saturating_sub(height);
        NowView {
            chain: self.context.chain.to_string(),
            name: self.context.genesis.name.to_string(),
            version: env!("CARGO_PKG_VERSION"),
            height: tip.height.0,
            time_ms: tip.time_ms,
            clock: self.clock(tip.height),
            node: NodeView { synced: tip.height != Height::GENESIS && behind_ms <= recent_ms, behind_ms },
            history: HistoryView {
                state: match (&problem, behind) {
                    (Some(_), _) => "stopped",
                    // The latest block is on its way.
                    (None, 0 | 1) => "current",
                    (None, _) => "catching_up",
                },
                height,
                first,
                complete: first.is_none_or(|first| first <= Height::FIRST.0),
                behind,
                problem,
            },
            api: self.config.api.clone(),
            figures: Arc::unwrap_or_clone(figures),
        }
    }

    /// Where a height stands in its epoch.
    pub(crate) fn clock(&self, height: Height) -> ClockView {
        let params = &self.calendar.params;
        let epochs = &params.epochs;
        let clock = self.calendar.clock(height);
        let phase = clock.phase(height, epochs);
        let lengths = phase_lengths(epochs);
        let gone = height.next().0.saturating_sub(clock.start.0);
        let mut end = 0u64;
        for (known, blocks) in &lengths {
            end = end.saturating_add(*blocks);
            if *known == phase {
                break;
            }
        }
        ClockView {
            epoch: clock.epoch.0,
            phase: phase.name(),
            epoch_start: clock.start.0,
            epoch_blocks: epochs.epoch_blocks,
            left_in_phase: end.saturating_sub(gone),
            left_in_epoch: epochs.epoch_blocks.saturating_sub(gone),
            block_ms: params.blocks.target_ms.into(),
            phases: lengths.map(|(phase, blocks)| PhaseView { phase: phase.name(), blocks }).into(),
        }
    }
}

/// How long each phase of an epoch is, in order.
fn phase_lengths(params: &freeway_ledger::epochs::Params) -> [(Phase, u64); 6] {
    let before = params.sprint_blocks.saturating_add(params.grace_blocks).saturating_add(1);
    let serve =
        params.epoch_blocks.saturating_sub(1).saturating_sub(before.saturating_add(params.verify_blocks));
    [
        (Phase::Sprint, params.sprint_blocks),
        (Phase::CommitGrace, params.grace_blocks),
        (Phase::Challenge, 1),
        (Phase::Verify, params.verify_blocks),
        (Phase::Serve, serve),
        (Phase::Switch, 1),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use freeway_ledger::Preset;

    #[test]
    fn phases_fill_the_epoch_as_the_ledger_has_them() {
        for preset in Preset::ALL {
            let calendar = Calendar { params: preset.params() };
            let params = &calendar.params.epochs;
            let lengths = phase_lengths(params);
            assert_eq!(lengths.iter().map(|(_, blocks)| blocks).sum::<u64>(), params.epoch_blocks);
            let first = calendar.clock(Height(params.epoch_blocks + 1));
            assert_eq!((first.epoch.0, first.start.0), (1, params.epoch_blocks + 1));
            let mut height = first.start;
            for (phase, blocks) in lengths {
                assert_eq!(first.phase(height, params), phase, "{height}");
                height = height.plus(blocks);
                assert_eq!(first.phase(height.minus(1), params), phase, "{height}");
            }
        }
    }
}
