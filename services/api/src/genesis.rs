//! The genesis file: everything that defines a network, as JSON that people can read and write.
//!
//! ```json
//! {
//!   "name": "freeway-local",
//!   "time_ms": 1767225600000,
//!   "preset": "local",
//!   "parameters": { "blocks": { "target_ms": 500 } },
//!   "accounts": [{ "address": "fwy1...", "balance": "1000 FWY" }],
//!   "hosts": [{ "address": "fwy1...", "consensus_key": "<hex>", "weight": 1000, "collateral": "10 FWY",
//!               "operator": "me", "region": "home", "endpoints": [] }]
//! }
//! ```
//!
//! `parameters` overrides the preset where it says so; without a preset it must be complete. A file that this
//! crate writes has all parameters and the network's identity, `chain`, which is checked when it is read again:
//! whoever edits such a file removes that line, and has made another network.

use freeway_ledger::{Genesis, GenesisAccount, GenesisError, GenesisHost, Params, Preset, Text};
use freeway_primitives::{Address, Amount, ChainId, PublicKey};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use crate::parameters::ParamsView;

/// The longest genesis file in bytes.
pub const MAX_JSON_BYTES: usize = 64 << 20;

/// A genesis file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct GenesisFile {
    /// The network's identity: the digest of everything below.
    #[serde(default, with = "crate::text::option", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub chain: Option<ChainId>,
    /// The network's name.
    pub name: String,
    /// When it was made, in milliseconds since 1970.
    pub time_ms: u64,
    /// The parameters to start from: `local` or `main`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "local")]
    pub preset: Option<String>,
    /// Parameters that differ from the preset's, or all; see `/v1/parameters` for their names.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    #[schema(value_type = Object)]
    pub parameters: Value,
    /// The first owners.
    pub accounts: Vec<AccountEntry>,
    /// The first hosts.
    pub hosts: Vec<HostEntry>,
}

/// A first owner.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AccountEntry {
    /// The account.
    #[serde(with = "crate::text")]
    #[schema(value_type = String)]
    pub address: Address,
    /// Its balance, with unit.
    #[serde(with = "crate::text::coins")]
    #[schema(value_type = String, example = "12.5 FWY")]
    pub balance: Amount,
}

/// A first host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct HostEntry {
    /// The account that owns it.
    #[serde(with = "crate::text")]
    #[schema(value_type = String)]
    pub address: Address,
    /// The key of its votes.
    #[serde(with = "crate::text")]
    #[schema(value_type = String)]
    pub consensus_key: PublicKey,
    /// Its weight until it is proven.
    pub weight: u64,
    /// Collateral, taken from the account's balance; with unit.
    #[serde(with = "crate::text::coins")]
    #[schema(value_type = String, example = "10 FWY")]
    pub collateral: Amount,
    /// Who runs it.
    #[serde(default)]
    pub operator: String,
    /// Where it stands.
    #[serde(default)]
    pub region: String,
    /// Where it can be reached.
    #[serde(default)]
    pub endpoints: Vec<String>,
}

/// Why a genesis file defines no network.
#[derive(Debug, thiserror::Error)]
pub enum GenesisFileError {
    /// Too long.
    #[error("a genesis file has at most {MAX_JSON_BYTES} bytes, this has {0}")]
    TooLarge(usize),
    /// Not JSON, or not of this form.
    #[error("not a genesis file: {0}")]
    Json(#[from] serde_json::Error),
    /// The preset does not exist.
    #[error(transparent)]
    Preset(#[from] freeway_ledger::UnknownPreset),
    /// A parameter that does not exist.
    #[error("there is no parameter {name}; here there are: {known}")]
    UnknownParameter {
        /// The name in the file.
        name: String,
        /// The names that could stand there.
        known: String,
    },
    /// A parameter is missing.
    #[error("{0} is missing; name a preset (local or main), or give all parameters")]
    MissingParameter(String),
    /// A parameter has a value of the wrong kind.
    #[error("parameters: {0}")]
    BadParameter(String),
    /// A text breaks a bound.
    #[error("{field}: {error}")]
    Text {
        /// Where.
        field: String,
        /// Why.
        error: freeway_ledger::TextError,
    },
    /// The ledger cannot start from it.
    #[error("no network can start from this genesis: {0}")]
    Genesis(#[from] GenesisError),
    /// The file was changed after it was made.
    #[error(
        "the file says that it is network {stated}, but its content is network {actual}: it was changed after it \
         was made; get the original, or remove the line \"chain\" to make a new network"
    )]
    OtherChain {
        /// What the file says.
        stated: ChainId,
        /// What it is.
        actual: ChainId,
    },
}

impl GenesisFile {
    /// Reads a file. What it means is checked by [`GenesisFile::build`].
    ///
    /// # Errors
    /// [`GenesisFileError`] if it is too long, not JSON, or has fields that do not exist.
    pub fn from_json(json: &str) -> Result<Self, GenesisFileError> {
        if json.len() > MAX_JSON_BYTES {
            return Err(GenesisFileError::TooLarge(json.len()));
        }
        Ok(serde_json::from_str(json)?)
    }

    /// Writes the file, ending in a line break.
    pub fn to_json(&self) -> String {
        // Strings, numbers and lists: there is nothing that could not be written.
        let mut json = serde_json::to_string_pretty(self).unwrap_or_default();
        json.push('\n');
        json
    }

    /// The parameters: the preset's with the overrides.
    ///
    /// # Errors
    /// [`GenesisFileError`] if the preset or a parameter does not exist, or a value is of the wrong kind.
    pub fn params(&self) -> Result<Params, GenesisFileError> {
        let preset = self.preset.as_deref().map(str::parse::<Preset>).transpose()?;
        let complete = preset.is_none();
        let base = ParamsView::from(&preset.unwrap_or(Preset::Local).params());
        let mut merged = serde_json::to_value(base)?;
        merge(&mut merged, &self.parameters, "parameters", complete)?;
        let view: ParamsView = serde_json::from_value(merged)
            .map_err(|error| GenesisFileError::BadParameter(error.to_string()))?;
        Ok((&view).into())
    }

    /// The genesis that the file defines. A network can start from it: the ledger has tried.
    ///
    /// # Errors
    /// [`GenesisFileError`] naming what is wrong.
    pub fn build(&self) -> Result<Genesis, GenesisFileError> {
        let host = |(at, host): (usize, &HostEntry)| {
            let at = |field: &str| format!("hosts[{at}].{field}");
            Ok::<_, GenesisFileError>(GenesisHost {
                address: host.address,
                consensus_key: host.consensus_key,
                weight: host.weight,
                collateral: host.collateral,
                operator: text(|| at("operator"), &host.operator)?,
                region: text(|| at("region"), &host.region)?,
                endpoints: host
                    .endpoints
                    .iter()
                    .map(|endpoint| text(|| at("endpoints"), endpoint))
                    .collect::<Result<_, _>>()?,
            })
        };
        let account =
            |entry: &AccountEntry| GenesisAccount { address: entry.address, balance: entry.balance };
        let genesis = Genesis {
            name: text(|| "name".into(), &self.name)?,
            time_ms: self.time_ms,
            params: self.params()?,
            accounts: self.accounts.iter().map(account).collect(),
            hosts: self.hosts.iter().enumerate().map(host).collect::<Result<_, _>>()?,
        };
        freeway_ledger::open(&genesis)?;
        let actual = genesis.chain();
        match self.chain {
            Some(stated) if stated != actual => Err(GenesisFileError::OtherChain { stated, actual }),
            _ => Ok(genesis),
        }
    }
}

impl From<&Genesis> for GenesisFile {
    /// The file of a genesis, with all parameters and its identity.
    fn from(genesis: &Genesis) -> Self {
        let preset = Preset::ALL.into_iter().find(|preset| preset.params() == genesis.params);
        let host = |host: &GenesisHost| HostEntry {
            address: host.address,
            consensus_key: host.consensus_key,
            weight: host.weight,
            collateral: host.collateral,
            operator: host.operator.to_string(),
            region: host.region.to_string(),
            endpoints: host.endpoints.iter().map(ToString::to_string).collect(),
        };
        Self {
            chain: Some(genesis.chain()),
            name: genesis.name.to_string(),
            time_ms: genesis.time_ms,
            preset: preset.map(|preset| preset.name().into()),
            parameters: serde_json::to_value(ParamsView::from(&genesis.params)).unwrap_or_default(),
            accounts: genesis
                .accounts
                .iter()
                .map(|account| AccountEntry { address: account.address, balance: account.balance })
                .collect(),
            hosts: genesis.hosts.iter().map(host).collect(),
        }
    }
}

fn text(field: impl FnOnce() -> String, content: &str) -> Result<Text, GenesisFileError> {
    Text::new(content).map_err(|error| GenesisFileError::Text { field: field(), error })
}

/// Puts `overrides` into `base`, which has every name that there is. `complete`: all of them must be given.
fn merge(base: &mut Value, overrides: &Value, path: &str, complete: bool) -> Result<(), GenesisFileError> {
    let Value::Object(base) = base else {
        *base = overrides.clone();
        return Ok(());
    };
    let empty = serde_json::Map::new();
    let overrides = match overrides {
        Value::Object(overrides) => overrides,
        Value::Null if !complete => &empty,
        Value::Null => return Err(GenesisFileError::MissingParameter(path.into())),
        _ => return Err(GenesisFileError::BadParameter(format!("{path} must be an object"))),
    };
    if let Some(unknown) = overrides.keys().find(|name| !base.contains_key(*name)) {
        let known = base.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
        return Err(GenesisFileError::UnknownParameter { name: format!("{path}.{unknown}"), known });
    }
    // By name: in which order an object keeps its members depends on how the library was built.
    let mut members: Vec<_> = base.iter_mut().collect();
    members.sort_by(|a, b| a.0.cmp(b.0));
    for (name, value) in members {
        let path = format!("{path}.{name}");
        match overrides.get(name) {
            Some(given) => merge(value, given, &path, complete)?,
            None if complete => return Err(GenesisFileError::MissingParameter(path)),
            None => {}
        }
    }
    Ok(())
}
