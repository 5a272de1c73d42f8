//! Block bytes on the wire: signed, in bounded parts, reassembled in bounded memory.
//!
//! The engine's gossip forwards before it validates, so everything that a peer can make this node hold is
//! counted here: streams, bytes per stream, bytes in all. When a bound is reached the oldest stream goes.

use std::collections::BTreeMap;

use borsh::{BorshDeserialize, BorshSerialize};
use bytes::Bytes;
use freeway_primitives::{
    Address, Canonical, ChainId, Domain, Height, MAX_BLOCK_BYTES, PublicKey, SecretKey, Signature,
};
use malachitebft_app_channel::app::streaming::{StreamContent, StreamId, StreamMessage};
use malachitebft_core_types as ct;

use crate::context::Context;

const DOMAIN: Domain = Domain::new("freeway 1 proposal parts");

/// Bytes of a block in one part.
pub const PART_BYTES: usize = 128 << 10;
/// The most messages of a stream: opening, data, seal, end.
const MAX_MESSAGES: usize = MAX_BLOCK_BYTES.div_ceil(PART_BYTES) + 3;
/// The most streams under assembly.
const MAX_STREAMS: usize = 64;
/// The most of them from one publisher.
const MAX_STREAMS_OF_ONE: usize = 8;
/// The most bytes held in all streams.
const MAX_HELD_BYTES: usize = 32 << 20;
/// The longest stream identity in bytes.
const MAX_ID_BYTES: usize = 64;

const _: () = assert!(MAX_HELD_BYTES >= 4 * MAX_BLOCK_BYTES);

/// What a stream of parts is for. Signed by the proposer together with the block's digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Opening {
    /// The height.
    pub height: Height,
    /// The round of this proposal.
    pub round: u32,
    /// The earlier round in which the block had more than two thirds of the prevotes.
    pub valid_round: Option<u32>,
    /// The proposer of the round.
    pub proposer: Address,
}

/// What the seal signs.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
struct Sealed {
    opening: Opening,
    content: freeway_primitives::Digest,
}

impl Canonical for Sealed {
    const KIND: &'static str = "sealed proposal";
    const MAX_BYTES: usize = 128;
}

impl Sealed {
    fn new(opening: Opening, bytes: &[u8]) -> Self {
        Self { opening, content: freeway_primitives::Digest::of(DOMAIN, bytes) }
    }
}

/// A piece of a proposal on the wire.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum Part {
    /// First: what this is.
    Opening(Opening),
    /// The next bytes of the block.
    Data(Vec<u8>),
    /// Last: the proposer's signature over opening and bytes.
    Seal(Signature),
}

impl ct::ProposalPart<Context> for Part {
    fn is_first(&self) -> bool {
        matches!(self, Self::Opening(_))
    }

    fn is_last(&self) -> bool {
        matches!(self, Self::Seal(_))
    }
}

/// A message of the engine's part channel.
pub type PartMessage = StreamMessage<Part>;

/// Cuts a block into messages. `stream` must be new for this publisher.
pub fn split(
    opening: Opening,
    block: &[u8],
    chain: &ChainId,
    key: &SecretKey,
    stream: u64,
) -> Vec<PartMessage> {
    let seal = key.sign(DOMAIN, chain, &Sealed::new(opening, block));
    let mut id = opening.height.0.to_le_bytes().to_vec();
    id.extend(opening.round.to_le_bytes());
    id.extend(stream.to_le_bytes());
    let id = StreamId::new(Bytes::from(id));
    std::iter::once(Part::Opening(opening))
        .chain(block.chunks(PART_BYTES).map(|chunk| Part::Data(chunk.to_vec())))
        .chain(std::iter::once(Part::Seal(seal)))
        .map(StreamContent::Data)
        .chain(std::iter::once(StreamContent::Fin))
        .enumerate()
        .map(|(sequence, content)| StreamMessage::new(id.clone(), sequence as u64, content))
        .collect()
}

/// A reassembled proposal whose signature is still to be checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assembled {
    /// What it is for.
    pub opening: Opening,
    /// The block.
    pub block: Bytes,
    seal: Signature,
}

impl Assembled {
    /// What tells this block's bytes from others.
    pub fn digest(&self) -> freeway_primitives::Digest {
        freeway_primitives::Digest::of(DOMAIN, &self.block)
    }

    /// Whether the owner of `key` sealed it.
    pub fn is_sealed_by(&self, chain: &ChainId, key: &PublicKey) -> bool {
        key.verify(DOMAIN, chain, &Sealed::new(self.opening, &self.block), &self.seal).is_ok()
    }
}

/// Puts streams of parts together again, within bounds.
#[derive(Debug, Default)]
pub struct Assembler {
    streams: BTreeMap<(Vec<u8>, Vec<u8>), Stream>,
    held_bytes: usize,
    clock: u64,
}

#[derive(Debug, Default)]
struct Stream {
    messages: BTreeMap<u64, StreamContent<Part>>,
    bytes: usize,
    born: u64,
}

impl Assembler {
    /// Takes in a message of `publisher`; the whole proposal, if this completes it. What breaks a bound or
    /// contradicts itself is dropped with its stream.
    pub fn insert(&mut self, publisher: Vec<u8>, message: PartMessage) -> Option<Assembled> {
        let id = message.stream_id.to_bytes();
        if id.len() > MAX_ID_BYTES || publisher.len() > MAX_ID_BYTES {
            return None;
        }
        let key = (publisher, id.to_vec());
        let size = match &message.content {
            StreamContent::Data(Part::Data(bytes)) => bytes.len(),
            _ => 0,
        };
        if message.sequence >= MAX_MESSAGES as u64 || size > PART_BYTES {
            self.drop_stream(&key);
            return None;
        }
        if !self.streams.contains_key(&key) {
            self.make_room(&key.0);
        }
        self.clock += 1;
        let born = self.clock;
        let stream = self.streams.entry(key.clone()).or_insert_with(|| Stream { born, ..Stream::default() });
        if stream.messages.contains_key(&message.sequence) {
            return None;
        }
        stream.messages.insert(message.sequence, message.content);
        stream.bytes += size;
        self.held_bytes += size;
        if stream.bytes > MAX_BLOCK_BYTES {
            self.drop_stream(&key);
            return None;
        }
        let (last, content) = stream.messages.last_key_value()?;
        if !content.is_fin() || stream.messages.len() as u64 != last + 1 {
            self.shrink();
            return None;
        }
        let stream = self.drop_stream(&key)?;
        assemble(stream)
    }

    /// Forgets streams that opened for heights below `height`.
    pub fn forget_below(&mut self, height: Height) {
        let old: Vec<_> = self
            .streams
            .iter()
            .filter(|(_, stream)| {
                matches!(stream.messages.get(&0),
                    Some(StreamContent::Data(Part::Opening(opening))) if opening.height < height)
            })
            .map(|(key, _)| key.clone())
            .collect();
        for key in old {
            self.drop_stream(&key);
        }
    }

    /// Bytes held at the moment.
    pub fn held_bytes(&self) -> usize {
        self.held_bytes
    }

    fn drop_stream(&mut self, key: &(Vec<u8>, Vec<u8>)) -> Option<Stream> {
        let stream = self.streams.remove(key)?;
        self.held_bytes -= stream.bytes;
        Some(stream)
    }

    fn oldest(&self, of: impl Fn(&[u8]) -> bool) -> Option<(Vec<u8>, Vec<u8>)> {
        let streams = self.streams.iter().filter(|((publisher, _), _)| of(publisher));
        streams.min_by_key(|(_, stream)| stream.born).map(|(key, _)| key.clone())
    }

    fn make_room(&mut self, publisher: &[u8]) {
        let own = self.streams.keys().filter(|(other, _)| other == publisher).count();
        let victim = if own >= MAX_STREAMS_OF_ONE {
            self.oldest(|other| other == publisher)
        } else if self.streams.len() >= MAX_STREAMS {
            self.oldest(|_| true)
        } else {
            None
        };
        if let Some(key) = victim {
            self.drop_stream(&key);
        }
    }

    fn shrink(&mut self) {
        while self.held_bytes > MAX_HELD_BYTES {
            let Some(key) = self.oldest(|_| true) else { return };
            self.drop_stream(&key);
        }
    }
}

fn assemble(stream: Stream) -> Option<Assembled> {
    let mut parts = stream.messages.into_values().filter_map(StreamContent::into_data);
    let Part::Opening(opening) = parts.next()? else { return None };
    let mut block = Vec::with_capacity(stream.bytes);
    let mut seal = None;
    for part in parts {
        match part {
            Part::Data(bytes) if seal.is_none() => block.extend(bytes),
            Part::Seal(signature) if seal.is_none() => seal = Some(signature),
            _ => return None,
        }
    }
    Some(Assembled { opening, block: Bytes::from(block), seal: seal? })
}

#[cfg(test)]
mod tests {
    use super::*;
    use freeway_primitives::Digest;
    use proptest::prelude::*;

    fn opening(height: u64) -> Opening {
        Opening { height: Height(height), round: 1, valid_round: Some(0), proposer: Address([3; 32]) }
    }

    fn key() -> SecretKey {
        SecretKey::from_seed([9; 32])
    }

    const CHAIN: ChainId = ChainId(Digest::ZERO);

    #[test]
    fn held_bytes_stay_bounded_whatever_arrives() {
        let mut assembler = Assembler::default();
        for publisher in 0..200u8 {
            for stream in 0..20 {
                let messages = split(opening(1), &vec![7; 600 << 10], &CHAIN, &key(), stream);
                // Never complete: the last message is withheld.
                for message in &messages[..messages.len() - 1] {
                    assert_eq!(assembler.insert(vec![publisher], message.clone()), None);
                    assert!(assembler.held_bytes() <= MAX_HELD_BYTES + PART_BYTES);
                    assert!(assembler.streams.len() <= MAX_STREAMS);
                }
            }
        }
        assembler.forget_below(Height(2));
        assert_eq!(assembler.held_bytes(), 0);
    }

    #[test]
    fn an_oversized_block_is_dropped() {
        let mut assembler = Assembler::default();
        let block = vec![1; MAX_BLOCK_BYTES + 1];
        let done: Vec<_> = split(opening(1), &block, &CHAIN, &key(), 1)
            .into_iter()
            .filter_map(|message| assembler.insert(vec![1], message))
            .collect();
        assert!(done.is_empty());
    }

    proptest! {
        #[test]
        fn any_order_and_repetition_gives_the_block(
            size in 0usize..(3 * PART_BYTES), order in proptest::collection::vec(any::<u16>(), 0..20), flip in any::<bool>()
        ) {
            let block: Vec<u8> = (0..size).map(|i| (i % 251) as u8).collect();
            let mut messages = split(opening(5), &block, &CHAIN, &key(), 1);
            let count = messages.len();
            for (i, to) in order.iter().enumerate() {
                messages.swap(i % count, *to as usize % count);
            }
            messages.extend(messages.clone());
            let mut assembler = Assembler::default();
            let done: Vec<_> = messages.into_iter().filter_map(|m| assembler.insert(vec![1], m)).collect();
            prop_assert!(!done.is_empty());
            prop_assert_eq!(&done[0].block[..], &block[..]);
            prop_assert!(done[0].is_sealed_by(&CHAIN, &key().public()));
            if flip {
                let mut forged = done[0].clone();
                forged.opening.round += 1;
                prop_assert!(!forged.is_sealed_by(&CHAIN, &key().public()));
            }
        }
    }
}
