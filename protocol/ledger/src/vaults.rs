//! Where the money is: one running total per holder, so that conservation is checked after every block.

use borsh::{BorshDeserialize, BorshSerialize};
use freeway_primitives::Amount;

use crate::state::{Cell, Fault, Reader};

/// All money that exists.
pub const SUPPLY: Cell<Amount> = Cell::new("vaults/supply");

pub(crate) const VAULTS: Cell<Vaults> = Cell::new("vaults/totals");

/// A holder of money.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Vault {
    /// Balances of accounts.
    Accounts,
    /// Collateral of hosts, whether bonded or unbonding.
    Collateral,
    /// The common pool: penalties now, unspent emission later.
    Pool,
    /// Bonds of demands and accusations, until they are decided.
    Bonds,
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
        }
    }

    pub(crate) fn get_mut(&mut self, vault: Vault) -> &mut Amount {
        match vault {
            Vault::Accounts => &mut self.accounts,
            Vault::Collateral => &mut self.collateral,
            Vault::Pool => &mut self.pool,
            Vault::Bonds => &mut self.bonds,
        }
    }

    /// The sum of all vaults, or `None` on overflow.
    pub fn total(&self) -> Option<Amount> {
        self.accounts.checked_add(self.collateral)?.checked_add(self.pool)?.checked_add(self.bonds)
    }
}
