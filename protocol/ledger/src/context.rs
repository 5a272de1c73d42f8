//! What a module's rule can see and do.

use freeway_primitives::{Address, Amount, Digest, Height};

use crate::epochs::Clock;
use crate::module;
use crate::params::Params;
use crate::receipt::Event;
use crate::state::{Fault, Overlay};
use crate::vaults::{MINTED, SUPPLY, VAULTS, Vault};

/// The facts of a block that rules may depend on. There is no clock among them: heights are the only time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlockInfo {
    /// The height of the block.
    pub height: Height,
    /// Who built it.
    pub proposer: Address,
    /// Who signed the parent, by the parent certificate in this block. Empty for the first block.
    pub parent_signers: Vec<Address>,
    /// The randomness that this block records, and the height it belongs to. Verified before.
    pub beacon: Option<(Height, Digest)>,
}

/// The surroundings of a rule: state, the block, parameters, and who is asking.
pub struct Context<'a, 'b> {
    /// The state.
    pub state: &'a mut Overlay<'b>,
    /// The block.
    pub block: &'a BlockInfo,
    /// The parameters at the start of the block.
    pub params: &'a Params,
    /// Where this block stands in its epoch.
    pub clock: Clock,
    /// The account that acts. At the start and end of a block: the proposer.
    pub caller: Address,
    /// Whether the account acts through a delegate, whose rights end where they were drawn.
    pub by_delegate: bool,
    pub(crate) events: &'a mut Vec<Event>,
}

impl Context<'_, '_> {
    /// Records an event.
    pub fn emit(&mut self, event: Event) {
        self.events.push(event);
    }

    /// Moves money from one vault's total to another's. The caller changes the entries themselves.
    ///
    /// # Errors
    /// [`Fault`] if a total would be wrong, which only a defect can cause.
    pub fn shift(&mut self, from: Vault, to: Vault, amount: Amount) -> Result<(), Fault> {
        let mut vaults = VAULTS.require(self.state)?;
        let source = vaults.get_mut(from);
        *source =
            source.checked_sub(amount).ok_or_else(|| Fault(format!("{from:?} holds less than {amount}")))?;
        let target = vaults.get_mut(to);
        *target = target.checked_add(amount).ok_or_else(|| Fault(format!("{to:?} overflows")))?;
        VAULTS.set(self.state, &vaults);
        Ok(())
    }

    /// Makes new money, into a vault's total. The caller changes the entries themselves. The executor checks that a
    /// block made what it was to make.
    ///
    /// # Errors
    /// [`Fault`] if there would be more than can be counted, which the limit of all emission forbids.
    pub(crate) fn mint(&mut self, to: Vault, amount: Amount) -> Result<(), Fault> {
        let (mut supply, mut minted) = (SUPPLY.require(self.state)?, MINTED.require(self.state)?);
        let mut vaults = VAULTS.require(self.state)?;
        for total in [&mut supply, &mut minted, vaults.get_mut(to)] {
            module::add(total, amount)?;
        }
        SUPPLY.set(self.state, &supply);
        MINTED.set(self.state, &minted);
        VAULTS.set(self.state, &vaults);
        Ok(())
    }
}
