//! Accounts: balances, sequences, quotas and delegate keys.
//!
//! There is no gas. What an account may put on chain follows what it held when the epoch began (balance, collateral
//! and what it has in lanes): so many transactions a block. An account that held next to nothing has one an epoch, and all
//! such accounts together a few places a block.

use borsh::{BorshDeserialize, BorshSerialize};
use freeway_primitives::{Address, Amount, Epoch, Height, PublicKey};

use crate::context::Context;
use crate::error::{Error, Rejection};
use crate::genesis::Genesis;
use crate::module::{self, Module};
use crate::params::{ParamsError, Preset, require};
use crate::receipt;
use crate::state::{Fault, Overlay, Reader, Table};
use crate::transaction::Body;
use crate::vaults::{MINTED, SUPPLY, VAULTS, Vaults};

/// All accounts. An account appears with its first credit or transaction and stays, so that its sequence does.
pub const ACCOUNTS: Table<Address, Account> = Table::new("accounts/account/");

/// Delegations, by account and by the address of the delegate's key.
pub const DELEGATES: Table<(Address, Address), Delegate> = Table::new("accounts/delegate/");

/// An account.
#[derive(Clone, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Account {
    /// Free balance.
    pub balance: Amount,
    /// Sequence of the next transaction under the account's own key.
    pub sequence: u64,
    /// Number of its delegations.
    pub delegates: u16,
    /// Above every sequence that a revoked delegation has used.
    pub revoked_sequence: u64,
    /// Use of its quota.
    pub quota: Quota,
}

/// What an account may put on chain, and how much of that it has used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Quota {
    /// The epoch that the other fields are about.
    pub epoch: Epoch,
    /// What it held when that epoch began.
    pub basis: Amount,
    /// The height at which it last acted.
    pub height: Height,
    /// Transactions at that height.
    pub used_at_height: u32,
    /// Transactions in the epoch.
    pub used_in_epoch: u32,
}

/// What a delegate key may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, BorshSerialize, BorshDeserialize)]
pub enum Scope {
    /// Run the account's host: register, update, leave, duties.
    Operator,
    /// Verify others' work.
    Verifier,
    /// Open and use lanes.
    Lane,
    /// Vote on proposals.
    Vote,
    /// Transfer money, up to the allowance.
    Spend,
}

impl Scope {
    /// All scopes.
    pub const ALL: [Self; 5] = [Self::Operator, Self::Verifier, Self::Lane, Self::Vote, Self::Spend];

    /// The scope's name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Operator => "operator",
            Self::Verifier => "verifier",
            Self::Lane => "lane",
            Self::Vote => "vote",
            Self::Spend => "spend",
        }
    }

    const fn bit(self) -> u8 {
        1 << self as u8
    }
}

/// A set of [`Scope`]s.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Scopes(u8);

impl Scopes {
    /// The set of these.
    pub fn of(scopes: &[Scope]) -> Self {
        Self(scopes.iter().fold(0, |bits, scope| bits | scope.bit()))
    }

    /// Whether `scope` is in the set.
    pub const fn contains(self, scope: Scope) -> bool {
        self.0 & scope.bit() != 0
    }

    /// The members in order.
    pub fn iter(self) -> impl Iterator<Item = Scope> {
        Scope::ALL.into_iter().filter(move |scope| self.contains(*scope))
    }

    fn is_known(self) -> bool {
        self.0 != 0 && self.0 < 1 << Scope::ALL.len()
    }
}

/// A delegate key of an account.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Delegate {
    /// The key.
    pub key: PublicKey,
    /// What it may do.
    pub scopes: Scopes,
    /// The last height at which it may act.
    pub expires: Height,
    /// How much it may still move out of the account's free balance.
    pub allowance: Amount,
    /// Sequence of its next transaction.
    pub sequence: u64,
}

/// Parameters of accounts.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Params {
    /// The least credit that makes a new account: keeps dust out of the state.
    pub min_opening: Amount,
    /// Holdings per transaction a block: an account that held three of these may send three.
    pub quota_unit: Amount,
    /// The most transactions of one account in a block, whatever it holds.
    pub max_per_block: u32,
    /// Places a block for accounts that held less than one quota unit.
    pub free_places: u32,
    /// How far ahead of the chain an expiry may be, in blocks.
    pub max_lifetime_blocks: u64,
    /// The most delegations of one account.
    pub max_delegates: u16,
}

impl Params {
    pub(crate) const fn preset(preset: Preset) -> Self {
        Self {
            min_opening: Amount(1_000_000),
            quota_unit: Amount::fwy(match preset {
                Preset::Local => 1,
                Preset::Main => 10,
            }),
            max_per_block: 64,
            free_places: 16,
            max_lifetime_blocks: match preset {
                Preset::Local => 1_200,
                Preset::Main => 7_200,
            },
            max_delegates: 64,
        }
    }

    pub(crate) fn check(&self) -> Result<(), ParamsError> {
        require(!self.quota_unit.is_zero(), "accounts.quota_unit", 0u64, "more than 0")?;
        require(
            (1..=1 << 16).contains(&self.max_per_block),
            "accounts.max_per_block",
            self.max_per_block,
            "between 1 and 65536",
        )?;
        require(self.free_places > 0, "accounts.free_places", 0u64, "more than 0")?;
        require(
            (1..=1_000_000).contains(&self.max_lifetime_blocks),
            "accounts.max_lifetime_blocks",
            self.max_lifetime_blocks,
            "between 1 and 1000000",
        )
    }
}

/// What can be asked of accounts.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum Message {
    /// Pay.
    Transfer {
        /// To whom.
        to: Address,
        /// How much, more than nothing.
        amount: Amount,
    },
    /// Give a key rights over this account, or replace the rights it has. Its sequence goes on.
    Authorise {
        /// The key.
        key: PublicKey,
        /// What it may do.
        scopes: Scopes,
        /// The last height at which it may act.
        expires: Height,
        /// How much it may move.
        allowance: Amount,
    },
    /// Take a key's rights away.
    Revoke {
        /// The key.
        key: PublicKey,
    },
}

impl Message {
    pub(crate) fn scope(&self) -> Option<Scope> {
        match self {
            Self::Transfer { .. } => Some(Scope::Spend),
            // A delegate that could authorise could widen its own rights.
            Self::Authorise { .. } | Self::Revoke { .. } => None,
        }
    }

    pub(crate) fn spends(&self) -> Amount {
        match self {
            Self::Transfer { amount, .. } => *amount,
            Self::Authorise { .. } | Self::Revoke { .. } => Amount::ZERO,
        }
    }
}

/// What happens in accounts.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum Event {
    /// Money changed hands.
    Transferred {
        /// Payer.
        from: Address,
        /// Payee.
        to: Address,
        /// How much.
        amount: Amount,
    },
    /// A key got rights.
    Authorised {
        /// The account.
        account: Address,
        /// The key.
        key: PublicKey,
    },
    /// A key lost its rights.
    Revoked {
        /// The account.
        account: Address,
        /// The key.
        key: PublicKey,
    },
}

/// Why something cannot be done with an account.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, thiserror::Error)]
pub enum Failure {
    /// Not enough money.
    #[error("the account has {available}, this needs {needed}")]
    InsufficientBalance {
        /// Free balance.
        available: Amount,
        /// What was asked for.
        needed: Amount,
    },
    /// Nothing to pay.
    #[error("the amount must be more than nothing")]
    ZeroAmount,
    /// Too little for a new account.
    #[error("a new account must be opened with at least {least}")]
    BelowMinimum {
        /// The least.
        least: Amount,
    },
    /// No more delegations.
    #[error("an account can have {limit} delegates; revoke one first")]
    TooManyDelegates {
        /// The most.
        limit: u16,
    },
    /// Rights that make no sense.
    #[error(
        "a delegation needs at least one known scope, a valid key other than the account's own, and an expiry ahead"
    )]
    InvalidDelegation,
    /// There is no such delegation.
    #[error("that key is no delegate of the account")]
    UnknownDelegate,
}

impl Failure {
    pub(crate) fn code(&self) -> &'static str {
        match self {
            Self::InsufficientBalance { .. } => "insufficient_balance",
            Self::ZeroAmount => "zero_amount",
            Self::BelowMinimum { .. } => "below_minimum",
            Self::TooManyDelegates { .. } => "too_many_delegates",
            Self::InvalidDelegation => "invalid_delegation",
            Self::UnknownDelegate => "unknown_delegate",
        }
    }
}

fn fail<T>(failure: Failure) -> Result<T, Error> {
    Err(Error::Failed(failure.into()))
}

/// The rules of accounts.
pub struct Accounts;

impl Module for Accounts {
    type Message = Message;

    fn genesis(context: &mut Context<'_, '_>, genesis: &Genesis) -> Result<(), Fault> {
        let mut total = Amount::ZERO;
        for entry in &genesis.accounts {
            module::add(&mut total, entry.balance)?;
            let quota = Quota { basis: entry.balance, ..Quota::default() };
            let account = Account { balance: entry.balance, quota, ..Account::default() };
            ACCOUNTS.set(context.state, &entry.address, &account);
        }
        SUPPLY.set(context.state, &total);
        MINTED.set(context.state, &Amount::ZERO);
        VAULTS.set(context.state, &Vaults { accounts: total, ..Vaults::default() });
        Ok(())
    }

    fn begin(_: &mut Context<'_, '_>) -> Result<(), Fault> {
        Ok(())
    }

    fn apply(context: &mut Context<'_, '_>, message: &Message) -> Result<(), Error> {
        let caller = context.caller;
        match message {
            Message::Transfer { to, amount } => {
                if amount.is_zero() {
                    return fail(Failure::ZeroAmount);
                }
                let least = context.params.accounts.min_opening;
                debit(context, &caller, *amount)?;
                if *amount < least && ACCOUNTS.get(context.state, to)?.is_none() {
                    return fail(Failure::BelowMinimum { least });
                }
                credit(context, to, *amount)?;
                emit(context, Event::Transferred { from: caller, to: *to, amount: *amount });
            }
            Message::Authorise { key, scopes, expires, allowance } => {
                let delegate = Address::of(key);
                if !scopes.is_known()
                    || !key.is_valid()
                    || delegate == caller
                    || *expires <= context.block.height
                {
                    return fail(Failure::InvalidDelegation);
                }
                authorise(context, &caller, *key, *scopes, *expires, *allowance)?;
            }
            Message::Revoke { key } => {
                let entry = (caller, Address::of(key));
                let Some(delegate) = DELEGATES.get(context.state, &entry)? else {
                    return fail(Failure::UnknownDelegate);
                };
                DELEGATES.remove(context.state, &entry);
                let mut account = load(context, &caller)?;
                account.delegates = account.delegates.saturating_sub(1);
                account.revoked_sequence = account.revoked_sequence.max(delegate.sequence);
                ACCOUNTS.set(context.state, &caller, &account);
                emit(context, Event::Revoked { account: caller, key: *key });
            }
        }
        Ok(())
    }

    fn end(_: &mut Context<'_, '_>) -> Result<(), Fault> {
        Ok(())
    }

    fn holdings(state: &dyn Reader, totals: &mut Vaults) -> Result<(), Fault> {
        let mut after = None;
        loop {
            let page = ACCOUNTS.page(state, after.as_ref(), 1_000)?;
            let Some((last, _)) = page.last() else { return Ok(()) };
            after = Some(*last);
            for (_, account) in &page {
                module::add(&mut totals.accounts, account.balance)?;
            }
        }
    }
}

fn emit(context: &mut Context<'_, '_>, event: Event) {
    context.emit(receipt::Event::Accounts(event));
}

/// The account as it stands in this epoch: its quota is renewed at its first use in an epoch, from what it
/// holds then, which is what it held when the epoch began, since every change passes through here.
pub(crate) fn load(context: &Context<'_, '_>, address: &Address) -> Result<Account, Fault> {
    let account = ACCOUNTS.get(context.state, address)?.unwrap_or_default();
    renewed(context.state, address, account, context.clock.epoch)
}

fn renewed(
    state: &dyn Reader,
    address: &Address,
    mut account: Account,
    epoch: Epoch,
) -> Result<Account, Fault> {
    if account.quota.epoch != epoch {
        let mut basis = account.balance;
        module::add(&mut basis, crate::hosts::collateral_of(state, address)?)?;
        module::add(&mut basis, crate::lanes::escrow_of(state, address)?)?;
        account.quota = Quota { epoch, basis, ..Quota::default() };
    }
    Ok(account)
}

/// Takes `amount` out of a free balance. The caller puts it somewhere.
///
/// # Errors
/// [`Failure::InsufficientBalance`] if there is less.
pub fn debit(context: &mut Context<'_, '_>, address: &Address, amount: Amount) -> Result<(), Error> {
    let mut account = load(context, address)?;
    let Some(rest) = account.balance.checked_sub(amount) else {
        return fail(Failure::InsufficientBalance { available: account.balance, needed: amount });
    };
    account.balance = rest;
    ACCOUNTS.set(context.state, address, &account);
    Ok(())
}

/// Adds `amount`, taken from elsewhere, to a free balance.
///
/// # Errors
/// [`Fault`] if the balance overflows, which the supply forbids.
pub fn credit(context: &mut Context<'_, '_>, address: &Address, amount: Amount) -> Result<(), Fault> {
    let mut account = load(context, address)?;
    module::add(&mut account.balance, amount)?;
    ACCOUNTS.set(context.state, address, &account);
    Ok(())
}

/// Gives `key` rights over `owner`.
pub(crate) fn authorise(
    context: &mut Context<'_, '_>,
    owner: &Address,
    key: PublicKey,
    scopes: Scopes,
    expires: Height,
    allowance: Amount,
) -> Result<(), Error> {
    let entry = (*owner, Address::of(&key));
    let sequence = match DELEGATES.get(context.state, &entry)? {
        Some(known) => known.sequence,
        None => {
            let limit = context.params.accounts.max_delegates;
            let mut account = load(context, owner)?;
            if account.delegates >= limit {
                return fail(Failure::TooManyDelegates { limit });
            }
            account.delegates += 1;
            ACCOUNTS.set(context.state, owner, &account);
            sequence_of_new(context, &account)
        }
    };
    DELEGATES.set(context.state, &entry, &Delegate { key, scopes, expires, allowance, sequence });
    emit(context, Event::Authorised { account: *owner, key });
    Ok(())
}

/// The first sequence of a new delegation. A key that was revoked and authorised again must not find its old
/// transactions valid once more: not those that were executed, hence the account's mark, and not those that
/// still wait somewhere, hence a number that grows with the height faster than a key can send.
fn sequence_of_new(context: &Context<'_, '_>, owner: &Account) -> u64 {
    let by_height = context.block.height.0.saturating_mul(u64::from(context.params.accounts.max_per_block));
    by_height.max(owner.revoked_sequence)
}

/// Whether a transaction may stand in the block at `height`, and the account that results from counting it.
/// Writes nothing if it may not.
pub(crate) fn admit(
    state: &mut Overlay<'_>,
    body: &Body,
    params: &Params,
    height: Height,
    epoch: Epoch,
) -> Result<Result<Admitted, Rejection>, Fault> {
    Ok(match check(state, body, params, height, epoch)? {
        Err(rejection) => Err(rejection),
        Ok(checked) => {
            if let Some(delegate) = &checked.delegate {
                DELEGATES.set(state, &(body.account(), Address::of(&body.signer)), delegate);
            }
            ACCOUNTS.set(state, &body.account(), &checked.account);
            Ok(Admitted { free_place: checked.free_place })
        }
    })
}

/// A transaction that was counted.
pub(crate) struct Admitted {
    /// Whether it takes one of the block's places for accounts without a balance.
    pub(crate) free_place: bool,
}

pub(crate) struct Checked {
    account: Account,
    delegate: Option<Delegate>,
    free_place: bool,
}

/// As [`admit`], but only looks. Used by the mempool.
pub(crate) fn check(
    state: &dyn Reader,
    body: &Body,
    params: &Params,
    height: Height,
    epoch: Epoch,
) -> Result<Result<Checked, Rejection>, Fault> {
    if body.expiry < height {
        return Ok(Err(Rejection::Expired { expiry: body.expiry, height }));
    }
    let latest = height.plus(params.max_lifetime_blocks);
    if body.expiry > latest {
        return Ok(Err(Rejection::ExpiryTooFar { expiry: body.expiry, latest }));
    }
    let address = body.account();
    let account = ACCOUNTS.get(state, &address)?.unwrap_or_default();
    let mut account = renewed(state, &address, account, epoch)?;
    let mut delegate = None;
    let sequence = if address == Address::of(&body.signer) {
        &mut account.sequence
    } else {
        let Some(found) = DELEGATES.get(state, &(address, Address::of(&body.signer)))? else {
            return Ok(Err(Rejection::NotAuthorised));
        };
        let found = delegate.insert(found);
        if let Err(rejection) = covers(found, body, height) {
            return Ok(Err(rejection));
        }
        &mut found.sequence
    };
    let (got, next) = (body.sequence, *sequence);
    if got < next {
        return Ok(Err(Rejection::SequenceUsed { got, next }));
    }
    if got > next {
        // An account that held nothing has one transaction an epoch: a later one need not even wait.
        let waits = units(&account.quota, params) > 0 || body.message.is_owed();
        let exceeded = Rejection::QuotaExceeded { limit: 1, period: "epoch" };
        return Ok(Err(if waits { Rejection::SequenceAhead { got, next } } else { exceeded }));
    }
    *sequence = next.saturating_add(1);
    if body.message.is_owed() {
        return Ok(Ok(Checked { account, delegate, free_place: false }));
    }
    Ok(count(&mut account.quota, params, height).map(|free_place| Checked { account, delegate, free_place }))
}

fn covers(delegate: &mut Delegate, body: &Body, height: Height) -> Result<(), Rejection> {
    if delegate.expires < height {
        return Err(Rejection::DelegationExpired(delegate.expires));
    }
    let Some(scope) = body.message.scope() else { return Err(Rejection::NotAuthorised) };
    if !delegate.scopes.contains(scope) {
        return Err(Rejection::ScopeMissing(scope.name()));
    }
    // Counted even if the message then fails: an allowance can be used up, never exceeded.
    let needed = body.message.spends();
    let left = delegate.allowance;
    delegate.allowance = left.checked_sub(needed).ok_or(Rejection::AllowanceExceeded { left, needed })?;
    Ok(())
}

/// Quota units that the account held when the epoch began.
fn units(quota: &Quota, params: &Params) -> u128 {
    quota.basis.0 / params.quota_unit.0.max(1)
}

/// Counts one transaction; whether it takes a free place.
fn count(quota: &mut Quota, params: &Params, height: Height) -> Result<bool, Rejection> {
    let units = units(quota, params);
    if units == 0 {
        if quota.used_in_epoch > 0 {
            return Err(Rejection::QuotaExceeded { limit: 1, period: "epoch" });
        }
    } else {
        if quota.height != height {
            quota.height = height;
            quota.used_at_height = 0;
        }
        let limit = u32::try_from(units).unwrap_or(u32::MAX).min(params.max_per_block);
        if quota.used_at_height >= limit {
            return Err(Rejection::QuotaExceeded { limit, period: "block" });
        }
        quota.used_at_height += 1;
    }
    quota.used_in_epoch = quota.used_in_epoch.saturating_add(1);
    Ok(units == 0)
}

/// The sequence that the next transaction of `signer` for `account` must have, if it may act for it.
///
/// # Errors
/// [`Fault`] if the state cannot be read.
pub fn next_sequence(state: &dyn Reader, account: &Address, signer: &Address) -> Result<Option<u64>, Fault> {
    if account == signer {
        return Ok(Some(ACCOUNTS.get(state, account)?.map_or(0, |account| account.sequence)));
    }
    Ok(DELEGATES.get(state, &(*account, *signer))?.map(|delegate| delegate.sequence))
}

/// The delegations of an account: at most `limit` after `after`.
///
/// # Errors
/// [`Fault`] if the state cannot be read.
pub fn delegates(
    state: &dyn Reader,
    account: &Address,
    after: Option<Address>,
    limit: usize,
) -> Result<Vec<Delegate>, Fault> {
    let after = after.map(|delegate| (*account, delegate));
    let page = DELEGATES.page_under(state, &account.0, after.as_ref(), limit)?;
    Ok(page.into_iter().map(|(_, delegate)| delegate).collect())
}
