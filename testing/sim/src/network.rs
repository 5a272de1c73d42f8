//! Links between nodes: delay, loss, duplication, cuts.

use std::collections::{BTreeMap, BTreeSet};

use crate::random::Random;
use crate::wire::{Kind, Wire};

/// The character of all links of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Links {
    /// Least and most base delay of a link in milliseconds; each link draws its own.
    pub delay_ms: (u64, u64),
    /// The most that a message is late beyond that, usually; one in fifty is ten times as late.
    pub jitter_ms: u64,
    /// Messages lost, in thousandths.
    pub loss: u64,
    /// Messages that arrive twice, in thousandths.
    pub duplicates: u64,
}

impl Links {
    /// Links on which nothing goes wrong.
    pub const CALM: Self = Self { delay_ms: (5, 40), jitter_ms: 5, loss: 0, duplicates: 0 };
}

/// A cut: no message from one side to the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cut {
    /// The nodes of one side.
    pub side: Vec<usize>,
    /// Whether the other direction still works.
    pub one_way: bool,
}

impl Cut {
    fn blocks(&self, from: usize, to: usize) -> bool {
        let (leaving, entering) = (self.side.contains(&from), self.side.contains(&to));
        (leaving && !entering) || (!self.one_way && entering && !leaving)
    }
}

/// What went over the links.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Messages that nodes made, each counted once however many peers it was for.
    pub made: u64,
    /// Bytes of these.
    pub made_bytes: u64,
    /// Messages sent over a link.
    pub sent: u64,
    /// Bytes of these.
    pub sent_bytes: u64,
}

/// The links of a run.
#[derive(Debug)]
pub struct Network {
    links: Links,
    base_ms: Vec<Vec<u64>>,
    cuts: BTreeMap<u32, Cut>,
    muted: BTreeSet<Kind>,
    random: Random,
    traffic: BTreeMap<Kind, Traffic>,
}

impl Network {
    /// Links between `nodes` nodes and outsiders.
    pub fn new(nodes: usize, links: Links, mut random: Random) -> Self {
        let mut base = || random.between(links.delay_ms.0, links.delay_ms.1);
        let base_ms = (0..nodes).map(|_| (0..nodes).map(|_| base()).collect()).collect();
        Self {
            links,
            base_ms,
            cuts: BTreeMap::new(),
            muted: BTreeSet::new(),
            random,
            traffic: BTreeMap::new(),
        }
    }

    /// Adds a cut under a number.
    pub fn cut(&mut self, number: u32, cut: Cut) {
        self.cuts.insert(number, cut);
    }

    /// Mends a cut.
    pub fn mend(&mut self, number: u32) {
        self.cuts.remove(&number);
    }

    /// From now on no message of a kind arrives, or, if not `muted`, all do again.
    pub fn mute(&mut self, kind: Kind, muted: bool) {
        if muted {
            self.muted.insert(kind);
        } else {
            self.muted.remove(&kind);
        }
    }

    /// Whether anything can get lost.
    pub fn is_calm(&self) -> bool {
        self.links.loss == 0 && self.cuts.is_empty() && self.muted.is_empty()
    }

    /// Ends loss and duplication.
    pub fn calm(&mut self) {
        (self.links.loss, self.links.duplicates) = (0, 0);
    }

    /// Whether messages pass from one node to another.
    pub fn connected(&self, from: usize, to: usize) -> bool {
        !self.cuts.values().any(|cut| cut.blocks(from, to))
    }

    /// Counts a message that a node made.
    pub fn count_made(&mut self, wire: &Wire) {
        let traffic = self.traffic.entry(wire.kind).or_default();
        traffic.made += 1;
        traffic.made_bytes += wire.bytes.len() as u64;
    }

    /// When copies of a message arrive, in milliseconds from now; none if it is lost.
    pub fn send(&mut self, from: usize, to: usize, wire: &Wire) -> Vec<u64> {
        let traffic = self.traffic.entry(wire.kind).or_default();
        traffic.sent += 1;
        traffic.sent_bytes += wire.bytes.len() as u64;
        if !self.connected(from, to) || self.muted.contains(&wire.kind) || self.random.chance(self.links.loss)
        {
            return Vec::new();
        }
        let copies = 1 + usize::from(self.random.chance(self.links.duplicates));
        (0..copies)
            .map(|copy| {
                let late = if self.random.chance(20) { 10 } else { 1 };
                let jitter = self.random.between(0, self.links.jitter_ms * late);
                let base = self.base_ms.get(from).and_then(|row| row.get(to)).copied();
                base.unwrap_or(self.links.delay_ms.1) + jitter + copy as u64 * 7
            })
            .collect()
    }

    /// What went over the links, by channel.
    pub fn traffic(&self) -> &BTreeMap<Kind, Traffic> {
        &self.traffic
    }

    /// Messages sent in all.
    pub fn messages(&self) -> u64 {
        self.traffic.values().map(|traffic| traffic.sent).sum()
    }
}
