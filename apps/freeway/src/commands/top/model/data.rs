//! What is known of the network, and what news make of it.

use std::collections::{BTreeMap, VecDeque};

use freeway_api::explorer::{EpochRow, EventRow, HostEpochRow, LaneRow, NowView};
use freeway_api::{
    BlockEvent, BlockSummary, CommitmentView, EarningsView, HostView, LaneView, SprintHostView,
    SprintResultsView, SprintView, Status, WorkView,
};
use freeway_primitives::Address;
use serde::Serialize;

use super::requests::Requests;
use crate::commands::top::logs::{self, Logs};
use crate::commands::top::text::ends;

/// Blocks that are remembered.
const MAX_BLOCKS: usize = 240;
/// Epochs that are remembered.
pub(in crate::commands::top) const MAX_EPOCHS: u64 = 240;

/// Something that a node says, or that it says nothing.
#[derive(Debug)]
pub(in crate::commands::top) enum News {
    /// A node answers at this address.
    Reached { url: String },
    /// The node is gone, for this reason.
    Lost { problem: String },
    /// A block.
    Block(Box<BlockEvent>),
    /// The node and its chain.
    Status(Box<Status>),
    /// The figures; nothing if the node keeps none.
    Now(Option<Box<NowView>>),
    /// The latest epochs, newest first.
    Epochs(Vec<EpochRow>),
    /// Blocks with their certificates.
    Blocks(Vec<BlockSummary>),
    /// The race and its hosts.
    Race(Box<SprintView>, Vec<SprintHostView>),
    /// What the latest settled race found.
    Results(Box<SprintResultsView>),
    /// What a host earns.
    Earned(Box<EarningsView>),
    /// Everything about a host.
    Host(Box<Detail>),
    /// How far the checks of each interval's work are.
    Rounds(Box<WorkView>),
    /// Commitments and their ends, newest first.
    Work(Vec<EventRow>),
    /// A commitment to served work.
    Commitment(Box<CommitmentView>),
    /// The latest lanes, newest first.
    Lanes(Vec<LaneRow>),
    /// That was all about this block.
    Whole,
}

/// Whether the node answers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(in crate::commands::top) struct Link {
    /// Its address.
    pub(in crate::commands::top) url: String,
    /// Whether it answered last.
    pub(in crate::commands::top) reached: bool,
    /// Since when that is so.
    pub(in crate::commands::top) since_ms: u64,
    /// Why it does not, if so.
    pub(in crate::commands::top) problem: Option<String>,
}

/// Everything about a host.
#[derive(Clone, Debug)]
pub(in crate::commands::top) struct Detail {
    pub(in crate::commands::top) host: HostView,
    pub(in crate::commands::top) lanes: Vec<LaneView>,
    /// Newest first; none without an explorer.
    pub(in crate::commands::top) history: Vec<HostEpochRow>,
}

/// What is known of the network.
#[derive(Clone, Debug, Default)]
pub(in crate::commands::top) struct Data {
    pub(in crate::commands::top) link: Link,
    pub(in crate::commands::top) status: Option<Status>,
    /// What the hosts in it call themselves.
    names: BTreeMap<Address, String>,
    /// When the status came: its ages are counted from there.
    pub(in crate::commands::top) status_at_ms: u64,
    pub(in crate::commands::top) now: Option<NowView>,
    /// Whether the node has said that it keeps no figures.
    pub(in crate::commands::top) no_explorer: bool,
    /// Oldest first.
    pub(in crate::commands::top) epochs: Vec<EpochRow>,
    /// Oldest first.
    pub(in crate::commands::top) blocks: VecDeque<BlockSummary>,
    pub(in crate::commands::top) race: Option<SprintView>,
    pub(in crate::commands::top) racers: Vec<SprintHostView>,
    pub(in crate::commands::top) results: Option<SprintResultsView>,
    pub(in crate::commands::top) earned: BTreeMap<Address, EarningsView>,
    pub(in crate::commands::top) detail: Option<Box<Detail>>,
    pub(in crate::commands::top) work: Option<WorkView>,
    pub(in crate::commands::top) requests: Requests,
    pub(in crate::commands::top) lanes: Vec<LaneRow>,
    pub(in crate::commands::top) logs: Logs,
}

impl Data {
    /// Takes news that came at that moment.
    pub(super) fn take(&mut self, news: News, now_ms: u64) {
        match news {
            News::Reached { url } => {
                if self.link.url != url || !self.link.reached {
                    self.link = Link { url, reached: true, since_ms: now_ms, problem: None };
                }
            }
            News::Lost { problem } => {
                // What was first is what counts; later attempts fail for its reason or a duller one.
                if self.link.reached {
                    self.link.reached = false;
                    self.link.since_ms = now_ms;
                }
                self.link.problem = Some(problem);
            }
            News::Block(block) => {
                self.requests.block(&block);
                let lines = logs::of_block(&block, |address| self.name_of_text(address));
                self.logs.add(lines);
            }
            News::Status(status) => {
                // Another network at the same address: nothing of the old one is true any more.
                if self.status.as_ref().is_some_and(|known| known.chain != status.chain) {
                    *self = Self { link: self.link.clone(), logs: self.logs.clone(), ..Self::default() };
                }
                let named = status.hosts.iter().filter(|host| !host.operator.trim().is_empty());
                self.names = named.map(|host| (host.address, host.operator.clone())).collect();
                self.status = Some(*status);
                self.status_at_ms = now_ms;
            }
            News::Now(now) => {
                self.no_explorer = now.is_none();
                self.now = now.map(|now| *now);
            }
            News::Epochs(mut epochs) => {
                epochs.sort_by_key(|row| row.epoch);
                self.epochs = epochs;
            }
            News::Blocks(blocks) => {
                for block in blocks {
                    if self.blocks.back().is_none_or(|last| last.height < block.height) {
                        self.blocks.push_back(block);
                    }
                }
                let over = self.blocks.len().saturating_sub(MAX_BLOCKS);
                self.blocks.drain(..over);
            }
            News::Race(race, racers) => {
                self.race = Some(*race);
                self.racers = racers;
            }
            News::Results(results) => self.results = Some(*results),
            News::Earned(earned) => {
                self.earned.insert(earned.host, *earned);
            }
            News::Host(detail) => self.detail = Some(detail),
            News::Rounds(work) => self.work = Some(*work),
            News::Work(events) => self.requests.history(&events),
            News::Commitment(view) => self.requests.commitment(*view),
            News::Lanes(lanes) => self.lanes = lanes,
            News::Whole => {}
        }
    }

    /// What people call an account: its host's operator, else the ends of its address.
    pub(in crate::commands::top) fn name_of(&self, address: &Address) -> String {
        match self.names.get(address) {
            Some(name) => name.clone(),
            None => ends(&address.to_string(), 9, 4),
        }
    }

    /// The same for an address as text; what is none stays as it is.
    fn name_of_text(&self, text: &str) -> String {
        text.parse().map_or_else(|_| ends(text, 9, 4), |address| self.name_of(&address))
    }

    /// How old the latest block is.
    pub(in crate::commands::top) fn age_ms(&self, moment: u64) -> Option<u64> {
        let status = self.status.as_ref()?;
        Some(status.behind_ms.saturating_add(moment.saturating_sub(self.status_at_ms)))
    }

    /// The usual time between blocks of late, in milliseconds: the median, as a network may have been stopped in between.
    pub(in crate::commands::top) fn block_ms(&self) -> Option<u64> {
        let pairs = self.blocks.iter().zip(self.blocks.iter().skip(1));
        let near = pairs.filter(|(one, next)| next.height == one.height.saturating_add(1));
        let mut apart: Vec<u64> = near.map(|(one, next)| next.time_ms.saturating_sub(one.time_ms)).collect();
        apart.sort_unstable();
        apart.get(apart.len() / 2).copied()
    }
}
