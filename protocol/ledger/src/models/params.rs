//! The numbers of models.

use borsh::{BorshDeserialize, BorshSerialize};
use freeway_primitives::Amount;

use crate::params::{ParamsError, Preset, require};

/// Parameters of models.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Params {
    /// The most models.
    pub max_models: u32,
    /// The most models of one host.
    pub max_served: u32,
    /// What is held for a model until it is retired.
    pub bond: Amount,
}

impl Params {
    pub(crate) const fn preset(preset: Preset) -> Self {
        match preset {
            Preset::Local => Self { max_models: 64, max_served: 16, bond: Amount::fwy(1) },
            Preset::Main => Self { max_models: 1_024, max_served: 16, bond: Amount::fwy(1_000) },
        }
    }

    pub(crate) fn check(&self) -> Result<(), ParamsError> {
        let (models, served) = (self.max_models, self.max_served);
        require((1..=4_096).contains(&models), "models.max_models", models, "between 1 and 4096")?;
        require((1..=64).contains(&served), "models.max_served", served, "between 1 and 64")
    }
}
