//! What nodes send each other, in the bytes that the real network carries.

use bytes::Bytes;
use freeway_consensus::codec::WireCodec;
use malachitebft_codec::Codec;

/// A message on a link. The payload is what the real codec makes of it; adversaries put anything there.
#[derive(Clone, Debug)]
pub struct Wire {
    /// The channel.
    pub kind: Kind,
    /// The bytes.
    pub bytes: Bytes,
}

/// The channels of the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Pieces of a proposed block.
    Part,
    /// Announcements of proposals.
    Proposal,
    /// Votes, sent once.
    Vote,
    /// Votes and certificates sent again so that rounds end.
    Liveness,
    /// Heights of peers.
    Status,
    /// Requests for decided blocks.
    Request,
    /// Decided blocks.
    Response,
    /// Transactions on their way to mempools.
    Transactions,
    /// Shares of beacon values.
    Partials,
    /// Members of committees who ask hosts for leaves.
    Question,
    /// What hosts show them.
    Answer,
}

impl Kind {
    /// All channels.
    pub const ALL: [Self; 11] = [
        Self::Part,
        Self::Proposal,
        Self::Vote,
        Self::Liveness,
        Self::Status,
        Self::Request,
        Self::Response,
        Self::Transactions,
        Self::Partials,
        Self::Question,
        Self::Answer,
    ];

    /// The channel's name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Part => "proposal parts",
            Self::Proposal => "proposals",
            Self::Vote => "votes",
            Self::Liveness => "liveness",
            Self::Status => "sync status",
            Self::Request => "sync requests",
            Self::Response => "sync responses",
            Self::Transactions => "transactions",
            Self::Partials => "beacon shares",
            Self::Question => "questions to hosts",
            Self::Answer => "openings",
        }
    }
}

impl Wire {
    /// Encodes a message.
    ///
    /// # Panics
    /// If the codec refuses, which it never does for messages that the engine makes.
    pub fn new<T>(kind: Kind, message: &T) -> Self
    where
        WireCodec: Codec<T>,
    {
        let bytes = WireCodec.encode(message).expect("what the engine sends has an encoding");
        Self { kind, bytes }
    }

    /// Decodes the message, if it is one.
    pub fn read<T>(&self) -> Option<T>
    where
        WireCodec: Codec<T>,
    {
        WireCodec.decode(self.bytes.clone()).ok()
    }
}

/// A gossip message of transactions.
pub fn encode_batch(batch: &[Vec<u8>]) -> bytes::Bytes {
    let mut bytes = (batch.len() as u32).to_le_bytes().to_vec();
    for transaction in batch {
        bytes.extend((transaction.len() as u32).to_le_bytes());
        bytes.extend(transaction);
    }
    bytes.into()
}

/// The transactions in such a message, if it is one.
pub fn decode_batch(bytes: &[u8]) -> Option<Vec<Vec<u8>>> {
    let (count, mut rest) = bytes.split_first_chunk::<4>()?;
    let mut batch = Vec::new();
    for _ in 0..u32::from_le_bytes(*count) {
        let (length, tail) = rest.split_first_chunk::<4>()?;
        let (transaction, tail) = tail.split_at_checked(u32::from_le_bytes(*length) as usize)?;
        batch.push(transaction.to_vec());
        rest = tail;
    }
    rest.is_empty().then_some(batch)
}
