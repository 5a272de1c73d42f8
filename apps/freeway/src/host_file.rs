//! The description of a host that its operator sends to whoever makes the genesis.
//!
//! Every operator of a network's first hosts runs `freeway node init`, which writes this file; `freeway genesis
//! new --host FILE` reads one for each. It holds nothing secret.

use std::path::Path;

use freeway_ledger::{GenesisHost, Text};
use freeway_primitives::{Address, Amount, PublicKey};
use serde::{Deserialize, Serialize};

use crate::files::{read_bounded, write_new};
use crate::hints::Problem;

/// Largest file that is read; ours have about 500 bytes.
const MAX_BYTES: u64 = 16 << 10;

/// One first host of a network.
///
/// ```json
/// {
///   "address": "fwy1...",
///   "consensus_key": "64 hex digits",
///   "operator": "Example Ltd",
///   "region": "eu-west",
///   "endpoints": ["https://host.example:7700"],
///   "weight": 1000,
///   "collateral": "1000 FWY"
/// }
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HostFile {
    /// The account that owns the host.
    #[serde(with = "freeway_api::text")]
    pub address: Address,
    /// The key of its votes.
    #[serde(with = "freeway_api::text")]
    pub consensus_key: PublicKey,
    /// Who runs it.
    #[serde(default)]
    pub operator: String,
    /// Where it stands.
    #[serde(default)]
    pub region: String,
    /// Where it can be reached.
    #[serde(default)]
    pub endpoints: Vec<String>,
    /// Its power through epochs 0 and 1, and its weight until it is proven.
    pub weight: u64,
    /// Collateral, taken from the account's balance. A unit of power may need backing, see `freeway genesis
    /// show`.
    #[serde(with = "freeway_api::text::coins")]
    pub collateral: Amount,
}

impl HostFile {
    /// Reads a file.
    ///
    /// # Errors
    /// If it cannot be read, or is no description of a host.
    pub fn read(path: &Path) -> Result<Self, Problem> {
        let bytes = read_bounded(path, MAX_BYTES)?;
        serde_json::from_slice(&bytes).map_err(|error| {
            Problem::new("invalid_host_file", format!("{} does not describe a host: {error}", path.display()))
                .hint("write it anew with `freeway node init`; its operator runs that on the host's machine")
        })
    }

    /// Writes a file; an existing one is kept.
    ///
    /// # Errors
    /// If it cannot be written, or is there already.
    pub fn write(&self, path: &Path) -> Result<(), Problem> {
        let mut json = serde_json::to_vec_pretty(self)
            .map_err(|error| Problem::new("defect", format!("the description cannot be written: {error}")))?;
        json.push(b'\n');
        write_new(path, &json)
    }

    /// As a host of a genesis.
    ///
    /// # Errors
    /// If a text is too long or has control or invisible characters.
    pub fn into_genesis(self) -> Result<GenesisHost, Problem> {
        let text = |text: String| Text::new(text).map_err(|error| invalid_text(&error));
        Ok(GenesisHost {
            address: self.address,
            consensus_key: self.consensus_key,
            weight: self.weight,
            collateral: self.collateral,
            operator: text(self.operator)?,
            region: text(self.region)?,
            endpoints: self.endpoints.into_iter().map(text).collect::<Result<_, _>>()?,
        })
    }
}

/// The error for a text that the ledger would not take.
pub(crate) fn invalid_text(error: &freeway_ledger::TextError) -> Problem {
    Problem::new("invalid_text", error.to_string()).hint("shorten it, and write it in one plain line")
}

#[cfg(test)]
mod tests {
    use super::*;
    use freeway_primitives::SecretKey;

    fn sample() -> HostFile {
        let key = SecretKey::from_seed([1; 32]).public();
        HostFile {
            address: Address::of(&key),
            consensus_key: key,
            operator: "Example Ltd".into(),
            region: "eu".into(),
            endpoints: vec!["http://127.0.0.1:1".into()],
            weight: 7,
            collateral: Amount::fwy(3),
        }
    }

    #[test]
    fn a_file_reads_as_it_was_written_and_is_not_overwritten() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("host.json");
        sample().write(&path).unwrap();
        assert_eq!(HostFile::read(&path).unwrap(), sample());
        assert_eq!(sample().write(&path).unwrap_err().code(), "file_exists");
    }

    #[test]
    fn unknown_fields_and_bad_values_are_refused() {
        let directory = tempfile::tempdir().unwrap();
        let text = serde_json::to_string(&sample()).unwrap();
        for (from, to) in [("\"weight\"", "\"wieght\""), ("3 FWY", "-3 FWY"), ("fwy1", "abc1"), ("{", "[")] {
            let path = directory.path().join("host.json");
            std::fs::write(&path, text.replacen(from, to, 1)).unwrap();
            let problem = HostFile::read(&path).unwrap_err();
            assert!(problem.what_next().is_some(), "{problem}");
        }
    }
}
