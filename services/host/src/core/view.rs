//! The race as the state tells it: all that the core reads of the ledger, and the messages it sends there.

use freeway_ledger::accounts::ACCOUNTS;
use freeway_ledger::hosts::{HOSTS, Profile, Status};
use freeway_ledger::sprint::{
    self, COMMITTEES, DEMANDS, ENTRIES, Entry, Given, JURY, Judgement, Message as Duty, Race, Reveal, TRIALS,
    VERDICTS, Verdict, Void,
};
use freeway_ledger::{Fault, MAX_TRANSACTION_BYTES, Message, Params, Reader};
use freeway_primitives::{Address, Amount, Digest, Height};
use freeway_proofs::sprint::{Commitment, Opening, Position, Tag};

use super::Stage;

/// The most bytes of a message's lists: a transaction also has a signature, addresses and numbers.
pub(super) const MAX_MESSAGE_BYTES: usize = MAX_TRANSACTION_BYTES - 1_024;

/// The first and the last height at which something is accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Window {
    pub(super) first: Height,
    pub(super) last: Height,
}

impl Window {
    pub(super) fn length(self) -> u64 {
        self.last.0.saturating_sub(self.first.0).saturating_add(1)
    }

    pub(super) fn contains(self, height: Height) -> bool {
        (self.first..=self.last).contains(&height)
    }
}

/// A leaf that this host has to judge.
pub(super) struct Case {
    pub(super) host: Address,
    pub(super) position: Position,
    /// What stands in the host's tree.
    pub(super) leaf: Digest,
}

/// The race after the block at `height`.
pub(super) struct View<'a> {
    state: &'a dyn Reader,
    pub(super) height: Height,
    pub(super) race: Race,
    grace_blocks: u64,
}

impl<'a> View<'a> {
    /// `None` before the first race.
    pub(super) fn read(state: &'a dyn Reader, height: Height) -> Result<Option<Self>, Fault> {
        let Some(race) = sprint::race(state)? else { return Ok(None) };
        let grace_blocks = Params::current(state)?.epochs.grace_blocks;
        Ok(Some(Self { state, height, race, grace_blocks }))
    }

    pub(super) fn stage(&self) -> Stage {
        match sprint::stage(&self.race, self.height.next()) {
            sprint::Stage::WaitingForSeed { .. } => Stage::Seed,
            sprint::Stage::Racing(_) => Stage::Race,
            sprint::Stage::WaitingForChallenge { .. } => Stage::Draw,
            sprint::Stage::Verdicts(_) => Stage::Verify,
            sprint::Stage::WaitingForDraw { .. }
            | sprint::Stage::Revealing(_)
            | sprint::Stage::Judging(_) => Stage::Reveal,
            sprint::Stage::Settled { .. } | sprint::Stage::Abandoned { .. } => Stage::Idle,
        }
    }

    /// When commitments are accepted, and the last block of the sprint itself.
    pub(super) fn commitments(&self) -> Option<(Window, Height)> {
        let started = self.race.started.as_ref()?;
        let window = Window { first: started.height, last: started.deadline };
        Some((window, started.deadline.minus(self.grace_blocks)))
    }

    /// When verdicts and demands are accepted.
    pub(super) fn verdicts(&self) -> Option<Window> {
        let challenged = self.race.challenged.as_ref()?;
        Some(Window { first: challenged.height, last: challenged.until })
    }

    /// Whether the next block accepts accusations.
    pub(super) fn takes_accusations(&self) -> bool {
        let next = self.height.next();
        self.race.challenged.is_some() && self.race.drawn.as_ref().is_none_or(|drawn| next <= drawn.until)
    }

    /// Whether the next block accepts revelations.
    pub(super) fn takes_revelations(&self) -> bool {
        let next = self.height.next();
        self.race.drawn.as_ref().is_some_and(|drawn| next <= drawn.until)
    }

    /// Whether `host` is in good standing and was there before the race began.
    pub(super) fn may_race(&self, host: &Address) -> Result<bool, Fault> {
        let host = HOSTS.get(self.state, host)?;
        Ok(host.is_some_and(|host| host.status == Status::Active && host.since < self.race.epoch))
    }

    pub(super) fn entry(&self, host: &Address) -> Result<Option<Entry>, Fault> {
        // Until its first use, the table still has the entries of the race before.
        match self.race.started {
            Some(_) => ENTRIES.get(self.state, host),
            None => Ok(None),
        }
    }

    /// Whether the race of `host` counts for nothing already.
    pub(super) fn is_void(&self, host: &Address) -> Result<bool, Fault> {
        Ok(self.entry(host)?.is_none_or(|entry| entry.void.is_some()))
    }

    pub(super) fn committee(&self, host: &Address) -> Result<Vec<Address>, Fault> {
        Ok(COMMITTEES.get(self.state, host)?.unwrap_or_default())
    }

    /// The hosts that `member` checks.
    pub(super) fn assigned(&self, member: &Address) -> Result<Vec<Address>, Fault> {
        sprint::assigned(self.state, member)
    }

    /// What `member` recomputes of `host`.
    pub(super) fn positions(
        &self,
        host: &Address,
        member: &Address,
        commitment: &Commitment,
    ) -> Vec<Position> {
        let Some(challenged) = &self.race.challenged else { return Vec::new() };
        sprint::positions(&challenged.challenge, host, member, commitment, &self.race.rules)
    }

    pub(super) fn profile(&self, host: &Address) -> Result<Option<Profile>, Fault> {
        Ok(HOSTS.get(self.state, host)?.map(|host| host.profile))
    }

    pub(super) fn balance(&self, account: &Address) -> Result<Amount, Fault> {
        Ok(ACCOUNTS.get(self.state, account)?.map_or(Amount::ZERO, |account| account.balance))
    }

    /// Whether `member` has given its verdict on `host`.
    pub(super) fn has_verdict(&self, host: &Address, member: &Address) -> Result<bool, Fault> {
        Ok(VERDICTS.get(self.state, &(*host, *member))?.is_some())
    }

    /// The verdicts on `host` of all but `member`.
    pub(super) fn verdicts_of_others(
        &self,
        host: &Address,
        member: &Address,
    ) -> Result<Vec<Vec<Tag>>, Fault> {
        let mut all = Vec::new();
        for other in self.committee(host)? {
            if other != *member
                && let Some(Given { tags }) = VERDICTS.get(self.state, &(*host, other))?
            {
                all.push(tags);
            }
        }
        Ok(all)
    }

    /// Whether `member` has demanded anything of `host`.
    pub(super) fn has_demanded(&self, host: &Address, member: &Address) -> Result<bool, Fault> {
        Ok(DEMANDS.get(self.state, &(*host, *member))?.is_some())
    }

    /// What members demand of `host` that the next block still accepts an answer to.
    pub(super) fn demands_on(&self, host: &Address) -> Result<Vec<(Address, Vec<Position>)>, Fault> {
        let Some(entry) = self.entry(host)? else { return Ok(Vec::new()) };
        let next = self.height.next();
        let mut open = Vec::new();
        for (member, items) in sprint::demands_on(self.state, host)? {
            let drawn = self.positions(host, &member, &entry.commitment);
            let waits = items.iter().filter(|item| item.leaf.is_none() && next <= item.until);
            let positions: Vec<_> =
                waits.filter_map(|item| drawn.get(usize::from(item.index)).copied()).collect();
            if !positions.is_empty() {
                open.push((member, positions));
            }
        }
        Ok(open)
    }

    /// What `host` has to reveal, and has not, by member.
    pub(super) fn to_reveal(&self, host: &Address) -> Result<Vec<(Address, Position)>, Fault> {
        if !self.takes_revelations() || self.is_void(host)? {
            return Ok(Vec::new());
        }
        let due = sprint::due_reveals(self.state, host)?;
        Ok(due.into_iter().filter(|due| !due.revealed).map(|due| (due.member, due.position)).collect())
    }

    /// Whether a leaf can be accused: it was not yet, and there is room for another trial of its host.
    pub(super) fn can_accuse(&self, host: &Address, position: Position) -> Result<bool, Fault> {
        let convicted = |entry: Entry| entry.void == Some(Void::Convicted);
        // What is void for another reason can still be convicted.
        if self.entry(host)?.is_none_or(convicted) || TRIALS.get(self.state, &(*host, position))?.is_some() {
            return Ok(false);
        }
        let rules = &self.race.rules;
        let trials = TRIALS.page_under(self.state, &host.0, None, rules.max_trials as usize)?;
        let open = trials.iter().filter(|(_, trial)| trial.ruling.is_none()).count();
        Ok(open < rules.max_trials_of_host as usize)
    }

    /// What `judge` has to judge, and has not; the oldest first.
    pub(super) fn trials(&self, judge: &Address) -> Result<Vec<Case>, Fault> {
        let mut trials = sprint::open_trials(self.state)?;
        if trials.is_empty() {
            return Ok(Vec::new());
        }
        let jury = JURY.require(self.state)?;
        trials.sort_by_key(|(_, trial)| trial.opened);
        let mut cases = Vec::new();
        for ((host, position), trial) in trials {
            let Some(entry) = self.entry(&host)? else { continue };
            let place = sprint::is_judge(&jury, &self.race, &entry, &host, judge);
            let bit = place.and_then(|place| 1u128.checked_shl(u32::try_from(place).ok()?));
            if bit.is_some_and(|bit| trial.judged & bit == 0) {
                cases.push(Case { host, position, leaf: trial.leaf });
            }
        }
        Ok(cases)
    }
}

pub(super) fn commit(commitment: Commitment) -> Message {
    Message::Sprint(Duty::Commit(commitment))
}

pub(super) fn verdicts(verdicts: Vec<Verdict>) -> Message {
    Message::Sprint(Duty::Verdicts(verdicts))
}

pub(super) fn reveal(reveals: Vec<Reveal>) -> Message {
    Message::Sprint(Duty::Reveal(reveals))
}

pub(super) fn demand(host: Address, positions: Vec<u16>) -> Message {
    Message::Sprint(Duty::Demand { host, positions })
}

pub(super) fn answer(member: Address, openings: Vec<Opening>) -> Message {
    Message::Sprint(Duty::Answer { member, openings })
}

pub(super) fn accuse(host: Address, opening: Opening) -> Message {
    Message::Sprint(Duty::Accuse { host, opening })
}

pub(super) fn judge(judgements: Vec<Judgement>) -> Message {
    Message::Sprint(Duty::Judge(judgements))
}
