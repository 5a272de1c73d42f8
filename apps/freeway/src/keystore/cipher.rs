//! scrypt and ChaCha20-Poly1305: from a passphrase to an encrypted seed and back.

use chacha20poly1305::aead::AeadInOut;
use chacha20poly1305::{ChaCha20Poly1305, KeyInit};
use zeroize::Zeroizing;

use super::Passphrase;

/// Bytes of an ed25519 seed.
pub(super) const SEED_BYTES: usize = 32;
/// Bytes of a salt: never the same for two files.
pub(super) const SALT_BYTES: usize = 32;
/// Bytes of a nonce.
pub(super) const NONCE_BYTES: usize = 12;
/// Bytes of an encrypted seed: the seed and the tag.
pub(super) const CIPHERTEXT_BYTES: usize = SEED_BYTES + 16;

/// Most memory that opening a key may take. A key file is input like any other: without this, one that
/// somebody slipped in could end the process by asking for all the memory there is.
const MAX_MEMORY_BYTES: u64 = 1 << 30;
/// Most memory traffic that opening a key may cause, which bounds its time (some seconds).
const MAX_WORK_BYTES: u64 = 4 << 30;
/// scrypt mixes blocks of this many bytes, times `r`.
const BLOCK_BYTES: u64 = 128;

/// How much work it is to try one passphrase: the parameters of scrypt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KdfParams {
    log_n: u8,
    r: u32,
    p: u32,
}

/// scrypt parameters that are out of bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the key stretching (scrypt log_n {}, r {}, p {}) is outside the bounds of this program: at least 1 \
     each, at most 1 GiB of memory and 4 GiB of work", params.log_n, params.r, params.p
)]
pub struct KdfError {
    params: KdfParams,
}

impl KdfParams {
    /// N = 2^15, r = 8, p = 1: 32 MiB and about a tenth of a second for each try.
    pub const DEFAULT: Self = Self { log_n: 15, r: 8, p: 1 };

    /// Parameters with N = 2^`log_n`. Memory is 128 · N · r bytes, and time grows with N · r · p.
    ///
    /// # Errors
    /// [`KdfError`] for a zero, more than 1 GiB of memory, or work of more than 4 GiB.
    pub const fn new(log_n: u8, r: u32, p: u32) -> Result<Self, KdfError> {
        let params = Self { log_n, r, p };
        if params.is_bounded() { Ok(params) } else { Err(KdfError { params }) }
    }

    /// The binary logarithm of N.
    pub const fn log_n(&self) -> u8 {
        self.log_n
    }

    /// The block size.
    pub const fn r(&self) -> u32 {
        self.r
    }

    /// How many times the work is done, one after the other.
    pub const fn p(&self) -> u32 {
        self.p
    }

    /// Within these bounds, nothing in the library's own checks can overflow.
    const fn is_bounded(&self) -> bool {
        let Self { log_n, r, p } = *self;
        if log_n == 0 || r == 0 || p == 0 || log_n >= u64::BITS as u8 {
            return false;
        }
        let Some(row) = BLOCK_BYTES.checked_mul(r as u64) else { return false };
        let Some(memory) = row.checked_mul(1 << log_n) else { return false };
        let Some(work) = memory.checked_mul(p as u64) else { return false };
        memory <= MAX_MEMORY_BYTES && work <= MAX_WORK_BYTES
    }
}

const _: () = assert!(KdfParams::DEFAULT.is_bounded());

impl Default for KdfParams {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// What is needed besides the passphrase to get the key of the cipher.
#[derive(Clone, Debug)]
pub(super) struct Stretch {
    pub(super) params: KdfParams,
    pub(super) salt: [u8; SALT_BYTES],
}

/// An encrypted seed.
#[derive(Clone, Debug)]
pub(super) struct Sealed {
    pub(super) nonce: [u8; NONCE_BYTES],
    pub(super) ciphertext: [u8; CIPHERTEXT_BYTES],
}

/// The cipher would not do its work. For sealing a defect of this program; for opening the normal answer to a
/// wrong passphrase.
#[derive(Debug)]
pub(super) struct Refused;

impl Stretch {
    fn cipher(&self, passphrase: &Passphrase) -> Result<ChaCha20Poly1305, Refused> {
        let mut key = Zeroizing::new([0; 32]);
        let KdfParams { log_n, r, p } = self.params;
        let params = scrypt::Params::new(log_n, r, p).map_err(|_| Refused)?;
        scrypt::scrypt(passphrase.as_str().as_bytes(), &self.salt, &params, &mut *key)
            .map_err(|_| Refused)?;
        Ok(ChaCha20Poly1305::new((&*key).into()))
    }

    /// Encrypts `seed`. `context` is not stored with it, but has to be the same to open it.
    pub(super) fn seal(
        &self,
        passphrase: &Passphrase,
        nonce: [u8; NONCE_BYTES],
        seed: &[u8; SEED_BYTES],
        context: &[u8],
    ) -> Result<Sealed, Refused> {
        // Room for the tag from the start: a growing vector would leave a copy of the seed behind.
        let mut buffer = Zeroizing::new(Vec::with_capacity(CIPHERTEXT_BYTES));
        buffer.extend_from_slice(seed);
        self.cipher(passphrase)?
            .encrypt_in_place((&nonce).into(), context, &mut *buffer)
            .map_err(|_| Refused)?;
        let ciphertext = buffer.as_slice().try_into().map_err(|_| Refused)?;
        Ok(Sealed { nonce, ciphertext })
    }

    /// Decrypts a seed.
    pub(super) fn open(
        &self,
        passphrase: &Passphrase,
        sealed: &Sealed,
        context: &[u8],
    ) -> Result<Zeroizing<[u8; SEED_BYTES]>, Refused> {
        let mut buffer = Zeroizing::new(sealed.ciphertext.to_vec());
        self.cipher(passphrase)?
            .decrypt_in_place((&sealed.nonce).into(), context, &mut *buffer)
            .map_err(|_| Refused)?;
        buffer.as_slice().try_into().map(Zeroizing::new).map_err(|_| Refused)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_parameters_are_refused() {
        let ok = |log_n, r, p| KdfParams::new(log_n, r, p).is_ok();
        assert!(ok(1, 1, 1) && ok(15, 8, 1) && ok(17, 8, 1) && ok(20, 8, 1) && ok(20, 8, 4) && ok(23, 1, 1));
        assert!(!ok(0, 8, 1) && !ok(15, 0, 1) && !ok(15, 8, 0));
        assert!(!ok(21, 8, 1) && !ok(20, 9, 1) && !ok(24, 1, 1) && !ok(20, 8, 5));
        for extreme in [30, 63, 64, 255] {
            assert!(!ok(extreme, 8, 1));
        }
        for extreme in [1 << 24, u32::MAX / 2, u32::MAX] {
            assert!(!ok(15, extreme, 1) && !ok(15, 8, extreme) && !ok(1, extreme, extreme));
        }
    }

    #[test]
    fn only_the_same_passphrase_and_context_open() {
        let stretch = Stretch { params: KdfParams::new(1, 1, 1).unwrap(), salt: [3; SALT_BYTES] };
        let [right, wrong] = ["right", "wrong"].map(|text| Passphrase::new(text).unwrap());
        let sealed = stretch.seal(&right, [1; NONCE_BYTES], &[7; SEED_BYTES], b"context").unwrap();
        assert_eq!(*stretch.open(&right, &sealed, b"context").unwrap(), [7; SEED_BYTES]);
        assert!(stretch.open(&wrong, &sealed, b"context").is_err());
        assert!(stretch.open(&right, &sealed, b"contexT").is_err());
    }
}
