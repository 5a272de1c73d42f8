//! What a process starts with, what it wants of the world, and what it leaves.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use freeway_consensus::context::Context;
use freeway_consensus::parts::PartMessage;
use freeway_ledger::Genesis;
use freeway_primitives::{Equivocation, SecretKey, SignedProposal, SignedVote};
use freeway_store::SimulatedDisk;
use malachitebft_core_consensus::{LocallyProposedValue, ProposedValue, SignedConsensusMsg};
use malachitebft_core_types::{Timeout, ValueOrigin};

use super::Work;
use crate::plan::HostPlan;
use crate::record::Record;
use crate::wal::Wal;
use crate::wire::Wire;

/// An answer of the application that is on its way to the engine.
#[derive(Clone, Debug)]
pub enum Reply {
    /// The block to propose.
    Propose(LocallyProposedValue<Context>),
    /// A judged block.
    Value(Box<ProposedValue<Context>>, ValueOrigin),
    /// Start the next height, or the same again.
    Start {
        /// Whether it is the same again.
        again: bool,
    },
}

/// Which timer: at most one of each runs, as in the engine.
pub(super) type TimerKey = (u8, i64);

/// What a process wants of the world.
#[derive(Debug)]
pub enum Out {
    /// Send to all peers.
    Broadcast(Wire),
    /// Send to one peer.
    Send(usize, Wire),
    /// A vote or proposal for all peers: adversaries do their own thing with it.
    Consensus(Box<SignedConsensusMsg<Context>>),
    /// A block in parts for all peers.
    Parts(Vec<PartMessage>),
    /// Wake up later.
    Timer {
        /// In how many milliseconds.
        delay_ms: u64,
        /// Which incarnation of the timer.
        generation: u64,
        /// Which timer.
        timeout: Timeout,
    },
    /// An answer of the application, soon.
    Reply(Reply),
    /// Work of the host role.
    Later {
        /// In how many milliseconds.
        delay_ms: u64,
        /// Which.
        work: Work,
    },
}

/// What properties want to know of a step.
#[derive(Debug, Default)]
pub struct Seen {
    /// Votes that left the node.
    pub votes: Vec<SignedVote>,
    /// Proposals that left the node.
    pub proposals: Vec<SignedProposal>,
    /// Equivocation that the engine reported.
    pub evidence: Vec<Equivocation>,
    /// The highest round that began.
    pub round: i64,
    /// Rounds after the first that began.
    pub extra_rounds: u64,
}

/// What a process starts with.
pub struct Start<'a> {
    /// The node's number.
    pub number: usize,
    /// The network.
    pub genesis: &'a Genesis,
    /// Its disk.
    pub disk: &'a SimulatedDisk,
    /// What is on its disk besides the store.
    pub files: Files,
    /// Its key, if it has one.
    pub key: Option<SecretKey>,
    /// The account of its host.
    pub address: freeway_primitives::Address,
    /// Whether it may have forgotten votes.
    pub forgetful: bool,
    /// Simulated milliseconds.
    pub clock: Arc<AtomicU64>,
    /// By how much its own clock is ahead (of a clock that is ten minutes slow).
    pub skew_ms: Arc<AtomicU64>,
    /// Keeps runs of the process apart.
    pub incarnation: u64,
    /// What clients were promised before the stop.
    pub journal: &'a [Vec<u8>],
    /// Its host role, if it has one.
    pub host: Option<HostPlan>,
}

/// What a node has on disk besides its store.
#[derive(Clone, Debug, Default)]
pub struct Files {
    /// The engine's log.
    pub wal: Wal,
    /// The host's race.
    pub record: Record,
}

/// Own clocks are at least this much behind [`Start::skew_ms`], so that a skew is never negative.
pub const SKEW_BASE_MS: u64 = 600_000;
