//! The engine's write-ahead log as a durable sequence of entries.
//!
//! Entries are appended when the core asks for it and become durable when the engine flushes: before it starts
//! a round, publishes a message or decides. A crash keeps what was flushed and any prefix of the rest.

use bytes::Bytes;
use freeway_consensus::codec::WireCodec;
use freeway_consensus::context::Context;
use freeway_primitives::Height;
use malachitebft_codec::Codec;
use malachitebft_core_consensus::{Input, ProposedValue, SignedConsensusMsg};
use malachitebft_core_types::{PolkaCertificate, Timeout, ValueOrigin};

use crate::random::Random;

/// An entry as the engine writes it.
#[derive(Clone, Debug)]
enum Entry {
    Message(Bytes),
    Timeout(Timeout),
    Value(Bytes),
    Polka(Bytes),
}

/// A log for one height at a time.
#[derive(Clone, Debug, Default)]
pub struct Wal {
    height: Height,
    entries: Vec<Entry>,
    flushed: usize,
}

impl Wal {
    /// The entries to replay at the start of `height`; of any other height they are dropped.
    pub fn started(&mut self, height: Height) -> Vec<Input<Context>> {
        if self.height != height {
            self.reset(height);
        }
        self.entries.iter().map(Entry::input).collect()
    }

    /// Begins anew at `height`.
    pub fn reset(&mut self, height: Height) {
        *self = Self { height, ..Self::default() };
    }

    /// Appends an entry; it is durable after [`Wal::flush`].
    pub fn append(&mut self, height: Height, input: &Input<Context>) {
        if height == self.height
            && let Some(entry) = Entry::new(input)
        {
            self.entries.push(entry);
        }
    }

    /// Makes all entries durable.
    pub fn flush(&mut self) {
        self.flushed = self.entries.len();
    }

    /// Cuts the power.
    pub fn crash(&mut self, random: &mut Random) {
        let kept = random.between(self.flushed as u64, self.entries.len() as u64) as usize;
        self.entries.truncate(kept);
        self.flushed = kept;
    }
}

impl Entry {
    fn new(input: &Input<Context>) -> Option<Self> {
        let message = |message: SignedConsensusMsg<Context>| Self::Message(encode(&message));
        Some(match input {
            Input::Vote(vote) => message(SignedConsensusMsg::Vote(vote.clone())),
            Input::Proposal(proposal) => message(SignedConsensusMsg::Proposal(proposal.clone())),
            Input::TimeoutElapsed(timeout) => Self::Timeout(*timeout),
            Input::ProposedValue(value, _) => Self::Value(encode(value)),
            Input::PolkaCertificate(certificate) => Self::Polka(encode(certificate)),
            _ => return None,
        })
    }

    fn input(&self) -> Input<Context> {
        match self {
            Self::Message(bytes) => match decode::<SignedConsensusMsg<Context>>(bytes) {
                SignedConsensusMsg::Vote(vote) => Input::Vote(vote),
                SignedConsensusMsg::Proposal(proposal) => Input::Proposal(proposal),
            },
            Self::Timeout(timeout) => Input::TimeoutElapsed(*timeout),
            Self::Value(bytes) => {
                Input::ProposedValue(decode::<ProposedValue<Context>>(bytes), ValueOrigin::Consensus)
            }
            Self::Polka(bytes) => Input::PolkaCertificate(decode::<PolkaCertificate<Context>>(bytes)),
        }
    }
}

fn encode<T>(value: &T) -> Bytes
where
    WireCodec: Codec<T>,
{
    WireCodec.encode(value).expect("what the engine logs has an encoding")
}

fn decode<T>(bytes: &Bytes) -> T
where
    WireCodec: Codec<T>,
{
    WireCodec.decode(bytes.clone()).expect("what was logged can be read back")
}
