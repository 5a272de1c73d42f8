//! The race itself: when to compute, when to stop, what to commit to.

use freeway_ledger::Fault;

use super::view::{self, View};
use super::work::Work;
use super::{Action, Core, Running, Todo};

impl Core {
    pub(super) fn race(&mut self, view: &View<'_>, todo: &mut Todo) -> Result<(), Fault> {
        let (Some(started), Some((window, sprint_end))) = (&view.race.started, view.commitments()) else {
            return Ok(());
        };
        let (epoch, seed) = (view.race.epoch, started.seed);
        let committed = view.entry(&self.me.address)?.map(|entry| entry.commitment);
        let part = self.part(view, seed);
        if self.work.is_none() {
            // The first step of this race. What was computed before a restart is of use for no other.
            let restored = self.restored.take().filter(|work| (work.epoch, work.seed) == (epoch, seed));
            self.work = Some(restored.unwrap_or_else(|| Work::new(epoch, seed, Vec::new())));
        }
        let Some(work) = self.work.as_mut() else { return Ok(()) };
        let next = view.height.next();
        if let Some(committed) = committed {
            if !self.current.lost && work.commitment() != Some(&committed) {
                // After a restart: from the same traces, conduct makes the same of them.
                if work.commitment().is_none()
                    && let Some(instead) = self.conduct.commits(&part, work.traces())
                {
                    work.seal(Some(instead));
                }
                self.current.lost = !work.adopt(&committed);
            }
            self.end(todo);
            return Ok(());
        }
        let (from, until) = self.conduct.window(window.first, window.last);
        if next > until || !view.may_race(&self.me.address)? {
            self.end(todo);
            return Ok(());
        }
        // The commitment needs two blocks in which it can stand: the first may be full, or its proposer dead.
        let stop_at = sprint_end.min(window.last.minus(2));
        if view.height < stop_at {
            if self.current.running == Running::No {
                self.current.running = Running::Yes;
                let (shape, from_nonce) = (view.race.rules.shape.clone(), work.count());
                todo.actions.push(Action::Race { epoch, seed, shape, from_nonce });
            }
            return Ok(());
        }
        if self.current.running == Running::No {
            // Begun too late, or again after a restart: what there is, is all.
            self.current.running = Running::Over;
        }
        self.end(todo);
        let Some(work) = self.work.as_mut() else { return Ok(()) };
        let hurry = view.height > stop_at;
        if work.commitment().is_none() && work.count() > 0 && (self.current.running == Running::Over || hurry)
        {
            let instead = self.conduct.commits(&part, work.traces());
            work.seal(instead);
        }
        if let Some(commitment) = work.commitment()
            && (from..=until).contains(&next)
        {
            todo.messages.push(view::commit(commitment.clone()));
        }
        Ok(())
    }

    /// Ends what is still being computed.
    pub(super) fn end(&mut self, todo: &mut Todo) {
        if self.current.running == Running::Yes {
            self.current.running = Running::Ending;
            todo.actions.push(Action::EndRace { epoch: self.current.epoch });
        }
    }
}
