//! The duty of validators: recompute the leaf of every trial and say what it is.

use std::collections::BTreeSet;

use freeway_ledger::Fault;
use freeway_ledger::sprint::Judgement;
use freeway_proofs::sprint::leaf;

use super::respond::chunks;
use super::view::{self, Case, View};
use super::{Action, Core, Todo};

/// The most leaves that are asked for at a time.
const MAX_AT_ONCE: usize = 16;

/// Host, position and word.
const JUDGEMENT_BYTES: usize = 32 + 12 + 1;

impl Core {
    pub(super) fn judge(&mut self, view: &View<'_>, todo: &mut Todo) -> Result<(), Fault> {
        let Some(started) = view.race.started.as_ref().filter(|_| self.conduct.recomputes()) else {
            return Ok(());
        };
        let (epoch, seed) = (view.race.epoch, started.seed);
        let mut judgements = Vec::new();
        // Once a host is convicted its other trials are over: one that is enough is decided first. All judges take
        // the same, the oldest.
        let mut guilty_hosts = BTreeSet::new();
        let mut room = MAX_AT_ONCE;
        for Case { host, position, leaf: accused } in view.trials(&self.me.address)? {
            if let Some(trace) = self.current.traces.get(&(host, position)) {
                let guilty = leaf(trace) != accused;
                if !guilty || guilty_hosts.insert(host) {
                    judgements.push(Judgement { host, position, guilty });
                }
            } else if room > 0 && self.current.asked.insert((host, position)) {
                room -= 1;
                let (shape, positions) = (view.race.rules.shape.clone(), vec![position]);
                todo.actions.push(Action::Recompute { epoch, host, seed, shape, positions });
            }
        }
        let parts = chunks(judgements.into_iter(), |_| JUDGEMENT_BYTES);
        todo.messages.extend(parts.into_iter().map(view::judge));
        Ok(())
    }
}
