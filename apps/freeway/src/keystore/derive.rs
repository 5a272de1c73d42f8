//! From the seed of a mnemonic to one ed25519 key: SLIP-0010, hardened steps only.

use core::fmt;
use core::str::FromStr;

use freeway_primitives::SecretKey;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha512;
use zeroize::{Zeroize, Zeroizing};

/// The coin type in Freeway's derivation paths: `FWY` in ASCII. It is **not registered in SLIP-44**; a
/// registration under another number would make this the path of old keys, which stays readable since every
/// file records its own.
pub const COIN_TYPE: u32 = 0x46_57_59;

/// The purpose field of BIP-44.
const PURPOSE: u32 = 44;
/// Set in an index of a hardened step; ed25519 has no other steps.
const HARDENED: u32 = 1 << 31;
/// Longest path. Ours have three steps; imported ones rarely more than five.
const MAX_STEPS: usize = 10;
/// The HMAC key of the master key, given by SLIP-0010.
const MASTER_KEY: &[u8] = b"ed25519 seed";

/// Which key of a mnemonic is meant, such as `m/44'/4609881'/0'`. Every step is hardened.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct DerivationPath {
    /// The indices without the hardening bit.
    steps: Vec<u32>,
}

impl DerivationPath {
    /// The path of the n-th Freeway account of a mnemonic.
    pub fn account(index: u16) -> Self {
        Self { steps: vec![PURPOSE, COIN_TYPE, u32::from(index)] }
    }

    /// The key at this path below a seed.
    pub(super) fn key_of(&self, seed: &[u8]) -> SecretKey {
        let node = self.steps.iter().fold(Node::master(seed), |node, &step| node.child(step));
        SecretKey::from_seed(*node.key)
    }
}

impl Default for DerivationPath {
    fn default() -> Self {
        Self::account(0)
    }
}

impl fmt::Display for DerivationPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("m")?;
        self.steps.iter().try_for_each(|step| write!(f, "/{step}'"))
    }
}

/// A string that is no derivation path of ed25519.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{shown:?} is not a derivation path; write it as {example}: every step a number below 2^31 with a ' after \
     it, at most {MAX_STEPS} steps",
    example = DerivationPath::default()
)]
pub struct PathError {
    /// The beginning of what was given.
    shown: String,
}

impl FromStr for DerivationPath {
    type Err = PathError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parse = || {
            let mut parts = text.split('/');
            let root = parts.next().filter(|root| *root == "m");
            let steps: Option<Vec<u32>> = parts.take(MAX_STEPS + 1).map(step).collect();
            root.and(steps).filter(|steps| steps.len() <= MAX_STEPS)
        };
        parse()
            .map(|steps| Self { steps })
            .ok_or_else(|| PathError { shown: text.chars().take(60).collect() })
    }
}

/// One step of a path; some wallets write `h` for the sign of a hardened step.
fn step(text: &str) -> Option<u32> {
    let digits = text.strip_suffix(['\'', 'h'])?;
    // `u32::from_str` would take a plus sign.
    let plain = digits.bytes().all(|byte| byte.is_ascii_digit());
    digits.parse().ok().filter(|index| plain && *index < HARDENED)
}

/// A private key with its chain code.
struct Node {
    key: Zeroizing<[u8; 32]>,
    chain_code: Zeroizing<[u8; 32]>,
}

impl Node {
    fn master(seed: &[u8]) -> Self {
        Self::from_hmac(MASTER_KEY, &[seed])
    }

    fn child(&self, step: u32) -> Self {
        let index = step | HARDENED;
        Self::from_hmac(&*self.chain_code, &[&[0], &*self.key, &index.to_be_bytes()])
    }

    /// HMAC-SHA512, split in two halves.
    fn from_hmac(key: &[u8], data: &[&[u8]]) -> Self {
        // HMAC fills a key up to a block with zeros. Doing so here leaves no length that could be refused.
        let mut block = Zeroizing::new([0; 128]);
        block.iter_mut().zip(key).for_each(|(to, from)| *to = *from);
        let mut mac = <Hmac<Sha512> as KeyInit>::new((&*block).into());
        data.iter().for_each(|part| mac.update(part));
        let mut output = mac.finalize().into_bytes();
        let mut node = Self { key: Zeroizing::default(), chain_code: Zeroizing::default() };
        let (left, right) = output.split_at(32);
        node.key.copy_from_slice(left);
        node.chain_code.copy_from_slice(right);
        output.as_mut_slice().zeroize();
        node
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keystore::vectors::SLIP_0010;

    #[test]
    fn slip_0010_vectors() {
        for (seed, chain) in SLIP_0010 {
            let seed = hex::decode(seed).unwrap();
            for (path, chain_code, private, public) in chain {
                let path: DerivationPath = path.parse().unwrap();
                let node = path.steps.iter().fold(Node::master(&seed), |node, &step| node.child(step));
                assert_eq!(hex::encode(*node.key), private, "{path}");
                assert_eq!(hex::encode(*node.chain_code), chain_code, "{path}");
                let key = path.key_of(&seed);
                assert_eq!(hex::encode(key.seed()), private, "{path}");
                // The vectors put a zero byte before ed25519 keys to give all curves one length.
                assert_eq!(format!("00{}", key.public()), public, "{path}");
            }
        }
    }

    #[test]
    fn paths_print_as_they_parse() {
        for text in ["m", "m/44'/4609881'/0'", "m/2147483647'", "m/1'/2'/3'/4'/5'/6'/7'/8'/9'/10'"] {
            assert_eq!(text.parse::<DerivationPath>().unwrap().to_string(), text);
        }
        assert_eq!("m/44h/4609881h/7h".parse(), Ok(DerivationPath::account(7)));
        assert_eq!(&COIN_TYPE.to_be_bytes()[1..], b"FWY");
    }

    #[test]
    fn other_text_is_no_path() {
        let long = format!("m{}", "/0'".repeat(100_000));
        for text in [
            "",
            "M",
            "44'/0'",
            "m/",
            "m/0",
            "m/0'/",
            "m//0'",
            "m/2147483648'",
            "m/+1'",
            "m/-1'",
            "m/'",
            "m/1'/2'/3'/4'/5'/6'/7'/8'/9'/10'/11'",
            "m/0''",
            "m/0’",
            &long,
        ] {
            assert!(text.parse::<DerivationPath>().is_err(), "{text:.40}");
        }
    }
}
