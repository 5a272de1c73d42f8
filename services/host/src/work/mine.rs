//! What this host committed to, or is about to: trees over the entries of an interval, one for each class of lanes.

use std::collections::BTreeMap;
use std::sync::Arc;

use freeway_ledger::lanes::{Constraints, LANES};
use freeway_ledger::verification::Leaf;
use freeway_ledger::work::{self as ledger, Claim, Commitment};
use freeway_ledger::{Fault, Reader};
use freeway_primitives::Digest;
use freeway_proofs::sum::{Opening, Total, Tree};
use freeway_proofs::work::{Entry, LaneId};

use super::shelf::{Shelf, ShelfError};
use super::{MAX_TREES, Moment, WorkCore, WorkError};

/// The requests of an interval in lanes of one class.
#[derive(Debug)]
pub(super) struct Branch {
    model: Digest,
    constraints: Constraints,
    entries: Vec<Entry>,
    tree: Tree,
}

impl Branch {
    fn total(&self) -> Total {
        self.tree.total()
    }

    fn lanes(&self) -> impl Iterator<Item = LaneId> {
        let mut last = None;
        let all = self.entries.iter().map(|entry| entry.lane);
        all.filter(move |lane| last.replace(*lane) != Some(*lane))
    }

    /// The index of a request.
    fn find(&self, lane: LaneId, sequence: u64) -> Option<usize> {
        self.entries.binary_search_by_key(&(lane, sequence), |entry| (entry.lane, entry.sequence)).ok()
    }
}

/// The requests of an interval.
#[derive(Debug, Default)]
pub(super) struct Mine {
    branches: Vec<Branch>,
}

impl Mine {
    /// Sorts an interval's entries, which come by lane and sequence, into trees. What earned nothing is left out. Of more
    /// classes than a commitment may have, the dearest stay.
    pub(super) fn build(shelf: &dyn Shelf, interval: u64, most: usize) -> Result<Self, ShelfError> {
        let mut branches: Vec<Branch> = Vec::new();
        let mut places: BTreeMap<LaneId, Option<usize>> = BTreeMap::new();
        for entry in shelf.entries(interval)? {
            let place = match places.get(&entry.lane) {
                Some(known) => *known,
                None => {
                    // Not from the state: a lane may be over long before what was served in it can be forgotten.
                    let place = shelf.class(entry.lane)?.map(|(model, constraints)| {
                        let same =
                            |branch: &Branch| branch.model == model && branch.constraints == constraints;
                        branches.iter().position(same).unwrap_or_else(|| {
                            let (entries, tree) = (Vec::new(), Tree::new());
                            branches.push(Branch { model, constraints, entries, tree });
                            branches.len() - 1
                        })
                    });
                    places.insert(entry.lane, place);
                    place
                }
            };
            let Some(branch) = place.and_then(|place| branches.get_mut(place)) else { continue };
            // A tree holds more requests than a host can serve in an interval; what is beyond is not committed to.
            if branch.tree.push(&entry.digest(), entry.sums).is_ok() {
                branch.entries.push(entry);
            }
        }
        branches.retain(|branch| branch.tree.sums().fees > 0);
        while branches.len() > most {
            let least = (0..branches.len()).min_by_key(|i| branches[*i].tree.sums().fees);
            branches.remove(least.unwrap_or_default());
        }
        Ok(Self { branches })
    }

    /// All fees, also of what cannot be committed to.
    pub(super) fn fees(&self) -> u128 {
        self.branches.iter().fold(0, |sum, branch| sum.saturating_add(branch.tree.sums().fees))
    }

    /// What is committed to.
    ///
    /// # Errors
    /// [`Fault`] if the state cannot be read.
    pub(super) fn claims(&self, state: &dyn Reader) -> Result<Vec<Claim>, Fault> {
        let mut claims = Vec::new();
        for branch in &self.branches {
            for lane in branch.lanes() {
                // Any of them names the class, as long as it is not over.
                if LANES.contains(state, &lane)? {
                    claims.push(Claim { lane, total: branch.total() });
                    break;
                }
            }
        }
        Ok(claims)
    }

    /// Without the classes that a commitment leaves out: those whose lanes were all over by then.
    pub(super) fn within(mut self, commitment: &Commitment) -> Self {
        self.branches.retain(|mine| {
            let same = |branch: &ledger::Branch| {
                branch.model == mine.model && branch.constraints == mine.constraints
            };
            commitment.branches.iter().any(same)
        });
        self
    }

    /// Whether there are more classes than a commitment has.
    pub(super) fn is_wider(&self, commitment: &Commitment) -> bool {
        self.branches.len() > commitment.branches.len()
    }

    /// Whether it is what stands on chain.
    pub(super) fn is(&self, commitment: &Commitment) -> bool {
        let ours = self.branches.iter().map(Branch::total);
        ours.eq(commitment.branches.iter().map(|branch| branch.total))
    }

    /// Whether there is a request of this lane.
    pub(super) fn has_lane(&self, lane: LaneId) -> bool {
        self.last_of(lane).is_some()
    }

    /// The lanes.
    pub(super) fn lanes(&self) -> impl Iterator<Item = LaneId> {
        self.branches.iter().flat_map(Branch::lanes)
    }

    /// The last request of a lane.
    pub(super) fn last_of(&self, lane: LaneId) -> Option<Leaf> {
        self.branches.iter().enumerate().find_map(|(branch, mine)| {
            let end = mine.entries.partition_point(|entry| entry.lane <= lane);
            let index = end.checked_sub(1).filter(|index| mine.entries[*index].lane == lane)?;
            self.leaf(branch, index)
        })
    }

    /// The leaf of a request.
    pub(super) fn leaf_of(&self, lane: LaneId, sequence: u64) -> Option<Leaf> {
        let found = |(branch, mine): (usize, &Branch)| Some((branch, mine.find(lane, sequence)?));
        let (branch, index) = self.branches.iter().enumerate().find_map(found)?;
        self.leaf(branch, index)
    }

    /// The leaf that a point of a branch belongs to.
    pub(super) fn leaf_at(&self, branch: usize, point: u128) -> Option<Leaf> {
        let index = self.branches.get(branch)?.tree.at(point)?;
        self.leaf(branch, usize::try_from(index).ok()?)
    }

    fn leaf(&self, branch: usize, index: usize) -> Option<Leaf> {
        let mine = self.branches.get(branch)?;
        let (entry, index) = (*mine.entries.get(index)?, index as u64);
        let opening =
            Opening { index, digest: entry.digest(), sums: entry.sums, path: mine.tree.path(index)? };
        Some(Leaf { branch: u8::try_from(branch).ok()?, opening, entry })
    }
}

impl WorkCore {
    /// The trees of an own interval as they stand on chain; `None` if that is not what lies on the shelf.
    pub(super) fn committed(
        &mut self,
        now: &Moment<'_>,
        interval: u64,
        commitment: &Commitment,
    ) -> Result<Option<Arc<Mine>>, WorkError> {
        let mut mine = self.mine(now, interval)?;
        if mine.is_wider(commitment) {
            let built = Mine::build(&*self.shelf, interval, most_branches(now))?;
            mine = Arc::new(built.within(commitment));
            self.trees.insert(interval, (self.uses, Arc::clone(&mine)));
        }
        Ok(mine.is(commitment).then_some(mine))
    }

    /// The trees of an own interval that is sealed.
    pub(super) fn mine(&mut self, now: &Moment<'_>, interval: u64) -> Result<Arc<Mine>, WorkError> {
        self.uses += 1;
        if let Some((used, known)) = self.trees.get_mut(&interval) {
            *used = self.uses;
            return Ok(Arc::clone(known));
        }
        let built = Arc::new(Mine::build(&*self.shelf, interval, most_branches(now))?);
        self.trees.insert(interval, (self.uses, Arc::clone(&built)));
        while self.trees.len() > MAX_TREES {
            let oldest = self.trees.iter().min_by_key(|(_, (used, _))| *used).map(|(interval, _)| *interval);
            oldest.and_then(|interval| self.trees.remove(&interval));
        }
        Ok(built)
    }
}

fn most_branches(now: &Moment<'_>) -> usize {
    usize::try_from(now.params.work.max_branches).unwrap_or(usize::MAX)
}
