//! Who misbehaved how much, and who is banned. Pure: time comes as an argument.

use std::collections::BTreeMap;
use std::time::Instant;

use libp2p::PeerId;

use crate::limits::{BAN_THRESHOLD, BAN_TIME, FORGIVENESS, MAX_CONDUCT_RECORDS};

/// What a peer did wrong. Its points add up to [`BAN_THRESHOLD`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Misbehaviour {
    /// A well-formed message that no honest node accepts, for example with a wrong signature: 20 points.
    Invalid,
    /// More messages than allowed within a second: 20 points.
    Flooding,
    /// Bytes that are no message at all: 50 points.
    Malformed,
    /// A longer message than the network allows: 50 points.
    Oversized,
    /// Breaking the gossip protocol, or deceit that is no accident: banned at once.
    Hostile,
}

impl Misbehaviour {
    /// The points it costs.
    pub const fn points(self) -> u32 {
        match self {
            Self::Invalid | Self::Flooding => 20,
            Self::Malformed | Self::Oversized => 50,
            Self::Hostile => BAN_THRESHOLD,
        }
    }
}

/// One peer's past.
#[derive(Clone, Copy, Debug)]
struct Record {
    /// Points at `updated`; they fade from then on.
    points: u32,
    updated: Instant,
    banned_until: Option<Instant>,
}

impl Record {
    fn points(&self, now: Instant) -> u32 {
        let forgiven = now.saturating_duration_since(self.updated).as_secs() / FORGIVENESS.as_secs();
        self.points.saturating_sub(u32::try_from(forgiven).unwrap_or(u32::MAX))
    }

    fn is_banned(&self, now: Instant) -> bool {
        self.banned_until.is_some_and(|until| now < until)
    }
}

/// The conduct of all peers, connected or not: leaving and coming back wipes nothing.
#[derive(Debug, Default)]
pub(crate) struct Conduct {
    records: BTreeMap<PeerId, Record>,
}

impl Conduct {
    /// Adds to a peer's points; `true` if this bans it.
    pub(crate) fn penalise(&mut self, peer: PeerId, misbehaviour: Misbehaviour, now: Instant) -> bool {
        if !self.records.contains_key(&peer) {
            self.make_room(now);
        }
        let record =
            self.records.entry(peer).or_insert(Record { points: 0, updated: now, banned_until: None });
        if record.is_banned(now) {
            return false;
        }
        let points = record.points(now).saturating_add(misbehaviour.points());
        let banned = points >= BAN_THRESHOLD;
        // A ban settles the account: whoever comes back after it starts anew.
        *record = if banned {
            Record { points: 0, updated: now, banned_until: now.checked_add(BAN_TIME) }
        } else {
            Record { points, updated: now, banned_until: None }
        };
        banned
    }

    /// A peer's points.
    pub(crate) fn points(&self, peer: &PeerId, now: Instant) -> u32 {
        self.records.get(peer).map_or(0, |record| record.points(now))
    }

    /// Whether a peer is banned.
    pub(crate) fn is_banned(&self, peer: &PeerId, now: Instant) -> bool {
        self.records.get(peer).is_some_and(|record| record.is_banned(now))
    }

    /// Keeps the table below its bound: forgets who is forgiven, else the mildest record.
    fn make_room(&mut self, now: Instant) {
        if self.records.len() < MAX_CONDUCT_RECORDS {
            return;
        }
        self.records.retain(|_, record| record.is_banned(now) || record.points(now) > 0);
        if self.records.len() >= MAX_CONDUCT_RECORDS {
            let mildest = self
                .records
                .iter()
                .min_by_key(|(_, record)| (record.banned_until, record.points(now)))
                .map(|(peer, _)| *peer);
            if let Some(peer) = mildest {
                self.records.remove(&peer);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_add_up_to_a_ban_that_ends() {
        let (mut conduct, peer, now) = (Conduct::default(), PeerId::random(), Instant::now());
        for _ in 0..4 {
            assert!(!conduct.penalise(peer, Misbehaviour::Invalid, now));
        }
        assert_eq!(conduct.points(&peer, now), 80);
        assert!(conduct.penalise(peer, Misbehaviour::Invalid, now));
        assert!(conduct.is_banned(&peer, now));
        assert!(!conduct.penalise(peer, Misbehaviour::Hostile, now), "a ban happens once");
        assert!(conduct.is_banned(&peer, now + BAN_TIME / 2));
        assert!(!conduct.is_banned(&peer, now + BAN_TIME));
        assert_eq!(conduct.points(&peer, now + BAN_TIME), 0);
    }

    #[test]
    fn points_fade() {
        let (mut conduct, peer, now) = (Conduct::default(), PeerId::random(), Instant::now());
        conduct.penalise(peer, Misbehaviour::Malformed, now);
        let later = now + FORGIVENESS * 30;
        assert_eq!(conduct.points(&peer, later), 20);
        assert!(!conduct.penalise(peer, Misbehaviour::Malformed, later));
        assert_eq!(conduct.points(&peer, later + FORGIVENESS * 1000), 0);
    }

    #[test]
    fn the_table_is_bounded_and_keeps_the_worst() {
        let (mut conduct, worst, now) = (Conduct::default(), PeerId::random(), Instant::now());
        conduct.penalise(worst, Misbehaviour::Hostile, now);
        for _ in 0..2 * MAX_CONDUCT_RECORDS {
            conduct.penalise(PeerId::random(), Misbehaviour::Invalid, now);
        }
        assert!(conduct.records.len() <= MAX_CONDUCT_RECORDS);
        assert!(conduct.is_banned(&worst, now));
    }
}
