//! The configuration of a gateway that pays hosts of a network for its answers: a file of its own.

use std::path::{Path, PathBuf};

use freeway_primitives::{Address, Amount};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{ConfigError, ConfigKind, GatewayConfig, KeyConfig, read_text};

/// The most nodes, models, regions and operators that a file names.
const MAX_NAMES: usize = 64;
/// The most hosts of a lane, whatever a network allows.
const MAX_HOSTS: u8 = 16;

/// What `freeway gateway --config` reads. Relative paths count from the file's folder.
///
/// ```toml
/// [gateway]
/// listen = "127.0.0.1:8700"
/// keys = "api-key"
///
/// [lanes]
/// rpc = ["http://127.0.0.1:7700"]
/// models = ["guide"]
/// escrow = "10 FWY"
/// budget = "1000 FWY"
///
/// [lanes.key]
/// keystore = "keys"
/// name = "developer"
/// ```
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct GatewayFile {
    /// The OpenAI interface, and the engine of this machine.
    pub gateway: GatewayConfig,
    /// How hosts are paid; without it the gateway answers with this machine's engine alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lanes: Option<LanesConfig>,
}

/// How a gateway pays hosts.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LanesConfig {
    /// Nodes of the network, as URLs; if one is silent, the next is asked.
    pub rpc: Vec<String>,
    /// The network, by its identity; learned from the nodes if it is not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chain: Option<String>,
    /// The account that pays, if the key is not its own but may act for it with the scope `lane`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// The models that hosts are paid for, by their names on the network or roots. They must be in the folder of
    /// packages too: text becomes tokens here.
    #[serde(default = "GatewayConfig::default_serve")]
    pub models: Vec<String>,
    /// Hosts of each lane.
    #[serde(default = "LanesConfig::default_hosts")]
    pub hosts: u8,
    /// What a lane is filled with at a time.
    #[serde(with = "freeway_api::text::coins", default = "LanesConfig::default_escrow")]
    #[schema(value_type = String, format = "amount")]
    pub escrow: Amount,
    /// The most that is spent in all, from the first start on.
    #[serde(with = "freeway_api::text::coins", default = "LanesConfig::default_budget")]
    #[schema(value_type = String, format = "amount")]
    pub budget: Amount,
    /// Blocks until a lane closes by itself; a new one is opened before.
    #[serde(default = "LanesConfig::default_lifetime")]
    pub lifetime: u64,
    /// Only hosts in one of these regions.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub regions: Vec<String>,
    /// Only hosts of one of these operators.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub operators: Vec<String>,
    /// Where lanes, receipts and the key of vouchers are kept.
    #[serde(default = "LanesConfig::default_data")]
    #[schema(value_type = String, format = "path")]
    pub data: PathBuf,
    /// Answer with this machine's engine, free of charge and without receipt, while no lane is open.
    #[serde(default)]
    pub fallback: bool,
    /// Ask hosts at private and loopback addresses as well: for networks of one machine or one organisation.
    #[serde(default)]
    pub allow_private: bool,
    /// The key that opens lanes.
    pub key: KeyConfig,
}

impl LanesConfig {
    /// Enough that one may fail.
    pub fn default_hosts() -> u8 {
        3
    }

    /// Ten coins.
    pub fn default_escrow() -> Amount {
        Amount::fwy(10)
    }

    /// A hundred coins.
    pub fn default_budget() -> Amount {
        Amount::fwy(100)
    }

    /// Some hours at the pace of a block a second.
    pub fn default_lifetime() -> u64 {
        20_000
    }

    /// Beside the file.
    pub fn default_data() -> PathBuf {
        "data".into()
    }

    /// The account, parsed.
    ///
    /// # Errors
    /// If it is not an address.
    pub fn account(&self) -> Result<Option<Address>, String> {
        let parse = |text: &String| text.parse().map_err(|error| format!("lanes.account: {error}"));
        self.account.as_ref().map(parse).transpose()
    }

    fn check(&self) -> Result<(), String> {
        self.account()?;
        if self.rpc.is_empty() || self.rpc.len() > MAX_NAMES {
            return Err(format!("lanes.rpc must have from 1 to {MAX_NAMES} URLs of nodes"));
        }
        if self.models.is_empty() || self.models.len() > MAX_NAMES {
            return Err(format!("lanes.models must have from 1 to {MAX_NAMES} models"));
        }
        if !(1..=MAX_HOSTS).contains(&self.hosts) {
            return Err(format!("lanes.hosts must be from 1 to {MAX_HOSTS}"));
        }
        if self.escrow.is_zero() || self.escrow > self.budget {
            return Err("lanes.escrow must be more than nothing and at most lanes.budget".into());
        }
        if self.lifetime == 0 {
            return Err("lanes.lifetime must be at least one block".into());
        }
        for (name, list) in [("lanes.regions", &self.regions), ("lanes.operators", &self.operators)] {
            if list.len() > freeway_ledger::lanes::MAX_CONSTRAINTS {
                let most = freeway_ledger::lanes::MAX_CONSTRAINTS;
                return Err(format!("{name} may have {most} entries at most"));
            }
        }
        Ok(())
    }

    fn resolve(&mut self, folder: &Path) {
        let paths = [&mut self.data, &mut self.key.keystore];
        for relative in paths.into_iter().chain(self.key.passphrase_file.as_mut()) {
            *relative = folder.join(&relative);
        }
    }
}

impl GatewayFile {
    /// Reads a file; relative paths in the result count from its folder.
    ///
    /// # Errors
    /// [`ConfigError`] if it cannot be read or has an unknown or malformed key.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let text = read_text(path, ConfigKind::Gateway)?;
        let mut file =
            Self::parse(&text).map_err(|detail| ConfigError::Invalid { path: path.to_owned(), detail })?;
        let folder = path.parent().unwrap_or(Path::new("."));
        file.gateway.resolve(folder);
        if let Some(lanes) = &mut file.lanes {
            lanes.resolve(folder);
        }
        Ok(file)
    }

    /// Parses a file.
    ///
    /// # Errors
    /// A description with line and key.
    pub fn parse(text: &str) -> Result<Self, String> {
        let file: Self = toml::from_str(text).map_err(|error| error.to_string().trim_end().to_owned())?;
        file.check()?;
        Ok(file)
    }

    /// What makes no sense, in words.
    ///
    /// # Errors
    /// Names the key.
    pub fn check(&self) -> Result<(), String> {
        self.gateway.check()?;
        self.lanes.as_ref().map_or(Ok(()), LanesConfig::check)
    }

    /// The file as text.
    pub fn to_toml(&self) -> String {
        toml::to_string_pretty(self).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = r#"
[gateway]
listen = "127.0.0.1:8700"
[lanes]
rpc = ["http://127.0.0.1:7700"]
escrow = "2 FWY"
[lanes.key]
keystore = "keys"
name = "developer"
"#;

    #[test]
    fn what_is_written_reads_back() {
        let file = GatewayFile::parse(FILE).unwrap();
        let again = GatewayFile::parse(&file.to_toml()).unwrap();
        assert_eq!(file.to_toml(), again.to_toml());
        let lanes = again.lanes.unwrap();
        assert_eq!((lanes.escrow, lanes.hosts, lanes.fallback), (Amount::fwy(2), 3, false));
        let alone = GatewayFile::parse("[gateway]\nlisten = \"127.0.0.1:1\"\n").unwrap();
        assert!(alone.lanes.is_none());
    }

    #[test]
    fn mistakes_are_named() {
        for (from, to, named) in [
            ("escrow = \"2 FWY\"", "escrow = \"200 FWY\"", "lanes.budget"),
            ("escrow = \"2 FWY\"", "escrow = \"2\"", "escrow"),
            ("escrow = \"2 FWY\"", "hosts = 17", "lanes.hosts"),
            ("escrow = \"2 FWY\"", "account = \"fwy1x\"", "lanes.account"),
            ("escrow = \"2 FWY\"", "colour = 3", "colour"),
            ("[\"http://127.0.0.1:7700\"]", "[]", "lanes.rpc"),
        ] {
            let error = GatewayFile::parse(&FILE.replace(from, to)).unwrap_err();
            assert!(error.contains(named), "{error}");
        }
    }
}
