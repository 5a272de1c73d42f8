//! What blocks do not say, read from the node: who signs, and what there was before the first block that is kept.

use std::sync::{Mutex, PoisonError};

use freeway_ledger::epochs::set_at;
use freeway_ledger::hosts::HOSTS;
use freeway_ledger::lanes::{LANES, Lane};
use freeway_ledger::models::{MODELS, Model};
use freeway_ledger::{Fault, Genesis, weights};
use freeway_node::trail::Trail;
use freeway_primitives::{Address, Digest, Height, ValidatorSet};
use freeway_store::{StateView, Store};

use crate::history::{Beside, HistoryError};

/// How many entries of the state are read at once.
const PAGE: usize = 256;

/// A node's store and trail.
pub(crate) struct NodeBeside<'a> {
    pub(crate) store: &'a Store,
    pub(crate) genesis: &'a Genesis,
    pub(crate) trail: Option<&'a Trail>,
    pub(crate) walked: &'a Walked,
}

/// How far the trail of validator sets was read: a history asks for one epoch after the other.
#[derive(Debug, Default)]
pub(crate) struct Walked(Mutex<(Height, Option<ValidatorSet>)>);

/// All pages of a table of the state.
fn all<K: Copy, V>(
    page: impl Fn(Option<K>) -> Result<Vec<(K, V)>, Fault>,
) -> Result<Vec<(K, V)>, HistoryError> {
    let (mut all, mut after) = (Vec::new(), None);
    loop {
        let page = page(after)?;
        let Some((last, _)) = page.last() else { return Ok(all) };
        after = Some(*last);
        all.extend(page);
    }
}

impl NodeBeside<'_> {
    /// The state after the block before `height`, or else the earliest that can be read.
    fn state(&self, height: Height) -> StateView {
        self.store.view_at(height.minus(1)).unwrap_or_else(|| self.store.view())
    }
}

impl Beside for NodeBeside<'_> {
    fn hosts(&self, height: Height) -> Result<Vec<(Address, weights::Record)>, HistoryError> {
        if height <= Height::FIRST {
            let record = |weight| weights::Record { now: weight, before: weight, ..Default::default() };
            return Ok(self.genesis.hosts.iter().map(|host| (host.address, record(host.weight))).collect());
        }
        let state = self.state(height);
        let hosts = all(|after: Option<Address>| HOSTS.page(&state, after.as_ref(), PAGE))?;
        let record = |(host, _): &(Address, _)| Ok((*host, weights::of(&state, host)?));
        hosts.iter().map(record).collect()
    }

    fn models(&self, height: Height) -> Result<Vec<(Digest, Model)>, HistoryError> {
        if height <= Height::FIRST {
            return Ok(Vec::new());
        }
        let state = self.state(height);
        all(|after: Option<Digest>| MODELS.page(&state, after.as_ref(), PAGE))
    }

    fn lanes(&self, height: Height) -> Result<Vec<(u64, Lane)>, HistoryError> {
        if height <= Height::FIRST {
            return Ok(Vec::new());
        }
        let state = self.state(height);
        let lanes = all(|after| LANES.page(&state, after.as_ref(), PAGE))?;
        Ok(lanes.into_iter().map(|(id, lane)| (id.0, lane)).collect())
    }

    fn validators(&self, height: Height) -> Result<Option<ValidatorSet>, HistoryError> {
        // The state knows the latest sets; the trail all of them.
        if let Some(set) = set_at(&self.store.view(), height)? {
            return Ok(Some(set));
        }
        let Some(trail) = self.trail else { return Ok(None) };
        let mut walked = self.walked.0.lock().unwrap_or_else(PoisonError::into_inner);
        if walked.1.is_none() || walked.0 >= height {
            let first = freeway_ledger::open(self.genesis).map_err(|error| Fault(error.to_string()))?;
            *walked = (Height::GENESIS, Some(first.1));
        }
        loop {
            let read = |error: std::io::Error| Fault(format!("the trail of validator sets: {error}"));
            let switches = trail.after(walked.0).map_err(read)?;
            let full = switches.len() >= freeway_node::trail::MAX_SWITCHES;
            for switch in switches {
                if switch.last.header.height >= height {
                    return Ok(walked.1.clone());
                }
                *walked = (switch.last.header.height, Some(switch.next));
            }
            if !full {
                return Ok(walked.1.clone());
            }
        }
    }
}
