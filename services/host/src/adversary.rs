//! Hosts that do not follow the rules, one file each: to see that the others notice.
//!
//! A [`Core`](crate::core::Core) asks its conduct at a few points what to do instead of the honest thing. The
//! honest conduct answers nothing anywhere.

mod accuse;
mod fake;
mod grind;
mod late;
mod lazy;
mod overcommit;
mod rent;
mod replay;
mod serve;
mod withhold;

use core::fmt;
use core::str::FromStr;
use std::collections::BTreeMap;

use freeway_primitives::{Address, ChainId, Digest, Domain, Epoch, Height};
use freeway_proofs::draw::Stream;
use freeway_proofs::sprint::{Opening, Position, Tag, Trace};

pub use serve::Serve;

const MADE_UP: Domain = Domain::new("freeway 1 made-up trace");

/// A way to cheat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Adversary {
    /// So many percent of its leaves are made up.
    Fake {
        /// Of 100 leaves.
        percent: u8,
    },
    /// It commits to the work of its first race again and again.
    Replay,
    /// It commits to so many times what it computed, by counting its work repeatedly.
    Overcommit {
        /// How many times.
        factor: u8,
    },
    /// It computes honestly, but opens, answers and reveals nothing.
    Withhold,
    /// It verifies without computing.
    Lazy(Lazy),
    /// It accuses honest leaves.
    Accuse,
    /// It commits and judges after the end.
    Late,
    /// It makes up leaves, and chooses which by a draw that it hopes for.
    Grind,
    /// It brings rented hardware to one race in four.
    Rent,
    /// It says that paid work is right without computing it.
    LazyVerifier,
    /// It serves honestly, but shows, answers and reveals nothing of its paid work.
    WithholdWork,
    /// It cheats those whom it serves.
    Serve(Serve),
}

/// How a lazy verifier gets its verdicts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lazy {
    /// From another member's on the same host.
    Copy,
    /// From the leaves it was shown, without their traces.
    Guess,
}

/// A text that names no adversary.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no adversary; there are: fake:PERCENT (1 to 100), replay, overcommit:FACTOR (2 to 16), withhold, \
     lazy:copy, lazy:guess, accuse, late, grind, rent, verify:lazy, work:withhold, \
     serve:coarser, serve:truncate, serve:inflate, serve:inject, serve:forge, serve:rescore"
)]
pub struct UnknownAdversary(String);

impl Adversary {
    /// One of each that cheats in the race, as the tests and the simulation use them.
    pub const ALL: [Self; 10] = [
        Self::Fake { percent: 5 },
        Self::Replay,
        Self::Overcommit { factor: 2 },
        Self::Withhold,
        Self::Lazy(Lazy::Copy),
        Self::Lazy(Lazy::Guess),
        Self::Accuse,
        Self::Late,
        Self::Grind,
        Self::Rent,
    ];

    /// Those that break the rules of paid work; in the race they are honest.
    pub const OF_WORK: [Self; 8] = [
        Self::LazyVerifier,
        Self::WithholdWork,
        Self::Serve(Serve::Coarser),
        Self::Serve(Serve::Truncate),
        Self::Serve(Serve::Inflate),
        Self::Serve(Serve::Inject),
        Self::Serve(Serve::Forge),
        Self::Serve(Serve::Rescore),
    ];

    pub(crate) fn conduct(self) -> Box<dyn Conduct> {
        match self {
            Self::Fake { percent } => Box::new(fake::Fake { percent }),
            Self::Replay => Box::new(replay::Replay::default()),
            Self::Overcommit { factor } => Box::new(overcommit::Overcommit { factor }),
            Self::Withhold => Box::new(withhold::Withhold),
            Self::Lazy(Lazy::Copy) => Box::new(lazy::Copy),
            Self::Lazy(Lazy::Guess) => Box::new(lazy::Guess),
            Self::Accuse => Box::new(accuse::Accuse),
            Self::Late => Box::new(late::Late),
            Self::Grind => Box::new(grind::Grind),
            Self::Rent => Box::new(rent::Rent),
            // In the race they are as others.
            Self::LazyVerifier | Self::WithholdWork | Self::Serve(_) => Box::new(Honest),
        }
    }
}

impl fmt::Display for Adversary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fake { percent } => write!(f, "fake:{percent}"),
            Self::Replay => f.write_str("replay"),
            Self::Overcommit { factor } => write!(f, "overcommit:{factor}"),
            Self::Withhold => f.write_str("withhold"),
            Self::Lazy(Lazy::Copy) => f.write_str("lazy:copy"),
            Self::Lazy(Lazy::Guess) => f.write_str("lazy:guess"),
            Self::Accuse => f.write_str("accuse"),
            Self::Late => f.write_str("late"),
            Self::Grind => f.write_str("grind"),
            Self::Rent => f.write_str("rent"),
            Self::LazyVerifier => f.write_str("verify:lazy"),
            Self::WithholdWork => f.write_str("work:withhold"),
            Self::Serve(Serve::Coarser) => f.write_str("serve:coarser"),
            Self::Serve(Serve::Truncate) => f.write_str("serve:truncate"),
            Self::Serve(Serve::Inflate) => f.write_str("serve:inflate"),
            Self::Serve(Serve::Inject) => f.write_str("serve:inject"),
            Self::Serve(Serve::Forge) => f.write_str("serve:forge"),
            Self::Serve(Serve::Rescore) => f.write_str("serve:rescore"),
        }
    }
}

impl FromStr for Adversary {
    type Err = UnknownAdversary;

    fn from_str(text: &str) -> Result<Self, UnknownAdversary> {
        let (name, argument) = match text.split_once(':') {
            Some((name, argument)) => (name, Some(argument)),
            None => (text, None),
        };
        let number = |range: core::ops::RangeInclusive<u8>, default| match argument {
            None => Some(default),
            Some(argument) => argument.parse().ok().filter(|number| range.contains(number)),
        };
        let known = match (name, argument) {
            ("fake", _) => number(1..=100, 5).map(|percent| Self::Fake { percent }),
            ("overcommit", _) => number(2..=16, 2).map(|factor| Self::Overcommit { factor }),
            ("lazy", Some("copy")) => Some(Self::Lazy(Lazy::Copy)),
            ("lazy", Some("guess")) => Some(Self::Lazy(Lazy::Guess)),
            (_, Some(_)) => Self::OF_WORK.into_iter().find(|known| known.to_string() == text),
            _ => Self::ALL.into_iter().find(|known| known.to_string() == name),
        };
        known.ok_or_else(|| UnknownAdversary(text.chars().take(80).collect()))
    }
}

/// A race, and who takes part in it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Part {
    pub(crate) chain: ChainId,
    pub(crate) epoch: Epoch,
    pub(crate) seed: Digest,
    pub(crate) host: Address,
    /// How many leaves each member draws.
    pub(crate) leaves: u32,
}

/// A verdict to be given.
pub(crate) struct Case<'a> {
    pub(crate) part: Part,
    /// Whom it is on.
    pub(crate) host: Address,
    pub(crate) positions: &'a [Position],
    /// What the host has shown so far.
    pub(crate) shown: &'a BTreeMap<Position, Opening>,
    /// The verdicts of other members on the same host.
    pub(crate) others: &'a [Vec<Tag>],
}

/// What is done instead of the honest thing. The defaults are the honest thing.
pub(crate) trait Conduct: Send {
    /// What is committed to instead of `traces`.
    fn commits(&mut self, _part: &Part, _traces: &[Trace]) -> Option<Vec<Trace>> {
        None
    }

    /// In which blocks messages should stand that are accepted from `first` to `last`.
    fn window(&self, first: Height, last: Height) -> (Height, Height) {
        (first, last)
    }

    /// Whether it opens, answers and reveals.
    fn opens(&self) -> bool {
        true
    }

    /// Whether it recomputes what it verifies.
    fn recomputes(&self) -> bool {
        true
    }

    /// The tags of a verdict without having recomputed; `None` as long as it has none.
    fn tags(&self, _case: &Case<'_>) -> Option<Vec<Tag>> {
        None
    }

    /// Whether it accuses leaves that are right.
    fn slanders(&self) -> bool {
        false
    }
}

/// Follows the rules.
pub(crate) struct Honest;

impl Conduct for Honest {}

/// A trace that nobody computed, the same for the same nonce.
fn made_up(part: &Part, nonce: u64) -> Trace {
    let parts: [&[u8]; 2] = [&part.host.0, &nonce.to_le_bytes()];
    Trace(freeway_proofs::draw::derive(&part.seed, MADE_UP, &parts).0)
}

/// Numbers that only this host uses.
fn own_stream(part: &Part) -> Stream {
    Stream::new(&part.seed, MADE_UP, &[&part.host.0])
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn part(epoch: u64) -> Part {
        let seed = Digest([epoch as u8; 32]);
        let host = Address([1; 32]);
        Part { chain: ChainId(Digest::ZERO), epoch: Epoch(epoch), seed, host, leaves: 16 }
    }

    pub(super) fn traces(count: u8) -> Vec<Trace> {
        (0..count).map(|i| Trace([i; 32])).collect()
    }

    fn commits(adversary: Adversary, epoch: u64, computed: &[Trace]) -> Vec<Trace> {
        let mut conduct = adversary.conduct();
        conduct.commits(&part(epoch), computed).unwrap_or_else(|| computed.to_vec())
    }

    #[test]
    fn every_adversary_has_a_text_and_back() {
        for adversary in Adversary::ALL.into_iter().chain(Adversary::OF_WORK) {
            assert_eq!(adversary.to_string().parse(), Ok(adversary));
        }
        assert_eq!("fake".parse(), Ok(Adversary::Fake { percent: 5 }));
        assert_eq!("fake:100".parse(), Ok(Adversary::Fake { percent: 100 }));
        for wrong in ["", "fake:0", "fake:101", "fake:x", "overcommit:1", "lazy", "lazy:x", "late:1", "Late"]
        {
            assert_eq!(wrong.parse::<Adversary>(), Err(UnknownAdversary(wrong.into())));
        }
    }

    #[test]
    fn the_share_of_made_up_leaves_is_as_asked() {
        let computed = traces(200);
        let wrong = |percent| {
            let committed = commits(Adversary::Fake { percent }, 1, &computed);
            assert_eq!(committed.len(), computed.len());
            committed.iter().zip(&computed).filter(|(a, b)| a != b).count()
        };
        assert_eq!((wrong(5), wrong(50), wrong(100)), (10, 100, 200));
        assert_eq!(commits(Adversary::Fake { percent: 1 }, 1, &traces(3)).len(), 3);
    }

    #[test]
    fn work_is_counted_twice_or_again() {
        let computed = traces(3);
        assert_eq!(commits(Adversary::Overcommit { factor: 3 }, 1, &computed), computed.repeat(3));
        let mut replay = Adversary::Replay.conduct();
        assert_eq!(replay.commits(&part(1), &computed), None);
        assert_eq!(replay.commits(&part(2), &traces(7)), Some(computed));
    }

    #[test]
    fn rented_hardware_is_there_once_in_four() {
        let counts = (1..=8).map(|epoch| commits(Adversary::Rent, epoch, &traces(100)).len());
        assert_eq!(counts.collect::<Vec<_>>(), [10, 10, 100, 10, 10, 10, 100, 10]);
    }

    #[test]
    fn a_grinder_misses_only_the_draw_it_hoped_for() {
        let computed = traces(200);
        let committed = commits(Adversary::Grind, 1, &computed);
        let wrong = committed.iter().zip(&computed).filter(|(a, b)| a != b).count();
        assert_eq!((committed.len(), wrong), (200, 10));
    }

    #[test]
    fn who_is_late_waits_for_the_end() {
        let window = |adversary: Adversary| adversary.conduct().window(Height(5), Height(8));
        assert_eq!(window(Adversary::Late).0, Height(9));
        assert_eq!(window(Adversary::Replay), (Height(5), Height(8)));
    }
}
