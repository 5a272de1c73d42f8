//! The thread that writes. What waits goes into one transaction; what is in memory follows once that is durable.

use std::sync::{Arc, PoisonError, RwLock, mpsc};

use freeway_primitives::Digest;
use freeway_proofs::work::{LaneId, RECEIPT};
use freeway_store::{Database, Failure};
use redb::{Durability, ReadableTable, ReadableTableMetadata, WriteTransaction};
use tokio::sync::oneshot;

use super::known::{Known, receipt};
use super::tables::{
    Against, BODIES, Body, DIGESTS, EVIDENCE, FACTS, FLOOR, FOREIGN, RECORDS, RUNS, Record, Run, SHARES,
    ShareRecord, VOUCHERS, WEIGHED, bytes, row,
};
use super::{Finished, Signer, WorkError};
use crate::work::Weighed;
use crate::work::shelf::MAX_EVIDENCE;

/// The most commands in one transaction.
const MAX_BATCH: usize = 256;

/// Where a command's outcome goes.
type Tell<T> = mpsc::SyncSender<Result<T, WorkError>>;

/// What the writer is asked to do.
pub(super) enum Command {
    /// Number, sign and keep a request.
    Complete(Box<Finished>, oneshot::Sender<Result<Record, WorkError>>),
    /// End an interval.
    Close(u64, Tell<()>),
    /// Keep another host's artifact.
    Keep { interval: u64, digest: Digest, body: Vec<u8>, tell: Tell<()> },
    /// Keep what was found of another host's receipt.
    Weigh(Box<Weighed>, Tell<()>),
    /// Remove a part of what is old; tells whether there is more.
    Prune { bodies: u64, all: u64, tell: Tell<bool> },
    /// Forget lanes that are over.
    Forget(Vec<LaneId>, Tell<()>),
}

/// What is told once all is durable.
enum Answer {
    Completed(oneshot::Sender<Result<Record, WorkError>>, Box<Record>),
    Done(Tell<()>),
    Pruned(Tell<bool>, bool),
}

pub(super) struct Writer {
    database: Arc<Database>,
    known: Arc<RwLock<Known>>,
    signer: Signer,
}

impl Writer {
    pub(super) fn new(database: Arc<Database>, known: Arc<RwLock<Known>>, signer: Signer) -> Self {
        Self { database, known, signer }
    }

    /// Writes until nobody can ask any more.
    pub(super) fn run(&self, waiting: &mpsc::Receiver<Command>) {
        while let Ok(first) = waiting.recv() {
            let rest = waiting.try_iter().take(MAX_BATCH - 1);
            self.write(core::iter::once(first).chain(rest).collect());
        }
    }

    fn write(&self, batch: Vec<Command>) {
        // A copy that becomes what is known only if the transaction stands.
        let mut known = self.known.read().unwrap_or_else(PoisonError::into_inner).clone();
        let mut answers = Vec::with_capacity(batch.len());
        let written = self.database.write(Durability::Immediate, |txn| {
            for command in batch {
                answers.push(self.apply(txn, &mut known, command)?);
            }
            Ok(())
        });
        match written {
            Ok(()) => {
                *self.known.write().unwrap_or_else(PoisonError::into_inner) = known;
                answers.into_iter().for_each(Answer::tell);
            }
            // Those whose command was not reached are told by their sender's end.
            Err(error) => {
                tracing::error!(%error, "receipts cannot be kept; requests are refused until a restart");
                answers.into_iter().for_each(|answer| answer.fail(&WorkError::Store(error.clone())));
            }
        }
    }

    fn apply(&self, txn: &WriteTransaction, known: &mut Known, command: Command) -> Result<Answer, Failure> {
        match command {
            Command::Complete(done, tell) => {
                let record = self.complete(txn, known, *done)?;
                Ok(Answer::Completed(tell, Box::new(record)))
            }
            Command::Close(interval, tell) => {
                known.floor = known.floor.max(interval.saturating_add(1));
                txn.open_table(FACTS)?.insert(FLOOR, known.floor)?;
                Ok(Answer::Done(tell))
            }
            Command::Keep { interval, digest, body, tell } => {
                let mut table = txn.open_table(FOREIGN)?;
                table.insert((interval, &digest.0), body.as_slice())?;
                known.foreign.insert((interval, digest), body.len() as u64);
                while known.has_too_many()
                    && let Some((oldest, _)) = known.foreign.pop_first()
                {
                    table.remove((oldest.0, &oldest.1.0))?;
                }
                Ok(Answer::Done(tell))
            }
            Command::Weigh(weighed, tell) => {
                weigh(txn, &weighed)?;
                Ok(Answer::Done(tell))
            }
            Command::Prune { bodies, all, tell } => {
                Ok(Answer::Pruned(tell, super::prune::prune(txn, known, bodies, all)?))
            }
            Command::Forget(over, tell) => {
                super::prune::forget(txn, known, &over)?;
                Ok(Answer::Done(tell))
            }
        }
    }

    fn complete(&self, txn: &WriteTransaction, known: &mut Known, done: Finished) -> Result<Record, Failure> {
        let Signer { chain, host, key } = &self.signer;
        let lane = done.voucher.lane;
        let before = known.shares.get(&lane);
        // Sums of money that exists do not overflow; the desk takes no voucher beyond a deposit.
        let overflow = || freeway_store::StoreError::Limit { what: "a lane's total", actual: 0, limit: 0 };
        let receipt = receipt(before, known.floor, *host, &done).ok_or_else(overflow)?;
        let newer = |share: &&ShareRecord| share.voucher.sequence > done.latest.0.sequence;
        let (voucher, signature) =
            before.filter(newer).map_or(done.latest, |share| (share.voucher, share.signature));
        let share = ShareRecord {
            model: done.model,
            constraints: done.constraints,
            next: receipt.sequence.saturating_add(1),
            total: receipt.total,
            interval: receipt.interval,
            voucher,
            signature,
        };
        let record = Record {
            signature: key.sign(RECEIPT, chain, &receipt),
            voucher: done.voucher,
            voucher_signature: done.voucher_signature,
            salt: done.salt,
            traces: done.traces,
            receipt,
        };
        let request = Arc::unwrap_or_clone(done.request);
        let Finished { output, endings, claims, .. } = done;
        let body = Body { request, output, endings, claims };
        let place = (receipt.interval, lane.0, receipt.sequence);
        let first = Run { first: receipt.sequence, count: 0, fees: 0 };
        let run = known.runs.entry(receipt.interval).or_default().entry(lane).or_insert(first);
        run.count = run.count.saturating_add(1);
        run.fees = run.fees.saturating_add(receipt.fee.0);
        txn.open_table(RECORDS)?.insert(place, bytes(&record).as_slice())?;
        txn.open_table(BODIES)?.insert(place, bytes(&body).as_slice())?;
        txn.open_table(DIGESTS)?.insert(&receipt.digest().0, place)?;
        txn.open_table(VOUCHERS)?.insert((lane.0, record.voucher.sequence), place)?;
        txn.open_table(RUNS)?.insert((receipt.interval, lane.0), bytes(run).as_slice())?;
        txn.open_table(SHARES)?.insert(lane.0, bytes(&share).as_slice())?;
        known.shares.insert(lane, share);
        Ok(record)
    }
}

/// Keeps what was found of a receipt, unless it was weighed before.
fn weigh(txn: &WriteTransaction, weighed: &Weighed) -> Result<(), Failure> {
    let Weighed { host, model, interval, receipt, evidence, is_suspected } = weighed;
    let mut table = txn.open_table(WEIGHED)?;
    if table.get((*interval, &receipt.0))?.is_some() {
        return Ok(());
    }
    table.insert((*interval, &receipt.0), is_suspected)?;
    let mut table = txn.open_table(EVIDENCE)?;
    let against = Against { interval: *interval, evidence: *evidence };
    table.insert((&host.0, &model.0), bytes(&against).as_slice())?;
    if table.len()? > MAX_EVIDENCE as u64 {
        let mut oldest: Option<(u64, [u8; 32], [u8; 32])> = None;
        for known in table.iter()? {
            let (place, known) = known?;
            let known: Against = row("evidence", known.value())?;
            let (host, model) = place.value();
            let this = (known.interval, *host, *model);
            oldest = Some(oldest.map_or(this, |oldest| oldest.min(this)));
        }
        if let Some((_, host, model)) = oldest {
            table.remove((&host, &model))?;
        }
    }
    Ok(())
}

impl Answer {
    fn tell(self) {
        // Who asked may have gone.
        match self {
            Self::Completed(tell, record) => drop(tell.send(Ok(*record))),
            Self::Done(tell) => drop(tell.send(Ok(()))),
            Self::Pruned(tell, more) => drop(tell.send(Ok(more))),
        }
    }

    fn fail(self, error: &WorkError) {
        match self {
            Self::Completed(tell, _) => drop(tell.send(Err(error.clone()))),
            Self::Done(tell) => drop(tell.send(Err(error.clone()))),
            Self::Pruned(tell, _) => drop(tell.send(Err(error.clone()))),
        }
    }
}
