//! The properties that concern the end of a run.

use super::World;
use crate::properties::Violation;
use crate::replay::replay;
use crate::workload::Promise;

/// One in so many runs ends with executing its chain once more.
const REPLAYED: u64 = 4;

impl World {
    /// The properties that concern the end of a run.
    pub(super) fn finish(&mut self) {
        for node in &self.nodes {
            if let Some(process) = &node.process {
                self.require(self.properties.supply_conserved(process.chain()));
            }
        }
        for promise in &self.promises {
            self.require(self.promise_kept(promise));
        }
        if self.plan.seed.is_multiple_of(REPLAYED)
            && let Some(process) = self.nodes.iter().find_map(|node| node.process.as_ref())
        {
            let same = replay(&self.genesis, process.chain().store());
            self.require(same.map_err(|detail| Violation { property: "replay", detail }));
        }
    }

    /// A transaction that a node accepted is in a block, or waits, or has expired, or was overtaken by another
    /// of the same key. Only losing the disk excuses from that.
    fn promise_kept(&self, promise: &Promise) -> Result<(), Violation> {
        let node = &self.nodes[promise.node];
        let Some(process) = node.process.as_ref().filter(|_| node.wipes == promise.wipes) else {
            return Ok(());
        };
        let store = process.chain().store();
        let included = store.receipt(&promise.hash).is_ok_and(|receipt| receipt.is_some());
        let waits = process.mempool().contains(&promise.hash);
        let expired = promise.expiry <= process.chain().height();
        let next = freeway_ledger::accounts::next_sequence(&store.view(), &promise.account, &promise.signer);
        let overtaken = next.is_ok_and(|next| next.is_none_or(|next| next > promise.sequence));
        if included || waits || expired || overtaken {
            return Ok(());
        }
        Err(Violation { property: "promises are kept", detail: format!("{promise:?} is lost") })
    }
}
