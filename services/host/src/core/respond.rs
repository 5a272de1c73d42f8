//! What this host shows of its own work: to members who ask, to demands on chain, and to all in the end.

use freeway_ledger::sprint::Reveal;
use freeway_ledger::{Fault, Reader};
use freeway_primitives::{Address, Epoch, Height};

use super::view::{self, MAX_MESSAGE_BYTES, View};
use super::{Core, Refusal, Todo};
use crate::openings::{MAX_OPENINGS, Openings, SignedOpenings};

impl Core {
    /// What this host shows `member` of its work in the race of `epoch`.
    ///
    /// # Errors
    /// [`Refusal`] says why nothing is shown.
    pub fn serve(
        &self,
        state: &dyn Reader,
        epoch: Epoch,
        member: Address,
    ) -> Result<SignedOpenings, Refusal> {
        let me = &self.me;
        // Nothing here depends on the height.
        let view = View::read(state, Height::GENESIS)?.ok_or(Refusal::NoRace)?;
        if view.race.epoch != epoch {
            return Err(Refusal::UnknownEpoch { asked: epoch, current: view.race.epoch });
        }
        if view.race.challenged.is_none() {
            return Err(Refusal::NotDrawn(epoch));
        }
        let Some(entry) = view.entry(&me.address)? else { return Err(Refusal::NotCommitted(epoch)) };
        if !view.committee(&me.address)?.contains(&member) {
            return Err(Refusal::NotAMember { epoch, member });
        }
        let work = self.work.as_ref().filter(|work| work.commitment() == Some(&entry.commitment));
        let Some(work) = work.filter(|_| self.conduct.opens()) else { return Err(Refusal::Lost(epoch)) };
        let positions = view.positions(&me.address, &member, &entry.commitment);
        let openings = positions.into_iter().take(MAX_OPENINGS).filter_map(|position| work.open(position));
        let openings = openings.collect();
        Ok(Openings { chain: me.chain, epoch, host: me.address, member, openings }.sign(&me.key))
    }

    /// Answers demands, and reveals what was drawn.
    pub(super) fn respond(&mut self, view: &View<'_>, todo: &mut Todo) -> Result<(), Fault> {
        let Some(work) = self.work.as_ref().filter(|work| work.commitment().is_some()) else {
            return Ok(());
        };
        if !self.conduct.opens() || view.race.challenged.is_none() {
            return Ok(());
        }
        for (member, positions) in view.demands_on(&self.me.address)? {
            // The positions of a demand are few, but a path is long: as many transactions as it takes.
            let openings = positions.into_iter().filter_map(|position| work.open(position));
            for chunk in chunks(openings, |opening| path_bytes(opening.path.siblings().len())) {
                todo.messages.push(view::answer(member, chunk));
            }
        }
        let revelations = view.to_reveal(&self.me.address)?.into_iter().filter_map(|(member, position)| {
            let revelation = work.reveal(position)?;
            Some((member, revelation))
        });
        // As if each stood under a member of its own.
        for chunk in chunks(revelations, |(_, made)| 36 + path_bytes(made.path.siblings().len())) {
            let mut reveals: Vec<Reveal> = Vec::new();
            for (member, revelation) in chunk {
                match reveals.last_mut().filter(|last| last.member == member) {
                    Some(last) => last.revelations.push(revelation),
                    None => reveals.push(Reveal { member, revelations: vec![revelation] }),
                }
            }
            todo.messages.push(view::reveal(reveals));
        }
        Ok(())
    }
}

/// The bytes of an opening or revelation: position, leaf or trace, and a path with its length.
fn path_bytes(siblings: usize) -> usize {
    12 + 32 + 4 + 32 * siblings
}

/// Splits a list so that no part is longer than a message holds.
pub(crate) fn chunks<T>(items: impl Iterator<Item = T>, bytes: impl Fn(&T) -> usize) -> Vec<Vec<T>> {
    let (mut parts, mut used) = (Vec::<Vec<T>>::new(), 0);
    for item in items {
        let more = bytes(&item);
        match parts.last_mut().filter(|_| used + more <= MAX_MESSAGE_BYTES) {
            Some(part) => part.push(item),
            None => {
                parts.push(vec![item]);
                used = 0;
            }
        }
        used += more;
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_lost_and_no_part_is_too_long() {
        assert!(chunks(core::iter::empty::<u8>(), |_| 1).is_empty());
        for size in [1, 700, MAX_MESSAGE_BYTES / 2, MAX_MESSAGE_BYTES / 2 + 1, MAX_MESSAGE_BYTES] {
            let parts = chunks(0..100, |_| size);
            assert!(parts.iter().all(|part| !part.is_empty() && part.len() * size <= MAX_MESSAGE_BYTES));
            assert_eq!(parts.concat(), (0..100).collect::<Vec<_>>());
        }
    }
}
