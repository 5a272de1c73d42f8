//! Building a block to propose.

use bytes::Bytes;
use freeway_consensus::parts::Opening;
use freeway_ledger::{BlockInfo, Executor, Outcome};
use freeway_primitives::{Block, BlockId, Canonical, Header};
use tracing::debug;

use super::{Candidate, Chain, Executed, NodeError};
use crate::mempool::Pending;

impl Chain {
    /// Builds a block from the mempool, executes it and makes it durable.
    pub(super) fn build(&mut self, opening: Opening) -> Result<(BlockId, Bytes), NodeError> {
        let started = std::time::Instant::now();
        let head = &self.head;
        let height = opening.height;
        let state = self.store.view();
        // It was checked a moment ago; what would not stand is not recorded.
        let record = self.beacon.record(&state, height)?;
        let beacon = self.randomness(&state, height, record.as_ref())?.ok().flatten();
        let info =
            BlockInfo { height, proposer: self.address, parent_signers: head.parent_signers(), beacon };
        let mut executor = Executor::begin(&state, info)?;
        let wanted = head.params.blocks.max_transactions as usize;
        let mut transactions = Vec::new();
        let mut included = Vec::new();
        let mut dead = Vec::new();
        for pending in self.mempool.candidates(wanted.saturating_mul(2)) {
            if executor.is_full() {
                break;
            }
            let Pending { hash, transaction, bytes, .. } = &*pending;
            match executor.include(transaction, *hash, bytes.len())? {
                Ok(receipt) => {
                    if let Outcome::Failed(failure) = &receipt.outcome {
                        debug!(transaction = %hash, %failure, "a transaction fails");
                    }
                    let signer = freeway_primitives::Address::of(&transaction.body.signer);
                    included.push((*hash, transaction.body.account(), signer));
                    transactions.push(bytes.clone());
                }
                Err(rejection) if rejection.is_temporary() => {}
                Err(rejection) => {
                    debug!(transaction = %hash, %rejection, "a waiting transaction can never be included");
                    dead.push(*hash);
                }
            }
        }
        let outcome = executor.finish()?;
        self.mempool.remove(&dead);
        let header = Header {
            chain: self.chain,
            height,
            time_ms: (self.now)().max(head.time_ms.saturating_add(1)),
            proposer: self.address,
            parent: head.id,
            parent_certificate: Block::certificate_digest(head.certificate.as_ref()),
            state_root: head.state_root,
            receipts_root: head.receipts_root,
            transactions_root: Block::transactions_root(&transactions),
            validators: head.validators.digest(),
            next_validators: outcome.next_validators.digest(),
            beacon: record,
        };
        let block = Block { header, parent_certificate: head.certificate.clone(), transactions };
        let (id, bytes) = (block.id(), Bytes::from(block.encode()));
        self.put_proposal(opening, id, &bytes)?;
        let work_ms = started.elapsed().as_secs_f64() * 1e3;
        let executed = Some(Executed { block, outcome, included, work_ms });
        self.keep(height, id, Candidate { opening, bytes: bytes.clone(), executed });
        Ok((id, bytes))
    }
}

impl super::Head {
    /// Who signed the head, by its certificate.
    pub(super) fn parent_signers(&self) -> Vec<freeway_primitives::Address> {
        self.certificate.iter().flat_map(|c| &c.signatures).map(|commit| commit.validator).collect()
    }
}
