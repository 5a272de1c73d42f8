//! The queue of events.

use malachitebft_core_types::Timeout;

use crate::plan::Fault;
use crate::process::{Reply, Work};
use crate::wire::Wire;

/// Something that will happen.
#[derive(Debug)]
pub(super) enum Event {
    Deliver { from: usize, to: usize, wire: Wire },
    Timer { node: usize, life: u64, generation: u64, timeout: Timeout },
    Reply { node: usize, life: u64, reply: Reply },
    Work { node: usize, life: u64, work: Work },
    Status(usize),
    Client,
    Rubbish,
    Fault(Fault),
}

/// An event and its time; events of the same time happen in the order in which they were planned.
pub(super) struct Scheduled {
    pub(super) at: u64,
    pub(super) order: u64,
    pub(super) event: Event,
}

impl PartialEq for Scheduled {
    fn eq(&self, other: &Self) -> bool {
        self.order == other.order
    }
}

impl Eq for Scheduled {}

impl PartialOrd for Scheduled {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Scheduled {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.order).cmp(&(other.at, other.order))
    }
}
