//! Models: what hosts can serve and payers can ask for, by the root of their content.
//!
//! Anyone registers a model, under a bond that keeps the list short and comes back when the model is retired. What a
//! model says of itself is checked where it matters: its content by whoever loads it (the root), its answers by those
//! who re-execute them. Its prices move by the rules of [`crate::pricing`] from then on.
//!
//! A host declares the models that it serves. That proves nothing; it says which work may be asked of it. A host that
//! leaves or is removed serves nothing.

mod message;
mod params;

use borsh::{BorshDeserialize, BorshSerialize};
use freeway_primitives::{Address, Amount, Digest, Epoch, Height};
use freeway_proofs::work::Prices;
use freeway_requests::evidence::Noise;

use crate::accounts;
use crate::context::Context;
use crate::error::Error;
use crate::genesis::{Genesis, Text};
use crate::hosts::{HOSTS, Status};
use crate::module::{self, Module};
use crate::receipt;
use crate::state::{Cell, Fault, Key, Reader, Table};
use crate::vaults::{Vault, Vaults};

pub use message::{Description, Event, Failure, Message};
pub use params::Params;

/// All models, by their root.
pub const MODELS: Table<Digest, Model> = Table::new("models/model/");

/// Which model has a name.
pub const NAMES: Table<Text, Digest> = Table::new("models/name/");

/// What a host serves. Hosts that serve nothing have no entry.
pub const SERVES: Table<Address, Vec<Digest>> = Table::new("models/serves/");

/// Who serves a model, and since when.
pub const SERVED: Table<(Digest, Address), Height> = Table::new("models/served/");

/// Lanes that are not over yet, by their model. Models without one have no entry.
const USES: Table<Digest, u32> = Table::new("models/uses/");

const COUNT: Cell<u32> = Cell::new("models/count");

/// The longest name in bytes.
pub const MAX_NAME_BYTES: usize = 64;

/// The largest context and vocabulary.
pub const MAX_SIZE: u32 = 1 << 24;

/// The most multiply-adds that one token may be said to take.
pub const MAX_WORK: u64 = 1 << 50;

/// The widest gap that is noise, in millionths of a nat: with more, no claim would be forged.
pub const MAX_GAP: u32 = 1_000_000;

/// How often in a million tokens honest machines may be said to be beyond the gap, or to err otherwise.
pub const MAX_RATE: u32 = 100_000;

/// The most that the bets on surprise may be said to win from an honest token, in millionths of a nat.
pub const MAX_ALLOWANCE: u32 = 100_000;

/// How the answers of a model can be checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum Tier {
    /// Bit for bit: who computes it again gets the same. Collateral is at stake.
    Exact,
    /// By how likely the answers are. Reputation and rewards are at stake, collateral never.
    Statistical,
}

impl Tier {
    /// The tier's name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Exact => "exact",
            Self::Statistical => "statistical",
        }
    }
}

/// A model.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Model {
    /// Its name.
    pub name: Text,
    /// How its answers can be checked.
    pub tier: Tier,
    /// Tokens of its context.
    pub context: u32,
    /// Tokens that it knows.
    pub vocabulary: u32,
    /// How many multiply-adds of the race take as long as one generated token. See [`crate::pricing`].
    pub work: u64,
    /// Who registered it.
    pub by: Address,
    /// What is held for it.
    pub bond: Amount,
    /// When it was registered.
    pub since: Epoch,
    /// What it costs in lanes that are opened now.
    pub prices: Prices,
    /// How much honest machines differ in it: on the statistical tier, where it has been measured.
    pub noise: Option<Noise>,
}

impl Model {
    /// How much honest machines differ in it, as far as anybody knows.
    pub fn noise(&self) -> Noise {
        self.noise.unwrap_or_default()
    }
}

fn fail<T>(failure: Failure) -> Result<T, Error> {
    Err(Error::Failed(failure.into()))
}

/// The rules of models.
pub struct Models;

impl Module for Models {
    type Message = Message;

    fn genesis(context: &mut Context<'_, '_>, _: &Genesis) -> Result<(), Fault> {
        COUNT.set(context.state, &0);
        Ok(())
    }

    fn begin(_: &mut Context<'_, '_>) -> Result<(), Fault> {
        Ok(())
    }

    fn apply(context: &mut Context<'_, '_>, message: &Message) -> Result<(), Error> {
        match message {
            Message::Register { root, description } => register(context, *root, description),
            Message::Retire { root } => retire(context, root),
            Message::Serve { models } => serve(context, models),
        }
    }

    fn end(_: &mut Context<'_, '_>) -> Result<(), Fault> {
        Ok(())
    }

    fn holdings(state: &dyn Reader, totals: &mut Vaults) -> Result<(), Fault> {
        let mut after = None;
        loop {
            let page = MODELS.page(state, after.as_ref(), 256)?;
            let Some((last, _)) = page.last() else { return Ok(()) };
            after = Some(*last);
            for (_, model) in &page {
                module::add(&mut totals.bonds, model.bond)?;
            }
        }
    }
}

fn emit(context: &mut Context<'_, '_>, event: Event) {
    context.emit(receipt::Event::Models(event));
}

/// Whether these bytes can be a model's name: such that no two look alike and each fits into a URL.
fn is_name(name: &str) -> bool {
    let allowed = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'_' | b'-');
    (1..=MAX_NAME_BYTES).contains(&name.len()) && name.bytes().all(allowed)
}

fn is_noise(noise: &Noise) -> bool {
    noise.gap <= MAX_GAP
        && noise.rate <= MAX_RATE
        && noise.allowance.iter().all(|allowance| *allowance <= MAX_ALLOWANCE)
}

fn register(context: &mut Context<'_, '_>, root: Digest, description: &Description) -> Result<(), Error> {
    let Description { name, tier, context: size, vocabulary, work, prices, noise } = description;
    if !is_name(name.as_str()) {
        return fail(Failure::InvalidName);
    }
    let sizes = (1..=MAX_SIZE).contains(size) && (1..=MAX_SIZE).contains(vocabulary);
    if !sizes || !(1..=MAX_WORK).contains(work) {
        return fail(Failure::InvalidSize);
    }
    if !context.params.pricing.allows(prices) {
        return fail(Failure::InvalidPrices);
    }
    if noise.is_some_and(|noise| *tier == Tier::Exact || !is_noise(&noise)) {
        return fail(Failure::InvalidNoise);
    }
    if MODELS.contains(context.state, &root)? {
        return fail(Failure::AlreadyRegistered);
    }
    if NAMES.contains(context.state, name)? {
        return fail(Failure::NameTaken);
    }
    let (count, limit) = (COUNT.require(context.state)?, context.params.models.max_models);
    if count >= limit {
        return fail(Failure::TooManyModels { limit });
    }
    let (by, bond) = (context.caller, context.params.models.bond);
    accounts::debit(context, &by, bond)?;
    context.shift(Vault::Accounts, Vault::Bonds, bond)?;
    COUNT.set(context.state, &count.saturating_add(1));
    NAMES.set(context.state, name, &root);
    let model = Model {
        name: name.clone(),
        tier: *tier,
        context: *size,
        vocabulary: *vocabulary,
        work: *work,
        by,
        bond,
        since: context.clock.epoch,
        prices: *prices,
        noise: *noise,
    };
    MODELS.set(context.state, &root, &model);
    emit(context, Event::Registered { root, name: name.clone() });
    Ok(())
}

fn retire(context: &mut Context<'_, '_>, root: &Digest) -> Result<(), Error> {
    let Some(model) = MODELS.get(context.state, root)? else { return fail(Failure::UnknownModel) };
    if model.by != context.caller {
        return fail(Failure::NotTheRegistrant);
    }
    let served = !SERVED.page_under(context.state, &root.0, None, 1)?.is_empty();
    if served || USES.contains(context.state, root)? {
        return fail(Failure::InUse);
    }
    MODELS.remove(context.state, root);
    NAMES.remove(context.state, &model.name);
    crate::pricing::forget(context, root);
    let count = COUNT.require(context.state)?;
    COUNT.set(context.state, &count.saturating_sub(1));
    context.shift(Vault::Bonds, Vault::Accounts, model.bond)?;
    accounts::credit(context, &model.by, model.bond)?;
    emit(context, Event::Retired { root: *root });
    Ok(())
}

fn serve(context: &mut Context<'_, '_>, models: &[Digest]) -> Result<(), Error> {
    let host = context.caller;
    let active = HOSTS.get(context.state, &host)?.is_some_and(|host| host.status == Status::Active);
    if !active {
        return fail(Failure::NotAHost);
    }
    let limit = context.params.models.max_served;
    if models.len() > limit as usize {
        return fail(Failure::TooManyServed { limit });
    }
    for (place, root) in models.iter().enumerate() {
        if models.iter().take(place).any(|other| other == root) {
            return fail(Failure::Repeated);
        }
        if !MODELS.contains(context.state, root)? {
            return fail(Failure::UnknownModel);
        }
    }
    let old = SERVES.get(context.state, &host)?.unwrap_or_default();
    for root in old.iter().filter(|root| !models.contains(root)) {
        SERVED.remove(context.state, &(*root, host));
    }
    // What it goes on serving, it has been serving since then.
    for root in models.iter().filter(|root| !old.contains(root)) {
        SERVED.set(context.state, &(*root, host), &context.block.height);
    }
    if models.is_empty() {
        SERVES.remove(context.state, &host);
    } else {
        SERVES.set(context.state, &host, &models.to_vec());
    }
    emit(context, Event::Serving { host, models: models.to_vec() });
    Ok(())
}

/// Takes everything from the list of a host that is none any more.
pub(crate) fn serve_nothing(context: &mut Context<'_, '_>, host: &Address) -> Result<(), Fault> {
    let Some(models) = SERVES.get(context.state, host)? else { return Ok(()) };
    for root in models {
        SERVED.remove(context.state, &(root, *host));
    }
    SERVES.remove(context.state, host);
    emit(context, Event::Serving { host: *host, models: Vec::new() });
    Ok(())
}

/// One more lane uses a model: it cannot be retired.
pub(crate) fn hold(context: &mut Context<'_, '_>, root: &Digest) -> Result<(), Fault> {
    let uses = USES.get(context.state, root)?.unwrap_or_default();
    USES.set(context.state, root, &uses.saturating_add(1));
    Ok(())
}

/// One lane less uses a model.
pub(crate) fn release(context: &mut Context<'_, '_>, root: &Digest) -> Result<(), Fault> {
    match USES.get(context.state, root)?.unwrap_or_default() {
        0 | 1 => USES.remove(context.state, root),
        uses => USES.set(context.state, root, &(uses - 1)),
    }
    Ok(())
}

/// A model.
///
/// # Errors
/// [`Fault`] if the state cannot be read.
pub fn model(state: &dyn Reader, root: &Digest) -> Result<Option<Model>, Fault> {
    MODELS.get(state, root)
}

/// The model of that name.
///
/// # Errors
/// [`Fault`] if the state cannot be read.
pub fn named(state: &dyn Reader, name: &Text) -> Result<Option<(Digest, Model)>, Fault> {
    let Some(root) = NAMES.get(state, name)? else { return Ok(None) };
    Ok(MODELS.get(state, &root)?.map(|model| (root, model)))
}

/// Models: at most `limit` after `after`, by their root.
///
/// # Errors
/// [`Fault`] if the state cannot be read.
pub fn models(
    state: &dyn Reader,
    after: Option<Digest>,
    limit: usize,
) -> Result<Vec<(Digest, Model)>, Fault> {
    MODELS.page(state, after.as_ref(), limit)
}

/// Who serves a model, and since when: at most `limit` hosts after `after`.
///
/// # Errors
/// [`Fault`] if the state cannot be read.
pub fn serving(
    state: &dyn Reader,
    root: &Digest,
    after: Option<Address>,
    limit: usize,
) -> Result<Vec<(Address, Height)>, Fault> {
    let after = after.map(|host| (*root, host));
    let page = SERVED.page_under(state, &root.0, after.as_ref(), limit)?;
    Ok(page.into_iter().map(|((_, host), since)| (host, since)).collect())
}

/// Since when a host serves a model, if it does.
///
/// # Errors
/// [`Fault`] if the state cannot be read.
pub fn serves(state: &dyn Reader, host: &Address, root: &Digest) -> Result<Option<Height>, Fault> {
    SERVED.get(state, &(*root, *host))
}

/// Lanes of a model that are not over yet.
///
/// # Errors
/// [`Fault`] if the state cannot be read.
pub fn uses(state: &dyn Reader, root: &Digest) -> Result<u32, Fault> {
    Ok(USES.get(state, root)?.unwrap_or_default())
}

/// Texts as keys stand last, as they have no fixed width.
impl Key for Text {
    fn to_bytes(&self) -> Vec<u8> {
        self.as_str().as_bytes().to_vec()
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        Self::new(core::str::from_utf8(bytes).ok()?).ok()
    }
}
