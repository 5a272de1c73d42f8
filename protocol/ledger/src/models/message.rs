//! What can be asked of models, what happens to them, and why something cannot be done.

use borsh::{BorshDeserialize, BorshSerialize};
use freeway_primitives::{Address, Amount, Digest};
use freeway_proofs::work::Prices;
use freeway_requests::evidence::Noise;

use super::{MAX_ALLOWANCE, MAX_GAP, MAX_NAME_BYTES, MAX_RATE, MAX_SIZE, MAX_WORK, Tier};
use crate::accounts::Scope;
use crate::genesis::Text;

/// What can be asked of models.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum Message {
    /// Add a model, under a bond.
    Register {
        /// The root of its content.
        root: Digest,
        /// What it is.
        description: Description,
    },
    /// Take back a model that nobody serves and no lane uses, and its bond.
    Retire {
        /// Its root.
        root: Digest,
    },
    /// A host: these are the models that I serve, and no others.
    Serve {
        /// Their roots.
        models: Vec<Digest>,
    },
}

/// What a model is said to be.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Description {
    /// Its name: lower-case letters, digits, `.`, `_` and `-`.
    pub name: Text,
    /// How its answers can be checked.
    pub tier: Tier,
    /// Tokens of its context.
    pub context: u32,
    /// Tokens that it knows.
    pub vocabulary: u32,
    /// How many multiply-adds of the race take as long as one generated token.
    pub work: u64,
    /// What it costs at first.
    pub prices: Prices,
    /// How much honest machines differ in it: on the statistical tier, where it has been measured.
    pub noise: Option<Noise>,
}

impl Message {
    pub(crate) fn scope(&self) -> Option<Scope> {
        match self {
            Self::Register { .. } | Self::Retire { .. } => None,
            Self::Serve { .. } => Some(Scope::Operator),
        }
    }

    /// Nothing that a delegate could spend: only the account's own key registers.
    pub(crate) fn spends(&self) -> Amount {
        Amount::ZERO
    }
}

/// What happens to models.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum Event {
    /// A new model.
    Registered {
        /// Its root.
        root: Digest,
        /// Its name.
        name: Text,
    },
    /// A model is gone.
    Retired {
        /// Its root.
        root: Digest,
    },
    /// A host serves these models now.
    Serving {
        /// The host.
        host: Address,
        /// Their roots.
        models: Vec<Digest>,
    },
}

/// Why something cannot be done with a model.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, thiserror::Error)]
pub enum Failure {
    /// A name breaks the rules.
    #[error("a model's name has 1 to {MAX_NAME_BYTES} of the characters a-z, 0-9, '.', '_' and '-'")]
    InvalidName,
    /// A size makes no sense.
    #[error(
        "context and vocabulary are between 1 and {MAX_SIZE}, the work of a token between 1 and {MAX_WORK}"
    )]
    InvalidSize,
    /// A noise that cannot be.
    #[error(
        "noise belongs to the statistical tier: a gap of at most {MAX_GAP} and allowances of at most {MAX_ALLOWANCE} \
         millionths of a nat, and a rate of at most {MAX_RATE} in a million; measure it with `model calibrate`"
    )]
    InvalidNoise,
    /// A price is out of bounds.
    #[error("each price must be at least the network's floor and at most its ceiling")]
    InvalidPrices,
    /// The model is known.
    #[error("a model with this root is registered already")]
    AlreadyRegistered,
    /// Another model has the name.
    #[error("another model has this name; choose a new one")]
    NameTaken,
    /// There is no room for more models.
    #[error("the network has its {limit} models; one must be retired first")]
    TooManyModels {
        /// The most.
        limit: u32,
    },
    /// There is no such model.
    #[error("no model with this root is registered")]
    UnknownModel,
    /// Somebody else registered it.
    #[error("only the account that registered a model can retire it")]
    NotTheRegistrant,
    /// Hosts serve it or lanes use it.
    #[error("the model is in use: hosts serve it or lanes are open for it")]
    InUse,
    /// Only an active host serves.
    #[error("only an active host can serve models; register the account as one first")]
    NotAHost,
    /// Too many models for one host.
    #[error("a host serves at most {limit} models")]
    TooManyServed {
        /// The most.
        limit: u32,
    },
    /// The same model twice.
    #[error("a model stands twice in the list")]
    Repeated,
}

impl Failure {
    pub(crate) fn code(&self) -> &'static str {
        match self {
            Self::InvalidName => "invalid_name",
            Self::InvalidSize => "invalid_size",
            Self::InvalidNoise => "invalid_noise",
            Self::InvalidPrices => "invalid_prices",
            Self::AlreadyRegistered => "already_registered",
            Self::NameTaken => "name_taken",
            Self::TooManyModels { .. } => "too_many_models",
            Self::UnknownModel => "unknown_model",
            Self::NotTheRegistrant => "not_the_registrant",
            Self::InUse => "model_in_use",
            Self::NotAHost => "not_a_host",
            Self::TooManyServed { .. } => "too_many_served",
            Self::Repeated => "repeated_model",
        }
    }
}
