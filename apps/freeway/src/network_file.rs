//! The file by which commands find the network that `freeway up` started.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::files::read_bounded;
use crate::hints::Problem;

/// Its name in the directory of a network.
pub const NAME: &str = "network.json";

/// Largest file that is read.
const MAX_BYTES: u64 = 1 << 20;

/// Where a local network can be reached. Fields that a later version adds are passed over.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetworkFile {
    /// The RPC addresses of its nodes, as URLs.
    pub rpc: Vec<String>,
    /// The processes of its nodes, in the same order.
    #[serde(default)]
    pub pids: Vec<u32>,
    /// The OpenAI interfaces of its nodes, as URLs that end in `/v1`.
    #[serde(default)]
    pub apis: Vec<String>,
    /// The developer's gateway, which pays hosts in lanes; a URL that ends in `/v1`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api: Option<String>,
    /// Its process.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gateway_pid: Option<u32>,
    /// The identity of the network.
    #[serde(default)]
    pub chain: String,
}

impl NetworkFile {
    /// The gateway that people and programs ask: the developer's, else that of the first host.
    pub fn gateway(&self) -> Option<String> {
        self.api.clone().or_else(|| self.apis.first().cloned())
    }

    /// Where the file is in the directory of a network.
    pub fn path_in(directory: &Path) -> PathBuf {
        directory.join(NAME)
    }

    /// Reads the file of the network in `directory`.
    ///
    /// # Errors
    /// If there is none, or it cannot be read.
    pub fn read(directory: &Path) -> Result<Self, Problem> {
        let path = Self::path_in(directory);
        if !path.exists() {
            return Err(Problem::new(
                "no_network",
                format!("there is no network at {}", directory.display()),
            )
            .hint("start one with `freeway up`, join one with `freeway join URL`, or name a node with --rpc URL"));
        }
        serde_json::from_slice(&read_bounded(&path, MAX_BYTES)?).map_err(|error| {
            Problem::new("no_network", format!("{} does not read as a network: {error}", path.display()))
                .hint("start the network again with `freeway up`, or name a node with --rpc URL")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn later_versions_may_add_fields() {
        let directory = tempfile::tempdir().unwrap();
        let text = r#"{"rpc":["http://127.0.0.1:1"],"pids":[1],"chain":"ab","new":{}}"#;
        std::fs::write(NetworkFile::path_in(directory.path()), text).unwrap();
        let read = NetworkFile::read(directory.path()).unwrap();
        assert_eq!((read.rpc.len(), read.pids.as_slice(), read.chain.as_str()), (1, [1].as_slice(), "ab"));
    }

    #[test]
    fn a_missing_network_says_how_to_start_one() {
        let directory = tempfile::tempdir().unwrap();
        let problem = NetworkFile::read(directory.path()).unwrap_err();
        assert_eq!(problem.code(), "no_network");
        assert!(problem.what_next().unwrap().contains("freeway up"));
    }
}
