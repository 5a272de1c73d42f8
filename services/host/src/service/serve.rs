//! The part of a host process that does paid requests.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use freeway_ledger::Reader;
use freeway_primitives::Height;
use freeway_store::Medium;

use super::shared::Shared;
use super::{Chain, HostError};
use crate::adversary::Adversary;
use crate::serving::store::{Signer, WorkError, WorkStore};
use crate::serving::view::{Ended, View};
use crate::serving::{Desk, Limits, Serving};

impl<C: Chain> View for Arc<Shared<C>> {
    fn look(&self, see: &mut dyn FnMut(&dyn Reader, Height)) {
        let (state, height) = self.chain.state();
        see(&state, height);
    }

    fn is_current(&self) -> bool {
        self.chain.is_current()
    }

    fn ended(&self, end: Ended) {
        self.count(|stats| stats.work.ended(end));
    }
}

/// Opens what the host keeps of its work, in `folder`.
pub(super) async fn open(folder: PathBuf, signer: Signer) -> Result<Arc<WorkStore>, HostError> {
    let opened = tokio::task::spawn_blocking(move || {
        if let Err(error) = keep_private(&folder) {
            tracing::warn!(%error, "the folder of what is served may be read by others on this machine");
        }
        WorkStore::open(Medium::Directory(folder), signer)
    });
    Ok(Arc::new(opened.await.map_err(HostError::Part)??))
}

/// It has prompts and answers: nobody else on this machine is to read them.
fn keep_private(folder: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(folder)?;
    #[cfg(unix)]
    std::fs::set_permissions(folder, std::os::unix::fs::PermissionsExt::from_mode(0o700))?;
    Ok(())
}

/// Who takes requests.
pub(super) fn desk<C: Chain>(
    shared: &Arc<Shared<C>>,
    store: Arc<WorkStore>,
    signer: Signer,
    serving: &Serving,
    adversary: Option<Adversary>,
) -> Arc<Desk> {
    let limits = Limits { requests: serving.requests, ..Limits::default() };
    let cheat = match adversary {
        Some(Adversary::Serve(cheat)) => Some(cheat),
        _ => None,
    };
    let view = Box::new(Arc::clone(shared));
    Arc::new(Desk::new(view, store, signer, serving, limits, cheat))
}

impl From<WorkError> for HostError {
    fn from(error: WorkError) -> Self {
        Self::Work(error)
    }
}
