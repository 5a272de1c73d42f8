//! What must hold whenever the process ends.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use freeway_proofs::work::{RECEIPT, Receipt};
use freeway_requests::evidence::{Noise, Spoken};
use freeway_requests::{LogProb, ModelRoot, Sampling, Scored, TokenRequest};
use freeway_store::SimulatedDisk;

use super::*;
use crate::work::shelf::{MAX_EVIDENCE, MemoryShelf, Shelf};

fn signer() -> Signer {
    let chain = ChainId(Digest([1; 32]));
    Signer { chain, host: Address([2; 32]), key: SecretKey::from_seed([3; 32]) }
}

fn open(disk: &SimulatedDisk) -> Result<WorkStore, WorkError> {
    WorkStore::open(Medium::Simulated(disk.clone()), signer())
}

fn finished(lane: u64, voucher: u64, interval: u64) -> Finished {
    let request = TokenRequest::greedy(ModelRoot(Digest([4; 32])), vec![voucher as u32], 2);
    let signature = signer().key.sign(RECEIPT, &signer().chain, &receipt_of_nothing());
    let voucher = Voucher {
        lane: LaneId(lane),
        host: Address([2; 32]),
        sequence: voucher,
        spent: Amount(0),
        limit: Amount(1_000 * u128::from(voucher)),
        request: request.digest(),
    };
    Finished {
        voucher,
        voucher_signature: signature,
        latest: (voucher, signature),
        model: Digest([4; 32]),
        constraints: Constraints::default(),
        request: Arc::new(request),
        output: vec![vec![1, 2]],
        endings: vec![Ending::Length],
        usage: Usage { prompt: 1, cached: 0, completion: 2 },
        fee: Amount(7),
        salt: [5; 32],
        traces: vec![Digest([6; 32])],
        claims: None,
        interval,
    }
}

fn receipt_of_nothing() -> Receipt {
    Receipt {
        lane: LaneId(0),
        host: Address([0; 32]),
        sequence: 0,
        interval: 0,
        request: Digest::ZERO,
        output: Digest::ZERO,
        trace: Digest::ZERO,
        usage: Usage::default(),
        fee: Amount(0),
        total: Amount(0),
    }
}

fn complete(store: &WorkStore, lane: u64, voucher: u64, interval: u64) -> Result<Record, WorkError> {
    futures::executor::block_on(store.complete(finished(lane, voucher, interval)))
}

/// Whether an interval's entries follow each other.
fn in_order(entries: &[Entry]) -> bool {
    entries.windows(2).all(|pair| pair[0].precedes(&pair[1]))
}

#[test]
fn numbers_totals_and_intervals_follow_each_other() {
    let store = open(&SimulatedDisk::new()).unwrap();
    for voucher in 0..5 {
        let record = complete(&store, 1, voucher, 3).unwrap();
        let Receipt { sequence, total, interval, .. } = record.receipt;
        assert_eq!((sequence, total, interval), (voucher, Amount(7 * u128::from(voucher + 1)), 3));
        let Signer { chain, key, .. } = signer();
        key.public().verify(RECEIPT, &chain, &record.receipt, &record.signature).unwrap();
    }
    complete(&store, 2, 9, 3).unwrap();
    store.close(3).unwrap();
    store.close(3).unwrap();
    // Closed is closed, whatever the clock says; and a lane's intervals never go back.
    assert_eq!(complete(&store, 1, 5, 3).unwrap().receipt.interval, 4);
    assert_eq!(complete(&store, 2, 10, 6).unwrap().receipt.interval, 6);
    assert_eq!(complete(&store, 2, 11, 4).unwrap().receipt.interval, 6);
    let closed: Vec<_> =
        store.intervals().iter().map(|known| (known.interval, known.receipts, known.closed)).collect();
    assert_eq!(closed, [(3, 6, true), (4, 1, false), (6, 2, false)]);
    let entries = store.entries(3).unwrap();
    assert!(entries.len() == 6 && in_order(&entries));
    // The latest voucher stays, also if an earlier one's request ends last.
    complete(&store, 2, 7, 6).unwrap();
    assert_eq!(store.share(LaneId(2)).unwrap().voucher.sequence, 11);
}

#[test]
fn all_is_found_again_and_nothing_after_pruning() {
    let disk = SimulatedDisk::new();
    let store = open(&disk).unwrap();
    let old = complete(&store, 1, 0, 3).unwrap();
    let new = complete(&store, 1, 1, 4).unwrap();
    let artifact = store.artifact(&old.receipt.digest()).unwrap().unwrap();
    assert!(artifact.belongs_together());
    let mut foreign = artifact.clone();
    foreign.receipt.host = Address([8; 32]);
    foreign.receipt.interval = 3;
    store.keep(&foreign).unwrap();
    drop(store);
    let store = open(&disk).unwrap();
    assert_eq!(store.artifact(&foreign.receipt.digest()).unwrap(), Some(foreign.clone()));
    assert_eq!(store.record(LaneId(1), 0).unwrap().as_ref(), Some(&old));
    assert_eq!(store.record_of(&new.receipt.digest()).unwrap().as_ref(), Some(&new));
    assert_eq!(store.outcome(LaneId(1), 0).unwrap().unwrap().0, old);
    // What is not closed stays.
    store.prune(9, 9).unwrap();
    assert!(store.record(LaneId(1), 0).unwrap().is_some());
    store.close(3).unwrap();
    assert_eq!(store.outcome(LaneId(1), 0).unwrap(), None);
    store.prune(9, 0).unwrap();
    assert_eq!(store.artifact(&old.receipt.digest()).unwrap(), None);
    assert_eq!(store.artifact(&foreign.receipt.digest()).unwrap(), None);
    assert!(store.record(LaneId(1), 0).unwrap().is_some());
    store.prune(9, 9).unwrap();
    assert_eq!(store.record(LaneId(1), 0).unwrap(), None);
    assert_eq!(store.record_of(&old.receipt.digest()).unwrap(), None);
    assert!(store.artifact(&new.receipt.digest()).unwrap().is_some());
    // A share is kept while there are receipts; its numbers go on.
    store.forget(vec![LaneId(1)]).unwrap();
    assert_eq!(complete(&store, 1, 2, 4).unwrap().receipt.sequence, 2);
}

fn weighed(host: u8, receipt: u8, interval: u64) -> Weighed {
    let (sampling, logprob) = (Sampling::greedy(), LogProb(-5_000_000));
    let scored = Scored { logprob, rank: 9, top: vec![(1, LogProb(-10))] };
    let mut evidence = Evidence::default();
    for _ in 0..receipt {
        let (claimed, scored) = (Some(LogProb(-1)), &scored);
        let (sampling, token) = (&sampling, 7);
        let spoken = Spoken { sampling, constrained: false, vocabulary: 99, token, claimed, scored };
        evidence.observe(&Noise::default(), &spoken);
    }
    let (host, model, receipt) = (Address([host; 32]), Digest([4; 32]), Digest([receipt; 32]));
    Weighed { host, model, interval, receipt, evidence, is_suspected: true }
}

#[test]
fn what_speaks_against_a_host_is_found_again_and_counts_once() {
    let disk = SimulatedDisk::new();
    let store = open(&disk).unwrap();
    let (first, second) = (weighed(8, 3, 5), weighed(8, 9, 6));
    let (host, model) = (first.host, first.model);
    assert_eq!(store.evidence(&host, &model).unwrap(), Evidence::default());
    store.weigh(&first).unwrap();
    store.weigh(&second).unwrap();
    // The same receipt once more, whatever is said of it now.
    store.weigh(&Weighed { is_suspected: false, ..first }).unwrap();
    drop(store);
    let store = open(&disk).unwrap();
    assert!(second.evidence.strongest().1 > first.evidence.strongest().1);
    assert_eq!(store.evidence(&host, &model).unwrap(), second.evidence);
    assert_eq!(store.evidence(&Address([9; 32]), &model).unwrap(), Evidence::default());
    for known in [first, second] {
        assert_eq!(store.weighed(known.interval, &known.receipt).unwrap(), Some(true));
    }
    assert_eq!(store.weighed(5, &second.receipt).unwrap(), None);
    // Receipts that nobody can ask about go, whatever this host did itself; evidence stays.
    store.prune(6, 0).unwrap();
    assert_eq!(store.weighed(5, &first.receipt).unwrap(), None);
    assert_eq!(store.weighed(6, &second.receipt).unwrap(), Some(true));
    assert_eq!(store.evidence(&host, &model).unwrap(), second.evidence);
}

/// There are no more hosts than have collateral, and yet.
#[test]
fn of_too_much_evidence_the_oldest_goes() {
    let (disk, memory) = (open(&SimulatedDisk::new()).unwrap(), MemoryShelf::default());
    let shelves: [&dyn Shelf; 2] = [&disk, &memory];
    let of = |i: u64| {
        let mut host = [1; 32];
        host[..8].copy_from_slice(&i.to_le_bytes());
        // The second one was looked at long ago.
        let interval = if i == 1 { 3 } else { 9 + i };
        Weighed { host: Address(host), receipt: Digest(host), interval, ..weighed(0, 5, 0) }
    };
    for shelf in shelves {
        for i in 0..=MAX_EVIDENCE as u64 {
            shelf.weigh(&of(i)).unwrap();
        }
        for (i, is_kept) in [(0, true), (1, false), (2, true), (MAX_EVIDENCE as u64, true)] {
            let Weighed { host, model, evidence, .. } = of(i);
            let found = shelf.evidence(&host, &model).unwrap();
            assert_eq!(found == evidence, is_kept, "{i}");
            assert!(is_kept || found == Evidence::default());
        }
    }
}

/// Cuts the power at every write in turn: what was told is there, and what goes on follows it.
#[test]
fn whatever_was_told_survives_a_crash() {
    let mut seen = std::collections::BTreeSet::new();
    for writes in 0..160 {
        let disk = SimulatedDisk::new();
        let store = open(&disk).unwrap();
        disk.fail_after(writes);
        let mut told: Vec<Record> = Vec::new();
        let mut closed = false;
        for voucher in 0..6 {
            match complete(&store, 1, voucher, 3) {
                Ok(record) => told.push(record),
                Err(_) => break,
            }
            closed |= voucher == 2 && store.close(3).is_ok();
        }
        disk.crash(writes);
        disk.heal();
        drop(store);
        let store = open(&disk).unwrap();
        for record in &told {
            let sequence = record.receipt.sequence;
            assert_eq!(store.record(LaneId(1), sequence).unwrap().as_ref(), Some(record));
        }
        assert!(!closed || store.is_closed(3), "after {writes} writes");
        // Nothing is missing, and nothing stands twice: at most one more was kept than was told.
        let kept = store.share(LaneId(1)).map_or(0, |share| share.next);
        assert!((told.len() as u64..=told.len() as u64 + 1).contains(&kept), "after {writes} writes");
        let next = complete(&store, 1, 20, 3).unwrap().receipt;
        assert_eq!((next.sequence, next.total), (kept, Amount(7 * u128::from(kept + 1))));
        let entries: Vec<Entry> = (0..=kept)
            .map(|sequence| store.record(LaneId(1), sequence).unwrap().unwrap().receipt.entry())
            .collect();
        assert!(in_order(&entries), "after {writes} writes");
        seen.insert(told.len());
    }
    // Power was cut before, between and after them.
    assert_eq!(seen.len(), 7, "{seen:?}");
}

#[test]
fn a_full_disk_stops_receipts_and_loses_none() {
    let disk = SimulatedDisk::new();
    let store = open(&disk).unwrap();
    let first = complete(&store, 1, 0, 3).unwrap();
    disk.fail_sync();
    assert!(complete(&store, 1, 1, 3).is_err());
    disk.heal();
    // Nobody knows what is on disk now; the process must begin again.
    assert!(complete(&store, 1, 2, 3).is_err());
    disk.crash(1);
    drop(store);
    let store = open(&disk).unwrap();
    assert_eq!(store.record(LaneId(1), 0).unwrap(), Some(first));
}

#[test]
fn requests_that_end_together_are_written_together() {
    let store = open(&SimulatedDisk::new()).unwrap();
    let waiting: Vec<_> = (0..200).map(|i| store.complete(finished(i % 4, i, 3))).collect();
    let done = futures::executor::block_on(futures::future::join_all(waiting));
    assert!(done.iter().all(Result::is_ok));
    let entries = store.entries(3).unwrap();
    assert_eq!(entries.len(), 200);
    assert!(in_order(&entries));
}
