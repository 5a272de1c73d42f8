//! Reading the state of one height.

use std::ops::Bound;
use std::sync::Arc;

use freeway_ledger::state::{Fault, Pair, Reader, merge_scan, scan_start};
use freeway_primitives::{Digest, Height};

use crate::StoreError;
use crate::layer::{Tip, fingerprint};

/// The state of one height. Immutable and consistent however long it is held, and cheap to make. Once its
/// store is dropped, it can only say that it cannot be read.
///
/// A view that is held over many flushes keeps the old pages of the database from being reused, so that the
/// file grows meanwhile; views are meant to live for a block or a request.
#[derive(Clone)]
pub struct StateView {
    tip: Arc<Tip>,
    /// How many of the tip's layers this view sees.
    depth: usize,
}

impl StateView {
    pub(crate) fn new(tip: Arc<Tip>) -> Self {
        let depth = tip.layers.len();
        Self { tip, depth }
    }

    pub(crate) fn at(tip: Arc<Tip>, height: Height) -> Option<Self> {
        tip.root(height)?;
        let depth = usize::try_from(height.0.checked_sub(tip.base.height.0)?).ok()?;
        Some(Self { tip, depth })
    }

    /// The height whose state this is.
    pub fn height(&self) -> Height {
        self.tip.base.height.plus(self.depth as u64)
    }

    /// The root that commits to this state; [`Digest::ZERO`] while it is empty.
    pub fn root(&self) -> Digest {
        self.tip.root(self.height()).map_or(Digest::ZERO, |root| root.digest())
    }

    pub(crate) fn value(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        let fingerprint = fingerprint(key);
        for layer in self.tip.layers[..self.depth].iter().rev() {
            if let Some(value) = layer.change(key, fingerprint) {
                return Ok(value.clone());
            }
        }
        self.tip.base.get(key)
    }

    fn scan_below(
        &self,
        depth: usize,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<Pair>, Fault> {
        // A layer without a key of this prefix has nothing to merge.
        let start = || (scan_start(prefix, after), Bound::Unbounded);
        let concerns = |i: &usize| {
            let next = self.tip.layers[*i].delta.range::<[u8], _>(start()).next();
            next.is_some_and(|(key, _)| key.starts_with(prefix))
        };
        match (0..depth).rev().find(concerns) {
            None => self.tip.base.scan(prefix, after, limit).map_err(|error| Fault(error.to_string())),
            Some(i) => merge_scan(&self.tip.layers[i].delta, prefix, after, limit, |after, limit| {
                self.scan_below(i, prefix, after, limit)
            }),
        }
    }
}

impl Reader for StateView {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Fault> {
        self.value(key).map_err(|error| Fault(error.to_string()))
    }

    fn scan(&self, prefix: &[u8], after: Option<&[u8]>, limit: usize) -> Result<Vec<Pair>, Fault> {
        if limit == 0 {
            return Ok(Vec::new());
        }
        self.scan_below(self.depth, prefix, after, limit)
    }
}
