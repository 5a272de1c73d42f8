//! ed25519 keys and signatures, always under a domain and a chain.
//!
//! Verification follows ZIP-215, under which a batch accepts exactly what single verification accepts: nodes
//! that batch and nodes that do not can never disagree about a block.

use core::fmt;
use core::str::FromStr;

use borsh::{BorshDeserialize, BorshSerialize};
use ed25519_zebra::{SigningKey, VerificationKey, VerificationKeyBytes, batch};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use zeroize::Zeroize;

use crate::{Canonical, ChainId, Digest, Domain};

/// A public key: 32 bytes as in RFC 8032. May be no valid curve point; then no signature verifies under it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize, BorshDeserialize)]
pub struct PublicKey(pub [u8; 32]);

impl PublicKey {
    /// The bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Whether the bytes are a curve point at all.
    pub fn is_valid(&self) -> bool {
        VerificationKey::try_from(self.0).is_ok()
    }

    /// Checks a signature over a raw message. Protocol types use [`PublicKey::verify`].
    ///
    /// # Errors
    /// [`InvalidSignature`] if it does not verify.
    pub fn verify_raw(&self, message: &[u8], signature: &Signature) -> Result<(), InvalidSignature> {
        VerificationKey::try_from(self.0)
            .and_then(|key| key.verify(&ed25519_zebra::Signature::from_bytes(&signature.0), message))
            .map_err(|_| InvalidSignature)
    }

    /// Checks a signature over `value` for `chain`.
    ///
    /// # Errors
    /// [`InvalidSignature`] if it does not verify.
    pub fn verify<T: Canonical>(
        &self,
        domain: Domain,
        chain: &ChainId,
        value: &T,
        signature: &Signature,
    ) -> Result<(), InvalidSignature> {
        self.verify_raw(signing_digest(domain, chain, &value.encode()).as_bytes(), signature)
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(&self.0[..6]))
    }
}

/// A string or bytes that are not a key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a key has 64 hexadecimal digits")]
pub struct KeyError;

impl FromStr for PublicKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut bytes = [0; 32];
        hex::decode_to_slice(text, &mut bytes).map_err(|_| KeyError)?;
        Ok(Self(bytes))
    }
}

/// A signature as in RFC 8032.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize, BorshDeserialize)]
pub struct Signature(pub [u8; 64]);

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(&self.0[..6]))
    }
}

/// A signature that does not verify.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the signature does not verify")]
pub struct InvalidSignature;

/// A secret key. Wiped when dropped; never shown.
pub struct SecretKey {
    seed: [u8; 32],
    public: PublicKey,
}

impl SecretKey {
    /// The key of a 32-byte seed (RFC 8032, section 5.1.5).
    pub fn from_seed(seed: [u8; 32]) -> Self {
        let public = PublicKey(VerificationKeyBytes::from(&SigningKey::from(seed)).into());
        Self { seed, public }
    }

    /// A further secret for another purpose, from which this one cannot be computed.
    pub fn derive(&self, domain: Domain) -> Self {
        Self::from_seed(self.derive_bytes(domain))
    }

    /// As [`SecretKey::derive`], as bytes for keys of another kind (the transport identity of a node).
    pub fn derive_bytes(&self, domain: Domain) -> [u8; 32] {
        Digest::of(domain, &self.seed).0
    }

    /// The seed, for the encrypted keystore.
    pub fn seed(&self) -> &[u8; 32] {
        &self.seed
    }

    /// The public half.
    pub const fn public(&self) -> PublicKey {
        self.public
    }

    /// Signs a raw message. Protocol types use [`SecretKey::sign`].
    pub fn sign_raw(&self, message: &[u8]) -> Signature {
        Signature(SigningKey::from(self.seed).sign(message).to_bytes())
    }

    /// Signs `value` for `chain`.
    pub fn sign<T: Canonical>(&self, domain: Domain, chain: &ChainId, value: &T) -> Signature {
        self.sign_raw(signing_digest(domain, chain, &value.encode()).as_bytes())
    }
}

impl Clone for SecretKey {
    fn clone(&self) -> Self {
        Self { seed: self.seed, public: self.public }
    }
}

impl Drop for SecretKey {
    fn drop(&mut self) {
        self.seed.zeroize();
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretKey(of {:?})", self.public)
    }
}

/// What is signed for a value: a digest of the domain, the chain and the canonical bytes.
pub fn signing_digest(domain: Domain, chain: &ChainId, bytes: &[u8]) -> Digest {
    let mut hasher = domain.hasher();
    hasher.update(chain.0.as_bytes()).update(bytes);
    Digest(*hasher.finalize().as_bytes())
}

/// One signature of a batch.
#[derive(Clone, Copy, Debug)]
pub struct BatchItem {
    /// Who signed.
    pub key: PublicKey,
    /// What was signed (see [`signing_digest`]).
    pub message: Digest,
    /// The signature.
    pub signature: Signature,
}

/// Checks many signatures at once, about twice as fast as one by one.
///
/// The blinding factors come from the digest of the whole batch, so that the function needs no randomness from
/// outside and a signer cannot choose a signature that fits them.
///
/// # Errors
/// [`InvalidSignature`] if at least one does not verify; the caller finds it by checking one by one.
pub fn verify_batch(items: &[BatchItem]) -> Result<(), InvalidSignature> {
    const BLINDING: Domain = Domain::new("freeway 1 batch verification");
    let mut transcript = BLINDING.hasher();
    let mut verifier = batch::Verifier::new();
    for item in items {
        transcript.update(&item.key.0).update(&item.message.0).update(&item.signature.0);
        verifier.queue((
            VerificationKeyBytes::from(item.key.0),
            ed25519_zebra::Signature::from_bytes(&item.signature.0),
            item.message.as_bytes(),
        ));
    }
    let rng = ChaCha8Rng::from_seed(*transcript.finalize().as_bytes());
    verifier.verify(rng).map_err(|_| InvalidSignature)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const DOMAIN: Domain = Domain::new("freeway 1 test");

    fn item(seed: u8, text: &[u8]) -> BatchItem {
        let secret = SecretKey::from_seed([seed; 32]);
        let message = Digest::of(DOMAIN, text);
        BatchItem { key: secret.public(), message, signature: secret.sign_raw(message.as_bytes()) }
    }

    #[test]
    fn secret_keys_are_not_shown() {
        let secret = SecretKey::from_seed([7; 32]);
        assert!(!format!("{secret:?}").contains(&hex::encode([7; 8])));
    }

    #[test]
    fn an_empty_batch_is_valid() {
        assert_eq!(verify_batch(&[]), Ok(()));
    }

    #[test]
    fn a_signature_is_bound_to_domain_and_chain() {
        let secret = SecretKey::from_seed([1; 32]);
        let (here, there) = (ChainId(Digest([1; 32])), ChainId(Digest([2; 32])));
        let message = signing_digest(DOMAIN, &here, b"x");
        let signature = secret.sign_raw(message.as_bytes());
        let check = |digest: Digest| secret.public().verify_raw(digest.as_bytes(), &signature);
        assert_eq!(check(message), Ok(()));
        assert_eq!(check(signing_digest(DOMAIN, &there, b"x")), Err(InvalidSignature));
        assert_eq!(check(signing_digest(Domain::new("freeway 1 other"), &here, b"x")), Err(InvalidSignature));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn one_bad_signature_fails_the_batch(count in 1usize..20, bad in 0usize..20, bit in 0usize..512) {
            let mut items: Vec<_> = (0..count as u8).map(|i| item(i, &[i, 1])).collect();
            prop_assert_eq!(verify_batch(&items), Ok(()));
            let bad = bad % count;
            items[bad].signature.0[bit / 8] ^= 1 << (bit % 8);
            let single = items[bad].key.verify_raw(items[bad].message.as_bytes(), &items[bad].signature);
            prop_assert_eq!(verify_batch(&items), single);
            prop_assert!(single.is_err());
        }
    }
}
