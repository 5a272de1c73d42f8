//! Genesis: the state of height 0 and the identity of the network.

use core::fmt;
use std::collections::BTreeSet;

use borsh::{BorshDeserialize, BorshSerialize};
use freeway_primitives::{
    Address, Amount, Canonical, ChainId, Digest, Domain, Height, PublicKey, ValidatorSet,
};

use crate::context::{BlockInfo, Context};
use crate::epochs::{self, Clock};
use crate::hosts::MAX_TEXT_BYTES;
use crate::module;
use crate::params::{PARAMS, Params, ParamsError};
use crate::state::{Delta, Fault, MemoryState, Overlay};

const DOMAIN: Domain = Domain::new("freeway 1 genesis");

/// A short text from outside: bounded, one line, nothing invisible.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, BorshSerialize, BorshDeserialize)]
pub struct Text(String);

/// Why a text is not accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a text here has at most {MAX_TEXT_BYTES} bytes and no control or invisible characters")]
pub struct TextError;

impl Text {
    /// Checks a text.
    ///
    /// # Errors
    /// [`TextError`] if it is longer than [`MAX_TEXT_BYTES`] or has control or invisible characters.
    pub fn new(text: impl Into<String>) -> Result<Self, TextError> {
        let text = Self(text.into());
        if text.is_valid() { Ok(text) } else { Err(TextError) }
    }

    /// Whether a decoded text keeps the rules.
    pub fn is_valid(&self) -> bool {
        self.0.len() <= MAX_TEXT_BYTES && !self.0.chars().any(|c| c.is_control() || is_invisible(c))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Characters that break lines, turn the direction of writing or leave no mark: with them two texts could look
/// the same, or one like another. Listed here, as the tables of Unicode differ from one library to the next.
const fn is_invisible(c: char) -> bool {
    matches!(
        c,
        '\u{ad}'
            | '\u{61c}'
            | '\u{180e}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}'
    )
}

/// Everything that defines a network.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Genesis {
    /// The network's name, for people.
    pub name: Text,
    /// When it was made, in milliseconds since 1970; also keeps two networks of the same making apart.
    pub time_ms: u64,
    /// The parameters.
    pub params: Params,
    /// The first owners.
    pub accounts: Vec<GenesisAccount>,
    /// The first hosts.
    pub hosts: Vec<GenesisHost>,
}

/// A first owner.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct GenesisAccount {
    /// The account.
    pub address: Address,
    /// Its balance.
    pub balance: Amount,
}

/// A first host.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct GenesisHost {
    /// The account that owns it.
    pub address: Address,
    /// Its consensus key.
    pub consensus_key: PublicKey,
    /// Its power through epochs 0 and 1, and its weight until it is proven.
    pub weight: u64,
    /// Collateral, taken from the account's balance.
    pub collateral: Amount,
    /// Who runs it.
    pub operator: Text,
    /// Where it stands.
    pub region: Text,
    /// Where it can be reached.
    pub endpoints: Vec<Text>,
}

impl Canonical for Genesis {
    const KIND: &'static str = "genesis";
    const MAX_BYTES: usize = 16 << 20;
}

/// Why no network can start from a genesis.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GenesisError {
    /// A parameter is out of range.
    #[error("parameter {0}")]
    Params(#[from] ParamsError),
    /// An account or host occurs twice.
    #[error("{0} is listed twice")]
    Duplicate(Address),
    /// A name, region, operator or endpoint is too long or has control or invisible characters.
    #[error(transparent)]
    Text(#[from] TextError),
    /// The hosts do not form a validator set, or a rule rejects an entry.
    #[error("{0}")]
    Invalid(String),
}

impl Genesis {
    /// The network's identity.
    pub fn chain(&self) -> ChainId {
        ChainId(Digest::of(DOMAIN, &self.encode()))
    }
}

/// The state of height 0, and the validators of height 1.
///
/// # Errors
/// [`GenesisError`] if the genesis contradicts itself.
pub fn open(genesis: &Genesis) -> Result<(Delta, ValidatorSet), GenesisError> {
    genesis.params.check()?;
    let mut seen = BTreeSet::new();
    if let Some(twice) = genesis.accounts.iter().find(|account| !seen.insert(account.address)) {
        return Err(GenesisError::Duplicate(twice.address));
    }
    let texts =
        genesis.hosts.iter().flat_map(|host| host.endpoints.iter().chain([&host.operator, &host.region]));
    if !genesis.name.is_valid() || !texts.clone().all(Text::is_valid) {
        return Err(GenesisError::Text(TextError));
    }
    let base = MemoryState::default();
    let mut state = Overlay::new(&base);
    PARAMS.set(&mut state, &genesis.params);
    let block = BlockInfo {
        height: Height::GENESIS,
        proposer: Address([0; 32]),
        parent_signers: Vec::new(),
        beacon: None,
    };
    let mut events = Vec::new();
    let mut context = Context {
        state: &mut state,
        block: &block,
        params: &genesis.params,
        clock: Clock::GENESIS,
        caller: block.proposer,
        by_delegate: false,
        events: &mut events,
    };
    let invalid = |fault: Fault| GenesisError::Invalid(fault.0);
    module::genesis(&mut context, genesis).map_err(invalid)?;
    let validators = epochs::VALIDATORS.require(&state).map_err(invalid)?;
    Ok((state.into_delta(), validators))
}
