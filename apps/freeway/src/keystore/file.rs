//! The JSON of one key, and what is authenticated in it.
//!
//! ```json
//! {
//!   "version": 1,
//!   "name": "alice",
//!   "address": "fwy1...",
//!   "public_key": "64 hex digits",
//!   "created": 1700000000,
//!   "derivation": "m/44'/4609881'/0'",
//!   "kdf": { "function": "scrypt", "log_n": 15, "r": 8, "p": 1, "salt": "64 hex digits" },
//!   "cipher": { "function": "chacha20poly1305", "nonce": "24 hex digits", "ciphertext": "96 hex digits" }
//! }
//! ```
//!
//! The plaintext is the 32-byte ed25519 seed; the key of the cipher is the 32-byte output of scrypt over the
//! passphrase (UTF-8, NFKD). The associated data is `context`: every other field, so that none can be
//! edited and no file can be put in the place of another. `derivation` is absent for a key that came from no
//! words.
//!
//! Each value has one spelling only (small hex digits, no leading zeros): what is authenticated is the value,
//! and with two spellings an edited file could still open.

use std::path::Path;

use freeway_primitives::{Address, PublicKey, SecretKey};
use serde::{Deserialize, Serialize};

use super::cipher::{Sealed, Stretch};
use super::{DerivationPath, KdfError, KdfParams, KeyName, KeystoreError, Passphrase};

/// The version that is written, and the only one that is read.
const VERSION: u32 = 1;
/// The names of the algorithms.
const KDF: &str = "scrypt";
const CIPHER: &str = "chacha20poly1305";
/// Ending of key files.
pub(super) const EXTENSION: &str = "json";
/// Largest file that is read; ours have about 700 bytes.
pub(super) const MAX_FILE_BYTES: u64 = 8192;

/// What is known of a key without its passphrase.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its name in this keystore.
    pub name: KeyName,
    /// Its address.
    pub address: Address,
    /// Its public half.
    pub public_key: PublicKey,
    /// When it was put into the keystore, in seconds since 1970, by the clock of the machine.
    pub created: u64,
    /// How it came from its words; `None` if from none.
    pub path: Option<DerivationPath>,
}

/// What is wrong with a key file.
#[derive(Debug, thiserror::Error)]
pub enum Damage {
    /// Larger than any key file.
    #[error("it is larger than {MAX_FILE_BYTES} bytes")]
    TooLarge,
    /// Empty: a write that a crash cut short.
    #[error("it is empty")]
    Empty,
    /// Not the JSON of a key.
    #[error("it does not read as one ({0})")]
    Json(serde_json::Error),
    /// Of another version of this program.
    #[error("it has version {0}, and this program reads version {VERSION}, so a newer program may be needed")]
    Version(u32),
    /// A field with a value that it cannot have.
    #[error("its field \"{0}\" is not what this program writes there")]
    Field(&'static str),
    /// Key stretching outside the bounds.
    #[error("{0}")]
    Kdf(#[from] KdfError),
    /// The address does not belong to the public key.
    #[error("its address and its public key belong to different keys")]
    Address,
    /// The file of another key.
    #[error("it is the file of the key {0} under another name")]
    OtherName(KeyName),
    /// The passphrase is right, but the secret inside belongs to another public key.
    #[error("the secret in it belongs to another key")]
    Secret,
}

/// A key file, read and checked.
#[derive(Debug)]
pub(super) struct KeyFile {
    entry: Entry,
    stretch: Stretch,
    sealed: Sealed,
}

impl KeyFile {
    /// Encrypts a key, with fresh salt and nonce.
    pub(super) fn seal(
        entry: Entry,
        key: &SecretKey,
        passphrase: &Passphrase,
        params: KdfParams,
    ) -> Result<Self, KeystoreError> {
        let (mut salt, mut nonce) = ([0; _], [0; _]);
        getrandom::fill(&mut salt).map_err(KeystoreError::Randomness)?;
        getrandom::fill(&mut nonce).map_err(KeystoreError::Randomness)?;
        Self::seal_with(entry, key, passphrase, Stretch { params, salt }, nonce)
    }

    fn seal_with(
        entry: Entry,
        key: &SecretKey,
        passphrase: &Passphrase,
        stretch: Stretch,
        nonce: [u8; super::cipher::NONCE_BYTES],
    ) -> Result<Self, KeystoreError> {
        let sealed = stretch
            .seal(passphrase, nonce, key.seed(), context(&entry, &stretch).as_bytes())
            .map_err(|_| KeystoreError::Defect("encrypted"))?;
        Ok(Self { entry, stretch, sealed })
    }

    /// Decrypts the key; `path` is for the error.
    pub(super) fn unseal(&self, path: &Path, passphrase: &Passphrase) -> Result<SecretKey, KeystoreError> {
        let seed = self
            .stretch
            .open(passphrase, &self.sealed, context(&self.entry, &self.stretch).as_bytes())
            .map_err(|_| KeystoreError::WrongPassphrase {
                name: self.entry.name.clone(),
                path: path.to_owned(),
            })?;
        let key = SecretKey::from_seed(*seed);
        // The cipher does not commit to its key: only this makes a file open to one secret at most.
        if key.public() != self.entry.public_key {
            return Err(KeystoreError::Damaged { path: path.to_owned(), damage: Damage::Secret });
        }
        Ok(key)
    }

    /// What is known of the key.
    pub(super) fn into_entry(self) -> Entry {
        self.entry
    }

    /// Whether the file has the name that is written in it.
    pub(super) fn belongs_at(&self, path: &Path) -> Result<(), Damage> {
        match path.file_stem() {
            Some(stem) if stem == self.entry.name.as_str() => Ok(()),
            _ => Err(Damage::OtherName(self.entry.name.clone())),
        }
    }

    /// The content of the file.
    pub(super) fn to_json(&self) -> Result<Vec<u8>, KeystoreError> {
        let Self { entry, stretch, sealed } = self;
        let wire = Wire {
            version: VERSION,
            name: entry.name.to_string(),
            address: entry.address.to_string(),
            public_key: entry.public_key.to_string(),
            created: entry.created,
            derivation: entry.path.as_ref().map(ToString::to_string),
            kdf: WireKdf {
                function: KDF.to_owned(),
                log_n: stretch.params.log_n(),
                r: stretch.params.r(),
                p: stretch.params.p(),
                salt: hex::encode(stretch.salt),
            },
            cipher: WireCipher {
                function: CIPHER.to_owned(),
                nonce: hex::encode(sealed.nonce),
                ciphertext: hex::encode(sealed.ciphertext),
            },
        };
        let mut json =
            serde_json::to_vec_pretty(&wire).map_err(|_| KeystoreError::Defect("written as JSON"))?;
        json.push(b'\n');
        Ok(json)
    }

    /// Reads the content of a file.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, Damage> {
        if bytes.is_empty() {
            return Err(Damage::Empty);
        }
        if bytes.len() as u64 > MAX_FILE_BYTES {
            return Err(Damage::TooLarge);
        }
        // First the version alone: of a newer file, that is what the user should hear about.
        let Versioned { version } = serde_json::from_slice(bytes).map_err(Damage::Json)?;
        if version != VERSION {
            return Err(Damage::Version(version));
        }
        let wire: Wire = serde_json::from_slice(bytes).map_err(Damage::Json)?;
        constant("kdf.function", &wire.kdf.function, KDF)?;
        constant("cipher.function", &wire.cipher.function, CIPHER)?;
        let entry = Entry {
            name: exact("name", &wire.name)?,
            address: exact("address", &wire.address)?,
            public_key: exact("public_key", &wire.public_key)?,
            created: wire.created,
            path: wire.derivation.as_deref().map(|path| exact("derivation", path)).transpose()?,
        };
        if Address::of(&entry.public_key) != entry.address {
            return Err(Damage::Address);
        }
        let params = KdfParams::new(wire.kdf.log_n, wire.kdf.r, wire.kdf.p)?;
        let stretch = Stretch { params, salt: unhex("kdf.salt", &wire.kdf.salt)? };
        let sealed = Sealed {
            nonce: unhex("cipher.nonce", &wire.cipher.nonce)?,
            ciphertext: unhex("cipher.ciphertext", &wire.cipher.ciphertext)?,
        };
        Ok(Self { entry, stretch, sealed })
    }
}

/// The associated data: a line for each field. No value can hold a line break, so no two files have the same.
fn context(entry: &Entry, stretch: &Stretch) -> String {
    let Entry { name, address, public_key, created, path } = entry;
    let Stretch { params, salt } = stretch;
    let path = path.as_ref().map_or_else(|| "none".to_owned(), ToString::to_string);
    format!(
        "freeway keystore\nversion {VERSION}\nname {name}\naddress {address}\npublic_key {public_key}\n\
         created {created}\nderivation {path}\nkdf {KDF} {log_n} {r} {p}\nsalt {salt}\ncipher {CIPHER}\n",
        log_n = params.log_n(),
        r = params.r(),
        p = params.p(),
        salt = hex::encode(salt),
    )
}

#[derive(Deserialize)]
struct Versioned {
    version: u32,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wire {
    version: u32,
    name: String,
    address: String,
    public_key: String,
    created: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    derivation: Option<String>,
    kdf: WireKdf,
    cipher: WireCipher,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WireKdf {
    function: String,
    log_n: u8,
    r: u32,
    p: u32,
    salt: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WireCipher {
    function: String,
    nonce: String,
    ciphertext: String,
}

fn constant(field: &'static str, found: &str, expected: &str) -> Result<(), Damage> {
    if found == expected { Ok(()) } else { Err(Damage::Field(field)) }
}

/// A value in the one spelling in which it is written.
fn exact<T: core::str::FromStr + ToString>(field: &'static str, text: &str) -> Result<T, Damage> {
    text.parse().ok().filter(|value: &T| value.to_string() == text).ok_or(Damage::Field(field))
}

/// Exactly `N` bytes in small hexadecimal digits.
fn unhex<const N: usize>(field: &'static str, text: &str) -> Result<[u8; N], Damage> {
    let mut bytes = [0; N];
    hex::decode_to_slice(text, &mut bytes).map_err(|_| Damage::Field(field))?;
    if hex::encode(bytes) == text { Ok(bytes) } else { Err(Damage::Field(field)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keystore::vectors::random_bytes;

    /// Fixed, so that the file is the same in every run. The cheapest scrypt there is: the tests open it
    /// thousands of times.
    fn sample(path: Option<DerivationPath>) -> (KeyFile, SecretKey, Passphrase) {
        let key = SecretKey::from_seed([7; 32]);
        let entry = Entry {
            name: "alice".parse().unwrap(),
            address: Address::of(&key.public()),
            public_key: key.public(),
            created: 1_700_000_000,
            path,
        };
        let passphrase = Passphrase::new("correct horse").unwrap();
        let stretch = Stretch { params: KdfParams::new(1, 1, 1).unwrap(), salt: random_bytes(1) };
        let file = KeyFile::seal_with(entry, &key, &passphrase, stretch, [9; 12]).unwrap();
        (file, key, passphrase)
    }

    fn open(bytes: &[u8], passphrase: &Passphrase) -> Option<SecretKey> {
        let path = Path::new("alice.json");
        let file = KeyFile::parse(bytes).ok()?;
        file.belongs_at(path).ok()?;
        file.unseal(path, passphrase).ok()
    }

    #[test]
    fn a_file_reads_as_it_was_written() {
        for path in [None, Some(DerivationPath::default())] {
            let (file, key, passphrase) = sample(path);
            let json = file.to_json().unwrap();
            assert_eq!(KeyFile::parse(&json).unwrap().entry, file.entry);
            assert_eq!(open(&json, &passphrase).unwrap().seed(), key.seed());
        }
    }

    /// Pinned: files that people have must stay readable.
    #[test]
    fn the_format_is_frozen() {
        let (file, _, _) = sample(Some(DerivationPath::default()));
        let expected = r#"{
  "version": 1,
  "name": "alice",
  "address": "fwy10enx7eegun5kzydepzc6khfkg8s8dud4q3qs5xa9c0fwp3w4z2yq5fmvrm",
  "public_key": "ea4a6c63e29c520abef5507b132ec5f9954776aebebe7b92421eea691446d22c",
  "created": 1700000000,
  "derivation": "m/44'/4609881'/0'",
  "kdf": {
    "function": "scrypt",
    "log_n": 1,
    "r": 1,
    "p": 1,
    "salt": "cd2662154e6d76b2b2b92e70c0cac3ccf534f9b74eb5b89819ec509083d00a50"
  },
  "cipher": {
    "function": "chacha20poly1305",
    "nonce": "090909090909090909090909",
    "ciphertext": "915dea2e422979072e70d52b6c5c0f24164b883612ad4a28a43a874cba25e353292ffd47b39dec7332c2faaa52887184"
  }
}
"#;
        assert_eq!(String::from_utf8(file.to_json().unwrap()).unwrap(), expected);
    }

    #[test]
    fn the_seed_is_not_in_the_file() {
        let (file, key, _) = sample(None);
        let shown = format!("{} {file:?}", String::from_utf8(file.to_json().unwrap()).unwrap());
        assert!(!shown.contains(&hex::encode(key.seed())[..16]) && !shown.contains("correct horse"));
    }

    /// Every bit of every byte of every value: such a file is refused, or at least never opens.
    #[test]
    fn property_no_changed_value_opens() {
        let (file, _, passphrase) = sample(Some(DerivationPath::default()));
        let json = file.to_json().unwrap();
        let text = String::from_utf8(json.clone()).unwrap();
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        let values = [
            "/version",
            "/name",
            "/address",
            "/public_key",
            "/created",
            "/derivation",
            "/kdf/function",
            "/kdf/log_n",
            "/kdf/r",
            "/kdf/p",
            "/kdf/salt",
            "/cipher/function",
            "/cipher/nonce",
            "/cipher/ciphertext",
        ];
        for pointer in values {
            let field = pointer.rsplit('/').next().unwrap();
            let written = value.pointer(pointer).unwrap().to_string();
            // Two fields are called "function": the value tells them apart.
            let pair = format!("\"{field}\": {written}");
            let start = text.find(&pair).unwrap() + pair.len() - written.len();
            for (at, bit) in (start..start + written.len()).flat_map(|at| (0..8).map(move |bit| (at, bit))) {
                let mut changed = json.clone();
                changed[at] ^= 1 << bit;
                assert!(open(&changed, &passphrase).is_none(), "{pointer}, byte {}, bit {bit}", at - start);
            }
        }
    }

    /// Any byte of the file, also between the values: either it is refused, or it is the same key (another
    /// kind of white space, for example).
    #[test]
    fn property_no_changed_file_opens_to_another_key() {
        let (file, key, passphrase) = sample(None);
        let json = file.to_json().unwrap();
        for at in 0..json.len() {
            assert!(open(&json[..at], &passphrase).is_none() || json[at..] == *b"\n", "cut at {at}");
            for byte in [0, b' ', b'"', b'0', b'}', b',', 0x80, 0xff] {
                let mut changed = json.clone();
                changed[at] = byte;
                if let Some(found) = open(&changed, &passphrase) {
                    assert_eq!(found.seed(), key.seed(), "byte {at}");
                }
            }
        }
    }

    #[test]
    fn values_of_another_file_do_not_fit() {
        let (file, key, passphrase) = sample(None);
        let bob = Entry { name: "bob".parse().unwrap(), ..file.entry.clone() };
        let bob = KeyFile { entry: bob, stretch: file.stretch.clone(), sealed: file.sealed.clone() };
        assert!(matches!(bob.unseal(Path::new(""), &passphrase), Err(KeystoreError::WrongPassphrase { .. })));
        let damage = bob.belongs_at(Path::new("alice.json")).unwrap_err();
        assert!(matches!(&damage, Damage::OtherName(name) if name.as_str() == "bob"), "{damage}");

        // Even a file that was sealed for it: the secret has to fit the public key.
        let other = SecretKey::from_seed([8; 32]);
        let forged = KeyFile::seal(file.entry.clone(), &other, &passphrase, file.stretch.params).unwrap();
        let error = forged.unseal(Path::new(""), &passphrase).unwrap_err();
        assert!(matches!(error, KeystoreError::Damaged { damage: Damage::Secret, .. }));
        assert_ne!(other.public(), key.public());
    }

    #[test]
    fn damage_is_named() {
        let (file, _, _) = sample(None);
        let text = String::from_utf8(file.to_json().unwrap()).unwrap();
        let ask = |from: &str, to: &str| KeyFile::parse(text.replacen(from, to, 1).as_bytes()).unwrap_err();
        assert!(matches!(ask("\"version\": 1", "\"version\": 2, \"new\": 0"), Damage::Version(2)));
        assert!(matches!(ask("\"name\"", "\"nom\""), Damage::Json(_)));
        assert!(matches!(ask("alice", "Alice"), Damage::Field("name")));
        assert!(matches!(ask("scrypt", "argon2"), Damage::Field("kdf.function")));
        assert!(matches!(ask("\"log_n\": 1", "\"log_n\": 60"), Damage::Kdf(_)));
        assert!(matches!(ask("\"created\"", "\"name\": \"bob\", \"created\""), Damage::Json(_)));
        let key = file.entry.public_key.to_string();
        assert!(matches!(ask(&key, &hex::encode([1; 32])), Damage::Address));
        assert!(matches!(KeyFile::parse(b""), Err(Damage::Empty)));
        assert!(matches!(KeyFile::parse(&[b' '; 10_000]), Err(Damage::TooLarge)));
        assert!(matches!(KeyFile::parse("[".repeat(8000).as_bytes()), Err(Damage::Json(_))));
    }
}
