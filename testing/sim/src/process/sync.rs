//! Fetching decided blocks from peers that are ahead.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

use freeway_consensus::context::{Context, Height};
use freeway_primitives as p;
use malachitebft_core_consensus::{Input, PeerId};
use malachitebft_core_types::ValueResponse;
use malachitebft_sync::{self as sync, RawDecidedValue};

use super::{Out, Process, read};
use crate::wire::{Kind, Wire};

/// How often a node tells its height; as in the real node.
pub const STATUS_MS: u64 = 2_000;
/// How long a request may stay unanswered.
const PATIENCE_MS: u64 = 3_000;
/// Blocks of one request.
const BATCH: u64 = 5;

/// What is asked for, and what has come before its turn.
#[derive(Debug, Default)]
pub(super) struct Sync {
    /// Until when to wait for the answer under way.
    waiting_until_ms: u64,
    early: BTreeMap<p::Height, (usize, RawDecidedValue<Context>)>,
}

/// The identity of a node on the network.
pub(crate) fn peer_id(number: usize) -> PeerId {
    let mut bytes = vec![0, 8];
    bytes.extend((number as u64).to_le_bytes());
    PeerId::from_bytes(&bytes).expect("an identity multihash")
}

impl Process {
    /// The message that tells this node's height; none before the first block.
    pub fn announce(&mut self, number: usize) -> Option<Wire> {
        let tip = self.chain().height();
        if tip == p::Height::GENESIS {
            return None;
        }
        let oldest = self.host.bridge.oldest();
        let history_min_height = self.host.settle(oldest)?;
        let status: sync::Status<Context> =
            sync::Status { peer_id: peer_id(number), tip_height: Height(tip), history_min_height };
        Some(Wire::new(Kind::Status, &status))
    }

    pub(super) fn status(&mut self, from: usize, wire: &Wire) {
        let Some(status) = read::<sync::Status<Context>>(&wire.bytes) else { return };
        let now = self.host.clock.load(Ordering::Relaxed);
        let sync = &mut self.host.sync;
        let mut first = self.host.bridge.plan().height;
        while sync.early.contains_key(&first) {
            first = first.next();
        }
        let (tip, oldest) = (status.tip_height.0, status.history_min_height.0);
        if tip < first || oldest > first || now < sync.waiting_until_ms {
            return;
        }
        sync.waiting_until_ms = now + PATIENCE_MS;
        let last = tip.min(first.plus(BATCH - 1));
        let request =
            sync::Request::<Context>::ValueRequest(sync::ValueRequest::new(Height(first)..=Height(last)));
        self.host.out.push(Out::Send(from, Wire::new(Kind::Request, &request)));
    }

    pub(super) fn request(&mut self, from: usize, wire: &Wire) {
        let Some(sync::Request::ValueRequest(request)) = read::<sync::Request<Context>>(&wire.bytes) else {
            return;
        };
        let start = *request.range.start();
        let found = self.host.bridge.history(request.range);
        let Some(values) = self.host.settle(found) else { return };
        let response = sync::Response::<Context>::ValueResponse(sync::ValueResponse::new(start, values));
        self.host.out.push(Out::Send(from, Wire::new(Kind::Response, &response)));
    }

    pub(super) fn response(&mut self, from: usize, wire: &Wire) {
        let Some(sync::Response::ValueResponse(response)) = read::<sync::Response<Context>>(&wire.bytes)
        else {
            return;
        };
        self.host.sync.waiting_until_ms = 0;
        let now = self.host.bridge.plan().height;
        let mut height = response.start_height.0;
        for value in response.values {
            if height >= now && height <= now.plus(2 * BATCH) {
                self.host.sync.early.insert(height, (from, value));
            }
            height = height.next();
        }
        self.feed_synced();
    }

    /// Gives the core the fetched block of its height.
    pub(super) fn feed_synced(&mut self) {
        let height = self.position().0;
        let sync = &mut self.host.sync;
        sync.early = sync.early.split_off(&height);
        if let Some((from, value)) = sync.early.remove(&height) {
            let response = ValueResponse::new(peer_id(from), value.value_bytes, value.certificate);
            self.input(Input::SyncValueResponse(response));
        }
    }
}
