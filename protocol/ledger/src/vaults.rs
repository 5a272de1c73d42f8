//! Where the money is: one running total per holder, so that conservation is checked after every block.

use borsh::{BorshDeserialize, BorshSerialize};
use freeway_primitives::Amount;

use crate::state::{Cell, Fault, Reader};

/// All money that exists.
pub const SUPPLY: Cell<Amount> = Cell::new("vaults/supply");

/// Of the [`SUPPLY`], what was made since genesis.
pub const MINTED: Cell<Amount> = Cell::new("vaults/minted");

pub(crate) const VAULTS: Cell<Vaults> = Cell::new("vaults/totals");

/// A holder of money.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Vault {
    /// Balances of accounts.
    Accounts,
    /// Collateral of hosts, whether bonded or unbonding.
    Collateral,
    /// The common pool: penalties, and emission that nobody earned.
    Pool,
    /// Bonds of demands and accusations, until they are decided.
    Bonds,
    /// What payers have put into lanes, until it is earned or goes back.
    Lanes,
    /// What verifiers are owed, and emission that is not released.
    Rewards,
    /// What is put aside for training.
    Training,
}

/// The total of each [`Vault`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Vaults {
    /// Sum of all balances.
    pub accounts: Amount,
    /// Sum of all collateral.
    pub collateral: Amount,
    /// The common pool.
    pub pool: Amount,
    /// Sum of all bonds.
    pub bonds: Amount,
    /// Sum of what lanes hold.
    pub lanes: Amount,
    /// Sum of what verifiers are owed and of emission that is not released.
    pub rewards: Amount,
    /// Sum of what is put aside for training.
    pub training: Amount,
}

/// The running totals, as they stand after a block. An audit compares them with [`crate::holdings`].
///
/// # Errors
/// [`Fault`] if the state cannot be read.
pub fn vaults(state: &dyn Reader) -> Result<Vaults, Fault> {
    VAULTS.require(state)
}

impl Vaults {
    /// The total of one vault.
    pub fn get(&self, vault: Vault) -> Amount {
        match vault {
            Vault::Accounts => self.accounts,
            Vault::Collateral => self.collateral,
            Vault::Pool => self.pool,
            Vault::Bonds => self.bonds,
            Vault::Lanes => self.lanes,
            Vault::Rewards => self.rewards,
            Vault::Training => self.training,
        }
    }

    pub(crate) fn get_mut(&mut self, vault: Vault) -> &mut Amount {
        match vault {
            Vault::Accounts => &mut self.accounts,
            Vault::Collateral => &mut self.collateral,
            Vault::Pool => &mut self.pool,
            Vault::Bonds => &mut self.bonds,
            Vault::Lanes => &mut self.lanes,
            Vault::Rewards => &mut self.rewards,
            Vault::Training => &mut self.training,
        }
    }

    /// The sum of all vaults, or `None` on overflow.
    pub fn total(&self) -> Option<Amount> {
        [self.collateral, self.pool, self.bonds, self.lanes, self.rewards, self.training]
            .into_iter()
            .try_fold(self.accounts, Amount::checked_add)
    }
}
