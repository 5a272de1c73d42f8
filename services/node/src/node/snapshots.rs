//! Makes snapshots for new nodes while the chain goes on.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use freeway_ledger::epochs::Phase;
use freeway_primitives::Height;
use freeway_store::Store;
use tokio::sync::watch;
use tracing::{info, warn};

use crate::feed::Feed;

/// Bytes of a chunk.
const CHUNK_BYTES: usize = 1 << 20;

/// When and where.
pub(super) struct Settings {
    /// The folder; each snapshot is a folder in it, named by its height.
    pub(super) folder: PathBuf,
    /// Epochs between two.
    pub(super) every_epochs: u64,
    /// How many to keep.
    pub(super) keep: usize,
}

/// Makes one after every so many epochs.
pub(super) async fn make(
    settings: Settings,
    store: Arc<Store>,
    feed: Feed,
    mut ended: watch::Receiver<bool>,
) {
    let mut tip = feed.tip();
    let mut last = None;
    loop {
        tokio::select! {
            () = super::raised(&mut ended) => return,
            changed = tip.changed() => if changed.is_err() { return },
        }
        let (epoch, phase) = {
            let tip = tip.borrow_and_update();
            (tip.clock.epoch, tip.phase)
        };
        // Once per due epoch, away from its busy beginning.
        if phase != Phase::Serve || last == Some(epoch) || !epoch.0.is_multiple_of(settings.every_epochs) {
            continue;
        }
        // The state of genesis is of use to nobody: no block certifies it.
        if store.flushed_height() == Height::GENESIS {
            continue;
        }
        last = Some(epoch);
        let (folder, keep, store) = (settings.folder.clone(), settings.keep, Arc::clone(&store));
        let work = tokio::task::spawn_blocking(move || write(&folder, keep, &store));
        match work.await {
            Ok(Ok(height)) => info!(%height, "snapshot written"),
            Ok(Err(error)) => warn!(error, "no snapshot was written; the chain goes on"),
            Err(error) => warn!(%error, "no snapshot was written; the chain goes on"),
        }
    }
}

/// Writes a snapshot under a temporary name, so that no unfinished one is ever served, and drops old ones.
fn write(folder: &Path, keep: usize, store: &Store) -> Result<u64, String> {
    let text = |error: std::io::Error| format!("{}: {error}", folder.display());
    let temporary = folder.join("unfinished");
    if temporary.exists() {
        std::fs::remove_dir_all(&temporary).map_err(text)?;
    }
    std::fs::create_dir_all(&temporary).map_err(text)?;
    let manifest = store.write_snapshot(&temporary, CHUNK_BYTES).map_err(|error| error.to_string())?;
    let height = manifest.height.0;
    let target = folder.join(height.to_string());
    if target.exists() {
        std::fs::remove_dir_all(&temporary).map_err(text)?;
    } else {
        std::fs::rename(&temporary, &target).map_err(text)?;
    }
    let mut heights: Vec<u64> = std::fs::read_dir(folder)
        .map_err(text)?
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .collect();
    heights.sort_unstable();
    let surplus = heights.len().saturating_sub(keep);
    for old in &heights[..surplus] {
        std::fs::remove_dir_all(folder.join(old.to_string())).map_err(text)?;
    }
    Ok(height)
}
