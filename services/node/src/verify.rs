//! Signatures of many transactions at once, on all cores.

use freeway_ledger::Transaction;
use freeway_primitives::{BatchItem, verify_batch};
use rayon::prelude::*;

/// Signatures in one batch: larger ones gain little more per signature and find a bad one later.
const BATCH: usize = 128;

/// For each transaction, whether its signature is its signer's.
pub fn signatures(transactions: &[&Transaction]) -> Vec<bool> {
    transactions
        .par_chunks(BATCH)
        .flat_map_iter(|chunk| {
            let items: Vec<BatchItem> =
                chunk.iter().map(|transaction| transaction.signature_item()).collect();
            if verify_batch(&items).is_ok() {
                return vec![true; items.len()];
            }
            // Under ZIP-215 a batch and its single signatures agree, so this finds exactly the bad ones.
            let single =
                |item: &BatchItem| item.key.verify_raw(item.message.as_bytes(), &item.signature).is_ok();
            items.iter().map(single).collect()
        })
        .collect()
}
