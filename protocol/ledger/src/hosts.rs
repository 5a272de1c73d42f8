//! Hosts: who lends machines, under which keys, with what at stake.
//!
//! Collateral moves from the owner's free balance into the host, and back only through unbonding: it stays
//! within reach of penalties until every window in which it could be asked for has closed. A host that leaves
//! is out of the validator set at the next switch; its collateral begins to unbond then.

use borsh::{BorshDeserialize, BorshSerialize};
use freeway_primitives::{Address, Amount, Epoch, Height, PublicKey};

use crate::accounts::{self, Scope, Scopes};
use crate::context::Context;
use crate::error::Error;
use crate::genesis::{Genesis, Text};
use crate::models;
use crate::module::{self, Module};
use crate::params::{ParamsError, Preset, require};
use crate::receipt;
use crate::rewards;
use crate::state::{Cell, Fault, Reader, Table};
use crate::vaults::{Vault, Vaults};

/// All hosts, by the account that owns them.
pub const HOSTS: Table<Address, Host> = Table::new("hosts/host/");

/// Which host signs with a consensus key. A key belongs to one host for ever.
pub const CONSENSUS_KEYS: Table<PublicKey, Address> = Table::new("hosts/consensus-key/");

/// Collateral on its way back, by the height at which it is free and its owner.
pub const UNBONDING: Table<(Height, Address), Amount> = Table::new("hosts/unbonding/");

const COUNT: Cell<u32> = Cell::new("hosts/count");

/// The longest text (operator, region, endpoint, description) in bytes.
pub const MAX_TEXT_BYTES: usize = 200;

/// The most endpoints of a host.
pub const MAX_ENDPOINTS: usize = 4;

/// Keys of hosts act for them without a limit in time.
const ALWAYS: Height = Height(u64::MAX);

/// A host.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Host {
    /// What it says of itself.
    pub profile: Profile,
    /// What genesis gave it: its weight until the first race has settled. What it has proven since is in
    /// [`crate::weights`].
    pub weight: u64,
    /// Bonded collateral.
    pub collateral: Amount,
    /// Collateral that is leaving: when it is free, and how much. Still within reach of penalties.
    pub unbonding: Vec<(Height, Amount)>,
    /// The epoch in which it registered.
    pub since: Epoch,
    /// Its standing.
    pub status: Status,
}

/// What a host says of itself. Nothing in it counts as proof.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Profile {
    /// The key of its votes. It is also a delegate of the account with the scopes operator and verifier.
    pub consensus_key: PublicKey,
    /// Where it can be reached, as URLs; at most [`MAX_ENDPOINTS`].
    pub endpoints: Vec<Text>,
    /// Where it stands.
    pub region: Text,
    /// Who runs it. Hosts of one operator are capped together and never check each other.
    pub operator: Text,
    /// Its machine, for display.
    pub hardware: Text,
}

impl Profile {
    fn is_valid(&self) -> bool {
        self.consensus_key.is_valid()
            && self.endpoints.len() <= MAX_ENDPOINTS
            && self.endpoints.iter().chain([&self.region, &self.operator, &self.hardware]).all(Text::is_valid)
    }
}

/// A host's standing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum Status {
    /// In good standing.
    Active,
    /// It asked to leave; at the next switch it is out.
    Leaving,
    /// It has left the validator set and is unbonding.
    Left,
    /// Convicted: out at the next switch, for good.
    Removed,
}

impl Status {
    /// The status's name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Leaving => "leaving",
            Self::Left => "left",
            Self::Removed => "removed",
        }
    }
}

/// Parameters of hosts.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Params {
    /// The most hosts.
    pub max_hosts: u32,
    /// Blocks from a withdrawal until the money is free.
    pub unbonding_blocks: u64,
    /// The most withdrawals of one host that are under way at a time.
    pub max_withdrawals: u32,
    /// The most withdrawals that one block pays out; the rest follow in the next.
    pub max_payouts_per_block: u32,
    /// Collateral that backs one unit of power; nothing means that power needs no backing.
    pub collateral_per_power: Amount,
}

impl Params {
    pub(crate) const fn preset(preset: Preset) -> Self {
        Self {
            max_hosts: 10_000,
            unbonding_blocks: match preset {
                Preset::Local => 180,
                Preset::Main => 14 * 86_400,
            },
            max_withdrawals: 8,
            max_payouts_per_block: 256,
            collateral_per_power: match preset {
                Preset::Local => Amount(1_000),
                Preset::Main => Amount(1),
            },
        }
    }

    pub(crate) fn check(&self) -> Result<(), ParamsError> {
        require(
            (1..=1_000_000).contains(&self.max_hosts),
            "hosts.max_hosts",
            self.max_hosts,
            "between 1 and 1000000",
        )?;
        require(
            (1..=64).contains(&self.max_withdrawals),
            "hosts.max_withdrawals",
            self.max_withdrawals,
            "between 1 and 64",
        )?;
        require(self.max_payouts_per_block > 0, "hosts.max_payouts_per_block", 0u64, "more than 0")?;
        require(
            (1..=1 << 40).contains(&self.unbonding_blocks),
            "hosts.unbonding_blocks",
            self.unbonding_blocks,
            "between 1 and 2^40",
        )
    }
}

/// What can be asked of hosts. The host in question is always the caller's own.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum Message {
    /// Become a host.
    Register {
        /// What it says of itself.
        profile: Profile,
        /// First collateral; may be nothing.
        collateral: Amount,
    },
    /// Replace the profile. A new consensus key signs from the next epoch on.
    Update {
        /// The new profile.
        profile: Profile,
    },
    /// Stop being a host.
    Leave,
    /// Put more at stake.
    Deposit {
        /// How much.
        amount: Amount,
    },
    /// Begin to take collateral back.
    Withdraw {
        /// How much.
        amount: Amount,
    },
}

impl Message {
    pub(crate) fn scope(&self) -> Option<Scope> {
        match self {
            Self::Register { .. } | Self::Withdraw { .. } => None,
            Self::Update { .. } | Self::Leave | Self::Deposit { .. } => Some(Scope::Operator),
        }
    }

    pub(crate) fn spends(&self) -> Amount {
        match self {
            Self::Register { collateral: amount, .. } | Self::Deposit { amount } => *amount,
            Self::Update { .. } | Self::Leave | Self::Withdraw { .. } => Amount::ZERO,
        }
    }
}

/// What happens to hosts.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum Event {
    /// A new host.
    Registered {
        /// The host.
        host: Address,
    },
    /// A new profile.
    Updated {
        /// The host.
        host: Address,
    },
    /// It asked to leave.
    Leaving {
        /// The host.
        host: Address,
    },
    /// It is out of the validator set.
    Left {
        /// The host.
        host: Address,
    },
    /// Collateral came in.
    Deposited {
        /// The host.
        host: Address,
        /// How much.
        amount: Amount,
    },
    /// Collateral began to unbond.
    Unbonding {
        /// The host.
        host: Address,
        /// How much.
        amount: Amount,
        /// When it is free.
        free_at: Height,
    },
    /// Collateral came back to its owner.
    Returned {
        /// The host.
        host: Address,
        /// How much.
        amount: Amount,
    },
    /// Collateral was taken as a penalty.
    Slashed {
        /// The host.
        host: Address,
        /// How much.
        amount: Amount,
    },
}

/// Why something cannot be done with a host.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, thiserror::Error)]
pub enum Failure {
    /// The account owns a host already.
    #[error("this account is a host already; use update to change it")]
    AlreadyHost,
    /// The account owns no host.
    #[error("this account is no host; register it first")]
    NotAHost,
    /// Another host uses the key, or has used it.
    #[error("that consensus key belongs to another host; make a new one")]
    KeyTaken,
    /// The profile breaks a bound.
    #[error(
        "the profile needs a valid consensus key, at most {MAX_ENDPOINTS} endpoints and texts of at most {MAX_TEXT_BYTES} bytes without control or invisible characters"
    )]
    InvalidProfile,
    /// There is no room for more hosts.
    #[error("the network has its {limit} hosts; wait until one leaves")]
    TooManyHosts {
        /// The most.
        limit: u32,
    },
    /// Only an active host can do this.
    #[error("the host is {status}; only an active one can do this")]
    NotActive {
        /// Its standing.
        status: Text,
    },
    /// Less collateral than asked for.
    #[error("the host has {available} of bonded collateral, this asks for {needed}")]
    InsufficientCollateral {
        /// Bonded collateral.
        available: Amount,
        /// What was asked for.
        needed: Amount,
    },
    /// Too many withdrawals under way.
    #[error("{limit} withdrawals are under way already; wait until one is paid")]
    TooManyWithdrawals {
        /// The most.
        limit: u32,
    },
    /// Nothing to move.
    #[error("the amount must be more than nothing")]
    ZeroAmount,
    /// A delegate tried to bind a key.
    #[error("a new consensus key gets rights over the account, so the account's own key must set it")]
    OwnersKeyNeeded,
}

impl Failure {
    pub(crate) fn code(&self) -> &'static str {
        match self {
            Self::AlreadyHost => "already_host",
            Self::NotAHost => "not_a_host",
            Self::KeyTaken => "key_taken",
            Self::InvalidProfile => "invalid_profile",
            Self::TooManyHosts { .. } => "too_many_hosts",
            Self::NotActive { .. } => "not_active",
            Self::InsufficientCollateral { .. } => "insufficient_collateral",
            Self::TooManyWithdrawals { .. } => "too_many_withdrawals",
            Self::ZeroAmount => "zero_amount",
            Self::OwnersKeyNeeded => "owners_key_needed",
        }
    }
}

fn fail<T>(failure: Failure) -> Result<T, Error> {
    Err(Error::Failed(failure.into()))
}

/// The rules of hosts.
pub struct Hosts;

impl Module for Hosts {
    type Message = Message;

    fn genesis(context: &mut Context<'_, '_>, genesis: &Genesis) -> Result<(), Fault> {
        COUNT.set(context.state, &0);
        for entry in &genesis.hosts {
            context.caller = entry.address;
            let profile = Profile {
                consensus_key: entry.consensus_key,
                endpoints: entry.endpoints.clone(),
                region: entry.region.clone(),
                operator: entry.operator.clone(),
                hardware: Text::default(),
            };
            register(context, &profile, entry.collateral, entry.weight)
                .map_err(|error| Fault(format!("host {}: {error}", entry.address)))?;
        }
        Ok(())
    }

    fn begin(context: &mut Context<'_, '_>) -> Result<(), Fault> {
        pay_out(context)
    }

    fn apply(context: &mut Context<'_, '_>, message: &Message) -> Result<(), Error> {
        match message {
            Message::Register { profile, collateral } => register(context, profile, *collateral, 0),
            Message::Update { profile } => update(context, profile),
            Message::Leave => {
                let mut host = own_active(context)?;
                host.status = Status::Leaving;
                HOSTS.set(context.state, &context.caller, &host);
                emit(context, Event::Leaving { host: context.caller });
                Ok(())
            }
            Message::Deposit { amount } => {
                if amount.is_zero() {
                    return fail(Failure::ZeroAmount);
                }
                let mut host = own_active(context)?;
                bond(context, &mut host, *amount)?;
                HOSTS.set(context.state, &context.caller, &host);
                emit(context, Event::Deposited { host: context.caller, amount: *amount });
                Ok(())
            }
            Message::Withdraw { amount } => withdraw(context, *amount),
        }
    }

    fn end(_: &mut Context<'_, '_>) -> Result<(), Fault> {
        Ok(())
    }

    fn holdings(state: &dyn Reader, totals: &mut Vaults) -> Result<(), Fault> {
        for (_, host) in all(state)? {
            module::add(&mut totals.collateral, host.collateral)?;
        }
        let mut after = None;
        loop {
            let page = UNBONDING.page(state, after.as_ref(), 1_000)?;
            let Some((last, _)) = page.last() else { return Ok(()) };
            after = Some(*last);
            for (_, amount) in &page {
                module::add(&mut totals.collateral, *amount)?;
            }
        }
    }
}

fn emit(context: &mut Context<'_, '_>, event: Event) {
    context.emit(receipt::Event::Hosts(event));
}

fn own(context: &Context<'_, '_>) -> Result<Host, Error> {
    match HOSTS.get(context.state, &context.caller)? {
        Some(host) => Ok(host),
        None => fail(Failure::NotAHost),
    }
}

fn own_active(context: &Context<'_, '_>) -> Result<Host, Error> {
    let host = own(context)?;
    match host.status {
        Status::Active => Ok(host),
        other => fail(Failure::NotActive { status: Text::new(other.name()).unwrap_or_default() }),
    }
}

/// Moves `amount` from the caller's balance into the host's collateral.
fn bond(context: &mut Context<'_, '_>, host: &mut Host, amount: Amount) -> Result<(), Error> {
    let caller = context.caller;
    accounts::debit(context, &caller, amount)?;
    context.shift(Vault::Accounts, Vault::Collateral, amount)?;
    module::add(&mut host.collateral, amount)?;
    Ok(())
}

/// Binds `key` to the caller: as its consensus key, and as a delegate for its duties.
fn bind_key(context: &mut Context<'_, '_>, key: PublicKey) -> Result<(), Error> {
    let caller = context.caller;
    match CONSENSUS_KEYS.get(context.state, &key)? {
        Some(owner) if owner != caller => return fail(Failure::KeyTaken),
        _ => CONSENSUS_KEYS.set(context.state, &key, &caller),
    }
    // The account's own key may sign blocks as well; then it needs no delegation.
    if Address::of(&key) == caller {
        return Ok(());
    }
    let scopes = Scopes::of(&[Scope::Operator, Scope::Verifier]);
    accounts::authorise(context, &caller, key, scopes, ALWAYS, Amount::ZERO)
}

fn register(
    context: &mut Context<'_, '_>,
    profile: &Profile,
    collateral: Amount,
    weight: u64,
) -> Result<(), Error> {
    let caller = context.caller;
    if HOSTS.get(context.state, &caller)?.is_some() {
        return fail(Failure::AlreadyHost);
    }
    if !profile.is_valid() {
        return fail(Failure::InvalidProfile);
    }
    let (count, limit) = (COUNT.require(context.state)?, context.params.hosts.max_hosts);
    if count >= limit {
        return fail(Failure::TooManyHosts { limit });
    }
    COUNT.set(context.state, &(count + 1));
    bind_key(context, profile.consensus_key)?;
    let mut host = Host {
        profile: profile.clone(),
        weight,
        collateral: Amount::ZERO,
        unbonding: Vec::new(),
        since: context.clock.epoch,
        status: Status::Active,
    };
    bond(context, &mut host, collateral)?;
    HOSTS.set(context.state, &caller, &host);
    emit(context, Event::Registered { host: caller });
    Ok(())
}

fn update(context: &mut Context<'_, '_>, profile: &Profile) -> Result<(), Error> {
    let mut host = own_active(context)?;
    if !profile.is_valid() {
        return fail(Failure::InvalidProfile);
    }
    // The old key stays a delegate until the owner revokes it: the node may still have to use it.
    if profile.consensus_key != host.profile.consensus_key {
        // An operator that could bind a key could make its own rights outlast their expiry.
        if context.by_delegate {
            return fail(Failure::OwnersKeyNeeded);
        }
        bind_key(context, profile.consensus_key)?;
    }
    host.profile = profile.clone();
    HOSTS.set(context.state, &context.caller, &host);
    emit(context, Event::Updated { host: context.caller });
    Ok(())
}

fn withdraw(context: &mut Context<'_, '_>, amount: Amount) -> Result<(), Error> {
    if amount.is_zero() {
        return fail(Failure::ZeroAmount);
    }
    let mut host = own(context)?;
    let Some(rest) = host.collateral.checked_sub(amount) else {
        return fail(Failure::InsufficientCollateral { available: host.collateral, needed: amount });
    };
    let limit = context.params.hosts.max_withdrawals;
    if host.unbonding.len() >= limit as usize {
        return fail(Failure::TooManyWithdrawals { limit });
    }
    host.collateral = rest;
    let caller = context.caller;
    unbond(context, caller, &mut host, amount)?;
    HOSTS.set(context.state, &caller, &host);
    Ok(())
}

/// Puts `amount`, already taken from the bonded collateral, on its way back.
fn unbond(
    context: &mut Context<'_, '_>,
    owner: Address,
    host: &mut Host,
    amount: Amount,
) -> Result<(), Fault> {
    let free_at = context.block.height.plus(context.params.hosts.unbonding_blocks);
    let entry = (free_at, owner);
    let mut total = UNBONDING.get(context.state, &entry)?.unwrap_or_default();
    module::add(&mut total, amount)?;
    UNBONDING.set(context.state, &entry, &total);
    match host.unbonding.iter_mut().find(|(height, _)| *height == free_at) {
        // Two withdrawals in one block are one.
        Some((_, sum)) => *sum = total,
        None => host.unbonding.push((free_at, amount)),
    }
    emit(context, Event::Unbonding { host: owner, amount, free_at });
    Ok(())
}

/// Pays the withdrawals that are due.
fn pay_out(context: &mut Context<'_, '_>) -> Result<(), Fault> {
    let limit = context.params.hosts.max_payouts_per_block as usize;
    for ((free_at, owner), amount) in UNBONDING.page(context.state, None, limit)? {
        if free_at > context.block.height {
            break;
        }
        UNBONDING.remove(context.state, &(free_at, owner));
        context.shift(Vault::Collateral, Vault::Accounts, amount)?;
        accounts::credit(context, &owner, amount)?;
        if let Some(mut host) = HOSTS.get(context.state, &owner)? {
            host.unbonding.retain(|(height, _)| *height != free_at);
            let gone = matches!(host.status, Status::Left | Status::Removed)
                && host.unbonding.is_empty()
                && host.collateral.is_zero();
            // A convicted host's record stays, so that its account cannot register afresh.
            if gone && host.status == Status::Left {
                forget(context, &owner)?;
            } else {
                HOSTS.set(context.state, &owner, &host);
            }
        }
        emit(context, Event::Returned { host: owner, amount });
    }
    Ok(())
}

fn forget(context: &mut Context<'_, '_>, owner: &Address) -> Result<(), Fault> {
    HOSTS.remove(context.state, owner);
    let count = COUNT.require(context.state)?;
    COUNT.set(context.state, &count.saturating_sub(1));
    Ok(())
}

/// At a switch: a host that asked to leave is out, and its collateral begins to unbond.
pub(crate) fn let_go(context: &mut Context<'_, '_>, owner: &Address, mut host: Host) -> Result<(), Fault> {
    host.status = Status::Left;
    models::serve_nothing(context, owner)?;
    let amount = core::mem::take(&mut host.collateral);
    if !amount.is_zero() {
        unbond(context, *owner, &mut host, amount)?;
    }
    emit(context, Event::Left { host: *owner });
    if host.unbonding.is_empty() {
        return forget(context, owner);
    }
    HOSTS.set(context.state, owner, &host);
    Ok(())
}

/// As [`slash`], and removes the host for good.
///
/// # Errors
/// [`Fault`] if the state cannot be read.
pub fn punish(
    context: &mut Context<'_, '_>,
    owner: &Address,
    parts: u64,
    whole: u64,
) -> Result<Amount, Fault> {
    let taken = slash(context, owner, parts, whole)?;
    if let Some(mut host) = HOSTS.get(context.state, owner)? {
        host.status = Status::Removed;
        HOSTS.set(context.state, owner, &host);
        models::serve_nothing(context, owner)?;
    }
    Ok(taken)
}

/// Takes `parts / whole` of everything a host has at stake, bonded or unbonding, into the pool. Returns how much
/// was taken. With it go the emission that is not released and that of this epoch; see [`crate::rewards`].
///
/// # Errors
/// [`Fault`] if the state cannot be read.
pub fn slash(
    context: &mut Context<'_, '_>,
    owner: &Address,
    parts: u64,
    whole: u64,
) -> Result<Amount, Fault> {
    let Some(mut host) = HOSTS.get(context.state, owner)? else { return Ok(Amount::ZERO) };
    let share = |amount: Amount| {
        amount.fraction(parts, whole).ok_or_else(|| Fault("a penalty is not a fraction".into()))
    };
    let mut taken = share(host.collateral)?;
    host.collateral = host.collateral.checked_sub(taken).unwrap_or_default();
    for (free_at, amount) in &mut host.unbonding {
        let part = share(*amount)?;
        *amount = amount.checked_sub(part).unwrap_or_default();
        UNBONDING.set(context.state, &(*free_at, *owner), amount);
        module::add(&mut taken, part)?;
    }
    HOSTS.set(context.state, owner, &host);
    context.shift(Vault::Collateral, Vault::Pool, taken)?;
    emit(context, Event::Slashed { host: *owner, amount: taken });
    rewards::forfeit(context, owner)?;
    Ok(taken)
}

/// Adds new money, already in the vault, to a host's bonded collateral.
pub(crate) fn endow(context: &mut Context<'_, '_>, owner: &Address, amount: Amount) -> Result<(), Fault> {
    let mut host = HOSTS.get(context.state, owner)?.ok_or_else(|| Fault(format!("{owner} is no host")))?;
    module::add(&mut host.collateral, amount)?;
    HOSTS.set(context.state, owner, &host);
    emit(context, Event::Deposited { host: *owner, amount });
    Ok(())
}

/// Bonded collateral of the account's host, or nothing.
pub(crate) fn collateral_of(state: &dyn Reader, owner: &Address) -> Result<Amount, Fault> {
    Ok(HOSTS.get(state, owner)?.map_or(Amount::ZERO, |host| host.collateral))
}

/// All hosts, by address. Their number is bounded by [`Params::max_hosts`].
///
/// # Errors
/// [`Fault`] if the state cannot be read.
pub fn all(state: &dyn Reader) -> Result<Vec<(Address, Host)>, Fault> {
    let mut hosts = Vec::new();
    loop {
        let page = HOSTS.page(state, hosts.last().map(|(address, _)| address), 256)?;
        if page.is_empty() {
            return Ok(hosts);
        }
        hosts.extend(page);
    }
}
