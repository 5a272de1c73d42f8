//! Pricing: what models cost, as use and capacity say.
//!
//! Once per interval of work each model's prices move by at most a small step, and over an epoch by at most a larger
//! one: up if its hosts are busier than the target, down if they are idler, never below the floor. Lanes that are open
//! keep the prices they were opened with.
//!
//! # What counts as use and capacity
//!
//! Only what is proven. *Capacity* is the compute that a model's hosts proved in the race, over the length of an
//! interval: a host that claimed less would lose power and emission, one that claims more would be convicted. *Use* is
//! the fees to which they committed, whichever model they are for: each is in reach of the samples, and a quarter of it
//! goes to others, so that pretending costs money. Fees become compute by the lane's price of a generated token and by
//! what the model's registrant says that one takes ([`crate::models::Model::work`]); a false word there moves the price
//! of the models of those hosts, which then drives away those who pay or those who serve.
//!
//! Demand that found no host leaves no proof, so the signal is how busy hosts are, not how many were turned away. A
//! host counts as at most fully busy: whatever it pretends, it moves the sum by no more than its own proven share. And
//! where nobody with power serves a model, its prices stay: nothing is no evidence of anything.

mod params;

use std::collections::BTreeMap;

use borsh::{BorshDeserialize, BorshSerialize};
use freeway_primitives::{Address, Amount, Digest, Epoch};
use freeway_proofs::work::{PRICE_TOKENS, Prices};

use crate::context::Context;
use crate::error::Error;
use crate::genesis::Genesis;
use crate::hosts::{HOSTS, Status};
use crate::lanes::Lane;
use crate::models::{MODELS, Model, SERVES};
use crate::module::Module;
use crate::receipt;
use crate::state::{Fault, Reader, Table};
use crate::vaults::Vaults;
use crate::weights;

pub use params::{FULL, Params};

/// Where the prices of a model stand. Models whose hosts never had power have no entry.
pub const STANDINGS: Table<Digest, Standing> = Table::new("pricing/standing/");

/// To how much compute hosts have committed since the last step, in multiply-adds of the race.
pub const OBSERVED: Table<Address, u128> = Table::new("pricing/observed/");

/// How many entries are read at once.
const PAGE: usize = 256;

/// Where the prices of a model stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Standing {
    /// The epoch of the last step.
    pub epoch: Epoch,
    /// The prices when that epoch began.
    pub start: Prices,
    /// How busy the model's hosts were in the last interval, in thousandths.
    pub utilisation: u64,
}

/// What happens to prices.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum Event {
    /// A model costs something else in lanes that are opened from now on.
    Changed {
        /// Its root.
        root: Digest,
        /// What it costs.
        prices: Prices,
        /// How busy its hosts were, in thousandths.
        utilisation: u64,
    },
}

/// The rules of prices.
pub struct Pricing;

/// Prices take no messages.
pub enum Never {}

impl Module for Pricing {
    type Message = Never;

    fn genesis(_: &mut Context<'_, '_>, _: &Genesis) -> Result<(), Fault> {
        Ok(())
    }

    fn begin(_: &mut Context<'_, '_>) -> Result<(), Fault> {
        Ok(())
    }

    fn apply(_: &mut Context<'_, '_>, message: &Never) -> Result<(), Error> {
        match *message {}
    }

    /// In the last block of an interval: what was done in the one before is committed by then.
    fn end(context: &mut Context<'_, '_>) -> Result<(), Fault> {
        let blocks = context.params.work.interval_blocks;
        match context.block.height.0.saturating_add(1).checked_rem(blocks) {
            Some(0) => step(context),
            _ => Ok(()),
        }
    }

    fn holdings(_: &dyn Reader, _: &mut Vaults) -> Result<(), Fault> {
        Ok(())
    }
}

/// A host has committed to so many fees of lanes like this one. For the module that accepts it.
pub(crate) fn observe(
    context: &mut Context<'_, '_>,
    host: &Address,
    lane: &Lane,
    fees: Amount,
) -> Result<(), Fault> {
    let Some(model) = MODELS.get(context.state, &lane.model)? else { return Ok(()) };
    let known = OBSERVED.get(context.state, host)?.unwrap_or_default();
    OBSERVED.set(context.state, host, &known.saturating_add(compute(fees, &lane.prices, model.work)));
    Ok(())
}

/// A model is gone.
pub(crate) fn forget(context: &mut Context<'_, '_>, root: &Digest) {
    STANDINGS.remove(context.state, root);
}

/// How busy a model's hosts were in the last interval, in thousandths, if any of them had power.
///
/// # Errors
/// [`Fault`] if the state cannot be read.
pub fn utilisation(state: &dyn Reader, root: &Digest) -> Result<Option<u64>, Fault> {
    Ok(STANDINGS.get(state, root)?.map(|standing| standing.utilisation))
}

/// Compute in an interval, in multiply-adds of the race.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Load {
    busy: u128,
    capacity: u128,
}

impl Load {
    /// In thousandths; `None` without capacity, as nothing is no evidence of anything.
    fn utilisation(&self) -> Option<u64> {
        // Both are divided alike where the product would not fit.
        let shift = if self.busy >= 1 << 100 { 20 } else { 0 };
        let capacity = self.capacity >> shift;
        let parts = ((self.busy >> shift) * u128::from(FULL)).checked_div(capacity)?;
        Some(u64::try_from(parts).unwrap_or(FULL).min(FULL))
    }
}

/// One pass over all hosts that serve anything, then one over all models.
fn step(context: &mut Context<'_, '_>) -> Result<(), Fault> {
    let models = all_models(context.state)?;
    let loads = loads(context.state, context.params)?;
    let epoch = context.clock.epoch;
    for (root, mut model) in models {
        let Some(utilisation) = loads.get(&root).and_then(Load::utilisation) else { continue };
        let start = match STANDINGS.get(context.state, &root)? {
            Some(standing) if standing.epoch == epoch => standing.start,
            _ => model.prices,
        };
        STANDINGS.set(context.state, &root, &Standing { epoch, start, utilisation });
        let prices = context.params.pricing.next(&model.prices, &start, utilisation);
        if prices != model.prices {
            model.prices = prices;
            MODELS.set(context.state, &root, &model);
            context.emit(receipt::Event::Pricing(Event::Changed { root, prices, utilisation }));
        }
    }
    forget_observed(context)
}

fn all_models(state: &dyn Reader) -> Result<BTreeMap<Digest, Model>, Fault> {
    let (mut models, mut after) = (BTreeMap::new(), None);
    loop {
        let page = MODELS.page(state, after.as_ref(), PAGE)?;
        let Some((last, _)) = page.last() else { return Ok(models) };
        after = Some(*last);
        models.extend(page);
    }
}

/// How busy the hosts of each model were.
fn loads(state: &dyn Reader, params: &crate::Params) -> Result<BTreeMap<Digest, Load>, Fault> {
    let (mut loads, mut after) = (BTreeMap::<Digest, Load>::new(), None);
    loop {
        let page = SERVES.page(state, after.as_ref(), PAGE)?;
        let Some((last, _)) = page.last() else { return Ok(loads) };
        after = Some(*last);
        for (address, served) in page {
            let Some(host) = HOSTS.get(state, &address)? else { continue };
            if host.status != Status::Active {
                continue;
            }
            let capacity = capacity(params, weights::record_of(state, &address, &host)?.power());
            let busy = OBSERVED.get(state, &address)?.unwrap_or_default().min(capacity);
            for root in served {
                let load = loads.entry(root).or_default();
                load.busy = load.busy.saturating_add(busy);
                load.capacity = load.capacity.saturating_add(capacity);
            }
        }
    }
}

/// What a host of that power computes in an interval, at the rate at which it raced.
fn capacity(params: &crate::Params, power: u64) -> u128 {
    let raced = u128::from(power).saturating_mul(1u128.checked_shl(params.sprint.weight_shift).unwrap_or(0));
    let whole = raced.saturating_mul(u128::from(params.work.interval_blocks));
    whole.checked_div(u128::from(params.epochs.sprint_blocks)).unwrap_or_default()
}

/// The compute that fees stand for, as if all of them were for generated tokens.
fn compute(fees: Amount, prices: &Prices, work: u64) -> u128 {
    let tokens = fees.0.saturating_mul(PRICE_TOKENS).checked_div(u128::from(prices.output));
    tokens.unwrap_or_default().saturating_mul(u128::from(work))
}

/// Begins a new interval.
fn forget_observed(context: &mut Context<'_, '_>) -> Result<(), Fault> {
    loop {
        let page = OBSERVED.page(context.state, None, PAGE)?;
        if page.is_empty() {
            return Ok(());
        }
        for (host, _) in page {
            OBSERVED.remove(context.state, &host);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::params::Preset;
    use proptest::prelude::*;

    #[test]
    fn capacity_and_use_are_in_one_measure() {
        let mut params = Preset::Local.params();
        (params.sprint.weight_shift, params.epochs.sprint_blocks) = (4, 10);
        params.work.interval_blocks = 5;
        assert_eq!(capacity(&params, 100), 100 * 16 / 2);
        params.sprint.weight_shift = 63;
        assert!(capacity(&params, u64::MAX) > 0);
        let prices = Prices { input: 1, cached: 1, output: 500_000 };
        assert_eq!(compute(Amount(1_000), &prices, 7), 2_000 * 7);
        assert_eq!(compute(Amount(u128::MAX), &Prices::default(), u64::MAX), 0);
        assert_eq!(Load { busy: 5, capacity: 0 }.utilisation(), None);
        assert_eq!(Load { busy: 5, capacity: 20 }.utilisation(), Some(250));
        assert_eq!(Load { busy: u128::MAX, capacity: u128::MAX }.utilisation(), Some(FULL));
    }

    proptest! {
        #[test]
        fn any_load_is_handled(busy: u128, capacity: u128) {
            let utilisation = Load { busy, capacity }.utilisation();
            prop_assert!(utilisation.is_none_or(|parts| parts <= FULL));
        }
    }
}
