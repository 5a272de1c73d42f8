//! How lanes are set up.

use core::time::Duration;
use std::path::PathBuf;

use freeway_ledger::Text;
use freeway_ledger::lanes::{Constraints, MAX_CONSTRAINTS, MAX_SHARES};
use freeway_primitives::{Address, Amount, SecretKey};

/// The most nodes that are asked.
const MAX_NODES: usize = 16;
/// The most models.
const MAX_MODELS: usize = 64;

/// How lanes are set up.
#[derive(Clone, Debug)]
pub struct LanesConfig {
    /// Nodes, such as `http://127.0.0.1:26680`; the next is asked when one is silent.
    pub rpc: Vec<String>,
    /// Who pays.
    pub account: Address,
    /// Signs transactions for the account: its own key, or that of a delegate for lanes.
    pub key: SecretKey,
    /// Names of models in the local engine; their roots must be registered on the network. Empty: all of them.
    pub models: Vec<String>,
    /// Hosts of each lane.
    pub shares: u8,
    /// What is put into a lane, and added when it gets low.
    pub escrow: Amount,
    /// What may be put into lanes in all, less what came back.
    pub budget: Amount,
    /// Blocks that a lane lives.
    pub lifetime: u64,
    /// Hosts of these regions alone; empty for all.
    pub regions: Vec<String>,
    /// Hosts of these operators alone; empty for all.
    pub operators: Vec<String>,
    /// Where numbers, keys and receipts are kept. One gateway at a time.
    pub data: PathBuf,
    /// Whether hosts on this machine and in private networks are asked.
    pub allow_private: bool,
    /// Whether the local engine answers, free and without receipt, while no lane is open.
    pub fallback: bool,
    /// How long things may take.
    pub timeouts: Timeouts,
    /// How many hosts are tried for one request.
    pub tries: usize,
    /// How many receipts are kept; the oldest go first.
    pub receipts: u64,
}

/// How long things may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// From asking a host to its acceptance.
    pub accept: Duration,
    /// Between any two frames of an answer; hosts say that they are alive.
    pub silence: Duration,
    /// Between two steps of an answer.
    pub stall: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            accept: Duration::from_secs(10),
            silence: Duration::from_secs(30),
            stall: Duration::from_secs(300),
        }
    }
}

impl LanesConfig {
    /// All models of the local engine, four hosts each, one coin a lane and ten in all, about a day.
    pub fn new(rpc: Vec<String>, account: Address, key: SecretKey, data: PathBuf) -> Self {
        Self {
            rpc,
            account,
            key,
            models: Vec::new(),
            shares: 4,
            escrow: Amount::fwy(1),
            budget: Amount::fwy(10),
            lifetime: 86_400,
            regions: Vec::new(),
            operators: Vec::new(),
            data,
            allow_private: false,
            fallback: false,
            timeouts: Timeouts::default(),
            tries: 4,
            receipts: 100_000,
        }
    }

    /// Which hosts a lane may have.
    pub(super) fn constraints(&self) -> Result<Constraints, LanesError> {
        let list = |name: &'static str, list: &[String]| {
            let texts: Option<Vec<Text>> = list.iter().map(|text| Text::new(text.as_str()).ok()).collect();
            texts.filter(|texts| texts.len() <= MAX_CONSTRAINTS).ok_or(LanesError::Constraints(name))
        };
        Ok(Constraints {
            regions: list("regions", &self.regions)?,
            operators: list("operators", &self.operators)?,
        })
    }

    /// Whether it makes sense.
    pub(super) fn check(&self) -> Result<(), LanesError> {
        let wrong = |name, want| Err(LanesError::Value { name, want });
        if !(1..=MAX_SHARES).contains(&self.shares) {
            return wrong("shares", "between 1 and 16");
        }
        if self.escrow.is_zero() {
            return wrong("escrow", "more than nothing");
        }
        if self.budget < self.escrow {
            return wrong("budget", "at least the escrow of one lane");
        }
        if self.models.len() > MAX_MODELS {
            return wrong("models", "at most 64");
        }
        if !(1..=16).contains(&self.tries) {
            return wrong("tries", "between 1 and 16");
        }
        if self.rpc.len() > MAX_NODES {
            return wrong("rpc", "at most 16 nodes");
        }
        self.constraints().map(drop)
    }
}

/// Why lanes cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LanesError {
    /// A value makes no sense.
    #[error("{name} of the lanes must be {want}; change it")]
    Value {
        /// Which.
        name: &'static str,
        /// What it must be.
        want: &'static str,
    },
    /// Regions or operators break the rules.
    #[error("a lane names at most {MAX_CONSTRAINTS} {0}, each a short text; change them")]
    Constraints(&'static str),
    /// A model that the local engine does not have.
    #[error(
        "there is no package of the model {0:?} here; fetch it, as its tokenizer is needed, or leave the model out"
    )]
    Model(String),
    /// No node.
    #[error("no node answers: {0}; start one, or name another")]
    Chain(String),
    /// The data folder.
    #[error("the data of the lanes in {path} cannot be used: {detail}")]
    Store {
        /// Where.
        path: String,
        /// Why, and what to do.
        detail: String,
    },
}
