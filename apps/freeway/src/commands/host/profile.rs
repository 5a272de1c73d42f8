//! What a host says of itself, as options.

use std::path::PathBuf;

use clap::Args;
use freeway_api::HostView;
use freeway_ledger::Text;
use freeway_ledger::hosts::{MAX_ENDPOINTS, Profile};
use freeway_primitives::PublicKey;

use crate::hints::Problem;
use crate::keystore::Keystore;

/// The name of a node's own key.
const NODE_KEY: &str = "node";

/// What a host says of itself. Nothing in it counts as proof.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Profile")]
pub(super) struct ProfileOptions {
    /// The key that signs the host's votes: 64 hexadecimal digits.
    #[arg(long, value_name = "HEX", conflicts_with = "node_dir")]
    consensus_key: Option<PublicKey>,

    /// Take the key `node` in the directory of a node, as `freeway node init` makes it.
    #[arg(long, value_name = "DIR")]
    node_dir: Option<PathBuf>,

    /// Who runs it. Hosts of one operator are capped together.
    #[arg(long, value_name = "NAME", value_parser = text)]
    operator: Option<Text>,

    /// Where it stands.
    #[arg(long, value_name = "NAME", value_parser = text)]
    region: Option<Text>,

    /// Where it can be reached, as a URL; at most four.
    #[arg(long = "endpoint", value_name = "URL", value_parser = text)]
    endpoints: Vec<Text>,

    /// Its machine, for display.
    #[arg(long, value_name = "TEXT", value_parser = text)]
    hardware: Option<Text>,
}

fn text(text: &str) -> Result<Text, String> {
    Text::new(text).map_err(|error| format!("{error}; shorten it, and write it in one plain line"))
}

impl ProfileOptions {
    /// Whether no option was given.
    pub(super) fn is_empty(&self) -> bool {
        self.consensus_key.is_none()
            && self.node_dir.is_none()
            && self.operator.is_none()
            && self.region.is_none()
            && self.endpoints.is_empty()
            && self.hardware.is_none()
    }

    /// The profile of a new host.
    pub(super) fn profile(self) -> Result<Profile, Problem> {
        let key = self.key()?.ok_or_else(|| {
            Problem::usage("a host needs a consensus key")
                .hint("name its node with --node-dir DIR, or give the key with --consensus-key HEX")
        })?;
        self.over(Profile {
            consensus_key: key,
            endpoints: Vec::new(),
            region: Text::default(),
            operator: Text::default(),
            hardware: Text::default(),
        })
    }

    /// The profile of a host with what was given in place of what was there.
    pub(super) fn change(self, host: &HostView) -> Result<Profile, Problem> {
        // From a node, whose words are not signed unread: what the ledger takes, this takes.
        let known = |text: &str| Text::new(text).map_err(|error| crate::host_file::invalid_text(&error));
        let profile = Profile {
            consensus_key: self.key()?.unwrap_or(host.consensus_key),
            endpoints: host.endpoints.iter().map(|text| known(text)).collect::<Result<_, _>>()?,
            region: known(&host.summary.region)?,
            operator: known(&host.summary.operator)?,
            hardware: known(&host.hardware)?,
        };
        self.over(profile)
    }

    fn key(&self) -> Result<Option<PublicKey>, Problem> {
        if let Some(directory) = &self.node_dir {
            let entry = Keystore::open(directory.join("keys"))?.entry(NODE_KEY).map_err(Problem::from);
            return entry.map(|entry| Some(entry.public_key)).map_err(|problem| {
                problem
                    .hint(format!("prepare the node with `freeway node init --home {}`", directory.display()))
            });
        }
        Ok(self.consensus_key)
    }

    fn over(self, base: Profile) -> Result<Profile, Problem> {
        if self.endpoints.len() > MAX_ENDPOINTS {
            let message =
                format!("a host has at most {MAX_ENDPOINTS} endpoints, these are {}", self.endpoints.len());
            return Err(Problem::usage(message).hint("leave some out"));
        }
        if !base.consensus_key.is_valid() {
            return Err(
                Problem::usage("the consensus key is no ed25519 key").hint("copy it again, all 64 digits")
            );
        }
        Ok(Profile {
            consensus_key: base.consensus_key,
            endpoints: if self.endpoints.is_empty() { base.endpoints } else { self.endpoints },
            region: self.region.unwrap_or(base.region),
            operator: self.operator.unwrap_or(base.operator),
            hardware: self.hardware.unwrap_or(base.hardware),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use freeway_primitives::SecretKey;

    fn key(seed: u8) -> PublicKey {
        SecretKey::from_seed([seed; 32]).public()
    }

    #[test]
    fn a_new_host_needs_a_key_and_nothing_else() {
        let problem = ProfileOptions::default().profile().unwrap_err();
        assert!(problem.what_next().unwrap().contains("--node-dir"), "{problem}");
        let options = ProfileOptions { consensus_key: Some(key(1)), ..ProfileOptions::default() };
        assert_eq!(options.profile().unwrap().consensus_key, key(1));
        // About half of all strings are no point of the curve.
        let invalid = (0..).map(|byte| PublicKey([byte; 32])).find(|key| !key.is_valid());
        let options = ProfileOptions { consensus_key: invalid, ..ProfileOptions::default() };
        assert!(options.profile().unwrap_err().message().contains("no ed25519 key"));
    }

    #[test]
    fn what_is_not_given_stays() {
        let before = Profile {
            consensus_key: key(1),
            endpoints: vec![text("http://a").unwrap()],
            region: text("eu").unwrap(),
            operator: text("me").unwrap(),
            hardware: text("gpu").unwrap(),
        };
        let options = ProfileOptions { region: Some(text("us").unwrap()), ..ProfileOptions::default() };
        assert!(!options.is_empty() && ProfileOptions::default().is_empty());
        let after = options.over(before.clone()).unwrap();
        assert_eq!(after, Profile { region: text("us").unwrap(), ..before.clone() });
        let many = ProfileOptions { endpoints: vec![text("x").unwrap(); 5], ..ProfileOptions::default() };
        assert!(many.over(before).is_err());
    }
}
