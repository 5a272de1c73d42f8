//! Proofs about the state, for those who do not trust the node that answers.
//!
//! A proof leads to a state root; the header of the next height contains that root; a certificate makes the header
//! final. [`ProofView::certified_root`] checks the last two. The proof itself is checked by
//! `freeway_store::Proof::verify`, with the root and the key.

use freeway_primitives::{
    Canonical, Certificate, CertificateError, ChainId, DecodeError, Digest, Header, ValidatorSet,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A value of the state, or its absence, with proof.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ProofView {
    /// The height of the state.
    pub height: u64,
    /// Its root.
    #[serde(with = "crate::text")]
    #[schema(value_type = String)]
    pub root: Digest,
    /// The key, in hexadecimal.
    pub key: String,
    /// Its value, in hexadecimal; `null` if there is none.
    pub value: Option<String>,
    /// The canonical proof, in hexadecimal.
    pub proof: String,
    /// The canonical header of the next height, in hexadecimal, if there is one yet.
    #[serde(default)]
    pub header: Option<String>,
    /// Its canonical certificate, in hexadecimal.
    #[serde(default)]
    pub certificate: Option<String>,
}

/// Why a root is not certified.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProofViewError {
    /// The next block did not exist when the node answered.
    #[error("the root of height {0} is not certified yet; ask for an earlier height, or again in a moment")]
    NotYet(u64),
    /// A field is not hexadecimal.
    #[error("{0} is not hexadecimal; the node's answer is damaged")]
    Hex(&'static str),
    /// A field does not decode.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// The parts do not fit together.
    #[error("{0}; do not trust this node's answer")]
    Mismatch(&'static str),
    /// The certificate proves nothing.
    #[error("the header is not certified by these validators: {0}; do not trust this node's answer")]
    Certificate(#[from] CertificateError),
}

impl ProofView {
    /// The canonical bytes of the proof.
    ///
    /// # Errors
    /// [`ProofViewError::Hex`] if they are not hexadecimal.
    pub fn proof_bytes(&self) -> Result<Vec<u8>, ProofViewError> {
        unhex("proof", &self.proof)
    }

    /// The key's bytes.
    ///
    /// # Errors
    /// [`ProofViewError::Hex`] if they are not hexadecimal.
    pub fn key_bytes(&self) -> Result<Vec<u8>, ProofViewError> {
        unhex("key", &self.key)
    }

    /// The root, if more than two thirds of `validators`, which must be those of the height after, certified it.
    ///
    /// # Errors
    /// [`ProofViewError`] if they did not.
    pub fn certified_root(
        &self,
        chain: &ChainId,
        validators: &ValidatorSet,
    ) -> Result<Digest, ProofViewError> {
        let (Some(header), Some(certificate)) = (&self.header, &self.certificate) else {
            return Err(ProofViewError::NotYet(self.height));
        };
        let header = Header::decode(&unhex("header", header)?)?;
        let certificate = Certificate::decode(&unhex("certificate", certificate)?)?;
        let holds = |holds: bool, what| if holds { Ok(()) } else { Err(ProofViewError::Mismatch(what)) };
        holds(header.chain == *chain, "the header is of another network")?;
        holds(Some(header.height.0) == self.height.checked_add(1), "the header is not of the next height")?;
        holds(header.state_root == self.root, "the header has another state root")?;
        holds(header.validators == validators.digest(), "the header names other validators")?;
        holds(
            certificate.block == header.id() && certificate.height == header.height,
            "the certificate is for another block",
        )?;
        certificate.verify(chain, validators)?;
        Ok(self.root)
    }
}

fn unhex(what: &'static str, text: &str) -> Result<Vec<u8>, ProofViewError> {
    hex::decode(text).map_err(|_| ProofViewError::Hex(what))
}
