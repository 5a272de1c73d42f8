//! A chain executed once more from genesis, by the rules alone: the same blocks, the same values, the same state.

use freeway_ledger::state::Reader;
use freeway_ledger::{BlockInfo, Executor, Genesis, MemoryState, Transaction, beacon, open};
use freeway_primitives::{Block, Canonical, Height};
use freeway_store::Store;

/// Pairs that are compared at a time.
const PAGE: usize = 1_024;

/// Executes all blocks in `store` and compares what comes out with its state.
///
/// # Errors
/// What differs.
pub fn replay(genesis: &Genesis, store: &Store) -> Result<(), String> {
    let (delta, _) = open(genesis).map_err(|error| error.to_string())?;
    let mut state = MemoryState::default();
    state.apply(&delta);
    let view = store.view();
    for height in 1..=view.height().0 {
        let height = Height(height);
        let stored = store.block(height).map_err(|error| error.to_string())?;
        let (bytes, _) = stored.ok_or_else(|| format!("block {height} is missing"))?;
        let block = Block::decode(&bytes).map_err(|error| error.to_string())?;
        execute(&mut state, &block).map_err(|error| format!("block {height}: {error}"))?;
    }
    compare(&state, &view)
}

fn execute(state: &mut MemoryState, block: &Block) -> Result<(), String> {
    let (header, fault) = (&block.header, |fault: freeway_ledger::Fault| fault.0);
    let mut value = None;
    if let Some(record) = &header.beacon {
        let checked = beacon::check_record(state, header.height, record).map_err(fault)?;
        value = Some((record.height, checked.map_err(|error| error.to_string())?));
    }
    let signers = block.parent_certificate.iter().flat_map(|certificate| &certificate.signatures);
    let info = BlockInfo {
        height: header.height,
        proposer: header.proposer,
        parent_signers: signers.map(|commit| commit.validator).collect(),
        beacon: value,
    };
    let mut executor = Executor::begin(state, info).map_err(fault)?;
    for bytes in &block.transactions {
        let transaction = Transaction::parse(bytes, &header.chain).map_err(|error| error.to_string())?;
        executor
            .include(&transaction, Transaction::hash_of(bytes), bytes.len())
            .map_err(fault)?
            .map_err(|rejection| rejection.to_string())?;
    }
    let outcome = executor.finish().map_err(fault)?;
    state.apply(&outcome.delta);
    Ok(())
}

/// Both have the same pairs.
fn compare(replayed: &MemoryState, kept: &dyn Reader) -> Result<(), String> {
    let mut after: Option<Vec<u8>> = None;
    loop {
        let ours = replayed.scan(&[], after.as_deref(), PAGE).map_err(|fault| fault.0)?;
        let theirs = kept.scan(&[], after.as_deref(), PAGE).map_err(|fault| fault.0)?;
        if let Some((ours, theirs)) = ours.iter().zip(&theirs).find(|(ours, theirs)| ours != theirs) {
            let name = |key: &[u8]| String::from_utf8_lossy(key).into_owned();
            return Err(format!("{} was replayed where {} is kept", name(&ours.0), name(&theirs.0)));
        }
        if ours.len() != theirs.len() {
            return Err("one of the two has more entries".into());
        }
        let Some((last, _)) = ours.last() else { return Ok(()) };
        after = Some(last.clone());
    }
}
