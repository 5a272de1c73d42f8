//! The store of receipts on disk as a [`Shelf`].

use freeway_api::serving::Artifact;
use freeway_ledger::lanes::Constraints;
use freeway_primitives::{Address, Digest, Signature};
use freeway_proofs::work::{Entry, LaneId, Voucher};
use freeway_requests::evidence::Evidence;

use super::shelf::{Interval, Kept, Shelf, ShelfError, Weighed};
use crate::serving::store::{WorkError, WorkStore};

fn failed(error: WorkError) -> ShelfError {
    ShelfError(error.to_string())
}

impl Shelf for WorkStore {
    fn intervals(&self) -> Result<Vec<Interval>, ShelfError> {
        let all = WorkStore::intervals(self).into_iter();
        Ok(all.map(|known| Interval { number: known.interval, sealed: known.closed }).collect())
    }

    fn seal(&self, interval: u64) -> Result<(), ShelfError> {
        self.close(interval).map_err(failed)
    }

    fn entries(&self, interval: u64) -> Result<Vec<Entry>, ShelfError> {
        WorkStore::entries(self, interval).map_err(failed)
    }

    fn class(&self, lane: LaneId) -> Result<Option<(Digest, Constraints)>, ShelfError> {
        Ok(self.share(lane).map(|share| (share.model, share.constraints)))
    }

    fn kept(&self, lane: LaneId, sequence: u64) -> Result<Option<Kept>, ShelfError> {
        let record = self.record(lane, sequence).map_err(failed)?;
        Ok(record.map(|record| Kept {
            receipt: record.receipt,
            signature: record.signature,
            salt: record.salt,
            traces: record.traces,
        }))
    }

    fn artifact(&self, receipt: &Digest) -> Result<Option<Artifact>, ShelfError> {
        WorkStore::artifact(self, receipt).map_err(failed)
    }

    fn keep(&self, artifact: &Artifact) -> Result<(), ShelfError> {
        WorkStore::keep(self, artifact).map_err(failed)
    }

    fn voucher(&self, lane: LaneId) -> Result<Option<(Voucher, Signature)>, ShelfError> {
        Ok(self.share(lane).map(|share| (share.voucher, share.signature)))
    }

    fn prune(&self, bodies: u64, all: u64) -> Result<(), ShelfError> {
        WorkStore::prune(self, bodies, all).map_err(failed)
    }

    fn forget(&self, over: Vec<LaneId>) -> Result<(), ShelfError> {
        WorkStore::forget(self, over).map_err(failed)
    }

    fn lanes(&self) -> Result<Vec<LaneId>, ShelfError> {
        Ok(self.shares().into_iter().map(|(lane, _)| lane).collect())
    }

    fn evidence(&self, host: &Address, model: &Digest) -> Result<Evidence, ShelfError> {
        WorkStore::evidence(self, host, model).map_err(failed)
    }

    fn weighed(&self, interval: u64, receipt: &Digest) -> Result<Option<bool>, ShelfError> {
        WorkStore::weighed(self, interval, receipt).map_err(failed)
    }

    fn weigh(&self, weighed: &Weighed) -> Result<(), ShelfError> {
        WorkStore::weigh(self, weighed).map_err(failed)
    }
}
