//! Endorsements: somebody answers for an output with money.
//!
//! Whoever endorses a receipt says "this statement about this output is true, and if it is not, the arbiter may give
//! this bond to whom it has harmed". The ledger knows digests only: what was said, and to whom harm was done, is
//! between the endorser, the claimant and the arbiter that the endorser chose. Nobody has to trust an arbiter but those
//! who rely on the endorsement, and they see its name before.
//!
//! | until | what may happen |
//! |---|---|
//! | the expiry | harm counts; the arbiter awards parts of the bond, to whom it finds harmed |
//! | some blocks later ([`Params::grace_blocks`]) | the arbiter decides claims that came last |
//! | after that | the endorser takes back what is left |
//!
//! Of every endorser there is a public [`Record`]: endorsements kept and lost, and how much money was in them. A record
//! is worth what the bonds and the arbiters in it are worth: anyone can keep promises to a friend.

mod message;
mod query;

use borsh::{BorshDeserialize, BorshSerialize};
use freeway_primitives::{Address, Amount, Digest, Height};

use crate::accounts::{self, ACCOUNTS};
use crate::context::Context;
use crate::error::Error;
use crate::genesis::Genesis;
use crate::module::{self, Module};
use crate::params::{ParamsError, Preset, require};
use crate::receipt;
use crate::state::{Cell, Fault, Key, Reader, Table};
use crate::vaults::{Vault, Vaults};

pub use message::{Event, Failure, Message};
pub use query::{endorsement, of_endorser, of_receipt, record};

/// Endorsements whose bond is not gone.
pub const ENDORSEMENTS: Table<EndorsementId, Endorsement> = Table::new("endorsements/endorsement/");

/// The endorsements of an account.
pub const BY_ENDORSER: Table<(Address, EndorsementId), ()> = Table::new("endorsements/by-endorser/");

/// The endorsements of a receipt.
pub const BY_RECEIPT: Table<(Digest, EndorsementId), ()> = Table::new("endorsements/by-receipt/");

/// What became of each account's endorsements. Accounts that never endorsed have no entry.
pub const RECORDS: Table<Address, Record> = Table::new("endorsements/record/");

const NEXT: Cell<EndorsementId> = Cell::new("endorsements/next");

/// The number of an endorsement on its network.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, BorshSerialize, BorshDeserialize)]
pub struct EndorsementId(pub u64);

impl Key for EndorsementId {
    fn to_bytes(&self) -> Vec<u8> {
        self.0.to_bytes()
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        u64::from_bytes(bytes).map(Self)
    }
}

/// Somebody's word for an output.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Endorsement {
    /// Who answers.
    pub endorser: Address,
    /// The digest of the receipt.
    pub receipt: Digest,
    /// The digest of what is said about its output.
    pub statement: Digest,
    /// What was put up.
    pub bond: Amount,
    /// Of this, what was awarded.
    pub awarded: Amount,
    /// Who may award it.
    pub arbiter: Address,
    /// The height of the endorsement.
    pub made: Height,
    /// The last height at which harm counts.
    pub expiry: Height,
    /// The last height at which the arbiter can award.
    pub decided_by: Height,
}

impl Endorsement {
    /// What is left of the bond.
    pub fn left(&self) -> Amount {
        self.bond.checked_sub(self.awarded).unwrap_or_default()
    }
}

/// What became of an account's endorsements.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Record {
    /// Endorsements whose bond has not gone back or out.
    pub active: u32,
    /// What is left in them.
    pub at_stake: Amount,
    /// Endorsements that ended without an award.
    pub kept: u64,
    /// The bonds of these.
    pub kept_amount: Amount,
    /// Endorsements of which anything was awarded.
    pub lost: u64,
    /// What was awarded of them.
    pub lost_amount: Amount,
}

/// Parameters of endorsements.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Params {
    /// The least bond: records must cost something.
    pub min_bond: Amount,
    /// The most endorsements of one account that are active at a time.
    pub max_active: u32,
    /// The most blocks until an endorsement's expiry.
    pub max_lifetime_blocks: u64,
    /// Blocks after the expiry in which the arbiter can still award.
    pub grace_blocks: u64,
}

impl Params {
    pub(crate) const fn preset(preset: Preset) -> Self {
        match preset {
            Preset::Local => Self {
                min_bond: Amount(1_000_000),
                max_active: 256,
                max_lifetime_blocks: 100_000,
                grace_blocks: 12,
            },
            Preset::Main => Self {
                min_bond: Amount::fwy(1),
                max_active: 1_024,
                // Ten years, and a week to decide.
                max_lifetime_blocks: 10 * 31_557_600,
                grace_blocks: 7 * 86_400,
            },
        }
    }

    pub(crate) fn check(&self) -> Result<(), ParamsError> {
        require(!self.min_bond.is_zero(), "endorsements.min_bond", 0u64, "more than 0")?;
        require(
            (1..=1 << 20).contains(&self.max_active),
            "endorsements.max_active",
            self.max_active,
            "between 1 and 2^20",
        )?;
        for (name, value) in [
            ("endorsements.max_lifetime_blocks", self.max_lifetime_blocks),
            ("endorsements.grace_blocks", self.grace_blocks),
        ] {
            require((1..=1 << 40).contains(&value), name, value, "between 1 and 2^40")?;
        }
        Ok(())
    }
}

/// The rules of endorsements.
pub struct Endorsements;

impl Module for Endorsements {
    type Message = Message;

    fn genesis(context: &mut Context<'_, '_>, _: &Genesis) -> Result<(), Fault> {
        NEXT.set(context.state, &EndorsementId(0));
        Ok(())
    }

    fn begin(_: &mut Context<'_, '_>) -> Result<(), Fault> {
        Ok(())
    }

    fn apply(context: &mut Context<'_, '_>, message: &Message) -> Result<(), Error> {
        match *message {
            Message::Endorse { receipt, statement, bond, arbiter, expiry } => {
                endorse(context, receipt, statement, bond, arbiter, expiry)
            }
            Message::Award { endorsement, claimant, amount } => award(context, endorsement, claimant, amount),
            Message::Withdraw { endorsement } => withdraw(context, endorsement),
        }
    }

    fn end(_: &mut Context<'_, '_>) -> Result<(), Fault> {
        Ok(())
    }

    fn holdings(state: &dyn Reader, totals: &mut Vaults) -> Result<(), Fault> {
        let mut after = None;
        loop {
            let page = ENDORSEMENTS.page(state, after.as_ref(), 256)?;
            let Some((last, _)) = page.last() else { return Ok(()) };
            after = Some(*last);
            for (_, endorsement) in &page {
                module::add(&mut totals.bonds, endorsement.left())?;
            }
        }
    }
}

fn fail<T>(failure: Failure) -> Result<T, Error> {
    Err(Error::Failed(failure.into()))
}

fn emit(context: &mut Context<'_, '_>, event: Event) {
    context.emit(receipt::Event::Endorsements(event));
}

fn endorse(
    context: &mut Context<'_, '_>,
    receipt: Digest,
    statement: Digest,
    bond: Amount,
    arbiter: Address,
    expiry: Height,
) -> Result<(), Error> {
    let (endorser, made, params) = (context.caller, context.block.height, &context.params.endorsements);
    let (latest, decided_by) = (made.plus(params.max_lifetime_blocks), expiry.plus(params.grace_blocks));
    if expiry <= made || expiry > latest {
        return fail(Failure::BadExpiry { latest });
    }
    if arbiter == endorser {
        return fail(Failure::OwnArbiter);
    }
    if bond < params.min_bond {
        return fail(Failure::BondTooSmall { least: params.min_bond });
    }
    let mut record = RECORDS.get(context.state, &endorser)?.unwrap_or_default();
    if record.active >= params.max_active {
        return fail(Failure::TooManyActive { limit: params.max_active });
    }
    accounts::debit(context, &endorser, bond)?;
    context.shift(Vault::Accounts, Vault::Bonds, bond)?;
    record.active = record.active.saturating_add(1);
    module::add(&mut record.at_stake, bond)?;
    RECORDS.set(context.state, &endorser, &record);

    let id = NEXT.require(context.state)?;
    NEXT.set(context.state, &EndorsementId(id.0.saturating_add(1)));
    let awarded = Amount::ZERO;
    let endorsement =
        Endorsement { endorser, receipt, statement, bond, awarded, arbiter, made, expiry, decided_by };
    ENDORSEMENTS.set(context.state, &id, &endorsement);
    BY_ENDORSER.set(context.state, &(endorser, id), &());
    BY_RECEIPT.set(context.state, &(receipt, id), &());
    emit(context, Event::Endorsed { endorsement: id, endorser, receipt, bond, arbiter, expiry });
    Ok(())
}

fn load(context: &Context<'_, '_>, id: EndorsementId) -> Result<Endorsement, Error> {
    match ENDORSEMENTS.get(context.state, &id)? {
        Some(endorsement) => Ok(endorsement),
        None => fail(Failure::Unknown),
    }
}

fn award(
    context: &mut Context<'_, '_>,
    id: EndorsementId,
    claimant: Address,
    amount: Amount,
) -> Result<(), Error> {
    let mut endorsement = load(context, id)?;
    let endorser = endorsement.endorser;
    if context.caller != endorsement.arbiter {
        return fail(Failure::NotTheArbiter);
    }
    if context.block.height > endorsement.decided_by {
        return fail(Failure::TooLate { decided_by: endorsement.decided_by });
    }
    // To the endorser it would be no award, and nobody judges for itself.
    if claimant == endorser || claimant == endorsement.arbiter {
        return fail(Failure::NoClaimant);
    }
    if amount.is_zero() {
        return fail(Failure::ZeroAmount);
    }
    if amount > endorsement.left() {
        return fail(Failure::MoreThanBond { left: endorsement.left() });
    }
    let least = context.params.accounts.min_opening;
    if amount < least && ACCOUNTS.get(context.state, &claimant)?.is_none() {
        return fail(Failure::BelowMinimum { least });
    }
    let first = endorsement.awarded.is_zero();
    module::add(&mut endorsement.awarded, amount)?;
    let mut record = RECORDS.get(context.state, &endorser)?.unwrap_or_default();
    record.lost = record.lost.saturating_add(u64::from(first));
    module::add(&mut record.lost_amount, amount)?;
    record.at_stake = record.at_stake.checked_sub(amount).unwrap_or_default();
    context.shift(Vault::Bonds, Vault::Accounts, amount)?;
    accounts::credit(context, &claimant, amount)?;
    let left = endorsement.left();
    if left.is_zero() {
        close(context, id, &endorsement, &mut record);
    } else {
        ENDORSEMENTS.set(context.state, &id, &endorsement);
    }
    RECORDS.set(context.state, &endorser, &record);
    emit(context, Event::Awarded { endorsement: id, endorser, claimant, amount, left });
    Ok(())
}

fn withdraw(context: &mut Context<'_, '_>, id: EndorsementId) -> Result<(), Error> {
    let endorsement = load(context, id)?;
    let (endorser, left) = (endorsement.endorser, endorsement.left());
    if context.caller != endorser {
        return fail(Failure::NotTheEndorser);
    }
    if context.block.height <= endorsement.decided_by {
        return fail(Failure::TooEarly { decided_by: endorsement.decided_by });
    }
    let mut record = RECORDS.get(context.state, &endorser)?.unwrap_or_default();
    if endorsement.awarded.is_zero() {
        record.kept = record.kept.saturating_add(1);
        module::add(&mut record.kept_amount, left)?;
    }
    record.at_stake = record.at_stake.checked_sub(left).unwrap_or_default();
    close(context, id, &endorsement, &mut record);
    RECORDS.set(context.state, &endorser, &record);
    context.shift(Vault::Bonds, Vault::Accounts, left)?;
    accounts::credit(context, &endorser, left)?;
    emit(context, Event::Withdrawn { endorsement: id, endorser, amount: left });
    Ok(())
}

/// Forgets an endorsement whose bond is gone; the record remains.
fn close(context: &mut Context<'_, '_>, id: EndorsementId, endorsement: &Endorsement, record: &mut Record) {
    record.active = record.active.saturating_sub(1);
    ENDORSEMENTS.remove(context.state, &id);
    BY_ENDORSER.remove(context.state, &(endorsement.endorser, id));
    BY_RECEIPT.remove(context.state, &(endorsement.receipt, id));
}
