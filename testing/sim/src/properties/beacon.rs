//! What must always hold of the beacon: one value a height, the group's own, and validators and group together.

use std::collections::BTreeMap;

use freeway_beacon::Value;
use freeway_ledger::beacon::{self, ACKNOWLEDGEMENTS, DEALINGS, GROUPS, KnownGroup, LOGS};
use freeway_ledger::epochs::{self, VALIDATORS};
use freeway_ledger::{Event, Fault, Reader};
use freeway_primitives::{Block, ChainId, Digest, Epoch, Height, ValidatorSet};

use super::{Verdict, Violation, violated};

/// A value that a block has recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Recorded {
    by: Height,
    signature: [u8; 48],
}

/// What all nodes together have shown of the beacon.
#[derive(Debug, Default)]
pub struct Beacon {
    values: BTreeMap<Height, Recorded>,
    groups: BTreeMap<Epoch, KnownGroup>,
    /// The first blocks of dealings, by the epoch of the key.
    dealings: BTreeMap<Epoch, Height>,
    /// The latest height whose value is recorded.
    pub latest: Height,
    /// The first block of the latest dealing that made a key.
    pub made_by: Height,
    /// Whether a group is in force.
    pub in_force: bool,
    /// Dealings that made a key.
    pub made: u64,
    /// Dealings that made none.
    pub failed: u64,
}

fn readable<T>(result: Result<T, Fault>) -> Result<T, Violation> {
    result.map_err(|fault| Violation { property: "readable", detail: fault.0 })
}

impl Beacon {
    /// How many values are recorded.
    pub fn count(&self) -> u64 {
        self.values.len() as u64
    }

    /// All values so far, by the height that they are of.
    pub fn values(&self) -> impl Iterator<Item = (Height, Digest)> {
        self.values.iter().map(|(of, recorded)| (*of, Value(recorded.signature).randomness()))
    }

    /// A node has committed `block` and stands at it; `validators` signed it.
    pub(super) fn committed(
        &mut self,
        chain: &ChainId,
        state: &dyn Reader,
        block: &Block,
        events: &[Event],
        validators: Option<&ValidatorSet>,
    ) -> Verdict {
        let height = block.header.height;
        if let Some(record) = block.header.beacon {
            let recorded = Recorded { by: height, signature: record.signature };
            self.value(chain, state, record.height, recorded)?;
            let found = readable(beacon::value(state, record.height))?;
            let expected = Value(record.signature).randomness();
            if found != Some(expected) {
                let detail =
                    format!("block {height} records {expected} of {}, in state {found:?}", record.height);
                return violated("one value", detail);
            }
        }
        for event in events {
            match event {
                Event::Beacon(beacon::Event::DealingStarted { epoch, .. }) => {
                    self.dealings.insert(*epoch, height);
                }
                Event::Beacon(beacon::Event::GroupFormed { epoch, .. }) => {
                    let begun = self.dealings.get(epoch).copied().unwrap_or_default();
                    self.made += u64::from(begun > self.made_by);
                    self.made_by = self.made_by.max(begun);
                }
                Event::Epochs(epochs::Event::Switched { epoch, .. }) => {
                    self.switched(state, height, *epoch)?;
                    Self::nothing_left_behind(state, height)?;
                }
                Event::Epochs(epochs::Event::SwitchHeld { epoch, .. }) => {
                    Self::held(state, height, *epoch, validators)?;
                    Self::nothing_left_behind(state, height)?;
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Counts what has failed; once a block.
    pub(super) fn count_failures(&mut self, events: &[Event]) {
        let failed = |event: &&Event| matches!(event, Event::Beacon(beacon::Event::DealingFailed { .. }));
        self.failed += events.iter().filter(failed).count() as u64;
    }

    /// A value is recorded once, and is the signature of the group of its height.
    fn value(&mut self, chain: &ChainId, state: &dyn Reader, of: Height, recorded: Recorded) -> Verdict {
        if let Some(known) = self.values.get(&of) {
            if *known != recorded {
                return violated("one value", format!("of height {of}: {known:?} and {recorded:?}"));
            }
            return Ok(());
        }
        let Some(known) = readable(beacon::group_at(state, of))? else {
            return violated("group's value", format!("nobody could sign the value of {of}"));
        };
        if known.group.verify(chain, of, &Value(recorded.signature)).is_err() {
            let epoch = known.group.epoch;
            return violated("group's value", format!("that of {of} is not of the group of epoch {epoch}"));
        }
        self.values.insert(of, recorded);
        self.latest = self.latest.max(of);
        Ok(())
    }

    /// Validators are switched with their group.
    fn switched(&mut self, state: &dyn Reader, height: Height, epoch: Epoch) -> Verdict {
        let Some(known) = readable(GROUPS.get(state, &epoch))? else {
            return violated("together", format!("epoch {epoch} has new validators and no new group"));
        };
        if known.start != height.next() || known.group.epoch != epoch {
            return violated("together", format!("the group of {epoch} signs from {}", known.start));
        }
        let set = readable(VALIDATORS.require(state))?;
        let total = u128::from(set.total_power());
        let seats = u128::from(known.group.seats.total());
        // Who had a whole seat's share of the planned set, of which at most a third has left since.
        let large = |power: u64| u128::from(power) * seats * 2 >= total * 3;
        let left_out =
            set.members().iter().find(|member| large(member.power) && !known.group.has(&member.address));
        if let Some(member) = left_out {
            return violated("together", format!("{} of epoch {epoch} has no seat", member.address));
        }
        let first = self.groups.entry(epoch).or_insert_with(|| known.clone());
        if *first != known {
            return violated("one group", format!("epoch {epoch} has two"));
        }
        self.in_force = true;
        Ok(())
    }

    /// Validators are held with their group.
    fn held(state: &dyn Reader, height: Height, epoch: Epoch, before: Option<&ValidatorSet>) -> Verdict {
        if readable(GROUPS.get(state, &epoch))?.is_some() {
            return violated("together", format!("epoch {epoch} has a new group and the old validators"));
        }
        let after = readable(VALIDATORS.require(state))?;
        if before.is_some_and(|before| *before != after) {
            return violated(
                "together",
                format!("the switch at {height} was held, and the validators changed"),
            );
        }
        Ok(())
    }

    /// After a switch, what was dealt is kept for the groups that are kept, and for nothing else.
    fn nothing_left_behind(state: &dyn Reader, height: Height) -> Verdict {
        for table in [DEALINGS, ACKNOWLEDGEMENTS, LOGS] {
            for ((epoch, dealer), _) in readable(table.page(state, None, usize::MAX))? {
                if readable(GROUPS.get(state, &epoch))?.is_none() {
                    let detail = format!("after {height}, of {dealer} for epoch {epoch}");
                    return violated("nothing is left behind", detail);
                }
            }
        }
        Ok(())
    }
}
