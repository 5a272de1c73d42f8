//! The engine's messages in canonical bytes, each under a bound.
//!
//! Where the engine's types cannot be given an encoding from outside (the orphan rule), a mirror struct stands
//! for them on the wire.

use std::io::{Error, ErrorKind};

use borsh::{BorshDeserialize, BorshSerialize};
use bytes::Bytes;
use freeway_primitives as p;
use freeway_primitives::Canonical;
use malachitebft_app_channel::app::types::{ProposedValue, SignedConsensusMsg};
use malachitebft_codec::{Codec, HasEncodedLen};
use malachitebft_core_consensus::LivenessMsg;
use malachitebft_core_types::{
    CommitCertificate, CommitSignature, ExtendedCommitCertificate, ExtendedCommitSignature, PolkaCertificate,
    Round, ValidatorProof,
};
use malachitebft_sync as sync;

use crate::context::{Address, Context, Height, Value};
use crate::parts::PartMessage;
use crate::signing::Signature;

/// The longest vote, proposal or liveness message in bytes.
pub const MAX_MESSAGE_BYTES: usize = 64 << 10;
/// The longest part message in bytes.
pub const MAX_PART_MESSAGE_BYTES: usize = crate::parts::PART_BYTES + (1 << 10);
/// The longest answer to a request for decided blocks in bytes.
pub const MAX_RESPONSE_BYTES: usize = 10 << 20;
/// The most decided blocks in one answer.
pub const MAX_RESPONSE_VALUES: usize = 32;

const _: () = assert!(p::Certificate::MAX_BYTES * 2 < MAX_MESSAGE_BYTES, "certificates travel as messages");
const _: () = assert!(p::MAX_BLOCK_BYTES * 2 < MAX_RESPONSE_BYTES);

/// The codec of everything that the engine sends or writes to its log.
#[derive(Clone, Copy, Debug)]
pub struct WireCodec;

fn too_long(actual: usize, limit: usize) -> Error {
    Error::new(ErrorKind::InvalidData, format!("a message of {actual} bytes, at most {limit} are allowed"))
}

fn parse<T: BorshDeserialize>(bytes: &[u8], limit: usize) -> Result<T, Error> {
    if bytes.len() > limit {
        return Err(too_long(bytes.len(), limit));
    }
    T::try_from_slice(bytes)
}

fn write<T: BorshSerialize>(value: &T) -> Result<Bytes, Error> {
    borsh::to_vec(value).map(Bytes::from)
}

macro_rules! bounded {
    ($($type:ty : $limit:expr),* $(,)?) => { $(
        impl Codec<$type> for WireCodec {
            type Error = Error;

            fn decode(&self, bytes: Bytes) -> Result<$type, Error> {
                parse(&bytes, $limit)
            }

            fn encode(&self, message: &$type) -> Result<Bytes, Error> {
                write(message)
            }
        }
    )* };
}

bounded! {
    crate::parts::Part: MAX_PART_MESSAGE_BYTES,
    PartMessage: MAX_PART_MESSAGE_BYTES,
    SignedConsensusMsg<Context>: MAX_MESSAGE_BYTES,
    LivenessMsg<Context>: MAX_MESSAGE_BYTES,
    ProposedValue<Context>: MAX_MESSAGE_BYTES,
    PolkaCertificate<Context>: MAX_MESSAGE_BYTES,
}

#[derive(BorshSerialize, BorshDeserialize)]
struct ProofWire {
    public_key: Vec<u8>,
    peer_id: Vec<u8>,
    signature: Signature,
}

impl Codec<ValidatorProof<Context>> for WireCodec {
    type Error = Error;

    fn decode(&self, bytes: Bytes) -> Result<ValidatorProof<Context>, Error> {
        let wire: ProofWire = parse(&bytes, 1 << 10)?;
        Ok(ValidatorProof::new(wire.public_key, wire.peer_id, wire.signature))
    }

    fn encode(&self, proof: &ValidatorProof<Context>) -> Result<Bytes, Error> {
        write(&ProofWire {
            public_key: proof.public_key.clone(),
            peer_id: proof.peer_id.clone(),
            signature: proof.signature,
        })
    }
}

/// The engine's certificate as ours.
///
/// # Errors
/// If the round is none, which no certificate of a decision has.
pub fn certificate_from_engine(certificate: &CommitCertificate<Context>) -> Result<p::Certificate, Error> {
    let round = certificate
        .round
        .as_u32()
        .ok_or_else(|| Error::new(ErrorKind::InvalidData, "a certificate without a round"))?;
    Ok(p::Certificate {
        height: certificate.height.0,
        round,
        block: certificate.value_id.0,
        signatures: certificate
            .commit_signatures
            .iter()
            .map(|commit| p::CommitSignature { validator: commit.address.0, signature: commit.signature.0 })
            .collect(),
    })
}

/// Our certificate as the engine's.
pub fn certificate_to_engine(certificate: &p::Certificate) -> CommitCertificate<Context> {
    CommitCertificate {
        height: Height(certificate.height),
        round: Round::new(certificate.round),
        value_id: Value(certificate.block),
        commit_signatures: certificate
            .signatures
            .iter()
            .map(|commit| CommitSignature::new(Address(commit.validator), Signature(commit.signature)))
            .collect(),
    }
}

/// Our certificate as the engine's form with (no) extensions.
pub fn extended_to_engine(certificate: &p::Certificate) -> ExtendedCommitCertificate<Context> {
    ExtendedCommitCertificate {
        height: Height(certificate.height),
        round: Round::new(certificate.round),
        value_id: Value(certificate.block),
        commit_signatures: certificate
            .signatures
            .iter()
            .map(|commit| {
                ExtendedCommitSignature::new(Address(commit.validator), Signature(commit.signature), None)
            })
            .collect(),
    }
}

fn extended_from_engine(certificate: &ExtendedCommitCertificate<Context>) -> Result<p::Certificate, Error> {
    let round = certificate
        .round
        .as_u32()
        .ok_or_else(|| Error::new(ErrorKind::InvalidData, "a certificate without a round"))?;
    Ok(p::Certificate {
        height: certificate.height.0,
        round,
        block: certificate.value_id.0,
        signatures: certificate
            .commit_signatures
            .iter()
            .map(|commit| p::CommitSignature { validator: commit.address.0, signature: commit.signature.0 })
            .collect(),
    })
}

#[derive(BorshSerialize, BorshDeserialize)]
struct StatusWire {
    peer: Vec<u8>,
    tip: Height,
    oldest: Height,
}

impl Codec<sync::Status<Context>> for WireCodec {
    type Error = Error;

    fn decode(&self, bytes: Bytes) -> Result<sync::Status<Context>, Error> {
        let wire: StatusWire = parse(&bytes, 1 << 10)?;
        let peer_id = malachitebft_peer::PeerId::from_bytes(&wire.peer)
            .map_err(|error| Error::new(ErrorKind::InvalidData, error.to_string()))?;
        Ok(sync::Status { peer_id, tip_height: wire.tip, history_min_height: wire.oldest })
    }

    fn encode(&self, status: &sync::Status<Context>) -> Result<Bytes, Error> {
        write(&StatusWire {
            peer: status.peer_id.to_bytes(),
            tip: status.tip_height,
            oldest: status.history_min_height,
        })
    }
}

impl Codec<sync::Request<Context>> for WireCodec {
    type Error = Error;

    fn decode(&self, bytes: Bytes) -> Result<sync::Request<Context>, Error> {
        let (first, last): (Height, Height) = parse(&bytes, 16)?;
        Ok(sync::Request::ValueRequest(sync::ValueRequest::new(first..=last)))
    }

    fn encode(&self, request: &sync::Request<Context>) -> Result<Bytes, Error> {
        let sync::Request::ValueRequest(request) = request;
        write(&(*request.range.start(), *request.range.end()))
    }
}

#[derive(BorshSerialize, BorshDeserialize)]
struct ResponseWire {
    start: Height,
    values: Vec<(Vec<u8>, p::Certificate)>,
}

impl Codec<sync::Response<Context>> for WireCodec {
    type Error = Error;

    fn decode(&self, bytes: Bytes) -> Result<sync::Response<Context>, Error> {
        let wire: ResponseWire = parse(&bytes, MAX_RESPONSE_BYTES)?;
        if wire.values.len() > MAX_RESPONSE_VALUES {
            return Err(too_long(wire.values.len(), MAX_RESPONSE_VALUES));
        }
        let values = wire.values.into_iter().map(|(block, certificate)| {
            sync::RawDecidedValue::new(block.into(), extended_to_engine(&certificate))
        });
        Ok(sync::Response::ValueResponse(sync::ValueResponse::new(wire.start, values.collect())))
    }

    fn encode(&self, response: &sync::Response<Context>) -> Result<Bytes, Error> {
        let sync::Response::ValueResponse(response) = response;
        let values = response
            .values
            .iter()
            .map(|value| Ok((value.value_bytes.to_vec(), extended_from_engine(&value.certificate)?)));
        write(&ResponseWire { start: response.start_height, values: values.collect::<Result<_, Error>>()? })
    }
}

impl HasEncodedLen<sync::Response<Context>> for WireCodec {
    fn encoded_len(&self, response: &sync::Response<Context>) -> Result<usize, Error> {
        let sync::Response::ValueResponse(response) = response;
        // Start and count, then per value: block with length, certificate head (48), and 96 per signature.
        let value = |value: &sync::RawDecidedValue<Context>| {
            4 + value.value_bytes.len() + 48 + value.certificate.commit_signatures.len() * 96
        };
        Ok(12 + response.values.iter().map(value).sum::<usize>())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn foreign_bytes_are_errors_not_panics(bytes in proptest::collection::vec(any::<u8>(), 0..2_000)) {
            let bytes = Bytes::from(bytes);
            let _: Result<PartMessage, _> = WireCodec.decode(bytes.clone());
            let _: Result<SignedConsensusMsg<Context>, _> = WireCodec.decode(bytes.clone());
            let _: Result<LivenessMsg<Context>, _> = WireCodec.decode(bytes.clone());
            let _: Result<ProposedValue<Context>, _> = WireCodec.decode(bytes.clone());
            let _: Result<PolkaCertificate<Context>, _> = WireCodec.decode(bytes.clone());
            let _: Result<ValidatorProof<Context>, _> = WireCodec.decode(bytes.clone());
            let _: Result<sync::Status<Context>, _> = WireCodec.decode(bytes.clone());
            let _: Result<sync::Request<Context>, _> = WireCodec.decode(bytes.clone());
            let _: Result<sync::Response<Context>, _> = WireCodec.decode(bytes);
        }

        #[test]
        fn the_length_of_a_response_is_known_in_advance(
            blocks in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..200), 0..5), signers in 0u8..5
        ) {
            let certificate = p::Certificate {
                height: p::Height(1), round: 0, block: p::BlockId::GENESIS,
                signatures: (0..signers).map(|i| p::CommitSignature {
                    validator: p::Address([i; 32]), signature: p::Signature([i; 64]),
                }).collect(),
            };
            let values = blocks.into_iter()
                .map(|block| sync::RawDecidedValue::new(block.into(), extended_to_engine(&certificate)));
            let response =
                sync::Response::ValueResponse(sync::ValueResponse::new(Height(p::Height(1)), values.collect()));
            prop_assert_eq!(WireCodec.encode(&response).unwrap().len(), WireCodec.encoded_len(&response).unwrap());
        }
    }
}
