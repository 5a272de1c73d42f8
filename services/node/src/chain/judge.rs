//! Judging and executing the blocks of others.

use bytes::Bytes;
use freeway_consensus::Judged;
use freeway_consensus::parts::Opening;
use freeway_ledger::beacon::{self, RecordError};
use freeway_ledger::{BlockInfo, Executor, Transaction};
use freeway_primitives::{Address, BeaconRecord, Block, BlockId, Canonical, Digest, Height};
use freeway_store::StateView;
use tracing::warn;

use super::{Candidate, Chain, Executed, MAX_AHEAD_MS, NodeError};
use crate::verify;

/// Why a block is not valid. Never a fault of this node.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(super) struct Invalid(String);

fn ensure(holds: bool, what: &str) -> Result<(), Invalid> {
    if holds { Ok(()) } else { Err(Invalid(what.to_owned())) }
}

impl Chain {
    /// Judges a proposed block, or one for which a certificate stands.
    pub(super) fn judge_block(
        &mut self,
        opening: Opening,
        bytes: Bytes,
        certified: bool,
    ) -> Result<Judged, NodeError> {
        let block = match Block::decode(&bytes) {
            Ok(block) => block,
            Err(error) => {
                warn!(height = %opening.height, proposer = %opening.proposer, %error, "not a block");
                // Its identity is that of its bytes: no header could be read, and nobody can vote for it.
                let block = BlockId(Digest(*blake3::hash(&bytes).as_bytes()));
                return Ok(Judged { block, opening, valid: false });
            }
        };
        let id = block.id();
        let ahead_ms = block.header.time_ms.saturating_sub((self.now)());
        if !certified && ahead_ms > MAX_AHEAD_MS {
            warn!(height = %opening.height, block = %id, proposer = %opening.proposer, ahead_ms,
                "a block from the future; is this machine's clock right?");
            return Ok(Judged { block: id, opening, valid: false });
        }
        let known = self.candidate(opening.height, id)?.is_some();
        let executed = if known {
            // Judged before, now proposed for another round.
            None
        } else {
            match self.execute(block, false)? {
                Ok(executed) => Some(executed),
                Err(reason) => {
                    warn!(height = %opening.height, block = %id, proposer = %opening.proposer, %reason,
                        "an invalid block");
                    return Ok(Judged { block: id, opening, valid: false });
                }
            }
        };
        self.put_proposal(opening, id, &bytes)?;
        match self.candidates.get_mut(&(opening.height, id)) {
            Some(candidate) => candidate.opening = opening,
            None => self.keep(opening.height, id, Candidate { opening, bytes, executed }),
        }
        Ok(Judged { block: id, opening, valid: true })
    }

    /// Checks a block against the head and executes it. `trusted` skips signatures: only for blocks of this
    /// node's own store.
    pub(super) fn execute(
        &self,
        block: Block,
        trusted: bool,
    ) -> Result<Result<Executed, Invalid>, NodeError> {
        let started = std::time::Instant::now();
        let _span = tracing::info_span!(
            target: freeway_api::trace::TARGET,
            "block execute",
            transactions = block.transactions.len()
        )
        .entered();
        if let Err(invalid) = self.check_header(&block, trusted) {
            return Ok(Err(invalid));
        }
        let transactions = match self.parse_transactions(&block, trusted) {
            Ok(transactions) => transactions,
            Err(invalid) => return Ok(Err(invalid)),
        };
        let parent_signers = block
            .parent_certificate
            .iter()
            .flat_map(|certificate| &certificate.signatures)
            .map(|commit| commit.validator)
            .collect();
        let state = self.store.view();
        let (height, proposer) = (block.header.height, block.header.proposer);
        let beacon = match self.randomness(&state, height, block.header.beacon.as_ref())? {
            Ok(beacon) => beacon,
            Err(error) => return Ok(Err(Invalid(error.to_string()))),
        };
        let info = BlockInfo { height, proposer, parent_signers, beacon };
        let mut executor = Executor::begin(&state, info)?;
        let mut included = Vec::with_capacity(transactions.len());
        for ((hash, transaction), bytes) in transactions.iter().zip(&block.transactions) {
            if let Err(rejection) = executor.include(transaction, *hash, bytes.len())? {
                return Ok(Err(Invalid(format!("transaction {hash} may not stand in it: {rejection}"))));
            }
            let signer = Address::of(&transaction.body.signer);
            included.push((*hash, transaction.body.account(), signer));
        }
        let outcome = executor.finish()?;
        if outcome.next_validators.digest() != block.header.next_validators {
            return Ok(Err(Invalid("it announces other validators for the next height".into())));
        }
        let work_ms = started.elapsed().as_secs_f64() * 1e3;
        Ok(Ok(Executed { block, outcome, included, work_ms }))
    }

    /// The randomness that a header records, if it may.
    pub(super) fn randomness(
        &self,
        state: &StateView,
        height: Height,
        record: Option<&BeaconRecord>,
    ) -> Result<Result<Option<(Height, Digest)>, RecordError>, NodeError> {
        let Some(record) = record else { return Ok(Ok(None)) };
        let checked = beacon::check_record(state, height, record)?;
        Ok(checked.map(|value| Some((record.height, value))))
    }

    fn check_header(&self, block: &Block, trusted: bool) -> Result<(), Invalid> {
        let (header, head) = (&block.header, &self.head);
        ensure(header.chain == self.chain, "it is of another network")?;
        ensure(header.height == head.height.next(), "it is not of the next height")?;
        ensure(header.parent == head.id, "its parent is another block")?;
        ensure(header.time_ms > head.time_ms, "its time is not after its parent's")?;
        ensure(header.state_root == head.state_root, "it has another state root")?;
        ensure(header.receipts_root == head.receipts_root, "it has another receipts root")?;
        ensure(header.validators == head.validators.digest(), "it names other validators")?;
        ensure(head.validators.get(&header.proposer).is_some(), "its proposer is no validator")?;
        ensure(block.is_consistent(), "its header does not commit to its body")?;
        match (&block.parent_certificate, &head.certificate) {
            (None, None) => Ok(()),
            (Some(certificate), Some(own)) => {
                ensure(
                    certificate.height == head.height && certificate.block == head.id,
                    "its certificate is for another block than its parent",
                )?;
                // The proposer may have seen other precommits than this node; any quorum will do.
                if trusted || certificate == own {
                    return Ok(());
                }
                certificate
                    .verify(&self.chain, &head.signers)
                    .map_err(|error| Invalid(format!("its parent's certificate is not valid: {error}")))
            }
            _ => Err(Invalid("its parent's certificate is missing or out of place".into())),
        }
    }

    fn parse_transactions(
        &self,
        block: &Block,
        trusted: bool,
    ) -> Result<Vec<(Digest, Transaction)>, Invalid> {
        let mut parsed = Vec::with_capacity(block.transactions.len());
        for bytes in &block.transactions {
            let hash = Transaction::hash_of(bytes);
            let transaction = Transaction::parse(bytes, &self.chain)
                .map_err(|error| Invalid(format!("transaction {hash}: {error}")))?;
            parsed.push((hash, transaction));
        }
        if trusted {
            return Ok(parsed);
        }
        // What waits in the mempool was checked when it came in.
        let unchecked: Vec<&(Digest, Transaction)> =
            parsed.iter().filter(|(hash, _)| !self.mempool.contains(hash)).collect();
        let transactions: Vec<&Transaction> = unchecked.iter().map(|(_, transaction)| transaction).collect();
        let valid = verify::signatures(&transactions);
        if let Some(at) = valid.iter().position(|valid| !valid) {
            return Err(Invalid(format!("transaction {}: the signature does not verify", unchecked[at].0)));
        }
        Ok(parsed)
    }
}
